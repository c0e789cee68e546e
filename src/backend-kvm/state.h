/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All of a vCPU's state, as the kernel gives and takes it. */
#ifndef DUODM_BACKEND_KVM_STATE_H
#define DUODM_BACKEND_KVM_STATE_H

#include "dm/state.h"
#include "dm/vcpu.h"

#include <glib.h>
#include <linux/kvm.h>

#define KVM_STATE_MSR_MAX   512
#define KVM_STATE_XSAVE_MAX 16384 /* bytes; AMX needs 11 KiB */

struct kvm_vcpu;

/* Each part is the kernel's struct, whose layout is part of its stable interface. */
struct kvm_cpu_state {
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_xcrs xcrs;
    struct kvm_debugregs debugregs;
    struct kvm_vcpu_events events;
    struct kvm_mp_state mp_state;
    bool halted, wait_for_sipi;   /* what mp_state has, if the local APIC isn't in the kernel */
    struct kvm_lapic_state lapic; /* unused if the local APIC isn't in the kernel */
    uint32_t xsave_size;          /* bytes used of xsave */
    uint8_t xsave[KVM_STATE_XSAVE_MAX];
    uint32_t msr_count;
    uint32_t msr_index[KVM_STATE_MSR_MAX];
    uint64_t msr_value[KVM_STATE_MSR_MAX];
};

/* Get or set all. Paused, or from the vCPU's own thread. Errors name the part and the vCPU. */
bool kvm_state_get(struct kvm_vcpu *v, struct kvm_cpu_state *state, GError **error);
bool kvm_state_set(struct kvm_vcpu *v, const struct kvm_cpu_state *state, GError **error);

/* INIT and SIPI, where the local APIC is not in the kernel. By the vCPU's own thread. */
void kvm_init_vcpu(struct kvm_vcpu *v);
void kvm_start_vcpu(struct kvm_vcpu *v, uint8_t vector);

/* struct engine_ops. */
void kvm_reset_vcpu(struct vcpu *vcpu);
bool kvm_get_x86_state(struct vcpu *vcpu, struct x86_state *state);
void kvm_set_x86_state(struct vcpu *vcpu, const struct x86_state *state);
bool kvm_virtual_to_physical(struct vcpu *vcpu, uint64_t address, uint64_t *physical);
void kvm_write_apic(struct vcpu *vcpu, unsigned offset, uint32_t value);
bool kvm_save_vcpu(struct vcpu *vcpu, GByteArray *stream, GError **error);
extern const struct state_description kvm_vcpu_state;
bool kvm_load_vcpu(struct vcpu *vcpu, const uint8_t *stream, size_t length, size_t *consumed,
                   GError **error);

#endif
