/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MC146818 real-time clock and CMOS RAM.
 *
 * The time is not counted: it is worked out from the machine's clock and the instant at which some
 * second began (`base_ns`), which is also the phase of the divider chain. Flags are found when they
 * are looked at; the main loop is woken only for an interrupt that is enabled and not yet flagged.
 * While the guest sets the time (SET), or holds the divider in reset, the time registers are RAM.
 */
#include "dm/fdt/device-tree.h"
#include "dm/timer/mc146818.h"
#include "dm/machine.h"
#include "util/error.h"
#include "util/trace.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#define IRQ           8
#define DIVIDER_HZ    32768
#define SECOND        ((int64_t)NS_PER_SECOND)
#define UPDATE_NS     244000 /* UIP is set so long before an update */
#define SECONDS_A_DAY 86400
#define LATEST        1000000000000 /* seconds since 1970; more than the registers hold */
#define DONT_CARE     0xc0          /* an alarm byte from here on matches anything */

enum cmos_index {
    CMOS_SECONDS,
    CMOS_SECONDS_ALARM,
    CMOS_MINUTES,
    CMOS_MINUTES_ALARM,
    CMOS_HOURS,
    CMOS_HOURS_ALARM,
    CMOS_WEEKDAY,
    CMOS_DAY,
    CMOS_MONTH,
    CMOS_YEAR,
    CMOS_A,
    CMOS_B,
    CMOS_C,
    CMOS_D,
    CMOS_RAM,
    CMOS_CENTURY = 0x32
};

#define A_UIP           0x80
#define A_DIVIDER_RESET 0x60 /* 11x holds the divider in reset */
#define A_RATE          0x0f
#define B_SET           0x80
#define B_PIE           0x40
#define B_AIE           0x20
#define B_UIE           0x10
#define B_SQWE          0x08
#define B_BINARY        0x04
#define B_24H           0x02
#define C_IRQF          0x80
#define C_PF            0x40 /* as B_PIE, and so on */
#define C_AF            0x20
#define C_UF            0x10
#define C_FLAGS         0x70
#define D_VALID         0x80
#define HOUR_PM         0x80

struct mc146818 {
    struct device device;
    char *base; /* property: "utc", "localtime" or a date */
    struct memory_region ports;
    uint8_t index[2]; /* of ports 71h and 73h */
    uint8_t cmos[MC146818_CMOS_SIZE];
    int64_t base_seconds;  /* since 1970: the time at base_ns */
    int64_t base_ns;       /* on the machine's clock; may be before it began */
    int64_t synced_ns;     /* flags are right up to here */
    uint8_t weekday_shift; /* the weekday register counts by itself: its difference to the date's */
    struct clock_timer timer;

    pthread_mutex_t line_lock; /* leaf, above the interrupt controllers'; guards: */
    bool irq_level, disconnected;
};

static int64_t now_ns(const struct mc146818 *rtc)
{
    return (int64_t)MIN(machine_clock_now(rtc->device.machine->clock), (uint64_t)INT64_MAX / 2);
}

static bool divider_runs(const struct mc146818 *rtc)
{
    return (rtc->cmos[CMOS_A] & A_DIVIDER_RESET) != A_DIVIDER_RESET;
}

/* Do seconds pass? */
static bool time_runs(const struct mc146818 *rtc)
{
    return divider_runs(rtc) && !(rtc->cmos[CMOS_B] & B_SET);
}

/* Bytes in the format that register B chooses. */
static uint8_t encode(const struct mc146818 *rtc, int value)
{
    return (uint8_t)(rtc->cmos[CMOS_B] & B_BINARY ? value : value / 10 << 4 | value % 10);
}

static int decode(const struct mc146818 *rtc, uint8_t byte)
{
    return rtc->cmos[CMOS_B] & B_BINARY ? byte : (byte >> 4) * 10 + (byte & 15);
}

