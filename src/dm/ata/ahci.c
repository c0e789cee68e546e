/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An AHCI host bus adapter as in Intel's ICH9 (Intel 316972, function 8086:2922): AHCI 1.3.1. */
#include "dm/ata/ahci.h"
#include "dm/machine.h"

/* Generic host control: 3.1. */
#define HBA_CAP 0x00u
#define HBA_GHC 0x04u
#define HBA_IS  0x08u
#define HBA_PI  0x0cu
#define HBA_VS  0x10u

#define CAP_PORTS   (AHCI_PORTS - 1u)
#define CAP_SLOTS   ((AHCI_SLOTS - 1u) << 8)
#define CAP_SAM     0x00040000u /* AHCI only, no IDE registers */
#define CAP_SPEED   0x00300000u /* 6 Gb/s */
#define CAP_CLO     0x01000000u
#define CAP_QUEUES  0x40000000u
#define CAP_64      0x80000000u
#define GHC_RESET   0x00000001u
#define GHC_IE      0x00000002u
#define GHC_AE      0x80000000u /* always: CAP.SAM */
#define VERSION_1_3 0x00010300u

#define AHCI_BAR      5
#define REGISTER_SIZE 0x1000u

static struct ahci *ahci_of(struct device *device)
{
    return (struct ahci *)device;
}

/* ---- Interrupts ---- */

static void signal_message(struct ahci *hba)
{
    if (hba->is && (hba->ghc & GHC_IE) && pci_msi_is_enabled(&hba->pci)) {
        pci_msi_notify(&hba->pci, 0);
    }
}

/* IS follows the ports until the guest clears it: 10.7.2.1. */
void ahci_update_interrupt(struct ahci *hba)
{
    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        if (hba->ports[i].is & hba->ports[i].ie) {
            hba->is |= 1u << i;
        }
    }
    pci_set_interrupt(&hba->pci, hba->is && (hba->ghc & GHC_IE) && !pci_msi_is_enabled(&hba->pci));
}

void ahci_port_event(struct ahci_port *port)
{
    ahci_update_interrupt(port->hba);
    if (port->is & port->ie) {
        signal_message(port->hba);
    }
}

/* ---- Registers ---- */

static bool reset_is_under_way(const struct ahci *hba)
{
    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        const struct ata_drive *drive = hba->ports[i].bus.drives[0];

        if (drive && drive->signature_pending) {
            return true;
        }
    }
    return false;
}

static void reset_hba(struct ahci *hba, bool keep_addresses)
{
    hba->ghc = GHC_AE;
    hba->is = 0;
    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        ahci_port_reset(&hba->ports[i], keep_addresses);
    }
    ahci_update_interrupt(hba);
}

static uint32_t read_hba(const struct ahci *hba, unsigned offset)
{
    switch (offset) {
    case HBA_CAP:
        return CAP_PORTS | CAP_SLOTS | CAP_SAM | CAP_SPEED | CAP_CLO | CAP_QUEUES | CAP_64;
    case HBA_GHC:
        return hba->ghc | (reset_is_under_way(hba) ? GHC_RESET : 0);
    case HBA_IS:
        return hba->is;
    case HBA_PI:
        return (1u << AHCI_PORTS) - 1;
    case HBA_VS:
        return VERSION_1_3;
    default:
        return 0;
    }
}

static void write_hba(struct ahci *hba, unsigned offset, uint32_t value)
{
    switch (offset) {
    case HBA_GHC:
        if (value & GHC_RESET) {
            reset_hba(hba, true);
            return;
        }
        hba->ghc = GHC_AE | (value & GHC_IE);
        ahci_update_interrupt(hba);
        signal_message(hba);
        break;
    case HBA_IS:
        hba->is &= ~value;
        ahci_update_interrupt(hba);
        signal_message(hba); /* of what has come meanwhile */
        break;
    default:
        break;
    }
}

static enum memory_result registers_read(void *opaque, uint64_t offset, unsigned size,
                                         struct memory_attributes attributes, uint64_t *value)
{
    struct ahci *hba = opaque;
    unsigned place = (unsigned)offset & ~3u, port = (place - AHCI_PORT_BASE) / AHCI_PORT_SIZE;
    uint32_t whole = 0;

    if (place < AHCI_PORT_BASE) {
        whole = read_hba(hba, place);
    } else if (port < AHCI_PORTS) {
        whole = ahci_port_read(&hba->ports[port], place % AHCI_PORT_SIZE);
    }
    *value = whole >> (8 * (offset & 3));
    return MEMORY_OK;
}

static enum memory_result registers_write(void *opaque, uint64_t offset, unsigned size,
                                          struct memory_attributes attributes, uint64_t value)
{
    struct ahci *hba = opaque;
    unsigned place = (unsigned)offset, port = (place - AHCI_PORT_BASE) / AHCI_PORT_SIZE;

    if (place < AHCI_PORT_BASE) {
        write_hba(hba, place, (uint32_t)value);
    } else if (port < AHCI_PORTS) {
        ahci_port_write(&hba->ports[port], place % AHCI_PORT_SIZE, (uint32_t)value);
    }
    return MEMORY_OK;
}

static const struct memory_region_ops registers_ops = {
    .read = registers_read,
    .write = registers_write,
    .valid = {.min_size = 1, .max_size = 8},
    .implemented = {.min_size = 4, .max_size = 4},
};

/* ---- Life ---- */

/* Buses are ID.0 to ID.5; without an id those of the board's controller, which is there first, are
 * ide.0 and so on, others are ahci.0. */
