/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The virtual clock and its timers: dm/clock.h. */
#include "dm/clock.h"
#include "unit/suite.h"
#include "unit/seed.h"

#include <event2/event.h>
#include <pthread.h>
#include <time.h>

#define THREADS 2
#define TIMERS  200

static struct machine_clock *manual_clock(void)
{
    struct machine_clock *clock = machine_clock_new(NULL, NULL);

    machine_clock_set_manual(clock);
    return clock;
}

struct record {
    struct clock_timer timer;
    GArray *fired; /* of uint64_t: the times */
    uint64_t period;
    unsigned repeats;
};

static void record_fire(void *opaque)
{
    struct record *record = opaque;
    uint64_t now = machine_clock_now(record->timer.clock);

    g_array_append_val(record->fired, now);
    if (record->repeats) {
        record->repeats--;
        clock_timer_arm(&record->timer, now + record->period);
    }
}

static void record_init(struct record *record, struct machine_clock *clock)
{
    *record = (struct record){.fired = g_array_new(FALSE, FALSE, sizeof(uint64_t))};
    clock_timer_init(&record->timer, clock, record_fire, record, NULL);
}

static void record_clear(struct record *record)
{
    clock_timer_destroy(&record->timer);
    g_array_free(record->fired, TRUE);
}

static uint64_t fired_at(const struct record *record, unsigned index)
{
    return index < record->fired->len ? g_array_index(record->fired, uint64_t, index) : UINT64_MAX;
}

static void test_manual_clock_moves_only_by_advance(void)
{
    struct machine_clock *clock = manual_clock();

    CU_ASSERT_EQUAL(machine_clock_now(clock), 0);
    machine_clock_start(clock);
    CU_ASSERT_EQUAL(machine_clock_now(clock), 0);
    machine_clock_advance(clock, 1000);
    CU_ASSERT_EQUAL(machine_clock_now(clock), 1000);
    machine_clock_advance(clock, 10); /* never back */
    CU_ASSERT_EQUAL(machine_clock_now(clock), 1000);
    machine_clock_advance(clock, UINT64_MAX);
    CU_ASSERT_EQUAL(machine_clock_now(clock), UINT64_MAX);
    machine_clock_free(clock);
}

static void test_timers_fire_in_order_at_their_own_times(void)
{
    struct machine_clock *clock = manual_clock();
    struct record late, early, periodic;

    record_init(&late, clock);
    record_init(&early, clock);
    record_init(&periodic, clock);
    periodic.period = 100;
    periodic.repeats = 3;
    clock_timer_arm(&late.timer, 250);
    clock_timer_arm(&early.timer, 50);
    clock_timer_arm(&periodic.timer, 100);
    CU_ASSERT_EQUAL(machine_clock_next_deadline(clock), 50);
    machine_clock_advance(clock, 1000);
    CU_ASSERT_EQUAL(fired_at(&early, 0), 50);
    CU_ASSERT_EQUAL(fired_at(&late, 0), 250);
    CU_ASSERT_EQUAL(periodic.fired->len, 4);
    for (unsigned i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(fired_at(&periodic, i), 100 * (i + 1));
    }
    CU_ASSERT_FALSE(clock_timer_is_armed(&periodic.timer));
    CU_ASSERT_EQUAL(machine_clock_next_deadline(clock), UINT64_MAX);
    record_clear(&late);
    record_clear(&early);
    record_clear(&periodic);
    machine_clock_free(clock);
}

static void test_disarm_and_rearm(void)
{
    struct machine_clock *clock = manual_clock();
    struct record record;

    record_init(&record, clock);
    clock_timer_arm(&record.timer, 10);
    CU_ASSERT_TRUE(clock_timer_is_armed(&record.timer));
    clock_timer_disarm(&record.timer);
    CU_ASSERT_FALSE(clock_timer_is_armed(&record.timer));
    machine_clock_advance(clock, 20);
    CU_ASSERT_EQUAL(record.fired->len, 0);
    clock_timer_arm(&record.timer, 30);
    clock_timer_arm(&record.timer, 40);
    machine_clock_advance(clock, 35);
    CU_ASSERT_EQUAL(record.fired->len, 0);
    machine_clock_advance(clock, 45);
    CU_ASSERT_EQUAL(fired_at(&record, 0), 40);
    clock_timer_arm(&record.timer, 5); /* long past: at once, at today's time */
    machine_clock_advance(clock, 45);
    CU_ASSERT_EQUAL(fired_at(&record, 1), 45);
    clock_timer_arm(&record.timer, UINT64_MAX);
    CU_ASSERT_FALSE(clock_timer_is_armed(&record.timer));
    record_clear(&record);
    machine_clock_free(clock);
}

