/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chipset of board "q35": the 82Q35 MCH (Intel 316966) with the I/O controller hub ICH9 (Intel
 * 316972). A board makes them as chipset.h says of pc's, on pci_express_bus_new:
 *
 *     "mch" at 0, "ICH9-LPC" at 1f.0 (multifunction), "ahci" at 1f.2, "ICH9-SMB" at 1f.3.
 */
#ifndef DUODM_DM_PCI_Q35_H
#define DUODM_DM_PCI_Q35_H

#include "dm/pci/pci.h"

#define MCH_PAM0 0x90u /* 5.1.19: PAM0 to PAM6 */

/* As i440fx_set_reset_port. */
void mch_set_reset_port(struct pci_device *mch, struct memory_region *region);
/* Set PCIEXBAR as firmware would: config space of all buses at `address`, a multiple of 256 MiB.
 * In reset handlers of directly loaded kernels. */
void mch_enable_ecam(struct pci_device *mch, uint64_t address);

/* Registers of ICH9-LPC that firmware writes, for the same purpose: PMBASE (io_base), ACPI enable,
 * and the ISA interrupts that PIRQA to PIRQH are routed to. */
void ich9_lpc_enable(struct pci_device *lpc, uint16_t io_base, const uint8_t irqs[PCI_LINES]);
/* The input of the IOAPIC that PIRQA always leads to; the others follow. */
#define ICH9_FIRST_PIRQ_GSI 16u

#endif
