/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iommu/mapping-set-private.h"
#include "iommu/iova-tree.h"
#include "util/error.h"
#include "util/hot-path.h"
#include "util/trace.h"

struct mapping_set {
    const struct mapping_set_ops *ops;
    void *opaque;
    struct iova_tree *held;
    struct range unsettled; /* a hull of where the host may differ from the guest; length 0: none */
};

struct mapping_set *mapping_set_new(const struct mapping_set_ops *ops, void *opaque)
{
    struct mapping_set *set = g_new0(struct mapping_set, 1);

    set->ops = ops;
    set->opaque = opaque;
    set->held = iova_tree_new();
    return set;
}

void mapping_set_free(struct mapping_set *set)
{
    if (set) {
        iova_tree_free(set->held);
        g_free(set);
    }
}

bool mapping_set_is_incomplete(const struct mapping_set *set)
{
    return set->unsettled.length != 0;
}

const struct iova_tree *mapping_set_tree(const struct mapping_set *set)
{
    return set->held;
}

uint64_t mapping_set_count(const struct mapping_set *set)
{
    return iova_tree_count(set->held);
}

uint64_t mapping_set_bytes(const struct mapping_set *set)
{
    return iova_tree_bytes(set->held);
}

HOT_PATH static struct range hull(struct range a, struct range b)
{
    uint64_t start, a_last, b_last;

    if (!a.length || !b.length) {
        return a.length ? a : b;
    }
    start = MIN(a.start, b.start);
    a_last = a.start + (a.length - 1);
    b_last = b.start + (b.length - 1);
    return (struct range){start, MAX(a_last, b_last) - start + 1};
}

static void mark_unsettled(struct mapping_set *set, struct range range)
{
    set->unsettled = hull(set->unsettled, range);
}

/* The host calls, each with its record. */

HOT_PATH static bool host_map(struct mapping_set *set, const struct iommu_mapping *mapping,
                              GError **error)
{
    if (!set->ops->map(set->opaque, mapping, error)) {
        return false;
    }
    trace_iommu_map(mapping->iova, mapping->length, mapping->translated, mapping->access);
    iova_tree_insert(set->held, mapping);
    return true;
}

static void forget_unmapped(struct mapping_set *set, struct range range)
{
    trace_iommu_unmap(range.start, range.length);
    iova_tree_remove(set->held, range.start);
}

/* One recorded mapping. */
HOT_PATH static bool host_unmap(struct mapping_set *set, struct range range, GError **error)
{
    if (!set->ops->unmap(set->opaque, range, 1, error)) {
        return false;
    }
    forget_unmapped(set, range);
    return true;
}

/* What is recorded at a cursor, if it overlaps range. */
HOT_PATH static bool held_at(const struct iova_cursor *cursor, struct range range,
                             struct iommu_mapping *mapping)
{
    return iova_cursor_get(cursor, mapping) && range_overlaps(iommu_mapping_range(mapping), range);
}

/* The first recorded mapping that overlaps range; false: none. */
HOT_PATH static bool first_held(const struct mapping_set *set, struct range range,
                                struct iommu_mapping *mapping)
{
    struct iova_cursor cursor = iova_tree_find(set->held, range.start);

    return range.length && held_at(&cursor, range, mapping);
}

static uint64_t range_last(struct range range)
{
    return range.start + (range.length - 1);
}

/* What of range lies above the end of part, which overlaps it. */
static struct range range_after(struct range range, struct range part)
{
    uint64_t last = range_last(range), part_last = range_last(part);

    return part_last >= last ? (struct range){last, 0}
                             : (struct range){part_last + 1, last - part_last};
}

/* Recorded mappings with no other between: from the first one's start to the last one's end. */
struct run {
    struct range range;
    uint64_t mappings; /* 0: there is no run */
};

