/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Xen's I/O requests, sane and hostile, against a naive model. */
#include "memory-fixture.h"

#include "backend-xen/ioreq.h"
#include "backend-xen/xen-libraries.h"

#include <string.h>

#define RAM_SIZE     0x4000u
#define MMIO_BASE    UINT64_C(0xe0000000)
#define MMIO_SIZE    0x1000u
#define LINEAR_BASE  UINT64_C(0xa0000)
#define LINEAR_SIZE  0x2000u
#define PORT         0x1f0u
#define HISTORY_SIZE 16384

/* One access that a device saw. */
struct seen {
    uint64_t offset, value;
    unsigned size;
    bool is_write;
};

struct system {
    struct memory_region memory, io, ram, mmio, linear, port;
    struct address_space as_memory, as_io;
    struct ioreq_target target;
    struct seen history[HISTORY_SIZE];
    unsigned count, invalidations, config_reads, config_writes;
    uint64_t next_value;
    int64_t time_offset;
    struct seen config; /* the last; offset: bus, devfn, register */
};

static void note(struct system *system, uint64_t offset, unsigned size, bool is_write,
                 uint64_t value)
{
    if (system->count < HISTORY_SIZE) {
        system->history[system->count] = (struct seen){offset, value, size, is_write};
    }
    system->count++;
}

static enum memory_result device_read(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t *value)
{
    struct system *system = opaque;

    *value = ++system->next_value;
    note(system, offset, size, false, *value);
    return MEMORY_OK;
}

static enum memory_result device_write(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t value)
{
    note(opaque, offset, size, true, value);
    return MEMORY_OK;
}

static const struct memory_region_ops device_ops = {
    .read = device_read,
    .write = device_write,
    .valid = {.min_size = 1, .max_size = 8, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 8, .allow_unaligned = true},
};

static uint32_t config_read(void *opaque, unsigned bus, unsigned devfn, unsigned offset,
                            unsigned size)
{
    struct system *system = opaque;

    system->config_reads++;
    system->config =
        (struct seen){(uint64_t)bus << 40 | (uint64_t)devfn << 32 | offset, 0, size, false};
    return 0x71138086;
}

static void config_write(void *opaque, unsigned bus, unsigned devfn, unsigned offset, unsigned size,
                         uint32_t value)
{
    struct system *system = opaque;

    system->config_writes++;
    system->config =
        (struct seen){(uint64_t)bus << 40 | (uint64_t)devfn << 32 | offset, value, size, true};
}

static void invalidate(void *opaque)
{
    ((struct system *)opaque)->invalidations++;
}

static void set_time_offset(void *opaque, int64_t seconds)
{
    ((struct system *)opaque)->time_offset += seconds;
}

static struct system *system_new(void)
{
    struct system *system = g_new0(struct system, 1);

    memory_region_init_container(&system->memory, "memory", UINT64_C(1) << 52);
    memory_region_init_container(&system->io, "io", 0x10000);
    CU_ASSERT_TRUE_FATAL(memory_region_init_ram(&system->ram, "ram", RAM_SIZE, NULL));
    CU_ASSERT_TRUE_FATAL(memory_region_init_ram(&system->linear, "linear", LINEAR_SIZE, NULL));
    memory_region_init_mmio(&system->mmio, "mmio", MMIO_SIZE, &device_ops, system, NULL);
    memory_region_init_mmio(&system->port, "port", 4, &device_ops, system, NULL);
    memory_region_add_subregion(&system->memory, 0, &system->ram);
    memory_region_add_subregion(&system->memory, LINEAR_BASE, &system->linear);
    memory_region_add_subregion(&system->memory, MMIO_BASE, &system->mmio);
    memory_region_add_subregion(&system->io, PORT, &system->port);
    address_space_init(&system->as_memory, &system->memory, "memory");
    address_space_init(&system->as_io, &system->io, "io");
    system->target = (struct ioreq_target){
        .memory = &system->as_memory,
        .io = &system->as_io,
        .config_read = config_read,
        .config_write = config_write,
        .invalidate = invalidate,
        .set_time_offset = set_time_offset,
        .opaque = system,
    };
    return system;
}

static void system_free(struct system *system)
{
    address_space_destroy(&system->as_memory);
    address_space_destroy(&system->as_io);
    memory_region_destroy(&system->ram);
    memory_region_destroy(&system->linear);
    memory_region_destroy(&system->mmio);
    memory_region_destroy(&system->port);
    memory_region_destroy(&system->memory);
    memory_region_destroy(&system->io);
    g_free(system);
}

