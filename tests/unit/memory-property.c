/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random trees under random edits, compared with a model that knows nothing of the implementation:
 * it asks, for each byte, the written rules, from the root down. Three address spaces look at the
 * same regions from different roots, each with a listener whose accumulated differences must equal
 * a fresh registration after each commit.
 */
#include "memory-fixture.h"

#define REGIONS 26
#define UNITS   96 /* addresses that are looked at; a unit is 2^shift bytes */
#define SPACES  3

/* What the model knows of a region. */
struct model {
    enum memory_region_kind kind;
    uint64_t size, offset, alias_offset; /* bytes */
    int parent;                          /* index, or -1 */
    int target;                          /* of an alias */
    int priority;
    unsigned order;
    bool enabled, read_only, rom_mode;
    unsigned logs;
    int eventfd; /* offset, or -1 */
};

struct world {
    uint64_t random;
    unsigned shift;
    unsigned order;
    struct model models[REGIONS];
    struct memory_region regions[REGIONS];
    struct address_space spaces[SPACES];
    int roots[SPACES];
    struct recorder recorders[SPACES];
};

/* What answers at an address. */
struct answer {
    int region; /* -1: nothing */
    uint64_t offset;
    bool read_only;
};

static enum memory_result no_read(void *opaque, uint64_t offset, unsigned size,
                                  struct memory_attributes attributes, uint64_t *value)
{
    *value = 0;
    return MEMORY_OK;
}

static enum memory_result no_write(void *opaque, uint64_t offset, unsigned size,
                                   struct memory_attributes attributes, uint64_t value)
{
    return MEMORY_OK;
}

static const struct memory_region_ops no_ops = {.read = no_read, .write = no_write};

/* ---- The model ---- */

static struct answer resolve(const struct world *world, int index, uint64_t offset, bool read_only);

static struct answer resolve_container(const struct world *world, int index, uint64_t offset,
                                       bool read_only)
{
    struct answer nothing = {.region = -1};
    bool tried[REGIONS] = {false};

    for (;;) {
        int best = -1;

        for (int i = 0; i < REGIONS; i++) {
            const struct model *child = &world->models[i];

            if (child->parent != index || tried[i]) {
                continue;
            }
            if (best < 0 || child->priority > world->models[best].priority ||
                (child->priority == world->models[best].priority &&
                 child->order > world->models[best].order)) {
                best = i;
            }
        }
        if (best < 0) {
            return nothing;
        }
        tried[best] = true;
        if (offset >= world->models[best].offset) {
            struct answer answer =
                resolve(world, best, offset - world->models[best].offset, read_only);

            if (answer.region >= 0) {
                return answer;
            }
        }
    }
}

static struct answer resolve(const struct world *world, int index, uint64_t offset, bool read_only)
{
    const struct model *model = &world->models[index];

    if (!model->enabled || offset >= model->size) {
        return (struct answer){.region = -1};
    }
    read_only |= model->read_only;
    switch (model->kind) {
    case MEMORY_CONTAINER:
        return resolve_container(world, index, offset, read_only);
    case MEMORY_ALIAS:
        return resolve(world, model->target, model->alias_offset + offset, read_only);
    default:
        return (struct answer){index, offset, read_only || model->kind == MEMORY_ROM};
    }
}

static bool goes_on(struct answer a, struct answer b, uint64_t distance)
{
    if (a.region < 0 || b.region < 0) {
        return a.region == b.region;
    }
    return a.region == b.region && b.offset == a.offset + distance && a.read_only == b.read_only;
}

static bool has_memory(enum memory_region_kind kind)
{
    return kind == MEMORY_RAM || kind == MEMORY_ROM || kind == MEMORY_ROM_DEVICE;
}

/* ---- Comparison ---- */

static void check_section(const struct world *world, struct answer answer,
                          struct memory_section section)
{
    const struct model *model;
    bool is_direct;

