/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The root bus: who is where, config cycles, interrupt lines. */
#include "dm/pci/pci-bus.h"
#include "dm/pci/pci-tree.h"
#include "dm/machine.h"
#include "dm/pci/pci-iommu.h"
#include "dm/pci/pci-regs.h"

static char *pci_address(const struct device *device)
{
    unsigned devfn = ((const struct pci_device *)device)->devfn;

    return g_strdup_printf("%02x.%x", devfn >> 3, devfn & 7);
}

static const struct bus_ops pci_bus_ops = {
    .prepare = pci_device_prepare,
    .plug = pci_device_plug,
    .unplug = pci_device_unplug,
    .release = pci_device_release,
    .reset = pci_device_reset,
    .announce = pci_device_announce,
    .request_unplug = pci_device_request_unplug,
    .state = &pci_device_state,
    .facts = pci_device_facts,
    .address = pci_address,
    .describe = pci_bus_describe,
};

struct pci_bus *pci_bus_new(struct machine *machine, struct memory_region *memory_space,
                            struct memory_region *io_space)
{
    struct pci_bus *bus = g_new0(struct pci_bus, 1);

    bus_init(&bus->base, &pci_bus_ops, BUS_PCI, "pci.0", NULL);
    bus->machine = machine;
    bus->memory_space = memory_space;
    bus->io_space = io_space;
    pthread_mutex_init(&bus->interrupt_lock, NULL);
    pthread_mutex_init(&bus->listener_lock, NULL);
    bus->message_listeners = g_array_new(false, false, sizeof(struct message_listener));
    machine->pci_bus = &bus->base;
    return bus;
}

void pci_bus_free(struct pci_bus *bus)
{
    if (!bus) {
        return;
    }
    bus_clear(&bus->base);
    bus->machine->pci_bus = NULL;
    g_array_unref(bus->message_listeners);
    pthread_mutex_destroy(&bus->listener_lock);
    pthread_mutex_destroy(&bus->interrupt_lock);
    g_free(bus);
}

struct bus *pci_bus_base(struct pci_bus *bus)
{
    return &bus->base;
}

struct pci_bus *pci_bus_from_base(struct bus *base)
{
    return base && base->ops == &pci_bus_ops ? (struct pci_bus *)base : NULL;
}

void pci_bus_set_hotplug(struct pci_bus *bus, struct pci_hotplug *hotplug)
{
    bus->hotplug = hotplug;
}

struct memory_region *pci_bus_memory_space(struct pci_bus *bus)
{
    return bus->memory_space;
}

struct memory_region *pci_bus_io_space(struct pci_bus *bus)
{
    return bus->io_space;
}

struct pci_device *pci_bus_find(struct pci_bus *bus, uint8_t devfn)
{
    return __atomic_load_n(&bus->devices[devfn], __ATOMIC_ACQUIRE);
}

/* Configuration cycles. They read bus->devices under RCU: pci_device_unplug waits for them. */

static struct pci_device *config_target(struct pci_bus *bus, unsigned bus_number, unsigned devfn,
                                        unsigned offset, unsigned size)
{
    bool good_size = size == 1 || size == 2 || size == 4;
    struct pci_device *device;

    if (bus_number != 0 || devfn >= PCI_DEVFN_COUNT || !good_size ||
        offset > PCI_CONFIG_SIZE - size) {
        return NULL;
    }
    device = pci_bus_find(bus, (uint8_t)devfn);
    return device && !__atomic_load_n(&device->hidden, __ATOMIC_ACQUIRE) ? device : NULL;
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
        if (pci_bus_find(bus, device->devfn) == device &&
            access_guard_enter(&device->device.guard)) {
            pci_config_write(device, offset, size, value);
            access_guard_leave(&device->device.guard);
        }
        memory_topology_commit();
    }
    memory_rcu_read_unlock();
}

/* Interrupts. */

void pci_bus_set_interrupt_lines(struct pci_bus *bus, const struct irq_line lines[4])
{
    pthread_mutex_lock(&bus->interrupt_lock);
    for (unsigned i = 0; i < 4; i++) {
        bus->lines[i] = lines[i];
        irq_line_set(&bus->lines[i], bus->asserted[i] > 0);
    }
    pthread_mutex_unlock(&bus->interrupt_lock);
}

void pci_bus_set_pin_handler(struct pci_bus *bus, irq_handler_fn handler, void *opaque)
{
    bus->pin_handler = handler;
    bus->pin_opaque = opaque;
}

unsigned pci_interrupt_line_of(const struct pci_device *device)
{
    unsigned slot = device->devfn >> 3, pin = device->config[PCI_INTERRUPT_PIN];

    return (slot + 3 + pin - 1) & 3;
}

void pci_bus_set_routes(struct pci_bus *bus, const uint8_t gsis[4])
{
    for (unsigned i = 0; i < 4; i++) {
        __atomic_store_n(&bus->gsis[i], gsis[i], __ATOMIC_RELEASE);
    }
    pci_bus_messages_changed(bus);
}

unsigned pci_device_gsi(const struct pci_device *device)
{
    return device->config[PCI_INTERRUPT_PIN]
               ? __atomic_load_n(&device->pci_bus->gsis[pci_interrupt_line_of(device)],
                                 __ATOMIC_ACQUIRE)
               : 0;
}

static unsigned pin_of(const struct pci_device *device)
{
    return (device->devfn >> 3) * 4u + device->config[PCI_INTERRUPT_PIN] - 1u;
}

/* With interrupt_lock held, which also keeps the order of levels that a line is told. */
static void update_interrupt(struct pci_device *device)
{
    struct pci_bus *bus = device->pci_bus;
    bool asserted = device->interrupt_level && !device->interrupt_disabled;
    struct irq_line line;
    unsigned *count;

    if (asserted == device->interrupt_asserted || !device->config[PCI_INTERRUPT_PIN]) {
        return;
    }
    device->interrupt_asserted = asserted;
    if (bus->pin_handler) {
        line = (struct irq_line){bus->pin_handler, bus->pin_opaque, pin_of(device)};
        count = &bus->asserted[line.number];
    } else {
        count = &bus->asserted[pci_interrupt_line_of(device)];
        line = bus->lines[pci_interrupt_line_of(device)];
    }
    *count += asserted ? 1 : -1;
    if (*count == (asserted ? 1 : 0)) {
        irq_line_set(&line, asserted);
    }
}

void pci_device_update_interrupt(struct pci_device *device)
{
    uint32_t command = pci_get(device->config, PCI_COMMAND, 2);

    pthread_mutex_lock(&device->pci_bus->interrupt_lock);
    device->interrupt_disabled = command & PCI_COMMAND_INTERRUPT_DISABLE;
    update_interrupt(device);
    pthread_mutex_unlock(&device->pci_bus->interrupt_lock);
}

void pci_set_interrupt(struct pci_device *device, bool level)
{
    pthread_mutex_lock(&device->pci_bus->interrupt_lock);
    __atomic_store_n(&device->interrupt_level, level, __ATOMIC_RELAXED);
    update_interrupt(device);
    pthread_mutex_unlock(&device->pci_bus->interrupt_lock);
}
