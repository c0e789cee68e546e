/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Local APIC: its life, its registers, and the register page of xAPIC mode (SDM vol. 3, 11.4). */
#include "dm/intc/local-apic-private.h"
#include "util/trace.h"

/* Version 14h, six entries in the LVT, EOI broadcast can be suppressed (11.4.8). */
#define VERSION_VALUE (0x14u | (LVT_COUNT - 1u) << 16 | 1u << 24)

#define DFR_WRITABLE          0xf0000000u
#define DFR_ONES              0x0fffffffu
#define LDR_WRITABLE          0xff000000u
#define SVR_WRITABLE          (SVR_VECTOR | SVR_ENABLE | SVR_FOCUS | SVR_SUPPRESS_EOI)
#define ICR_WRITABLE          0x000ccfffu /* bit 12, delivery status, is always idle */
#define DIVIDE_MASK           0x0000000bu
#define DEFAULT_PHYSICAL_BITS 40

uint32_t apic_lvt_writable(enum apic_lvt number)
{
    switch (number) {
    case LVT_TIMER:
        return LVT_VECTOR | LVT_MASKED | LVT_TIMER_MODE;
    case LVT_LINT0:
    case LVT_LINT1:
        return LVT_VECTOR | LVT_DELIVERY | LVT_POLARITY | LVT_LEVEL | LVT_MASKED;
    case LVT_ERROR:
        return LVT_VECTOR | LVT_MASKED;
    default:
        return LVT_VECTOR | LVT_DELIVERY | LVT_MASKED;
    }
}

uint32_t apic_id(const struct local_apic *apic)
{
    return apic_is_x2apic(apic) ? apic->vcpu->apic_id
                                : __atomic_load_n(&apic->id, __ATOMIC_RELAXED);
}

/* In x2APIC mode: cluster in bits 31:16, one of 16 bits below (11.12.10.2). */
uint32_t apic_logical_id(const struct local_apic *apic)
{
    uint32_t id = apic->vcpu->apic_id;

    if (!apic_is_x2apic(apic)) {
        return __atomic_load_n(&apic->ldr, __ATOMIC_RELAXED);
    }
    return (id >> 4) << 16 | 1u << (id & 0xf);
}

uint32_t apic_register_read(struct local_apic *apic, unsigned index)
{
    uint32_t value = 0;

    switch (index) {
    case APIC_ID:
        return apic_is_x2apic(apic) ? apic_id(apic) : apic_id(apic) << 24;
    case APIC_VERSION:
        return VERSION_VALUE;
    case APIC_TPR:
        return apic->tpr;
    case APIC_APR:
        return apic_arbitration_priority(apic);
    case APIC_PPR:
        return apic->ppr;
    case APIC_LDR:
        return apic_logical_id(apic);
    case APIC_DFR:
        return apic->dfr | DFR_ONES;
    case APIC_SVR:
        return apic->svr;
    case APIC_ISR ... APIC_ISR + 7:
        return apic->isr[index - APIC_ISR];
    case APIC_TMR ... APIC_TMR + 7:
        return __atomic_load_n(&apic->tmr[index - APIC_TMR], __ATOMIC_RELAXED);
    case APIC_IRR ... APIC_IRR + 7:
        return __atomic_load_n(&apic->irr[index - APIC_IRR], __ATOMIC_RELAXED);
    case APIC_ESR:
        return apic->esr;
    case APIC_ICR_LOW:
        return apic->icr_low;
    case APIC_ICR_HIGH:
        return apic->icr_high;
    case APIC_LVT ... APIC_LVT + LVT_COUNT - 1:
        return apic_lvt(apic, (enum apic_lvt)(index - APIC_LVT));
    case APIC_INITIAL_COUNT:
        return apic->initial_count;
    case APIC_CURRENT_COUNT:
        pthread_mutex_lock(&apic->lock);
        value = apic_timer_count(apic);
        pthread_mutex_unlock(&apic->lock);
        return value;
    case APIC_DIVIDE:
        return apic->divide;
    }
    return value;
}

/* Entries are masked, and stay so, while the APIC is disabled by software (11.4.7.2). */
static void write_lvt(struct local_apic *apic, enum apic_lvt number, uint32_t value)
{
    pthread_mutex_lock(&apic->lock);
    value &= apic_lvt_writable(number);
    if (!apic_is_software_enabled(apic)) {
        value |= LVT_MASKED;
    }
    if (number == LVT_TIMER) {
        apic_timer_set_lvt(apic, value);
    } else {
        if (number == LVT_LINT0 && (value & LVT_LEVEL)) {
            value |= apic->lvt[number] & LVT_REMOTE_IRR;
        }
        __atomic_store_n(&apic->lvt[number], value, __ATOMIC_RELAXED);
        apic_update_lint(apic);
    }
    pthread_mutex_unlock(&apic->lock);
}

