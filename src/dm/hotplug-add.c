/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Adding devices as users name them. */
#include "dm/absent.h"
#include "dm/keyval.h"
#include "dm/hotplug.h"
#include "dm/machine.h"
#include "dm/nearest-word.h"
#include "util/error.h"
#include "util/trace.h"

const struct device_class *device_class_find_any(const char *name)
{
    const struct device_class *class = device_class_find(name);

    for (unsigned i = 0; !class && engine_table[i]; i++) {
        const struct device_class *const *table = engine_table[i]->devices;

        for (; table && *table; table++) {
            if (g_str_equal((*table)->name, name)) {
                return *table;
            }
        }
    }
    return class;
}

const struct device_class *device_class_for_user(const char *name, GError **error)
{
    const struct device_class *class = device_class_find_any(name);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL;

    if (class && class->user_creatable) {
        return class;
    }
    if (class) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                   "'%s' is part of the machine and can't be added ('-device help' lists what can)",
                   name);
        return NULL;
    }
    for (unsigned i = 0; device_class_table[i]; i++) {
        if (device_class_table[i]->user_creatable) {
            g_ptr_array_add(names, (void *)device_class_table[i]->name);
        }
    }
    g_ptr_array_add(names, NULL);
    hint = *absent_device_advice(name) ? g_strdup(absent_device_advice(name))
                                       : suggestion(name, (const char *const *)names->pdata);
    duodm_fail(error, DUODM_ERROR_NOT_FOUND,
               "there is no device '%s'%s ('-device help' lists them)", name, hint);
    return NULL;
}

static bool find_bus(struct machine *machine, const char *driver, const char *name,
                     struct bus **bus, GError **error)
{
    g_autoptr(GString) names = g_string_new(NULL);

    for (unsigned i = 0; i < hotplug_bus_count(machine); i++) {
        struct bus *candidate = hotplug_bus_at(machine, i);

        if (candidate && g_str_equal(candidate->name, name)) {
            *bus = candidate;
            return true;
        }
        if (candidate) {
            g_string_append_printf(names, "%s%s", names->len ? ", " : "", candidate->name);
        }
    }
    return duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                      "device '%s': there is no bus '%s' (this machine has %s)", driver, name,
                      names->str);
}

static const struct hotplug_kind *kind_of_driver(struct machine *machine, const char *driver)
{
    for (unsigned i = 0; hotplug_kind_table[i]; i++) {
        if (hotplug_kind_table[i]->has_driver(machine, driver)) {
            return hotplug_kind_table[i];
        }
    }
    return NULL;
}

static bool id_is_free(struct machine *machine, const char *id, GError **error)
{
    return (!hotplug_find(machine, id) && !hotplug_kind_of_id(machine, id)) ||
           duodm_fail(error, DUODM_ERROR_EXISTS,
                      "there is a device '%s' already: choose another id", id);
}

static bool set_properties(struct device *device, const struct key_values *list, GError **error)
{
    static const char *const common[] = {"driver", "id", "bus", NULL};

    for (unsigned i = 0; i < list->items->len; i++) {
        const struct key_value *item = g_ptr_array_index(list->items, i);

        if (!g_strv_contains(common, item->key) &&
            !device_set_property(device, item->key, item->value, error)) {
            return false;
        }
    }
    return true;
}

bool hotplug_add(struct machine *machine, const struct key_values *list, GError **error)
{
    const char *driver = key_values_get(list, "driver"), *id = key_values_get(list, "id");
    const char *bus_name = key_values_get(list, "bus");
    const struct hotplug_kind *kind = kind_of_driver(machine, driver);
    const struct device_class *class = kind ? NULL : device_class_for_user(driver, error);
    struct bus *bus = NULL;
    struct device *device;

    if ((!kind && !class) || (id && !id_is_free(machine, id, error)) ||
        (bus_name && !find_bus(machine, driver, bus_name, &bus, error))) {
        return false;
    }
    if (kind) {
        return kind->add(machine, list, error);
    }
    device = device_new(machine, class, bus, id, error);
    if (!device) {
        return false;
    }
    if ((machine->complete && !hotplug_check(device, error)) ||
        !set_properties(device, list, error) || !device_realize(device, error)) {
        device_destroy(device);
        return false;
    }
    if (machine->complete) {
        trace_hotplug_added(class->name, id ? id : "");
        device_reset(device);
        if (device->bus->ops->announce) {
            device->bus->ops->announce(device);
        }
    }
    return true;
}
