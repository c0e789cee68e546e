/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Buses, and the interrupt lines of the root bus. Config cycles: pci-cycles.c. */
#include "dm/pci/pci-bus.h"
#include "dm/pci/pci-tree.h"
#include "dm/machine.h"
#include "dm/pci/pci-bridge.h"
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

static const struct bus_ops pci_express_bus_ops = {
    .prepare = pci_device_prepare,
    .plug = pci_device_plug,
    .unplug = pci_device_unplug,
    .release = pci_device_release,
    .reset = pci_device_reset,
    .announce = pci_device_announce,
    .request_unplug = pci_device_request_unplug,
    .state = &pci_express_device_state,
    .facts = pci_device_facts,
    .address = pci_address,
    .describe = pci_bus_describe,
};

static struct pci_bus *bus_make(struct machine *machine, const struct bus_ops *ops,
                                const char *name, struct memory_region *memory_space,
                                struct memory_region *io_space)
{
    struct pci_bus *bus = g_new0(struct pci_bus, 1);

    bus_init(&bus->base, ops, BUS_PCI, name, NULL);
    bus->machine = machine;
    bus->root = bus;
    bus->is_express = ops == &pci_express_bus_ops;
    bus->memory_space = memory_space;
    bus->io_space = io_space;
    return bus;
}

unsigned pci_line_map_piix(unsigned slot, unsigned pin)
{
    return (slot + 3 + pin) & 3;
}

unsigned pci_line_map_ich9(unsigned slot, unsigned pin)
{
    return slot >= 25 ? pin : 4 + ((slot + pin) & 3);
}

static struct pci_bus *root_new(struct machine *machine, const struct bus_ops *ops,
                                const char *name, struct memory_region *memory_space,
                                struct memory_region *io_space)
{
    struct pci_bus *bus = bus_make(machine, ops, name, memory_space, io_space);

    bus->line_map = pci_line_map_piix;
    bus->renumbered_task = (struct io_task){.run = pci_bus_renumbered_task, .opaque = bus};
    pthread_mutex_init(&bus->interrupt_lock, NULL);
    pthread_mutex_init(&bus->listener_lock, NULL);
    bus->message_listeners = g_array_new(false, false, sizeof(struct message_listener));
    machine->pci_bus = &bus->base;
    return bus;
}

struct pci_bus *pci_bus_new(struct machine *machine, struct memory_region *memory_space,
                            struct memory_region *io_space)
{
    return root_new(machine, &pci_bus_ops, "pci.0", memory_space, io_space);
}

struct pci_bus *pci_express_bus_new(struct machine *machine, struct memory_region *memory_space,
                                    struct memory_region *io_space)
{
    return root_new(machine, &pci_express_bus_ops, "pcie.0", memory_space, io_space);
}

struct pci_bus *pci_bus_new_secondary(struct pci_device *bridge, const char *name,
                                      struct memory_region *memory_space,
                                      struct memory_region *io_space)
{
    const struct pci_bus *primary = bridge->pci_bus;
    struct pci_bus *bus =
        bus_make(primary->machine, primary->base.ops, name, memory_space, io_space);

    bus->base.parent = &bridge->device;
    bus->root = primary->root;
    bus->bridge = bridge;
    bus_offer(bus->machine, &bus->base);
    return bus;
}

void pci_bus_free(struct pci_bus *bus)
{
    if (!bus) {
        return;
    }
    bus_clear(&bus->base);
    if (bus->bridge) {
        bus_withdraw(bus->machine, &bus->base);
    } else {
        bus->machine->pci_bus = NULL;
        machine_cancel(bus->machine, &bus->renumbered_task);
        pci_bus_renumbered_task(bus); /* what is left for it to free */
        g_array_unref(bus->message_listeners);
        pthread_mutex_destroy(&bus->listener_lock);
        pthread_mutex_destroy(&bus->interrupt_lock);
    }
    g_free(bus);
}

struct bus *pci_bus_base(struct pci_bus *bus)
{
    return &bus->base;
}

