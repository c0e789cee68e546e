/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding devices, and taking them away. */
#include "dm/hotplug.h"
#include "dm/machine.h"
#include "dm/snapshot/migration.h"
#include "util/error.h"
#include "util/trace.h"

#include <jansson.h>
#include <stdlib.h>

struct bus *hotplug_bus_at(struct machine *machine, unsigned index)
{
    struct bus *const buses[] = {machine->isa_bus, machine->pci_bus, machine->system_bus};
    const unsigned count = G_N_ELEMENTS(buses);

    return index < count ? buses[index] : g_ptr_array_index(machine->device_buses, index - count);
}

unsigned hotplug_bus_count(const struct machine *machine)
{
    return 3 + machine->device_buses->len;
}

struct device *hotplug_find(struct machine *machine, const char *id)
{
    for (unsigned i = 0; i < hotplug_bus_count(machine); i++) {
        const struct bus *bus = hotplug_bus_at(machine, i);

        for (unsigned j = 0; bus && j < bus->children->len; j++) {
            struct device *device = g_ptr_array_index(bus->children, j);

            if (g_strcmp0(device->id, id) == 0) {
                return device;
            }
        }
    }
    return NULL;
}

const struct hotplug_kind *hotplug_kind_of_id(struct machine *machine, const char *id)
{
    for (unsigned i = 0; hotplug_kind_table[i]; i++) {
        if (hotplug_kind_table[i]->has_id(machine, id)) {
            return hotplug_kind_table[i];
        }
    }
    return NULL;
}

bool hotplug_check(const struct device *device, GError **error)
{
    const struct bus_ops *ops = device->bus->ops;

    if (migration_is_sending(device->machine->migration)) {
        return duodm_fail(error, DUODM_ERROR_BUSY,
                          "no device can come or go while the machine is sent: wait until "
                          "query-migrate says that it is over, or migrate_cancel");
    }
    if (device->class->cold_only) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "device '%s' can't be plugged or unplugged: give it with -device",
                          device->class->name);
    }
    return (ops && ops->request_unplug) ||
           duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                      "bus '%s' has no hotplug: give the device with -device", device->bus->name);
}

/* id may be NULL. */
static void emit(struct machine *machine, const char *event, const char *id)
{
    json_t *data = id ? json_pack("{s:s, s:s+}", "device", id, "path", "/machine/peripheral/", id)
                      : json_pack("{s:s}", "path", "/machine/peripheral-anon");
    char *text = data ? json_dumps(data, 0) : NULL;

    machine_emit_event(machine, event, text);
    free(text);
    json_decref(data);
}

void hotplug_removed(struct device *device)
{
    struct machine *machine = device->machine;
    g_autofree char *id = g_strdup(device->id);

    trace_hotplug_removed(device->class->name, id ? id : "");
    device_destroy(device);
    emit(machine, "DEVICE_DELETED", id);
}

void hotplug_refused(struct device *device)
{
    emit(device->machine, "DEVICE_UNPLUG_GUEST_ERROR", device->id);
}

bool hotplug_request_unplug(struct device *device, GError **error)
{
    return hotplug_check(device, error) && device->bus->ops->request_unplug(device, false, error);
}

bool hotplug_remove(struct machine *machine, const char *id, bool force, GError **error)
{
    struct device *device = hotplug_find(machine, id);
    const struct hotplug_kind *kind = device ? NULL : hotplug_kind_of_id(machine, id);

    if (kind) {
        return kind->remove(machine, id, error);
    }
    if (!device) {
        return duodm_fail(error, DUODM_ERROR_NOT_FOUND, "there is no device '%s'", id);
    }
    if (!hotplug_check(device, error)) {
        return false;
    }
    trace_hotplug_requested(device->class->name, id, force);
    return device->bus->ops->request_unplug(device, force, error);
}
