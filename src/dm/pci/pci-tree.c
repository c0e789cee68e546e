/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PCI bus in a device tree: PCI Bus Binding to IEEE 1275-1994, revision 2.1. */
#include "dm/pci/pci-tree.h"
#include "dm/pci/pci-bus.h"
#include "dm/pci/pci-regs.h"

#include <inttypes.h>

#define SPACE_IO        0x01000000u
#define SPACE_MEMORY_32 0x02000000u
#define SPACE_MEMORY_64 0x03000000u
#define SPACE_PREFETCH  0x40000000u
#define DEVFN_SHIFT     8
#define SLOT_MASK       0xf800u /* of an address's first cell */
#define PIN_MASK        7u
#define SLOTS           32u
#define PINS            4u
#define WHOLE_BUS       0x10000u /* requester IDs */

static void put(GArray *cells, uint32_t value)
{
    g_array_append_val(cells, value);
}

static void put_64(GArray *cells, uint64_t value)
{
    put(cells, (uint32_t)(value >> 32));
    put(cells, (uint32_t)value);
}

static void set_array(struct device_node *node, const char *name, GArray *cells)
{
    device_node_set_cells(node, name, (const uint32_t *)(void *)cells->data, cells->len);
    g_array_unref(cells);
}

static void put_range(GArray *cells, uint32_t space, struct range range)
{
    if (range.length) {
        put(cells, space);
        put_64(cells, range.start); /* on the bus */
        put_64(cells, range.start); /* of the processor */
        put_64(cells, range.length);
    }
}

static void set_ranges(struct device_node *node, const struct device_tree *tree)
{
    GArray *cells = g_array_new(FALSE, FALSE, sizeof(uint32_t));

    put_range(cells, SPACE_IO, tree->pci_io);
    put_range(cells, SPACE_MEMORY_32, tree->pci_window_32);
    put_range(cells, SPACE_MEMORY_64 | SPACE_PREFETCH, tree->pci_window_64);
    set_array(node, "ranges", cells);
}

static void set_interrupt_map(struct device_node *node, struct device_tree *tree,
                              pci_line_map_fn line_map)
{
    GArray *cells = g_array_new(FALSE, FALSE, sizeof(uint32_t));

    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        for (uint32_t pin = 1; pin <= PINS; pin++) {
            put(cells, slot << 3 << DEVFN_SHIFT);
            put_64(cells, 0);
            put(cells, pin);
            put(cells, device_node_phandle(tree->ioapic));
            put(cells, tree->pci_routes[line_map(slot, pin - 1)]);
            put(cells, DEVICE_TREE_LEVEL);
        }
    }
    set_array(node, "interrupt-map", cells);
    device_node_set(node, "interrupt-map-mask", SLOT_MASK, 0, 0, PIN_MASK);
}

struct device_node *pci_tree_add_function(struct device_node *bus, const struct pci_device *device)
{
    const uint8_t *config = device->config;
    unsigned slot = device->devfn >> 3, function = device->devfn & 7;
    g_autofree char *compatible = NULL;
    struct device_node *node;

    node = function ? device_node_add(bus, "%s@%x,%x", device->device.class->name, slot, function)
                    : device_node_add(bus, "%s@%x", device->device.class->name, slot);
    compatible = g_strdup_printf("pci%04x,%04x", pci_get(config, PCI_VENDOR_ID, 2),
                                 pci_get(config, PCI_DEVICE_ID, 2));
    device_node_set_string(node, "compatible", compatible);
    device_node_set(node, "reg", (uint32_t)device->devfn << DEVFN_SHIFT, 0, 0, 0, 0);
    if (config[PCI_INTERRUPT_PIN]) {
        device_node_set(node, "interrupts", config[PCI_INTERRUPT_PIN]);
    }
    return node;
}

void pci_bus_describe(struct bus *base, struct device_tree *tree, struct device_node *parent)
{
    struct device_node *node;

    if (!tree->pci_io.length) {
        return; /* the board knows of no PCI bus */
    }
    /* It has no registers in memory: the unit address is that of its window. */
    node = device_node_add(parent, "pci@%" PRIx64, tree->pci_window_32.start);
    device_node_set_string(node, "device_type", "pci");
    device_node_set_string(node, "compatible", "duodm,pci-host");
    device_node_set(node, "#address-cells", 3);
    device_node_set(node, "#size-cells", 2);
    device_node_set(node, "#interrupt-cells", 1);
    device_node_set(node, "bus-range", 0, 0);
    set_ranges(node, tree);
    set_interrupt_map(node, tree, pci_bus_from_base(base)->line_map);
    if (tree->pci_iommu) {
        device_node_set(node, "iommu-map", 0, device_node_phandle(tree->pci_iommu), 0, WHOLE_BUS);
    }
    for (unsigned i = 0; i < base->children->len; i++) {
        pci_tree_add_function(node, g_ptr_array_index(base->children, i));
    }
    device_tree_add_children(tree, base, node);
}
