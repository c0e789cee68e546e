/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Several processors: start-up, locked instructions, IPIs, TLB shootdown, cross-modified code. */
#include "guest.h"

#define ROUNDS   20000
#define MAX_CPUS 8

static uint64_t add_total, xadd_total, split_total_area[24] __attribute__((aligned(64)));
static uint64_t swap_pair[2] __attribute__((aligned(16)));
static volatile uint32_t bits[8];

static volatile unsigned shootdown_request, shootdown_done, stop;
static volatile unsigned reader_errors;

static uint64_t level3[512] __attribute__((aligned(4096)));
static uint64_t level2[512] __attribute__((aligned(4096)));
static uint64_t level1[512] __attribute__((aligned(4096)));
static volatile uint64_t pages[2][512] __attribute__((aligned(4096)));
static uint8_t code[4096] __attribute__((aligned(4096)));
static volatile uint32_t code_version, code_seen[MAX_CPUS];

static volatile unsigned cpus = 1, barriers[8];

/* All processors meet; how many there are may become known only meanwhile. */
static void barrier(unsigned n)
{
    __atomic_add_fetch(&barriers[n], 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&barriers[n], __ATOMIC_SEQ_CST) < cpus) {
        asm volatile("pause");
    }
}

static void hammer(unsigned index)
{
    /* Over a cache line's end, and over a page's end. */
    uint64_t *split = (uint64_t *)((uint8_t *)split_total_area + 60);

    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t old = 1, low = swap_pair[0], high = swap_pair[1];

        asm volatile("lock addq $1, %0" : "+m"(add_total) : : "cc");
        asm volatile("lock xaddq %0, %1" : "+r"(old), "+m"(xadd_total) : : "cc");
        asm volatile("lock incq %0" : "+m"(*split) : : "cc");
        asm volatile("lock btcl %1, %0" : "+m"(bits[0]) : "r"(index) : "cc", "memory");
        for (bool done = false; !done;) {
            asm volatile("lock cmpxchg16b %1; sete %0"
                         : "=q"(done), "+m"(swap_pair), "+a"(low), "+d"(high)
                         : "b"(low + 1), "c"(high + 2)
                         : "cc", "memory");
        }
    }
}

static uint32_t run_code(void)
{
    uint32_t result;

    asm volatile("call *%1" : "=a"(result) : "r"(code) : "memory");
    return result;
}

static void other_processor(unsigned index)
{
    barrier(0);
    hammer(index);
    barrier(1);
    /* Shootdown: the mapping alternates; after the request is acknowledged only the new one may be
     * seen. Acknowledged by polling, with INVLPG here. */
    unsigned seen = 0;

    while (!stop) {
        unsigned request = shootdown_request;

        if (request != seen) {
            asm volatile("invlpg (%0)" : : "r"(0x8000000000ull) : "memory");
            seen = request;
            if (*(volatile uint64_t *)0x8000000000ull != (request & 1)) {
                __atomic_add_fetch(&reader_errors, 1, __ATOMIC_SEQ_CST);
            }
            __atomic_add_fetch(&shootdown_done, 1, __ATOMIC_SEQ_CST);
        }
        asm volatile("pause");
    }
    barrier(2);
    /* Cross-modified code: serialise, then run. */
    uint32_t last = 0;

    for (;;) {
        uint32_t version = code_version, regs[4];

        if (version == UINT32_MAX) {
            break;
        }
        if (version != last) {
            cpuid(0, 0, regs);
            code_seen[index] = run_code();
            if (code_seen[index] != version) {
                __atomic_add_fetch(&reader_errors, 1, __ATOMIC_SEQ_CST);
            }
            last = version;
            __atomic_add_fetch(&shootdown_done, 1, __ATOMIC_SEQ_CST);
        }
        asm volatile("pause");
    }
    barrier(3);
}

static void test_locked(void)
{
    check_case = "locked instructions";
    barrier(0);
    hammer(0);
    barrier(1);
    CHECK_EQUAL(add_total, (uint64_t)ROUNDS * cpus);
    CHECK_EQUAL(xadd_total, (uint64_t)ROUNDS * cpus);
    CHECK_EQUAL(*(uint64_t *)((uint8_t *)split_total_area + 60), (uint64_t)ROUNDS * cpus);
    CHECK_EQUAL(swap_pair[0], (uint64_t)ROUNDS * cpus);
    CHECK_EQUAL(swap_pair[1], (uint64_t)ROUNDS * cpus * 2);
    CHECK_EQUAL(bits[0], 0);
}

static void test_shootdown(void)
{
    check_case = "TLB shootdown";
    for (unsigned i = 1; i <= 500; i++) {
        level1[0] = (uint64_t)pages[i & 1] | 3;
        shootdown_done = 0;
        __atomic_store_n(&shootdown_request, i, __ATOMIC_SEQ_CST);
        while (shootdown_done < cpus - 1) {
            asm volatile("pause");
        }
    }
    stop = 1;
    barrier(2);
    CHECK_EQUAL(reader_errors, 0);
}

static void test_cross_modified(void)
{
    check_case = "cross-modified code";
    for (uint32_t i = 1; i <= 500; i++) {
        shootdown_done = 0;
        code[0] = 0xb8;
        *(volatile uint32_t *)(code + 1) = i;
        code[5] = 0xc3;
        __atomic_store_n(&code_version, i, __ATOMIC_SEQ_CST);
        while (shootdown_done < cpus - 1) {
            asm volatile("pause");
        }
    }
    code_version = UINT32_MAX;
    barrier(3);
    CHECK_EQUAL(reader_errors, 0);
}

int main(void)
{
    pages[1][0] = 1;
    level1[0] = (uint64_t)pages[0] | 3;
    level2[0] = (uint64_t)level1 | 3;
    level3[0] = (uint64_t)level2 | 3;
    pml4[1] = (uint64_t)level3 | 3;
    apic_enable();
    /* How many there are is known once all have started; they wait for it in the first barrier. */
    cpus = 1000;
    unsigned others = start_processors(other_processor);

    __atomic_store_n(&cpus, others + 1, __ATOMIC_SEQ_CST);
    check_case = "processors";
    CHECK(others >= 1);
    test_locked();
    test_shootdown();
    test_cross_modified();
    return guest_result();
}
