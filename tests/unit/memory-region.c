/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rules of the region tree, one at a time, and its text. */
#include "memory-fixture.h"

#include "memory/topology.h"

struct world {
    struct memory_region root, a, b, box;
    struct address_space as;
};

static void world_init(struct world *world)
{
    memory_region_init_container(&world->root, "root", 0x10000);
    memory_region_init_container(&world->box, "box", 0x4000);
    memory_region_init_reservation(&world->a, "a", 0x1000);
    memory_region_init_reservation(&world->b, "b", 0x1000);
    address_space_init(&world->as, &world->root, "memory");
}

static void world_destroy(struct world *world)
{
    address_space_destroy(&world->as);
    memory_region_destroy(&world->a);
    memory_region_destroy(&world->b);
    memory_region_destroy(&world->box);
    memory_region_destroy(&world->root);
}

static struct memory_section look(struct world *world, gpa_t address)
{
    struct memory_section section;

    memory_rcu_read_lock();
    section = address_space_lookup(&world->as, address, false, CPU);
    memory_rcu_read_unlock();
    return section;
}

#define EXPECT(world, address, expected) CU_ASSERT_PTR_EQUAL(look(world, address).region, expected)

static void test_later_wins_among_equals(void)
{
    struct world world;

    world_init(&world);
    memory_region_add_subregion(&world.root, 0x1000, &world.a);
    memory_region_add_subregion(&world.root, 0x1800, &world.b);
    EXPECT(&world, 0x17ff, &world.a);
    EXPECT(&world, 0x1800, &world.b);
    memory_region_set_offset(&world.a, 0x1400); /* a move is no addition */
    EXPECT(&world, 0x1800, &world.b);
    memory_region_remove_subregion(&world.root, &world.a);
    memory_region_add_subregion(&world.root, 0x1400, &world.a);
    EXPECT(&world, 0x1800, &world.a);
    world_destroy(&world);
}

static void test_priority_wins(void)
{
    struct world world;

    world_init(&world);
    memory_region_add_subregion_overlap(&world.root, 0x1000, &world.a, 1);
    memory_region_add_subregion_overlap(&world.root, 0x1000, &world.b, -1);
    EXPECT(&world, 0x1000, &world.a);
    memory_region_set_enabled(&world.a, false);
    EXPECT(&world, 0x1000, &world.b);
    memory_region_set_enabled(&world.a, true);
    EXPECT(&world, 0x1000, &world.a);
    world_destroy(&world);
}

static void test_priority_is_local_to_a_container(void)
{
    struct world world;

    world_init(&world);
    memory_region_add_subregion_overlap(&world.box, 0, &world.a, 100);
    memory_region_add_subregion_overlap(&world.root, 0, &world.box, 0);
    memory_region_add_subregion_overlap(&world.root, 0, &world.b, 1);
    EXPECT(&world, 0, &world.b);
    world_destroy(&world);
}

static void test_holes_show_what_lies_below(void)
{
    struct world world;
    struct memory_section section;

    world_init(&world);
    memory_region_set_size(&world.b, 0x4000);
    memory_region_add_subregion_overlap(&world.root, 0x1000, &world.b, 0);
    memory_region_add_subregion(&world.box, 0x1000, &world.a);
    memory_region_add_subregion_overlap(&world.root, 0x1000, &world.box, 1);
    EXPECT(&world, 0x1000, &world.b);
    EXPECT(&world, 0x2000, &world.a);
    section = look(&world, 0x3000);
    CU_ASSERT_PTR_EQUAL(section.region, &world.b);
    CU_ASSERT_EQUAL(section.offset, 0x2000);
    CU_ASSERT_EQUAL(section.length, 0x2000);
    section = look(&world, 0x5000);
    CU_ASSERT_PTR_NULL(section.region);
    CU_ASSERT_EQUAL(section.length, 0 - UINT64_C(0x5000));
    world_destroy(&world);
}

