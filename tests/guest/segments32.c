/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Segment loads and accesses in protected mode: SDM vol. 3, 5.2 to 5.7, and vol. 2, MOV. */
#include "guest.h"

#define TEST_SLOT 10
#define SELECTOR  (TEST_SLOT * 8)

enum { G = 8, B = 4 };
enum {
    DATA_RO = 0x90,
    DATA_RW = 0x92,
    DATA_DOWN_RO = 0x94,
    DATA_DOWN_RW = 0x96,
    CODE_XO = 0x98,
    CODE_RX = 0x9a,
    CODE_CONFORMING_X = 0x9c,
    CODE_CONFORMING_RX = 0x9e
};

uint8_t area[0x20000] __attribute__((aligned(4096)));

static int load_fs(unsigned selector)
{
    TRY("mov %w0, %%fs", "r"(selector));
    return fault.vector;
}

static int load_ss(unsigned selector)
{
    TRY("mov %w0, %%ss; mov $0x10, %%eax; mov %%eax, %%ss", "r"(selector));
    asm volatile("mov %w0, %%ss" : : "r"(0x10));
    return fault.vector;
}

static void expect(int vector, int expected, uint32_t error)
{
    CHECK_EQUAL(vector, expected);
    if (expected >= 0) {
        CHECK_EQUAL(fault.error, error);
    }
}

static void test_loads(void)
{
    static const struct {
        unsigned access, selector;
        int fs, ss; /* expected vectors */
    } cases[] = {
        {DATA_RO, SELECTOR, -1, 13},
        {DATA_RW, SELECTOR, -1, -1},
        {DATA_DOWN_RW, SELECTOR, -1, -2 /* not tried: the stack would be outside */},
        {CODE_XO, SELECTOR, 13, 13},
        {CODE_RX, SELECTOR, -1, 13},
        {CODE_CONFORMING_X, SELECTOR, 13, 13},
        {CODE_CONFORMING_RX, SELECTOR, -1, 13},
        {CODE_CONFORMING_RX, SELECTOR | 3, -1, 13},
        {DATA_RW & 0x7f, SELECTOR, 11, 12},       /* not present */
        {CODE_XO & 0x7f, SELECTOR, 13, 13},       /* the type is checked before presence */
        {DATA_RW, SELECTOR | 1, 13, 13},          /* RPL above DPL 0 */
        {DATA_RW | 3 << 5, SELECTOR | 3, -1, 13}, /* DPL 3 is no stack for CPL 0 */
        {DATA_RW | 3 << 5, SELECTOR, -1, 13},
        {0x89, SELECTOR, 13, 13},        /* a TSS */
        {0x82, SELECTOR, 13, 13},        /* an LDT */
        {DATA_RW, 0xfff8, 13, 13},       /* past the table */
        {DATA_RW, SELECTOR | 4, 13, 13}, /* there is no LDT */
    };

    check_case = "segment load";
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t error = cases[i].selector & 0xfffc;

        check_number = i;
        gdt[TEST_SLOT] = make_descriptor(0, 0xfffff, cases[i].access, G | B);
        expect(load_fs(cases[i].selector), cases[i].fs, error);
        if (cases[i].fs < 0) {
            /* The load marks the descriptor as accessed. */
            CHECK_EQUAL(gdt[TEST_SLOT] >> 40 & 0xff, cases[i].access | 1);
        }
        gdt[TEST_SLOT] = make_descriptor(0, 0xfffff, cases[i].access, G | B);
        if (cases[i].ss != -2) {
            expect(load_ss(cases[i].selector), cases[i].ss, error);
        }
    }
    check_case = "null selectors";
    for (unsigned rpl = 0; rpl < 4; rpl++) {
        check_number = rpl;
        expect(load_fs(rpl), -1, 0);
        TRY("mov %%fs:0x1000, %%al", "r"(0));
        expect(fault.vector, 13, 0);
        expect(load_ss(rpl), 13, 0);
    }
    TRY("mov %w0, %%cs", "r"(0x08));
    expect(fault.vector, 6, 0);
}

static int access_fs(uint32_t offset, unsigned size, bool write)
{
    switch (size | write << 8) {
    case 1:
        TRY("movb %%fs:(%0), %%al", "r"(offset));
        break;
    case 2:
        TRY("movw %%fs:(%0), %%ax", "r"(offset));
        break;
    case 4:
        TRY("movl %%fs:(%0), %%eax", "r"(offset));
        break;
    case 0x101:
        TRY("movb $0, %%fs:(%0)", "r"(offset));
        break;
    case 0x102:
        TRY("movw $0, %%fs:(%0)", "r"(offset));
        break;
    case 0x104:
        TRY("movl $0, %%fs:(%0)", "r"(offset));
        break;
    }
    return fault.vector;
}