/* Many timers, armed and disarmed at random, against a plain array of deadlines. */
static void test_heap_against_array(void)
{
    struct machine_clock *clock = manual_clock();
    struct record records[TIMERS];
    uint64_t model[TIMERS], now = 0;
    GRand *random = test_seeded_rand();

    for (unsigned i = 0; i < TIMERS; i++) {
        record_init(&records[i], clock);
        model[i] = UINT64_MAX;
    }
    for (unsigned step = 0; step < 20000; step++) {
        unsigned i = g_rand_int(random) % TIMERS;
        uint64_t earliest = UINT64_MAX;

        switch (g_rand_int(random) % 4) {
        case 0:
            clock_timer_disarm(&records[i].timer);
            model[i] = UINT64_MAX;
            break;
        case 1:
            now += g_rand_int(random) % 40;
            machine_clock_advance(clock, now);
            for (unsigned j = 0; j < TIMERS; j++) {
                if (model[j] <= now) {
                    CU_ASSERT_EQUAL(fired_at(&records[j], records[j].fired->len - 1), model[j]);
                    model[j] = UINT64_MAX;
                }
            }
            break;
        default:
            model[i] = now + g_rand_int(random) % 1000;
            clock_timer_arm(&records[i].timer, model[i]);
        }
        for (unsigned j = 0; j < TIMERS; j++) {
            earliest = MIN(earliest, model[j]);
        }
        CU_ASSERT_EQUAL(machine_clock_next_deadline(clock), earliest);
    }
    for (unsigned i = 0; i < TIMERS; i++) {
        record_clear(&records[i]);
    }
    g_rand_free(random);
    machine_clock_free(clock);
}

static void test_stop_is_exact(void)
{
    struct machine_clock *clock = machine_clock_new(NULL, NULL);
    struct timespec pause = {0, 2000000};
    uint64_t before, stopped;

    CU_ASSERT_EQUAL(machine_clock_now(clock), 0);
    for (unsigned i = 0; i < 5; i++) {
        machine_clock_start(clock);
        before = machine_clock_now(clock);
        nanosleep(&pause, NULL);
        CU_ASSERT_TRUE(machine_clock_now(clock) >= before + 2000000);
        before = machine_clock_now(clock);
        machine_clock_stop(clock);
        stopped = machine_clock_now(clock);
        CU_ASSERT_TRUE(stopped >= before);
        nanosleep(&pause, NULL);
        CU_ASSERT_EQUAL(machine_clock_now(clock), stopped);
    }
    machine_clock_start(clock);
    CU_ASSERT_TRUE(machine_clock_now(clock) - stopped < 1000000000);
    machine_clock_free(clock);
}

static void stop_loop(void *opaque)
{
    event_base_loopbreak(opaque);
}

static void test_timer_wakes_main_loop(void)
{
    struct event_base *base = event_base_new();
    struct machine_clock *clock = machine_clock_new(base, NULL);
    struct clock_timer timer;
    struct record never;

    clock_timer_init(&timer, clock, stop_loop, base, NULL);
    record_init(&never, clock);
    clock_timer_arm(&timer, 3000000); /* before the start */
    clock_timer_arm(&never.timer, 3600 * NS_PER_SECOND);
    machine_clock_start(clock);
    event_base_dispatch(base);
    CU_ASSERT_TRUE(machine_clock_now(clock) >= 3000000);
    CU_ASSERT_EQUAL(never.fired->len, 0);
    machine_clock_stop(clock);
    clock_timer_arm(&timer, 0); /* due, but the clock stands */
    event_base_loop(base, EVLOOP_NONBLOCK);
    CU_ASSERT_TRUE(clock_timer_is_armed(&timer));
    machine_clock_start(clock);
    event_base_dispatch(base);
    CU_ASSERT_FALSE(clock_timer_is_armed(&timer));
    clock_timer_destroy(&timer);
    record_clear(&never);
    machine_clock_free(clock);
    event_base_free(base);
}

