/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random guests against a naive model: two host IOMMUs follow one guest's tables through maps,
 * unmaps, remaps, invalidations, hotplug, unplug and host calls that fail. What breaks an invariant
 * is cut down to the shortest sequence that still does, and printed.
 *
 * DUODM_TEST_STEPS: how many steps (default 200,000).
 */
#include "unit/iommu-fixture.h"
#include "unit/shrink.h"
#include "unit/suite.h"

#define HOSTS          2
#define SEQUENCE_STEPS 60
#define USED_PAGES     48 /* few, so that steps meet */

enum step_kind {
    STEP_MAP, /* a free run of pages; invalidated at once, as caching mode has it */
    STEP_UNMAP,
    STEP_CHANGE,     /* other target or rights, in place */
    STEP_SPLIT,      /* one mapping becomes single pages, or pages one mapping */
    STEP_LATER,      /* unmap without an invalidation yet */
    STEP_INVALIDATE, /* a range */
    STEP_SWITCH,     /* other tables altogether (a context entry), all invalidated */
    STEP_PLUG,
    STEP_UNPLUG,
    STEP_FAIL, /* a host call that is to come fails */
    STEP_KINDS
};

struct step {
    enum step_kind kind;
    unsigned page, pages, target, access, host, number;
};

struct world {
    struct fixture *f;
    struct fixture_host hosts[HOSTS];
    struct iommu_notifier notifiers[HOSTS];
    bool failed[HOSTS];          /* a failure was reported, and nothing has succeeded since */
    bool pending[FIXTURE_PAGES]; /* the guest has not yet invalidated */
};

static void note_failure(struct iommu_notifier *notifier, const GError *error)
{
    struct fixture_host *host = notifier->opaque;

    host->told = true;
}

static bool is_free(const struct fixture *f, unsigned page, unsigned pages)
{
    for (unsigned i = page; i < page + pages; i++) {
        if (f->guest[i].access) {
            return false;
        }
    }
    return true;
}

static void invalidate(struct world *world, unsigned page, unsigned pages)
{
    for (unsigned h = 0; h < HOSTS; h++) {
        world->hosts[h].told = false;
    }
    fixture_invalidate(world->f, page, pages);
    for (unsigned h = 0; h < HOSTS; h++) {
        world->failed[h] = world->hosts[h].told;
    }
    memset(&world->pending[page], 0, pages);
}

static void split_or_join(struct world *world, const struct step *step)
{
    struct fixture_page at = world->f->guest[step->page];

    if (!at.access) {
        return;
    }
    if (at.pages > 1) {
        for (unsigned i = 0; i < at.pages; i++) {
            fixture_guest_map(world->f, at.first + i, 1,
                              world->f->guest[at.first + i].translated / FIXTURE_PAGE, at.access);
        }
    } else {
        fixture_guest_map(world->f, at.first, 1, at.translated / FIXTURE_PAGE, at.access);
    }
    invalidate(world, at.first, at.pages);
}

static void change(struct world *world, const struct step *step)
{
    struct fixture_page at = world->f->guest[step->page];

    if (at.access) {
        fixture_guest_map(world->f, at.first, at.pages, step->target, step->access);
        invalidate(world, at.first, at.pages);
    }
}

static const char *plug(struct world *world, const struct step *step)
{
    struct iommu_notifier *notifier = &world->notifiers[step->host];
    struct fixture_host *host = &world->hosts[step->host];
    unsigned calls = host->calls;
    bool ok;

    if (notifier->region) {
        return NULL;
    }
    ok = iommu_notifier_register(&world->f->region, notifier, NULL);
    world->failed[step->host] = false;
    if (!ok && (host->fail_at <= calls || host->fail_at > host->calls)) {
        return "registration failed and no host call had";
    }
    if (!ok && host->mapped) {
        return "I1: a failed registration left something mapped";
    }
    return ok && fixture_differences(world->f, host, 0, FIXTURE_PAGES)
               ? "I1: after a registration the host differs"
               : NULL;
}

static const char *unplug(struct world *world, const struct step *step)
{
    struct fixture_host *host = &world->hosts[step->host];

    host->fail_at = 0;
    if (!iommu_notifier_unregister(&world->notifiers[step->host], NULL)) {
        return "unregistration failed and no host call had";
    }
    return host->mapped ? "something is left after unplug" : NULL;
}

