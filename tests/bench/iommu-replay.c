/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What replay costs: a host IOMMU registers with a VT-d unit whose guest has mapped sparse pages of
 * 4 KiB all over 48 bits, against a bare loop that makes the same host calls. The host's call is an
 * mmap of one page (a syscall that changes page tables, as type1's does). Then: an empty space of
 * 48 bits against one of 39; probing, by the granule; and how mapping sets grow, without a host.
 *
 *     iommu-replay [largest number of mappings, default 1000000]
 */
#include "iommu/notifier.h"
#include "iommu/vtd-spec.h"
#include "iommu/vtd.h"
#include "util/little-endian.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE           4096ull
#define PER_TABLE      16u /* pages in each table of the last level, every other one */
#define ROUNDS         3   /* the best counts */
#define WINDOW         0xfed90000ull
#define ROOT_TABLE     0x10000ull
#define CONTEXTS       0x11000ull
#define TABLES         0x100000ull
#define REQUESTER      0x0010
#define PROBE_GRANULES (1ull << 16)

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time); /* others may use the host meanwhile */
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* A unit with RAM for the tables that `count` mappings need. */
struct unit {
    struct memory_region system, ram;
    struct address_space memory;
    struct vtd *vtd;
    struct vtd_device *device;
    uint64_t next_table, table;
    unsigned levels;
    uint8_t *host; /* of RAM */
};

static void no_interrupt(void *opaque, uint64_t address, uint32_t data)
{
}

static void poke(struct unit *u, gpa_t address, uint64_t value)
{
    store_le64(u->host + address, value);
}

static uint64_t peek(struct unit *u, gpa_t address)
{
    return load_le64(u->host + address);
}

static void write_register(struct unit *u, unsigned offset, unsigned size, uint64_t value)
{
    address_space_store(&u->memory, WINDOW + offset, size, MEMORY_ATTRIBUTES_CPU, value);
}

static struct unit *unit_new(uint64_t count, unsigned width)
{
    struct vtd_config config = {.host_width = 52, .iova_width = width, .caching_mode = true};
    struct vtd_host host = {.send_interrupt = no_interrupt};
    struct unit *u = calloc(1, sizeof(*u));
    uint64_t ram = TABLES + (3 * (count / PER_TABLE) + 64) * PAGE;

    memory_region_init_container(&u->system, "system", 1ull << 52);
    if (!memory_region_init_private_ram(&u->ram, "ram", ram, NULL)) {
        exit(1);
    }
    memory_region_add_subregion(&u->system, 0, &u->ram);
    address_space_init(&u->memory, &u->system, "memory");
    u->vtd = vtd_new(&config, &host, &u->memory, &u->system);
    memory_region_add_subregion_overlap(&u->system, WINDOW, &u->vtd->window, 1);
    u->device = vtd_get_device(u->vtd, REQUESTER);
    u->host = memory_region_host_pointer(&u->ram);
    u->next_table = TABLES + PAGE;
    u->table = TABLES;
    u->levels = width == 48 ? 4 : 3;
    poke(u, ROOT_TABLE, CONTEXTS | 1);
    poke(u, CONTEXTS + REQUESTER * 16, u->table | 1);
    poke(u, CONTEXTS + REQUESTER * 16 + 8, 1 << 8 | (u->levels - 2));
    write_register(u, VTD_RTADDR, 8, ROOT_TABLE);
    write_register(u, VTD_GCMD, 4, VTD_GCMD_ROOT_TABLE);
    write_register(u, VTD_GCMD, 4, VTD_GCMD_TRANSLATION);
    return u;
}

static void unit_free(struct unit *u)
{
    vtd_put_device(u->device);
    vtd_free(u->vtd);
    address_space_destroy(&u->memory);
    memory_region_destroy(&u->ram);
    memory_region_destroy(&u->system);
    free(u);
}

static void map_page(struct unit *u, uint64_t iova, uint64_t target)
{
    uint64_t table = u->table;

    for (unsigned level = u->levels; level > 1; level--) {
        uint64_t at = table + (iova >> (12 + 9 * (level - 1)) & 511) * 8, entry = peek(u, at);

        if (!entry) {
            entry = u->next_table | 3;
            u->next_table += PAGE;
            poke(u, at, entry);
        }
        table = entry & ~0xfffull;
    }
    poke(u, table + (iova >> 12 & 511) * 8, target | 3);
}

static void map_sparsely(struct unit *u, uint64_t count)
{
    uint64_t state = 88172645463325252ull, iova = 0;

    for (uint64_t i = 0; i < count; i++) {
        if (i % PER_TABLE == 0) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            iova = state >> 16 & ~0x1fffffull; /* 2 MiB of their own, anywhere */
        }
        map_page(u, iova + i % PER_TABLE * 2 * PAGE, i * PAGE % (1ull << 30));
    }
}

/* Hosts. */

struct host {
    uint8_t *space; /* a page for each call, in turn */
    uint64_t calls, limit;
};

static void host_call(struct host *host)
{
    uint8_t *at = host->space + host->calls++ % host->limit * 2 * PAGE;

    if (mmap(at, PAGE, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0) == MAP_FAILED) {
        abort();
    }
}

static bool host_map(void *opaque, const struct iommu_mapping *mapping, GError **error)
{
    host_call(opaque);
    return true;
}

