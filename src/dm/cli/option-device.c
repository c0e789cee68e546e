/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options that add devices, character devices and monitors, and those of the log. */
#include "dm/chardev.h"
#include "dm/cli/options.h"
#include "dm/hotplug.h"
#include "dm/monitor/qmp-commands.h"
#include "dm/nearest-word.h"
#include "dm/object.h"
#include "util/error.h"
#include "util/log.h"
#include "util/trace.h"

#include <string.h>

static bool is_help(const char *text)
{
    return g_str_equal(text, "help") || g_str_equal(text, "?");
}

/* -device, -global */

static void list_classes(const struct device_class *const *table)
{
    static const char *const buses[] = {
        [BUS_SYSTEM] = "system",
        [BUS_ISA] = "ISA",
        [BUS_PCI] = "PCI",
        [BUS_VIRTIO] = "virtio",
        [BUS_VIRTIO_SERIAL] = "virtio-serial",
        [BUS_ATA] = "IDE",
        [BUS_USB] = "USB",
    };

    for (; table && *table; table++) {
        const struct device_class *class = *table;

        if (class->user_creatable) {
            printf("%-34s %-13s %s%s%s%s\n", class->name, buses[class->bus_type],
                   class->description, class->alias ? " (alias " : "",
                   class->alias ? class->alias : "", class->alias ? ")" : "");
        }
    }
}

static void list_devices(void)
{
    list_classes(device_class_table);
    for (unsigned i = 0; engine_table[i]; i++) {
        list_classes(engine_table[i]->devices);
    }
}

static void print_device_help(const struct device_class *class)
{
    printf("%s: %s\n", class->name, class->description);
    printf("  %-16s %s\n  %-16s %s\n", "id", "name for monitors", "bus", "bus to put it on");
    for (const struct property *p = class->properties; p && p->name; p++) {
        printf("  %-16s %s\n", p->name, p->help);
    }
}

static bool check_property(const struct device_class *class, const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL;

    for (const struct property *p = class->properties; p && p->name; p++) {
        if (g_str_equal(p->name, name)) {
            return true;
        }
        g_ptr_array_add(names, (void *)p->name);
    }
    g_ptr_array_add(names, NULL);
    hint = suggestion(name, (const char *const *)names->pdata);
    return duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                      "device '%s' has no property '%s'%s ('-device %s,help' lists them)",
                      class->name, name, hint, class->name);
}

static bool check_device(struct command_line *line, const struct key_values *list, GError **error)
{
    const char *driver = key_values_get(list, "driver");
    const struct device_class *class;

    if (!driver) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "no device is named ('-device help' lists them)");
    }
    if (is_help(driver)) {
        list_devices();
        line->done = true;
        return true;
    }
    class = device_class_for_user(driver, error);
    if (!class) {
        return false;
    }
    if (key_values_get(list, "help") || key_values_get(list, "?")) {
        print_device_help(class);
        line->done = true;
        return true;
    }
    for (unsigned i = 0; i < list->items->len; i++) {
        static const char *const common[] = {"driver", "id", "bus", NULL};
        const struct key_value *item = g_ptr_array_index(list->items, i);

        if (!g_strv_contains(common, item->key) && !check_property(class, item->key, error)) {
            return false;
        }
    }
    return true;
}

/* key=value,... or the same as a JSON object, whose members' members are "key.member". */
static struct key_values *parse_list(const char *value, const char *implied_key, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    json_error_t problem;
    json_t *object;

    if (*value != '{') {
        return key_values_parse(value, implied_key, error);
    }
    object = json_loads(value, JSON_REJECT_DUPLICATES, &problem);
    if (!json_is_object(object)) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "'%s' is no JSON: %s", value, problem.text);
        return NULL;
    }
    qmp_flatten(text, object);
    json_decref(object);
    return key_values_parse(text->str, NULL, error);
}

bool option_device(struct command_line *line, const char *value, GError **error)
{
    struct key_values *list = parse_list(value, "driver", error);

    if (!list || !check_device(line, list, error)) {
        key_values_free(list);
        return false;
    }
    g_ptr_array_add(line->devices, list);
    return true;
}

