/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtual clock and its timers.
 *
 * Reading the time is a sequence lock around three words and one clock_gettime: no lock, and an
 * instant that was read while the clock ran is never later than the instant at which it stops.
 *
 * Timers sit in a binary heap under a leaf lock. One timerfd, in the main loop, is programmed for
 * the earliest deadline by whoever arms it. It is only ever moved to an earlier time: when the
 * earliest timer is put off, the wake-up that was programmed comes, finds nothing to do, and
 * programs the right one. So a timer that is armed again and again costs few system calls.
 *
 * A timer stays in the heap until its guard is held. Whoever disarms or re-arms it inside that
 * guard can therefore be sure that the old deadline does not fire any more.
 */
#include "dm/clock.h"
#include "util/error.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NOT_ARMED UINT64_MAX

struct machine_clock {
    /* Read by machine_clock_now under the sequence lock; written under `lock`. */
    unsigned sequence; /* odd while being written */
    bool running;
    uint64_t offset; /* running: the host's monotonic time minus this is the time */
    uint64_t frozen; /* not running: the time */

    pthread_mutex_t lock;    /* leaf; guards all below */
    pthread_cond_t idle;     /* signalled when `active` becomes NULL */
    GPtrArray *heap;         /* of struct clock_timer, a binary min-heap by deadline */
    bool manual;             /* moves only by machine_clock_advance */
    int timer_fd;            /* -1: no main loop */
    struct event *event;     /* of timer_fd */
    uint64_t programmed;     /* time on this clock for which timer_fd is set; NOT_ARMED: it isn't */
    bool busy;               /* some thread is firing timers */
    pthread_t firing_thread; /* which */
    struct clock_timer *active; /* whose guard is waited for, or whose callback runs */
    bool cancelled;             /* the active timer was disarmed, re-armed or destroyed meanwhile */
};

static uint64_t host_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_SECOND + (uint64_t)ts.tv_nsec;
}

uint64_t machine_clock_now(struct machine_clock *clock)
{
    for (;;) {
        unsigned sequence = __atomic_load_n(&clock->sequence, __ATOMIC_ACQUIRE);
        uint64_t now;

        if (__atomic_load_n(&clock->running, __ATOMIC_ACQUIRE)) {
            uint64_t offset = __atomic_load_n(&clock->offset, __ATOMIC_ACQUIRE);

            now = host_now() - offset;
        } else {
            now = __atomic_load_n(&clock->frozen, __ATOMIC_ACQUIRE);
        }
        if (!(sequence & 1) && __atomic_load_n(&clock->sequence, __ATOMIC_ACQUIRE) == sequence) {
            return now;
        }
    }
}

/* Writers of the time, under clock->lock. */
static void time_write_begin(struct machine_clock *clock)
{
    __atomic_store_n(&clock->sequence, clock->sequence + 1, __ATOMIC_RELAXED);
}

static void time_write_end(struct machine_clock *clock)
{
    __atomic_store_n(&clock->sequence, clock->sequence + 1, __ATOMIC_RELEASE);
}

static void time_set_frozen(struct machine_clock *clock, uint64_t now)
{
    time_write_begin(clock);
    __atomic_store_n(&clock->running, false, __ATOMIC_RELEASE);
    __atomic_store_n(&clock->frozen, now, __ATOMIC_RELEASE);
    time_write_end(clock);
}

/* The heap. */
static struct clock_timer *heap_at(struct machine_clock *clock, unsigned index)
{
    return g_ptr_array_index(clock->heap, index);
}

static void heap_put(struct machine_clock *clock, unsigned index, struct clock_timer *timer)
{
    g_ptr_array_index(clock->heap, index) = timer;
    timer->heap_index = index;
}

static void heap_sift_up(struct machine_clock *clock, unsigned index)
{
    struct clock_timer *timer = heap_at(clock, index);

    while (index && heap_at(clock, (index - 1) / 2)->deadline > timer->deadline) {
        heap_put(clock, index, heap_at(clock, (index - 1) / 2));
        index = (index - 1) / 2;
    }
    heap_put(clock, index, timer);
}

