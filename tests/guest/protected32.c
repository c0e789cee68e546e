/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segmentation, privilege levels, gates, task switches and virtual-8086 mode, in 32-bit protected
 * mode without paging. Each expectation is from SDM vol. 3, chapters 5, 6, 7 and 20.
 */
#include "guest.h"

void *memcpy(void *to, const void *from, size_t length);
void *memset(void *to, int value, size_t length);

#define VECTOR_USER 0x80 /* INT of user code back to the test, DPL 3 */

enum selector {
    CODE0 = 0x08,
    DATA0 = 0x10,
    CODE3 = 0x18,
    DATA3 = 0x20,
    TSS_MAIN = 0x28,
    TSS_OTHER = 0x30,
    TSS_16 = 0x38,
    LDT = 0x40,
    DATA_ABSENT = 0x48,
    DATA_READ_ONLY = 0x50,
    DATA_SMALL = 0x58, /* limit FFFh */
    DATA_DOWN = 0x60,  /* expand-down above FFFh */
    CODE_CONFORMING = 0x68,
    CODE_ABSENT = 0x70,
    CALL_GATE = 0x78,
    TASK_GATE = 0x80,
    TSS_SHORT = 0x88,
    CODE_EXECUTE_ONLY = 0x90,
    GATE_ABSENT = 0x98,
    TSS_ABSENT = 0xa0,
    STACK_SMALL = 0xa8,
    STACK_16 = 0xb0,
};

struct tss32 {
    uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
    uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi;
    uint32_t es, cs, ss, ds, fs, gs, ldt;
    uint16_t trap, io_map;
    uint8_t redirection[32], io[8193];
} __attribute__((packed));

struct tss16 {
    uint16_t link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags, ax, cx, dx, bx, sp, bp, si, di;
    uint16_t es, cs, ss, ds, ldt;
} __attribute__((packed));

struct frame32 {
    uint32_t es, ds, edi, esi, ebp, esp, ebx, edx, ecx, eax;
    uint32_t vector, error, eip, cs, eflags;
    /* from an outer level */ uint32_t outer_esp, outer_ss;
    /* from v86 */ uint32_t v86_es, v86_ds, v86_fs, v86_gs;
};

/* The first two that start32-own.S needs; guest_init32 makes the rest. */
uint64_t gdt[32] = {0, 0x00cf9b000000ffff, 0x00cf93000000ffff};
uint64_t ldt[4], idt[256];
struct tss32 tss_main, tss_other;
struct tss16 tss_16;
static uint8_t stack_other[4096] __attribute__((aligned(16)));
static uint8_t stack_user[4096] __attribute__((aligned(16)));
uint8_t stack_0[4096] __attribute__((aligned(16)));
extern const uint8_t exception_stubs[256][16];
void exception_handler32(struct frame32 *frame);
void guest_init32(void);
void frame_enter(const uint32_t *frame, unsigned count);
void frame_leave(void) __attribute__((noreturn));

static int last_vector; /* -1: none */
static uint32_t last_error;
uint32_t resume;
static struct frame32 last_frame;
static int leaves; /* the next exception ends frame_enter */

static uint64_t descriptor(uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
           (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)flags << 52 |
           (uint64_t)(base >> 24) << 56;
}

static uint64_t gate(uint16_t selector, uint32_t offset, unsigned access, unsigned parameters)
{
    return (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)parameters << 32 |
           (uint64_t)access << 40 | (uint64_t)(offset >> 16) << 48;
}

static void set(unsigned selector, uint64_t value)
{
    gdt[selector / 8] = value;
}

static unsigned type_of(unsigned selector)
{
    return gdt[selector / 8] >> 40 & 15;
}

static void idt_default(unsigned vector)
{
    idt[vector] = gate(CODE0, (uint32_t)exception_stubs[vector],
                       vector == VECTOR_USER || vector == 3 ? 0xee : 0x8e, 0);
}

