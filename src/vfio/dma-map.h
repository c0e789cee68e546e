/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeps a back end equal to an address space that devices do DMA in: its RAM directly, through a
 * memory listener, and what lies behind its IOMMU regions through IOMMU notifiers. One for each
 * pair; all devices of that pair share it.
 */
#ifndef DUODM_VFIO_DMA_MAP_H
#define DUODM_VFIO_DMA_MAP_H

#include "memory/address-space.h"
#include "vfio/dma-backend.h"

struct dma_map;

/*
 * The back end could not follow a change (ARCHITECTURE.md, I5): the devices must be cut off from
 * their bus, and the toolstack told. Called under the topology lock or an IOMMU's lock: only note
 * it.
 */
typedef void (*dma_map_failed_fn)(void *opaque, const GError *error);

/*
 * Map all that is there, and follow. On failure nothing is left mapped, and the error says which
 * address and why. target: what IOMMU regions of as lead to (system memory). All three must outlive
 * the map. Not in a topology transaction.
 */
struct dma_map *dma_map_new(struct address_space *as, struct address_space *target,
                            struct dma_backend *backend, dma_map_failed_fn failed, void *opaque,
                            GError **error);
/* Unmaps everything. NULL is fine. */
void dma_map_free(struct dma_map *map);

/* Try again what failed, and everything else: after a reset of the devices. */
bool dma_map_reconcile(struct dma_map *map, GError **error);
/* Does the back end hold what the guest's IOMMU tables say? Lines for `info iommu` go to out. */
bool dma_map_verify(struct dma_map *map, GString *out);

#endif
