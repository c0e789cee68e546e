/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/snapshot/device-state.h"
#include "dm/intc/local-apic.h"
#include "dm/machine.h"
#include "dm/snapshot/configuration.h"
#include "util/error.h"
#include "util/log.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define HEAD_INSTANCE   "0"
#define ENGINE_INSTANCE "0"

/* The first section. */
struct head {
    uint8_t board[32], engine[16], cpu_model[256]; /* texts, padded with NUL */
    uint64_t ram_size;                             /* bytes */
    uint32_t vcpus;
    uint64_t clock; /* ns */
    bool was_running;
    uint32_t sections; /* that follow */
    uint64_t length;   /* bytes of those */
    GByteArray *configuration;
};

static const struct state_field head_fields[] = {
    STATE_ARRAY(BYTES, head, board, sizeof(((struct head *)0)->board), 1),
    STATE_ARRAY(BYTES, head, engine, sizeof(((struct head *)0)->engine), 1),
    STATE_ARRAY(BYTES, head, cpu_model, sizeof(((struct head *)0)->cpu_model), 1),
    STATE(UINT64, head, ram_size, 1),
    STATE(UINT32, head, vcpus, 1),
    STATE(UINT64, head, clock, 1),
    STATE(BOOL, head, was_running, 1),
    STATE(UINT32, head, sections, 1),
    STATE(UINT64, head, length, 1),
    {"configuration", STATE_BUFFER, offsetof(struct head, configuration), CONFIGURATION_MAX, 2},
    STATE_END,
};

static const struct state_description head_state = {
    .name = "machine",
    .version = 2,
    .fields = head_fields,
};

/* What is on its way to a vCPU. */
struct vcpu_signals {
    uint32_t signals, nmi_count;
    uint8_t startup_vector;
};
#define SAVED_SIGNALS                                                                              \
    (VCPU_SIGNAL_INTERRUPT | VCPU_SIGNAL_NMI | VCPU_SIGNAL_INIT | VCPU_SIGNAL_STARTUP |            \
     VCPU_SIGNAL_SMI)

static bool signals_after_load(void *object)
{
    return !(((const struct vcpu_signals *)object)->signals & ~(uint32_t)SAVED_SIGNALS);
}

static const struct state_field signals_fields[] = {
    STATE(UINT32, vcpu_signals, signals, 1),
    STATE(UINT32, vcpu_signals, nmi_count, 1),
    STATE(UINT8, vcpu_signals, startup_vector, 1),
    STATE_END,
};

static const struct state_description signals_state = {
    .name = "vcpu",
    .version = 1,
    .fields = signals_fields,
    .after_load = signals_after_load,
};

/* Devices, in the order in which they are saved and loaded. */

static bool receives_lines(const struct device *device)
{
    return device->class->state && device->class->state->receives_lines;
}

static void add_bus(GPtrArray *list, const struct bus *bus, bool receivers)
{
    for (unsigned i = 0; bus && i < bus->children->len; i++) {
        struct device *device = g_ptr_array_index(bus->children, i);

        if (device_has_state(device) && receives_lines(device) == receivers) {
            g_ptr_array_add(list, device);
        }
    }
}

/* Those on buses of other devices come after these; receivers of interrupt lines at the end. */
static GPtrArray *list_devices(struct machine *machine)
{
    GPtrArray *list = g_ptr_array_new();

    for (unsigned receivers = 0; receivers < 2; receivers++) {
        add_bus(list, machine->system_bus, receivers);
        add_bus(list, machine->isa_bus, receivers);
        add_bus(list, machine->pci_bus, receivers);
        for (unsigned i = 0; i < machine->device_buses->len; i++) {
            add_bus(list, g_ptr_array_index(machine->device_buses, i), receivers);
        }
    }
    return list;
}

/* Saving. */

