/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Register, replay, reconcile, verify: invariants I1 to I5 of the IOMMU contract against a host
 * that refuses and fails. Several tests are named after what users of other programs reported.
 */
#include "unit/iommu-fixture.h"
#include "unit/suite.h"

static const unsigned RW = IOMMU_READ | IOMMU_WRITE;

struct pair {
    struct fixture *f;
    struct fixture_host host;
    struct iommu_notifier notifier;
    unsigned failures; /* reports of notifier.failed */
};

static void count_failure(struct iommu_notifier *notifier, const GError *error)
{
    ((struct pair *)((char *)notifier - offsetof(struct pair, notifier)))->failures++;
}

static struct pair *pair_new(const struct iommu_region_ops *ops)
{
    struct pair *p = g_new0(struct pair, 1);

    p->f = fixture_new(ops);
    p->notifier = fixture_notifier(&p->host);
    p->notifier.failed = count_failure;
    return p;
}

static bool pair_register(struct pair *p)
{
    g_autoptr(GError) error = NULL;
    bool ok = iommu_notifier_register(&p->f->region, &p->notifier, &error);

    CU_ASSERT_EQUAL(ok, error == NULL);
    return ok;
}

static void pair_free(struct pair *p)
{
    CU_ASSERT_TRUE(iommu_notifier_unregister(&p->notifier, NULL));
    CU_ASSERT_EQUAL(p->host.mapped, 0);
    fixture_free(p->f);
    g_free(p);
}

static unsigned pair_differences(struct pair *p)
{
    struct mapping_difference d = iommu_notifier_verify(&p->notifier, NULL, 0);
    unsigned pages = fixture_differences(p->f, &p->host, 0, FIXTURE_PAGES);

    CU_ASSERT_EQUAL(d.missing + d.extra == 0, pages == 0);
    return pages;
}

static void test_late_registration_hears_all(void)
{
    struct pair *p = pair_new(&fixture_ops);

    fixture_guest_map(p->f, 3, 1, 100, RW);
    fixture_guest_map(p->f, 8, 8, 200, IOMMU_READ);
    fixture_guest_map(p->f, 511, 1, 7, IOMMU_WRITE);
    CU_ASSERT_TRUE(pair_register(p));
    CU_ASSERT_EQUAL(p->host.maps, 3);
    CU_ASSERT_EQUAL(p->host.pages[8].pages, 8); /* the guest's own size */
    CU_ASSERT_EQUAL(pair_differences(p), 0);
    CU_ASSERT_EQUAL(iommu_notifier_count(&p->notifier), 3);
    pair_free(p);
}

static void test_replay_of_nothing_makes_no_call(void)
{
    struct pair *p = pair_new(&fixture_ops);

    CU_ASSERT_TRUE(pair_register(p));
    CU_ASSERT_EQUAL(p->host.calls, 0);
    CU_ASSERT_TRUE(fixture_invalidate(p->f, 0, FIXTURE_PAGES));
    CU_ASSERT_EQUAL(p->host.calls, 0);
    pair_free(p);
}

static void test_probe_finds_the_same(void)
{
    struct pair *p = pair_new(&fixture_probe_ops);

    fixture_guest_map(p->f, 3, 1, 100, RW);
    fixture_guest_map(p->f, 8, 8, 200, IOMMU_READ);
    fixture_guest_map(p->f, 511, 1, 7, IOMMU_WRITE);
    CU_ASSERT_TRUE(pair_register(p));
    CU_ASSERT_EQUAL(pair_differences(p), 0);
    CU_ASSERT(p->f->translated >= FIXTURE_PAGES);
    pair_free(p);
}

static void test_probe_coarser_than_the_guest_is_refused(void)
{
    struct pair *p = pair_new(&fixture_probe_ops);

    /* The visitor sees a 4 KiB entry for a granule of 8 KiB: page 3 would be lost silently. */
    fixture_guest_map(p->f, 2, 1, 100, RW);
    fixture_guest_map(p->f, 3, 1, 300, RW);
    p->notifier.probe_granularity = 2 * FIXTURE_PAGE;
    CU_ASSERT_FALSE(pair_register(p));
    CU_ASSERT_EQUAL(p->host.mapped, 0);
    pair_free(p);
}

