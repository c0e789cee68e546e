/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel ICH9, device 31 function 0: the LPC bridge, with ACPI power management, the routing of
 * PIRQA to PIRQH, and the chipset's own registers in memory (RCBA). Sections are those of the
 * datasheet, Intel order number 316972.
 *
 * Each PIRQ always leads to an input of the IOAPIC of its own, 16 to 23, and to an ISA interrupt
 * where its register routes it (13.1.17).
 */
#include "dm/acpi/acpi-pci-hotplug.h"
#include "dm/acpi/acpi-pm.h"
#include "dm/acpi/apm-ports.h"
#include "dm/machine.h"
#include "dm/pci/chipset.h"
#include "dm/pci/pci-regs.h"
#include "dm/pci/pirq-router.h"
#include "dm/pci/q35.h"

/* Config registers: 13.1. */
#define PMBASE         0x40u /* bits 15:7 */
#define PMBASE_MASK    0xff80u
#define ACPI_CNTL      0x44u
#define ACPI_EN        0x80u /* the block at PMBASE is decoded. SCI_IRQ_SEL: 0, ISA interrupt 9 */
#define PIRQA_ROUT     0x60u /* to PIRQD_ROUT */
#define SERIRQ_CNTL    0x64u
#define SERIRQ_DEFAULT 0x10u
#define PIRQE_ROUT     0x68u /* to PIRQH_ROUT */
#define LPC_DECODE     0x80u /* LPC_I/O_DEC to GEN4_DEC: they keep their values */
#define LPC_DECODE_END 0x94u
#define RCBA           0xf0u /* bits 31:14 */
#define RCBA_MASK      0xffffc000u
#define RCBA_ENABLE    0x1u
#define BASE_INDICATOR 0x1u /* of I/O, in PMBASE */

/* The power management block: 13.8.3. What is not here reads as zero. */
#define PM_BLOCK_SIZE 128
#define GPE0_STS      ICH9_GPE0_OFFSET
#define GPE0_EN       (ICH9_GPE0_OFFSET + 8)
#define SMI_EN        0x30u
/* Firmware that finds APMC_EN set takes SMM as set up already, and leaves it alone. */
#define SMI_EN_APMC 0x20u

/* In memory, from RCBA: 10.1. */
#define RCRB_SIZE     0x4000u
#define D31IP         0x3100u /* which pins the functions use: SATA INTA, SMBus INTB */
#define D31IP_VALUE   0x00002100u
#define DXXIR_FIRST   0x3140u /* where pins lead to: INTA to PIRQA, and so on, by device */
#define DXXIR_LAST    0x3150u
#define DXXIR_VALUE   0x32103210u
#define HPTC          0x3404u
#define HPTC_ENABLE   0x80u
#define GCS           0x3410u
#define GCS_NO_REBOOT 0x20u /* strapped so: there is no watchdog */

#define PIRQ_SCI PCI_LINES /* the router's source beside the lines */

struct ich9_lpc {
    struct pci_device pci;
    struct pirq_router router;
    struct acpi_pm acpi;
    struct apm_ports apm;
    struct acpi_pci_hotplug hotplug;
    struct memory_region block; /* at PMBASE */
    struct memory_region rcrb;  /* at RCBA */
};

/* Interrupts. */

/* irq_handler_fn of a PIRQ, number 0: PIRQA. */
static void set_pirq(void *opaque, unsigned number, bool level)
{
    struct ich9_lpc *lpc = opaque;

    irq_line_set(&lpc->pci.device.machine->gsi[ICH9_FIRST_PIRQ_GSI + number], level);
    pirq_router_set_source(&lpc->router, number, level);
}

static unsigned route_register(unsigned line)
{
    return line < 4 ? PIRQA_ROUT + line : PIRQE_ROUT + line - 4;
}

/* Who drives a line past the bridge (an irqfd) drives the ISA interrupt if there is one: a guest
 * that uses the IOAPIC's own inputs switches that route off. */
