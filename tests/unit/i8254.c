/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 8254: dm/timer/i8254.h. Time is given in its ticks. */
#include "dm/timer/i8254.h"
#include "unit/fixture.h"

#define COUNTER(n) (0x40u + (n))
#define CONTROL    0x43
#define PORT_B     0x61

static struct fixture *pit_fixture(void)
{
    struct fixture *f = fixture_new(1);

    fixture_add(f, "i8254", NULL, NULL);
    return f;
}

/* Move to the instant at which so many ticks have passed since the machine was made. */
static void to_tick(struct fixture *f, uint64_t tick)
{
    machine_clock_advance(f->machine->clock,
                          (tick * NS_PER_SECOND + I8254_FREQUENCY - 1) / I8254_FREQUENCY);
}

static void program(struct fixture *f, unsigned channel, unsigned mode, unsigned count)
{
    out8(f, CONTROL, channel << 6 | 0x30 | mode << 1);
    out8(f, COUNTER(channel), count & 0xff);
    out8(f, COUNTER(channel), count >> 8);
}

static unsigned read_both(struct fixture *f, unsigned channel)
{
    unsigned low = in8(f, COUNTER(channel));

    return low | (unsigned)in8(f, COUNTER(channel)) << 8;
}

static unsigned read_count(struct fixture *f, unsigned channel)
{
    out8(f, CONTROL, channel << 6);
    return read_both(f, channel);
}

static unsigned read_status(struct fixture *f, unsigned channel)
{
    out8(f, CONTROL, 0xe0 | 2u << channel);
    return in8(f, COUNTER(channel));
}

static bool out2(struct fixture *f)
{
    return in8(f, PORT_B) & 0x20;
}

static void test_mode0(void)
{
    struct fixture *f = pit_fixture();

    program(f, 0, 0, 100);                    /* at tick 0: loaded with tick 1 */
    CU_ASSERT_EQUAL(read_status(f, 0), 0x70); /* OUT low, null count, both bytes, mode 0 */
    to_tick(f, 1);
    CU_ASSERT_EQUAL(read_status(f, 0), 0x30);
    CU_ASSERT_EQUAL(read_count(f, 0), 100);
    to_tick(f, 100);
    CU_ASSERT_EQUAL(read_count(f, 0), 1);
    CU_ASSERT_EQUAL(f->gsi[0].rises, 0);
    to_tick(f, 101);
    CU_ASSERT_EQUAL(f->gsi[0].rises, 1);
    CU_ASSERT_TRUE(f->gsi[0].level);
    CU_ASSERT_EQUAL(read_status(f, 0), 0xb0);
    to_tick(f, 102);
    CU_ASSERT_EQUAL(read_count(f, 0), 0xffff); /* counts on */
    out8(f, COUNTER(0), 10);                   /* the first byte takes OUT low */
    CU_ASSERT_FALSE(f->gsi[0].level);
    out8(f, COUNTER(0), 0);
    to_tick(f, 112);
    CU_ASSERT_FALSE(f->gsi[0].level);
    to_tick(f, 113);
    CU_ASSERT_EQUAL(f->gsi[0].rises, 2);
    fixture_free(f);
}

static void test_gate_stops_mode0(void)
{
    struct fixture *f = pit_fixture();

    out8(f, PORT_B, 1);
    program(f, 2, 0, 50);
    to_tick(f, 11);
    CU_ASSERT_EQUAL(read_count(f, 2), 40);
    out8(f, PORT_B, 0);
    to_tick(f, 500);
    CU_ASSERT_EQUAL(read_count(f, 2), 40);
    CU_ASSERT_FALSE(out2(f));
    out8(f, PORT_B, 1);
    to_tick(f, 539);
    CU_ASSERT_FALSE(out2(f));
    to_tick(f, 540);
    CU_ASSERT_TRUE(out2(f));
    fixture_free(f);
}

static void test_mode1(void)
{
    struct fixture *f = pit_fixture();

    program(f, 2, 1, 20);
    to_tick(f, 100);
    CU_ASSERT_TRUE(out2(f)); /* waits for the gate */
    out8(f, PORT_B, 1);
    to_tick(f, 101);
    CU_ASSERT_FALSE(out2(f));
    to_tick(f, 111);
    out8(f, PORT_B, 0);
    out8(f, PORT_B, 1); /* retriggered */
    to_tick(f, 131);
    CU_ASSERT_FALSE(out2(f));
    to_tick(f, 132);
    CU_ASSERT_TRUE(out2(f));
    fixture_free(f);
}

