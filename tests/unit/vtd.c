/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VT-d model, driven as a guest drives it: tables in memory, registers, the queue. */
#include "iommu/vtd.h"
#include "iommu/vtd-spec.h"
#include "unit/iommu-fixture.h"
#include "unit/suite.h"
#include "util/little-endian.h"

#define RAM_SIZE   (64ull << 20)
#define WINDOW     0xfed90000ull
#define ROOT_TABLE 0x10000ull
#define CONTEXTS   0x11000ull
#define QUEUE      0x12000ull
#define STATUS     0x14000ull
#define IR_TABLE   0x15000ull
#define TABLES     0x100000ull /* second-stage tables from here on */
#define REQUESTER  0x0010      /* 00:02.0 */

struct unit {
    struct memory_region system, ram;
    struct address_space memory, dma;
    struct vtd *vtd;
    struct vtd_device *device;
    uint64_t next_table;
    uint64_t tail; /* of the queue, bytes */
    unsigned interrupts, changes;
    uint64_t last_address;
    uint32_t last_data;
};

static void send_interrupt(void *opaque, uint64_t address, uint32_t data)
{
    struct unit *u = opaque;

    u->interrupts++;
    u->last_address = address;
    u->last_data = data;
}

static void interrupts_changed(void *opaque)
{
    ((struct unit *)opaque)->changes++;
}

static void poke(struct unit *u, gpa_t address, uint64_t value)
{
    CU_ASSERT_EQUAL_FATAL(address_space_store(&u->memory, address, 8, MEMORY_ATTRIBUTES_CPU, value),
                          MEMORY_OK);
}

static uint64_t peek(struct unit *u, gpa_t address, unsigned size)
{
    uint64_t value = 0;

    CU_ASSERT_EQUAL(address_space_load(&u->memory, address, size, MEMORY_ATTRIBUTES_CPU, &value),
                    MEMORY_OK);
    return value;
}

static void write32(struct unit *u, unsigned offset, uint32_t value)
{
    CU_ASSERT_EQUAL(
        address_space_store(&u->memory, WINDOW + offset, 4, MEMORY_ATTRIBUTES_CPU, value),
        MEMORY_OK);
}

static void write64(struct unit *u, unsigned offset, uint64_t value)
{
    poke(u, WINDOW + offset, value);
}

static uint32_t read32(struct unit *u, unsigned offset)
{
    return (uint32_t)peek(u, WINDOW + offset, 4);
}

static struct unit *unit_new(unsigned width)
{
    struct vtd_config config = {.host_width = 40,
                                .iova_width = width,
                                .caching_mode = true,
                                .interrupt_remapping = true,
                                .extended_interrupts = true,
                                .pass_through = true};
    struct unit *u = g_new0(struct unit, 1);
    struct vtd_host host = {send_interrupt, interrupts_changed, NULL, u};

    memory_region_init_container(&u->system, "system", 1ull << 52);
    CU_ASSERT_TRUE_FATAL(memory_region_init_ram(&u->ram, "ram", RAM_SIZE, NULL));
    memory_region_add_subregion(&u->system, 0, &u->ram);
    address_space_init(&u->memory, &u->system, "memory");
    u->vtd = vtd_new(&config, &host, &u->memory, &u->system);
    memory_region_add_subregion(&u->system, WINDOW, &u->vtd->window);
    u->device = vtd_get_device(u->vtd, REQUESTER);
    address_space_init(&u->dma, vtd_device_root(u->device), "dma");
    u->next_table = TABLES;
    return u;
}

static void unit_free(struct unit *u)
{
    address_space_destroy(&u->dma);
    vtd_put_device(u->device);
    vtd_free(u->vtd);
    address_space_destroy(&u->memory);
    memory_region_destroy(&u->ram);
    memory_region_destroy(&u->system);
    g_free(u);
}

/* Guest software. */

static void set_context(struct unit *u, uint16_t requester, uint64_t low, uint64_t high)
{
    poke(u, ROOT_TABLE + (requester >> 8) * 16, CONTEXTS | 1);
    poke(u, CONTEXTS + (requester & 0xff) * 16, low);
    poke(u, CONTEXTS + (requester & 0xff) * 16 + 8, high);
}

static uint64_t new_table(struct unit *u)
{
    uint64_t table = u->next_table;

    u->next_table += 4096;
    return table;
}

/* Map one page of 2^(12 + 9 * (level - 1)) bytes in a table of `levels`. */
static void map(struct unit *u, uint64_t table, unsigned levels, uint64_t iova, unsigned level,
                uint64_t target, uint64_t bits)
{
    for (unsigned i = levels; i > level; i--) {
        uint64_t at = table + (iova >> (12 + 9 * (i - 1)) & 511) * 8, entry = peek(u, at, 8);

        if (!entry) {
            entry = new_table(u) | 3;
            poke(u, at, entry);
        }
        table = entry & ~0xfffull;
    }
    poke(u, table + (iova >> (12 + 9 * (level - 1)) & 511) * 8,
         bits ? target | bits | (level > 1 ? 0x80 : 0) : 0);
}

