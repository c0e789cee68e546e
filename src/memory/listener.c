/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Telling listeners. A section that a listener refused is remembered with it, so that it never
 * hears of the end of what it never took.
 */
#include "memory/listener.h"
#include "memory/topology.h"

#include <assert.h>

static struct listener_section make_section(const struct flat_range *range)
{
    return (struct listener_section){
        .region = range->region,
        .start = range->start,
        .length = range->length,
        .region_offset = range->region_offset,
        .read_only = range->read_only,
        .rom_mode = range->rom_mode,
        .dirty_clients = range->dirty_clients,
    };
}

static void begin(struct memory_listener *listener)
{
    if (listener->begin) {
        listener->begin(listener);
    }
}

static void commit(struct memory_listener *listener)
{
    if (listener->commit) {
        listener->commit(listener);
    }
}

/* Sections don't overlap, so the start names a section. */
static bool was_refused(const struct memory_listener *listener, gpa_t start)
{
    return listener->refused && g_hash_table_contains(listener->refused, &start);
}

static void remember_refused(struct memory_listener *listener, gpa_t start)
{
    if (!listener->refused) {
        listener->refused = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    }
    g_hash_table_add(listener->refused, g_memdup2(&start, sizeof(start)));
}

static void fail(struct memory_listener *listener, const struct listener_section *section,
                 GError *error)
{
    if (listener->failed) {
        listener->failed(listener, section, error);
    }
    g_clear_error(&error);
}

static void add_section(struct memory_listener *listener, const struct flat_range *range)
{
    struct listener_section section = make_section(range);
    GError *error = NULL;

    if (listener->section_add && !listener->section_add(listener, &section, &error)) {
        remember_refused(listener, range->start);
        fail(listener, &section, error);
    }
}

static void remove_section(struct memory_listener *listener, const struct flat_range *range)
{
    struct listener_section section = make_section(range);

    if (was_refused(listener, range->start)) {
        g_hash_table_remove(listener->refused, &range->start);
    } else if (listener->section_remove) {
        listener->section_remove(listener, &section);
    }
}

static void change_log(struct memory_listener *listener, const struct flat_range *range,
                       uint32_t old_clients)
{
    struct listener_section section = make_section(range);

    if (listener->log_changed && !was_refused(listener, range->start)) {
        listener->log_changed(listener, &section, old_clients, range->dirty_clients);
    }
}

/* The refused descriptors of a listener, by their sections. */
static guint eventfd_hash(gconstpointer key)
{
    const struct ioeventfd_section *section = key;

    return (guint)(section->address ^ section->value ^ (uint64_t)section->fd << 16);
}

static gboolean eventfd_equal(gconstpointer a, gconstpointer b)
{
    return ioeventfd_compare(a, b, NULL) == 0;
}

static void add_eventfd(struct memory_listener *listener, const struct ioeventfd_section *section)
{
    GError *error = NULL;

    if (!listener->ioeventfd_add || listener->ioeventfd_add(listener, section, &error)) {
        return;
    }
    if (!listener->refused_eventfds) {
        listener->refused_eventfds =
            g_hash_table_new_full(eventfd_hash, eventfd_equal, g_free, NULL);
    }
    g_hash_table_add(listener->refused_eventfds, g_memdup2(section, sizeof(*section)));
    fail(listener, NULL, error);
}

static void remove_eventfd(struct memory_listener *listener,
                           const struct ioeventfd_section *section)
{
    if (listener->refused_eventfds && g_hash_table_remove(listener->refused_eventfds, section)) {
        return;
    }
    if (listener->ioeventfd_remove) {
        listener->ioeventfd_remove(listener, section);
    }
}

#define RANGE_AT(ranges, i)     (&g_array_index(ranges, struct flat_range, i))
#define EVENTFD_AT(eventfds, i) (&g_array_index(eventfds, struct ioeventfd_section, i))

static void notify_removals(GPtrArray *listeners, const struct view_difference *difference)
{
    for (unsigned l = listeners->len; l-- > 0;) {
        struct memory_listener *listener = listeners->pdata[l];

        for (unsigned i = 0; i < difference->eventfds_removed->len; i++) {
            remove_eventfd(listener, EVENTFD_AT(difference->eventfds_removed, i));
        }
        for (unsigned i = 0; i < difference->removed->len; i++) {
            remove_section(listener, RANGE_AT(difference->removed, i));
        }
    }
}

