/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VT-d model, driven as a guest drives it: tables in memory, registers, the queue. */
#include "unit/suite.h"
#include "unit/vtd-fixture.h"
#include "util/little-endian.h"

static void test_registers_at_power_on(void)
{
    struct unit *u = unit_new(48);
    uint64_t cap = peek(u, WINDOW + VTD_CAP, 8), ecap = peek(u, WINDOW + VTD_ECAP, 8);

    CU_ASSERT_EQUAL(read32(u, VTD_VER), 0x10);
    CU_ASSERT_EQUAL(vtd_field(cap, 12, 8), 6); /* 39 and 48 bits */
    CU_ASSERT_EQUAL(vtd_field(cap, 21, 16), 47);
    CU_ASSERT_EQUAL(vtd_field(cap, 33, 24) * 16, VTD_FRCD);
    CU_ASSERT_EQUAL(vtd_field(cap, 7, 7), 1);
    CU_ASSERT_EQUAL(vtd_field(ecap, 17, 8) * 16, VTD_IVA);
    CU_ASSERT_EQUAL(read32(u, VTD_FECTL), VTD_EVENT_MASK);
    CU_ASSERT_EQUAL(read32(u, VTD_GSTS), 0);
    write64(u, VTD_CAP, 0);
    CU_ASSERT_EQUAL(peek(u, WINDOW + VTD_CAP, 8), cap);
    CU_ASSERT_EQUAL(peek(u, WINDOW + 0xf00, 4), 0);
    unit_free(u);
}

static void test_translation_of_dma(void)
{
    struct unit *u = unit_new(39);
    uint64_t value;

    poke(u, 0x200008, 0x1111);
    poke(u, 0x1008, 0x2222);
    CU_ASSERT_EQUAL(dma_read(u, 0x1008, &value), MEMORY_OK);
    CU_ASSERT_EQUAL(value, 0x2222);
    enable_with_one_page(u);
    CU_ASSERT_EQUAL(dma_read(u, 0x1008, &value), MEMORY_OK);
    CU_ASSERT_EQUAL(value, 0x1111);
    CU_ASSERT_EQUAL(dma_write(u, 0x1ff8, 5), MEMORY_OK);
    CU_ASSERT_EQUAL(peek(u, 0x200ff8, 8), 5);
    write32(u, VTD_GCMD, VTD_GCMD_QUEUED);
    CU_ASSERT_EQUAL(dma_read(u, 0x1008, &value), MEMORY_OK);
    CU_ASSERT_EQUAL(value, 0x2222);
    unit_free(u);
}

/* 4 KiB, 2 MiB and 1 GiB, in tables of three and of four levels, up to the last byte of each. */
static void test_pages_of_all_sizes(void)
{
    static const unsigned widths[] = {39, 48};

    for (unsigned i = 0; i < G_N_ELEMENTS(widths); i++) {
        unsigned levels = 3 + i;
        struct unit *u = unit_new(widths[i]);
        uint64_t table = new_table(u), top = VTD_BIT(widths[i]), value;
        const struct {
            uint64_t iova, target;
            unsigned level;
        } pages[] = {
            {0x7000, 0x300000, 1},
            {top - 0x1000, 0x301000, 1},
            {VTD_BIT(36) + 0x200000, 0x1200000, 2},
            {top - VTD_BIT(30) - 0x200000, 0x1400000, 2},
            {VTD_BIT(37), 0, 3},
            {top / 2, 0, 3},
        };

        for (unsigned k = 0; k < G_N_ELEMENTS(pages); k++) {
            map(u, table, levels, pages[k].iova, pages[k].level, pages[k].target, 3);
        }
        set_context(u, REQUESTER, table | 1, (1 + i) | 7 << 8);
        enable(u);
        for (unsigned k = 0; k < G_N_ELEMENTS(pages); k++) {
            uint64_t size = MIN(0x1000ull << 9 * (pages[k].level - 1), RAM_SIZE); /* that is RAM */

            for (unsigned end = 0; end < 2; end++) {
                uint64_t offset = end ? size - 8 : 8, stamp = 1000 * i + 10 * k + end;

                CU_ASSERT_EQUAL(dma_write(u, pages[k].iova + offset, stamp), MEMORY_OK);
                CU_ASSERT_EQUAL(peek(u, pages[k].target + offset, 8), stamp);
                CU_ASSERT_EQUAL(dma_read(u, pages[k].iova + offset, &value), MEMORY_OK);
                CU_ASSERT_EQUAL(value, stamp);
            }
        }
        CU_ASSERT_EQUAL(read32(u, VTD_FSTS), 0);
        CU_ASSERT_NOT_EQUAL(dma_read(u, top, &value), MEMORY_OK);
        expect_fault(u, top, VTD_FAULT_BEYOND_WIDTH, false);
        map(u, table, levels, VTD_BIT(35), 3, 0x200000, 3); /* not at a multiple of its size */
        CU_ASSERT_NOT_EQUAL(dma_read(u, VTD_BIT(35), &value), MEMORY_OK);
        expect_fault(u, VTD_BIT(35), VTD_FAULT_TABLE_RESERVED, false);
        unit_free(u);
    }
}

/* libvfio-user 586: a queue of 16 KiB lay on four pages that were nowhere near each other, and was
 * taken for one piece. */
