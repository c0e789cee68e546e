/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The IOTLB against the one rule that it has: what was forgotten is not found. */
#include "iommu/vtd-iotlb.h"
#include "unit/seed.h"
#include "unit/suite.h"

#define PAGE       UINT64_C(4096)
#define PAGES      (UINT64_C(1) << 20) /* of IOVA: 4 GiB */
#define OPERATIONS 100000
#define LOOKS      16

static const struct vtd_leaf_table no_leaf;

static iova_t random_page(GRand *rand)
{
    /* Mostly near to each other, so that they meet. */
    unsigned bits = (unsigned)g_rand_int_range(rand, 4, 21);

    return (g_rand_int(rand) & ((1u << bits) - 1)) * PAGE;
}

static void remember(struct vtd_iotlb *iotlb, iova_t iova, uint64_t size)
{
    struct iommu_mapping mapping = {iova & ~(size - 1), size, 0, IOMMU_READ};
    struct vtd_iotlb_look look;

    vtd_iotlb_look(iotlb, iova, &look);
    vtd_iotlb_remember(iotlb, look.sequence, iova, &mapping, &no_leaf);
    vtd_iotlb_look(iotlb, iova, &look);
    CU_ASSERT_FATAL(look.hit && look.mapping.iova == mapping.iova && look.mapping.length == size);
}

/* No address in or near the range finds a mapping that overlaps it. */
static void check_forgotten(struct vtd_iotlb *iotlb, GRand *rand, struct range range)
{
    for (unsigned i = 0; i < LOOKS; i++) {
        iova_t near = (i % 2 ? range.start : random_page(rand)) + g_rand_int(rand) % (4 * PAGE);
        struct vtd_iotlb_look look;

        vtd_iotlb_look(iotlb, near, &look);
        CU_ASSERT_FATAL(!look.hit || !range_overlaps(iommu_mapping_range(&look.mapping), range));
    }
}

static void run(unsigned large_pages)
{
    GRand *rand = test_seeded_rand();
    struct vtd_iotlb iotlb;
    struct vtd_context context = {.levels = 4};

    vtd_iotlb_init(&iotlb);
    for (unsigned i = 0; i < OPERATIONS; i++) {
        unsigned mask = (unsigned)g_rand_int_range(rand, 0, 12);
        uint64_t size = PAGE << mask;

        switch (g_rand_int_range(rand, 0, 8)) {
        case 0: {
            struct range range = {random_page(rand) & ~(size - 1), size};

            vtd_iotlb_forget(&iotlb, range, true);
            check_forgotten(&iotlb, rand, range);
            break;
        }
        case 1:
            if (g_rand_int_range(rand, 0, 1000) == 0) {
                vtd_iotlb_set_context(&iotlb, &context);
                check_forgotten(&iotlb, rand, (struct range){0, PAGES * PAGE});
            }
            break;
        default:
            remember(&iotlb, random_page(rand),
                     g_rand_int(rand) % 100 < large_pages ? PAGE << 9 : PAGE);
        }
    }
    vtd_iotlb_destroy(&iotlb);
    g_rand_free(rand);
}

static void test_small_pages(void)
{
    run(0);
}

static void test_large_pages(void)
{
    run(10);
}

/* What was read before something was forgotten is not kept. */
static void test_late_memory(void)
{
    struct iommu_mapping mapping = {PAGE, PAGE, 0, IOMMU_READ};
    struct vtd_iotlb iotlb;
    struct vtd_iotlb_look look;

    vtd_iotlb_init(&iotlb);
    vtd_iotlb_look(&iotlb, PAGE, &look);
    vtd_iotlb_forget(&iotlb, (struct range){PAGE, PAGE}, false);
    vtd_iotlb_remember(&iotlb, look.sequence, PAGE, &mapping, &no_leaf);
    vtd_iotlb_look(&iotlb, PAGE, &look);
    CU_ASSERT_FALSE(look.hit);
    vtd_iotlb_destroy(&iotlb);
}

static const struct unit_test tests[] = {
    {"small pages", test_small_pages},
    {"large pages", test_large_pages},
    {"what was read too early", test_late_memory},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("vtd-iotlb", tests);
}
