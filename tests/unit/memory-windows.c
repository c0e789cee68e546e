/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RAM without a host address: all ways to memory go through its windows. */
#include "memory-fixture.h"

#include "memory/dma.h"
#include "memory/ram-windows.h"

#include <string.h>

#define PAGE   4096u
#define WINDOW (2 * PAGE)
#define SIZE   (8 * PAGE)
#define BASE   UINT64_C(0x100000)

/* Windows lie apart in host memory, so that nothing reaches over a border by luck. */
struct system {
    struct memory_region root, ram;
    struct address_space as;
    uint8_t host[SIZE / WINDOW][2 * WINDOW] __attribute__((aligned(8)));
    bool absent[SIZE / PAGE], read_only[SIZE / PAGE];
    unsigned pins, written_bytes;
    uint64_t last_written;
};

static void *find(void *opaque, uint64_t offset, uint64_t *length, bool is_write)
{
    struct system *system = opaque;
    uint64_t page = offset / PAGE, to_page = PAGE - offset % PAGE, to_window;

    CU_ASSERT_FATAL(offset<SIZE && * length> 0);
    CU_ASSERT_TRUE(memory_rcu_is_reading());
    to_window = WINDOW - offset % WINDOW;
    if (system->absent[page] || (is_write && system->read_only[page])) {
        *length = MIN(*length, to_page);
        return NULL;
    }
    *length =
        MIN(*length, system->absent[page | 1] || system->read_only[page | 1] ? to_page : to_window);
    return &system->host[offset / WINDOW][offset % WINDOW];
}

static void *pin(void *opaque, uint64_t offset, uint64_t *length, bool is_write, void **handle)
{
    struct system *system = opaque;
    void *host = find(opaque, offset, length, is_write);

    *handle = host ? &system->host[offset / WINDOW] : NULL;
    system->pins += host != NULL;
    return host;
}

static void unpin(void *opaque, void *handle)
{
    struct system *system = opaque;

    CU_ASSERT_FATAL(system->pins > 0 && handle != NULL);
    system->pins--;
}

static void written(void *opaque, uint64_t offset, uint64_t length)
{
    struct system *system = opaque;

    system->written_bytes += (unsigned)length;
    system->last_written = offset;
}

static const struct ram_windows windows = {find, pin, unpin, written};

static struct system *system_new(void)
{
    struct system *system = g_new0(struct system, 1);

    memory_region_init_container(&system->root, "root", UINT64_C(1) << 32);
    memory_region_init_windowed_ram(&system->ram, "ram", SIZE, &windows, system);
    memory_region_add_subregion(&system->root, BASE, &system->ram);
    address_space_init(&system->as, &system->root, "test");
    return system;
}

static void system_free(struct system *system)
{
    CU_ASSERT_EQUAL(system->pins, 0);
    address_space_destroy(&system->as);
    memory_region_destroy(&system->ram);
    memory_region_destroy(&system->root);
    memory_rcu_barrier();
    g_free(system);
}

static void test_read_and_write(void)
{
    struct system *system = system_new();
    uint8_t out[SIZE], in[SIZE];

    for (unsigned i = 0; i < SIZE; i++) {
        out[i] = (uint8_t)(i * 7 + i / 256);
    }
    CU_ASSERT_EQUAL(address_space_write(&system->as, BASE + 3, CPU, out, SIZE - 5), MEMORY_OK);
    CU_ASSERT_EQUAL(system->written_bytes, SIZE - 5);
    CU_ASSERT_EQUAL(address_space_read(&system->as, BASE + 3, CPU, in, SIZE - 5), MEMORY_OK);
    CU_ASSERT_EQUAL(memcmp(out, in, SIZE - 5), 0);
    CU_ASSERT_EQUAL(system->host[1][0], out[WINDOW - 3]);
    CU_ASSERT_PTR_NULL(memory_region_host_pointer(&system->ram));
    system_free(system);
}

