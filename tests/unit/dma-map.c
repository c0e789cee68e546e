/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A back end follows an address space: RAM by its listener, what is behind an IOMMU by notifiers.
 */
#include "iommu/vtd-private.h"
#include "memory/dma.h"
#include "memory/rcu.h"
#include "unit/seed.h"
#include "unit/iommu-fixture.h"
#include "unit/suite.h"
#include "vfio/dma-map.h"

#include <semaphore.h>
#include <unistd.h>

#define MEG             (1ull << 20)
#define PAGE            4096ull
#define TRACKED         4096 /* pages of IOVA that the back end remembers */
#define TABLE_AT        (2 * MEG)
#define ROOT_AT         (3 * MEG)
#define CONTEXT_AT      (3 * MEG + PAGE)
#define REQUESTER       0x18
#define PAGES_OF_BUFFER 300

struct recorder {
    struct dma_backend backend;
    void *host[TRACKED];
    unsigned calls, fail_at, fail_errno;
    uint64_t longest_unmap;
    sem_t *slow; /* the next unmap posts this, takes its time, and fails; NULL: it does not */
};

struct bench {
    struct memory_region system, ram, bar;
    struct address_space memory, dma;
    struct vtd *vtd;
    struct vtd_device *device;
    struct recorder recorder;
    struct dma_map *map;
    uint8_t *bar_memory;
    unsigned failures;
};

static bool record_fails(struct recorder *recorder, GError **error)
{
    return ++recorder->calls == recorder->fail_at &&
           !duodm_fail(error, DUODM_ERROR_IO, "the host says %u", recorder->fail_errno);
}

static bool record_map(struct dma_backend *backend, const struct dma_mapping *m, GError **error)
{
    struct recorder *recorder = (struct recorder *)backend;

    if (record_fails(recorder, error)) {
        return false;
    }
    for (uint64_t i = 0; i < m->length / PAGE && m->iova / PAGE + i < TRACKED; i++) {
        CU_ASSERT_PTR_NULL_FATAL(recorder->host[m->iova / PAGE + i]);
        recorder->host[m->iova / PAGE + i] = (uint8_t *)m->host + i * PAGE;
    }
    return true;
}

static bool record_unmap(struct dma_backend *backend, struct range range, GError **error)
{
    struct recorder *recorder = (struct recorder *)backend;

    if (record_fails(recorder, error)) {
        return false;
    }
    if (recorder->slow) {
        sem_post(recorder->slow);
        recorder->slow = NULL;
        usleep(1000); /* for what the other thread is about to do */
        return duodm_fail(error, DUODM_ERROR_IO, "not now");
    }
    recorder->longest_unmap = MAX(recorder->longest_unmap, range.length);
    for (uint64_t i = 0; i < range.length / PAGE && range.start / PAGE + i < TRACKED; i++) {
        recorder->host[range.start / PAGE + i] = NULL;
    }
    return true;
}

static const struct dma_backend_ops record_ops = {record_map, record_unmap};

static void no_interrupt(void *opaque, uint64_t address, uint32_t data)
{
}

static void note_failure(void *opaque, const GError *error)
{
    ((struct bench *)opaque)->failures++;
}

static struct bench *bench_new(void)
{
    struct vtd_config config = {
        .host_width = 40, .iova_width = 39, .caching_mode = true, .pass_through = true};
    struct vtd_host host = {no_interrupt, NULL, NULL, NULL};
    struct bench *b = g_new0(struct bench, 1);

    memory_region_init_container(&b->system, "system", 1ull << 52);
    CU_ASSERT_TRUE_FATAL(memory_region_init_ram(&b->ram, "ram", 4 * MEG, NULL));
    memory_region_add_subregion(&b->system, 0, &b->ram);
    b->bar_memory = aligned_alloc(PAGE, 4 * PAGE);
    memory_region_init_ram_device(&b->bar, "bar", 4 * PAGE, b->bar_memory);
    address_space_init(&b->memory, &b->system, "memory");
    b->vtd = vtd_new(&config, &host, &b->memory, &b->system);
    b->device = vtd_get_device(b->vtd, REQUESTER);
    address_space_init(&b->dma, vtd_device_root(b->device), "dma");
    dma_backend_init(&b->recorder.backend, &record_ops, "test host");
    b->recorder.fail_errno = 12;
    return b;
}

