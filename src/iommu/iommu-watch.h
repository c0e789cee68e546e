/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For emulated devices that keep host pointers into memory which an IOMMU shows them (rings, the
 * buffers of requests under way): a watch tells where what an address leads to may have changed,
 * and a drain has the IOMMU's guest wait until what it took back is used no more. So an
 * invalidation is complete only when that is true (ARCHITECTURE.md, I3).
 *
 * How it goes. The IOMMU drops its own cached translations first, then tells watches, with its
 * lock held. The device, under a leaf lock that it holds around each translation too, forgets
 * pointers to what changed, and adds to the drain what it can't let go at once. The IOMMU reports
 * completion when the drain is empty, of which it is told: no thread waits for it, for what a
 * device does may need the main loop, which waits for vCPUs. Accesses that copy at once
 * (address_space_read and the like) need none of this: memory_translation_synchronize.
 */
#ifndef DUODM_IOMMU_IOMMU_WATCH_H
#define DUODM_IOMMU_IOMMU_WATCH_H

#include "iommu/notifier.h"
#include "memory/listener.h"

struct iommu_drain {
    uint64_t count;                /* atomic */
    void (*emptied)(void *opaque); /* the last was removed; any thread, leaf locks held */
    void *opaque;
};

void iommu_drain_init(struct iommu_drain *drain, void (*emptied)(void *opaque), void *opaque);
/* Nothing may be left in it. */
void iommu_drain_destroy(struct iommu_drain *drain);
/* Something taken back is still used; it is no more. Any thread, any lock held. */
void iommu_drain_add(struct iommu_drain *drain);
void iommu_drain_remove(struct iommu_drain *drain);
bool iommu_drain_is_empty(const struct iommu_drain *drain);

struct iommu_watch {
    /*
     * Addresses in range may lead elsewhere now. The topology lock or an IOMMU's lock is held: take
     * leaf locks only. translate() and lookups may be called.
     */
    void (*changed)(struct iommu_watch *watch, struct range range);
    /* Private. */
    struct memory_listener listener;
    GPtrArray *windows; /* IOMMU regions that are to be seen */
};

/* Watch an address space. Not in a topology transaction; no lock held. */
bool iommu_watch_start(struct iommu_watch *watch, struct address_space *as, GError **error);
/* No call is under way or comes any more on return. Not being started is fine. */
void iommu_watch_stop(struct iommu_watch *watch);

#endif
