/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random guests of the VT-d unit against a naive model: two devices, two domains, pages of all
 * three sizes, whole and split; contexts, translation and the unit itself come and go, host IOMMUs
 * follow the devices and fail. After each step hosts hold, and DMA reaches, what the guest's tables
 * say. What breaks an invariant is cut down to the shortest sequence that still does, and printed.
 *
 * DUODM_TEST_STEPS: how many steps (default 30,000).
 */
#include "unit/shrink.h"
#include "unit/suite.h"
#include "unit/vtd-fixture.h"

#define DEVICES        2u
#define DOMAINS        2u
#define SEQUENCE_STEPS 40u
#define PLACES         11u
#define NO_HOLE        512u
#define PAGE           4096ull
#define STAMPED        (16ull << 20) /* pages from here on hold their own addresses */
#define STAMPS         64u

/* Where a guest maps: in order of IOVA, none over another. */
static const struct place {
    uint64_t iova;
    unsigned level;
} places[PLACES] = {
    {0 * PAGE, 1},   {1 * PAGE, 1},   {2 * PAGE, 1},           {3 * PAGE, 1},
    {6 * PAGE, 1},   {7 * PAGE, 1},   {8 * PAGE, 1},           {4ull << 20, 2},
    {6ull << 20, 2}, {1ull << 30, 3}, {VTD_BIT(39) - PAGE, 1},
};

/* What a guest has put there. Parts: the same in pages of the next smaller size, but one. */
struct slot {
    unsigned access; /* 0: nothing */
    uint64_t target;
    bool in_parts;
    unsigned hole;  /* of the parts, the one that is missing; NO_HOLE: none */
    uint64_t table; /* of the parts, made once; 0: not yet */
};

struct domain {
    unsigned id, levels;
    uint64_t table;
    struct slot slots[PLACES];
    bool pending; /* not all of its changes were invalidated yet */
};

enum context { CONTEXT_NONE, CONTEXT_FIRST, CONTEXT_SECOND, CONTEXT_PASS, CONTEXTS_OF_DEVICE };

struct host_entry {
    struct iommu_mapping mapping;
    unsigned serial; /* when it was made */
};

struct requester {
    uint16_t id;
    struct vtd_device *device;
    struct address_space dma;
    enum context context;
    struct iommu_notifier notifier;
    GArray *held; /* of struct host_entry, by IOVA */
    unsigned calls, fail_at, serial;
    bool told;    /* of a failure */
    bool was_cut; /* a mapping, by an unmap */
};

struct world {
    struct unit *u;
    struct domain domains[DOMAINS];
    struct requester requesters[DEVICES];
    bool translating, ready; /* ready: root table and queue are set up */
};

enum step_kind {
    STEP_SET,   /* a place, and invalidate it */
    STEP_LATER, /* a place, and invalidate it some other time */
    STEP_FLUSH,
    STEP_CONTEXT,
    STEP_TRANSLATION, /* on or off */
    STEP_RESET,       /* of the unit */
    STEP_SAVE,        /* and load */
    STEP_PLUG,        /* or unplug */
    STEP_FAIL,        /* a host call that is to come */
    STEP_KINDS
};

struct step {
    enum step_kind kind;
    unsigned place, domain, device, context, access, target, hole, how, number;
    bool in_parts;
};

/* ---- The host ---- */

static unsigned find_entry(const struct requester *r, uint64_t iova)
{
    unsigned i = 0;

    while (i < r->held->len && g_array_index(r->held, struct host_entry, i).mapping.iova < iova) {
        i++;
    }
    return i;
}

static bool host_fails(struct requester *r, GError **error)
{
    return ++r->calls == r->fail_at && !duodm_fail(error, DUODM_ERROR_IO, "injected");
}

static bool host_map(void *opaque, const struct iommu_mapping *mapping, GError **error)
{
    struct requester *r = opaque;
    struct host_entry entry = {*mapping, ++r->serial};
    unsigned at = find_entry(r, mapping->iova);

    if (host_fails(r, error)) {
        return false;
    }
    for (unsigned i = at ? at - 1 : 0; i < r->held->len && i < at + 1; i++) {
        const struct host_entry *other = &g_array_index(r->held, struct host_entry, i);

        CU_ASSERT_FALSE_FATAL(
            range_overlaps(iommu_mapping_range(&other->mapping), iommu_mapping_range(mapping)));
    }
    g_array_insert_val(r->held, at, entry);
    return true;
}

