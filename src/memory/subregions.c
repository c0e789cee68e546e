/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memory/subregions.h"

#include <assert.h>

/* A number that looks random but is the same in each run (the finaliser of splitmix64). */
static uint64_t scramble(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static void update(struct subregion_node *node)
{
    node->max_last = node->last;
    if (node->left) {
        node->max_last = MAX(node->max_last, node->left->max_last);
    }
    if (node->right) {
        node->max_last = MAX(node->max_last, node->right->max_last);
    }
}

/* Order by offset; among equals by addition, which is unique. */
static bool comes_before(const struct subregion_node *a, const struct subregion_node *b)
{
    if (a->first != b->first) {
        return a->first < b->first;
    }
    return a->region->sequence < b->region->sequence;
}

/* Cut a tree into what comes before `at` and the rest. */
static void split(struct subregion_node *tree, const struct subregion_node *at,
                  struct subregion_node **left, struct subregion_node **right)
{
    if (!tree) {
        *left = *right = NULL;
    } else if (comes_before(tree, at)) {
        split(tree->right, at, &tree->right, right);
        *left = tree;
        update(tree);
    } else {
        split(tree->left, at, left, &tree->left);
        *right = tree;
        update(tree);
    }
}

static struct subregion_node *merge(struct subregion_node *left, struct subregion_node *right)
{
    if (!left || !right) {
        return left ? left : right;
    }
    if (left->weight > right->weight) {
        left->right = merge(left->right, right);
        update(left);
        return left;
    }
    right->left = merge(left, right->left);
    update(right);
    return right;
}

static void insert(struct subregion_node **tree, struct subregion_node *node)
{
    if (!*tree || node->weight > (*tree)->weight) {
        split(*tree, node, &node->left, &node->right);
        *tree = node;
    } else {
        insert(comes_before(node, *tree) ? &(*tree)->left : &(*tree)->right, node);
    }
    update(*tree);
}

static void take_out(struct subregion_node **tree, struct subregion_node *node)
{
    assert(*tree);
    if (*tree == node) {
        *tree = merge(node->left, node->right);
        return;
    }
    take_out(comes_before(node, *tree) ? &(*tree)->left : &(*tree)->right, node);
    update(*tree);
}

void subregions_insert(struct subregion_node **root, struct subregion_node *node,
                       struct memory_region *region)
{
    node->left = node->right = NULL;
    node->region = region;
    node->first = region->offset;
    node->last = region->size - 1 > UINT64_MAX - region->offset
                     ? UINT64_MAX
                     : region->offset + (region->size - 1);
    node->weight = scramble(region->sequence);
    insert(root, node);
}

void subregions_remove(struct subregion_node **root, struct subregion_node *node)
{
    take_out(root, node);
    node->left = node->right = NULL;
}

void subregions_collect(const struct subregion_node *root, uint64_t first, uint64_t last,
                        GPtrArray *out)
{
    if (!root || root->max_last < first) {
        return;
    }
    subregions_collect(root->left, first, last, out);
    if (root->first <= last) {
        if (root->last >= first) {
            g_ptr_array_add(out, root->region);
        }
        subregions_collect(root->right, first, last, out);
    }
}
