/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The local APIC: dm/intc/local-apic.h (SDM vol. 3, chapter 11). */
#include "dm/intc/i8259.h"
#include "unit/fixture.h"
#include "unit/seed.h"

#include <pthread.h>

#define APIC_BASE_MSR 0x1b
#define DEADLINE_MSR  0x6e0
#define ENABLE        0x800u
#define X2APIC        0x400u
#define BSP           0x100u

#define ID      0x20
#define TPR     0x80
#define APR     0x90
#define PPR     0xa0
#define EOI     0xb0
#define LDR     0xd0
#define DFR     0xe0
#define SVR     0xf0
#define ISR     0x100
#define TMR     0x180
#define IRR     0x200
#define ESR     0x280
#define ICR     0x300
#define ICR2    0x310
#define LVT_T   0x320
#define LVT_0   0x350
#define LVT_1   0x360
#define LVT_E   0x370
#define INITIAL 0x380
#define CURRENT 0x390
#define DIVIDE  0x3e0

#define MASKED   0x10000u
#define PERIODIC 0x20000u
#define DEADLINE 0x40000u
#define SELF     0x40000u
#define ALL      0x80000u
#define OTHERS   0xc0000u

static uint32_t get(struct fixture *f, unsigned vcpu, unsigned offset)
{
    return (uint32_t)local_apic_read(apic_of(f, vcpu), offset, 4);
}

static void put(struct fixture *f, unsigned vcpu, unsigned offset, uint32_t value)
{
    local_apic_write(apic_of(f, vcpu), offset, 4, value);
}

static bool wrmsr(struct fixture *f, unsigned vcpu, uint32_t msr, uint64_t value)
{
    return local_apic_msr_write(apic_of(f, vcpu), msr, value);
}

/* All ones for #GP: no register reads so here. */
static uint64_t rdmsr(struct fixture *f, unsigned vcpu, uint32_t msr)
{
    uint64_t value;

    return local_apic_msr_read(apic_of(f, vcpu), msr, &value) ? value : UINT64_MAX;
}

static int take(struct fixture *f, unsigned vcpu)
{
    return local_apic_acknowledge(apic_of(f, vcpu));
}

static struct fixture *apic_fixture(unsigned smp)
{
    struct fixture *f = fixture_new(smp);

    for (unsigned i = 0; i < smp; i++) {
        put(f, i, SVR, 0x1ff);
        take_signals(f, i);
    }
    return f;
}

static void send_ipi(struct fixture *f, unsigned vcpu, uint32_t destination, uint32_t low)
{
    put(f, vcpu, ICR2, destination << 24);
    put(f, vcpu, ICR, low);
}

static void enable_x2apic(struct fixture *f)
{
    for (unsigned i = 0; i < f->machine->vcpu_count; i++) {
        CU_ASSERT_TRUE(wrmsr(f, i, APIC_BASE_MSR, rdmsr(f, i, APIC_BASE_MSR) | ENABLE | X2APIC));
    }
}

static void test_reset_state(void)
{
    struct fixture *f = fixture_new(2);

    CU_ASSERT_EQUAL(rdmsr(f, 0, APIC_BASE_MSR), APIC_DEFAULT_BASE | ENABLE | BSP);
    CU_ASSERT_EQUAL(rdmsr(f, 1, APIC_BASE_MSR), APIC_DEFAULT_BASE | ENABLE);
    CU_ASSERT_EQUAL(local_apic_base(apic_of(f, 1)), APIC_DEFAULT_BASE);
    CU_ASSERT_EQUAL(get(f, 1, ID), 1u << 24);
    CU_ASSERT_EQUAL(get(f, 0, 0x30) & 0xff00ffff, 0x01000014);
    CU_ASSERT_EQUAL(get(f, 0, 0x30) >> 16 & 0xff, 5);
    CU_ASSERT_EQUAL(get(f, 0, SVR), 0xff);
    CU_ASSERT_EQUAL(get(f, 0, DFR), 0xffffffff);
    CU_ASSERT_EQUAL(get(f, 0, LVT_T), MASKED);
    put(f, 0, LVT_T, 0x50); /* disabled by software: stays masked */
    CU_ASSERT_EQUAL(get(f, 0, LVT_T), MASKED | 0x50);
    put(f, 0, SVR, 0x1ff);
    put(f, 0, LVT_T, 0x50);
    CU_ASSERT_EQUAL(get(f, 0, LVT_T), 0x50);
    put(f, 0, SVR, 0xff);
    CU_ASSERT_EQUAL(get(f, 0, LVT_T), MASKED | 0x50);
    fixture_free(f);
}

