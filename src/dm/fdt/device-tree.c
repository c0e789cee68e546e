/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/fdt/device-tree.h"
#include "dm/boot/e820.h"
#include "dm/machine.h"

#include <inttypes.h>

#define LOCAL_APIC_ADDRESS 0xfee00000u
#define IOAPIC_ADDRESS     0xfec00000u
#define PAGE               0x1000u

struct device_node *device_tree_add_port(struct device_tree *tree, const char *name, uint32_t port,
                                         uint32_t size, const char *compatible)
{
    struct device_node *node = device_node_add(tree->isa, "%s@i%" PRIx32, name, port);

    device_node_set_string(node, "compatible", compatible);
    device_node_set(node, "reg", 1, port, size);
    return node;
}

struct device_node *device_tree_add_memory_device(struct device_tree *tree, const char *name,
                                                  uint64_t address, uint64_t size,
                                                  const char *compatible)
{
    struct device_node *node = device_node_add(tree->root, "%s@%" PRIx64, name, address);

    device_node_set_string(node, "compatible", compatible);
    device_node_set(node, "reg", DEVICE_NODE_U64(address), DEVICE_NODE_U64(size));
    return node;
}

void device_tree_add_ioapic(struct device_tree *tree, uint64_t address)
{
    struct device_node *node = device_tree_add_memory_device(tree, "interrupt-controller", address,
                                                             PAGE, "intel,ce4100-ioapic");

    device_node_set_flag(node, "interrupt-controller");
    device_node_set(node, "#interrupt-cells", 2);
    device_node_set(node, "#address-cells", 0);
    device_node_set(tree->root, "interrupt-parent", device_node_phandle(node));
    tree->ioapic = node;
}

static void add_processors(struct device_tree *tree)
{
    const struct machine *machine = tree->machine;
    struct device_node *cpus = device_node_add(tree->root, "cpus"), *apic;

    device_node_set(cpus, "#address-cells", 1);
    device_node_set(cpus, "#size-cells", 0);
    for (unsigned i = 0; i < MAX(machine->vcpu_count, 1); i++) {
        uint32_t id = i < machine->vcpu_count ? machine->vcpus[i]->apic_id : 0;
        struct device_node *cpu = device_node_add(cpus, "cpu@%" PRIx32, id);

        device_node_set_string(cpu, "device_type", "cpu");
        device_node_set_string(cpu, "compatible", "duodm,x86-64");
        device_node_set(cpu, "reg", id);
    }
    apic = device_tree_add_memory_device(tree, "interrupt-controller", LOCAL_APIC_ADDRESS, PAGE,
                                         "intel,ce4100-lapic");
    device_node_set_flag(apic, "interrupt-controller");
    device_node_set(apic, "#interrupt-cells", 2);
    device_node_set(apic, "#address-cells", 0);
}

static void add_memory_piece(struct device_tree *tree, uint64_t start, uint64_t size)
{
    struct device_node *node = device_node_add(tree->root, "memory@%" PRIx64, start);

    device_node_set_string(node, "device_type", "memory");
    device_node_set(node, "reg", DEVICE_NODE_U64(start), DEVICE_NODE_U64(size));
}

static void add_memory(struct device_tree *tree)
{
    const struct machine *machine = tree->machine;

    if (machine->ram_below_4g) {
        add_memory_piece(tree, 0, machine->ram_below_4g);
    }
    if (machine->ram_above_4g) {
        add_memory_piece(tree, E820_FOUR_GIB, machine->ram_above_4g);
    }
}

static void add_root(struct device_tree *tree)
{
    const struct machine *machine = tree->machine;
    g_autofree char *compatible = g_strconcat("duodm,", machine->board->name, NULL);
    struct device_node *chosen;

    device_node_set_string(tree->root, "compatible", compatible);
    device_node_set_string(tree->root, "model", machine->board->description);
    device_node_set(tree->root, "#address-cells", 2);
    device_node_set(tree->root, "#size-cells", 2);
    chosen = device_node_add(tree->root, "chosen");
    if (machine->config.append) {
        device_node_set_string(chosen, "bootargs", machine->config.append);
    }
}

static void add_isa(struct device_tree *tree)
{
    tree->isa = device_node_add(tree->root, "isa");
    device_node_set_string(tree->isa, "device_type", "isa");
    device_node_set_string(tree->isa, "compatible", "isa");
    device_node_set(tree->isa, "#address-cells", 2);
    device_node_set(tree->isa, "#size-cells", 1);
    /* ISA's ports are the processor's ports, and no memory addresses: they are not translated. */
}

void device_tree_add_children(struct device_tree *tree, struct bus *bus, struct device_node *node)
{
    for (unsigned i = 0; i < bus->children->len; i++) {
        struct device *device = g_ptr_array_index(bus->children, i);

        if (device->class->describe) {
            device->class->describe(device, tree, node);
        }
    }
}

static void add_bus(struct device_tree *tree, struct bus *bus, struct device_node *node)
{
    if (bus && bus->ops && bus->ops->describe) {
        bus->ops->describe(bus, tree, node);
    } else if (bus) {
        device_tree_add_children(tree, bus, node);
    }
}

struct device_tree *device_tree_new(struct machine *machine)
{
    struct device_tree *tree = g_new0(struct device_tree, 1);

    tree->machine = machine;
    tree->root = device_node_new_root();
    add_root(tree);
    add_processors(tree);
    add_memory(tree);
    add_isa(tree);
    if (machine->board->describe) {
        machine->board->describe(machine, tree);
    }
    add_bus(tree, machine->system_bus, tree->root);
    if (!tree->ioapic) {
        device_tree_add_ioapic(tree, IOAPIC_ADDRESS); /* the engine has it */
    }
    add_bus(tree, machine->isa_bus, tree->isa);
    add_bus(tree, machine->pci_bus, tree->root);
    for (unsigned i = 0; i < machine->device_buses->len; i++) {
        struct bus *bus = g_ptr_array_index(machine->device_buses, i);

        if (!bus->parent) {
            add_bus(tree, bus, tree->root);
        }
    }
    return tree;
}

void device_tree_free(struct device_tree *tree)
{
    if (tree) {
        device_node_free(tree->root);
        g_free(tree);
    }
}
