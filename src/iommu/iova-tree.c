/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Leaves hold the mappings and are chained, inner nodes hold the lowest IOVA of each child. A leaf
 * that overflows is halved, but at the tree's upper end it is left full, since replay inserts in
 * ascending order. A node that has become sparse is joined with a neighbour that has room.
 */
#include "iommu/iova-tree.h"
#include "util/hot-path.h"

#include <string.h>

#define LEAF_MAX   62
#define INNER_MAX  64
#define SPARSE(n)  ((n) / 4)
#define LEVELS_MAX 16 /* more than 2^64 mappings could fill */

struct slot {
    iova_t iova;
    uint64_t length_access; /* length, a multiple of 4, and enum iommu_access in the low bits */
    gpa_t translated;
};

struct iova_leaf {
    struct iova_leaf *next, *previous;
    unsigned count;
    struct slot slots[LEAF_MAX];
};

struct inner {
    unsigned count;
    iova_t lowest[INNER_MAX]; /* no mapping below child i + 1 is at or above lowest[i + 1] */
    void *children[INNER_MAX];
};

struct iova_tree {
    void *root;             /* a leaf if height is 0 */
    struct iova_leaf *last; /* the upper end, where replay appends */
    unsigned height;        /* levels of inner nodes */
    uint64_t count, leaves, inners;
};

/* The way from the root to a leaf. */
struct path {
    struct inner *nodes[LEVELS_MAX];
    unsigned indexes[LEVELS_MAX];
    struct iova_leaf *leaf;
};

static struct iova_leaf *leaf_new(struct iova_tree *tree)
{
    tree->leaves++;
    return g_new0(struct iova_leaf, 1);
}

struct iova_tree *iova_tree_new(void)
{
    struct iova_tree *tree = g_new0(struct iova_tree, 1);

    tree->root = tree->last = leaf_new(tree);
    return tree;
}

static void free_nodes(void *node, unsigned height)
{
    if (height) {
        struct inner *inner = node;

        for (unsigned i = 0; i < inner->count; i++) {
            free_nodes(inner->children[i], height - 1);
        }
    }
    g_free(node);
}

void iova_tree_free(struct iova_tree *tree)
{
    if (tree) {
        free_nodes(tree->root, tree->height);
        g_free(tree);
    }
}

void iova_tree_clear(struct iova_tree *tree)
{
    free_nodes(tree->root, tree->height);
    *tree = (struct iova_tree){0};
    tree->root = tree->last = leaf_new(tree);
}

uint64_t iova_tree_count(const struct iova_tree *tree)
{
    return tree->count;
}

uint64_t iova_tree_bytes(const struct iova_tree *tree)
{
    return tree->leaves * sizeof(struct iova_leaf) + tree->inners * sizeof(struct inner);
}

static uint64_t slot_length(const struct slot *slot)
{
    return slot->length_access & ~UINT64_C(3);
}

