/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moves, exchanges, conversions, and the instructions that touch flags alone. */
#include "tcg/execute.h"
#include "tcg/operand.h"

ALWAYS_INLINE void mov_rm_reg(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    rm_write(cpu, insn, size, reg_read(cpu, insn, size));
}
EXECUTE_BY_SIZE(mov_rm_reg)

ALWAYS_INLINE void mov_reg_rm(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    reg_write(cpu, insn, size, rm_read(cpu, insn, size));
}
EXECUTE_BY_SIZE(mov_reg_rm)

ALWAYS_INLINE void mov_rm_imm(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    rm_write(cpu, insn, size, insn->immediate);
}
EXECUTE_BY_SIZE(mov_rm_imm)

ALWAYS_INLINE void mov_acc_moffs(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    gpr_write(cpu, X86_RAX, size, memory_read(cpu, insn->segment, insn->immediate, size));
}
EXECUTE_BY_SIZE(mov_acc_moffs)

ALWAYS_INLINE void mov_moffs_acc(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    memory_write(cpu, insn->segment, insn->immediate, size, gpr_read(cpu, X86_RAX, size));
}
EXECUTE_BY_SIZE(mov_moffs_acc)

#define EXTEND(name, from, extend)                                                                 \
    ALWAYS_INLINE void name(struct cpu *cpu, const struct insn *insn, unsigned size)               \
    {                                                                                              \
        gpr_write(cpu, insn->reg, size, extend(rm_read(cpu, insn, from)));                         \
    }                                                                                              \
    EXECUTE_BY_SIZE(name)

EXTEND(movzx_8, 1, (uint64_t))
EXTEND(movzx_16, 2, (uint64_t))
EXTEND(movsx_8, 1, (uint64_t)(int8_t))
EXTEND(movsx_16, 2, (uint64_t)(int16_t))
EXTEND(movsx_32, 4, (uint64_t)(int32_t))

ALWAYS_INLINE void lea(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    gpr_write(cpu, insn->reg, size, effective_address(cpu, insn));
}
EXECUTE_BY_SIZE(lea)

/* With memory always locked. */
ALWAYS_INLINE void xchg(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    uint64_t source = reg_read(cpu, insn, size), old;
    if (insn->memory) {
        struct modify m;
        modify_begin_at(cpu, insn, size, effective_address(cpu, insn), true, &m);
        do {
            old = m.old;
        } while (!modify_commit_memory(cpu, insn, size, &m, source));
    } else {
        old = register_read(cpu, insn, insn->rm, size);
        register_write(cpu, insn, insn->rm, size, source);
    }
    reg_write(cpu, insn, size, old);
}
EXECUTE_BY_SIZE(xchg)

/* 90 is a true NOP: it does not clear the upper half of RAX. With F3 it is PAUSE. */
ALWAYS_INLINE void xchg_acc(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    if (insn->rm == X86_RAX) {
        if (insn->prefixes & INSN_REP) {
            cpu_pause(cpu);
        }
        return;
    }
    uint64_t old = gpr_read(cpu, insn->rm, size);
    gpr_write(cpu, insn->rm, size, gpr_read(cpu, X86_RAX, size));
    gpr_write(cpu, X86_RAX, size, old);
}
EXECUTE_BY_SIZE(xchg_acc)

/* The source is read, and a 32-bit destination's upper half cleared, in any case. */
ALWAYS_INLINE void cmov(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    uint64_t source = rm_read(cpu, insn, size);
    if (!flags_condition(cpu, insn->byte & 15)) {
        source = reg_read(cpu, insn, size);
    }
    reg_write(cpu, insn, size, source);
}
EXECUTE_BY_SIZE(cmov)

/* CBW, CWDE, CDQE. */
ALWAYS_INLINE void cbw(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    gpr_write(cpu, X86_RAX, size, sign_extend(cpu->gpr[X86_RAX], size == 1 ? 1 : size / 2));
}
EXECUTE_BY_SIZE(cbw)