static uint8_t encode_hour(const struct mc146818 *rtc, int hour)
{
    if (rtc->cmos[CMOS_B] & B_24H) {
        return encode(rtc, hour);
    }
    return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static int decode_hour(const struct mc146818 *rtc, uint8_t byte)
{
    if (rtc->cmos[CMOS_B] & B_24H) {
        return decode(rtc, byte);
    }
    return decode(rtc, byte & 0x7f) % 12 + (byte & HOUR_PM ? 12 : 0);
}

/* Days since 1970 of a date in the Gregorian calendar; month and day may be out of range. */
static int64_t days_of_date(int64_t year, int64_t month, int64_t day)
{
    int64_t era, year_of_era;

    year += (month - 1) / 12;
    month = (month - 1) % 12 + 1;
    if (month <= 0) {
        month += 12;
        year--;
    }
    year -= month <= 2; /* years that begin in March have the leap day at their end */
    era = (year >= 0 ? year : year - 399) / 400;
    year_of_era = year - era * 400;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
           (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1 - 719468;
}

static int64_t seconds_at(const struct mc146818 *rtc, int64_t ns)
{
    return rtc->base_seconds + (ns - rtc->base_ns) / SECOND;
}

/* Write the time into the time registers. */
static void store_time(struct mc146818 *rtc, int64_t seconds)
{
    time_t time = (time_t)seconds;
    struct tm tm;

    if (!gmtime_r(&time, &tm)) {
        return;
    }
    rtc->cmos[CMOS_SECONDS] = encode(rtc, tm.tm_sec);
    rtc->cmos[CMOS_MINUTES] = encode(rtc, tm.tm_min);
    rtc->cmos[CMOS_HOURS] = encode_hour(rtc, tm.tm_hour);
    rtc->cmos[CMOS_WEEKDAY] = encode(rtc, (tm.tm_wday + rtc->weekday_shift) % 7 + 1);
    rtc->cmos[CMOS_DAY] = encode(rtc, tm.tm_mday);
    rtc->cmos[CMOS_MONTH] = encode(rtc, tm.tm_mon + 1);
    rtc->cmos[CMOS_YEAR] = encode(rtc, (tm.tm_year + 1900) % 100);
    rtc->cmos[CMOS_CENTURY] = encode(rtc, (tm.tm_year + 1900) / 100 % 100);
}

/* The time that the registers hold, whatever the guest put there. */
static int64_t load_time(struct mc146818 *rtc)
{
    int year = decode(rtc, rtc->cmos[CMOS_CENTURY]) * 100 + decode(rtc, rtc->cmos[CMOS_YEAR]);
    int64_t days =
        days_of_date(year, decode(rtc, rtc->cmos[CMOS_MONTH]), decode(rtc, rtc->cmos[CMOS_DAY]));
    int weekday = decode(rtc, rtc->cmos[CMOS_WEEKDAY]) - 1;
    int64_t of_date = ((days + 4) % 7 + 7) % 7; /* 1970 began on a Thursday */

    rtc->weekday_shift = (uint8_t)((weekday - of_date + 14) % 7);
    return days * SECONDS_A_DAY + decode_hour(rtc, rtc->cmos[CMOS_HOURS]) * 3600 +
           decode(rtc, rtc->cmos[CMOS_MINUTES]) * 60 + decode(rtc, rtc->cmos[CMOS_SECONDS]);
}

static bool alarm_matches(uint8_t alarm, uint8_t value)
{
    return alarm >= DONT_CARE || alarm == value;
}

/* Seconds from `seconds` to the first that matches the alarm, 0 if that one does; -1: none does. */
static int64_t seconds_to_alarm(const struct mc146818 *rtc, int64_t seconds)
{
    int64_t start = (seconds % SECONDS_A_DAY + SECONDS_A_DAY) % SECONDS_A_DAY, s = start;

    while (s < start + SECONDS_A_DAY) {
        int of_day = (int)(s % SECONDS_A_DAY);

        if (!alarm_matches(rtc->cmos[CMOS_HOURS_ALARM], encode_hour(rtc, of_day / 3600))) {
            s += 3600 - s % 3600;
        } else if (!alarm_matches(rtc->cmos[CMOS_MINUTES_ALARM], encode(rtc, of_day / 60 % 60))) {
            s += 60 - s % 60;
        } else if (!alarm_matches(rtc->cmos[CMOS_SECONDS_ALARM], encode(rtc, of_day % 60))) {
            s++;
        } else {
            return s - start;
        }
    }
    return -1;
}

/* Period of the periodic flag in ticks of the divider; 0: none. */
static uint64_t periodic_ticks(const struct mc146818 *rtc)
{
    unsigned rate = rtc->cmos[CMOS_A] & A_RATE;

    if (!rate || !divider_runs(rtc)) {
        return 0;
    }
    return 1ull << ((rate <= 2 ? rate + 7 : rate) - 1);
}

static uint64_t divider_ticks(const struct mc146818 *rtc, int64_t ns)
{
    return (uint64_t)((__uint128_t)(uint64_t)(ns - rtc->base_ns) * DIVIDER_HZ / NS_PER_SECOND);
}

/* Set the flags of what happened since the last look. */
static void sync_flags(struct mc146818 *rtc, int64_t now)
{
    uint64_t period = periodic_ticks(rtc);
    int64_t before = rtc->synced_ns;

    if (now <= before) {
        return;
    }
    rtc->synced_ns = now;
    if (period && divider_ticks(rtc, now) / period != divider_ticks(rtc, before) / period) {
        rtc->cmos[CMOS_C] |= C_PF;
    }
    if (time_runs(rtc) && seconds_at(rtc, now) != seconds_at(rtc, before)) {
        int64_t first = seconds_at(rtc, before) + 1;
        int64_t to_alarm = seconds_to_alarm(rtc, first);

        rtc->cmos[CMOS_C] |= C_UF;
        if (to_alarm >= 0 && first + to_alarm <= seconds_at(rtc, now)) {
            rtc->cmos[CMOS_C] |= C_AF;
        }
    }
}

/* The instant at which a flag that is clear and enabled to interrupt will be set. */
static uint64_t next_event(const struct mc146818 *rtc, int64_t now)
{
    uint8_t wanted = rtc->cmos[CMOS_B] & ~rtc->cmos[CMOS_C];
    uint64_t period = periodic_ticks(rtc);
    int64_t next = INT64_MAX;

    if ((wanted & B_PIE) && period) {
        uint64_t tick = (divider_ticks(rtc, now) / period + 1) * period;

        next = rtc->base_ns +
               (int64_t)(((__uint128_t)tick * NS_PER_SECOND + DIVIDER_HZ - 1) / DIVIDER_HZ);
    }
    if (time_runs(rtc)) {
        int64_t second = (now - rtc->base_ns) / SECOND + 1;

        if (wanted & B_UIE) {
            next = MIN(next, rtc->base_ns + second * SECOND);
        }
        if (wanted & B_AIE) {
            int64_t to_alarm = seconds_to_alarm(rtc, rtc->base_seconds + second);

            if (to_alarm >= 0) {
                next = MIN(next, rtc->base_ns + (second + to_alarm) * SECOND);
            }
        }
    }
    return next == INT64_MAX ? UINT64_MAX : (uint64_t)next;
}

static void drive_irq(struct mc146818 *rtc, bool level)
{
    pthread_mutex_lock(&rtc->line_lock);
    if (level != rtc->irq_level && !rtc->disconnected) {
        irq_line_set(&rtc->device.machine->gsi[IRQ], level);
    }
    rtc->irq_level = level;
    pthread_mutex_unlock(&rtc->line_lock);
}

void mc146818_set_disconnected(void *opaque, unsigned number, bool level)
{
    struct mc146818 *rtc = opaque;

    pthread_mutex_lock(&rtc->line_lock);
    if (level != rtc->disconnected) {
        rtc->disconnected = level;
        irq_line_set(&rtc->device.machine->gsi[IRQ], !level && rtc->irq_level);
    }
    pthread_mutex_unlock(&rtc->line_lock);
}

/* Flags, interrupt line and timer as of now. */
static void update(struct mc146818 *rtc)
{
    int64_t now = now_ns(rtc);
    bool irq;

    sync_flags(rtc, now);
    irq = rtc->cmos[CMOS_B] & rtc->cmos[CMOS_C] & C_FLAGS;
    rtc->cmos[CMOS_C] = (uint8_t)((rtc->cmos[CMOS_C] & C_FLAGS) | (irq ? C_IRQF : 0));
    drive_irq(rtc, irq);
    clock_timer_arm(&rtc->timer, next_event(rtc, now));
}

static void timer_fired(void *opaque)
{
    update(opaque);
}

/* Registers A and B. The time registers become RAM, or RAM becomes the time. A change of format
 * changes how the time is shown. */
static void set_mode(struct mc146818 *rtc, uint8_t a, uint8_t b)
{
    int64_t now = now_ns(rtc);
    bool ran = time_runs(rtc), divider_ran = divider_runs(rtc);

    sync_flags(rtc, now);
    if (b & B_SET) {
        b &= (uint8_t)~B_UIE;
    }
    rtc->cmos[CMOS_A] = a & (uint8_t)~A_UIP;
    rtc->cmos[CMOS_B] = b;
    if (ran && !time_runs(rtc)) {
        store_time(rtc, seconds_at(rtc, now));
    }
    if (!divider_ran && divider_runs(rtc)) {
        rtc->base_ns = now - SECOND / 2; /* the first update comes after half a second */
    }
    if (!ran && time_runs(rtc)) {
        rtc->base_seconds = load_time(rtc);
        rtc->base_ns += (now - rtc->base_ns) / SECOND * SECOND;
    }
}

static bool is_time_register(unsigned index)
{
    return index == CMOS_SECONDS || index == CMOS_MINUTES || index == CMOS_HOURS ||
           (index >= CMOS_WEEKDAY && index <= CMOS_YEAR) || index == CMOS_CENTURY;
}

static uint8_t read_cmos(struct mc146818 *rtc, unsigned index)
{
    int64_t now = now_ns(rtc);
    uint8_t value;

    if (is_time_register(index) && time_runs(rtc)) {
        store_time(rtc, seconds_at(rtc, now));
    }
    value = rtc->cmos[index];
    switch (index) {
    case CMOS_A:
        if (time_runs(rtc) && (now - rtc->base_ns) % SECOND >= SECOND - UPDATE_NS) {
            value |= A_UIP;
        }
        break;
    case CMOS_C: /* reading clears it, and lets the line fall */
        update(rtc);
        value = rtc->cmos[CMOS_C];
        rtc->cmos[CMOS_C] = 0;
        update(rtc);
        break;
    }
    return value;
}

static void write_cmos(struct mc146818 *rtc, unsigned index, uint8_t value)
{
    trace_mc146818_write(index, value);
    switch (index) {
    case CMOS_A:
        set_mode(rtc, value, rtc->cmos[CMOS_B]);
        break;
    case CMOS_B:
        set_mode(rtc, rtc->cmos[CMOS_A], value);
        break;
    case CMOS_C:
    case CMOS_D:
        return; /* read-only */
    default:
        sync_flags(rtc, now_ns(rtc));
        if (is_time_register(index) && time_runs(rtc)) {
            int64_t now = now_ns(rtc);

            store_time(rtc, seconds_at(rtc, now));
            rtc->cmos[index] = value;
            rtc->base_seconds = load_time(rtc);
            rtc->base_ns += (now - rtc->base_ns) / SECOND * SECOND;
        } else {
            rtc->cmos[index] = value;
        }
        break;
    }
    update(rtc);
}

static enum memory_result mc146818_read(void *opaque, uint64_t offset, unsigned size,
                                        struct memory_attributes attributes, uint64_t *value)
{
    struct mc146818 *rtc = opaque;

    /* The index registers can only be written. */
    *value = offset & 1 ? read_cmos(rtc, rtc->index[offset >> 1 & 1]) : 0xff;
    return MEMORY_OK;
}

static enum memory_result mc146818_write(void *opaque, uint64_t offset, unsigned size,
                                         struct memory_attributes attributes, uint64_t value)
{
    struct mc146818 *rtc = opaque;

    if (offset & 1) {
        write_cmos(rtc, rtc->index[offset >> 1 & 1], (uint8_t)value);
    } else {
        rtc->index[offset >> 1 & 1] = value & (MC146818_CMOS_SIZE - 1); /* bit 7 masks NMI */
    }
    return MEMORY_OK;
}

static const struct memory_region_ops mc146818_ops = {
    .read = mc146818_read,
    .write = mc146818_write,
    .valid = {1, 4, true},
    .implemented = {1, 1, true},
};

void mc146818_set_cmos(struct device *device, unsigned index, uint8_t value)
{
    struct mc146818 *rtc = (struct mc146818 *)device;

    if (index >= CMOS_RAM && index < MC146818_CMOS_SIZE && index != CMOS_CENTURY) {
        rtc->cmos[index] = value;
    }
}

/* Property "base": the time at which the guest's clock begins, and the part of a second past. */
static bool parse_base(const char *base, int64_t *seconds, int64_t *ns, GError **error)
{
    struct timespec ts;
    struct tm tm = {0};
    const char *end;

    clock_gettime(CLOCK_REALTIME, &ts);
    *seconds = ts.tv_sec;
    *ns = ts.tv_nsec;
    if (!base || !*base || g_str_equal(base, "utc")) {
        return true;
    }
    if (g_str_equal(base, "localtime")) {
        if (localtime_r(&ts.tv_sec, &tm)) {
            *seconds += tm.tm_gmtoff;
        }
        return true;
    }
    end = strptime(base, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!end) {
        memset(&tm, 0, sizeof(tm));
        end = strptime(base, "%Y-%m-%d", &tm);
    }
    if (!end || *end || tm.tm_year < 0 || tm.tm_year > 8099) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "property 'base' is '%s': it must be utc, localtime or a date such as "
                          "2026-01-31T12:00:00",
                          base);
    }
    *seconds = days_of_date(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday) * SECONDS_A_DAY +
               tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec;
    *ns = 0;
    return true;
}

