/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82371AB (PIIX4), function 3: power management and SMBus. Sections are those of the
 * datasheet, Intel order number 290562.
 */
#include "dm/acpi/acpi-cpu-hotplug.h"
#include "dm/acpi/acpi-pci-hotplug.h"
#include "dm/acpi/acpi-pm.h"
#include "dm/acpi/apm-ports.h"
#include "dm/machine.h"
#include "dm/pci/chipset.h"
#include "dm/pci/pci-regs.h"
#include "dm/pci/piix4-smbus.h"

/* Config registers: 7.1. */
#define PMBA           0x40u /* I/O base of the power management block, bits 15:6 */
#define PMBA_MASK      0xffc0u
#define DEVACTB        0x58u
#define APMC_EN        0x02000000u /* writes to the APM control port raise SMI */
#define PMREGMISC      0x80u
#define PMIOSE         0x01u /* the block is decoded */
#define SMBBA          0x90u /* I/O base of the SMBus block, bits 15:4 */
#define SMBBA_MASK     0xfff0u
#define SMBHSTCFG      0xd2u
#define SMB_HST_EN     0x01u
#define BASE_INDICATOR 0x01u /* of I/O, in both base registers */

/* The power management block: 7.2. */
#define PM_BLOCK_SIZE 64
#define PM_OTHER      ACPI_PM_BLOCK_END /* from here on registers that only keep their value */

struct piix4_pm {
    struct pci_device pci;
    struct acpi_pm acpi;
    struct piix4_smbus smbus;
    struct acpi_pci_hotplug hotplug;
    struct acpi_cpu_hotplug cpus; /* unused where the CPUs are ours */
    struct memory_region block;   /* at PMBA */
    uint8_t other[PM_BLOCK_SIZE - PM_OTHER];
    struct memory_region gpe_ports;
    struct apm_ports apm;
};

/* The block at PMBASE. Its registers are 16 and 32 bits wide and may be accessed by parts: a part
 * is read from, or merged into, the whole. */

static enum memory_result block_read(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t *value)
{
    struct piix4_pm *pm = opaque;
    unsigned start = (unsigned)(offset & ~3ull);
    uint32_t whole = start < PM_OTHER ? acpi_pm_block_read(&pm->acpi, start)
                                      : pci_get(pm->other, start - PM_OTHER, 4);

    *value = whole >> (8 * (offset & 3));
    return MEMORY_OK;
}

static enum memory_result block_write(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t value)
{
    struct piix4_pm *pm = opaque;
    unsigned shift = 8 * (offset & 3), start = (unsigned)(offset & ~3ull);
    uint32_t mask = (UINT32_MAX >> (32 - 8 * size)) << shift, shifted = (uint32_t)value << shift;

    if (start < PM_OTHER) {
        acpi_pm_block_write(&pm->acpi, start, mask, shifted);
    } else {
        pci_put(pm->other, start - PM_OTHER, 4,
                (pci_get(pm->other, start - PM_OTHER, 4) & ~mask) | (shifted & mask));
    }
    return MEMORY_OK;
}

static const struct memory_region_ops block_ops = {
    .read = block_read,
    .write = block_write,
    .valid = {.min_size = 1, .max_size = 4},
    .implemented = {.min_size = 1, .max_size = 4},
};

/* General-purpose events: status and enable, 2 bytes each. */

static enum memory_result gpe_read(void *opaque, uint64_t offset, unsigned size,
                                   struct memory_attributes attributes, uint64_t *value)
{
    const struct piix4_pm *pm = opaque;

    *value = (pm->acpi.gpe_status | (uint32_t)pm->acpi.gpe_enable << 16) >> (8 * offset);
    return MEMORY_OK;
}

static enum memory_result gpe_write(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t value)
{
    struct piix4_pm *pm = opaque;
    uint32_t mask = (UINT32_MAX >> (32 - 8 * size)) << (8 * offset);
    uint32_t shifted = (uint32_t)value << (8 * offset);
    uint32_t enable = (uint32_t)pm->acpi.gpe_enable << 16;

    acpi_pm_write_gpe_status(&pm->acpi, (uint16_t)(shifted & mask));
    acpi_pm_write_gpe_enable(&pm->acpi, (uint16_t)(((enable & ~mask) | (shifted & mask)) >> 16));
    return MEMORY_OK;
}

static const struct memory_region_ops gpe_ops = {
    .read = gpe_read,
    .write = gpe_write,
    .valid = {.min_size = 1, .max_size = 4},
    .implemented = {.min_size = 1, .max_size = 4},
};