static bool add_global(struct command_line *line, const char *driver, const char *property,
                       const char *value, GError **error)
{
    const struct device_class *class = device_class_find_any(driver);
    struct global_property *global;

    class = class ? class : device_class_for_user(driver, error);
    if (!class || !check_property(class, property, error)) {
        return false;
    }
    global = g_new(struct global_property, 1);
    global->driver = g_strdup(driver);
    global->property = g_strdup(property);
    global->value = g_strdup(value);
    g_ptr_array_add(line->config.globals, global);
    return true;
}

/* "driver=D,property=P,value=V" */
static bool add_long_global(struct command_line *line, const char *text, GError **error)
{
    static const char *const keys[] = {"driver", "property", "value", NULL};
    struct key_values *list = key_values_parse(text, NULL, error);
    bool ok = list && key_values_check(list, keys, error);

    if (ok) {
        const char *driver = key_values_get(list, "driver");
        const char *property = key_values_get(list, "property");
        const char *value = key_values_get(list, "value");

        ok = driver && property && value ? add_global(line, driver, property, value, error)
                                         : duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                                                      "needs driver=, property= and value=");
    }
    key_values_free(list);
    return ok;
}

bool option_global(struct command_line *line, const char *value, GError **error)
{
    const char *equals = strchr(value, '=');
    const char *dot = strchr(value, '.');
    g_autofree char *driver = NULL, *property = NULL;

    if (!equals) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "must be DRIVER.PROPERTY=VALUE");
    }
    if (!dot || dot > equals) {
        return add_long_global(line, value, error);
    }
    driver = g_strndup(value, (gsize)(dot - value));
    property = g_strndup(dot + 1, (gsize)(equals - dot - 1));
    return add_global(line, driver, property, equals + 1, error);
}

/* -object */

static void list_objects(void)
{
    for (unsigned i = 0; object_class_table[i]; i++) {
        printf("%-18s %s\n", object_class_table[i]->name, object_class_table[i]->description);
    }
}

static void print_object_help(const struct object_class *class)
{
    printf("%s: %s\n", class->name, class->description);
    printf("  %-16s %s\n", "id", "name for devices");
    for (const struct property *p = class->properties; p && p->name; p++) {
        printf("  %-16s %s\n", p->name, p->help);
    }
}

static const struct object_class *find_object_class(const char *name, GError **error)
{
    const struct object_class *class = object_class_find(name);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL;

    if (class) {
        return class;
    }
    for (unsigned i = 0; object_class_table[i]; i++) {
        g_ptr_array_add(names, (void *)object_class_table[i]->name);
    }
    g_ptr_array_add(names, NULL);
    hint = suggestion(name, (const char *const *)names->pdata);
    duodm_fail(error, DUODM_ERROR_NOT_FOUND,
               "there is no object '%s'%s ('-object help' lists them)", name, hint);
    return NULL;
}

static bool check_object_property(const struct object_class *class, const char *name,
                                  GError **error)
{
    return g_str_equal(name, "qom-type") || g_str_equal(name, "id") ||
           property_find(class->properties, name) ||
           duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                      "object '%s' has no property '%s' ('-object %s,help' lists them)",
                      class->name, name, class->name);
}

static bool check_object(struct command_line *line, const struct key_values *list, GError **error)
{
    const char *name = key_values_get(list, "qom-type");
    const struct object_class *class;

    if (!name || is_help(name)) {
        list_objects();
        line->done = true;
        return true;
    }
    class = find_object_class(name, error);
    if (!class) {
        return false;
    }
    if (key_values_get(list, "help") || key_values_get(list, "?")) {
        print_object_help(class);
        line->done = true;
        return true;
    }
    if (!key_values_get(list, "id")) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "needs id=ID");
    }
    for (unsigned i = 0; i < list->items->len; i++) {
        const struct key_value *item = g_ptr_array_index(list->items, i);

        if (!check_object_property(class, item->key, error)) {
            return false;
        }
    }
    return true;
}

bool option_object(struct command_line *line, const char *value, GError **error)
{
    struct key_values *list = parse_list(value, "qom-type", error);

    if (!list || !check_object(line, list, error)) {
        key_values_free(list);
        return false;
    }
    g_ptr_array_add(line->objects, list);
    return true;
}