static bool mc146818_realize(struct device *device, GError **error)
{
    struct mc146818 *rtc = (struct mc146818 *)device;
    int64_t past;

    if (!parse_base(rtc->base, &rtc->base_seconds, &past, error)) {
        return false;
    }
    rtc->base_ns = now_ns(rtc) - past;
    rtc->synced_ns = now_ns(rtc);
    rtc->cmos[CMOS_A] = 0x26; /* 32.768 kHz, 1024 Hz */
    rtc->cmos[CMOS_B] = B_24H;
    rtc->cmos[CMOS_D] = D_VALID;
    pthread_mutex_init(&rtc->line_lock, NULL);
    clock_timer_init(&rtc->timer, device->machine->clock, timer_fired, rtc, &device->guard);
    memory_region_init_mmio(&rtc->ports, "mc146818rtc", 4, &mc146818_ops, rtc, &device->guard);
    memory_region_add_subregion(&device->machine->system_io, 0x70, &rtc->ports);
    return true;
}

static void mc146818_unrealize(struct device *device)
{
    struct mc146818 *rtc = (struct mc146818 *)device;

    memory_region_destroy(&rtc->ports);
    clock_timer_destroy(&rtc->timer);
    pthread_mutex_destroy(&rtc->line_lock);
}

/* The RESET pin clears enables and flags; clock, calendar and RAM run on the battery. */
static void mc146818_reset(struct device *device)
{
    struct mc146818 *rtc = (struct mc146818 *)device;

    set_mode(rtc, rtc->cmos[CMOS_A],
             rtc->cmos[CMOS_B] & (uint8_t) ~(B_PIE | B_AIE | B_UIE | B_SQWE));
    rtc->cmos[CMOS_C] = 0;
    memset(rtc->index, 0, sizeof(rtc->index));
    update(rtc);
}

