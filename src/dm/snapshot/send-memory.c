/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Passes over a machine's memory: which pages go into the stream, and how. */
#include "dm/snapshot/migration-private.h"
#include "util/little-endian.h"

#include <poll.h>
#include <string.h>

#define BATCH_PAGES 64u /* of one record; their copy stays in the processor's cache */

unsigned snapshot_block_count(const struct machine *machine)
{
    return 1 + machine->kept_memory->len;
}

struct memory_region *snapshot_block(const struct machine *machine, unsigned index)
{
    return index ? g_ptr_array_index(machine->kept_memory, index - 1)
                 : (struct memory_region *)&machine->ram;
}

uint64_t snapshot_block_pages(const struct machine *machine, unsigned index)
{
    return (snapshot_block(machine, index)->size + SNAPSHOT_PAGE - 1) / SNAPSHOT_PAGE;
}

bool migration_send_head(struct migration *migration, GError **error)
{
    const struct machine *machine = migration->machine;
    g_autoptr(GByteArray) payload = g_byte_array_new();

    for (unsigned i = 0; i < snapshot_block_count(machine); i++) {
        const struct memory_region *region = snapshot_block(machine, i);
        uint8_t length = (uint8_t)MIN(strlen(region->name), UINT8_MAX), size[8];

        store_le64(size, region->size);
        g_byte_array_append(payload, &length, 1);
        g_byte_array_append(payload, (const guint8 *)region->name, length);
        g_byte_array_append(payload, size, sizeof(size));
    }
    return snapshot_write(&migration->channel, SNAPSHOT_HEAD, SNAPSHOT_VERSION, payload->data,
                          payload->len, error);
}

/* A pass under way: what of its pages was looked at, but not yet written. */
struct pass {
    struct migration *migration;
    unsigned block;
    const uint8_t *host; /* of the block */
    uint64_t first;      /* page with which the run begins */
    uint64_t count;      /* pages of the run */
    bool is_zero;        /* it is a run of zero pages; else their copies are in batch */
    uint8_t *batch;
    uint64_t began, bytes; /* when the pass began, ns; what the channel had carried then */
};

/* Wait until the bytes of this pass have had the time that the limit gives them. */
static void keep_rate(const struct pass *pass)
{
    const struct migration *migration = pass->migration;
    uint64_t limit = __atomic_load_n(&migration->parameters.max_bandwidth, __ATOMIC_RELAXED);
    struct pollfd cancel = {.fd = migration->channel.cancel_fd, .events = POLLIN};
    uint64_t bytes = migration->channel.bytes - pass->bytes, due, now;

    if (!limit || migration->is_stopped) {
        return;
    }
    due = pass->began + (uint64_t)((double)bytes / (double)limit * NS_PER_SECOND);
    now = (uint64_t)g_get_monotonic_time() * 1000;
    if (due > now) {
        poll(&cancel, 1, (int)MIN((due - now) / 1000000, 1000));
    }
}

static bool flush_run(struct pass *pass, GError **error)
{
    struct migration *migration = pass->migration;
    uint64_t argument = (uint64_t)pass->block << 56 | pass->first * SNAPSHOT_PAGE;
    uint8_t length[8];
    bool good = true;

    if (pass->count && pass->is_zero) {
        store_le64(length, pass->count * SNAPSHOT_PAGE);
        good = snapshot_write(&migration->channel, SNAPSHOT_ZEROES, argument, length,
                              sizeof(length), error);
        __atomic_fetch_add(&migration->counters.zero_pages, pass->count, __ATOMIC_RELAXED);
    } else if (pass->count) {
        good = snapshot_write(&migration->channel, SNAPSHOT_PAGES, argument, pass->batch,
                              (uint32_t)(pass->count * SNAPSHOT_PAGE), error);
        keep_rate(pass);
        __atomic_fetch_add(&migration->counters.pages, pass->count, __ATOMIC_RELAXED);
    }
    pass->count = 0;
    return good;
}