static void test_bad_arguments_are_named(void)
{
    struct pair *p = pair_new(&fixture_probe_ops);

    p->notifier.probe_granularity = 3;
    CU_ASSERT_FALSE(pair_register(p));
    p->notifier.probe_granularity = FIXTURE_PAGE;
    p->notifier.range = fixture_range(500, 100);
    CU_ASSERT_FALSE(pair_register(p));
    p->notifier.range = (struct range){UINT64_MAX, 2};
    CU_ASSERT_FALSE(pair_register(p));
    p->notifier.range = fixture_range(5, 0);
    CU_ASSERT_FALSE(pair_register(p));
    pair_free(p);
}

/* QEMU: an IOMMU without MAP events let a passed-through device in, and its DMA faulted. */
static void test_model_may_refuse_events(void)
{
    struct pair *p = pair_new(&fixture_ops);

    p->f->refused_events = IOMMU_EVENT_MAP;
    fixture_guest_map(p->f, 3, 1, 100, RW);
    CU_ASSERT_FALSE(pair_register(p));
    CU_ASSERT_EQUAL(p->host.calls, 0);
    CU_ASSERT_PTR_NULL(p->notifier.region);
    pair_free(p);
}

/* QEMU: a range that begins inside a mapping was given the translated address of its start. */
static void test_crop_moves_the_translated_address(void)
{
    struct pair *p = pair_new(&fixture_ops);

    fixture_guest_map(p->f, 8, 8, 200, RW);
    p->notifier.range = fixture_range(10, 4);
    CU_ASSERT_TRUE(pair_register(p));
    CU_ASSERT_EQUAL(p->host.pages[10].translated, 202 * FIXTURE_PAGE);
    CU_ASSERT_EQUAL(p->host.pages[10].pages, 4);
    CU_ASSERT_EQUAL(p->host.pages[9].access, 0);
    CU_ASSERT_EQUAL(p->host.pages[14].access, 0);
    CU_ASSERT_TRUE(fixture_invalidate(p->f, 0, FIXTURE_PAGES));
    CU_ASSERT_EQUAL(p->host.calls, 1);
    pair_free(p);
}

/* virtio-iommu: replay for one notifier told all of them again, and the second got EEXIST. */
static void test_second_notifier_leaves_the_first_alone(void)
{
    struct pair *p = pair_new(&fixture_ops);
    struct fixture_host other = {0};
    struct iommu_notifier second = fixture_notifier(&other);

    fixture_guest_map(p->f, 3, 4, 100, RW);
    CU_ASSERT_TRUE(pair_register(p));
    CU_ASSERT_TRUE(iommu_notifier_register(&p->f->region, &second, NULL));
    CU_ASSERT_EQUAL(p->host.calls, 1);
    CU_ASSERT_EQUAL(other.calls, 1);
    CU_ASSERT_TRUE(iommu_notifier_unregister(&second, NULL));
    CU_ASSERT_EQUAL(p->host.calls, 1);
    CU_ASSERT_EQUAL(other.mapped, 0);
    pair_free(p);
}

/* cloud-hypervisor 7328: the last device leaves, another comes, and finds nothing mapped. */
static void test_last_out_first_in_again(void)
{
    struct pair *p = pair_new(&fixture_ops);

    fixture_guest_map(p->f, 3, 4, 100, RW);
    for (unsigned round = 0; round < 3; round++) {
        CU_ASSERT_TRUE(pair_register(p));
        CU_ASSERT_EQUAL(pair_differences(p), 0);
        CU_ASSERT_TRUE(iommu_notifier_unregister(&p->notifier, NULL));
        CU_ASSERT_EQUAL(p->host.mapped, 0);
    }
    pair_free(p);
}

/* QEMU, openvmm: a replay that fails half way left the first half mapped. */
static void test_failed_replay_leaves_nothing(void)
{
    for (unsigned fail_at = 1; fail_at <= 5; fail_at++) {
        struct pair *p = pair_new(&fixture_ops);
        g_autoptr(GError) error = NULL;

        for (unsigned i = 0; i < 5; i++) {
            fixture_guest_map(p->f, 10 * i, 2, 100 + 10 * i, RW);
        }
        p->host.fail_at = fail_at;
        p->host.fail_errno = ENOSPC;
        CU_ASSERT_FALSE(iommu_notifier_register(&p->f->region, &p->notifier, &error));
        CU_ASSERT_PTR_NOT_NULL_FATAL(error);
        CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "IOVA 0x"));
        CU_ASSERT_EQUAL(p->host.mapped, 0);
        CU_ASSERT_PTR_NULL(p->notifier.region);
        CU_ASSERT_TRUE(fixture_invalidate(p->f, 0, FIXTURE_PAGES)); /* the guest runs on */
        CU_ASSERT_EQUAL(p->host.mapped, 0);
        CU_ASSERT_TRUE(pair_register(p)); /* and the device may come again */
        CU_ASSERT_EQUAL(pair_differences(p), 0);
        pair_free(p);
    }
}

