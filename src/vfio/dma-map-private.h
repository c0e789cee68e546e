/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of dma-map.h: for dma-map.c and dma-ram.c only. */
#ifndef DUODM_VFIO_DMA_MAP_PRIVATE_H
#define DUODM_VFIO_DMA_MAP_PRIVATE_H

#include "memory/listener.h"
#include "util/mutex.h"
#include "vfio/dma-map.h"

struct dma_map {
    struct address_space *as;
    struct dma_backend *backend;
    dma_map_failed_fn failed;
    void *opaque;
    struct memory_listener listener; /* of as */
    struct memory_listener targets;  /* of what IOMMUs lead to: memory may come and go there */
    bool registered;                 /* listener: failures go to `failed` */
    bool told;                       /* of one in the change under way */
    struct mutex lock;   /* around the back end: several IOMMU regions may change at a time. Leaf */
    bool has_exceptions; /* odd_entries or leftovers may hold something. Under lock */
    GTree *odd_entries;  /* IOVA -> number: entries of what takes none, or more than one; NULL: none
                            yet */
    GPtrArray *windows;  /* of struct iommu_window: IOMMU regions that show in as */
    GPtrArray *ram;      /* of struct dma_ram; under the topology lock */
    GArray *leftovers;   /* of struct range: mapped in the host, which refused to unmap them, and
                            recorded nowhere else. Under lock */
};

/* The host keeps a range, and nothing else records that. The lock is held. */
void dma_map_add_leftover(struct dma_map *map, struct range range);
/* Calls of the back end, under the lock. */
bool dma_map_host_map(struct dma_map *map, const struct dma_mapping *mapping, GError **error);
/* The range has so many guest mappings, or sections, and nothing else. */
bool dma_map_host_unmap(struct dma_map *map, struct range range, uint64_t mappings, GError **error);

/* Memory that devices may be given: RAM, and what was mapped of other devices (peer to peer). */
bool dma_map_is_memory(const struct memory_region *region);
struct dma_mapping dma_map_mapping_of(struct memory_region *region, uint64_t offset, iova_t iova,
                                      uint64_t length, unsigned access);

/* dma-ram.c: RAM of the address space itself. */
/* False: the host lacks it, until dma_ram_settle. */
bool dma_ram_add(struct dma_map *map, const struct listener_section *section, GError **error);
/* False: the host still has it, until dma_ram_settle. */
bool dma_ram_remove(struct dma_map *map, const struct listener_section *section, GError **error);
/* Try again what failed, unmaps first. */
bool dma_ram_settle(struct dma_map *map, GError **error);
/* The same with unmaps alone. */
bool dma_map_clear_leftovers(struct dma_map *map, GError **error);
/* Differences, bytes, of what the host should hold and holds. */
struct mapping_difference dma_ram_verify(struct dma_map *map);

#endif