static uint8_t *ram_of(struct system *system)
{
    return memory_region_host_pointer(&system->ram);
}

static void test_port(void)
{
    struct system *system = system_new();
    struct ioreq request = {
        .addr = PORT, .size = 2, .count = 1, .dir = IOREQ_READ, .type = IOREQ_TYPE_PIO};

    ioreq_perform(&system->target, &request);
    CU_ASSERT_EQUAL(request.data, 1);
    CU_ASSERT_EQUAL(system->history[0].size, 2);
    request.dir = IOREQ_WRITE;
    request.data = 0xffffffffffff1234;
    ioreq_perform(&system->target, &request);
    CU_ASSERT_EQUAL(system->history[1].value & 0xffff, 0x1234);
    request.dir = IOREQ_READ;
    request.addr = 0x80; /* nobody is there */
    ioreq_perform(&system->target, &request);
    CU_ASSERT_EQUAL(request.data & 0xffff, 0xffff);
    system_free(system);
}

/* INS and OUTS, up and down: a block of memory, one access of the port for each element. */
static void test_string_port(void)
{
    for (unsigned down = 0; down < 2; down++) {
        struct system *system = system_new();
        uint64_t first = down ? 0x1000 + 2 * 5000 : 0x1000;
        struct ioreq request = {.addr = PORT,
                                .data = first,
                                .size = 2,
                                .count = 5001,
                                .data_is_ptr = 1,
                                .df = down & 1,
                                .dir = IOREQ_READ,
                                .type = IOREQ_TYPE_PIO};
        bool right = true;

        ioreq_perform(&system->target, &request);
        CU_ASSERT_EQUAL(system->count, 5001);
        CU_ASSERT_EQUAL(request.data, first);
        for (unsigned i = 0; i < 5001; i++) {
            uint16_t value;

            memcpy(&value, ram_of(system) + 0x1000 + 2 * (down ? 5000 - i : i), 2);
            right = right && value == i + 1;
        }
        CU_ASSERT_TRUE(right);
        request.dir = IOREQ_WRITE;
        ioreq_perform(&system->target, &request);
        for (unsigned i = 0; i < 5001; i++) {
            right = right && system->history[5001 + i].value == i + 1;
        }
        CU_ASSERT_TRUE(right);
        system_free(system);
    }
}

/* MOVS to and from registers keeps size and order; STOS repeats one value. */
static void test_string_memory(void)
{
    struct system *system = system_new();
    struct ioreq request = {.addr = MMIO_BASE + 0x20,
                            .data = 0x100,
                            .size = 4,
                            .count = 3,
                            .data_is_ptr = 1,
                            .df = 1,
                            .dir = IOREQ_WRITE,
                            .type = IOREQ_TYPE_COPY};
    const uint32_t words[3] = {11, 22, 33};

    memcpy(ram_of(system) + 0xf8, words, sizeof(words));
    ioreq_perform(&system->target, &request);
    for (unsigned i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(system->history[i].offset, 0x20 - 4 * i);
        CU_ASSERT_EQUAL(system->history[i].value, words[2 - i]);
        CU_ASSERT_EQUAL(system->history[i].size, 4);
    }
    request = (struct ioreq){.addr = MMIO_BASE,
                             .data = 7,
                             .size = 8,
                             .count = 4,
                             .dir = IOREQ_WRITE,
                             .type = IOREQ_TYPE_COPY};
    ioreq_perform(&system->target, &request);
    CU_ASSERT_EQUAL(system->count, 7);
    CU_ASSERT_EQUAL(system->history[6].offset, 24);
    CU_ASSERT_EQUAL(system->history[6].value, 7);
    system_free(system);
}

static void test_linear_memory(void)
{
    struct system *system = system_new();
    uint8_t *linear = memory_region_host_pointer(&system->linear);
    struct ioreq request = {.addr = LINEAR_BASE + 1,
                            .data = 0x200,
                            .size = 1,
                            .count = LINEAR_SIZE,
                            .data_is_ptr = 1,
                            .dir = IOREQ_WRITE,
                            .type = IOREQ_TYPE_COPY};

    memset(ram_of(system), 0xab, RAM_SIZE);
    ioreq_perform(&system->target, &request); /* one byte goes over the end, to nobody */
    CU_ASSERT_EQUAL(linear[0], 0);
    CU_ASSERT_EQUAL(linear[1], 0xab);
    CU_ASSERT_EQUAL(linear[LINEAR_SIZE - 1], 0xab);
    linear[5] = 1;
    request.dir = IOREQ_READ;
    request.addr = LINEAR_BASE + 5;
    request.count = 4;
    ioreq_perform(&system->target, &request);
    CU_ASSERT_EQUAL(ram_of(system)[0x200], 1);
    CU_ASSERT_EQUAL(ram_of(system)[0x204], 0xab);
    system_free(system);
}

