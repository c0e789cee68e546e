/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 4-level paging: every combination of permissions and controls, for each kind of access, against
 * the rules of SDM vol. 3, 4.6 and 4.7: whether it faults, the error code, CR2, and the accessed
 * and dirty bits. The page is 4 KiB; the rights are spread over two levels. Large pages follow.
 */
#include "guest.h"

#define P    (1ull << 0)
#define W    (1ull << 1)
#define U    (1ull << 2)
#define A    (1ull << 5)
#define D    (1ull << 6)
#define PS   (1ull << 7)
#define NX   (1ull << 63)
#define RSVD (1ull << 45) /* above MAXPHYADDR */

#define VIRTUAL 0x8000000000ull /* PML4 slot 1 */

static uint64_t level3[512] __attribute__((aligned(4096)));
static uint64_t level2[512] __attribute__((aligned(4096)));
static uint64_t level1[512] __attribute__((aligned(4096)));
static uint8_t target[4096] __attribute__((aligned(4096)));
static uint8_t user_stack[4096] __attribute__((aligned(4096)));

enum access { READ, WRITE, FETCH };

/* User code: rdi is the address. */
asm(".section .user, \"ax\"\n"
    "user_read: mov (%rdi), %al; int $0x80\n"
    "user_write: movb $0xc3, (%rdi); int $0x80\n"
    "user_fetch: call *%rdi; int $0x80\n"
    ".text\n");
extern char user_read[], user_write[], user_fetch[];

static void flush(void)
{
    asm volatile("invlpg (%0)" : : "r"(VIRTUAL) : "memory");
}

static void do_access(enum access access, bool user, bool ac)
{
    static char *const user_code[] = {user_read, user_write, user_fetch};

    fault.vector = -1;
    if (user) {
        user_flags = ac ? 1 << 18 : 0;
        if (user_enter((uint64_t)user_code[access], (uint64_t)user_stack + 4096, VIRTUAL) == 0x80) {
            fault.vector = -1;
        }
        return;
    }
    if (ac) {
        asm volatile("pushf; orl $0x40000, (%%rsp); popf" : : : "memory", "cc");
    }
    switch (access) {
    case READ:
        TRY("mov (%0), %%al", "r"(VIRTUAL));
        break;
    case WRITE:
        TRY("movb $0xc3, (%0)", "r"(VIRTUAL));
        break;
    case FETCH:
        /* A fault at the target leaves the return address on the stack. */
        TRY("mov %%rsp, %%rbx; call *%0; mov %%rsp, %%rbx; 1: mov %%rbx, %%rsp; nop;"
            "lea 2f(%%rip), %%rax; jmp 2f; 2:",
            "r"(VIRTUAL));
        break;
    }
    if (ac) {
        asm volatile("pushf; andl $~0x40000, (%%rsp); popf" : : : "memory", "cc");
    }
}

/* A fetch needs its own way back: the fault is at the target, with the return address pushed. */
static void supervisor_fetch(bool ac)
{
    fault.vector = -1;
    if (ac) {
        asm volatile("pushf; orl $0x40000, (%%rsp); popf" : : : "memory", "cc");
    }
    asm volatile("mov %%rsp, %%rbx\n\t"
                 "lea 1f(%%rip), %%rax\n\t"
                 "mov %%rax, fault_resume\n\t"
                 "call *%0\n"
                 "1: mov %%rbx, %%rsp\n\t"
                 "movq $0, fault_resume"
                 :
                 : "r"(VIRTUAL)
                 : "rax", "rbx", "memory", "cc");
    if (ac) {
        asm volatile("pushf; andl $~0x40000, (%%rsp); popf" : : : "memory", "cc");
    }
}

struct controls {
    bool wp, smep, smap, nxe;
};

static void set_controls(const struct controls *c)
{
    uint64_t cr4 = READ_CR(4) & ~(CR4_SMEP | CR4_SMAP);

    WRITE_CR(0, c->wp ? READ_CR(0) | CR0_WP : READ_CR(0) & ~CR0_WP);
    WRITE_CR(4, cr4 | (c->smep ? CR4_SMEP : 0) | (c->smap ? CR4_SMAP : 0));
    wrmsr(MSR_EFER, c->nxe ? rdmsr(MSR_EFER) | EFER_NXE : rdmsr(MSR_EFER) & ~EFER_NXE);
}