static void test_access_sizes(void)
{
    struct fixture *f = apic_fixture(1);

    CU_ASSERT_EQUAL(local_apic_read(apic_of(f, 0), 0x32, 1) & 0xff, 5); /* max LVT entry */
    CU_ASSERT_EQUAL(local_apic_read(apic_of(f, 0), 0x34, 4), 0);
    local_apic_write(apic_of(f, 0), TPR, 1, 0x40);
    local_apic_write(apic_of(f, 0), TPR + 4, 4, 0x40);
    CU_ASSERT_EQUAL(get(f, 0, TPR), 0);
    fixture_free(f);
}

static void test_priorities(void)
{
    struct fixture *f = apic_fixture(1);

    send_ipi(f, 0, 0, 0x51);
    CU_ASSERT_EQUAL(take_signals(f, 0), VCPU_SIGNAL_INTERRUPT);
    CU_ASSERT_EQUAL(get(f, 0, IRR + 0x20), 1u << 17);
    CU_ASSERT_EQUAL(take(f, 0), 0x51);
    CU_ASSERT_EQUAL(get(f, 0, ISR + 0x20), 1u << 17);
    CU_ASSERT_EQUAL(get(f, 0, PPR), 0x50);
    put(f, 0, ICR, SELF | 0x5f); /* same class waits */
    CU_ASSERT_FALSE(local_apic_has_interrupt(apic_of(f, 0)));
    put(f, 0, ICR, SELF | 0x60);
    CU_ASSERT_EQUAL(take(f, 0), 0x60);
    put(f, 0, EOI, 0);
    CU_ASSERT_EQUAL(take(f, 0), -1);
    take_signals(f, 0);
    put(f, 0, EOI, 0); /* lets 5f through, and says so */
    CU_ASSERT_EQUAL(take_signals(f, 0), VCPU_SIGNAL_INTERRUPT);
    local_apic_set_cr8(apic_of(f, 0), 5);
    CU_ASSERT_EQUAL(get(f, 0, TPR), 0x50);
    CU_ASSERT_EQUAL(take(f, 0), -1);
    put(f, 0, TPR, 0x4f);
    CU_ASSERT_EQUAL(local_apic_get_cr8(apic_of(f, 0)), 4);
    CU_ASSERT_EQUAL(get(f, 0, PPR), 0x4f);
    CU_ASSERT_EQUAL(get(f, 0, APR), 0x50);
    CU_ASSERT_EQUAL(take(f, 0), 0x5f);
    fixture_free(f);
}

static void test_base_transitions(void)
{
    struct fixture *f = apic_fixture(1);
    uint64_t off = APIC_DEFAULT_BASE | BSP, xapic = off | ENABLE, x2apic = xapic | X2APIC;

    CU_ASSERT_FALSE(wrmsr(f, 0, APIC_BASE_MSR, off | X2APIC));
    CU_ASSERT_FALSE(wrmsr(f, 0, APIC_BASE_MSR, xapic | 0x200));
    CU_ASSERT_FALSE(wrmsr(f, 0, APIC_BASE_MSR, xapic | 1));
    CU_ASSERT_FALSE(wrmsr(f, 0, APIC_BASE_MSR, xapic | 1ull << 40));
    CU_ASSERT_TRUE(wrmsr(f, 0, APIC_BASE_MSR, 0x42000000 | BSP | ENABLE));
    CU_ASSERT_EQUAL(local_apic_base(apic_of(f, 0)), 0x42000000);
    CU_ASSERT_TRUE(wrmsr(f, 0, APIC_BASE_MSR, x2apic));
    CU_ASSERT_EQUAL(local_apic_base(apic_of(f, 0)), UINT64_MAX);
    CU_ASSERT_FALSE(wrmsr(f, 0, APIC_BASE_MSR, xapic));
    CU_ASSERT_FALSE(wrmsr(f, 0, APIC_BASE_MSR, off | X2APIC));
    CU_ASSERT_TRUE(wrmsr(f, 0, APIC_BASE_MSR, x2apic));
    CU_ASSERT_EQUAL(rdmsr(f, 0, 0x80f), 0x1ff); /* xAPIC state was kept */
    CU_ASSERT_TRUE(wrmsr(f, 0, APIC_BASE_MSR, off));
    CU_ASSERT_FALSE(local_apic_is_enabled(apic_of(f, 0)));
    CU_ASSERT_EQUAL(local_apic_base(apic_of(f, 0)), UINT64_MAX);
    local_apic_set_cr8(apic_of(f, 0), 9); /* CR8 is there all the same */
    CU_ASSERT_EQUAL(local_apic_get_cr8(apic_of(f, 0)), 9);
    CU_ASSERT_FALSE(wrmsr(f, 0, APIC_BASE_MSR, x2apic));
    CU_ASSERT_TRUE(wrmsr(f, 0, APIC_BASE_MSR, xapic));
    CU_ASSERT_EQUAL(get(f, 0, SVR), 0xff); /* as after power-up */
    fixture_free(f);
}

