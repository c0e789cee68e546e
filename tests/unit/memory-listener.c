/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listeners: only differences, in order, replayed on registration, undone on failure. */
#include "memory-fixture.h"

struct system {
    struct memory_region root, ram, device, other;
    struct address_space as;
};

static enum memory_result no_write(void *opaque, uint64_t offset, unsigned size,
                                   struct memory_attributes attributes, uint64_t value)
{
    return MEMORY_OK;
}

static const struct memory_region_ops no_ops = {.write = no_write};

static struct system *system_new(void)
{
    struct system *system = g_new0(struct system, 1);

    memory_region_init_container(&system->root, "root", UINT64_C(1) << 32);
    CU_ASSERT_TRUE_FATAL(memory_region_init_ram(&system->ram, "ram", 0x10000, NULL));
    memory_region_init_mmio(&system->device, "device", 0x1000, &no_ops, NULL, NULL);
    memory_region_init_mmio(&system->other, "other", 0x1000, &no_ops, NULL, NULL);
    memory_region_add_subregion(&system->root, 0, &system->ram);
    memory_region_add_subregion(&system->root, 0x20000, &system->device);
    address_space_init(&system->as, &system->root, "memory");
    return system;
}

static void system_free(struct system *system)
{
    address_space_destroy(&system->as);
    memory_region_destroy(&system->ram);
    memory_region_destroy(&system->device);
    memory_region_destroy(&system->other);
    memory_region_destroy(&system->root);
    g_free(system);
}

static void listen(struct recorder *recorder, struct system *system, int priority)
{
    recorder_init(recorder, priority);
    CU_ASSERT_TRUE_FATAL(memory_listener_register(&recorder->listener, &system->as, NULL));
}

static void forget(struct recorder *recorder)
{
    memory_listener_unregister(&recorder->listener);
    CU_ASSERT_EQUAL(recorder->sections->len, 0);
    CU_ASSERT_EQUAL(recorder->eventfds->len, 0);
    CU_ASSERT_PTR_NULL(recorder->listener.as);
    recorder_clear(recorder);
}

/* What was called since the last look. */
static void expect_log(struct recorder *recorder, const char *log)
{
    CU_ASSERT_STRING_EQUAL(recorder->log->str, log);
    if (strcmp(recorder->log->str, log) != 0) {
        printf("heard %s, not %s\n", recorder->log->str, log);
    }
    g_string_truncate(recorder->log, 0);
}

static void test_replay(void)
{
    struct system *system = system_new();
    struct recorder recorder;

    CU_ASSERT_TRUE(memory_region_add_ioeventfd(&system->device, 0, 4, true, 1, 9, NULL));
    listen(&recorder, system, 0);
    expect_log(&recorder, "(++e)");
    CU_ASSERT_EQUAL(recorder.sections->len, 2);
    CU_ASSERT_PTR_EQUAL(recorder_at(&recorder, 1)->region, &system->device);
    CU_ASSERT_EQUAL(recorder_at(&recorder, 1)->start, 0x20000);
    CU_ASSERT_EQUAL(recorder_at(&recorder, 1)->length, 0x1000);
    memory_listener_unregister(&recorder.listener);
    expect_log(&recorder, "(E--)");
    recorder_clear(&recorder);
    system_free(system);
}

static void test_only_differences(void)
{
    struct system *system = system_new();
    struct recorder recorder;

    listen(&recorder, system, 0);
    g_string_truncate(recorder.log, 0);
    memory_region_add_subregion(&system->root, 0x30000, &system->other);
    expect_log(&recorder, "(+)");
    memory_region_set_offset(&system->other, 0x31000);
    expect_log(&recorder, "(-+)");
    memory_region_set_offset(&system->other, 0x31000);
    expect_log(&recorder, "");
    /* Edits that cancel each other are none. */
    memory_topology_begin();
    memory_region_set_offset(&system->other, 0x32000);
    memory_region_set_enabled(&system->ram, false);
    memory_region_set_enabled(&system->ram, true);
    memory_region_set_offset(&system->other, 0x31000);
    memory_topology_commit();
    expect_log(&recorder, "");
    /* Two edits, one commit; RAM is cut by one and joined after the other. */
    memory_topology_begin();
    memory_topology_begin();
    memory_region_set_offset(&system->other, 0x8000);
    memory_topology_commit();
    expect_log(&recorder, "");
    memory_region_set_enabled(&system->device, false);
    memory_topology_commit();
    expect_log(&recorder, "(---+++)"); /* RAM, cut by what was added later */
    memory_region_set_offset(&system->other, 0x31000);
    expect_log(&recorder, "(---++)");
    recorder_check(&recorder);
    forget(&recorder);
    system_free(system);
}

