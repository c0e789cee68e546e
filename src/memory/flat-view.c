/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memory/flat-view.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define FLAT_MINIMUM (FLAT_FANOUT / 4) /* below this, a node is joined with a neighbour */

/* ---- Reading ---- */

/*
 * Index of the last start <= address; 0 if there is none. First which line of keys, by their first
 * keys, then which key of the line: no load waits for a comparison except the second step for the
 * first, and no branch depends on the data, so random addresses cost no mispredictions.
 */
static inline unsigned node_find(const struct flat_node *node, gpa_t address)
{
    unsigned line = 0, index;

    for (unsigned i = 0; i < G_N_ELEMENTS(node->pivots); i++) {
        line += node->pivots[i] <= address;
    }
    index = line * FLAT_KEYS;
    for (unsigned i = 1; i < FLAT_KEYS; i++) {
        index += node->starts[line * FLAT_KEYS + i] <= address;
    }
    return MIN(index, node->count - 1); /* UINT64_MAX finds unused keys */
}

const struct flat_range *flat_view_find(const struct flat_view *view, gpa_t address,
                                        uint64_t *hole_length)
{
    const struct flat_node *node = view->root;
    gpa_t next = 0; /* first start after address; 0: none */
    const struct flat_range *range;
    unsigned i;

    if (!node || address < node->starts[0]) {
        next = node ? node->starts[0] : 0;
        goto hole;
    }
    for (;;) {
        i = node_find(node, address);
        if (i + 1 < node->count) {
            next = node->starts[i + 1];
        }
        if (node->level == 0) {
            break;
        }
        node = node->children[i];
    }
    range = &node->ranges[i];
    if (address - range->start < range->length) {
        return range;
    }
hole:
    *hole_length = next || address ? next - address : UINT64_MAX;
    return NULL;
}

static void node_collect(const struct flat_node *node, gpa_t first, gpa_t last, GArray *out)
{
    unsigned i = node_find(node, first);

    if (node->level) {
        for (; i < node->count && (node->starts[i] <= last); i++) {
            node_collect(node->children[i], first, last, out);
        }
        return;
    }
    for (; i < node->count && node->starts[i] <= last; i++) {
        const struct flat_range *range = &node->ranges[i];

        if (range->start + (range->length - 1) >= first) {
            g_array_append_val(out, *range);
        }
    }
}

void flat_view_collect(const struct flat_view *view, gpa_t start, uint64_t length, bool touching,
                       GArray *out)
{
    gpa_t first = start, last = start + (length - 1);

    if (!view->root || !length) {
        return;
    }
    if (touching) {
        first -= first > 0;
        last += last < UINT64_MAX;
    }
    node_collect(view->root, first, last, out);
}

/* ---- Editing ---- */

static struct flat_node *node_new(const struct flat_edit *edit, unsigned level)
{
    size_t size =
        level ? offsetof(struct flat_node, children) + FLAT_FANOUT * sizeof(struct flat_node *)
              : sizeof(struct flat_node);
    struct flat_node *node = aligned_alloc(FLAT_LINE, size);

    if (!node) {
        g_error("out of memory"); /* as g_malloc does */
    }
    node->count = 0;
    node->level = level;
    node->edit = edit->number;
    node->retired = NULL;
    return node;
}

static void node_drop(struct flat_edit *edit, struct flat_node *node)
{
    if (node->edit == edit->number) {
        free(node); /* no reader has seen it */
    } else {
        node->retired = edit->retired;
        edit->retired = node;
    }
}

static void node_drop_tree(struct flat_edit *edit, struct flat_node *node)
{
    if (node->level) {
        for (unsigned i = 0; i < node->count; i++) {
            node_drop_tree(edit, node->children[i]);
        }
    }
    node_drop(edit, node);
}

