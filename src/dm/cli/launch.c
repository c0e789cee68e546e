/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/cli/launch.h"
#include "dm/boot/firmware-image.h"
#include "dm/chardev.h"
#include "dm/hotplug.h"
#include "dm/monitor/monitor.h"
#include "dm/net/net.h"
#include "dm/object.h"
#include "dm/test/qtest.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>
#include <unistd.h>

/* Set fields of an options struct from a list; keys in skip (ended by NULL) are not for it. */
static bool set_options(struct machine *machine, void *object, const struct property *table,
                        const struct key_values *list, const char *const *skip, GError **error)
{
    property_set_defaults(machine, object, table);
    for (unsigned i = 0; i < list->items->len; i++) {
        const struct key_value *item = g_ptr_array_index(list->items, i);

        if (g_strv_contains(skip, item->key)) {
            continue;
        }
        if (!property_set(machine, object, property_find(table, item->key), item->value, error)) {
            property_free_values(object, table);
            return false;
        }
    }
    return true;
}

/* Engine. */

static const struct engine_ops *engine_find(const char *name)
{
    for (unsigned i = 0; engine_table[i]; i++) {
        if (g_str_equal(engine_table[i]->name, name)) {
            return engine_table[i];
        }
    }
    return NULL;
}

static bool is_usable(const struct engine_ops *engine, const char *name, bool named, GError **error)
{
    if (!engine) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED, "this build has no engine '%s'", name);
    }
    return (!engine->is_available || engine->is_available(error)) &&
           (named || !engine->is_good_default || engine->is_good_default(error));
}

/* It is written to a file, and nothing runs. */
static bool is_only_described(const struct machine_config *config)
{
    return config->dtb_dump || config->dmar_dump;
}

/* Without -accel: the board's only one (or none, to describe it where there is no such guest), or
 * those of this build that run CPUs, in the order of the table. */
static void add_default_engines(struct command_line *line)
{
    if (line->board && line->board->engine) {
        option_accel(line, is_only_described(&line->config) ? "qtest" : line->board->engine, NULL);
        return;
    }
    for (unsigned i = 0; engine_table[i]; i++) {
        if (engine_table[i]->has_vcpus && !engine_table[i]->attaches) {
            option_accel(line, engine_table[i]->name, NULL);
        }
    }
}

/* Index into line.engines of the first that can be used; its length if there is none. */
static unsigned first_usable(const struct command_line *line, bool named, GError **error)
{
    g_autoptr(GString) reasons = g_string_new(NULL);
    unsigned i;

    for (i = 0; i < line->engines->len; i++) {
        const char *name = key_values_get(g_ptr_array_index(line->engines, i), "accel");
        g_autoptr(GError) reason = NULL;

        if (is_usable(engine_find(name), name, named, &reason)) {
            if (i > 0) {
                log_warning("%s; using engine '%s'", reasons->str, name);
            }
            return i;
        }
        g_string_append_printf(reasons, "%s%s", i ? "; " : "", reason->message);
    }
    if (i == 0) {
        g_string_assign(reasons, "this build has no engine that runs CPUs: give -accel qtest, or "
                                 "configure with --enable-tcg");
    }
    duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED, "-accel: %s", reasons->str);
    return i;
}

static bool check_cpu(const struct launch *launch, GError **error)
{
    const char *model = launch->line.config.cpu_model;

    if (model && launch->engine->check_cpu_model &&
        !launch->engine->check_cpu_model(model, error)) {
        g_prefix_error(error, "-cpu %s: ", model);
        return false;
    }
    return true;
}

/* -xen-domid and -xen-domid-restrict are options of the engine xen. */
static bool add_xen_options(struct launch *launch, struct key_values *list, GError **error)
{
    const struct command_line *line = &launch->line;

    if (!line->xen_domid && !line->xen_restrict) {
        return true;
    }
    if (!g_str_equal(launch->engine->name, "xen")) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "-xen-domid is for -accel xen");
    }
    if (line->xen_domid) {
        key_values_set(list, "domid", line->xen_domid);
    }
    if (line->xen_restrict) {
        key_values_set(list, "restrict", "on");
    }
    return true;
}

