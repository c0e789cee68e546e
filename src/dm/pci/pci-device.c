/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The life of a PCI device around that of its class: slot, header, bus mastering, reset, state. */
#include "dm/hotplug.h"
#include "dm/machine.h"
#include "dm/pci/pci-bridge.h"
#include "dm/pci/pci-bus.h"
#include "dm/pci/pci-power.h"
#include "dm/pci/pci-regs.h"
#include "memory/rcu.h"
#include "util/error.h"

#include <string.h>

static struct pci_device *pci_device_of(struct device *device)
{
    return (struct pci_device *)device;
}

static char *address_text(unsigned devfn)
{
    return g_strdup_printf("%02x.%x", devfn >> 3, devfn & 7);
}

/* The first slot with no function at all; slots 0 and 1 of the root bus are the chipset's. */
static bool find_free_slot(struct pci_bus *bus, unsigned *devfn)
{
    unsigned first = bus->bridge ? 0 : 2, end = bus->is_link ? 1 : 32;

    for (unsigned slot = first; slot < end; slot++) {
        bool used = false;

        for (unsigned function = 0; function < 8; function++) {
            used = used || bus->devices[slot << 3 | function];
        }
        if (!used) {
            *devfn = slot << 3;
            return true;
        }
    }
    return false;
}

/* Guests look at functions 1 to 7 only if function 0 is there and says it is multifunction. */
static bool check_functions(struct pci_bus *bus, const struct pci_device *device, unsigned devfn,
                            GError **error)
{
    unsigned slot = devfn & ~7u;
    bool is_plugged = bus->is_link && bus->machine->complete;

    /* What is plugged into a port comes as a whole, with function 0. */
    if (is_plugged && devfn != slot && bus->devices[slot]) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "the slot of bus %s is in use: functions 1 to 7 have to be there before "
                          "function 0 is plugged",
                          bus->base.name);
    }
    if (devfn != slot && !is_plugged &&
        (!bus->devices[slot] || !bus->devices[slot]->multifunction)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "function %u of slot %02x needs a function 0 there with "
                          "multifunction=on",
                          devfn & 7, devfn >> 3);
    }
    for (unsigned i = slot + 1; devfn == slot && !device->multifunction && i < slot + 8; i++) {
        if (bus->devices[i]) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "slot %02x has other functions: set multifunction=on", devfn >> 3);
        }
    }
    return true;
}

static bool choose_address(struct pci_bus *bus, struct pci_device *device, GError **error)
{
    unsigned devfn = (unsigned)device->address;

    if (device->address < 0 && !find_free_slot(bus, &devfn)) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY, "no slot is free on bus %s",
                          bus->base.name);
    }
    if (bus->is_link && devfn > 7) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "bus %s is that of a port, which has one slot: give addr=0, or leave it "
                          "out",
                          bus->base.name);
    }
    if (bus->devices[devfn]) {
        g_autofree char *text = address_text(devfn);

        return duodm_fail(error, DUODM_ERROR_EXISTS, "PCI address %s is taken by '%s'", text,
                          bus->devices[devfn]->device.class->name);
    }
    if (!check_functions(bus, device, devfn, error)) {
        return false;
    }
    device->devfn = (uint8_t)devfn;
    return true;
}

static void init_header(struct pci_device *device)
{
    const struct pci_class *class = pci_class_of(device);
    uint8_t *config = device->config;

    device->config_size = PCI_CONFIG_SIZE;
    pci_put(config, PCI_VENDOR_ID, 2, class->vendor_id);
    pci_put(config, PCI_DEVICE_ID, 2, class->device_id);
    pci_put(config, PCI_REVISION_ID, 1, class->revision);
    pci_put(config, PCI_CLASS_CODE, 3, class->class_code);
    pci_put(config, PCI_HEADER_TYPE, 1, device->multifunction ? PCI_HEADER_MULTIFUNCTION : 0);
    if (class->is_bridge) {
        pci_bridge_init_header(device);
    } else {
        pci_put(config, PCI_SUBSYSTEM_VENDOR_ID, 2, class->subsystem_vendor_id);
        pci_put(config, PCI_SUBSYSTEM_ID, 2, class->subsystem_id);
    }
    pci_put(config, PCI_INTERRUPT_PIN, 1, class->interrupt_pin);

    pci_put(device->write_mask, PCI_COMMAND, 2,
            PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
                PCI_COMMAND_SERR | PCI_COMMAND_INTERRUPT_DISABLE);
    pci_put(device->clear_mask, PCI_STATUS, 2, PCI_STATUS_ERRORS);
    pci_put(device->write_mask, PCI_CACHE_LINE_SIZE, 1, 0xff);
    pci_put(device->write_mask, PCI_LATENCY_TIMER, 1, 0xf8); /* a multiple of 8 clocks */
    pci_put(device->write_mask, PCI_INTERRUPT_LINE, 1, 0xff);
}

