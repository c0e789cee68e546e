/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page walks against a naive walker, over random tables with random permissions in all paging
 * modes: result, #PF error code, and accessed and dirty bits. The naive walker reads its tables
 * from a plain array and is written from the tables in SDM vol. 3, chapter 4, one mode at a time.
 */
#include "tcg/access.h"
#include "tcg/mmu.h"
#include "tcg/tlb.h"
#include "unit/suite.h"
#include "unit/seed.h"

#include <inttypes.h>
#include <stdlib.h>

#define POOL_PAGES 24
#define POOL_SIZE  (POOL_PAGES * 4096)
#define RAM_SIZE   (8u << 20) /* what a 32-bit entry with PSE-36 bits can name as a table */
#define ROUNDS     400
#define WALKS      64

struct fixture {
    struct memory_region root, ram;
    struct address_space as;
    struct vcpu vcpu;
    struct cpu cpu;
    uint8_t expected[RAM_SIZE]; /* what the naive walker makes of RAM */
    GRand *random;
};

enum mode { MODE_32, MODE_PAE, MODE_LONG, MODE_COUNT };

static struct fixture *fixture_new(void)
{
    struct fixture *f = g_new0(struct fixture, 1);

    memory_region_init_container(&f->root, "root", 1ull << 52);
    g_assert_true(memory_region_init_ram(&f->ram, "ram", RAM_SIZE, NULL));
    memory_region_add_subregion(&f->root, 0, &f->ram);
    address_space_init(&f->as, &f->root, "memory");
    f->cpu.memory = &f->as;
    f->cpu.vcpu = &f->vcpu;
    f->cpu.tlb = tlb_new();
    f->cpu.physical_bits = 40;
    f->random = test_seeded_rand();
    return f;
}

static void fixture_free(struct fixture *f)
{
    tlb_free(f->cpu.tlb);
    address_space_destroy(&f->as);
    memory_region_remove_subregion(&f->root, &f->ram);
    memory_region_destroy(&f->ram);
    memory_region_destroy(&f->root);
    g_rand_free(f->random);
    g_free(f);
}

static uint64_t random64(GRand *random)
{
    return (uint64_t)g_rand_int(random) << 32 | g_rand_int(random);
}

static bool chance(GRand *random, unsigned percent)
{
    return g_rand_int_range(random, 0, 100) < (int)percent;
}

static void set_feature(struct cpu *cpu, enum cpu_feature feature, bool on)
{
    cpu->features.bits[feature / 64] &= ~(1ull << feature % 64);
    cpu->features.bits[feature / 64] |= (uint64_t)on << feature % 64;
}

/* A random entry: mostly present, mostly permissive, its address in the pool of tables. */
static uint64_t random_entry(struct fixture *f, enum mode mode)
{
    GRand *r = f->random;
    uint64_t entry = random64(r) & 0x1e; /* writable, user, PWT, PCD */

    entry |= chance(r, 93);
    entry |= chance(r, 70) ? 6 : 0;
    entry |= (uint64_t)chance(r, 50) << 5 | (uint64_t)chance(r, 50) << 6;
    entry |= (uint64_t)chance(r, 15) << 7 | (uint64_t)chance(r, 30) << 8;
    entry |= (random64(r) & 0xe00);
    entry |= (uint64_t)g_rand_int_range(r, 0, POOL_PAGES) << 12;
    if (entry & 0x80 && chance(r, 70)) {
        entry &= ~0x3fffe000ull; /* as a large page must */
    }
    if (mode == MODE_32) {
        return entry | (chance(r, 10) ? (uint64_t)g_rand_int_range(r, 0, 512) << 13 : 0);
    }
    entry |= chance(r, 12) ? 1ull << 63 : 0;
    entry |= chance(r, 3) ? 1ull << g_rand_int_range(r, 40, 63) : 0;
    return entry;
}

