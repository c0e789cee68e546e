/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IA32_APIC_BASE: the local APIC switched off, moved, and in x2APIC mode; its ID; changes of the
 * timer's mode while it counts. SDM vol. 3, 11.4.3, 11.4.4, 11.5.4, 11.12.
 */
#include "guest.h"

#define APIC_BASE 0x1bu
#define ENABLED   (1ull << 11)
#define X2APIC    (1ull << 10)
#define BASE      0xfee00000ull
#define OTHER     0xfed40000ull

#define ONE_SHOT     0u
#define PERIODIC     (1u << 17)
#define TSC_DEADLINE (2u << 17)
#define MASKED       (1u << 16)

static bool has_x2apic;
static volatile unsigned ticks;

static bool has_feature(unsigned edx_bit)
{
    uint32_t regs[4];

    cpuid(1, 0, regs);
    return regs[3] >> edx_bit & 1;
}

/* Nothing answers where the registers were, and CR8 works on. */
static void check_page_is_gone(void)
{
    uint64_t cr8 = READ_CR(8);

    for (unsigned i = 0; i < 4096; i += 4) {
        *(volatile uint32_t *)(BASE + i) = 0xffffffff;
    }
    CHECK_EQUAL(apic_read(0x30), 0xffffffff);
    CHECK_EQUAL(READ_CR(8), cr8);
    WRITE_CR(8, cr8 ^ 15);
    CHECK_EQUAL(READ_CR(8), cr8 ^ 15);
    CHECK_EQUAL(apic_read(0x80), 0xffffffff);
    WRITE_CR(8, cr8);
}

static void test_disabled(void)
{
    uint64_t base = rdmsr(APIC_BASE) & ~(ENABLED | X2APIC);
    uint32_t version = apic_read(0x30);

    check_case = "switched off";
    WRITE_CR(8, 0);
    wrmsr(APIC_BASE, base);
    CHECK(!has_feature(9));
    check_page_is_gone();
    check_case = "switched on again";
    wrmsr(APIC_BASE, base | ENABLED);
    CHECK(has_feature(9));
    CHECK_EQUAL(apic_read(0x30), version);
    CHECK_EQUAL(apic_read(0x80), 0);
    WRITE_CR(8, 15);
    CHECK_EQUAL(apic_read(0x80), 0xf0);
    WRITE_CR(8, 0);
    CHECK_EQUAL(apic_read(0xf0) & 0x100, 0);
    CHECK_EQUAL(apic_read(0x320), MASKED);
    if (has_x2apic) {
        check_case = "no page in x2APIC mode";
        wrmsr(APIC_BASE, base | ENABLED | X2APIC);
        CHECK(has_feature(9));
        check_page_is_gone();
        wrmsr(APIC_BASE, base);
        wrmsr(APIC_BASE, base | ENABLED);
    }
    apic_enable();
}

static void expect_change(uint64_t value, int vector)
{
    check_number = value;
    try_wrmsr(APIC_BASE, value);
    CHECK_EQUAL(fault.vector, vector);
}

static void test_transitions(void)
{
    uint64_t base = rdmsr(APIC_BASE) & ~(ENABLED | X2APIC);
    uint32_t regs[4];

    check_case = "transitions";
    cpuid(0x80000008, 0, regs);
    expect_change(base | ENABLED | 1, 13);
    expect_change(base | ENABLED | 1ull << (regs[0] & 0xff), 13);
    expect_change(base | X2APIC, 13);
    if (!has_x2apic) {
        expect_change(base | ENABLED | X2APIC, 13);
        return;
    }
    expect_change(base | ENABLED | X2APIC, -1);
    expect_change(base | X2APIC, 13);
    expect_change(base | ENABLED, 13);
    expect_change(base, -1);
    expect_change(base | X2APIC, 13);
    expect_change(base | ENABLED | X2APIC, 13);
    expect_change(base | ENABLED, -1);
    expect_change(base | X2APIC, 13);
    apic_enable();
}

static void test_move(void)
{
    uint64_t base = rdmsr(APIC_BASE);
    uint32_t version = apic_read(0x30);

    check_case = "moved";
    wrmsr(APIC_BASE, (base & 0xfff) | OTHER);
    CHECK_EQUAL(*(volatile uint32_t *)(OTHER + 0x30), version);
    wrmsr(APIC_BASE, base);
    CHECK_EQUAL(apic_read(0x30), version);
}

