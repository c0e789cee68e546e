/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What carries out DMA mappings on the host: a VFIO type1 container, an iommufd address space, a
 * vfio-user server, or a test. Embedded in what each of them needs; one back end serves all devices
 * that share an address space.
 */
#ifndef DUODM_VFIO_DMA_BACKEND_H
#define DUODM_VFIO_DMA_BACKEND_H

#include "iommu/mapping.h"

#include <glib.h>

/* One run of IOVAs onto host memory. All three numbers are multiples of the host's page size. */
struct dma_mapping {
    iova_t iova;
    uint64_t length;
    void *host;         /* of iova; stays valid until unmapped. NULL: region is seen through
                           windows (memory/ram-windows.h), and only servers can reach it */
    int fd;             /* of the memory, for servers that map it themselves; -1: none */
    uint64_t fd_offset; /* bytes, of host */
    unsigned access;    /* mask of enum iommu_access */
    struct memory_region *region; /* what host is of, for who writes there: to mark it dirty. Stays
                                     until unmapped; NULL: none */
    uint64_t region_offset;       /* bytes, of host */
};

struct dma_backend;

struct dma_backend_ops {
    /* Fails with nothing changed. Nothing is mapped in the range. */
    bool (*map)(struct dma_backend *backend, const struct dma_mapping *mapping, GError **error);
    /* Drop all that is mapped in range; no mapping reaches over its ends. */
    bool (*unmap)(struct dma_backend *backend, struct range range, GError **error);
};

/* Callers serialise: one thread at a time. */
struct dma_backend {
    const struct dma_backend_ops *ops;
    const char *name; /* for messages; not owned */
    uint64_t
        page_sizes;  /* bit n: the host can map 2^n bytes. Any multiple of the smallest will do */
    GArray *windows; /* of struct range, sorted: IOVAs that can be mapped. Owned */
    uint64_t entries_limit;     /* mappings at a time; 0: none that is known */
    const char *entries_advice; /* to who has no entries left: how to have more; not owned */
    uint64_t entries;           /* mapped now */
};

/* Pages of 4096 bytes, no windows and no limit, until the owner says otherwise. clear frees what is
 * in it; nothing may be mapped. */
void dma_backend_init(struct dma_backend *backend, const struct dma_backend_ops *ops,
                      const char *name);
void dma_backend_clear(struct dma_backend *backend);

static inline uint64_t dma_backend_page_size(const struct dma_backend *backend)
{
    return backend->page_sizes & -backend->page_sizes;
}

/*
 * Map, unmap, with the checks that all back ends share: alignment, windows, entries left. Errors
 * name the IOVA and say what to do. entries: how many mappings lie in the range to be unmapped.
 */
bool dma_backend_map(struct dma_backend *backend, const struct dma_mapping *mapping,
                     GError **error);
bool dma_backend_unmap(struct dma_backend *backend, struct range range, uint64_t entries,
                       GError **error);

#endif
