/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iommu/notifier-private.h"
#include "util/error.h"
#include "util/hot-path.h"
#include "util/trace.h"

/* A probe asks once for each granule: what is smaller than that hides what may be beside it. */
struct probe_visit {
    const struct iommu_notifier *notifier;
    iommu_visit_fn visit;
    void *opaque;
};

static bool visit_probed(void *opaque, const struct iommu_mapping *mapping, GError **error)
{
    struct probe_visit *probe = opaque;

    if (mapping->length < probe->notifier->probe_granularity) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "notifier %s: IOVA 0x%" PRIx64 " is mapped by 0x%" PRIx64
                          " bytes, finer than the 0x%" PRIx64 " that the host can map",
                          probe->notifier->name, mapping->iova, mapping->length,
                          probe->notifier->probe_granularity);
    }
    return probe->visit(probe->opaque, mapping, error);
}

/* The guest's side, by whichever way the region has. An iommu_walk_fn; opaque is the notifier. */
HOT_PATH static bool walk_guest(void *opaque, struct range range, iommu_visit_fn visit,
                                void *visit_opaque, GError **error)
{
    struct iommu_notifier *notifier = opaque;
    struct iommu_region *region = notifier->region;
    struct probe_visit probe = {notifier, visit, visit_opaque};

    if (region->ops->walk) {
        return region->ops->walk(region, range, visit, visit_opaque, error);
    }
    return iommu_replay_probe(region, range, notifier->probe_granularity, visit_probed, &probe,
                              error);
}

HOT_PATH bool notifier_update(struct iommu_notifier *notifier, struct range range, GError **error)
{
    range = range_intersect(range, notifier->range);
    if (!range.length) {
        return true;
    }
    if (notifier->held) {
        return mapping_set_reconcile(notifier->held, range, notifier->range, walk_guest, notifier,
                                     error);
    }
    return notifier->ops->unmap(notifier->opaque, range, 0, error);
}

bool notifier_map(struct iommu_notifier *notifier, const struct iommu_mapping *mapping,
                  GError **error)
{
    struct iommu_mapping visible;

    if (!notifier->held || !range_overlaps(iommu_mapping_range(mapping), notifier->range)) {
        return true;
    }
    visible = iommu_mapping_crop(mapping, notifier->range);
    return mapping_set_map(notifier->held, &visible, error);
}

bool notifier_unmap(struct iommu_notifier *notifier, struct range range, GError **error)
{
    range = range_intersect(range, notifier->range);
    if (!range.length) {
        return true;
    }
    return notifier->held ? mapping_set_unmap(notifier->held, range, error)
                          : notifier->ops->unmap(notifier->opaque, range, 0, error);
}

void notifier_report(struct iommu_notifier *notifier, const GError *error)
{
    trace_iommu_notifier_failed(notifier->name, error->message);
    if (notifier->failed) {
        notifier->failed(notifier, error);
    }
}

/* The union of what all notifiers of a region want, with one left out. */
static unsigned wanted_events(const struct iommu_region *region,
                              const struct iommu_notifier *without)
{
    unsigned events = 0;

    for (const struct iommu_notifier *notifier = region->notifiers; notifier;
         notifier = notifier->next) {
        events |= notifier == without ? 0 : notifier->events;
    }
    return events;
}

static bool change_events(struct iommu_region *region, unsigned old_events, unsigned new_events,
                          GError **error)
{
    return old_events == new_events || !region->ops->events_changed ||
           region->ops->events_changed(region, old_events, new_events, error);
}

static bool check(const struct iommu_region *region, const struct iommu_notifier *notifier,
                  GError **error)
{
    if (!range_is_valid(notifier->range) || !notifier->range.length ||
        notifier->range.start + notifier->range.length > region->region.size) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "notifier %s: 0x%" PRIx64 " bytes at IOVA 0x%" PRIx64
                          " are not in IOMMU region %s of 0x%" PRIx64 " bytes",
                          notifier->name, notifier->range.length, notifier->range.start,
                          region->region.name, region->region.size);
    }
    if ((notifier->events & IOMMU_EVENT_MAP) && !region->ops->walk &&
        (notifier->probe_granularity == 0 ||
         (notifier->probe_granularity & (notifier->probe_granularity - 1)))) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "notifier %s: IOMMU region %s can't list its mappings, and 0x%" PRIx64
                          " bytes is no granularity to probe it with",
                          notifier->name, region->region.name, notifier->probe_granularity);
    }
    return true;
}

static bool give_away(void *opaque, const struct iommu_mapping *mapping, GError **error)
{
    struct iommu_notifier *notifier = opaque;

    notifier->left_over(notifier, iommu_mapping_range(mapping));
    return true;
}

/* Unmap all, and forget even what the host does not give back. */
static bool drop_held(struct iommu_notifier *notifier, GError **error)
{
    bool ok = mapping_set_clear(notifier->held, error);

    if (!ok && notifier->left_over) {
        mapping_set_walk(notifier->held, (struct range){0, UINT64_MAX}, give_away, notifier, NULL);
    }
    mapping_set_free(notifier->held);
    notifier->held = NULL;
    return ok;
}