static bool check_bus_saved(const struct bus *bus, GError **error)
{
    for (unsigned i = 0; bus && i < bus->children->len; i++) {
        const struct device *device = g_ptr_array_index(bus->children, i);
        g_autofree char *name = device->class->unsaved ? device_describe(device) : NULL;

        if (name) {
            return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                              "the machine has device '%s' (%s), which can't be saved: %s; remove "
                              "it first",
                              name, device->class->name, device->class->unsaved);
        }
    }
    return true;
}

bool device_state_check_saved(const struct machine *machine, GError **error)
{
    bool good = check_bus_saved(machine->system_bus, error) &&
                check_bus_saved(machine->isa_bus, error) &&
                check_bus_saved(machine->pci_bus, error);

    for (unsigned i = 0; good && i < machine->device_buses->len; i++) {
        good = check_bus_saved(g_ptr_array_index(machine->device_buses, i), error);
    }
    return good;
}

static unsigned count_sections(const uint8_t *stream, size_t length)
{
    unsigned count = 0;

    while (length) {
        g_autofree char *description = NULL, *instance = NULL;
        size_t consumed;
        bool good = state_peek(stream, length, &description, &instance, &consumed, NULL);

        assert(good); /* it was just made */
        stream += consumed;
        length -= consumed;
        count++;
    }
    return count;
}

/* Where the engine attaches, vCPUs are saved by whoever made them. */
static unsigned count_own_vcpus(const struct machine *machine)
{
    return machine->engine->attaches ? 0 : machine->vcpu_count;
}

static void save_vcpu_signals(struct vcpu *vcpu, GByteArray *stream, const char *instance)
{
    struct vcpu_signals signals = {
        .signals = __atomic_load_n(&vcpu->signals, __ATOMIC_SEQ_CST) & SAVED_SIGNALS,
        .nmi_count = __atomic_load_n(&vcpu->nmi_count, __ATOMIC_SEQ_CST),
        .startup_vector = __atomic_load_n(&vcpu->startup_vector, __ATOMIC_SEQ_CST),
    };

    state_save(stream, &signals_state, &signals, instance);
}

static bool save_vcpu(struct vcpu *vcpu, GByteArray *stream, GError **error)
{
    const struct engine_ops *engine = vcpu->machine->engine;
    g_autofree char *instance = g_strdup_printf("%u", vcpu->index);

    if (!engine->save_vcpu) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "engine '%s' can't save the state of CPUs", engine->name);
    }
    save_vcpu_signals(vcpu, stream, instance);
    if (vcpu->apic) {
        state_save(stream, &local_apic_state, vcpu->apic, instance);
    }
    return engine->save_vcpu(vcpu, stream, error);
}

/* All sections but the first. */
static bool save_sections(struct machine *machine, GByteArray *stream, GError **error)
{
    g_autoptr(GPtrArray) devices = list_devices(machine);

    for (unsigned i = 0; i < devices->len; i++) {
        device_save_state(g_ptr_array_index(devices, i), stream);
    }
    if (machine->engine->state) {
        state_save(stream, machine->engine->state, machine->engine_data, ENGINE_INSTANCE);
    }
    for (unsigned i = 0; i < count_own_vcpus(machine); i++) {
        if (!save_vcpu(machine->vcpus[i], stream, error)) {
            return false;
        }
    }
    return true;
}

static void set_text(uint8_t *to, size_t size, const char *text)
{
    if (text) {
        memcpy(to, text, MIN(strlen(text), size));
    }
}

static void describe_machine(const struct machine *machine, struct head *head)
{
    *head = (struct head){
        .ram_size = machine->config.ram_size,
        .vcpus = count_own_vcpus(machine),
        .clock = machine_clock_now(machine->clock),
    };
    set_text(head->board, sizeof(head->board), machine->board->name);
    set_text(head->engine, sizeof(head->engine), machine->engine->name);
    set_text(head->cpu_model, sizeof(head->cpu_model), machine->config.cpu_model);
}

