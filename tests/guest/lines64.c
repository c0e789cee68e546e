/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The IOAPIC's pins, driven by pc-testdev (port 2000h + pin), to one processor and to several; the
 * trigger mode register; NMIs between processors. 82093AA datasheet; SDM vol. 3, 11.
 */
#include "guest.h"

#define PIN   14
#define EDGE  0u
#define LEVEL (1u << 15)
#define MASK  (1u << 16)

static volatile unsigned counts[256], lower_at[256];
static volatile int seen_tmr;
static unsigned processors;

static void line(unsigned pin, uint8_t level)
{
    outb((uint16_t)(0x2000 + pin), level);
}

static void ioapic_write(unsigned index, uint32_t value)
{
    *(volatile uint32_t *)0xfec00000ul = index;
    *(volatile uint32_t *)0xfec00010ul = value;
}

static uint32_t ioapic_read(unsigned index)
{
    *(volatile uint32_t *)0xfec00000ul = index;
    return *(volatile uint32_t *)0xfec00010ul;
}

static void send(uint32_t destination, uint32_t low)
{
    if (x2apic) {
        wrmsr(0x830, (uint64_t)destination << 32 | low);
    } else {
        apic_write(0x310, destination << 24);
        apic_write(0x300, low);
    }
}

/* 24 low bits of a redirection entry, and its destination field. */
static void route(uint32_t low, uint32_t destination)
{
    ioapic_write(0x10 + 2 * PIN + 1, destination << 24);
    ioapic_write(0x10 + 2 * PIN, low);
}

static bool tmr_bit(unsigned vector)
{
    return local_read(0x180 + vector / 32 * 16) >> vector % 32 & 1;
}

/* Lower the line at the lower_at'th interrupt of the vector. */
static void on_line(struct frame *frame)
{
    unsigned vector = (unsigned)frame->vector;
    unsigned count = __atomic_add_fetch(&counts[vector], 1, __ATOMIC_SEQ_CST);

    seen_tmr = tmr_bit(vector);
    if (count >= lower_at[vector]) {
        line(PIN, 0);
    }
    local_write(0xb0, 0);
}

static void start(const char *name, unsigned vector, unsigned lower)
{
    check_case = name;
    check_number = vector;
    counts[vector] = 0;
    lower_at[vector] = lower;
    handlers[vector] = on_line;
}

static void test_registers(void)
{
    uint32_t id, version;

    check_case = "IOAPIC registers";
    version = ioapic_read(1);
    ioapic_write(1, ~version);
    CHECK_EQUAL(ioapic_read(1), version);
    id = ioapic_read(0);
    ioapic_write(0, ~id);
    CHECK_EQUAL(ioapic_read(0) ^ id, 0x0f000000);
    ioapic_write(0, 0x0f000000);
    CHECK_EQUAL(ioapic_read(2), 0x0f000000);
    ioapic_write(2, 0);
    CHECK_EQUAL(ioapic_read(2), 0x0f000000);
    ioapic_write(0, id);
}

/* Interrupts come before the instruction after the OUT that raised the line. */
static void test_pin(void)
{
    asm volatile("sti");
    start("edge", 0x76, 99);
    route(EDGE | 0x76, 0);
    line(PIN, 1);
    line(PIN, 0);
    CHECK_EQUAL(counts[0x76], 1);

    start("level", 0x77, 1);
    route(LEVEL | 0x77, 0);
    line(PIN, 1);
    CHECK_EQUAL(counts[0x77], 1);

    start("level, twice", 0x99, 1);
    route(LEVEL | 0x99, 0);
    line(PIN, 1);
    line(PIN, 1);
    CHECK_EQUAL(counts[0x99], 2);

    start("level, until it is lowered", 0x9a, 2);
    route(LEVEL | 0x9a, 0);
    asm volatile("cli");
    line(PIN, 1);
    for (unsigned i = 0; i < 10 && counts[0x9a] < 2; i++) {
        asm volatile("sti; hlt; cli" : : : "memory");
    }
    asm volatile("sti");
    CHECK_EQUAL(counts[0x9a], 2);

    start("edge while masked is forgotten", 0x81, 1);
    route(MASK | EDGE | 0x81, 0);
    line(PIN, 1);
    line(PIN, 0);
    CHECK_EQUAL(counts[0x81], 0);
    route(EDGE | 0x81, 0);
    CHECK_EQUAL(counts[0x81], 0);
    line(PIN, 1);
    CHECK_EQUAL(counts[0x81], 1);

    start("level while masked waits", 0x82, 1);
    route(MASK | LEVEL | 0x82, 0);
    line(PIN, 1);
    CHECK_EQUAL(counts[0x82], 0);
    route(LEVEL | 0x82, 0);
    CHECK_EQUAL(counts[0x82], 1);
    CHECK_EQUAL(ioapic_read(0x10 + 2 * PIN) & (1 << 14), 0);
}

static void test_order(void)
{
    start("two at once, the higher first", 0x78, 99);
    start("two at once, the higher first", 0x66, 99);
    asm volatile("cli");
    route(EDGE | 0x66, 0);
    line(PIN, 1);
    line(PIN, 0);
    route(EDGE | 0x78, 0);
    line(PIN, 1);
    line(PIN, 0);
    CHECK(local_read(0x200 + 3 * 16) & 1u << 6);
    CHECK(local_read(0x200 + 3 * 16) & 1u << 24);
    asm volatile("sti; nop; nop" : : : "memory");
    CHECK_EQUAL(counts[0x78], 1);
    CHECK_EQUAL(counts[0x66], 1);
}