static void test_dma_over_page_borders(void)
{
    static const uint64_t targets[] = {0x305000, 0x301000, 0x400000, 0x302000};
    struct memory_attributes attributes = {.from_device = true, .requester = REQUESTER};
    struct unit *u = unit_new(48);
    uint64_t table = enable_with_one_page(u);
    uint8_t sent[0x4000], back[0x4000], there[0x1000];

    for (unsigned i = 0; i < 4; i++) {
        map(u, table, 3, 0x10000 + 0x1000 * i, 1, targets[i], 3);
    }
    for (unsigned i = 0; i < sizeof(sent); i++) {
        sent[i] = (uint8_t)(i * 7 + (i >> 12));
    }
    CU_ASSERT_EQUAL(address_space_write(&u->dma, 0x10000, attributes, sent, sizeof(sent)),
                    MEMORY_OK);
    for (unsigned i = 0; i < 4; i++) {
        address_space_read(&u->memory, targets[i], MEMORY_ATTRIBUTES_CPU, there, sizeof(there));
        CU_ASSERT_EQUAL(memcmp(there, sent + 0x1000 * i, sizeof(there)), 0);
    }
    CU_ASSERT_EQUAL(address_space_read(&u->dma, 0x10000, attributes, back, sizeof(back)),
                    MEMORY_OK);
    CU_ASSERT_EQUAL(memcmp(sent, back, sizeof(back)), 0);
    map(u, table, 3, 0x12000, 1, 0, 0); /* a hole in it */
    CU_ASSERT_TRUE(flush_page(u, 7, 0x12000, 0));
    CU_ASSERT_NOT_EQUAL(address_space_read(&u->dma, 0x10000, attributes, back, sizeof(back)),
                        MEMORY_OK);
    expect_fault(u, 0x12000, VTD_FAULT_READ, false);
    unit_free(u);
}

static void test_faults_have_their_reasons(void)
{
    struct unit *u = unit_new(39);
    uint64_t table = enable_with_one_page(u), value;

    map(u, table, 3, 0x3000, 1, 0x201000, 1);
    map(u, table, 3, 0x4000, 1, 0x201000, 2);
    map(u, table, 3, 0x5000, 1, 1ull << 45, 3);
    map(u, table, 3, 0x200000, 2, 0x400000 | 0x1000, 3);
    poke(u, table + 8, (RAM_SIZE * 2) | 3);
    CU_ASSERT_NOT_EQUAL(dma_read(u, 0x2000, &value), MEMORY_OK);
    expect_fault(u, 0x2000, VTD_FAULT_READ, false);
    CU_ASSERT_NOT_EQUAL(dma_write(u, 0x2000, 1), MEMORY_OK);
    expect_fault(u, 0x2000, VTD_FAULT_WRITE, true);
    CU_ASSERT_EQUAL(dma_read(u, 0x3000, &value), MEMORY_OK);
    CU_ASSERT_NOT_EQUAL(dma_write(u, 0x3000, 1), MEMORY_OK);
    expect_fault(u, 0x3000, VTD_FAULT_WRITE, true);
    CU_ASSERT_NOT_EQUAL(dma_read(u, 0x4000, &value), MEMORY_OK);
    expect_fault(u, 0x4000, VTD_FAULT_READ, false);
    CU_ASSERT_NOT_EQUAL(dma_read(u, 0x5000, &value), MEMORY_OK);
    expect_fault(u, 0x5000, VTD_FAULT_TABLE_RESERVED, false);
    CU_ASSERT_NOT_EQUAL(dma_read(u, 0x200000, &value), MEMORY_OK);
    expect_fault(u, 0x200000, VTD_FAULT_TABLE_RESERVED, false); /* misaligned superpage */
    CU_ASSERT_NOT_EQUAL(dma_read(u, 1ull << 30, &value), MEMORY_OK);
    expect_fault(u, 1ull << 30, VTD_FAULT_TABLE_ACCESS, false);
    CU_ASSERT_NOT_EQUAL(dma_read(u, 1ull << 39, &value), MEMORY_OK);
    expect_fault(u, 1ull << 39, VTD_FAULT_BEYOND_WIDTH, false);
    unit_free(u);
}

