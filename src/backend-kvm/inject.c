/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt controllers that are not in the kernel. With kernel-irqchip=split those are the 8259s,
 * whose INTR reaches the boot processor; with off also the local APICs, and then HLT, INIT and SIPI
 * end up here too.
 */
#include "backend-kvm/kvm-machine.h"
#include "dm/intc/i8259.h"
#include "dm/intc/local-apic.h"

#include <string.h>

#define MSR_APIC_BASE 0x1b

static void inject(struct kvm_vcpu *v, uint8_t vector)
{
    struct kvm_interrupt interrupt = {vector};

    kvm_ioctl(v->fd, KVM_INTERRUPT, &interrupt);
    v->run->ready_for_interrupt_injection = 0; /* until the next exit tells */
}

/* Split mode. */

/* Once for each rise of INTR, and until it has fallen. */
static void ask_8259(struct kvm_vcpu *v)
{
    struct i8259_pair *pic = v->kvm->machine->pic;

    v->asks_interrupts = false;
    if (v->vcpu->index != 0 || !pic) {
        return;
    }
    if (i8259_has_interrupt(pic) && v->run->ready_for_interrupt_injection) {
        inject(v, i8259_acknowledge(pic));
    }
    v->asks_interrupts = i8259_has_interrupt(pic);
    v->run->request_interrupt_window = v->asks_interrupts;
}

/* Local APICs here. */

static void ask_local_apic(struct kvm_vcpu *v)
{
    struct local_apic *apic = v->vcpu->apic;

    if (local_apic_has_interrupt(apic) && v->run->ready_for_interrupt_injection) {
        int vector = local_apic_acknowledge(apic);

        if (vector >= 0) {
            inject(v, (uint8_t)vector);
        }
    }
    v->run->request_interrupt_window = local_apic_has_interrupt(apic);
    v->run->cr8 = local_apic_get_cr8(apic);
}

/* HLT ends with an interrupt that can be taken; NMI and INIT end it as signals. */
static bool must_sleep(struct kvm_vcpu *v)
{
    if (v->halted && v->run->if_flag && local_apic_has_interrupt(v->vcpu->apic)) {
        v->halted = false;
    }
    return v->halted || v->wait_for_sipi;
}

bool kvm_prepare_interrupts(struct kvm_vcpu *v)
{
    if (!v->vcpu->apic) {
        ask_8259(v);
        return true;
    }
    if (must_sleep(v)) {
        return false;
    }
    ask_local_apic(v);
    return true;
}

void kvm_sleep(struct kvm_vcpu *v)
{
    pthread_mutex_lock(&v->sleep_lock);
    while (!__atomic_load_n(&v->vcpu->signals, __ATOMIC_SEQ_CST)) {
        pthread_cond_wait(&v->woken, &v->sleep_lock);
    }
    pthread_mutex_unlock(&v->sleep_lock);
}

void kvm_wake(struct kvm_vcpu *v)
{
    pthread_mutex_lock(&v->sleep_lock);
    pthread_cond_signal(&v->woken);
    pthread_mutex_unlock(&v->sleep_lock);
}

void kvm_after_run(struct kvm_vcpu *v)
{
    struct local_apic *apic = v->vcpu->apic;
    uint64_t base;

    if (v->run->cr8 != local_apic_get_cr8(apic)) {
        local_apic_set_cr8(apic, (unsigned)v->run->cr8 & 15);
    }
    if (local_apic_msr_read(apic, MSR_APIC_BASE, &base) && base != v->run->apic_base) {
        local_apic_msr_write(apic, MSR_APIC_BASE, v->run->apic_base);
    }
}

bool kvm_access_local_apic(struct kvm_vcpu *v)
{
    struct kvm_run *run = v->run;
    uint64_t offset = run->mmio.phys_addr - local_apic_base(v->vcpu->apic), value = 0;

    if (offset >= 4096) {
        return false;
    }
    if (run->mmio.is_write) {
        memcpy(&value, run->mmio.data, run->mmio.len);
        local_apic_write(v->vcpu->apic, (unsigned)offset, run->mmio.len, value);
    } else {
        value = local_apic_read(v->vcpu->apic, (unsigned)offset, run->mmio.len);
        memcpy(run->mmio.data, &value, run->mmio.len);
    }
    return true;
}

/* Signals. */

static void take_nmis(struct kvm_vcpu *v)
{
    if (__atomic_exchange_n(&v->vcpu->nmi_count, 0, __ATOMIC_SEQ_CST)) {
        v->halted = false;
        kvm_ioctl(v->fd, KVM_NMI, NULL);
    }
}

void kvm_take_signals(struct kvm_vcpu *v, uint32_t signals)
{
    if ((signals & VCPU_SIGNAL_INTERRUPT) && v->kvm->irqchip != KERNEL_IRQCHIP_ON) {
        v->asks_interrupts = true;
    }
    if (signals & VCPU_SIGNAL_NMI) {
        take_nmis(v);
    }
    if ((signals & VCPU_SIGNAL_INIT) && v->vcpu->apic) {
        local_apic_reset(v->vcpu->apic, true);
        kvm_init_vcpu(v);
        v->halted = false;
        v->wait_for_sipi = v->vcpu->index != 0;
    }
    if ((signals & VCPU_SIGNAL_STARTUP) && v->wait_for_sipi) {
        kvm_start_vcpu(v, __atomic_load_n(&v->vcpu->startup_vector, __ATOMIC_ACQUIRE));
        v->wait_for_sipi = false;
    }
}