static void test_overlap_cuts_and_joins(void)
{
    struct system *system = system_new();
    struct recorder recorder;

    listen(&recorder, system, 0);
    g_string_truncate(recorder.log, 0);
    memory_region_add_subregion_overlap(&system->root, 0x8000, &system->other, 1);
    expect_log(&recorder, "(-+++)");
    CU_ASSERT_EQUAL(recorder_at(&recorder, 2)->region_offset, 0x9000);
    memory_region_remove_subregion(&system->root, &system->other);
    expect_log(&recorder, "(---+)");
    CU_ASSERT_EQUAL(recorder_at(&recorder, 0)->length, 0x10000);
    forget(&recorder);
    system_free(system);
}

/* ---- Order ---- */

static GString *order;

static bool order_add(struct memory_listener *listener, const struct listener_section *section,
                      GError **error)
{
    g_string_append_printf(order, "+%s", listener->name);
    return true;
}

static void order_remove(struct memory_listener *listener, const struct listener_section *section)
{
    g_string_append_printf(order, "-%s", listener->name);
}

static void test_priorities(void)
{
    struct memory_listener low = {.name = "low", .priority = -5, .section_add = order_add};
    struct memory_listener high = {.name = "high", .priority = 5, .section_add = order_add};
    struct system *system = system_new();

    order = g_string_new(NULL);
    low.section_remove = high.section_remove = order_remove;
    CU_ASSERT_TRUE(memory_listener_register(&high, &system->as, NULL));
    CU_ASSERT_TRUE(memory_listener_register(&low, &system->as, NULL));
    g_string_truncate(order, 0);
    memory_region_set_offset(&system->device, 0x40000);
    CU_ASSERT_STRING_EQUAL(order->str, "-high-low+low+high");
    memory_listener_unregister(&low);
    memory_listener_unregister(&high);
    g_string_free(order, TRUE);
    system_free(system);
}

/* ---- Failures ---- */

static void test_failed_registration_undoes(void)
{
    struct system *system = system_new();

    CU_ASSERT_TRUE(memory_region_add_ioeventfd(&system->device, 0, 4, true, 1, 9, NULL));
    CU_ASSERT_TRUE(memory_region_add_ioeventfd(&system->device, 0, 4, true, 2, 9, NULL));
    for (int n = 0; n < 4; n++) { /* two sections, two descriptors */
        g_autoptr(GError) error = NULL;
        struct recorder recorder;

        recorder_init(&recorder, 0);
        recorder.fail_after = n;
        CU_ASSERT_FALSE(memory_listener_register(&recorder.listener, &system->as, &error));
        CU_ASSERT_PTR_NOT_NULL(error);
        CU_ASSERT_PTR_NULL(recorder.listener.as);
        CU_ASSERT_EQUAL(recorder.sections->len, 0);
        CU_ASSERT_EQUAL(recorder.eventfds->len, 0);
        CU_ASSERT_EQUAL(recorder.begins, recorder.commits);
        CU_ASSERT_EQUAL(recorder.failures, 0);
        g_string_truncate(recorder.log, 0);
        memory_region_set_offset(&system->device, 0x20000 + (unsigned)n * 0x1000 + 0x1000);
        expect_log(&recorder, ""); /* it is not registered */
        CU_ASSERT_TRUE(memory_listener_register(&recorder.listener, &system->as, NULL));
        CU_ASSERT_EQUAL(recorder.sections->len, 2);
        forget(&recorder);
    }
    system_free(system);
}

