/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dirty log: a bitmap per client and RAM block, a bit per 4 KiB page. Marking and clearing are
 * single atomic operations on words, so a page marked while it is being cleared stays marked.
 */
#include "memory/ram-block.h"
#include "memory/ram-windows.h"
#include "memory/topology.h"
#include "util/hot-path.h"

#include <assert.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint64_t *get_bitmap(struct ram_block *block, unsigned client)
{
    return __atomic_load_n(&block->dirty_bitmap[client], __ATOMIC_ACQUIRE);
}

static uint64_t page_count(const struct ram_block *block)
{
    return (block->size >> DIRTY_PAGE_SHIFT) +
           ((block->size & ((UINT64_C(1) << DIRTY_PAGE_SHIFT) - 1)) != 0);
}

/* The pages of a byte range, cut to the block. False: none. */
static bool pages_of(const struct ram_block *block, uint64_t offset, uint64_t length,
                     uint64_t *first, uint64_t *last)
{
    if (offset >= block->size || length == 0) {
        return false;
    }
    length = MIN(length, block->size - offset);
    *first = offset >> DIRTY_PAGE_SHIFT;
    *last = (offset + length - 1) >> DIRTY_PAGE_SHIFT;
    return true;
}

/* Bits of word `word` that belong to pages first..last. */
static uint64_t word_mask(uint64_t word, uint64_t first, uint64_t last)
{
    uint64_t mask = UINT64_MAX;

    if (word == first / 64) {
        mask &= UINT64_MAX << (first % 64);
    }
    if (word == last / 64) {
        mask &= UINT64_MAX >> (63 - last % 64);
    }
    return mask;
}

static void bitmap_set(uint64_t *bitmap, uint64_t first, uint64_t last)
{
    for (uint64_t word = first / 64; word <= last / 64; word++) {
        /* Also where the bit is set already: as a full barrier it keeps the look at the bit from
         * passing the store of the data, which a client that clears between would lose. */
        __atomic_fetch_or(&bitmap[word], word_mask(word, first, last), __ATOMIC_SEQ_CST);
    }
}

void ram_block_watch(struct ram_block *block,
                     void (*written)(void *opaque, const uint8_t *host, uint64_t length),
                     void *opaque)
{
    block->written_opaque = opaque;
    __atomic_store_n(&block->written, written, __ATOMIC_RELEASE);
}

HOT_PATH void ram_block_add_silent_writer(struct ram_block *block)
{
    __atomic_store_n(&block->has_silent_writers, true, __ATOMIC_RELEASE);
}

HOT_PATH static void tell_watcher(struct ram_block *block, uint64_t offset, uint64_t length)
{
    void (*written)(void *opaque, const uint8_t *host, uint64_t length) =
        __atomic_load_n(&block->written, __ATOMIC_ACQUIRE);

    if (written && offset < block->size) {
        written(block->written_opaque, block->host + offset, MIN(length, block->size - offset));
    }
    if (G_UNLIKELY(block->windows != NULL) && block->windows->written) {
        block->windows->written(block->windows_opaque, offset, length);
    }
}

HOT_PATH void ram_block_set_dirty(struct ram_block *block, uint64_t offset, uint64_t length)
{
    uint32_t clients = ram_block_dirty_clients(block);
    uint64_t first, last;

    tell_watcher(block, offset, length);

    if (!clients || !pages_of(block, offset, length, &first, &last)) {
        return;
    }
    for (unsigned client = 0; client < DIRTY_CLIENT_COUNT; client++) {
        if (clients & (1u << client)) {
            bitmap_set(get_bitmap(block, client), first, last);
        }
    }
}

bool ram_block_test_dirty(struct ram_block *block, uint64_t offset, uint64_t length,
                          enum dirty_client client, bool clear)
{
    uint64_t *bitmap = get_bitmap(block, client);
    bool dirty = false;
    uint64_t first, last;

    if (!bitmap || !pages_of(block, offset, length, &first, &last)) {
        return false;
    }
    for (uint64_t word = first / 64; word <= last / 64; word++) {
        uint64_t mask = word_mask(word, first, last);

        if (!(__atomic_load_n(&bitmap[word], __ATOMIC_ACQUIRE) & mask)) {
            continue;
        }
        if (!clear) {
            return true;
        }
        dirty |= (__atomic_fetch_and(&bitmap[word], ~mask, __ATOMIC_SEQ_CST) & mask) != 0;
    }
    return dirty;
}

/*
 * Let no thread be between a store and its look at dirty_clients with a value from before: an
 * access stores first and looks then, which the processor may swap; a barrier in every thread sorts
 * that without costing the accesses anything.
 */
static void order_all_threads(void)
{
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) < 0 && errno == EPERM) {
        syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
        syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    }
}

void memory_region_dirty_log_start(struct memory_region *region, enum dirty_client client)
{
    struct ram_block *block = region->ram;

    if (!block) {
        return;
    }
    memory_topology_begin();
    if (block->log_count[client]++ == 0) {
        uint64_t words = page_count(block) / 64 + 1;

        if (!get_bitmap(block, client)) {
            __atomic_store_n(&block->dirty_bitmap[client], g_new0(uint64_t, words),
                             __ATOMIC_RELEASE);
        } else {
            ram_block_test_dirty(block, 0, block->size, client, true);
        }
        __atomic_fetch_or(&block->dirty_clients, 1u << client, __ATOMIC_SEQ_CST);
        order_all_threads();
        topology_mark(region, 0, region->size);
    }
    memory_topology_commit();
}

void memory_region_dirty_log_stop(struct memory_region *region, enum dirty_client client)
{
    struct ram_block *block = region->ram;

    if (!block) {
        return;
    }
    memory_topology_begin();
    assert(block->log_count[client]);
    if (--block->log_count[client] == 0) {
        __atomic_fetch_and(&block->dirty_clients, ~(1u << client), __ATOMIC_SEQ_CST);
        topology_mark(region, 0, region->size);
    }
    memory_topology_commit();
}

HOT_PATH void memory_region_set_dirty(struct memory_region *region, uint64_t offset,
                                      uint64_t length)
{
    if (region->ram) {
        ram_block_set_dirty(region->ram, offset, length);
    }
}

bool memory_region_test_dirty(struct memory_region *region, uint64_t offset, uint64_t length,
                              enum dirty_client client, bool clear)
{
    return region->ram && ram_block_test_dirty(region->ram, offset, length, client, clear);
}
