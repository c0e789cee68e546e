/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The power management capability (PCI Power Management 1.2): D0 and D3hot, without PME. */
#ifndef DUODM_DM_PCI_PCI_POWER_H
#define DUODM_DM_PCI_PCI_POWER_H

#include "dm/pci/pci.h"

#define PCI_POWER_SIZE 8 /* bytes of the capability */

/* In realize. */
void pci_add_power_management(struct pci_device *device);
/* In config_written: did this write bring the device back from D3hot? It comes as after a reset
 * then (3.2.4: No_Soft_Reset is 0), but for its config space. */
bool pci_power_has_returned(struct pci_device *device, unsigned offset, unsigned length);
/* After config space changed as a whole (reset, saved state). */
void pci_power_update(struct pci_device *device);

#endif