static bool attach(struct bench *b)
{
    g_autoptr(GError) error = NULL;

    b->map = dma_map_new(&b->dma, &b->memory, &b->recorder.backend, note_failure, b, &error);
    CU_ASSERT_EQUAL(b->map == NULL, error != NULL);
    return b->map != NULL;
}

static void bench_free(struct bench *b)
{
    dma_map_free(b->map);
    CU_ASSERT_EQUAL(b->recorder.backend.entries, 0);
    for (unsigned i = 0; i < TRACKED; i++) {
        CU_ASSERT_PTR_NULL(b->recorder.host[i]);
    }
    dma_backend_clear(&b->recorder.backend);
    address_space_destroy(&b->dma);
    vtd_put_device(b->device);
    vtd_free(b->vtd);
    address_space_destroy(&b->memory);
    memory_region_destroy(&b->bar);
    memory_region_destroy(&b->ram);
    memory_region_destroy(&b->system);
    free(b->bar_memory);
    g_free(b);
}

static void *host_of(struct bench *b, uint64_t iova)
{
    return b->recorder.host[iova / PAGE];
}

static void *ram_at(struct bench *b, uint64_t offset)
{
    return (uint8_t *)memory_region_host_pointer(&b->ram) + offset;
}

/* The guest's side: a table for IOVAs below 2 MiB, at TABLE_AT. */

static void poke(struct bench *b, gpa_t address, uint64_t value)
{
    address_space_store(&b->memory, address, 8, MEMORY_ATTRIBUTES_CPU, value);
}

static void guest_map(struct bench *b, uint64_t iova, uint64_t target)
{
    poke(b, TABLE_AT + iova / PAGE * 8, target ? target | 3 : 0);
}

static void invalidate(struct bench *b)
{
    static const struct vtd_flush everything = {.all_domains = true};

    mutex_lock(&b->vtd->lock);
    vtd_flush_iotlb(b->vtd, &everything);
    mutex_unlock(&b->vtd->lock);
}

static void write_register(struct bench *b, unsigned offset, uint64_t value, unsigned size)
{
    b->vtd->window.ops->write(b->vtd, offset, size, MEMORY_ATTRIBUTES_CPU, value);
}

static void turn_translation(struct bench *b, bool on)
{
    poke(b, ROOT_AT, CONTEXT_AT | 1);
    poke(b, CONTEXT_AT + REQUESTER * 16, (2 * MEG + 64 * PAGE) | 1);
    poke(b, CONTEXT_AT + REQUESTER * 16 + 8, 1);
    poke(b, 2 * MEG + 64 * PAGE, (2 * MEG + 65 * PAGE) | 3); /* level 3, level 2, TABLE_AT */
    poke(b, 2 * MEG + 65 * PAGE, TABLE_AT | 3);
    write_register(b, VTD_RTADDR, ROOT_AT, 8);
    write_register(b, VTD_GCMD, VTD_GCMD_ROOT_TABLE, 4);
    write_register(b, VTD_GCMD, on ? VTD_GCMD_TRANSLATION : 0, 4);
}

/* Tests. */

static void test_ram_without_iommu(void)
{
    struct bench *b = bench_new();

    CU_ASSERT_TRUE_FATAL(attach(b));
    CU_ASSERT_EQUAL(b->recorder.backend.entries, 1);
    CU_ASSERT_PTR_EQUAL(host_of(b, 0), ram_at(b, 0));
    CU_ASSERT_PTR_EQUAL(host_of(b, 4 * MEG - PAGE), ram_at(b, 4 * MEG - PAGE));
    memory_region_set_offset(&b->ram, MEG);
    CU_ASSERT_PTR_EQUAL(host_of(b, MEG), ram_at(b, 0));
    CU_ASSERT_PTR_NULL(host_of(b, 0));
    CU_ASSERT_EQUAL(b->failures, 0);
    bench_free(b);
}