static void test_load_and_store_over_borders(void)
{
    struct system *system = system_new();
    uint64_t value = 0, expected = 0;

    for (unsigned size = 1; size <= 8; size *= 2) {
        for (unsigned before = 0; before <= 8; before++) {
            uint64_t address = BASE + WINDOW - before, pattern = UINT64_C(0x8877665544332211);

            address_space_store(&system->as, address, size, CPU, pattern);
            address_space_load(&system->as, address, size, CPU, &value);
            CU_ASSERT_EQUAL(value, pattern & (UINT64_MAX >> (64 - 8 * size)));
        }
    }
    CU_ASSERT_EQUAL(memory_region_dispatch_write(&system->ram, WINDOW - 3, 8, CPU,
                                                 UINT64_C(0x0102030405060708)),
                    MEMORY_OK);
    CU_ASSERT_EQUAL(memory_region_dispatch_read(&system->ram, WINDOW - 3, 8, CPU, &value),
                    MEMORY_OK);
    CU_ASSERT_EQUAL(value, UINT64_C(0x0102030405060708));
    address_space_store(&system->as, BASE + 16, 8, CPU, 5);
    expected = 5;
    CU_ASSERT_EQUAL(address_space_compare_exchange(&system->as, BASE + 16, 8, CPU, &expected, 6),
                    MEMORY_OK);
    address_space_load(&system->as, BASE + 16, 8, CPU, &value);
    CU_ASSERT_EQUAL(value, 6);
    system_free(system);
}

static void test_missing_pages(void)
{
    struct system *system = system_new();
    uint8_t buffer[2 * PAGE];
    uint64_t value = 0, length = 2 * PAGE;
    void *host;

    memset(system->host, 0x5a, sizeof(system->host));
    system->absent[1] = true;
    CU_ASSERT_EQUAL(address_space_load(&system->as, BASE + PAGE, 4, CPU, &value),
                    MEMORY_DECODE_ERROR);
    CU_ASSERT_EQUAL(value, UINT32_MAX);
    CU_ASSERT_EQUAL(address_space_load(&system->as, BASE + PAGE - 2, 4, CPU, &value),
                    MEMORY_DECODE_ERROR);
    CU_ASSERT_EQUAL(value, 0xffff5a5a);
    CU_ASSERT_NOT_EQUAL(address_space_read(&system->as, BASE, CPU, buffer, sizeof(buffer)),
                        MEMORY_OK);
    CU_ASSERT_EQUAL(buffer[PAGE - 1], 0x5a);
    CU_ASSERT_EQUAL(buffer[PAGE], 0xff);
    CU_ASSERT_NOT_EQUAL(address_space_write(&system->as, BASE, CPU, buffer, sizeof(buffer)),
                        MEMORY_OK);
    CU_ASSERT_EQUAL(system->host[0][PAGE], 0x5a);
    host = address_space_map(&system->as, BASE + 8, &length, true, CPU);
    CU_ASSERT_EQUAL(length, PAGE - 8);
    address_space_unmap(&system->as, host, length, true, 0);
    system_free(system);
}

static void test_read_only_pages(void)
{
    struct system *system = system_new();
    uint64_t value = 0;

    system->read_only[2] = true;
    address_space_store(&system->as, BASE + 2 * PAGE, 4, CPU, 0x1234); /* dropped, as to ROM */
    address_space_load(&system->as, BASE + 2 * PAGE, 4, CPU, &value);
    CU_ASSERT_EQUAL(value, 0);
    CU_ASSERT_EQUAL(system->written_bytes, 0);
    system_free(system);
}

static void test_map_pins(void)
{
    struct system *system = system_new();
    uint64_t length = SIZE, again_length = 4;
    uint8_t *host = address_space_map(&system->as, BASE + 16, &length, true, CPU), *again;

    CU_ASSERT_PTR_NOT_NULL_FATAL(host);
    CU_ASSERT_EQUAL(length, WINDOW - 16);
    again = address_space_map(&system->as, BASE + 16, &again_length, false, CPU);
    CU_ASSERT_PTR_EQUAL(again, host);
    CU_ASSERT_EQUAL(system->pins, 2);
    host[0] = 9;
    address_space_unmap(&system->as, host, length, true, 1);
    CU_ASSERT_EQUAL(system->written_bytes, 1);
    CU_ASSERT_EQUAL(system->last_written, 16);
    address_space_unmap(&system->as, again, again_length, false, 0);
    system_free(system);
}

