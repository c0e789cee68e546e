/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mapcache over a mock of another domain's memory: pages come, go, and change their frames. */
#include "memory-fixture.h"

#include "mapcache/mapcache.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_SHIFT   12
#define PAGE_SIZE    (1u << PAGE_SHIFT)
#define WINDOW_PAGES 4
#define WINDOW_SIZE  (WINDOW_PAGES * PAGE_SIZE)
#define PAGES        64
#define FRAMES       128
#define NO_FRAME     (-1)

/* A frame's first eight bytes hold its number, all others are the test's. */
struct domain {
    int fd;
    uint64_t *frames; /* all of them, mapped for the test */
    pthread_mutex_t lock;
    int frame_of[PAGES]; /* NO_FRAME: ballooned out */
    bool read_only[PAGES];
    unsigned maps, unmaps; /* calls; atomic */
    int fail_after;        /* the nth map from now fails, 0: the next; -1: never */
    struct mapcache *cache;
};

static void *map_frame(const struct domain *domain, uint8_t *host, unsigned page, int protection)
{
    return mmap(host, PAGE_SIZE, protection, MAP_SHARED | MAP_FIXED, domain->fd,
                (off_t)domain->frame_of[page] * PAGE_SIZE);
}

static void *mock_map(void *opaque, uint64_t page, size_t count, bool is_write, int *errors)
{
    struct domain *domain = opaque;
    uint8_t *host;

    __atomic_fetch_add(&domain->maps, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&domain->lock);
    if (domain->fail_after >= 0 && domain->fail_after-- == 0) {
        pthread_mutex_unlock(&domain->lock);
        __atomic_fetch_sub(&domain->maps, 1, __ATOMIC_RELAXED);
        errno = ENOMEM;
        return NULL;
    }
    host = mmap(NULL, count * PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < count; i++) {
        uint64_t number = page + i;

        errors[i] = EINVAL;
        if (number < PAGES && domain->frame_of[number] != NO_FRAME &&
            !(is_write && domain->read_only[number])) {
            map_frame(domain, host + i * PAGE_SIZE, (unsigned)number,
                      PROT_READ | (is_write ? PROT_WRITE : 0));
            errors[i] = 0;
        }
    }
    pthread_mutex_unlock(&domain->lock);
    return host;
}

static void mock_unmap(void *opaque, void *host, size_t count)
{
    struct domain *domain = opaque;

    __atomic_fetch_add(&domain->unmaps, 1, __ATOMIC_RELAXED);
    munmap(host, count * PAGE_SIZE);
}

static const struct mapcache_ops mock_ops = {mock_map, mock_unmap};

static void domain_init(struct domain *domain, unsigned max_windows)
{
    struct mapcache_config config = {PAGE_SHIFT, WINDOW_PAGES, max_windows};

    *domain = (struct domain){.fd = memfd_create("frames", MFD_CLOEXEC), .fail_after = -1};
    CU_ASSERT_FATAL(ftruncate(domain->fd, FRAMES * PAGE_SIZE) == 0);
    domain->frames =
        mmap(NULL, FRAMES * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, domain->fd, 0);
    pthread_mutex_init(&domain->lock, NULL);
    for (unsigned i = 0; i < FRAMES; i++) {
        domain->frames[i * (PAGE_SIZE / 8)] = i;
    }
    for (int i = 0; i < PAGES; i++) {
        domain->frame_of[i] = i;
    }
    domain->cache = mapcache_new(&mock_ops, domain, &config);
}

static void domain_clear(struct domain *domain)
{
    mapcache_free(domain->cache);
    CU_ASSERT_EQUAL(domain->maps, domain->unmaps);
    munmap(domain->frames, FRAMES * PAGE_SIZE);
    close(domain->fd);
    pthread_mutex_destroy(&domain->lock);
}

/* The frame that a page shows through the cache; NO_FRAME: none. */
static int look(struct domain *domain, unsigned page, bool is_write)
{
    uint64_t length = 8;
    int frame = NO_FRAME;
    uint64_t *host;

    memory_rcu_read_lock();
    host = mapcache_find(domain->cache, (uint64_t)page * PAGE_SIZE, &length, is_write);
    if (host) {
        frame = (int)__atomic_load_n(host, __ATOMIC_RELAXED);
        if (is_write) {
            __atomic_store_n(host, (uint64_t)frame, __ATOMIC_RELAXED); /* faults if read-only */
        }
    }
    memory_rcu_read_unlock();
    return frame;
}

static struct mapcache_statistics statistics(struct domain *domain)
{
    struct mapcache_statistics s;

    mapcache_get_statistics(domain->cache, &s);
    return s;
}

