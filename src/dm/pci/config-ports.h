/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration mechanism 1 (PCI Local Bus 3.0, 3.2.2.3.2): the ports CF8h and CFCh of a host
 * bridge. The callbacks run without the bridge's guard, so that a config cycle takes locks in their
 * order: topology, then the guard of the device that it goes to.
 */
#ifndef DUODM_DM_PCI_CONFIG_PORTS_H
#define DUODM_DM_PCI_CONFIG_PORTS_H

#include "dm/pci/pci.h"

#define PCI_CONFADD_MASK                                                                           \
    0x80fffffcu /* what the register keeps: enable, bus, function, register                        \
                 */

/* Embedded in the host bridge. */
struct pci_config_ports {
    struct pci_bus *bus;
    uint32_t address; /* CONFADD; atomic. The bridge's to save */
    struct memory_region address_ports, data_ports;
    struct memory_region *reset_port; /* answers at CF9h (offset 0); not owned. NULL: nobody does */
};

/* Map the ports into the bus's I/O space. */
void pci_config_ports_init(struct pci_config_ports *ports, struct pci_bus *bus);
void pci_config_ports_destroy(struct pci_config_ports *ports);
void pci_config_ports_reset(struct pci_config_ports *ports);

#endif