/* cloud-hypervisor 942: RAM that was plugged later was not mapped for the devices that were there.
 */
static void test_ram_that_comes_later(void)
{
    struct bench *b = bench_new();
    struct memory_region more;

    CU_ASSERT_TRUE_FATAL(attach(b));
    CU_ASSERT_TRUE_FATAL(memory_region_init_ram(&more, "more", MEG, NULL));
    memory_region_add_subregion(&b->system, 8 * MEG, &more);
    CU_ASSERT_PTR_EQUAL(host_of(b, 8 * MEG), memory_region_host_pointer(&more));
    CU_ASSERT_PTR_EQUAL(host_of(b, 0), ram_at(b, 0));
    memory_region_remove_subregion(&b->system, &more);
    CU_ASSERT_PTR_NULL(host_of(b, 8 * MEG));
    /* And what comes behind a live IOMMU: the guest had mapped it before it was there. */
    turn_translation(b, true);
    guest_map(b, 3 * PAGE, 8 * MEG + PAGE);
    invalidate(b);
    CU_ASSERT_PTR_NULL(host_of(b, 3 * PAGE));
    memory_region_add_subregion(&b->system, 8 * MEG, &more);
    CU_ASSERT_PTR_EQUAL(host_of(b, 3 * PAGE), (uint8_t *)memory_region_host_pointer(&more) + PAGE);
    memory_region_remove_subregion(&b->system, &more);
    CU_ASSERT_PTR_NULL(host_of(b, 3 * PAGE));
    CU_ASSERT_EQUAL(b->failures, 0);
    memory_region_destroy(&more);
    bench_free(b);
}

/* QEMU on a host with pages of 64 KiB: "page mask is incompatible", and the machine died. A guest's
 * smaller pages can't be mapped there; each larger one that the host can have is. */
static void test_host_with_larger_pages(void)
{
    struct bench *b = bench_new();
    g_autoptr(GError) error = NULL;

    b->recorder.backend.page_sizes = ~UINT64_C(0xffff);
    CU_ASSERT_TRUE_FATAL(attach(b)); /* RAM itself is no trouble */
    CU_ASSERT_EQUAL(b->recorder.backend.entries, 1);
    guest_map(b, 5 * PAGE, 1 * MEG);
    turn_translation(b, true);
    CU_ASSERT_EQUAL(b->failures, 1); /* at run time: the device is cut off, no more */
    CU_ASSERT_EQUAL(b->recorder.backend.entries, 0);
    dma_map_free(b->map);
    /* At hotplug: an error that names the page and the size that it would have to have. */
    b->map = dma_map_new(&b->dma, &b->memory, &b->recorder.backend, note_failure, b, &error);
    CU_ASSERT_PTR_NULL(b->map);
    CU_ASSERT_PTR_NOT_NULL_FATAL(error);
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "0x5000"));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "0x10000"));
    guest_map(b, 5 * PAGE, 0);
    poke(b, 2 * MEG + 65 * PAGE + 8, 0 | 0x80 | 3); /* 2 MiB at 2 MiB */
    CU_ASSERT_TRUE_FATAL(attach(b));
    CU_ASSERT_EQUAL(b->recorder.backend.entries, 1);
    CU_ASSERT_PTR_EQUAL(host_of(b, 2 * MEG), ram_at(b, 0));
    bench_free(b);
}

/* cloud-hypervisor 7027: a BAR moved, and peer-to-peer mappings stayed behind. */
static void test_bar_moves(void)
{
    struct bench *b = bench_new();

    memory_region_add_subregion(&b->system, 8 * MEG, &b->bar);
    CU_ASSERT_TRUE_FATAL(attach(b));
    CU_ASSERT_PTR_EQUAL(host_of(b, 8 * MEG), b->bar_memory);
    memory_region_set_offset(&b->bar, 9 * MEG);
    CU_ASSERT_PTR_NULL(host_of(b, 8 * MEG));
    CU_ASSERT_PTR_EQUAL(host_of(b, 9 * MEG), b->bar_memory);
    memory_region_remove_subregion(&b->system, &b->bar);
    CU_ASSERT_PTR_NULL(host_of(b, 9 * MEG));
    bench_free(b);
}

