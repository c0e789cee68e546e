/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/acpi/acpi-pci-hotplug.h"
#include "dm/hotplug.h"
#include "dm/machine.h"
#include "util/log.h"
#include "util/trace.h"

#define FUNCTIONS 8

static struct acpi_pci_hotplug *hotplug_of(struct pci_hotplug *base)
{
    return (struct acpi_pci_hotplug *)base;
}

static uint32_t slot_bit(uint8_t devfn)
{
    return 1u << (devfn / FUNCTIONS);
}

static struct pci_device *function_of(const struct acpi_pci_hotplug *hotplug, unsigned slot,
                                      unsigned function)
{
    return pci_bus_find(hotplug->bus, (uint8_t)(slot * FUNCTIONS + function));
}

/* What the guest said, carried out in the main loop. */

/* The last function first: the others are found through function 0. */
static void eject_slot(struct acpi_pci_hotplug *hotplug, unsigned slot)
{
    for (unsigned function = FUNCTIONS; function-- > 0;) {
        struct pci_device *device = function_of(hotplug, slot, function);

        if (device && __atomic_load_n(&device->hidden, __ATOMIC_ACQUIRE)) {
            hotplug_removed(&device->device);
        }
    }
}

static void refuse_slot(struct acpi_pci_hotplug *hotplug, unsigned slot)
{
    for (unsigned function = 0; function < FUNCTIONS; function++) {
        struct pci_device *device = function_of(hotplug, slot, function);

        if (device) {
            hotplug_refused(&device->device);
        }
    }
}

static void on_task(void *opaque)
{
    struct acpi_pci_hotplug *hotplug = opaque;
    uint32_t ejected, refused;

    if (!access_guard_enter(hotplug->guard)) {
        return;
    }
    ejected = hotplug->ejected;
    refused = hotplug->refused;
    hotplug->ejected = hotplug->refused = 0;
    access_guard_leave(hotplug->guard);
    for (unsigned slot = 0; slot < 32; slot++) {
        if (ejected >> slot & 1) {
            eject_slot(hotplug, slot);
        } else if (refused >> slot & 1) {
            refuse_slot(hotplug, slot);
        }
    }
}

/* Slots of which every function may be unplugged. Under RCU: functions don't go meanwhile. */
static uint32_t removable(const struct acpi_pci_hotplug *hotplug, uint32_t slots)
{
    for (unsigned slot = 0; slot < 32; slot++) {
        for (unsigned function = 0; slots >> slot & 1 && function < FUNCTIONS; function++) {
            const struct pci_device *device = function_of(hotplug, slot, function);

            if (device &&
                (!device->device.class->user_creatable || device->device.class->cold_only)) {
                slots &= ~(1u << slot);
            }
        }
    }
    return slots;
}

/* The guest must not find what it ejected, though it takes the main loop a moment to destroy it. */
static void hide(const struct acpi_pci_hotplug *hotplug, uint32_t slots)
{
    for (unsigned slot = 0; slot < 32; slot++) {
        for (unsigned function = 0; slots >> slot & 1 && function < FUNCTIONS; function++) {
            struct pci_device *device = function_of(hotplug, slot, function);

            if (device) {
                __atomic_store_n(&device->hidden, true, __ATOMIC_RELEASE);
            }
        }
    }
}

static void eject(struct acpi_pci_hotplug *hotplug, uint32_t slots)
{
    uint32_t allowed;

    memory_rcu_read_lock();
    allowed = removable(hotplug, slots);
    hide(hotplug, allowed);
    memory_rcu_read_unlock();
    if (allowed != slots) {
        log_item(LOG_GUEST_ERRORS, "slots 0x%x hold what can't be ejected\n", slots & ~allowed);
    }
    trace_hotplug_eject(allowed);
    hotplug->inserted &= ~allowed;
    hotplug->removal &= ~allowed;
    hotplug->asked &= ~allowed;
    hotplug->ejected |= allowed;
    machine_post(hotplug->machine, &hotplug->task);
}

static void refuse(struct acpi_pci_hotplug *hotplug, uint32_t slots)
{
    slots &= hotplug->asked;
    hotplug->removal &= ~slots;
    hotplug->asked &= ~slots;
    hotplug->refused |= slots;
    machine_post(hotplug->machine, &hotplug->task);
}

/* Registers. */

/* Slots with a function that is not hidden. */
static uint32_t present(const struct acpi_pci_hotplug *hotplug)
{
    uint32_t slots = 0;

    memory_rcu_read_lock();
    for (unsigned devfn = 0; devfn < 32 * FUNCTIONS; devfn++) {
        const struct pci_device *device = pci_bus_find(hotplug->bus, (uint8_t)devfn);

        if (device && !__atomic_load_n(&device->hidden, __ATOMIC_ACQUIRE)) {
            slots |= slot_bit((uint8_t)devfn);
        }
    }
    memory_rcu_read_unlock();
    return slots;
}