static bool host_unmap(void *opaque, struct range range, uint64_t mappings, GError **error)
{
    struct requester *r = opaque;
    unsigned at = find_entry(r, range.start), end = at;

    if (host_fails(r, error)) {
        return false;
    }
    if (at) {
        const struct iommu_mapping *before =
            &g_array_index(r->held, struct host_entry, at - 1).mapping;

        r->was_cut |= before->iova + before->length > range.start;
    }
    for (; end < r->held->len; end++) {
        const struct iommu_mapping *mapping =
            &g_array_index(r->held, struct host_entry, end).mapping;

        if (mapping->iova >= range.start + range.length) {
            break;
        }
        r->was_cut |= mapping->iova + mapping->length > range.start + range.length;
    }
    g_array_remove_range(r->held, at, end - at);
    return true;
}

static const struct mapping_set_ops host_ops = {host_map, host_unmap};

static void host_failed(struct iommu_notifier *notifier, const GError *error)
{
    ((struct requester *)notifier->opaque)->told = true;
}

/* ---- Expectations, as runs ---- */

static void add_run(GArray *runs, const struct iommu_mapping *mapping)
{
    struct iommu_mapping *last =
        runs->len ? &g_array_index(runs, struct iommu_mapping, runs->len - 1) : NULL;

    if (last && last->iova + last->length == mapping->iova && iommu_mapping_agrees(last, mapping)) {
        last->length += mapping->length;
    } else {
        g_array_append_val(runs, *mapping);
    }
}

static uint64_t level_size(unsigned level)
{
    return PAGE << 9 * (level - 1);
}

static GArray *runs_of_domain(const struct domain *domain)
{
    GArray *runs = g_array_new(false, false, sizeof(struct iommu_mapping));

    for (unsigned i = 0; domain && i < PLACES; i++) {
        const struct slot *slot = &domain->slots[i];
        uint64_t size = level_size(places[i].level), part = size / 512;
        struct iommu_mapping whole = {places[i].iova, size, slot->target, slot->access};

        if (!slot->access) {
            continue;
        }
        if (!slot->in_parts || slot->hole == NO_HOLE) {
            add_run(runs, &whole);
            continue;
        }
        for (unsigned half = 0; half < 2; half++) {
            struct range range = {whole.iova, slot->hole * part};
            struct iommu_mapping mapping;

            if (half) {
                range.start += range.length + part;
                range.length = size - range.length - part;
            }
            if (range.length) {
                mapping = iommu_mapping_crop(&whole, range);
                add_run(runs, &mapping);
            }
        }
    }
    return runs;
}

static GArray *runs_of_host(const struct requester *r)
{
    GArray *runs = g_array_new(false, false, sizeof(struct iommu_mapping));

    for (unsigned i = 0; i < r->held->len; i++) {
        add_run(runs, &g_array_index(r->held, struct host_entry, i).mapping);
    }
    return runs;
}

static const struct domain *domain_of(const struct world *w, const struct requester *r)
{
    bool in_one = r->context == CONTEXT_FIRST || r->context == CONTEXT_SECOND;

    return w->translating && in_one ? &w->domains[r->context - CONTEXT_FIRST] : NULL;
}

static bool runs_hold(const GArray *runs, const struct iommu_mapping *mapping)
{
    for (unsigned i = 0; i < runs->len; i++) {
        const struct iommu_mapping *run = &g_array_index(runs, struct iommu_mapping, i);

        if (run->iova <= mapping->iova &&
            mapping->iova + mapping->length <= run->iova + run->length) {
            return iommu_mapping_agrees(run, mapping);
        }
    }
    return false;
}

/* ---- The guest ---- */

static void put_slot(struct world *w, struct domain *domain, unsigned i)
{
    struct slot *slot = &domain->slots[i];
    unsigned level = places[i].level;
    uint64_t value = 0, part = level_size(level) / 512;

    if (slot->access && slot->in_parts) {
        slot->table = slot->table ? slot->table : new_table(w->u);
        for (unsigned k = 0; k < 512; k++) {
            poke(w->u, slot->table + 8 * k,
                 k == slot->hole
                     ? 0
                     : (slot->target + k * part) | slot->access | (level > 2 ? 0x80 : 0));
        }
        value = slot->table | 3;
    } else if (slot->access) {
        value = slot->target | slot->access | (level > 1 ? 0x80 : 0);
    }
    put_entry(w->u, domain->table, domain->levels, places[i].iova, level, value);
}