static void test_configuration(void)
{
    struct system *system = system_new();
    struct ioreq request = {.addr = UINT64_C(0x0b00000042),
                            .size = 2,
                            .count = 1,
                            .dir = IOREQ_READ,
                            .type = IOREQ_TYPE_PCI_CONFIG};

    ioreq_perform(&system->target, &request);
    CU_ASSERT_EQUAL(request.data, 0x71138086);
    CU_ASSERT_EQUAL(system->config.offset, request.addr);
    CU_ASSERT_EQUAL(system->config.size, 2);
    request.dir = IOREQ_WRITE;
    request.data = 0x1234;
    ioreq_perform(&system->target, &request);
    CU_ASSERT_EQUAL(system->config.value, 0x1234);
    request.addr = UINT64_C(0x00010000) << 32; /* another segment */
    ioreq_perform(&system->target, &request);
    CU_ASSERT_EQUAL(system->config_writes, 1);
    system_free(system);
}

static void test_others(void)
{
    struct system *system = system_new();
    struct ioreq request = {
        .data = (uint64_t)-3600, .size = 8, .count = 1, .type = IOREQ_TYPE_TIMEOFFSET};

    ioreq_perform(&system->target, &request);
    CU_ASSERT_EQUAL(system->time_offset, -3600);
    request.type = IOREQ_TYPE_INVALIDATE;
    ioreq_perform(&system->target, &request);
    CU_ASSERT_EQUAL(system->invalidations, 1);
    request.type = 200;
    request.dir = IOREQ_READ;
    ioreq_perform(&system->target, &request);
    CU_ASSERT_EQUAL(request.data, UINT64_MAX);
    system_free(system);
}

static void test_hostile_values(void)
{
    static const uint32_t sizes[] = {0, 3, 5, 16, 0x80000000, UINT32_MAX};
    static const uint64_t addresses[] = {0,          RAM_SIZE - 1,   MMIO_BASE + MMIO_SIZE - 1,
                                         UINT64_MAX, UINT64_MAX - 7, UINT64_C(1) << 52};
    struct system *system = system_new();
    unsigned before;

    for (unsigned type = 0; type < 3; type++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
            struct ioreq request = {.addr = MMIO_BASE,
                                    .size = sizes[i],
                                    .count = 1,
                                    .dir = IOREQ_READ,
                                    .type = (uint8_t)type};

            ioreq_perform(&system->target, &request);
            CU_ASSERT_EQUAL(request.data, UINT64_MAX);
        }
    }
    before = system->count;
    CU_ASSERT_EQUAL(before, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(addresses); i++) {
        for (unsigned bits = 0; bits < 8; bits++) {
            struct ioreq request = {.addr = addresses[i],
                                    .data = addresses[i],
                                    .size = 8,
                                    .count = 600,
                                    .dir = bits & 1,
                                    .df = bits >> 1 & 1,
                                    .data_is_ptr = bits >> 2 & 1,
                                    .type = IOREQ_TYPE_COPY};

            ioreq_perform(&system->target, &request);
            request.count = UINT32_MAX;
            ioreq_perform(&system->target, &request);
        }
    }
    system_free(system);
}

/* Random copies between RAM and registers, compared with a loop over elements. */
static void test_random_copies(void)
{
    uint64_t seed = test_seed();

    for (unsigned round = 0; round < 400; round++) {
        struct system *system = system_new();
        unsigned size = 1u << test_below(&seed, 4), count = 1 + test_below(&seed, 200);
        bool down = test_below(&seed, 2), is_read = test_below(&seed, 2);
        uint64_t data = 0x800 + (down ? (uint64_t)(count - 1) * size : 0) + test_below(&seed, 9);
        uint64_t address = MMIO_BASE + (down ? (uint64_t)(count - 1) * size : 0) +
                           (uint64_t)test_below(&seed, 8) * size;
        struct ioreq request = {.addr = address,
                                .data = data,
                                .size = size,
                                .count = count,
                                .data_is_ptr = 1,
                                .df = down,
                                .dir = is_read,
                                .type = IOREQ_TYPE_COPY};

        for (unsigned i = 0; i < RAM_SIZE; i++) {
            ram_of(system)[i] = (uint8_t)test_random(&seed);
        }
        ioreq_perform(&system->target, &request);
        CU_ASSERT_EQUAL_FATAL(system->count, count);
        for (unsigned i = 0; i < count; i++) {
            const struct seen *seen = &system->history[i];
            uint64_t step = (uint64_t)i * size, in_ram = 0;
            uint64_t mask = UINT64_MAX >> (64 - 8 * size);

            memcpy(&in_ram, ram_of(system) + (down ? data - step : data + step), size);
            CU_ASSERT_EQUAL_FATAL(seen->offset,
                                  (down ? address - step : address + step) - MMIO_BASE);
            CU_ASSERT_EQUAL_FATAL(seen->size, size);
            CU_ASSERT_EQUAL_FATAL(seen->is_write, !is_read);
            CU_ASSERT_EQUAL_FATAL(seen->value & mask, in_ram);
        }
        system_free(system);
    }
}

