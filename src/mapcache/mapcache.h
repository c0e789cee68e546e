/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Windows onto memory that somebody else owns. Memory is seen in windows of a fixed size, each
 * mapped as a whole when a page of it is first needed, and kept for the next access. How to map is
 * told by a table of functions.
 *
 * A hit takes no lock: windows are found in a hash table under RCU, and unmapped after a grace
 * period. Their number is bounded; who needs one more takes the place of one that was not used
 * since the clock's hand last passed it, and is not pinned. Invalidation is exact: after it returns
 * no window is found that was mapped before it began; what is pinned is unmapped at its last unpin.
 */
#ifndef DUODM_MAPCACHE_MAPCACHE_H
#define DUODM_MAPCACHE_MAPCACHE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mapcache;
struct mapcache_window;

struct mapcache_ops {
    /*
     * Map `count` pages from number `page` on. Returns the host address, or NULL and errno if none
     * of it could be mapped. errors[i] is 0 for each page that is there, and an errno for one that
     * is not (ballooned out), or that can't be written although is_write. May block, is called
     * with no lock of the cache held.
     */
    void *(*map)(void *opaque, uint64_t page, size_t count, bool is_write, int *errors);
    void (*unmap)(void *opaque, void *host, size_t count);
};

struct mapcache_config {
    unsigned page_shift;   /* log2 of a page's bytes */
    unsigned window_pages; /* of a window; a power of two, at least 1 */
    unsigned max_windows;  /* at least 1 */
};

struct mapcache_statistics {
    uint64_t windows;     /* mapped now, but for those that wait for their readers */
    uint64_t pinned;      /* of these */
    uint64_t misses;      /* lookups that mapped, or tried to */
    uint64_t recycled;    /* windows that gave their place to others */
    uint64_t invalidated; /* windows that mapcache_invalidate took */
    uint64_t failed;      /* lookups that found no page, or no room */
};

/* ops and opaque must outlive it; config is copied. Nothing is mapped yet. */
struct mapcache *mapcache_new(const struct mapcache_ops *ops, void *opaque,
                              const struct mapcache_config *config);
/* Nothing may be pinned, nobody may read. Waits for the last readers. */
void mapcache_free(struct mapcache *cache);

/*
 * The host address of the byte at offset. *length (bytes, > 0) is cut to what follows it in the
 * window, as far as pages are there. NULL: there is no such page, or it can't be written, or there
 * is no room; *length is then cut to the end of the page. Inside memory_rcu_read_lock: good until
 * its unlock.
 */
void *mapcache_find(struct mapcache *cache, uint64_t offset, uint64_t *length, bool is_write);
/* The same, good until unpin. */
void *mapcache_pin(struct mapcache *cache, uint64_t offset, uint64_t *length, bool is_write,
                   struct mapcache_window **window);
void mapcache_unpin(struct mapcache *cache, struct mapcache_window *window);

/* Pages of a range of bytes are others from now on. Any thread, not from map or unmap. */
void mapcache_invalidate(struct mapcache *cache, uint64_t offset, uint64_t length);
void mapcache_invalidate_all(struct mapcache *cache);

/* Any thread; the figures are of about the same moment. */
void mapcache_get_statistics(struct mapcache *cache, struct mapcache_statistics *statistics);

#endif
