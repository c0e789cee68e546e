/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Access sizes, alignment and endianness: tables of accesses and the callbacks that they make. */
#include "memory-fixture.h"

#include <string.h>
#include <sys/eventfd.h>

#define REGION_SIZE 16

/* A device of 16 bytes, byte i of which is 0x10 + i as its own bus sees it. */
struct device {
    uint8_t bytes[REGION_SIZE];
    bool big_endian;
    GString *calls; /* "r4@0 w2@6 ..." */
    enum memory_result result;
};

static enum memory_result device_read(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t *value)
{
    struct device *device = opaque;

    g_string_append_printf(device->calls, "r%u@%u ", size, (unsigned)offset);
    /* A lazy device: what lies beyond the access is rubbish. */
    *value = UINT64_MAX;
    for (unsigned i = 0; i < size; i++) {
        unsigned shift = 8 * (device->big_endian ? size - 1 - i : i);

        *value &= ~(UINT64_C(0xff) << shift);
        *value |= (uint64_t)device->bytes[offset + i] << shift;
    }
    return device->result;
}

static enum memory_result device_write(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t value)
{
    struct device *device = opaque;

    g_string_append_printf(device->calls, "w%u@%u ", size, (unsigned)offset);
    if (size < 8) {
        CU_ASSERT_EQUAL(value >> (8 * size), 0);
    }
    for (unsigned i = 0; i < size; i++) {
        device->bytes[offset + i] =
            (uint8_t)(value >> (8 * (device->big_endian ? size - 1 - i : i)));
    }
    return device->result;
}

struct row {
    struct memory_access_sizes valid, implemented;
    unsigned offset, size;
    const char *reads;  /* the calls of a read; NULL: refused */
    const char *writes; /* of a write */
};

static const struct row rows[] = {
    /* All defaults: any size to the guest, up to 4 bytes to the device. */
    {{0}, {0}, 0, 1, "r1@0 ", "w1@0 "},
    {{0}, {0}, 2, 2, "r2@2 ", "w2@2 "},
    {{0}, {0}, 4, 4, "r4@4 ", "w4@4 "},
    {{0}, {0}, 8, 8, "r4@8 r4@12 ", "w4@8 w4@12 "},
    {{0}, {0}, 1, 2, NULL, NULL},
    {{0}, {0}, 4, 8, NULL, NULL},
    {{0}, {0}, 15, 1, "r1@15 ", "w1@15 "},
    /* Beyond the region. */
    {{0}, {0}, 16, 1, NULL, NULL},
    {{0, 0, true}, {0}, 14, 4, NULL, NULL},
    /* What the guest may do. */
    {{4, 4, false}, {0}, 0, 2, NULL, NULL},
    {{4, 4, false}, {0}, 0, 8, NULL, NULL},
    {{4, 4, false}, {0}, 4, 4, "r4@4 ", "w4@4 "},
    {{1, 2, false}, {0}, 4, 4, NULL, NULL},
    {{1, 1, false}, {0}, 5, 1, "r1@5 ", "w1@5 "},
    {{2, 8, false}, {0}, 5, 1, NULL, NULL},
    /* Cut. */
    {{0}, {1, 1, false}, 4, 4, "r1@4 r1@5 r1@6 r1@7 ", "w1@4 w1@5 w1@6 w1@7 "},
    {{0}, {1, 2, false}, 8, 8, "r2@8 r2@10 r2@12 r2@14 ", "w2@8 w2@10 w2@12 w2@14 "},
    {{0}, {1, 8, false}, 8, 8, "r8@8 ", "w8@8 "},
    {{0}, {8, 8, false}, 0, 8, "r8@0 ", "w8@0 "},
    /* Unaligned accesses, to devices that take none, and to one that does. */
    {{0, 0, true}, {0}, 1, 4, "r1@1 r2@2 r1@4 ", "w1@1 w2@2 w1@4 "},
    {{0, 0, true}, {1, 4, true}, 1, 4, "r4@1 ", "w4@1 "},
    {{0, 0, true}, {1, 4, true}, 3, 8, "r4@3 r4@7 ", "w4@3 w4@7 "},
    {{0, 0, true}, {4, 4, false}, 2, 4, "r4@0 r4@4 ", "r4@0 w4@0 r4@4 w4@4 "},
    /* Widened. */
    {{0}, {4, 4, false}, 0, 1, "r4@0 ", "r4@0 w4@0 "},
    {{0}, {4, 4, false}, 6, 2, "r4@4 ", "r4@4 w4@4 "},
    {{0}, {4, 4, false}, 7, 1, "r4@4 ", "r4@4 w4@4 "},
    {{0}, {2, 4, false}, 9, 1, "r2@8 ", "r2@8 w2@8 "},
    {{0}, {8, 8, false}, 12, 4, "r8@8 ", "r8@8 w8@8 "},
    {{0, 0, true}, {2, 2, false}, 3, 4, "r2@2 r2@4 r2@6 ", "r2@2 w2@2 w2@4 r2@6 w2@6 "},
};

