/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82371SB (PIIX3), function 0: the bridge to the ISA bus. Routes the PCI interrupt lines
 * PIRQA..PIRQD to ISA interrupts. Its reset control register, port CF9h, is src/dm/isa's. Sections
 * are those of the datasheet, Intel order number 290550.
 */
#include "dm/machine.h"
#include "dm/pci/chipset.h"
#include "dm/pci/pci-regs.h"
#include "dm/pci/pirq-router.h"

#define PIRQRC 0x60u /* PIRQRCA..PIRQRCD: 2.2.12 */

struct piix3 {
    struct pci_device pci;
    struct pirq_router router; /* its sources are enum piix3_source */
};

extern const struct device_class piix3_class;

bool pci_device_is_piix3(const struct pci_device *device)
{
    return device && device->device.class == &piix3_class;
}

struct irq_line piix3_sci_line(struct pci_device *piix3)
{
    return (struct irq_line){pirq_router_set_source, &((struct piix3 *)piix3)->router, PIIX3_SCI};
}

/* Read the routes from config space. */
static void update_routes(struct piix3 *piix3)
{
    struct machine *machine = piix3->pci.device.machine;
    uint8_t routes[PIIX3_SOURCES] = {[PIIX3_SCI] = CHIPSET_SCI_INTERRUPT}, gsis[PCI_LINES] = {0};

    for (unsigned i = 0; i < 4; i++) {
        gsis[i] = routes[PIIX3_PIRQA + i] = pirq_register_route(piix3->pci.config[PIRQRC + i]);
        if (machine->engine->set_pci_link) {
            machine->engine->set_pci_link(machine, i, gsis[i]);
        }
    }
    pirq_router_set_routes(&piix3->router, routes, PIIX3_SOURCES);
    pci_bus_set_routes(piix3->pci.pci_bus, gsis);
}

static void piix3_config_written(struct pci_device *device, unsigned offset, unsigned length)
{
    if (offset < PIRQRC + 4 && offset + length > PIRQRC) {
        update_routes((struct piix3 *)device);
    }
}

void piix3_route(struct pci_device *piix3, const uint8_t irqs[4])
{
    for (unsigned i = 0; i < 4; i++) {
        pci_bus_config_write(piix3->pci_bus, 0, piix3->devfn, PIRQRC + i, 1, irqs[i]);
    }
}

/* Config registers with a power-on value, and what a guest may write: 2.2. Those that duodm gives
 * no effect only keep their value, as firmware expects. */
static const struct {
    uint8_t offset, value, mask;
} piix3_registers[] = {
    {0x4c, 0x4d, 0xff}, /* IORT: ISA I/O recovery times */
    {0x4e, 0x03, 0xff}, /* XBCS: chip selects of BIOS, RTC, keyboard */
    {0x4f, 0x00, 0x01},
    {PIRQRC + 0, PIRQ_REGISTER_DEFAULT, PIRQ_REGISTER_MASK},
    {PIRQRC + 1, PIRQ_REGISTER_DEFAULT, PIRQ_REGISTER_MASK},
    {PIRQRC + 2, PIRQ_REGISTER_DEFAULT, PIRQ_REGISTER_MASK},
    {PIRQRC + 3, PIRQ_REGISTER_DEFAULT, PIRQ_REGISTER_MASK},
    {0x69, 0x02, 0xfe}, /* TOM: what of memory ISA masters reach */
    {0x6a, 0x00, 0x97}, /* MSTAT */
    {0x6b, 0x00, 0x80},
    {0x70, 0x80, 0xef}, /* MBIRQ0, MBIRQ1 */
    {0x71, 0x80, 0xef},
    {0x76, 0x0c, 0x8f}, /* MBDMA0, MBDMA1 */
    {0x77, 0x0c, 0x8f},
    {0x78, 0x02, 0xff}, /* PCSC: programmable chip select */
    {0x79, 0x00, 0xff},
    {0x80, 0x00, 0x7f}, /* APICBASE */
    {0x82, 0x00, 0x0f}, /* DLC */
    {0xa0, 0x08, 0x1f}, /* SMICNTL */
    {0xa2, 0x00, 0xff}, /* SMIEN */
    {0xa3, 0x00, 0x01},
    {0xa4, 0x00, 0xff}, /* SEE */
    {0xa5, 0x00, 0xff},
    {0xa6, 0x00, 0xff},
    {0xa7, 0x00, 0xff},
    {0xa8, 0x0f, 0xff}, /* FTMR */
    {0xaa, 0x00, 0xff}, /* SMIREQ */
    {0xac, 0x00, 0xff}, /* CTLTMR */
    {0xae, 0x00, 0xff}, /* CTHTMR */
};