static void test_context_faults(void)
{
    static const struct {
        uint64_t root, low, high;
        unsigned reason;
    } cases[] = {
        {0, 0, 0, VTD_FAULT_ROOT_NOT_PRESENT},
        {CONTEXTS | 1, 0, 0, VTD_FAULT_CONTEXT_NOT_PRESENT},
        {CONTEXTS | 3, 1, 1, VTD_FAULT_ROOT_RESERVED},
        {RAM_SIZE * 2 | 1, 1, 1, VTD_FAULT_CONTEXT_ACCESS},
        {CONTEXTS | 1, TABLES | 1, 2, VTD_FAULT_CONTEXT_INVALID}, /* 48 bits of 39 */
        {CONTEXTS | 1, TABLES | 1, 0, VTD_FAULT_CONTEXT_INVALID},
        {CONTEXTS | 1, TABLES | 1 | 1 << 2, 1, VTD_FAULT_CONTEXT_INVALID}, /* no device TLB */
        {CONTEXTS | 1, TABLES | 1 | 1 << 5, 1, VTD_FAULT_CONTEXT_RESERVED},
        {CONTEXTS | 1, TABLES | 1, 1 | 1ull << 30, VTD_FAULT_CONTEXT_RESERVED},
    };
    struct unit *u = unit_new(39);
    uint64_t value;

    enable_with_one_page(u);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        set_context(u, REQUESTER, cases[i].low, cases[i].high);
        poke(u, ROOT_TABLE, cases[i].root);
        CU_ASSERT_TRUE(queue(u, 1 | 1 << 4, 0));
        CU_ASSERT_NOT_EQUAL(dma_read(u, 0x1000, &value), MEMORY_OK);
        expect_fault(u, 0x1000, cases[i].reason, false);
    }
    set_context(u, REQUESTER, TABLES | 1 | VTD_FAULT_HIDDEN | 1 << 2, 1);
    CU_ASSERT_TRUE(queue(u, 1 | 1 << 4, 0));
    CU_ASSERT_NOT_EQUAL(dma_read(u, 0x1000, &value), MEMORY_OK);
    CU_ASSERT_EQUAL(read32(u, VTD_FSTS), 0); /* FPD */
    unit_free(u);
}

static void test_fault_event_and_overflow(void)
{
    struct unit *u = unit_new(39);
    uint64_t value;

    enable_with_one_page(u);
    write32(u, VTD_FEDATA, 0x4051);
    write32(u, VTD_FEADDR, 0xfee01000);
    dma_read(u, 0x8000, &value);
    CU_ASSERT_EQUAL(u->interrupts, 0);
    CU_ASSERT(read32(u, VTD_FECTL) & VTD_EVENT_PENDING);
    write32(u, VTD_FECTL, 0);
    CU_ASSERT_EQUAL(u->interrupts, 1);
    CU_ASSERT_EQUAL(u->last_address, 0xfee01000);
    CU_ASSERT_EQUAL(u->last_data, 0x4051);
    dma_read(u, 0x8000, &value); /* the same: not recorded again */
    dma_read(u, 0x9000, &value);
    CU_ASSERT_EQUAL(read32(u, VTD_FSTS) & VTD_FSTS_OVERFLOW, 0);
    dma_read(u, 0xa000, &value);
    CU_ASSERT_EQUAL(read32(u, VTD_FSTS) & VTD_FSTS_OVERFLOW, VTD_FSTS_OVERFLOW);
    CU_ASSERT_EQUAL(u->interrupts, 1);
    write32(u, VTD_FRCD + 12, 1u << 31);
    write32(u, VTD_FRCD + 28, 1u << 31);
    write32(u, VTD_FSTS, VTD_FSTS_OVERFLOW);
    CU_ASSERT_EQUAL(read32(u, VTD_FSTS) & 0xff, 0);
    dma_read(u, 0xb000, &value);
    CU_ASSERT_EQUAL(u->interrupts, 2);
    unit_free(u);
}

static void test_unmap_is_seen_after_its_invalidation(void)
{
    struct unit *u = unit_new(39);
    uint64_t table = enable_with_one_page(u), value;

    CU_ASSERT_EQUAL(dma_read(u, 0x1000, &value), MEMORY_OK);
    map(u, table, 3, 0x1000, 1, 0, 0);
    CU_ASSERT_TRUE(flush_page(u, 7, 0x1000, 0));
    CU_ASSERT_NOT_EQUAL(dma_read(u, 0x1000, &value), MEMORY_OK);
    map(u, table, 3, 0x1000, 1, 0x300000, 3);
    CU_ASSERT_TRUE(flush_page(u, 7, 0x1000, 0));
    CU_ASSERT_EQUAL(dma_write(u, 0x1000, 99), MEMORY_OK);
    CU_ASSERT_EQUAL(peek(u, 0x300000, 8), 99);
    unit_free(u);
}

static struct iommu_notifier notifier_for(struct fixture_host *host)
{
    struct iommu_notifier notifier = fixture_notifier(host);

    return notifier;
}

/* The point of it all: a device plugged behind a unit that already maps. */
static void test_hotplug_behind_live_mappings(void)
{
    struct unit *u = unit_new(48);
    struct fixture_host host = {0};
    struct iommu_notifier notifier = notifier_for(&host);
    uint64_t table = new_table(u);

    set_context(u, REQUESTER, table | 1, 2 | 7 << 8);
    for (unsigned i = 0; i < 100; i++) {
        map(u, table, 4, i * 0x2000, 1, 0x200000 + i * 0x1000, 3);
    }
    enable(u);
    CU_ASSERT_TRUE(iommu_notifier_register(vtd_device_iommu(u->device), &notifier, NULL));
    CU_ASSERT_EQUAL(host.mapped, 100);
    CU_ASSERT_EQUAL(host.pages[2 * 57].translated, 0x200000 + 57 * 0x1000);
    map(u, table, 4, 0x2000, 1, 0, 0);
    map(u, table, 4, 0x1000, 1, 0x500000, 1);
    CU_ASSERT_EQUAL(host.mapped, 100);
    CU_ASSERT_TRUE(flush_page(u, 7, 0, 2));
    CU_ASSERT_EQUAL(host.mapped, 100);
    CU_ASSERT_EQUAL(host.pages[2].access, 0);
    CU_ASSERT_EQUAL(host.pages[1].access, IOMMU_READ);
    CU_ASSERT_TRUE(flush_page(u, 8, 0, 2)); /* another domain */
    CU_ASSERT_EQUAL(host.calls, 102);
    set_context(u, REQUESTER, 0, 0);
    CU_ASSERT_TRUE(queue(u, 1 | 3 << 4 | (uint64_t)REQUESTER << 32, 0));
    CU_ASSERT_EQUAL(host.mapped, 0);
    set_context(u, REQUESTER, table | 1, 2 | 9 << 8);
    CU_ASSERT_TRUE(queue(u, 1 | 3 << 4 | (uint64_t)REQUESTER << 32, 0));
    CU_ASSERT_EQUAL(host.mapped, 100);
    vtd_reset(u->vtd);
    CU_ASSERT_EQUAL(host.mapped, 0);
    CU_ASSERT_TRUE(iommu_notifier_unregister(&notifier, NULL));
    unit_free(u);
}