static void randomize(struct fixture *f, enum mode mode)
{
    struct cpu *cpu = &f->cpu;
    GRand *r = f->random;
    uint8_t *ram = memory_region_host_pointer(&f->ram);

    for (unsigned i = 0; i < POOL_SIZE / 8; i++) {
        uint64_t entry = random_entry(f, mode);

        if (mode == MODE_32) {
            entry = (uint32_t)entry | random_entry(f, mode) << 32;
        }
        memcpy(f->expected + i * 8, &entry, 8);
    }
    memcpy(ram, f->expected, POOL_SIZE);
    cpu->cr0 = CR0_PE | CR0_PG | (chance(r, 50) ? CR0_WP : 0);
    cpu->cr4 = (chance(r, 50) ? CR4_SMEP : 0) | (chance(r, 50) ? CR4_SMAP : 0) |
               (chance(r, 50) ? CR4_PGE : 0) | (mode != MODE_32 ? CR4_PAE : 0) |
               (chance(r, 60) ? CR4_PSE : 0);
    cpu->efer = (chance(r, 60) ? EFER_NXE : 0) | (mode == MODE_LONG ? EFER_LME | EFER_LMA : 0);
    cpu->long_mode = mode == MODE_LONG;
    cpu->cr3 = (uint64_t)g_rand_int_range(r, 0, POOL_PAGES) << 12;
    set_feature(cpu, FEATURE_PDPE1GB, chance(r, 50));
    set_feature(cpu, FEATURE_PSE36, chance(r, 70));
    for (unsigned i = 0; i < 4; i++) {
        cpu->pdpte[i] = (uint64_t)g_rand_int_range(r, 0, POOL_PAGES) << 12 | chance(r, 90);
    }
}

/* --- the naive walker --- */

struct answer {
    bool ok;
    uint32_t error;
    uint64_t physical;
    bool global, writable;
};

struct naive {
    struct fixture *f;
    const struct mmu_request *request;
    struct answer answer;
};

static void naive_fault(struct naive *n, bool present, bool reserved)
{
    const struct cpu *cpu = &n->f->cpu;
    bool fetch_bit = (cpu->cr4 & CR4_SMEP) || ((cpu->cr4 & CR4_PAE) && (cpu->efer & EFER_NXE));

    n->answer.ok = false;
    n->answer.error = (present ? 1 : 0) | (n->request->access == MMU_WRITE ? 2 : 0) |
                      (n->request->user ? 4 : 0) | (reserved ? 8 : 0) |
                      (n->request->access == MMU_FETCH && fetch_bit ? 16 : 0);
}

static uint64_t *entry64(struct naive *n, uint64_t address)
{
    return (uint64_t *)(n->f->expected + address);
}

/* Checks of the page itself, given the rights of all levels together. */
static bool naive_allowed(struct naive *n, bool user, bool writable, bool no_execute)
{
    const struct cpu *cpu = &n->f->cpu;

    if (n->request->user) {
        if (!user) {
            return false;
        }
        if (n->request->access == MMU_WRITE && !writable) {
            return false;
        }
    } else {
        if (n->request->access == MMU_WRITE && !writable && (cpu->cr0 & CR0_WP)) {
            return false;
        }
        if (n->request->access == MMU_FETCH && user && (cpu->cr4 & CR4_SMEP)) {
            return false;
        }
        if (n->request->access != MMU_FETCH && user && n->request->smap) {
            return false;
        }
    }
    return n->request->access != MMU_FETCH || !no_execute;
}

static void naive_page(struct naive *n, uint64_t physical, bool writable, bool dirty, bool global)
{
    const struct cpu *cpu = &n->f->cpu;
    bool write_right = writable || (!n->request->user && !(cpu->cr0 & CR0_WP));

    n->answer = (struct answer){.ok = true,
                                .physical = physical,
                                .global = global && (cpu->cr4 & CR4_PGE),
                                .writable = write_right && dirty};
}

