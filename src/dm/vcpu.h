/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU as the machine sees it. The engine runs it; interrupt controllers signal it.
 */
#ifndef DUODM_DM_VCPU_H
#define DUODM_DM_VCPU_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct machine;
struct local_apic;

enum vcpu_signal {
    VCPU_SIGNAL_INTERRUPT = 1 << 0, /* the local APIC may have something to deliver */
    VCPU_SIGNAL_NMI = 1 << 1,
    VCPU_SIGNAL_INIT = 1 << 2,
    VCPU_SIGNAL_STARTUP = 1 << 3, /* startup_vector is valid */
    VCPU_SIGNAL_SMI = 1 << 4,     /* ignored by tcg */
    VCPU_SIGNAL_RESET = 1 << 5,   /* machine reset: to the reset vector */
    VCPU_SIGNAL_EXIT = 1 << 6,    /* engine's own: leave the loop (pause, quit) */
    VCPU_SIGNAL_FLUSH = 1 << 7,   /* memory topology or the A20 gate changed */
    VCPU_SIGNAL_WORK = 1 << 8,    /* engine's own: run a queued function */
};

struct vcpu {
    struct machine *machine;
    unsigned index; /* 0 .. smp-1; 0 is the bootstrap processor */
    uint32_t apic_id;
    struct local_apic *apic; /* NULL under engines with an in-kernel one */
    uint32_t signals;        /* atomic mask of enum vcpu_signal, set by anyone */
    uint32_t nmi_count;      /* atomic: how many NMIs the signal stands for */
    uint8_t startup_vector;  /* of the last SIPI */
    int thread_id; /* of the Linux thread that runs it; atomic, the engine sets it. 0: none */
    void *engine;  /* the engine's own record */
};

/* Set signal bits and make the vCPU notice: wakes it from HLT, breaks it out of translated code.
 * Any thread, any lock held. */
void vcpu_signal(struct vcpu *vcpu, uint32_t signals);
/* An NMI for each vCPU, as from a front panel's button. NOT_SUPPORTED under an engine that attaches
 * to a domain: its toolstack has a command for it. */
bool machine_inject_nmi(struct machine *machine, GError **error);

/*
 * General state of an x86 CPU in architectural form, for monitors, loaders and snapshots.
 * Segment attributes are as in bits 8..23 of the descriptor's second word (type, S, DPL, P, AVL,
 * L, D, G at bits 0..3, 4, 5-6, 7, 12, 13, 14, 15): SDM vol. 3, 3.4.5.
 */
struct x86_segment {
    uint16_t selector;
    uint16_t attributes;
    uint32_t limit; /* bytes, expanded by G */
    uint64_t base;
};

enum x86_segment_index { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_SEGMENT_COUNT };
enum x86_register {
    X86_RAX,
    X86_RCX,
    X86_RDX,
    X86_RBX,
    X86_RSP,
    X86_RBP,
    X86_RSI,
    X86_RDI,
    X86_R8,
    X86_R9,
    X86_R10,
    X86_R11,
    X86_R12,
    X86_R13,
    X86_R14,
    X86_R15,
    X86_REGISTER_COUNT
};

struct x86_state {
    uint64_t gpr[X86_REGISTER_COUNT];
    uint64_t rip, rflags;
    struct x86_segment segment[X86_SEGMENT_COUNT];
    struct x86_segment ldt, task;
    struct x86_segment gdt, idt; /* base and limit only */
    uint64_t cr0, cr2, cr3, cr4, cr8, efer;
    uint64_t dr[8];
    bool halted;
};

#endif