static void test_without_caching_mode_map_is_refused(void)
{
    struct unit *u = unit_new(48);
    struct fixture_host host = {0};
    struct iommu_notifier notifier = notifier_for(&host);
    g_autoptr(GError) error = NULL;

    u->vtd->config.caching_mode = false;
    CU_ASSERT_FALSE(iommu_notifier_register(vtd_device_iommu(u->device), &notifier, &error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(error);
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "caching-mode=on"));
    unit_free(u);
}

static void test_pass_through_and_back(void)
{
    struct unit *u = unit_new(39);
    uint64_t table = enable_with_one_page(u), value;

    poke(u, 0x1000, 0xaa);
    poke(u, 0x200000, 0xbb);
    for (unsigned round = 0; round < 3; round++) {
        set_context(u, REQUESTER, 1 | VTD_PASS_THROUGH << 2, 1 | 7 << 8);
        CU_ASSERT_TRUE(queue(u, 1 | 3 << 4 | (uint64_t)REQUESTER << 32, 0));
        CU_ASSERT_EQUAL(dma_read(u, 0x1000, &value), MEMORY_OK);
        CU_ASSERT_EQUAL(value, 0xaa);
        set_context(u, REQUESTER, table | 1, 1 | 7 << 8);
        CU_ASSERT_TRUE(queue(u, 1 | 3 << 4 | (uint64_t)REQUESTER << 32, 0));
        CU_ASSERT_EQUAL(dma_read(u, 0x1000, &value), MEMORY_OK);
        CU_ASSERT_EQUAL(value, 0xbb);
    }
    unit_free(u);
}

static void test_register_invalidation(void)
{
    struct unit *u = unit_new(39);
    uint64_t table = enable_with_one_page(u), value;

    CU_ASSERT_EQUAL(dma_read(u, 0x1000, &value), MEMORY_OK);
    map(u, table, 3, 0x1000, 1, 0, 0);
    write64(u, VTD_IVA, 0x1000);
    write64(u, VTD_IOTLB, VTD_COMMAND_BUSY | 3ull << 60 | 7ull << 32);
    CU_ASSERT_EQUAL(peek(u, WINDOW + VTD_IOTLB, 8) >> 63, 0);
    CU_ASSERT_EQUAL(vtd_field(peek(u, WINDOW + VTD_IOTLB, 8), 58, 57), 3);
    CU_ASSERT_NOT_EQUAL(dma_read(u, 0x1000, &value), MEMORY_OK);
    set_context(u, REQUESTER, 0, 0);
    write64(u, VTD_CCMD, VTD_COMMAND_BUSY | 1ull << 61);
    CU_ASSERT_EQUAL(peek(u, WINDOW + VTD_CCMD, 8) >> 63, 0);
    CU_ASSERT_EQUAL(vtd_field(peek(u, WINDOW + VTD_CCMD, 8), 60, 59), 1);
    unit_free(u);
}

static void test_queue_wraps_and_interrupts(void)
{
    struct unit *u = unit_new(39);

    enable_with_one_page(u);
    for (unsigned i = 0; i < 300; i++) {
        CU_ASSERT_TRUE(flush_page(u, 7, 0x1000, 0));
    }
    write32(u, VTD_IEDATA, 0x33);
    write32(u, VTD_IEADDR, 0xfee00000);
    write32(u, VTD_IECTL, 0);
    queue(u, 5 | VTD_WAIT_INTERRUPT, 0);
    CU_ASSERT_EQUAL(u->interrupts, 1);
    CU_ASSERT_EQUAL(u->last_data, 0x33);
    CU_ASSERT_EQUAL(read32(u, VTD_ICS), 1);
    queue(u, 5 | VTD_WAIT_INTERRUPT, 0);
    CU_ASSERT_EQUAL(u->interrupts, 1); /* not before the status is cleared */
    write32(u, VTD_ICS, 1);
    queue(u, 5 | VTD_WAIT_INTERRUPT, 0);
    CU_ASSERT_EQUAL(u->interrupts, 2);
    unit_free(u);
}