static void test_id(void)
{
    uint64_t base = rdmsr(APIC_BASE) & ~(ENABLED | X2APIC);
    uint32_t regs[4], id = apic_read(0x20) >> 24;

    check_case = "ID";
    cpuid(1, 0, regs);
    CHECK_EQUAL(regs[1] >> 24, id);
    apic_write(0x20, (id + 1) << 24);
    CHECK(apic_read(0x20) >> 24 == id || apic_read(0x20) >> 24 == id + 1);
    if (has_x2apic) {
        wrmsr(APIC_BASE, base | ENABLED | X2APIC);
        CHECK_EQUAL(rdmsr(0x802), id);
        cpuid(0xb, 0, regs);
        CHECK_EQUAL(regs[3], id);
        try_wrmsr(0x802, id);
        CHECK_EQUAL(fault.vector, 13);
        wrmsr(APIC_BASE, base);
        wrmsr(APIC_BASE, base | ENABLED);
    }
    apic_write(0x20, id << 24);
    CHECK_EQUAL(apic_read(0x20) >> 24, id);
    apic_enable();
}

static void on_tick(struct frame *frame)
{
    (void)frame;
    ticks++;
    local_write(0xb0, 0);
}

#define COUNT 0x999999u /* 10 ms: a host that is busy may keep the vCPU waiting for some of it */
#define HALF  (COUNT / 2)

static void mode(uint32_t bits)
{
    local_write(0x320, (local_read(0x320) & ~(3u << 17)) | bits);
}

static uint32_t wait_below(uint32_t value)
{
    uint32_t count;

    do {
        count = local_read(0x390);
    } while (count > value);
    return count;
}

static void test_timer(void)
{
    uint32_t count;

    check_case = x2apic ? "timer, x2APIC" : "timer";
    handlers[0xee] = on_tick;
    asm volatile("sti");
    ticks = 0;
    local_write(0x320, ONE_SHOT | 0xee);
    local_write(0x3e0, 0xb);
    local_write(0x380, 0x10000);
    while (!ticks) {
        asm volatile("pause");
    }
    CHECK_EQUAL(ticks, 1);
    local_write(0x320, MASKED | 0xee);
    local_write(0x380, COUNT);
    mode(PERIODIC);
    CHECK_EQUAL(local_read(0x380), COUNT);
    mode(ONE_SHOT);
    local_write(0x380, COUNT);
    CHECK(local_read(0x390) != 0);
    CHECK_EQUAL(wait_below(0), 0);
    CHECK_EQUAL(local_read(0x390), 0);
    /* From one-shot to periodic in the middle: it goes on from where it is, then starts anew. */
    do {
        /* Again if it was over before, as this vCPU had to wait for its host processor. */
        mode(ONE_SHOT);
        local_write(0x380, COUNT);
        wait_below(HALF);
        mode(PERIODIC);
        count = local_read(0x390);
    } while (count == 0);
    CHECK(count && count <= HALF);
    do {
        count = local_read(0x390);
    } while (count <= HALF);
    do {
        /* Again if it has started anew since. */
        mode(PERIODIC);
        wait_below(HALF);
        mode(ONE_SHOT);
        count = local_read(0x390);
    } while (count > HALF);
    CHECK_EQUAL(wait_below(0), 0);
    mode(PERIODIC);
    delay_us(2000);
    CHECK_EQUAL(local_read(0x390), 0);
    asm volatile("cli");
}

static void test_deadline(void)
{
    uint32_t regs[4];

    cpuid(1, 0, regs);
    if (!(regs[2] & 1 << 24)) {
        return;
    }
    check_case = "TSC deadline that has passed";
    handlers[0xef] = on_tick;
    ticks = 0;
    local_write(0x320, TSC_DEADLINE | 0xef);
    asm volatile("sti");
    wrmsr(0x6e0, rdmsr(0x10));
    asm volatile("nop" : : : "memory");
    CHECK_EQUAL(ticks, 1);
    CHECK_EQUAL(rdmsr(0x6e0), 0);
    asm volatile("cli");
    local_write(0x320, MASKED);
}

int main(void)
{
    uint32_t regs[4];

    cpuid(1, 0, regs);
    has_x2apic = regs[2] & 1 << 21;
    apic_enable();
    test_disabled();
    test_transitions();
    test_move();
    test_id();
    test_timer();
    test_deadline();
    if (has_x2apic) {
        wrmsr(APIC_BASE, rdmsr(APIC_BASE) | X2APIC);
        x2apic = true;
        test_timer();
        test_deadline();
    }
    return guest_result();
}