static void test_id(void)
{
    struct fixture *f = apic_fixture(2);

    put(f, 1, ID, 7u << 24);
    send_ipi(f, 0, 7, 0x51);
    CU_ASSERT_EQUAL(take(f, 1), 0x51);
    enable_x2apic(f);
    CU_ASSERT_EQUAL(rdmsr(f, 1, 0x802), 1);
    CU_ASSERT_FALSE(wrmsr(f, 1, 0x802, 7));
    CU_ASSERT_TRUE(wrmsr(f, 1, APIC_BASE_MSR, APIC_DEFAULT_BASE));
    CU_ASSERT_TRUE(wrmsr(f, 1, APIC_BASE_MSR, APIC_DEFAULT_BASE | ENABLE));
    CU_ASSERT_EQUAL(get(f, 1, ID), 1u << 24);
    fixture_free(f);
}

/* Which MSRs there are in x2APIC mode, and which bits may be written: table 11-6. */
static void test_x2apic_msrs(void)
{
    static const struct {
        unsigned first, last;
        bool readable, writable;
        uint32_t good; /* may all be written as ones */
    } msrs[] = {
        {0x802, 0x803, true, false, 0},      {0x808, 0x808, true, true, 0xff},
        {0x80a, 0x80a, true, false, 0},      {0x80b, 0x80b, false, true, 0},
        {0x80d, 0x80d, true, false, 0},      {0x80f, 0x80f, true, true, 0x13ff},
        {0x810, 0x827, true, false, 0},      {0x828, 0x828, true, true, 0},
        {0x832, 0x832, true, true, 0x710ff}, {0x833, 0x834, true, true, 0x117ff},
        {0x835, 0x836, true, true, 0x1f7ff}, {0x837, 0x837, true, true, 0x110ff},
        {0x838, 0x838, true, true, ~0u},     {0x839, 0x839, true, false, 0},
        {0x83e, 0x83e, true, true, 0xb},     {0x83f, 0x83f, false, true, 0xff},
        {0x830, 0x830, true, true, 0xcdfff},
    };
    struct fixture *f = apic_fixture(1);

    for (unsigned msr = 0x800; msr < 0x900; msr++) {
        CU_ASSERT_EQUAL(rdmsr(f, 0, msr), UINT64_MAX); /* none of them in xAPIC mode */
        CU_ASSERT_FALSE(wrmsr(f, 0, msr, 0));
    }
    enable_x2apic(f);
    for (unsigned msr = 0x800; msr < 0x900; msr++) {
        unsigned i = 0;

        while (i < G_N_ELEMENTS(msrs) && (msr < msrs[i].first || msr > msrs[i].last)) {
            i++;
        }
        if (i == G_N_ELEMENTS(msrs)) {
            CU_ASSERT_EQUAL(rdmsr(f, 0, msr), UINT64_MAX);
            CU_ASSERT_FALSE(wrmsr(f, 0, msr, 0));
            continue;
        }
        CU_ASSERT_EQUAL(rdmsr(f, 0, msr) != UINT64_MAX, msrs[i].readable);
        CU_ASSERT_EQUAL(wrmsr(f, 0, msr, 0), msrs[i].writable);
        for (unsigned bit = 0; msrs[i].writable && bit < 64; bit++) {
            bool good = bit < 32 ? msrs[i].good >> bit & 1 : msr == 0x830;

            if (msr == 0x830 && bit == 13) {
                good = false;
            }
            CU_ASSERT_EQUAL(wrmsr(f, 0, msr, 1ull << bit), good);
        }
        wrmsr(f, 0, msr, 0);
    }
    fixture_free(f);
}