/* cloud-hypervisor 7030: a BAR that the host's IOMMU can't map is no reason to fail. */
static void test_refused_bar_is_not_fatal(void)
{
    struct bench *b = bench_new();
    struct range window = {0, 6 * MEG};

    g_array_append_val(b->recorder.backend.windows, window);
    memory_region_add_subregion(&b->system, 8 * MEG, &b->bar);
    CU_ASSERT_TRUE_FATAL(attach(b));
    CU_ASSERT_EQUAL(b->recorder.backend.entries, 1);
    memory_region_remove_subregion(&b->system, &b->bar);
    CU_ASSERT_EQUAL(b->recorder.backend.entries, 1);
    CU_ASSERT_EQUAL(b->failures, 0);
    memory_region_set_offset(&b->ram, 5 * MEG); /* RAM outside of the window is */
    CU_ASSERT_EQUAL(b->failures, 1);
    bench_free(b);
}

static void test_attach_behind_live_iommu(void)
{
    struct bench *b = bench_new();

    turn_translation(b, true);
    guest_map(b, 5 * PAGE, 1 * MEG);
    guest_map(b, 7 * PAGE, 1 * MEG + PAGE);
    CU_ASSERT_TRUE_FATAL(attach(b));
    CU_ASSERT_EQUAL(b->recorder.backend.entries, 2);
    CU_ASSERT_PTR_EQUAL(host_of(b, 5 * PAGE), ram_at(b, 1 * MEG));
    guest_map(b, 5 * PAGE, 0);
    guest_map(b, 9 * PAGE, 1 * MEG);
    invalidate(b);
    CU_ASSERT_PTR_NULL(host_of(b, 5 * PAGE));
    CU_ASSERT_PTR_EQUAL(host_of(b, 9 * PAGE), ram_at(b, 1 * MEG));
    bench_free(b);
}

/* QEMU, 2026: the switch unmapped all of the IOVA space by one call, more than type1 takes. */
static void test_switch_between_translated_and_not(void)
{
    struct bench *b = bench_new();

    guest_map(b, 5 * PAGE, 1 * MEG);
    CU_ASSERT_TRUE_FATAL(attach(b));
    for (unsigned round = 0; round < 3; round++) {
        turn_translation(b, true);
        CU_ASSERT_EQUAL(b->recorder.backend.entries, 1);
        CU_ASSERT_PTR_EQUAL(host_of(b, 5 * PAGE), ram_at(b, 1 * MEG));
        CU_ASSERT_PTR_NULL(host_of(b, 0));
        turn_translation(b, false);
        CU_ASSERT_PTR_EQUAL(host_of(b, 5 * PAGE), ram_at(b, 5 * PAGE));
    }
    CU_ASSERT_EQUAL(b->recorder.longest_unmap, 4 * MEG); /* all of RAM */
    CU_ASSERT_EQUAL(b->failures, 0);
    bench_free(b);
}

/* A mapping over the end of RAM: what is no memory is left out. And memory that leaves under it: a
 * BAR, of which cloud-hypervisor 6110 found no host address. */
static void test_mapping_to_no_memory(void)
{
    struct bench *b = bench_new();
    g_autoptr(GString) text = g_string_new(NULL);

    memory_region_add_subregion(&b->system, 8 * MEG, &b->bar);
    turn_translation(b, true);
    guest_map(b, 1 * PAGE, 100 * MEG);
    guest_map(b, 2 * PAGE, 8 * MEG + PAGE);
    CU_ASSERT_TRUE_FATAL(attach(b));
    CU_ASSERT_EQUAL(b->recorder.backend.entries, 1);
    CU_ASSERT_PTR_NULL(host_of(b, PAGE));
    CU_ASSERT_PTR_EQUAL(host_of(b, 2 * PAGE), b->bar_memory + PAGE);
    memory_region_remove_subregion(&b->system, &b->bar);
    CU_ASSERT_PTR_NULL(host_of(b, 2 * PAGE));
    memory_region_add_subregion(&b->system, 8 * MEG + PAGE, &b->bar);
    CU_ASSERT_PTR_EQUAL(host_of(b, 2 * PAGE), b->bar_memory);
    CU_ASSERT_TRUE(dma_map_verify(b->map, text));
    CU_ASSERT_EQUAL(b->failures, 0);
    memory_region_remove_subregion(&b->system, &b->bar);
    bench_free(b);
}