static void test_hit_and_reach(void)
{
    struct domain domain;
    uint64_t length = 3 * WINDOW_SIZE;
    uint8_t *host;

    domain_init(&domain, 8);
    domain.frame_of[6] = NO_FRAME;
    CU_ASSERT_EQUAL(look(&domain, 0, false), 0);
    CU_ASSERT_EQUAL(look(&domain, 3, true), 3);
    CU_ASSERT_EQUAL(domain.maps, 1);
    memory_rcu_read_lock();
    host = mapcache_find(domain.cache, 100, &length, false);
    CU_ASSERT_PTR_NOT_NULL(host);
    CU_ASSERT_EQUAL(length, WINDOW_SIZE - 100); /* to the window's end */
    length = 3 * WINDOW_SIZE;
    mapcache_find(domain.cache, WINDOW_SIZE + 1, &length, false);
    CU_ASSERT_EQUAL(length, 2 * PAGE_SIZE - 1); /* to the page that is not there */
    length = 3 * WINDOW_SIZE;
    CU_ASSERT_PTR_NULL(mapcache_find(domain.cache, 6 * PAGE_SIZE + 5, &length, false));
    CU_ASSERT_EQUAL(length, PAGE_SIZE - 5);
    length = 10;
    CU_ASSERT_PTR_NULL(mapcache_find(domain.cache, UINT64_MAX - 3, &length, true));
    memory_rcu_read_unlock();
    domain_clear(&domain);
}

/* A page that comes back is found, though its window was mapped without it. */
static void test_page_comes_back(void)
{
    struct domain domain;

    domain_init(&domain, 8);
    domain.frame_of[2] = NO_FRAME;
    CU_ASSERT_EQUAL(look(&domain, 1, false), 1);
    CU_ASSERT_EQUAL(look(&domain, 2, false), NO_FRAME);
    CU_ASSERT_EQUAL(look(&domain, 2, true), NO_FRAME);
    domain.frame_of[2] = 77;
    CU_ASSERT_EQUAL(look(&domain, 2, false), 77);
    CU_ASSERT_EQUAL(statistics(&domain).windows, 1); /* the poorer one was replaced */
    domain_clear(&domain);
}

/* qemu-devel 2025-04: a mapping made to read was used to write. */
static void test_read_only_kept_apart(void)
{
    struct domain domain;
    unsigned maps;

    domain_init(&domain, 8);
    domain.read_only[1] = true;
    CU_ASSERT_EQUAL(look(&domain, 1, false), 1); /* the window for reading */
    CU_ASSERT_EQUAL(look(&domain, 0, true), 0);  /* another one for writing */
    CU_ASSERT_EQUAL(look(&domain, 1, true), NO_FRAME);
    CU_ASSERT_EQUAL(statistics(&domain).windows, 2);
    /* 2025-04: mapped anew though a window further on in the chain was right. */
    maps = domain.maps;
    CU_ASSERT_EQUAL(look(&domain, 1, false), 1);
    CU_ASSERT_EQUAL(look(&domain, 0, true), 0);
    CU_ASSERT_EQUAL(look(&domain, 2, false), 2);
    CU_ASSERT_EQUAL(domain.maps, maps);
    domain_clear(&domain);
}

/* 2024-05: taking the first entry of a chain out lost those behind it. */
static void test_chains_keep_their_rest(void)
{
    struct domain domain;

    domain_init(&domain, 16); /* 16 windows of all pages, in 16 chains: some share one */
    for (unsigned round = 0; round < 16; round++) {
        unsigned maps;

        for (unsigned page = 0; page < PAGES; page++) {
            CU_ASSERT_EQUAL(look(&domain, page, page % 2), (int)page);
        }
        maps = domain.maps;
        mapcache_invalidate(domain.cache, (uint64_t)round * WINDOW_SIZE, 1);
        for (unsigned page = 0; page < PAGES; page++) {
            CU_ASSERT_EQUAL(look(&domain, page, false), (int)page);
        }
        CU_ASSERT_EQUAL(domain.maps, maps + 1);
    }
    domain_clear(&domain);
}

static void test_invalidation_is_exact(void)
{
    struct domain domain;
    unsigned maps;

    domain_init(&domain, 16);
    for (unsigned page = 0; page < PAGES; page += WINDOW_PAGES) {
        look(&domain, page, true);
    }
    domain.frame_of[5] = 100;
    domain.frame_of[60] = 101;
    maps = domain.maps;
    mapcache_invalidate(domain.cache, 5 * PAGE_SIZE, PAGE_SIZE);
    CU_ASSERT_EQUAL(look(&domain, 5, false), 100);
    CU_ASSERT_EQUAL(look(&domain, 60, false), 60); /* not told: nobody was to see it yet */
    CU_ASSERT_EQUAL(domain.maps, maps + 1);
    mapcache_invalidate(domain.cache, 0, 0);
    CU_ASSERT_EQUAL(statistics(&domain).invalidated, 1);
    mapcache_invalidate_all(domain.cache);
    CU_ASSERT_EQUAL(look(&domain, 60, false), 101);
    domain_clear(&domain);
}

