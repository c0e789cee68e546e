/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an IOMMU maps: a run of IOVAs onto a run of guest physical addresses. */
#ifndef DUODM_IOMMU_MAPPING_H
#define DUODM_IOMMU_MAPPING_H

#include "memory/access.h"
#include "util/range.h"

#include <glib.h>

enum iommu_access {
    IOMMU_READ = 1 << 0,
    IOMMU_WRITE = 1 << 1,
};

struct iommu_mapping {
    iova_t iova;      /* first byte */
    uint64_t length;  /* bytes, > 0; iova + length <= 2^64 - 1. A multiple of 4 */
    gpa_t translated; /* of iova, in the address space behind the IOMMU */
    unsigned access;  /* mask of enum iommu_access, not 0 */
};

static inline struct range iommu_mapping_range(const struct iommu_mapping *mapping)
{
    return (struct range){mapping->iova, mapping->length};
}

/* The part of a mapping that lies in range (they overlap), its translated address moved along. */
static inline struct iommu_mapping iommu_mapping_crop(const struct iommu_mapping *mapping,
                                                      struct range range)
{
    struct range common = range_intersect(iommu_mapping_range(mapping), range);

    return (struct iommu_mapping){common.start, common.length,
                                  mapping->translated + (common.start - mapping->iova),
                                  mapping->access};
}

/* Do two mappings, where they overlap, lead to the same place with the same rights? */
static inline bool iommu_mapping_agrees(const struct iommu_mapping *a,
                                        const struct iommu_mapping *b)
{
    return a->access == b->access && a->translated - a->iova == b->translated - b->iova;
}

/* Called for each mapping, in order of IOVA. False stops the walk, which then fails with *error. */
typedef bool (*iommu_visit_fn)(void *opaque, const struct iommu_mapping *mapping, GError **error);

/*
 * Visits every mapping that overlaps range, in order of IOVA, each once and whole, at the size that
 * the guest's table has it, in time proportional to what is mapped. False: the visitor refused.
 * What the tables hold that the architecture does not allow is not a mapping.
 */
typedef bool (*iommu_walk_fn)(void *opaque, struct range range, iommu_visit_fn visit,
                              void *visit_opaque, GError **error);

#endif
