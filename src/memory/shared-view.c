/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A view's update: the marked ranges are widened to whole ranges of the view (what is marked may
 * cut them, or join with them), resolved, compared, and only what differs is put into the tree.
 */
#include "memory/topology.h"

#include <string.h>

static GArray *ranges_new(void)
{
    return g_array_new(FALSE, FALSE, sizeof(struct flat_range));
}

static GArray *eventfds_new(void)
{
    return g_array_new(FALSE, FALSE, sizeof(struct ioeventfd_section));
}

/* ---- Differences ---- */

void view_difference_init(struct view_difference *difference)
{
    difference->removed = ranges_new();
    difference->added = ranges_new();
    difference->log_changed = ranges_new();
    difference->log_old = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    difference->eventfds_removed = eventfds_new();
    difference->eventfds_added = eventfds_new();
}

static void difference_reset(struct view_difference *difference)
{
    g_array_set_size(difference->removed, 0);
    g_array_set_size(difference->added, 0);
    g_array_set_size(difference->log_changed, 0);
    g_array_set_size(difference->log_old, 0);
    g_array_set_size(difference->eventfds_removed, 0);
    g_array_set_size(difference->eventfds_added, 0);
}

void view_difference_clear(struct view_difference *difference)
{
    g_array_free(difference->removed, TRUE);
    g_array_free(difference->added, TRUE);
    g_array_free(difference->log_changed, TRUE);
    g_array_free(difference->log_old, TRUE);
    g_array_free(difference->eventfds_removed, TRUE);
    g_array_free(difference->eventfds_added, TRUE);
}

bool view_difference_is_empty(const struct view_difference *difference)
{
    return !difference->removed->len && !difference->added->len && !difference->log_changed->len &&
           !difference->eventfds_removed->len && !difference->eventfds_added->len;
}

static const struct flat_range *range_at(const GArray *ranges, unsigned i)
{
    return i < ranges->len ? &g_array_index(ranges, struct flat_range, i) : NULL;
}

void view_difference_add(struct view_difference *difference, const GArray *before,
                         const GArray *after)
{
    unsigned i = 0, j = 0;

    while (i < before->len || j < after->len) {
        const struct flat_range *old = range_at(before, i), *new = range_at(after, j);

        if (old && new &&flat_range_same_section(old, new)) {
            if (old->dirty_clients != new->dirty_clients) {
                g_array_append_val(difference->log_changed, *new);
                g_array_append_val(difference->log_old, old->dirty_clients);
            }
            i++;
            j++;
        } else if (old && (!new || old->start <= new->start)) {
            g_array_append_val(difference->removed, *old);
            i++;
        } else {
            g_array_append_val(difference->added, *new);
            j++;
        }
    }
}

void view_difference_add_eventfds(struct view_difference *difference, const GArray *before,
                                  const GArray *after)
{
    unsigned i = 0, j = 0;

    while (i < before->len || j < after->len) {
        const struct ioeventfd_section *old = NULL, *new = NULL;
        gint order = 0;

        old = i < before->len ? &g_array_index(before, struct ioeventfd_section, i) : NULL;
        new = j < after->len ? &g_array_index(after, struct ioeventfd_section, j) : NULL;
        order = !old ? 1 : !new ? -1 : ioeventfd_compare(old, new, NULL);
        if (order < 0) {
            g_array_append_val(difference->eventfds_removed, *old);
        } else if (order > 0) {
            g_array_append_val(difference->eventfds_added, *new);
        }
        i += order <= 0;
        j += order >= 0;
    }
}

GArray *flat_view_list(const struct flat_view *view)
{
    GArray *list = ranges_new();

    flat_view_collect(view, 0, UINT64_MAX, false, list);
    return list;
}

GArray *shared_view_list_eventfds(const struct shared_view *shared)
{
    GArray *list = eventfds_new();

    for (GSequenceIter *i = g_sequence_get_begin_iter(shared->ioeventfds);
         !g_sequence_iter_is_end(i); i = g_sequence_iter_next(i)) {
        g_array_append_vals(list, g_sequence_get(i), 1);
    }
    return list;
}

/* ---- Construction ---- */

struct shared_view *shared_view_new(struct memory_region *root)
{
    struct shared_view *shared = g_new0(struct shared_view, 1);

    shared->root = root;
    shared->view = flat_view_new_empty();
    shared->spaces = g_ptr_array_new();
    shared->marked = g_array_new(FALSE, FALSE, sizeof(struct range));
    shared->ioeventfds = g_sequence_new(g_free);
    view_difference_init(&shared->difference);
    return shared;
}

void shared_view_free(struct shared_view *shared)
{
    flat_view_retire(shared->view, true);
    g_ptr_array_free(shared->spaces, TRUE);
    g_array_free(shared->marked, TRUE);
    g_sequence_free(shared->ioeventfds);
    view_difference_clear(&shared->difference);
    g_free(shared);
}

/* ---- Update ---- */

