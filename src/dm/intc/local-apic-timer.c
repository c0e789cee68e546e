/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The timer of the local APIC (SDM vol. 3, 11.5.4). All of its state is one instant: `expiry`,
 * when the count gets to zero. The count is what is left until then, so it never drifts from the
 * interrupts. All functions but apic_timer_fired run under apic->lock.
 */
#include "dm/intc/local-apic-private.h"

/* A periodic timer does not wake the host more often than this, ns; its count stays exact. */
#define SHORTEST_WAKEUP 10000u

enum timer_mode { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE, TIMER_RESERVED };

static enum timer_mode timer_mode(const struct local_apic *apic)
{
    return (enum timer_mode)((apic_lvt(apic, LVT_TIMER) & LVT_TIMER_MODE) >> 17);
}

/* Figure 11-10: bits 3, 1 and 0 are the power of two, less one; 111b divides by 1. The bus clock
 * has one tick per ns. */
static unsigned tick_ns(uint32_t divide)
{
    unsigned code = (divide & 3) | (divide >> 1 & 4);

    return 1u << ((code + 1) % 8);
}

/* Deliver an expiry that has come, and find the next one. */
static void expire(struct local_apic *apic, uint64_t now)
{
    uint64_t period = (uint64_t)apic->initial_count * tick_ns(apic->divide);

    if (now < apic->expiry || apic->expiry == APIC_NEVER) {
        return;
    }
    if (timer_mode(apic) == TIMER_PERIODIC && period) {
        apic->expiry += (now - apic->expiry) / period * period + period;
    } else {
        apic->expiry = APIC_NEVER;
        apic->tsc_deadline = 0;
    }
    apic_fire_lvt(apic, LVT_TIMER);
}

static void arm(struct local_apic *apic, uint64_t now)
{
    uint64_t period = (uint64_t)apic->initial_count * tick_ns(apic->divide);
    uint64_t wakeup = apic->expiry;

    if (wakeup == APIC_NEVER || (apic_lvt(apic, LVT_TIMER) & LVT_MASKED)) {
        clock_timer_disarm(&apic->timer);
        return;
    }
    if (timer_mode(apic) == TIMER_PERIODIC && period < SHORTEST_WAKEUP) {
        wakeup = MAX(wakeup, now + SHORTEST_WAKEUP);
    }
    clock_timer_arm(&apic->timer, wakeup);
}

void apic_timer_update(struct local_apic *apic)
{
    uint64_t now = machine_clock_now(apic->machine->clock);

    expire(apic, now);
    arm(apic, now);
}

void apic_timer_fired(void *opaque)
{
    struct local_apic *apic = opaque;

    pthread_mutex_lock(&apic->lock);
    apic_timer_update(apic);
    pthread_mutex_unlock(&apic->lock);
}

/* Counts left until the expiry, which lies ahead. */
static uint64_t counts_left(const struct local_apic *apic, uint64_t now)
{
    unsigned tick = tick_ns(apic->divide);

    if (apic->expiry == APIC_NEVER) {
        return 0;
    }
    return (apic->expiry - now + tick - 1) / tick;
}

uint32_t apic_timer_count(struct local_apic *apic)
{
    uint64_t now = machine_clock_now(apic->machine->clock);

    if (timer_mode(apic) == TIMER_TSC_DEADLINE) {
        return 0;
    }
    expire(apic, now);
    arm(apic, now);
    return (uint32_t)counts_left(apic, now);
}

void apic_timer_set_initial_count(struct local_apic *apic, uint32_t value)
{
    uint64_t now = machine_clock_now(apic->machine->clock);

    if (timer_mode(apic) == TIMER_TSC_DEADLINE) {
        return; /* ignored in this mode (11.5.4.1) */
    }
    expire(apic, now);
    apic->initial_count = value;
    apic->expiry = value ? now + (uint64_t)value * tick_ns(apic->divide) : APIC_NEVER;
    arm(apic, now);
}

/* The count goes on from where it is, at another rate. */
void apic_timer_set_divide(struct local_apic *apic, uint32_t value)
{
    uint64_t now = machine_clock_now(apic->machine->clock), left;

    expire(apic, now);
    if (timer_mode(apic) == TIMER_TSC_DEADLINE || apic->expiry == APIC_NEVER) {
        apic->divide = value;
        return;
    }
    left = counts_left(apic, now);
    apic->divide = value;
    apic->expiry = now + left * tick_ns(value);
    arm(apic, now);
}

/* A change between TSC-deadline mode and another disarms the timer; between the others it counts
 * on. */
void apic_timer_set_lvt(struct local_apic *apic, uint32_t value)
{
    uint64_t now = machine_clock_now(apic->machine->clock);
    enum timer_mode old_mode = timer_mode(apic), mode;

    expire(apic, now);
    __atomic_store_n(&apic->lvt[LVT_TIMER], value, __ATOMIC_RELAXED);
    mode = timer_mode(apic);
    if (mode == TIMER_RESERVED ||
        (mode != old_mode && (mode == TIMER_TSC_DEADLINE || old_mode == TIMER_TSC_DEADLINE))) {
        apic->expiry = APIC_NEVER;
        apic->tsc_deadline = 0;
    }
    arm(apic, now);
}

/* The instant of the deadline on the machine's clock. */
static void find_deadline(struct local_apic *apic, uint64_t now)
{
    uint64_t tsc = now + (uint64_t)apic->tsc_offset;

    if (!apic->tsc_deadline) {
        apic->expiry = APIC_NEVER;
    } else if (apic->tsc_deadline <= tsc) {
        apic->expiry = now;
    } else if (apic->tsc_deadline - tsc >= APIC_NEVER - now) {
        apic->expiry = APIC_NEVER - 1;
    } else {
        apic->expiry = now + (apic->tsc_deadline - tsc);
    }
}

uint64_t apic_timer_read_deadline(struct local_apic *apic)
{
    apic_timer_update(apic);
    return timer_mode(apic) == TIMER_TSC_DEADLINE ? apic->tsc_deadline : 0;
}

void apic_timer_write_deadline(struct local_apic *apic, uint64_t value)
{
    uint64_t now = machine_clock_now(apic->machine->clock);

    if (timer_mode(apic) != TIMER_TSC_DEADLINE) {
        return; /* ignored in other modes (11.5.4.1) */
    }
    expire(apic, now);
    apic->tsc_deadline = value;
    find_deadline(apic, now);
    expire(apic, now);
    arm(apic, now);
}

void apic_timer_set_offset(struct local_apic *apic, int64_t offset)
{
    uint64_t now = machine_clock_now(apic->machine->clock);

    apic->tsc_offset = offset;
    if (timer_mode(apic) == TIMER_TSC_DEADLINE) {
        find_deadline(apic, now);
        expire(apic, now);
        arm(apic, now);
    }
}

void apic_timer_reset(struct local_apic *apic)
{
    apic->initial_count = 0;
    apic->divide = 0;
    apic->expiry = APIC_NEVER;
    apic->tsc_deadline = 0;
    clock_timer_disarm(&apic->timer);
}
