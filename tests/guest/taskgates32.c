/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts, NMIs and exceptions through task gates with paging on; tasks at level 3 in a
 * conforming segment and in virtual-8086 mode; faults that come one after the other. SDM vol. 3,
 * 8.3, 8.4, 21.2.6 and table 6-5.
 */
#include "guest.h"

#define TASK          (9 * 8)
#define V86_TASK      (10 * 8)
#define GATE          (11 * 8)
#define CONFORMING    (12 * 8)
#define USER_DATA     (13 * 8)
#define ABSENT_CODE   (15 * 8)
#define MAIN          0x40
#define FLAG_IOPL     (3u << 12)
#define FLAG_NT       (1u << 14)
#define FLAG_VM       (1u << 17)
#define CR0_PAGING    (1u << 31 | 1u << 16)
#define PAGE_ADDRESS  0x40000000u /* the one page that comes and goes */
#define PAGE_PRESENT  0x1u
#define PAGE_WRITABLE 0x2u
#define PAGE_PHYSICAL 0x300000u

static uint32_t directory[1024] __attribute__((aligned(4096)));
static uint32_t table[1024] __attribute__((aligned(4096)));
static struct tss task, v86_task;
static uint8_t task_stack[8192] __attribute__((aligned(16)));
static volatile unsigned runs, restarts, handled;
static volatile uint32_t divisor, seen_error, seen_link, seen_cs;
static uint32_t repaired_entry;

static uint32_t apic(unsigned offset)
{
    return *(volatile uint32_t *)(0xfee00000u + offset);
}

static void apic_set(unsigned offset, uint32_t value)
{
    *(volatile uint32_t *)(0xfee00000u + offset) = value;
}

static void paging_on(void)
{
    for (unsigned i = 0; i < 1024; i++) {
        directory[i] = i << 22 | 0x87; /* 4 MiB, for all */
    }
    directory[PAGE_ADDRESS >> 22] = (uint32_t)table | 7;
    asm volatile("mov %%cr4, %%eax; or $0x10, %%eax; mov %%eax, %%cr4\n"
                 "mov %0, %%cr3; mov %%cr0, %%eax; or %1, %%eax; mov %%eax, %%cr0"
                 :
                 : "r"(directory), "r"(CR0_PAGING)
                 : "eax", "memory");
    tss.cr3 = (uint32_t)directory;
}

static void map_page(uint32_t bits)
{
    table[0] = PAGE_PHYSICAL | bits;
    asm volatile("invlpg (%0)" : : "r"(PAGE_ADDRESS) : "memory");
}

/* Returns by IRET, and goes on after it when it is entered again. */
static void __attribute__((noreturn)) returns(void)
{
    for (;;) {
        runs++;
        seen_link = task.link;
        divisor = 10;
        asm volatile("iret");
        restarts++;
    }
}

static void __attribute__((noreturn)) acknowledges(void)
{
    for (;;) {
        runs++;
        apic_set(0xb0, 0);
        asm volatile("iret");
    }
}

static void __attribute__((noreturn)) reads_level(void)
{
    for (;;) {
        uint32_t cs;

        asm volatile("mov %%cs, %0" : "=r"(cs));
        seen_cs = cs;
        runs++;
        asm volatile("iret");
    }
}

/* Page faults: the error code lies on the task's stack. */
static void __attribute__((noreturn)) repairs_page(void)
{
    for (;;) {
        asm volatile("pop %0" : "=r"(seen_error));
        runs++;
        table[0] = repaired_entry;
        asm volatile("invlpg (%0); iret" : : "r"(PAGE_ADDRESS) : "memory");
    }
}

/* Jumps back through a task gate, over the instruction of two bytes that faulted. */
static void __attribute__((noreturn)) skips(void)
{
    asm volatile("pop %0" : "=r"(seen_error));
    runs++;
    tss.eip += 2;
    gdt[MAIN / 8] &= ~(2ull << 40); /* no longer busy */
    gdt[GATE / 8] = (uint64_t)task.link << 16 | 0x85ull << 40;
    asm volatile("ljmp $0x58, $0");
    for (;;) {
    }
}

