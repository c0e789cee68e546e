/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87 control: FINIT, FCLEX, FLDCW, FSTCW, FSTSW, FFREE, FINCSTP, FDECSTP, FNOP; EMMS. */
#include "tcg/fpu.h"
#include "tcg/simd.h"

void fpu_fninit(struct cpu *cpu, const struct insn *insn)
{
    fpu_check_available(cpu);
    fpu_initialize(cpu);
}

void fpu_fnclex(struct cpu *cpu, const struct insn *insn)
{
    fpu_check_available(cpu);
    cpu->fpu.status &= ~(FPU_EXCEPTIONS | FPU_SF | FPU_ES | FPU_B);
}

void fpu_fldcw(struct cpu *cpu, const struct insn *insn)
{
    fpu_check(cpu);
    uint16_t control = simd_read_memory(cpu, insn, 2);
    cpu->fpu.control = (control & FPU_CONTROL_WRITE) | FPU_CONTROL_FIXED;
    fpu_update_summary(cpu);
}

void fpu_fnstcw(struct cpu *cpu, const struct insn *insn)
{
    fpu_check_available(cpu);
    simd_write_memory(cpu, insn, 2, cpu->fpu.control);
}

void fpu_fnstsw(struct cpu *cpu, const struct insn *insn)
{
    fpu_check_available(cpu);
    simd_write_memory(cpu, insn, 2, cpu->fpu.status);
}

void fpu_fnstsw_ax(struct cpu *cpu, const struct insn *insn)
{
    fpu_check_available(cpu);
    gpr_write(cpu, X86_RAX, 2, cpu->fpu.status);
}

void fpu_ffree(struct cpu *cpu, const struct insn *insn)
{
    fpu_check(cpu);
    fpu_record(cpu, insn);
    cpu->fpu.valid &= ~(1u << fpu_physical(cpu, insn->modrm & 7));
}

/* FFREE ST(i), then pop: not in the manuals, in every processor. */
void fpu_ffreep(struct cpu *cpu, const struct insn *insn)
{
    fpu_ffree(cpu, insn);
    fpu_pop(cpu);
}

void fpu_fincstp(struct cpu *cpu, const struct insn *insn)
{
    fpu_check(cpu);
    fpu_record(cpu, insn);
    cpu->fpu.status &= ~FPU_C1;
    fpu_set_top(cpu, fpu_top(cpu) + 1);
}

void fpu_fdecstp(struct cpu *cpu, const struct insn *insn)
{
    fpu_check(cpu);
    fpu_record(cpu, insn);
    cpu->fpu.status &= ~FPU_C1;
    fpu_set_top(cpu, fpu_top(cpu) - 1);
}

void fpu_fnop(struct cpu *cpu, const struct insn *insn)
{
    fpu_check(cpu);
    fpu_record(cpu, insn);
}

/* FNENI, FNDISI, FNSETPM of the 8087 and 80287 */
void fpu_ignored(struct cpu *cpu, const struct insn *insn)
{
    fpu_check_available(cpu);
}

void mmx_emms(struct cpu *cpu, const struct insn *insn)
{
    mmx_check(cpu);
    mmx_enter(cpu);
    cpu->fpu.valid = 0;
}
