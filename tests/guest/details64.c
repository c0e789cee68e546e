/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Details that self-checking suites look at: instructions that CPUID denies, XCR0's numbers, a
 * segment that a return to level 3 takes away, device memory across a page border and by string
 * instructions (with pc-testdev), single steps over SYSCALL and SYSRET, UMIP.
 */
#include "guest.h"

#define DEVICE_MEMORY 0xff000000ul
#define DEVICE_PORT   0xe0
#define CR4_UMIP      (1ul << 11)
#define CR4_OSXSAVE   (1ul << 18)
#define USER_CODE_32  0x50 /* made here; SYSRET wants the data segment behind it */

static uint32_t features_1[4], features_7[4];
static uint8_t user_stack[4096] __attribute__((aligned(16)));
static volatile uint64_t scratch;

static volatile unsigned ipis;

static void on_ipi(struct frame *frame)
{
    (void)frame;
    ipis++;
    apic_write(0xb0, 0);
}

static void expect(int vector)
{
    CHECK_EQUAL(fault.vector, vector);
}

static void test_cache_instructions(void)
{
    check_case = "CLFLUSH";
    TRY("clflush (%0)", "b"(&scratch));
    expect(features_1[3] >> 19 & 1 ? -1 : 6);
    check_case = "fences";
    TRY("sfence", "i"(0));
    expect(features_1[3] >> 25 & 1 ? -1 : 6);
    TRY("lfence", "i"(0));
    expect(features_1[3] >> 26 & 1 ? -1 : 6);
    TRY("mfence", "i"(0));
    expect(features_1[3] >> 26 & 1 ? -1 : 6);
    check_case = "CLFLUSHOPT";
    TRY(".byte 0x66, 0x0f, 0xae, 0x3b", "b"(&scratch));
    expect(features_7[1] >> 23 & 1 ? -1 : 6);
    check_case = "CLWB";
    TRY(".byte 0x66, 0x0f, 0xae, 0x33", "b"(&scratch));
    expect(features_7[1] >> 24 & 1 ? -1 : 6);
    check_case = "66 0F AE /6 with a register";
    TRY(".byte 0x66, 0x0f, 0xae, 0xf0", "b"(&scratch));
    expect(6);
    check_case = "PCOMMIT, which is gone";
    TRY(".byte 0x66, 0x0f, 0xae, 0xf8", "b"(&scratch));
    expect(6);
    check_case = "LEA of a register";
    TRY(".byte 0x8d, 0xc0", "b"(&scratch));
    expect(6);
    check_case = "RDPRU";
    TRY("xor %%ecx, %%ecx; .byte 0x0f, 0x01, 0xfd", "b"(0));
    expect(6);
    check_case = "protection keys";
    TRY("mov %%cr4, %%rax; or $0x400000, %%rax; mov %%rax, %%cr4", "b"(0));
    expect(13);
    TRY("xor %%ecx, %%ecx; .byte 0x0f, 0x01, 0xee", "b"(0));
    expect(6);
    check_case = "INVPCID";
    if (!(features_7[1] >> 10 & 1)) {
        TRY(".byte 0x66, 0x0f, 0x38, 0x82, 0x1e", "S"(&scratch), "b"(2));
        expect(6);
    }
}