void guest_init32(void)
{
    struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint32_t)idt};

    set(CODE0, descriptor(0, 0xfffff, 0x9b, 0xc));
    set(DATA0, descriptor(0, 0xfffff, 0x93, 0xc));
    set(CODE3, descriptor(0, 0xfffff, 0xfb, 0xc));
    set(DATA3, descriptor(0, 0xfffff, 0xf3, 0xc));
    set(TSS_MAIN, descriptor((uint32_t)&tss_main, sizeof(tss_main) - 1, 0x89, 0));
    set(TSS_OTHER, descriptor((uint32_t)&tss_other, sizeof(tss_other) - 1, 0x89, 0));
    set(TSS_16, descriptor((uint32_t)&tss_16, sizeof(tss_16) - 1, 0x81, 0));
    set(TSS_SHORT, descriptor((uint32_t)&tss_other, 0x66, 0x89, 0));
    set(TSS_ABSENT, descriptor((uint32_t)&tss_other, 0x67, 0x09, 0));
    set(LDT, descriptor((uint32_t)ldt, sizeof(ldt) - 1, 0x82, 0));
    set(DATA_ABSENT, descriptor(0, 0xfffff, 0x13, 0xc));
    set(DATA_READ_ONLY, descriptor(0, 0xfffff, 0x90, 0xc));
    set(DATA_SMALL, descriptor(0x100000, 0xfff, 0x92, 0x4));
    set(DATA_DOWN, descriptor(0x100000, 0xfff, 0x96, 0x4));
    set(CODE_CONFORMING, descriptor(0, 0xfffff, 0x9e, 0xc));
    set(CODE_ABSENT, descriptor(0, 0xfffff, 0x1a, 0xc));
    set(CODE_EXECUTE_ONLY, descriptor(0, 0xfffff, 0x98, 0xc));
    set(TASK_GATE, gate(TSS_OTHER, 0, 0x85, 0));
    set(GATE_ABSENT, gate(CODE0, 0, 0x0c, 0));
    set(STACK_SMALL, descriptor((uint32_t)stack_0, 7, 0x92, 0x4));
    set(STACK_16, descriptor((uint32_t)stack_0, 0xfff, 0x92, 0));
    ldt[1] = descriptor(0, 0xfffff, 0x92, 0xc);
    for (unsigned i = 0; i < 256; i++) {
        idt_default(i);
    }
    tss_main.ss0 = DATA0;
    tss_main.esp0 = (uint32_t)stack_0 + sizeof(stack_0);
    tss_main.io_map = offsetof(struct tss32, io);
    memset(tss_main.io, 0xff, sizeof(tss_main.io));
    tss_other.io_map = sizeof(tss_other);
    outb(0x21, 0xff); /* no interrupts from devices */
    outb(0xa1, 0xff);
    asm volatile("lidt %0; ltr %w1" : : "m"(pointer), "r"(TSS_MAIN));
}

void exception_handler32(struct frame32 *frame)
{
    last_frame = *frame;
    last_vector = (int)frame->vector;
    last_error = frame->error;
    if (leaves) {
        leaves = 0;
        frame_leave();
    }
    if (!resume) {
        print("unexpected exception ");
        print_hex(frame->vector);
        print(" error ");
        print_hex(frame->error);
        print(" at ");
        print_hex(frame->eip);
        print("\n");
        guest_exit(1);
    }
    frame->eip = resume;
    frame->ds = frame->es = DATA0;
    resume = 0;
}

/* Execute; last_vector and last_error say what it raised. Uses eax, and may end with FS and GS of
 * any kind. */
#define TRY32(instruction, ...)                                                                    \
    do {                                                                                           \
        last_vector = -1;                                                                          \
        last_error = 0;                                                                            \
        asm volatile("movl $1f, %0\n\t" instruction "\n1: movl $0, %0"                             \
                     : "+m"(resume)                                                                \
                     : __VA_ARGS__                                                                 \
                     : "memory", "cc", "eax");                                                     \
    } while (0)

#define EXPECT(vector_, error_)                                                                    \
    do {                                                                                           \
        CHECK_EQUAL(last_vector, vector_);                                                         \
        if ((vector_) >= 0)                                                                        \
            CHECK_EQUAL(last_error, error_);                                                       \
    } while (0)

static void load_fs(unsigned selector, int vector, unsigned error)
{
    check_case = "mov fs";
    check_number = selector;
    TRY32("mov %w1, %%fs", "r"(selector));
    EXPECT(vector, error);
}

