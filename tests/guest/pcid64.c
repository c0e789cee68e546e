/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCID and INVPCID: SDM vol. 3, 4.10.1, and vol. 2, INVPCID and MOV to CR. */
#include "guest.h"

#define P       (1ull << 0)
#define W       (1ull << 1)
#define VIRTUAL 0x8000000000ull

static uint64_t level3[512] __attribute__((aligned(4096)));
static uint64_t level2[512] __attribute__((aligned(4096)));
static uint64_t level1[512] __attribute__((aligned(4096)));
static volatile uint64_t first[512] __attribute__((aligned(4096)));
static volatile uint64_t second[512] __attribute__((aligned(4096)));

struct descriptor {
    uint64_t pcid, linear;
};

static int try_invpcid(uint64_t type, uint64_t pcid, uint64_t linear)
{
    struct descriptor descriptor = {pcid, linear};

    TRY("invpcid (%1), %0", "r"(type), "r"(&descriptor));
    return fault.vector;
}

static void check_gp(int vector)
{
    CHECK_EQUAL(vector, 13);
    CHECK_EQUAL(fault.error, 0);
}

static void test_cr4(void)
{
    check_case = "CR4.PCIDE";
    TRY("mov %0, %%cr3", "r"((uint64_t)pml4 | 5));
    CHECK_EQUAL(fault.vector, -1);
    TRY("mov %0, %%cr4", "r"(READ_CR(4) | CR4_PCIDE)); /* CR3[11:0] is not 0 */
    check_gp(fault.vector);
    TRY("mov %0, %%cr3", "r"((uint64_t)pml4));
    TRY("mov %0, %%cr3", "r"((uint64_t)pml4 | 1ull << 63)); /* reserved without PCIDE */
    check_gp(fault.vector);
    check_gp(try_invpcid(0, 1, 0)); /* a PCID other than 0 without PCIDE */
    check_gp(try_invpcid(1, 1, 0));
    CHECK_EQUAL(try_invpcid(0, 0, 0), -1);
    CHECK_EQUAL(try_invpcid(2, 0, 0), -1);
    TRY("mov %0, %%cr4", "r"(READ_CR(4) | CR4_PCIDE));
    CHECK_EQUAL(fault.vector, -1);
    CHECK(READ_CR(4) & CR4_PCIDE);
    TRY("mov %0, %%cr0", "r"(READ_CR(0) & ~(1ull << 31))); /* paging off with PCIDE */
    check_gp(fault.vector);
    TRY("mov %0, %%cr3", "r"((uint64_t)pml4 | 1ull << 63 | 3));
    CHECK_EQUAL(fault.vector, -1);
    CHECK_EQUAL(READ_CR(3), (uint64_t)pml4 | 3); /* bit 63 is not kept */
    TRY("mov %0, %%cr3", "r"((uint64_t)pml4 | 1ull << 62));
    check_gp(fault.vector);
}

static void test_invpcid_faults(void)
{
    check_case = "INVPCID";
    for (uint64_t type = 0; type < 4; type++) {
        check_number = type;
        CHECK_EQUAL(try_invpcid(type, 0, 0), -1);
        CHECK_EQUAL(try_invpcid(type, 0xfff, 0), -1);
        check_gp(try_invpcid(type, 0x1000, 0)); /* reserved bits */
        check_gp(try_invpcid(type, 1ull << 63, 0));
    }
    check_gp(try_invpcid(4, 0, 0));
    check_gp(try_invpcid(~0ull, 0, 0));
    check_gp(try_invpcid(0, 0, 1ull << 47));
    CHECK_EQUAL(try_invpcid(1, 0, 1ull << 47), -1); /* the address counts for type 0 only */
}

/* Each kind of invalidation makes a changed mapping seen. */
static void test_invalidation(void)
{
    volatile uint64_t *virtual = (volatile uint64_t *)VIRTUAL;

    check_case = "invalidation";
    for (unsigned kind = 0; kind < 7; kind++) {
        bool global = kind == 3 || kind == 6;

        check_number = kind;
        first[0] = 1;
        second[0] = 2;
        level1[0] = (uint64_t)first | P | W | (global ? 1 << 8 : 0);
        asm volatile("invlpg (%0)" : : "r"(VIRTUAL) : "memory");
        CHECK_EQUAL(*virtual, 1);
        level1[0] = (uint64_t)second | P | W | (global ? 1 << 8 : 0);
        switch (kind) {
        case 0:
            try_invpcid(0, 3, VIRTUAL);
            break;
        case 1:
            try_invpcid(1, 3, 0);
            break;
        case 2:
            try_invpcid(3, 0, 0);
            break;
        case 3:
            try_invpcid(2, 0, 0);
            break;
        case 4:
            WRITE_CR(3, READ_CR(3));
            break;
        case 5:
            asm volatile("invlpg (%0)" : : "r"(VIRTUAL) : "memory");
            break;
        case 6:
            WRITE_CR(4, READ_CR(4) ^ 0x80);
            WRITE_CR(4, READ_CR(4) ^ 0x80);
            break;
        }
        CHECK_EQUAL(*virtual, 2);
    }
}

int main(void)
{
    uint32_t regs[4];

    cpuid(1, 0, regs);
    check_case = "CPUID";
    CHECK(regs[2] & 1 << 17);
    cpuid(7, 0, regs);
    CHECK(regs[1] & 1 << 10);
    pml4[1] = (uint64_t)level3 | P | W;
    level3[0] = (uint64_t)level2 | P | W;
    level2[0] = (uint64_t)level1 | P | W;
    test_cr4();
    test_invpcid_faults();
    test_invalidation();
    return guest_result();
}
