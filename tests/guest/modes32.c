/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Operating modes: real, virtual-8086, 64-bit and compatibility mode, and the ways between them. */
#include "guest.h"

/* 16-bit code, copied to REAL_BASE with the rest of .real. Results at RESULTS in that segment. */
#define RESULTS   0x8000
#define RESULT(n) (*(volatile uint16_t *)(REAL_BASE + RESULTS + 2 * (n)))

asm(".section .real, \"ax\"\n"
    ".code16\n"
    ".set OUT, 0x8000\n"
    ".set BASE, . - 0x100\n" /* start32.S fills the first 100h bytes */
    /* INT n through the interrupt table, IRET, flags; a fault's pushed address. */
    "real_interrupts:\n"
    "    xor %ax, %ax\n"
    "    mov %ax, %es\n"
    "    movw $(handler_60 - BASE), %es:0x60*4\n"
    "    movw %cs, %es:0x60*4+2\n"
    "    movw $(handler_0 - BASE), %es:0\n"
    "    movw %cs, %es:2\n"
    "    movw $(handler_13 - BASE), %es:13*4\n"
    "    movw %cs, %es:13*4+2\n"
    "    movw $(handler_6 - BASE), %es:6*4\n"
    "    movw %cs, %es:6*4+2\n"
    "    sti\n"
    "    stc\n"
    "    mov %sp, OUT+0\n"
    "    int $0x60\n"
    "    mov %sp, OUT+2\n"
    "    pushf\n"
    "    popw OUT+4\n"
    "    cli\n"
    "    xor %dx, %dx\n"
    "    mov $1, %ax\n"
    "    xor %bx, %bx\n"
    "divide: div %bx\n"
    "    movw $(divide - BASE), OUT+12\n"
    "    mov $0xffff, %bx\n"
    "    mov (%bx), %ax\n" /* a word over the segment's end: INT 13 */
    "    nop\n"
    "    ud2\n"
    "    mov $0x1234, %ax\n" /* 32-bit operands and addresses */
    "    mov $0x56789abc, %ecx\n"
    "    mov %ecx, OUT+24\n"
    "    mov $0x8000, %esi\n"
    "    xor %eax, %eax\n"
    "    mov 24(%esi,%eax,2), %ebx\n"
    "    mov %ebx, OUT+28\n"
    "    ret\n"
    "handler_60:\n"
    "    pushf\n"
    "    popw %cs:OUT+6\n" /* IF clear here */
    "    incw %cs:OUT+8\n"
    "    iret\n"
    "handler_0:\n"
    "    push %bp\n"
    "    mov %sp, %bp\n"
    "    mov 2(%bp), %ax\n" /* points at the DIV */
    "    mov %ax, %cs:OUT+10\n"
    "    addw $2, 2(%bp)\n"
    "    pop %bp\n"
    "    iret\n"
    "handler_13:\n"
    "    push %bp\n"
    "    mov %sp, %bp\n"
    "    incw %cs:OUT+14\n"
    "    addw $2, 2(%bp)\n"
    "    pop %bp\n"
    "    iret\n"
    "handler_6:\n"
    "    push %bp\n"
    "    mov %sp, %bp\n"
    "    incw %cs:OUT+16\n"
    "    addw $2, 2(%bp)\n"
    "    pop %bp\n"
    "    iret\n"
    /* Segment arithmetic: base is selector * 16. */
    "real_segments:\n"
    "    mov $0x7800, %ax\n"
    "    mov %ax, %es\n"
    "    mov %es:0, %bx\n" /* = 7000:8000 */
    "    mov %bx, OUT+2\n"
    "    mov $0xffff, %ax\n"
    "    mov %ax, %gs\n"
    "    mov %gs:0x10, %eax\n" /* 100000: A20 is on; the multiboot header */
    "    mov %eax, OUT+4\n"
    "    push $0x55aa\n"
    "    pop %fs\n"
    "    mov %fs, OUT+8\n"
    "    mov $3, %cx\n"
    "    xor %ax, %ax\n"
    "1:  inc %ax\n"
    "    loop 1b\n"
    "    mov %ax, OUT+10\n"
    "    lcallw $0x7000, $(far_function - BASE)\n"
    "    mov %dx, OUT+12\n"
    "    smsw %ax\n"
    "    mov %ax, OUT+14\n"
    "    ret\n"
    "far_function:\n"
    "    mov %cs, %dx\n"
    "    lretw\n"
    /* v86 */
    "v86_int:    int $0x61\n"
    "v86_cli:    cli\n    int $0x61\n"
    "v86_pushf:  pushf\n    int $0x61\n"
    "v86_hlt:    hlt\n"
    "v86_out:    mov $0x80, %dx\n    out %al, %dx\n    int $0x61\n"
    "v86_out_allowed: mov $0x81, %dx\n    out %al, %dx\n    int $0x61\n"
    "v86_segment: mov $0x7800, %ax\n    mov %ax, %ds\n    incw 0\n    int $0x61\n"
    "v86_privileged: mov %cr0, %eax\n"
    "v86_protected: lldt %ax\n"
    "v86_limit:  mov $0xffff, %bx\n    mov (%bx), %ax\n    int $0x61\n"
    ".text\n"
    ".code32\n"
    /* int v86_enter(ip, flags) */
    "v86_enter:\n"
    "    push %ebx; push %ebp; push %esi; push %edi\n"
    "    mov %esp, user_saved_esp\n"
    "    mov 20(%esp), %eax\n"
    "    mov 24(%esp), %ecx\n"
    "    pushl $0; pushl $0; pushl $0x7000; pushl $0x7000\n" /* gs fs ds es */
    "    pushl $0x7000; pushl $0xf000\n"
    "    push %ecx\n"
    "    pushl $0x7000\n"
    "    push %eax\n"
    "    iret\n");