    if (answer.region < 0) {
        CU_ASSERT_PTR_NULL_FATAL(section.region);
        return;
    }
    model = &world->models[answer.region];
    is_direct = has_memory(model->kind) && (model->kind != MEMORY_ROM_DEVICE || model->rom_mode);
    CU_ASSERT_PTR_EQUAL_FATAL(section.region, &world->regions[answer.region]);
    CU_ASSERT_EQUAL_FATAL(section.offset, answer.offset);
    CU_ASSERT_EQUAL_FATAL(section.host != NULL, is_direct);
    if (section.host) {
        CU_ASSERT_PTR_EQUAL_FATAL((char *)section.host,
                                  (char *)memory_region_host_pointer(section.region) +
                                      answer.offset);
    }
    CU_ASSERT_EQUAL_FATAL(section.writable, model->kind == MEMORY_RAM && !answer.read_only);
    CU_ASSERT_EQUAL_FATAL(section.dirty_logged, model->logs > 0);
}

static void check_space(struct world *world, unsigned s)
{
    uint64_t unit = UINT64_C(1) << world->shift, next_change = UINT64_MAX;
    struct answer answers[UNITS + 1];

    for (unsigned u = 0; u <= UNITS; u++) {
        answers[u] = resolve(world, world->roots[s], u * unit, false);
    }
    CU_ASSERT_EQUAL_FATAL(answers[UNITS].region, -1); /* roots are smaller */
    for (unsigned u = UNITS + 1; u-- > 0;) {
        gpa_t address = u * unit;
        struct memory_section section;

        if (u < UNITS && !goes_on(answers[u], answers[u + 1], unit)) {
            next_change = address + unit;
        }
        memory_rcu_read_lock();
        section = address_space_lookup(&world->spaces[s], address, false, CPU);
        check_section(world, answers[u], section);
        /* Neither shorter (joined as far as it goes) nor longer. */
        CU_ASSERT_EQUAL_FATAL(section.length, next_change == UINT64_MAX
                                                  ? (address ? 0 - address : UINT64_MAX)
                                                  : next_change - address);
        section = address_space_lookup(&world->spaces[s], address + unit - 1, true, CPU);
        answers[u].offset += unit - 1;
        check_section(world, answers[u], section);
        answers[u].offset -= unit - 1;
        memory_rcu_read_unlock();
    }
}

/* Event descriptors: there where the model sees all bytes of theirs. */
static void check_eventfds(struct world *world, unsigned s)
{
    struct recorder *recorder = &world->recorders[s];
    uint64_t unit = UINT64_C(1) << world->shift;
    unsigned expected = 0;

    for (unsigned u = 0; u < UNITS; u++) {
        struct answer answer = resolve(world, world->roots[s], u * unit, false);
        struct ioeventfd_section section;

        if (answer.region < 0 || world->models[answer.region].eventfd < 0 ||
            (uint64_t)world->models[answer.region].eventfd != answer.offset) {
            continue;
        }
        section = (struct ioeventfd_section){u * unit, 1, true, 7, answer.region};
        CU_ASSERT_TRUE_FATAL(recorder_find_eventfd(recorder, &section) >= 0);
        expected++;
    }
    CU_ASSERT_EQUAL_FATAL(expected, recorder->eventfds->len);
}

static void check_world(struct world *world)
{
    for (unsigned s = 0; s < SPACES; s++) {
        check_space(world, s);
        check_eventfds(world, s);
        recorder_check(&world->recorders[s]);
    }
}

/* ---- Edits ---- */

static unsigned below(struct world *world, unsigned limit)
{
    return test_below(&world->random, limit);
}

static uint64_t random_size(struct world *world)
{
    return (uint64_t)(1 + below(world, UNITS / 2)) << world->shift;
}

/* Sometimes far outside, or where offset + size would wrap. */
static uint64_t random_offset(struct world *world)
{
    switch (below(world, 24)) {
    case 0:
        return UINT64_MAX - ((UINT64_C(1) << world->shift) - 1);
    case 1:
        return UINT64_C(1) << 63;
    default:
        return (uint64_t)below(world, UNITS * 3 / 4) << world->shift;
    }
}