static void set_slot(struct world *w, const struct step *step)
{
    struct domain *domain = &w->domains[step->domain];
    struct slot *slot = &domain->slots[step->place];
    unsigned level = places[step->place].level;

    slot->access = step->access;
    slot->in_parts = level > 1 && step->in_parts;
    slot->hole = step->hole;
    slot->target = level == 3   ? (uint64_t)(step->target % 2) << 30
                   : level == 2 ? (32ull << 20) + (step->target + step->place) * level_size(2)
                                : STAMPED + (step->target + step->place) * PAGE;
    put_slot(w, domain, step->place);
}

static void flush_iotlb(struct world *w, enum vtd_granularity how, unsigned domain, uint64_t page,
                        bool by_register)
{
    if (!w->ready) {
        return;
    }
    if (by_register) {
        write64(w->u, VTD_IVA, page);
        write64(w->u, VTD_IOTLB, VTD_COMMAND_BUSY | (uint64_t)how << 60 | (uint64_t)domain << 32);
        CU_ASSERT_FALSE_FATAL(peek(w->u, WINDOW + VTD_IOTLB, 8) >> 63);
    } else {
        CU_ASSERT_TRUE_FATAL(queue(w->u, 2 | (uint64_t)how << 4 | (uint64_t)domain << 16, page));
    }
}

static void flush_context(struct world *w, enum vtd_granularity how, unsigned domain,
                          uint16_t requester, bool by_register)
{
    if (!w->ready) {
        return;
    }
    if (by_register) {
        write64(w->u, VTD_CCMD,
                VTD_COMMAND_BUSY | (uint64_t)how << 61 | (uint64_t)requester << 16 | domain);
        CU_ASSERT_FALSE_FATAL(peek(w->u, WINDOW + VTD_CCMD, 8) >> 63);
    } else {
        CU_ASSERT_TRUE_FATAL(queue(
            w->u, 1 | (uint64_t)how << 4 | (uint64_t)domain << 16 | (uint64_t)requester << 32, 0));
    }
}

static void flush_all(struct world *w)
{
    flush_context(w, VTD_GLOBAL, 0, 0, false);
    flush_iotlb(w, VTD_GLOBAL, 0, 0, false);
    for (unsigned i = 0; w->ready && i < DOMAINS; i++) {
        w->domains[i].pending = false;
    }
}

/* how: the granularity, and how it is asked for. */
static void invalidate_place(struct world *w, const struct step *step)
{
    struct domain *domain = &w->domains[step->domain];
    enum vtd_granularity how = (enum vtd_granularity)(1 + step->how % 3);
    unsigned level = places[step->place].level;
    uint64_t page = places[step->place].iova | 9 * (level - 1);

    page |= level == 1 && step->how & 4 ? VTD_HINT : 0;
    flush_iotlb(w, how, domain->id, how == VTD_PAGE ? page : 0, step->how & 8);
    if (w->ready && how != VTD_PAGE) {
        domain->pending = false;
    }
}

static void write_context(struct world *w, struct requester *r)
{
    const struct domain *domain = &w->domains[r->context == CONTEXT_SECOND];

    switch (r->context) {
    case CONTEXT_FIRST:
    case CONTEXT_SECOND:
        set_context(w->u, r->id, domain->table | 1, (domain->levels - 2) | domain->id << 8);
        break;
    case CONTEXT_PASS:
        set_context(w->u, r->id, 1 | VTD_PASS_THROUGH << 2, 2 | 9 << 8);
        break;
    default:
        set_context(w->u, r->id, 0, 0);
        break;
    }
}

/* The number of a context's domain, as its entry has it; 0 for none (6.2.2.1). */
static unsigned context_id(const struct world *w, enum context context)
{
    return context == CONTEXT_NONE   ? 0
           : context == CONTEXT_PASS ? 9
                                     : w->domains[context - CONTEXT_FIRST].id;
}