static void test_x2apic_ipi(void)
{
    struct fixture *f = apic_fixture(4);

    enable_x2apic(f);
    CU_ASSERT_EQUAL(rdmsr(f, 3, 0x80d), 1u << 3); /* logical ID is made from the ID */
    CU_ASSERT_TRUE(wrmsr(f, 0, 0x830, 2ull << 32 | 0x51));
    CU_ASSERT_EQUAL(rdmsr(f, 0, 0x830), 2ull << 32 | 0x51);
    CU_ASSERT_EQUAL(take(f, 2), 0x51);
    CU_ASSERT_TRUE(wrmsr(f, 0, 0x830, 0xaull << 32 | 0x852)); /* logical, cluster 0 */
    CU_ASSERT_EQUAL(take(f, 0), -1);
    CU_ASSERT_EQUAL(take(f, 1), 0x52);
    CU_ASSERT_EQUAL(take(f, 3), 0x52);
    CU_ASSERT_TRUE(wrmsr(f, 0, 0x83f, 0x53)); /* self */
    CU_ASSERT_EQUAL(take(f, 0), 0x53);
    CU_ASSERT_TRUE(wrmsr(f, 0, 0x830, 0xffffffffull << 32 | 0x64));
    for (unsigned i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(take(f, i), 0x64);
    }
    CU_ASSERT_TRUE(wrmsr(f, 0, 0x830, 0xffull << 32 | 0x71)); /* ID 255: nobody */
    for (unsigned i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(take(f, i), -1);
    }
    fixture_free(f);
}

static void test_shorthands_and_modes(void)
{
    struct fixture *f = apic_fixture(3);

    put(f, 1, ICR, ALL | 0x51);
    for (unsigned i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(take(f, i), 0x51);
        put(f, i, EOI, 0);
    }
    put(f, 1, ICR, OTHERS | 0x52);
    CU_ASSERT_EQUAL(take(f, 0), 0x52);
    CU_ASSERT_EQUAL(take(f, 1), -1);
    CU_ASSERT_EQUAL(take(f, 2), 0x52);
    take_signals(f, 2);
    send_ipi(f, 0, 2, 0x400);
    CU_ASSERT_EQUAL(take_signals(f, 2), VCPU_SIGNAL_NMI);
    send_ipi(f, 0, 2, 0xc500); /* INIT, level assert */
    CU_ASSERT_EQUAL(take_signals(f, 2), VCPU_SIGNAL_INIT);
    send_ipi(f, 0, 2, 0x8500); /* and de-assert */
    CU_ASSERT_EQUAL(take_signals(f, 2), 0);
    send_ipi(f, 0, 2, 0x69a);
    CU_ASSERT_EQUAL(take_signals(f, 2), VCPU_SIGNAL_STARTUP);
    CU_ASSERT_EQUAL(f->machine->vcpus[2]->startup_vector, 0x9a);
    send_ipi(f, 0, 0xff, 0x53); /* physical broadcast includes the sender */
    CU_ASSERT_EQUAL(get(f, 0, IRR + 0x20), 1u << 19);
    CU_ASSERT_EQUAL(get(f, 2, IRR + 0x20), 1u << 19);
    fixture_free(f);
}

static void test_logical(void)
{
    struct fixture *f = apic_fixture(4);

    for (unsigned i = 0; i < 4; i++) {
        put(f, i, LDR, 0x01000000u << i);
    }
    send_ipi(f, 0, 0x06, 0x851);
    for (unsigned i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(take(f, i), i == 1 || i == 2 ? 0x51 : -1);
    }
    for (unsigned i = 0; i < 4; i++) { /* two clusters of two */
        put(f, i, EOI, 0);
        put(f, i, DFR, 0);
        CU_ASSERT_EQUAL(get(f, i, DFR), 0x0fffffff);
        put(f, i, LDR, (i / 2 + 1) << 28 | 1u << (24 + i % 2));
    }
    send_ipi(f, 0, 0x22, 0x852);
    send_ipi(f, 0, 0x13, 0x853);
    for (unsigned i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(take(f, i), i == 3 ? 0x52 : i < 2 ? 0x53 : -1);
    }
    fixture_free(f);
}

static void test_errors(void)
{
    struct fixture *f = apic_fixture(2);

    put(f, 0, LVT_E, 0xe0);
    send_ipi(f, 0, 1, 0x05);            /* send illegal vector */
    CU_ASSERT_EQUAL(get(f, 0, ESR), 0); /* shown by a write only */
    CU_ASSERT_EQUAL(take(f, 0), 0xe0);
    put(f, 0, EOI, 0);
    get(f, 0, 0x40); /* a register that isn't there; no new interrupt before the write */
    CU_ASSERT_EQUAL(take(f, 0), -1);
    put(f, 0, ESR, 0);
    CU_ASSERT_EQUAL(get(f, 0, ESR), 0xa0);
    CU_ASSERT_EQUAL(get(f, 0, ESR), 0xa0);
    put(f, 0, ESR, 0);
    CU_ASSERT_EQUAL(get(f, 0, ESR), 0);
    apic_deliver_msi(f->machine, 0xfee00000, 3); /* receive illegal vector */
    CU_ASSERT_EQUAL(take(f, 0), 0xe0);
    put(f, 0, ESR, 0);
    CU_ASSERT_EQUAL(get(f, 0, ESR), 0x40);
    CU_ASSERT_EQUAL(get(f, 0, IRR), 0);
    fixture_free(f);
}