bool pci_device_prepare(struct device *base, GError **error)
{
    struct pci_device *device = pci_device_of(base);
    struct pci_bus *bus = pci_bus_from_base(base->bus);
    g_autofree char *address = NULL, *name = NULL;

    if (bus->machine->complete && bus->bridge && !bus->hotplug) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "bus %s has no hotplug: give the device with -device", bus->base.name);
    }
    if (!choose_address(bus, device, error)) {
        return false;
    }
    device->pci_bus = bus;
    device->hidden = bus->machine->complete; /* until it is announced */
    device->requester =
        (uint16_t)(__atomic_load_n(&bus->number, __ATOMIC_RELAXED) << 8 | device->devfn);
    init_header(device);
    address = address_text(device->devfn);
    name = g_strdup_printf("%s %s DMA", base->class->name, address);
    memory_region_init_container(&device->dma_root, name, MACHINE_MEMORY_SIZE);
    pci_device_open_view(device);
    address_space_init(&device->dma, &device->dma_root, name);
    return true;
}

void pci_device_release(struct device *base)
{
    struct pci_device *device = pci_device_of(base);

    pci_msi_release(device);
    pci_msix_release(device);
    pci_rom_release(device);
    address_space_destroy(&device->dma);
    pci_device_close_view(device);
    memory_region_destroy(&device->dma_root);
    memset(device->config, 0, sizeof(device->config));
    memset(device->write_mask, 0, sizeof(device->write_mask));
    memset(device->clear_mask, 0, sizeof(device->clear_mask));
    memset(device->bars, 0, sizeof(device->bars));
    device->capabilities_end = device->extended_last = device->extended_end = 0;
    device->express = 0;
}

/* Memory in BARs that the guest will see in place is the guest's, where an engine attaches to it.
 */

static void abandon_bar(struct pci_device *device, struct pci_bar *bar)
{
    struct machine *machine = device->device.machine;

    if (bar->adopted) {
        machine->engine->abandon_ram(machine, bar->region);
        bar->adopted = false;
    }
}

static void abandon_bars(struct pci_device *device)
{
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        abandon_bar(device, &device->bars[i]);
    }
    abandon_bar(device, &device->rom);
}

static bool adopt_bar(struct pci_device *device, struct pci_bar *bar, GError **error)
{
    struct machine *machine = device->device.machine;

    if (bar->region && memory_region_host_pointer(bar->region)) {
        bar->adopted = machine->engine->adopt_ram(machine, bar->region, error);
        return bar->adopted;
    }
    return true;
}

static bool adopt_bars(struct pci_device *device, GError **error)
{
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        if (!adopt_bar(device, &device->bars[i], error)) {
            return false;
        }
    }
    return adopt_bar(device, &device->rom, error);
}

bool pci_device_plug(struct device *base, GError **error)
{
    struct pci_device *device = pci_device_of(base);

    const struct engine_ops *engine = base->machine->engine;

    memcpy(device->power_on, device->config, sizeof(device->config));
    if (engine->add_pci_function && !device->pci_bus->bridge &&
        (!adopt_bars(device, error) ||
         !engine->add_pci_function(base->machine, device->devfn, error))) {
        abandon_bars(device);
        return false;
    }
    /* From here on it hears when its bus is numbered. */
    memory_topology_begin();
    pci_device_renumber(device);
    pci_device_update_mappings(device);
    __atomic_store_n(&device->pci_bus->devices[device->devfn], device, __ATOMIC_RELEASE);
    memory_topology_commit();
    return true;
}

void pci_device_unplug(struct device *base)
{
    struct pci_device *device = pci_device_of(base);
    const struct engine_ops *engine = base->machine->engine;
    bool entered;

    /* No config write maps a BAR again: it looks at the bus once more inside the transaction. */
    memory_topology_begin();
    entered = access_guard_enter(&base->guard);
    __atomic_store_n(&device->pci_bus->devices[device->devfn], NULL, __ATOMIC_RELEASE);
    pci_put(device->config, PCI_COMMAND, 2, 0);
    pci_device_update_mappings(device);
    if (entered) {
        access_guard_leave(&base->guard);
    }
    memory_topology_commit();
    /* vCPUs that found it on the bus, or its BARs in the memory map, are done with it. */
    memory_rcu_synchronize();
    pci_set_interrupt(device, false);
    if (engine->remove_pci_function && !device->pci_bus->bridge) {
        engine->remove_pci_function(base->machine, device->devfn);
        abandon_bars(device);
    }
}

void pci_device_announce(struct device *base)
{
    struct pci_device *device = pci_device_of(base);

    if (device->holds_announcement || (device->pci_bus->is_link && device->devfn != 0)) {
        return; /* of a link: function 0 brings the others with it */
    }
    __atomic_store_n(&device->hidden, false, __ATOMIC_RELEASE);
    if (device->pci_bus->hotplug) {
        device->pci_bus->hotplug->announce(device->pci_bus->hotplug, device);
    }
}

