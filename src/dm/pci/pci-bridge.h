/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all PCI-to-PCI bridges have in common, root ports of PCI Express among them: the header of
 * type 1, and the bus behind it (PCI-to-PCI Bridge 1.2). Devices behind map their BARs into the
 * bridge's own spaces, which its primary bus shows where windows say so. Their DMA goes straight to
 * their view (pci-iommu.h), whether or not the bridge's Bus Master Enable is set: SeaBIOS reads
 * disks behind bridges and never sets it.
 */
#ifndef DUODM_DM_PCI_PCI_BRIDGE_H
#define DUODM_DM_PCI_PCI_BRIDGE_H

#include "dm/pci/pci.h"
#include "dm/task-queue.h"

/* A class with pci_class.is_bridge begins with it. */
struct pci_bridge {
    struct pci_device pci;
    struct pci_bus *bus; /* behind it */
    struct memory_region memory_space, io_space;
    struct memory_region memory_window, prefetch_window, io_window;
    struct memory_region *isa_windows; /* ISA Enable: 256 bytes of each KiB; made when needed */
    struct memory_region vga_memory, vga_ports[2];
    /* The link to what is behind is down: set by a port, under its guard. */
    bool link_down;
    /* Under the topology lock. */
    bool is_down;       /* link down, or Secondary Bus Reset set, when it was looked at last */
    bool reset_pending; /* the main loop has not reset what is behind yet */
    struct io_task reset_task;
};

/* In realize, before anything else, and its mirror in unrealize. The bus has the bridge's id, or
 * its place if it has none. is_link: it has one slot. */
void pci_bridge_init(struct pci_bridge *bridge, bool is_link);
void pci_bridge_destroy(struct pci_bridge *bridge);
/* In reset: what was behind has been reset already. */
void pci_bridge_reset(struct pci_bridge *bridge);

struct pci_bus *pci_bridge_bus(const struct pci_device *bridge);

/* What its registers say, for monitors. Windows of length 0 are closed. */
struct pci_bridge_info {
    unsigned secondary, subordinate;
    struct range io, memory, prefetch;
};
/* False: the function is no bridge. */
bool pci_bridge_get_info(const struct pci_device *device, struct pci_bridge_info *info);

/* For pci-*.c: the header as it is at power-on. */
void pci_bridge_init_header(struct pci_device *device);
/* Windows, bus numbers and reset as the registers (and link_down) now say. In a
 * topology transaction, no guard held but the bridge's. Does nothing if it is no bridge. */
void pci_bridge_update(struct pci_device *device);

#endif