static void test_containers_cut_their_contents(void)
{
    struct world world;

    world_init(&world);
    memory_region_add_subregion(&world.root, 0, &world.box);
    memory_region_add_subregion(&world.box, 0x3800, &world.a); /* reaches out by half */
    EXPECT(&world, 0x3fff, &world.a);
    EXPECT(&world, 0x4000, NULL);
    memory_region_set_size(&world.box, 0x5000);
    EXPECT(&world, 0x4000, &world.a);
    memory_region_set_offset(&world.a, 0x5000);
    EXPECT(&world, 0x5000, NULL);
    world_destroy(&world);
}

/* A guest may write any base into a BAR. */
static void test_offsets_that_wrap(void)
{
    static const uint64_t offsets[] = {UINT64_MAX,        UINT64_MAX - 0xfff,
                                       UINT64_C(1) << 63, (UINT64_C(1) << 63) - 0x800,
                                       0x10000,           0xffff};
    struct world world;

    world_init(&world);
    memory_region_add_subregion(&world.root, 0, &world.a);
    for (unsigned i = 0; i < G_N_ELEMENTS(offsets); i++) {
        memory_region_set_offset(&world.a, offsets[i]);
        EXPECT(&world, 0, NULL);
        EXPECT(&world, 0xfff, NULL);
        EXPECT(&world, 0xffff, offsets[i] == 0xffff ? &world.a : NULL);
        EXPECT(&world, UINT64_MAX, NULL);
    }
    memory_region_set_offset(&world.a, 0);
    EXPECT(&world, 0, &world.a);
    world_destroy(&world);
}

static void test_largest_sizes(void)
{
    struct memory_region root, all;
    struct address_space as;
    struct memory_section section;

    memory_region_init_container(&root, "root", UINT64_C(1) << 63);
    memory_region_init_reservation(&all, "all", UINT64_C(1) << 63);
    memory_region_add_subregion(&root, 1, &all);
    address_space_init(&as, &root, "memory");
    memory_rcu_read_lock();
    section = address_space_lookup(&as, 1, false, CPU);
    CU_ASSERT_EQUAL(section.length, (UINT64_C(1) << 63) - 1);
    CU_ASSERT_PTR_NULL(address_space_lookup(&as, UINT64_C(1) << 63, false, CPU).region);
    memory_rcu_read_unlock();
    address_space_destroy(&as);
    memory_region_destroy(&all);
    memory_region_destroy(&root);
}

static void test_aliases(void)
{
    struct world world;
    struct memory_region alias, alias_of_alias;
    struct memory_section section;

    world_init(&world);
    memory_region_add_subregion(&world.box, 0x1000, &world.a);
    memory_region_init_alias(&alias, "alias", &world.box, 0x800, 0x2000);
    memory_region_init_alias(&alias_of_alias, "second", &alias, 0x400, 0x8000);
    memory_region_add_subregion(&world.root, 0x8000, &alias_of_alias);
    section = look(&world, 0x8400); /* 0x800 of alias, 0x1000 of box */
    CU_ASSERT_PTR_EQUAL(section.region, &world.a);
    CU_ASSERT_EQUAL(section.offset, 0);
    EXPECT(&world, 0x83ff, NULL);
    memory_region_set_offset(&world.a, 0x1800); /* seen through both */
    EXPECT(&world, 0x8400, NULL);
    EXPECT(&world, 0x8c00, &world.a);
    memory_region_set_alias_offset(&alias, 0x1800);
    EXPECT(&world, 0x8000, &world.a); /* byte 0x400 of a */
    CU_ASSERT_EQUAL(look(&world, 0x8000).offset, 0x400);
    memory_region_set_enabled(&world.box, false);
    EXPECT(&world, 0x8000, NULL);
    memory_region_set_enabled(&world.box, true);
    memory_region_set_alias_offset(&alias, UINT64_MAX);
    EXPECT(&world, 0x8000, NULL);
    memory_region_set_alias_offset(&alias, 0x1800);
    memory_region_destroy(&alias); /* the second shows nothing then */
    EXPECT(&world, 0x8000, NULL);
    memory_region_destroy(&alias_of_alias);
    world_destroy(&world);
}

