/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside of the local APIC. Who writes what:
 *  - the vCPU's own thread: base, IDs, TPR, PPR, SVR, ISR, ICR, LVT; others read them atomically;
 *  - any thread, by atomic operations: IRR, TMR, `pending`, `errors`;
 *  - under `lock`: the timer, the LINT levels, Remote IRR of LINT0, and changes of the LVT.
 * A message sets IRR and `pending` and signals the vCPU: it takes no lock.
 */
#ifndef DUODM_DM_INTC_LOCAL_APIC_PRIVATE_H
#define DUODM_DM_INTC_LOCAL_APIC_PRIVATE_H

#include "dm/intc/local-apic.h"

#include <pthread.h>

#define MSR_IA32_APIC_BASE    0x1b
#define MSR_IA32_TSC_DEADLINE 0x6e0
#define MSR_X2APIC_FIRST      0x800
#define MSR_X2APIC_LAST       0x8ff

#define APIC_BASE_BSP     (1ull << 8)
#define APIC_BASE_X2APIC  (1ull << 10)
#define APIC_BASE_ENABLE  (1ull << 11)
#define APIC_BASE_ADDRESS 0xfffffffffffff000ull

/* Registers: offset in the page / 16 = x2APIC MSR - 800h (SDM vol. 3, tables 11-1 and 11-6). */
enum apic_register_index {
    APIC_ID = 0x02,
    APIC_VERSION = 0x03,
    APIC_TPR = 0x08,
    APIC_APR = 0x09,
    APIC_PPR = 0x0a,
    APIC_EOI = 0x0b,
    APIC_RRD = 0x0c,
    APIC_LDR = 0x0d,
    APIC_DFR = 0x0e,
    APIC_SVR = 0x0f,
    APIC_ISR = 0x10,
    APIC_TMR = 0x18,
    APIC_IRR = 0x20,
    APIC_ESR = 0x28,
    APIC_ICR_LOW = 0x30,
    APIC_ICR_HIGH = 0x31,
    APIC_LVT = 0x32,
    APIC_INITIAL_COUNT = 0x38,
    APIC_CURRENT_COUNT = 0x39,
    APIC_DIVIDE = 0x3e,
    APIC_SELF_IPI = 0x3f,
    APIC_REGISTER_COUNT = 0x40
};

enum apic_lvt {
    LVT_TIMER,
    LVT_THERMAL,
    LVT_PERFORMANCE,
    LVT_LINT0,
    LVT_LINT1,
    LVT_ERROR,
    LVT_COUNT
};
#define LVT_VECTOR     0x000ffu
#define LVT_DELIVERY   0x00700u
#define LVT_STATUS     0x01000u /* read-only, always idle */
#define LVT_POLARITY   0x02000u
#define LVT_REMOTE_IRR 0x04000u /* read-only */
#define LVT_LEVEL      0x08000u
#define LVT_MASKED     0x10000u
#define LVT_TIMER_MODE 0x60000u

#define SVR_VECTOR       0x00ffu
#define SVR_ENABLE       0x0100u
#define SVR_FOCUS        0x0200u
#define SVR_SUPPRESS_EOI 0x1000u

/* Bits of the ESR (11.5.3). */
#define ESR_SEND_ILLEGAL     0x20u
#define ESR_RECEIVE_ILLEGAL  0x40u
#define ESR_ILLEGAL_REGISTER 0x80u

/* Bits of `pending`: 0..7: this word of IRR may have a bit set. */
#define PENDING_IRR            0x0ffu
#define PENDING_EXTINT_LINE    0x100u /* LINT0 asks, as the 8259's INTR */
#define PENDING_EXTINT_MESSAGE 0x200u

#define APIC_NEVER UINT64_MAX

struct local_apic {
    struct machine *machine;
    struct vcpu *vcpu;
    unsigned physical_bits;
    pthread_mutex_t lock;

