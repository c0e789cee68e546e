/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exceptions in 64-bit mode: vectors and error codes, IST, double fault, user mode, system
 * registers that refuse values, CPUID against what instructions do. */
#include "guest.h"

#define USER_STACK_TOP ((uint64_t)user_stack + sizeof(user_stack))

static uint8_t user_stack[4096] __attribute__((aligned(4096)));
static uint8_t other_stack[4096] __attribute__((aligned(16)));

static void expect(int vector, uint64_t error)
{
    CHECK_EQUAL(fault.vector, vector);
    if (vector >= 0) {
        CHECK_EQUAL(fault.error, error);
    }
}

static void test_exceptions(void)
{
    check_case = "exceptions";
    TRY("xor %%ecx, %%ecx; xor %%edx, %%edx; div %%ecx", "r"(0));
    expect(0, 0);
    TRY("ud2", "r"(0));
    expect(6, 0);
    TRY("lock; nop", "r"(0));
    expect(6, 0);
    TRY(".byte 0x06", "r"(0)); /* PUSH ES does not exist here */
    expect(6, 0);
    TRY("mov %w0, %%ds", "r"(0x3ff8));
    expect(13, 0x3ff8);
    TRY("mov %w0, %%ds", "r"(0x40)); /* the TSS */
    expect(13, 0x40);
    TRY("int $0x81", "r"(0)); /* a gate of DPL 0 is fine at CPL 0 */
    expect(0x81, 0);
    TRY("movaps (%0), %%xmm0", "r"(1ul << 20 | 8));
    expect(13, 0);
    TRY("ltr %w0", "r"(0x40)); /* busy */
    expect(13, 0x40);
    TRY("lldt %w0", "r"(0x18));
    expect(13, 0x18);
}

static void test_system_registers(void)
{
    check_case = "control registers";
    TRY("mov %0, %%cr0", "r"(1ul << 32 | READ_CR(0)));
    expect(13, 0);
    TRY("mov %0, %%cr0", "r"(READ_CR(0) & ~(1ul << 31))); /* paging off in 64-bit mode */
    expect(13, 0);
    TRY("mov %0, %%cr4", "r"(READ_CR(4) & ~(1ul << 5))); /* PAE off in long mode */
    expect(13, 0);
    TRY("mov %0, %%cr4", "r"(READ_CR(4) | 1ul << 40));
    expect(13, 0);
    TRY("mov %0, %%cr3", "r"(READ_CR(3) | 1ul << 52));
    expect(13, 0);
    TRY("mov %0, %%cr8", "r"(16ul));
    expect(13, 0);
    TRY(".byte 0x0f, 0x20, 0xc8", "r"(0)); /* CR1 */
    expect(6, 0);
    check_case = "EFER";
    CHECK_EQUAL(try_wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~0x100ul), 13); /* LME with paging */
    CHECK_EQUAL(try_wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 2), 13);
    CHECK_EQUAL(try_wrmsr(MSR_EFER, rdmsr(MSR_EFER)), -1);
}

static void test_msrs(void)
{
    static const struct {
        uint32_t msr;
        uint64_t value;
        int vector;
    } cases[] = {
        {0xc0000082, 1ul << 47, 13},      /* LSTAR: canonical */
        {0xc0000100, 1ul << 47, 13},      /* FS base */
        {0xc0000101, 1ul << 63, 13},      /* GS base */
        {0xc0000102, 0x7fffffffffff, -1}, /* kernel GS base */
        {0x175, 1ul << 48, 13},           /* SYSENTER_ESP */
        {0x277, 0x0007040600070406, -1},  /* PAT */
        {0x277, 0x0207040600070406, 13},  /* type 2 */
        {0x277, 0x0800000000000000, 13},
        {0x250, 0x0606060606060606, -1}, /* MTRR, fixed */
        {0x250, 0x0206060606060606, 13},
        {0x2ff, 0xc06, -1},
        {0x2ff, 0x1000, 13},
        {0xfe, 0, 13},                     /* MTRRcap is read-only */
        {0xc0000103, 1ul << 32, 13},       /* TSC_AUX has 32 bits */
        {0x12345678, 0, 13},               /* there is no such register */
        {0x1b, 1ul << 45 | 0xfee00900, 13} /* APIC base above MAXPHYADDR */
    };

    check_case = "MSRs";
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_number = cases[i].msr;
        CHECK_EQUAL(try_wrmsr(cases[i].msr, cases[i].value), cases[i].vector);
        if (cases[i].vector < 0) {
            CHECK_EQUAL(rdmsr(cases[i].msr), cases[i].value);
        }
    }
    CHECK_EQUAL(try_rdmsr(0x12345678), 13);
}

