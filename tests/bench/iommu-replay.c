/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What replay costs: a device is plugged in behind a VT-d unit whose guest has mapped sparse pages
 * of 4 KiB all over 48 bits (dma_map_new, as device_add does), against a bare loop that makes the
 * same host calls. The calls are an mmap of one page (a syscall that changes page tables), or those
 * of a type1 container of the kernel's. Then: an empty space of 48 bits against one of 39; probing,
 * by the granule; and how mapping sets grow, without a host.
 *
 *     iommu-replay [--type1 ADDRESS] [largest number of mappings, default 1000000]
 *
 * ADDRESS: of a PCI function bound to vfio-pci, as 0000:00:05.0; its driver's dma_entry_limit has
 * to be large enough.
 */
#include "iommu/notifier.h"
#include "iommu/vtd-spec.h"
#include "iommu/vtd.h"
#include "memory/dma.h"
#include "memory/rcu.h"
#include "util/little-endian.h"
#include "vfio/dma-map.h"
#include "vfio/type1.h"
#include "vfio/vfio-kernel.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE           4096ull
#define PER_TABLE      16u /* pages in each table of the last level, every other one */
#define ROUNDS         3   /* the best counts; more of what is short */
#define WINDOW         0xfed90000ull
#define ROOT_TABLE     0x10000ull
#define CONTEXTS       0x11000ull
#define TABLES         0x100000ull
#define REQUESTER      0x0010
#define PROBE_GRANULES (1ull << 16)
#define HOST_PAGES     256
#define QUEUE          0x12000ull
#define STATUS         0x13000ull
#define PAIRS          100000u

static const struct memory_attributes from_device = {.from_device = true};

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time); /* others may use the host meanwhile */
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* A unit with RAM for the tables that `count` mappings need. */
struct unit {
    struct memory_region system, ram;
    struct address_space memory, view; /* the view: the device's */
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
    address_space_init(&u->view, vtd_device_root(u->device), "view");
    return u;
}

static void unit_free(struct unit *u)
{
    address_space_destroy(&u->view);
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

static void unmap_page(struct unit *u, uint64_t iova)
{
    uint64_t table = u->table;

    for (unsigned level = u->levels; level > 1; level--) {
        table = peek(u, table + (iova >> (12 + 9 * (level - 1)) & 511) * 8) & ~0xfffull;
    }
    poke(u, table + (iova >> 12 & 511) * 8, 0);
}

static void map_sparsely(struct unit *u, uint64_t count)
{
    uint64_t state = 88172645463325252ull, iova = 0;

    for (uint64_t i = 0; i < count; i++) {
        if (i % PER_TABLE == 0) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            iova = state >> 16 & ~0x1fffffull; /* 2 MiB of their own, anywhere */
        }
        map_page(u, iova + i % PER_TABLE * 2 * PAGE, i * PAGE % u->ram.size);
    }
}

/* Hosts. */

/* Its map is an mmap of one page: 256 pages in turn, for what is measured is the call, not how many
 * areas a process may have. */
struct mmap_host {
    struct dma_backend backend;
    uint8_t *space;
    uint64_t calls;
};

static bool mmap_map(struct dma_backend *backend, const struct dma_mapping *mapping, GError **error)
{
    struct mmap_host *host = (struct mmap_host *)backend;
    uint8_t *at = host->space + host->calls++ % HOST_PAGES * 2 * PAGE;

    return mmap(at, PAGE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0) != MAP_FAILED;
}

static bool no_map(struct dma_backend *backend, const struct dma_mapping *mapping, GError **error)
{
    return true;
}

static bool no_unmap(struct dma_backend *backend, struct range range, GError **error)
{
    return true;
}

static const struct dma_backend_ops mmap_ops = {mmap_map, no_unmap};
static const struct dma_backend_ops no_ops = {no_map, no_unmap};

static void must(bool ok, const GError *error)
{
    if (!ok) {
        fprintf(stderr, "iommu-replay: %s\n", error ? error->message : "failed");
        exit(1);
    }
}

/* What the calls are made with: known to the bare loop beforehand. */
struct call {
    iova_t iova;
    void *host;
};

struct collection {
    struct unit *unit;
    GArray *calls;
};

static bool collect(void *opaque, const struct iommu_mapping *mapping, GError **error)
{
    struct collection *collection = opaque;
    struct call call = {mapping->iova, collection->unit->host + mapping->translated};

    g_array_append_val(collection->calls, call);
    return true;
}

static GArray *unit_calls(struct unit *u)
{
    struct iommu_region *region = vtd_device_iommu(u->device);
    struct collection collection = {u, g_array_new(false, false, sizeof(struct call))};

    mutex_lock(region->lock);
    region->ops->walk(region, (struct range){0, region->region.size}, collect, &collection, NULL);
    mutex_unlock(region->lock);
    return collection.calls;
}

