/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The MSRs of the local APIC: IA32_APIC_BASE with the changes of mode, IA32_TSC_DEADLINE, and the
 * registers in x2APIC mode, with the bits that raise #GP (SDM vol. 3, 11.12).
 */
#include "dm/intc/local-apic-private.h"
#include "util/trace.h"

enum register_access { ACCESS_NONE, ACCESS_READ = 1, ACCESS_WRITE = 2, ACCESS_BOTH = 3 };

#define ICR_RESERVED 0xfff32000u /* bit 12 is ignored, as hardware does */

/* Table 11-6: what may be done with the MSR, and which bits may not be written as 1. */
struct x2apic_register {
    enum register_access access;
    uint32_t reserved;
};

static struct x2apic_register x2apic_register(unsigned index)
{
    switch (index) {
    case APIC_ID:
    case APIC_VERSION:
    case APIC_PPR:
    case APIC_LDR:
    case APIC_ISR ... APIC_IRR + 7:
    case APIC_CURRENT_COUNT:
        return (struct x2apic_register){ACCESS_READ, 0};
    case APIC_TPR:
        return (struct x2apic_register){ACCESS_BOTH, 0xffffff00u};
    case APIC_EOI:
        return (struct x2apic_register){ACCESS_WRITE, 0xffffffffu};
    case APIC_SVR:
        return (struct x2apic_register){ACCESS_BOTH,
                                        ~(SVR_VECTOR | SVR_ENABLE | SVR_FOCUS | SVR_SUPPRESS_EOI)};
    case APIC_ESR:
        return (struct x2apic_register){ACCESS_BOTH, 0xffffffffu};
    case APIC_ICR_LOW:
        return (struct x2apic_register){ACCESS_BOTH, ICR_RESERVED};
    case APIC_LVT ... APIC_LVT + LVT_COUNT - 1: {
        enum apic_lvt number = (enum apic_lvt)(index - APIC_LVT);
        uint32_t read_only = LVT_STATUS;

        if (number == LVT_LINT0 || number == LVT_LINT1) {
            read_only |= LVT_REMOTE_IRR;
        }
        return (struct x2apic_register){ACCESS_BOTH, ~(apic_lvt_writable(number) | read_only)};
    }
    case APIC_INITIAL_COUNT:
        return (struct x2apic_register){ACCESS_BOTH, 0};
    case APIC_DIVIDE:
        return (struct x2apic_register){ACCESS_BOTH, ~0xbu};
    case APIC_SELF_IPI:
        return (struct x2apic_register){ACCESS_WRITE, 0xffffff00u};
    }
    return (struct x2apic_register){ACCESS_NONE, 0};
}

static bool read_x2apic(struct local_apic *apic, unsigned index, uint64_t *value)
{
    if (!apic_is_x2apic(apic) || !(x2apic_register(index).access & ACCESS_READ)) {
        return false;
    }
    *value = apic_register_read(apic, index);
    if (index == APIC_ICR_LOW) {
        *value |= (uint64_t)apic->icr_high << 32;
    }
    return true;
}

static bool write_x2apic(struct local_apic *apic, unsigned index, uint64_t value)
{
    struct x2apic_register reg = x2apic_register(index);
    uint32_t high = (uint32_t)(value >> 32);

    if (!apic_is_x2apic(apic) || !(reg.access & ACCESS_WRITE) || ((uint32_t)value & reg.reserved) ||
        (high && index != APIC_ICR_LOW)) {
        return false;
    }
    trace_apic_write(apic->vcpu->index, index * 16, value);
    switch (index) {
    case APIC_ICR_LOW: /* one register of 64 bits (11.12.9) */
        apic->icr_low = (uint32_t)value & ~LVT_STATUS;
        apic->icr_high = high;
        apic_send_ipi(apic, apic->icr_low, high);
        break;
    case APIC_SELF_IPI: /* as the ICR with shorthand "self", fixed, edge (11.12.11) */
        apic_send_ipi(apic, (uint32_t)value | 1u << 18, 0);
        break;
    default:
        apic_register_write(apic, index, (uint32_t)value);
        break;
    }
    return true;
}

/* 11.12.5: disabled, xAPIC and x2APIC mode; of the changes, those to x2APIC from disabled and to
 * xAPIC from x2APIC are not allowed, nor is x2APIC without the enable bit. */
static bool write_base(struct local_apic *apic, uint64_t value)
{
    uint64_t modes = APIC_BASE_ENABLE | APIC_BASE_X2APIC;
    uint64_t valid =
        APIC_BASE_BSP | modes | (APIC_BASE_ADDRESS & ((1ull << MIN(apic->physical_bits, 52u)) - 1));
    uint64_t old_mode = apic->base & modes, mode = value & modes;

    if ((value & ~valid) || mode == APIC_BASE_X2APIC || (!old_mode && mode == modes) ||
        (old_mode == modes && mode == APIC_BASE_ENABLE)) {
        return false;
    }
    trace_apic_base(apic->vcpu->index, value);
    __atomic_store_n(&apic->base, value, __ATOMIC_SEQ_CST);
    if (mode != old_mode && (!mode || !old_mode)) {
        __atomic_store_n(&apic->id, apic->vcpu->apic_id & 0xff, __ATOMIC_RELAXED);
        apic_reset_registers(apic);
    }
    return true;
}

bool local_apic_msr_read(struct local_apic *apic, uint32_t msr, uint64_t *value)
{
    switch (msr) {
    case MSR_IA32_APIC_BASE:
        *value = apic->base;
        return true;
    case MSR_IA32_TSC_DEADLINE:
        pthread_mutex_lock(&apic->lock);
        *value = apic_timer_read_deadline(apic);
        pthread_mutex_unlock(&apic->lock);
        return true;
    case MSR_X2APIC_FIRST ... MSR_X2APIC_LAST:
        return read_x2apic(apic, msr - MSR_X2APIC_FIRST, value);
    }
    return false;
}

bool local_apic_msr_write(struct local_apic *apic, uint32_t msr, uint64_t value)
{
    switch (msr) {
    case MSR_IA32_APIC_BASE:
        return write_base(apic, value);
    case MSR_IA32_TSC_DEADLINE:
        pthread_mutex_lock(&apic->lock);
        apic_timer_write_deadline(apic, value);
        pthread_mutex_unlock(&apic->lock);
        return true;
    case MSR_X2APIC_FIRST ... MSR_X2APIC_LAST:
        return write_x2apic(apic, msr - MSR_X2APIC_FIRST, value);
    }
    return false;
}