static void test_tsc(void)
{
    uint32_t regs[4];
    uint64_t before, after;

    check_case = "TSC";
    cpuid(7, 0, regs);
    wrmsr(0x10, 1ul << 40);
    before = rdmsr(0x10);
    CHECK(before >= 1ul << 40 && before < (1ul << 40) + 1000000000ul);
    if (regs[1] & 2) {
        wrmsr(0x3b, 0);
        after = rdmsr(0x10);
        CHECK(after < 1ul << 40);
        wrmsr(0x3b, 1ul << 41);
        CHECK(rdmsr(0x10) > 1ul << 41);
        CHECK_EQUAL(rdmsr(0x3b), 1ul << 41);
        wrmsr(0x3b, 0);
    }
}

/* #DF: the gate of #GP is not there. On its own stack, through IST 1. */
static volatile uint64_t double_error, double_rsp;

static void on_double_fault(struct frame *frame)
{
    double_error = frame->error;
    double_rsp = (uint64_t)frame;
    frame->rip = fault_resume;
    fault_resume = 0;
}

static void test_double_fault(void)
{
    check_case = "double fault";
    handlers[8] = on_double_fault;
    tss.ist[0] = (uint64_t)other_stack + sizeof(other_stack);
    idt_set(8, 1, 0);
    double_error = 1;
    idt_clear(13);
    TRY("mov %w0, %%ds", "r"(0x3ff8));
    idt_set(13, 0, 0);
    CHECK_EQUAL(double_error, 0);
    CHECK(double_rsp > (uint64_t)other_stack && double_rsp < (uint64_t)other_stack + 4096);
    idt_set(8, 0, 0);
    handlers[8] = 0;
}

asm(".section .user, \"ax\"\n"
    "user_hlt: hlt\n"
    "user_cli: cli\n"
    "user_in: in $0x80, %al\n"
    "user_rdmsr: mov $0x10, %ecx; rdmsr\n"
    "user_cr: mov %cr0, %rax\n"
    "user_int: int $0x81\n"
    "user_int80: int $0x80\n"
    "user_supervisor: mov (%rdi), %al\n"
    "user_ss: mov $0x18, %eax; mov %eax, %ss\n"
    ".text\n");
extern char user_hlt[], user_cli[], user_in[], user_rdmsr[], user_cr[], user_int[], user_int80[],
    user_supervisor[], user_ss[];

static void test_user(void)
{
    static const struct {
        char *code;
        int vector;
        uint64_t error;
    } cases[] = {
        {user_hlt, 13, 0},     {user_cli, 13, 0},   {user_in, 13, 0},
        {user_rdmsr, 13, 0},   {user_cr, 13, 0},    {user_int, 13, 0x81 * 8 + 2},
        {user_int80, 0x80, 0}, {user_ss, 13, 0x18},
    };

    check_case = "user mode";
    user_flags = 0;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_number = i;
        CHECK_EQUAL(user_enter((uint64_t)cases[i].code, USER_STACK_TOP, 0), cases[i].vector);
        CHECK_EQUAL(fault.error, cases[i].error);
    }
    /* A page without U: #PF, protection, user. */
    page_directory[1] &= ~4ull;
    WRITE_CR(3, READ_CR(3));
    CHECK_EQUAL(user_enter((uint64_t)user_supervisor, USER_STACK_TOP, 0x200000), 14);
    CHECK_EQUAL(fault.error, 5);
    page_directory[1] |= 4;
    WRITE_CR(3, READ_CR(3));
    /* An address that is not canonical as a target. */
    CHECK_EQUAL(user_enter((uint64_t)user_int80, USER_STACK_TOP, 0), 0x80);
}

/* Translated code that jumps to what no code can be at: also to what a cache of targets might have
 * as its mark of an empty entry. */
static void test_hot_jumps(void)
{
    static const uint64_t targets[] = {1ul << 62, 1ul << 63, 1ul << 47, ~0ul >> 1};

    check_case = "hot jumps to nowhere";
    for (unsigned i = 0; i < 400; i++) {
        check_number = i;
        TRY("jmp *%0", "r"(targets[i % 4]));
        expect(13, 0);
    }
}

int main(void)
{
    test_exceptions();
    test_hot_jumps();
    test_system_registers();
    test_msrs();
    test_tsc();
    test_double_fault();
    test_user();
    return guest_result();
}