static void change_context(struct world *w, const struct step *step)
{
    struct requester *r = &w->requesters[step->device];
    unsigned old = context_id(w, r->context);
    enum vtd_granularity how = (enum vtd_granularity)(1 + step->how % 3);

    r->context = (enum context)step->context;
    write_context(w, r);
    flush_context(w, how, how == VTD_GLOBAL ? 0 : old, how == VTD_DEVICE ? r->id : 0,
                  step->how & 8);
    if (step->how & 4) {
        flush_iotlb(w, VTD_DOMAIN, old, 0, false);
        flush_iotlb(w, VTD_DOMAIN, context_id(w, r->context), 0, false);
    } else {
        flush_iotlb(w, VTD_GLOBAL, 0, 0, step->how & 16);
    }
}

static void switch_translation(struct world *w)
{
    w->translating = !w->translating;
    if (!w->translating) {
        write32(w->u, VTD_GCMD, VTD_GCMD_QUEUED);
    } else if (w->ready) {
        write32(w->u, VTD_GCMD, VTD_GCMD_QUEUED | VTD_GCMD_TRANSLATION);
    } else {
        w->u->tail = 0;
        enable(w->u);
        w->ready = true;
    }
    flush_all(w);
}

static const char *plug_or_unplug(struct requester *r)
{
    unsigned calls = r->calls;

    if (r->notifier.region) {
        r->fail_at = 0;
        if (!iommu_notifier_unregister(&r->notifier, NULL)) {
            return "unregistration failed and no host call had";
        }
        return r->held->len ? "something is left after unplug" : NULL;
    }
    if (!iommu_notifier_register(vtd_device_iommu(r->device), &r->notifier, NULL)) {
        return r->fail_at <= calls || r->fail_at > r->calls
                   ? "registration failed and no host call had"
               : r->held->len ? "I1: a failed registration left something mapped"
                              : NULL;
    }
    return NULL;
}

static const char *take_step(struct world *w, const struct step *step)
{
    struct requester *r = &w->requesters[step->device];
    struct vtd_state state;

    switch (step->kind) {
    case STEP_SET:
        set_slot(w, step);
        invalidate_place(w, step);
        break;
    case STEP_LATER:
        set_slot(w, step);
        w->domains[step->domain].pending = true;
        break;
    case STEP_FLUSH:
        flush_all(w);
        break;
    case STEP_CONTEXT:
        change_context(w, step);
        break;
    case STEP_TRANSLATION:
        switch_translation(w);
        break;
    case STEP_RESET:
        vtd_reset(w->u->vtd);
        w->translating = w->ready = false;
        break;
    case STEP_SAVE:
        vtd_save(w->u->vtd, &state);
        return vtd_load(w->u->vtd, &state) ? NULL : "its own state was refused";
    case STEP_PLUG:
        return plug_or_unplug(r);
    default:
        r->fail_at = r->calls + step->number;
        break;
    }
    return NULL;
}

/* ---- Checks ---- */

static bool runs_equal(const GArray *a, const GArray *b)
{
    bool equal = a->len == b->len;

    for (unsigned i = 0; i < a->len && equal; i++) {
        const struct iommu_mapping *x = &g_array_index(a, struct iommu_mapping, i);
        const struct iommu_mapping *y = &g_array_index(b, struct iommu_mapping, i);

        equal = x->iova == y->iova && x->length == y->length && iommu_mapping_agrees(x, y);
    }
    return equal;
}

static const char *check_host(const struct world *w, struct requester *r)
{
    g_autoptr(GArray) expected = runs_of_domain(domain_of(w, r));
    g_autoptr(GArray) held = runs_of_host(r);
    struct mapping_difference d = iommu_notifier_verify(&r->notifier, NULL, 0);

    if (!runs_equal(expected, held)) {
        return "I2: the host differs from the guest's tables";
    }
    return d.missing || d.extra || d.unknown ? "verify sees a difference where there is none"
                                             : NULL;
}

/* I4: what the guest still has so was neither cut nor made anew. */
static const char *check_untouched(const struct world *w, const struct requester *r,
                                   const GArray *before)
{
    g_autoptr(GArray) expected = runs_of_domain(domain_of(w, r));

    if (r->was_cut) {
        return "I4: a host mapping was cut in two";
    }
    for (unsigned i = 0; i < before->len; i++) {
        const struct host_entry *old = &g_array_index(before, struct host_entry, i);
        unsigned at = find_entry(r, old->mapping.iova);

        if (runs_hold(expected, &old->mapping) &&
            (at == r->held->len ||
             g_array_index(r->held, struct host_entry, at).serial != old->serial)) {
            return "I4: a live mapping was dropped";
        }
    }
    return NULL;
}