static void update_routes(struct ich9_lpc *lpc)
{
    uint8_t routes[PCI_LINES + 1] = {[PIRQ_SCI] = CHIPSET_SCI_INTERRUPT}, gsis[PCI_LINES];

    for (unsigned i = 0; i < PCI_LINES; i++) {
        routes[i] = pirq_register_route(lpc->pci.config[route_register(i)]);
        gsis[i] = routes[i] ? routes[i] : (uint8_t)(ICH9_FIRST_PIRQ_GSI + i);
    }
    pirq_router_set_routes(&lpc->router, routes, PCI_LINES + 1);
    pci_bus_set_routes(lpc->pci.pci_bus, gsis);
}

/* The block at PMBASE. A part of a register is read from, or merged into, the whole. */

static uint32_t block_whole(struct ich9_lpc *lpc, unsigned start)
{
    switch (start) {
    case GPE0_STS:
        return lpc->acpi.gpe_status;
    case GPE0_EN:
        return lpc->acpi.gpe_enable;
    case SMI_EN:
        return SMI_EN_APMC;
    default:
        return start < ACPI_PM_BLOCK_END ? acpi_pm_block_read(&lpc->acpi, start) : 0;
    }
}

static enum memory_result block_read(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t *value)
{
    *value = block_whole(opaque, (unsigned)(offset & ~3ull)) >> (8 * (offset & 3));
    return MEMORY_OK;
}

static enum memory_result block_write(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t value)
{
    struct ich9_lpc *lpc = opaque;
    struct acpi_pm *acpi = &lpc->acpi;
    unsigned shift = 8 * (offset & 3), start = (unsigned)(offset & ~3ull);
    uint32_t mask = (UINT32_MAX >> (32 - 8 * size)) << shift, shifted = (uint32_t)value << shift;

    if (start < ACPI_PM_BLOCK_END) {
        acpi_pm_block_write(acpi, start, mask, shifted);
    } else if (start == GPE0_STS) {
        acpi_pm_write_gpe_status(acpi, (uint16_t)(shifted & mask));
    } else if (start == GPE0_EN) {
        acpi_pm_write_gpe_enable(acpi, (uint16_t)((acpi->gpe_enable & ~mask) | (shifted & mask)));
    }
    return MEMORY_OK;
}

static const struct memory_region_ops block_ops = {
    .read = block_read,
    .write = block_write,
    .valid = {.min_size = 1, .max_size = 4},
    .implemented = {.min_size = 1, .max_size = 4},
};

/* The root complex registers. Nothing there has an effect. */

static enum memory_result rcrb_read(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t *value)
{
    const struct ich9_lpc *lpc = opaque;

    if (offset == D31IP) {
        *value = D31IP_VALUE;
    } else if (offset >= DXXIR_FIRST && offset <= DXXIR_LAST) {
        *value = DXXIR_VALUE;
    } else if (offset == HPTC) {
        *value = lpc->pci.device.machine->config.no_hpet ? 0 : HPTC_ENABLE;
    } else {
        *value = offset == GCS ? GCS_NO_REBOOT : 0;
    }
    return MEMORY_OK;
}

static enum memory_result rcrb_write(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t value)
{
    return MEMORY_OK;
}

static const struct memory_region_ops rcrb_ops = {
    .read = rcrb_read,
    .write = rcrb_write,
    .valid = {.min_size = 1, .max_size = 8},
    .implemented = {.min_size = 4, .max_size = 4},
};

/* Config space. */

static void update_regions(struct ich9_lpc *lpc)
{
    const uint8_t *config = lpc->pci.config;
    uint32_t rcba = pci_get(config, RCBA, 4);

    memory_topology_begin();
    chipset_place_region(&lpc->block, pci_get(config, PMBASE, 2) & PMBASE_MASK,
                         config[ACPI_CNTL] & ACPI_EN);
    chipset_place_region(&lpc->rcrb, rcba & RCBA_MASK, rcba & RCBA_ENABLE);
    memory_topology_commit();
}

static void ich9_lpc_config_written(struct pci_device *device, unsigned offset, unsigned length)
{
    struct ich9_lpc *lpc = (struct ich9_lpc *)device;

    if (offset < PIRQE_ROUT + 4 && offset + length > PIRQA_ROUT) {
        update_routes(lpc);
    } else {
        update_regions(lpc);
    }
}

