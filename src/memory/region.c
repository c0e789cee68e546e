/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Regions: construction and edits. Each edit marks what it changes, before and after. */
#include "memory/region.h"
#include "memory/ram-block.h"
#include "memory/ram-windows.h"
#include "memory/topology.h"
#include "util/hot-path.h"

#include <assert.h>
#include <string.h>

/* ---- Construction ---- */

static void region_init(struct memory_region *region, enum memory_region_kind kind,
                        const char *name, uint64_t size)
{
    assert(size > 0 && size <= UINT64_C(1) << 63);
    memset(region, 0, sizeof(*region));
    region->kind = kind;
    region->name = g_strdup(name);
    region->size = size;
    region->enabled = true;
    region->topology = g_new0(struct region_links, 1);
}

void memory_region_init_container(struct memory_region *region, const char *name, uint64_t size)
{
    region_init(region, MEMORY_CONTAINER, name, size);
}

static void set_callbacks(struct memory_region *region, const struct memory_region_ops *ops,
                          void *opaque, struct access_guard *guard)
{
    region->ops = ops;
    region->opaque = opaque;
    region->guard = guard;
}

void memory_region_init_mmio(struct memory_region *region, const char *name, uint64_t size,
                             const struct memory_region_ops *ops, void *opaque,
                             struct access_guard *guard)
{
    region_init(region, MEMORY_MMIO, name, size);
    set_callbacks(region, ops, opaque, guard);
}

static bool init_with_block(struct memory_region *region, enum memory_region_kind kind,
                            const char *name, uint64_t size, GError **error)
{
    struct ram_block *block = ram_block_new(name, size, error);

    if (!block) {
        return false;
    }
    region_init(region, kind, name, size);
    region->ram = block;
    return true;
}

bool memory_region_init_ram(struct memory_region *region, const char *name, uint64_t size,
                            GError **error)
{
    return init_with_block(region, MEMORY_RAM, name, size, error);
}

bool memory_region_init_private_ram(struct memory_region *region, const char *name, uint64_t size,
                                    GError **error)
{
    struct ram_block *block = ram_block_new_private(name, size, error);

    if (block) {
        region_init(region, MEMORY_RAM, name, size);
        region->ram = block;
    }
    return block != NULL;
}

bool memory_region_init_rom(struct memory_region *region, const char *name, uint64_t size,
                            GError **error)
{
    return init_with_block(region, MEMORY_ROM, name, size, error);
}

bool memory_region_init_rom_device(struct memory_region *region, const char *name, uint64_t size,
                                   const struct memory_region_ops *ops, void *opaque,
                                   struct access_guard *guard, GError **error)
{
    if (!init_with_block(region, MEMORY_ROM_DEVICE, name, size, error)) {
        return false;
    }
    set_callbacks(region, ops, opaque, guard);
    region->rom_mode = true;
    return true;
}

void memory_region_init_ram_device(struct memory_region *region, const char *name, uint64_t size,
                                   void *host)
{
    region_init(region, MEMORY_RAM_DEVICE, name, size);
    region->ram = ram_block_new_foreign(host, size);
}

void memory_region_init_windowed_ram(struct memory_region *region, const char *name, uint64_t size,
                                     const struct ram_windows *windows, void *opaque)
{
    region_init(region, MEMORY_RAM, name, size);
    region->ram = ram_block_new_windowed(size, windows, opaque);
}

void memory_region_init_alias(struct memory_region *region, const char *name,
                              struct memory_region *target, uint64_t target_offset, uint64_t size)
{
    struct region_links *links, *target_links = region_links(target);

    region_init(region, MEMORY_ALIAS, name, size);
    region->alias = target;
    region->alias_offset = target_offset;
    links = region_links(region);
    memory_topology_begin();
    links->next_alias = target_links->aliases;
    if (links->next_alias) {
        region_links(links->next_alias)->previous_alias = region;
    }
    target_links->aliases = region;
    memory_topology_commit();
}

void memory_region_init_iommu(struct memory_region *region, const char *name, uint64_t size,
                              const struct memory_iommu_ops *ops, void *opaque)
{
    region_init(region, MEMORY_IOMMU, name, size);
    region->iommu_ops = ops;
    region->opaque = opaque;
}

void memory_region_init_reservation(struct memory_region *region, const char *name, uint64_t size)
{
    region_init(region, MEMORY_RESERVATION, name, size);
}

static void forget_target(struct memory_region *alias)
{
    struct region_links *links = region_links(alias);

    topology_mark(alias, 0, alias->size);
    if (links->previous_alias) {
        region_links(links->previous_alias)->next_alias = links->next_alias;
    } else {
        region_links(alias->alias)->aliases = links->next_alias;
    }
    if (links->next_alias) {
        region_links(links->next_alias)->previous_alias = links->previous_alias;
    }
    links->next_alias = links->previous_alias = NULL;
    alias->alias = NULL;
}

