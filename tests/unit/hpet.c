/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The HPET: dm/timer/hpet.h. */
#include "dm/timer/hpet.h"
#include "unit/fixture.h"

#define BASE         ((uint64_t)HPET_DEFAULT_BASE)
#define CONFIG       (BASE + 0x10)
#define STATUS       (BASE + 0x20)
#define COUNTER      (BASE + 0xf0)
#define TIMER(n)     (BASE + 0x100 + 0x20 * (n))
#define COMPARE(n)   (TIMER(n) + 8)
#define FSB_ROUTE(n) (TIMER(n) + 16)

#define LEVEL      0x0002u
#define ENABLE     0x0004u
#define PERIODIC   0x0008u
#define VALUE_SET  0x0040u
#define ONLY_32    0x0100u
#define ROUTE(gsi) ((uint32_t)(gsi) << 9)
#define FSB        0x4000u

static struct fixture *hpet_fixture(void)
{
    struct fixture *f = fixture_new(1);

    fixture_add(f, "hpet", NULL, NULL);
    return f;
}

static struct device *hpet_of(struct fixture *f)
{
    return g_ptr_array_index(f->machine->system_bus->children, 0);
}

static void test_capabilities(void)
{
    struct fixture *f = fixture_new(1);

    fixture_add(f, "hpet", "timers", "5");
    CU_ASSERT_EQUAL(read64(f, BASE), 0x009896808086a401);
    CU_ASSERT_EQUAL(read32(f, BASE + 4), 10000000);
    CU_ASSERT_EQUAL(read64(f, TIMER(4)), 0x00ff000000008030);
    CU_ASSERT_EQUAL(read64(f, TIMER(5)), 0);
    fixture_free(f);
}

static void test_counter(void)
{
    struct fixture *f = hpet_fixture();

    fixture_advance(f, 1005);
    CU_ASSERT_EQUAL(read64(f, COUNTER), 0); /* halted */
    write64(f, COUNTER, 0x1fffffff0);
    write32(f, CONFIG, 1);
    fixture_advance(f, 9);
    CU_ASSERT_EQUAL(read64(f, COUNTER), 0x1fffffff0);
    fixture_advance(f, 1);
    CU_ASSERT_EQUAL(read64(f, COUNTER), 0x1fffffff1);
    fixture_advance(f, 150);
    CU_ASSERT_EQUAL(read32(f, COUNTER), 0);
    CU_ASSERT_EQUAL(read32(f, COUNTER + 4), 2);
    write64(f, COUNTER, 5); /* can't be written while it runs */
    CU_ASSERT_EQUAL(read64(f, COUNTER), 0x200000000);
    write32(f, CONFIG, 0);
    fixture_advance(f, 1000);
    CU_ASSERT_EQUAL(read64(f, COUNTER), 0x200000000);
    write32(f, COUNTER + 4, 0);
    CU_ASSERT_EQUAL(read64(f, COUNTER), 0);
    fixture_free(f);
}

static void test_one_shot(void)
{
    struct fixture *f = hpet_fixture();

    write32(f, TIMER(0), ENABLE | ROUTE(20));
    write64(f, COMPARE(0), 5000);
    write32(f, CONFIG, 1);
    fixture_advance(f, 49999);
    CU_ASSERT_EQUAL(f->gsi[20].rises, 0);
    fixture_advance(f, 1);
    CU_ASSERT_EQUAL(f->gsi[20].rises, 1);
    CU_ASSERT_EQUAL(f->gsi[20].last_rise, 50000);
    CU_ASSERT_EQUAL(read32(f, STATUS), 0); /* edge-triggered */
    fixture_advance(f, 1000000);
    CU_ASSERT_EQUAL(f->gsi[20].rises, 1);
    fixture_free(f);
}

static void test_level(void)
{
    struct fixture *f = hpet_fixture();

    write32(f, TIMER(1), LEVEL | ROUTE(21)); /* not enabled: status all the same */
    write64(f, COMPARE(1), 100);
    write32(f, CONFIG, 1);
    fixture_advance(f, 1000);
    CU_ASSERT_EQUAL(read32(f, STATUS), 2);
    CU_ASSERT_FALSE(f->gsi[21].level);
    write32(f, TIMER(1), LEVEL | ENABLE | ROUTE(21));
    CU_ASSERT_TRUE(f->gsi[21].level);
    write32(f, STATUS, 1);
    CU_ASSERT_TRUE(f->gsi[21].level);
    write32(f, STATUS, 2);
    CU_ASSERT_FALSE(f->gsi[21].level);
    CU_ASSERT_EQUAL(read32(f, STATUS), 0);
    fixture_free(f);
}

static void test_periodic(void)
{
    struct fixture *f = hpet_fixture();

    write32(f, TIMER(0), ENABLE | PERIODIC | VALUE_SET | ROUTE(20));
    write64(f, COMPARE(0), 7000); /* first match ... */
    CU_ASSERT_EQUAL(read32(f, TIMER(0)) & VALUE_SET, 0);
    write64(f, COMPARE(0), 3000); /* ... and period */
    CU_ASSERT_EQUAL(read64(f, COMPARE(0)), 7000);
    write32(f, CONFIG, 1);
    for (unsigned i = 0; i < 1000; i++) {
        fixture_advance(f, i ? 29999 : 69999);
        CU_ASSERT_EQUAL(f->gsi[20].rises, i);
        fixture_advance(f, 1);
        CU_ASSERT_EQUAL(f->gsi[20].rises, i + 1);
        CU_ASSERT_EQUAL(f->gsi[20].last_rise, 70000 + 30000ull * i);
        CU_ASSERT_EQUAL(read64(f, COMPARE(0)), 10000 + 3000ull * i);
    }
    write32(f, TIMER(0), ENABLE | PERIODIC | ROUTE(20)); /* an absurd period does not hang */
    write64(f, COMPARE(0), 1);
    fixture_advance(f, NS_PER_SECOND);
    CU_ASSERT_TRUE(read64(f, COMPARE(0)) > read64(f, COUNTER));
    fixture_free(f);
}

