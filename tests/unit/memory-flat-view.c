/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tree behind a flat view, alone: random replacements against a plain sorted array, its shape
 * after each, and earlier views left as they were.
 */
#include "memory-fixture.h"

#include "memory/flat-view.h"

#include <string.h>

#define SPACE 20000 /* starts are below this; ranges are 1 long */

static struct flat_range make_range(gpa_t start)
{
    return (struct flat_range){
        .start = start,
        .length = 1,
        .region = (struct memory_region *)(uintptr_t)(start * 64 + 64), /* never looked at */
    };
}

/* Sorted starts; all leaves at level 0; keys of a node are the first starts below; no node too
 * small but those alone. Returns the number of ranges, and the starts in out. */
static void check_node(const struct flat_node *node, bool is_root, GArray *out)
{
    CU_ASSERT_FATAL(node->count > 0 && node->count <= FLAT_FANOUT);
    CU_ASSERT_FATAL(is_root || node->count >= FLAT_FANOUT / 4);
    for (unsigned i = 0; i < FLAT_FANOUT; i++) {
        if (i >= node->count) {
            CU_ASSERT_EQUAL_FATAL(node->starts[i], UINT64_MAX);
        } else if (node->level) {
            CU_ASSERT_EQUAL_FATAL(node->children[i]->level, node->level - 1);
            CU_ASSERT_EQUAL_FATAL(node->children[i]->starts[0], node->starts[i]);
            check_node(node->children[i], false, out);
        } else {
            CU_ASSERT_EQUAL_FATAL(node->ranges[i].start, node->starts[i]);
            g_array_append_val(out, node->starts[i]);
        }
        if (i % FLAT_KEYS == 0 && i) {
            CU_ASSERT_EQUAL_FATAL(node->pivots[i / FLAT_KEYS - 1], node->starts[i]);
        }
    }
}

static void check_tree(const struct flat_node *root, const bool *present)
{
    g_autoptr(GArray) starts = g_array_new(FALSE, FALSE, sizeof(gpa_t));
    unsigned at = 0;

    if (root) {
        check_node(root, true, starts);
    }
    for (gpa_t start = 0; start < SPACE; start++) {
        if (present[start]) {
            CU_ASSERT_FATAL(at < starts->len);
            CU_ASSERT_EQUAL_FATAL(g_array_index(starts, gpa_t, at), start);
            at++;
        }
    }
    CU_ASSERT_EQUAL_FATAL(at, starts->len);
}

static void check_lookups(const struct flat_view *view, const bool *present, uint64_t *random)
{
    for (unsigned i = 0; i < 200; i++) {
        gpa_t address = test_below(random, SPACE), next = address + 1;
        uint64_t hole = 0;
        const struct flat_range *range = flat_view_find(view, address, &hole);

        CU_ASSERT_EQUAL_FATAL(range != NULL, present[address]);
        if (range) {
            CU_ASSERT_EQUAL_FATAL(range->start, address);
            continue;
        }
        while (next < SPACE && !present[next]) {
            next++;
        }
        CU_ASSERT_EQUAL_FATAL(hole, next < SPACE   ? next - address
                                    : address == 0 ? UINT64_MAX
                                                   : 0 - address);
    }
}

/* Replace first..last by a random selection of starts, of one in `sparse`. */
static void replace(struct flat_edit *edit, bool *present, gpa_t first, gpa_t last, unsigned sparse,
                    uint64_t *random)
{
    g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(struct flat_range));

    for (gpa_t start = first; start <= last; start++) {
        present[start] = sparse && test_below(random, sparse) == 0;
        if (present[start]) {
            struct flat_range range = make_range(start);

            g_array_append_val(ranges, range);
        }
    }
    flat_edit_replace(edit, first, last, (const struct flat_range *)(const void *)ranges->data,
                      ranges->len);
}

static void random_replace(struct flat_edit *edit, bool *present, uint64_t *random)
{
    static const unsigned lengths[] = {1, 1, 1, 10, 100, 1000, SPACE};
    unsigned length = 1 + test_below(random, lengths[test_below(random, G_N_ELEMENTS(lengths))]);
    gpa_t first = test_below(random, SPACE - length + 1);

    replace(edit, present, first, first + length - 1, test_below(random, 4), random);
}

static void test_random_replacements(void)
{
    static bool present[SPACE], before[SPACE];
    uint64_t random = test_seed(), number = 0;
    struct flat_view *view = flat_view_new_empty(), *next;
    gint64 end = g_get_monotonic_time() + 2 * G_USEC_PER_SEC;

    memset(present, 0, sizeof(present));
    for (unsigned round = 0; round < 1000 && g_get_monotonic_time() < end; round++) {
        struct flat_edit edit;
        unsigned edits = 1 + test_below(&random, 4);

        memcpy(before, present, sizeof(before));
        flat_edit_begin(&edit, view, ++number);
        while (edits-- > 0) {
            random_replace(&edit, present, &random);
        }
        next = flat_edit_commit(&edit, view);
        check_tree(next->root, present);
        check_tree(view->root, before); /* readers may still be there */
        check_lookups(next, present, &random);
        flat_view_retire(view, false);
        view = next;
    }
    flat_view_retire(view, true);
}

/* An edit copies the way to what it changes, not the tree. */
static void test_an_edit_shares_the_rest(void)
{
    static bool present[SPACE];
    uint64_t random = 1;
    struct flat_view *view = flat_view_new_empty(), *next;
    struct flat_edit edit;
    unsigned retired = 0;

    flat_edit_begin(&edit, view, 1);
    replace(&edit, present, 0, SPACE - 1, 1, &random);
    next = flat_edit_commit(&edit, view);
    flat_view_retire(view, false);
    view = next;
    flat_edit_begin(&edit, view, 2);
    replace(&edit, present, 777, 777, 0, &random);
    for (const struct flat_node *node = edit.retired; node; node = node->retired) {
        retired++;
    }
    CU_ASSERT(retired <= 4); /* the height of 20,000 / 32 leaves, or one more */
    next = flat_edit_commit(&edit, view);
    flat_view_retire(view, false);
    flat_view_retire(next, true);
}

static const struct unit_test tests[] = {
    {"random replacements", test_random_replacements},
    {"an edit shares the rest", test_an_edit_shares_the_rest},
    {NULL, NULL},
};

int main(void)
{
    return memory_unit_run("memory-flat-view", tests);
}