/* Every rising edge at its own tick, over a long time. */
static void check_periodic(unsigned mode, unsigned count)
{
    struct fixture *f = pit_fixture();
    unsigned first;

    program(f, 0, mode, count);
    first = f->gsi[0].rises; /* OUT goes high with the control word */
    CU_ASSERT_EQUAL(first, 1);
    for (unsigned i = 1; i <= 1000; i++) {
        uint64_t rise = 1 + (uint64_t)count * i;

        to_tick(f, rise - 1);
        CU_ASSERT_EQUAL(f->gsi[0].rises, first + i - 1);
        to_tick(f, rise);
        CU_ASSERT_EQUAL(f->gsi[0].rises, first + i);
    }
    fixture_free(f);
}

static void test_mode2(void)
{
    struct fixture *f = pit_fixture();

    check_periodic(2, 11932);
    check_periodic(2, 100);
    out8(f, PORT_B, 1);
    program(f, 2, 2, 10);
    to_tick(f, 1);
    CU_ASSERT_EQUAL(read_count(f, 2), 10);
    to_tick(f, 10);
    CU_ASSERT_EQUAL(read_count(f, 2), 1);
    CU_ASSERT_FALSE(out2(f)); /* low for one tick */
    to_tick(f, 11);
    CU_ASSERT_EQUAL(read_count(f, 2), 10);
    CU_ASSERT_TRUE(out2(f));
    out8(f, COUNTER(2), 20); /* from the next period on */
    out8(f, COUNTER(2), 0);
    to_tick(f, 20);
    CU_ASSERT_FALSE(out2(f));
    to_tick(f, 21);
    CU_ASSERT_EQUAL(read_count(f, 2), 20);
    to_tick(f, 40);
    CU_ASSERT_FALSE(out2(f));
    fixture_free(f);
}

static void test_mode3(void)
{
    struct fixture *f = pit_fixture();

    check_periodic(3, 11932);
    check_periodic(3, 12345);
    out8(f, PORT_B, 1);
    program(f, 2, 3, 7); /* high 4, low 3 */
    for (unsigned period = 0; period < 3; period++) {
        for (unsigned i = 0; i < 7; i++) {
            static const unsigned counts[] = {6, 4, 2, 0, 6, 4, 2};

            to_tick(f, 1 + 7 * period + i);
            CU_ASSERT_EQUAL(out2(f), i < 4);
            CU_ASSERT_EQUAL(read_count(f, 2), counts[i]);
        }
    }
    fixture_free(f);
}

static void test_modes_4_and_5(void)
{
    struct fixture *f = pit_fixture();

    out8(f, PORT_B, 1);
    program(f, 2, 4, 10);
    to_tick(f, 10);
    CU_ASSERT_TRUE(out2(f));
    to_tick(f, 11);
    CU_ASSERT_FALSE(out2(f)); /* the strobe */
    to_tick(f, 12);
    CU_ASSERT_TRUE(out2(f));
    out8(f, PORT_B, 0);
    program(f, 2, 5, 10);
    to_tick(f, 100);
    out8(f, PORT_B, 1);
    to_tick(f, 111);
    CU_ASSERT_FALSE(out2(f));
    to_tick(f, 112);
    CU_ASSERT_TRUE(out2(f));
    program(f, 0, 4, 10);
    CU_ASSERT_EQUAL(f->gsi[0].rises, 1);
    to_tick(f, 124);
    CU_ASSERT_EQUAL(f->gsi[0].rises, 2);
    fixture_free(f);
}

static void test_bcd(void)
{
    struct fixture *f = pit_fixture();

    out8(f, CONTROL, 0x35); /* channel 0, both bytes, mode 2, BCD */
    out8(f, COUNTER(0), 0x00);
    out8(f, COUNTER(0), 0x10); /* 1000 */
    to_tick(f, 2);
    CU_ASSERT_EQUAL(read_count(f, 0), 0x0999);
    to_tick(f, 1001);
    CU_ASSERT_EQUAL(f->gsi[0].rises, 2);
    fixture_free(f);
}