static void update_ports(struct piix4_pm *pm)
{
    const uint8_t *config = pm->pci.config;

    memory_topology_begin();
    chipset_place_region(&pm->block, pci_get(config, PMBA, 2) & PMBA_MASK,
                         config[PMREGMISC] & PMIOSE);
    chipset_place_region(&pm->smbus.ports, pci_get(config, SMBBA, 2) & SMBBA_MASK,
                         config[SMBHSTCFG] & SMB_HST_EN);
    memory_topology_commit();
}

static void piix4_pm_config_written(struct pci_device *device, unsigned offset, unsigned length)
{
    if (offset + length > PMBA) {
        update_ports((struct piix4_pm *)device);
    }
}

void piix4_pm_enable(struct pci_device *pci, uint16_t io_base)
{
    pci_bus_config_write(pci->pci_bus, 0, pci->devfn, PMBA, 4, io_base);
    pci_bus_config_write(pci->pci_bus, 0, pci->devfn, PMREGMISC, 1, PMIOSE);
    pci_bus_config_write(pci->pci_bus, 0, pci->devfn, PCI_INTERRUPT_LINE, 1, CHIPSET_SCI_INTERRUPT);
}

static void on_power_button(void *opaque)
{
    struct piix4_pm *pm = opaque;

    if (access_guard_enter(&pm->pci.device.guard)) {
        acpi_pm_press_power_button(&pm->acpi);
        access_guard_leave(&pm->pci.device.guard);
    }
}

static void init_registers(struct pci_device *pci)
{
    pci_put(pci->write_mask, PCI_COMMAND, 2, PCI_COMMAND_IO);
    pci_put(pci->config, PCI_STATUS, 2, PCI_STATUS_FAST_BACK | PCI_STATUS_DEVSEL_MEDIUM);
    pci_put(pci->config, PMBA, 4, BASE_INDICATOR);
    pci_put(pci->write_mask, PMBA, 4, PMBA_MASK);
    pci_put(pci->config, SMBBA, 4, BASE_INDICATOR);
    pci_put(pci->write_mask, SMBBA, 4, SMBBA_MASK);
    /* Firmware that finds APMC_EN set takes SMM as set up already, and leaves it alone. */
    pci_put(pci->config, DEVACTB, 4, APMC_EN);
    for (unsigned i = 0x44; i < 0x80; i++) {
        pci->write_mask[i] = 0xff; /* device monitors and timers: they keep their values */
    }
    pci->write_mask[PMREGMISC] = PMIOSE;
    pci->write_mask[SMBHSTCFG] = 0x0f;
    for (unsigned i = SMBHSTCFG + 1; i <= SMBHSTCFG + 3; i++) {
        pci->write_mask[i] = 0xff; /* slave command and shadow addresses */
    }
}

static void init_ports(struct piix4_pm *pm)
{
    struct memory_region *io = pci_bus_io_space(pm->pci.pci_bus);
    struct access_guard *guard = &pm->pci.device.guard;

    memory_region_init_mmio(&pm->block, "piix4-pm", PM_BLOCK_SIZE, &block_ops, pm, guard);
    memory_region_set_enabled(&pm->block, false);
    memory_region_add_subregion(io, PIIX4_PM_DEFAULT_BASE, &pm->block);
    piix4_smbus_init(&pm->smbus, PIIX4_SMBUS_PORTS, guard);
    memory_region_set_enabled(&pm->smbus.ports, false);
    memory_region_add_subregion(io, PIIX4_PM_DEFAULT_BASE + 0x100, &pm->smbus.ports);
    memory_region_init_mmio(&pm->gpe_ports, "gpe0", 4, &gpe_ops, pm, guard);
    memory_region_add_subregion(io, PIIX4_GPE0_BASE, &pm->gpe_ports);
    apm_ports_init(&pm->apm, &pm->acpi, io, guard);
}

static bool piix4_pm_realize(struct device *device, GError **error)
{
    struct piix4_pm *pm = (struct piix4_pm *)device;
    struct pci_device *isa = pci_bus_find(pm->pci.pci_bus, pm->pci.devfn & ~7u);
    const struct engine_ops *engine = device->machine->engine;

    pm->acpi.sci = pci_device_is_piix3(isa) ? piix3_sci_line(isa)
                                            : device->machine->gsi[CHIPSET_SCI_INTERRUPT];
    pm->acpi.s5_type = PIIX4_S5_SLEEP_TYPE;
    init_registers(&pm->pci);
    acpi_pm_init(&pm->acpi, device->machine, &device->guard);
    memory_topology_begin();
    init_ports(pm);
    acpi_pci_hotplug_init(&pm->hotplug, pm->pci.pci_bus, &pm->acpi, &device->guard);
    if (!engine->has_vcpus || engine->attaches) {
        acpi_cpu_hotplug_init(&pm->cpus, device->machine, &pm->acpi, &device->guard);
    }
    memory_topology_commit();
    machine_set_powerdown_handler(device->machine, on_power_button, pm);
    return true;
}