static const char *take_step(struct world *world, const struct step *step)
{
    struct fixture *f = world->f;

    switch (step->kind) {
    case STEP_MAP:
        if (is_free(f, step->page, step->pages)) {
            fixture_guest_map(f, step->page, step->pages, step->target, step->access);
            invalidate(world, step->page, step->pages);
        }
        break;
    case STEP_UNMAP:
    case STEP_LATER: {
        struct fixture_page at = f->guest[step->page];

        fixture_guest_unmap(f, step->page);
        for (unsigned i = 0; at.access && i < at.pages; i++) {
            world->pending[at.first + i] = true;
        }
        if (at.access && step->kind == STEP_UNMAP) {
            invalidate(world, at.first, at.pages);
        }
        break;
    }
    case STEP_CHANGE:
        change(world, step);
        break;
    case STEP_SPLIT:
        split_or_join(world, step);
        break;
    case STEP_INVALIDATE:
        invalidate(world, step->page, step->pages);
        break;
    case STEP_SWITCH:
        memset(f->guest, 0, sizeof(f->guest));
        fixture_guest_map(f, step->page, step->pages, step->target, step->access);
        invalidate(world, 0, FIXTURE_PAGES);
        break;
    case STEP_PLUG:
        return plug(world, step);
    case STEP_UNPLUG:
        return unplug(world, step);
    default:
        world->hosts[step->host].fail_at = world->hosts[step->host].calls + step->number;
        world->hosts[step->host].fail_errno = EIO;
        break;
    }
    return NULL;
}

/* I2, page by page; what is pending may be either way. */
static const char *check_host(const struct world *world, unsigned h)
{
    const struct fixture_host *host = &world->hosts[h];

    for (unsigned i = 0; i < FIXTURE_PAGES; i++) {
        if (!world->pending[i] && fixture_differences(world->f, host, i, 1)) {
            return "I2: the host differs after an invalidation";
        }
    }
    return NULL;
}

/* I4: a mapping that was made anew had something of its own, or of what it overlaps, changed. */
static const char *check_untouched(const struct fixture_host *before,
                                   const struct fixture_host *now, const struct fixture *f)
{
    for (unsigned i = 0; i < FIXTURE_PAGES; i += MAX(before->pages[i].pages, 1)) {
        bool confirmed = before->pages[i].access != 0;

        for (unsigned k = i; confirmed && k < i + before->pages[i].pages; k++) {
            confirmed = f->guest[k].access == before->pages[k].access &&
                        f->guest[k].translated == before->pages[k].translated;
        }
        if (confirmed && now->pages[i].remapping != before->pages[i].remapping) {
            return "I4: a live mapping was dropped";
        }
    }
    return NULL;
}

static const char *run_steps(const void *opaque, unsigned count)
{
    const struct step *steps = opaque;
    struct world world = {.f = fixture_new(&fixture_ops)};
    const char *fault = NULL;

    for (unsigned h = 0; h < HOSTS; h++) {
        world.notifiers[h] = fixture_notifier(&world.hosts[h]);
        world.notifiers[h].failed = note_failure;
    }
    for (unsigned i = 0; i < count && !fault; i++) {
        struct fixture_host before[HOSTS];

        memcpy(before, world.hosts, sizeof(before));
        fault = take_step(&world, &steps[i]);
        for (unsigned h = 0; h < HOSTS && !fault; h++) {
            if (world.notifiers[h].region && steps[i].kind != STEP_UNPLUG) {
                fault = check_untouched(&before[h], &world.hosts[h], world.f);
            }
            if (world.notifiers[h].region && !world.failed[h] && !fault) {
                fault = check_host(&world, h);
            }
        }
    }
    for (unsigned h = 0; h < HOSTS; h++) {
        struct step step = {.kind = STEP_UNPLUG, .host = h};
        const char *last = unplug(&world, &step);

        fault = fault ? fault : last;
    }
    fixture_free(world.f);
    return fault;
}