static bool unmap_one(struct mapping_set *set, struct range one, GError **error)
{
    bool ok = host_unmap(set, one, error);

    if (!ok) {
        mark_unsettled(set, one);
    }
    return ok;
}

/*
 * Unmap a run by one call. If the host refuses that, its mappings one by one, so that only what it
 * refuses then stays; the error is the first of these.
 */
HOT_PATH static bool unmap_run(struct mapping_set *set, struct run run, GError **error)
{
    struct range left = run.range;
    struct iommu_mapping mapping;
    bool is_done, ok = true;

    if (run.mappings <= 1) {
        return !run.mappings || unmap_one(set, run.range, error);
    }
    is_done = set->ops->unmap(set->opaque, run.range, run.mappings, NULL);
    while (first_held(set, left, &mapping)) {
        struct range one = iommu_mapping_range(&mapping);

        if (is_done) {
            forget_unmapped(set, one);
        } else {
            ok &= unmap_one(set, one, ok ? error : NULL);
        }
        left = range_after(left, one);
    }
    return ok;
}

/* Widen range, which is not empty, to whole recorded mappings. False: there are none in it; else
 * *first is the first. */
HOT_PATH static bool widen(const struct mapping_set *set, struct range *range,
                           struct iova_cursor *first)
{
    struct iommu_mapping mapping;

    *first = iova_tree_find(set->held, range->start);
    if (!held_at(first, *range, &mapping)) {
        return false;
    }
    *range = hull(*range, iommu_mapping_range(&mapping));
    if (range_last(iommu_mapping_range(&mapping)) < range_last(*range) &&
        first_held(set, (struct range){range_last(*range), 1}, &mapping)) {
        *range = hull(*range, iommu_mapping_range(&mapping));
    }
    return true;
}

/*
 * First pass: which recorded mappings does the guest's table still confirm in every byte? The walk
 * and the record are in the same order; `held` is the recorded mapping under way, and `confirmed`
 * how many of its bytes the walk has confirmed so far.
 */
struct stale_search {
    struct range range, limits;
    struct iova_cursor cursor; /* of held */
    struct iommu_mapping held;
    bool has_held;
    uint64_t confirmed;
    bool guest_has_some; /* the walk has visited a mapping */
    /* Runs of stale recorded mappings with no other between: */
    bool in_run;    /* the recorded mapping before held is stale, and in `run` */
    struct run run; /* the last one */
    GArray *runs;   /* those before it; NULL: none. One unmap has one run */
};

static void take_held(struct stale_search *search)
{
    search->confirmed = 0;
    search->has_held = held_at(&search->cursor, search->range, &search->held);
}

static void begin_run(struct stale_search *search, struct range range)
{
    if (search->run.mappings) {
        if (!search->runs) {
            search->runs = g_array_new(false, false, sizeof(struct run));
        }
        g_array_append_val(search->runs, search->run);
    }
    search->run = (struct run){range, 1};
}

HOT_PATH static void finish_held(struct stale_search *search)
{
    bool is_stale = search->confirmed != search->held.length;
    struct range range = iommu_mapping_range(&search->held);

    if (is_stale && search->in_run) {
        search->run.range = hull(search->run.range, range);
        search->run.mappings++;
    } else if (is_stale) {
        begin_run(search, range);
    }
    search->in_run = is_stale;
    iova_cursor_next(&search->cursor);
    take_held(search);
}

HOT_PATH static bool confirm(void *opaque, const struct iommu_mapping *guest, GError **error)
{
    struct stale_search *search = opaque;
    struct range visible = range_intersect(iommu_mapping_range(guest), search->limits);

    search->guest_has_some = true;
    while (search->has_held && visible.length) {
        struct range held = iommu_mapping_range(&search->held);
        struct range common = range_intersect(held, visible);

        if (common.length && iommu_mapping_agrees(guest, &search->held)) {
            search->confirmed += common.length;
        }
        if (range_last(held) > range_last(visible)) {
            break;
        }
        finish_held(search);
    }
    return search->has_held; /* nothing is left to confirm: the walk may end */
}