void ich9_lpc_enable(struct pci_device *lpc, uint16_t io_base, const uint8_t irqs[PCI_LINES])
{
    struct pci_bus *bus = lpc->pci_bus;

    pci_bus_config_write(bus, 0, lpc->devfn, PMBASE, 4, io_base);
    pci_bus_config_write(bus, 0, lpc->devfn, ACPI_CNTL, 1, ACPI_EN);
    for (unsigned i = 0; i < PCI_LINES; i++) {
        pci_bus_config_write(bus, 0, lpc->devfn, route_register(i), 1, irqs[i]);
    }
}

static void init_registers(struct pci_device *pci)
{
    /* I/O, memory and bus master are always on: 13.1.3. */
    pci_put(pci->config, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    pci_put(pci->write_mask, PCI_COMMAND, 2, PCI_COMMAND_SERR);
    pci_put(pci->config, PCI_STATUS, 2, PCI_STATUS_DEVSEL_MEDIUM);
    pci->write_mask[PCI_LATENCY_TIMER] = 0;
    pci->write_mask[PCI_CACHE_LINE_SIZE] = 0;
    pci->write_mask[PCI_INTERRUPT_LINE] = 0;
    pci_put(pci->config, PMBASE, 4, BASE_INDICATOR);
    pci_put(pci->write_mask, PMBASE, 4, PMBASE_MASK);
    pci->write_mask[ACPI_CNTL] = ACPI_EN;
    pci->config[SERIRQ_CNTL] = SERIRQ_DEFAULT;
    pci->write_mask[SERIRQ_CNTL] = 0xff;
    for (unsigned i = 0; i < PCI_LINES; i++) {
        pci->config[route_register(i)] = PIRQ_REGISTER_DEFAULT;
        pci->write_mask[route_register(i)] = PIRQ_REGISTER_MASK;
    }
    for (unsigned i = LPC_DECODE; i < LPC_DECODE_END; i++) {
        pci->write_mask[i] = 0xff;
    }
    pci_put(pci->write_mask, RCBA, 4, RCBA_MASK | RCBA_ENABLE);
}

/* Life. */

static void on_power_button(void *opaque)
{
    struct ich9_lpc *lpc = opaque;

    if (access_guard_enter(&lpc->pci.device.guard)) {
        acpi_pm_press_power_button(&lpc->acpi);
        access_guard_leave(&lpc->pci.device.guard);
    }
}

static void init_regions(struct ich9_lpc *lpc)
{
    struct device *device = &lpc->pci.device;
    struct memory_region *io = pci_bus_io_space(lpc->pci.pci_bus);

    memory_region_init_mmio(&lpc->block, "ich9-pm", PM_BLOCK_SIZE, &block_ops, lpc, &device->guard);
    memory_region_set_enabled(&lpc->block, false);
    memory_region_add_subregion(io, 0, &lpc->block);
    memory_region_init_mmio(&lpc->rcrb, "ich9-rcrb", RCRB_SIZE, &rcrb_ops, lpc, &device->guard);
    memory_region_set_enabled(&lpc->rcrb, false);
    memory_region_add_subregion(&device->machine->system_memory, 0, &lpc->rcrb);
    apm_ports_init(&lpc->apm, &lpc->acpi, io, &device->guard);
}

static bool ich9_lpc_realize(struct device *device, GError **error)
{
    struct ich9_lpc *lpc = (struct ich9_lpc *)device;
    struct irq_line lines[PCI_LINES];

    init_registers(&lpc->pci);
    pirq_router_init(&lpc->router, device->machine);
    update_routes(lpc);
    for (unsigned i = 0; i < PCI_LINES; i++) {
        lines[i] = (struct irq_line){set_pirq, lpc, i};
    }
    pci_bus_set_interrupt_lines(lpc->pci.pci_bus, lines);
    lpc->acpi.sci = (struct irq_line){pirq_router_set_source, &lpc->router, PIRQ_SCI};
    lpc->acpi.s5_type = ICH9_S5_SLEEP_TYPE;
    lpc->acpi.timer_bits = 24;
    acpi_pm_init(&lpc->acpi, device->machine, &device->guard);
    memory_topology_begin();
    init_regions(lpc);
    acpi_pci_hotplug_init(&lpc->hotplug, lpc->pci.pci_bus, &lpc->acpi, &device->guard);
    memory_topology_commit();
    machine_set_powerdown_handler(device->machine, on_power_button, lpc);
    return true;
}

static void ich9_lpc_unrealize(struct device *device)
{
    struct ich9_lpc *lpc = (struct ich9_lpc *)device;
    const struct irq_line none[PCI_LINES] = {0};

    machine_set_powerdown_handler(device->machine, NULL, NULL);
    acpi_pci_hotplug_destroy(&lpc->hotplug);
    apm_ports_destroy(&lpc->apm);
    memory_region_destroy(&lpc->rcrb);
    memory_region_destroy(&lpc->block);
    acpi_pm_destroy(&lpc->acpi);
    pci_bus_set_interrupt_lines(lpc->pci.pci_bus, none);
    pirq_router_destroy(&lpc->router);
}

static void ich9_lpc_reset(struct device *device)
{
    struct ich9_lpc *lpc = (struct ich9_lpc *)device;

    update_routes(lpc);
    apm_ports_reset(&lpc->apm);
    acpi_pm_reset(&lpc->acpi);
    acpi_pci_hotplug_reset(&lpc->hotplug);
    update_regions(lpc);
}

/* Saved state: routes and places are in config space, levels are those of who drives them. */

static void ich9_lpc_before_save(void *object)
{
    acpi_pm_update(&((struct ich9_lpc *)object)->acpi);
}

static bool ich9_lpc_after_load(void *object)
{
    struct ich9_lpc *lpc = object;

    if (lpc->acpi.pm1_enable & ~ACPI_PM1_ENABLES) {
        return false;
    }
    update_routes(lpc);
    update_regions(lpc);
    acpi_pm_update(&lpc->acpi);
    return true;
}

static const struct property ich9_lpc_properties[] = {
    PCI_DEVICE_PROPERTIES,
    PROPERTY_END,
};

static const struct state_field ich9_lpc_fields[] = {
    STATE(UINT16, ich9_lpc, acpi.pm1_status, 1),
    STATE(UINT16, ich9_lpc, acpi.pm1_enable, 1),
    STATE(UINT16, ich9_lpc, acpi.pm1_control, 1),
    STATE(UINT16, ich9_lpc, acpi.gpe_status, 1),
    STATE(UINT16, ich9_lpc, acpi.gpe_enable, 1),
    STATE(UINT64, ich9_lpc, acpi.overflow_tick, 1),
    STATE(UINT8, ich9_lpc, apm.control, 1),
    STATE(UINT8, ich9_lpc, apm.status, 1),
    STATE(UINT32, ich9_lpc, hotplug.inserted, 1),
    STATE(UINT32, ich9_lpc, hotplug.removal, 1),
    STATE(UINT32, ich9_lpc, hotplug.gone, 1),
    STATE(UINT32, ich9_lpc, hotplug.asked, 1),
    STATE_END,
};

static const struct state_description ich9_lpc_state = {
    .name = "ICH9-LPC",
    .version = 1,
    .fields = ich9_lpc_fields,
    .after_load = ich9_lpc_after_load,
    .before_save = ich9_lpc_before_save,
};

static const struct pci_class ich9_lpc_pci_class = {
    .vendor_id = 0x8086,
    .device_id = 0x2918,
    .subsystem_vendor_id = CHIPSET_SUBSYSTEM_VENDOR,
    .subsystem_id = CHIPSET_SUBSYSTEM,
    .class_code = 0x060100,
    .revision = 2,
    .config_written = ich9_lpc_config_written,
};

const struct device_class ich9_lpc_class = {
    .name = "ICH9-LPC",
    .description = "ICH9 LPC bridge with ACPI power management",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct ich9_lpc),
    .properties = ich9_lpc_properties,
    .state = &ich9_lpc_state,
    .realize = ich9_lpc_realize,
    .unrealize = ich9_lpc_unrealize,
    .reset = ich9_lpc_reset,
    .bus_class = &ich9_lpc_pci_class,
};