static void test_segment_loads(void)
{
    load_fs(0, -1, 0);
    load_fs(3, -1, 0);
    load_fs(DATA0, -1, 0);
    load_fs(DATA0 | 3, 13, DATA0); /* RPL 3, DPL 0 */
    load_fs(DATA3 | 3, -1, 0);
    load_fs(DATA3, -1, 0);
    load_fs(DATA_ABSENT, 11, DATA_ABSENT);
    load_fs(TSS_OTHER, 13, TSS_OTHER);
    load_fs(CODE0, -1, 0);
    load_fs(CODE_EXECUTE_ONLY, 13, CODE_EXECUTE_ONLY);
    load_fs(CODE_CONFORMING | 3, -1, 0);
    load_fs(0x100, 13, 0x100); /* past the GDT's limit */
    asm volatile("lldt %w0" : : "r"(0));
    load_fs(0x0c, 13, 0x0c); /* no LDT */
    asm volatile("lldt %w0" : : "r"(LDT));
    load_fs(0x0c, -1, 0);
    load_fs(0x24, 13, 0x24); /* past the LDT's limit */
    asm volatile("lldt %w0" : : "r"(0));

    check_case = "mov ss";
    set(DATA_READ_ONLY, descriptor(0, 0xfffff, 0x90, 0xc));
    TRY32("mov %w1, %%ss", "r"(0));
    EXPECT(13, 0);
    TRY32("mov %w1, %%ss", "r"(DATA_READ_ONLY));
    EXPECT(13, DATA_READ_ONLY);
    TRY32("mov %w1, %%ss", "r"(DATA3 | 3));
    EXPECT(13, DATA3);
    TRY32("mov %w1, %%ss", "r"(DATA_ABSENT));
    EXPECT(12, DATA_ABSENT);
    TRY32("mov %w1, %%ss", "r"(CODE0));
    EXPECT(13, CODE0);

    check_case = "accessed bit";
    CHECK_EQUAL(type_of(DATA_SMALL), 2);
    load_fs(DATA_SMALL, -1, 0);
    CHECK_EQUAL(type_of(DATA_SMALL), 3);
}

static void test_limits(void)
{
    check_case = "limit";
    asm volatile("mov %w0, %%fs" : : "r"(DATA_SMALL));
    TRY32("movl %%fs:0xffc, %%eax", "i"(0));
    EXPECT(-1, 0);
    TRY32("movl %%fs:0xffd, %%eax", "i"(0));
    EXPECT(13, 0);
    asm volatile("mov %w0, %%fs" : : "r"(DATA_DOWN));
    TRY32("movl %%fs:0x1000, %%eax", "i"(0));
    EXPECT(-1, 0);
    TRY32("movl %%fs:0xfff, %%eax", "i"(0));
    EXPECT(13, 0);
    asm volatile("mov %w0, %%fs" : : "r"(DATA_READ_ONLY));
    TRY32("movl %%fs:0, %%eax", "i"(0));
    EXPECT(-1, 0);
    TRY32("movl $0, %%fs:0", "i"(0));
    EXPECT(13, 0);
    asm volatile("mov %w0, %%fs" : : "r"(0));
    TRY32("movl %%fs:0, %%eax", "i"(0));
    EXPECT(13, 0);
    check_case = "write to code";
    TRY32("movl $0, %%cs:0", "i"(0));
    EXPECT(13, 0);
}

static void test_far_transfers(void)
{
    check_case = "ljmp";
    TRY32("ljmp $0, $0", "i"(0));
    EXPECT(13, 0);
    TRY32("ljmp %1, $0", "i"(DATA0));
    EXPECT(13, DATA0);
    TRY32("ljmp %1, $0", "i"(CODE3));
    EXPECT(13, CODE3);
    TRY32("ljmp %1, $0", "i"(CODE_ABSENT));
    EXPECT(11, CODE_ABSENT);
    TRY32("ljmp %1, $0", "i"(GATE_ABSENT));
    EXPECT(11, GATE_ABSENT);
    TRY32("ljmp %1, $0", "i"(TSS_MAIN)); /* busy */
    EXPECT(13, TSS_MAIN);
    TRY32("ljmp %1, $0", "i"(TSS_ABSENT));
    EXPECT(11, TSS_ABSENT);
    TRY32("ljmp %1, $0", "i"(TSS_SHORT));
    EXPECT(10, TSS_SHORT);
    TRY32("ljmp %1, $0", "i"(LDT));
    EXPECT(13, LDT);
    TRY32("ljmp %1, $2f\n2:\n", "i"(CODE_CONFORMING));
    EXPECT(-1, 0);
    asm volatile("ljmp %0, $1f\n1:" : : "i"(CODE0));

    check_case = "call gate, same level";
    uint32_t before, after, pushed_cs;
    asm volatile("movl $2f, %%eax\n\t"
                 "movw %%ax, gdt+%c3\n\t"
                 "shrl $16, %%eax\n\t"
                 "movw %%ax, gdt+%c3+6\n\t"
                 "movw %4, gdt+%c3+2\n\t"
                 "movw $0x8c00, gdt+%c3+4\n\t"
                 "movl %%esp, %0\n\t"
                 "lcall %3, $0\n\t"
                 "jmp 3f\n"
                 "2: movl %%esp, %1\n\t"
                 "movl 4(%%esp), %2\n\t"
                 "lret\n"
                 "3:"
                 : "=&r"(before), "=&r"(after), "=&r"(pushed_cs)
                 : "i"(CALL_GATE), "i"(CODE0)
                 : "eax", "memory");
    CHECK_EQUAL(before - after, 8);
    CHECK_EQUAL(pushed_cs & 0xffff, CODE0);
}