/* kata 11721: the limit of entries is told before the kernel says ENOSPC, and with advice. */
static void test_entries_are_counted(void)
{
    struct bench *b = bench_new();
    g_autoptr(GError) error = NULL;

    turn_translation(b, true);
    for (unsigned i = 0; i < 10; i++) {
        guest_map(b, 2 * i * PAGE, 1 * MEG);
    }
    b->recorder.backend.entries_limit = 9;
    b->map = dma_map_new(&b->dma, &b->memory, &b->recorder.backend, note_failure, b, &error);
    CU_ASSERT_PTR_NULL(b->map);
    CU_ASSERT_PTR_NOT_NULL_FATAL(error);
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "dma_entry_limit"));
    CU_ASSERT_EQUAL(b->recorder.backend.entries, 0);
    b->recorder.backend.entries_limit = 10;
    CU_ASSERT_TRUE_FATAL(attach(b));
    guest_map(b, 31 * PAGE, 1 * MEG); /* one too many, at run time */
    invalidate(b);
    CU_ASSERT_EQUAL(b->failures, 1);
    guest_map(b, 0, 0);
    invalidate(b);
    CU_ASSERT_EQUAL(b->failures, 1);
    CU_ASSERT_PTR_NOT_NULL(host_of(b, 31 * PAGE));
    bench_free(b);
}

/* Many mappings are taken back by one call, and each of them is counted, also those to no memory.
 */
static void test_a_run_is_counted(void)
{
    struct bench *b = bench_new();
    unsigned calls;

    turn_translation(b, true);
    for (unsigned i = 0; i < 10; i++) {
        guest_map(b, 2 * i * PAGE, i == 3 || i == 7 ? 100 * MEG : 1 * MEG);
    }
    CU_ASSERT_TRUE_FATAL(attach(b));
    CU_ASSERT_EQUAL(b->recorder.backend.entries, 8);
    for (unsigned i = 0; i < 10; i++) {
        guest_map(b, 2 * i * PAGE, i == 5 ? 1 * MEG : 0);
    }
    calls = b->recorder.calls;
    invalidate(b);
    CU_ASSERT_EQUAL(b->recorder.calls, calls + 2);
    CU_ASSERT_EQUAL(b->recorder.backend.entries, 1);
    guest_map(b, 8 * PAGE, 100 * MEG);
    invalidate(b);
    CU_ASSERT_EQUAL(b->recorder.backend.entries, 1);
    /* A refused unmap of both is made for each; the one to no memory takes no call. */
    b->recorder.fail_at = b->recorder.calls + 1;
    bench_free(b);
}

/* Each host call of an attachment fails once. */
static void test_each_call_fails(void)
{
    for (unsigned i = 1; i <= 4; i++) {
        struct bench *b = bench_new();
        bool ok;

        turn_translation(b, true);
        guest_map(b, 0, 1 * MEG);
        guest_map(b, 2 * PAGE, 2 * MEG);
        guest_map(b, 4 * PAGE, 3 * MEG);
        b->recorder.fail_at = i;
        ok = attach(b);
        CU_ASSERT_EQUAL(ok, i == 4);
        CU_ASSERT_EQUAL(b->recorder.backend.entries, ok ? 3 : 0);
        b->recorder.fail_at = 0;
        bench_free(b);
    }
}

/* Nothing of a change of RAM is forgotten: a refused unmap and a refused map are made up for by the
 * end of the change, or by the next one, or by reconcile; meanwhile verify says so. */