bool launch_choose_engine(struct launch *launch, GError **error)
{
    static const char *const skip[] = {"accel", NULL};
    struct command_line *line = &launch->line;
    bool named = line->engines->len > 0;
    struct key_values *list;
    unsigned index;

    if (line->board && line->board->own_engine) {
        launch->engine = line->board->own_engine;
        return true;
    }
    if (!named) {
        add_default_engines(line);
    }
    index = first_usable(line, named, error);
    if (index == line->engines->len) {
        return false;
    }
    list = g_ptr_array_index(line->engines, index);
    launch->engine = engine_find(key_values_get(list, "accel"));
    if (!add_xen_options(launch, list, error)) {
        return false;
    }
    if (line->help_cpu) {
        if (launch->engine->list_cpu_models) {
            launch->engine->list_cpu_models(stdout);
        }
        line->done = true;
        return true;
    }
    if (!check_cpu(launch, error)) {
        return false;
    }
    if (launch->engine->options_size) {
        launch->engine_options = g_malloc0(launch->engine->options_size);
        if (!set_options(NULL, launch->engine_options, launch->engine->options, list, skip,
                         error)) {
            g_prefix_error(error, "-accel %s: ", launch->engine->name);
            g_clear_pointer(&launch->engine_options, g_free);
            return false;
        }
    }
    return true;
}

void launch_forget_engine(struct launch *launch)
{
    if (launch->engine_options) {
        property_free_values(launch->engine_options, launch->engine->options);
        g_clear_pointer(&launch->engine_options, g_free);
    }
}

/* Machine. */

/* A guest without -kernel needs firmware; without CPUs nobody would run it. */
static bool choose_firmware(struct launch *launch, GError **error)
{
    struct machine_config *config = &launch->line.config;
    const char *name = config->bios;
    char *path;

    if (!name && (config->kernel || !launch->engine->has_vcpus || launch->engine->attaches)) {
        return true;
    }
    path = firmware_file_find(config, name ? name : FIRMWARE_DEFAULT_NAME, error);
    if (!path) {
        if (name) {
            g_prefix_error(error, "-bios: ");
        }
        return false;
    }
    g_free(config->bios);
    config->bios = path;
    return true;
}

/* The IOAPIC has to be outside of the kernel if its interrupts are remapped. */
static void choose_irqchip(struct command_line *line)
{
    for (unsigned i = 0; i < line->devices->len; i++) {
        const struct key_values *list = g_ptr_array_index(line->devices, i);
        const char *remapping = key_values_get(list, "intremap");
        bool remaps = true;

        if (g_str_equal(key_values_get(list, "driver"), "intel-iommu") &&
            (!remapping || g_str_equal(remapping, "auto") ||
             (parse_bool(remapping, &remaps, NULL) && remaps)) &&
            line->config.kernel_irqchip == KERNEL_IRQCHIP_DEFAULT) {
            line->config.kernel_irqchip = KERNEL_IRQCHIP_SPLIT;
        }
    }
}

static void place_usb(struct command_line *line)
{
    const char *address = command_line_board(line)->usb_address;

    if (line->usb && address) {
        key_values_set(line->usb, "addr", address);
    }
}

/* Guest RAM can't be made another one later. */
static void choose_memory(const struct launch *launch, struct command_line *line)
{
    for (unsigned i = 0; i < line->devices->len; i++) {
        const char *driver = key_values_get(g_ptr_array_index(line->devices, i), "driver");

        line->config.share_ram |=
            device_class_find_any(driver)->wants_shared_ram && !launch->engine->caches_code;
    }
}

bool launch_make_machine(struct launch *launch, GError **error)
{
    choose_irqchip(&launch->line);
    choose_memory(launch, &launch->line);
    place_usb(&launch->line);
    if (!choose_firmware(launch, error)) {
        return false;
    }
    launch->line.config.describe_options = command_line_describe;
    launch->machine = machine_new(&launch->line.config, launch->engine, launch->base, error);
    return launch->machine != NULL;
}

bool launch_create_engine(struct launch *launch, GError **error)
{
    return machine_create_engine(launch->machine, launch->engine_options, error);
}

void launch_free_machine(struct launch *launch)
{
    g_clear_pointer(&launch->machine, machine_free);
}

/* Character devices. */

static bool open_short(struct launch *launch, const char *id, const char *text, const char *option,
                       struct chardev **chardev, GError **error)
{
    GError *problem = NULL;

    *chardev = chardev_new_short(launch->machine, launch->base, id, text, &problem);
    if (problem) {
        g_propagate_prefixed_error(error, problem, "%s %s: ", option, text);
        return false;
    }
    return true;
}

