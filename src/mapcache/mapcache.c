/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A window is published in its hash chain complete, and never changed there but for its links and
 * counts. `uses` counts the cache itself (while the window is in its chain) and each pin; whoever
 * takes it to 0 hands the window to RCU. A pin only adds to a count that is not 0, so it can't
 * bring back what is on its way out.
 */
#include "mapcache/mapcache.h"
#include "memory/address-space.h"
#include "memory/rcu.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>

struct mapcache_window {
    struct rcu_head rcu;
    struct mapcache *cache;
    struct mapcache_window *next; /* in its chain; atomic */
    uint64_t index;               /* offset in windows */
    uint8_t *host;
    uint32_t uses;    /* atomic */
    bool writable;    /* mapped to be written */
    bool was_used;    /* atomic; since the hand passed */
    unsigned slot;    /* in cache->slots */
    uint64_t there[]; /* a bit per page */
};

struct mapcache {
    const struct mapcache_ops *ops;
    void *opaque;
    unsigned page_shift, window_shift; /* log2 of bytes */
    unsigned window_pages, max_windows;
    unsigned chain_shift;            /* 64 less log2 of the number of chains */
    struct mapcache_window **chains; /* atomic heads */
    struct mapcache_statistics statistics;
    pthread_mutex_t lock;           /* of all below, and of changes to chains */
    struct mapcache_window **slots; /* those in chains, without holes: the clock's face */
    unsigned slot_count, hand;
    uint64_t invalidations; /* so far: what was mapped before the last one is not published */
};

/* ---- Finding ---- */

static struct mapcache_window **chain_of(struct mapcache *cache, uint64_t index)
{
    /* Fibonacci hashing: neighbours fall far apart, and all bits of the index matter. */
    return &cache->chains[(index * UINT64_C(0x9e3779b97f4a7c15)) >> cache->chain_shift];
}

static uint64_t page_in_window(const struct mapcache *cache, uint64_t offset)
{
    return (offset >> cache->page_shift) & (cache->window_pages - 1);
}

static bool is_there(const struct mapcache_window *window, uint64_t page)
{
    return window->there[page / 64] >> (page % 64) & 1;
}

/* The window that answers, or NULL. A reader is content with one that may be written, too. */
static struct mapcache_window *find_window(struct mapcache *cache, uint64_t offset, bool is_write)
{
    uint64_t index = offset >> cache->window_shift, page = page_in_window(cache, offset);
    struct mapcache_window *window = __atomic_load_n(chain_of(cache, index), __ATOMIC_ACQUIRE);

    while (window &&
           (window->index != index || (is_write && !window->writable) || !is_there(window, page))) {
        window = __atomic_load_n(&window->next, __ATOMIC_ACQUIRE);
    }
    return window;
}

/* Bytes from offset on that the window shows in one piece, at most length. */
static uint64_t reach(const struct mapcache *cache, const struct mapcache_window *window,
                      uint64_t offset, uint64_t length)
{
    uint64_t page_size = UINT64_C(1) << cache->page_shift;
    uint64_t page = page_in_window(cache, offset);
    uint64_t covered = page_size - (offset & (page_size - 1));

    while (covered < length && ++page < cache->window_pages && is_there(window, page)) {
        covered += page_size;
    }
    return MIN(length, covered);
}

static void *show(const struct mapcache *cache, struct mapcache_window *window, uint64_t offset,
                  uint64_t *length)
{
    *length = reach(cache, window, offset, *length);
    /* Only a change is written: others read the same cache line. */
    if (!__atomic_load_n(&window->was_used, __ATOMIC_RELAXED)) {
        __atomic_store_n(&window->was_used, true, __ATOMIC_RELAXED);
    }
    return window->host + (offset & ((UINT64_C(1) << cache->window_shift) - 1));
}

/* ---- The life of a window ---- */

static void window_free(struct rcu_head *head)
{
    struct mapcache_window *window = caa_container_of(head, struct mapcache_window, rcu);
    const struct mapcache *cache;

    memory_rcu_deferred_begin();
    cache = window->cache;
    cache->ops->unmap(cache->opaque, window->host, cache->window_pages);
    g_free(window);
}

static void drop_use(struct mapcache_window *window)
{
    if (__atomic_sub_fetch(&window->uses, 1, __ATOMIC_ACQ_REL) == 0) {
        memory_rcu_defer(&window->rcu, window_free);
    }
}