/* Is there a guest that could let go of something? */
static bool has_guest(struct machine *machine)
{
    return machine->state != RUN_STATE_PRELAUNCH &&
           (!machine->engine->has_guest || machine->engine->has_guest(machine));
}

bool pci_device_request_unplug(struct device *base, bool force, GError **error)
{
    struct pci_device *device = pci_device_of(base);
    struct pci_hotplug *hotplug = device->pci_bus->hotplug;
    uint8_t devfn = device->devfn;

    if (device->holds_announcement) {
        hotplug_removed(base);
        return true;
    }
    if (force || !has_guest(base->machine)) {
        hotplug_removed(base);
        if (hotplug) {
            hotplug->tell_gone(hotplug, devfn);
        }
        return true;
    }
    if (!hotplug) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "bus '%s' has nobody who could ask the guest to let a device go",
                          base->bus->name);
    }
    hotplug->request_unplug(hotplug, device);
    return true;
}

void pci_device_reset(struct device *base)
{
    struct pci_device *device = pci_device_of(base);

    memcpy(device->config, device->power_on, sizeof(device->config));
    pci_power_update(device);
    pci_msi_update(device);
    pci_msix_reset(device);
    pci_set_interrupt(device, false);
    pci_device_update_interrupt(device);
    pci_device_update_mappings(device);
    pci_bridge_update(device);
}

/* Saved state. */

/* Is the config space that was loaded one that this device could have? */
static bool pci_device_after_load(void *object)
{
    struct pci_device *device = object;

    for (unsigned i = 0; i < PCI_HEADER_END; i++) {
        uint8_t fixed = (uint8_t) ~(device->write_mask[i] | device->clear_mask[i]);

        if ((device->config[i] ^ device->power_on[i]) & fixed) {
            return false;
        }
    }
    if (!pci_msix_after_load(device)) {
        return false;
    }
    pci_power_update(device);
    pci_msi_update(device);
    pci_device_update_interrupt(device);
    pci_device_update_mappings(device);
    pci_bridge_update(device);
    return true;
}

#define MSIX_FIELDS(version_)                                                                      \
    STATE_ARRAY(BYTES, pci_device, msix.table, sizeof(((struct pci_device *)0)->msix.table),       \
                version_),                                                                         \
        STATE_ARRAY(BYTES, pci_device, msix.pending,                                               \
                    sizeof(((struct pci_device *)0)->msix.pending), version_)

static const struct state_field pci_device_fields[] = {
    STATE_ARRAY(BYTES, pci_device, config, PCI_CONFIG_SIZE, 1),
    STATE(BOOL, pci_device, interrupt_level, 1),
    STATE(UINT32, pci_device, msi.pending, 2),
    MSIX_FIELDS(2),
    STATE_END,
};

static const struct state_field pci_express_device_fields[] = {
    STATE_ARRAY(BYTES, pci_device, config, PCI_EXPRESS_CONFIG_SIZE, 1),
    STATE(BOOL, pci_device, interrupt_level, 1),
    STATE(UINT32, pci_device, msi.pending, 1),
    MSIX_FIELDS(1),
    STATE_END,
};

const struct state_description pci_device_state = {
    .name = "pci-device",
    .version = 2,
    .fields = pci_device_fields,
    .after_load = pci_device_after_load,
};

const struct state_description pci_express_device_state = {
    .name = "pci-express-device",
    .version = 1,
    .fields = pci_express_device_fields,
    .after_load = pci_device_after_load,
};

#define BAR_SIZE(name_, bar_)                                                                      \
    {                                                                                              \
        name_, PROPERTY_SIZE, offsetof(struct pci_device, bar_.size), NULL, 0, 0, NULL             \
    }
const struct property pci_device_facts[] = {
    BAR_SIZE("size of BAR 0", bars[0]), BAR_SIZE("size of BAR 1", bars[1]),
    BAR_SIZE("size of BAR 2", bars[2]), BAR_SIZE("size of BAR 3", bars[3]),
    BAR_SIZE("size of BAR 4", bars[4]), BAR_SIZE("size of BAR 5", bars[5]),
    BAR_SIZE("size of ROM", rom),       PROPERTY_END,
};

/* Bus mastering. */

static struct memory_attributes dma_attributes(const struct pci_device *device)
{
    return (struct memory_attributes){.requester = pci_requester_id(device), .from_device = true};
}

enum memory_result pci_dma_read(struct pci_device *device, uint64_t address, void *buffer,
                                uint64_t length)
{
    return address_space_read(&device->dma, address, dma_attributes(device), buffer, length);
}

enum memory_result pci_dma_write(struct pci_device *device, uint64_t address, const void *buffer,
                                 uint64_t length)
{
    return address_space_write(&device->dma, address, dma_attributes(device), buffer, length);
}