static void test_failure_at_run_time(void)
{
    struct system *system = system_new();
    struct recorder recorder, witness;

    listen(&recorder, system, 0);
    listen(&witness, system, 1);
    g_string_truncate(recorder.log, 0);
    recorder.fail_after = 0;
    memory_region_add_subregion(&system->root, 0x30000, &system->other);
    expect_log(&recorder, "(xf)");
    CU_ASSERT_EQUAL(recorder.failures, 1);
    CU_ASSERT_EQUAL(witness.sections->len, 3); /* others heard of it */
    recorder_check(&witness);
    /* What it refused ends without it; what comes next it gets. */
    memory_region_set_offset(&system->other, 0x31000);
    expect_log(&recorder, "(+)");
    recorder_check(&recorder);
    /* A refused descriptor as well. */
    recorder.fail_after = 0;
    CU_ASSERT_TRUE(memory_region_add_ioeventfd(&system->other, 0, 4, true, 1, 9, NULL));
    expect_log(&recorder, "(Xf)");
    memory_region_remove_ioeventfd(&system->other, 0, 4, true, 1, 9);
    expect_log(&recorder, "()");
    /* Unregistered with something refused. */
    recorder.fail_after = 0;
    memory_region_set_offset(&system->other, 0x32000);
    expect_log(&recorder, "(-xf)");
    forget(&recorder);
    forget(&witness);
    system_free(system);
}

static void test_every_failure_of_a_big_change(void)
{
    struct system *system = system_new();

    for (int n = 0; n < 4; n++) {
        struct recorder recorder, witness;

        listen(&recorder, system, 0);
        listen(&witness, system, 0);
        recorder.fail_after = n;
        memory_region_add_subregion_overlap(&system->root, 0x8000, &system->other, 1);
        CU_ASSERT_EQUAL(recorder.failures, n < 3);
        CU_ASSERT_EQUAL(recorder.sections->len, n < 3 ? 3 : 4);
        recorder.fail_after = -1;
        memory_region_remove_subregion(&system->root, &system->other);
        recorder_check(&recorder);
        recorder_check(&witness);
        forget(&recorder);
        forget(&witness);
    }
    system_free(system);
}

/* ---- Dirty log, event descriptors ---- */

static void test_log_changes(void)
{
    struct system *system = system_new();
    struct recorder recorder;
    uint64_t generation = system->as.generation;

    listen(&recorder, system, 0);
    g_string_truncate(recorder.log, 0);
    memory_region_dirty_log_start(&system->ram, DIRTY_CODE);
    expect_log(&recorder, "(l)");
    CU_ASSERT_EQUAL(recorder_at(&recorder, 0)->dirty_clients, 1u << DIRTY_CODE);
    CU_ASSERT(system->as.generation > generation); /* caches of "not logged" are stale */
    memory_region_dirty_log_start(&system->ram, DIRTY_CODE);
    expect_log(&recorder, "");
    memory_region_dirty_log_start(&system->ram, DIRTY_MIGRATION);
    expect_log(&recorder, "(l)");
    memory_region_dirty_log_stop(&system->ram, DIRTY_CODE);
    expect_log(&recorder, "");
    memory_region_dirty_log_stop(&system->ram, DIRTY_CODE);
    expect_log(&recorder, "(l)");
    CU_ASSERT_EQUAL(recorder_at(&recorder, 0)->dirty_clients, 1u << DIRTY_MIGRATION);
    memory_region_dirty_log_stop(&system->ram, DIRTY_MIGRATION);
    recorder_check(&recorder);
    forget(&recorder);
    system_free(system);
}