static void test_msi(void)
{
    struct fixture *f = apic_fixture(2);

    apic_deliver_msi(f->machine, 0xfee01000, 0x4051);
    CU_ASSERT_EQUAL(take(f, 1), 0x51);
    CU_ASSERT_EQUAL(take(f, 0), -1);
    apic_deliver_msi(f->machine, 0xfeeff000, 0x62);
    CU_ASSERT_EQUAL(take(f, 0), 0x62);
    CU_ASSERT_EQUAL(take(f, 1), 0x62);
    apic_deliver_msi(f->machine, 0xfee01000, 0x400);
    CU_ASSERT_TRUE(take_signals(f, 1) & VCPU_SIGNAL_NMI);
    put(f, 1, SVR, 0xff); /* disabled by software: NMI still comes, vectors don't */
    apic_deliver_msi(f->machine, 0xfee01000, 0x71);
    CU_ASSERT_EQUAL(take(f, 1), -1);
    fixture_free(f);
}

static void test_virtual_wire(void)
{
    struct fixture *f = apic_fixture(1);
    struct i8259_pair *pic = (struct i8259_pair *)fixture_add(f, "i8259", NULL, NULL);
    static const uint8_t words[] = {0x08, 0x04, 0x01};

    out8(f, 0x20, 0x11);
    for (unsigned i = 0; i < 3; i++) {
        out8(f, 0x21, words[i]);
    }
    local_apic_set_lint(apic_of(f, 0), 0, true);
    CU_ASSERT_FALSE(local_apic_has_interrupt(apic_of(f, 0))); /* masked */
    i8259_set_input(pic, 3, true);
    put(f, 0, LVT_0, 0x700);
    put(f, 0, TPR, 0xff); /* ExtINT knows no priority */
    CU_ASSERT_TRUE(local_apic_has_interrupt(apic_of(f, 0)));
    CU_ASSERT_EQUAL(take(f, 0), 0x0b);
    local_apic_set_lint(apic_of(f, 0), 0, false);
    CU_ASSERT_FALSE(local_apic_has_interrupt(apic_of(f, 0)));
    put(f, 0, LVT_1, 0x400);
    take_signals(f, 0);
    local_apic_set_lint(apic_of(f, 0), 1, true);
    CU_ASSERT_EQUAL(take_signals(f, 0), VCPU_SIGNAL_NMI);
    /* With the APIC disabled the pins are INTR and NMI. */
    CU_ASSERT_TRUE(wrmsr(f, 0, APIC_BASE_MSR, 0));
    CU_ASSERT_FALSE(local_apic_has_interrupt(apic_of(f, 0)));
    local_apic_set_lint(apic_of(f, 0), 0, true);
    CU_ASSERT_TRUE(local_apic_has_interrupt(apic_of(f, 0)));
    fixture_free(f);
}

static void test_level_lint0(void)
{
    struct fixture *f = apic_fixture(1);

    put(f, 0, LVT_0, 0x8051);
    local_apic_set_lint(apic_of(f, 0), 0, true);
    CU_ASSERT_EQUAL(get(f, 0, LVT_0), 0xc051); /* Remote IRR */
    CU_ASSERT_EQUAL(take(f, 0), 0x51);
    put(f, 0, EOI, 0);
    CU_ASSERT_EQUAL(take(f, 0), 0x51); /* still high */
    local_apic_set_lint(apic_of(f, 0), 0, false);
    put(f, 0, EOI, 0);
    CU_ASSERT_EQUAL(take(f, 0), -1);
    CU_ASSERT_EQUAL(get(f, 0, LVT_0), 0x8051);
    fixture_free(f);
}