static void heap_sift_down(struct machine_clock *clock, unsigned index)
{
    struct clock_timer *timer = heap_at(clock, index);
    unsigned count = clock->heap->len;

    for (;;) {
        unsigned child = 2 * index + 1;

        if (child + 1 < count &&
            heap_at(clock, child + 1)->deadline < heap_at(clock, child)->deadline) {
            child++;
        }
        if (child >= count || heap_at(clock, child)->deadline >= timer->deadline) {
            break;
        }
        heap_put(clock, index, heap_at(clock, child));
        index = child;
    }
    heap_put(clock, index, timer);
}

static void heap_remove(struct machine_clock *clock, struct clock_timer *timer)
{
    unsigned index = timer->heap_index;
    struct clock_timer *last = heap_at(clock, clock->heap->len - 1);

    g_ptr_array_set_size(clock->heap, (gint)clock->heap->len - 1);
    if (last != timer) {
        heap_put(clock, index, last);
        heap_sift_up(clock, index);
        heap_sift_down(clock, last->heap_index);
    }
    timer->queued = false;
}

static uint64_t heap_earliest(struct machine_clock *clock)
{
    return clock->heap->len ? heap_at(clock, 0)->deadline : NOT_ARMED;
}

static bool is_due(struct machine_clock *clock, uint64_t now)
{
    return clock->heap->len && heap_earliest(clock) <= now;
}

