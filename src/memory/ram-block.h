/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host memory behind RAM-like regions, with its dirty log. Counted; freed after RCU readers. */
#ifndef DUODM_MEMORY_RAM_BLOCK_H
#define DUODM_MEMORY_RAM_BLOCK_H

#include "memory/rcu.h"
#include "memory/region.h"

#define DIRTY_PAGE_SHIFT 12

struct ram_windows;

struct ram_block {
    uint8_t *host;                     /* first byte; NULL: seen through windows */
    uint64_t size;                     /* bytes mapped */
    int fd;                            /* memfd, or -1 */
    bool is_foreign;                   /* the memory is the caller's */
    bool has_silent_writers;           /* atomic; once true, it stays so */
    const struct ram_windows *windows; /* ram-windows.h; NULL: host is there */
    void *windows_opaque;
    gint references;                        /* atomic */
    uint32_t dirty_clients;                 /* atomic; mask of 1 << enum dirty_client that log */
    unsigned log_count[DIRTY_CLIENT_COUNT]; /* starts without stops; topology lock */
    uint64_t *dirty_bitmap[DIRTY_CLIENT_COUNT]; /* a bit per page; atomic; NULL until a first start,
                                                   then there for as long as the block */
    /* Who wants to hear of each write that is marked, or NULL: atomic. */
    void (*written)(void *opaque, const uint8_t *host, uint64_t length);
    void *written_opaque;
    struct rcu_head rcu;
};

/* Shared, zeroed memory of size bytes rounded up to host pages. NULL and an error if there is none.
 */
struct ram_block *ram_block_new(const char *name, uint64_t size, GError **error);
/* The same for this process alone: in huge pages where the host has them, which no memory file gets
 * by itself. */
struct ram_block *ram_block_new_private(const char *name, uint64_t size, GError **error);
/* A block over memory that the caller keeps. */
struct ram_block *ram_block_new_foreign(void *host, uint64_t size);
/* One without a host address. */
struct ram_block *ram_block_new_windowed(uint64_t size, const struct ram_windows *windows,
                                         void *opaque);
void ram_block_ref(struct ram_block *block);
void ram_block_unref(struct ram_block *block);

/* Call written(opaque, first byte, length) after each write by others than the caller, in the
 * writer's thread, until the next call (with NULL: nobody is called). One caller at a time. */
void ram_block_watch(struct ram_block *block,
                     void (*written)(void *opaque, const uint8_t *host, uint64_t length),
                     void *opaque);
/* Somebody may write to it without our knowing from now on, and who watches is not called: a device
 * of the host's, another process. Any thread. */
void ram_block_add_silent_writer(struct ram_block *block);
/* As memory_region_set_dirty and memory_region_test_dirty. */
void ram_block_set_dirty(struct ram_block *block, uint64_t offset, uint64_t length);
bool ram_block_test_dirty(struct ram_block *block, uint64_t offset, uint64_t length,
                          enum dirty_client client, bool clear);

/* ram-windows.c: up to 8 bytes of a block without a host address. A page that is not there, or not
 * writable, is a MEMORY_DECODE_ERROR; reads are ones then. */
enum memory_result ram_windows_load(const struct ram_block *block, uint64_t offset, unsigned size,
                                    uint64_t *value);
enum memory_result ram_windows_store(struct ram_block *block, uint64_t offset, unsigned size,
                                     uint64_t value);

/* Give the whole host pages of a range back to the host: they become zeros. Not of foreign blocks.
 */
void ram_block_discard(struct ram_block *block, uint64_t offset, uint64_t length);

static inline bool ram_block_has_silent_writers(const struct ram_block *block)
{
    return __atomic_load_n(&block->has_silent_writers, __ATOMIC_ACQUIRE);
}

static inline uint32_t ram_block_dirty_clients(const struct ram_block *block)
{
    return __atomic_load_n(&block->dirty_clients, __ATOMIC_ACQUIRE);
}

#endif
