/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RAM that has no host address of its own, because it is another domain's: it is seen through
 * windows that come and go. Whoever makes the region says how by a table of functions. All of them
 * may be called by any thread, and with any lock held but a leaf's.
 */
#ifndef DUODM_MEMORY_RAM_WINDOWS_H
#define DUODM_MEMORY_RAM_WINDOWS_H

#include "memory/region.h"

struct ram_windows {
    /*
     * The host address of the byte at offset. *length (bytes, > 0) is cut to what follows it there
     * in one piece, at least to the end of the 4 KiB page. is_write: it will be written, too. NULL:
     * there is no such page now (ballooned out), or it can't be written; *length is cut to bytes
     * that are alike. Called inside memory_rcu_read_lock: the address is good until its unlock.
     */
    void *(*find)(void *opaque, uint64_t offset, uint64_t *length, bool is_write);
    /* The same; the address is good until unpin of what *handle got. Never blocks for others. */
    void *(*pin)(void *opaque, uint64_t offset, uint64_t *length, bool is_write, void **handle);
    void (*unpin)(void *opaque, void *handle);
    /* Bytes were written, by duodm; NULL: nobody wants to know. */
    void (*written)(void *opaque, uint64_t offset, uint64_t length);
};

/* RAM of size bytes, reached by windows (a constant table). opaque must outlive all readers: free
 * it after memory_region_destroy and memory_rcu_barrier. memory_region_host_pointer is NULL. */
void memory_region_init_windowed_ram(struct memory_region *region, const char *name, uint64_t size,
                                     const struct ram_windows *windows, void *opaque);

/* Copy bytes of such a region. False: a page is not there, or can't be written; those before it
 * were copied. Any thread. */
bool ram_windows_read(struct memory_region *region, uint64_t offset, void *buffer, uint64_t length);
bool ram_windows_write(struct memory_region *region, uint64_t offset, const void *buffer,
                       uint64_t length);

#endif
