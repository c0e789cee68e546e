/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Readers, which never lock, while another thread edits: each answer must be one that was true at
 * some moment. Meant for ThreadSanitizer and AddressSanitizer as well.
 */
#include "memory-fixture.h"

#include <pthread.h>

#define BARS     40
#define PLACES   64
#define RAM_SIZE UINT64_C(0x100000)
#define WINDOW   UINT64_C(0x200000) /* where BARs move, in pages */

struct system {
    struct memory_region root, ram, low_alias;
    struct memory_region bars[BARS];
    struct memory_region fresh;
    struct address_space as;
    bool stop; /* atomic */
    uint64_t seed;
};

/* A BAR's registers hold its number and their offset. */
static enum memory_result bar_read(void *opaque, uint64_t offset, unsigned size,
                                   struct memory_attributes attributes, uint64_t *value)
{
    *value = (uint64_t)(uintptr_t)opaque << 16 | offset;
    return MEMORY_OK;
}

static enum memory_result bar_write(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t value)
{
    return MEMORY_OK;
}

static const struct memory_region_ops bar_ops = {.read = bar_read, .write = bar_write};

static bool is_stopped(struct system *system)
{
    return __atomic_load_n(&system->stop, __ATOMIC_RELAXED);
}

static void read_bar(struct system *system, uint64_t *random)
{
    gpa_t address = WINDOW + test_below(random, PLACES) * 0x1000 + test_below(random, 0x400) * 4;
    uint64_t value;

    if (address_space_load(&system->as, address, 4, CPU, &value) == MEMORY_OK) {
        CU_ASSERT_EQUAL(value & 0xffff, address & 0xfff);
        CU_ASSERT(value >> 16 <= BARS);
    } else {
        CU_ASSERT_EQUAL(value, 0xffffffff);
    }
}

/* RAM is always there, whatever is cut out of it and joined again. */
static void use_ram(struct system *system, uint64_t *random, unsigned self)
{
    gpa_t address = 0x80000 + self * 0x1000 + test_below(random, 0x100) * 8;
    uint64_t value, number = test_random(random), length = 64;
    uint8_t buffer[64];
    void *host;

    CU_ASSERT_EQUAL(address_space_store(&system->as, address, 8, CPU, number), MEMORY_OK);
    CU_ASSERT_EQUAL(address_space_load(&system->as, address, 8, CPU, &value), MEMORY_OK);
    CU_ASSERT_EQUAL(value, number);
    CU_ASSERT_EQUAL(address_space_read(&system->as, address, CPU, buffer, sizeof(buffer)),
                    MEMORY_OK);
    CU_ASSERT_EQUAL(address_space_compare_exchange(&system->as, address, 8, CPU, &value, 1),
                    MEMORY_OK);
    host = address_space_map(&system->as, address, &length, true, CPU);
    CU_ASSERT_PTR_NOT_NULL_FATAL(host);
    address_space_unmap(&system->as, host, length, true, 8);
}

struct reader {
    struct system *system;
    unsigned number;
};

static void *run_reader(void *opaque)
{
    struct reader *reader = opaque;
    uint64_t random = reader->system->seed + reader->number;

    while (!is_stopped(reader->system)) {
        read_bar(reader->system, &random);
        use_ram(reader->system, &random, reader->number);
    }
    return NULL;
}

/* A region that lives shortly, with memory of its own. */
static void plug_and_unplug(struct system *system, uint64_t *random)
{
    gpa_t address = WINDOW + PLACES * 0x1000;
    uint64_t value;

    CU_ASSERT_TRUE_FATAL(memory_region_init_ram(&system->fresh, "fresh", 0x1000, NULL));
    memory_region_add_subregion(&system->root, address, &system->fresh);
    CU_ASSERT_EQUAL(address_space_load(&system->as, address, 4, CPU, &value), MEMORY_OK);
    CU_ASSERT_EQUAL(value, 0);
    memory_region_destroy(&system->fresh);
    CU_ASSERT_EQUAL(address_space_load(&system->as, address, 4, CPU, &value), MEMORY_DECODE_ERROR);
}

static void edit(struct system *system, uint64_t *random)
{
    struct memory_region *bar = &system->bars[test_below(random, BARS)];

    switch (test_below(random, 8)) {
    case 0:
        memory_region_set_enabled(bar, test_below(random, 2));
        break;
    case 1:
        memory_region_set_offset(&system->low_alias, test_below(random, 4) * 0x1000);
        break;
    case 2:
        memory_region_dirty_log_start(&system->ram, DIRTY_DISPLAY);
        memory_region_test_dirty(&system->ram, 0, RAM_SIZE, DIRTY_DISPLAY, true);
        memory_region_dirty_log_stop(&system->ram, DIRTY_DISPLAY);
        break;
    case 3:
        plug_and_unplug(system, random);
        break;
    case 4:
        memory_topology_begin();
        memory_region_set_offset(bar, WINDOW);
        memory_region_set_offset(&system->bars[0], WINDOW + 0x1000);
        memory_topology_commit();
        break;
    default:
        memory_region_set_offset(bar, WINDOW + test_below(random, PLACES) * 0x1000);
    }
}

