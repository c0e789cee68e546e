/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hot way of the local APIC: from a message to IRR, from IRR to the CPU, and the end of
 * interrupt (SDM vol. 3, 11.8). No lock is taken here but for the LINT pins.
 */
#include "dm/intc/i8259.h"
#include "dm/intc/ioapic.h"
#include "dm/intc/local-apic-private.h"
#include "util/trace.h"

#define CLASS(priority) ((priority)&0xf0u)
#define FIRST_LEGAL     16 /* vectors below are illegal */

static unsigned word_of(unsigned vector)
{
    return vector / 32;
}

static uint32_t bit_of(unsigned vector)
{
    return 1u << (vector % 32);
}

static unsigned top_bit(uint32_t bits)
{
    return 31u - (unsigned)__builtin_clz(bits);
}

int apic_highest_bit(const uint32_t bits[8])
{
    for (int word = 7; word >= 0; word--) {
        uint32_t value = __atomic_load_n(&bits[word], __ATOMIC_RELAXED);

        if (value) {
            return word * 32 + (int)top_bit(value);
        }
    }
    return -1;
}

/*
 * The highest bit of IRR, by the hint in `pending`. Who sets a bit sets it before its hint; here
 * the hint is cleared before the word is looked at again, so that none is lost.
 */
static int highest_request(struct local_apic *apic)
{
    for (;;) {
        uint32_t hint = __atomic_load_n(&apic->pending, __ATOMIC_ACQUIRE) & PENDING_IRR;
        uint32_t value;
        unsigned word;

        if (!hint) {
            return -1;
        }
        word = top_bit(hint);
        value = __atomic_load_n(&apic->irr[word], __ATOMIC_ACQUIRE);
        if (value) {
            return (int)(word * 32 + top_bit(value));
        }
        __atomic_fetch_and(&apic->pending, ~(1u << word), __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&apic->irr[word], __ATOMIC_SEQ_CST)) {
            __atomic_fetch_or(&apic->pending, 1u << word, __ATOMIC_SEQ_CST);
        }
    }
}

void apic_record_error(struct local_apic *apic, uint32_t error)
{
    /* The error interrupt is triggered once until a write of the ESR re-arms it. */
    if (!__atomic_fetch_or(&apic->errors, error, __ATOMIC_RELAXED)) {
        apic_fire_lvt(apic, LVT_ERROR);
    }
}

bool apic_accept_fixed(struct local_apic *apic, uint8_t vector, bool level)
{
    unsigned word = word_of(vector);

    if (!apic_is_enabled(apic) || !apic_is_software_enabled(apic)) {
        return false;
    }
    if (vector < FIRST_LEGAL) {
        apic_record_error(apic, ESR_RECEIVE_ILLEGAL);
        return false;
    }
    if (level) {
        __atomic_fetch_or(&apic->tmr[word], bit_of(vector), __ATOMIC_RELAXED);
    } else if (__atomic_load_n(&apic->tmr[word], __ATOMIC_RELAXED) & bit_of(vector)) {
        __atomic_fetch_and(&apic->tmr[word], ~bit_of(vector), __ATOMIC_RELAXED);
    }
    __atomic_fetch_or(&apic->irr[word], bit_of(vector), __ATOMIC_SEQ_CST);
    __atomic_fetch_or(&apic->pending, 1u << word, __ATOMIC_SEQ_CST);
    vcpu_signal(apic->vcpu, VCPU_SIGNAL_INTERRUPT);
    return true;
}

void apic_accept_extint(struct local_apic *apic)
{
    __atomic_fetch_or(&apic->pending, PENDING_EXTINT_MESSAGE, __ATOMIC_SEQ_CST);
    vcpu_signal(apic->vcpu, VCPU_SIGNAL_INTERRUPT);
}

