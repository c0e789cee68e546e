/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disjoint mappings, ordered by IOVA: a B+ tree, 24 bytes for a mapping, so that ten million of
 * them are found in a few cache misses and held in a few hundred megabytes. Not thread-safe.
 */
#ifndef DUODM_IOMMU_IOVA_TREE_H
#define DUODM_IOMMU_IOVA_TREE_H

#include "iommu/mapping.h"

struct iova_leaf;
struct iova_tree;

/* A place in the tree; any change of the tree makes it invalid. */
struct iova_cursor {
    const struct iova_leaf *leaf; /* NULL: past the last */
    unsigned index;
};

struct iova_tree *iova_tree_new(void);
void iova_tree_free(struct iova_tree *tree); /* NULL is fine */
uint64_t iova_tree_count(const struct iova_tree *tree);
/* Bytes of host memory that the tree's nodes take. */
uint64_t iova_tree_bytes(const struct iova_tree *tree);

/* False, and nothing done, if it overlaps what is there. */
bool iova_tree_insert(struct iova_tree *tree, const struct iommu_mapping *mapping);
/* Remove the mapping that starts at iova; false if there is none. */
bool iova_tree_remove(struct iova_tree *tree, iova_t iova);
void iova_tree_clear(struct iova_tree *tree);

/* The first mapping that contains iova or lies above it. */
struct iova_cursor iova_tree_find(const struct iova_tree *tree, iova_t iova);
/* What is at the cursor; false past the last. */
bool iova_cursor_get(const struct iova_cursor *cursor, struct iommu_mapping *mapping);
void iova_cursor_next(struct iova_cursor *cursor);

#endif