static void make_steps(void *opaque, GRand *random)
{
    struct step *steps = opaque;
    static const unsigned accesses[] = {IOMMU_READ, IOMMU_WRITE, IOMMU_READ | IOMMU_WRITE};

    for (unsigned i = 0; i < SEQUENCE_STEPS; i++) {
        steps[i].kind = i < 2 ? STEP_PLUG : g_rand_int_range(random, 0, STEP_KINDS + 6);
        steps[i].kind = steps[i].kind >= STEP_KINDS ? STEP_MAP : steps[i].kind;
        steps[i].page = g_rand_int_range(random, 0, USED_PAGES);
        steps[i].pages = g_rand_int_range(random, 1, 9);
        steps[i].target = 1000 + g_rand_int_range(random, 0, 4);
        steps[i].access = accesses[g_rand_int_range(random, 0, 3)];
        steps[i].host = g_rand_int_range(random, 0, HOSTS);
        steps[i].number = g_rand_int_range(random, 1, 6);
    }
}

static void print_steps(const void *opaque, unsigned count)
{
    const struct step *steps = opaque;
    static const char *const names[] = {"map",        "unmap",  "change", "split",  "later",
                                        "invalidate", "switch", "plug",   "unplug", "fail"};

    for (unsigned i = 0; i < count; i++) {
        printf("    %-10s page %u pages %u target %u access %u host %u number %u\n",
               names[steps[i].kind], steps[i].page, steps[i].pages, steps[i].target,
               steps[i].access, steps[i].host, steps[i].number);
    }
}

static void test_random_guests(void)
{
    static const struct random_sequences guests = {
        .size = sizeof(struct step),
        .steps = SEQUENCE_STEPS,
        .in_total = 200000,
        .make = make_steps,
        .run = run_steps,
        .print = print_steps,
    };

    run_random_sequences(&guests);
}

/* Each host call of a scenario fails once, with each error that hosts give. */

static unsigned run_scenario(unsigned fail_at, int fail_errno)
{
    struct fixture *f = fixture_new(&fixture_ops);
    struct fixture_host host = {.fail_at = fail_at, .fail_errno = fail_errno};
    struct iommu_notifier notifier = fixture_notifier(&host);
    unsigned calls;
    bool plugged;

    for (unsigned i = 0; i < 8; i++) {
        fixture_guest_map(f, 4 * i, 1 + i % 3, 100 + 4 * i, IOMMU_READ | IOMMU_WRITE);
    }
    plugged = iommu_notifier_register(&f->region, &notifier, NULL);
    CU_ASSERT(plugged || host.mapped == 0);
    if (!plugged) {
        CU_ASSERT_TRUE_FATAL(iommu_notifier_register(&f->region, &notifier, NULL));
    }
    for (unsigned i = 0; i < 8; i += 2) {
        fixture_guest_unmap(f, 4 * i);
        fixture_guest_map(f, 200 + 8 * i, 8, 300 + 8 * i, IOMMU_READ);
    }
    fixture_guest_map(f, 4, 2, 500, IOMMU_READ);
    if (!fixture_invalidate(f, 0, FIXTURE_PAGES)) {
        CU_ASSERT_TRUE(fixture_invalidate(f, 0, 1)); /* one call fails once: this one heals */
    }
    CU_ASSERT_EQUAL(fixture_differences(f, &host, 0, FIXTURE_PAGES), 0);
    calls = host.calls;
    host.fail_at = 0;
    CU_ASSERT_TRUE(iommu_notifier_unregister(&notifier, NULL));
    CU_ASSERT_EQUAL(host.mapped, 0);
    fixture_free(f);
    return calls;
}

static void test_each_call_fails_once(void)
{
    static const int errors[] = {ENOMEM, ENOSPC, EINVAL, EEXIST, EBUSY, EFAULT};
    unsigned calls = run_scenario(0, 0);

    CU_ASSERT(calls > 15);
    for (unsigned e = 0; e < G_N_ELEMENTS(errors); e++) {
        for (unsigned i = 1; i <= calls; i++) {
            run_scenario(i, errors[e]);
        }
    }
}

static const struct unit_test tests[] = {
    {"random guests", test_random_guests},
    {"each host call fails once", test_each_call_fails_once},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("iommu-model", tests);
}