static void notify_additions(GPtrArray *listeners, const struct view_difference *difference)
{
    for (unsigned l = 0; l < listeners->len; l++) {
        struct memory_listener *listener = listeners->pdata[l];

        for (unsigned i = 0; i < difference->added->len; i++) {
            add_section(listener, RANGE_AT(difference->added, i));
        }
        for (unsigned i = 0; i < difference->log_changed->len; i++) {
            change_log(listener, RANGE_AT(difference->log_changed, i),
                       g_array_index(difference->log_old, uint32_t, i));
        }
        for (unsigned i = 0; i < difference->eventfds_added->len; i++) {
            add_eventfd(listener, EVENTFD_AT(difference->eventfds_added, i));
        }
    }
}

void address_space_notify(struct address_space *as, const struct view_difference *difference)
{
    GPtrArray *listeners = as->listeners;

    if (!listeners->len || view_difference_is_empty(difference)) {
        return;
    }
    for (unsigned l = 0; l < listeners->len; l++) {
        begin(listeners->pdata[l]);
    }
    notify_removals(listeners, difference);
    notify_additions(listeners, difference);
    for (unsigned l = 0; l < listeners->len; l++) {
        commit(listeners->pdata[l]);
    }
}

void address_space_sync_dirty_log(struct address_space *as)
{
    GPtrArray *listeners = as->listeners;

    memory_topology_begin();
    for (unsigned l = 0; l < listeners->len; l++) {
        struct memory_listener *listener = listeners->pdata[l];

        if (listener->log_sync) {
            listener->log_sync(listener);
        }
    }
    memory_topology_commit();
}

/* ---- Registration ---- */

/* Take back the first `ranges` sections and `eventfds` descriptors, the last first. */
static void undo(struct memory_listener *listener, const GArray *ranges, unsigned range_count,
                 const GArray *eventfds, unsigned eventfd_count)
{
    while (eventfd_count-- > 0) {
        remove_eventfd(listener, EVENTFD_AT(eventfds, eventfd_count));
    }
    while (range_count-- > 0) {
        remove_section(listener, RANGE_AT(ranges, range_count));
    }
}

static bool replay(struct memory_listener *listener, const GArray *ranges, const GArray *eventfds,
                   GError **error)
{
    for (unsigned i = 0; i < ranges->len && listener->section_add; i++) {
        struct listener_section section = make_section(RANGE_AT(ranges, i));

        if (!listener->section_add(listener, &section, error)) {
            undo(listener, ranges, i, eventfds, 0);
            return false;
        }
    }
    for (unsigned i = 0; i < eventfds->len && listener->ioeventfd_add; i++) {
        if (!listener->ioeventfd_add(listener, EVENTFD_AT(eventfds, i), error)) {
            undo(listener, ranges, ranges->len, eventfds, i);
            return false;
        }
    }
    return true;
}

static void insert_by_priority(GPtrArray *listeners, struct memory_listener *listener)
{
    unsigned at = 0;

    while (at < listeners->len &&
           ((struct memory_listener *)listeners->pdata[at])->priority <= listener->priority) {
        at++;
    }
    g_ptr_array_insert(listeners, (gint)at, listener);
}

bool memory_listener_register(struct memory_listener *listener, struct address_space *as,
                              GError **error)
{
    g_autoptr(GArray) ranges = NULL, eventfds = NULL;
    bool ok;

    assert(!listener->as);
    memory_topology_begin();
    topology_flush();
    topology_set_notifying(true);
    /* What is published: no change can come between the replay and the first difference. */
    ranges = flat_view_list(as->view);
    eventfds = shared_view_list_eventfds(space_links(as)->shared);
    listener->as = as;
    listener->refused = listener->refused_eventfds = NULL;
    begin(listener);
    ok = replay(listener, ranges, eventfds, error);
    commit(listener);
    if (ok) {
        insert_by_priority(as->listeners, listener);
    } else {
        listener->as = NULL;
    }
    topology_set_notifying(false);
    memory_topology_commit();
    return ok;
}

void memory_listener_unregister(struct memory_listener *listener)
{
    struct address_space *as = listener->as;
    g_autoptr(GArray) ranges = NULL, eventfds = NULL;

    if (!as) {
        return;
    }
    memory_topology_begin();
    topology_flush();
    topology_set_notifying(true);
    ranges = flat_view_list(as->view);
    eventfds = shared_view_list_eventfds(space_links(as)->shared);
    begin(listener);
    undo(listener, ranges, ranges->len, eventfds, eventfds->len);
    commit(listener);
    g_ptr_array_remove(as->listeners, listener);
    listener->as = NULL;
    g_clear_pointer(&listener->refused, g_hash_table_destroy);
    g_clear_pointer(&listener->refused_eventfds, g_hash_table_destroy);
    topology_set_notifying(false);
    memory_topology_commit();
}