static void test_alias_loops_end(void)
{
    struct world world;
    struct memory_region alias;

    world_init(&world);
    memory_region_init_alias(&alias, "alias", &world.root, 0, 0x10000);
    memory_region_add_subregion(&world.root, 0x1000, &alias);
    memory_region_add_subregion(&world.root, 0, &world.a);
    EXPECT(&world, 0x0, &world.a);
    EXPECT(&world, 0x3000, &world.a);
    memory_region_destroy(&alias);
    EXPECT(&world, 0x3000, NULL);
    world_destroy(&world);
}

static void test_transactions_publish_at_the_end(void)
{
    struct world world;
    uint64_t generation;

    world_init(&world);
    memory_region_add_subregion(&world.root, 0, &world.a);
    generation = world.as.generation;
    memory_topology_begin();
    memory_region_set_offset(&world.a, 0x1000);
    memory_topology_begin();
    memory_region_set_offset(&world.a, 0x2000);
    memory_topology_commit();
    EXPECT(&world, 0, &world.a);
    CU_ASSERT_EQUAL(world.as.generation, generation);
    memory_topology_commit();
    EXPECT(&world, 0, NULL);
    EXPECT(&world, 0x2000, &world.a);
    CU_ASSERT(world.as.generation > generation);
    generation = world.as.generation;
    memory_region_set_offset(&world.b, 0x3000); /* nowhere in the tree */
    CU_ASSERT_EQUAL(world.as.generation, generation);
    world_destroy(&world);
}

static void test_destroyed_container_lets_go(void)
{
    struct world world;

    world_init(&world);
    memory_region_add_subregion(&world.box, 0, &world.a);
    memory_region_add_subregion(&world.root, 0, &world.box);
    memory_region_destroy(&world.box);
    EXPECT(&world, 0, NULL);
    memory_region_add_subregion(&world.root, 0, &world.a); /* free for another place */
    EXPECT(&world, 0, &world.a);
    world_destroy(&world); /* destroys the box a second time, too */
}

/* The only thing in a root, and disabled: its end changes nothing that is seen. */
static void test_destroyed_while_disabled(void)
{
    struct world world;

    world_init(&world);
    memory_region_set_size(&world.box, 0x10000);
    memory_region_set_enabled(&world.box, false);
    memory_region_add_subregion(&world.root, 0, &world.box);
    memory_region_add_subregion(&world.root, 0x1000, &world.b);
    memory_region_remove_subregion(&world.root, &world.b);
    memory_region_destroy(&world.box);
    EXPECT(&world, 0, NULL);
    memory_region_add_subregion(&world.root, 0x1000, &world.a);
    EXPECT(&world, 0x1000, &world.a);
    world_destroy(&world);
}

static void test_views_are_shared(void)
{
    struct world world;
    struct memory_region bus, window;
    struct address_space twin, dma;

    world_init(&world);
    memory_region_add_subregion(&world.root, 0, &world.a);
    memory_region_init_container(&bus, "bus", 0x10000);
    memory_region_init_alias(&window, "window", &world.root, 0, 0x10000);
    memory_region_add_subregion(&bus, 0, &window);
    address_space_init(&twin, &world.root, "twin");
    address_space_init(&dma, &bus, "dma");
    CU_ASSERT_PTR_EQUAL(twin.view, world.as.view);
    CU_ASSERT_PTR_EQUAL(dma.view, world.as.view);
    memory_region_set_offset(&world.a, 0x1000);
    CU_ASSERT_PTR_EQUAL(dma.view, world.as.view);
    CU_ASSERT_NOT_EQUAL(dma.generation, world.as.generation);  /* generations are unique */
    memory_region_add_subregion_overlap(&bus, 0, &world.b, 1); /* now it has its own */
    CU_ASSERT_PTR_NOT_EQUAL(dma.view, world.as.view);
    EXPECT(&world, 0, NULL);
    memory_region_remove_subregion(&bus, &world.b);
    CU_ASSERT_PTR_EQUAL(dma.view, world.as.view);
    address_space_destroy(&dma);
    address_space_destroy(&twin);
    memory_region_destroy(&window);
    memory_region_destroy(&bus);
    world_destroy(&world);
}