static void test_one_shot(void)
{
    struct fixture *f = apic_fixture(1);

    fixture_advance(f, 12345);
    put(f, 0, LVT_T, 0x51);
    put(f, 0, DIVIDE, 0x3); /* by 16 */
    put(f, 0, INITIAL, 1000);
    CU_ASSERT_EQUAL(get(f, 0, CURRENT), 1000);
    fixture_advance(f, 15);
    CU_ASSERT_EQUAL(get(f, 0, CURRENT), 1000);
    fixture_advance(f, 1);
    CU_ASSERT_EQUAL(get(f, 0, CURRENT), 999);
    put(f, 0, DIVIDE, 0xb); /* by 1: counts on from where it is */
    CU_ASSERT_EQUAL(get(f, 0, CURRENT), 999);
    fixture_advance(f, 998);
    CU_ASSERT_EQUAL(get(f, 0, CURRENT), 1);
    CU_ASSERT_EQUAL(take(f, 0), -1);
    fixture_advance(f, 1);
    CU_ASSERT_EQUAL(get(f, 0, CURRENT), 0);
    CU_ASSERT_EQUAL(take(f, 0), 0x51);
    fixture_advance(f, 1000000);
    CU_ASSERT_EQUAL(take(f, 0), -1);
    put(f, 0, LVT_T, PERIODIC | 0x51); /* an expired count stays at zero */
    CU_ASSERT_EQUAL(get(f, 0, CURRENT), 0);
    fixture_free(f);
}

static void test_divide_codes(void)
{
    static const struct {
        uint32_t code;
        unsigned ns;
    } codes[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};
    struct fixture *f = apic_fixture(1);

    for (unsigned i = 0; i < G_N_ELEMENTS(codes); i++) {
        put(f, 0, DIVIDE, codes[i].code);
        put(f, 0, INITIAL, 5000);
        fixture_advance(f, 1000ull * codes[i].ns);
        CU_ASSERT_EQUAL(get(f, 0, CURRENT), 4000);
    }
    fixture_free(f);
}

static void test_periodic(void)
{
    struct fixture *f = apic_fixture(1);

    put(f, 0, DIVIDE, 0xb);
    put(f, 0, LVT_T, PERIODIC | 0x51);
    put(f, 0, INITIAL, 100000);
    for (unsigned i = 0; i < 10; i++) {
        fixture_advance(f, 99999);
        CU_ASSERT_EQUAL(take(f, 0), -1);
        CU_ASSERT_EQUAL(get(f, 0, CURRENT), 1);
        fixture_advance(f, 1);
        CU_ASSERT_EQUAL(take(f, 0), 0x51);
        CU_ASSERT_EQUAL(get(f, 0, CURRENT), 100000);
        put(f, 0, EOI, 0);
    }
    fixture_advance(f, 70000);
    put(f, 0, LVT_T, 0x51); /* one-shot: counts on to zero */
    CU_ASSERT_EQUAL(get(f, 0, CURRENT), 30000);
    fixture_advance(f, 30000);
    CU_ASSERT_EQUAL(take(f, 0), 0x51);
    fixture_advance(f, 100000);
    CU_ASSERT_EQUAL(get(f, 0, CURRENT), 0);
    /* An absurdly short period does not hang the machine. */
    put(f, 0, LVT_T, PERIODIC | 0x51);
    put(f, 0, INITIAL, 1);
    fixture_advance(f, NS_PER_SECOND);
    CU_ASSERT_TRUE(get(f, 0, CURRENT) == 1);
    fixture_free(f);
}

static void test_masked_timer(void)
{
    struct fixture *f = apic_fixture(1);

    put(f, 0, DIVIDE, 0xb);
    put(f, 0, LVT_T, PERIODIC | MASKED | 0x51);
    put(f, 0, INITIAL, 100000);
    fixture_advance(f, 250000);
    CU_ASSERT_EQUAL(get(f, 0, CURRENT), 50000);
    put(f, 0, LVT_T, PERIODIC | 0x51);
    CU_ASSERT_EQUAL(take(f, 0), -1);
    fixture_advance(f, 50000);
    CU_ASSERT_EQUAL(take(f, 0), 0x51);
    fixture_free(f);
}

