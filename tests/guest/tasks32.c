/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Task switches: SDM vol. 3, chapter 8. JMP, CALL, IRET, task gates, double fault, #TS. */
#include "guest.h"

#define TSS1    (9 * 8)
#define TSS2    (10 * 8)
#define GATE    (11 * 8)
#define BUSY(n) (gdt[(n) / 8] >> 41 & 1)

static struct tss tss1, tss2;
static uint8_t stack1[4096], stack2[4096];
static volatile uint32_t ran, seen_link, seen_flags, seen_error, seen_tr, seen_cr0;

static uint32_t get_tr(void)
{
    uint32_t value;

    asm volatile("str %0" : "=r"(value));
    return value & 0xffff;
}

/* The first task: notes what it sees, returns by IRET (a nested task) and starts again. */
static void __attribute__((noreturn)) task_nested(void)
{
    for (;;) {
        uint32_t flags;

        ran++;
        seen_link = tss1.link;
        seen_tr = get_tr();
        asm volatile("pushf; pop %0" : "=r"(flags));
        seen_flags = flags;
        asm volatile("mov %%cr0, %0" : "=r"(flags));
        seen_cr0 = flags;
        asm volatile("iret");
    }
}

/* Entered by JMP; goes back by JMP. */
static void __attribute__((noreturn)) task_plain(void)
{
    for (;;) {
        uint32_t flags;

        ran++;
        seen_tr = get_tr();
        asm volatile("pushf; pop %0" : "=r"(flags));
        seen_flags = flags;
        asm volatile("ljmp $0x40, $0");
    }
}

/* Handler of double faults: pops the error code, mends the frame in the old TSS, returns. */
uint32_t mended_eip, mended_esp; /* named in assembly */

static void __attribute__((noreturn)) task_double_fault(void)
{
    for (;;) {
        asm volatile("pop %0" : "=r"(seen_error));
        ran++;
        seen_link = tss1.link;
        tss.eip = mended_eip;
        tss.esp = mended_esp;
        asm volatile("iret");
    }
}

static void make_task(struct tss *t, unsigned selector, void (*entry)(void), uint8_t *stack)
{
    *t = (struct tss){.eip = (uint32_t)entry,
                      .eflags = 2,
                      .esp = (uint32_t)stack + 4096 - 16,
                      .cs = 8,
                      .ss = 0x10,
                      .ds = 0x10,
                      .es = 0x10,
                      .fs = 0x10,
                      .gs = 0x10,
                      .io_map = sizeof(*t)};
    gdt[selector / 8] = make_descriptor((uint32_t)t, sizeof(*t) - 1, 0x89, 0);
}

static void test_call_and_iret(void)
{
    check_case = "CALL to a TSS and IRET";
    for (unsigned i = 0; i < 3; i++) {
        uint32_t flags;

        check_number = i;
        if (i == 0) {
            make_task(&tss1, TSS1, task_nested, stack1);
        }
        ran = 0;
        asm volatile("lcall $0x48, $0" : : : "memory", "cc");
        CHECK_EQUAL(ran, 1);
        CHECK_EQUAL(seen_link, 0x40);
        CHECK_EQUAL(seen_tr, TSS1);
        CHECK(seen_flags & 1 << 14); /* NT */
        CHECK(seen_cr0 & 8);         /* TS */
        CHECK_EQUAL(get_tr(), 0x40);
        CHECK_EQUAL(BUSY(TSS1), 0);
        CHECK_EQUAL(BUSY(0x40), 1);
        asm volatile("pushf; pop %0" : "=r"(flags));
        CHECK_EQUAL(flags & 1 << 14, 0);
        asm volatile("clts");
    }
}