/* Returns the expected error code, or -1 for no fault. */
static int expected_error(uint64_t pde, uint64_t pte, enum access access, bool user, bool ac,
                          const struct controls *c)
{
    int error = (access == WRITE ? 2 : 0) | (user ? 4 : 0) |
                (access == FETCH && (c->nxe || c->smep) ? 16 : 0);
    bool user_page = pde & pte & U, writable = pde & pte & W, nx = (pde | pte) & NX;

    if (!(pde & P)) {
        return error;
    }
    if ((pde & RSVD) || (!c->nxe && (pde & NX))) {
        return error | 9;
    }
    if (!(pte & P)) {
        return error;
    }
    if ((pte & RSVD) || (!c->nxe && (pte & NX))) {
        return error | 9;
    }
    if (user && !user_page) {
        return error | 1;
    }
    if (access == WRITE && !writable && (user || c->wp)) {
        return error | 1;
    }
    if (access == FETCH && nx) {
        return error | 1;
    }
    if (!user && user_page) {
        if (access == FETCH && c->smep) {
            return error | 1;
        }
        if (access != FETCH && c->smap && !ac) {
            return error | 1;
        }
    }
    return -1;
}

static void check_access(uint64_t pde_flags, uint64_t pte_flags, enum access access, bool user,
                         bool ac, const struct controls *c, uint64_t number)
{
    uint64_t pde = (uint64_t)level1 | pde_flags, pte = (uint64_t)target | pte_flags;
    int expected = expected_error(pde_flags, pte_flags, access, user, ac, c);

    check_number = number;
    level2[0] = pde;
    level1[0] = pte;
    target[0] = 0xc3; /* RET */
    flush();
    if (access == FETCH && !user) {
        supervisor_fetch(ac);
    } else {
        do_access(access, user, ac);
    }
    if (expected < 0) {
        CHECK_EQUAL(fault.vector, -1);
        CHECK_EQUAL(level2[0], pde | A);
        CHECK_EQUAL(level1[0], pte | A | (access == WRITE ? D : 0));
        return;
    }
    CHECK_EQUAL(fault.vector, 14);
    if (fault.vector == 14) {
        CHECK_EQUAL(fault.error, expected);
        CHECK_EQUAL(fault.cr2, VIRTUAL);
    }
    /* No accessed or dirty bit from an access that faults. */
    CHECK_EQUAL(level2[0], pde);
    CHECK_EQUAL(level1[0], pte);
}

static void test_all_combinations(void)
{
    static const uint64_t entry_flags[] = {
        0, P, P | W, P | U, P | W | U, P | W | U | NX, P | NX, P | W | U | RSVD, W | U | RSVD};
    enum { FLAGS = sizeof(entry_flags) / sizeof(entry_flags[0]) };
    uint64_t number = 0;

    check_case = "4 KiB page, case";
    for (unsigned control = 0; control < 16; control++) {
        struct controls c = {control & 1, control & 2, control & 4, control & 8};

        set_controls(&c);
        for (unsigned pde = 0; pde < FLAGS; pde++) {
            for (unsigned pte = 0; pte < FLAGS; pte++) {
                for (unsigned kind = 0; kind < 12; kind++) {
                    number = control << 16 | pde << 12 | pte << 8 | kind;
                    check_access(entry_flags[pde], entry_flags[pte], kind % 3, kind / 3 & 1,
                                 kind / 6, &c, number);
                }
            }
        }
    }
    set_controls(&(struct controls){true, false, false, true});
}