static void test_bad_descriptors_stop_the_queue(void)
{
    static const uint64_t bad[][2] = {{0, 0}, {9, 0}, {2, 0}, {2 | 3 << 4, 0x80}, {3, 0}, {1, 0}};

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        struct unit *u = unit_new(39);
        uint64_t head;

        enable_with_one_page(u);
        head = peek(u, WINDOW + VTD_IQH, 8);
        CU_ASSERT_FALSE(queue(u, bad[i][0], bad[i][1]));
        CU_ASSERT_EQUAL(peek(u, WINDOW + VTD_IQH, 8), head);
        CU_ASSERT(read32(u, VTD_FSTS) & VTD_FSTS_QUEUE_ERROR);
        poke(u, QUEUE + head, 2 | 1 << 4); /* software mends it and clears the error */
        poke(u, QUEUE + head + 8, 0);
        write32(u, VTD_FSTS, VTD_FSTS_QUEUE_ERROR);
        CU_ASSERT_EQUAL(peek(u, STATUS, 4), 0x1234);
        CU_ASSERT_EQUAL(read32(u, VTD_FSTS), 0);
        unit_free(u);
    }
}

/* Descriptors are fetched several at a time: those before a bad one are executed, and IQH shows it.
 */
static void test_bad_descriptor_among_good_ones(void)
{
    for (unsigned bad = 0; bad < 9; bad++) {
        struct unit *u = unit_new(39);
        uint64_t head;

        enable_with_one_page(u);
        head = peek(u, WINDOW + VTD_IQH, 8);
        poke(u, STATUS, 0);
        for (unsigned i = 0; i < 9; i++) {
            poke(u, QUEUE + head + 16 * i, i == bad ? 9 : 5 | VTD_WAIT_STATUS | (i + 1ull) << 32);
            poke(u, QUEUE + head + 16 * i + 8, STATUS);
        }
        write64(u, VTD_IQT, head + 16 * 9);
        CU_ASSERT_EQUAL(peek(u, WINDOW + VTD_IQH, 8), head + 16 * bad);
        CU_ASSERT_EQUAL(peek(u, STATUS, 4), bad);
        CU_ASSERT(read32(u, VTD_FSTS) & VTD_FSTS_QUEUE_ERROR);
        unit_free(u);
    }
}

/* Where memory ends in the middle of the queue, what lies in it is executed. */
static void test_queue_at_the_end_of_memory(void)
{
    const uint64_t start = RAM_SIZE - 4096;
    struct unit *u = unit_new(39);

    enable_with_one_page(u);
    write32(u, VTD_GCMD, VTD_GCMD_TRANSLATION);
    for (unsigned i = 0; i < 256; i++) {
        poke(u, start + 16 * i, 5 | VTD_WAIT_STATUS | (i + 1ull) << 32);
        poke(u, start + 16 * i + 8, STATUS);
    }
    write64(u, VTD_IQT, 0);
    write64(u, VTD_IQA, start | 1); /* of two pages */
    write32(u, VTD_GCMD, VTD_GCMD_TRANSLATION | VTD_GCMD_QUEUED);
    write64(u, VTD_IQT, 16);
    CU_ASSERT_EQUAL(peek(u, STATUS, 4), 1);
    write64(u, VTD_IQT, 4096 + 32);
    CU_ASSERT_EQUAL(peek(u, STATUS, 4), 256);
    CU_ASSERT_EQUAL(peek(u, WINDOW + VTD_IQH, 8), 4096);
    CU_ASSERT(read32(u, VTD_FSTS) & VTD_FSTS_QUEUE_ERROR);
    unit_free(u);
}

/* A queue that is made smaller than its head: the head is brought into it. */
static void test_queue_that_shrinks(void)
{
    struct unit *u = unit_new(39);

    enable_with_one_page(u);
    write32(u, VTD_GCMD, VTD_GCMD_TRANSLATION);
    for (unsigned i = 0; i < 257; i++) {
        poke(u, QUEUE + 16 * i, 5);
        poke(u, QUEUE + 16 * i + 8, 0);
    }
    write64(u, VTD_IQT, 0);
    write64(u, VTD_IQA, QUEUE | 1);
    write32(u, VTD_GCMD, VTD_GCMD_TRANSLATION | VTD_GCMD_QUEUED);
    write64(u, VTD_IQT, 4096 + 16);
    CU_ASSERT_EQUAL(peek(u, WINDOW + VTD_IQH, 8), 4096 + 16);
    write64(u, VTD_IQA, QUEUE);
    poke(u, QUEUE + 16, 9); /* not to be executed: the queue is empty */
    write64(u, VTD_IQT, 16);
    CU_ASSERT_EQUAL(peek(u, WINDOW + VTD_IQH, 8), 16);
    CU_ASSERT_EQUAL(read32(u, VTD_FSTS) & VTD_FSTS_QUEUE_ERROR, 0);
    unit_free(u);
}

#define OTHER_QUEUE  0x13000ull
#define OTHER_STATUS (STATUS + 8)

static void switch_queue_off(struct unit *u)
{
    write32(u, VTD_GCMD, VTD_GCMD_TRANSLATION);
    CU_ASSERT_EQUAL(read32(u, VTD_IQH), 0);
}

static void switch_to_another_queue(struct unit *u)
{
    switch_queue_off(u);
    write64(u, VTD_IQT, 0);
    write64(u, VTD_IQA, OTHER_QUEUE);
    poke(u, OTHER_QUEUE, 5 | VTD_WAIT_STATUS | 0x5678ull << 32);
    poke(u, OTHER_QUEUE + 8, OTHER_STATUS);
    write32(u, VTD_GCMD, VTD_GCMD_TRANSLATION | VTD_GCMD_QUEUED);
    write64(u, VTD_IQT, 16);
}