static void device_init(struct device *device, bool big_endian)
{
    *device = (struct device){.big_endian = big_endian, .calls = g_string_new(NULL)};
    for (unsigned i = 0; i < REGION_SIZE; i++) {
        device->bytes[i] = (uint8_t)(0x10 + i);
    }
}

static uint64_t expected_bytes(unsigned offset, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)(0x10 + offset + i) << (8 * i);
    }
    return value;
}

static void check_read(const struct row *row, struct device *device, struct memory_region *region)
{
    uint64_t value = 0;
    enum memory_result result =
        memory_region_dispatch_read(region, row->offset, row->size, CPU, &value);

    if (!row->reads) {
        CU_ASSERT_EQUAL(result, MEMORY_DECODE_ERROR);
        CU_ASSERT_EQUAL(value, UINT64_MAX >> (64 - 8 * row->size));
        CU_ASSERT_STRING_EQUAL(device->calls->str, "");
        return;
    }
    CU_ASSERT_EQUAL(result, MEMORY_OK);
    CU_ASSERT_STRING_EQUAL(device->calls->str, row->reads);
    CU_ASSERT_EQUAL(value, expected_bytes(row->offset, row->size));
}

static void check_write(const struct row *row, struct device *device, struct memory_region *region)
{
    uint64_t value = UINT64_C(0xa7a6a5a4a3a2a1a0);
    enum memory_result result;

    g_string_truncate(device->calls, 0);
    result = memory_region_dispatch_write(region, row->offset, row->size, CPU, value);
    CU_ASSERT_EQUAL(result, row->writes ? MEMORY_OK : MEMORY_DECODE_ERROR);
    CU_ASSERT_STRING_EQUAL(device->calls->str, row->writes ? row->writes : "");
    for (unsigned i = 0; i < REGION_SIZE; i++) {
        bool written = row->writes && i >= row->offset && i < row->offset + row->size;

        CU_ASSERT_EQUAL(device->bytes[i], written ? 0xa0 + i - row->offset : 0x10 + i);
    }
}

static void check_row(const struct row *row, bool big_endian)
{
    struct memory_region_ops ops = {
        .read = device_read,
        .write = device_write,
        .endianness = big_endian ? MEMORY_BIG_ENDIAN : MEMORY_LITTLE_ENDIAN,
        .valid = row->valid,
        .implemented = row->implemented,
    };
    struct memory_region region;
    struct device device;

    device_init(&device, big_endian);
    memory_region_init_mmio(&region, "device", REGION_SIZE, &ops, &device, NULL);
    memory_rcu_read_lock();
    check_read(row, &device, &region);
    check_write(row, &device, &region);
    memory_rcu_read_unlock();
    memory_region_destroy(&region);
    g_string_free(device.calls, TRUE);
}

static void test_sizes(void)
{
    unsigned failures = CU_get_number_of_failures();

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        check_row(&rows[i], false);
        check_row(&rows[i], true);
        if (CU_get_number_of_failures() != failures) {
            printf("row %u\n", i);
            failures = CU_get_number_of_failures();
        }
    }
}

/* ---- Through an address space ---- */

struct bench {
    struct memory_region root, region;
    struct address_space as;
    struct device device;
    struct memory_region_ops ops;
};

static void bench_init(struct bench *bench, uint64_t size)
{
    device_init(&bench->device, false);
    bench->ops = (struct memory_region_ops){.read = device_read, .write = device_write};
    memory_region_init_container(&bench->root, "root", 0x10000);
    memory_region_init_mmio(&bench->region, "device", size, &bench->ops, &bench->device, NULL);
    memory_region_add_subregion(&bench->root, 0x1000, &bench->region);
    address_space_init(&bench->as, &bench->root, "memory");
}