/* ---- Buffered requests ---- */

static void buffer_put(struct buffered_iopage *page, uint32_t address, unsigned log_size,
                       uint64_t data)
{
    uint32_t at = page->write_pointer;

    page->buf_ioreq[at % IOREQ_BUFFER_SLOT_NUM] = (struct buf_ioreq){.type = IOREQ_TYPE_COPY,
                                                                     .dir = IOREQ_WRITE,
                                                                     .size = log_size & 3,
                                                                     .addr = address,
                                                                     .data = (uint32_t)data};
    if (log_size == 3) {
        page->buf_ioreq[(at + 1) % IOREQ_BUFFER_SLOT_NUM].data = (uint32_t)(data >> 32);
    }
    __atomic_store_n(&page->write_pointer, at + (log_size == 3 ? 2 : 1), __ATOMIC_RELEASE);
}

static void test_buffer(void)
{
    struct system *system = system_new();
    struct buffered_iopage *page = g_aligned_alloc0(1, 4096, 4096);

    CU_ASSERT_TRUE(ioreq_buffer_is_empty(page));
    CU_ASSERT_FALSE(ioreq_drain_buffer(&system->target, page));
    page->read_pointer = page->write_pointer = 509; /* over the end of the ring */
    buffer_put(page, 0x10, 0, 0x11);
    buffer_put(page, 0x20, 3, UINT64_C(0x1122334455667788));
    buffer_put(page, 0x30, 2, 0x33);
    CU_ASSERT_FALSE(ioreq_buffer_is_empty(page));
    CU_ASSERT_TRUE(ioreq_drain_buffer(&system->target, page));
    CU_ASSERT_TRUE(ioreq_buffer_is_empty(page));
    CU_ASSERT_EQUAL(ram_of(system)[0x10], 0x11);
    CU_ASSERT_EQUAL(ram_of(system)[0x27], 0x11);
    CU_ASSERT_EQUAL(ram_of(system)[0x20], 0x88);
    CU_ASSERT_EQUAL(ram_of(system)[0x30], 0x33);
    /* Pointers that make no sense: once, each request after them waited for 2^32 others. */
    page->read_pointer = 5;
    page->write_pointer = 3;
    CU_ASSERT_FALSE(ioreq_drain_buffer(&system->target, page));
    /* One of 8 bytes whose second half is not there: the ring is not left past its end. */
    page->read_pointer = page->write_pointer = 7;
    buffer_put(page, 0x40, 3, 0x44);
    page->write_pointer = 8;
    CU_ASSERT_TRUE(ioreq_drain_buffer(&system->target, page));
    CU_ASSERT_TRUE(ioreq_buffer_is_empty(page));
    g_aligned_free(page);
    system_free(system);
}

/* Each is there under its name, with all that is called. */
static void test_libraries(void)
{
    g_autoptr(GError) error = NULL;

    CU_ASSERT_TRUE(xen_libraries_load(&error));
    if (error) {
        printf("%s\n", error->message);
    }
    CU_ASSERT_PTR_NOT_NULL(xen_libraries.xentoolcore_restrict_all);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"port", test_port},
        {"string instructions on a port", test_string_port},
        {"string instructions on registers", test_string_memory},
        {"linear memory", test_linear_memory},
        {"configuration space", test_configuration},
        {"other requests", test_others},
        {"hostile values", test_hostile_values},
        {"random copies", test_random_copies},
        {"buffered requests", test_buffer},
        {"libraries", test_libraries},
        {NULL, NULL},
    };

    return memory_unit_run("xen ioreq", tests);
}
