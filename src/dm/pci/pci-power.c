/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/pci/pci-power.h"
#include "dm/pci/pci-regs.h"

#include <assert.h>

/* Offsets in the capability: 3.2. */
#define PMC         2
#define PMC_VERSION 0x0003 /* 1.2 */
#define PMCSR       4
#define PMCSR_STATE 0x03
#define STATE_D3    0x03

void pci_add_power_management(struct pci_device *device)
{
    unsigned at = pci_add_capability(device, PCI_CAP_POWER, PCI_POWER_SIZE);

    assert(at);
    pci_put(device->config, at + PMC, 2, PMC_VERSION);
    device->write_mask[at + PMCSR] = PMCSR_STATE;
    device->power_capability = (uint8_t)at;
}

void pci_power_update(struct pci_device *device)
{
    unsigned at = device->power_capability;

    device->power_off = at && (device->config[at + PMCSR] & PMCSR_STATE) == STATE_D3;
}

bool pci_power_has_returned(struct pci_device *device, unsigned offset, unsigned length)
{
    unsigned at = device->power_capability + PMCSR;
    bool was_off = device->power_off;

    if (offset > at || offset + length <= at) {
        return false;
    }
    pci_power_update(device);
    return was_off && !device->power_off;
}