/* Another processor switches the queue off while a descriptor is executed that needs the unit's
 * lock let go: what was fetched behind it is not executed, and another queue begins at its start.
 */
static void test_queue_that_goes_meanwhile(void)
{
    struct unit *u = unit_new(48);

    enable(u);
    u->on_change = switch_queue_off;
    CU_ASSERT_FALSE(queue(u, VTD_INVALIDATE_INTERRUPT, 0));
    CU_ASSERT_EQUAL(u->changes, 1);
    CU_ASSERT_EQUAL(read32(u, VTD_IQH), 0);
    write64(u, VTD_IQT, u->tail = 0);
    write32(u, VTD_GCMD, VTD_GCMD_TRANSLATION | VTD_GCMD_QUEUED);
    u->on_change = switch_to_another_queue;
    CU_ASSERT_FALSE(queue(u, VTD_INVALIDATE_INTERRUPT, 0));
    CU_ASSERT_EQUAL(peek(u, OTHER_STATUS, 4), 0x5678);
    CU_ASSERT_EQUAL(read32(u, VTD_IQH), 16);
    CU_ASSERT_EQUAL(read32(u, VTD_FSTS), 0);
    unit_free(u);
}

/* Tail past the end, a queue in nothing, in the registers, a status written to the registers. */
static void test_hostile_queues_end(void)
{
    struct unit *u = unit_new(39);

    enable_with_one_page(u);
    write64(u, VTD_IQT, 0x7fff0);
    CU_ASSERT(read32(u, VTD_FSTS) & VTD_FSTS_QUEUE_ERROR);
    write64(u, VTD_IQT, 0);
    write32(u, VTD_FSTS, VTD_FSTS_QUEUE_ERROR);
    write64(u, VTD_IQA, RAM_SIZE * 4);
    write64(u, VTD_IQT, 16);
    CU_ASSERT(read32(u, VTD_FSTS) & VTD_FSTS_QUEUE_ERROR);
    write64(u, VTD_IQA, WINDOW);
    write32(u, VTD_FSTS, VTD_FSTS_QUEUE_ERROR);
    CU_ASSERT(read32(u, VTD_FSTS) & VTD_FSTS_QUEUE_ERROR);
    write64(u, VTD_IQA, QUEUE);
    poke(u, QUEUE, 5 | VTD_WAIT_STATUS | 0x20ull << 32);
    poke(u, QUEUE + 8, WINDOW + VTD_IQT);
    write32(u, VTD_FSTS, VTD_FSTS_QUEUE_ERROR);
    CU_ASSERT_EQUAL(peek(u, WINDOW + VTD_IQH, 8), 16);
    unit_free(u);
}

struct collected {
    unsigned count;
    uint64_t last_end;
    bool ordered;
    const struct unit *unit;
};

static bool collect(void *opaque, const struct iommu_mapping *mapping, GError **error)
{
    struct collected *c = opaque;

    c->ordered &= mapping->iova >= c->last_end;
    c->last_end = mapping->iova + mapping->length;
    c->count++;
    return true;
}

/* Random tables, some entries broken: a walk says what lookups of each page say. */
static void test_walk_equals_lookups(void)
{
    GRand *random = test_seeded_rand();

    for (unsigned round = 0; round < 20; round++) {
        struct unit *u = unit_new(48);
        struct vtd_context context = {.levels = (uint8_t)(3 + round % 2), .table = new_table(u)};
        struct collected c = {.ordered = true};
        uint64_t found = 0;

        for (unsigned i = 0; i < 60; i++) {
            unsigned level = 1 + (unsigned)g_rand_int_range(random, 0, 10) / 8;
            uint64_t iova = (uint64_t)g_rand_int_range(random, 0, 4096) << 12;

            map(u, context.table, context.levels, level == 2 ? iova & ~0x1fffffull : iova, level,
                (uint64_t)g_rand_int_range(random, 0, 8) << 21, g_rand_int_range(random, 0, 4));
            if (i % 20 == 0) { /* 1 GiB, in places where no smaller page is */
                map(u, context.table, context.levels, (uint64_t)(1 + i / 20) << 30, 3,
                    (uint64_t)g_rand_int_range(random, 0, 4) << 30, g_rand_int_range(random, 0, 4));
            }
        }
        CU_ASSERT_TRUE(vtd_second_walk(&u->vtd->tables, &context, (struct range){0, 1ull << 47},
                                       collect, &c, NULL));
        CU_ASSERT_TRUE(c.ordered);
        for (uint64_t iova = 0; iova < 4ull << 30;) {
            struct iommu_mapping m = {.length = 4096};
            struct vtd_leaf_table leaf = {0};
            bool ok = vtd_second_lookup(&u->vtd->tables, &context, iova, false, &leaf, &m) == 0 ||
                      vtd_second_lookup(&u->vtd->tables, &context, iova, true, &leaf, &m) == 0;

            found += ok;
            iova = ok                     ? m.iova + m.length
                   : iova < 4096ull << 12 ? iova + 4096
                                          : (iova | 0x1fffff) + 1;
        }
        CU_ASSERT_EQUAL(found, c.count);
        unit_free(u);
    }
    g_rand_free(random);
}

