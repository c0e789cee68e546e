/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The real-time clock: dm/timer/mc146818.h. */
#include "dm/timer/mc146818.h"
#include "unit/fixture.h"

#include <time.h>

#define SECOND  NS_PER_SECOND
#define CENTURY 0x32

static unsigned get(struct fixture *f, unsigned index)
{
    out8(f, 0x70, index);
    return in8(f, 0x71);
}

static void put(struct fixture *f, unsigned index, unsigned value)
{
    out8(f, 0x70, index);
    out8(f, 0x71, value);
}

/* Begins at Thursday 2024-02-29 23:59:58. */
static struct fixture *rtc_fixture(void)
{
    struct fixture *f = fixture_new(1);

    fixture_add(f, "mc146818rtc", "base", "2024-02-29T23:59:58");
    return f;
}

static struct device *rtc_of(struct fixture *f)
{
    return g_ptr_array_index(f->machine->isa_bus->children, 0);
}

/* As year, month, day, hour, minute, second in the bytes of a number, the year without century. */
static uint64_t date_of(struct fixture *f)
{
    return (uint64_t)get(f, 9) << 40 | (uint64_t)get(f, 8) << 32 | (uint64_t)get(f, 7) << 24 |
           get(f, 4) << 16 | get(f, 2) << 8 | get(f, 0);
}

static void test_time_passes(void)
{
    struct fixture *f = rtc_fixture();

    CU_ASSERT_EQUAL(date_of(f), 0x240229235958);
    CU_ASSERT_EQUAL(get(f, CENTURY), 0x20);
    CU_ASSERT_EQUAL(get(f, 6), 5); /* Thursday */
    CU_ASSERT_EQUAL(get(f, 0xd), 0x80);
    CU_ASSERT_EQUAL(get(f, 0xb), 0x02);
    CU_ASSERT_EQUAL(get(f, 0xa), 0x26);
    fixture_advance(f, 2 * SECOND - 1);
    CU_ASSERT_EQUAL(date_of(f), 0x240229235959);
    fixture_advance(f, 1);
    CU_ASSERT_EQUAL(date_of(f), 0x240301000000);
    CU_ASSERT_EQUAL(get(f, 6), 6);
    fixture_advance(f, 366ull * 86400 * SECOND);
    CU_ASSERT_EQUAL(date_of(f), 0x250302000000);
    fixture_free(f);
}

static void test_host_time(void)
{
    struct fixture *f = fixture_new(1);
    time_t now = time(NULL);
    struct tm tm;

    fixture_add(f, "mc146818rtc", NULL, NULL);
    put(f, 0xb, 0x06);
    gmtime_r(&now, &tm);
    CU_ASSERT_EQUAL(get(f, 9), (unsigned)tm.tm_year % 100);
    CU_ASSERT_EQUAL(get(f, 8), (unsigned)tm.tm_mon + 1);
    fixture_free(f);
}

static void test_formats(void)
{
    struct fixture *f = rtc_fixture();

    put(f, 0xb, 0x06); /* binary, 24 hours */
    CU_ASSERT_EQUAL(date_of(f), 0x18021d173b3a);
    CU_ASSERT_EQUAL(get(f, CENTURY), 20);
    put(f, 0xb, 0x00); /* BCD, 12 hours */
    CU_ASSERT_EQUAL(get(f, 4), 0x91);
    put(f, 0xb, 0x04);
    CU_ASSERT_EQUAL(get(f, 4), 0x8b);
    fixture_advance(f, 2 * SECOND);
    CU_ASSERT_EQUAL(get(f, 4), 12); /* midnight is 12 AM */
    fixture_advance(f, 12 * 3600 * SECOND);
    CU_ASSERT_EQUAL(get(f, 4), 0x80 | 12);
    put(f, 4, 0x80 | 3);
    put(f, 0xb, 0x02);
    CU_ASSERT_EQUAL(get(f, 4), 0x15);
    fixture_free(f);
}

