/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The slot of a PCI Express port, with native hotplug (PCI Express Base 5.0, 6.7 and 7.5.3.9 to
 * 7.5.3.11): attention button, both indicators, power controller, presence and link. A device that
 * is plugged is there for the guest to see; one that is to go has the attention button pressed,
 * and is gone when the guest has switched the slot's power off. A guest that does so by itself
 * keeps the device, without power, and may switch it on again.
 */
#ifndef DUODM_DM_PCI_PCIE_SLOT_H
#define DUODM_DM_PCI_PCIE_SLOT_H

#include "dm/pci/pci-bridge.h"

/* Embedded in the port; under its guard. */
struct pcie_slot {
    struct pci_hotplug hotplug; /* of the bus behind the port */
    struct pci_bridge *bridge;  /* the port */
    bool can_hotplug;
    uint16_t control; /* Slot Control as it was looked at last */
    bool event;       /* there is an event that the guest wants an interrupt for */
    bool asked;       /* the guest is to let go of what is in the slot */
    bool ejected;     /* it has: the main loop destroys it */
    bool refused;     /* it won't: the main loop tells */
    struct io_task task;
};

#define PCIE_SLOT_NUMBER_MAX 0x1fffu

/* In realize, when the port has its PCI Express capability; and the mirror, before the bus goes. */
void pcie_slot_init(struct pcie_slot *slot, struct pci_bridge *bridge, unsigned number,
                    bool can_hotplug);
void pcie_slot_destroy(struct pcie_slot *slot);
/* In reset, before pci_bridge_reset: the registers say what is there. */
void pcie_slot_reset(struct pcie_slot *slot);
/* After any write to the port's config space. */
void pcie_slot_written(struct pcie_slot *slot, unsigned offset, unsigned length);
/* False: the slot that was saved had something in it, and this one has not, or the reverse. */
bool pcie_slot_after_load(struct pcie_slot *slot);

#endif