extern char real_interrupts[], real_segments[], real_end[], v86_int[], v86_cli[], v86_pushf[],
    v86_hlt[], v86_out[], v86_out_allowed[], v86_segment[], v86_privileged[], v86_protected[],
    v86_limit[];
int v86_enter(uint32_t ip, uint32_t flags);

#define FLAG_VM        (1u << 17)
#define FLAG_IOPL      (3u << 12)
#define OFFSET(symbol) ((uint32_t)((symbol)-real_begin))

static void clear_results(void)
{
    for (unsigned i = 0; i < 32; i++) {
        RESULT(i) = 0;
    }
}

static void test_real(void)
{
    check_case = "real mode, interrupts";
    clear_results();
    real_mode_call(OFFSET(real_interrupts));
    CHECK_EQUAL(RESULT(0), RESULT(1));
    CHECK_EQUAL(RESULT(2) & 0x201, 0x201); /* IF and CF are back */
    CHECK_EQUAL(RESULT(3) & 0x201, 0x001);
    CHECK_EQUAL(RESULT(4), 1);
    CHECK_EQUAL(RESULT(5), RESULT(6));
    CHECK_EQUAL(RESULT(7), 1);
    CHECK_EQUAL(RESULT(8), 1);
    CHECK_EQUAL(RESULT(14), 0x9abc);
    CHECK_EQUAL(RESULT(15), 0x5678);
    check_case = "real mode, segments";
    clear_results();
    RESULT(0) = 0xbeef;
    real_mode_call(OFFSET(real_segments));
    CHECK_EQUAL(RESULT(1), 0xbeef);
    CHECK_EQUAL(RESULT(2) | RESULT(3) << 16, 0x1badb002);
    CHECK_EQUAL(RESULT(4), 0x55aa);
    CHECK_EQUAL(RESULT(5), 3);
    CHECK_EQUAL(RESULT(6), 0x7000);
    CHECK_EQUAL(RESULT(7) & 1, 0);
}