/* Program the timerfd for the earliest deadline, if it would come too late for that. */
static void program_wakeup(struct machine_clock *clock)
{
    uint64_t earliest = heap_earliest(clock);
    struct itimerspec spec = {0};

    if (clock->timer_fd < 0 || earliest >= clock->programmed) {
        return;
    }
    if (clock->running) {
        uint64_t host = earliest + clock->offset;

        if (host < earliest || host > INT64_MAX) {
            host = INT64_MAX;
        }
        spec.it_value.tv_sec = (time_t)(host / NS_PER_SECOND);
        spec.it_value.tv_nsec = (long)(host % NS_PER_SECOND);
    } else if (!clock->manual || earliest > clock->frozen) {
        return;
    }
    if (!spec.it_value.tv_sec && !spec.it_value.tv_nsec) {
        spec.it_value.tv_nsec = 1; /* zero would disarm; this is at once */
    }
    timerfd_settime(clock->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
    clock->programmed = earliest;
}

static void cancel_wakeup(struct machine_clock *clock)
{
    struct itimerspec spec = {0};

    if (clock->timer_fd >= 0) {
        timerfd_settime(clock->timer_fd, 0, &spec, NULL);
    }
    clock->programmed = NOT_ARMED;
}

/*
 * Fire one timer that is due. Called and returns with the lock held; releases it meanwhile. False
 * if the timer can't be fired from here, because this thread is inside its guard.
 */
static bool fire_earliest(struct machine_clock *clock)
{
    struct clock_timer *timer = heap_at(clock, 0);
    struct access_guard *guard = timer->guard;
    bool entered = true;

    clock->active = timer;
    clock->cancelled = false;
    if (guard) {
        pthread_mutex_unlock(&clock->lock);
        entered = access_guard_enter(guard);
        pthread_mutex_lock(&clock->lock);
    }
    if (entered) {
        if (!clock->cancelled) {
            void (*callback)(void *opaque) = timer->callback;
            void *opaque = timer->opaque;

            heap_remove(clock, timer);
            __atomic_store_n(&timer->deadline, NOT_ARMED, __ATOMIC_RELAXED);
            pthread_mutex_unlock(&clock->lock);
            callback(opaque);
        } else {
            pthread_mutex_unlock(&clock->lock);
        }
        if (guard) {
            access_guard_leave(guard);
        }
        pthread_mutex_lock(&clock->lock);
    }
    clock->active = NULL;
    pthread_cond_broadcast(&clock->idle);
    return entered;
}

/* Become the one thread that fires timers. False if this thread is it already. */
static bool fire_begin(struct machine_clock *clock)
{
    while (clock->busy) {
        if (pthread_equal(clock->firing_thread, pthread_self())) {
            return false;
        }
        pthread_cond_wait(&clock->idle, &clock->lock);
    }
    clock->busy = true;
    clock->firing_thread = pthread_self();
    return true;
}

static void fire_end(struct machine_clock *clock)
{
    clock->busy = false;
    pthread_cond_broadcast(&clock->idle);
}

static void wakeup_event(evutil_socket_t fd, short what, void *opaque)
{
    struct machine_clock *clock = opaque;
    uint64_t expirations;

    pthread_mutex_lock(&clock->lock);
    if (read(clock->timer_fd, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN) {
        g_warn_if_reached();
    }
    clock->programmed = NOT_ARMED;
    if ((clock->running || clock->manual) && fire_begin(clock)) {
        /* As many as there are now; what callbacks arm for a time that has passed waits for the
         * next turn of the loop, so that other events have theirs. */
        uint64_t now = machine_clock_now(clock);
        unsigned left = clock->heap->len;

        while (left-- && (clock->running || clock->manual) && is_due(clock, now)) {
            if (!fire_earliest(clock)) {
                break;
            }
        }
        fire_end(clock);
    }
    program_wakeup(clock);
    pthread_mutex_unlock(&clock->lock);
}

struct machine_clock *machine_clock_new(struct event_base *base, GError **error)
{
    struct machine_clock *clock = g_new0(struct machine_clock, 1);

    pthread_mutex_init(&clock->lock, NULL);
    pthread_cond_init(&clock->idle, NULL);
    clock->heap = g_ptr_array_new();
    clock->programmed = NOT_ARMED;
    clock->timer_fd = -1;
    if (!base) {
        return clock;
    }
    clock->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (clock->timer_fd < 0) {
        duodm_fail(error, DUODM_ERROR_IO, "cannot create the machine's timer: timerfd_create: %s",
                   g_strerror(errno));
        machine_clock_free(clock);
        return NULL;
    }
    clock->event = event_new(base, clock->timer_fd, EV_READ | EV_PERSIST, wakeup_event, clock);
    if (!clock->event || event_add(clock->event, NULL) < 0) {
        duodm_fail(error, DUODM_ERROR_IO, "cannot add the machine's timer to the main loop");
        machine_clock_free(clock);
        return NULL;
    }
    return clock;
}

void machine_clock_free(struct machine_clock *clock)
{
    if (!clock) {
        return;
    }
    if (clock->event) {
        event_free(clock->event);
    }
    if (clock->timer_fd >= 0) {
        close(clock->timer_fd);
    }
    g_ptr_array_free(clock->heap, TRUE);
    pthread_cond_destroy(&clock->idle);
    pthread_mutex_destroy(&clock->lock);
    g_free(clock);
}

void machine_clock_start(struct machine_clock *clock)
{
    pthread_mutex_lock(&clock->lock);
    if (!clock->manual && !clock->running) {
        time_write_begin(clock);
        __atomic_store_n(&clock->offset, host_now() - clock->frozen, __ATOMIC_RELEASE);
        __atomic_store_n(&clock->running, true, __ATOMIC_RELEASE);
        time_write_end(clock);
        program_wakeup(clock);
    }
    pthread_mutex_unlock(&clock->lock);
}

void machine_clock_stop(struct machine_clock *clock)
{
    pthread_mutex_lock(&clock->lock);
    if (clock->running) {
        /* Read the host's clock after readers were turned away: none has seen a later time. */
        time_write_begin(clock);
        __atomic_store_n(&clock->running, false, __ATOMIC_SEQ_CST);
        __atomic_store_n(&clock->frozen, host_now() - clock->offset, __ATOMIC_RELEASE);
        time_write_end(clock);
        cancel_wakeup(clock);
    }
    pthread_mutex_unlock(&clock->lock);
}

void machine_clock_set(struct machine_clock *clock, uint64_t now_ns)
{
    pthread_mutex_lock(&clock->lock);
    assert(!clock->running);
    time_set_frozen(clock, now_ns);
    cancel_wakeup(clock);
    pthread_mutex_unlock(&clock->lock);
}

void machine_clock_set_manual(struct machine_clock *clock)
{
    pthread_mutex_lock(&clock->lock);
    if (clock->running) {
        time_set_frozen(clock, host_now() - clock->offset);
    }
    cancel_wakeup(clock);
    clock->manual = true;
    program_wakeup(clock);
    pthread_mutex_unlock(&clock->lock);
}

void machine_clock_advance(struct machine_clock *clock, uint64_t to_ns)
{
    pthread_mutex_lock(&clock->lock);
    if (clock->manual && fire_begin(clock)) {
        while (is_due(clock, to_ns)) {
            if (heap_earliest(clock) > clock->frozen) {
                time_set_frozen(clock, heap_earliest(clock));
            }
            if (!fire_earliest(clock)) {
                break;
            }
        }
        if (to_ns > clock->frozen) {
            time_set_frozen(clock, to_ns);
        }
        fire_end(clock);
        program_wakeup(clock);
    }
    pthread_mutex_unlock(&clock->lock);
}

uint64_t machine_clock_next_deadline(struct machine_clock *clock)
{
    uint64_t earliest;

    pthread_mutex_lock(&clock->lock);
    earliest = heap_earliest(clock);
    pthread_mutex_unlock(&clock->lock);
    return earliest;
}

void clock_timer_init(struct clock_timer *timer, struct machine_clock *clock,
                      void (*callback)(void *opaque), void *opaque, struct access_guard *guard)
{
    *timer = (struct clock_timer){
        .clock = clock,
        .callback = callback,
        .opaque = opaque,
        .guard = guard,
        .deadline = NOT_ARMED,
    };
}

/* Take a timer out of the heap, and tell a thread that is about to fire it. Under the lock. */
static void timer_dequeue(struct clock_timer *timer)
{
    if (timer->queued) {
        heap_remove(timer->clock, timer);
    }
    if (timer->clock->active == timer) {
        timer->clock->cancelled = true;
    }
    __atomic_store_n(&timer->deadline, NOT_ARMED, __ATOMIC_RELAXED);
}

void clock_timer_disarm(struct clock_timer *timer)
{
    if (!timer->clock) {
        return;
    }
    pthread_mutex_lock(&timer->clock->lock);
    timer_dequeue(timer);
    pthread_mutex_unlock(&timer->clock->lock);
}

void clock_timer_arm(struct clock_timer *timer, uint64_t deadline_ns)
{
    struct machine_clock *clock = timer->clock;

    pthread_mutex_lock(&clock->lock);
    timer_dequeue(timer);
    if (deadline_ns != NOT_ARMED) {
        __atomic_store_n(&timer->deadline, deadline_ns, __ATOMIC_RELAXED);
        timer->queued = true;
        g_ptr_array_add(clock->heap, timer);
        heap_sift_up(clock, clock->heap->len - 1);
        program_wakeup(clock);
    }
    pthread_mutex_unlock(&clock->lock);
}

void clock_timer_destroy(struct clock_timer *timer)
{
    struct machine_clock *clock = timer->clock;

    if (!clock) {
        return;
    }
    pthread_mutex_lock(&clock->lock);
    timer_dequeue(timer);
    /* Wait for a callback that another thread runs. If we are inside the timer's guard, it does
     * not run: that thread waits for the guard, and will see that the timer was cancelled. */
    while (clock->active == timer && !pthread_equal(clock->firing_thread, pthread_self()) &&
           !(timer->guard && access_guard_is_held(timer->guard))) {
        pthread_cond_wait(&clock->idle, &clock->lock);
    }
    pthread_mutex_unlock(&clock->lock);
    timer->clock = NULL;
}

bool clock_timer_is_armed(const struct clock_timer *timer)
{
    return __atomic_load_n(&timer->deadline, __ATOMIC_RELAXED) != NOT_ARMED;
}