/* What a read at an IOVA gives, if it is a page that holds its own address. */
static bool expected_read(const struct world *w, const struct requester *r, uint64_t iova,
                          uint64_t *value)
{
    const struct domain *domain = domain_of(w, r);
    g_autoptr(GArray) runs = runs_of_domain(domain);

    *value = iova;
    if (!w->translating || r->context == CONTEXT_PASS) {
        return true;
    }
    for (unsigned i = 0; i < runs->len; i++) {
        const struct iommu_mapping *run = &g_array_index(runs, struct iommu_mapping, i);

        if (run->access & IOMMU_READ && range_contains(iommu_mapping_range(run), iova)) {
            *value = run->translated + (iova - run->iova);
            return true;
        }
    }
    return false;
}

static const char *check_dma(struct world *w, struct requester *r)
{
    struct memory_attributes attributes = {.from_device = true, .requester = r->id};

    for (unsigned i = 0; i < PLACES; i++) {
        uint64_t iova = places[i].iova + (places[i].level > 2 ? STAMPED : 0), wanted, found;
        bool readable = expected_read(w, r, iova, &wanted);
        bool is_stamped = wanted >= STAMPED && wanted < STAMPED + STAMPS * PAGE;
        bool ok = address_space_load(&r->dma, iova, 8, attributes, &found) == MEMORY_OK;

        if (readable ? is_stamped && (!ok || found != wanted) : ok) {
            return "DMA went elsewhere than the guest's tables say";
        }
    }
    return NULL;
}

static bool was_told(struct world *w)
{
    bool told = false;

    for (unsigned i = 0; i < DEVICES; i++) {
        told |= w->requesters[i].told;
        w->requesters[i].told = false;
    }
    return told;
}

/* A call failed, and whoever has the device was told: the next chance makes up for it. There may be
 * one more that is to fail, for each device. */
static const char *heal(struct world *w)
{
    for (unsigned tries = 0; was_told(w); tries++) {
        if (tries > DEVICES) {
            return "what failed once is never made up for";
        }
        if (w->translating) {
            flush_all(w);
        }
        for (unsigned i = 0; i < DEVICES && !w->translating; i++) {
            struct requester *r = &w->requesters[i];

            r->told |= r->notifier.region && !iommu_notifier_reconcile(&r->notifier, NULL);
        }
    }
    return NULL;
}

static const char *check(struct world *w, const struct step *step, GArray *const *before)
{
    const char *fault = heal(w);

    for (unsigned i = 0; i < DEVICES && !fault; i++) {
        struct requester *r = &w->requesters[i];
        const struct domain *domain = domain_of(w, r);

        if (domain && domain->pending) {
            continue;
        }
        if (r->notifier.region) {
            fault = step->kind == STEP_PLUG ? NULL : check_untouched(w, r, before[i]);
            fault = fault ? fault : check_host(w, r);
        }
        fault = fault ? fault : check_dma(w, r);
    }
    return fault;
}

/* ---- Sequences ---- */

static struct world *world_new(void)
{
    struct world *w = g_new0(struct world, 1);

    w->u = unit_new(48);
    for (unsigned i = 0; i < STAMPS; i++) {
        poke(w->u, STAMPED + i * PAGE, STAMPED + i * PAGE);
    }
    for (unsigned i = 0; i < DOMAINS; i++) {
        w->domains[i].id = 5 + i;
        w->domains[i].levels = 3 + i;
        w->domains[i].table = new_table(w->u);
        for (unsigned k = 0; k < PLACES; k++) { /* the tables above, so that only leaves change */
            put_slot(w, &w->domains[i], k);
        }
    }
    for (unsigned i = 0; i < DEVICES; i++) {
        struct requester *r = &w->requesters[i];

        r->id = (uint16_t)(REQUESTER + 8 * i);
        r->device = vtd_get_device(w->u->vtd, r->id);
        address_space_init(&r->dma, vtd_device_root(r->device), "dma");
        r->held = g_array_new(false, false, sizeof(struct host_entry));
        r->notifier = (struct iommu_notifier){.name = "host",
                                              .events = IOMMU_EVENT_MAP | IOMMU_EVENT_UNMAP,
                                              .range = {0, VTD_BIT(48)},
                                              .ops = &host_ops,
                                              .opaque = r,
                                              .failed = host_failed};
        write_context(w, r);
    }
    return w;
}