bool device_state_save(struct machine *machine, bool was_running, GByteArray *stream,
                       GError **error)
{
    g_autoptr(GByteArray) sections = g_byte_array_new();
    g_autoptr(GByteArray) configuration = g_byte_array_new();
    struct head head;

    if (!device_state_check_saved(machine, error) || !save_sections(machine, sections, error)) {
        return false;
    }
    describe_machine(machine, &head);
    head.configuration = configuration;
    configuration_save(machine, configuration);
    head.was_running = was_running;
    head.sections = count_sections(sections->data, sections->len);
    head.length = sections->len;
    state_save(stream, &head_state, &head, HEAD_INSTANCE);
    g_byte_array_append(stream, sections->data, sections->len);
    return true;
}

/* Loading. */

/* A stream, taken apart. */
struct contents {
    struct head head;
    GHashTable *sections; /* of struct section, by its key */
    GPtrArray *order;     /* the same */
};

struct section {
    char *key; /* description and instance, for messages too */
    const uint8_t *data;
    size_t length; /* bytes from here to the end of the stream */
    bool used;
};

static void section_free(void *opaque)
{
    struct section *section = opaque;

    g_free(section->key);
    g_free(section);
}

static void contents_clear(struct contents *contents)
{
    g_byte_array_unref(contents->head.configuration);
    g_hash_table_unref(contents->sections);
    g_ptr_array_unref(contents->order);
}

static char *section_key(const char *description, const char *instance)
{
    return g_strdup_printf("%s '%s'", description, instance);
}

static bool add_section(struct contents *contents, const uint8_t *data, size_t length,
                        size_t *consumed, GError **error)
{
    g_autofree char *description = NULL, *instance = NULL;
    struct section *section;

    if (!state_peek(data, length, &description, &instance, consumed, error)) {
        g_prefix_error(error, "section %u of %u: ", contents->order->len + 1,
                       contents->head.sections);
        return false;
    }
    section = g_new(struct section, 1);
    *section = (struct section){section_key(description, instance), data, length, false};
    g_ptr_array_add(contents->order, section);
    if (!g_hash_table_insert(contents->sections, section->key, section)) {
        g_autofree char *shown = g_utf8_make_valid(section->key, -1);

        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "saved state of %s is there twice",
                          shown);
    }
    return true;
}

/* The stream has all of its sections, and no more. */
static bool check_count(const struct contents *contents, size_t length, GError **error)
{
    const struct section *last =
        contents->order->len ? g_ptr_array_index(contents->order, contents->order->len - 1) : NULL;
    g_autofree char *shown = g_utf8_make_valid(last ? last->key : "the machine", -1);

    if (contents->order->len == contents->head.sections && length == contents->head.length) {
        return true;
    }
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "saved state: %u sections of %zu bytes where %u of %" PRIu64
                      " are expected: the stream was cut off or altered after that of %s",
                      contents->order->len, length, contents->head.sections, contents->head.length,
                      shown);
}

/* Take a stream apart: all frames and checksums are good then, and no byte is left over. */
static bool read_contents(struct contents *contents, const uint8_t *stream, size_t length,
                          GError **error)
{
    size_t consumed, sections_length;

    if (!state_load(stream, length, &head_state, &contents->head, HEAD_INSTANCE, &consumed,
                    error)) {
        return false;
    }
    stream += consumed;
    length -= consumed;
    sections_length = length;
    while (length) {
        if (!add_section(contents, stream, length, &consumed, error)) {
            return false;
        }
        stream += consumed;
        length -= consumed;
    }
    return check_count(contents, sections_length, error);
}

static bool check_text(const char *what, const uint8_t *saved, const uint8_t *ours, size_t size,
                       GError **error)
{
    g_autofree char *text = g_strndup((const char *)saved, size);
    g_autofree char *shown = g_utf8_make_valid(text, -1);
    g_autofree char *own = g_strndup((const char *)ours, size);

    return memcmp(saved, ours, size) == 0 ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "saved state is of a machine with %s '%s', this one has '%s': start duodm "
                      "with the options that the saved machine had",
                      what, shown, own);
}