void apic_fire_lvt(struct local_apic *apic, enum apic_lvt number)
{
    uint32_t entry = apic_lvt(apic, number);
    enum apic_delivery delivery = (enum apic_delivery)((entry & LVT_DELIVERY) >> 8);

    if (entry & LVT_MASKED) {
        return;
    }
    trace_apic_accept(apic->vcpu->index, (unsigned)delivery, entry & LVT_VECTOR);
    switch (delivery) {
    case APIC_FIXED:
        apic_accept_fixed(apic, entry & LVT_VECTOR, false);
        break;
    case APIC_SMI:
        vcpu_signal(apic->vcpu, VCPU_SIGNAL_SMI);
        break;
    case APIC_NMI:
        vcpu_signal(apic->vcpu, VCPU_SIGNAL_NMI);
        break;
    case APIC_INIT:
        vcpu_signal(apic->vcpu, VCPU_SIGNAL_INIT);
        break;
    default: /* ExtINT is a level, see apic_update_lint; others are reserved */
        break;
    }
}

/* 11.8.3.1: the higher of TPR and the class in service. */
void apic_update_ppr(struct local_apic *apic)
{
    int in_service = apic_highest_bit(apic->isr);
    uint32_t isrv = in_service < 0 ? 0 : (uint32_t)in_service;
    uint32_t ppr = CLASS(apic->tpr) >= CLASS(isrv) ? apic->tpr : CLASS(isrv);

    __atomic_store_n(&apic->ppr, ppr, __ATOMIC_RELAXED);
}

/* 11.6.2.4 of the arbitration priority register. */
uint32_t apic_arbitration_priority(const struct local_apic *apic)
{
    int request = apic_highest_bit(apic->irr), in_service = apic_highest_bit(apic->isr);
    uint32_t irrv = request < 0 ? 0 : CLASS((uint32_t)request);
    uint32_t isrv = in_service < 0 ? 0 : CLASS((uint32_t)in_service);
    uint32_t tpr = __atomic_load_n(&apic->tpr, __ATOMIC_RELAXED);

    if (CLASS(tpr) >= irrv && CLASS(tpr) > isrv) {
        return tpr;
    }
    return MAX(CLASS(tpr) & isrv, irrv);
}

bool local_apic_has_interrupt(struct local_apic *apic)
{
    uint32_t pending = __atomic_load_n(&apic->pending, __ATOMIC_ACQUIRE);
    int request;

    if (!pending) {
        return false;
    }
    if (pending & ~PENDING_IRR) {
        return true;
    }
    request = highest_request(apic);
    return request >= 0 && CLASS((uint32_t)request) > CLASS(apic->ppr);
}

int local_apic_acknowledge(struct local_apic *apic)
{
    uint32_t pending = __atomic_load_n(&apic->pending, __ATOMIC_ACQUIRE);
    struct i8259_pair *pic = apic->machine->pic;
    int request;

    if (pending & ~PENDING_IRR) {
        __atomic_fetch_and(&apic->pending, ~PENDING_EXTINT_MESSAGE, __ATOMIC_SEQ_CST);
        if (pic) {
            return i8259_acknowledge(pic);
        }
    }
    request = highest_request(apic);
    if (request < 0 || CLASS((uint32_t)request) <= CLASS(apic->ppr)) {
        return -1;
    }
    __atomic_fetch_and(&apic->irr[word_of((unsigned)request)], ~bit_of((unsigned)request),
                       __ATOMIC_SEQ_CST);
    __atomic_store_n(&apic->isr[word_of((unsigned)request)],
                     apic->isr[word_of((unsigned)request)] | bit_of((unsigned)request),
                     __ATOMIC_RELAXED);
    apic_update_ppr(apic);
    return request;
}

/* What was held back may be deliverable now. */
static void signal_if_deliverable(struct local_apic *apic)
{
    if (local_apic_has_interrupt(apic)) {
        vcpu_signal(apic->vcpu, VCPU_SIGNAL_INTERRUPT);
    }
}

void apic_set_tpr(struct local_apic *apic, uint32_t tpr)
{
    __atomic_store_n(&apic->tpr, tpr, __ATOMIC_RELAXED);
    apic_update_ppr(apic);
    signal_if_deliverable(apic);
}

unsigned local_apic_get_cr8(struct local_apic *apic)
{
    return apic->tpr >> 4;
}

void local_apic_set_cr8(struct local_apic *apic, unsigned cr8)
{
    apic_set_tpr(apic, (cr8 & 0xf) << 4);
}