/* QEMU: what failed once was taken for mapped, and an identical sync skipped it. */
static void test_failed_map_is_retried(void)
{
    struct pair *p = pair_new(&fixture_ops);

    CU_ASSERT_TRUE(pair_register(p));
    fixture_guest_map(p->f, 3, 1, 100, RW);
    fixture_guest_map(p->f, 9, 1, 101, RW);
    p->host.fail_at = 1;
    p->host.fail_errno = ENOMEM;
    CU_ASSERT_FALSE(fixture_invalidate(p->f, 0, FIXTURE_PAGES));
    CU_ASSERT_EQUAL(p->failures, 1);
    CU_ASSERT_EQUAL(p->host.mapped, 0);
    CU_ASSERT_TRUE(pair_differences(p) > 0);
    CU_ASSERT_TRUE(fixture_invalidate(p->f, 400, 1)); /* elsewhere */
    CU_ASSERT_EQUAL(pair_differences(p), 0);
    pair_free(p);
}

static void test_failed_unmap_is_kept_and_retried(void)
{
    struct pair *p = pair_new(&fixture_ops);

    fixture_guest_map(p->f, 3, 1, 100, RW);
    fixture_guest_map(p->f, 5, 1, 101, RW);
    CU_ASSERT_TRUE(pair_register(p));
    fixture_guest_unmap(p->f, 3);
    fixture_guest_unmap(p->f, 5);
    p->host.fail_at = p->host.calls + 1; /* both, and then the first of them */
    p->host.fail_more = 1;
    p->host.fail_errno = EBUSY;
    CU_ASSERT_FALSE(fixture_invalidate(p->f, 0, 10));
    CU_ASSERT_EQUAL(p->host.mapped, 1); /* the other was unmapped all the same */
    CU_ASSERT_EQUAL(iommu_notifier_count(&p->notifier), 1);
    CU_ASSERT_TRUE(fixture_invalidate(p->f, 400, 1));
    CU_ASSERT_EQUAL(p->host.mapped, 0);
    pair_free(p);
}

/* What is taken back with nothing between that stays costs one call. */
static void test_runs_are_unmapped_by_one_call(void)
{
    struct pair *p = pair_new(&fixture_ops);

    for (unsigned i = 0; i < 10; i++) {
        fixture_guest_map(p->f, 3 + 2 * i, 1, 100 + i, RW);
    }
    CU_ASSERT_TRUE(pair_register(p));
    for (unsigned i = 0; i < 10; i++) {
        if (i != 4) {
            fixture_guest_unmap(p->f, 3 + 2 * i);
        }
    }
    CU_ASSERT_TRUE(fixture_invalidate(p->f, 0, FIXTURE_PAGES));
    CU_ASSERT_EQUAL(p->host.unmaps, 2);
    CU_ASSERT_EQUAL(p->host.mapped, 1);
    CU_ASSERT_EQUAL(pair_differences(p), 0);
    fixture_guest_map(p->f, 3, 1, 100, RW);
    CU_ASSERT_TRUE(fixture_invalidate(p->f, 0, FIXTURE_PAGES));
    p->host.fail_at = p->host.calls + 1; /* at unplug the host can't do both at once */
    p->host.fail_errno = EBUSY;
    pair_free(p);
}

static void test_unchanged_mappings_are_not_touched(void)
{
    struct pair *p = pair_new(&fixture_ops);

    fixture_guest_map(p->f, 3, 1, 100, RW);
    fixture_guest_map(p->f, 8, 8, 200, RW);
    CU_ASSERT_TRUE(pair_register(p));
    fixture_guest_unmap(p->f, 3);
    fixture_guest_map(p->f, 4, 1, 300, RW);
    CU_ASSERT_TRUE(fixture_invalidate(p->f, 0, FIXTURE_PAGES));
    CU_ASSERT_EQUAL(p->host.pages[8].remapping, 2);
    CU_ASSERT_EQUAL(p->host.maps, 3);
    CU_ASSERT_EQUAL(p->host.unmaps, 1);
    pair_free(p);
}