/* One write after VAL_SET is both the first match and the period. */
static void test_periodic_single_write(void)
{
    struct fixture *f = hpet_fixture();

    write32(f, TIMER(0), ENABLE | PERIODIC | VALUE_SET | ROUTE(20));
    write32(f, COMPARE(0), 2000);
    write32(f, CONFIG, 1);
    fixture_advance(f, 100000);
    CU_ASSERT_EQUAL(f->gsi[20].rises, 0 + 0); /* the high half is still all ones */
    write32(f, TIMER(0), ENABLE | PERIODIC | VALUE_SET | ONLY_32 | ROUTE(20));
    write32(f, COMPARE(0), 12000);
    fixture_advance(f, 20000);
    CU_ASSERT_EQUAL(f->gsi[20].rises, 1);
    fixture_free(f);
}

static void test_32_bit_mode(void)
{
    struct fixture *f = hpet_fixture();

    write64(f, COUNTER, 0xfffff000);
    write32(f, TIMER(2), ENABLE | ONLY_32 | ROUTE(22));
    write64(f, COMPARE(2), 0xabcdef00001000);
    CU_ASSERT_EQUAL(read64(f, COMPARE(2)), 0x1000);
    write32(f, CONFIG, 1);
    fixture_advance(f, 0x1fff * 10);
    CU_ASSERT_EQUAL(f->gsi[22].rises, 0);
    fixture_advance(f, 10); /* after the low half went round */
    CU_ASSERT_EQUAL(f->gsi[22].rises, 1);
    fixture_advance(f, 10ull << 32); /* and again each time it does */
    CU_ASSERT_EQUAL(f->gsi[22].rises, 2);
    fixture_free(f);
}

static void test_legacy_replacement(void)
{
    struct fixture *f = hpet_fixture();

    hpet_set_legacy_output(hpet_of(f), 0, f->machine->gsi[4]);
    hpet_set_legacy_output(hpet_of(f), 1, f->machine->gsi[5]);
    write32(f, TIMER(0), ENABLE | ROUTE(20));
    write32(f, TIMER(1), ENABLE | ROUTE(21));
    write32(f, TIMER(2), ENABLE | ROUTE(22));
    for (unsigned i = 0; i < 3; i++) {
        write64(f, COMPARE(i), 1000);
    }
    write32(f, CONFIG, 3);
    CU_ASSERT_TRUE(f->gsi[4].level);
    CU_ASSERT_TRUE(f->gsi[5].level);
    fixture_advance(f, 10000);
    CU_ASSERT_EQUAL(f->gsi[0].rises, 1);
    CU_ASSERT_EQUAL(f->gsi[8].rises, 1);
    CU_ASSERT_EQUAL(f->gsi[22].rises, 1);
    CU_ASSERT_EQUAL(f->gsi[20].rises + f->gsi[21].rises, 0);
    write32(f, CONFIG, 1);
    CU_ASSERT_FALSE(f->gsi[4].level);
    fixture_free(f);
}

static void test_message(void)
{
    struct fixture *f = hpet_fixture();

    local_apic_write(apic_of(f, 0), 0xf0, 4, 0x1ff);
    write64(f, FSB_ROUTE(0), 0xfee0000000004051);
    write32(f, TIMER(0), ENABLE | FSB);
    write64(f, COMPARE(0), 1000);
    write32(f, CONFIG, 1);
    fixture_advance(f, 10000);
    CU_ASSERT_EQUAL(local_apic_acknowledge(apic_of(f, 0)), 0x51);
    write64(f, FSB_ROUTE(0), 0x1000); /* to nowhere, and to itself: no harm */
    write64(f, COMPARE(0), 2000);
    fixture_advance(f, 10000);
    write32(f, FSB_ROUTE(0) + 4, HPET_DEFAULT_BASE + 0x10);
    write32(f, FSB_ROUTE(0), 0);
    write64(f, COMPARE(0), 3000);
    fixture_advance(f, 10000);
    CU_ASSERT_EQUAL(read32(f, CONFIG), 1);
    fixture_free(f);
}

static void test_route_is_checked(void)
{
    struct fixture *f = hpet_fixture();

    write32(f, TIMER(0), ENABLE | ROUTE(23));
    write32(f, TIMER(0), ENABLE | ROUTE(3)); /* not among those offered */
    CU_ASSERT_EQUAL(read32(f, TIMER(0)) & 0x3e00, ROUTE(23));
    fixture_free(f);
}

static void test_random_access(void)
{
    struct fixture *f = hpet_fixture();

    for (unsigned i = 0; i < 10; i++) {
        fixture_random_access(f, &f->machine->as_memory, BASE, 0x180, 1500);
        write32(f, CONFIG, i & 3);
        CU_ASSERT_TRUE(fixture_state_survives(hpet_of(f)));
    }
    device_reset(hpet_of(f));
    CU_ASSERT_EQUAL(read64(f, COUNTER), 0);
    fixture_free(f);
}

static const struct unit_test tests[] = {
    {"capabilities", test_capabilities},
    {"main counter", test_counter},
    {"one-shot", test_one_shot},
    {"level-triggered, status", test_level},
    {"periodic", test_periodic},
    {"periodic with a single write", test_periodic_single_write},
    {"32-bit mode", test_32_bit_mode},
    {"legacy replacement", test_legacy_replacement},
    {"delivery by message", test_message},
    {"routes", test_route_is_checked},
    {"random accesses", test_random_access},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("hpet", tests);
}