static void bench_destroy(struct bench *bench)
{
    address_space_destroy(&bench->as);
    memory_region_destroy(&bench->region);
    memory_region_destroy(&bench->root);
    g_string_free(bench->device.calls, TRUE);
}

static void test_errors_give_ones(void)
{
    struct bench bench;
    uint64_t value = 0;
    uint8_t buffer[8] = {0};

    bench_init(&bench, REGION_SIZE);
    bench.device.result = MEMORY_DEVICE_ERROR;
    CU_ASSERT_EQUAL(address_space_load(&bench.as, 0x1000, 2, CPU, &value), MEMORY_DEVICE_ERROR);
    CU_ASSERT_EQUAL(value, 0xffff);
    CU_ASSERT_EQUAL(bench.as.unassigned_count, 0); /* it answered */
    CU_ASSERT_EQUAL(address_space_read(&bench.as, 0x1000, CPU, buffer, 8), MEMORY_DEVICE_ERROR);
    CU_ASSERT_EQUAL(buffer[0], 0xff);
    CU_ASSERT_EQUAL(buffer[7], 0xff);
    CU_ASSERT_EQUAL(address_space_store(&bench.as, 0x1000, 2, CPU, 0), MEMORY_DEVICE_ERROR);
    bench_destroy(&bench);
}

static void test_nothing_answers(void)
{
    struct bench bench;
    uint64_t value = 0;

    bench_init(&bench, REGION_SIZE);
    CU_ASSERT_EQUAL(address_space_load(&bench.as, 0x8000, 4, CPU, &value), MEMORY_DECODE_ERROR);
    CU_ASSERT_EQUAL(value, 0xffffffff);
    CU_ASSERT_EQUAL(address_space_store(&bench.as, 0x8000, 4, CPU, 1), MEMORY_DECODE_ERROR);
    CU_ASSERT_EQUAL(address_space_load(&bench.as, UINT64_MAX, 8, CPU, &value), MEMORY_DECODE_ERROR);
    CU_ASSERT_EQUAL(value, UINT64_MAX);
    CU_ASSERT(bench.as.unassigned_count >= 3);
    bench_destroy(&bench);
}

static void test_bulk_is_cut_to_what_is_allowed(void)
{
    static const uint8_t data[7] = {1, 2, 3, 4, 5, 6, 7};
    struct bench bench;
    uint8_t buffer[7];

    bench_init(&bench, REGION_SIZE);
    CU_ASSERT_EQUAL(address_space_write(&bench.as, 0x1001, CPU, data, 7), MEMORY_OK);
    CU_ASSERT_STRING_EQUAL(bench.device.calls->str, "w1@1 w2@2 w4@4 ");
    CU_ASSERT_EQUAL(address_space_read(&bench.as, 0x1001, CPU, buffer, 7), MEMORY_OK);
    CU_ASSERT_EQUAL(memcmp(buffer, data, 7), 0);
    g_string_truncate(bench.device.calls, 0);
    bench.ops.valid.max_size = 2;
    CU_ASSERT_EQUAL(address_space_write(&bench.as, 0x1004, CPU, data, 4), MEMORY_OK);
    CU_ASSERT_STRING_EQUAL(bench.device.calls->str, "w2@4 w2@6 ");
    bench_destroy(&bench);
}

static void test_access_over_an_edge(void)
{
    struct bench bench;
    uint64_t value;

    bench_init(&bench, 2); /* ports 0x1000 and 0x1001 */
    CU_ASSERT_EQUAL(address_space_load(&bench.as, 0x1000, 4, CPU, &value), MEMORY_DECODE_ERROR);
    CU_ASSERT_EQUAL(value, 0xffff1110);
    CU_ASSERT_EQUAL(address_space_store(&bench.as, 0x1000, 4, CPU, 0x04030201),
                    MEMORY_DECODE_ERROR);
    CU_ASSERT_EQUAL(bench.device.bytes[0], 1);
    CU_ASSERT_EQUAL(bench.device.bytes[1], 2);
    CU_ASSERT_EQUAL(bench.device.bytes[2], 0x12);
    bench_destroy(&bench);
}

static void test_missing_callbacks(void)
{
    struct bench bench;
    uint64_t value;

    bench_init(&bench, REGION_SIZE);
    bench.ops.read = NULL;
    CU_ASSERT_EQUAL(address_space_load(&bench.as, 0x1000, 4, CPU, &value), MEMORY_DECODE_ERROR);
    bench.ops.write = NULL;
    CU_ASSERT_EQUAL(address_space_store(&bench.as, 0x1000, 4, CPU, 0), MEMORY_DECODE_ERROR);
    bench_destroy(&bench);
}

