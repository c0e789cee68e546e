/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupts: local APIC timer, self-IPI, priorities, IOAPIC, 8259, shadows, HLT, x2APIC. */
#include "guest.h"

#define APIC_ID        0x20
#define APIC_TPR       0x80
#define APIC_EOI       0xb0
#define APIC_SPURIOUS  0xf0
#define APIC_ICR       0x300
#define APIC_LVT_TIMER 0x320
#define APIC_INITIAL   0x380
#define APIC_CURRENT   0x390
#define APIC_DIVIDE    0x3e0

#define IOAPIC 0xfec00000ul

static volatile unsigned counts[256];
static volatile uint8_t order[16];
static volatile unsigned order_length;

static void count(struct frame *frame)
{
    counts[frame->vector]++;
    if (order_length < sizeof(order)) {
        order[order_length++] = (uint8_t)frame->vector;
    }
    apic_write(APIC_EOI, 0);
}

static void count_pic(struct frame *frame)
{
    counts[frame->vector]++;
    outb(0x20, 0x20);
}

static void ioapic_write(unsigned index, uint32_t value)
{
    *(volatile uint32_t *)IOAPIC = index;
    *(volatile uint32_t *)(IOAPIC + 0x10) = value;
}

static uint32_t ioapic_read(unsigned index)
{
    *(volatile uint32_t *)IOAPIC = index;
    return *(volatile uint32_t *)(IOAPIC + 0x10);
}

static void wait_until(volatile unsigned *counter, unsigned value)
{
    for (unsigned i = 0; i < 500 && *counter < value; i++) {
        asm volatile("sti");
        delay_us(1000);
        asm volatile("cli");
    }
}

static void test_self_ipi(void)
{
    check_case = "self-IPI";
    apic_write(APIC_ICR, 0x40000 | 0x51);
    CHECK_EQUAL(counts[0x51], 0); /* interrupts are off */
    asm volatile("sti; nop; cli");
    CHECK_EQUAL(counts[0x51], 1);
    check_case = "shadow of STI";
    apic_write(APIC_ICR, 0x40000 | 0x51);
    asm volatile("sti; cli; nop; nop");
    CHECK_EQUAL(counts[0x51], 1);
    asm volatile("sti; nop; cli");
    CHECK_EQUAL(counts[0x51], 2);
    check_case = "priority";
    order_length = 0;
    apic_write(APIC_ICR, 0x40000 | 0x61);
    apic_write(APIC_ICR, 0x40000 | 0x91);
    apic_write(APIC_ICR, 0x40000 | 0x71);
    asm volatile("sti; nop; nop; nop; nop; cli");
    CHECK_EQUAL(order_length, 3);
    CHECK_EQUAL(order[0], 0x91);
    CHECK_EQUAL(order[1], 0x71);
    CHECK_EQUAL(order[2], 0x61);
    check_case = "task priority";
    asm volatile("mov %0, %%cr8" : : "r"(7ul));
    CHECK_EQUAL(apic_read(APIC_TPR), 0x70);
    apic_write(APIC_ICR, 0x40000 | 0x71);
    asm volatile("sti; nop; nop; cli");
    CHECK_EQUAL(counts[0x71], 1);
    asm volatile("sti; mov %0, %%cr8; nop; cli" : : "r"(6ul));
    CHECK_EQUAL(counts[0x71], 2);
    asm volatile("mov %0, %%cr8" : : "r"(0ul));
}

static void test_halt(void)
{
    check_case = "HLT";
    counts[0x51] = 0;
    apic_write(APIC_ICR, 0x40000 | 0x51);
    asm volatile("sti; hlt; cli");
    CHECK_EQUAL(counts[0x51], 1);
}