static const char *bus_prefix(const struct device *device)
{
    const GPtrArray *buses = device->machine->device_buses;

    for (unsigned i = 0; !device->id && i < buses->len; i++) {
        if (g_str_equal(((const struct bus *)g_ptr_array_index(buses, i))->name, "ide.0")) {
            return "ahci";
        }
    }
    return device->id ? device->id : device->machine->complete ? "ahci" : "ide";
}

static void on_run(void *opaque, bool running)
{
    struct ahci *hba = opaque;
    bool entered = access_guard_enter(&hba->pci.device.guard);

    for (unsigned i = 0; running && i < AHCI_PORTS; i++) {
        ahci_port_resume(&hba->ports[i]);
    }
    if (entered) {
        access_guard_leave(&hba->pci.device.guard);
    }
}

static bool ahci_realize(struct device *device, GError **error)
{
    struct ahci *hba = ahci_of(device);
    const char *prefix = bus_prefix(device);

    if (!pci_msi_init(&hba->pci, 1, true, false, error) ||
        !ata_master_init(&hba->master, &hba->pci, error)) {
        return false;
    }
    memory_region_init_mmio(&hba->registers, "ahci", REGISTER_SIZE, &registers_ops, hba,
                            &device->guard);
    pci_register_bar(&hba->pci, AHCI_BAR, &hba->registers, false, false, false);
    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        g_autofree char *name = g_strdup_printf("%s.%u", prefix, i);

        ahci_port_init(&hba->ports[i], hba, i, name);
    }
    machine_add_run_listener(device->machine, on_run, hba);
    return true;
}

static void ahci_unrealize(struct device *device)
{
    struct ahci *hba = ahci_of(device);

    machine_remove_run_listener(device->machine, on_run, hba);
    for (unsigned i = AHCI_PORTS; i-- > 0;) {
        ata_bus_clear(&hba->ports[i].bus);
    }
    ata_master_destroy(&hba->master);
    memory_region_destroy(&hba->registers);
}

/* Drives were reset before, and have nothing in flight. */
static void ahci_reset(struct device *device)
{
    reset_hba(ahci_of(device), false);
}

/* ---- Saved state ---- */

static bool ahci_after_load(void *object)
{
    struct ahci *hba = object;

    for (unsigned i = 0; i < AHCI_PORTS; i++) {
        if (hba->ports[i].slot >= AHCI_SLOTS || hba->ports[i].next_slot >= AHCI_SLOTS) {
            return false;
        }
    }
    return true;
}

#define PORT_STATE(index_)                                                                         \
    STATE(UINT64, ahci, ports[index_].clb, 1), STATE(UINT64, ahci, ports[index_].fb, 1),           \
        STATE(UINT32, ahci, ports[index_].is, 1), STATE(UINT32, ahci, ports[index_].ie, 1),        \
        STATE(UINT32, ahci, ports[index_].cmd, 1), STATE(UINT32, ahci, ports[index_].tfd, 1),      \
        STATE(UINT32, ahci, ports[index_].sig, 1), STATE(UINT32, ahci, ports[index_].ssts, 1),     \
        STATE(UINT32, ahci, ports[index_].sctl, 1), STATE(UINT32, ahci, ports[index_].serr, 1),    \
        STATE(UINT32, ahci, ports[index_].sact, 1), STATE(UINT32, ahci, ports[index_].ci, 1),      \
        STATE(UINT8, ahci, ports[index_].slot, 1), STATE(UINT8, ahci, ports[index_].next_slot, 1), \
        STATE(BOOL, ahci, ports[index_].busy, 1), STATE(BOOL, ahci, ports[index_].failed, 1),      \
        STATE(BOOL, ahci, ports[index_].soft_reset, 1),                                            \
        STATE(UINT32, ahci, ports[index_].cursor.entry, 1),                                        \
        STATE(UINT32, ahci, ports[index_].cursor.offset, 1),                                       \
        STATE(UINT32, ahci, ports[index_].moved, 1), STATE(UINT32, ahci, ports[index_].queued, 1)

static const struct state_field ahci_fields[] = {
    STATE(UINT32, ahci, ghc, 1),
    STATE(UINT32, ahci, is, 1),
    PORT_STATE(0),
    PORT_STATE(1),
    PORT_STATE(2),
    PORT_STATE(3),
    PORT_STATE(4),
    PORT_STATE(5),
    STATE_END,
};

/* Queued commands begin again from the guest's memory, when the machine goes on. */
static const struct state_description ahci_state = {
    .name = "ahci",
    .version = 1,
    .fields = ahci_fields,
    .after_load = ahci_after_load,
};

/* ---- Class ---- */

static const struct property ahci_properties[] = {
    PCI_DEVICE_PROPERTIES,
    PROPERTY_END,
};

static bool ahci_iommu_changed(struct pci_device *pci, GError **error)
{
    return ata_master_follow(&((struct ahci *)pci)->master, error);
}

static const struct pci_class ahci_pci_class = {
    .vendor_id = 0x8086,
    .device_id = 0x2922,
    .subsystem_vendor_id = 0x1af4,
    .subsystem_id = 0x1100,
    .class_code = 0x010601,
    .revision = 2,
    .interrupt_pin = 1,
    .iommu_changed = ahci_iommu_changed,
};

const struct device_class ahci_class = {
    .name = "ahci",
    .alias = "ich9-ahci",
    .description = "AHCI controller with 6 SATA ports",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct ahci),
    .user_creatable = true,
    .properties = ahci_properties,
    .state = &ahci_state,
    .realize = ahci_realize,
    .unrealize = ahci_unrealize,
    .reset = ahci_reset,
    .bus_class = &ahci_pci_class,
};
