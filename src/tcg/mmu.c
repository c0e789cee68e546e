/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tcg/mmu.h"
#include "tcg/access.h"
#include "tcg/lockstep.h"
#include "tcg/tlb.h"

#include <string.h>

/* Bits of paging-structure entries: SDM vol. 3, tables 4-4 to 4-20. */
#define ENTRY_PRESENT    (1ull << 0)
#define ENTRY_WRITABLE   (1ull << 1)
#define ENTRY_USER       (1ull << 2)
#define ENTRY_ACCESSED   (1ull << 5)
#define ENTRY_DIRTY      (1ull << 6)
#define ENTRY_LARGE      (1ull << 7)
#define ENTRY_GLOBAL     (1ull << 8)
#define ENTRY_NO_EXECUTE (1ull << 63)

#define MAX_LEVELS 4

static uint64_t bits(unsigned high, unsigned low)
{
    return high < low ? 0 : (~0ull >> (63 - high)) & (~0ull << low);
}

/* Paging-structure entries are read and changed by host atomics where they lie in RAM. */
static uint64_t entry_read(struct cpu *cpu, uint64_t address, unsigned size, bool look_only)
{
    const struct tlb_frame *frame;
    uint64_t value = 0;

    address &= ~cpu->a20_held;
    frame = look_only ? NULL : tlb_get_frame(cpu, address);
    if (frame && frame->host) {
        const uint8_t *host = frame->host + (address & ~PAGE_MASK);

        return size == 8 ? __atomic_load_n((const uint64_t *)host, __ATOMIC_ACQUIRE)
                         : __atomic_load_n((const uint32_t *)host, __ATOMIC_ACQUIRE);
    }
    address_space_load(cpu->memory, address, size, MEMORY_ATTRIBUTES_CPU, &value);
    return value;
}