/* A hypervisor is there if CPUID says so: it answers, and does not know these. */
static void test_hypercalls(void)
{
    int64_t result = 0x7777;

    check_case = "VMCALL and VMMCALL";
    if (!(features_1[2] & 1u << 31)) {
        TRY(".byte 0x0f, 0x01, 0xc1", "b"(0));
        expect(6);
        TRY(".byte 0x0f, 0x01, 0xd9", "b"(0));
        expect(6);
        return;
    }
    asm volatile(".byte 0x0f, 0x01, 0xc1" : "+a"(result));
    CHECK_EQUAL(result, -1000);
    result = 0x7777;
    asm volatile(".byte 0x0f, 0x01, 0xd9" : "+a"(result));
    CHECK_EQUAL(result, -1000);
    check_case = "IPIs by one call: to nobody, to ourselves";
    result = 10;
    asm volatile(".byte 0x0f, 0x01, 0xc1"
                 : "+a"(result)
                 : "b"(0xffffffff), "c"(0), "d"(0xffffffff), "S"(0));
    CHECK_EQUAL(result, 0);
    handlers[0x90] = on_ipi;
    apic_enable();
    ipis = 0;
    result = 10;
    asm volatile("sti; .byte 0x0f, 0x01, 0xc1; nop; cli"
                 : "+a"(result)
                 : "b"(1), "c"(0), "d"(0), "S"(0x90)
                 : "memory");
    CHECK_EQUAL(result, 1);
    CHECK_EQUAL(ipis, 1);
}

static void set_xcr(uint64_t number, uint64_t value, int vector)
{
    check_number = number;
    fault.vector = -1;
    asm volatile("lea 1f(%%rip), %%rbx; mov %%rbx, fault_resume; xsetbv; 1: movq $0, fault_resume"
                 :
                 : "a"(value), "d"(0), "c"(number)
                 : "rbx", "memory");
    expect(vector);
}

static uint64_t get_xcr(uint64_t number, int vector)
{
    uint64_t low, high;

    check_number = number;
    fault.vector = -1;
    asm volatile("lea 1f(%%rip), %%rbx; mov %%rbx, fault_resume; xgetbv; 1: movq $0, fault_resume"
                 : "=a"(low), "=d"(high)
                 : "c"(number)
                 : "rbx", "memory");
    expect(vector);
    return low | high << 32;
}

static void test_xcr(void)
{
    uint32_t regs[4];

    check_case = "XCR0 without OSXSAVE";
    get_xcr(0, 6);
    set_xcr(0, 3, 6);
    if (!(features_1[2] >> 26 & 1)) {
        TRY("mov %0, %%cr4", "r"(READ_CR(4) | CR4_OSXSAVE));
        expect(13);
        return;
    }
    check_case = "XCR0";
    WRITE_CR(4, READ_CR(4) | CR4_OSXSAVE);
    cpuid(1, 0, regs);
    CHECK(regs[2] & 1 << 27);
    cpuid(0xd, 0, regs);
    CHECK_EQUAL(regs[0] & 3, 3);
    for (uint64_t value = 1; value <= 3; value += 2) {
        set_xcr(0xabcdull << 32, value, -1); /* RCX's upper half does not count */
        CHECK_EQUAL(get_xcr(0x1234ull << 32, -1), value);
        set_xcr(0, value, -1);
        CHECK_EQUAL(get_xcr(0, -1), value);
    }
    set_xcr(0, 0, 13);
    set_xcr(0, 2, 13);
    for (unsigned i = 1; i < 64; i++) {
        if (i > 1) {
            get_xcr(i, 13);
        }
        set_xcr(i, 1, 13);
        set_xcr(i, 3, 13);
        if (i < 32) {
            set_xcr(1ull << i, 3, 13);
        }
    }
    WRITE_CR(4, READ_CR(4) & ~CR4_OSXSAVE);
    cpuid(1, 0, regs);
    CHECK_EQUAL(regs[2] & 1 << 27, 0);
}

/* GS is the kernel's, so IRET nulls it; its base, which an MSR gave, stays (SDM vol. 2, IRET). */
void user_reads_gs(void);
asm("user_reads_gs: mov %gs:(%rdi), %rax; int $0x80");

static uint64_t user_rax;

static void on_leave(struct frame *frame)
{
    user_rax = frame->rax;
    user_leave(0x80);
}