static void edit_place(struct world *world, int i)
{
    struct model *model = &world->models[i];
    int parent = i && below(world, 3) ? (int)below(world, (unsigned)i) : 0;

    while (i > 0 && world->models[parent].kind != MEMORY_CONTAINER) {
        parent--;
    }
    if (model->parent >= 0) {
        memory_region_remove_subregion(&world->regions[model->parent], &world->regions[i]);
        model->parent = -1;
    } else if (i > 0) {
        model->offset = random_offset(world);
        model->priority = (int)below(world, 4) - 1;
        model->order = ++world->order;
        model->parent = parent;
        memory_region_add_subregion_overlap(&world->regions[parent], model->offset,
                                            &world->regions[i], model->priority);
    }
}

static void edit_size(struct world *world, int i)
{
    struct model *model = &world->models[i];

    if (!has_memory(model->kind) && model->eventfd < 0) {
        model->size = random_size(world);
        memory_region_set_size(&world->regions[i], model->size);
    }
}

static void edit_log(struct world *world, int i)
{
    struct model *model = &world->models[i];

    if (!has_memory(model->kind)) {
        return;
    }
    if (model->logs && below(world, 2)) {
        model->logs--;
        memory_region_dirty_log_stop(&world->regions[i], DIRTY_MIGRATION);
    } else {
        model->logs++;
        memory_region_dirty_log_start(&world->regions[i], DIRTY_MIGRATION);
    }
}

static void edit_eventfd(struct world *world, int i)
{
    struct model *model = &world->models[i];

    if (model->kind != MEMORY_MMIO) {
        return;
    }
    if (model->eventfd >= 0) {
        memory_region_remove_ioeventfd(&world->regions[i], (uint64_t)model->eventfd, 1, true, 7, i);
        model->eventfd = -1;
    } else {
        model->eventfd =
            (int)((uint64_t)below(world, (unsigned)(model->size >> world->shift)) << world->shift);
        CU_ASSERT_TRUE_FATAL(memory_region_add_ioeventfd(
            &world->regions[i], (uint64_t)model->eventfd, 1, true, 7, i, NULL));
    }
}

static void edit(struct world *world)
{
    int i = (int)below(world, REGIONS);
    struct model *model = &world->models[i];
    struct memory_region *region = &world->regions[i];

    switch (below(world, 14)) {
    case 0:
        model->enabled = !model->enabled || below(world, 2);
        memory_region_set_enabled(region, model->enabled);
        break;
    case 1:
        memory_region_set_read_only(region, model->read_only = !model->read_only);
        break;
    case 2:
        if (model->kind == MEMORY_ROM_DEVICE) {
            memory_region_set_rom_mode(region, model->rom_mode = !model->rom_mode);
        }
        break;
    case 3:
    case 4:
        if (model->kind == MEMORY_ALIAS) {
            model->alias_offset = random_offset(world) & INT64_MAX;
            memory_region_set_alias_offset(region, model->alias_offset);
        }
        break;
    case 5:
        edit_size(world, i);
        break;
    case 6:
        edit_log(world, i);
        break;
    case 7:
        edit_eventfd(world, i);
        break;
    case 8:
    case 9:
    case 10:
        if (model->parent >= 0) {
            model->offset = random_offset(world);
            memory_region_set_offset(region, model->offset);
        }
        break;
    default:
        edit_place(world, i);
    }
}

/* ---- Worlds ---- */