static void test_tsc_deadline(void)
{
    struct fixture *f = apic_fixture(1);

    CU_ASSERT_TRUE(wrmsr(f, 0, DEADLINE_MSR, 1000)); /* ignored in other modes */
    CU_ASSERT_EQUAL(rdmsr(f, 0, DEADLINE_MSR), 0);
    put(f, 0, LVT_T, DEADLINE | 0x51);
    put(f, 0, INITIAL, 77); /* ignored in this one */
    CU_ASSERT_EQUAL(get(f, 0, CURRENT), 0);
    local_apic_set_tsc_offset(apic_of(f, 0), 5000000);
    wrmsr(f, 0, DEADLINE_MSR, 5020000);
    fixture_advance(f, 19999);
    CU_ASSERT_EQUAL(rdmsr(f, 0, DEADLINE_MSR), 5020000);
    CU_ASSERT_EQUAL(take(f, 0), -1);
    fixture_advance(f, 1);
    CU_ASSERT_EQUAL(take(f, 0), 0x51);
    CU_ASSERT_EQUAL(rdmsr(f, 0, DEADLINE_MSR), 0);
    put(f, 0, EOI, 0);
    wrmsr(f, 0, DEADLINE_MSR, 1); /* past: at once */
    CU_ASSERT_EQUAL(take(f, 0), 0x51);
    put(f, 0, EOI, 0);
    wrmsr(f, 0, DEADLINE_MSR, 6000000);
    wrmsr(f, 0, DEADLINE_MSR, 0); /* disarmed */
    fixture_advance(f, 10000000);
    CU_ASSERT_EQUAL(take(f, 0), -1);
    wrmsr(f, 0, DEADLINE_MSR, 50000000);
    local_apic_set_tsc_offset(apic_of(f, 0), 49000000); /* the TSC jumped past it */
    CU_ASSERT_EQUAL(take(f, 0), 0x51);
    put(f, 0, EOI, 0);
    wrmsr(f, 0, DEADLINE_MSR, UINT64_MAX);
    CU_ASSERT_EQUAL(rdmsr(f, 0, DEADLINE_MSR), UINT64_MAX);
    put(f, 0, LVT_T, 0x51); /* a change of mode disarms */
    put(f, 0, LVT_T, DEADLINE | 0x51);
    CU_ASSERT_EQUAL(rdmsr(f, 0, DEADLINE_MSR), 0);
    fixture_free(f);
}

static void test_init_keeps_mode(void)
{
    struct fixture *f = apic_fixture(2);

    enable_x2apic(f);
    wrmsr(f, 1, 0x83f, 0x51);
    local_apic_reset(apic_of(f, 1), true);
    CU_ASSERT_EQUAL(rdmsr(f, 1, 0x802), 1);
    CU_ASSERT_EQUAL(rdmsr(f, 1, 0x80f), 0xff);
    CU_ASSERT_FALSE(local_apic_has_interrupt(apic_of(f, 1)));
    local_apic_reset(apic_of(f, 1), false);
    CU_ASSERT_EQUAL(local_apic_base(apic_of(f, 1)), APIC_DEFAULT_BASE);
    fixture_free(f);
}

/* IRR, ISR and PPR against sets of vectors. */
struct model {
    bool irr[256], isr[256];
    unsigned tpr;
};

static int model_highest(const bool set[256])
{
    for (int i = 255; i >= 0; i--) {
        if (set[i]) {
            return i;
        }
    }
    return -1;
}

static unsigned model_ppr(const struct model *m)
{
    int isr = model_highest(m->isr);
    unsigned class = isr < 0 ? 0 : (unsigned)isr & 0xf0;

    return (m->tpr & 0xf0) >= class ? m->tpr : class;
}

static int model_pending(const struct model *m)
{
    int irr = model_highest(m->irr);

    return irr >= 0 && ((unsigned)irr & 0xf0) > (model_ppr(m) & 0xf0) ? irr : -1;
}

static void test_against_model(void)
{
    struct fixture *f = apic_fixture(1);
    GRand *random = test_seeded_rand();
    struct model m = {0};
    unsigned vector;
    int pending;

    for (unsigned i = 0; i < 50000; i++) {
        switch (g_rand_int(random) % 5) {
        case 0 ... 1:
            vector = 16 + g_rand_int(random) % 240;
            m.irr[vector] = true;
            put(f, 0, ICR, SELF | vector);
            break;
        case 2:
            pending = model_pending(&m);
            CU_ASSERT_EQUAL_FATAL(take(f, 0), pending);
            if (pending >= 0) {
                m.irr[pending] = false;
                m.isr[pending] = true;
            }
            break;
        case 3:
            if (model_highest(m.isr) >= 0) {
                m.isr[model_highest(m.isr)] = false;
            }
            put(f, 0, EOI, 0);
            break;
        default:
            m.tpr = g_rand_int(random) & (g_rand_boolean(random) ? 0xff : 0x3f);
            put(f, 0, TPR, m.tpr);
        }
        CU_ASSERT_EQUAL_FATAL(get(f, 0, PPR), model_ppr(&m));
        CU_ASSERT_EQUAL_FATAL(local_apic_has_interrupt(apic_of(f, 0)), model_pending(&m) >= 0);
    }
    for (vector = 0; vector < 256; vector++) {
        unsigned offset = vector / 32 * 16, bit = vector % 32;

        CU_ASSERT_EQUAL(get(f, 0, IRR + offset) >> bit & 1, m.irr[vector]);
        CU_ASSERT_EQUAL(get(f, 0, ISR + offset) >> bit & 1, m.isr[vector]);
    }
    g_rand_free(random);
    fixture_free(f);
}

