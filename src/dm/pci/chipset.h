/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chipset of board "pc": 82441FX host bridge (Intel 290549), 82371SB PIIX3 (Intel 290550) and
 * the power management function of the 82371AB PIIX4 (Intel 290562). A board makes them so:
 *
 *     memory_region_init_container(&pci_memory, "pci", MACHINE_MEMORY_SIZE);
 *     memory_region_add_subregion_overlap(&machine->system_memory, 0, &pci_memory, -1);
 *     bus = pci_bus_new(machine, &pci_memory, &machine->system_io);     (sets machine->pci_bus)
 *     device_create(machine, "i440FX-pcihost", pci_bus_base(bus), error, "addr", "0", NULL);
 *     device_create(machine, "PIIX3", ..., "addr", "1.0", "multifunction", "on", NULL);
 *     device_create(machine, "piix3-ide", ..., "addr", "1.1", NULL);
 *     device_create(machine, "PIIX4_PM", ..., "addr", "1.3", NULL);
 *
 * with machine->gsi[] connected before. RAM lies in system_memory at priority 0; ROM images and
 * option ROMs below 1 MiB lie in pci_memory, so that the PAM registers decide who answers.
 */
#ifndef DUODM_DM_PCI_CHIPSET_H
#define DUODM_DM_PCI_CHIPSET_H

#include "dm/pci/pci.h"

/* Subsystem ID of the chipset's functions: firmware made for virtual PCs looks for it. */
#define CHIPSET_SUBSYSTEM_VENDOR 0x1af4
#define CHIPSET_SUBSYSTEM        0x1100

#define I440FX_PAM0 0x59u /* 3.2.20: PAM0 to PAM6 of the host bridge */

/*
 * The port CF9h lies within the four bytes of CONFADD (CF8h). The host bridge owns all four and
 * hands accesses to CF9h of one byte to region (offset 0). NULL: to nobody.
 */
void i440fx_set_reset_port(struct pci_device *host, struct memory_region *region);

/*
 * PIIX3 drives the ISA interrupts that its PIRQ lines are routed to. Others of the chipset that
 * share an interrupt go through it, so that the level is the OR of all: source is one of these.
 */
enum piix3_source { PIIX3_PIRQA, PIIX3_PIRQB, PIIX3_PIRQC, PIIX3_PIRQD, PIIX3_SCI, PIIX3_SOURCES };
bool pci_device_is_piix3(const struct pci_device *device);
/* Have its IDE function ("piix3-ide") decode both channels, as firmware would. */
void piix3_ide_enable(struct pci_device *ide);
/* The line that drives source SCI into ISA interrupt 9. */
struct irq_line piix3_sci_line(struct pci_device *piix3);

/* For ACPI tables: ports of the blocks of power management relative to PMBASE, which firmware sets;
 * for kernels that are loaded directly piix4_pm_enable, or ich9_lpc_enable, does as it would. */
#define CHIPSET_PM1_EVENT_OFFSET 0x00u /* PM1a_EVT_BLK, 4 bytes */
#define CHIPSET_PM1_CTRL_OFFSET  0x04u /* PM1a_CNT_BLK, 2 bytes */
#define CHIPSET_PM_TIMER_OFFSET  0x08u /* PM_TMR_BLK, 4 bytes */
#define CHIPSET_SMI_COMMAND_PORT 0xb2u
#define CHIPSET_ACPI_ENABLE      0xf1u /* value for SMI_CMD that sets SCI_EN */
#define CHIPSET_ACPI_DISABLE     0xf0u
#define CHIPSET_SCI_INTERRUPT    9u
#define PIIX4_PM_DEFAULT_BASE    0x600u
#define PIIX4_GPE0_BASE          0xafe0u /* GPE0_BLK, 4 bytes, fixed */
#define PIIX4_S5_SLEEP_TYPE      0u      /* SLP_TYP of S5, for \_S5 in the DSDT */
#define ICH9_GPE0_OFFSET         0x20u   /* GPE0_BLK, 16 bytes, from PMBASE */
#define ICH9_S5_SLEEP_TYPE       7u

/* Have a region of a chipset's function answer where its base register says. */
static inline void chipset_place_region(struct memory_region *region, uint64_t base, bool enabled)
{
    if (enabled && base) {
        memory_region_set_offset(region, base);
    }
    memory_region_set_enabled(region, enabled && base);
}

/* Route PIRQA to PIRQD to ISA interrupts, as firmware would. */
void piix3_route(struct pci_device *piix3, const uint8_t irqs[4]);
/* Set PMBASE to io_base and enable the block: in reset handlers of directly loaded kernels. */
void piix4_pm_enable(struct pci_device *pm, uint16_t io_base);

#endif
