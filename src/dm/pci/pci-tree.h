/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DUODM_DM_PCI_PCI_TREE_H
#define DUODM_DM_PCI_PCI_TREE_H

#include "dm/fdt/device-tree.h"

struct pci_device;

/* bus_ops.describe of PCI: the host bridge and each function, mapped to tree->pci_iommu if set. */
void pci_bus_describe(struct bus *bus, struct device_tree *tree, struct device_node *parent);
/* The node of a function, below that of its bus: made, or the one that is there. */
struct device_node *pci_tree_add_function(struct device_node *bus, const struct pci_device *device);

#endif
