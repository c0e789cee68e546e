/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tcg engine's own records: one per machine, one per vCPU. */
#ifndef DUODM_TCG_TCG_H
#define DUODM_TCG_TCG_H

#include "dm/machine.h"
#include "memory/listener.h"
#include "tcg/cpu-model.h"
#include "tcg/cpu.h"
#include "tcg/tlb.h"

#include <pthread.h>

/* -accel tcg,... */
struct tcg_options {
    bool interpreter; /* no translator */
    bool perfmap;
    bool lockstep; /* compare each translated block with the interpreter */
};

struct tcg_machine {
    struct machine *machine;
    struct cpu_model model;
    struct jit *jit;                 /* NULL: interpreter */
    struct huge_pages *huge_pages;   /* never NULL */
    struct memory_listener listener; /* tells all vCPUs when the memory map changes */
    pthread_mutex_t machine_lock;    /* cpu_locked_begin */

    /* Who runs. */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* running_count, paused, quit */
    bool paused, quit;
    unsigned running_count; /* threads between unpark and park */
};

struct tcg_vcpu {
    struct cpu cpu;
    struct tlb tlb; /* cpu.tlb: at one distance for all, for translated code */
    struct tcg_machine *tcg;
    struct vcpu *vcpu;
    pthread_t thread;
    bool has_thread;
    jmp_buf unwind;
    unsigned countdown; /* blocks until the next quiescent point */

    /* Waiting for a signal in HLT. */
    pthread_mutex_t sleep_lock;
    pthread_cond_t wake;
    uint32_t sleeping; /* atomic: in or about to enter the wait */
};

/* Execute until VCPU_SIGNAL_EXIT. */
void run_loop(struct tcg_vcpu *v);
/* Wake a vCPU that waits for a signal. Any thread. */
void run_loop_kick(struct tcg_vcpu *v);

#endif