/* A callback that would run after its owner's guarded disarm must not. */
struct owner {
    struct access_guard guard;
    struct clock_timer timer;
    bool enabled; /* guarded */
    unsigned violations, fired;
    struct machine_clock *clock;
    uint64_t *stop;
};

static void owner_fire(void *opaque)
{
    struct owner *owner = opaque;

    owner->fired++;
    if (!owner->enabled || !access_guard_is_held(&owner->guard)) {
        owner->violations++;
    }
    owner->enabled = false;
}

static void *owner_thread(void *opaque)
{
    struct owner *owner = opaque;

    while (!__atomic_load_n(owner->stop, __ATOMIC_RELAXED)) {
        if (access_guard_enter(&owner->guard)) {
            if (owner->enabled) {
                clock_timer_disarm(&owner->timer);
                owner->enabled = false;
            } else {
                clock_timer_arm(&owner->timer, machine_clock_now(owner->clock) + 1000);
                owner->enabled = true;
            }
            access_guard_leave(&owner->guard);
        }
        g_thread_yield();
    }
    return NULL;
}

/* Timers that live briefly: made, armed and destroyed while the main loop fires them. */
static void *brief_thread(void *opaque)
{
    struct owner *owner = opaque;

    while (!__atomic_load_n(owner->stop, __ATOMIC_RELAXED)) {
        struct owner *brief = g_new0(struct owner, 1);

        access_guard_init(&brief->guard);
        brief->enabled = true;
        clock_timer_init(&brief->timer, owner->clock, owner_fire, brief, &brief->guard);
        clock_timer_arm(&brief->timer, machine_clock_now(owner->clock));
        g_thread_yield();
        clock_timer_destroy(&brief->timer);
        access_guard_destroy(&brief->guard);
        g_free(brief);
    }
    return NULL;
}

static void *reader_thread(void *opaque)
{
    struct owner *owner = opaque;
    uint64_t last = 0;

    while (!__atomic_load_n(owner->stop, __ATOMIC_RELAXED)) {
        uint64_t now = machine_clock_now(owner->clock);

        if (now < last) {
            __atomic_fetch_add(&owner->violations, 1, __ATOMIC_RELAXED);
        }
        last = now;
        g_thread_yield();
    }
    return NULL;
}

static void test_threads(void)
{
    struct event_base *base = event_base_new();
    struct machine_clock *clock = machine_clock_new(base, NULL);
    struct owner owners[THREADS], brief, reader;
    pthread_t threads[THREADS + 2];
    uint64_t stop = 0;

    for (unsigned i = 0; i < THREADS; i++) {
        owners[i] = (struct owner){.clock = clock, .stop = &stop};
        access_guard_init(&owners[i].guard);
        clock_timer_init(&owners[i].timer, clock, owner_fire, &owners[i], &owners[i].guard);
        pthread_create(&threads[i], NULL, owner_thread, &owners[i]);
    }
    brief = reader = (struct owner){.clock = clock, .stop = &stop};
    pthread_create(&threads[THREADS], NULL, brief_thread, &brief);
    pthread_create(&threads[THREADS + 1], NULL, reader_thread, &reader);
    for (unsigned i = 0; i < 60; i++) {
        machine_clock_start(clock);
        event_base_loop(base, EVLOOP_NONBLOCK);
        g_usleep(500);
        event_base_loop(base, EVLOOP_NONBLOCK);
        if (i % 3 == 0) {
            machine_clock_stop(clock);
        }
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < THREADS + 2; i++) {
        pthread_join(threads[i], NULL);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL(owners[i].violations, 0);
        clock_timer_destroy(&owners[i].timer);
        access_guard_destroy(&owners[i].guard);
    }
    CU_ASSERT_EQUAL(reader.violations, 0);
    machine_clock_free(clock);
    event_base_free(base);
}

static const struct unit_test tests[] = {
    {"a manual clock moves only by advance", test_manual_clock_moves_only_by_advance},
    {"timers fire in order, at their own times", test_timers_fire_in_order_at_their_own_times},
    {"disarm and re-arm", test_disarm_and_rearm},
    {"the heap against an array", test_heap_against_array},
    {"a stopped clock stands", test_stop_is_exact},
    {"a timer wakes the main loop", test_timer_wakes_main_loop},
    {"arming, disarming, destroying from many threads", test_threads},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("clock", tests);
}