static void test_ram_that_the_host_refuses(void)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (unsigned call = 1; call <= 2; call++) { /* the unmap, the map */
        struct bench *b = bench_new();

        CU_ASSERT_TRUE_FATAL(attach(b));
        b->recorder.calls = 0;
        b->recorder.fail_at = call;
        memory_region_set_offset(&b->ram, 8 * MEG);
        CU_ASSERT_EQUAL(b->failures, 1);
        CU_ASSERT_PTR_EQUAL(host_of(b, 8 * MEG), ram_at(b, 0));
        CU_ASSERT_PTR_NULL(host_of(b, 0));
        CU_ASSERT_TRUE(dma_map_verify(b->map, text));
        bench_free(b);
    }
}

static void test_ram_that_the_host_refuses_for_long(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    struct bench *b = bench_new();
    struct range window = {0, 6 * MEG}, all = {0, 64 * MEG};

    g_array_append_val(b->recorder.backend.windows, window);
    CU_ASSERT_TRUE_FATAL(attach(b));
    memory_region_set_offset(&b->ram, 7 * MEG);
    CU_ASSERT_EQUAL(b->failures, 1);
    CU_ASSERT_FALSE(dma_map_verify(b->map, text));
    CU_ASSERT_PTR_NOT_NULL(strstr(text->str, "4194304 bytes missing"));
    CU_ASSERT_FALSE(dma_map_reconcile(b->map, NULL));
    g_array_index(b->recorder.backend.windows, struct range, 0) = all;
    CU_ASSERT_TRUE(dma_map_reconcile(b->map, NULL));
    CU_ASSERT_TRUE(dma_map_verify(b->map, text));
    CU_ASSERT_PTR_EQUAL(host_of(b, 7 * MEG), ram_at(b, 0));
    bench_free(b);
}

/* Translation is switched on, and its first mappings are refused: they are made at the next chance.
 */
static void test_window_that_the_host_refuses(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    struct bench *b = bench_new();

    guest_map(b, 5 * PAGE, 1 * MEG);
    CU_ASSERT_TRUE_FATAL(attach(b));
    b->recorder.backend.entries_limit = 1;
    guest_map(b, 7 * PAGE, 1 * MEG);
    turn_translation(b, true);
    CU_ASSERT_EQUAL(b->failures, 1);
    CU_ASSERT_EQUAL(b->recorder.backend.entries, 0);
    CU_ASSERT_FALSE(dma_map_verify(b->map, text));
    b->recorder.backend.entries_limit = 2;
    CU_ASSERT_TRUE(dma_map_reconcile(b->map, NULL));
    CU_ASSERT_PTR_EQUAL(host_of(b, 7 * PAGE), ram_at(b, 1 * MEG));
    CU_ASSERT_TRUE(dma_map_verify(b->map, text));
    bench_free(b);
}

/* The segments of a buffer behind the IOMMU, each page looked up once, are what its pages lead to.
 */
static void test_segments_of_a_buffer(void)
{
    const struct memory_attributes attributes = {.from_device = true, .requester = REQUESTER};
    GRand *rand = test_seeded_rand();
    struct bench *b = bench_new();
    uint64_t target[PAGES_OF_BUFFER];

    for (unsigned i = 0; i < PAGES_OF_BUFFER; i++) { /* runs, and jumps; one page is not there */
        target[i] = i && g_rand_int_range(rand, 0, 3) ? target[i - 1] + PAGE
                                                      : g_rand_int_range(rand, 0, 64) * PAGE;
        guest_map(b, i * PAGE, i == PAGES_OF_BUFFER - 1 ? 0 : MEG + target[i]);
    }
    turn_translation(b, true);
    for (unsigned with = 0; with < 2; with++) {
        struct dma_ahead ahead = {0};
        struct dma_segment segment;
        uint64_t done = 0x100, length;
        uint8_t *host;

        memory_rcu_read_lock();
        while (length = PAGES_OF_BUFFER * PAGE - done,
               host = dma_segment_map(&b->dma, done, &length, true, attributes, NULL, &segment,
                                      with ? &ahead : NULL)) {
            for (uint64_t i = 0; i < length; i += 0x100) {
                uint64_t page = (done + i) / PAGE, rest = (done + i) % PAGE;

                CU_ASSERT_PTR_EQUAL_FATAL(host + i,
                                          (uint8_t *)ram_at(b, MEG + target[page]) + rest);
            }
            dma_segment_unmap(&segment, 0);
            done += length;
        }
        memory_rcu_read_unlock();
        CU_ASSERT_EQUAL(done, (PAGES_OF_BUFFER - 1) * PAGE);
    }
    bench_free(b);
    g_rand_free(rand);
}

