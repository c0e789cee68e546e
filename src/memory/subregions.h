/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The subregions of a container, in an order that finds those that overlap a range in O(log n +
 * what it finds): a treap by offset, in which each node knows the last byte below it.
 */
#ifndef DUODM_MEMORY_SUBREGIONS_H
#define DUODM_MEMORY_SUBREGIONS_H

#include "memory/region.h"

/* A subregion's place; part of its struct region_links. */
struct subregion_node {
    struct subregion_node *left, *right;
    struct memory_region *region;
    uint64_t first, last; /* bytes taken in the container; last is cut at 2^64 - 1 */
    uint64_t max_last;    /* largest last in this subtree */
    uint64_t weight;      /* heap order: not below the children's */
};

/* Put in or take out, by region->offset and size as they are now. */
void subregions_insert(struct subregion_node **root, struct subregion_node *node,
                       struct memory_region *region);
void subregions_remove(struct subregion_node **root, struct subregion_node *node);

/* Append (pointers to) all regions that have a byte in first..last, by offset. */
void subregions_collect(const struct subregion_node *root, uint64_t first, uint64_t last,
                        GPtrArray *out);

#endif
