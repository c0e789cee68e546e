/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration cycles, and the way that they take through bridges by their bus numbers
 * (PCI-to-PCI Bridge 1.2, 3.1). They read bus->devices under RCU: pci_device_unplug waits for them.
 */
#include "dm/machine.h"
#include "dm/pci/pci-bridge.h"
#include "dm/pci/pci-bus.h"

static bool is_visible(const struct pci_device *device)
{
    return device && !__atomic_load_n(&device->hidden, __ATOMIC_ACQUIRE);
}

struct pci_bus *pci_bus_of_number(struct pci_bus *bus, unsigned number)
{
    if (!bus->bridge && number == 0) {
        return bus;
    }
    for (unsigned devfn = 0; devfn < PCI_DEVFN_COUNT; devfn++) {
        struct pci_device *bridge = pci_bus_find(bus, (uint8_t)devfn);
        struct pci_bus *behind = is_visible(bridge) ? pci_device_secondary(bridge) : NULL;
        unsigned first = behind ? __atomic_load_n(&behind->number, __ATOMIC_RELAXED) : 0;

        if (first && number >= first &&
            number <= __atomic_load_n(&behind->last, __ATOMIC_RELAXED) &&
            !__atomic_load_n(&behind->is_silent, __ATOMIC_ACQUIRE)) {
            return number == first ? behind : pci_bus_of_number(behind, number);
        }
    }
    return NULL;
}

static struct pci_device *config_target(struct pci_bus *root, unsigned number, unsigned devfn,
                                        unsigned offset, unsigned size)
{
    bool good_size = size == 1 || size == 2 || size == 4;
    struct pci_device *device;
    struct pci_bus *bus;

    if (devfn >= PCI_DEVFN_COUNT || !good_size || offset > PCI_EXPRESS_CONFIG_SIZE - size) {
        return NULL;
    }
    bus = pci_bus_of_number(root, number);
    device = bus ? pci_bus_find(bus, (uint8_t)devfn) : NULL;
    return is_visible(device) && offset + size <= device->config_size ? device : NULL;
}

uint32_t pci_bus_config_read(struct pci_bus *bus, unsigned bus_number, unsigned devfn,
                             unsigned offset, unsigned size)
{
    uint32_t value = UINT32_MAX >> (32 - 8 * MIN(size, 4));
    struct pci_device *device;

    memory_rcu_read_lock();
    device = config_target(bus, bus_number, devfn, offset, size);
    if (device && access_guard_enter(&device->device.guard)) {
        value = pci_config_read(device, offset, size);
        access_guard_leave(&device->device.guard);
    }
    memory_rcu_read_unlock();
    return value;
}

void pci_bus_config_write(struct pci_bus *bus, unsigned bus_number, unsigned devfn, unsigned offset,
                          unsigned size, uint32_t value)
{
    struct pci_device *device;

    memory_rcu_read_lock();
    device = config_target(bus, bus_number, devfn, offset, size);
    if (device) {
        /* The write may map or move regions: the topology's lock comes before the guard. */
        memory_topology_begin();
        if (config_target(bus, bus_number, devfn, offset, size) == device &&
            access_guard_enter(&device->device.guard)) {
            pci_config_write(device, offset, size, value);
            access_guard_leave(&device->device.guard);
            /* What concerns other devices is done with no guard held. */
            pci_bridge_update(device);
        }
        memory_topology_commit();
        pci_bus_tell_renumbered(bus);
    }
    memory_rcu_read_unlock();
}