/* Spread entries (flat_range for level 0, else flat_node pointers) evenly over new nodes. */
static void pack(struct flat_edit *edit, unsigned level, const void *entries, size_t count,
                 GPtrArray *out)
{
    size_t nodes = (count + FLAT_FANOUT - 1) / FLAT_FANOUT;
    const struct flat_range *ranges = entries;
    struct flat_node *const *children = entries;
    size_t done = 0;

    for (size_t n = 0; n < nodes; n++) {
        size_t take = (count - done + (nodes - n) - 1) / (nodes - n);
        struct flat_node *node = node_new(edit, level);

        for (size_t i = 0; i < take; i++, done++) {
            node->starts[i] = level ? children[done]->starts[0] : ranges[done].start;
            if (level) {
                node->children[i] = children[done];
            } else {
                node->ranges[i] = ranges[done];
            }
        }
        node->count = (uint32_t)take;
        for (size_t i = take; i < FLAT_FANOUT; i++) {
            node->starts[i] = UINT64_MAX;
        }
        for (unsigned i = 0; i < G_N_ELEMENTS(node->pivots); i++) {
            node->pivots[i] = node->starts[(i + 1) * FLAT_KEYS];
        }
        g_ptr_array_add(out, node);
    }
}

static void join_small(struct flat_edit *edit, GPtrArray *nodes, unsigned from, unsigned count);

static void join_leaves(struct flat_edit *edit, const struct flat_node *a,
                        const struct flat_node *b, GPtrArray *out)
{
    g_autofree struct flat_range *ranges = g_new(struct flat_range, a->count + b->count);

    memcpy(ranges, a->ranges, a->count * sizeof(*ranges));
    memcpy(ranges + a->count, b->ranges, b->count * sizeof(*ranges));
    pack(edit, 0, ranges, a->count + b->count, out);
}

static void join_inner(struct flat_edit *edit, const struct flat_node *a, const struct flat_node *b,
                       GPtrArray *out)
{
    g_autoptr(GPtrArray) children = g_ptr_array_sized_new(2 * FLAT_FANOUT);

    for (unsigned i = 0; i < a->count; i++) {
        g_ptr_array_add(children, a->children[i]);
    }
    for (unsigned i = 0; i < b->count; i++) {
        g_ptr_array_add(children, b->children[i]);
    }
    /* A small only child had no sibling to be joined with; now it has. */
    join_small(edit, children, 0, children->len);
    pack(edit, a->level, children->pdata, children->len, out);
}

/* Join siblings `at` and `at + 1` of a list, into one node if they fit or two even ones. */
static void join(struct flat_edit *edit, GPtrArray *nodes, unsigned at)
{
    struct flat_node *a = nodes->pdata[at], *b = nodes->pdata[at + 1];
    g_autoptr(GPtrArray) joined = g_ptr_array_new();

    if (a->level) {
        join_inner(edit, a, b, joined);
    } else {
        join_leaves(edit, a, b, joined);
    }
    node_drop(edit, a);
    node_drop(edit, b);
    nodes->pdata[at] = joined->pdata[0];
    if (joined->len == 2) {
        nodes->pdata[at + 1] = joined->pdata[1];
    } else {
        g_ptr_array_remove_index(nodes, at + 1);
    }
}

/* Give nodes with too few entries, among `count` from `from` on, to a neighbour. */
static void join_small(struct flat_edit *edit, GPtrArray *nodes, unsigned from, unsigned count)
{
    for (unsigned i = from; i < MIN(from + count, nodes->len) && nodes->len > 1;) {
        struct flat_node *node = nodes->pdata[i];

        if (node->count >= FLAT_MINIMUM) {
            i++;
            continue;
        }
        join(edit, nodes, i + 1 < nodes->len ? i : i - 1);
        i = i ? i - 1 : 0; /* what it was joined into may be small still */
    }
}

static void leaf_replace(struct flat_edit *edit, struct flat_node *leaf, gpa_t first, gpa_t last,
                         const struct flat_range *ranges, size_t count, GPtrArray *out)
{
    g_autofree struct flat_range *entries = g_new(struct flat_range, leaf->count + count);
    size_t n = 0;
    unsigned i = 0;

    for (; i < leaf->count && leaf->starts[i] < first; i++) {
        entries[n++] = leaf->ranges[i];
    }
    if (count) {
        memcpy(&entries[n], ranges, count * sizeof(*ranges));
        n += count;
    }
    for (; i < leaf->count && leaf->starts[i] <= last; i++) {
    }
    for (; i < leaf->count; i++) {
        entries[n++] = leaf->ranges[i];
    }
    pack(edit, 0, entries, n, out);
}

