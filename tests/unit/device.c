/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The life of devices and machines: order of the steps, their mirrors, and failures midway. */
#include "unit/fake-machine.h"
#include "unit/suite.h"

#include <string.h>

struct widget {
    struct device device;
    uint32_t port;
    char *label;
    uint32_t value; /* saved */
    bool fail;
};

/* What happened, a letter each; in config.name of the machine, since that is at hand. */
static void note(struct device *device, const char *what)
{
    char **log = &device->machine->config.name;
    char *longer = g_strconcat(*log ? *log : "", what, NULL);

    g_free(*log);
    *log = longer;
}

static bool log_is(struct machine *machine, const char *expected)
{
    bool same = g_strcmp0(machine->config.name, expected) == 0;

    if (!same) {
        g_printerr("log is '%s', expected '%s'\n", machine->config.name, expected);
    }
    g_clear_pointer(&machine->config.name, g_free);
    return same;
}

static bool widget_realize(struct device *device, GError **error)
{
    note(device, "R");
    if (((struct widget *)device)->fail) {
        g_set_error_literal(error, g_quark_from_static_string("test"), 0, "will not");
        return false;
    }
    return true;
}

static void widget_unrealize(struct device *device)
{
    note(device, "U");
}

static void widget_reset(struct device *device)
{
    CU_ASSERT_TRUE(access_guard_is_held(&device->guard));
    note(device, "r");
}

static const struct property widget_properties[] = {
    {"port", PROPERTY_UINT32, offsetof(struct widget, port), "0x3f8", 0, 0xffff, "port"},
    {"label", PROPERTY_STRING, offsetof(struct widget, label), NULL, 0, 0, "label"},
    {"fail", PROPERTY_BOOL, offsetof(struct widget, fail), "off", 0, 0, "fail"},
    PROPERTY_END,
};

static const struct state_field widget_fields[] = {STATE(UINT32, widget, value, 1), STATE_END};

static bool widget_after_load(void *object)
{
    return ((struct widget *)object)->value != 13;
}

static const struct state_description widget_state = {
    .name = "widget", .version = 1, .fields = widget_fields, .after_load = widget_after_load};

static const struct device_class widget_class = {
    .name = "widget",
    .alias = "gadget",
    .bus_type = BUS_ISA,
    .instance_size = sizeof(struct widget),
    .properties = widget_properties,
    .state = &widget_state,
    .realize = widget_realize,
    .unrealize = widget_unrealize,
    .reset = widget_reset,
};

static bool hook_prepare(struct device *device, GError **error)
{
    note(device, "(");
    return true;
}

static bool hook_plug(struct device *device, GError **error)
{
    note(device, "[");
    if (device->id && g_str_equal(device->id, "unpluggable")) {
        g_set_error_literal(error, g_quark_from_static_string("test"), 0, "no room");
        return false;
    }
    return true;
}

static void hook_unplug(struct device *device)
{
    note(device, "]");
}

static void hook_release(struct device *device)
{
    note(device, ")");
}

static const struct bus_ops hooks = {
    .prepare = hook_prepare, .plug = hook_plug, .unplug = hook_unplug, .release = hook_release};

static void add_global(struct machine *machine, const char *driver, const char *property,
                       const char *value)
{
    struct global_property *global = g_new(struct global_property, 1);

    *global = (struct global_property){g_strdup(driver), g_strdup(property), g_strdup(value)};
    g_ptr_array_add(machine->config.globals, global);
}