/* A table linked into itself, wide open: a replay ends at the host's limit, in an error. */
static void test_page_table_loop_ends(void)
{
    struct unit *u = unit_new(48);
    struct fixture_host host = {.limit = 50};
    struct iommu_notifier notifier = notifier_for(&host);
    uint64_t table = new_table(u);

    for (unsigned i = 0; i < 512; i++) {
        poke(u, table + i * 8, table | 3);
    }
    set_context(u, REQUESTER, table | 1, 2 | 7 << 8);
    enable(u);
    CU_ASSERT_FALSE(iommu_notifier_register(vtd_device_iommu(u->device), &notifier, NULL));
    CU_ASSERT_EQUAL(host.mapped, 0);
    unit_free(u);
}

/* The same with nothing at its end: 2^27 empty tables, of which a walk reads so many as it may. */
static void test_page_table_loop_without_pages_ends(void)
{
    struct unit *u = unit_new(48);
    struct fixture_host host = {0};
    struct iommu_notifier notifier = notifier_for(&host);
    uint64_t tables[4] = {new_table(u), new_table(u), new_table(u), new_table(u)};
    g_autoptr(GError) error = NULL;

    u->vtd->tables.walk_limit = 5000;
    notifier.range = (struct range){0, VTD_BIT(48)};
    for (unsigned level = 0; level < 3; level++) {
        for (unsigned i = 0; i < 512; i++) {
            poke(u, tables[level] + i * 8, tables[level + 1] | 3);
        }
    }
    set_context(u, REQUESTER, tables[0] | 1, 2 | 7 << 8);
    enable(u);
    CU_ASSERT_FALSE(iommu_notifier_register(vtd_device_iommu(u->device), &notifier, &error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(error);
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "more than 5000 tables and mappings"));
    CU_ASSERT_EQUAL(host.mapped, 0);
    unit_free(u);
}

/* Unless in caching mode, a guest need not tell of a context that it makes present. */
static void test_new_context_needs_no_invalidation(void)
{
    struct unit *u = unit_new(48);
    uint64_t table = new_table(u), value;

    set_context(u, REQUESTER, 0, 0);
    enable(u);
    CU_ASSERT_NOT_EQUAL(dma_read(u, 0x5000, &value), MEMORY_OK);
    expect_fault(u, 0x5000, VTD_FAULT_CONTEXT_NOT_PRESENT, false);
    map(u, table, 4, 0x5000, 1, 0x200000, 3);
    poke(u, 0x200000, 0x1234);
    set_context(u, REQUESTER, table | 1, 2 | 7 << 8);
    CU_ASSERT_EQUAL(dma_read(u, 0x5000, &value), MEMORY_OK);
    CU_ASSERT_EQUAL(value, 0x1234);
    set_context(u, REQUESTER, VTD_PASS_THROUGH << 2 | 1, 2 | 7 << 8);
    CU_ASSERT_EQUAL(dma_read(u, 0x200000, &value), MEMORY_OK);
    CU_ASSERT_EQUAL(value, 0x1234);
    unit_free(u);
}

static void test_saved_and_loaded(void)
{
    struct unit *u = unit_new(48);
    struct vtd_state state, other;
    uint64_t table = enable_with_one_page(u), value, before;

    CU_ASSERT_EQUAL(dma_read(u, 0x1000, &before), MEMORY_OK);
    vtd_save(u->vtd, &state);
    vtd_reset(u->vtd);
    CU_ASSERT_EQUAL(read32(u, VTD_GSTS), 0);
    other = state;
    other.registers[VTD_CAP] ^= 1; /* of a unit that is configured in another way */
    CU_ASSERT_FALSE(vtd_load(u->vtd, &other));
    other = state;
    other.next_fault = VTD_FAULT_RECORDS;
    CU_ASSERT_FALSE(vtd_load(u->vtd, &other));
    other = state;
    store_le64(&other.registers[VTD_IQH], 8);
    CU_ASSERT_FALSE(vtd_load(u->vtd, &other));
    CU_ASSERT_EQUAL(read32(u, VTD_GSTS), 0);
    CU_ASSERT_TRUE(vtd_load(u->vtd, &state));
    CU_ASSERT(read32(u, VTD_GSTS) & VTD_GCMD_TRANSLATION);
    CU_ASSERT_EQUAL(dma_read(u, 0x1000, &value), MEMORY_OK);
    CU_ASSERT_EQUAL(value, before);
    map(u, table, 3, 0x1000, 1, 0, 0);
    CU_ASSERT_TRUE(flush_page(u, 7, 0x1000, 0));
    CU_ASSERT_NOT_EQUAL(dma_read(u, 0x1000, &value), MEMORY_OK);
    unit_free(u);
}

/* Interrupt remapping. */

static void set_interrupt_entry(struct unit *u, unsigned index, uint64_t low, uint64_t high)
{
    poke(u, IR_TABLE + index * 16, low);
    poke(u, IR_TABLE + index * 16 + 8, high);
}