static void write_svr(struct local_apic *apic, uint32_t value)
{
    __atomic_store_n(&apic->svr, value & SVR_WRITABLE, __ATOMIC_SEQ_CST);
    if (!(value & SVR_ENABLE)) {
        for (unsigned i = 0; i < LVT_COUNT; i++) {
            write_lvt(apic, (enum apic_lvt)i, apic_lvt(apic, (enum apic_lvt)i) | LVT_MASKED);
        }
    }
}

static void write_timer(struct local_apic *apic, unsigned index, uint32_t value)
{
    pthread_mutex_lock(&apic->lock);
    if (index == APIC_DIVIDE) {
        apic_timer_set_divide(apic, value & DIVIDE_MASK);
    } else {
        apic_timer_set_initial_count(apic, value);
    }
    pthread_mutex_unlock(&apic->lock);
}

void apic_register_write(struct local_apic *apic, unsigned index, uint32_t value)
{
    switch (index) {
    case APIC_ID:
        __atomic_store_n(&apic->id, value >> 24, __ATOMIC_RELAXED);
        break;
    case APIC_TPR:
        apic_set_tpr(apic, value & 0xff);
        break;
    case APIC_EOI:
        apic_end_of_interrupt(apic);
        break;
    case APIC_LDR:
        __atomic_store_n(&apic->ldr, value & LDR_WRITABLE, __ATOMIC_RELAXED);
        break;
    case APIC_DFR:
        __atomic_store_n(&apic->dfr, value & DFR_WRITABLE, __ATOMIC_RELAXED);
        break;
    case APIC_SVR:
        write_svr(apic, value);
        break;
    case APIC_ESR: /* a write shows what happened since the last one (11.5.3) */
        apic->esr = __atomic_exchange_n(&apic->errors, 0, __ATOMIC_RELAXED);
        break;
    case APIC_ICR_LOW:
        apic->icr_low = value & ICR_WRITABLE;
        apic_send_ipi(apic, apic->icr_low, apic->icr_high >> 24);
        break;
    case APIC_ICR_HIGH:
        apic->icr_high = value & 0xff000000u;
        break;
    case APIC_LVT ... APIC_LVT + LVT_COUNT - 1:
        write_lvt(apic, (enum apic_lvt)(index - APIC_LVT), value);
        break;
    case APIC_INITIAL_COUNT:
    case APIC_DIVIDE:
        write_timer(apic, index, value);
        break;
    }
}

/* Is there a register at this index in xAPIC mode? */
static bool is_register(unsigned index)
{
    switch (index) {
    case APIC_ID:
    case APIC_VERSION:
    case APIC_TPR ... APIC_IRR + 7:
    case APIC_ESR:
    case APIC_ICR_LOW ... APIC_CURRENT_COUNT:
    case APIC_DIVIDE:
        return true;
    }
    return false;
}

uint64_t local_apic_read(struct local_apic *apic, unsigned offset, unsigned size)
{
    unsigned index = (offset & 0xfff) / 16, byte = offset % 16;

    if (!is_register(index)) {
        apic_record_error(apic, ESR_ILLEGAL_REGISTER);
        return 0;
    }
    if (byte >= 4) {
        return 0;
    }
    return apic_register_read(apic, index) >> (8 * byte);
}

void local_apic_write(struct local_apic *apic, unsigned offset, unsigned size, uint64_t value)
{
    unsigned index = (offset & 0xfff) / 16;

    trace_apic_write(apic->vcpu->index, offset, value);
    if (!is_register(index)) {
        apic_record_error(apic, ESR_ILLEGAL_REGISTER);
        return;
    }
    if (size == 4 && offset % 16 == 0) {
        apic_register_write(apic, index, (uint32_t)value);
    }
}

uint64_t local_apic_base(const struct local_apic *apic)
{
    if (!apic_is_enabled(apic) || apic_is_x2apic(apic)) {
        return UINT64_MAX;
    }
    return apic->base & APIC_BASE_ADDRESS;
}

bool local_apic_is_enabled(const struct local_apic *apic)
{
    return apic_is_enabled(apic);
}

/* 11.4.7.1: the state after power-up. The levels of the LINT pins are their drivers'. */
void apic_reset_registers(struct local_apic *apic)
{
    pthread_mutex_lock(&apic->lock);
    __atomic_store_n(&apic->svr, SVR_VECTOR, __ATOMIC_SEQ_CST);
    apic_timer_reset(apic);
    __atomic_store_n(&apic->ldr, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&apic->dfr, DFR_WRITABLE, __ATOMIC_RELAXED);
    __atomic_store_n(&apic->tpr, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&apic->ppr, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&apic->pending, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&apic->errors, 0, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < 8; i++) {
        __atomic_store_n(&apic->isr[i], 0, __ATOMIC_RELAXED);
        __atomic_store_n(&apic->tmr[i], 0, __ATOMIC_RELAXED);
        __atomic_store_n(&apic->irr[i], 0, __ATOMIC_SEQ_CST);
    }
    for (unsigned i = 0; i < LVT_COUNT; i++) {
        __atomic_store_n(&apic->lvt[i], LVT_MASKED, __ATOMIC_RELAXED);
    }
    apic->esr = 0;
    apic->icr_low = 0;
    apic->icr_high = 0;
    apic_update_lint(apic);
    pthread_mutex_unlock(&apic->lock);
}