static bool open_serials(struct launch *launch, GError **error)
{
    GPtrArray *serials = launch->line.serials;
    struct machine_config *config = &launch->machine->config;

    for (unsigned i = 0; i < serials->len; i++) {
        const char *text = g_ptr_array_index(serials, i);
        g_autofree char *id = g_strdup_printf("serial%u", i);

        if (launch->line.nographic && g_str_equal(text, "stdio")) {
            text = "stdio,signal=off"; /* Ctrl-C belongs to the guest */
        }
        if (!open_short(launch, id, text, "-serial", &config->serials[i], error)) {
            return false;
        }
        if (g_str_has_prefix(text, "mon:")) {
            launch->mux_monitor = config->serials[i];
        }
    }
    config->serial_count = serials->len;
    return true;
}

static bool open_monitor_chardevs(struct launch *launch, GError **error)
{
    GPtrArray *monitors = launch->line.monitors;

    launch->monitor_chardevs = g_ptr_array_new();
    for (unsigned i = 0; i < monitors->len; i++) {
        const struct monitor_request *request = g_ptr_array_index(monitors, i);
        g_autofree char *id = g_strdup_printf("compat_monitor%u", i);
        struct chardev *chardev;

        if (!open_short(launch, id, request->device, request->is_control ? "-qmp" : "-monitor",
                        &chardev, error)) {
            return false;
        }
        g_ptr_array_add(launch->monitor_chardevs, chardev);
    }
    return true;
}

static bool has_device(const struct command_line *line, const char *driver)
{
    for (unsigned i = 0; i < line->devices->len; i++) {
        if (g_str_equal(key_values_get(g_ptr_array_index(line->devices, i), "driver"), driver)) {
            return true;
        }
    }
    return false;
}

/*
 * What nobody asked for and nobody forbade: a serial port and a monitor that share standard input
 * and output, unless somebody else has those. QMP alone does not take the monitor from the serial
 * port; but there is no monitor by itself where one of any kind was asked for.
 */
static bool open_defaults(struct launch *launch, GError **error)
{
    struct machine_config *config = &launch->machine->config;
    const struct command_line *line = &launch->line;
    bool serial = !line->serials->len && !has_device(line, "isa-serial");
    bool monitor = !launch->mux_monitor && !(serial ? line->human_given : line->monitor_given);
    struct chardev *chardev;

    if (config->no_defaults || chardev_stdio_is_used(launch->machine) || (!serial && !monitor)) {
        return true;
    }
    if (!open_short(launch, serial ? "serial0" : "compat_monitor", "mon:stdio", "-serial", &chardev,
                    error)) {
        return false;
    }
    if (serial) {
        config->serials[0] = chardev;
        config->serial_count = 1;
    }
    if (monitor) {
        launch->mux_monitor = chardev;
    }
    return true;
}

bool launch_open_chardevs(struct launch *launch, GError **error)
{
    const struct command_line *line = &launch->line;

    for (unsigned i = 0; i < line->chardevs->len; i++) {
        const char *text = g_ptr_array_index(line->chardevs, i);

        if (!chardev_new(launch->machine, launch->base, text, error)) {
            g_prefix_error(error, "-chardev %s: ", text);
            launch_close_chardevs(launch);
            return false;
        }
    }
    if (open_serials(launch, error) && open_monitor_chardevs(launch, error) &&
        (!line->qtest ||
         open_short(launch, "qtest", line->qtest, "-qtest", &launch->qtest_chardev, error)) &&
        open_defaults(launch, error)) {
        return true;
    }
    launch_close_chardevs(launch);
    return false;
}

void launch_close_chardevs(struct launch *launch)
{
    GPtrArray *chardevs = launch->machine->chardevs;

    while (chardevs->len) {
        chardev_free(g_ptr_array_index(chardevs, chardevs->len - 1));
    }
    g_clear_pointer(&launch->monitor_chardevs, g_ptr_array_unref);
}

/* Network back ends. */

bool launch_open_netdevs(struct launch *launch, GError **error)
{
    const struct command_line *line = &launch->line;

    for (unsigned i = 0; i < line->netdevs->len; i++) {
        const char *text = g_ptr_array_index(line->netdevs, i);

        if (!netdev_new(launch->machine, text, error)) {
            g_prefix_error(error, "-netdev %s: ", text);
            return false;
        }
    }
    return true;
}

/* Objects. */

static bool make_object(struct machine *machine, const struct key_values *list, GError **error)
{
    static const char *const common[] = {"qom-type", "id", NULL};
    struct object *object = object_new(machine, object_class_find(key_values_get(list, "qom-type")),
                                       key_values_get(list, "id"));

    for (unsigned i = 0; i < list->items->len; i++) {
        const struct key_value *item = g_ptr_array_index(list->items, i);

        if (!g_strv_contains(common, item->key) &&
            !object_set_property(object, item->key, item->value, error)) {
            object_free(object);
            return false;
        }
    }
    return object_complete(object, error);
}