static void make_region(struct world *world, int i)
{
    static const enum memory_region_kind kinds[] = {
        MEMORY_CONTAINER, MEMORY_CONTAINER,  MEMORY_ALIAS, MEMORY_ALIAS,       MEMORY_RAM,
        MEMORY_ROM,       MEMORY_ROM_DEVICE, MEMORY_MMIO,  MEMORY_RESERVATION,
    };
    struct model *model = &world->models[i];
    struct memory_region *region = &world->regions[i];
    g_autofree char *name = g_strdup_printf("region%d", i);

    *model = (struct model){
        .kind = kinds[below(world, G_N_ELEMENTS(kinds))],
        .size = random_size(world),
        .parent = -1,
        .target = -1,
        .enabled = true,
        .eventfd = -1,
    };
    if (i < 2) {
        model->kind = MEMORY_CONTAINER;
        model->size = (uint64_t)(UNITS - 1) << world->shift;
    } else if (i == REGIONS - 1 && model->kind == MEMORY_ALIAS) {
        model->kind = MEMORY_MMIO;
    }
    switch (model->kind) {
    case MEMORY_CONTAINER:
        memory_region_init_container(region, name, model->size);
        break;
    case MEMORY_ALIAS:
        model->target = i + 1 + (int)below(world, (unsigned)(REGIONS - 1 - i));
        model->alias_offset = below(world, 2) ? 0 : random_size(world);
        memory_region_init_alias(region, name, &world->regions[model->target], model->alias_offset,
                                 model->size);
        break;
    case MEMORY_RAM:
        CU_ASSERT_TRUE_FATAL(memory_region_init_ram(region, name, model->size, NULL));
        break;
    case MEMORY_ROM:
        CU_ASSERT_TRUE_FATAL(memory_region_init_rom(region, name, model->size, NULL));
        break;
    case MEMORY_ROM_DEVICE:
        model->rom_mode = true;
        CU_ASSERT_TRUE_FATAL(
            memory_region_init_rom_device(region, name, model->size, &no_ops, NULL, NULL, NULL));
        break;
    case MEMORY_MMIO:
        memory_region_init_mmio(region, name, model->size, &no_ops, NULL, NULL);
        break;
    default:
        memory_region_init_reservation(region, name, model->size);
    }
}

static void make_world(struct world *world, uint64_t seed)
{
    *world = (struct world){.random = seed, .roots = {0, 1, 2}};
    world->shift = below(world, 2) ? 12 : below(world, 14);
    for (int i = REGIONS - 1; i >= 0; i--) {
        make_region(world, i);
    }
    for (unsigned s = 0; s < SPACES; s++) {
        address_space_init(&world->spaces[s], &world->regions[world->roots[s]], "space");
        recorder_init(&world->recorders[s], 0);
        CU_ASSERT_TRUE_FATAL(
            memory_listener_register(&world->recorders[s].listener, &world->spaces[s], NULL));
    }
}

static void destroy_world(struct world *world)
{
    for (unsigned s = 0; s < SPACES; s++) {
        memory_listener_unregister(&world->recorders[s].listener);
        CU_ASSERT_EQUAL(world->recorders[s].sections->len, 0);
        recorder_clear(&world->recorders[s]);
        address_space_destroy(&world->spaces[s]);
    }
    for (int i = 0; i < REGIONS; i++) {
        memory_region_destroy(&world->regions[i]);
    }
}

static void test_random_edits(void)
{
    uint64_t seed = test_seed();
    gint64 end = g_get_monotonic_time() + 3 * G_USEC_PER_SEC;
    struct world *world = g_new(struct world, 1);
    unsigned worlds = 0, commits = 0, sections = 0;

    while (worlds < 40 || (worlds < 200 && g_get_monotonic_time() < end)) {
        make_world(world, test_random(&seed));
        for (unsigned i = 0; i < 2 * REGIONS; i++) {
            int place = 1 + (int)below(world, REGIONS - 1);

            if (world->models[place].parent < 0) {
                edit_place(world, place);
            }
        }
        for (unsigned i = 0; i < 60; i++) {
            unsigned edits = 1 + (below(world, 3) ? 0 : below(world, 6));

            memory_topology_begin();
            while (edits-- > 0) {
                edit(world);
            }
            memory_topology_commit();
            check_world(world);
            commits++;
            sections += world->recorders[0].sections->len;
        }
        destroy_world(world);
        worlds++;
    }
    printf("%u worlds, %u commits, %u sections on average\n", worlds, commits, sections / commits);
    CU_ASSERT(sections >= 2 * commits); /* or there was little to compare */
    g_free(world);
}

static const struct unit_test tests[] = {
    {"random edits agree with the rules, byte by byte", test_random_edits},
    {NULL, NULL},
};

int main(void)
{
    return memory_unit_run("memory-property", tests);
}