static void test_impossible_ram(void)
{
    static const uint64_t sizes[] = {0, UINT64_MAX, UINT64_C(1) << 62};

    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        struct memory_region region = {.name = NULL};
        g_autoptr(GError) error = NULL;

        CU_ASSERT_FALSE(memory_region_init_ram(&region, "ram", sizes[i], &error));
        CU_ASSERT_PTR_NOT_NULL(error);
        CU_ASSERT_PTR_NULL(region.name); /* untouched */
        memory_region_destroy(&region);  /* nothing to do */
    }
}

static void expect_text(struct address_space *as, bool flat, const char *expected)
{
    GString *text = g_string_new(NULL);

    address_space_print_tree(as, text, flat);
    CU_ASSERT_STRING_EQUAL(text->str, expected);
    if (!g_str_equal(text->str, expected)) {
        printf("%s", text->str);
    }
    g_string_free(text, TRUE);
}

static void test_text(void)
{
    struct world world;
    struct memory_region alias;

    world_init(&world);
    expect_text(&world.as, true, "flat view: memory, root: root\n  nothing is visible\n");
    memory_region_init_alias(&alias, "alias", &world.a, 0x800, 0x800);
    memory_region_set_read_only(&alias, true);
    memory_region_add_subregion(&world.box, 0x2000, &alias);
    memory_region_add_subregion(&world.root, 0x8000, &world.box);
    memory_region_add_subregion_overlap(&world.root, 0x1000, &world.a, -2);
    memory_region_add_subregion(&world.root, 0x3000, &world.b);
    memory_region_set_enabled(&world.b, false);
    expect_text(&world.as, false,
                "address-space: memory\n"
                "  0000000000000000-000000000000ffff (prio 0, container): root\n"
                "    0000000000001000-0000000000001fff (prio -2, reserved): a\n"
                "    0000000000003000-0000000000003fff (prio 0, reserved): b [disabled]\n"
                "    0000000000008000-000000000000bfff (prio 0, container): box\n"
                "      000000000000a000-000000000000a7ff (prio 0, alias): alias of a "
                "@0000000000000800-0000000000000fff [read-only]\n");
    expect_text(&world.as, true,
                "flat view: memory, root: root\n"
                "  0000000000001000-0000000000001fff (reserved): a\n"
                "  000000000000a000-000000000000a7ff (reserved): a @0000000000000800 "
                "[read-only]\n");
    memory_region_destroy(&alias);
    world_destroy(&world);
}

static const struct unit_test tests[] = {
    {"the later one wins among equals", test_later_wins_among_equals},
    {"the higher priority wins", test_priority_wins},
    {"priority is local to a container", test_priority_is_local_to_a_container},
    {"holes show what lies below", test_holes_show_what_lies_below},
    {"containers cut their contents", test_containers_cut_their_contents},
    {"offsets that wrap", test_offsets_that_wrap},
    {"largest sizes", test_largest_sizes},
    {"aliases", test_aliases},
    {"alias loops end", test_alias_loops_end},
    {"transactions publish at the end", test_transactions_publish_at_the_end},
    {"a destroyed container lets go", test_destroyed_container_lets_go},
    {"destroyed while it is disabled", test_destroyed_while_disabled},
    {"views are shared", test_views_are_shared},
    {"impossible RAM", test_impossible_ram},
    {"text", test_text},
    {NULL, NULL},
};

int main(void)
{
    return memory_unit_run("memory-region", tests);
}