static bool check_number(const char *what, uint64_t saved, uint64_t ours, GError **error)
{
    return saved == ours ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "saved state is of a machine with %" PRIu64 " %s, this one has %" PRIu64
                      ": start duodm with the options that the saved machine had",
                      saved, what, ours);
}

static bool check_machine(const struct machine *machine, const struct head *head, GError **error)
{
    struct head own;

    describe_machine(machine, &own);
    return check_text("board", head->board, own.board, sizeof(own.board), error) &&
           check_text("engine", head->engine, own.engine, sizeof(own.engine), error) &&
           check_text("CPU model", head->cpu_model, own.cpu_model, sizeof(own.cpu_model), error) &&
           check_number("CPUs", head->vcpus, own.vcpus, error) &&
           check_number("bytes of memory", head->ram_size, own.ram_size, error);
}

static struct section *find_section(const struct contents *contents,
                                    const struct state_description *description,
                                    const char *instance, GError **error)
{
    g_autofree char *key = section_key(description->name, instance);
    struct section *section = g_hash_table_lookup(contents->sections, key);

    if (!section) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                   "saved state has none of %s, which this machine has: start duodm with the "
                   "options that the saved machine had",
                   key);
    }
    return section;
}

/* One section that the machine has, looked at. */
static bool check_section(const struct contents *contents,
                          const struct state_description *description, const char *instance,
                          GError **error)
{
    struct section *section = find_section(contents, description, instance, error);
    size_t consumed;

    if (!section) {
        return false;
    }
    section->used = true;
    return state_check(section->data, section->length, description, instance, &consumed, error);
}

static bool check_device(const struct contents *contents, const struct device *device,
                         GError **error)
{
    const struct bus_ops *ops = device->bus->ops;
    const struct state_description *of_bus = ops ? ops->state : NULL;
    g_autofree char *instance = device_state_name(device);

    return (!of_bus || check_section(contents, of_bus, instance, error)) &&
           (!device->class->state ||
            check_section(contents, device->class->state, instance, error));
}

static bool check_vcpu(const struct contents *contents, const struct vcpu *vcpu, GError **error)
{
    const struct engine_ops *engine = vcpu->machine->engine;
    g_autofree char *instance = g_strdup_printf("%u", vcpu->index);

    return check_section(contents, &signals_state, instance, error) &&
           (!vcpu->apic || check_section(contents, &local_apic_state, instance, error)) &&
           check_section(contents, engine->vcpu_state, instance, error);
}

static bool check_all_used(const struct contents *contents, GError **error)
{
    for (unsigned i = 0; i < contents->order->len; i++) {
        const struct section *section = g_ptr_array_index(contents->order, i);

        if (!section->used) {
            g_autofree char *shown = g_utf8_make_valid(section->key, -1);

            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "saved state is of a machine with %s, which this one does not have: "
                              "start duodm with the options that the saved machine had",
                              shown);
        }
    }
    return true;
}

/* Everything that can be told before anything is touched. */
static bool check(struct machine *machine, const GPtrArray *devices,
                  const struct contents *contents, GError **error)
{
    const struct engine_ops *engine = machine->engine;

    if (!check_machine(machine, &contents->head, error) ||
        (engine->state && !check_section(contents, engine->state, ENGINE_INSTANCE, error))) {
        return false;
    }
    for (unsigned i = 0; i < devices->len; i++) {
        if (!check_device(contents, g_ptr_array_index(devices, i), error)) {
            return false;
        }
    }
    for (unsigned i = 0; i < count_own_vcpus(machine); i++) {
        if (!check_vcpu(contents, machine->vcpus[i], error)) {
            return false;
        }
    }
    return check_all_used(contents, error) &&
           configuration_check(machine, contents->head.configuration, error);
}

/* A device's sections are next to each other. */
static bool load_device(const struct contents *contents, struct device *device, GError **error)
{
    const struct bus_ops *ops = device->bus->ops;
    const struct state_description *first = ops && ops->state ? ops->state : device->class->state;
    g_autofree char *instance = device_state_name(device);
    struct section *section = find_section(contents, first, instance, error);
    size_t consumed;

    return section && device_load_state(device, section->data, section->length, &consumed, error);
}