static void enable(struct unit *u)
{
    write64(u, VTD_RTADDR, ROOT_TABLE);
    write32(u, VTD_GCMD, VTD_GCMD_ROOT_TABLE);
    CU_ASSERT(read32(u, VTD_GSTS) & VTD_GCMD_ROOT_TABLE);
    write64(u, VTD_IQA, QUEUE);
    write32(u, VTD_GCMD, VTD_GCMD_QUEUED);
    write32(u, VTD_GCMD, VTD_GCMD_QUEUED | VTD_GCMD_TRANSLATION);
    CU_ASSERT_EQUAL(read32(u, VTD_GSTS),
                    VTD_GCMD_ROOT_TABLE | VTD_GCMD_QUEUED | VTD_GCMD_TRANSLATION);
}

/* Queue a descriptor and a wait for it; true if the wait's status was written. */
static bool queue(struct unit *u, uint64_t low, uint64_t high)
{
    poke(u, STATUS, 0);
    poke(u, QUEUE + u->tail, low);
    poke(u, QUEUE + u->tail + 8, high);
    u->tail = (u->tail + 16) % 4096;
    poke(u, QUEUE + u->tail, 5 | VTD_WAIT_STATUS | 0x1234ull << 32);
    poke(u, QUEUE + u->tail + 8, STATUS);
    u->tail = (u->tail + 16) % 4096;
    write64(u, VTD_IQT, u->tail);
    return peek(u, STATUS, 4) == 0x1234;
}

static bool flush_page(struct unit *u, uint16_t domain, uint64_t iova, unsigned mask)
{
    return queue(u, 2 | 3 << 4 | (uint64_t)domain << 16, iova | mask);
}

static enum memory_result dma_read(struct unit *u, uint64_t iova, uint64_t *value)
{
    return address_space_load(
        &u->dma, iova, 8, (struct memory_attributes){.from_device = true, .requester = REQUESTER},
        value);
}

static enum memory_result dma_write(struct unit *u, uint64_t iova, uint64_t value)
{
    return address_space_store(
        &u->dma, iova, 8, (struct memory_attributes){.from_device = true, .requester = REQUESTER},
        value);
}

static void expect_fault(struct unit *u, uint64_t page, unsigned reason, bool is_write)
{
    unsigned record = vtd_field(read32(u, VTD_FSTS), 15, 8);
    unsigned at = VTD_FRCD + 16 * record;
    uint64_t high = peek(u, WINDOW + at + 8, 8);

    CU_ASSERT(read32(u, VTD_FSTS) & VTD_FSTS_PENDING);
    CU_ASSERT_EQUAL(peek(u, WINDOW + at, 8), page);
    CU_ASSERT_EQUAL(vtd_field(high, 39, 32), reason);
    CU_ASSERT_EQUAL(vtd_field(high, 15, 0), REQUESTER);
    CU_ASSERT_EQUAL(vtd_field(high, 62, 62), !is_write);
    CU_ASSERT_EQUAL(vtd_field(high, 63, 63), 1);
    write32(u, at + 12, 1u << 31);
    CU_ASSERT_EQUAL(read32(u, VTD_FSTS) & VTD_FSTS_PENDING, 0);
}

/* One page at IOVA 0x1000 -> 0x200000, domain 7, three levels. */
static uint64_t enable_with_one_page(struct unit *u)
{
    uint64_t table = new_table(u);

    map(u, table, 3, 0x1000, 1, 0x200000, 3);
    set_context(u, REQUESTER, table | 1, 1 | 7 << 8);
    enable(u);
    return table;
}

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
            unsigned level = g_rand_int_range(random, 0, 8) ? 1 : 2;
            uint64_t iova = (uint64_t)g_rand_int_range(random, 0, 4096) << 12;

            map(u, context.table, context.levels, level == 2 ? iova & ~0x1fffffull : iova, level,
                (uint64_t)g_rand_int_range(random, 0, 8) << 21, g_rand_int_range(random, 0, 4));
        }
        CU_ASSERT_TRUE(vtd_second_walk(&u->vtd->tables, &context, (struct range){0, 1ull << 47},
                                       collect, &c, NULL));
        CU_ASSERT_TRUE(c.ordered);
        for (uint64_t iova = 0; iova < 4096ull << 12;) {
            struct iommu_mapping m = {.length = 4096};
            struct vtd_leaf_table leaf = {0};
            bool ok = vtd_second_lookup(&u->vtd->tables, &context, iova, false, &leaf, &m) == 0 ||
                      vtd_second_lookup(&u->vtd->tables, &context, iova, true, &leaf, &m) == 0;

            found += ok;
            iova = ok ? m.iova + m.length : iova + 4096;
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
