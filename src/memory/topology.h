/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How edits of region trees become flat views. An edit marks the range that it touches, before and
 * after, in all views that show it; the outermost commit resolves only the marked ranges anew,
 * publishes, and tells listeners the difference.
 *
 * Address spaces that show the same thing share a view: a root that shows nothing but the whole of
 * another region (a bus master's window onto system memory) is passed through to that region.
 */
#ifndef DUODM_MEMORY_TOPOLOGY_H
#define DUODM_MEMORY_TOPOLOGY_H

#include "memory/flat-view.h"
#include "memory/ioeventfd.h"
#include "memory/listener.h"
#include "memory/subregions.h"

/* Containers within containers, aliases of aliases: beyond this depth nothing answers. */
#define TOPOLOGY_DEPTH_MAX 64

/* memory_region.topology: a region's places in trees. Under the topology lock. */
struct region_links {
    struct subregion_node node;    /* place in the container */
    struct memory_region *aliases; /* first of the aliases that show this region */
    struct memory_region *next_alias, *previous_alias; /* this alias among those of its target */
    struct shared_view *view;                          /* the view whose root this is, or NULL */
    struct address_space *first_space;                 /* the address spaces whose root this is */
};

/* What changed in a view, for its listeners: arrays of flat_range or ioeventfd_section. */
struct view_difference {
    GArray *removed, *added; /* struct flat_range */
    GArray *log_changed;     /* struct flat_range as it is now */
    GArray *log_old;         /* uint32_t, the mask before, for each of log_changed */
    GArray *eventfds_removed, *eventfds_added; /* struct ioeventfd_section */
};

/* A flat view and the address spaces that show it. Under the topology lock. */
struct shared_view {
    struct memory_region *root;
    struct flat_view *view;
    struct flat_view *replaced; /* during a commit: the view before, if it changed */
    GPtrArray *spaces;          /* struct address_space */
    GArray *marked;             /* struct range, to be resolved anew */
    GSequence *ioeventfds;      /* struct ioeventfd_section, as last told to listeners */
    struct view_difference difference;
};

/* address_space.links. */
struct space_links {
    struct shared_view *shared;
    struct address_space *next_space; /* with the same root */
    bool check_root;                  /* queued: the region that it shows may be another one now */
    bool moved;                       /* during a commit: shared is another one than before */
    GArray *eventfds_before;          /* of a moved one: struct ioeventfd_section */
    struct address_map *map;          /* address-map.c */
};

static inline struct region_links *region_links(const struct memory_region *region)
{
    return region->topology;
}

static inline struct space_links *space_links(const struct address_space *as)
{
    return as->links;
}

/* An edit changes what these bytes of region show: call before and after it, in a transaction. */
void topology_mark(struct memory_region *region, uint64_t offset, uint64_t length);

/* Next number of the order in which subregions are added. In a transaction. */
uint64_t topology_next_sequence(void);

/* Resolve and publish what the transaction has done up to now. In a transaction. */
void topology_flush(void);

/* While listeners run, edits are a programmer's error. In a transaction. */
void topology_set_notifying(bool is_notifying);

/* Wait until no reader looks at a view that an earlier commit replaced. Not in a transaction. */
void topology_wait_for_readers(void);

/* An address space comes and goes, in a transaction. */
void topology_attach(struct address_space *as);
void topology_detach(struct address_space *as);

/* render.c: append what [offset, offset + length) of region shows, at `start` on, to out (struct
 * flat_range, sorted, joined). */
void topology_render(struct memory_region *region, uint64_t offset, uint64_t length, gpa_t start,
                     GArray *out);

/* shared-view.c: resolve the marked ranges; fills difference, sets view and replaced if anything
 * changed. */
void shared_view_update(struct shared_view *shared, uint64_t edit_number);
struct shared_view *shared_view_new(struct memory_region *root);
void shared_view_free(struct shared_view *shared);
void view_difference_init(struct view_difference *difference);
void view_difference_clear(struct view_difference *difference);
/* Add the difference between two sorted lists, of flat_range and of ioeventfd_section. */
void view_difference_add(struct view_difference *difference, const GArray *before,
                         const GArray *after);
void view_difference_add_eventfds(struct view_difference *difference, const GArray *before,
                                  const GArray *after);
/* All ranges of a view, and all event descriptor sections of a shared view. Caller frees. */
GArray *flat_view_list(const struct flat_view *view);
GArray *shared_view_list_eventfds(const struct shared_view *shared);
bool view_difference_is_empty(const struct view_difference *difference);

/* listener.c: tell the listeners of an address space. */
void address_space_notify(struct address_space *as, const struct view_difference *difference);

#endif