/* Take a region out of everything that refers to it. */
static void leave_tree(struct memory_region *region)
{
    struct region_links *links = region_links(region);
    g_autoptr(GPtrArray) children = g_ptr_array_new();

    if (region->container) {
        memory_region_remove_subregion(region->container, region);
    }
    while (links->aliases) {
        forget_target(links->aliases);
    }
    if (region->alias) {
        forget_target(region);
    }
    subregions_collect(region->subregions, 0, UINT64_MAX, children);
    for (unsigned i = 0; i < children->len; i++) {
        memory_region_remove_subregion(region, children->pdata[i]);
    }
}

void memory_region_destroy(struct memory_region *region)
{
    struct region_links *links = region_links(region);

    if (!links) {
        return; /* never made, or destroyed before */
    }
    memory_topology_begin();
    assert(!links->first_space);
    leave_tree(region);
    memory_topology_commit();
    topology_wait_for_readers();
    ioeventfd_table_free(region);
    ram_block_unref(region->ram);
    region->ram = NULL;
    g_free(links);
    region->topology = NULL;
    g_free((char *)region->name);
    region->name = NULL;
}

/* ---- Edits ---- */

static void mark_all(struct memory_region *region)
{
    topology_mark(region, 0, region->size);
}

void memory_region_add_subregion_overlap(struct memory_region *container, uint64_t offset,
                                         struct memory_region *region, int priority)
{
    assert(container->kind == MEMORY_CONTAINER && !region->container);
    memory_topology_begin();
    region->container = container;
    region->offset = offset;
    region->priority = priority;
    region->sequence = topology_next_sequence();
    subregions_insert((struct subregion_node **)&container->subregions, &region_links(region)->node,
                      region);
    mark_all(region);
    memory_topology_commit();
}

void memory_region_add_subregion(struct memory_region *container, uint64_t offset,
                                 struct memory_region *region)
{
    memory_region_add_subregion_overlap(container, offset, region, 0);
}

void memory_region_remove_subregion(struct memory_region *container, struct memory_region *region)
{
    assert(region->container == container);
    memory_topology_begin();
    mark_all(region);
    subregions_remove((struct subregion_node **)&container->subregions,
                      &region_links(region)->node);
    region->container = NULL;
    memory_topology_commit();
}

void memory_region_set_enabled(struct memory_region *region, bool enabled)
{
    memory_topology_begin();
    if (region->enabled != enabled) {
        mark_all(region); /* a region that is off marks nothing: one of the two does */
        region->enabled = enabled;
        mark_all(region);
    }
    memory_topology_commit();
}

/* Give a region another place or extent in its container. */
static void set_extent(struct memory_region *region, uint64_t offset, uint64_t size)
{
    struct memory_region *container = region->container;
    struct subregion_node **siblings = NULL;

    memory_topology_begin();
    if (region->offset != offset || region->size != size) {
        mark_all(region);
        if (container) {
            siblings = (struct subregion_node **)&container->subregions;
            subregions_remove(siblings, &region_links(region)->node);
        }
        region->offset = offset;
        __atomic_store_n(&region->size, size, __ATOMIC_RELAXED);
        if (container) {
            subregions_insert(siblings, &region_links(region)->node, region);
        }
        mark_all(region);
    }
    memory_topology_commit();
}

void memory_region_set_offset(struct memory_region *region, uint64_t offset)
{
    set_extent(region, offset, region->size);
}

void memory_region_set_size(struct memory_region *region, uint64_t size)
{
    assert(size > 0 && size <= UINT64_C(1) << 63);
    assert(!region->ram || size <= region->ram->size);
    set_extent(region, region->offset, size);
}

void memory_region_set_alias_offset(struct memory_region *region, uint64_t target_offset)
{
    assert(region->kind == MEMORY_ALIAS);
    memory_topology_begin();
    if (region->alias_offset != target_offset) {
        region->alias_offset = target_offset;
        mark_all(region);
    }
    memory_topology_commit();
}

void memory_region_set_read_only(struct memory_region *region, bool read_only)
{
    memory_topology_begin();
    if (region->read_only != read_only) {
        __atomic_store_n(&region->read_only, read_only, __ATOMIC_RELAXED);
        mark_all(region);
    }
    memory_topology_commit();
}

void memory_region_set_rom_mode(struct memory_region *region, bool rom_mode)
{
    assert(region->kind == MEMORY_ROM_DEVICE);
    memory_topology_begin();
    if (region->rom_mode != rom_mode) {
        __atomic_store_n(&region->rom_mode, rom_mode, __ATOMIC_RELAXED);
        mark_all(region);
    }
    memory_topology_commit();
}

/* ---- Host memory ---- */

void memory_region_set_coalesced(struct memory_region *region, bool coalesced)
{
    assert(!region->container);
    region->coalesced = coalesced;
}

HOT_PATH void *memory_region_host_pointer(struct memory_region *region)
{
    return region->ram ? region->ram->host : NULL;
}

HOT_PATH int memory_region_fd(struct memory_region *region, uint64_t *offset)
{
    if (offset) {
        *offset = 0;
    }
    return region->ram ? region->ram->fd : -1;
}
