/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RAM of an address space, as the host is to hold it. What the host refuses is remembered, and
 * tried again at the end of each change and when the devices are reset.
 */
#include "iommu/mapping-set.h"
#include "util/trace.h"
#include "vfio/dma-map-private.h"

/* One section. */
struct dma_ram {
    struct dma_mapping mapping;
    bool is_held;     /* by the host */
    bool is_optional; /* peer to peer: hosts may refuse it, and accesses fail as on a bus */
};

/* The whole host pages of a section; length 0: none. */
static struct range section_pages(const struct dma_map *map, const struct listener_section *section)
{
    uint64_t page = dma_backend_page_size(map->backend);
    uint64_t start = (section->start + page - 1) & ~(page - 1);
    uint64_t end = (section->start + section->length) & ~(page - 1);

    return end > start ? (struct range){start, end - start} : (struct range){section->start, 0};
}

static bool map_ram(struct dma_map *map, struct dma_ram *ram, GError **error)
{
    g_autoptr(GError) refusal = NULL;

    if (ram->is_held) {
        return true;
    }
    ram->is_held = dma_map_host_map(map, &ram->mapping, &refusal);
    if (!ram->is_held && ram->is_optional) {
        trace_dma_map_skipped(ram->mapping.iova, ram->mapping.length, refusal->message);
        return true;
    }
    if (!ram->is_held) {
        g_propagate_error(error, g_steal_pointer(&refusal));
    }
    return ram->is_held;
}

bool dma_ram_add(struct dma_map *map, const struct listener_section *section, GError **error)
{
    struct range pages = section_pages(map, section);
    bool read_only = section->read_only || section->region->kind == MEMORY_ROM;
    struct dma_ram *ram;

    if (!pages.length) {
        return true;
    }
    ram = g_new0(struct dma_ram, 1);
    ram->mapping =
        dma_map_mapping_of(section->region, section->region_offset + (pages.start - section->start),
                           pages.start, pages.length, IOMMU_READ | (read_only ? 0 : IOMMU_WRITE));
    ram->is_optional = section->region->kind == MEMORY_RAM_DEVICE;
    g_ptr_array_add(map->ram, ram);
    return map_ram(map, ram, error);
}

bool dma_ram_remove(struct dma_map *map, const struct listener_section *section, GError **error)
{
    struct range pages = section_pages(map, section);
    bool ok = true;

    for (unsigned i = 0; pages.length && i < map->ram->len; i++) {
        struct dma_ram *ram = g_ptr_array_index(map->ram, i);

        if (ram->mapping.iova == pages.start) {
            ok = !ram->is_held || dma_map_host_unmap(map, pages, 1, error);
            if (!ok) {
                mutex_lock(&map->lock);
                dma_map_add_leftover(map, pages);
                mutex_unlock(&map->lock);
            }
            g_ptr_array_remove_index(map->ram, i);
            break;
        }
    }
    return ok;
}

bool dma_map_clear_leftovers(struct dma_map *map, GError **error)
{
    g_autoptr(GArray) left = NULL;
    bool ok = true;

    mutex_lock(&map->lock);
    left = map->leftovers;
    map->leftovers = g_array_new(false, false, sizeof(struct range));
    mutex_unlock(&map->lock);
    for (unsigned i = 0; i < left->len; i++) {
        struct range range = g_array_index(left, struct range, i);

        if (!dma_map_host_unmap(map, range, 1, ok ? error : NULL)) {
            mutex_lock(&map->lock);
            dma_map_add_leftover(map, range);
            mutex_unlock(&map->lock);
            ok = false;
        }
    }
    return ok;
}

bool dma_ram_settle(struct dma_map *map, GError **error)
{
    bool ok = dma_map_clear_leftovers(map, error);

    for (unsigned i = 0; i < map->ram->len; i++) {
        struct dma_ram *ram = g_ptr_array_index(map->ram, i);

        ok &= ram->is_optional || map_ram(map, ram, ok ? error : NULL);
    }
    return ok;
}

struct mapping_difference dma_ram_verify(struct dma_map *map)
{
    struct mapping_difference difference = {0};

    for (unsigned i = 0; i < map->ram->len; i++) {
        const struct dma_ram *ram = g_ptr_array_index(map->ram, i);

        difference.missing += ram->is_held || ram->is_optional ? 0 : ram->mapping.length;
    }
    mutex_lock(&map->lock);
    for (unsigned i = 0; i < map->leftovers->len; i++) {
        difference.extra += g_array_index(map->leftovers, struct range, i).length;
    }
    mutex_unlock(&map->lock);
    return difference;
}