/* ---- Event descriptors ---- */

static uint64_t drain(int fd)
{
    uint64_t count = 0;

    return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static void test_eventfds(void)
{
    int any = eventfd(0, EFD_NONBLOCK), word = eventfd(0, EFD_NONBLOCK);
    int seven = eventfd(0, EFD_NONBLOCK);
    struct bench bench;

    bench_init(&bench, REGION_SIZE);
    CU_ASSERT_TRUE(memory_region_add_ioeventfd(&bench.region, 0, 0, false, 0, any, NULL));
    CU_ASSERT_TRUE(memory_region_add_ioeventfd(&bench.region, 4, 2, false, 0, word, NULL));
    CU_ASSERT_TRUE(memory_region_add_ioeventfd(&bench.region, 8, 4, true, 7, seven, NULL));
    address_space_store(&bench.as, 0x1000, 1, CPU, 1);
    address_space_store(&bench.as, 0x1000, 4, CPU, 1);
    CU_ASSERT_EQUAL(drain(any), 2);
    CU_ASSERT_STRING_EQUAL(bench.device.calls->str, "");
    address_space_store(&bench.as, 0x1004, 2, CPU, 9);
    address_space_store(&bench.as, 0x1004, 4, CPU, 9); /* another size */
    CU_ASSERT_EQUAL(drain(word), 1);
    address_space_store(&bench.as, 0x1008, 4, CPU, 6); /* another value */
    address_space_store(&bench.as, 0x1008, 4, CPU, 7);
    CU_ASSERT_EQUAL(drain(seven), 1);
    CU_ASSERT_STRING_EQUAL(bench.device.calls->str, "w4@4 w4@8 ");
    memory_region_remove_ioeventfd(&bench.region, 8, 4, true, 7, seven);
    address_space_store(&bench.as, 0x1008, 4, CPU, 7);
    CU_ASSERT_EQUAL(drain(seven), 0);
    bench_destroy(&bench);
    close(any);
    close(word);
    close(seven);
}

static void test_eventfd_errors(void)
{
    static const struct {
        uint64_t offset;
        unsigned size;
        bool match;
    } wrong[] = {{0, 3, false},  {0, 16, false}, {14, 4, false},
                 {16, 1, false}, {0, 0, true},   {UINT64_MAX, 1, false}};
    struct bench bench;

    bench_init(&bench, REGION_SIZE);
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;

        CU_ASSERT_FALSE(memory_region_add_ioeventfd(&bench.region, wrong[i].offset, wrong[i].size,
                                                    wrong[i].match, 0, 0, &error));
        CU_ASSERT_PTR_NOT_NULL(error);
    }
    CU_ASSERT_FALSE(memory_region_add_ioeventfd(&bench.root, 0, 4, false, 0, 0, NULL));
    /* Two that one write would match. */
    CU_ASSERT_TRUE(memory_region_add_ioeventfd(&bench.region, 0, 4, true, 1, 0, NULL));
    CU_ASSERT_TRUE(memory_region_add_ioeventfd(&bench.region, 0, 4, true, 2, 0, NULL));
    CU_ASSERT_FALSE(memory_region_add_ioeventfd(&bench.region, 0, 4, true, 1, 0, NULL));
    CU_ASSERT_FALSE(memory_region_add_ioeventfd(&bench.region, 0, 0, false, 0, 0, NULL));
    CU_ASSERT_FALSE(memory_region_add_ioeventfd(&bench.region, 0, 4, false, 0, 0, NULL));
    CU_ASSERT_TRUE(memory_region_add_ioeventfd(&bench.region, 0, 2, false, 0, 0, NULL));
    bench_destroy(&bench);
}

static const struct unit_test tests[] = {
    {"sizes, alignment, both endiannesses", test_sizes},
    {"errors give ones", test_errors_give_ones},
    {"nothing answers", test_nothing_answers},
    {"bulk is cut to what is allowed", test_bulk_is_cut_to_what_is_allowed},
    {"an access over an edge", test_access_over_an_edge},
    {"missing callbacks", test_missing_callbacks},
    {"event descriptors", test_eventfds},
    {"event descriptor errors", test_eventfd_errors},
    {NULL, NULL},
};

int main(void)
{
    return memory_unit_run("memory-dispatch", tests);
}
