/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the unit tells, and when: devices that keep pointers (iommu-watch.h), and the guest. */
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

/* Somebody who follows the views of memory, and looks at the status from there: as another
 * processor may at that time. */
struct observer {
    struct memory_listener listener; /* first */
    struct unit *u;
    unsigned looks;
    bool must_show; /* the status, while views change */
};

static bool section_add(struct memory_listener *listener, const struct listener_section *section,
                        GError **error)
{
    struct observer *observer = (struct observer *)listener;
    bool shows = read32(observer->u, VTD_GSTS) & VTD_GCMD_TRANSLATION;

    observer->looks++;
    CU_ASSERT_EQUAL(shows, observer->must_show);
    return true;
}

/* The status is not ahead of what it says (11.4.5). */
static void test_status_comes_last(void)
{
    struct unit *u = unit_new(48);
    struct observer observer = {.listener = {.name = "observer", .section_add = section_add},
                                .u = u};

    CU_ASSERT_TRUE_FATAL(memory_listener_register(&observer.listener, &u->dma, NULL));
    set_context(u, REQUESTER, new_table(u) | 1, 2 | DOMAIN << 8);
    observer.looks = 0;
    enable(u);
    CU_ASSERT(observer.looks > 0);
    observer.looks = 0;
    observer.must_show = true;
    write32(u, VTD_GCMD, VTD_GCMD_QUEUED);
    CU_ASSERT(observer.looks > 0);
    CU_ASSERT_EQUAL(read32(u, VTD_GSTS) & VTD_GCMD_TRANSLATION, 0);
    memory_listener_unregister(&observer.listener);
    unit_free(u);
}

/* What a host can't follow is in the guest's fault log (I5), unless it wants no faults of that. */
static void test_refusals_are_faults(void)
{
    struct unit *u = unit_new(48);
    struct fixture_host host = {.fail_errno = EIO};
    struct iommu_notifier notifier = fixture_notifier(&host);
    uint64_t table = new_table(u);

    set_context(u, REQUESTER, table | 1, 2 | DOMAIN << 8);
    enable(u);
    CU_ASSERT_TRUE_FATAL(iommu_notifier_register(vtd_device_iommu(u->device), &notifier, NULL));
    map(u, table, 4, 0x5000, 1, 0x200000, 3);
    host.fail_at = 1;
    CU_ASSERT_TRUE(flush_page(u, DOMAIN, 0x5000, 0));
    expect_fault(u, 0x5000, VTD_FAULT_READ, false);
    CU_ASSERT_TRUE(flush_page(u, DOMAIN, 0x5000, 0)); /* now it can */
    CU_ASSERT_EQUAL(read32(u, VTD_FSTS) & VTD_FSTS_PENDING, 0);
    CU_ASSERT_EQUAL(host.mapped, 1);
    set_context(u, REQUESTER, table | VTD_FAULT_HIDDEN | 1, 2 | DOMAIN << 8);
    CU_ASSERT_TRUE(flush_context(u));
    map(u, table, 4, 0x6000, 1, 0x201000, 3);
    host.fail_at = host.calls + 1;
    CU_ASSERT_TRUE(flush_page(u, DOMAIN, 0x6000, 0));
    CU_ASSERT_EQUAL(read32(u, VTD_FSTS) & VTD_FSTS_PENDING, 0);
    CU_ASSERT_TRUE(iommu_notifier_unregister(&notifier, NULL));
    unit_free(u);
}

static const struct unit_test tests[] = {
    {"a context that nobody told of", test_context_that_nobody_told_of},
    {"the status comes last", test_status_comes_last},
    {"refusals are faults", test_refusals_are_faults},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("vtd-tells", tests);
}