static void check_v86(const char *name, char *code, uint32_t flags, int vector)
{
    check_case = name;
    CHECK_EQUAL(v86_enter(OFFSET(code), flags | FLAG_VM | 2), vector);
    if (vector == 13) {
        CHECK_EQUAL(fault.error, 0);
        CHECK_EQUAL(fault.eip, OFFSET(code) + (code == v86_out || code == v86_limit ? 3 : 0));
    }
}

static void test_v86(void)
{
    static struct {
        struct tss tss;
        uint8_t map[33];
    } with_map;

    /* A TSS with a map that allows port 81h and not 80h. */
    with_map.tss = tss;
    for (unsigned i = 0; i < sizeof(with_map.map); i++) {
        with_map.map[i] = 0xff;
    }
    with_map.map[0x81 / 8] &= (uint8_t) ~(1 << 0x81 % 8);
    with_map.tss.io_map = sizeof(tss);
    gdt[9] = make_descriptor((uint32_t)&with_map, sizeof(with_map) - 1, 0x89, 0);
    asm volatile("ltr %w0" : : "r"(9 * 8));
    idt_set(0x61, 3);
    idt_set(0x62, 0);

    check_v86("INT with IOPL 3", v86_int, FLAG_IOPL, 0x61);
    check_v86("INT with IOPL 0", v86_int, 0, 13);
    check_v86("CLI with IOPL 3", v86_cli, FLAG_IOPL, 0x61);
    check_v86("CLI with IOPL 0", v86_cli, 0, 13);
    check_v86("PUSHF with IOPL 3", v86_pushf, FLAG_IOPL, 0x61);
    check_v86("PUSHF with IOPL 0", v86_pushf, 0, 13);
    check_v86("HLT", v86_hlt, FLAG_IOPL, 13);
    check_v86("OUT, denied", v86_out, FLAG_IOPL, 13);
    check_v86("OUT, allowed by the map", v86_out_allowed, FLAG_IOPL, 0x61);
    check_v86("privileged instruction", v86_privileged, FLAG_IOPL, 13);
    check_v86("instruction of protected mode", v86_protected, FLAG_IOPL, 6);
    check_v86("limit", v86_limit, FLAG_IOPL, 13);
    RESULT(0) = 41;
    check_v86("segment", v86_segment, FLAG_IOPL, 0x61);
    CHECK_EQUAL(RESULT(0), 42);
}

static uint64_t pml4[512] __attribute__((aligned(4096)));
static uint64_t pdpt[512] __attribute__((aligned(4096)));
static uint64_t directory[512] __attribute__((aligned(4096)));
uint32_t long_results[8];

/* Into IA-32e mode (compatibility), to 64-bit code and back, and out again. */
asm(".text\n.code32\n"
    "run_long:\n"
    "    push %ebx; push %ebp; push %esi; push %edi\n"
    "    mov 20(%esp), %eax\n"
    "    mov %cr4, %edx; or $0x20, %edx; mov %edx, %cr4\n"
    "    mov %eax, %cr3\n"
    "    mov $0xc0000080, %ecx; rdmsr; or $0x100, %eax; wrmsr\n"
    "    mov %cr0, %eax; or $0x80000000, %eax; mov %eax, %cr0\n"
    "    mov $7, %eax\n"
    "    .byte 0x40\n" /* INC EAX here, a REX prefix in 64-bit code */
    "    mov %eax, long_results\n"
    "    rdmsr; mov %eax, long_results + 4\n"
    "    ljmp $0x28, $1f\n"
    ".code64\n"
    "1:  mov $0x123456789abcdef0, %r8\n"
    "    mov %r8, %rax; shr $32, %rax; mov %eax, long_results + 8(%rip)\n"
    "    mov $7, %eax; .byte 0x40; nop; mov %eax, long_results + 12(%rip)\n"
    "    mov $-1, %rax; mov $1, %eax; shr $32, %rax; mov %eax, long_results + 16(%rip)\n"
    "    lea 2f(%rip), %rax; lea 0(%rip), %rcx; 2: sub %rcx, %rax; mov %eax, long_results + "
    "20(%rip)\n"
    "    sub $8, %rsp; movl $0x08, 4(%rsp); lea 3f(%rip), %rax; mov %eax, (%rsp); lretl\n" /* to
                                                                                              compatibility
                                                                                              mode
                                                                                            */
    ".code32\n"
    "3:  mov $5, %eax; .byte 0x40; mov %eax, long_results + 24\n"
    "    mov %cr0, %eax; and $0x7fffffff, %eax; mov %eax, %cr0\n"
    "    mov $0xc0000080, %ecx; rdmsr; mov %eax, long_results + 28; and $~0x100, %eax; wrmsr\n"
    "    mov %cr4, %edx; and $~0x20, %edx; mov %edx, %cr4\n"
    "    pop %edi; pop %esi; pop %ebp; pop %ebx\n"
    "    ret\n");