struct pci_bus *pci_bus_from_base(struct bus *base)
{
    return base && (base->ops == &pci_bus_ops || base->ops == &pci_express_bus_ops)
               ? (struct pci_bus *)base
               : NULL;
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

bool pci_bus_is_express(const struct pci_bus *bus)
{
    return bus->is_express;
}

struct pci_bus *pci_device_secondary(const struct pci_device *device)
{
    return pci_class_of(device)->is_bridge ? pci_bridge_bus(device) : NULL;
}

bool pci_bus_visit(struct pci_bus *bus, pci_visit_fn visit, void *opaque)
{
    for (unsigned devfn = 0; devfn < PCI_DEVFN_COUNT; devfn++) {
        struct pci_device *device = pci_bus_find(bus, (uint8_t)devfn);
        struct pci_bus *secondary = device ? pci_device_secondary(device) : NULL;

        if (device &&
            (!visit(device, opaque) || (secondary && !pci_bus_visit(secondary, visit, opaque)))) {
            return false;
        }
    }
    return true;
}

struct pci_device *pci_bus_find(struct pci_bus *bus, uint8_t devfn)
{
    return __atomic_load_n(&bus->devices[devfn], __ATOMIC_ACQUIRE);
}

/* Interrupts. */

void pci_bus_set_interrupt_lines(struct pci_bus *bus, const struct irq_line lines[PCI_LINES])
{
    pthread_mutex_lock(&bus->interrupt_lock);
    for (unsigned i = 0; i < PCI_LINES; i++) {
        bus->lines[i] = lines[i];
        irq_line_set(&bus->lines[i], bus->asserted[i] > 0);
    }
    pthread_mutex_unlock(&bus->interrupt_lock);
}

void pci_bus_set_line_map(struct pci_bus *bus, pci_line_map_fn map)
{
    bus->line_map = map;
}

void pci_bus_set_pin_handler(struct pci_bus *bus, irq_handler_fn handler, void *opaque)
{
    bus->pin_handler = handler;
    bus->pin_opaque = opaque;
}

/* Where a device's pin comes to the root bus. */
struct root_pin {
    unsigned slot, pin; /* 0: INTA */
};

static struct root_pin root_pin_of(const struct pci_device *device)
{
    const struct pci_bus *bus = device->pci_bus;
    struct root_pin at = {device->devfn >> 3, device->config[PCI_INTERRUPT_PIN] - 1u};

    /* PCI-to-PCI Bridge 1.2, 9.1: how pins behind a bridge are wired to its own. */
    for (; bus->bridge; bus = bus->bridge->pci_bus) {
        at = (struct root_pin){bus->bridge->devfn >> 3, (at.pin + at.slot) & 3};
    }
    return at;
}

unsigned pci_interrupt_line_of(const struct pci_device *device)
{
    struct root_pin at = root_pin_of(device);

    return device->pci_bus->root->line_map(at.slot, at.pin);
}

void pci_bus_set_routes(struct pci_bus *bus, const uint8_t gsis[PCI_LINES])
{
    for (unsigned i = 0; i < PCI_LINES; i++) {
        __atomic_store_n(&bus->gsis[i], gsis[i], __ATOMIC_RELEASE);
    }
    pci_bus_messages_changed(bus);
}

unsigned pci_device_gsi(const struct pci_device *device)
{
    return device->config[PCI_INTERRUPT_PIN]
               ? __atomic_load_n(&device->pci_bus->root->gsis[pci_interrupt_line_of(device)],
                                 __ATOMIC_ACQUIRE)
               : 0;
}

static unsigned pin_of(const struct pci_device *device)
{
    struct root_pin at = root_pin_of(device);

    return at.slot * 4u + at.pin;
}

/* With interrupt_lock held, which also keeps the order of levels that a line is told. */
static void update_interrupt(struct pci_device *device)
{
    struct pci_bus *bus = device->pci_bus->root;
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

    pthread_mutex_lock(&device->pci_bus->root->interrupt_lock);
    device->interrupt_disabled = command & PCI_COMMAND_INTERRUPT_DISABLE;
    update_interrupt(device);
    pthread_mutex_unlock(&device->pci_bus->root->interrupt_lock);
}

void pci_set_interrupt(struct pci_device *device, bool level)
{
    pthread_mutex_lock(&device->pci_bus->root->interrupt_lock);
    __atomic_store_n(&device->interrupt_level, level, __ATOMIC_RELAXED);
    update_interrupt(device);
    pthread_mutex_unlock(&device->pci_bus->root->interrupt_lock);
}
