/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a unit has cached of one requester's tables (VT-d 6.2): its context entry, translations of
 * pages, and where the tables of the last level are. Any thread; one leaf lock.
 *
 * What is read from tables is kept only if nothing was forgotten since before it was read: a look
 * gives the sequence number to remember with.
 */
#ifndef DUODM_IOMMU_VTD_IOTLB_H
#define DUODM_IOMMU_VTD_IOTLB_H

#include "iommu/vtd-tables.h"
#include "util/mutex.h"

#define VTD_IOTLB_PAGES  256 /* powers of two */
#define VTD_IOTLB_LEAVES 64

struct vtd_iotlb {
    struct mutex lock; /* leaf */
    uint64_t sequence; /* grows with each forgetting */
    struct vtd_context context;
    bool has_large_pages;                        /* since the context was set */
    bool has_leaves;                             /* since all leaves were forgotten */
    struct iommu_mapping pages[VTD_IOTLB_PAGES]; /* length 0: empty */
    struct vtd_leaf_table leaves[VTD_IOTLB_LEAVES];
};

/* What a look found. */
struct vtd_iotlb_look {
    uint64_t sequence;
    struct vtd_context context;
    bool hit;                     /* mapping holds the address */
    struct iommu_mapping mapping; /* if hit */
    struct vtd_leaf_table leaf;   /* access 0: not known */
};

void vtd_iotlb_init(struct vtd_iotlb *iotlb);
void vtd_iotlb_destroy(struct vtd_iotlb *iotlb);
void vtd_iotlb_look(struct vtd_iotlb *iotlb, iova_t iova, struct vtd_iotlb_look *look);
/* Keep what was found after a look: the mapping that holds iova, and its leaf table if the access
 * of that is not 0. */
void vtd_iotlb_remember(struct vtd_iotlb *iotlb, uint64_t sequence, iova_t iova,
                        const struct iommu_mapping *mapping, const struct vtd_leaf_table *leaf);
/* Keep, after a look that found the context to be a fault, the one that has become present since.
 * Invalidations still reach such a device whatever their domain (vtd_device_is_open). */
void vtd_iotlb_adopt(struct vtd_iotlb *iotlb, uint64_t sequence, const struct vtd_context *context);
/* A range of whole pages; only_pages: tables are where they were (IH, 6.5.2.3). */
void vtd_iotlb_forget(struct vtd_iotlb *iotlb, struct range range, bool only_pages);
/* Another context, and nothing else. */
void vtd_iotlb_set_context(struct vtd_iotlb *iotlb, const struct vtd_context *context);

#endif
