/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A flat view: which region answers which addresses, as sorted ranges that don't overlap, with
 * holes between them. It is a B+-tree that is never changed once published: an edit copies the
 * nodes on its way and shares all others with the view before, so that it costs O(log n + what it
 * replaces), and readers walk without locks.
 */
#ifndef DUODM_MEMORY_FLAT_VIEW_H
#define DUODM_MEMORY_FLAT_VIEW_H

#include "memory/rcu.h"
#include "memory/region.h"

/* A run of addresses that one region answers in one way. */
struct flat_range {
    gpa_t start;
    uint64_t length; /* bytes, > 0 */
    struct memory_region *region;
    uint64_t region_offset; /* of start, in region */
    uint8_t *host;          /* of start; NULL: accesses are callbacks, or go through windows */
    uint32_t dirty_clients; /* mask of 1 << enum dirty_client */
    bool read_only;
    bool rom_mode;
    /* Of the region, here to spare the hot path a look at it. */
    bool is_iommu;
    bool is_windowed; /* RAM seen through windows: ram-windows.h */
};

/* Nodes are aligned to cache lines, and searched by lines of keys: see node_find. */
#define FLAT_LINE   64
#define FLAT_KEYS   8 /* keys in a line */
#define FLAT_FANOUT 32

struct flat_node {
    uint32_t count;                               /* entries used */
    uint32_t level;                               /* 0: leaf */
    uint64_t pivots[FLAT_FANOUT / FLAT_KEYS - 1]; /* first keys of the lines but the first */
    uint64_t edit;             /* number of the edit that made it: it may still change it */
    struct flat_node *retired; /* next in a list of nodes to free */
    uint64_t starts[FLAT_FANOUT] __attribute__((aligned(FLAT_LINE))); /* unused: UINT64_MAX */
    union {
        struct flat_node *children[FLAT_FANOUT]; /* starts[i] is the first start below */
        struct flat_range ranges[FLAT_FANOUT];
    };
};

struct flat_view {
    struct flat_node *root; /* NULL: empty */
    /* What this view has and its successor doesn't; freed with it. */
    struct flat_node *retired;
    bool is_last; /* no successor shares nodes: free all */
    struct rcu_head rcu;
};

/* The range that holds address, or NULL and in *hole_length the bytes to the next range (to the
 * end of addresses, 2^64 - 1 at most). */
const struct flat_range *flat_view_find(const struct flat_view *view, gpa_t address,
                                        uint64_t *hole_length);

/* Append copies of all ranges that overlap [start, start + length), whole, in order. With touching
 * also those that end at start or begin at start + length. */
void flat_view_collect(const struct flat_view *view, gpa_t start, uint64_t length, bool touching,
                       GArray *out);

/* An edit makes a successor of a view. Single-threaded; the view itself is left alone. */
struct flat_edit {
    uint64_t number;           /* marks nodes that are new in this edit */
    struct flat_node *root;    /* of the successor so far */
    struct flat_node *retired; /* nodes of the view that the successor lacks */
};

struct flat_view *flat_view_new_empty(void); /* in which nothing answers */
/* number: another one than of all edits before. */
void flat_edit_begin(struct flat_edit *edit, const struct flat_view *view, uint64_t number);
/* Drop all ranges that start in first..last, put these in their place (sorted, starting there). */
void flat_edit_replace(struct flat_edit *edit, gpa_t first, gpa_t last,
                       const struct flat_range *ranges, size_t count);
/* The successor. The view gets what only it needs; free it with flat_view_retire once replaced. */
struct flat_view *flat_edit_commit(struct flat_edit *edit, struct flat_view *view);

/* Free after the present readers: the view alone, or (is_last) with all that it holds. */
void flat_view_retire(struct flat_view *view, bool is_last);

/* Does b go on where a ends, in the same way? */
static inline bool flat_range_continues(const struct flat_range *a, const struct flat_range *b)
{
    return a->region == b->region && b->start == a->start + a->length &&
           b->region_offset == a->region_offset + a->length && a->read_only == b->read_only &&
           a->rom_mode == b->rom_mode && a->dirty_clients == b->dirty_clients;
}

/* Same addresses, same answer; only who logs may differ. */
static inline bool flat_range_same_section(const struct flat_range *a, const struct flat_range *b)
{
    return a->start == b->start && a->length == b->length && a->region == b->region &&
           a->region_offset == b->region_offset && a->read_only == b->read_only &&
           a->rom_mode == b->rom_mode && a->host == b->host;
}

/* The part of a range from `start` on, `length` bytes, which must lie inside. */
static inline struct flat_range flat_range_cut(const struct flat_range *range, gpa_t start,
                                               uint64_t length)
{
    struct flat_range part = *range;
    uint64_t skip = start - range->start;

    part.start = start;
    part.length = length;
    part.region_offset += skip;
    if (part.host) {
        part.host += skip;
    }
    return part;
}

/* Append a range, or lengthen the last one when it continues it. */
void flat_ranges_append(GArray *ranges, const struct flat_range *range);

#endif
