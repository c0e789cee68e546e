/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The enhanced configuration access mechanism (PCI Express 5.0, 7.2.2): config space of all
 * functions in memory, 4 KiB each, 1 MiB for each bus. The callbacks run without a guard, as those
 * of config-ports.h.
 */
#ifndef DUODM_DM_PCI_PCI_ECAM_H
#define DUODM_DM_PCI_PCI_ECAM_H

#include "dm/pci/pci.h"

#define PCI_ECAM_BUS_SIZE 0x100000u                    /* bytes of memory for each bus */
#define PCI_ECAM_SIZE     (256ull * PCI_ECAM_BUS_SIZE) /* all buses */
#define PCI_ECAM_WINDOWS  3                            /* of 256, 128 and 64 buses */

/* Embedded in the host bridge. */
struct pci_ecam {
    struct pci_bus *bus;
    struct memory_region space;                     /* of all buses */
    struct memory_region windows[PCI_ECAM_WINDOWS]; /* its first half and quarter, too */
};

/* Nowhere at first. memory: where it is to answer. */
void pci_ecam_init(struct pci_ecam *ecam, struct pci_bus *bus, struct memory_region *memory);
void pci_ecam_destroy(struct pci_ecam *ecam);
/* Answer from `start` on, for the first 256 >> window buses; window PCI_ECAM_WINDOWS: nowhere. */
void pci_ecam_map(struct pci_ecam *ecam, uint64_t start, unsigned window);

#endif
