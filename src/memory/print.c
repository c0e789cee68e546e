/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The text of `info mtree`. */
#include "memory/topology.h"

#include <inttypes.h>

static const char *const kind_names[] = {
    [MEMORY_CONTAINER] = "container",
    [MEMORY_RAM] = "ram",
    [MEMORY_ROM] = "rom",
    [MEMORY_ROM_DEVICE] = "rom-device",
    [MEMORY_RAM_DEVICE] = "ram-device",
    [MEMORY_MMIO] = "i/o",
    [MEMORY_ALIAS] = "alias",
    [MEMORY_IOMMU] = "iommu",
    [MEMORY_RESERVATION] = "reserved",
};

static void print_region(const struct memory_region *region, gpa_t start, unsigned depth,
                         GString *out)
{
    g_autoptr(GPtrArray) children = g_ptr_array_new();

    if (depth > TOPOLOGY_DEPTH_MAX) {
        return;
    }
    g_string_append_printf(out, "%*s%016" PRIx64 "-%016" PRIx64 " (prio %d, %s): %s", 2 * depth + 2,
                           "", start, start + (region->size - 1), region->priority,
                           kind_names[region->kind], region->name);
    if (region->kind == MEMORY_ALIAS && region->alias) {
        g_string_append_printf(out, " of %s @%016" PRIx64 "-%016" PRIx64, region->alias->name,
                               region->alias_offset, region->alias_offset + (region->size - 1));
    }
    g_string_append_printf(out, "%s%s\n", region->read_only ? " [read-only]" : "",
                           region->enabled ? "" : " [disabled]");
    subregions_collect(region->subregions, 0, UINT64_MAX, children);
    for (unsigned i = 0; i < children->len; i++) {
        const struct memory_region *child = children->pdata[i];

        print_region(child, start + child->offset, depth + 1, out);
    }
}

static void print_range(const struct flat_range *range, GString *out)
{
    g_string_append_printf(out, "  %016" PRIx64 "-%016" PRIx64 " (%s): %s", range->start,
                           range->start + (range->length - 1), kind_names[range->region->kind],
                           range->region->name);
    if (range->region_offset) {
        g_string_append_printf(out, " @%016" PRIx64, range->region_offset);
    }
    if (range->read_only && range->region->kind != MEMORY_ROM) {
        g_string_append(out, " [read-only]");
    }
    if (range->dirty_clients) {
        g_string_append_printf(out, " [dirty log 0x%" PRIx32 "]", range->dirty_clients);
    }
    g_string_append_c(out, '\n');
}

static void print_flat(const struct address_space *as, GString *out)
{
    g_autoptr(GArray) ranges = flat_view_list(as->view);

    g_string_append_printf(out, "flat view: %s, root: %s\n", as->name, as->root->name);
    if (!ranges->len) {
        g_string_append(out, "  nothing is visible\n");
    }
    for (unsigned i = 0; i < ranges->len; i++) {
        print_range(&g_array_index(ranges, struct flat_range, i), out);
    }
}

void address_space_print_tree(struct address_space *as, GString *out, bool flat)
{
    memory_topology_begin();
    if (flat) {
        print_flat(as, out);
    } else {
        g_string_append_printf(out, "address-space: %s\n", as->name);
        print_region(as->root, 0, 0, out);
    }
    memory_topology_commit();
}