static void test_null_segment(void)
{
    uint64_t base = rdmsr(0xc0000101);

    check_case = "GS in user mode after IRET nulled it";
    scratch = 0xdeadbeefdeadbeef;
    handlers[0x80] = on_leave;
    asm volatile("mov %w0, %%gs" : : "r"(0x18));
    wrmsr(0xc0000101, 0x400000);
    CHECK_EQUAL(user_enter((uint64_t)user_reads_gs, (uint64_t)user_stack + sizeof(user_stack),
                           (uint64_t)&scratch - 0x400000),
                0x80);
    CHECK_EQUAL(user_rax, scratch);
    handlers[0x80] = 0;
    wrmsr(0xc0000101, base);
    check_case = "null SS";
    TRY("xor %%eax, %%eax; mov %%eax, %%ss", "i"(0));
    expect(-1);
    TRY("mov $3, %%eax; mov %%eax, %%ss", "i"(0));
    expect(13);
    asm volatile("mov %w0, %%ss" : : "r"(0x18));
}

static void test_device_memory(void)
{
    volatile uint8_t *memory = (volatile uint8_t *)DEVICE_MEMORY;
    volatile uint8_t *place = memory + 4032;
    uint64_t count = 1024, value = ~0ull;
    uint16_t word;
    uint8_t byte;

    *(volatile uint32_t *)memory = 0x12345678;
    if (*(volatile uint32_t *)memory != 0x12345678) {
        print("no pc-testdev\n");
        return;
    }
    check_case = "device memory across a page border";
    memory[4095] = 0x99;
    memory[4096] = 0x77;
    asm volatile("mov %1, %0" : "=r"(word) : "m"(*(volatile uint16_t *)(memory + 4095)));
    CHECK_EQUAL(word, 0x7799);
    asm volatile("mov %1, %0"
                 : "=m"(*(volatile uint16_t *)(memory + 4095))
                 : "r"((uint16_t)0x88aa));
    CHECK_EQUAL(memory[4095], 0xaa);
    CHECK_EQUAL(memory[4096], 0x88);
    check_case = "INS to device memory";
    asm volatile("outw %0, %1" : : "a"((uint16_t)0x9999), "d"((uint16_t)DEVICE_PORT));
    asm volatile("cld; rep insb"
                 : "+D"(place), "+c"(count)
                 : "d"((uint16_t)DEVICE_PORT)
                 : "memory");
    CHECK_EQUAL(count, 0);
    CHECK_EQUAL(memory[4032 + 1023], 0x99);
    check_case = "SMSW to device memory is a word";
    *(volatile uint64_t *)memory = value;
    asm volatile("smsw %0" : "=m"(*(volatile uint16_t *)memory));
    CHECK_EQUAL(*(volatile uint64_t *)memory, 0xffffffffffff0000 | (READ_CR(0) & 0xffff));
    check_case = "locked instructions on device memory";
    *(volatile uint64_t *)memory = 5;
    asm volatile("lock negq %0; lock notq %0" : "+m"(*(volatile uint64_t *)memory));
    CHECK_EQUAL(*(volatile uint64_t *)memory, 4);
    asm volatile("lock btcl $3, %0" : "+m"(*(volatile uint32_t *)memory));
    CHECK_EQUAL(*(volatile uint32_t *)memory, 12);
    check_case = "OUTS";
    place = memory;
    count = 4;
    *(volatile uint32_t *)memory = 0x44332211;
    asm volatile("rep outsb" : "+S"(place), "+c"(count) : "d"((uint16_t)DEVICE_PORT) : "memory");
    asm volatile("inb %1, %0" : "=a"(byte) : "d"((uint16_t)DEVICE_PORT));
    CHECK_EQUAL(byte, 0x44);
}

/* TF counts at the end of SYSCALL and SYSRET: none after SYSCALL, which clears it, and one after
 * SYSRET, which sets it. In compatibility mode on AMD's, where Intel has #UD. */
static unsigned steps;
static uint16_t step_cs;
uint64_t syscall_count; /* named in assembly */
void syscall_entry(void), syscall_user(void), syscall_test(uint64_t user);