/* Large pages: reserved address bits, PAT bit, 1 GiB if there are. */
static void test_large_pages(void)
{
    uint32_t regs[4];
    uint64_t base = (uint64_t)target & ~0x1fffffull;

    check_case = "2 MiB page";
    level2[0] = base | P | W | PS;
    flush();
    TRY("mov (%0), %%al", "r"(VIRTUAL + ((uint64_t)target & 0x1fffff)));
    CHECK_EQUAL(fault.vector, -1);
    level2[0] = base | P | W | PS | 1 << 12; /* PAT: ignored */
    flush();
    TRY("mov (%0), %%al", "r"(VIRTUAL));
    CHECK_EQUAL(fault.vector, -1);
    for (unsigned bit = 13; bit < 21; bit++) {
        check_number = bit;
        level2[0] = base | P | W | PS | 1ull << bit;
        flush();
        TRY("mov (%0), %%al", "r"(VIRTUAL));
        CHECK_EQUAL(fault.vector, 14);
        CHECK_EQUAL(fault.error, 9);
    }
    cpuid(0x80000001, 0, regs);
    check_case = "1 GiB page";
    level3[0] = P | W | PS;
    flush();
    TRY("mov (%0), %%al", "r"(VIRTUAL));
    if (regs[3] & 1 << 26) {
        CHECK_EQUAL(fault.vector, -1);
        level3[0] |= 1 << 13;
        flush();
        TRY("movb $1, (%0)", "r"(VIRTUAL));
    }
    CHECK_EQUAL(fault.vector, 14);
    CHECK_EQUAL(fault.error & 9, 9);
    level3[0] = (uint64_t)level2 | P | W | U;
    check_case = "PS in the PML4 entry";
    pml4[1] |= PS;
    flush();
    TRY("mov (%0), %%al", "r"(VIRTUAL));
    CHECK_EQUAL(fault.vector, 14);
    CHECK_EQUAL(fault.error, 9);
    pml4[1] &= ~PS;
    flush();
}

/* An access across two pages of which the second is missing: CR2 is there, nothing is written. */
static void test_crossing(void)
{
    check_case = "page crossing";
    check_number = 0;
    level2[0] = (uint64_t)level1 | P | W;
    level1[0] = (uint64_t)target | P | W;
    level1[1] = 0;
    flush();
    asm volatile("invlpg (%0)" : : "r"(VIRTUAL + PAGE) : "memory");
    target[4094] = target[4095] = 0x55;
    TRY("movl $-1, (%0)", "r"(VIRTUAL + 4094));
    CHECK_EQUAL(fault.vector, 14);
    CHECK_EQUAL(fault.error, 2);
    CHECK_EQUAL(fault.cr2, VIRTUAL + PAGE);
    CHECK_EQUAL(target[4094], 0x55);
    CHECK_EQUAL(target[4095], 0x55);
    level1[1] = (uint64_t)user_stack | P | W;
    user_stack[0] = user_stack[1] = 0;
    TRY("movl $0x44332211, (%0)", "r"(VIRTUAL + 4094));
    CHECK_EQUAL(fault.vector, -1);
    CHECK_EQUAL(target[4095], 0x22);
    CHECK_EQUAL(user_stack[1], 0x44);
}

/* Addresses that are not canonical: #GP(0), through SS #SS(0). */
static void test_canonical(void)
{
    check_case = "not canonical";
    TRY("mov (%0), %%al", "r"(1ull << 47));
    CHECK_EQUAL(fault.vector, 13);
    CHECK_EQUAL(fault.error, 0);
    TRY("mov 7(%0), %%al", "r"((1ull << 47) - 4));
    CHECK_EQUAL(fault.vector, 13);
    asm volatile("push %%rbp; mov %0, %%rbp; lea 1f(%%rip), %%rax; mov %%rax, fault_resume;"
                 "mov (%%rbp), %%al; 1: pop %%rbp"
                 :
                 : "r"(1ull << 63)
                 : "rax", "memory");
    CHECK_EQUAL(fault.vector, 12);
    CHECK_EQUAL(fault.error, 0);
    fault_resume = 0;
}

int main(void)
{
    pml4[1] = (uint64_t)level3 | P | W | U;
    level3[0] = (uint64_t)level2 | P | W | U;
    /* What runs at CPL 0 must not be in user pages, for SMEP and SMAP; only .user and what user
     * code touches may: map the rest of the identity map without U. */
    extern char user_begin[], user_end[];
    static uint64_t low[512] __attribute__((aligned(4096)));

    for (unsigned i = 0; i < 512; i++) {
        uint64_t address = i * 4096ull;
        bool user = (address >= (uint64_t)user_begin && address < (uint64_t)user_end) ||
                    address == (uint64_t)user_stack;

        low[i] = address | P | W | (user ? U : 0);
    }
    for (unsigned i = 1; i < 2048; i++) {
        page_directory[i] &= ~U;
    }
    page_directory[0] = (uint64_t)low | P | W | U;
    WRITE_CR(3, READ_CR(3));
    test_all_combinations();
    test_large_pages();
    test_crossing();
    test_canonical();
    return guest_result();
}