/* False: it is on its way out. */
static bool add_use(struct mapcache_window *window)
{
    uint32_t uses = __atomic_load_n(&window->uses, __ATOMIC_RELAXED);

    while (uses && !__atomic_compare_exchange_n(&window->uses, &uses, uses + 1, true,
                                                __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
    }
    return uses != 0;
}

/* Not published yet; NULL if not even one page is there. */
static struct mapcache_window *map_window(struct mapcache *cache, uint64_t index, bool is_write)
{
    size_t words = (cache->window_pages + 63) / 64;
    g_autofree int *errors = g_new0(int, cache->window_pages);
    uint64_t first = index << (cache->window_shift - cache->page_shift);
    void *host = cache->ops->map(cache->opaque, first, cache->window_pages, is_write, errors);
    struct mapcache_window *window;

    if (!host) {
        return NULL;
    }
    window = g_malloc0(sizeof(*window) + words * sizeof(window->there[0]));
    window->cache = cache;
    window->index = index;
    window->host = host;
    window->uses = 1;
    window->writable = is_write;
    window->was_used = true;
    for (unsigned i = 0; i < cache->window_pages; i++) {
        window->there[i / 64] |= (uint64_t)(errors[i] == 0) << (i % 64);
    }
    return window;
}

static void discard_unpublished(struct mapcache *cache, struct mapcache_window *window)
{
    cache->ops->unmap(cache->opaque, window->host, cache->window_pages);
    g_free(window);
}

/* ---- Under the lock ---- */

static void unlink_window(struct mapcache *cache, struct mapcache_window *window)
{
    struct mapcache_window **link = chain_of(cache, window->index);
    struct mapcache_window *last = cache->slots[--cache->slot_count];

    while (*link != window) {
        link = &(*link)->next;
    }
    __atomic_store_n(link, window->next, __ATOMIC_RELEASE);
    cache->slots[window->slot] = last;
    last->slot = window->slot;
    drop_use(window);
}

/* Make room for one more. False: all that there are is pinned. */
static bool make_room(struct mapcache *cache)
{
    /* Two rounds: the first may only take the marks off. */
    for (unsigned i = 0; cache->slot_count == cache->max_windows; i++) {
        struct mapcache_window *window;

        if (i > 2 * cache->max_windows) {
            return false;
        }
        cache->hand = (cache->hand + 1) % cache->slot_count;
        window = cache->slots[cache->hand];
        if (__atomic_load_n(&window->uses, __ATOMIC_RELAXED) == 1 &&
            !__atomic_exchange_n(&window->was_used, false, __ATOMIC_RELAXED)) {
            unlink_window(cache, window);
            cache->statistics.recycled++;
        }
    }
    return true;
}

static void publish(struct mapcache *cache, struct mapcache_window *window)
{
    struct mapcache_window **head = chain_of(cache, window->index);

    window->slot = cache->slot_count;
    cache->slots[cache->slot_count++] = window;
    window->next = *head;
    __atomic_store_n(head, window, __ATOMIC_RELEASE);
}

/* A window of the same place and kind, which lacks a page that the new one has. */
static void unlink_poorer(struct mapcache *cache, const struct mapcache_window *better)
{
    struct mapcache_window *window = *chain_of(cache, better->index);

    while (window && (window->index != better->index || window->writable != better->writable)) {
        window = window->next;
    }
    if (window) {
        unlink_window(cache, window);
    }
}

/* ---- Missing ---- */

/*
 * Map the window that holds offset, and publish it if it shows that page. Returns it with a use of
 * the caller's, or NULL.
 */
static struct mapcache_window *map_and_publish(struct mapcache *cache, uint64_t offset,
                                               bool is_write)
{
    uint64_t index = offset >> cache->window_shift, page = page_in_window(cache, offset);
    struct mapcache_window *window, *other;

    for (;;) {
        uint64_t invalidations = __atomic_load_n(&cache->invalidations, __ATOMIC_ACQUIRE);

        window = map_window(cache, index, is_write);
        pthread_mutex_lock(&cache->lock);
        if (!window || invalidations == cache->invalidations) {
            break;
        }
        pthread_mutex_unlock(&cache->lock);
        discard_unpublished(cache, window);
    }
    cache->statistics.misses++;
    other = find_window(cache, offset, is_write); /* somebody may have been faster */
    if (other) {
        __atomic_fetch_add(&other->uses, 1, __ATOMIC_RELAXED);
    } else if (window && is_there(window, page)) {
        unlink_poorer(cache, window);
        if (make_room(cache)) {
            window->uses++;
            publish(cache, window);
            other = window;
        }
    }
    pthread_mutex_unlock(&cache->lock);
    if (window && other != window) {
        discard_unpublished(cache, window);
    }
    return other;
}

/* Writable, if that can be had: pages of ROM can't. */
static struct mapcache_window *get_missing(struct mapcache *cache, uint64_t offset, bool is_write)
{
    struct mapcache_window *window = map_and_publish(cache, offset, true);

    if (!window && !is_write) {
        window = map_and_publish(cache, offset, false);
    }
    if (!window) {
        __atomic_fetch_add(&cache->statistics.failed, 1, __ATOMIC_RELAXED);
    }
    return window;
}

static void cut_to_page(const struct mapcache *cache, uint64_t offset, uint64_t *length)
{
    uint64_t page_size = UINT64_C(1) << cache->page_shift;

    *length = MIN(*length, page_size - (offset & (page_size - 1)));
}

void *mapcache_find(struct mapcache *cache, uint64_t offset, uint64_t *length, bool is_write)
{
    struct mapcache_window *window = find_window(cache, offset, is_write);
    void *host;

    if (G_LIKELY(window != NULL)) {
        return show(cache, window, offset, length);
    }
    window = get_missing(cache, offset, is_write);
    if (!window) {
        cut_to_page(cache, offset, length);
        return NULL;
    }
    host = show(cache, window, offset, length);
    drop_use(window); /* the caller reads: it stays until then */
    return host;
}

void *mapcache_pin(struct mapcache *cache, uint64_t offset, uint64_t *length, bool is_write,
                   struct mapcache_window **window)
{
    memory_rcu_read_lock();
    do {
        *window = find_window(cache, offset, is_write);
    } while (*window && !add_use(*window));
    memory_rcu_read_unlock();
    if (!*window) {
        *window = get_missing(cache, offset, is_write);
    }
    if (!*window) {
        cut_to_page(cache, offset, length);
        return NULL;
    }
    return show(cache, *window, offset, length);
}

void mapcache_unpin(struct mapcache *cache, struct mapcache_window *window)
{
    drop_use(window);
}

/* ---- Invalidation ---- */

void mapcache_invalidate(struct mapcache *cache, uint64_t offset, uint64_t length)
{
    uint64_t first = offset >> cache->window_shift, last;

    if (!length) {
        return;
    }
    last = (offset + MIN(length - 1, UINT64_MAX - offset)) >> cache->window_shift;
    pthread_mutex_lock(&cache->lock);
    __atomic_fetch_add(&cache->invalidations, 1, __ATOMIC_RELEASE);
    for (unsigned i = cache->slot_count; i-- > 0;) {
        if (cache->slots[i]->index >= first && cache->slots[i]->index <= last) {
            unlink_window(cache, cache->slots[i]);
            cache->statistics.invalidated++;
        }
    }
    pthread_mutex_unlock(&cache->lock);
}

void mapcache_invalidate_all(struct mapcache *cache)
{
    mapcache_invalidate(cache, 0, UINT64_MAX);
}

/* ---- Construction ---- */

struct mapcache *mapcache_new(const struct mapcache_ops *ops, void *opaque,
                              const struct mapcache_config *config)
{
    struct mapcache *cache = g_new0(struct mapcache, 1);
    unsigned chain_bits = 1;

    assert(config->window_pages && !(config->window_pages & (config->window_pages - 1)));
    assert(config->max_windows);
    while (chain_bits < 31 && (1u << chain_bits) < config->max_windows) {
        chain_bits++;
    }
    cache->ops = ops;
    cache->opaque = opaque;
    cache->page_shift = config->page_shift;
    cache->window_shift = config->page_shift + (unsigned)__builtin_ctz(config->window_pages);
    cache->window_pages = config->window_pages;
    cache->max_windows = config->max_windows;
    cache->chain_shift = 64 - chain_bits;
    cache->chains = g_new0(struct mapcache_window *, (size_t)1 << chain_bits);
    cache->slots = g_new0(struct mapcache_window *, config->max_windows);
    pthread_mutex_init(&cache->lock, NULL);
    return cache;
}

void mapcache_free(struct mapcache *cache)
{
    if (!cache) {
        return;
    }
    mapcache_invalidate_all(cache);
    memory_rcu_barrier();
    pthread_mutex_destroy(&cache->lock);
    g_free(cache->chains);
    g_free(cache->slots);
    g_free(cache);
}

void mapcache_get_statistics(struct mapcache *cache, struct mapcache_statistics *statistics)
{
    pthread_mutex_lock(&cache->lock);
    *statistics = cache->statistics;
    statistics->failed = __atomic_load_n(&cache->statistics.failed, __ATOMIC_RELAXED);
    statistics->windows = cache->slot_count;
    statistics->pinned = 0;
    for (unsigned i = 0; i < cache->slot_count; i++) {
        statistics->pinned += __atomic_load_n(&cache->slots[i]->uses, __ATOMIC_RELAXED) > 1;
    }
    pthread_mutex_unlock(&cache->lock);
}