/* The guest splits a large page into small ones that lead to the same places: nothing to do. */
static void test_split_and_joined_pages_stay(void)
{
    struct pair *p = pair_new(&fixture_ops);

    fixture_guest_map(p->f, 8, 8, 200, RW);
    CU_ASSERT_TRUE(pair_register(p));
    for (unsigned i = 0; i < 8; i++) {
        fixture_guest_map(p->f, 8 + i, 1, 200 + i, RW);
    }
    CU_ASSERT_TRUE(fixture_invalidate(p->f, 8, 8));
    CU_ASSERT_EQUAL(p->host.calls, 1);
    fixture_guest_unmap(p->f, 12); /* now it has to be cut */
    CU_ASSERT_TRUE(fixture_invalidate(p->f, 12, 1));
    CU_ASSERT_EQUAL(pair_differences(p), 0);
    fixture_guest_map(p->f, 8, 8, 200, RW); /* one large page again */
    CU_ASSERT_TRUE(fixture_invalidate(p->f, 12, 1));
    CU_ASSERT_EQUAL(pair_differences(p), 0);
    CU_ASSERT_EQUAL(p->host.pages[8].remapping, 2); /* the small ones stayed */
    pair_free(p);
}

/* type1's limit: what goes makes room for what comes, in whatever order of addresses. */
static void test_unmaps_make_room_for_maps(void)
{
    struct pair *p = pair_new(&fixture_ops);

    for (unsigned i = 0; i < 4; i++) {
        fixture_guest_map(p->f, 100 + i, 1, 100 + i, RW);
    }
    p->host.limit = 4;
    CU_ASSERT_TRUE(pair_register(p));
    for (unsigned i = 0; i < 4; i++) {
        fixture_guest_unmap(p->f, 100 + i);
        fixture_guest_map(p->f, i, 1, 100 + i, RW);
    }
    CU_ASSERT_TRUE(fixture_invalidate(p->f, 0, FIXTURE_PAGES));
    CU_ASSERT_EQUAL(pair_differences(p), 0);
    pair_free(p);
}

static void test_access_rights_are_part_of_a_mapping(void)
{
    struct pair *p = pair_new(&fixture_ops);

    fixture_guest_map(p->f, 3, 1, 100, RW);
    CU_ASSERT_TRUE(pair_register(p));
    fixture_guest_map(p->f, 3, 1, 100, IOMMU_READ);
    CU_ASSERT_TRUE(fixture_invalidate(p->f, 3, 1));
    CU_ASSERT_EQUAL(p->host.pages[3].access, IOMMU_READ);
    pair_free(p);
}

/* A model that is told of each mapping. */

static bool locked_map(struct pair *p, unsigned page, unsigned target, GError **error)
{
    struct iommu_mapping mapping = {page * FIXTURE_PAGE, FIXTURE_PAGE, target * FIXTURE_PAGE, RW};
    bool ok;

    mutex_lock(&p->f->lock);
    ok = iommu_region_map(&p->f->region, &mapping, error);
    mutex_unlock(&p->f->lock);
    return ok;
}

static bool locked_unmap(struct pair *p, unsigned page, unsigned pages, GError **error)
{
    bool ok;

    mutex_lock(&p->f->lock);
    ok = iommu_region_unmap(&p->f->region, fixture_range(page, pages), error);
    mutex_unlock(&p->f->lock);
    return ok;
}

/* cloud-hypervisor: MAP failed for one endpoint, and the others kept theirs. */
static void test_map_for_all_or_none(void)
{
    struct pair *p = pair_new(&fixture_ops);
    struct fixture_host other = {0};
    struct iommu_notifier second = fixture_notifier(&other);

    CU_ASSERT_TRUE(pair_register(p));
    CU_ASSERT_TRUE(iommu_notifier_register(&p->f->region, &second, NULL));
    CU_ASSERT_TRUE(locked_map(p, 5, 50, NULL));
    CU_ASSERT_FALSE(locked_map(p, 5, 51, NULL));
    other.fail_at = other.calls + 1;
    other.fail_errno = ENOMEM;
    CU_ASSERT_FALSE(locked_map(p, 6, 60, NULL));
    CU_ASSERT_EQUAL(p->host.mapped, 1);
    CU_ASSERT_EQUAL(other.mapped, 1);
    CU_ASSERT_TRUE(locked_unmap(p, 0, 100, NULL));
    CU_ASSERT_EQUAL(p->host.mapped + other.mapped, 0);
    CU_ASSERT_TRUE(iommu_notifier_unregister(&second, NULL));
    pair_free(p);
}

