/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What devices that keep pointers (iommu-watch.h) hear of the unit: all that may lead elsewhere. */
#include "unit/suite.h"
#include "unit/vtd-fixture.h"

#define DOMAIN 7

/* A device that keeps where an address leads to, as virtqueues do, until it is told. */
struct keeper {
    struct iommu_watch watch; /* first */
    bool holds;
};

static void changed(struct iommu_watch *watch, struct range range)
{
    struct keeper *keeper = (struct keeper *)watch;

    if (range_contains(range, 0x5000)) {
        keeper->holds = false;
    }
}

/* Look up, and keep. */
static void take(struct unit *u, struct keeper *keeper)
{
    uint64_t value;

    CU_ASSERT_EQUAL_FATAL(dma_read(u, 0x5000, &value), MEMORY_OK);
    CU_ASSERT_EQUAL(value, 0x1234);
    keeper->holds = true;
}

static bool flush_context(struct unit *u)
{
    return queue(u, VTD_INVALIDATE_CONTEXT | VTD_DEVICE << 4 | (uint64_t)REQUESTER << 32, 0);
}

/*
 * Without caching mode guests tell neither of a context that they make present nor of its mappings
 * (6.1); Linux does not. What a device then uses is not by the context that was cached, and the
 * guest can take it back all the same.
 */
static void test_context_that_nobody_told_of(void)
{
    struct unit *u = unit_new(48);
    struct keeper keeper = {.watch.changed = changed};
    uint64_t table = new_table(u);

    CU_ASSERT_TRUE_FATAL(iommu_watch_start(&keeper.watch, &u->dma, NULL));
    set_context(u, REQUESTER, 0, 0);
    enable(u);
    poke(u, 0x200000, 0x1234);
    map(u, table, 4, 0x5000, 1, 0x200000, 3);
    set_context(u, REQUESTER, table | 1, 2 | DOMAIN << 8);
    take(u, &keeper);
    CU_ASSERT_TRUE(flush_page(u, DOMAIN, 0x5000, 0));
    CU_ASSERT_FALSE(keeper.holds);
    take(u, &keeper);
    CU_ASSERT_TRUE(queue(u, VTD_INVALIDATE_IOTLB | VTD_DOMAIN << 4 | DOMAIN << 16, 0));
    CU_ASSERT_FALSE(keeper.holds);
    take(u, &keeper);
    set_context(u, REQUESTER, 0, 0); /* as it was cached */
    CU_ASSERT_TRUE(flush_context(u));
    CU_ASSERT_FALSE(keeper.holds);
    iommu_watch_stop(&keeper.watch);
    unit_free(u);
}

static const struct unit_test tests[] = {
    {"a context that nobody told of", test_context_that_nobody_told_of},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("vtd-watch", tests);
}