static void enable_interrupts(struct unit *u, bool extended)
{
    write64(u, VTD_IRTA, IR_TABLE | (extended ? 1 << 11 : 0) | 6); /* 128 entries */
    write32(u, VTD_GCMD, VTD_GCMD_REMAPPING_TABLE);
    write32(u, VTD_GCMD, VTD_GCMD_REMAPPING);
    CU_ASSERT(read32(u, VTD_GSTS) & VTD_GCMD_REMAPPING);
}

static void send_message(struct unit *u, uint32_t address, uint32_t data)
{
    address_space_store(&u->dma, address, 4,
                        (struct memory_attributes){.from_device = true, .requester = REQUESTER},
                        data);
}

static void test_interrupt_remapping(void)
{
    struct unit *u = unit_new(39);

    send_message(u, 0xfee01000, 0x41);
    CU_ASSERT_EQUAL(u->last_data, 0x41);
    set_interrupt_entry(u, 5, 1 | 0x52 << 16 | 0x03ull << 40, 1 << 18 | REQUESTER);
    enable_interrupts(u, false);
    CU_ASSERT_EQUAL(u->changes, 1);
    send_message(u, 0xfee00000 | 1 << 4 | 5 << 5, 0);
    CU_ASSERT_EQUAL(u->interrupts, 2);
    CU_ASSERT_EQUAL(u->last_address, 0xfee03000);
    CU_ASSERT_EQUAL(u->last_data & 0xff, 0x52);
    send_message(u, 0xfee00000 | 1 << 4 | 1 << 3 | 2 << 5, 3); /* with a subhandle */
    CU_ASSERT_EQUAL(u->interrupts, 3);
    unit_free(u);
}

static void test_extended_destination(void)
{
    struct unit *u = unit_new(39);

    set_interrupt_entry(u, 0, 1 | 0x52 << 16 | 0x12345ull << 32, 0);
    enable_interrupts(u, true);
    send_message(u, 0xfee00010, 0);
    CU_ASSERT_EQUAL(u->last_address, 0xfee45000 | 0x123ull << 40);
    unit_free(u);
}

static void test_interrupt_faults(void)
{
    static const struct {
        uint32_t address;
        uint64_t low, high;
        unsigned reason;
    } cases[] = {
        {0xfee01000, 0, 0, VTD_FAULT_INTERRUPT_COMPATIBILITY},
        {0xfee00010 | 128 << 5, 0, 0, VTD_FAULT_INTERRUPT_INDEX},
        {0xfee00010, 0, 0, VTD_FAULT_INTERRUPT_NOT_PRESENT},
        {0xfee00010, 1 | 1 << 15, 0, VTD_FAULT_INTERRUPT_ENTRY_RESERVED},
        {0xfee00010, 1, 1 << 18 | 0x99, VTD_FAULT_INTERRUPT_SOURCE},
        {0xfee00010, 1, 2 << 18 | 0x0507, VTD_FAULT_INTERRUPT_SOURCE},
        {0xfee00010, 1, 3 << 18, VTD_FAULT_INTERRUPT_SOURCE},
    };
    struct unit *u = unit_new(39);

    enable_interrupts(u, false);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t index = vtd_field(cases[i].address, 19, 5);

        set_interrupt_entry(u, 0, cases[i].low, cases[i].high);
        send_message(u, cases[i].address, 0);
        CU_ASSERT_EQUAL(u->interrupts, 0);
        expect_fault(u, cases[i].address & 0x10 ? index << 48 : 0, cases[i].reason, true);
    }
    unit_free(u);
}

static const struct unit_test tests[] = {
    {"registers at power-on", test_registers_at_power_on},
    {"translation of DMA", test_translation_of_dma},
    {"pages of all sizes", test_pages_of_all_sizes},
    {"DMA over page borders", test_dma_over_page_borders},
    {"faults have their reasons", test_faults_have_their_reasons},
    {"context faults", test_context_faults},
    {"fault event and overflow", test_fault_event_and_overflow},
    {"an unmap is seen after its invalidation", test_unmap_is_seen_after_its_invalidation},
    {"hotplug behind live mappings", test_hotplug_behind_live_mappings},
    {"without caching mode MAP is refused", test_without_caching_mode_map_is_refused},
    {"pass-through and back", test_pass_through_and_back},
    {"register invalidation", test_register_invalidation},
    {"queue wraps and interrupts", test_queue_wraps_and_interrupts},
    {"bad descriptors stop the queue", test_bad_descriptors_stop_the_queue},
    {"bad descriptor among good ones", test_bad_descriptor_among_good_ones},
    {"queue at the end of memory", test_queue_at_the_end_of_memory},
    {"queue that shrinks", test_queue_that_shrinks},
    {"queue that goes meanwhile", test_queue_that_goes_meanwhile},
    {"hostile queues end", test_hostile_queues_end},
    {"a walk equals lookups", test_walk_equals_lookups},
    {"a page-table loop ends", test_page_table_loop_ends},
    {"a page-table loop without pages ends", test_page_table_loop_without_pages_ends},
    {"a new context needs no invalidation", test_new_context_needs_no_invalidation},
    {"saved and loaded", test_saved_and_loaded},
    {"interrupt remapping", test_interrupt_remapping},
    {"extended destination", test_extended_destination},
    {"interrupt faults", test_interrupt_faults},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("vtd", tests);
}