static void naive_32(struct naive *n)
{
    const struct cpu *cpu = &n->f->cpu;
    uint32_t linear = (uint32_t)n->request->linear;
    uint32_t *pde = (uint32_t *)(n->f->expected + cpu->cr3 + (linear >> 22) * 4), *pte;
    bool user, writable;

    if (!(*pde & 1)) {
        naive_fault(n, false, false);
        return;
    }
    if ((*pde & 0x80) && (cpu->cr4 & CR4_PSE)) {
        bool pse36 = cpu_features_have(&cpu->features, FEATURE_PSE36);

        /* With MAXPHYADDR 40, PSE-36 leaves bit 21 alone reserved; without it, bits 21:13 are. */
        if (*pde & (pse36 ? 0x200000 : 0x3fe000)) {
            naive_fault(n, true, true);
            return;
        }
        if (!naive_allowed(n, *pde & 4, *pde & 2, false)) {
            naive_fault(n, true, false);
            return;
        }
        *pde |= 0x20 | (n->request->access == MMU_WRITE ? 0x40 : 0);
        naive_page(n,
                   (*pde & 0xffc00000u) | (linear & 0x3fffff) |
                       (pse36 ? (uint64_t)(*pde >> 13 & 0xff) << 32 : 0),
                   *pde & 2, *pde & 0x40, *pde & 0x100);
        return;
    }
    pte = (uint32_t *)(n->f->expected + (*pde & 0xfffff000u) + (linear >> 12 & 0x3ff) * 4);
    if (!(*pte & 1)) {
        naive_fault(n, false, false);
        return;
    }
    user = *pde & *pte & 4;
    writable = *pde & *pte & 2;
    if (!naive_allowed(n, user, writable, false)) {
        naive_fault(n, true, false);
        return;
    }
    *pde |= 0x20; /* a walk that fails marks nothing */
    *pte |= 0x20 | (n->request->access == MMU_WRITE ? 0x40 : 0);
    naive_page(n, (*pte & 0xfffff000u) | (linear & 0xfff), writable, *pte & 0x40, *pte & 0x100);
}

static bool naive_reserved(const struct cpu *cpu, uint64_t entry, unsigned level, bool page)
{
    uint64_t high = entry >> 40 & 0x7fffff; /* bits 62:40 */

    if (cpu->long_mode) {
        high &= 0xfff; /* bits 51:40 */
    }
    if (high || (!(cpu->efer & EFER_NXE) && entry >> 63)) {
        return true;
    }
    if (level == 4 && (entry & 0x80)) {
        return true;
    }
    if (level == 3 && (entry & 0x80)) {
        return !page || (entry & 0x3fffe000);
    }
    return level == 2 && page && (entry & 0x1fe000);
}

static void naive_64(struct naive *n)
{
    struct cpu *cpu = &n->f->cpu;
    uint64_t linear = n->request->linear, table;
    bool user = true, writable = true, no_execute = false;
    unsigned level, used_count = 0;
    uint64_t *used[4];

    if (cpu->long_mode) {
        table = cpu->cr3;
        level = 4;
    } else {
        table = cpu->pdpte[linear >> 30];
        level = 2;
        if (!(table & 1)) {
            naive_fault(n, false, false);
            return;
        }
        table &= ~0xfffull;
    }
    for (;; level--) {
        unsigned shift = level * 9 + 3;
        uint64_t *entry = entry64(n, table + ((linear >> shift) % 512) * 8);
        bool page =
            level == 1 || (level == 2 && (*entry & 0x80)) ||
            (level == 3 && (*entry & 0x80) && cpu_features_have(&cpu->features, FEATURE_PDPE1GB));

        if (!(*entry & 1)) {
            naive_fault(n, false, false);
            return;
        }
        if (naive_reserved(cpu, *entry, level, page)) {
            naive_fault(n, true, true);
            return;
        }
        user = user && (*entry & 4);
        writable = writable && (*entry & 2);
        no_execute = no_execute || (*entry >> 63);
        if (!page) {
            used[used_count++] = entry;
            table = *entry & 0xfffffff000ull;
            continue;
        }
        if (!naive_allowed(n, user, writable, no_execute)) {
            naive_fault(n, true, false);
            return;
        }
        while (used_count) {
            *used[--used_count] |= 0x20;
        }
        *entry |= 0x20 | (n->request->access == MMU_WRITE ? 0x40 : 0);
        naive_page(n,
                   (*entry & 0xfffffff000ull & ~((1ull << shift) - 1)) |
                       (linear & ((1ull << shift) - 1)),
                   writable, *entry & 0x40, *entry & 0x100);
        return;
    }
}