static void make_task(void (*entry)(void))
{
    task = (struct tss){.cr3 = (uint32_t)directory,
                        .eip = (uint32_t)entry,
                        .eflags = 2,
                        .esp = (uint32_t)task_stack + sizeof(task_stack) - 16,
                        .cs = 8,
                        .ss = 0x10,
                        .ds = 0x10,
                        .es = 0x10,
                        .fs = 0x10,
                        .gs = 0x10,
                        .io_map = sizeof(task)};
    task.esp0 = task.esp;
    task.ss0 = 0x10;
    gdt[TASK / 8] = make_descriptor((uint32_t)&task, sizeof(task) - 1, 0x89, 0);
    runs = restarts = 0;
}

static void set_task_gate(unsigned vector)
{
    idt_set_gate(vector, (uint64_t)TASK << 16 | 0x85ull << 40);
}

static void start(const char *name, unsigned vector, void (*entry)(void))
{
    check_case = name;
    make_task(entry);
    set_task_gate(vector);
}

static void test_interrupts(void)
{
    start("INT 2", 2, returns);
    asm volatile("int $2" : : : "memory");
    CHECK_EQUAL(runs, 1);
    CHECK_EQUAL(seen_link, MAIN);
    asm volatile("int $2" : : : "memory");
    CHECK_EQUAL(restarts, 1);
    start("NMI", 2, returns);
    apic_set(0x300, 0x4400);
    CHECK_EQUAL(runs, 1);
    apic_set(0x300, 0x4400); /* IRET from the task ended the blocking */
    CHECK_EQUAL(runs, 2);
    start("external interrupt", 0xf0, acknowledges);
    asm volatile("sti");
    apic_set(0x300, 0x440f0);
    asm volatile("nop; cli" : : : "memory");
    CHECK_EQUAL(runs, 1);
    CHECK_EQUAL(apic(0x100 + 7 * 16), 0);
}

static void test_exceptions(void)
{
    uint32_t quotient;

    start("#DE", 0, returns);
    divisor = 0;
    asm volatile("divl %3" : "=a"(quotient) : "d"(0), "a"(1500), "m"(divisor));
    CHECK_EQUAL(quotient, 150);
    start("#OF", 4, returns);
    asm volatile("mov $127, %%al; add %%al, %%al; into" : : : "eax", "memory", "cc");
    CHECK_EQUAL(runs, 1);
    start("#BP", 3, returns);
    asm volatile("int3" : : : "memory");
    CHECK_EQUAL(runs, 1);
    start("#PF", 14, repairs_page);
    repaired_entry = PAGE_PHYSICAL | PAGE_PRESENT | PAGE_WRITABLE;
    map_page(0);
    *(volatile uint8_t *)PAGE_ADDRESS = 5;
    CHECK_EQUAL(runs, 1);
    CHECK_EQUAL(seen_error, 2);
    CHECK_EQUAL(*(volatile uint8_t *)PAGE_ADDRESS, 5);
    start("#GP, and a jump back through a gate", 13, skips);
    asm volatile("mov %0, %%es" : : "r"(0x1234));
    CHECK_EQUAL(runs, 1);
    CHECK_EQUAL(seen_error, 0x1234);
    idt_set(0, 0);
    idt_set(2, 0);
    idt_set(3, 3);
    idt_set(4, 3);
    idt_set(13, 0);
}

static void on_divide(struct frame *frame)
{
    (void)frame;
    handled++;
    divisor = 10;
}

static void on_not_present(struct frame *frame)
{
    handled++;
    seen_error = frame->error;
    idt_set(0x81, 3);
}

static void on_interrupt(struct frame *frame)
{
    (void)frame;
    handled++;
}

