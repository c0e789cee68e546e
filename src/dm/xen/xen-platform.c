/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Xen platform device: a PCI function by which a guest knows that it runs under Xen, memory
 * space in which it may put what it shares with Xen, and the fixed ports 10h to 1fh by which its
 * drivers have emulated disks and network cards taken away (Xen's docs/misc/hvm-emulated-unplug).
 */
#include "dm/ata/ata-unplug.h"
#include "dm/machine.h"
#include "dm/pci/pci.h"
#include "util/log.h"

#define XEN_VENDOR       0x5853
#define XEN_PLATFORM     0x0001
#define FIXED_PORTS      0x10
#define FIXED_SIZE       0x10
#define MAGIC            0x49d2
#define PROTOCOL_VERSION 1
#define BAR_IO_SIZE      0x100
#define BAR_MEMORY_SIZE  0x1000000

#define FLAG_ROM_LOCK  0x01 /* C0000h to FFFFFh can't be written */
#define ROM_LOCK_START 0xc0000
#define ROM_LOCK_SIZE  0x40000
#define ROM_LOCK_ABOVE 2 /* what PAM says of the same addresses */

#define UNPLUG_DISKS       0x1 /* IDE disks, not CD-ROMs */
#define UNPLUG_CARDS       DEVICE_UNPLUG_NIC
#define UNPLUG_OTHER_DISKS 0x4 /* IDE disks but the primary master; without effect beside bit 0 */

#define LOG_LINE_MAX 250

struct xen_platform {
    struct pci_device pci;
    struct memory_region fixed_ports, bar_io, bar_memory, rom_lock;
    uint8_t flags;
    uint16_t unplugged;          /* UNPLUG_...: what the guest has had taken away */
    char line[LOG_LINE_MAX + 1]; /* what the guest's drivers say, until it is complete */
    uint8_t line_length;
};

/* Unplugging. */

static void unplug_cards(struct bus *bus)
{
    for (unsigned i = 0; bus && i < bus->children->len;) {
        struct device *device = g_ptr_array_index(bus->children, i);

        if (device->class->unplug_kind & DEVICE_UNPLUG_NIC) {
            device_destroy(device);
        } else {
            i++;
        }
    }
}

/* In the main loop, with the vCPUs standing still. */
static void unplug(void *opaque)
{
    struct xen_platform *platform = opaque;
    struct machine *machine = platform->pci.device.machine;

    if (platform->unplugged & (UNPLUG_DISKS | UNPLUG_OTHER_DISKS)) {
        ata_unplug_disks(machine, !(platform->unplugged & UNPLUG_DISKS));
    }
    if (platform->unplugged & UNPLUG_CARDS) {
        unplug_cards(machine->pci_bus);
    }
}

/* The fixed ports. */

static void update_rom_lock(struct xen_platform *platform)
{
    memory_region_set_enabled(&platform->rom_lock, platform->flags & FLAG_ROM_LOCK);
}

static void log_character(struct xen_platform *platform, uint8_t character)
{
    bool is_end = character == '\n' || platform->line_length == LOG_LINE_MAX;

    if (!is_end && g_ascii_isprint((gchar)character)) {
        platform->line[platform->line_length++] = (char)character;
    }
    if (is_end) {
        platform->line[platform->line_length] = 0;
        log_item(LOG_GUEST_ERRORS, "xen-platform: the guest says: %s\n", platform->line);
        platform->line_length = 0;
    }
}

static enum memory_result fixed_read(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t *value)
{
    const struct xen_platform *platform = opaque;

    *value = UINT64_MAX;
    if (offset == 0 && size == 1) {
        *value = platform->flags;
    } else if (offset == 0 && size == 2) {
        *value = MAGIC;
    } else if (offset == 2 && size == 1) {
        *value = PROTOCOL_VERSION;
    }
    return MEMORY_OK;
}

/* A driver's product number (offset 2, two bytes) and build number (offset 0, four) are not looked
 * at: none is refused. */
static enum memory_result fixed_write(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t value)
{
    struct xen_platform *platform = opaque;

    if (offset == 0 && size == 1) {
        platform->flags = value & FLAG_ROM_LOCK;
        update_rom_lock(platform);
    } else if (offset == 0 && size == 2) {
        platform->unplugged |= (uint16_t)value;
        machine_request_call(platform->pci.device.machine, unplug, platform);
    } else if (offset == 2 && size == 1) {
        log_character(platform, (uint8_t)value);
    }
    return MEMORY_OK;
}

static const struct memory_region_ops fixed_ops = {
    .read = fixed_read,
    .write = fixed_write,
    .valid = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
};

/* The same flags, and the log, at the BAR's first port. */
static enum memory_result io_read(void *opaque, uint64_t offset, unsigned size,
                                  struct memory_attributes attributes, uint64_t *value)
{
    const struct xen_platform *platform = opaque;

    *value = offset == 0 && size == 1 ? platform->flags : UINT64_MAX;
    return MEMORY_OK;
}

static enum memory_result io_write(void *opaque, uint64_t offset, unsigned size,
                                   struct memory_attributes attributes, uint64_t value)
{
    struct xen_platform *platform = opaque;

    if (offset == 0 && size == 1) {
        platform->flags = value & FLAG_ROM_LOCK;
        update_rom_lock(platform);
    } else if (offset == 8 && size == 1) {
        log_character(platform, (uint8_t)value);
    }
    return MEMORY_OK;
}

static const struct memory_region_ops io_ops = {
    .read = io_read,
    .write = io_write,
    .valid = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
};

/* Room in the guest's physical memory that is nobody's: the guest has Xen put pages there. */
static enum memory_result memory_read(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t *value)
{
    *value = 0;
    return MEMORY_OK;
}

static enum memory_result memory_write(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t value)
{
    return MEMORY_OK;
}

static const struct memory_region_ops memory_ops = {
    .read = memory_read,
    .write = memory_write,
    .valid = {.min_size = 1, .max_size = 8, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 8, .allow_unaligned = true},
};

/* The device. */

static bool xen_platform_realize(struct device *device, GError **error)
{
    struct xen_platform *platform = (struct xen_platform *)device;
    struct machine *machine = device->machine;
    struct access_guard *guard = &device->guard;

    memory_region_init_mmio(&platform->fixed_ports, "xen-platform-fixed", FIXED_SIZE, &fixed_ops,
                            platform, guard);
    memory_region_init_mmio(&platform->bar_io, "xen-platform-io", BAR_IO_SIZE, &io_ops, platform,
                            guard);
    memory_region_init_mmio(&platform->bar_memory, "xen-platform-memory", BAR_MEMORY_SIZE,
                            &memory_ops, platform, NULL);
    memory_region_init_alias(&platform->rom_lock, "xen-rom-lock", &machine->ram, ROM_LOCK_START,
                             ROM_LOCK_SIZE);
    memory_region_set_read_only(&platform->rom_lock, true);
    memory_region_set_enabled(&platform->rom_lock, false);
    memory_region_add_subregion_overlap(&machine->system_memory, ROM_LOCK_START,
                                        &platform->rom_lock, ROM_LOCK_ABOVE);
    memory_region_add_subregion(&machine->system_io, FIXED_PORTS, &platform->fixed_ports);
    pci_register_bar(&platform->pci, 0, &platform->bar_io, true, false, false);
    pci_register_bar(&platform->pci, 1, &platform->bar_memory, false, false, true);
    return true;
}

static void xen_platform_unrealize(struct device *device)
{
    struct xen_platform *platform = (struct xen_platform *)device;

    memory_region_destroy(&platform->rom_lock);
    memory_region_destroy(&platform->fixed_ports);
    memory_region_destroy(&platform->bar_io);
    memory_region_destroy(&platform->bar_memory);
}

static void xen_platform_reset(struct device *device)
{
    struct xen_platform *platform = (struct xen_platform *)device;

    platform->flags = 0;
    platform->line_length = 0;
    update_rom_lock(platform);
}

/* A guest that was saved with its emulated devices gone finds them gone. */
static bool xen_platform_after_load(void *object)
{
    struct xen_platform *platform = object;

    if ((platform->flags & ~FLAG_ROM_LOCK) || platform->line_length > LOG_LINE_MAX) {
        return false;
    }
    update_rom_lock(platform);
    if (platform->unplugged) {
        machine_request_call(platform->pci.device.machine, unplug, platform);
    }
    return true;
}

static const struct property xen_platform_properties[] = {
    PCI_DEVICE_PROPERTIES,
    PROPERTY_END,
};

static const struct state_field xen_platform_fields[] = {
    STATE(UINT8, xen_platform, flags, 1),
    STATE(UINT16, xen_platform, unplugged, 1),
    STATE(UINT8, xen_platform, line_length, 1),
    STATE_ARRAY(BYTES, xen_platform, line, LOG_LINE_MAX + 1, 1),
    STATE_END,
};

static const struct state_description xen_platform_state = {
    .name = "xen-platform",
    .version = 1,
    .fields = xen_platform_fields,
    .after_load = xen_platform_after_load,
};

static const struct pci_class xen_platform_pci_class = {
    .vendor_id = XEN_VENDOR,
    .device_id = XEN_PLATFORM,
    .subsystem_vendor_id = XEN_VENDOR,
    .subsystem_id = XEN_PLATFORM,
    .class_code = 0xff8000,
    .revision = 1,
    .interrupt_pin = 1,
};

const struct device_class xen_platform_class = {
    .name = "xen-platform",
    .description = "Xen platform device",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct xen_platform),
    .properties = xen_platform_properties,
    .state = &xen_platform_state,
    .realize = xen_platform_realize,
    .unrealize = xen_platform_unrealize,
    .reset = xen_platform_reset,
    .bus_class = &xen_platform_pci_class,
};
