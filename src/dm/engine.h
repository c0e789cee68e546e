/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What runs the vCPUs: tcg, kvm, xen, or (for device tests) qtest, which has none. Nothing outside
 * an engine includes its headers; engine-table.c lists the ops.
 */
#ifndef DUODM_DM_ENGINE_H
#define DUODM_DM_ENGINE_H

#include "dm/property.h"
#include "dm/vcpu.h"

#include <glib.h>
#include <stdio.h>

struct machine;

struct engine_ops {
    const char *name;               /* as -accel has it */
    const char *description;        /* one line for -accel help */
    size_t options_size;            /* bytes of the struct that options fills, 0: no options */
    const struct property *options; /* what -accel NAME,option=... accepts, or NULL */
    bool has_vcpus;                 /* false for qtest: create_vcpu .. set_state may be NULL */
    bool in_kernel_apic; /* true: vcpu->apic stays NULL; else it is there before create_vcpu */

    /* Can it be used on this host? The error says why not and what to do. */
    bool (*is_available)(GError **error);
    /* Check -cpu MODEL[,+f][,-f] (NULL: default) before anything is made. */
    bool (*check_cpu_model)(const char *model, GError **error);
    /* Print models and flags for -cpu help. */
    void (*list_cpu_models)(FILE *out);

    /* Called in this order. machine->memory exists, no vCPU does. machine->engine_data is the
     * engine's own. */
    bool (*create)(struct machine *machine, const void *options, GError **error);
    bool (*create_vcpu)(struct vcpu *vcpu, GError **error); /* thread made, not running */
    void (*resume)(struct machine *machine);                /* let all vCPUs run */
    void (*pause)(struct machine *machine);                 /* returns when no vCPU executes */
    void (*destroy)(struct machine *machine);               /* paused before; joins the threads */

    void (*kick)(struct vcpu *vcpu); /* make a running or halted vCPU look at its signals */
    /* Put a vCPU in the power-on state. Paused; vcpu->apic was reset just before. */
    void (*reset_vcpu)(struct vcpu *vcpu);
    /* Only while paused, or from the vCPU's own thread. */
    void (*get_state)(struct vcpu *vcpu, struct x86_state *state);
    void (*set_state)(struct vcpu *vcpu, const struct x86_state *state);
    /* Write an MSR as WRMSR would; false: that faults. Paused. NULL: the engine can't. */
    bool (*write_msr)(struct vcpu *vcpu, uint32_t msr, uint64_t value);
    /* Guest virtual to physical for debuggers; false if not mapped. Paused or a racy look. */
    bool (*virtual_to_physical)(struct vcpu *vcpu, uint64_t address, uint64_t *physical);
    /* Text for HMP `info NAME` that only this engine has (`info jit`, `info tlb`); false: unknown
     */
    bool (*print_info)(struct machine *machine, const char *name, GString *out);
};

extern const struct engine_ops *const engine_table[]; /* ended by NULL; in engine-table.c */

#endif
