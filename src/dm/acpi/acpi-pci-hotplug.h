/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI hotplug by ACPI: registers that tell AML which slots of the root bus have news, and in which
 * AML says what became of it; general-purpose event 1 is raised when there is some. The first four
 * are those that the DSDT of Xen's hvmloader uses (tools/libacpi/mk_dsdt.c), too: it only reads
 * INSERTED and REMOVAL, takes PRESENT for _STA, and knows neither REFUSED nor GONE. Bit n of each
 * register is slot n, all 8 functions of it.
 */
#ifndef DUODM_DM_ACPI_ACPI_PCI_HOTPLUG_H
#define DUODM_DM_ACPI_ACPI_PCI_HOTPLUG_H

#include "dm/acpi/acpi-pm.h"
#include "dm/pci/pci.h"
#include "dm/task-queue.h"

#define ACPI_PCI_HOTPLUG_BASE 0xae00u
#define ACPI_PCI_HOTPLUG_SIZE 0x14u
#define ACPI_PCI_HOTPLUG_GPE  1u

/* Ports relative to the base, 4 bytes each, accessed as a whole. */
#define ACPI_PCI_INSERTED 0x00u /* have a new device; cleared by writing ones */
#define ACPI_PCI_REMOVAL  0x04u /* ought to let theirs go; cleared by writing ones */
#define ACPI_PCI_EJECT    0x08u /* write: the guest is done with them. Reads 0 */
#define ACPI_PCI_PRESENT  0x0cu /* read: hold a device that the guest can find */
#define ACPI_PCI_REFUSED  0x0cu /* write: the guest won't let go */
#define ACPI_PCI_GONE     0x10u /* lost theirs without a question; cleared by writing ones */

/* Embedded in the chipset's function that has the events; its guard protects all but hotplug. */
struct acpi_pci_hotplug {
    struct pci_hotplug hotplug; /* what the bus calls */
    struct pci_bus *bus;
    struct machine *machine;
    struct acpi_pm *pm;
    struct access_guard *guard;
    struct memory_region ports;
    uint32_t inserted, removal, gone; /* registers */
    uint32_t asked;                   /* slots whose guest has not answered yet */
    uint32_t ejected, refused;        /* what the task has to carry out */
    struct io_task task;
};

/* Map the registers into the I/O space and become the bus's hotplug. guard is the owner's. */
void acpi_pci_hotplug_init(struct acpi_pci_hotplug *hotplug, struct pci_bus *bus,
                           struct acpi_pm *pm, struct access_guard *guard);
void acpi_pci_hotplug_destroy(struct acpi_pci_hotplug *hotplug);
/* Whatever was asked of the guest happens now: the next one finds the device gone. */
void acpi_pci_hotplug_reset(struct acpi_pci_hotplug *hotplug);

#endif