void local_apic_reset(struct local_apic *apic, bool init_only)
{
    /* INIT keeps the ID and the mode (11.4.7.3, 11.12.5.1). */
    if (!init_only) {
        uint64_t base = APIC_DEFAULT_BASE | APIC_BASE_ENABLE;

        if (apic->vcpu->index == 0) {
            base |= APIC_BASE_BSP;
        }
        __atomic_store_n(&apic->base, base, __ATOMIC_RELAXED);
        __atomic_store_n(&apic->id, apic->vcpu->apic_id & 0xff, __ATOMIC_RELAXED);
    }
    apic_reset_registers(apic);
}

struct local_apic *local_apic_new(struct machine *machine, struct vcpu *vcpu)
{
    struct local_apic *apic = g_new0(struct local_apic, 1);

    apic->machine = machine;
    apic->vcpu = vcpu;
    apic->physical_bits = DEFAULT_PHYSICAL_BITS;
    pthread_mutex_init(&apic->lock, NULL);
    clock_timer_init(&apic->timer, machine->clock, apic_timer_fired, apic, NULL);
    local_apic_reset(apic, false);
    return apic;
}

void local_apic_free(struct local_apic *apic)
{
    if (!apic) {
        return;
    }
    clock_timer_destroy(&apic->timer);
    pthread_mutex_destroy(&apic->lock);
    g_free(apic);
}

void local_apic_set_physical_bits(struct local_apic *apic, unsigned bits)
{
    apic->physical_bits = bits;
}

void local_apic_set_tsc_offset(struct local_apic *apic, int64_t offset)
{
    pthread_mutex_lock(&apic->lock);
    apic_timer_set_offset(apic, offset);
    pthread_mutex_unlock(&apic->lock);
}

static bool local_apic_after_load(void *object)
{
    struct local_apic *apic = object;

    if (!(apic->base & APIC_BASE_ENABLE) && (apic->base & APIC_BASE_X2APIC)) {
        return false;
    }
    if ((apic->svr & ~SVR_WRITABLE) || apic->tpr > 0xff || (apic->divide & ~DIVIDE_MASK)) {
        return false;
    }
    for (unsigned i = 0; i < LVT_COUNT; i++) {
        uint32_t readable = apic_lvt_writable((enum apic_lvt)i) | LVT_REMOTE_IRR;

        if (apic->lvt[i] & ~readable) {
            return false;
        }
    }
    if (apic->isr[0] & 0xffff || apic->irr[0] & 0xffff) {
        return false; /* vectors below 16 are never accepted */
    }
    apic->pending |= PENDING_IRR;
    apic_update_ppr(apic);
    pthread_mutex_lock(&apic->lock);
    apic_update_lint(apic);
    apic_timer_update(apic);
    pthread_mutex_unlock(&apic->lock);
    return true;
}

static const struct state_field local_apic_fields[] = {
    STATE(UINT64, local_apic, base, 1),
    STATE(UINT32, local_apic, id, 1),
    STATE(UINT32, local_apic, ldr, 1),
    STATE(UINT32, local_apic, dfr, 1),
    STATE(UINT32, local_apic, svr, 1),
    STATE(UINT32, local_apic, tpr, 1),
    STATE_ARRAY(UINT32, local_apic, isr, 8, 1),
    STATE_ARRAY(UINT32, local_apic, tmr, 8, 1),
    STATE_ARRAY(UINT32, local_apic, irr, 8, 1),
    STATE(UINT32, local_apic, pending, 1),
    STATE(UINT32, local_apic, esr, 1),
    STATE(UINT32, local_apic, errors, 1),
    STATE(UINT32, local_apic, icr_low, 1),
    STATE(UINT32, local_apic, icr_high, 1),
    STATE_ARRAY(UINT32, local_apic, lvt, LVT_COUNT, 1),
    STATE_ARRAY(BOOL, local_apic, lint, 2, 1),
    STATE(UINT32, local_apic, initial_count, 1),
    STATE(UINT32, local_apic, divide, 1),
    STATE(UINT64, local_apic, expiry, 1),
    STATE(UINT64, local_apic, tsc_deadline, 1),
    STATE(INT64, local_apic, tsc_offset, 1),
    STATE_END,
};

const struct state_description local_apic_state = {
    .name = "local-apic",
    .version = 1,
    .fields = local_apic_fields,
    .after_load = local_apic_after_load,
};