/* What the search found. */
HOT_PATH static bool unmap_runs(struct mapping_set *set, struct stale_search *search,
                                GError **error)
{
    bool ok = true;

    for (unsigned i = 0; search->runs && i < search->runs->len; i++) {
        ok &= unmap_run(set, g_array_index(search->runs, struct run, i), ok ? error : NULL);
    }
    ok &= unmap_run(set, search->run, ok ? error : NULL);
    g_clear_pointer(&search->runs, g_array_unref);
    return ok;
}

/* Unmap what the walk does not confirm, from the first recorded mapping in range on. Goes on after
 * a failure. *guest_has_none: the walk found nothing at all, as it is when the guest has just taken
 * back what it had. */
HOT_PATH static bool remove_stale(struct mapping_set *set, struct range range,
                                  struct iova_cursor first, struct range limits, iommu_walk_fn walk,
                                  void *walk_opaque, bool *guest_has_none, GError **error)
{
    struct stale_search search = {.range = range, .limits = limits, .cursor = first};
    bool ok;

    take_held(&search);
    ok = walk(walk_opaque, range, confirm, &search, error) || !search.has_held;
    *guest_has_none = ok && !search.guest_has_some;
    while (ok && search.has_held) {
        finish_held(&search);
    }
    return unmap_runs(set, &search, ok ? error : NULL) && ok;
}

/* Second pass: map what the guest has and the record has not. */
struct addition {
    struct mapping_set *set;
    struct range limits;
    iova_t reached;     /* start of the last piece that was mapped, or failed */
    struct range empty; /* nothing was recorded in it when the pass began */
    bool has_held; /* held is good: the first recorded mapping not below what was looked at last */
    struct iova_cursor held;
};

/* The first recorded mapping that overlaps range, which is above what was looked at before. */
static bool next_held(struct addition *addition, struct range range, struct iommu_mapping *held)
{
    if (!addition->has_held) {
        addition->held = iova_tree_find(addition->set->held, range.start);
        addition->has_held = true;
    }
    for (; iova_cursor_get(&addition->held, held); iova_cursor_next(&addition->held)) {
        if (range_last(iommu_mapping_range(held)) >= range.start) {
            return range_overlaps(iommu_mapping_range(held), range);
        }
    }
    return false;
}

/* The first part of range in which nothing is recorded; length 0: none. */
static struct range first_gap(struct addition *addition, struct range range)
{
    struct iommu_mapping held;

    while (next_held(addition, range, &held)) {
        if (held.iova > range.start) {
            return (struct range){range.start, held.iova - range.start};
        }
        range = range_after(range, iommu_mapping_range(&held));
    }
    return range;
}

HOT_PATH static bool add_missing(void *opaque, const struct iommu_mapping *guest, GError **error)
{
    struct addition *addition = opaque;
    struct range left = range_intersect(iommu_mapping_range(guest), addition->limits);

    while (left.length) {
        bool is_empty = range_contains_range(addition->empty, left);
        struct range gap = is_empty ? left : first_gap(addition, left);
        struct iommu_mapping piece = iommu_mapping_crop(guest, gap);

        if (!gap.length) {
            break;
        }
        addition->reached = gap.start;
        addition->has_held = false;
        if (!host_map(addition->set, &piece, error)) {
            return false;
        }
        left = range_after(left, gap);
    }
    return true;
}

