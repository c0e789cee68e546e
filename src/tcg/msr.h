/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DUODM_TCG_MSR_H
#define DUODM_TCG_MSR_H

#include "tcg/cpu.h"

struct cpu_msrs;

struct cpu_msrs *cpu_msrs_new(void);
void cpu_msrs_free(struct cpu_msrs *msrs);
/* Power-on values of all MSRs, also of those that live in struct cpu. */
void cpu_msrs_reset(struct cpu *cpu);

/* Those that are storage, for snapshots: in msr.c's order, which new ones go to the end of. */
#define CPU_MSR_STORE_COUNT 96
void cpu_msrs_get_store(const struct cpu *cpu, uint64_t values[CPU_MSR_STORE_COUNT]);
void cpu_msrs_set_store(struct cpu *cpu, const uint64_t values[CPU_MSR_STORE_COUNT]);

#endif