    uint64_t base; /* IA32_APIC_BASE */
    uint32_t id;   /* in xAPIC mode, 8 bits; in x2APIC mode it is vcpu->apic_id */
    uint32_t ldr;  /* in xAPIC mode; bits 31:24 */
    uint32_t dfr;  /* bits 31:28 */
    uint32_t svr;
    uint32_t tpr, ppr;
    uint32_t isr[8], tmr[8], irr[8];
    uint32_t pending;
    uint32_t esr;    /* as read */
    uint32_t errors; /* since the last write of ESR */
    uint32_t icr_low, icr_high;
    uint32_t lvt[LVT_COUNT];
    bool lint[2];

    /* Timer. */
    struct clock_timer timer;
    uint32_t initial_count;
    uint32_t divide;       /* divide configuration register */
    uint64_t expiry;       /* time in ns at which the count gets to 0; APIC_NEVER: it doesn't */
    uint64_t tsc_deadline; /* IA32_TSC_DEADLINE */
    int64_t tsc_offset;    /* the guest's TSC minus the machine's clock */
};

static inline bool apic_is_enabled(const struct local_apic *apic)
{
    return __atomic_load_n(&apic->base, __ATOMIC_RELAXED) & APIC_BASE_ENABLE;
}

static inline bool apic_is_x2apic(const struct local_apic *apic)
{
    return __atomic_load_n(&apic->base, __ATOMIC_RELAXED) & APIC_BASE_X2APIC;
}

static inline bool apic_is_software_enabled(const struct local_apic *apic)
{
    return __atomic_load_n(&apic->svr, __ATOMIC_RELAXED) & SVR_ENABLE;
}

static inline uint32_t apic_lvt(const struct local_apic *apic, enum apic_lvt number)
{
    return __atomic_load_n(&apic->lvt[number], __ATOMIC_RELAXED);
}

/* local-apic.c: registers that both modes share. */
uint32_t apic_register_read(struct local_apic *apic, unsigned index);
void apic_register_write(struct local_apic *apic, unsigned index, uint32_t value);
/* What the register of this index can hold in xAPIC mode. */
uint32_t apic_lvt_writable(enum apic_lvt number);
/* The ID, and the logical destination register, in the present mode. */
uint32_t apic_id(const struct local_apic *apic);
uint32_t apic_logical_id(const struct local_apic *apic);
/* After the state of another mode is gone: all registers as after power-up. */
void apic_reset_registers(struct local_apic *apic);

/* local-apic-priority.c */
int apic_highest_bit(const uint32_t bits[8]); /* -1: none */
/* Put a fixed interrupt into IRR. False if it isn't taken. Any thread, no lock. */
bool apic_accept_fixed(struct local_apic *apic, uint8_t vector, bool level);
void apic_accept_extint(struct local_apic *apic);
void apic_record_error(struct local_apic *apic, uint32_t error);
/* A local source fires through its entry of the LVT. */
void apic_fire_lvt(struct local_apic *apic, enum apic_lvt number);
void apic_set_tpr(struct local_apic *apic, uint32_t tpr);
void apic_update_ppr(struct local_apic *apic);
uint32_t apic_arbitration_priority(const struct local_apic *apic);
void apic_end_of_interrupt(struct local_apic *apic);
/* Look at the LINT pins again, after the LVT changed. Under the lock. */
void apic_update_lint(struct local_apic *apic);

/* local-apic-timer.c; all under the lock. */
void apic_timer_fired(void *opaque); /* takes the lock */
/* Deliver what has expired, and arm the timer for what comes next. */
void apic_timer_update(struct local_apic *apic);
uint32_t apic_timer_count(struct local_apic *apic);
void apic_timer_set_initial_count(struct local_apic *apic, uint32_t value);
void apic_timer_set_divide(struct local_apic *apic, uint32_t value);
void apic_timer_set_lvt(struct local_apic *apic, uint32_t value);
uint64_t apic_timer_read_deadline(struct local_apic *apic);
void apic_timer_write_deadline(struct local_apic *apic, uint64_t value);
void apic_timer_set_offset(struct local_apic *apic, int64_t offset);
void apic_timer_reset(struct local_apic *apic);

/* apic-message.c: what a write of the ICR sends. */
void apic_send_ipi(struct local_apic *apic, uint32_t low, uint32_t destination);

#endif