static bool mc146818_after_load(void *object)
{
    struct mc146818 *rtc = object;
    int64_t limit = INT64_MAX / 4;

    if (rtc->index[0] >= MC146818_CMOS_SIZE || rtc->index[1] >= MC146818_CMOS_SIZE ||
        rtc->weekday_shift > 6 || rtc->base_ns > now_ns(rtc) || rtc->base_ns < -limit ||
        rtc->synced_ns < rtc->base_ns || rtc->base_seconds > LATEST ||
        rtc->base_seconds < -LATEST) {
        return false;
    }
    update(rtc);
    return true;
}

static const struct state_field mc146818_fields[] = {
    STATE_ARRAY(UINT8, mc146818, index, 2, 1),
    STATE_ARRAY(UINT8, mc146818, cmos, MC146818_CMOS_SIZE, 1),
    STATE(INT64, mc146818, base_seconds, 1),
    STATE(INT64, mc146818, base_ns, 1),
    STATE(INT64, mc146818, synced_ns, 1),
    STATE(UINT8, mc146818, weekday_shift, 1),
    STATE(BOOL, mc146818, irq_level, 1),
    STATE(BOOL, mc146818, disconnected, 1),
    STATE_END,
};

static const struct state_description mc146818_state = {
    .name = "mc146818rtc",
    .version = 1,
    .fields = mc146818_fields,
    .after_load = mc146818_after_load,
    .before_save = timer_fired,
};

static const struct property mc146818_properties[] = {
    {"base", PROPERTY_STRING | PROPERTY_OF_HOST, offsetof(struct mc146818, base), "utc", 0, 0,
     "time at start: utc, localtime or a date such as 2026-01-31T12:00:00"},
    PROPERTY_END,
};

static void mc146818_describe(struct device *device, struct device_tree *tree,
                              struct device_node *node)
{
    struct device_node *rtc = device_tree_add_port(tree, "rtc", 0x70, 2, "motorola,mc146818");

    device_node_set(rtc, "interrupts", 8, DEVICE_TREE_EDGE);
}

const struct device_class mc146818_class = {
    .name = "mc146818rtc",
    .description = "MC146818 real-time clock and CMOS RAM",
    .bus_type = BUS_ISA,
    .instance_size = sizeof(struct mc146818),
    .properties = mc146818_properties,
    .state = &mc146818_state,
    .realize = mc146818_realize,
    .unrealize = mc146818_unrealize,
    .reset = mc146818_reset,
    .describe = mc146818_describe,
};