static void test_set(void)
{
    static const uint8_t bytes[][2] = {{0, 0x59}, {2, 0x59}, {4, 0x23}, {6, 0x01},
                                       {7, 0x31}, {8, 0x12}, {9, 0x99}, {CENTURY, 0x19}};
    struct fixture *f = rtc_fixture();

    fixture_advance(f, SECOND / 4);
    put(f, 0xb, 0x82 | 0x10);
    CU_ASSERT_EQUAL(get(f, 0xb), 0x82); /* SET clears UIE */
    for (unsigned i = 0; i < G_N_ELEMENTS(bytes); i++) {
        put(f, bytes[i][0], bytes[i][1]);
    }
    fixture_advance(f, 5 * SECOND); /* held */
    CU_ASSERT_EQUAL(date_of(f), 0x991231235959);
    CU_ASSERT_EQUAL(get(f, 0xa) & 0x80, 0);
    put(f, 0xb, 0x02);
    CU_ASSERT_EQUAL(date_of(f), 0x991231235959);
    fixture_advance(f, SECOND * 3 / 4); /* the phase went on */
    CU_ASSERT_EQUAL(date_of(f), 0x000101000000);
    CU_ASSERT_EQUAL(get(f, CENTURY), 0x20);
    CU_ASSERT_EQUAL(get(f, 6), 0x02); /* counts from what was written, right or wrong */
    put(f, 4, 0x12);                  /* without SET: takes effect at once */
    CU_ASSERT_EQUAL(date_of(f), 0x000101120000);
    fixture_free(f);
}

static void test_divider_reset(void)
{
    struct fixture *f = rtc_fixture();

    fixture_advance(f, SECOND / 10);
    put(f, 0xa, 0x76); /* held in reset */
    fixture_advance(f, 10 * SECOND);
    CU_ASSERT_EQUAL(date_of(f), 0x240229235958);
    put(f, 0xa, 0x26); /* the first update comes after half a second */
    fixture_advance(f, SECOND / 2 - 1);
    CU_ASSERT_EQUAL(date_of(f), 0x240229235958);
    fixture_advance(f, 1);
    CU_ASSERT_EQUAL(date_of(f), 0x240229235959);
    fixture_free(f);
}

static void test_update(void)
{
    struct fixture *f = rtc_fixture();

    CU_ASSERT_EQUAL(get(f, 0xc), 0);
    fixture_advance(f, SECOND - 244001);
    CU_ASSERT_EQUAL(get(f, 0xa) & 0x80, 0);
    fixture_advance(f, 1);
    CU_ASSERT_EQUAL(get(f, 0xa) & 0x80, 0x80); /* update in progress */
    fixture_advance(f, 244000);
    CU_ASSERT_EQUAL(get(f, 0xa) & 0x80, 0);
    CU_ASSERT_EQUAL(get(f, 0xc) & 0x90, 0x10); /* flagged, though not enabled */
    CU_ASSERT_EQUAL(get(f, 0xc) & 0x10, 0);
    CU_ASSERT_EQUAL(f->gsi[8].rises, 0);
    put(f, 0xb, 0x12);
    for (unsigned i = 1; i <= 5; i++) {
        fixture_advance(f, SECOND);
        CU_ASSERT_EQUAL(f->gsi[8].rises, i);
        CU_ASSERT_EQUAL(f->gsi[8].last_rise, (i + 1) * SECOND);
        CU_ASSERT_EQUAL(get(f, 0xc) & 0x90, 0x90);
        CU_ASSERT_FALSE(f->gsi[8].level);
    }
    fixture_advance(f, 3 * SECOND); /* not read: no further edge */
    CU_ASSERT_EQUAL(f->gsi[8].rises, 6);
    fixture_free(f);
}

static void test_alarm(void)
{
    struct fixture *f = rtc_fixture();

    put(f, 1, 0x30);
    put(f, 3, 0x05);
    put(f, 5, 0x00);
    put(f, 0xb, 0x22);
    fixture_advance(f, (2 + 5 * 60 + 30) * SECOND - 1);
    CU_ASSERT_EQUAL(f->gsi[8].rises, 0);
    fixture_advance(f, 1);
    CU_ASSERT_EQUAL(f->gsi[8].rises, 1);
    CU_ASSERT_EQUAL(get(f, 0xc) & 0xa0, 0xa0);
    fixture_advance(f, 86400 * SECOND - 1);
    CU_ASSERT_EQUAL(f->gsi[8].rises, 1);
    fixture_advance(f, 1);
    CU_ASSERT_EQUAL(f->gsi[8].rises, 2);
    get(f, 0xc);
    put(f, 5, 0xff); /* any hour */
    fixture_advance(f, 3600 * SECOND);
    CU_ASSERT_EQUAL(f->gsi[8].rises, 3);
    get(f, 0xc);
    put(f, 3, 0xc0);
    put(f, 1, 0xff); /* every second */
    fixture_advance(f, SECOND);
    CU_ASSERT_EQUAL(f->gsi[8].rises, 4);
    get(f, 0xc);
    put(f, 1, 0x77); /* never */
    fixture_advance(f, 200000 * SECOND);
    CU_ASSERT_EQUAL(f->gsi[8].rises, 4);
    fixture_free(f);
}

