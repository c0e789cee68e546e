/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VT-d unit with one device behind it, and what guest software does to both. */
#ifndef DUODM_TESTS_UNIT_VTD_FIXTURE_H
#define DUODM_TESTS_UNIT_VTD_FIXTURE_H

#include "iommu/vtd.h"
#include "iommu/vtd-spec.h"
#include "unit/iommu-fixture.h"

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
    void (*on_change)(struct unit *u); /* of interrupts; NULL: only counted */
    uint64_t last_address;
    uint32_t last_data;
};

static inline void send_interrupt(void *opaque, uint64_t address, uint32_t data)
{
    struct unit *u = opaque;

    u->interrupts++;
    u->last_address = address;
    u->last_data = data;
}

static inline void interrupts_changed(void *opaque)
{
    struct unit *u = opaque;

    u->changes++;
    if (u->on_change) {
        u->on_change(u);
    }
}

static inline void poke(struct unit *u, gpa_t address, uint64_t value)
{
    CU_ASSERT_EQUAL_FATAL(address_space_store(&u->memory, address, 8, MEMORY_ATTRIBUTES_CPU, value),
                          MEMORY_OK);
}

static inline uint64_t peek(struct unit *u, gpa_t address, unsigned size)
{
    uint64_t value = 0;

    CU_ASSERT_EQUAL(address_space_load(&u->memory, address, size, MEMORY_ATTRIBUTES_CPU, &value),
                    MEMORY_OK);
    return value;
}

static inline void write32(struct unit *u, unsigned offset, uint32_t value)
{
    CU_ASSERT_EQUAL(
        address_space_store(&u->memory, WINDOW + offset, 4, MEMORY_ATTRIBUTES_CPU, value),
        MEMORY_OK);
}

static inline void write64(struct unit *u, unsigned offset, uint64_t value)
{
    poke(u, WINDOW + offset, value);
}

static inline uint32_t read32(struct unit *u, unsigned offset)
{
    return (uint32_t)peek(u, WINDOW + offset, 4);
}

static inline struct unit *unit_new(unsigned width)
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

static inline void unit_free(struct unit *u)
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

static inline void set_context(struct unit *u, uint16_t requester, uint64_t low, uint64_t high)
{
    poke(u, ROOT_TABLE + (requester >> 8) * 16, CONTEXTS | 1);
    poke(u, CONTEXTS + (requester & 0xff) * 16, low);
    poke(u, CONTEXTS + (requester & 0xff) * 16 + 8, high);
}

static inline uint64_t new_table(struct unit *u)
{
    uint64_t table = u->next_table;

    u->next_table += 4096;
    return table;
}

/* Write an entry of a table of `levels`, at the level that is named; make the tables above. */
static inline void put_entry(struct unit *u, uint64_t table, unsigned levels, uint64_t iova,
                             unsigned level, uint64_t value)
{
    for (unsigned i = levels; i > level; i--) {
        uint64_t at = table + (iova >> (12 + 9 * (i - 1)) & 511) * 8, entry = peek(u, at, 8);

        if (!entry) {
            entry = new_table(u) | 3;
            poke(u, at, entry);
        }
        table = entry & ~0xfffull;
    }
    poke(u, table + (iova >> (12 + 9 * (level - 1)) & 511) * 8, value);
}

/* Map one page of 2^(12 + 9 * (level - 1)) bytes. */
static inline void map(struct unit *u, uint64_t table, unsigned levels, uint64_t iova,
                       unsigned level, uint64_t target, uint64_t bits)
{
    put_entry(u, table, levels, iova, level, bits ? target | bits | (level > 1 ? 0x80 : 0) : 0);
}

static inline void enable(struct unit *u)
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
static inline bool queue(struct unit *u, uint64_t low, uint64_t high)
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

static inline bool flush_page(struct unit *u, uint16_t domain, uint64_t iova, unsigned mask)
{
    return queue(u, 2 | 3 << 4 | (uint64_t)domain << 16, iova | mask);
}

static inline enum memory_result dma_read(struct unit *u, uint64_t iova, uint64_t *value)
{
    return address_space_load(
        &u->dma, iova, 8, (struct memory_attributes){.from_device = true, .requester = REQUESTER},
        value);
}

static inline enum memory_result dma_write(struct unit *u, uint64_t iova, uint64_t value)
{
    return address_space_store(
        &u->dma, iova, 8, (struct memory_attributes){.from_device = true, .requester = REQUESTER},
        value);
}

static inline void expect_fault(struct unit *u, uint64_t page, unsigned reason, bool is_write)
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
static inline uint64_t enable_with_one_page(struct unit *u)
{
    uint64_t table = new_table(u);

    map(u, table, 3, 0x1000, 1, 0x200000, 3);
    set_context(u, REQUESTER, table | 1, 1 | 7 << 8);
    enable(u);
    return table;
}

#endif