static void test_access_modes_and_latches(void)
{
    struct fixture *f = pit_fixture();

    out8(f, CONTROL, 0x14); /* low byte only, mode 2 */
    out8(f, COUNTER(0), 200);
    to_tick(f, 2);
    CU_ASSERT_EQUAL(in8(f, COUNTER(0)), 199);
    CU_ASSERT_EQUAL(in8(f, COUNTER(0)), 199);
    out8(f, CONTROL, 0x24); /* high byte only */
    out8(f, COUNTER(0), 0x12);
    to_tick(f, 4);
    CU_ASSERT_EQUAL(in8(f, COUNTER(0)), 0x11);
    program(f, 0, 2, 1000);
    to_tick(f, 15);
    out8(f, CONTROL, 0x00);
    to_tick(f, 115);
    out8(f, CONTROL, 0x00); /* a second latch waits until the first was read */
    CU_ASSERT_EQUAL(read_both(f, 0), 990);
    CU_ASSERT_EQUAL(read_both(f, 0), 890); /* live */
    out8(f, CONTROL, 0xc2);                /* read back: status first, then the count */
    CU_ASSERT_EQUAL(in8(f, COUNTER(0)), 0xb4);
    to_tick(f, 200);
    CU_ASSERT_EQUAL(read_both(f, 0), 890);
    CU_ASSERT_EQUAL(in8(f, CONTROL), 0);
    fixture_free(f);
}

static void test_port_b(void)
{
    struct fixture *f = pit_fixture();
    unsigned toggles = 0;
    uint8_t last = in8(f, PORT_B);

    out8(f, PORT_B, 0xff);
    CU_ASSERT_EQUAL(in8(f, PORT_B) & 0xcf, 0x0f);
    for (unsigned i = 1; i <= 1000; i++) {
        uint8_t now;

        fixture_advance(f, 1000);
        now = in8(f, PORT_B);
        toggles += (now ^ last) >> 4 & 1;
        last = now;
    }
    CU_ASSERT_TRUE(toggles >= 66 && toggles <= 67); /* each 15.085 us of a millisecond */
    fixture_free(f);
}

static void test_disconnected(void)
{
    struct fixture *f = pit_fixture();
    void *pit = g_ptr_array_index(f->machine->isa_bus->children, 0);

    i8254_set_disconnected(pit, 0, true);
    program(f, 0, 2, 1000);
    to_tick(f, 100000);
    CU_ASSERT_EQUAL(f->gsi[0].rises, 0);
    i8254_set_disconnected(pit, 0, false);
    CU_ASSERT_TRUE(f->gsi[0].level);
    to_tick(f, 110000);
    CU_ASSERT_TRUE(f->gsi[0].rises > 9);
    fixture_free(f);
}

static void test_random_access(void)
{
    struct fixture *f = pit_fixture();
    struct device *pit = g_ptr_array_index(f->machine->isa_bus->children, 0);

    for (unsigned i = 0; i < 20; i++) {
        fixture_random_access(f, &f->machine->as_io, 0x40, 4, 500);
        fixture_random_access(f, &f->machine->as_io, PORT_B, 1, 50);
        CU_ASSERT_TRUE(fixture_state_survives(pit));
    }
    program(f, 0, 2, 1); /* illegal; must not hang */
    fixture_advance(f, NS_PER_SECOND);
    device_reset(pit);
    CU_ASSERT_FALSE(f->gsi[0].level);
    fixture_free(f);
}

static const struct unit_test tests[] = {
    {"mode 0, interrupt on terminal count", test_mode0},
    {"the gate stops mode 0", test_gate_stops_mode0},
    {"mode 1, one-shot", test_mode1},
    {"mode 2, rate generator", test_mode2},
    {"mode 3, square wave", test_mode3},
    {"modes 4 and 5, strobes", test_modes_4_and_5},
    {"BCD", test_bcd},
    {"access modes, latches, read-back", test_access_modes_and_latches},
    {"port 61h", test_port_b},
    {"disconnected by the HPET", test_disconnected},
    {"random accesses", test_random_access},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("i8254", tests);
}