static bool replay(struct iommu_notifier *notifier, GError **error)
{
    if (!(notifier->events & IOMMU_EVENT_MAP)) {
        return true;
    }
    notifier->held = mapping_set_new(notifier->ops, notifier->opaque);
    if (!mapping_set_reconcile(notifier->held, notifier->range, notifier->range, walk_guest,
                               notifier, error)) {
        g_autoptr(GError) second = NULL;

        if (!drop_held(notifier, &second)) {
            trace_iommu_notifier_failed(notifier->name, second->message);
        }
        return false;
    }
    trace_iommu_replay(notifier->name, mapping_set_count(notifier->held));
    return true;
}

/* In the order in which they came. */
static void append(struct iommu_region *region, struct iommu_notifier *notifier)
{
    struct iommu_notifier **link = &region->notifiers;

    while (*link) {
        link = &(*link)->next;
    }
    notifier->next = NULL;
    *link = notifier;
}

static void take_out(struct iommu_region *region, const struct iommu_notifier *notifier)
{
    for (struct iommu_notifier **link = &region->notifiers; *link; link = &(*link)->next) {
        if (*link == notifier) {
            *link = notifier->next;
            return;
        }
    }
}

/*
 * Why nothing falls between replay and the first change (I1, I2): the lock is held from before the
 * walk until the notifier is in the list, and a model holds it while it handles an invalidation.
 * One that came before has been handled when the walk begins; one that comes after finds the
 * notifier.
 */
static bool register_locked(struct iommu_region *region, struct iommu_notifier *notifier,
                            GError **error)
{
    unsigned old_events = wanted_events(region, NULL);

    if (!change_events(region, old_events, old_events | notifier->events, error)) {
        return false;
    }
    notifier->region = region;
    if (!replay(notifier, error)) {
        notifier->region = NULL;
        change_events(region, old_events | notifier->events, old_events, NULL);
        return false;
    }
    append(region, notifier);
    return true;
}

bool iommu_notifier_register(struct iommu_region *region, struct iommu_notifier *notifier,
                             GError **error)
{
    bool ok;

    if (!check(region, notifier, error)) {
        return false;
    }
    mutex_lock(region->lock);
    ok = register_locked(region, notifier, error);
    mutex_unlock(region->lock);
    return ok;
}

bool iommu_notifier_unregister(struct iommu_notifier *notifier, GError **error)
{
    struct iommu_region *region = notifier->region;
    bool ok = true;

    if (!region) {
        return true;
    }
    mutex_lock(region->lock);
    if (notifier->held) {
        ok = drop_held(notifier, error);
    }
    change_events(region, wanted_events(region, NULL), wanted_events(region, notifier), NULL);
    take_out(region, notifier);
    notifier->region = NULL;
    mutex_unlock(region->lock);
    return ok;
}

bool iommu_notifier_reconcile(struct iommu_notifier *notifier, GError **error)
{
    struct mutex *lock = notifier->region->lock;
    bool ok;

    mutex_lock(lock);
    ok = notifier_update(notifier, notifier->range, error);
    mutex_unlock(lock);
    return ok;
}

bool iommu_notifier_target_changed(struct iommu_notifier *notifier, struct range target,
                                   GError **error)
{
    struct mutex *lock = notifier->region->lock;
    bool ok;

    mutex_lock(lock);
    ok = !notifier->held || mapping_set_drop_target(notifier->held, target, error);
    mutex_unlock(lock);
    return ok;
}

bool iommu_notifier_settle(struct iommu_notifier *notifier, GError **error)
{
    struct iommu_region *region = notifier->region;
    struct mutex *lock = region->lock;
    bool ok = true;

    mutex_lock(lock);
    if (notifier->held && region->ops->shows_target && region->ops->shows_target(region)) {
        ok = notifier_update(notifier, notifier->range, error);
    } else if (notifier->held && mapping_set_is_incomplete(notifier->held)) {
        ok = mapping_set_reconcile(notifier->held, (struct range){0, 0}, notifier->range,
                                   walk_guest, notifier, error);
    }
    mutex_unlock(lock);
    return ok;
}

struct mapping_difference iommu_notifier_verify(struct iommu_notifier *notifier, GString *out,
                                                unsigned lines)
{
    struct mutex *lock = notifier->region->lock;
    struct mapping_difference difference = {0};

    mutex_lock(lock);
    if (notifier->held) {
        difference =
            mapping_set_verify(notifier->held, notifier->range, walk_guest, notifier, out, lines);
    }
    mutex_unlock(lock);
    return difference;
}

uint64_t iommu_notifier_count(struct iommu_notifier *notifier)
{
    struct mutex *lock = notifier->region->lock;
    uint64_t count;

    mutex_lock(lock);
    count = notifier->held ? mapping_set_count(notifier->held) : 0;
    mutex_unlock(lock);
    return count;
}