/* A thread that takes back what is mapped at page 5, just before the window is removed. */
struct taker {
    struct bench *b;
    struct memory_listener listener; /* comes before the map's */
    pthread_t thread;
    sem_t is_unmapping;
};

static void *take_back(void *opaque)
{
    invalidate(opaque);
    return NULL;
}

static void about_to_be_removed(struct memory_listener *listener,
                                const struct listener_section *section)
{
    struct taker *taker = (struct taker *)((char *)listener - offsetof(struct taker, listener));

    if (section->region->kind == MEMORY_IOMMU && section->start == 0 &&
        host_of(taker->b, 5 * PAGE)) {
        guest_map(taker->b, 5 * PAGE, 0);
        taker->b->recorder.slow = &taker->is_unmapping;
        pthread_create(&taker->thread, NULL, take_back, taker->b);
        sem_wait(&taker->is_unmapping);
    }
}

/* The guest takes a page back while its window is being removed, and the host refuses: what the
 * host keeps is known in one place, and so unmapped, and counted, once. */
static void test_refused_while_a_window_is_removed(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    struct bench *b = bench_new();
    struct taker taker = {.b = b,
                          .listener = {.priority = 1, .section_remove = about_to_be_removed}};

    sem_init(&taker.is_unmapping, 0, 0);
    CU_ASSERT_TRUE_FATAL(attach(b));
    CU_ASSERT_TRUE_FATAL(memory_listener_register(&taker.listener, &b->dma, NULL));
    guest_map(b, 5 * PAGE, 1 * MEG);
    turn_translation(b, true);
    CU_ASSERT_PTR_NOT_NULL_FATAL(host_of(b, 5 * PAGE));
    write_register(b, VTD_GCMD, 0, 4);
    pthread_join(taker.thread, NULL);
    CU_ASSERT_EQUAL(b->failures, 1);
    CU_ASSERT_TRUE(dma_map_verify(b->map, text));
    CU_ASSERT_EQUAL(b->recorder.backend.entries, 1);
    CU_ASSERT_PTR_EQUAL(host_of(b, 5 * PAGE), ram_at(b, 5 * PAGE));
    memory_listener_unregister(&taker.listener);
    sem_destroy(&taker.is_unmapping);
    bench_free(b);
}

static const struct unit_test tests[] = {
    {"RAM without IOMMU", test_ram_without_iommu},
    {"RAM that comes later", test_ram_that_comes_later},
    {"a host with larger pages", test_host_with_larger_pages},
    {"a BAR moves", test_bar_moves},
    {"a refused BAR is not fatal", test_refused_bar_is_not_fatal},
    {"attach behind a live IOMMU", test_attach_behind_live_iommu},
    {"switch between translated and not", test_switch_between_translated_and_not},
    {"mapping to no memory", test_mapping_to_no_memory},
    {"entries are counted", test_entries_are_counted},
    {"a run is counted", test_a_run_is_counted},
    {"each call fails", test_each_call_fails},
    {"RAM that the host refuses", test_ram_that_the_host_refuses},
    {"RAM that the host refuses for long", test_ram_that_the_host_refuses_for_long},
    {"a window that the host refuses", test_window_that_the_host_refuses},
    {"segments of a buffer", test_segments_of_a_buffer},
    {"refused while a window is removed", test_refused_while_a_window_is_removed},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("dma-map", tests);
}