/* Replace an entry if it is still `old`; false if another CPU changed it meanwhile. */
static bool entry_update(struct cpu *cpu, uint64_t address, unsigned size, uint64_t old,
                         uint64_t desired)
{
    const struct tlb_frame *frame;

    address &= ~cpu->a20_held;
    frame = tlb_get_frame(cpu, address);
    if (frame->host && frame->writable && !frame->dirty_logged) {
        uint8_t *host = frame->host + (address & ~PAGE_MASK);
        uint32_t old32 = (uint32_t)old;

        if (cpu->trial) {
            lockstep_note_store(cpu->trial, host, size);
        }
        if (size == 8) {
            return __atomic_compare_exchange_n((uint64_t *)host, &old, desired, false,
                                               __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
        }
        return __atomic_compare_exchange_n((uint32_t *)host, &old32, (uint32_t)desired, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    }
    if (cpu->trial) {
        lockstep_refuse(cpu);
    }
    if (frame->host && frame->writable) {
        uint64_t expected = old;

        return address_space_compare_exchange(cpu->memory, address, size, MEMORY_ATTRIBUTES_CPU,
                                              &expected, desired) != MEMORY_OK ||
               expected == old;
    }
    /* Tables in a device or in ROM: a plain write, which may have no effect. */
    address_space_store(cpu->memory, address, size, MEMORY_ATTRIBUTES_CPU, desired);
    return true;
}

/* A walk under way. */
struct walk {
    struct cpu *cpu;
    const struct mmu_request *request;
    struct mmu_result *result;
    uint64_t rights;     /* ENTRY_WRITABLE and ENTRY_USER of all entries so far, ANDed */
    uint64_t no_execute; /* ENTRY_NO_EXECUTE of all entries so far, ORed */
    /* Tables' entries that are to be marked accessed, once the whole walk has succeeded. */
    struct walk_mark {
        uint64_t address, old;
    } marks[MAX_LEVELS];
    unsigned mark_count;
};

static void walk_fail(struct walk *walk, uint32_t cause)
{
    const struct mmu_request *request = walk->request;
    const struct cpu *cpu = walk->cpu;
    bool nx_enabled = (cpu->cr4 & CR4_PAE) && (cpu->efer & EFER_NXE);
    uint32_t error = cause;

    if (request->access == MMU_WRITE) {
        error |= PAGE_FAULT_WRITE;
    }
    if (request->user) {
        error |= PAGE_FAULT_USER;
    }
    if (request->access == MMU_FETCH && (nx_enabled || (cpu->cr4 & CR4_SMEP))) {
        error |= PAGE_FAULT_FETCH;
    }
    walk->result->error = error;
}

/* SDM vol. 3, 4.6.1: may this requester do that to a page with these rights? */
static bool access_allowed(const struct walk *walk)
{
    const struct mmu_request *request = walk->request;
    const struct cpu *cpu = walk->cpu;
    bool user_page = walk->rights & ENTRY_USER;
    bool writable = walk->rights & ENTRY_WRITABLE;

    if (request->look_only) {
        return true;
    }
    if (request->access == MMU_FETCH && walk->no_execute) {
        return false;
    }
    if (request->user) {
        return user_page && (request->access != MMU_WRITE || writable);
    }
    if (request->access == MMU_FETCH) {
        return !user_page || !(cpu->cr4 & CR4_SMEP);
    }
    if (request->smap && user_page) {
        return false;
    }
    return request->access != MMU_WRITE || writable || !(cpu->cr0 & CR0_WP);
}

/* STEP_AGAIN: another CPU changed an entry meanwhile; the walk starts anew. */
enum step { STEP_FAULT, STEP_TABLE, STEP_PAGE, STEP_AGAIN };

/* The translation is good: mark what it used. Before that a fault leaves all entries as they are.
 */
static bool mark_accessed(struct walk *walk, unsigned size)
{
    for (unsigned i = 0; i < walk->mark_count; i++) {
        const struct walk_mark *mark = &walk->marks[i];

        if (!entry_update(walk->cpu, mark->address, size, mark->old, mark->old | ENTRY_ACCESSED)) {
            return false;
        }
    }
    return true;
}

/*
 * One entry of the tables: check it, and if it is the page's, mark all. Whether it is depends on
 * the entry's own PS bit, so that the entry is read once. reserved: which bits must be 0 in a
 * table's entry and in a page's.
 */
static enum step walk_entry(struct walk *walk, uint64_t address, unsigned size, bool last_level,
                            bool large_allowed, uint64_t table_reserved, uint64_t page_reserved,
                            uint64_t *entry)
{
    struct cpu *cpu = walk->cpu;
    const struct mmu_request *request = walk->request;
    uint64_t old = entry_read(cpu, address, size, request->look_only);
    uint64_t desired = old | ENTRY_ACCESSED;
    bool is_page = last_level || (large_allowed && (old & ENTRY_LARGE));

    if (!(old & ENTRY_PRESENT)) {
        walk_fail(walk, 0);
        return STEP_FAULT;
    }
    if (old & (is_page ? page_reserved : table_reserved)) {
        walk_fail(walk, PAGE_FAULT_PRESENT | PAGE_FAULT_RESERVED);
        return STEP_FAULT;
    }
    walk->rights &= old;
    walk->no_execute |= old & ENTRY_NO_EXECUTE;
    if (is_page) {
        if (!access_allowed(walk)) {
            walk_fail(walk, PAGE_FAULT_PRESENT);
            return STEP_FAULT;
        }
        if (request->access == MMU_WRITE) {
            desired |= ENTRY_DIRTY;
        }
    }
    *entry = desired;
    if (request->look_only) {
        return is_page ? STEP_PAGE : STEP_TABLE;
    }
    if (!is_page) {
        if (desired != old) {
            walk->marks[walk->mark_count++] = (struct walk_mark){address, old};
        }
        return STEP_TABLE;
    }
    if (!mark_accessed(walk, size) ||
        (desired != old && !entry_update(cpu, address, size, old, desired))) {
        return STEP_AGAIN;
    }
    return STEP_PAGE;
}

static void walk_finish(struct walk *walk, uint64_t entry, uint64_t frame, uint64_t page_size)
{
    const struct mmu_request *request = walk->request;
    struct cpu *cpu = walk->cpu;
    bool writable = walk->rights & ENTRY_WRITABLE;

    walk->result->physical = (frame | (request->linear & (page_size - 1))) & ~cpu->a20_held;
    walk->result->page_size = page_size;
    walk->result->global = (entry & ENTRY_GLOBAL) && (cpu->cr4 & CR4_PGE);
    walk->result->writable =
        (entry & ENTRY_DIRTY) && (writable || (!request->user && !(cpu->cr0 & CR0_WP)));
}

/* 32-bit paging: SDM vol. 3, 4.3. */
static enum step walk_32(struct walk *walk)
{
    struct cpu *cpu = walk->cpu;
    uint32_t linear = (uint32_t)walk->request->linear;
    unsigned high_bits = cpu->physical_bits < 40 ? cpu->physical_bits : 40;
    bool pse36 = cpu_features_have(&cpu->features, FEATURE_PSE36);
    /* Bits 20:13 of a 4 MiB entry are bits 39:32 of the page, as far as there are so many. */
    uint64_t large_reserved = pse36 ? bits(21, high_bits - 19) : bits(21, 13);
    uint64_t entry;
    enum step step;

    step = walk_entry(walk, (cpu->cr3 & 0xfffff000u) + (linear >> 22) * 4, 4, false,
                      cpu->cr4 & CR4_PSE, 0, large_reserved, &entry);
    if (step == STEP_PAGE) {
        uint64_t frame = entry & 0xffc00000u;

        if (pse36) {
            frame |= (entry & bits(20, 13)) << (32 - 13);
        }
        walk_finish(walk, entry, frame, 4ull << 20);
        return STEP_PAGE;
    }
    if (step == STEP_TABLE) {
        step = walk_entry(walk, (entry & 0xfffff000u) + (linear >> 12 & 0x3ff) * 4, 4, true, false,
                          0, 0, &entry);
    }
    if (step == STEP_PAGE) {
        walk_finish(walk, entry, entry & 0xfffff000u, PAGE_SIZE_4K);
    }
    return step;
}

/* The levels that PAE and 4-level paging share, from `level` (4: PML4) down. SDM vol. 3, 4.4-4.5.
 */
static enum step walk_64(struct walk *walk, uint64_t table, unsigned level)
{
    struct cpu *cpu = walk->cpu;
    bool has_1g = cpu_features_have(&cpu->features, FEATURE_PDPE1GB);
    uint64_t address_mask = bits(51, 12);
    uint64_t reserved = bits(cpu->long_mode ? 51 : 62, cpu->physical_bits);
    uint64_t entry;

    if (!(cpu->efer & EFER_NXE)) {
        reserved |= ENTRY_NO_EXECUTE;
    }
    for (;; level--) {
        unsigned shift = 12 + 9 * (level - 1);
        bool large = level == 2 || (level == 3 && has_1g);
        uint64_t table_reserved = reserved | (large ? 0 : ENTRY_LARGE);
        uint64_t page_reserved = reserved | (level > 1 ? bits(shift - 1, 13) : 0);
        uint64_t address = table + (walk->request->linear >> shift & 0x1ff) * 8;

        enum step step =
            walk_entry(walk, address, 8, level == 1, large, table_reserved, page_reserved, &entry);

        if (step == STEP_PAGE) {
            walk_finish(walk, entry, entry & address_mask & ~((1ull << shift) - 1), 1ull << shift);
        }
        if (step != STEP_TABLE) {
            return step;
        }
        table = entry & address_mask;
    }
}

static enum step walk_tables(struct walk *walk)
{
    const struct cpu *cpu = walk->cpu;

    if (!(cpu->cr4 & CR4_PAE)) {
        return walk_32(walk);
    }
    if (!cpu->long_mode) {
        uint64_t pdpte = cpu->pdpte[walk->request->linear >> 30 & 3];

        if (!(pdpte & ENTRY_PRESENT)) {
            walk_fail(walk, 0);
            return STEP_FAULT;
        }
        return walk_64(walk, pdpte & bits(51, 12), 2);
    }
    return walk_64(walk, cpu->cr3 & bits(51, 12), 4);
}

bool mmu_walk(struct cpu *cpu, const struct mmu_request *request, struct mmu_result *result)
{
    enum step step;

    if (!(cpu->cr0 & CR0_PG)) {
        *result = (struct mmu_result){.physical = request->linear & ~cpu->a20_held,
                                      .page_size = PAGE_SIZE_4K,
                                      .writable = true};
        return true;
    }
    do {
        struct walk walk = {.cpu = cpu,
                            .request = request,
                            .result = result,
                            .rights = ENTRY_WRITABLE | ENTRY_USER};

        step = walk_tables(&walk);
    } while (step == STEP_AGAIN);
    return step == STEP_PAGE;
}

bool mmu_load_pdptes(struct cpu *cpu, uint64_t cr3, uint64_t pdpte[4])
{
    /* SDM vol. 3, table 4-8. */
    uint64_t reserved = bits(63, cpu->physical_bits) | bits(8, 5) | bits(2, 1);

    for (unsigned i = 0; i < 4; i++) {
        pdpte[i] = entry_read(cpu, (cr3 & 0xffffffe0u) + i * 8, 8, false);
        if ((pdpte[i] & ENTRY_PRESENT) && (pdpte[i] & reserved)) {
            return false;
        }
    }
    return true;
}
