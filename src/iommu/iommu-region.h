/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An IOMMU region: a memory region whose accesses are translated (memory/region.h), with the
 * promise that who attaches to it late hears of what is mapped already.
 *
 * Locking: the IOMMU model's lock (iommu_region.lock) covers its tables as duodm has seen them, the
 * region's notifiers and their mapping sets. The model holds it while it handles an invalidation;
 * register and unregister take it. So no change slips between a registration and its replay, and
 * an invalidation is over only when every host knows it (I2, I3). Order: topology > device guard >
 * this lock; host calls run under it. translate() may run without it.
 */
#ifndef DUODM_IOMMU_IOMMU_REGION_H
#define DUODM_IOMMU_IOMMU_REGION_H

#include "iommu/mapping.h"
#include "memory/region.h"
#include "util/mutex.h"

struct iommu_notifier;
struct iommu_region;

enum iommu_event_kind {
    IOMMU_EVENT_MAP = 1 << 0,   /* wants to hold what is mapped */
    IOMMU_EVENT_UNMAP = 1 << 1, /* wants to know where something may have gone */
};

struct iommu_region_ops {
    /* Translate one address for one access, and record the fault if there is one. Any thread. */
    struct iommu_entry (*translate)(struct iommu_region *region, iova_t iova, bool is_write,
                                    struct memory_attributes attributes);
    /* Every mapping in order; called with the lock held, must not record faults. NULL: the model
     * can't, and its notifiers replay by iommu_replay_probe. opaque is the region. */
    iommu_walk_fn walk;
    /* Called with the lock held when the union of wanted events (mask of enum iommu_event_kind)
     * is about to change. False refuses the notifier. NULL: any will do. */
    bool (*events_changed)(struct iommu_region *region, unsigned old_events, unsigned new_events,
                           GError **error);
    /* Do its mappings follow what memory there is in target, so that they change with that? With
     * the lock held. NULL: never. */
    bool (*shows_target)(struct iommu_region *region);
};

struct iommu_region {
    struct memory_region region; /* kind MEMORY_IOMMU */
    const struct iommu_region_ops *ops;
    uint64_t page_sizes;              /* bit n: pages of 2^n bytes. The smallest is the granule */
    struct mutex *lock;               /* the model's; shared by its regions */
    struct iommu_notifier *notifiers; /* a chain of those that are registered, not owned */
    struct address_space *target; /* what mappings lead to: where all translated addresses are */
};

/* lock and target must outlive the region. size: bytes of the IOVA space. */
void iommu_region_init(struct iommu_region *region, const char *name, uint64_t size,
                       uint64_t page_sizes, const struct iommu_region_ops *ops,
                       struct address_space *target, struct mutex *lock);
/* The IOMMU region that a memory region of kind MEMORY_IOMMU is part of. */
struct iommu_region *iommu_region_from_memory(struct memory_region *region);
/* No notifier may be left. */
void iommu_region_destroy(struct iommu_region *region);

/*
 * The guest has changed its tables in range and says so: bring every notifier up to date. For
 * models that can walk. The lock is held. All notifiers are served whatever happens; a failed one
 * is told through its `failed` callback (I5), and so the guest's request is complete on return.
 * Returns false if any failed.
 */
bool iommu_region_invalidate(struct iommu_region *region, struct range range);
/* The same for a change that can still be refused: *error is the first failure, and nobody is told
 * of it. The caller puts its tables back as they were, and invalidates. */
bool iommu_region_update(struct iommu_region *region, struct range range, GError **error);

/*
 * For models that are told of each mapping (virtio-iommu). The lock is held. map: all notifiers
 * have it, or none and *error says why. unmap: no notifier has anything left in range, or *error.
 */
bool iommu_region_map(struct iommu_region *region, const struct iommu_mapping *mapping,
                      GError **error);
bool iommu_region_unmap(struct iommu_region *region, struct range range, GError **error);

#endif