/* --- comparison --- */

static struct mmu_request random_request(struct fixture *f, enum mode mode)
{
    GRand *r = f->random;
    struct mmu_request request = {.linear = random64(r) & 0xffffffff,
                                  .access = g_rand_int_range(r, 0, 3),
                                  .user = chance(r, 50)};

    if (mode == MODE_LONG) {
        request.linear = (uint64_t)((int64_t)(random64(r) << 16) >> 16);
    }
    request.smap = !request.user && (f->cpu.cr4 & CR4_SMAP) && chance(r, 70);
    return request;
}

static void compare_mode(enum mode mode)
{
    struct fixture *f = fixture_new();
    unsigned faults = 0, reserved = 0, pages = 0;

    memory_rcu_read_lock();
    for (unsigned round = 0; round < ROUNDS; round++) {
        randomize(f, mode);
        for (unsigned walk = 0; walk < WALKS; walk++) {
            struct mmu_request request = random_request(f, mode);
            struct naive naive = {.f = f, .request = &request};
            struct mmu_result result = {0};
            bool ok = mmu_walk(&f->cpu, &request, &result);

            if (mode == MODE_32) {
                naive_32(&naive);
            } else {
                naive_64(&naive);
            }
            if (ok != naive.answer.ok || (ok && result.physical != naive.answer.physical) ||
                (ok && result.global != naive.answer.global) ||
                (ok && result.writable != naive.answer.writable) ||
                (!ok && result.error != naive.answer.error)) {
                fprintf(stderr,
                        "mode %d linear %" PRIx64 " access %d user %d smap %d: got %d %" PRIx64
                        " error %x, expected %d %" PRIx64 " error %x\n",
                        mode, request.linear, request.access, request.user, request.smap, ok,
                        result.physical, result.error, naive.answer.ok, naive.answer.physical,
                        naive.answer.error);
                CU_FAIL("walk differs");
            }
            pages += ok;
            faults += !ok;
            reserved += !ok && (result.error & 8);
        }
        CU_ASSERT_EQUAL(memcmp(memory_region_host_pointer(&f->ram), f->expected, POOL_SIZE), 0);
    }
    memory_rcu_read_unlock();
    /* The tables must have led to all kinds of results. */
    CU_ASSERT_TRUE(pages > 1000 && faults > 1000 && (mode == MODE_32 || reserved > 100));
    fixture_free(f);
}

static void test_32(void)
{
    compare_mode(MODE_32);
}

static void test_pae(void)
{
    compare_mode(MODE_PAE);
}

static void test_long(void)
{
    compare_mode(MODE_LONG);
}

static void test_paging_off(void)
{
    struct fixture *f = fixture_new();
    struct mmu_request request = {.linear = 0xfedcba98, .access = MMU_WRITE, .user = true};
    struct mmu_result result;

    CU_ASSERT_TRUE(mmu_walk(&f->cpu, &request, &result));
    CU_ASSERT_EQUAL(result.physical, 0xfedcba98);
    CU_ASSERT_TRUE(result.writable);
    fixture_free(f);
}

/* Tables that are nowhere read as all ones: reserved bits in 4-level mode, a page in 2-level. */
static void test_tables_nowhere(void)
{
    struct fixture *f = fixture_new();
    struct mmu_request request = {.linear = 0x1234567};
    struct mmu_result result;

    memory_rcu_read_lock();
    f->cpu.cr0 = CR0_PE | CR0_PG;
    f->cpu.cr4 = CR4_PAE;
    f->cpu.efer = EFER_LMA | EFER_LME;
    f->cpu.long_mode = true;
    f->cpu.cr3 = 1ull << 39;
    CU_ASSERT_FALSE(mmu_walk(&f->cpu, &request, &result));
    CU_ASSERT_EQUAL(result.error, PAGE_FAULT_PRESENT | PAGE_FAULT_RESERVED);
    f->cpu.cr4 = 0;
    f->cpu.efer = 0;
    f->cpu.long_mode = false;
    f->cpu.cr3 = 0x80000000;
    CU_ASSERT_TRUE(mmu_walk(&f->cpu, &request, &result));
    CU_ASSERT_EQUAL(result.physical, 0xfffff567);
    memory_rcu_read_unlock();
    fixture_free(f);
}