static void piix4_pm_unrealize(struct device *device)
{
    struct piix4_pm *pm = (struct piix4_pm *)device;

    machine_set_powerdown_handler(device->machine, NULL, NULL);
    acpi_cpu_hotplug_destroy(&pm->cpus);
    acpi_pci_hotplug_destroy(&pm->hotplug);
    apm_ports_destroy(&pm->apm);
    memory_region_destroy(&pm->gpe_ports);
    memory_region_destroy(&pm->smbus.ports);
    memory_region_destroy(&pm->block);
    acpi_pm_destroy(&pm->acpi);
}

static void piix4_pm_reset(struct device *device)
{
    struct piix4_pm *pm = (struct piix4_pm *)device;

    for (unsigned i = 0; i < sizeof(pm->other); i++) {
        pm->other[i] = 0;
    }
    apm_ports_reset(&pm->apm);
    acpi_pm_reset(&pm->acpi);
    acpi_pci_hotplug_reset(&pm->hotplug);
    piix4_smbus_reset(&pm->smbus);
    update_ports(pm);
}

/* The timer's overflows up to now. */
static void piix4_pm_before_save(void *object)
{
    acpi_pm_update(&((struct piix4_pm *)object)->acpi);
}

static bool piix4_pm_after_load(void *object)
{
    struct piix4_pm *pm = object;

    if (pm->acpi.pm1_enable & ~ACPI_PM1_ENABLES) {
        return false;
    }
    update_ports(pm);
    acpi_pm_update(&pm->acpi);
    return true;
}

static const struct property piix4_pm_properties[] = {
    PCI_DEVICE_PROPERTIES,
    {"timer-bits", PROPERTY_UINT8, offsetof(struct piix4_pm, acpi.timer_bits), "24", 24, 32,
     "width of the ACPI timer, 24 or 32"},
    PROPERTY_END,
};

static const struct state_field piix4_pm_fields[] = {
    STATE(UINT16, piix4_pm, acpi.pm1_status, 1),
    STATE(UINT16, piix4_pm, acpi.pm1_enable, 1),
    STATE(UINT16, piix4_pm, acpi.pm1_control, 1),
    STATE(UINT16, piix4_pm, acpi.gpe_status, 1),
    STATE(UINT16, piix4_pm, acpi.gpe_enable, 1),
    STATE(UINT64, piix4_pm, acpi.overflow_tick, 1),
    STATE(UINT8, piix4_pm, smbus.status, 1),
    STATE(UINT8, piix4_pm, smbus.slave_status, 1),
    STATE(UINT8, piix4_pm, smbus.control, 1),
    STATE(UINT8, piix4_pm, smbus.command, 1),
    STATE(UINT8, piix4_pm, smbus.address, 1),
    STATE(UINT8, piix4_pm, smbus.data0, 1),
    STATE(UINT8, piix4_pm, smbus.data1, 1),
    STATE_ARRAY(BYTES, piix4_pm, other, PM_BLOCK_SIZE - PM_OTHER, 1),
    STATE_NAMED("apm_control", UINT8, piix4_pm, apm.control, 1),
    STATE_NAMED("apm_status", UINT8, piix4_pm, apm.status, 1),
    STATE(UINT32, piix4_pm, hotplug.inserted, 2),
    STATE(UINT32, piix4_pm, hotplug.removal, 2),
    STATE(UINT32, piix4_pm, hotplug.gone, 2),
    STATE(UINT32, piix4_pm, hotplug.asked, 2),
    STATE_ARRAY(BYTES, piix4_pm, cpus.present, ACPI_CPU_HOTPLUG_SIZE, 2),
    STATE_END,
};

static const struct state_description piix4_pm_state = {
    .name = "PIIX4_PM",
    .version = 2,
    .fields = piix4_pm_fields,
    .after_load = piix4_pm_after_load,
    .before_save = piix4_pm_before_save,
};

static const struct pci_class piix4_pm_pci_class = {
    .vendor_id = 0x8086,
    .device_id = 0x7113,
    .subsystem_vendor_id = CHIPSET_SUBSYSTEM_VENDOR,
    .subsystem_id = CHIPSET_SUBSYSTEM,
    .class_code = 0x068000,
    .revision = 3,
    .interrupt_pin = 1,
    .config_written = piix4_pm_config_written,
};

const struct device_class piix4_pm_class = {
    .name = "PIIX4_PM",
    .description = "82371AB power management and SMBus",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct piix4_pm),
    .properties = piix4_pm_properties,
    .state = &piix4_pm_state,
    .realize = piix4_pm_realize,
    .unrealize = piix4_pm_unrealize,
    .reset = piix4_pm_reset,
    .bus_class = &piix4_pm_pci_class,
};
