/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kvm engine's own records, one per machine and one per vCPU, and who does what with them. */
#ifndef DUODM_BACKEND_KVM_KVM_MACHINE_H
#define DUODM_BACKEND_KVM_KVM_MACHINE_H

#include "backend-kvm/cpu-model.h"
#include "backend-kvm/kvm-api.h"
#include "backend-kvm/memory-slots.h"
#include "backend-kvm/state.h"
#include "dm/machine.h"

#include <pthread.h>

/* -accel kvm,... */
struct kvm_options {
    char *device;             /* path of /dev/kvm */
    char *kernel_irqchip;     /* as -machine kernel-irqchip=, or NULL */
    char *unknown_msr;        /* "fault" or "ignore" */
    uint32_t dirty_ring_size; /* entries per vCPU; 0: bitmaps */
};

struct msi_routes;
struct kvm_pit;

struct kvm_machine {
    struct machine *machine;
    struct kvm_api api;
    struct kvm_cpu_model model;
    struct kvm_cpuid2 *cpuid;    /* what the model shows, alike for all vCPUs */
    enum kernel_irqchip irqchip; /* never KERNEL_IRQCHIP_DEFAULT */
    bool ignore_msrs;            /* unknown ones read 0; else they fault */
    struct kvm_pit *pit;         /* NULL: not in the kernel */
    uint64_t clock;              /* kvmclock in ns, while it stands still */
    bool clock_saved;
    struct kvm_msr_list *msrs; /* those that a vCPU's state holds */

    /* Memory and ports. */
    struct memory_slots *slots;
    struct memory_listener memory_listener, io_listener;
    bool ending;     /* no vCPU runs any more: slots need not be taken back one by one */
    GError *refused; /* what the kernel would not take before the machine ran; first of them */
    struct kvm_coalesced_mmio_ring *coalesced; /* NULL: none */
    pthread_mutex_t coalesced_lock;            /* who takes from it; under it, device guards */
    uint32_t ring_entries;                     /* of each vCPU's dirty ring; 0: none */

    struct msi_routes *routes;

    /* Who runs. */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* running_count, paused, quit, guest_holds, in_guest */
    bool paused, quit;
    unsigned running_count; /* threads between unpark and park */
    unsigned guest_holds;   /* atomic; nobody may enter the guest */
};

struct kvm_vcpu {
    struct kvm_machine *kvm;
    struct vcpu *vcpu;
    int fd;
    struct kvm_run *run; /* shared with the kernel */
    pthread_t thread;
    bool has_thread;
    bool in_guest;        /* atomic; in KVM_RUN, or about to be */
    bool io_pending;      /* the kernel has yet to complete an access that was carried out */
    bool asks_interrupts; /* before KVM_RUN: kvm_prepare_interrupts. Of the vCPU's own thread */
    bool halted;          /* in HLT, with no local APIC in the kernel */
    bool wait_for_sipi;
    pthread_mutex_t sleep_lock; /* leaf; with woken for the sleep in HLT, if that is here */
    pthread_cond_t woken;
    struct kvm_dirty_gfn *ring;
    uint32_t ring_next;
    struct kvm_cpu_state *power_on; /* as the kernel made it */
    uint64_t exits[64];             /* by KVM_EXIT_*; of the vCPU's own thread */
};

static inline struct kvm_machine *kvm_of(const struct machine *machine)
{
    return machine->engine_data;
}

/* vcpu.c: threads. */
bool kvm_create_vcpu(struct vcpu *vcpu, GError **error);
void kvm_destroy_vcpu(struct kvm_vcpu *v);
void kvm_resume(struct machine *machine);
void kvm_pause(struct machine *machine);
void kvm_kick(struct vcpu *vcpu);
/* Make the threads end, and wait for that. */
void kvm_quit_threads(struct kvm_machine *kvm);
/* Let no vCPU execute the guest until as many releases; from any thread, also a vCPU's, but not
 * while it is in the guest. Device callbacks go on meanwhile. */
void kvm_hold_guest(struct kvm_machine *kvm);
void kvm_release_guest(struct kvm_machine *kvm);
/* The signal that ends KVM_RUN has a handler from here on. Once per process is enough. */
bool kvm_install_kick_signal(GError **error);