static void test_life(void)
{
    struct fake_engine engine = {0};
    struct machine *machine = fake_machine_new(&engine);
    struct device *device;

    machine->isa_bus->ops = &hooks;
    device = device_new(machine, &widget_class, NULL, "w", NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(device);
    CU_ASSERT_PTR_EQUAL(device->bus, machine->isa_bus);
    CU_ASSERT_TRUE(device_realize(device, NULL));
    CU_ASSERT_TRUE(log_is(machine, "(R["));
    device_reset(device);
    CU_ASSERT_TRUE(log_is(machine, "r"));
    CU_ASSERT_EQUAL(machine->isa_bus->children->len, 1);
    CU_ASSERT_TRUE(access_guard_enter(&device->guard));
    device_reset(device); /* by itself, from its own callback */
    CU_ASSERT_TRUE(access_guard_is_held(&device->guard));
    access_guard_leave(&device->guard);
    CU_ASSERT_TRUE(log_is(machine, "r"));
    device_destroy(device);
    CU_ASSERT_TRUE(log_is(machine, "]U)"));
    CU_ASSERT_EQUAL(machine->isa_bus->children->len, 0);
    fake_machine_free(machine);
}

static void test_failures(void)
{
    struct fake_engine engine = {0};
    struct machine *machine = fake_machine_new(&engine);
    g_autoptr(GError) refused = NULL, full = NULL, no_bus = NULL;
    struct device_class pci_widget = widget_class;
    struct device *device;

    machine->isa_bus->ops = &hooks;
    device = device_new(machine, &widget_class, NULL, NULL, NULL);
    CU_ASSERT_TRUE(device_set_property(device, "fail", "on", NULL));
    CU_ASSERT_FALSE(device_realize(device, &refused));
    CU_ASSERT_STRING_EQUAL(refused->message, "device 'widget': will not");
    CU_ASSERT_TRUE(log_is(machine, "(R)"));
    device_destroy(device);
    CU_ASSERT_TRUE(log_is(machine, NULL));

    device = device_new(machine, &widget_class, NULL, "unpluggable", NULL);
    CU_ASSERT_FALSE(device_realize(device, &full));
    CU_ASSERT_TRUE(log_is(machine, "(R[U)"));
    device_destroy(device);

    pci_widget.bus_type = BUS_PCI; /* this machine has no PCI bus */
    CU_ASSERT_PTR_NULL(device_new(machine, &pci_widget, NULL, NULL, &no_bus));
    CU_ASSERT_PTR_NOT_NULL(strstr(no_bus->message, "widget"));
    machine->isa_bus->ops = NULL;
    fake_machine_free(machine);
}

static void test_properties(void)
{
    struct fake_engine engine = {0};
    struct machine *machine = fake_machine_new(&engine);
    g_autoptr(GError) near = NULL, far = NULL, late = NULL, value = NULL;
    struct device *device;
    struct widget *widget;

    add_global(machine, "gadget", "port", "0x2f8");
    add_global(machine, "other", "port", "7");
    device = device_new(machine, &widget_class, NULL, NULL, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(device);
    widget = (struct widget *)device;
    CU_ASSERT_EQUAL(widget->port, 0x2f8);
    CU_ASSERT_FALSE(device_set_property(device, "prot", "1", &near));
    CU_ASSERT_PTR_NOT_NULL(strstr(near->message, "did you mean 'port'"));
    CU_ASSERT_FALSE(device_set_property(device, "colour", "1", &far));
    CU_ASSERT_PTR_NOT_NULL(strstr(far->message, "port, label, fail"));
    CU_ASSERT_FALSE(device_set_property(device, "port", "0x10000", &value));
    CU_ASSERT_PTR_NOT_NULL(strstr(value->message, "device 'widget': property 'port': '0x10000'"));
    CU_ASSERT_TRUE(device_realize(device, NULL));
    CU_ASSERT_FALSE(device_set_property(device, "port", "1", &late));
    fake_machine_free(machine); /* takes the device along */
}

static void test_bad_global(void)
{
    struct fake_engine engine = {0};
    struct machine *machine = fake_machine_new(&engine);
    g_autoptr(GError) error = NULL;

    add_global(machine, "widget", "prot", "1");
    CU_ASSERT_PTR_NULL(device_new(machine, &widget_class, NULL, NULL, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "-global widget.prot"));
    fake_machine_free(machine);
}

static void test_state(void)
{
    struct fake_engine engine = {0};
    struct machine *machine = fake_machine_new(&engine);
    g_autoptr(GByteArray) stream = g_byte_array_new(), bad = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    struct device *device = device_new(machine, &widget_class, NULL, NULL, NULL);
    struct widget *widget = (struct widget *)device;
    size_t consumed;

    CU_ASSERT_TRUE_FATAL(device_realize(device, NULL));
    widget->value = 42;
    device_save_state(device, stream);
    widget->value = 13;
    device_save_state(device, bad);
    widget->value = 1;
    CU_ASSERT_FALSE(device_load_state(device, bad->data, bad->len, &consumed, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "widget[0]"));
    CU_ASSERT_EQUAL(widget->value, 1);
    CU_ASSERT_TRUE(device_load_state(device, stream->data, stream->len, &consumed, NULL));
    CU_ASSERT_EQUAL(widget->value, 42);
    CU_ASSERT_EQUAL(consumed, stream->len);
    fake_machine_free(machine);
}

static void test_class_table(void)
{
    for (unsigned i = 0; device_class_table[i]; i++) {
        const struct device_class *class = device_class_table[i];

        CU_ASSERT_PTR_EQUAL(device_class_find(class->name), class);
        CU_ASSERT_TRUE(class->instance_size >= sizeof(struct device));
        CU_ASSERT_PTR_NOT_NULL(class->description);
    }
    CU_ASSERT_PTR_NULL(device_class_find("no-such-device"));
}

/* Machines. */

static void note_cleanup(void *opaque)
{
    GString *log = ((void **)opaque)[0];

    g_string_append_c(log, (char)GPOINTER_TO_INT(((void **)opaque)[1]));
}

static void test_machine_mirror(void)
{
    struct fake_engine engine = {0};
    g_autoptr(GString) log = g_string_new("");
    void *first[] = {log, GINT_TO_POINTER('1')}, *second[] = {log, GINT_TO_POINTER('2')};
    struct machine_config config;
    struct machine *machine;

    machine_config_init(&config);
    config.smp = 3;
    machine = fake_machine_new_with(&engine, &config);
    CU_ASSERT_PTR_NULL(config.globals); /* taken over */
    CU_ASSERT_EQUAL(machine->vcpu_count, 3);
    CU_ASSERT_EQUAL(machine->vcpus[2]->apic_id, 2);
    machine_add_cleanup(machine, note_cleanup, first);
    machine_add_cleanup(machine, note_cleanup, second);
    fake_machine_free(machine);
    CU_ASSERT_STRING_EQUAL(log->str, "21");
    machine_free(NULL);
}

static bool machine_is_refused(struct machine_config *config, struct fake_engine *engine,
                               const char *message)
{
    struct event_base *base = event_base_new();
    g_autoptr(GError) error = NULL;
    struct machine *machine = machine_new(config, &fake_engine_ops, base, &error);
    bool refused = !machine;

    if (machine) {
        refused = !machine_create_engine(machine, engine, &error) ||
                  !machine_create_board(machine, &fake_board, NULL, &error);
        machine_free(machine);
    }
    event_base_free(base);
    return refused && error && strstr(error->message, message);
}

static void test_machine_failures(void)
{
    struct fake_engine refuses = {.fail_create = true}, vcpu = {.fail_vcpu = true}, good = {0};
    static const struct {
        uint64_t ram;
        unsigned smp, sockets, cores, threads;
        const char *message;
    } cases[] = {
        {0, 1, 0, 0, 0, "-m"},
        {1 << 20, 1, 0, 0, 0, "-m"},
        {1ull << 50, 1, 0, 0, 0, "-m"},
        {64 << 20, 0, 0, 0, 0, "-smp"},
        {64 << 20, 100000, 0, 0, 0, "-smp"},
        {64 << 20, 9, 2, 2, 2, "-smp"},
    };
    struct machine_config config;

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        machine_config_init(&config);
        config.ram_size = cases[i].ram;
        config.smp = cases[i].smp;
        config.sockets = cases[i].sockets;
        config.cores = cases[i].cores;
        config.threads = cases[i].threads;
        CU_ASSERT_TRUE(machine_is_refused(&config, &good, cases[i].message));
    }
    machine_config_init(&config);
    CU_ASSERT_TRUE(machine_is_refused(&config, &refuses, "engine refused"));
    machine_config_init(&config);
    config.smp = 2;
    CU_ASSERT_TRUE(machine_is_refused(&config, &vcpu, "vCPU 1: no thread"));
}

static void test_apic_ids(void)
{
    struct fake_engine engine = {0};
    struct machine_config config;
    struct machine *machine;

    machine_config_init(&config);
    config.smp = 12;
    config.sockets = 2;
    config.cores = 3;
    config.threads = 2;
    machine = fake_machine_new_with(&engine, &config);
    /* 1 bit of thread, 2 bits of core. */
    CU_ASSERT_EQUAL(machine->vcpus[1]->apic_id, 1);
    CU_ASSERT_EQUAL(machine->vcpus[5]->apic_id, 5);
    CU_ASSERT_EQUAL(machine->vcpus[6]->apic_id, 8);
    CU_ASSERT_EQUAL(machine->vcpus[11]->apic_id, 13);
    fake_machine_free(machine);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"life", test_life},
        {"failures", test_failures},
        {"properties", test_properties},
        {"bad -global", test_bad_global},
        {"state", test_state},
        {"class table", test_class_table},
        {"machine_free is the mirror", test_machine_mirror},
        {"machines that can't be", test_machine_failures},
        {"APIC IDs", test_apic_ids},
        {NULL, NULL},
    };

    return unit_run("device", tests);
}