static void test_jump(void)
{
    check_case = "JMP to a TSS";
    make_task(&tss2, TSS2, task_plain, stack2);
    for (unsigned i = 0; i < 3; i++) {
        check_number = i;
        ran = 0;
        asm volatile("ljmp $0x50, $0" : : : "memory", "cc");
        CHECK_EQUAL(ran, 1);
        CHECK_EQUAL(seen_tr, TSS2);
        CHECK_EQUAL(seen_flags & 1 << 14, 0);
        CHECK_EQUAL(BUSY(TSS2), 0);
        CHECK_EQUAL(BUSY(0x40), 1);
    }
    asm volatile("clts");
}

static void test_gate(void)
{
    check_case = "CALL through a task gate";
    make_task(&tss1, TSS1, task_nested, stack1);
    gdt[GATE / 8] = (uint64_t)TSS1 << 16 | 0x85ull << 40;
    ran = 0;
    asm volatile("lcall $0x58, $0" : : : "memory", "cc");
    CHECK_EQUAL(ran, 1);
    CHECK_EQUAL(seen_tr, TSS1);
    check_case = "INT through a task gate";
    idt_set_gate(0x90, (uint64_t)TSS1 << 16 | 0x85ull << 40);
    ran = 0;
    asm volatile("int $0x90" : : : "memory", "cc");
    CHECK_EQUAL(ran, 1);
    CHECK_EQUAL(seen_link, 0x40);
    CHECK_EQUAL(get_tr(), 0x40);
    asm volatile("clts");
}

static void test_faults(void)
{
    check_case = "faults of a task switch";
    make_task(&tss1, TSS1, task_nested, stack1);
    gdt[TSS1 / 8] |= 2ull << 40; /* busy */
    TRY("lcall $0x48, $0", "r"(0));
    CHECK_EQUAL(fault.vector, 13);
    CHECK_EQUAL(fault.error, TSS1);
    make_task(&tss1, TSS1, task_nested, stack1);
    gdt[TSS1 / 8] &= ~(0x80ull << 40); /* not present */
    TRY("lcall $0x48, $0", "r"(0));
    CHECK_EQUAL(fault.vector, 11);
    CHECK_EQUAL(fault.error, TSS1);
    gdt[TSS1 / 8] = make_descriptor((uint32_t)&tss1, 0x66, 0x89, 0); /* too small */
    TRY("lcall $0x48, $0", "r"(0));
    CHECK_EQUAL(fault.vector, 10);
    CHECK_EQUAL(fault.error, TSS1);
    TRY("ltr %w0", "r"(0x10));
    CHECK_EQUAL(fault.vector, 13);
    CHECK_EQUAL(fault.error, 0x10);
    TRY("ltr %w0", "r"(0x40)); /* busy */
    CHECK_EQUAL(fault.vector, 13);
    CHECK_EQUAL(fault.error, 0x40);
    TRY("ltr %w0", "r"(0));
    CHECK_EQUAL(fault.vector, 13);
    CHECK_EQUAL(fault.error, 0);
}

/* A stack fault whose handler's delivery faults too: #DF through its own task. */
static void test_double_fault(void)
{
    check_case = "double fault through a task gate";
    make_task(&tss1, TSS1, task_double_fault, stack1);
    idt_set_gate(8, (uint64_t)TSS1 << 16 | 0x85ull << 40);
    idt_set_gate(13, 0); /* #GP has no gate: #GP during #GP is a double fault */
    ran = 0;
    seen_error = 1;
    asm volatile("movl $1f, mended_eip; mov %%esp, mended_esp; movl $0, %%eax; mov %%eax, %%fs;"
                 "movl %%fs:0, %%eax; 1: nop"
                 :
                 :
                 : "eax", "memory", "cc");
    CHECK_EQUAL(ran, 1);
    CHECK_EQUAL(seen_error, 0);
    CHECK_EQUAL(seen_link, 0x40);
    CHECK_EQUAL(get_tr(), 0x40);
    idt_set(13, 0);
    idt_set(8, 0);
    asm volatile("clts");
}

int main(void)
{
    test_call_and_iret();
    test_jump();
    test_gate();
    test_faults();
    test_double_fault();
    return guest_result();
}