bool launch_make_objects(struct launch *launch, GError **error)
{
    for (unsigned i = 0; i < launch->line.objects->len; i++) {
        const struct key_values *list = g_ptr_array_index(launch->line.objects, i);

        if (!make_object(launch->machine, list, error)) {
            g_prefix_error(error, "-object %s: ", key_values_get(list, "qom-type"));
            return false;
        }
    }
    return true;
}

/* Board and devices. */

bool launch_make_board(struct launch *launch, GError **error)
{
    static const char *const skip[] = {NULL};
    const struct board_class *board = command_line_board(&launch->line);

    launch->line.board = board;
    if (board->options_size) {
        launch->board_options = g_malloc0(board->options_size);
        if (!set_options(launch->machine, launch->board_options, board->properties,
                         launch->line.board_options, skip, error)) {
            g_prefix_error(error, "-machine %s: ", board->name);
            g_clear_pointer(&launch->board_options, g_free);
            return false;
        }
    }
    if (!machine_create_board(launch->machine, board, launch->board_options, error)) {
        launch_forget_board(launch);
        return false;
    }
    return true;
}

void launch_forget_board(struct launch *launch)
{
    if (launch->board_options) {
        property_free_values(launch->board_options, launch->line.board->properties);
        g_clear_pointer(&launch->board_options, g_free);
    }
}

/* What is wired to the board, or stands between devices and memory (an IOMMU)? */
static bool comes_first(const struct device_class *class)
{
    return class->bus_type == BUS_SYSTEM || class->comes_first;
}

static bool add_devices_of(struct launch *launch, bool first, GError **error)
{
    for (unsigned i = 0; i < launch->line.devices->len; i++) {
        const struct key_values *list = g_ptr_array_index(launch->line.devices, i);

        if (comes_first(device_class_find_any(key_values_get(list, "driver"))) != first) {
            continue;
        }
        if (!hotplug_add(launch->machine, list, error)) {
            g_prefix_error(error, "-device: ");
            return false;
        }
    }
    return true;
}

bool launch_add_devices(struct launch *launch, GError **error)
{
    if (!launch_add_adapter(launch, error)) {
        g_prefix_error(error, "-vga: ");
        return false;
    }
    if (!add_devices_of(launch, true, error) || !add_devices_of(launch, false, error)) {
        return false;
    }
    netdev_warn_unused(launch->machine);
    if (!machine_complete_board(launch->machine, error)) {
        return false;
    }
    launch->line.done = is_only_described(&launch->machine->config); /* that was all */
    return true;
}

/* Monitors and the test port. */

bool launch_start_control_monitors(struct launch *launch, GError **error)
{
    GPtrArray *monitors = launch->line.monitors;

    for (unsigned i = 0; i < monitors->len; i++) {
        const struct monitor_request *request = g_ptr_array_index(monitors, i);
        struct chardev *chardev = g_ptr_array_index(launch->monitor_chardevs, i);

        if (chardev && request->is_control &&
            !monitor_add_control(launch->machine, chardev, request->is_pretty, error)) {
            launch_stop_monitors(launch);
            return false;
        }
    }
    return true;
}

static bool start_human_monitors(struct launch *launch, GError **error)
{
    GPtrArray *monitors = launch->line.monitors;

    if (launch->mux_monitor && !monitor_add_human(launch->machine, launch->mux_monitor, error)) {
        return false;
    }
    for (unsigned i = 0; i < monitors->len; i++) {
        const struct monitor_request *request = g_ptr_array_index(monitors, i);
        struct chardev *chardev = g_ptr_array_index(launch->monitor_chardevs, i);

        if (chardev && !request->is_control &&
            !monitor_add_human(launch->machine, chardev, error)) {
            return false;
        }
    }
    return true;
}

bool launch_start_monitors(struct launch *launch, GError **error)
{
    if (!start_human_monitors(launch, error)) {
        return false;
    }
    if (launch->qtest_chardev) {
        launch->qtest =
            qtest_server_new(launch->machine, launch->qtest_chardev, launch->line.qtest_log, error);
    }
    return !launch->qtest_chardev || launch->qtest;
}

void launch_stop_qtest(struct launch *launch)
{
    g_clear_pointer(&launch->qtest, qtest_server_free);
}

void launch_stop_monitors(struct launch *launch)
{
    monitor_free(launch->machine);
}