static const char *world_free(struct world *w)
{
    const char *fault = NULL;

    for (unsigned i = 0; i < DEVICES; i++) {
        struct requester *r = &w->requesters[i];

        if (r->notifier.region && !fault) {
            fault = plug_or_unplug(r);
        }
        iommu_notifier_unregister(&r->notifier, NULL);
        address_space_destroy(&r->dma);
        vtd_put_device(r->device);
        g_array_unref(r->held);
    }
    unit_free(w->u);
    g_free(w);
    return fault;
}

static const char *run_steps(const void *opaque, unsigned count)
{
    const struct step *steps = opaque;
    struct world *w = world_new();
    const char *fault = NULL, *last;

    for (unsigned i = 0; i < count && !fault; i++) {
        GArray *before[DEVICES];

        for (unsigned k = 0; k < DEVICES; k++) {
            before[k] = g_array_copy(w->requesters[k].held);
        }
        fault = take_step(w, &steps[i]);
        fault = fault ? fault : check(w, &steps[i], before);
        for (unsigned k = 0; k < DEVICES; k++) {
            g_array_unref(before[k]);
        }
    }
    last = world_free(w);
    return fault ? fault : last;
}

static void make_steps(void *opaque, GRand *random)
{
    struct step *steps = opaque;
    static const enum step_kind kinds[] = {
        STEP_SET,   STEP_SET,   STEP_SET,     STEP_SET,         STEP_SET,   STEP_SET,
        STEP_LATER, STEP_FLUSH, STEP_CONTEXT, STEP_PLUG,        STEP_FAIL,  STEP_SAVE,
        STEP_SET,   STEP_SET,   STEP_CONTEXT, STEP_TRANSLATION, STEP_RESET,
    };

    for (unsigned i = 0; i < SEQUENCE_STEPS; i++) {
        steps[i] = (struct step){
            .kind = kinds[g_rand_int_range(random, 0, G_N_ELEMENTS(kinds))],
            .place = (unsigned)g_rand_int_range(random, 0, PLACES),
            .domain = (unsigned)g_rand_int_range(random, 0, DOMAINS),
            .device = (unsigned)g_rand_int_range(random, 0, DEVICES),
            .context = (unsigned)g_rand_int_range(random, 0, CONTEXTS_OF_DEVICE),
            .access = (unsigned)g_rand_int_range(random, 0, 4),
            .target = (unsigned)g_rand_int_range(random, 0, 3),
            .hole = g_rand_boolean(random) ? NO_HOLE : (unsigned)g_rand_int_range(random, 0, 512),
            .how = (unsigned)g_rand_int_range(random, 0, 96),
            .number = (unsigned)g_rand_int_range(random, 1, 6),
            .in_parts = g_rand_int_range(random, 0, 4) == 0,
        };
    }
    /* Most of it with translation on, and both devices in a domain and followed. */
    for (unsigned i = 0; i < DEVICES; i++) {
        steps[2 * i].kind = STEP_CONTEXT;
        steps[2 * i].context = CONTEXT_FIRST + i;
        steps[2 * i + 1].kind = STEP_PLUG;
        steps[2 * i].device = steps[2 * i + 1].device = i;
    }
    steps[2 * DEVICES].kind = STEP_TRANSLATION;
}

static void print_steps(const void *opaque, unsigned count)
{
    const struct step *steps = opaque;
    static const char *const names[] = {"set",   "later", "flush", "context", "translation",
                                        "reset", "save",  "plug",  "fail"};

    for (unsigned i = 0; i < count; i++) {
        const struct step *s = &steps[i];

        printf("    %-11s place %u domain %u device %u context %u access %u target %u hole %u how "
               "%u number %u parts %d\n",
               names[s->kind], s->place, s->domain, s->device, s->context, s->access, s->target,
               s->hole, s->how, s->number, s->in_parts);
    }
}

static void test_random_guests(void)
{
    static const struct random_sequences guests = {
        .size = sizeof(struct step),
        .steps = SEQUENCE_STEPS,
        .in_total = 30000,
        .make = make_steps,
        .run = run_steps,
        .print = print_steps,
    };

    run_random_sequences(&guests);
}

static const struct unit_test tests[] = {
    {"random guests", test_random_guests},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("vtd-model", tests);
}