/* An exception whose delivery hits a page fault: both are handled, one after the other. */
static void test_serial_faults(void)
{
    uint32_t quotient, gate = (uint32_t)ABSENT_CODE << 16;

    start("#DE, then #PF on its stack", 14, repairs_page);
    handlers[0] = on_divide;
    handled = 0;
    map_page(PAGE_PRESENT);
    divisor = 0;
    asm volatile("mov %%esp, %%ecx; mov %4, %%esp; divl %3; mov %%ecx, %%esp"
                 : "=a"(quotient)
                 : "d"(0), "a"(1500), "m"(divisor), "r"(PAGE_ADDRESS + 4092)
                 : "ecx", "memory");
    CHECK_EQUAL(quotient, 150);
    CHECK_EQUAL(handled, 1);
    CHECK_EQUAL(runs, 1);
    CHECK_EQUAL(seen_error, 3);

    start("#NP, then #PF on its stack", 14, repairs_page);
    handlers[11] = on_not_present;
    handlers[0x81] = on_interrupt;
    handled = 0;
    gdt[ABSENT_CODE / 8] = make_descriptor(0, 0xfffff, 0x1b, 0xc);
    idt_set_gate(0x81, gate | 0xee00ull << 32);
    map_page(PAGE_PRESENT);
    asm volatile("mov %%esp, %%ecx; mov %0, %%esp; int $0x81; mov %%ecx, %%esp"
                 :
                 : "r"(PAGE_ADDRESS + 4092)
                 : "ecx", "memory");
    CHECK_EQUAL(handled, 2);
    CHECK_EQUAL(runs, 1);
    CHECK_EQUAL(seen_error, ABSENT_CODE);
}

/* A task whose CS is conforming with RPL 3, and so runs at level 3; its IRET with NT comes back. */
static void test_level_3(void)
{
    check_case = "conforming segment at level 3";
    gdt[CONFORMING / 8] = make_descriptor(0, 0xfffff, 0x9f, 0xc);
    gdt[USER_DATA / 8] = make_descriptor(0, 0xfffff, 0xf3, 0xc);
    make_task(reads_level);
    task.cs = CONFORMING | 3;
    task.ss = task.ds = task.es = task.fs = task.gs = USER_DATA | 3;
    task.eflags = 2 | FLAG_IOPL;
    asm volatile("lcall $0x48, $0xf4f4f4f4" : : : "memory");
    CHECK_EQUAL(runs, 1);
    CHECK_EQUAL(seen_cs, CONFORMING | 3);
}

/* IRET with NT into a task in virtual-8086 mode; its #UD comes back through a task gate. */
static void test_v86(void)
{
    static struct tss other;
    uint32_t flags;

    check_case = "virtual-8086 task";
    *(volatile uint16_t *)0x42000 = 0x0b0f; /* UD2 */
    v86_task = (struct tss){.cr3 = (uint32_t)directory,
                            .eflags = 2 | FLAG_VM,
                            .cs = 0x4200,
                            .ds = 0x1234,
                            .es = 0x2345,
                            .io_map = sizeof(v86_task)};
    gdt[V86_TASK / 8] = make_descriptor((uint32_t)&v86_task, sizeof(v86_task) - 1, 0x8b, 0);
    gdt[TASK / 8] = make_descriptor((uint32_t)&other, sizeof(other) - 1, 0x89, 0);
    asm volatile("ltr %w0" : : "r"(TASK));
    other.link = V86_TASK;
    other.cr3 = (uint32_t)directory;
    other.ss0 = 0x10;
    other.esp0 = (uint32_t)task_stack + sizeof(task_stack);
    set_task_gate(6);
    asm volatile("pushf; orw $0x4000, (%%esp); popf; iret; 1: pushf; pop %0; push %0\n"
                 "andl $~0x4000, (%%esp); popf"
                 : "=r"(flags)
                 :
                 : "memory", "cc");
    CHECK(flags & FLAG_NT);
    CHECK_EQUAL(other.link, V86_TASK);
    CHECK_EQUAL(gdt[V86_TASK / 8] >> 40 & 0xff, 0x8b);
    CHECK_EQUAL(gdt[TASK / 8] >> 40 & 0xff, 0x8b);
    CHECK_EQUAL(v86_task.eip, 0);
    CHECK_EQUAL(v86_task.cs, 0x4200);
    CHECK_EQUAL(v86_task.es, 0x2345);
    CHECK(v86_task.eflags & FLAG_VM);
    idt_set(6, 0);
}

int main(void)
{
    apic_set(0xf0, 0x1ff);
    paging_on();
    test_interrupts();
    test_exceptions();
    test_serial_faults();
    test_level_3();
    test_v86();
    return guest_result();
}