/* CWD, CDQ, CQO. */
ALWAYS_INLINE void cwd(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    gpr_write(cpu, X86_RDX, size, sign_extend(cpu->gpr[X86_RAX], size) < 0 ? ~0ull : 0);
}
EXECUTE_BY_SIZE(cwd)

/* With 16 bits the manuals leave the result open; processors give 0. */
ALWAYS_INLINE void bswap(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    uint64_t value = cpu->gpr[insn->rm];
    if (size == 8) {
        cpu->gpr[insn->rm] = __builtin_bswap64(value);
    } else if (size == 4) {
        cpu->gpr[insn->rm] = __builtin_bswap32(value);
    } else {
        gpr_write(cpu, insn->rm, 2, 0);
    }
}
EXECUTE_BY_SIZE(bswap)

void execute_setcc(struct cpu *cpu, const struct insn *insn)
{
    rm_write(cpu, insn, 1, flags_condition(cpu, insn->byte & 15));
}

void execute_xlat(struct cpu *cpu, const struct insn *insn)
{
    uint64_t offset = cpu->gpr[X86_RBX] + (uint8_t)cpu->gpr[X86_RAX];
    offset &= size_mask(insn->address_size);
    gpr_write(cpu, X86_RAX, 1, cpu_read8(cpu, insn->segment, offset));
}

static void check_lahf(struct cpu *cpu)
{
    if (cpu->mode == CPU_MODE_64 && !cpu_features_have(&cpu->features, FEATURE_LAHF_LM)) {
        cpu_raise(cpu, EXCEPTION_UD);
    }
}

#define FLAGS_AH (FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF | FLAG_CF)

void execute_lahf(struct cpu *cpu, const struct insn *insn)
{
    check_lahf(cpu);
    uint8_t ah = (flags_get_status(cpu) & FLAGS_AH) | FLAG_FIXED;
    gpr_write(cpu, X86_RAX, 2, (uint16_t)(ah << 8) | (uint8_t)cpu->gpr[X86_RAX]);
}

void execute_sahf(struct cpu *cpu, const struct insn *insn)
{
    check_lahf(cpu);
    cpu_set_eflags(cpu, cpu->gpr[X86_RAX] >> 8, FLAGS_AH);
}

/* Undocumented, on all processors: AL = CF ? FF : 0. */
void execute_salc(struct cpu *cpu, const struct insn *insn)
{
    gpr_write(cpu, X86_RAX, 1, flags_get_carry(cpu) ? 0xff : 0);
}

void execute_nop(struct cpu *cpu, const struct insn *insn)
{
}

void execute_fence(struct cpu *cpu, const struct insn *insn)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Faults as a read of one byte does. */
void execute_clflush(struct cpu *cpu, const struct insn *insn)
{
    cpu_read8(cpu, insn->segment, effective_address(cpu, insn));
}

void execute_cmc(struct cpu *cpu, const struct insn *insn)
{
    cpu_set_eflags(cpu, ~flags_get_status(cpu), FLAG_CF);
}

void execute_clc(struct cpu *cpu, const struct insn *insn)
{
    cpu_set_eflags(cpu, 0, FLAG_CF);
}

void execute_stc(struct cpu *cpu, const struct insn *insn)
{
    cpu_set_eflags(cpu, FLAG_CF, FLAG_CF);
}

void execute_cld(struct cpu *cpu, const struct insn *insn)
{
    cpu->eflags &= ~FLAG_DF;
}

void execute_std(struct cpu *cpu, const struct insn *insn)
{
    cpu->eflags |= FLAG_DF;
}

#define X87_STATUS_ERROR_SUMMARY (1u << 7)

/* Without CR0.NE the error goes out on FERR# to the interrupt controller, which is not wired: the
 * instruction then waits for nothing. */
void execute_fwait(struct cpu *cpu, const struct insn *insn)
{
    if ((cpu->cr0 & CR0_MP) && (cpu->cr0 & CR0_TS)) {
        cpu_raise(cpu, EXCEPTION_NM);
    }
    if ((cpu->fpu.status & X87_STATUS_ERROR_SUMMARY) && (cpu->cr0 & CR0_NE)) {
        cpu_raise(cpu, EXCEPTION_MF);
    }
}
