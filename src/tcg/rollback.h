/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transfers that change privilege or task do many things of which any may fault. They save the
 * state first; cpu_raise puts it back, unless rollback_end (the point of no return) was passed.
 */
#ifndef DUODM_TCG_ROLLBACK_H
#define DUODM_TCG_ROLLBACK_H

#include "tcg/cpu.h"

struct cpu_rollback {
    uint64_t gpr[X86_REGISTER_COUNT];
    uint64_t rip;
    struct cpu_flags lazy;
    uint32_t eflags;
    uint8_t cpl;
    struct x86_segment segment[X86_SEGMENT_COUNT], ldt, task;
};

/* *state lives until rollback_end. */
void rollback_begin(struct cpu *cpu, struct cpu_rollback *state);
void rollback_end(struct cpu *cpu);
/* Put the saved state back, if there is one. */
void rollback_restore(struct cpu *cpu);

#endif