static void test_dma(void)
{
    struct system *system = system_new();
    struct dma_segment segments[2];
    struct dma_window window;
    uint64_t length = SIZE;
    uint8_t *host;

    memory_rcu_read_lock();
    host = dma_segment_map(&system->as, BASE + PAGE, &length, true, CPU, NULL, &segments[0], NULL);
    CU_ASSERT_PTR_EQUAL(host, &system->host[0][PAGE]);
    CU_ASSERT_EQUAL(length, WINDOW - PAGE);
    length = 100;
    host = dma_segment_map(&system->as, BASE + WINDOW, &length, true, CPU, &segments[0],
                           &segments[1], NULL);
    CU_ASSERT_PTR_EQUAL(host, &system->host[1][0]);
    CU_ASSERT_EQUAL(length, 100);
    memory_rcu_read_unlock();
    CU_ASSERT_EQUAL(system->pins, 2);
    dma_segment_unmap(&segments[1], 100);
    dma_segment_unmap(&segments[0], 0);
    CU_ASSERT_EQUAL(system->written_bytes, 100);

    /* One over a border: each access is looked up. One within: found as one, again each time. */
    dma_window_init(&window, &system->as, BASE + WINDOW - 64, 128, true, CPU);
    memory_rcu_read_lock();
    dma_window_refresh(&window);
    CU_ASSERT_PTR_EQUAL(dma_window_at(&window, 0, 16), &system->host[0][WINDOW - 64]);
    CU_ASSERT_PTR_EQUAL(dma_window_at(&window, 64, 16), &system->host[1][0]);
    memory_rcu_read_unlock();
    dma_window_init(&window, &system->as, BASE, 128, true, CPU);
    memory_rcu_read_lock();
    dma_window_refresh(&window);
    CU_ASSERT_PTR_EQUAL(dma_window_at(&window, 64, 16), &system->host[0][64]);
    memory_rcu_read_unlock();
    system->absent[0] = true;
    memory_rcu_read_lock();
    dma_window_refresh(&window);
    CU_ASSERT_PTR_NULL(dma_window_at(&window, 64, 16));
    memory_rcu_read_unlock();
    system_free(system);
}

static void test_copies(void)
{
    struct system *system = system_new();
    uint8_t out[SIZE], in[SIZE] = {0};

    for (unsigned i = 0; i < SIZE; i++) {
        out[i] = (uint8_t)(i * 5 + i / 256);
    }
    CU_ASSERT_TRUE(ram_windows_write(&system->ram, 3, out, SIZE - 3));
    CU_ASSERT_EQUAL(system->written_bytes, SIZE - 3);
    CU_ASSERT_TRUE(ram_windows_read(&system->ram, 3, in, SIZE - 3));
    CU_ASSERT_EQUAL(memcmp(out, in, SIZE - 3), 0);
    CU_ASSERT_TRUE(ram_windows_read(&system->ram, WINDOW - 1, in, 2));
    CU_ASSERT_EQUAL(memcmp(out + WINDOW - 4, in, 2), 0);
    /* As far as there are pages. */
    system->absent[3] = true;
    system->read_only[6] = true;
    memset(in, 0, SIZE);
    CU_ASSERT_FALSE(ram_windows_read(&system->ram, 2 * PAGE, in, 2 * PAGE));
    CU_ASSERT_EQUAL(memcmp(out + 2 * PAGE - 3, in, PAGE), 0);
    CU_ASSERT_EQUAL(in[PAGE], 0);
    CU_ASSERT_FALSE(ram_windows_write(&system->ram, 6 * PAGE, out, 1));
    CU_ASSERT_TRUE(ram_windows_read(&system->ram, 6 * PAGE, in, 1));
    CU_ASSERT_EQUAL(in[0], out[6 * PAGE - 3]);
    system_free(system);
}

static void test_dirty_log(void)
{
    struct system *system = system_new();

    memory_region_dirty_log_start(&system->ram, DIRTY_MIGRATION);
    address_space_store(&system->as, BASE + 5 * PAGE, 4, CPU, 1);
    CU_ASSERT_TRUE(memory_region_test_dirty(&system->ram, 5 * PAGE, PAGE, DIRTY_MIGRATION, true));
    CU_ASSERT_FALSE(memory_region_test_dirty(&system->ram, 0, SIZE, DIRTY_MIGRATION, true));
    memory_region_dirty_log_stop(&system->ram, DIRTY_MIGRATION);
    system_free(system);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"read and write", test_read_and_write},
        {"loads and stores over borders", test_load_and_store_over_borders},
        {"missing pages", test_missing_pages},
        {"read-only pages", test_read_only_pages},
        {"map pins", test_map_pins},
        {"DMA", test_dma},
        {"copies", test_copies},
        {"dirty log", test_dirty_log},
        {NULL, NULL},
    };

    return memory_unit_run("RAM in windows", tests);
}