static void init_registers(struct pci_device *pci)
{
    /* I/O, memory and bus master are always on; special cycles (bit 3) and SERR can be set. */
    pci_put(pci->config, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    pci_put(pci->write_mask, PCI_COMMAND, 2, 0x0008 | PCI_COMMAND_SERR);
    pci_put(pci->config, PCI_STATUS, 2, PCI_STATUS_DEVSEL_MEDIUM);
    pci->write_mask[PCI_LATENCY_TIMER] = 0;
    pci->write_mask[PCI_CACHE_LINE_SIZE] = 0;
    pci->write_mask[PCI_INTERRUPT_LINE] = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(piix3_registers); i++) {
        pci->config[piix3_registers[i].offset] = piix3_registers[i].value;
        pci->write_mask[piix3_registers[i].offset] = piix3_registers[i].mask;
    }
}

static bool piix3_realize(struct device *device, GError **error)
{
    struct piix3 *piix3 = (struct piix3 *)device;
    struct irq_line lines[PCI_LINES] = {0};

    init_registers(&piix3->pci);
    pirq_router_init(&piix3->router, device->machine);
    update_routes(piix3);
    for (unsigned i = 0; i < 4; i++) {
        lines[i] = (struct irq_line){pirq_router_set_source, &piix3->router, PIIX3_PIRQA + i};
    }
    pci_bus_set_interrupt_lines(piix3->pci.pci_bus, lines);
    return true;
}

static void piix3_unrealize(struct device *device)
{
    struct piix3 *piix3 = (struct piix3 *)device;
    const struct irq_line none[PCI_LINES] = {0};

    pci_bus_set_interrupt_lines(piix3->pci.pci_bus, none);
    pirq_router_destroy(&piix3->router);
}

static void piix3_reset(struct device *device)
{
    update_routes((struct piix3 *)device);
}

static bool piix3_after_load(void *object)
{
    update_routes(object);
    return true;
}

static const struct property piix3_properties[] = {
    PCI_DEVICE_PROPERTIES,
    PROPERTY_END,
};

static const struct state_field piix3_fields[] = {
    STATE_END,
};

/* Routes are in config space. The levels of the sources are those of the devices that drive them,
 * which are saved there. */
static const struct state_description piix3_state = {
    .name = "PIIX3",
    .version = 1,
    .fields = piix3_fields,
    .after_load = piix3_after_load,
};

static const struct pci_class piix3_pci_class = {
    .vendor_id = 0x8086,
    .device_id = 0x7000,
    .subsystem_vendor_id = CHIPSET_SUBSYSTEM_VENDOR,
    .subsystem_id = CHIPSET_SUBSYSTEM,
    .class_code = 0x060100,
    .config_written = piix3_config_written,
};

const struct device_class piix3_class = {
    .name = "PIIX3",
    .description = "82371SB PCI-to-ISA bridge",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct piix3),
    .properties = piix3_properties,
    .state = &piix3_state,
    .realize = piix3_realize,
    .unrealize = piix3_unrealize,
    .reset = piix3_reset,
    .bus_class = &piix3_pci_class,
};