static void test_readers_during_edits(void)
{
    struct system *system = g_new0(struct system, 1);
    struct reader readers[3];
    pthread_t threads[3];
    struct recorder recorder;
    uint64_t random;
    gint64 end = g_get_monotonic_time() + 3 * G_USEC_PER_SEC / 2;
    unsigned edits = 0;

    random = system->seed = test_seed();
    memory_region_init_container(&system->root, "root", UINT64_C(1) << 32);
    CU_ASSERT_TRUE_FATAL(memory_region_init_ram(&system->ram, "ram", RAM_SIZE, NULL));
    memory_region_add_subregion(&system->root, 0, &system->ram);
    memory_region_init_alias(&system->low_alias, "low", &system->ram, 0x8000, 0x2000);
    memory_region_add_subregion_overlap(&system->root, 0, &system->low_alias, 1);
    for (unsigned i = 0; i < BARS; i++) {
        memory_region_init_mmio(&system->bars[i], "bar", 0x1000, &bar_ops, (void *)(uintptr_t)i,
                                NULL);
        memory_region_add_subregion(&system->root, WINDOW + i * 0x1000, &system->bars[i]);
    }
    address_space_init(&system->as, &system->root, "memory");
    recorder_init(&recorder, 0);
    CU_ASSERT_TRUE_FATAL(memory_listener_register(&recorder.listener, &system->as, NULL));
    for (unsigned i = 0; i < 3; i++) {
        readers[i] = (struct reader){system, i};
        pthread_create(&threads[i], NULL, run_reader, &readers[i]);
    }
    /* Some, however slow the machine. */
    for (; edits < 100 || (edits < 20000 && g_get_monotonic_time() < end); edits++) {
        edit(system, &random);
    }
    __atomic_store_n(&system->stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    recorder_check(&recorder);
    memory_listener_unregister(&recorder.listener);
    recorder_clear(&recorder);
    address_space_destroy(&system->as);
    for (unsigned i = 0; i < BARS; i++) {
        memory_region_destroy(&system->bars[i]);
    }
    memory_region_destroy(&system->low_alias);
    memory_region_destroy(&system->ram);
    memory_region_destroy(&system->root);
    g_free(system);
    printf("%u edits\n", edits);
}

/* Two threads edit their own regions in one tree, in transactions that nest. */
struct editor {
    struct memory_region *root;
    struct memory_region regions[8];
    unsigned number;
};

static void *run_editor(void *opaque)
{
    struct editor *editor = opaque;

    for (unsigned round = 0; round < 100; round++) {
        memory_topology_begin();
        for (unsigned i = 0; i < 8; i++) {
            memory_region_add_subregion(editor->root, (editor->number * 8 + i) * 0x1000,
                                        &editor->regions[i]);
        }
        memory_topology_commit();
        for (unsigned i = 0; i < 8; i++) {
            memory_region_remove_subregion(editor->root, &editor->regions[i]);
        }
    }
    return NULL;
}

static void test_two_editors(void)
{
    struct memory_region root;
    struct address_space as;
    struct editor editors[2];
    struct recorder recorder;
    pthread_t threads[2];

    memory_region_init_container(&root, "root", 0x100000);
    address_space_init(&as, &root, "memory");
    recorder_init(&recorder, 0);
    CU_ASSERT_TRUE_FATAL(memory_listener_register(&recorder.listener, &as, NULL));
    for (unsigned e = 0; e < 2; e++) {
        editors[e].root = &root;
        editors[e].number = e;
        for (unsigned i = 0; i < 8; i++) {
            memory_region_init_reservation(&editors[e].regions[i], "part", 0x1000);
        }
        pthread_create(&threads[e], NULL, run_editor, &editors[e]);
    }
    for (unsigned e = 0; e < 2; e++) {
        pthread_join(threads[e], NULL);
    }
    CU_ASSERT_EQUAL(recorder.sections->len, 0);
    CU_ASSERT_EQUAL(recorder.adds, 2 * 100 * 8);
    memory_listener_unregister(&recorder.listener);
    recorder_clear(&recorder);
    address_space_destroy(&as);
    for (unsigned e = 0; e < 2; e++) {
        for (unsigned i = 0; i < 8; i++) {
            memory_region_destroy(&editors[e].regions[i]);
        }
    }
    memory_region_destroy(&root);
}

static const struct unit_test tests[] = {
    {"readers during edits", test_readers_during_edits},
    {"two editors", test_two_editors},
    {NULL, NULL},
};

int main(void)
{
    return memory_unit_run("memory-threads", tests);
}