static enum memory_result ports_read(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t *value)
{
    const struct acpi_pci_hotplug *hotplug = opaque;

    *value = offset == ACPI_PCI_INSERTED  ? hotplug->inserted
             : offset == ACPI_PCI_REMOVAL ? hotplug->removal
             : offset == ACPI_PCI_PRESENT ? present(hotplug)
             : offset == ACPI_PCI_GONE    ? hotplug->gone
                                          : 0;
    return MEMORY_OK;
}

static enum memory_result ports_write(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t value)
{
    struct acpi_pci_hotplug *hotplug = opaque;
    uint32_t slots = (uint32_t)value;

    switch (offset) {
    case ACPI_PCI_INSERTED:
        hotplug->inserted &= ~slots;
        break;
    case ACPI_PCI_REMOVAL:
        hotplug->removal &= ~slots;
        break;
    case ACPI_PCI_GONE:
        hotplug->gone &= ~slots;
        break;
    case ACPI_PCI_EJECT:
        eject(hotplug, slots);
        break;
    default:
        refuse(hotplug, slots);
        break;
    }
    return MEMORY_OK;
}

static const struct memory_region_ops ports_ops = {
    .read = ports_read,
    .write = ports_write,
    .valid = {.min_size = 4, .max_size = 4},
    .implemented = {.min_size = 4, .max_size = 4},
};

/* What the bus has to tell. */

static bool begin_news(struct acpi_pci_hotplug *hotplug)
{
    return access_guard_enter(hotplug->guard);
}

static void end_news(struct acpi_pci_hotplug *hotplug)
{
    acpi_pm_raise_gpe(hotplug->pm, ACPI_PCI_HOTPLUG_GPE);
    access_guard_leave(hotplug->guard);
}

static void announce(struct pci_hotplug *base, struct pci_device *device)
{
    struct acpi_pci_hotplug *hotplug = hotplug_of(base);

    if (begin_news(hotplug)) {
        hotplug->inserted |= slot_bit(device->devfn);
        /* What was asked for was another that has gone since: by force, for one. */
        hotplug->removal &= ~slot_bit(device->devfn);
        hotplug->asked &= ~slot_bit(device->devfn);
        end_news(hotplug);
    }
}

static void request_unplug(struct pci_hotplug *base, struct pci_device *device)
{
    struct acpi_pci_hotplug *hotplug = hotplug_of(base);

    if (begin_news(hotplug)) {
        hotplug->removal |= slot_bit(device->devfn);
        hotplug->asked |= slot_bit(device->devfn);
        end_news(hotplug);
    }
}

static void tell_gone(struct pci_hotplug *base, uint8_t devfn)
{
    struct acpi_pci_hotplug *hotplug = hotplug_of(base);

    if (begin_news(hotplug)) {
        hotplug->gone |= slot_bit(devfn);
        /* Xen's DSDT knows no other way: the guest lets go, and ejects an empty slot. */
        hotplug->removal |= hotplug->machine->engine->attaches ? slot_bit(devfn) : 0;
        end_news(hotplug);
    }
}

/* Life. */

void acpi_pci_hotplug_init(struct acpi_pci_hotplug *hotplug, struct pci_bus *bus,
                           struct acpi_pm *pm, struct access_guard *guard)
{
    hotplug->hotplug = (struct pci_hotplug){announce, request_unplug, tell_gone};
    hotplug->bus = bus;
    hotplug->machine = pm->machine;
    hotplug->pm = pm;
    hotplug->guard = guard;
    hotplug->task = (struct io_task){.run = on_task, .opaque = hotplug};
    memory_region_init_mmio(&hotplug->ports, "acpi-pci-hotplug", ACPI_PCI_HOTPLUG_SIZE, &ports_ops,
                            hotplug, guard);
    memory_region_add_subregion(pci_bus_io_space(bus), ACPI_PCI_HOTPLUG_BASE, &hotplug->ports);
    pci_bus_set_hotplug(bus, &hotplug->hotplug);
}

void acpi_pci_hotplug_destroy(struct acpi_pci_hotplug *hotplug)
{
    pci_bus_set_hotplug(hotplug->bus, NULL);
    machine_cancel(hotplug->machine, &hotplug->task);
    memory_region_destroy(&hotplug->ports);
}

void acpi_pci_hotplug_reset(struct acpi_pci_hotplug *hotplug)
{
    eject(hotplug, hotplug->asked);
    hotplug->inserted = hotplug->removal = hotplug->gone = hotplug->asked = 0;
}
