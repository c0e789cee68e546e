/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the memory layer grows: lookups a second, and the cost of moving one BAR with a listener
 * registered, among 10 to 10,000 regions. Ratios are to the smallest and to 100 regions.
 */
#include "memory/address-space.h"
#include "memory/listener.h"
#include "memory/rcu.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BAR_SIZE UINT64_C(0x1000)
#define BAR_STEP UINT64_C(0x4000)
#define ROUNDS   5 /* the best counts: the host has other work */

struct system {
    unsigned count;
    struct memory_region root, ram;
    struct memory_region *bars;
    struct address_space as;
    struct memory_listener listener;
    uint64_t sections; /* told to the listener */
};

static enum memory_result bar_read(void *opaque, uint64_t offset, unsigned size,
                                   struct memory_attributes attributes, uint64_t *value)
{
    *value = offset;
    return MEMORY_OK;
}

static enum memory_result bar_write(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t value)
{
    return MEMORY_OK;
}

static const struct memory_region_ops bar_ops = {.read = bar_read, .write = bar_write};

static bool count_add(struct memory_listener *listener, const struct listener_section *section,
                      GError **error)
{
    ((struct system *)((char *)listener - offsetof(struct system, listener)))->sections++;
    return true;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static gpa_t bar_address(unsigned i)
{
    return (UINT64_C(1) << 32) + i * BAR_STEP;
}

static struct system *system_new(unsigned count)
{
    struct system *system = g_new0(struct system, 1);

    system->count = count;
    system->bars = g_new0(struct memory_region, count);
    memory_region_init_container(&system->root, "system", UINT64_C(1) << 48);
    if (!memory_region_init_ram(&system->ram, "ram", UINT64_C(1) << 30, NULL)) {
        exit(1);
    }
    memory_topology_begin();
    memory_region_add_subregion(&system->root, 0, &system->ram);
    for (unsigned i = 0; i < count; i++) {
        memory_region_init_mmio(&system->bars[i], "bar", BAR_SIZE, &bar_ops, NULL, NULL);
        memory_region_add_subregion(&system->root, bar_address(i), &system->bars[i]);
    }
    memory_topology_commit();
    address_space_init(&system->as, &system->root, "memory");
    system->listener = (struct memory_listener){.name = "count", .section_add = count_add};
    memory_listener_register(&system->listener, &system->as, NULL);
    return system;
}

static void system_free(struct system *system)
{
    memory_listener_unregister(&system->listener);
    address_space_destroy(&system->as);
    memory_region_destroy(&system->root);
    for (unsigned i = 0; i < system->count; i++) {
        memory_region_destroy(&system->bars[i]);
    }
    memory_region_destroy(&system->ram);
    g_free(system->bars);
    g_free(system);
}

/* Nanoseconds a lookup; repeated: always the same address. */
static double time_lookups(struct system *system, bool repeated)
{
    const unsigned count = 1000000;
    double best = 1e9;

    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t random = 88172645463325252u, found = 0;
        double start = now();

        memory_rcu_read_lock();
        for (unsigned i = 0; i < count; i++) {
            unsigned bar;

            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            bar = repeated ? system->count / 2
                           : (unsigned)(((random & UINT32_MAX) * system->count) >> 32);
            found += address_space_lookup(&system->as, bar_address(bar) + 8, false,
                                          MEMORY_ATTRIBUTES_CPU)
                         .region != NULL;
        }
        memory_rcu_read_unlock();
        if (found != count) {
            fprintf(stderr, "memory-bench: a region was not found\n");
            exit(1);
        }
        best = MIN(best, (now() - start) / count * 1e9);
    }
    return best;
}

/* Nanoseconds a whole access to a register, any BAR. */
static double time_loads(struct system *system)
{
    const unsigned count = 300000;
    double best = 1e9;

    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t random = 88172645463325252u, value;
        double start = now();

        for (unsigned i = 0; i < count; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            address_space_load(&system->as, bar_address((unsigned)(random % system->count)) + 8, 4,
                               MEMORY_ATTRIBUTES_CPU, &value);
        }
        best = MIN(best, (now() - start) / count * 1e9);
    }
    return best;
}

/* Nanoseconds to move a BAR away and (the next) back. */
static double time_moves(struct system *system)
{
    const unsigned count = 2000;
    double best = 1e9;

    for (unsigned round = 0; round < ROUNDS; round++) {
        double start = now();

        for (unsigned i = 0; i < count; i++) {
            unsigned bar = (i / 2 * 7919) % system->count;

            memory_region_set_offset(&system->bars[bar],
                                     bar_address(bar) + (i % 2 ? 0 : BAR_STEP / 2));
        }
        best = MIN(best, (now() - start) / count * 1e9);
        memory_rcu_barrier();
    }
    return best;
}

int main(void)
{
    static const unsigned counts[] = {10, 100, 1000, 10000};
    double first = 0, move_100 = 0;

    printf("%8s %14s %9s %14s %9s %10s %9s\n", "regions", "random/s", "x of 10", "repeated/s",
           "load ns", "move ns", "x of 100");
    for (unsigned i = 0; i < G_N_ELEMENTS(counts); i++) {
        struct system *system = system_new(counts[i]);
        double lookup = time_lookups(system, false), repeated = time_lookups(system, true);
        double load = time_loads(system), move = time_moves(system);

        first = i ? first : lookup;
        move_100 = counts[i] == 100 ? move : move_100;
        printf("%8u %14.0f %9.2f %14.0f %9.1f %10.0f ", counts[i], 1e9 / lookup, lookup / first,
               1e9 / repeated, load, move);
        if (move_100 > 0) {
            printf("%9.2f\n", move / move_100);
        } else {
            printf("%9s\n", "");
        }
        system_free(system);
    }
    return 0;
}