static void test_eventfds_follow_the_region(void)
{
    struct system *system = system_new();
    struct recorder recorder;

    listen(&recorder, system, 0);
    g_string_truncate(recorder.log, 0);
    CU_ASSERT_TRUE(memory_region_add_ioeventfd(&system->device, 0xffe, 2, false, 0, 9, NULL));
    expect_log(&recorder, "(e)");
    CU_ASSERT_EQUAL(g_array_index(recorder.eventfds, struct ioeventfd_section, 0).address, 0x20ffe);
    memory_region_set_offset(&system->device, 0x28000);
    expect_log(&recorder, "(E-+e)");
    CU_ASSERT_EQUAL(g_array_index(recorder.eventfds, struct ioeventfd_section, 0).address, 0x28ffe);
    memory_region_set_size(&system->device, 0xfff); /* half of it is gone: it is gone */
    expect_log(&recorder, "(E-+)");
    memory_region_set_size(&system->device, 0x1000);
    expect_log(&recorder, "(-+e)");
    recorder_check(&recorder);
    memory_region_set_enabled(&system->device, false);
    expect_log(&recorder, "(E-)");
    memory_region_remove_ioeventfd(&system->device, 0xffe, 2, false, 0, 9);
    expect_log(&recorder, "");
    forget(&recorder);
    system_free(system);
}

/* ---- A bus master's address space, switched on and off ---- */

static void test_window_on_and_off(void)
{
    struct system *system = system_new();
    struct memory_region bus, window;
    struct address_space dma;
    struct recorder recorder;

    memory_region_init_container(&bus, "bus", UINT64_C(1) << 32);
    memory_region_init_alias(&window, "window", &system->root, 0, UINT64_C(1) << 32);
    memory_region_set_enabled(&window, false);
    memory_region_add_subregion(&bus, 0, &window);
    CU_ASSERT_TRUE(memory_region_add_ioeventfd(&system->device, 0, 4, true, 1, 9, NULL));
    address_space_init(&dma, &bus, "dma");
    recorder_init(&recorder, 0);
    CU_ASSERT_TRUE(memory_listener_register(&recorder.listener, &dma, NULL));
    expect_log(&recorder, "()");
    memory_region_set_enabled(&window, true);
    expect_log(&recorder, "(++e)");
    CU_ASSERT_PTR_EQUAL(dma.view, system->as.view); /* nothing of its own */
    memory_region_set_offset(&system->device, 0x28000);
    expect_log(&recorder, "(E-+e)");
    memory_topology_begin(); /* both at once */
    memory_region_set_enabled(&window, false);
    memory_region_add_subregion(&system->root, 0x30000, &system->other);
    memory_topology_commit();
    expect_log(&recorder, "(E--)");
    memory_topology_begin();
    memory_region_set_enabled(&window, true);
    memory_region_remove_subregion(&system->root, &system->other);
    memory_topology_commit();
    expect_log(&recorder, "(++e)");
    recorder_check(&recorder);
    forget(&recorder);
    address_space_destroy(&dma);
    memory_region_destroy(&window);
    memory_region_destroy(&bus);
    system_free(system);
}

static void test_address_space_goes_first(void)
{
    struct system *system = system_new();
    struct recorder recorder;

    listen(&recorder, system, 0);
    address_space_destroy(&system->as);
    CU_ASSERT_PTR_NULL(recorder.listener.as);
    CU_ASSERT_EQUAL(recorder.sections->len, 0);
    recorder_clear(&recorder);
    system_free(system);
}

static const struct unit_test tests[] = {
    {"replay", test_replay},
    {"only differences", test_only_differences},
    {"an overlap cuts and joins", test_overlap_cuts_and_joins},
    {"priorities", test_priorities},
    {"a failed registration undoes", test_failed_registration_undoes},
    {"a failure at run time", test_failure_at_run_time},
    {"every failure of a big change", test_every_failure_of_a_big_change},
    {"changes of the dirty log", test_log_changes},
    {"event descriptors follow the region", test_eventfds_follow_the_region},
    {"a window on and off", test_window_on_and_off},
    {"the address space goes first", test_address_space_goes_first},
    {NULL, NULL},
};

int main(void)
{
    return memory_unit_run("memory-listener", tests);
}
