/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt controllers that are not in the kernel. With kernel-irqchip=split those are the 8259s,
 * whose INTR reaches the boot processor; with off also the local APICs, and then HLT, INIT and SIPI
 * end up here too.
 */
#include "backend-kvm/kvm-machine.h"
#include "dm/intc/i8259.h"

static bool is_split_boot_processor(const struct kvm_vcpu *v)
{
    return v->kvm->irqchip == KERNEL_IRQCHIP_SPLIT && v->vcpu->index == 0 && v->kvm->machine->pic;
}

static void inject(struct kvm_vcpu *v, uint8_t vector)
{
    struct kvm_interrupt interrupt = {vector};

    kvm_ioctl(v->fd, KVM_INTERRUPT, &interrupt);
    v->run->ready_for_interrupt_injection = 0; /* until the next exit tells */
}

bool kvm_prepare_interrupts(struct kvm_vcpu *v)
{
    struct i8259_pair *pic = v->kvm->machine->pic;

    if (!is_split_boot_processor(v)) {
        return true;
    }
    if (i8259_has_interrupt(pic) && v->run->ready_for_interrupt_injection) {
        inject(v, i8259_acknowledge(pic));
    }
    v->run->request_interrupt_window = i8259_has_interrupt(pic);
    return true;
}

void kvm_sleep(struct kvm_vcpu *v)
{
}

void kvm_wake(struct kvm_vcpu *v)
{
}

void kvm_after_run(struct kvm_vcpu *v)
{
}

void kvm_take_signals(struct kvm_vcpu *v, uint32_t signals)
{
    if (signals & VCPU_SIGNAL_NMI) {
        kvm_ioctl(v->fd, KVM_NMI, NULL);
    }
}