struct times {
    double map, verify, unmap; /* seconds; the best of all rounds */
};

static void take_best(struct times *best, double start, double mapped, double verified, double end)
{
    best->map = MIN(best->map, mapped - start);
    best->verify = MIN(best->verify, verified - mapped);
    best->unmap = MIN(best->unmap, end - verified);
}

/* The same calls, and nothing else. */
static void run_bare(struct dma_backend *backend, const GArray *calls, struct times *best)
{
    double start = now(), mapped;

    for (unsigned i = 0; i < calls->len; i++) {
        const struct call *call = &g_array_index(calls, struct call, i);
        struct dma_mapping mapping = {.iova = call->iova,
                                      .length = PAGE,
                                      .host = call->host,
                                      .fd = -1,
                                      .access = IOMMU_READ | IOMMU_WRITE};

        must(backend->ops->map(backend, &mapping, NULL), NULL);
    }
    mapped = now();
    for (unsigned i = 0; i < calls->len; i++) {
        struct range range = {g_array_index(calls, struct call, i).iova, PAGE};

        must(backend->ops->unmap(backend, range, NULL), NULL);
    }
    take_best(best, start, mapped, mapped, now());
}

static void never_failed(void *opaque, const GError *error)
{
    must(false, error);
}

/* What a device that is plugged in causes, until it is taken out. */
static void run_replay(struct unit *u, struct dma_backend *backend, struct times *best)
{
    double start = now(), mapped, verified;
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) report = g_string_new(NULL);
    struct dma_map *map = dma_map_new(&u->view, &u->memory, backend, never_failed, NULL, &error);

    must(map != NULL, error);
    mapped = now();
    must(dma_map_verify(map, report), NULL);
    verified = now();
    dma_map_free(map);
    take_best(best, start, mapped, verified, now());
}

static void print_replay(double count, const struct times *bare, const struct times *with,
                         const struct times *alone)
{
    double each = 1e9 / count; /* ns */

    printf("%8.0f sparse pages in 48 bits, ns each: replay %.1f, bare calls %.1f: ratio %.3f "
           "(without calls %.1f)\n",
           count, with->map * each, bare->map * each, with->map / bare->map, alone->map * each);
    printf("%8s taken back %.1f, bare calls %.1f (without calls %.1f); verified %.1f\n", "",
           with->unmap * each, bare->unmap * each, alone->unmap * each, with->verify * each);
}

/* backend: a real host's; NULL: one by mmap. */
static void bench_replay(uint64_t count, struct dma_backend *backend)
{
    /* A million calls of a kernel's take a minute in a nested machine. */
    uint64_t rounds = backend && count >= 1000000 ? 1 : MAX(ROUNDS, 30000 / count);
    struct unit *u = unit_new(count, 48);
    struct times bare = {1e9, 1e9, 1e9}, with = bare, alone = bare;
    struct mmap_host host;
    struct dma_backend none;
    GArray *calls;

    map_sparsely(u, count);
    calls = unit_calls(u);
    dma_backend_init(&host.backend, &mmap_ops, "bench");
    dma_backend_init(&none, &no_ops, "bench");
    host.calls = 0;
    host.space = mmap(NULL, 2 * HOST_PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned round = 0; round < rounds; round++) {
        run_bare(backend ? backend : &host.backend, calls, &bare);
        run_replay(u, backend ? backend : &host.backend, &with);
        run_replay(u, &none, &alone);
    }
    print_replay(calls->len, &bare, &with, &alone);
    munmap(host.space, 2 * HOST_PAGES * PAGE);
    dma_backend_clear(&host.backend);
    dma_backend_clear(&none);
    g_array_unref(calls);
    unit_free(u);
}

/* The guest maps a page and takes it back, each time telling the unit by its queue. */
static void bench_pairs(uint64_t count)
{
    const uint64_t wait = VTD_INVALIDATE_WAIT | VTD_WAIT_STATUS | UINT64_C(1) << 32;
    const uint64_t flush = VTD_INVALIDATE_IOTLB | VTD_PAGE << 4 | UINT64_C(1) << 16;
    const iova_t iova = UINT64_C(1) << 40;
    struct unit *u = unit_new(count, 48);
    struct dma_backend none;
    struct dma_map *map;
    uint64_t tail = 0, held;
    double start;

    dma_backend_init(&none, &no_ops, "bench");
    map_sparsely(u, count);
    map = dma_map_new(&u->view, &u->memory, &none, never_failed, NULL, NULL);
    held = none.entries;
    write_register(u, VTD_IQA, 8, QUEUE);
    write_register(u, VTD_GCMD, 4, VTD_GCMD_TRANSLATION | VTD_GCMD_QUEUED);
    start = now();
    for (unsigned i = 0; i < 2 * PAIRS; i++) {
        map_page(u, iova, 0);
        if (i % 2) {
            unmap_page(u, iova);
        }
        poke(u, STATUS, 0);
        poke(u, QUEUE + tail, flush);
        poke(u, QUEUE + tail + 8, iova);
        poke(u, QUEUE + tail + 16, wait);
        poke(u, QUEUE + tail + 24, STATUS);
        tail = (tail + 32) % PAGE;
        write_register(u, VTD_IQT, 4, tail);
        must(peek(u, STATUS) == 1 && none.entries == held + 1 - i % 2, NULL);
    }
    printf("map and unmap of a page by queued invalidation, among %" PRIu64 ": %.0f ns\n", count,
           (now() - start) / PAIRS * 1e9);
    dma_map_free(map);
    dma_backend_clear(&none);
    unit_free(u);
}

