/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tree of mappings against a sorted array. */
#include "iommu/iova-tree.h"
#include "unit/iommu-fixture.h"
#include "unit/suite.h"
#include "unit/seed.h"

#define PAGE 4096ull

static struct iommu_mapping page_at(uint64_t page, uint64_t pages)
{
    return (struct iommu_mapping){page * PAGE, pages * PAGE, (page ^ 0x5a5a) * PAGE, IOMMU_READ};
}

static bool is_at(struct iova_cursor cursor, uint64_t page)
{
    struct iommu_mapping mapping;

    return iova_cursor_get(&cursor, &mapping) && mapping.iova == page * PAGE;
}

static void test_empty(void)
{
    struct iova_tree *tree = iova_tree_new();
    struct iova_cursor cursor = iova_tree_find(tree, 0);
    struct iommu_mapping mapping;

    CU_ASSERT_FALSE(iova_cursor_get(&cursor, &mapping));
    CU_ASSERT_FALSE(iova_tree_remove(tree, 0));
    CU_ASSERT_EQUAL(iova_tree_count(tree), 0);
    iova_tree_free(tree);
    iova_tree_free(NULL);
}

static void test_overlap_is_refused(void)
{
    struct iova_tree *tree = iova_tree_new();
    struct iommu_mapping four = page_at(4, 4);

    CU_ASSERT_TRUE(iova_tree_insert(tree, &four));
    for (uint64_t start = 1; start < 8; start++) {
        struct iommu_mapping other = page_at(start, 4);

        CU_ASSERT_FALSE(iova_tree_insert(tree, &other));
    }
    four = page_at(0, 4);
    CU_ASSERT_TRUE(iova_tree_insert(tree, &four));
    four = page_at(8, 4);
    CU_ASSERT_TRUE(iova_tree_insert(tree, &four));
    CU_ASSERT_EQUAL(iova_tree_count(tree), 3);
    CU_ASSERT_FALSE(iova_tree_remove(tree, 5 * PAGE));
    CU_ASSERT_TRUE(iova_tree_remove(tree, 4 * PAGE));
    CU_ASSERT_TRUE(is_at(iova_tree_find(tree, 5 * PAGE), 8));
    iova_tree_free(tree);
}

/* A mapping that reaches over the lowest IOVA that an inner node remembers. */
static void test_mapping_over_a_removed_border(void)
{
    struct iova_tree *tree = iova_tree_new();

    for (uint64_t page = 0; page < 4000; page++) {
        struct iommu_mapping one = page_at(page, 1);

        iova_tree_insert(tree, &one);
    }
    for (uint64_t page = 1000; page < 3000; page++) {
        CU_ASSERT_TRUE(iova_tree_remove(tree, page * PAGE));
    }
    for (uint64_t page = 1000; page < 3000; page += 250) {
        struct iommu_mapping wide = page_at(page, 250);

        CU_ASSERT_TRUE(iova_tree_insert(tree, &wide));
    }
    for (uint64_t page = 1000; page < 3000; page++) {
        struct iommu_mapping one = page_at(page, 1);

        CU_ASSERT_TRUE(is_at(iova_tree_find(tree, page * PAGE), page / 250 * 250));
        CU_ASSERT_FALSE(iova_tree_insert(tree, &one));
    }
    iova_tree_free(tree);
}

/* The naive model: the pages of each mapping are marked in an array with its first page + 1. */
#define MODEL_PAGES 20000
static void check_against_model(const struct iova_tree *tree, const unsigned *owner, unsigned count)
{
    struct iova_cursor cursor = iova_tree_find(tree, 0);
    struct iommu_mapping mapping;
    unsigned seen = 0;

    for (unsigned page = 0; page < MODEL_PAGES; page++) {
        if (owner[page] != page + 1) {
            continue;
        }
        seen++;
        CU_ASSERT_TRUE_FATAL(iova_cursor_get(&cursor, &mapping));
        CU_ASSERT_EQUAL_FATAL(mapping.iova, page * PAGE);
        iova_cursor_next(&cursor);
    }
    CU_ASSERT_FALSE(iova_cursor_get(&cursor, &mapping));
    CU_ASSERT_EQUAL(seen, count);
    CU_ASSERT_EQUAL(iova_tree_count(tree), count);
}

static void random_step(struct iova_tree *tree, unsigned *owner, unsigned *count, GRand *random,
                        bool grow)
{
    unsigned page = g_rand_int_range(random, 0, MODEL_PAGES - 8);

    if (g_rand_int_range(random, 0, 4) != (grow ? 0 : 1) && grow) {
        unsigned pages = g_rand_int_range(random, 1, 5);
        struct iommu_mapping mapping = page_at(page, pages);
        bool is_free = true;

        for (unsigned i = 0; i < pages; i++) {
            is_free &= owner[page + i] == 0;
        }
        CU_ASSERT_EQUAL_FATAL(iova_tree_insert(tree, &mapping), is_free);
        for (unsigned i = 0; is_free && i < pages; i++) {
            owner[page + i] = page + 1;
        }
        *count += is_free;
    } else {
        bool is_start = owner[page] == page + 1;

        CU_ASSERT_EQUAL_FATAL(iova_tree_remove(tree, page * PAGE), is_start);
        for (unsigned i = page; is_start && i < MODEL_PAGES && owner[i] == page + 1; i++) {
            owner[i] = 0;
        }
        *count -= is_start;
    }
    page = g_rand_int_range(random, 0, MODEL_PAGES - 8);
    if (owner[page]) {
        CU_ASSERT_TRUE_FATAL(is_at(iova_tree_find(tree, page * PAGE), owner[page] - 1));
    }
}

/* QEMU's VT-d: what was removed was one byte too long, and took the next mapping along. */
static void test_random(void)
{
    GRand *random = test_seeded_rand();
    struct iova_tree *tree = iova_tree_new();
    g_autofree unsigned *owner = g_new0(unsigned, MODEL_PAGES);
    unsigned count = 0;

    for (unsigned phase = 0; phase < 12; phase++) {
        for (unsigned step = 0; step < 30000; step++) {
            random_step(tree, owner, &count, random, phase % 3 != 2);
        }
        check_against_model(tree, owner, count);
    }
    iova_tree_clear(tree);
    CU_ASSERT_EQUAL(iova_tree_count(tree), 0);
    iova_tree_free(tree);
    g_rand_free(random);
}

static void test_memory_follows_count(void)
{
    struct iova_tree *tree = iova_tree_new();
    uint64_t empty = iova_tree_bytes(tree);

    for (uint64_t page = 0; page < 100000; page++) {
        struct iommu_mapping one = page_at(2 * page, 1);

        iova_tree_insert(tree, &one);
    }
    CU_ASSERT_TRUE(iova_tree_bytes(tree) < 100000 * 28);
    for (uint64_t page = 0; page < 100000; page++) {
        iova_tree_remove(tree, 2 * ((page * 7919) % 100000) * PAGE);
    }
    CU_ASSERT_EQUAL(iova_tree_count(tree), 0);
    CU_ASSERT_TRUE(iova_tree_bytes(tree) < empty + 8192);
    iova_tree_free(tree);
}

static const struct unit_test tests[] = {
    {"empty tree", test_empty},
    {"an overlapping mapping is refused", test_overlap_is_refused},
    {"a mapping over a removed border is found", test_mapping_over_a_removed_border},
    {"random edits against an array", test_random},
    {"memory follows the count", test_memory_follows_count},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("iova-tree", tests);
}