/* Senders in other threads: every vector that is sent arrives. */
#define SENDERS 3
#define ROUNDS  20000
struct sender {
    struct fixture *f;
    unsigned vcpu, vector;
    unsigned received; /* atomic: EOIs */
};

static void *sender_thread(void *opaque)
{
    struct sender *sender = opaque;

    for (unsigned i = 0; i < ROUNDS; i++) {
        put(sender->f, sender->vcpu, ICR2, 0);
        put(sender->f, sender->vcpu, ICR, sender->vector);
        while (__atomic_load_n(&sender->received, __ATOMIC_ACQUIRE) == i) {
            g_thread_yield();
        }
    }
    return NULL;
}

static void test_threads(void)
{
    struct fixture *f = apic_fixture(SENDERS + 1);
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    unsigned total = 0;

    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){f, i + 1, 0x50 + 0x20 * i, 0};
        pthread_create(&threads[i], NULL, sender_thread, &senders[i]);
    }
    while (total < SENDERS * ROUNDS) {
        int vector = local_apic_has_interrupt(apic_of(f, 0)) ? take(f, 0) : -1;

        if (vector < 0) {
            g_thread_yield();
            continue;
        }
        total++;
        put(f, 0, EOI, 0);
        __atomic_fetch_add(&senders[(vector - 0x50) / 0x20].received, 1, __ATOMIC_RELEASE);
    }
    for (unsigned i = 0; i < SENDERS; i++) {
        pthread_join(threads[i], NULL);
        CU_ASSERT_EQUAL(senders[i].received, ROUNDS);
    }
    CU_ASSERT_FALSE(local_apic_has_interrupt(apic_of(f, 0)));
    fixture_free(f);
}

static void test_random_access(void)
{
    struct fixture *f = apic_fixture(3);
    GRand *random = test_seeded_rand();

    for (unsigned i = 0; i < 60000; i++) {
        unsigned vcpu = g_rand_int(random) % 3, offset = g_rand_int(random) % 0x1000;
        uint64_t value = (uint64_t)g_rand_int(random) << 32 | g_rand_int(random);

        value >>= g_rand_int(random) % 64;
        switch (g_rand_int(random) % 6) {
        case 0:
            local_apic_read(apic_of(f, vcpu), offset, 1u << g_rand_int(random) % 4);
            break;
        case 1:
            put(f, vcpu, offset % 0x400 & ~0xfu, (uint32_t)value);
            break;
        case 2:
            local_apic_msr_read(apic_of(f, vcpu), 0x800 + offset % 0x100, &value);
            break;
        case 3:
            local_apic_msr_write(apic_of(f, vcpu), 0x800 + offset % 0x40, value);
            local_apic_msr_write(apic_of(f, vcpu), DEADLINE_MSR, value);
            break;
        case 4:
            local_apic_msr_write(apic_of(f, vcpu), APIC_BASE_MSR,
                                 APIC_DEFAULT_BASE | (value & 0xc00));
            local_apic_set_lint(apic_of(f, vcpu), value & 3, value & 4);
            apic_deliver_msi(f->machine, APIC_DEFAULT_BASE | (value & 0xfffff), (uint32_t)value);
            break;
        default:
            take(f, vcpu);
            put(f, vcpu, EOI, 0);
            fixture_advance(f, value % 1000000);
        }
    }
    g_rand_free(random);
    fixture_free(f);
}

static const struct unit_test tests[] = {
    {"state after power-up", test_reset_state},
    {"access sizes", test_access_sizes},
    {"TPR, PPR and nesting", test_priorities},
    {"IA32_APIC_BASE", test_base_transitions},
    {"ID", test_id},
    {"x2APIC MSR space", test_x2apic_msrs},
    {"x2APIC IPIs", test_x2apic_ipi},
    {"shorthands and delivery modes", test_shorthands_and_modes},
    {"logical destinations", test_logical},
    {"errors", test_errors},
    {"MSI", test_msi},
    {"ExtINT and NMI through the LINT pins", test_virtual_wire},
    {"level-triggered LINT0", test_level_lint0},
    {"one-shot timer", test_one_shot},
    {"divide configuration", test_divide_codes},
    {"periodic timer", test_periodic},
    {"masked timer", test_masked_timer},
    {"TSC-deadline timer", test_tsc_deadline},
    {"INIT keeps the mode", test_init_keeps_mode},
    {"50,000 steps against sets", test_against_model},
    {"IPIs from many threads", test_threads},
    {"random accesses", test_random_access},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("local-apic", tests);
}