HOT_PATH bool mapping_set_reconcile(struct mapping_set *set, struct range range,
                                    struct range limits, iommu_walk_fn walk, void *walk_opaque,
                                    GError **error)
{
    struct addition addition = {.set = set, .limits = limits};
    struct iova_cursor first;
    bool has_some, guest_has_none = false;

    range = range_intersect(hull(range, set->unsettled), limits);
    if (!range.length) {
        return true;
    }
    has_some = widen(set, &range, &first);
    set->unsettled = (struct range){0, 0};
    if (has_some &&
        !remove_stale(set, range, first, limits, walk, walk_opaque, &guest_has_none, error)) {
        mark_unsettled(set, range);
        return false;
    }
    if (guest_has_none) {
        return true;
    }
    addition.empty = (struct range){range.start, has_some ? 0 : range.length};
    addition.reached = range.start;
    if (!walk(walk_opaque, range, add_missing, &addition, error)) {
        mark_unsettled(
            set, hull((struct range){addition.reached, 1}, (struct range){range_last(range), 1}));
        return false;
    }
    return true;
}

bool mapping_set_map(struct mapping_set *set, const struct iommu_mapping *mapping, GError **error)
{
    struct iommu_mapping held;

    if (first_held(set, iommu_mapping_range(mapping), &held)) {
        return duodm_fail(error, DUODM_ERROR_EXISTS,
                          "IOVA 0x%" PRIx64 " of 0x%" PRIx64 " bytes is mapped already: 0x%" PRIx64
                          " of 0x%" PRIx64 " bytes is",
                          mapping->iova, mapping->length, held.iova, held.length);
    }
    return host_map(set, mapping, error);
}

static bool is_cut(const struct mapping_set *set, struct range range)
{
    struct range whole = range;
    struct iova_cursor first;

    widen(set, &whole, &first);
    return whole.start != range.start || whole.length != range.length;
}

/* All that is recorded in range. */
static struct run held_in(const struct mapping_set *set, struct range range)
{
    struct iova_cursor cursor = iova_tree_find(set->held, range.start);
    struct iommu_mapping mapping;
    struct run held = {{0, 0}, 0};

    for (; held_at(&cursor, range, &mapping); iova_cursor_next(&cursor)) {
        held.range = hull(held.range, iommu_mapping_range(&mapping));
        held.mappings++;
    }
    return held;
}

bool mapping_set_unmap(struct mapping_set *set, struct range range, GError **error)
{
    if (!range.length) {
        return true;
    }
    if (is_cut(set, range)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "unmapping 0x%" PRIx64 " bytes at IOVA 0x%" PRIx64
                          " would cut a mapping in two",
                          range.length, range.start);
    }
    return unmap_run(set, held_in(set, range), error);
}

bool mapping_set_drop_target(struct mapping_set *set, struct range target, GError **error)
{
    g_autoptr(GArray) found = g_array_new(false, false, sizeof(struct range));
    struct iova_cursor cursor = iova_tree_find(set->held, 0);
    struct iommu_mapping mapping;
    bool ok = true;

    for (; iova_cursor_get(&cursor, &mapping); iova_cursor_next(&cursor)) {
        struct range range = iommu_mapping_range(&mapping);

        if (range_overlaps((struct range){mapping.translated, mapping.length}, target)) {
            g_array_append_val(found, range);
        }
    }
    for (unsigned i = 0; i < found->len; i++) {
        struct range range = g_array_index(found, struct range, i);

        ok &= host_unmap(set, range, ok ? error : NULL);
        mark_unsettled(set, range);
    }
    return ok;
}

bool mapping_set_clear(struct mapping_set *set, GError **error)
{
    set->unsettled = (struct range){0, 0};
    return mapping_set_unmap(set, (struct range){0, UINT64_MAX}, error);
}

bool mapping_set_walk(void *opaque, struct range range, iommu_visit_fn visit, void *visit_opaque,
                      GError **error)
{
    struct mapping_set *set = opaque;
    struct iova_cursor cursor = iova_tree_find(set->held, range.start);
    struct iommu_mapping mapping;

    while (held_at(&cursor, range, &mapping)) {
        if (!visit(visit_opaque, &mapping, error)) {
            return false;
        }
        iova_cursor_next(&cursor);
    }
    return true;
}
