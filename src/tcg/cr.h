/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DUODM_TCG_CR_H
#define DUODM_TCG_CR_H

#include "tcg/cpu.h"

#include <glib.h>
#include <string.h>

/* Write IA32_EFER; raises #GP(0). */
void cpu_set_efer(struct cpu *cpu, uint64_t value);

/* Bits that this CPU has. */
uint64_t cpu_cr4_valid(const struct cpu *cpu);
uint64_t cpu_efer_valid(const struct cpu *cpu);

#endif
