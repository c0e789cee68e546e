/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AVX, AVX2, FMA and F16C by the host's own instructions. Most of them differ in nothing but the
 * operation: so there is one handler, which fetches the operands, lets the host execute the guest's
 * instruction with its registers renamed, and stores the result. That copy of the instruction is a
 * stub of 8 bytes, made when it is first needed.
 *
 * A host that lacks them, or grants no executable memory, has no stubs; CPUID then hides AVX.
 */
#ifndef DUODM_TCG_AVX_H
#define DUODM_TCG_AVX_H

#include "tcg/features.h"
#include "tcg/insn.h"
#include "tcg/opcode.h"

/* NULL if the host can't. Owned by one vCPU; touched by its thread only. */
struct host_stubs *host_stubs_new(void);
void host_stubs_free(struct host_stubs *stubs);

/* What this machine's processor executes and its system has enabled: CPUID. */
void host_features_get(struct cpu_features *features);
/* Take from *features what a host with these can't execute (AVX, AVX2, FMA, F16C). */
void avx_hide_unavailable(struct cpu_features *features, const struct cpu_features *host);

/* #UD or #NM if AVX is not to be used now: SDM vol. 2, 2.4, "exception type 1". */
void avx_check(struct cpu *cpu);
/* Length of the vector in bytes: 16 or 32. */
static inline unsigned avx_length(const struct insn *insn)
{
    return insn->vex_l ? 32 : 16;
}
/* Bytes of a vector instruction's operand where that is in memory; 0: it can't be. */
unsigned avx_memory_bytes(const struct insn *insn, enum operand operand);

#endif
