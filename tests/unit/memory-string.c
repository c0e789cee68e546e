/* SPDX-License-Identifier: GPL-2.0-or-later */
/* String accesses: the same as each element by itself, in one hold of the device's guard. */
#include "memory-fixture.h"

#include "memory/guard.h"

#include <string.h>

#define SIZE      UINT64_C(0x1000) /* of each region */
#define RAM_BASE  UINT64_C(0x1000)
#define ROM_BASE  UINT64_C(0x2000)
#define FIFO_BASE UINT64_C(0x3000)
#define ROOT_SIZE UINT64_C(0x5000) /* nothing answers in the first and in the last part */
#define COUNT_MAX 40

struct system {
    struct memory_region root, ram, rom, fifo;
    struct address_space as;
    struct access_guard guard;
    uint64_t next;         /* what the FIFO gives, and takes in */
    unsigned until_leaves; /* accesses until the FIFO takes itself away; 0: never */
    unsigned calls, calls_outside;
};

static void called(struct system *system)
{
    system->calls++;
    system->calls_outside += !access_guard_is_held(&system->guard);
    if (system->until_leaves && !--system->until_leaves) {
        memory_region_set_enabled(&system->fifo, false);
    }
}

/* The second half of its registers refuses. */
static enum memory_result fifo_read(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t *value)
{
    struct system *system = opaque;

    called(system);
    *value = system->next = system->next * 5 + offset + size;
    return offset < SIZE / 2 ? MEMORY_OK : MEMORY_DEVICE_ERROR;
}

static enum memory_result fifo_write(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t value)
{
    struct system *system = opaque;

    called(system);
    system->next = system->next * 7 + value + offset + size;
    return offset < SIZE / 2 ? MEMORY_OK : MEMORY_DECODE_ERROR;
}

static const struct memory_region_ops fifo_ops = {
    .read = fifo_read,
    .write = fifo_write,
    .valid = {.max_size = 4},
};

static struct system *system_new(void)
{
    struct system *system = g_new0(struct system, 1);

    access_guard_init(&system->guard);
    memory_region_init_container(&system->root, "root", ROOT_SIZE);
    CU_ASSERT_TRUE_FATAL(memory_region_init_ram(&system->ram, "ram", SIZE, NULL));
    CU_ASSERT_TRUE_FATAL(memory_region_init_rom(&system->rom, "rom", SIZE, NULL));
    memory_region_init_mmio(&system->fifo, "fifo", SIZE, &fifo_ops, system, &system->guard);
    memory_topology_begin();
    memory_region_add_subregion(&system->root, RAM_BASE, &system->ram);
    memory_region_add_subregion(&system->root, ROM_BASE, &system->rom);
    memory_region_add_subregion(&system->root, FIFO_BASE, &system->fifo);
    memory_topology_commit();
    address_space_init(&system->as, &system->root, "memory");
    return system;
}

static void system_free(struct system *system)
{
    address_space_destroy(&system->as);
    memory_region_destroy(&system->ram);
    memory_region_destroy(&system->rom);
    memory_region_destroy(&system->fifo);
    memory_region_destroy(&system->root);
    access_guard_destroy(&system->guard);
    g_free(system);
}

/* The definition. */
static void load_each(struct system *system, gpa_t address, unsigned size, uint8_t *buffer,
                      unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t value;

        address_space_load(&system->as, address, size, CPU, &value);
        memcpy(buffer + (size_t)i * size, &value, size); /* little-endian, as this host is */
    }
}

static void store_each(struct system *system, gpa_t address, unsigned size, const uint8_t *buffer,
                       unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t value = 0;

        memcpy(&value, buffer + (size_t)i * size, size);
        address_space_store(&system->as, address, size, CPU, value);
    }
}

static void check_alike(struct system *one, struct system *other)
{
    uint8_t memory[2][2 * SIZE];

    CU_ASSERT_EQUAL(one->next, other->next);
    CU_ASSERT_EQUAL(one->calls, other->calls);
    CU_ASSERT_EQUAL(one->calls_outside, 0);
    CU_ASSERT_EQUAL(one->as.unassigned_count, other->as.unassigned_count);
    address_space_read(&one->as, RAM_BASE, CPU, memory[0], sizeof(memory[0]));
    address_space_read(&other->as, RAM_BASE, CPU, memory[1], sizeof(memory[1]));
    CU_ASSERT_EQUAL(memcmp(memory[0], memory[1], sizeof(memory[0])), 0);
}

static void test_random_strings(void)
{
    struct system *string = system_new(), *each = system_new();
    uint64_t random = test_seed();

    for (unsigned i = 0; i < 3000; i++) {
        unsigned size = 1u << test_below(&random, 4), count = test_below(&random, COUNT_MAX + 1);
        /* Near borders more often, and across them. */
        gpa_t address = test_below(&random, 2)
                            ? test_below(&random, ROOT_SIZE)
                            : SIZE * test_below(&random, 6) + test_below(&random, 16) - 8;
        uint8_t buffers[2][8 * COUNT_MAX];

        for (unsigned k = 0; k < sizeof(buffers[0]); k++) {
            buffers[0][k] = buffers[1][k] = (uint8_t)test_random(&random);
        }
        if (test_below(&random, 8) == 0) {
            string->until_leaves = each->until_leaves = 1 + test_below(&random, COUNT_MAX);
        }
        if (test_below(&random, 2)) {
            address_space_load_string(&string->as, address, size, CPU, buffers[0], count);
            load_each(each, address, size, buffers[1], count);
        } else {
            address_space_store_string(&string->as, address, size, CPU, buffers[0], count);
            store_each(each, address, size, buffers[1], count);
        }
        CU_ASSERT_EQUAL(memcmp(buffers[0], buffers[1], sizeof(buffers[0])), 0);
        check_alike(string, each);
        memory_region_set_enabled(&string->fifo, true);
        memory_region_set_enabled(&each->fifo, true);
    }
    CU_ASSERT(string->calls > 1000);
    system_free(string);
    system_free(each);
}

/* As its own DMA finds it: a string that a callback makes to its own device reads ones. */
static void test_no_reentry(void)
{
    struct system *system = system_new();
    uint8_t buffer[6] = {0}, ones[6];

    memset(ones, 0xff, sizeof(ones));
    CU_ASSERT_TRUE_FATAL(access_guard_enter(&system->guard));
    address_space_load_string(&system->as, FIFO_BASE, 2, CPU, buffer, 3);
    CU_ASSERT_EQUAL(memcmp(buffer, ones, sizeof(ones)), 0);
    address_space_store_string(&system->as, FIFO_BASE, 2, CPU, buffer, 3);
    access_guard_leave(&system->guard);
    CU_ASSERT_EQUAL(system->calls, 0);
    address_space_load_string(&system->as, FIFO_BASE, 2, CPU, buffer, 3);
    CU_ASSERT_EQUAL(system->calls, 3);
    system_free(system);
}

static const struct unit_test tests[] = {
    {"as each by itself", test_random_strings},
    {"no reentry", test_no_reentry},
    {NULL, NULL},
};

int main(void)
{
    return memory_unit_run("memory-string", tests);
}