static void test_periodic(void)
{
    static const struct {
        unsigned rate, hz;
    } rates[] = {{1, 256}, {2, 128}, {3, 8192}, {6, 1024}, {9, 128}, {15, 2}};
    struct fixture *f = rtc_fixture();

    for (unsigned i = 0; i < G_N_ELEMENTS(rates); i++) {
        unsigned before = f->gsi[8].rises, total = rates[i].hz * 2;

        put(f, 0xa, 0x20 | rates[i].rate);
        put(f, 0xb, 0x42);
        for (unsigned j = 1; j <= total; j++) {
            /* To the start of the next period, whatever the rounding. */
            uint64_t second = machine_clock_now(f->machine->clock) / (2 * SECOND) * 2 * SECOND;

            machine_clock_advance(f->machine->clock,
                                  second + (j * SECOND + rates[i].hz - 1) / rates[i].hz);
            CU_ASSERT_EQUAL(f->gsi[8].rises, before + j);
            CU_ASSERT_EQUAL(get(f, 0xc) & 0xc0, 0xc0);
        }
        put(f, 0xb, 0x02);
    }
    put(f, 0xa, 0x20); /* none */
    put(f, 0xb, 0x42);
    get(f, 0xc);
    fixture_advance(f, SECOND);
    CU_ASSERT_EQUAL(get(f, 0xc) & 0x40, 0);
    fixture_free(f);
}

static void test_cmos(void)
{
    struct fixture *f = rtc_fixture();

    mc146818_set_cmos(rtc_of(f), 0x34, 0xab);
    mc146818_set_cmos(rtc_of(f), 0x00, 0xab); /* not RAM */
    mc146818_set_cmos(rtc_of(f), 500, 0xab);
    CU_ASSERT_EQUAL(get(f, 0x34), 0xab);
    CU_ASSERT_EQUAL(get(f, 0x80 | 0x34), 0xab); /* with NMI masked */
    put(f, 0x7f, 0x55);
    out8(f, 0x72, 0x7f);
    out8(f, 0x70, 0x0e);
    CU_ASSERT_EQUAL(in8(f, 0x73), 0x55);
    device_reset(rtc_of(f));
    CU_ASSERT_EQUAL(get(f, 0x34), 0xab);
    CU_ASSERT_EQUAL(date_of(f), 0x240229235958);
    put(f, 0xb, 0x72);
    device_reset(rtc_of(f));
    CU_ASSERT_EQUAL(get(f, 0xb), 0x02);
    fixture_free(f);
}

static void test_bad_base(void)
{
    static const char *const bad[] = {"tomorrow", "2024-13-01", "2024-01-01T25:00:00",
                                      "2024-01-01x"};
    struct fixture *f = fixture_new(1);

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        GError *error = NULL;

        CU_ASSERT_PTR_NULL(
            device_create(f->machine, "mc146818rtc", NULL, &error, "base", bad[i], NULL));
        CU_ASSERT_PTR_NOT_NULL(error);
        g_clear_error(&error);
    }
    fixture_free(f);
}

static void test_random_access(void)
{
    struct fixture *f = rtc_fixture();

    for (unsigned i = 0; i < 20; i++) {
        fixture_random_access(f, &f->machine->as_io, 0x70, 4, 500);
        for (unsigned j = 0; j < 50; j++) {
            put(f, j * 7 % 15, i * 31 + j * 57);
            get(f, j % 16);
            fixture_advance(f, 12345678901);
        }
        CU_ASSERT_TRUE(fixture_state_survives(rtc_of(f)));
    }
    fixture_free(f);
}

static const struct unit_test tests[] = {
    {"time passes", test_time_passes},
    {"begins with the host's time", test_host_time},
    {"BCD and binary, 12 and 24 hours", test_formats},
    {"setting the time", test_set},
    {"divider reset", test_divider_reset},
    {"update in progress and update-ended interrupt", test_update},
    {"alarm", test_alarm},
    {"periodic interrupt", test_periodic},
    {"CMOS RAM", test_cmos},
    {"base that is no time", test_bad_base},
    {"random accesses", test_random_access},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("mc146818", tests);
}