static bool is_zero(const uint8_t *page)
{
    return !page[0] && memcmp(page, page + 1, SNAPSHOT_PAGE - 1) == 0;
}

/* The guest may write the page meanwhile; then it is dirty, and comes again. What is judged and
 * written is one copy. */
static bool add_page(struct pass *pass, uint64_t page, GError **error)
{
    bool is_next = page == pass->first + pass->count;
    bool is_full = !pass->is_zero && pass->count == BATCH_PAGES;
    uint8_t *copy;
    bool zero;

    if ((!is_next || is_full) && !flush_run(pass, error)) {
        return false;
    }
    copy = pass->batch + (pass->is_zero ? 0 : pass->count) * SNAPSHOT_PAGE;
    memcpy(copy, pass->host + page * SNAPSHOT_PAGE, SNAPSHOT_PAGE);
    zero = is_zero(copy);
    /* A run of zeroes leaves the batch alone, so a page that ends one lies at its start already. */
    if (zero != pass->is_zero && !flush_run(pass, error)) {
        return false;
    }
    if (!pass->count) {
        pass->first = page;
        pass->is_zero = zero;
    }
    pass->count++;
    return true;
}

static bool is_dirty(struct memory_region *region, uint64_t page, bool clear)
{
    return memory_region_test_dirty(region, page * SNAPSHOT_PAGE, SNAPSHOT_PAGE, DIRTY_MIGRATION,
                                    clear);
}

static bool send_block(struct pass *pass, bool all, GError **error)
{
    struct migration *migration = pass->migration;
    struct memory_region *region = snapshot_block(migration->machine, pass->block);
    uint64_t pages = snapshot_block_pages(migration->machine, pass->block);

    pass->host = memory_region_host_pointer(region);
    for (uint64_t page = 0; page < pages; page++) {
        /* What is written from here on is sent by the next pass: clear the mark, then copy. */
        bool dirty = migration->logging && is_dirty(region, page, true);

        if (!all && !dirty) {
            continue;
        }
        if (!add_page(pass, page, error)) {
            return false;
        }
        __atomic_fetch_sub(&migration->counters.remaining,
                           MIN(SNAPSHOT_PAGE, migration->counters.remaining), __ATOMIC_RELAXED);
    }
    return flush_run(pass, error);
}

bool migration_send_memory(struct migration *migration, bool all, GError **error)
{
    g_autofree uint8_t *batch = g_malloc((gsize)BATCH_PAGES * SNAPSHOT_PAGE);
    struct pass pass = {
        .migration = migration,
        .batch = batch,
        .began = (uint64_t)g_get_monotonic_time() * 1000,
        .bytes = migration->channel.bytes,
    };
    bool good = true;

    for (unsigned i = 0; i < snapshot_block_count(migration->machine) && good; i++) {
        pass.block = i;
        good = send_block(&pass, all, error);
    }
    __atomic_store_n(&migration->counters.pass_bytes, migration->channel.bytes - pass.bytes,
                     __ATOMIC_RELAXED);
    __atomic_store_n(&migration->counters.pass_ns,
                     (uint64_t)g_get_monotonic_time() * 1000 - pass.began, __ATOMIC_RELAXED);
    __atomic_fetch_add(&migration->counters.passes, 1, __ATOMIC_RELAXED);
    return good;
}

uint64_t migration_count_dirty(struct migration *migration)
{
    const struct machine *machine = migration->machine;
    uint64_t count = 0;

    for (unsigned i = 0; i < snapshot_block_count(machine); i++) {
        struct memory_region *region = snapshot_block(machine, i);
        uint64_t pages = snapshot_block_pages(machine, i);

        for (uint64_t page = 0; page < pages; page++) {
            count += is_dirty(region, page, false);
        }
    }
    return count * SNAPSHOT_PAGE;
}