/* What a virtqueue does with a buffer: the host addresses of its pages, in runs. */
static double dma_time(struct unit *u, uint64_t pages, unsigned rounds)
{
    const uint64_t buffer = 256 * PAGE;
    double start = now();

    memory_rcu_read_lock();
    for (unsigned round = 0; round < rounds; round++) {
        struct dma_segment segment;
        struct dma_ahead ahead = {0};

        for (uint64_t done = 0, length; done < pages * PAGE; done += length) {
            length = buffer - done % buffer;
            must(dma_segment_map(&u->view, done, &length, true, from_device, NULL, &segment,
                                 &ahead) != NULL,
                 NULL);
            dma_segment_unmap(&segment, 0);
        }
    }
    memory_rcu_read_unlock();
    return (now() - start) / (double)(pages * rounds);
}

static void bench_dma(void)
{
    const uint64_t pages = 1 << 14;
    struct unit *u = unit_new(3 * pages, 48);

    for (uint64_t i = 0; i < pages; i++) {
        map_page(u, i * PAGE, i * 37 * PAGE % u->ram.size);
    }
    printf("DMA to scattered pages: %.1f ns each if the IOTLB has them, %.1f ns if not\n",
           dma_time(u, 200, 1000) * 1e9, dma_time(u, pages, 10) * 1e9);
    unit_free(u);
}

static double empty_time(unsigned width)
{
    struct unit *u = unit_new(0, width);
    struct times best = {1e9, 1e9, 1e9};
    struct dma_backend none;

    dma_backend_init(&none, &no_ops, "bench");
    for (unsigned round = 0; round < 1000; round++) {
        run_replay(u, &none, &best);
    }
    dma_backend_clear(&none);
    unit_free(u);
    return best.map;
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

    mutex_lock(region->lock);
    iommu_replay_probe(region, (struct range){0, PROBE_GRANULES * PAGE}, PAGE, visit_nothing, NULL,
                       NULL);
    mutex_unlock(region->lock);
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

static bool accept_map(void *opaque, const struct iommu_mapping *mapping, GError **error)
{
    return true;
}

static bool accept_unmap(void *opaque, struct range range, uint64_t mappings, GError **error)
{
    return true;
}

static const struct mapping_set_ops set_ops = {accept_map, accept_unmap};

static void bench_growth(uint64_t count)
{
    struct range all = {0, UINT64_MAX};
    struct mapping_set *set = mapping_set_new(&set_ops, NULL);
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

/* A container of the kernel's with a device that is bound to vfio-pci; never given back. */
static struct dma_backend *type1_open(const char *address)
{
    g_autofree char *folder = g_strdup_printf("/sys/bus/pci/devices/%s", address);
    g_autoptr(GError) error = NULL;
    struct vfio_host_device device;
    struct vfio_container *container;

    must(vfio_host_device_find(folder, &device, &error), error);
    container = type1_container_new(&error);
    must(container != NULL, error);
    must(container->ops->add_device(container, &device, &error) >= 0, error);
    return &container->backend;
}

int main(int argc, char **argv)
{
    bool is_type1 = argc > 2 && strcmp(argv[1], "--type1") == 0;
    struct dma_backend *backend = is_type1 ? type1_open(argv[2]) : NULL;
    int rest = is_type1 ? 3 : 1;
    uint64_t largest = argc > rest ? strtoull(argv[rest], NULL, 0) : 1000000;

    for (uint64_t count = 1000; count <= largest; count *= count < 100000 ? 100 : 10) {
        bench_replay(count, backend);
    }
    if (backend) {
        return 0;
    }
    printf("replay of nothing: 39 bits %.2f us, 48 bits %.2f us\n", empty_time(39) * 1e6,
           empty_time(48) * 1e6);
    bench_probe();
    bench_dma();
    bench_pairs(0);
    bench_pairs(100000);
    for (uint64_t count = 1000; count <= largest * 10; count *= 10) {
        bench_growth(count);
    }
    return 0;
}