/* Run user code (level 3) until an exception. */
static void user_run(const void *code, uint32_t flags)
{
    uint32_t frame[5] = {(uint32_t)code, CODE3 | 3, flags | 2,
                         (uint32_t)stack_user + sizeof(stack_user), DATA3 | 3};

    leaves = 1;
    last_vector = -1;
    frame_enter(frame, 5);
}

#define USER_CODE(name, text)                                                                      \
    extern const uint8_t name[];                                                                   \
    asm(".pushsection .text\n" #name ":\n" text "\n.popsection\n")

USER_CODE(user_int, "movl $0x1234, %eax; int $0x80");
USER_CODE(user_int_13, "int $13");
USER_CODE(user_int3, "int3");
USER_CODE(user_cli, "cli");
USER_CODE(user_hlt, "hlt");
USER_CODE(user_in, "inb $0xe0, %al; int $0x80");
USER_CODE(user_inw, "inw $0xe0, %ax; int $0x80");
USER_CODE(user_load, "movw %ss, %ax; movw %ax, %ds; movw $0x10, %ax; movw %ax, %ds");
USER_CODE(user_segments, "int $0x80");
USER_CODE(user_gate, "pushl $0x11111111; pushl $0x22222222; lcall $0x7b, $0; int $0x80");
USER_CODE(gate_target, "movl 8(%esp), %eax; movl 12(%esp), %ebx; movl 16(%esp), %ecx;"
                       "movl 20(%esp), %edx; lret $8");
USER_CODE(user_gate_bad, "lcall $0x78, $0");

static void test_levels(void)
{
    check_case = "level 3";
    user_run(user_int, 0);
    EXPECT(VECTOR_USER, 0);
    CHECK_EQUAL(last_frame.eax, 0x1234);
    CHECK_EQUAL(last_frame.cs, CODE3 | 3);
    CHECK_EQUAL(last_frame.outer_ss, DATA3 | 3);
    CHECK_EQUAL(last_frame.outer_esp, (uint32_t)stack_user + sizeof(stack_user));
    CHECK_EQUAL(last_frame.eip, (uint32_t)user_int + 7);
    user_run(user_int_13, 0);
    EXPECT(13, 13 * 8 + 2);
    CHECK_EQUAL(last_frame.eip, (uint32_t)user_int_13);
    user_run(user_int3, 0);
    EXPECT(3, 0);
    CHECK_EQUAL(last_frame.eip, (uint32_t)user_int3 + 1);
    user_run(user_cli, 0);
    EXPECT(13, 0);
    user_run(user_hlt, 0x3000);
    EXPECT(13, 0);
    user_run(user_load, 0);
    EXPECT(13, DATA0);

    check_case = "segments on a return to level 3";
    asm volatile("mov %w0, %%fs; mov %w1, %%gs" : : "r"(DATA0), "r"(DATA3));
    user_run(user_segments, 0);
    uint32_t fs, gs;
    asm volatile("mov %%fs, %0; mov %%gs, %1" : "=r"(fs), "=r"(gs));
    CHECK_EQUAL(fs & 0xffff, 0);
    CHECK_EQUAL(gs & 0xffff, DATA3);

    check_case = "I/O bitmap";
    user_run(user_in, 0);
    EXPECT(13, 0);
    tss_main.io[0xe0 / 8] = 0xfe;
    user_run(user_in, 0);
    EXPECT(VECTOR_USER, 0);
    user_run(user_inw, 0);
    EXPECT(13, 0);
    tss_main.io[0xe0 / 8] = 0xfc;
    user_run(user_inw, 0);
    EXPECT(VECTOR_USER, 0);
    tss_main.io[0xe0 / 8] = 0xff;
    user_run(user_in, 0x3000);
    EXPECT(VECTOR_USER, 0);

    check_case = "call gate to level 0";
    set(CALL_GATE, gate(CODE0, (uint32_t)gate_target, 0xec, 2));
    user_run(user_gate, 0);
    EXPECT(VECTOR_USER, 0);
    CHECK_EQUAL(last_frame.eax, 0x22222222);
    CHECK_EQUAL(last_frame.ebx, 0x11111111);
    CHECK_EQUAL(last_frame.ecx, (uint32_t)stack_user + sizeof(stack_user) - 8);
    CHECK_EQUAL(last_frame.edx, DATA3 | 3);
    CHECK_EQUAL(last_frame.outer_esp, (uint32_t)stack_user + sizeof(stack_user));
    set(CALL_GATE, gate(CODE0, (uint32_t)gate_target, 0x8c, 2));
    user_run(user_gate_bad, 0);
    EXPECT(13, CALL_GATE);
    set(CALL_GATE, gate(CODE0, (uint32_t)gate_target, 0xec, 2));
}

uint32_t other_eflags, other_tr, other_error, other_ts;

/* Runs as the other task: notes what it sees, then returns to the task it is nested in. */
extern const uint8_t other_task[], other_task_next[];
asm(".pushsection .text\n"
    "other_task:\n"
    "pushf; pop other_eflags\n"
    "movl $0, other_tr; strw other_tr\n"
    "smsw %eax; movl %eax, other_ts\n"
    "iret\n"
    "other_task_next: jmp other_task\n.popsection\n");

extern const uint8_t other_task_error[];
asm(".pushsection .text\n"
    "other_task_error:\n"
    "pop other_error\n"
    "movl resume, %eax; movl %eax, tss_main+32\n" /* the faulting task's EIP */
    "movl $0, resume\n"
    "iret\n"
    "jmp other_task_error\n.popsection\n");

static void reset_other(const void *code)
{
    memset(&tss_other, 0, 104);
    tss_other.eip = (uint32_t)code;
    tss_other.esp = (uint32_t)stack_other + sizeof(stack_other);
    tss_other.eflags = 2;
    tss_other.cs = CODE0;
    tss_other.ss = tss_other.ds = tss_other.es = DATA0;
    tss_other.eax = 0xcafe;
    tss_other.io_map = sizeof(tss_other);
    set(TSS_OTHER, descriptor((uint32_t)&tss_other, sizeof(tss_other) - 1, 0x89, 0));
}

static void test_tasks(void)
{
    uint32_t flags;

    check_case = "call task";
    reset_other(other_task);
    asm volatile("clts; lcall %0, $0" : : "i"(TSS_OTHER) : "memory");
    CHECK_EQUAL(other_tr, TSS_OTHER);
    CHECK_EQUAL(other_eflags & 0x4000, 0x4000); /* NT */
    CHECK_EQUAL(other_ts & 8, 8);
    CHECK_EQUAL(tss_other.link, TSS_MAIN);
    CHECK_EQUAL(type_of(TSS_OTHER), 9);
    CHECK_EQUAL(type_of(TSS_MAIN), 11);
    CHECK_EQUAL(tss_other.eflags & 0x4000, 0); /* saved by IRET without it */
    CHECK_EQUAL(tss_other.eip, (uint32_t)other_task_next);
    asm volatile("pushf; pop %0" : "=r"(flags));
    CHECK_EQUAL(flags & 0x4000, 0);

    check_case = "task gate";
    reset_other(other_task);
    asm volatile("lcall %0, $0" : : "i"(TASK_GATE) : "memory");
    CHECK_EQUAL(other_tr, TSS_OTHER);

    check_case = "interrupt task gate";
    reset_other(other_task);
    idt[0x81] = gate(TSS_OTHER, 0, 0x85, 0);
    asm volatile("int $0x81" : : : "memory");
    CHECK_EQUAL(tss_other.link, TSS_MAIN);
    CHECK_EQUAL(type_of(TSS_OTHER), 9);

    check_case = "error code on the task's stack";
    reset_other(other_task_error);
    idt[13] = gate(TSS_OTHER, 0, 0x85, 0);
    TRY32("mov %w1, %%fs", "r"(TSS_MAIN));
    CHECK_EQUAL(other_error, TSS_MAIN);
    CHECK_EQUAL(tss_main.eflags & 0x10000, 0x10000); /* RF of a fault */
    idt_default(13);

    check_case = "jump to a task and back";
    reset_other(other_task);
    asm volatile("movl $1f, tss_other+32\n\t"
                 "movl %%esp, tss_other+56\n\t"
                 "movl %%ebp, tss_other+60\n\t"
                 "ljmp %0, $0\n\t"
                 "jmp 2f\n"
                 "1: movl $0, other_tr\n\t"
                 "strw other_tr\n\t"
                 "pushf; pop other_eflags\n\t"
                 "ljmp %1, $0\n"
                 "2:"
                 :
                 : "i"(TSS_OTHER), "i"(TSS_MAIN)
                 : "memory", "eax");
    CHECK_EQUAL(other_tr, TSS_OTHER);
    CHECK_EQUAL(other_eflags & 0x4000, 0);
    CHECK_EQUAL(type_of(TSS_OTHER), 9);
    CHECK_EQUAL(type_of(TSS_MAIN), 11);

    check_case = "IRET without a previous task";
    tss_main.link = TSS_OTHER; /* not busy */
    TRY32("pushf; orl $0x4000, (%%esp); popf; iret", "i"(0));
    asm volatile("pushf; andl $~0x4000, (%%esp); popf" : : : "cc");
    EXPECT(10, TSS_OTHER);
    tss_main.link = 0;
}

/* In the new task's context: the handler runs on its stack, with its TR. */
uint32_t handler_tr;
extern const uint8_t task_fault_handler[];
asm(".pushsection .text\n"
    "task_fault_handler:\n" /* DS is not loaded; where the new task was is of no interest */
    "movw $0x10, %ax; movw %ax, %ds\n"
    "pop other_error\n"
    "movl $0, handler_tr; strw handler_tr\n"
    "ljmp $0x28, $0\n.popsection\n");

/* Puts a good level 0 stack into the main task's TSS. */
extern const uint8_t repair_task[];
asm(".pushsection .text\n"
    "repair_task:\n"
    "pop other_error\n"
    "movl $0x10, tss_main+8\n"
    "movl $stack_0+4096, tss_main+4\n"
    "iret\n"
    "jmp repair_task\n.popsection\n");

static void test_task_faults(void)
{
    check_case = "bad DS in the new task";
    reset_other(other_task);
    tss_other.ds = TSS_MAIN;
    idt[10] = gate(CODE0, (uint32_t)task_fault_handler, 0x8e, 0);
    asm volatile("ljmp %0, $0" : : "i"(TSS_OTHER) : "memory");
    CHECK_EQUAL(other_error, TSS_MAIN);
    CHECK_EQUAL(handler_tr, TSS_OTHER);
    idt_default(10);

    check_case = "stack fault of an inner level: double fault task";
    reset_other(other_task_error);
    idt[8] = gate(TSS_OTHER, 0, 0x85, 0);
    tss_main.ss0 = DATA3; /* bad for level 0: #TS, whose delivery fails the same way */
    other_error = 0xdead;
    /* From level 3 there is no way back but through the task: it returns to level 3 code. */
    leaves = 0;
    resume = (uint32_t)user_segments;
    tss_main.ss0 = DATA3;
    tss_main.esp0 = (uint32_t)stack_0 + sizeof(stack_0);
    tss_other.eip = (uint32_t)repair_task; /* repairs SS0 before it goes back */
    user_run(user_int, 0);
    CHECK_EQUAL(other_error, 0);
    EXPECT(VECTOR_USER, 0); /* the INT was restarted */
    resume = 0;
    idt_default(8);

    check_case = "room on the inner stack";
    reset_other(other_task_error);
    idt[12] = gate(TSS_OTHER, 0, 0x85, 0);
    tss_main.ss0 = STACK_SMALL;
    tss_main.esp0 = 8;
    tss_other.eip = (uint32_t)repair_task;
    user_run(user_int, 0);
    CHECK_EQUAL(other_error, STACK_SMALL);
    EXPECT(VECTOR_USER, 0);
    idt_default(12);
}

USER_CODE(code_16, "movl %edi, other_error; iret");

static void test_task_16(void)
{
    check_case = "16-bit TSS";
    memset(&tss_16, 0, sizeof(tss_16));
    /* IP has 16 bits: a code segment based at the code. */
    set(CODE_ABSENT, descriptor((uint32_t)code_16, 0xffff, 0x9a, 4));
    tss_16.flags = 2;
    tss_16.cs = CODE_ABSENT;
    tss_16.ss = STACK_16;
    tss_16.sp = 0x800;
    tss_16.ds = tss_16.es = DATA0;
    tss_16.di = 0xbeef;
    asm volatile("lcall %0, $0" : : "i"(TSS_16) : "memory");
    CHECK_EQUAL(other_error, 0xffffbeef); /* the 80386 sets the upper halves */
    CHECK_EQUAL(tss_16.link, TSS_MAIN);
    CHECK_EQUAL(type_of(TSS_16), 1);
    set(CODE_ABSENT, descriptor(0, 0xfffff, 0x1a, 0xc));
}

#define V86_BASE 0x20000u

/* Run 8086 code at 2000:0 until an exception. */
static void v86_run(const void *code, unsigned length, uint32_t flags)
{
    uint32_t frame[9] = {0,      V86_BASE >> 4, flags | 0x20002, 0x1000, V86_BASE >> 4,
                         0x1111, 0x2222,        0x3333,          0x4444};

    memcpy((void *)V86_BASE, code, length);
    leaves = 1;
    last_vector = -1;
    frame_enter(frame, 9);
}

#define V86(bytes, flags) v86_run(bytes, sizeof(bytes) - 1, flags)

static void test_v86(void)
{
    check_case = "v86";
    V86("\xb8\x34\x12\xcd\x80", 0x3000); /* mov ax, 1234h; int 80h */
    EXPECT(VECTOR_USER, 0);
    CHECK_EQUAL(last_frame.eax & 0xffff, 0x1234);
    CHECK_EQUAL(last_frame.cs, V86_BASE >> 4);
    CHECK_EQUAL(last_frame.eip, 5);
    CHECK_EQUAL(last_frame.outer_esp, 0x1000);
    CHECK_EQUAL(last_frame.eflags & 0x23000, 0x23000);
    CHECK_EQUAL(last_frame.v86_es & 0xffff, 0x1111);
    CHECK_EQUAL(last_frame.v86_ds & 0xffff, 0x2222);
    CHECK_EQUAL(last_frame.v86_fs & 0xffff, 0x3333);
    CHECK_EQUAL(last_frame.v86_gs & 0xffff, 0x4444);
    CHECK_EQUAL(last_frame.ds & 0xffff, 0);

    check_case = "v86, IOPL 0";
    V86("\xcd\x80", 0);
    EXPECT(13, 0);
    CHECK_EQUAL(last_frame.eip, 0);
    V86("\xfa", 0); /* CLI */
    EXPECT(13, 0);
    V86("\x9c", 0); /* PUSHF */
    EXPECT(13, 0);
    V86("\x9d", 0); /* POPF */
    EXPECT(13, 0);
    V86("\xcf", 0); /* IRET */
    EXPECT(13, 0);
    V86("\xcc", 0); /* INT3 */
    EXPECT(3, 0);
    V86("\xf4", 0x3000); /* HLT */
    EXPECT(13, 0);
    V86("\x0f\x00\xc0", 0x3000); /* SLDT */
    EXPECT(6, 0);
    V86("\xe4\xe0", 0x3000); /* IN: the bitmap, whatever IOPL */
    EXPECT(13, 0);
    V86("\xa1\xff\xff", 0x3000); /* past 64 KiB */
    EXPECT(13, 0);
    V86("\xfa\x9c\x58\xcd\x80", 0x3200); /* CLI; PUSHF; POP AX */
    EXPECT(VECTOR_USER, 0);
    CHECK_EQUAL(last_frame.eax & 0x3200, 0x3000);

    check_case = "v86, VME";
    asm volatile("mov %%cr4, %%eax; or $1, %%eax; mov %%eax, %%cr4" : :);
    V86("\xfa\x9c\x58\xcc", 0x80000); /* CLI; PUSHF; POP AX; INT3: VIF was set */
    EXPECT(3, 0);
    CHECK_EQUAL(last_frame.eax & 0x3200, 0x3000);
    CHECK_EQUAL(last_frame.eflags & 0x80000, 0);
    V86("\xfb\x9c\x58\xcc", 0); /* STI */
    EXPECT(3, 0);
    CHECK_EQUAL(last_frame.eax & 0x3200, 0x3200);
    CHECK_EQUAL(last_frame.eflags & 0x80200, 0x80000);
    V86("\xfb", 0x100000); /* STI while VIP */
    EXPECT(13, 0);
    memset(tss_main.redirection, 0, sizeof(tss_main.redirection));
    *(volatile uint32_t *)(0x50 * 4) = (V86_BASE >> 4) << 16 | 0x10;
    /* INT 50h goes to 2000:10 by the 8086 program's own table: INT3 there. */
    V86("\xcd\x50\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\x58\x5b\x59\xcc",
        0x80000);
    EXPECT(3, 0);
    CHECK_EQUAL(last_frame.eip, 0x14);
    CHECK_EQUAL(last_frame.eax & 0xffff, 2);
    CHECK_EQUAL(last_frame.ebx & 0xffff, V86_BASE >> 4);
    CHECK_EQUAL(last_frame.ecx & 0x3200, 0x3200); /* VIF as IF, IOPL 3 */
    CHECK_EQUAL(last_frame.eflags & 0x80000, 0);
    tss_main.redirection[0x50 / 8] = 1 << (0x50 & 7);
    V86("\xcd\x50", 0);
    EXPECT(13, 0);
    asm volatile("mov %%cr4, %%eax; and $~1, %%eax; mov %%eax, %%cr4" : :);
}

static void lar(unsigned selector, int visible, uint32_t expected)
{
    uint32_t value = 0xffffffff;
    uint8_t zero;

    check_case = "lar";
    check_number = selector;
    asm volatile("lar %2, %0; setz %1" : "+r"(value), "=q"(zero) : "r"(selector) : "cc");
    CHECK_EQUAL(zero, visible);
    if (visible) {
        CHECK_EQUAL(value, expected);
    }
}

static void test_queries(void)
{
    lar(DATA3, 1, 0xc0f300);
    lar(0, 0, 0);
    lar(0x100, 0, 0);
    lar(TASK_GATE, 1, 0x8500);
    set(0xb8, gate(CODE0, 0, 0x8e, 0)); /* an interrupt gate has no rights to show */
    lar(0xb8, 0, 0);
    lar(DATA0 | 3, 0, 0);
    uint32_t limit = 0;
    asm volatile("lsl %1, %0" : "+r"(limit) : "r"(DATA0));
    CHECK_EQUAL(limit, 0xffffffff);
    uint8_t zero;
    check_case = "verr, verw";
    asm volatile("verr %w1; setz %0" : "=q"(zero) : "r"(CODE_EXECUTE_ONLY));
    CHECK_EQUAL(zero, 0);
    asm volatile("verr %w1; setz %0" : "=q"(zero) : "r"(DATA_READ_ONLY));
    CHECK_EQUAL(zero, 1);
    asm volatile("verw %w1; setz %0" : "=q"(zero) : "r"(DATA_READ_ONLY));
    CHECK_EQUAL(zero, 0);
    asm volatile("verw %w1; setz %0" : "=q"(zero) : "r"(DATA0));
    CHECK_EQUAL(zero, 1);
    check_case = "arpl";
    uint16_t selector = 0x10;
    asm volatile("arpl %2, %0; setz %1" : "+r"(selector), "=q"(zero) : "r"((uint16_t)3));
    CHECK_EQUAL(selector, 0x13);
    CHECK_EQUAL(zero, 1);
    check_case = "arpl, read-only operand";
    asm volatile("mov %w0, %%fs" : : "r"(DATA_READ_ONLY));
    *(volatile uint16_t *)0x600 = 1;
    TRY32("movl $1, %%eax; arpl %%ax, %%fs:0x600", "i"(0));
    EXPECT(-1, 0);
    TRY32("movl $2, %%eax; arpl %%ax, %%fs:0x600", "i"(0));
    EXPECT(13, 0);
}

int main(void)
{
    test_segment_loads();
    test_limits();
    test_far_transfers();
    test_queries();
    test_levels();
    test_tasks();
    test_task_faults();
    test_task_16();
    test_v86();
    return guest_result();
}