/* -chardev, -serial, monitors */

bool option_chardev(struct command_line *line, const char *value, GError **error)
{
    if (is_help(value)) {
        chardev_list_kinds(stdout);
        line->done = true;
        return true;
    }
    g_ptr_array_add(line->chardevs, g_strdup(value));
    return true;
}

bool option_serial(struct command_line *line, const char *value, GError **error)
{
    if (line->serials->len == G_N_ELEMENTS(line->config.serials)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "a machine has at most %zu serial ports",
                          G_N_ELEMENTS(line->config.serials));
    }
    g_ptr_array_add(line->serials, g_strdup(value));
    return true;
}

static void add_monitor(struct command_line *line, char *device, bool is_control, bool is_pretty)
{
    struct monitor_request *request = g_new(struct monitor_request, 1);

    request->device = device;
    request->is_control = is_control;
    request->is_pretty = is_pretty;
    g_ptr_array_add(line->monitors, request);
    line->monitor_given = true;
    line->human_given |= !is_control;
}

bool option_monitor(struct command_line *line, const char *value, GError **error)
{
    add_monitor(line, g_strdup(value), false, false);
    return true;
}

bool option_qmp(struct command_line *line, const char *value, GError **error)
{
    add_monitor(line, g_strdup(value), true, false);
    return true;
}

static bool apply_mon(struct command_line *line, const struct key_values *list, GError **error)
{
    static const char *const keys[] = {"chardev", "mode", "pretty", NULL};
    const char *chardev = key_values_get(list, "chardev");
    const char *mode = key_values_get(list, "mode");
    bool pretty = false;

    if (!key_values_check(list, keys, error) ||
        !key_values_get_bool(list, "pretty", &pretty, error)) {
        return false;
    }
    if (!chardev) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "needs chardev=ID");
    }
    if (mode && !g_str_equal(mode, "readline") && !g_str_equal(mode, "control")) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "mode '%s' must be readline or control", mode);
    }
    add_monitor(line, g_strconcat("chardev:", chardev, NULL), g_strcmp0(mode, "control") == 0,
                pretty);
    return true;
}

bool option_mon(struct command_line *line, const char *value, GError **error)
{
    struct key_values *list = key_values_parse(value, "chardev", error);
    bool ok = list && apply_mon(line, list, error);

    key_values_free(list);
    return ok;
}

/* -d, -trace */

bool option_log_items(struct command_line *line, const char *value, GError **error)
{
    if (is_help(value)) {
        log_list_items(stdout);
        line->done = true;
        return true;
    }
    g_free(line->log_items);
    line->log_items = g_strdup(value);
    return true;
}

static bool read_patterns(struct command_line *line, const char *path, GError **error)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) patterns = NULL;

    if (!g_file_get_contents(path, &text, NULL, error)) {
        return false;
    }
    patterns = g_strsplit(text, "\n", -1);
    for (unsigned i = 0; patterns[i]; i++) {
        g_strstrip(patterns[i]);
        if (*patterns[i] && *patterns[i] != '#') {
            g_ptr_array_add(line->traces, g_strdup(patterns[i]));
        }
    }
    return true;
}

static bool apply_trace(struct command_line *line, const struct key_values *list, GError **error)
{
    static const char *const keys[] = {"enable", "events", "file", NULL};
    const char *pattern = key_values_get(list, "enable");
    const char *events = key_values_get(list, "events");
    const char *file = key_values_get(list, "file");

    if (!key_values_check(list, keys, error) || (events && !read_patterns(line, events, error))) {
        return false;
    }
    if (pattern) {
        g_ptr_array_add(line->traces, g_strdup(pattern));
    }
    if (file) {
        g_free(line->log_file);
        line->log_file = g_strdup(file);
    }
    return true;
}

bool option_trace(struct command_line *line, const char *value, GError **error)
{
    struct key_values *list = NULL;
    bool ok;

    if (is_help(value)) {
        trace_list(stdout);
        line->done = true;
        return true;
    }
    list = key_values_parse(value, "enable", error);
    ok = list && apply_trace(line, list, error);
    key_values_free(list);
    return ok;
}