/* As flat_edit_replace, below a node, which is dropped. Appends what takes its place. */
static void node_replace(struct flat_edit *edit, struct flat_node *node, gpa_t first, gpa_t last,
                         const struct flat_range *ranges, size_t count, GPtrArray *out)
{
    g_autoptr(GPtrArray) children = NULL;
    unsigned from, to, made;

    if (node->level == 0) {
        leaf_replace(edit, node, first, last, ranges, count, out);
        node_drop(edit, node);
        return;
    }
    children = g_ptr_array_sized_new(FLAT_FANOUT + 8);
    from = node_find(node, first);
    to = node_find(node, last);
    for (unsigned i = 0; i < node->count; i++) {
        struct flat_node *child = node->children[i];

        if (i < from || i > to) {
            g_ptr_array_add(children, child);
        } else if (i == from) {
            node_replace(edit, child, first, last, ranges, count, children);
        } else if (i == to) {
            node_replace(edit, child, first, last, NULL, 0, children);
        } else {
            node_drop_tree(edit, child);
        }
    }
    made = children->len - (node->count - (to - from + 1));
    join_small(edit, children, from, made);
    pack(edit, node->level, children->pdata, children->len, out);
    node_drop(edit, node);
}

void flat_edit_begin(struct flat_edit *edit, const struct flat_view *view, uint64_t number)
{
    *edit = (struct flat_edit){.number = number, .root = view->root};
}

void flat_edit_replace(struct flat_edit *edit, gpa_t first, gpa_t last,
                       const struct flat_range *ranges, size_t count)
{
    GPtrArray *nodes = g_ptr_array_new();
    struct flat_node *root;

    if (edit->root) {
        node_replace(edit, edit->root, first, last, ranges, count, nodes);
    } else {
        pack(edit, 0, ranges, count, nodes);
    }
    while (nodes->len > 1) {
        GPtrArray *above = g_ptr_array_new();

        root = nodes->pdata[0];
        pack(edit, root->level + 1, nodes->pdata, nodes->len, above);
        g_ptr_array_free(nodes, TRUE);
        nodes = above;
    }
    root = nodes->len ? nodes->pdata[0] : NULL;
    g_ptr_array_free(nodes, TRUE);
    while (root && root->level && root->count == 1) {
        struct flat_node *child = root->children[0];

        node_drop(edit, root);
        root = child;
    }
    edit->root = root;
}

struct flat_view *flat_view_new_empty(void)
{
    return g_new0(struct flat_view, 1);
}

struct flat_view *flat_edit_commit(struct flat_edit *edit, struct flat_view *view)
{
    struct flat_view *next = flat_view_new_empty();

    next->root = edit->root;
    view->retired = edit->retired;
    return next;
}

static void node_free_tree(struct flat_node *node)
{
    if (node && node->level) {
        for (unsigned i = 0; i < node->count; i++) {
            node_free_tree(node->children[i]);
        }
    }
    free(node);
}

static void view_free(struct rcu_head *head)
{
    struct flat_view *view = caa_container_of(head, struct flat_view, rcu);

    memory_rcu_deferred_begin();
    while (view->retired) {
        struct flat_node *node = view->retired;

        view->retired = node->retired;
        free(node);
    }
    if (view->is_last) {
        node_free_tree(view->root);
    }
    g_free(view);
}

void flat_view_retire(struct flat_view *view, bool is_last)
{
    view->is_last = is_last;
    memory_rcu_defer(&view->rcu, view_free);
}

void flat_ranges_append(GArray *ranges, const struct flat_range *range)
{
    if (ranges->len) {
        struct flat_range *last = &g_array_index(ranges, struct flat_range, ranges->len - 1);

        if (flat_range_continues(last, range)) {
            last->length += range->length;
            return;
        }
    }
    g_array_append_val(ranges, *range);
}