static void test_unmap_never_cuts(void)
{
    struct pair *p = pair_new(&fixture_ops);

    fixture_guest_map(p->f, 8, 8, 200, RW);
    CU_ASSERT_TRUE(pair_register(p));
    CU_ASSERT_FALSE(locked_unmap(p, 8, 4, NULL));
    CU_ASSERT_FALSE(locked_unmap(p, 12, 100, NULL));
    CU_ASSERT_EQUAL(p->host.mapped, 1);
    CU_ASSERT_TRUE(locked_unmap(p, 0, 100, NULL));
    CU_ASSERT_EQUAL(p->host.mapped, 0);
    pair_free(p);
}

/* Caches want to know where something may have gone, no more. */
static void test_cache_hears_of_invalidations(void)
{
    struct pair *p = pair_new(&fixture_ops);

    p->notifier.events = IOMMU_EVENT_UNMAP;
    p->notifier.range = fixture_range(0, 100);
    fixture_guest_map(p->f, 8, 8, 200, RW);
    CU_ASSERT_TRUE(pair_register(p));
    CU_ASSERT_EQUAL(p->host.calls, 0);
    CU_ASSERT_TRUE(fixture_invalidate(p->f, 90, 20));
    CU_ASSERT_EQUAL(p->host.unmaps, 1);
    CU_ASSERT_TRUE(fixture_invalidate(p->f, 200, 20));
    CU_ASSERT_EQUAL(p->host.unmaps, 1);
    pair_free(p);
}

/* QEMU, 2023: the replay by which a migration looked for written pages unmapped all of them first,
 * and DMA failed meanwhile. A look, or a reconcile of what is equal, is no host call. */
static void test_a_look_touches_nothing(void)
{
    struct pair *p = pair_new(&fixture_ops);

    fixture_guest_map(p->f, 8, 8, 200, RW);
    fixture_guest_map(p->f, 300, 1, 7, IOMMU_READ);
    CU_ASSERT_TRUE(pair_register(p));
    p->host.calls = 0;
    CU_ASSERT_EQUAL(pair_differences(p), 0);
    CU_ASSERT_TRUE(iommu_notifier_reconcile(&p->notifier, NULL));
    CU_ASSERT_TRUE(fixture_invalidate(p->f, 0, FIXTURE_PAGES));
    CU_ASSERT_EQUAL(iommu_notifier_count(&p->notifier), 2);
    CU_ASSERT_EQUAL(p->host.calls, 0);
    pair_free(p);
}

static void test_verify_names_the_difference(void)
{
    struct pair *p = pair_new(&fixture_ops);
    g_autoptr(GString) out = g_string_new(NULL);
    struct mapping_difference d;

    fixture_guest_map(p->f, 8, 2, 200, RW);
    CU_ASSERT_TRUE(pair_register(p));
    fixture_guest_unmap(p->f, 8);
    fixture_guest_map(p->f, 9, 2, 201, IOMMU_READ);
    d = iommu_notifier_verify(&p->notifier, out, 10);
    CU_ASSERT_EQUAL(d.missing, 2 * FIXTURE_PAGE);
    CU_ASSERT_EQUAL(d.extra, 2 * FIXTURE_PAGE);
    CU_ASSERT_STRING_EQUAL(out->str,
                           "not in the guest's tables: iova 0x8000 length 0x2000 -> "
                           "0xc8000 rw\n"
                           "missing on the host: iova 0x9000 length 0x2000 -> 0xc9000 r-\n");
    pair_free(p);
}

#define VERIFY_PAGES 48u

static bool accept_map(void *opaque, const struct iommu_mapping *mapping, GError **error)
{
    return true;
}

static bool accept_unmap(void *opaque, struct range range, uint64_t mappings, GError **error)
{
    return true;
}

