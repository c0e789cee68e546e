/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When SSE and MMX may run, alignment, and SIMD floating-point exceptions. */
#include "tcg/simd.h"

_Noreturn void sse_raise_unavailable(struct cpu *cpu)
{
    bool undefined = (cpu->cr0 & CR0_EM) || !(cpu->cr4 & CR4_OSFXSR);

    cpu_raise(cpu, undefined ? EXCEPTION_UD : EXCEPTION_NM);
}

_Noreturn void mmx_raise_unavailable(struct cpu *cpu)
{
    cpu_raise(cpu, cpu->cr0 & CR0_EM ? EXCEPTION_UD : EXCEPTION_NM);
}

void simd_check_alignment(struct cpu *cpu, unsigned segment, uint64_t offset, unsigned alignment)
{
    bool has_base = cpu->mode != CPU_MODE_64 || segment == X86_FS || segment == X86_GS;
    uint64_t linear = offset + (has_base ? cpu->segment[segment].base : 0);

    if (linear & (alignment - 1)) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
}

/* SDM vol. 1, 11.5.2: an unmasked exception found before computing hides those found after. */
void sse_raise_unmasked(struct cpu *cpu, unsigned flags)
{
    unsigned unmasked = flags & ~(cpu->mxcsr >> MXCSR_MASK_SHIFT);
    unsigned before = MXCSR_IE | MXCSR_DE | MXCSR_ZE;

    cpu->mxcsr |= unmasked & before ? flags & before : flags;
    cpu_raise(cpu, cpu->cr4 & CR4_OSXMMEXCPT ? EXCEPTION_XM : EXCEPTION_UD);
}