static gint compare_start(gconstpointer a, gconstpointer b)
{
    const struct range *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

static gpa_t range_last(const struct range *range)
{
    return range->start + (range->length - 1);
}

/* Sort ranges, and join those that overlap. */
static void join_ranges(GArray *ranges)
{
    struct range *items = (struct range *)ranges->data;
    unsigned kept = 0;

    g_array_sort(ranges, compare_start);
    for (unsigned i = 0; i < ranges->len; i++) {
        if (kept && items[i].start <= range_last(&items[kept - 1])) {
            struct range *last = &items[kept - 1];

            last->length = MAX(range_last(last), range_last(&items[i])) - last->start + 1;
        } else {
            items[kept++] = items[i];
        }
    }
    g_array_set_size(ranges, kept);
}

/* Each marked range, widened to all of the ranges of the view that it touches. */
static GArray *make_windows(const struct shared_view *shared)
{
    GArray *windows = g_array_sized_new(FALSE, FALSE, sizeof(struct range), shared->marked->len);
    g_autoptr(GArray) touched = ranges_new();

    for (unsigned i = 0; i < shared->marked->len; i++) {
        struct range window = g_array_index(shared->marked, struct range, i);

        g_array_set_size(touched, 0);
        flat_view_collect(shared->view, window.start, window.length, true, touched);
        if (touched->len) {
            const struct flat_range *first = range_at(touched, 0);
            const struct flat_range *last = range_at(touched, touched->len - 1);
            gpa_t end = MAX(range_last(&window), last->start + (last->length - 1));

            window.start = MIN(window.start, first->start);
            window.length = end - window.start + 1;
        }
        g_array_append_val(windows, window);
    }
    join_ranges(windows);
    return windows;
}

/* Append the parts of old ranges in [start, end) as they are. */
static void append_old(GArray *out, const GArray *old, gpa_t start, gpa_t end)
{
    for (unsigned i = 0; i < old->len; i++) {
        const struct flat_range *range = range_at(old, i);
        gpa_t from = MAX(start, range->start), to = MIN(end, range->start + range->length);

        if (from < to) {
            struct flat_range part = flat_range_cut(range, from, to - from);

            flat_ranges_append(out, &part);
        }
    }
}

/* What a window shows now: old ranges between marks, resolved ones in marks. *mark is the first
 * mark at or after the window, and moves past it. */
static GArray *resolve_window(const struct shared_view *shared, const struct range *window,
                              const GArray *old, unsigned *mark)
{
    GArray *out = ranges_new();
    gpa_t position = window->start, end = window->start + window->length;

    for (; *mark < shared->marked->len; ++*mark) {
        const struct range *marked = &g_array_index(shared->marked, struct range, *mark);

        if (marked->start >= end) {
            break;
        }
        append_old(out, old, position, marked->start);
        topology_render(shared->root, marked->start, marked->length, marked->start, out);
        position = marked->start + marked->length;
    }
    append_old(out, old, position, end);
    return out;
}

/* Put into the tree what differs between the lists: between their common head and tail. */
static bool edit_window(struct flat_edit *edit, const GArray *old, const GArray *new)
{
    const struct flat_range *a = (const struct flat_range *)old->data;
    const struct flat_range *b = (const struct flat_range *)new->data;
    unsigned head = 0, a_end = old->len, b_end = new->len;
    gpa_t first = UINT64_MAX, last = 0;

    while (head < a_end && head < b_end && flat_range_same_section(&a[head], &b[head]) &&
           a[head].dirty_clients == b[head].dirty_clients) {
        head++;
    }
    while (a_end > head && b_end > head && flat_range_same_section(&a[a_end - 1], &b[b_end - 1]) &&
           a[a_end - 1].dirty_clients == b[b_end - 1].dirty_clients) {
        a_end--;
        b_end--;
    }
    if (a_end == head && b_end == head) {
        return false;
    }
    if (a_end > head) {
        first = a[head].start;
        last = a[a_end - 1].start;
    }
    if (b_end > head) {
        first = MIN(first, b[head].start);
        last = MAX(last, b[b_end - 1].start);
    }
    flat_edit_replace(edit, first, last, b ? &b[head] : NULL, b_end - head);
    return true;
}

static void update_eventfds(struct shared_view *shared, const struct range *window,
                            const GArray *new_ranges)
{
    struct ioeventfd_section key = {.address = window->start, .fd = G_MININT};
    g_autoptr(GArray) before = NULL, after = eventfds_new();
    GSequenceIter *i;

    for (unsigned r = 0; r < new_ranges->len; r++) {
        ioeventfd_collect(range_at(new_ranges, r), after);
    }
    if (!after->len && g_sequence_is_empty(shared->ioeventfds)) {
        return;
    }
    before = eventfds_new();
    i = g_sequence_search(shared->ioeventfds, &key, ioeventfd_compare, NULL);
    while (!g_sequence_iter_is_end(i)) {
        const struct ioeventfd_section *section = g_sequence_get(i);
        GSequenceIter *next = g_sequence_iter_next(i);

        if (section->address - window->start >= window->length) {
            break;
        }
        g_array_append_val(before, *section);
        g_sequence_remove(i);
        i = next;
    }
    for (unsigned e = 0; e < after->len; e++) {
        g_sequence_insert_before(i, g_memdup2(&g_array_index(after, struct ioeventfd_section, e),
                                              sizeof(struct ioeventfd_section)));
    }
    view_difference_add_eventfds(&shared->difference, before, after);
}

void shared_view_update(struct shared_view *shared, uint64_t edit_number)
{
    g_autoptr(GArray) windows = NULL;
    struct flat_edit edit;
    bool changed = false;
    unsigned mark = 0;

    difference_reset(&shared->difference);
    join_ranges(shared->marked);
    windows = make_windows(shared);
    flat_edit_begin(&edit, shared->view, edit_number);
    for (unsigned w = 0; w < windows->len; w++) {
        const struct range *window = &g_array_index(windows, struct range, w);
        g_autoptr(GArray) old = ranges_new(), new = NULL;

        flat_view_collect(shared->view, window->start, window->length, false, old);
        new = resolve_window(shared, window, old, &mark);
        view_difference_add(&shared->difference, old, new);
        changed |= edit_window(&edit, old, new);
        update_eventfds(shared, window, new);
    }
    g_array_set_size(shared->marked, 0);
    if (changed) {
        shared->replaced = shared->view;
        shared->view = flat_edit_commit(&edit, shared->replaced);
    }
}
