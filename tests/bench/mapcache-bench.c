/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a hit in the mapcache costs, by how many windows there are: less the cost of reading the
 * same bytes through a plain pointer. Prints ns and ratios.
 */
#include "mapcache/mapcache.h"
#include "memory/address-space.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE_SHIFT   12
#define WINDOW_PAGES 16
#define WINDOW_SIZE  ((uint64_t)WINDOW_PAGES << PAGE_SHIFT)
#define LOOKS        (1u << 20)
#define ROUNDS       8

/* All windows show the same pages, so that the bench needs no memory and the caches stay warm. */
static void *map(void *opaque, uint64_t page, size_t count, bool is_write, int *errors)
{
    for (size_t i = 0; i < count; i++) {
        errors[i] = 0;
    }
    return opaque;
}

static void unmap(void *opaque, void *host, size_t count)
{
}

static const struct mapcache_ops ops = {map, unmap};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 24;
}

static double measure(struct mapcache *cache, uint64_t windows, unsigned *sum)
{
    uint64_t state = 1;
    double start;

    memory_rcu_read_lock();
    for (uint64_t i = 0; i < windows; i++) {
        uint64_t length = 1;

        mapcache_find(cache, i * WINDOW_SIZE, &length, true);
    }
    start = now();
    for (unsigned i = 0; i < LOOKS; i++) {
        uint64_t length = 8, offset = next(&state) % (windows * WINDOW_SIZE);
        const uint8_t *host = mapcache_find(cache, offset, &length, i & 1);

        *sum += *(const volatile uint8_t *)host;
    }
    memory_rcu_read_unlock();
    return (now() - start) / LOOKS;
}

static double measure_plain(const uint8_t *memory, uint64_t windows, unsigned *sum)
{
    uint64_t state = 1;
    double start = now();

    for (unsigned i = 0; i < LOOKS; i++) {
        uint64_t offset = next(&state) % (windows * WINDOW_SIZE);

        *sum += *(const volatile uint8_t *)&memory[offset % WINDOW_SIZE];
    }
    return (now() - start) / LOOKS;
}

/* The least of some rounds: what nobody else disturbed. */
static double measure_hit(uint8_t *memory, uint64_t windows, unsigned *sum)
{
    struct mapcache_config config = {PAGE_SHIFT, WINDOW_PAGES, 32768};
    struct mapcache *cache = mapcache_new(&ops, memory, &config);
    double hit = INFINITY, loop = INFINITY;

    for (unsigned i = 0; i < ROUNDS; i++) {
        hit = fmin(hit, measure(cache, windows, sum));
        loop = fmin(loop, measure_plain(memory, windows, sum));
    }
    mapcache_free(cache);
    return hit - loop;
}

int main(void)
{
    uint8_t *memory = aligned_alloc(4096, WINDOW_SIZE);
    unsigned sum = 0;
    double first = 0;

    memset(memory, 0, WINDOW_SIZE);
    for (uint64_t windows = 1; windows <= 32768; windows *= 8) {
        double hit = measure_hit(memory, windows, &sum);

        first = windows == 1 ? hit : first;
        printf("%6u windows: a hit %.1f ns, %.2f times that of one\n", (unsigned)windows, hit,
               hit / first);
    }
    free(memory);
    return sum == 1;
}
