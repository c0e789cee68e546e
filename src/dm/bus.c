/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/device.h"
#include "dm/machine.h"

void bus_init(struct bus *bus, const struct bus_ops *ops, enum bus_type type, const char *name,
              struct device *parent)
{
    bus->ops = ops;
    bus->type = type;
    bus->name = g_strdup(name);
    bus->parent = parent;
    bus->children = g_ptr_array_new();
}

void bus_offer(struct machine *machine, struct bus *bus)
{
    g_ptr_array_add(machine->device_buses, bus);
}

void bus_withdraw(struct machine *machine, struct bus *bus)
{
    g_ptr_array_remove(machine->device_buses, bus);
}

void bus_clear(struct bus *bus)
{
    while (bus->children->len) {
        device_destroy(g_ptr_array_index(bus->children, bus->children->len - 1));
    }
    g_ptr_array_free(bus->children, TRUE);
    g_free((char *)bus->name);
}

struct bus *bus_new(enum bus_type type, const char *name, struct device *parent)
{
    struct bus *bus = g_new0(struct bus, 1);

    bus_init(bus, NULL, type, name, parent);
    return bus;
}

void bus_free(struct bus *bus)
{
    if (bus) {
        bus_clear(bus);
        g_free(bus);
    }
}