void run_long(uint32_t cr3);

static void test_long(void)
{
    check_case = "long mode";
    for (unsigned i = 0; i < 8; i++) {
        directory[i] = (uint64_t)i << 21 | 0x83;
    }
    pdpt[0] = (uint32_t)directory | 3;
    pml4[0] = (uint32_t)pdpt | 3;
    for (unsigned round = 0; round < 3; round++) {
        check_number = round;
        run_long((uint32_t)pml4);
        CHECK_EQUAL(long_results[0], 8);
        CHECK_EQUAL(long_results[1] & 0x500, 0x500); /* LME, LMA */
        CHECK_EQUAL(long_results[2], 0x12345678);
        CHECK_EQUAL(long_results[3], 7);
        CHECK_EQUAL(long_results[4], 0); /* 32-bit results clear the upper half */
        CHECK_EQUAL(long_results[5], 0);
        CHECK_EQUAL(long_results[6], 6);
        CHECK_EQUAL(long_results[7] & 0x500, 0x100); /* LMA fell with CR0.PG */
    }
}

/* What CR0, CR4 and EFER refuse: SDM vol. 3, 2.5, 10.8.5. */
static void test_control_registers(void)
{
    uint32_t cr0, cr4;

    check_case = "control registers";
    asm volatile("mov %%cr0, %0" : "=r"(cr0));
    asm volatile("mov %%cr4, %0" : "=r"(cr4));
    TRY("mov %0, %%cr0", "r"((cr0 | 1u << 31) & ~1u)); /* PG without PE */
    CHECK_EQUAL(fault.vector, 13);
    TRY("mov %0, %%cr0", "r"((cr0 | 1u << 29) & ~(1u << 30))); /* NW without CD */
    CHECK_EQUAL(fault.vector, 13);
    TRY("mov %0, %%cr4", "r"(cr4 | 1u << 31));
    CHECK_EQUAL(fault.vector, 13);
    TRY("mov %0, %%cr4", "r"(cr4 | 1u << 17)); /* PCIDE outside of IA-32e mode */
    CHECK_EQUAL(fault.vector, 13);
    TRY("mov $0xc0000080, %%ecx; rdmsr; or $0x100, %%eax; wrmsr;"
        "mov %0, %%cr0",
        "r"(cr0 | 1u << 31)); /* LME, no PAE */
    CHECK_EQUAL(fault.vector, 13);
    asm volatile("mov $0xc0000080, %%ecx; rdmsr; and $~0x100, %%eax; wrmsr"
                 :
                 :
                 : "eax", "ecx", "edx");
    TRY("mov $0xc0000080, %%ecx; rdmsr; or $2, %%eax; wrmsr", "r"(0));
    CHECK_EQUAL(fault.vector, 13);
}

int main(void)
{
    for (char *from = real_begin, *to = (char *)REAL_BASE; from < real_end;) {
        *to++ = *from++;
    }
    test_real();
    test_v86();
    test_long();
    test_control_registers();
    return guest_result();
}
