/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Replay for IOMMUs that can translate but not list: ask for each granule. */
#include "iommu/notifier.h"

static struct iommu_entry probe(struct iommu_region *region, iova_t iova)
{
    const struct memory_attributes attributes = {.from_device = true, .is_probe = true};
    struct iommu_entry entry = region->ops->translate(region, iova, false, attributes);

    return entry.target ? entry : region->ops->translate(region, iova, true, attributes);
}

/* Visit what an entry says of its granule. Returns false if the visitor refused. */
static bool visit_entry(const struct iommu_entry *entry, iommu_visit_fn visit, void *visit_opaque,
                        GError **error)
{
    struct iommu_mapping mapping = {
        .iova = entry->iova,
        .length =
            entry->address_mask == UINT64_MAX ? UINT64_MAX & ~UINT64_C(3) : entry->address_mask + 1,
        .translated = entry->translated,
        .access = (entry->readable ? IOMMU_READ : 0) | (entry->writable ? IOMMU_WRITE : 0),
    };

    return !entry->target || !mapping.access || visit(visit_opaque, &mapping, error);
}

bool iommu_replay_probe(struct iommu_region *region, struct range range, uint64_t granularity,
                        iommu_visit_fn visit, void *visit_opaque, GError **error)
{
    uint64_t iova = range.start & ~(granularity - 1), last;

    if (!range.length) {
        return true;
    }
    last = range.start + (range.length - 1);
    for (;;) {
        struct iommu_entry entry = probe(region, iova);
        uint64_t covered = MAX(granularity - 1, entry.target ? entry.address_mask : 0);
        uint64_t end = iova | covered; /* both are naturally aligned */

        if (!visit_entry(&entry, visit, visit_opaque, error)) {
            return false;
        }
        if (end >= last) {
            return true;
        }
        iova = end + 1;
    }
}