static void test_trigger_mode(void)
{
    static const bool levels[] = {false, true, true, false};
    bool before = false;

    for (unsigned i = 0; i < 4; i++) {
        start("trigger mode register", 0x79, 1);
        route((levels[i] ? LEVEL : EDGE) | 0x79, 0);
        CHECK_EQUAL(tmr_bit(0x79), before);
        line(PIN, 1);
        line(PIN, 0);
        CHECK_EQUAL(counts[0x79], 1);
        CHECK_EQUAL(seen_tmr, levels[i]);
        before = levels[i];
    }
}

/* The handler gives the line to another processor before its EOI. */
static void on_reroute(struct frame *frame)
{
    counts[frame->vector]++;
    line(PIN, 0);
    ioapic_write(0x10 + 2 * PIN + 1, 1u << 24);
    local_write(0xb0, 0);
}

static void wait_for(volatile unsigned *counter, unsigned value)
{
    for (unsigned i = 0; i < 2000 && *counter < value; i++) {
        delay_us(1000);
    }
    CHECK_EQUAL(*counter, value);
}

static void test_destinations(void)
{
    start("EOI after a change of the destination", 0x84, 1);
    handlers[0x84] = on_reroute;
    route(LEVEL | 0x84, 0);
    line(PIN, 1);
    CHECK_EQUAL(counts[0x84], 1);
    CHECK_EQUAL(ioapic_read(0x10 + 2 * PIN) & (1 << 14), 0);
    if (processors < 2) {
        return;
    }
    start("another processor", 0x85, 1);
    route(LEVEL | 0x85, 1);
    line(PIN, 1);
    wait_for(&counts[0x85], 1);
    if (processors < 4 || !x2apic) { /* xAPICs have no logical ID until software gives one */
        return;
    }
    /* The first of them lowers the line: an EOI while it is high would rightly bring one more. */
    start("three of four, logical", 0x86, 1);
    route(LEVEL | 1 << 11 | 0x86, 0xd);
    line(PIN, 1);
    wait_for(&counts[0x86], 3);
}

/* To all by the address that means everyone, by the shorthands for all and for all others. */
static void test_broadcast(void)
{
    static const struct {
        const char *name;
        uint32_t low;
        bool by_address, to_self;
    } rows[] = {
        {"to everyone's address", 0x40cf, true, true},
        {"to all including self", 0x840cf, false, true},
        {"to all others", 0xc40cf, false, false},
    };
    uint32_t everyone = x2apic ? 0xffffffff : 0xff;

    for (unsigned i = 0; i < 3; i++) {
        start(rows[i].name, 0xcf, ~0u);
        asm volatile("sti");
        send(rows[i].by_address ? everyone : 0, rows[i].low);
        wait_for(&counts[0xcf], processors - !rows[i].to_self);
    }
}

static volatile unsigned nmis, go, done;
static volatile bool flushed;

static void on_nmi(struct frame *frame)
{
    (void)frame;
    nmis++;
}

static void on_flush(struct frame *frame)
{
    (void)frame;
    flushed = true;
    local_write(0xb0, 0);
}

static void on_nmi_storm(struct frame *frame)
{
    (void)frame;
    if (++nmis == 1) {
        for (unsigned i = 0; i < 10; i++) {
            send(0, 0x4400);
        }
    }
}

#define ROUNDS 20000

static void test_nmis(void)
{
    check_case = "while an NMI is handled one more waits";
    handlers[2] = on_nmi_storm;
    for (unsigned i = 0; i < 1000; i++) {
        nmis = 0;
        send(0, 0x4400);
        asm volatile("nop" : : : "memory");
        if (nmis != 2) {
            CHECK_EQUAL(nmis, 2);
            break;
        }
    }
    if (processors < 2) {
        return;
    }
    check_case = "an NMI of its own and one of another";
    handlers[2] = on_nmi;
    handlers[0x44] = on_flush;
    for (unsigned i = 1; i <= ROUNDS; i++) {
        flushed = false;
        nmis = 0;
        go = i;
        send(0, 0x4400);
        while (!flushed) {
            asm volatile("pause");
        }
        if (nmis != 2) {
            check_number = i;
            CHECK_EQUAL(nmis, 2);
            break;
        }
        while (done != i) {
            asm volatile("pause");
        }
    }
    go = ROUNDS + 1;
}

/* What the second processor does in the meantime. */
static void send_nmis(void)
{
    for (;;) {
        unsigned i = go;

        if (i == done || i > ROUNDS) {
            asm volatile("pause");
            continue;
        }
        send(0, 0x4400);
        send(0, 0x4044);
        done = i;
    }
}

static void enable_x2apic(void)
{
    uint32_t regs[4];

    cpuid(1, 0, regs);
    if (regs[2] & 1 << 21) {
        wrmsr(0x1b, rdmsr(0x1b) | 1 << 10);
    }
}

static volatile unsigned ready;

static void processor(unsigned index)
{
    enable_x2apic();
    asm volatile("sti");
    __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
    if (index == 1) {
        send_nmis();
    }
    for (;;) {
        asm volatile("sti; hlt");
    }
}

int main(void)
{
    apic_enable();
    processors = 1 + start_processors(processor);
    while (ready + 1 < processors) {
        asm volatile("pause");
    }
    enable_x2apic();
    x2apic = rdmsr(0x1b) & 1 << 10;
    test_registers();
    test_pin();
    test_order();
    test_trigger_mode();
    test_destinations();
    test_broadcast();
    test_nmis();
    return guest_result();
}