/* Every size at every offset near the limits, against the definition of the limit. */
static void check_limits(unsigned access, unsigned flags, uint32_t limit)
{
    uint32_t bytes = flags & G ? limit << 12 | 0xfff : limit;
    uint32_t top = flags & B ? 0xffffffff : 0xffff;
    bool code = access & 8, down = !code && (access & 4);
    bool writable = !code && (access & 2);
    const uint32_t centres[] = {0, bytes, top};

    gdt[TEST_SLOT] = make_descriptor((uint32_t)area, limit, access, flags);
    load_fs(SELECTOR);
    for (unsigned c = 0; c < 3; c++) {
        for (int delta = -5; delta <= 5; delta++) {
            uint32_t offset = centres[c] + (uint32_t)delta;

            for (unsigned size = 1; size <= 4; size *= 2) {
                uint64_t last = (uint64_t)offset + size - 1;
                bool inside = down ? offset > bytes && last <= top : last <= bytes;

                if (inside && offset > 0x1ffff) {
                    continue; /* allowed, but other memory than ours */
                }
                if (last > 0xffffffff) {
                    continue; /* wraps: left open */
                }
                check_number = (uint64_t)access << 40 | (uint64_t)size << 32 | offset;
                expect(access_fs(offset, size, false), inside ? -1 : 13, 0);
                expect(access_fs(offset, size, true), inside && writable ? -1 : 13, 0);
            }
        }
    }
}

static void test_limits(void)
{
    check_case = "limits";
    check_limits(DATA_RW, B, 0x123);
    check_limits(DATA_RW, 0, 0xffff);
    check_limits(DATA_RO, B, 0x1000);
    check_limits(DATA_RW, B | G, 1);
    check_limits(DATA_DOWN_RW, 0, 0x123);
    check_limits(DATA_DOWN_RO, 0, 0xfff);
    check_limits(DATA_DOWN_RW, B, 0x1000);
    check_limits(DATA_DOWN_RW, G | B, 0);
    check_limits(CODE_RX, B, 0x200);
    check_limits(CODE_CONFORMING_RX, 0, 0x1ff);
}

/* Through SS the limit violation is #SS. */
static void test_stack_limit(void)
{
    check_case = "stack limit";
    gdt[TEST_SLOT] = make_descriptor(0, 0x2ff, DATA_RW, G | B); /* 3 MiB */
    asm volatile("mov %w0, %%ss" : : "r"(SELECTOR));
    asm volatile("push %%ebp; mov $0x2fffff, %%ebp; movl $1f, fault_resume; movl (%%ebp), %%eax;"
                 "1: pop %%ebp; movl $0, fault_resume"
                 :
                 :
                 : "eax", "memory");
    expect(fault.vector, 12, 0);
    fault.vector = -1;
    asm volatile("push %%ebp; mov $0x2ffffc, %%ebp; movl $1f, fault_resume; movl (%%ebp), %%eax;"
                 "1: pop %%ebp; movl $0, fault_resume"
                 :
                 :
                 : "eax", "memory");
    expect(fault.vector, -1, 0);
    TRY("movl %%ss:0x300000, %%eax", "r"(0));
    expect(fault.vector, 12, 0);
    TRY("movl %%ds:0x300000, %%eax", "r"(0));
    expect(fault.vector, -1, 0);
    asm volatile("mov %w0, %%ss" : : "r"(0x10));
    TRY("movb $0, %%cs:0x1000", "r"(0));
    expect(fault.vector, 13, 0);
}

/* Alignment checks, at CPL 3 only. */
asm(".section .user, \"ax\"\n"
    ".globl user_unaligned, user_aligned\n"
    "user_unaligned: mov $0x23, %eax; mov %eax, %ds; mov area + 1, %eax; int $0x80\n"
    "user_aligned: mov $0x23, %eax; mov %eax, %ds; mov area, %eax; movb area + 1, %al; int $0x80\n"
    ".text\n");
extern char user_unaligned[], user_aligned[];

static void test_alignment(void)
{
    static uint8_t stack[4096];
    uint32_t esp = (uint32_t)stack + sizeof(stack), cr0;

    check_case = "alignment";
    asm volatile("mov %%cr0, %0" : "=r"(cr0));
    asm volatile("mov %0, %%cr0" : : "r"(cr0 | 1 << 18));
    CHECK_EQUAL(user_enter((uint32_t)user_unaligned, esp, 0x40002, 0x1b, 0x23), 17);
    CHECK_EQUAL(fault.error, 0);
    CHECK_EQUAL(user_enter((uint32_t)user_aligned, esp, 0x40002, 0x1b, 0x23), 0x80);
    CHECK_EQUAL(user_enter((uint32_t)user_unaligned, esp, 0x2, 0x1b, 0x23), 0x80);
    asm volatile("mov %0, %%cr0" : : "r"(cr0));
    CHECK_EQUAL(user_enter((uint32_t)user_unaligned, esp, 0x40002, 0x1b, 0x23), 0x80);
}

int main(void)
{
    test_loads();
    test_limits();
    test_stack_limit();
    test_alignment();
    return guest_result();
}