/* SDM vol. 3, 4.4.1: reserved bits of PDPTEs are checked when CR3 is loaded. */
static void test_pdptes(void)
{
    static const struct {
        uint64_t entry;
        bool ok;
    } cases[] = {
        {0, true},
        {1, true},
        {1 | 0x18, true},
        {1 | 2, false},
        {1 | 4, false},
        {1 | 0x20, false},
        {1 | 0x100, false},
        {1 | 0xe00, true},
        {0x1fe, true},
        {1ull << 40 | 1, false},
        {1ull << 63 | 1, false},
        {1ull << 39 | 1, true},
    };
    struct fixture *f = fixture_new();
    uint64_t *ram = memory_region_host_pointer(&f->ram), pdpte[4];

    memory_rcu_read_lock();
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (unsigned slot = 0; slot < 4; slot++) {
            memset(ram, 0, 4096);
            ram[0x40 / 8 + slot] = cases[i].entry;
            CU_ASSERT_EQUAL(mmu_load_pdptes(&f->cpu, 0x40, pdpte), cases[i].ok);
        }
    }
    memory_rcu_read_unlock();
    fixture_free(f);
}

/* A debugger's look changes nothing and asks for no permission. */
static void test_look_only(void)
{
    struct fixture *f = fixture_new();

    memory_rcu_read_lock();
    for (unsigned round = 0; round < 50; round++) {
        randomize(f, MODE_LONG);
        for (unsigned walk = 0; walk < WALKS; walk++) {
            struct mmu_request request = random_request(f, MODE_LONG);
            struct mmu_result result;

            request.look_only = true;
            mmu_walk(&f->cpu, &request, &result);
        }
        CU_ASSERT_EQUAL(memcmp(memory_region_host_pointer(&f->ram), f->expected, POOL_SIZE), 0);
    }
    memory_rcu_read_unlock();
    fixture_free(f);
}

/* Line 20 held low: of tables and of what they lead to. */
static void test_a20(void)
{
    struct fixture *f = fixture_new();
    uint8_t *ram = memory_region_host_pointer(&f->ram);
    struct mmu_request request = {.linear = 0x00301234, .access = MMU_READ};
    struct mmu_result result;
    uint32_t directory = 0x00102003, page = 0x00705003;

    memory_rcu_read_lock();
    CU_ASSERT_TRUE(mmu_walk(&f->cpu, &request, &result));
    CU_ASSERT_EQUAL(result.physical, 0x00301234);
    f->cpu.a20_held = 1u << 20;
    CU_ASSERT_TRUE(mmu_walk(&f->cpu, &request, &result));
    CU_ASSERT_EQUAL(result.physical, 0x00201234);
    f->cpu.cr0 = CR0_PG | CR0_PE;
    f->cpu.cr3 = 0x00101000;
    memcpy(ram + 0x1000, &directory, 4);        /* CR3's line 20 is low */
    memcpy(ram + 0x2000 + 0x301 * 4, &page, 4); /* so is the directory entry's */
    CU_ASSERT_TRUE(mmu_walk(&f->cpu, &request, &result));
    CU_ASSERT_EQUAL(result.physical, 0x00605234);
    CU_ASSERT_EQUAL(ram[0x1000] & 0x20, 0x20); /* accessed, where it was read */
    CU_ASSERT_EQUAL(ram[0x2000 + 0x301 * 4] & 0x20, 0x20);
    memory_rcu_read_unlock();
    fixture_free(f);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"32-bit paging", test_32},
        {"PAE paging", test_pae},
        {"4-level paging", test_long},
        {"paging off", test_paging_off},
        {"tables in no memory", test_tables_nowhere},
        {"PDPTE checks", test_pdptes},
        {"a look changes nothing", test_look_only},
        {"address line 20 held low", test_a20},
        {NULL, NULL},
    };

    return unit_run("tcg-mmu", tests);
}
