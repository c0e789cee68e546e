/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memory/topology.h"

#include <assert.h>
#include <pthread.h>

/*
 * Transactions are process-wide: a region does not say to which machine it belongs, and an edit may
 * reach several address spaces.
 */
struct topology {
    pthread_mutex_t lock;
    unsigned depth;      /* of nested transactions */
    bool is_notifying;   /* listeners run: no edits */
    uint64_t sequence;   /* of the last subregion added */
    uint64_t generation; /* of the last view published, or made */
    GPtrArray *views;    /* struct shared_view with marks */
    GPtrArray *spaces;   /* struct address_space with check_root */
    uint64_t published;  /* commits that replaced a view; atomic */
    uint64_t passed;     /* readers from before this one of them are done; atomic */
};

static struct topology topology = {.lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP};

void memory_topology_begin(void)
{
    pthread_mutex_lock(&topology.lock);
    assert(!topology.is_notifying);
    if (topology.depth++ == 0 && !topology.views) {
        topology.views = g_ptr_array_new();
        topology.spaces = g_ptr_array_new();
    }
}

uint64_t topology_next_sequence(void)
{
    return ++topology.sequence;
}

void topology_wait_for_readers(void)
{
    uint64_t published, passed;

    /* A reader may wait for the topology lock, in a callback that moves a BAR. */
    assert(!memory_rcu_is_reading());
    published = __atomic_load_n(&topology.published, __ATOMIC_ACQUIRE);
    passed = __atomic_load_n(&topology.passed, __ATOMIC_ACQUIRE);
    if (passed >= published) {
        return;
    }
    memory_rcu_synchronize();
    while (passed < published &&
           !__atomic_compare_exchange_n(&topology.passed, &passed, published, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
    }
}

/* ---- Marks ---- */

static void mark_view(struct shared_view *shared, struct range range)
{
    if (!shared->marked->len) {
        g_ptr_array_add(topology.views, shared);
    }
    g_array_append_val(shared->marked, range);
}

static void queue_check_root(struct address_space *as)
{
    if (!space_links(as)->check_root) {
        space_links(as)->check_root = true;
        g_ptr_array_add(topology.spaces, as);
    }
}

static void mark(struct memory_region *region, struct range range, unsigned depth)
{
    struct region_links *links = region_links(region);

    range = range_intersect(range, (struct range){0, region->size});
    if (!region->enabled || !range.length || depth > TOPOLOGY_DEPTH_MAX) {
        return;
    }
    if (links->view) {
        mark_view(links->view, range);
    }
    for (struct address_space *as = links->first_space; as; as = space_links(as)->next_space) {
        queue_check_root(as);
    }
    if (region->container && region->offset < region->container->size) {
        mark(region->container, (struct range){region->offset + range.start, range.length},
             depth + 1);
    }
    for (struct memory_region *alias = links->aliases; alias;
         alias = region_links(alias)->next_alias) {
        struct range window = {alias->alias_offset,
                               MIN(alias->size, UINT64_MAX - alias->alias_offset)};

        window = range_intersect(window, range);
        window.start -= alias->alias_offset;
        if (window.length) {
            mark(alias, window, depth + 1);
        }
    }
}

void topology_mark(struct memory_region *region, uint64_t offset, uint64_t length)
{
    mark(region, (struct range){offset, length}, 0);
}

/* ---- Address spaces and the views that they show ---- */

/* The region whose view is what this one shows: the end of a way of single subregions and aliases
 * that pass on all of what lies behind. One that is disabled is not on it: it marks nothing when it
 * goes. */
static struct memory_region *get_effective_root(struct memory_region *region)
{
    for (unsigned depth = 0; depth < TOPOLOGY_DEPTH_MAX; depth++) {
        const struct subregion_node *only = region->subregions;
        struct memory_region *next = NULL;

        if (!region->enabled || region->read_only) {
            break;
        }
        if (region->kind == MEMORY_ALIAS && region->alias_offset == 0) {
            next = region->alias;
        } else if (region->kind == MEMORY_CONTAINER && only && !only->left && !only->right &&
                   only->region->offset == 0) {
            next = only->region;
        }
        if (!next || !next->enabled || next->size > region->size) {
            break;
        }
        region = next;
    }
    return region;
}

static struct shared_view *get_shared_view(struct memory_region *root)
{
    struct region_links *links = region_links(root);

    if (!links->view) {
        links->view = shared_view_new(root);
        mark_view(links->view, (struct range){0, root->size});
    }
    return links->view;
}

static void join_view(struct address_space *as, struct memory_region *root)
{
    space_links(as)->shared = get_shared_view(root);
    g_ptr_array_add(space_links(as)->shared->spaces, as);
}

/* Leave a view, which stays until the commit even if nobody shows it any more. */
static void leave_view(struct address_space *as)
{
    struct shared_view *shared = space_links(as)->shared;

    g_ptr_array_remove_fast(shared->spaces, as);
    if (!shared->spaces->len) {
        /* The commit looks at marked views only. */
        mark_view(shared, (struct range){0, 1});
    }
    space_links(as)->shared = NULL;
}

static void publish(struct address_space *as)
{
    struct flat_view *view = space_links(as)->shared->view;

    if (as->view != view) {
        /* In this order: who sees the new generation sees the new view. */
        __atomic_store_n(&as->view, view, __ATOMIC_RELEASE);
        __atomic_store_n(&as->generation, ++topology.generation, __ATOMIC_RELEASE);
    }
}

void topology_attach(struct address_space *as)
{
    struct region_links *root = region_links(as->root);

    space_links(as)->next_space = root->first_space;
    root->first_space = as;
    join_view(as, get_effective_root(as->root));
    publish(as);
}

void topology_detach(struct address_space *as)
{
    struct address_space **link = &region_links(as->root)->first_space;

    while (*link != as) {
        link = &space_links(*link)->next_space;
    }
    *link = space_links(as)->next_space;
    if (space_links(as)->check_root) {
        g_ptr_array_remove_fast(topology.spaces, as);
    }
    leave_view(as);
}

/* ---- Commit ---- */

/* Let address spaces whose root passes on another region now show that one's view. */
static void move_spaces(void)
{
    for (unsigned i = 0; i < topology.spaces->len; i++) {
        struct address_space *as = topology.spaces->pdata[i];
        struct space_links *links = space_links(as);
        struct memory_region *root = get_effective_root(as->root);

        links->check_root = false;
        if (root != links->shared->root) {
            links->moved = true;
            links->eventfds_before = shared_view_list_eventfds(links->shared);
            leave_view(as);
            join_view(as, root);
        }
    }
}

/* as->view is still the view before. */
static void make_moved_difference(const struct address_space *as, const struct flat_view *before,
                                  struct view_difference *difference)
{
    const struct space_links *links = space_links(as);
    g_autoptr(GArray) old = flat_view_list(before);
    g_autoptr(GArray) new = flat_view_list(links->shared->view);
    g_autoptr(GArray) eventfds = shared_view_list_eventfds(links->shared);

    view_difference_init(difference);
    view_difference_add(difference, old, new);
    view_difference_add_eventfds(difference, links->eventfds_before, eventfds);
}

static void notify_moved(struct address_space *as, const struct view_difference *difference)
{
    struct space_links *links = space_links(as);

    address_space_notify(as, difference);
    links->moved = false;
    g_clear_pointer(&links->eventfds_before, g_array_unref);
}

static void publish_and_notify(void)
{
    g_autoptr(GPtrArray) moved = g_ptr_array_new();
    g_autofree struct view_difference *differences =
        g_new(struct view_difference, topology.spaces->len + 1);

    for (unsigned i = 0; i < topology.spaces->len; i++) {
        struct address_space *as = topology.spaces->pdata[i];

        if (space_links(as)->moved) {
            make_moved_difference(as, as->view, &differences[moved->len]);
            g_ptr_array_add(moved, as);
            publish(as);
        }
    }
    for (unsigned i = 0; i < topology.views->len; i++) {
        struct shared_view *shared = topology.views->pdata[i];

        for (unsigned s = 0; s < shared->spaces->len; s++) {
            publish(shared->spaces->pdata[s]);
        }
    }
    topology.is_notifying = true;
    for (unsigned i = 0; i < topology.views->len; i++) {
        struct shared_view *shared = topology.views->pdata[i];

        for (unsigned s = 0; s < shared->spaces->len; s++) {
            struct address_space *as = shared->spaces->pdata[s];

            if (!space_links(as)->moved) {
                address_space_notify(as, &shared->difference);
            }
        }
    }
    for (unsigned i = 0; i < moved->len; i++) {
        notify_moved(moved->pdata[i], &differences[i]);
        view_difference_clear(&differences[i]);
    }
    topology.is_notifying = false;
}

static void retire_views(void)
{
    for (unsigned i = 0; i < topology.views->len; i++) {
        struct shared_view *shared = topology.views->pdata[i];

        if (shared->replaced) {
            flat_view_retire(shared->replaced, false);
            shared->replaced = NULL;
        }
        if (!shared->spaces->len) {
            region_links(shared->root)->view = NULL;
            shared_view_free(shared);
        }
    }
}

static void commit(void)
{
    move_spaces();
    for (unsigned i = 0; i < topology.views->len; i++) {
        shared_view_update(topology.views->pdata[i], ++topology.generation);
    }
    publish_and_notify();
    __atomic_fetch_add(&topology.published, 1, __ATOMIC_ACQ_REL);
    retire_views();
    g_ptr_array_set_size(topology.views, 0);
    g_ptr_array_set_size(topology.spaces, 0);
}

void topology_flush(void)
{
    if (topology.views->len || topology.spaces->len) {
        commit();
    }
}

void topology_set_notifying(bool is_notifying)
{
    topology.is_notifying = is_notifying;
}

void memory_topology_commit(void)
{
    assert(topology.depth);
    if (topology.depth == 1) {
        topology_flush();
    }
    topology.depth--;
    pthread_mutex_unlock(&topology.lock);
}