static bool load_section(const struct contents *contents,
                         const struct state_description *description, void *object,
                         const char *instance, GError **error)
{
    struct section *section = find_section(contents, description, instance, error);
    size_t consumed;

    return section && state_load(section->data, section->length, description, object, instance,
                                 &consumed, error);
}

static bool load_vcpu(const struct contents *contents, struct vcpu *vcpu, GError **error)
{
    const struct engine_ops *engine = vcpu->machine->engine;
    g_autofree char *instance = g_strdup_printf("%u", vcpu->index);
    struct section *section = find_section(contents, engine->vcpu_state, instance, error);
    struct vcpu_signals signals = {0};
    size_t consumed;

    if (!section || !load_section(contents, &signals_state, &signals, instance, error) ||
        !engine->load_vcpu(vcpu, section->data, section->length, &consumed, error) ||
        (vcpu->apic && !load_section(contents, &local_apic_state, vcpu->apic, instance, error))) {
        return false;
    }
    __atomic_fetch_and(&vcpu->signals, ~(uint32_t)SAVED_SIGNALS, __ATOMIC_SEQ_CST);
    __atomic_store_n(&vcpu->nmi_count, signals.nmi_count, __ATOMIC_SEQ_CST);
    __atomic_store_n(&vcpu->startup_vector, signals.startup_vector, __ATOMIC_SEQ_CST);
    vcpu_signal(vcpu, signals.signals | VCPU_SIGNAL_INTERRUPT | VCPU_SIGNAL_FLUSH);
    return true;
}

/* Time first: deadlines and counters are relative to it. vCPUs last: until then interrupt
 * controllers may still say something to their local APICs. */
static bool load(struct machine *machine, const GPtrArray *devices, const struct contents *contents,
                 GError **error)
{
    machine_clock_set(machine->clock, contents->head.clock);
    if (machine->engine->state && !load_section(contents, machine->engine->state,
                                                machine->engine_data, ENGINE_INSTANCE, error)) {
        return false;
    }
    for (unsigned i = 0; i < devices->len; i++) {
        if (!load_device(contents, g_ptr_array_index(devices, i), error)) {
            return false;
        }
    }
    for (unsigned i = 0; i < count_own_vcpus(machine); i++) {
        if (!load_vcpu(contents, machine->vcpus[i], error)) {
            return false;
        }
    }
    return true;
}

static void contents_init(struct contents *contents)
{
    contents->head = (struct head){.configuration = g_byte_array_new()};
    contents->sections = g_hash_table_new(g_str_hash, g_str_equal);
    contents->order = g_ptr_array_new_with_free_func(section_free);
}

/* Put back what device_state_save gave of this very machine. */
static void undo(struct machine *machine, const GPtrArray *devices, const GByteArray *old)
{
    struct contents contents;
    g_autoptr(GError) error = NULL;

    contents_init(&contents);
    if (!read_contents(&contents, old->data, old->len, &error) ||
        !load(machine, devices, &contents, &error)) {
        log_warning("what was loaded can't be taken back: %s", error->message);
    }
    contents_clear(&contents);
}

bool device_state_load(struct machine *machine, const uint8_t *stream, size_t length,
                       bool *was_running, GError **error)
{
    g_autoptr(GByteArray) old = g_byte_array_new();
    g_autoptr(GPtrArray) devices = list_devices(machine);
    struct contents contents;
    bool good;

    contents_init(&contents);
    good = read_contents(&contents, stream, length, error) &&
           check(machine, devices, &contents, error) &&
           device_state_save(machine, false, old, error);
    if (good) {
        good = load(machine, devices, &contents, error);
        if (!good) {
            undo(machine, devices, old);
        }
    }
    *was_running = contents.head.was_running;
    contents_clear(&contents);
    return good;
}