asm("syscall_test: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "mov %rsp, syscall_saved_rsp; mov %rdi, %rcx; pushfq; pop %r11; sysretl\n"
    ".code32\n"
    "syscall_user: mov $syscall_stack_end, %esp; pushf; orl $0x100, (%esp); popf; syscall; "
    "syscall\n"
    ".code64\n"
    /* ECX returns to 32-bit code; R11 has TF as the program set it. */
    "syscall_entry: incq syscall_count; cmpq $2, syscall_count; je 1f; sysretl\n"
    "1: mov syscall_saved_rsp, %rsp; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "ret\n"
    ".bss; .balign 16; syscall_saved_rsp: .skip 8; .skip 256; syscall_stack_end: .skip 8; .text");

static void on_step(struct frame *frame)
{
    steps++;
    step_cs = (uint16_t)frame->cs;
    frame->rflags &= ~0x100ull;
    asm volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ull));
}

static void test_syscall_steps(void)
{
    uint32_t regs[4];
    uint64_t ss;

    cpuid(0, 0, regs);
    if (regs[1] != 0x68747541) { /* "Auth" */
        return;
    }
    check_case = "single steps over SYSCALL and SYSRET";
    gdt[USER_CODE_32 / 8] = 0x00cffb000000ffff;
    gdt[USER_CODE_32 / 8 + 1] = 0x00cff3000000ffff;
    handlers[1] = on_step;
    wrmsr(0xc0000080, rdmsr(0xc0000080) | 1);
    wrmsr(0xc0000081, (uint64_t)(USER_CODE_32 | 3) << 48 | 0x10ull << 32);
    wrmsr(0xc0000083, (uint64_t)syscall_entry);
    wrmsr(0xc0000084, 0x4700);
    asm volatile("mov %%ss, %0" : "=r"(ss));
    syscall_test((uint64_t)syscall_user);
    asm volatile("mov %w0, %%ss" : : "r"(ss));
    CHECK_EQUAL(syscall_count, 2);
    CHECK_EQUAL(steps, 1);
    CHECK_EQUAL(step_cs, USER_CODE_32 | 3);
    handlers[1] = 0;
}

/* UMIP takes five instructions from user mode, and nothing from the kernel. */
#define USER_PROGRAM(name, instruction)                                                            \
    void name(void);                                                                               \
    asm(#name ": " instruction "; int $0x80")
USER_PROGRAM(user_sgdt, "sgdt -16(%rsp)");
USER_PROGRAM(user_sidt, "sidt -16(%rsp)");
USER_PROGRAM(user_sldt, "sldt %ax");
USER_PROGRAM(user_str, "str %ax");
USER_PROGRAM(user_smsw, "smsw %ax");

static void test_umip(void)
{
    static void (*const programs[])(void) = {user_sgdt, user_sidt, user_sldt, user_str, user_smsw};
    uint8_t place[16];

    check_case = "UMIP";
    for (unsigned umip = 0; umip < (features_7[2] >> 2 & 1) + 1; umip++) {
        WRITE_CR(4, (READ_CR(4) & ~CR4_UMIP) | (umip ? CR4_UMIP : 0));
        TRY("sgdt (%0); sidt (%0); sldt %%ax; str %%ax; smsw %%ax", "b"(place));
        expect(-1);
        for (unsigned i = 0; i < 5; i++) {
            check_number = umip << 4 | i;
            CHECK_EQUAL(
                user_enter((uint64_t)programs[i], (uint64_t)user_stack + sizeof(user_stack), 0),
                umip ? 13 : 0x80);
        }
    }
    WRITE_CR(4, READ_CR(4) & ~CR4_UMIP);
}

int main(void)
{
    cpuid(1, 0, features_1);
    cpuid(7, 0, features_7);
    test_cache_instructions();
    test_hypercalls();
    test_xcr();
    test_null_segment();
    test_device_memory();
    test_syscall_steps();
    test_umip();
    return guest_result();
}
