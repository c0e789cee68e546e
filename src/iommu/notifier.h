/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IOMMU notifiers: who follows the mappings of an IOMMU region. A memory listener hears of what
 * exists when it registers; so does an IOMMU notifier: registration replays.
 */
#ifndef DUODM_IOMMU_NOTIFIER_H
#define DUODM_IOMMU_NOTIFIER_H

#include "iommu/iommu-region.h"
#include "iommu/mapping-set.h"

/*
 * A notifier that wants MAP is a host IOMMU: `host` is called with what must be mapped and unmapped
 * there, and `held` is what it holds. One that wants UNMAP only is a cache: host.unmap alone is
 * called, with each range in which a translation may have changed.
 */
struct iommu_notifier {
    const char *name;   /* for messages; not owned */
    unsigned events;    /* mask of enum iommu_event_kind, not 0 */
    struct range range; /* IOVAs of interest, offsets in the region; nothing else is mapped */
    const struct mapping_set_ops *ops; /* called under the region's lock; may not register */
    void *opaque;                      /* of ops */
    /* For regions that can't walk: the size, bytes, in which to probe; a power of two. */
    uint64_t probe_granularity;
    /* For models that let the guest know: of struct range, sorted, offsets in the region that the
     * host can map; not owned. NULL, or none: all. */
    const GArray *windows;
    /*
     * A change of the guest's could not be made on the host, which now lacks mappings or holds
     * ones that the guest took back: cut the device off its bus and tell (I5). Under the lock.
     */
    void (*failed)(struct iommu_notifier *notifier, const GError *error);
    /*
     * The host did not let a mapping go, and the notifier forgets it, for it is unregistered, or
     * its registration failed: whoever has the host must see to it. Under the lock. NULL: the
     * container is closed in such a case.
     */
    void (*left_over)(struct iommu_notifier *notifier, struct range range);

    struct iommu_region *region; /* set while registered */
    struct iommu_notifier *next; /* of the region; private */
    struct mapping_set *held;    /* private */
};

/*
 * Register and replay, as one step as seen by the guest. Takes the region's lock. On success the
 * host holds what the guest's tables map in range (I1). On failure nothing is left mapped, nothing
 * registered, and *error says which IOVA and why; should the host refuse even to unmap, left_over
 * was called.
 */
bool iommu_notifier_register(struct iommu_region *region, struct iommu_notifier *notifier,
                             GError **error);
/* Takes the lock. Unmaps all that the host holds; on failure *error says why, left_over was told
 * what stays, and the notifier is gone all the same. Not being registered is fine. */
bool iommu_notifier_unregister(struct iommu_notifier *notifier, GError **error);

/* Bring one notifier up to date over all of its range: after a reset, a restored snapshot, a switch
 * of domains, or for the next try of what failed. Takes the lock. */
bool iommu_notifier_reconcile(struct iommu_notifier *notifier, GError **error);

/*
 * Memory behind the IOMMU has come or gone in a range of guest physical addresses: unmap all that
 * leads there. iommu_notifier_settle then makes again what the guest's tables still have, and what
 * has come, if the region shows its target. Time is proportional to what is mapped. Both take the
 * lock.
 */
bool iommu_notifier_target_changed(struct iommu_notifier *notifier, struct range target,
                                   GError **error);
/* Do what is left undone by that, or by failures. */
bool iommu_notifier_settle(struct iommu_notifier *notifier, GError **error);

/* Compare what the host holds with the guest's tables; lines of text on differences go to out
 * (may be NULL). Takes the lock. */
struct mapping_difference iommu_notifier_verify(struct iommu_notifier *notifier, GString *out,
                                                unsigned lines);
uint64_t iommu_notifier_count(struct iommu_notifier *notifier); /* mappings held. Takes the lock */

/*
 * Visit the mappings in range by asking translate() once for each granule, in time proportional to
 * the range. granularity: bytes, a power of two. The region does not remember the guest's page
 * size: an entry larger than the granularity is visited once; a smaller one is visited at its own
 * size, once for the granule, and the visitor must handle it, normally by an error. Caller holds
 * the lock. Register uses it for regions that have no walk.
 */
bool iommu_replay_probe(struct iommu_region *region, struct range range, uint64_t granularity,
                        iommu_visit_fn visit, void *visit_opaque, GError **error);

#endif