static void test_timer(void)
{
    uint32_t before, after;

    check_case = "timer, one-shot";
    apic_write(APIC_DIVIDE, 0xb);
    apic_write(APIC_LVT_TIMER, 0x52);
    apic_write(APIC_INITIAL, 1000000);
    asm volatile("sti; hlt; cli");
    CHECK_EQUAL(counts[0x52], 1);
    CHECK_EQUAL(apic_read(APIC_CURRENT), 0);
    check_case = "timer, periodic";
    apic_write(APIC_LVT_TIMER, 0x20053);
    apic_write(APIC_INITIAL, 500000);
    wait_until(&counts[0x53], 5);
    CHECK(counts[0x53] >= 5);
    apic_write(APIC_INITIAL, 0);
    asm volatile("sti; nop; cli"); /* one may wait */
    check_case = "timer, masked and counting";
    apic_write(APIC_LVT_TIMER, 0x10052);
    apic_write(APIC_INITIAL, 0xffffffff);
    before = apic_read(APIC_CURRENT);
    delay_us(1000);
    after = apic_read(APIC_CURRENT);
    CHECK(after < before);
    apic_write(APIC_INITIAL, 0);
}

static void test_tsc_deadline(void)
{
    uint32_t regs[4];
    uint32_t low, high;

    cpuid(1, 0, regs);
    if (!(regs[2] & 1 << 24)) {
        return;
    }
    check_case = "TSC deadline";
    apic_write(APIC_LVT_TIMER, 0x40054);
    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    wrmsr(0x6e0, ((uint64_t)high << 32 | low) + 1000000);
    CHECK(rdmsr(0x6e0) != 0);
    wait_until(&counts[0x54], 1);
    CHECK_EQUAL(counts[0x54], 1);
    CHECK_EQUAL(rdmsr(0x6e0), 0);
    apic_write(APIC_LVT_TIMER, 0x10000);
}

static void test_ioapic(void)
{
    check_case = "IOAPIC";
    ioapic_write(0, 0);
    CHECK_EQUAL(ioapic_read(1) & 0xff0000, 0x170000);
    /* The 8254 at its usual input 2, edge-triggered. */
    ioapic_write(0x10 + 2 * 2 + 1, apic_read(APIC_ID));
    ioapic_write(0x10 + 2 * 2, 0x55);
    outb(0x43, 0x34);
    outb(0x40, 0xa9);
    outb(0x40, 0x04); /* 1 kHz */
    wait_until(&counts[0x55], 3);
    CHECK(counts[0x55] >= 3);
    ioapic_write(0x10 + 2 * 2, 0x10000);
}

static void test_pic(void)
{
    check_case = "8259";
    apic_write(0x350, 0x700); /* LINT0: ExtINT */
    outb(0x20, 0x11);
    outb(0x21, 0x30);
    outb(0x21, 4);
    outb(0x21, 1);
    outb(0x21, 0xfe);
    wait_until(&counts[0x30], 3);
    CHECK(counts[0x30] >= 3);
    outb(0x21, 0xff);
    apic_write(0x350, 0x10000);
}

static void test_x2apic(void)
{
    uint32_t regs[4];

    cpuid(1, 0, regs);
    if (!(regs[2] & 1 << 21)) {
        return;
    }
    check_case = "x2APIC";
    try_rdmsr(0x802);
    CHECK_EQUAL(fault.vector, 13);
    wrmsr(0x1b, rdmsr(0x1b) | 1 << 10);
    CHECK_EQUAL(rdmsr(0x802), regs[1] >> 24);
    counts[0x51] = 0;
    wrmsr(0x83f, 0x51);
    asm volatile("sti; nop; cli");
    /* The handler's EOI went to the page that is gone: do it here. */
    CHECK_EQUAL(counts[0x51], 1);
    wrmsr(0x80b, 0);
    try_wrmsr(0x80b, 1);
    CHECK_EQUAL(fault.vector, 13);
    try_rdmsr(0x80e);
    CHECK_EQUAL(fault.vector, 13);
}

int main(void)
{
    for (unsigned i = 0x50; i < 0xa0; i++) {
        handlers[i] = count;
    }
    handlers[0x30] = count_pic;
    apic_enable();
    apic_write(APIC_SPURIOUS, 0x1ff);
    test_self_ipi();
    test_halt();
    test_timer();
    test_tsc_deadline();
    test_ioapic();
    test_pic();
    test_x2apic();
    return guest_result();
}