/* The first slot that starts above iova. */
static unsigned leaf_upper_bound(const struct iova_leaf *leaf, iova_t iova)
{
    unsigned low = 0, high = leaf->count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (leaf->slots[middle].iova <= iova) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The child in which iova belongs. */
static unsigned inner_find(const struct inner *inner, iova_t iova)
{
    unsigned low = 1, high = inner->count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (inner->lowest[middle] <= iova) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low - 1;
}

HOT_PATH static void descend(const struct iova_tree *tree, iova_t iova, struct path *path)
{
    void *node = tree->root;

    for (unsigned level = 0; level < tree->height; level++) {
        struct inner *inner = node;

        path->nodes[level] = inner;
        path->indexes[level] = inner_find(inner, iova);
        node = inner->children[path->indexes[level]];
    }
    path->leaf = node;
}

/* The last slot before the cursor; false if there is none. A leaf can be empty. */
static bool step_back(struct iova_cursor *cursor)
{
    while (cursor->index == 0) {
        if (!cursor->leaf->previous) {
            return false;
        }
        *cursor = (struct iova_cursor){cursor->leaf->previous, cursor->leaf->previous->count};
    }
    cursor->index--;
    return true;
}

HOT_PATH static void skip_leaf_ends(struct iova_cursor *cursor)
{
    while (cursor->leaf && cursor->index >= cursor->leaf->count) {
        *cursor = (struct iova_cursor){cursor->leaf->next, 0};
    }
}

HOT_PATH struct iova_cursor iova_tree_find(const struct iova_tree *tree, iova_t iova)
{
    struct path path;
    struct iova_cursor cursor, below;

    descend(tree, iova, &path);
    cursor = (struct iova_cursor){path.leaf, leaf_upper_bound(path.leaf, iova)};
    below = cursor;
    if (step_back(&below)) {
        const struct slot *slot = &below.leaf->slots[below.index];

        if (iova - slot->iova < slot_length(slot)) {
            return below;
        }
    }
    skip_leaf_ends(&cursor);
    return cursor;
}

HOT_PATH bool iova_cursor_get(const struct iova_cursor *cursor, struct iommu_mapping *mapping)
{
    const struct slot *slot;

    if (!cursor->leaf) {
        return false;
    }
    slot = &cursor->leaf->slots[cursor->index];
    *mapping = (struct iommu_mapping){slot->iova, slot_length(slot), slot->translated,
                                      slot->length_access & 3};
    return true;
}

HOT_PATH void iova_cursor_next(struct iova_cursor *cursor)
{
    cursor->index++;
    skip_leaf_ends(cursor);
}

static bool overlaps(const struct iova_tree *tree, const struct iommu_mapping *mapping)
{
    struct iova_cursor cursor = iova_tree_find(tree, mapping->iova);
    struct iommu_mapping next;

    return iova_cursor_get(&cursor, &next) &&
           range_overlaps(iommu_mapping_range(&next), iommu_mapping_range(mapping));
}

/* Put a child behind child `index` of an inner node that has room. */
static void inner_insert(struct inner *inner, unsigned index, iova_t lowest, void *child)
{
    unsigned after = inner->count - ++index;

    memmove(&inner->lowest[index + 1], &inner->lowest[index], after * sizeof(inner->lowest[0]));
    memmove(&inner->children[index + 1], &inner->children[index],
            after * sizeof(inner->children[0]));
    inner->lowest[index] = lowest;
    inner->children[index] = child;
    inner->count++;
}

static void grow(struct iova_tree *tree, iova_t lowest, void *right)
{
    struct inner *root = g_new0(struct inner, 1);

    tree->inners++;
    root->count = 2;
    root->children[0] = tree->root;
    root->children[1] = right;
    root->lowest[1] = lowest;
    tree->root = root;
    tree->height++;
}

/* Make `right`, whose lowest IOVA is given, a child beside the nodes of the path. */
static void add_child(struct iova_tree *tree, struct path *path, iova_t lowest, void *right)
{
    for (unsigned level = tree->height; level-- > 0;) {
        struct inner *inner = path->nodes[level], *new_inner;
        unsigned index = path->indexes[level], keep = INNER_MAX / 2;
        iova_t new_lowest;

        if (inner->count < INNER_MAX) {
            inner_insert(inner, index, lowest, right);
            return;
        }
        keep = index == INNER_MAX - 1 ? INNER_MAX - 1 : INNER_MAX / 2;
        new_inner = g_new0(struct inner, 1);
        tree->inners++;
        new_inner->count = inner->count - keep;
        memcpy(new_inner->lowest, &inner->lowest[keep],
               new_inner->count * sizeof(inner->lowest[0]));
        memcpy(new_inner->children, &inner->children[keep],
               new_inner->count * sizeof(inner->children[0]));
        new_lowest = new_inner->lowest[0];
        inner->count = keep;
        if (index < keep) {
            inner_insert(inner, index, lowest, right);
        } else {
            inner_insert(new_inner, index - keep, lowest, right);
        }
        lowest = new_lowest;
        right = new_inner;
    }
    grow(tree, lowest, right);
}

/* Split a full leaf; returns the one that slot `index` of the old one now belongs into. */
static struct iova_leaf *split_leaf(struct iova_tree *tree, struct path *path, unsigned *index,
                                    iova_t iova)
{
    struct iova_leaf *leaf = path->leaf, *right = leaf_new(tree);
    bool append = *index == LEAF_MAX && !leaf->next;
    unsigned keep = append ? LEAF_MAX : LEAF_MAX / 2;

    right->count = LEAF_MAX - keep;
    memcpy(right->slots, &leaf->slots[keep], right->count * sizeof(leaf->slots[0]));
    leaf->count = keep;
    right->previous = leaf;
    right->next = leaf->next;
    if (right->next) {
        right->next->previous = right;
    }
    tree->last = right->next ? tree->last : right;
    leaf->next = right;
    add_child(tree, path, append ? iova : right->slots[0].iova, right);
    if (*index < keep || (*index == keep && !append)) {
        return leaf;
    }
    *index -= keep;
    return right;
}

HOT_PATH static void leaf_insert(struct iova_tree *tree, struct iova_leaf *leaf, unsigned index,
                                 const struct iommu_mapping *mapping)
{
    if (index < leaf->count) {
        memmove(&leaf->slots[index + 1], &leaf->slots[index],
                (leaf->count - index) * sizeof(leaf->slots[0]));
    }
    leaf->slots[index] =
        (struct slot){mapping->iova, mapping->length | mapping->access, mapping->translated};
    leaf->count++;
    tree->count++;
}

/* Does it come after all others, and into a leaf that has room? */
static bool is_append(const struct iova_tree *tree, const struct iommu_mapping *mapping)
{
    const struct iova_leaf *leaf = tree->last;
    const struct slot *slot;

    if (!leaf->count || leaf->count == LEAF_MAX) {
        return false;
    }
    slot = &leaf->slots[leaf->count - 1];
    return mapping->iova > slot->iova && mapping->iova - slot->iova >= slot_length(slot);
}

HOT_PATH bool iova_tree_insert(struct iova_tree *tree, const struct iommu_mapping *mapping)
{
    struct path path;
    struct iova_leaf *leaf;
    unsigned index;

    if (is_append(tree, mapping)) {
        leaf_insert(tree, tree->last, tree->last->count, mapping);
        return true;
    }
    if (overlaps(tree, mapping)) {
        return false;
    }
    descend(tree, mapping->iova, &path);
    leaf = path.leaf;
    index = leaf_upper_bound(leaf, mapping->iova);
    if (leaf->count == LEAF_MAX) {
        leaf = split_leaf(tree, &path, &index, mapping->iova);
    }
    leaf_insert(tree, leaf, index, mapping);
    return true;
}

/* Take child `index` out of the path's node at `level`. */
static void remove_child(struct iova_tree *tree, struct path *path, unsigned level, unsigned index)
{
    struct inner *inner = path->nodes[level];
    unsigned after = --inner->count - index;

    memmove(&inner->lowest[index], &inner->lowest[index + 1], after * sizeof(inner->lowest[0]));
    memmove(&inner->children[index], &inner->children[index + 1],
            after * sizeof(inner->children[0]));
    if (level == 0 && inner->count == 1) {
        tree->root = inner->children[0];
        tree->height--;
        tree->inners--;
        g_free(inner);
    }
}

/* Append the right one of two neighbouring leaves to the left one, if it fits. */
static bool join_leaves(struct iova_tree *tree, struct iova_leaf *left, struct iova_leaf *right)
{
    if (left->count + right->count > LEAF_MAX) {
        return false;
    }
    memcpy(&left->slots[left->count], right->slots, right->count * sizeof(right->slots[0]));
    left->count += right->count;
    left->next = right->next;
    if (left->next) {
        left->next->previous = left;
    } else {
        tree->last = left;
    }
    tree->leaves--;
    g_free(right);
    return true;
}

static bool join_inners(struct iova_tree *tree, struct inner *left, struct inner *right,
                        iova_t lowest)
{
    if (left->count + right->count > INNER_MAX) {
        return false;
    }
    right->lowest[0] = lowest;
    memcpy(&left->lowest[left->count], right->lowest, right->count * sizeof(right->lowest[0]));
    memcpy(&left->children[left->count], right->children,
           right->count * sizeof(right->children[0]));
    left->count += right->count;
    tree->inners--;
    g_free(right);
    return true;
}

/* Join the child that the path takes at `level` with a neighbour. False: there is no room. */
static bool join_child(struct iova_tree *tree, struct path *path, unsigned level)
{
    struct inner *inner = path->nodes[level];
    unsigned index = path->indexes[level];
    unsigned left = index ? index - 1 : 0;
    bool joined;

    if (inner->count < 2) {
        return false;
    }
    if (level + 1 == tree->height) {
        joined = join_leaves(tree, inner->children[left], inner->children[left + 1]);
    } else {
        joined = join_inners(tree, inner->children[left], inner->children[left + 1],
                             inner->lowest[left + 1]);
    }
    if (joined) {
        remove_child(tree, path, level, left + 1);
    }
    return joined;
}

HOT_PATH bool iova_tree_remove(struct iova_tree *tree, iova_t iova)
{
    struct path path;
    struct iova_leaf *leaf;
    unsigned index, height = tree->height;

    descend(tree, iova, &path);
    leaf = path.leaf;
    index = leaf_upper_bound(leaf, iova);
    if (!index || leaf->slots[index - 1].iova != iova) {
        return false;
    }
    if (index < leaf->count) {
        memmove(&leaf->slots[index - 1], &leaf->slots[index],
                (leaf->count - index) * sizeof(leaf->slots[0]));
    }
    leaf->count--;
    tree->count--;
    if (leaf->count > SPARSE(LEAF_MAX)) {
        return true;
    }
    for (unsigned level = height; level-- > 0;) {
        if (!join_child(tree, &path, level) ||
            (level && path.nodes[level]->count > SPARSE(INNER_MAX))) {
            break;
        }
    }
    return true;
}
