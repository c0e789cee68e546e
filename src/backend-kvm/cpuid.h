/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What CPUID shows a guest: the model, as far as the kernel supports it. */
#ifndef DUODM_BACKEND_KVM_CPUID_H
#define DUODM_BACKEND_KVM_CPUID_H

#include "backend-kvm/cpu-model.h"

#include <linux/kvm.h>

struct kvm_machine;
struct kvm_vcpu;

/* From kvm->model to kvm->cpuid. A flag that was asked for and that the host lacks is an error. */
bool kvm_make_cpuid(struct kvm_machine *kvm, GError **error);
/* The same for one vCPU, with its place in the topology; and its TSC's frequency. */
bool kvm_set_cpuid(struct kvm_vcpu *v, GError **error);

/* For tests: cut down a table of what is supported to what a model shows. */
bool kvm_cpuid_apply_model(struct kvm_cpuid2 *cpuid, const struct kvm_cpu_model *model,
                           GError **error);
/* Groups of -smp and one vCPU's place. cpuid has room for KVM_CPUID_MAX entries. */
struct cpu_topology {
    unsigned threads, cores; /* per core, per package */
    uint32_t apic_id;
};
#define KVM_CPUID_MAX 256
void kvm_cpuid_apply_topology(struct kvm_cpuid2 *cpuid, const struct cpu_topology *topology);

#endif
