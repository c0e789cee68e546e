/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtual clock of a machine, and timers on it. It counts ns since the machine was made, runs
 * at the host's monotonic rate while the machine runs, and stands while it is stopped. Under the
 * qtest engine it moves only by clock_step. Any thread may read it and arm timers; neither needs
 * the main loop to wake first (timers sit on a timerfd).
 */
#ifndef DUODM_DM_CLOCK_H
#define DUODM_DM_CLOCK_H

#include "memory/guard.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define NS_PER_SECOND 1000000000ull

struct machine_clock;
struct event_base;

/* A timer. Embedded in its owner. Callbacks run in the main-loop thread, inside guard if not NULL.
 */
struct clock_timer {
    struct machine_clock *clock;
    void (*callback)(void *opaque);
    void *opaque;
    struct access_guard *guard;
    uint64_t deadline;   /* ns on the clock; UINT64_MAX: not armed */
    unsigned heap_index; /* private */
    bool queued;         /* private */
};

/* At 0, standing. base: the main loop, in which timers are called; NULL: machine_clock_advance
 * alone calls them. Fails where the host has no descriptor left. No timer is armed when it is
 * freed; NULL is fine. */
struct machine_clock *machine_clock_new(struct event_base *base, GError **error);
void machine_clock_free(struct machine_clock *clock);

uint64_t machine_clock_now(struct machine_clock *clock); /* ns; no lock on the fast path */
/* Any thread; starting one that runs, or stopping one that stands, does nothing. */
void machine_clock_start(struct machine_clock *clock);
void machine_clock_stop(struct machine_clock *clock);
/* Set the time of a clock that stands. Timers keep their deadlines; none fires before it runs. */
void machine_clock_set(struct machine_clock *clock, uint64_t now_ns);
/* From now on the clock moves only by _advance (qtest). */
void machine_clock_set_manual(struct machine_clock *clock);
/* Move a manual clock to a time, firing timers in order of deadline at their own times. */
void machine_clock_advance(struct machine_clock *clock, uint64_t to_ns);
/* Deadline of the earliest armed timer; UINT64_MAX if none. */
uint64_t machine_clock_next_deadline(struct machine_clock *clock);

/* A timer that is not armed. guard: entered around the callback; NULL: none. */
void clock_timer_init(struct clock_timer *timer, struct machine_clock *clock,
                      void (*callback)(void *opaque), void *opaque, struct access_guard *guard);
/* Disarms; after it returns the callback does not run (unless called from the callback itself). */
void clock_timer_destroy(struct clock_timer *timer);
/* Arm for an absolute time in ns, replacing an earlier arming. A past deadline fires at once. */
void clock_timer_arm(struct clock_timer *timer, uint64_t deadline_ns);
void clock_timer_disarm(struct clock_timer *timer);
bool clock_timer_is_armed(const struct clock_timer *timer);

#endif