/* run.c: execute until VCPU_SIGNAL_EXIT. */
void kvm_run_loop(struct kvm_vcpu *v);

/* inject.c: for 8259s or local APICs that are not in the kernel. */
/* Before KVM_RUN, if asks_interrupts: hand over an interrupt, or ask to be told when one can be
 * taken. False: there is nothing to execute (HLT, no SIPI yet): kvm_sleep. */
bool kvm_prepare_interrupts(struct kvm_vcpu *v);
void kvm_sleep(struct kvm_vcpu *v);     /* until a kick */
void kvm_wake(struct kvm_vcpu *v);      /* a kick for one that may sleep; any thread */
void kvm_after_run(struct kvm_vcpu *v); /* what the guest did with its local APIC by registers */
/* An MMIO exit of the page of the vCPU's own local APIC? Carried out then. */
bool kvm_access_local_apic(struct kvm_vcpu *v);
/* What signals but VCPU_SIGNAL_EXIT ask for. */
void kvm_take_signals(struct kvm_vcpu *v, uint32_t signals);

/* exit-report.c: the engine can't go on; message with registers, machine stopped. */
char *kvm_describe_vcpu(struct kvm_vcpu *v); /* registers and code at RIP; caller frees */
void kvm_report_fault(struct kvm_vcpu *v, const char *what);
void kvm_report_internal_error(struct kvm_vcpu *v);
void kvm_report_fail_entry(struct kvm_vcpu *v);

/* io-listener.c: what of the topology the kernel must know. */
bool kvm_register_listeners(struct kvm_machine *kvm, GError **error);
void kvm_unregister_listeners(struct kvm_machine *kvm);
/* Carry out accesses that the kernel noted down instead of an exit. */
void kvm_take_coalesced(struct kvm_machine *kvm);
static inline void kvm_drain_coalesced(struct kvm_machine *kvm)
{
    const struct kvm_coalesced_mmio_ring *ring = kvm->coalesced;

    if (G_UNLIKELY(ring && __atomic_load_n(&ring->first, __ATOMIC_RELAXED) !=
                               __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE))) {
        kvm_take_coalesced(kvm);
    }
}
/* Take all that the dirty rings hold. Any thread. */
void kvm_collect_dirty_rings(struct kvm_machine *kvm);

/* irqchip.c, pit.c: controllers in the kernel, as devices. */
extern const struct device_class kvm_i8259_class, kvm_ioapic_class, kvm_pit_class;
bool kvm_create_irqchip(struct kvm_machine *kvm, GError **error);
void kvm_set_gsi(void *machine, unsigned gsi, bool level);
void kvm_set_pit_disconnected(void *pit, unsigned number, bool level);
/* Guest time stands still or goes on. */
void kvm_pit_set_running(struct kvm_machine *kvm, bool running);

/* msi-routes.c: messages, and the table of routes that irqfds and split mode need. */
struct msi_routes *kvm_routes_new(struct kvm_machine *kvm);
void kvm_routes_free(struct msi_routes *routes);
/* The routes of the controllers in the kernel, or those of the IOAPIC's messages. */
bool kvm_routes_commit(struct msi_routes *routes, GError **error);
bool kvm_deliver_msi(struct machine *machine, const struct msi_message *message);
void kvm_set_ioapic_route(struct machine *machine, unsigned pin, const struct msi_message *message,
                          bool level);
extern const struct irqfd_ops kvm_irqfd_ops;

/* clock.c */
void kvm_set_clock_running(struct machine *machine, bool running);
extern const struct state_description kvm_machine_state;

/* msrs.c */
bool kvm_find_msrs(struct kvm_machine *kvm, GError **error);
bool kvm_set_unknown_msr_policy(struct kvm_machine *kvm, GError **error);
/* Exits for MSRs that the kernel doesn't know. */
void kvm_handle_rdmsr(struct kvm_vcpu *v);
void kvm_handle_wrmsr(struct kvm_vcpu *v);
bool kvm_write_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value);

#endif
