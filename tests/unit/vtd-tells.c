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

/* It is cached then as any other: until the guest tells of it. */
static void test_what_nobody_told_of_is_cached(void)
{
    struct unit *u = unit_new(48);
    uint64_t table = new_table(u), value;

    set_context(u, REQUESTER, 0, 0);
    enable(u);
    poke(u, 0x200000, 0x1234);
    map(u, table, 4, 0x5000, 2, 0x200000, 3);
    CU_ASSERT_NOT_EQUAL(dma_read(u, 0x5000, &value), MEMORY_OK);
    set_context(u, REQUESTER, table | 1, 2 | DOMAIN << 8);
    CU_ASSERT_EQUAL(dma_read(u, 0x5000, &value), MEMORY_OK);
    set_context(u, REQUESTER, 0, 0);
    CU_ASSERT_EQUAL(dma_read(u, 0x6000, &value), MEMORY_OK);
    CU_ASSERT_TRUE(flush_context(u));
    CU_ASSERT_NOT_EQUAL(dma_read(u, 0x5000, &value), MEMORY_OK);
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

/*
 * Random guests without caching mode, that tell of no more than they must: of what was present and
 * is so no more, or differently. A device keeps where some addresses lead. What it keeps is always
 * what the tables say, and it reaches at once what they say anew.
 */
#define PLACES      6u
#define OPERATIONS  20000
#define PLACE(i)    ((i) == 5 ? UINT64_C(0x40000000) : 0x200000 * ((i) / 2) + 0x1000 * (i) + 0x1000)
#define STAMPED     UINT64_C(0x1000000) /* pages from here on hold their own addresses */
#define STAMPS      64u
#define CONTEXT_OFF 2u /* 0 and 1 are the domains'; then: pass-through */

struct lazy_guest {
    struct iommu_watch watch; /* first */
    struct unit *u;
    uint64_t tables[2];
    uint64_t targets[2][PLACES]; /* 0: not mapped */
    unsigned context;
    uint64_t kept[PLACES]; /* 0: not */
};

static void forget(struct iommu_watch *watch, struct range range)
{
    struct lazy_guest *g = (struct lazy_guest *)watch;

    for (unsigned i = 0; i < PLACES; i++) {
        if (range_contains(range, PLACE(i))) {
            g->kept[i] = 0;
        }
    }
}

/* Where a place leads to; 0: nowhere. */
static uint64_t target_of(const struct lazy_guest *g, unsigned place)
{
    return g->context < CONTEXT_OFF    ? g->targets[g->context][place]
           : g->context == CONTEXT_OFF ? 0
                                       : PLACE(place);
}

static void change_page(struct lazy_guest *g, GRand *rand)
{
    unsigned d = g_rand_boolean(rand), place = (unsigned)g_rand_int_range(rand, 0, PLACES);
    uint64_t old = g->targets[d][place], *target = &g->targets[d][place];
    static const uint64_t wholes[] = {1 << 4 | 0, 2 << 4 | 1, 3 << 4 | 1};

    *target = g_rand_boolean(rand) ? STAMPED + 0x1000 * g_rand_int_range(rand, 0, STAMPS) : 0;
    map(g->u, g->tables[d], 3 + d, PLACE(place), 1, *target, *target ? 3 : 0);
    if (old) {
        uint64_t how = wholes[g_rand_int_range(rand, 0, G_N_ELEMENTS(wholes))];
        bool is_page = how == (3 << 4 | 1);

        CU_ASSERT_TRUE_FATAL(queue(g->u,
                                   VTD_INVALIDATE_IOTLB | (how & ~15u) |
                                       (how & 1 ? (uint64_t)(DOMAIN + d) << 16 : 0),
                                   is_page ? PLACE(place) : 0));
    }
}

static void change_context(struct lazy_guest *g, GRand *rand)
{
    unsigned old = g->context;

    g->context = (unsigned)g_rand_int_range(rand, 0, 4);
    if (g->context < CONTEXT_OFF) {
        set_context(g->u, REQUESTER, g->tables[g->context] | 1,
                    (1 + g->context) | (uint64_t)(DOMAIN + g->context) << 8);
    } else {
        set_context(g->u, REQUESTER, g->context == CONTEXT_OFF ? 0 : VTD_PASS_THROUGH << 2 | 1,
                    2 | (DOMAIN + 2) << 8);
    }
    if (old != CONTEXT_OFF && old != g->context) {
        CU_ASSERT_TRUE_FATAL(flush_context(g->u));
        CU_ASSERT_TRUE_FATAL(queue(g->u,
                                   VTD_INVALIDATE_IOTLB | VTD_DOMAIN << 4 |
                                       (uint64_t)(DOMAIN + MIN(old, CONTEXT_OFF)) << 16,
                                   0));
    }
}

static void look(struct lazy_guest *g, unsigned place, bool keep)
{
    uint64_t target = target_of(g, place), value = 0;
    bool ok = dma_read(g->u, PLACE(place), &value) == MEMORY_OK;

    CU_ASSERT_EQUAL_FATAL(ok, target != 0 && target < RAM_SIZE);
    CU_ASSERT_FATAL(!ok || target < STAMPED || value == target);
    g->kept[place] = keep && ok ? target : g->kept[place];
}

static void test_guests_that_tell_little(void)
{
    struct unit *u = unit_new(48);
    struct lazy_guest g = {.watch.changed = forget, .u = u, .context = CONTEXT_OFF};
    GRand *rand = test_seeded_rand();

    u->vtd->config.caching_mode = false;
    for (unsigned i = 0; i < STAMPS; i++) {
        poke(u, STAMPED + 0x1000 * i, STAMPED + 0x1000 * i);
    }
    for (unsigned d = 0; d < 2; d++) {
        g.tables[d] = new_table(u);
    }
    set_context(u, REQUESTER, 0, 0);
    enable(u);
    CU_ASSERT_TRUE_FATAL(iommu_watch_start(&g.watch, &u->dma, NULL));
    for (unsigned n = 0; n < OPERATIONS; n++) {
        unsigned what = (unsigned)g_rand_int_range(rand, 0, 10);

        if (what == 0) {
            change_context(&g, rand);
        } else if (what < 5) {
            change_page(&g, rand);
        } else {
            look(&g, (unsigned)g_rand_int_range(rand, 0, PLACES), what < 8);
        }
        for (unsigned i = 0; i < PLACES; i++) {
            CU_ASSERT_FATAL(!g.kept[i] || g.kept[i] == target_of(&g, i));
        }
    }
    iommu_watch_stop(&g.watch);
    g_rand_free(rand);
    unit_free(u);
}

static const struct unit_test tests[] = {
    {"a context that nobody told of", test_context_that_nobody_told_of},
    {"it is cached then, as any other", test_what_nobody_told_of_is_cached},
    {"guests that tell little", test_guests_that_tell_little},
    {"the status comes last", test_status_comes_last},
    {"refusals are faults", test_refusals_are_faults},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("vtd-tells", tests);
}