/* 2025-01: an invalidation took mappings that were in use. */
static void test_pinned_survive(void)
{
    struct domain domain;
    struct mapcache_window *window, *other;
    uint64_t length = PAGE_SIZE, *host, *again;

    domain_init(&domain, 2);
    host = mapcache_pin(domain.cache, 0, &length, true, &window);
    CU_ASSERT_EQUAL_FATAL(length, PAGE_SIZE);
    for (unsigned page = 0; page < PAGES; page++) {
        CU_ASSERT_EQUAL(look(&domain, page, true), (int)page); /* all others are recycled */
    }
    CU_ASSERT_EQUAL(statistics(&domain).pinned, 1);
    CU_ASSERT_EQUAL(host[0], 0);
    domain.frame_of[0] = 99;
    mapcache_invalidate_all(domain.cache);
    memory_rcu_barrier();
    host[1] = 0x1234; /* still the old frame */
    CU_ASSERT_EQUAL(domain.frames[1], 0x1234);
    CU_ASSERT_EQUAL(look(&domain, 0, true), 99);
    again = mapcache_pin(domain.cache, 0, &length, true, &other);
    CU_ASSERT_PTR_NOT_EQUAL(again, host);
    mapcache_unpin(domain.cache, other);
    mapcache_unpin(domain.cache, window);
    domain_clear(&domain);
}

static void test_no_room(void)
{
    struct domain domain;
    struct mapcache_window *windows[3];
    uint64_t length = 1;

    domain_init(&domain, 2);
    CU_ASSERT_PTR_NOT_NULL(mapcache_pin(domain.cache, 0, &length, true, &windows[0]));
    CU_ASSERT_PTR_NOT_NULL(mapcache_pin(domain.cache, WINDOW_SIZE, &length, true, &windows[1]));
    CU_ASSERT_PTR_NULL(mapcache_pin(domain.cache, 2 * WINDOW_SIZE, &length, true, &windows[2]));
    CU_ASSERT_EQUAL(look(&domain, 9, false), NO_FRAME);
    CU_ASSERT_EQUAL(look(&domain, 1, false), 1); /* what is pinned is found */
    mapcache_unpin(domain.cache, windows[0]);
    CU_ASSERT_EQUAL(look(&domain, 9, false), 9);
    mapcache_unpin(domain.cache, windows[1]);
    CU_ASSERT_EQUAL(statistics(&domain).windows, 2);
    domain_clear(&domain);
}

static void test_map_fails(void)
{
    struct domain domain;

    domain_init(&domain, 4);
    domain.fail_after = 0;
    CU_ASSERT_EQUAL(look(&domain, 0, true), NO_FRAME);
    domain.fail_after = 0;
    CU_ASSERT_EQUAL(look(&domain, 0, false), 0); /* tried once more, to read */
    CU_ASSERT_EQUAL(look(&domain, 0, true), 0);
    CU_ASSERT_EQUAL(statistics(&domain).failed, 1);
    domain_clear(&domain);
}

/* ---- Random, against the page table itself ---- */

struct pinned {
    struct mapcache_window *window;
    uint64_t *host;
    int frame;
};

static void random_pin(struct domain *domain, uint64_t *seed, GArray *pins, unsigned max_pins)
{
    unsigned page = test_below(seed, PAGES);
    bool is_write = test_below(seed, 2);
    uint64_t length = 8;
    struct pinned pin = {.frame = domain->frame_of[page]};

    if (pins->len == max_pins) {
        unsigned i = test_below(seed, pins->len);
        struct pinned old = g_array_index(pins, struct pinned, i);

        CU_ASSERT_EQUAL_FATAL(old.host[0], (uint64_t)old.frame);
        mapcache_unpin(domain->cache, old.window);
        g_array_remove_index_fast(pins, i);
        return;
    }
    pin.host =
        mapcache_pin(domain->cache, (uint64_t)page * PAGE_SIZE, &length, is_write, &pin.window);
    CU_ASSERT_EQUAL_FATAL(pin.host != NULL,
                          pin.frame != NO_FRAME && !(is_write && domain->read_only[page]));
    if (pin.host) {
        CU_ASSERT_EQUAL_FATAL(pin.host[0], (uint64_t)pin.frame);
        g_array_append_val(pins, pin);
    }
}