static bool count_map(void *opaque, const struct iommu_mapping *mapping, GError **error)
{
    ((struct host *)opaque)->calls++;
    return true;
}

static bool accept_unmap(void *opaque, struct range range, GError **error)
{
    return true;
}

static const struct mapping_set_ops mmap_ops = {host_map, accept_unmap};
static const struct mapping_set_ops null_ops = {count_map, accept_unmap};

static double replay(struct unit *u, const struct mapping_set_ops *ops, struct host *host)
{
    struct iommu_region *region = vtd_device_iommu(u->device);
    struct iommu_notifier notifier = {.name = "bench",
                                      .events = IOMMU_EVENT_MAP | IOMMU_EVENT_UNMAP,
                                      .range = {0, region->region.size},
                                      .ops = ops,
                                      .opaque = host};
    double start = now(), time;

    host->calls = 0;
    if (!iommu_notifier_register(region, &notifier, NULL)) {
        abort();
    }
    time = now() - start;
    iommu_notifier_unregister(&notifier, NULL);
    return time;
}

/* 256 pages at most: what is measured is the call, not how many areas a process may have. */
static struct host host_new(void)
{
    struct host host = {.limit = 256};

    host.space = mmap(NULL, 2 * host.limit * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return host;
}

static void bench_replay(uint64_t count)
{
    struct unit *u = unit_new(count, 48);
    struct host host = host_new();
    double bare = 1e9, with = 1e9, alone = 1e9;
    uint64_t made;

    map_sparsely(u, count);
    for (unsigned round = 0; round < ROUNDS; round++) {
        double start = now();

        for (uint64_t i = 0; i < count; i++) {
            host_call(&host);
        }
        bare = MIN(bare, now() - start);
        with = MIN(with, replay(u, &mmap_ops, &host));
        made = host.calls;
        alone = MIN(alone, replay(u, &null_ops, &host));
    }
    printf("replay of %8" PRIu64 " sparse pages in 48 bits: %7.1f ns each, bare calls %7.1f ns: "
           "ratio %.3f (walk and record alone: %.1f ns)\n",
           made, with / (double)made * 1e9, bare / (double)count * 1e9,
           with / (double)made / (bare / (double)count), alone / (double)made * 1e9);
    munmap(host.space, 2 * host.limit * PAGE);
    unit_free(u);
}

static double empty_time(unsigned width)
{
    struct unit *u = unit_new(0, width);
    struct host host = {0};
    double best = 1e9;

    for (unsigned round = 0; round < 1000; round++) {
        best = MIN(best, replay(u, &null_ops, &host));
    }
    unit_free(u);
    return best;
}

static bool visit_nothing(void *opaque, const struct iommu_mapping *mapping, GError **error)
{
    return true;
}

static void bench_probe(void)
{
    struct unit *u = unit_new(0, 48);
    struct iommu_region *region = vtd_device_iommu(u->device);
    double start = now(), each;

    pthread_mutex_lock(region->lock);
    iommu_replay_probe(region, (struct range){0, PROBE_GRANULES * PAGE}, PAGE, visit_nothing, NULL,
                       NULL);
    pthread_mutex_unlock(region->lock);
    each = (now() - start) / (double)PROBE_GRANULES;
    printf(
        "probe of an empty space: %.0f ns for each granule of 4 KiB: 39 bits %.0f s, 48 bits %.1f "
        "hours\n",
        each * 1e9, each * (double)(1ull << 27), each * (double)(1ull << 36) / 3600);
    unit_free(u);
}

/* A walk of `count` pages with holes between, from nowhere. */
static bool walk_pages(void *opaque, struct range range, iommu_visit_fn visit, void *visit_opaque,
                       GError **error)
{
    const uint64_t *count = opaque;

    for (uint64_t i = 0; i < *count; i++) {
        struct iommu_mapping mapping = {2 * i * PAGE, PAGE, i * PAGE, IOMMU_READ | IOMMU_WRITE};

        if (!visit(visit_opaque, &mapping, error)) {
            return false;
        }
    }
    return true;
}

static void bench_growth(uint64_t count)
{
    struct range all = {0, UINT64_MAX};
    struct host host = {0};
    struct mapping_set *set = mapping_set_new(&null_ops, &host);
    double start = now(), fill, again;

    mapping_set_reconcile(set, all, all, walk_pages, &count, NULL);
    fill = now() - start;
    start = now();
    mapping_set_reconcile(set, all, all, walk_pages, &count, NULL);
    again = now() - start;
    printf("mapping set of %8" PRIu64
           ": filled in %6.1f ns each, reconciled with the same in %6.1f "
           "ns, %.1f bytes each\n",
           count, fill / (double)count * 1e9, again / (double)count * 1e9,
           (double)mapping_set_bytes(set) / (double)count);
    mapping_set_free(set);
}

int main(int argc, char **argv)
{
    uint64_t largest = argc > 1 ? strtoull(argv[1], NULL, 0) : 1000000;

    for (uint64_t count = 1000; count <= largest; count *= count < 100000 ? 100 : 10) {
        bench_replay(count);
    }
    printf("replay of nothing: 39 bits %.2f us, 48 bits %.2f us\n", empty_time(39) * 1e6,
           empty_time(48) * 1e6);
    bench_probe();
    for (uint64_t count = 1000; count <= largest * 10; count *= 10) {
        bench_growth(count);
    }
    return 0;
}
