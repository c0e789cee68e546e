/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine as a device tree. The common part (processors, memory, interrupt controllers) is made
 * here; boards, buses and devices add theirs by the `describe` of their classes.
 *
 * Interrupts are those of the IOAPIC, in two cells: input, and 0 (rising edge) or 2 (level, high),
 * as the binding of intel,ce4100-ioapic has it. Addresses and sizes at the root have two cells
 * each.
 */
#ifndef DUODM_DM_FDT_DEVICE_TREE_H
#define DUODM_DM_FDT_DEVICE_TREE_H

#include "dm/fdt/device-node.h"
#include "util/range.h"

#include <stdbool.h>

struct machine;
struct bus;

#define DEVICE_TREE_EDGE  0u
#define DEVICE_TREE_LEVEL 2u

struct device_tree {
    struct machine *machine;
    struct device_node *root;
    struct device_node *isa;       /* the ISA bus: reg is <1 port size> */
    struct device_node *ioapic;    /* the interrupt parent of all; NULL until it was described */
    struct device_node *pci_iommu; /* what translates for all of PCI; NULL: nothing does */
    /* What the board says of its PCI bus; all zero: there is none. */
    struct range pci_io, pci_window_32, pci_window_64;
    uint8_t pci_routes[8]; /* IOAPIC inputs of its interrupt lines, as many as PCI_LINES */
};

/* The whole machine. Main loop, after all devices were made. Free with device_tree_free. */
struct device_tree *device_tree_new(struct machine *machine);
void device_tree_free(struct device_tree *tree); /* NULL is fine */

/* Have the devices of a bus describe themselves below a node. For a bus's `describe`. */
void device_tree_add_children(struct device_tree *tree, struct bus *bus, struct device_node *node);
/* Nodes that several devices make. name: before the unit address. */
struct device_node *device_tree_add_port(struct device_tree *tree, const char *name, uint32_t port,
                                         uint32_t size, const char *compatible);
struct device_node *device_tree_add_memory_device(struct device_tree *tree, const char *name,
                                                  uint64_t address, uint64_t size,
                                                  const char *compatible);
void device_tree_add_ioapic(struct device_tree *tree, uint64_t address);

#endif