static void random_change(struct domain *domain, uint64_t *seed)
{
    unsigned page = test_below(seed, PAGES);

    if (test_below(seed, 3) == 0) {
        domain->read_only[page] = !domain->read_only[page];
    } else if (domain->frame_of[page] == NO_FRAME) {
        domain->frame_of[page] = (int)test_below(seed, FRAMES);
    } else {
        domain->frame_of[page] = NO_FRAME;
    }
    mapcache_invalidate(domain->cache, (uint64_t)page * PAGE_SIZE + test_below(seed, PAGE_SIZE), 1);
}

static void test_random_changes(void)
{
    uint64_t seed = test_seed();

    for (unsigned round = 0; round < 6; round++) {
        /* Half of them may be pinned, so at least one is. */
        unsigned max_windows = 4 + test_below(&seed, 30);
        g_autoptr(GArray) pins = g_array_new(FALSE, FALSE, sizeof(struct pinned));
        struct domain domain;

        domain_init(&domain, max_windows);
        for (unsigned step = 0; step < 1500; step++) {
            unsigned page = test_below(&seed, PAGES);
            bool is_write = test_below(&seed, 2);
            int expected = is_write && domain.read_only[page] ? NO_FRAME : domain.frame_of[page];

            switch (test_below(&seed, 6)) {
            case 0:
                random_change(&domain, &seed);
                break;
            case 1:
                random_pin(&domain, &seed, pins, max_windows / 2 - 1);
                break;
            default:
                CU_ASSERT_EQUAL_FATAL(look(&domain, page, is_write), expected);
            }
            CU_ASSERT_FATAL(statistics(&domain).windows <= max_windows);
        }
        for (unsigned i = 0; i < pins->len; i++) {
            mapcache_unpin(domain.cache, g_array_index(pins, struct pinned, i).window);
        }
        domain_clear(&domain);
    }
}

/* ---- Threads ---- */

struct worker {
    struct domain *domain;
    uint64_t seed;
    unsigned wrong;
};

/* Pages move between two frames whose numbers tell the page: frame % PAGES. */
static void *worker_thread(void *opaque)
{
    struct worker *worker = opaque;
    struct mapcache *cache = worker->domain->cache;

    for (unsigned i = 0; i < 4000; i++) {
        unsigned page = test_below(&worker->seed, PAGES);
        uint64_t offset = (uint64_t)page * PAGE_SIZE, length = 8;
        struct mapcache_window *window;
        int frame;

        if (i % 4) {
            frame = look(worker->domain, page, i % 2);
        } else {
            const uint64_t *host = mapcache_pin(cache, offset, &length, true, &window);

            frame = host ? (int)__atomic_load_n(host, __ATOMIC_RELAXED) : NO_FRAME;
            if (host) {
                mapcache_unpin(cache, window);
            }
        }
        worker->wrong += frame == NO_FRAME || frame % PAGES != (int)page;
    }
    return NULL;
}

static void test_threads(void)
{
    uint64_t seed = test_seed();
    struct worker workers[4];
    pthread_t threads[4];
    struct domain domain;

    domain_init(&domain, 12);
    for (unsigned i = 0; i < 4; i++) {
        workers[i] = (struct worker){&domain, seed + i, 0};
        pthread_create(&threads[i], NULL, worker_thread, &workers[i]);
    }
    for (unsigned i = 0; i < 1000; i++) {
        unsigned page = test_below(&seed, PAGES);

        pthread_mutex_lock(&domain.lock);
        domain.frame_of[page] = domain.frame_of[page] < PAGES ? (int)(page + PAGES) : (int)page;
        pthread_mutex_unlock(&domain.lock);
        mapcache_invalidate(domain.cache, (uint64_t)page * PAGE_SIZE, PAGE_SIZE);
        /* From here on nobody sees the old frame. */
        CU_ASSERT_EQUAL_FATAL(look(&domain, page, false), domain.frame_of[page]);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        CU_ASSERT_EQUAL(workers[i].wrong, 0);
    }
    domain_clear(&domain);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"hit, reach", test_hit_and_reach},
        {"a page comes back", test_page_comes_back},
        {"read-only kept apart", test_read_only_kept_apart},
        {"chains keep their rest", test_chains_keep_their_rest},
        {"invalidation is exact", test_invalidation_is_exact},
        {"pinned windows survive", test_pinned_survive},
        {"no room", test_no_room},
        {"map fails", test_map_fails},
        {"random changes", test_random_changes},
        {"threads", test_threads},
        {NULL, NULL},
    };

    return memory_unit_run("mapcache", tests);
}