static void fill(struct mapping_set *set, GRand *rand)
{
    for (unsigned page = 0, count; page < VERIFY_PAGES; page += count) {
        unsigned shift = (unsigned)g_rand_int_range(rand, 0, 2); /* two places it may lead to */
        struct iommu_mapping mapping = {page * FIXTURE_PAGE, 0, (page + 100 + shift) * FIXTURE_PAGE,
                                        (unsigned)g_rand_int_range(rand, 1, 4)};

        count = (unsigned)g_rand_int_range(rand, 1, 6);
        count = MIN(count, VERIFY_PAGES - page);
        mapping.length = count * FIXTURE_PAGE;
        if (g_rand_boolean(rand)) {
            CU_ASSERT_TRUE(mapping_set_map(set, &mapping, NULL));
        }
    }
}

static bool note_pages(void *opaque, const struct iommu_mapping *mapping, GError **error)
{
    uint64_t *pages = opaque;

    for (uint64_t i = 0; i < mapping->length / FIXTURE_PAGE; i++) {
        pages[mapping->iova / FIXTURE_PAGE + i] =
            mapping->translated + i * FIXTURE_PAGE + mapping->access;
    }
    return true;
}

static void test_verify_counts_as_page_by_page(void)
{
    static const struct mapping_set_ops ops = {accept_map, accept_unmap};
    GRand *rand = test_seeded_rand();

    for (unsigned round = 0; round < 3000; round++) {
        struct mapping_set *guest = mapping_set_new(&ops, NULL),
                           *host = mapping_set_new(&ops, NULL);
        uint64_t of_guest[VERIFY_PAGES] = {0}, of_host[VERIFY_PAGES] = {0};
        struct mapping_difference expected = {0}, found;
        unsigned first = (unsigned)g_rand_int_range(rand, 0, VERIFY_PAGES);
        unsigned count = (unsigned)g_rand_int_range(rand, 1, VERIFY_PAGES - (int)first + 1);
        struct range range = {first * FIXTURE_PAGE, count * FIXTURE_PAGE};

        fill(guest, rand);
        fill(host, rand);
        mapping_set_walk(guest, (struct range){0, VERIFY_PAGES * FIXTURE_PAGE}, note_pages,
                         of_guest, NULL);
        mapping_set_walk(host, (struct range){0, VERIFY_PAGES * FIXTURE_PAGE}, note_pages, of_host,
                         NULL);
        for (unsigned page = first; page < first + count; page++) {
            bool same = of_guest[page] == of_host[page];

            expected.missing += of_guest[page] && !same ? FIXTURE_PAGE : 0;
            expected.extra += of_host[page] && !same ? FIXTURE_PAGE : 0;
        }
        found = mapping_set_verify(host, range, mapping_set_walk, guest, NULL, 0);
        CU_ASSERT_EQUAL(found.missing, expected.missing);
        CU_ASSERT_EQUAL(found.extra, expected.extra);
        CU_ASSERT_FALSE(found.unknown);
        mapping_set_free(guest);
        mapping_set_free(host);
    }
    g_rand_free(rand);
}

static const struct unit_test tests[] = {
    {"late registration hears all", test_late_registration_hears_all},
    {"replay of nothing makes no call", test_replay_of_nothing_makes_no_call},
    {"probe finds the same", test_probe_finds_the_same},
    {"probe coarser than the guest is refused", test_probe_coarser_than_the_guest_is_refused},
    {"bad arguments are named", test_bad_arguments_are_named},
    {"a model may refuse events", test_model_may_refuse_events},
    {"crop moves the translated address", test_crop_moves_the_translated_address},
    {"a second notifier leaves the first alone", test_second_notifier_leaves_the_first_alone},
    {"last out, first in again", test_last_out_first_in_again},
    {"a failed replay leaves nothing", test_failed_replay_leaves_nothing},
    {"a failed map is retried", test_failed_map_is_retried},
    {"a failed unmap is kept and retried", test_failed_unmap_is_kept_and_retried},
    {"unchanged mappings are not touched", test_unchanged_mappings_are_not_touched},
    {"split and joined pages stay", test_split_and_joined_pages_stay},
    {"runs are unmapped by one call", test_runs_are_unmapped_by_one_call},
    {"unmaps make room for maps", test_unmaps_make_room_for_maps},
    {"access rights are part of a mapping", test_access_rights_are_part_of_a_mapping},
    {"map for all or none", test_map_for_all_or_none},
    {"unmap never cuts", test_unmap_never_cuts},
    {"a cache hears of invalidations", test_cache_hears_of_invalidations},
    {"a look touches nothing", test_a_look_touches_nothing},
    {"verify names the difference", test_verify_names_the_difference},
    {"verify counts as page by page", test_verify_counts_as_page_by_page},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("iommu-replay", tests);
}