/* LINT0 as a level-triggered fixed interrupt: its Remote IRR ends with the EOI. */
static void end_of_lint(struct local_apic *apic, uint8_t vector)
{
    uint32_t entry;

    pthread_mutex_lock(&apic->lock);
    entry = apic_lvt(apic, LVT_LINT0);
    if ((entry & LVT_REMOTE_IRR) && (entry & LVT_VECTOR) == vector) {
        __atomic_store_n(&apic->lvt[LVT_LINT0], entry & ~LVT_REMOTE_IRR, __ATOMIC_RELAXED);
        apic_update_lint(apic);
    }
    pthread_mutex_unlock(&apic->lock);
}

void apic_end_of_interrupt(struct local_apic *apic)
{
    int vector = apic_highest_bit(apic->isr);
    unsigned word;
    bool level;

    if (vector < 0) {
        return;
    }
    word = word_of((unsigned)vector);
    __atomic_store_n(&apic->isr[word], apic->isr[word] & ~bit_of((unsigned)vector),
                     __ATOMIC_RELAXED);
    apic_update_ppr(apic);
    level = __atomic_load_n(&apic->tmr[word], __ATOMIC_RELAXED) & bit_of((unsigned)vector);
    if (level) {
        end_of_lint(apic, (uint8_t)vector);
        if (!(apic->svr & SVR_SUPPRESS_EOI) && apic->machine->ioapic) {
            ioapic_eoi(apic->machine->ioapic, (uint8_t)vector);
        }
    }
    signal_if_deliverable(apic);
}

static void set_extint_line(struct local_apic *apic, bool level)
{
    if (!level) {
        __atomic_fetch_and(&apic->pending, ~PENDING_EXTINT_LINE, __ATOMIC_SEQ_CST);
    } else if (!(__atomic_fetch_or(&apic->pending, PENDING_EXTINT_LINE, __ATOMIC_SEQ_CST) &
                 PENDING_EXTINT_LINE)) {
        vcpu_signal(apic->vcpu, VCPU_SIGNAL_INTERRUPT);
    }
}

static enum apic_delivery lvt_delivery(uint32_t entry)
{
    return (enum apic_delivery)((entry & LVT_DELIVERY) >> 8);
}

/* What depends on the level of LINT0: ExtINT, and a level-triggered fixed interrupt. */
void apic_update_lint(struct local_apic *apic)
{
    uint32_t entry = apic_lvt(apic, LVT_LINT0);
    bool masked = entry & LVT_MASKED;

    if (!apic_is_enabled(apic)) {
        set_extint_line(apic, apic->lint[0]); /* the pins are INTR and NMI then (11.4.3) */
        return;
    }
    set_extint_line(apic, apic->lint[0] && !masked && lvt_delivery(entry) == APIC_EXTINT);
    if (apic->lint[0] && !masked && lvt_delivery(entry) == APIC_FIXED && (entry & LVT_LEVEL) &&
        !(entry & LVT_REMOTE_IRR) && apic_accept_fixed(apic, entry & LVT_VECTOR, true)) {
        __atomic_store_n(&apic->lvt[LVT_LINT0], entry | LVT_REMOTE_IRR, __ATOMIC_RELAXED);
    }
}

void local_apic_set_lint(struct local_apic *apic, unsigned pin, bool level)
{
    bool rising;

    if (pin > 1) {
        return;
    }
    pthread_mutex_lock(&apic->lock);
    rising = level && !apic->lint[pin];
    apic->lint[pin] = level;
    apic_update_lint(apic);
    if (rising && !apic_is_enabled(apic)) {
        if (pin == 1) {
            vcpu_signal(apic->vcpu, VCPU_SIGNAL_NMI);
        }
    } else if (rising) {
        uint32_t entry = apic_lvt(apic, pin ? LVT_LINT1 : LVT_LINT0);

        /* LINT1 is always edge-triggered (11.5.1, trigger mode). */
        if (pin || lvt_delivery(entry) != APIC_FIXED || !(entry & LVT_LEVEL)) {
            apic_fire_lvt(apic, pin ? LVT_LINT1 : LVT_LINT0);
        }
    }
    pthread_mutex_unlock(&apic->lock);
}
