/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iommu/iommu-region.h"
#include "iommu/notifier-private.h"
#include "util/hot-path.h"

#include <assert.h>

static struct iommu_entry translate(void *opaque, iova_t iova, bool is_write,
                                    struct memory_attributes attributes)
{
    struct iommu_region *region = opaque;

    return region->ops->translate(region, iova, is_write, attributes);
}

static const struct memory_iommu_ops memory_ops = {.translate = translate};

void iommu_region_init(struct iommu_region *region, const char *name, uint64_t size,
                       uint64_t page_sizes, const struct iommu_region_ops *ops,
                       struct address_space *target, struct mutex *lock)
{
    memory_region_init_iommu(&region->region, name, size, &memory_ops, region);
    region->ops = ops;
    region->page_sizes = page_sizes;
    region->target = target;
    region->lock = lock;
    region->notifiers = NULL;
}

struct iommu_region *iommu_region_from_memory(struct memory_region *region)
{
    assert(region->iommu_ops == &memory_ops);
    return region->opaque;
}

void iommu_region_destroy(struct iommu_region *region)
{
    assert(!region->notifiers);
    memory_region_destroy(&region->region);
}

HOT_PATH bool iommu_region_invalidate(struct iommu_region *region, struct range range)
{
    bool ok = true;

    for (struct iommu_notifier *notifier = region->notifiers; notifier; notifier = notifier->next) {
        g_autoptr(GError) error = NULL;

        if (!notifier_update(notifier, range, &error)) {
            notifier_report(notifier, error);
            ok = false;
        }
    }
    return ok;
}

bool iommu_region_update(struct iommu_region *region, struct range range, GError **error)
{
    bool ok = true;

    for (struct iommu_notifier *notifier = region->notifiers; notifier; notifier = notifier->next) {
        ok &= notifier_update(notifier, range, ok ? error : NULL);
    }
    return ok;
}

bool iommu_region_unmap(struct iommu_region *region, struct range range, GError **error)
{
    bool ok = true;

    for (struct iommu_notifier *notifier = region->notifiers; notifier; notifier = notifier->next) {
        ok &= notifier_unmap(notifier, range, ok ? error : NULL);
    }
    return ok;
}

/* Take a mapping back from the notifiers before `end`. */
static void undo_map(struct iommu_region *region, struct range range,
                     const struct iommu_notifier *end)
{
    for (struct iommu_notifier *notifier = region->notifiers; notifier != end;
         notifier = notifier->next) {
        g_autoptr(GError) error = NULL;

        if (!notifier_unmap(notifier, range, &error)) {
            notifier_report(notifier, error);
        }
    }
}

bool iommu_region_map(struct iommu_region *region, const struct iommu_mapping *mapping,
                      GError **error)
{
    for (struct iommu_notifier *notifier = region->notifiers; notifier; notifier = notifier->next) {
        if (!notifier_map(notifier, mapping, error)) {
            undo_map(region, iommu_mapping_range(mapping), notifier);
            return false;
        }
    }
    return true;
}
