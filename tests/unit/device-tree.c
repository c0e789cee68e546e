/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nodes and properties come back from the flattened form as they were set; PCI's maps. */
#include "dm/fdt/device-tree.h"
#include "dm/pci/pci-tree.h"
#include "dm/pci/pci-bus.h"
#include "unit/fake-machine.h"
#include "unit/suite.h"

#include <libfdt.h>
#include <string.h>

static uint32_t cell(const void *blob, int node, const char *name, unsigned index)
{
    int length = 0;
    const uint32_t *cells = fdt_getprop(blob, node, name, &length);

    CU_ASSERT_PTR_NOT_NULL_FATAL(cells);
    CU_ASSERT_TRUE_FATAL((int)(index * 4 + 4) <= length);
    return GUINT32_FROM_BE(cells[index]);
}

static int length_of(const void *blob, int node, const char *name)
{
    int length = -1;

    fdt_getprop(blob, node, name, &length);
    return length;
}

static void test_round_trip(void)
{
    struct device_node *root = device_node_new_root(), *a, *b;
    static const char *const words[] = {"one", "two", NULL};
    g_autoptr(GBytes) packed = NULL;
    g_autofree char *path = NULL;
    const void *blob;
    int node;

    a = device_node_add(root, "a@%x", 0x10u);
    b = device_node_add(a, "b");
    CU_ASSERT_PTR_EQUAL(device_node_add(a, "b"), b); /* it is there already */
    device_node_set_flag(a, "flag");
    device_node_set(a, "reg", DEVICE_NODE_U64(0x123456789abcdef0), 5);
    device_node_set_string(b, "text", "old");
    device_node_set_string(b, "text", "new");
    device_node_set_strings(b, "words", words);
    device_node_set(b, "to-a", device_node_phandle(a));
    CU_ASSERT_EQUAL(device_node_phandle(a), device_node_phandle(a));
    CU_ASSERT_NOT_EQUAL(device_node_phandle(a), device_node_phandle(b));
    path = device_node_path(b);
    CU_ASSERT_STRING_EQUAL(path, "/a@10/b");
    packed = device_node_pack(root);
    device_node_free(root);

    blob = g_bytes_get_data(packed, NULL);
    CU_ASSERT_EQUAL(fdt_check_full(blob, g_bytes_get_size(packed)), 0);
    node = fdt_path_offset(blob, "/a@10");
    CU_ASSERT_TRUE_FATAL(node >= 0);
    CU_ASSERT_EQUAL(length_of(blob, node, "flag"), 0);
    CU_ASSERT_EQUAL(cell(blob, node, "reg", 0), 0x12345678);
    CU_ASSERT_EQUAL(cell(blob, node, "reg", 1), 0x9abcdef0);
    CU_ASSERT_EQUAL(cell(blob, node, "reg", 2), 5);
    node = fdt_path_offset(blob, "/a@10/b");
    CU_ASSERT_STRING_EQUAL(fdt_getprop(blob, node, "text", NULL), "new");
    CU_ASSERT_EQUAL(fdt_stringlist_count(blob, node, "words"), 2);
    CU_ASSERT_EQUAL(fdt_node_offset_by_phandle(blob, cell(blob, node, "to-a", 0)),
                    fdt_path_offset(blob, "/a@10"));
}

/* More than the first buffer holds. */
static void test_large(void)
{
    struct device_node *root = device_node_new_root();
    g_autofree char *text = g_strnfill(1000, 'x');
    g_autoptr(GBytes) packed = NULL;

    for (unsigned i = 0; i < 200; i++) {
        device_node_set_string(device_node_add(root, "n%u", i), "text", text);
    }
    packed = device_node_pack(root);
    device_node_free(root);
    CU_ASSERT_TRUE(g_bytes_get_size(packed) > 200000);
    CU_ASSERT_EQUAL(fdt_check_full(g_bytes_get_data(packed, NULL), g_bytes_get_size(packed)), 0);
    CU_ASSERT_TRUE(fdt_path_offset(g_bytes_get_data(packed, NULL), "/n199") > 0);
}

/* A PCI bus with no device: windows, interrupt map, and the IOMMU if one is named. */
static void test_pci(void)
{
    struct fake_engine engine = {0};
    struct machine *machine = fake_machine_new(&engine);
    struct pci_bus *bus = pci_bus_new(machine, &machine->system_memory, &machine->system_io);
    struct device_tree tree = {
        .machine = machine,
        .root = device_node_new_root(),
        .pci_io = {0xc000, 0x4000},
        .pci_window_32 = {0xe0000000, 0x1ec00000},
        .pci_routes = {10, 10, 11, 11},
    };
    g_autoptr(GBytes) packed = NULL;
    const void *blob;
    int node;

    device_tree_add_ioapic(&tree, 0xfec00000);
    tree.pci_iommu = device_node_add(tree.root, "iommu@fed90000");
    pci_bus_describe(pci_bus_base(bus), &tree, tree.root);
    packed = device_node_pack(tree.root);
    blob = g_bytes_get_data(packed, NULL);
    node = fdt_path_offset(blob, "/pci@e0000000");
    CU_ASSERT_TRUE_FATAL(node > 0);
    CU_ASSERT_EQUAL(length_of(blob, node, "ranges"), 2 * 7 * 4); /* there is no 64-bit window */
    CU_ASSERT_EQUAL(length_of(blob, node, "interrupt-map"), 128 * 7 * 4);
    /* The entry of slot 1, pin A: line A. */
    CU_ASSERT_EQUAL(cell(blob, node, "interrupt-map", 4 * 7), 1 << 11);
    CU_ASSERT_EQUAL(cell(blob, node, "interrupt-map", 4 * 7 + 3), 1);
    CU_ASSERT_EQUAL(cell(blob, node, "interrupt-map", 4 * 7 + 5), 10);
    CU_ASSERT_EQUAL(cell(blob, node, "iommu-map", 0), 0);
    CU_ASSERT_EQUAL(fdt_node_offset_by_phandle(blob, cell(blob, node, "iommu-map", 1)),
                    fdt_path_offset(blob, "/iommu@fed90000"));
    CU_ASSERT_EQUAL(cell(blob, node, "iommu-map", 3), 0x10000);
    device_node_free(tree.root);
    pci_bus_free(bus);
    fake_machine_free(machine);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"what is set comes back", test_round_trip},
        {"a large tree", test_large},
        {"PCI", test_pci},
        {NULL, NULL},
    };

    return unit_run("device-tree", tests);
}
