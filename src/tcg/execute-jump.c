/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Near transfers, loops, BOUND. */
#include "tcg/execute.h"
#include "tcg/operand.h"

ALWAYS_INLINE void jump_relative(struct cpu *cpu, const struct insn *insn)
{
    cpu->rip = near_target(cpu, insn, cpu->rip + insn->immediate);
}

#define JCC(code)                                                                                  \
    void execute_jcc_##code(struct cpu *cpu, const struct insn *insn)                              \
    {                                                                                              \
        if (flags_condition(cpu, code))                                                            \
            jump_relative(cpu, insn);                                                              \
    }
JCC(0)
JCC(1)
JCC(2)
JCC(3)
JCC(4)
JCC(5)
JCC(6)
JCC(7)
JCC(8)
JCC(9)
JCC(10)
JCC(11)
JCC(12)
JCC(13)
JCC(14)
JCC(15)

void execute_jmp_near(struct cpu *cpu, const struct insn *insn)
{
    jump_relative(cpu, insn);
}

ALWAYS_INLINE uint64_t rm_read_variable(struct cpu *cpu, const struct insn *insn)
{
    switch (insn->operand_size) {
    case 2:
        return rm_read(cpu, insn, 2);
    case 4:
        return rm_read(cpu, insn, 4);
    default:
        return rm_read(cpu, insn, 8);
    }
}

void execute_jmp_near_indirect(struct cpu *cpu, const struct insn *insn)
{
    cpu->rip = near_target(cpu, insn, rm_read_variable(cpu, insn));
}

static void call(struct cpu *cpu, const struct insn *insn, uint64_t target)
{
    /* In 64-bit mode the processors push before they look at a target that is not canonical. */
    if (cpu->mode == CPU_MODE_64 && !cpu_is_canonical(target)) {
        cpu_probe_write(cpu, X86_SS, cpu->gpr[X86_RSP] - 8, 8);
    }
    target = near_target(cpu, insn, target);
    switch (insn->operand_size) {
    case 2:
        stack_push(cpu, 2, cpu->rip);
        break;
    case 4:
        stack_push(cpu, 4, cpu->rip);
        break;
    default:
        stack_push(cpu, 8, cpu->rip);
        break;
    }
    cpu->rip = target;
}

void execute_call_near(struct cpu *cpu, const struct insn *insn)
{
    call(cpu, insn, cpu->rip + insn->immediate);
}

void execute_call_near_indirect(struct cpu *cpu, const struct insn *insn)
{
    call(cpu, insn, rm_read_variable(cpu, insn));
}

/* RET and RET Iw: immediate is 0 in the former. */
void execute_ret_near(struct cpu *cpu, const struct insn *insn)
{
    uint64_t target;
    switch (insn->operand_size) {
    case 2:
        target = stack_peek(cpu, 2, 0);
        break;
    case 4:
        target = stack_peek(cpu, 4, 0);
        break;
    default:
        target = stack_peek(cpu, 8, 0);
        break;
    }
    cpu->rip = near_target(cpu, insn, target);
    stack_drop(cpu, insn->operand_size + insn->immediate);
}

/* Count down RCX, ECX or CX, whichever the address size says; true if it is not 0 then. The
 * register changes only if the jump does not fault. */
static void loop_if(struct cpu *cpu, const struct insn *insn, bool condition)
{
    unsigned size = insn->address_size;
    uint64_t count = (cpu->gpr[X86_RCX] - 1) & size_mask(size);
    if (count != 0 && condition) {
        jump_relative(cpu, insn);
    }
    gpr_write(cpu, X86_RCX, size, count);
}

void execute_loop(struct cpu *cpu, const struct insn *insn)
{
    loop_if(cpu, insn, true);
}

void execute_loope(struct cpu *cpu, const struct insn *insn)
{
    loop_if(cpu, insn, flags_get_zero(cpu));
}

void execute_loopne(struct cpu *cpu, const struct insn *insn)
{
    loop_if(cpu, insn, !flags_get_zero(cpu));
}

void execute_jcxz(struct cpu *cpu, const struct insn *insn)
{
    if (gpr_read(cpu, X86_RCX, insn->address_size) == 0) {
        jump_relative(cpu, insn);
    }
}

void execute_bound(struct cpu *cpu, const struct insn *insn)
{
    unsigned size = insn->operand_size;
    uint64_t offset = effective_address(cpu, insn);
    uint64_t next = (offset + size) & size_mask(insn->address_size);
    int64_t index = sign_extend(cpu->gpr[insn->reg], size), lower, upper;
    if (size == 2) {
        lower = (int16_t)cpu_read16(cpu, insn->segment, offset);
        upper = (int16_t)cpu_read16(cpu, insn->segment, next);
    } else {
        lower = (int32_t)cpu_read32(cpu, insn->segment, offset);
        upper = (int32_t)cpu_read32(cpu, insn->segment, next);
    }
    if (index < lower || index > upper) {
        cpu_raise(cpu, EXCEPTION_BR);
    }
}

void execute_undefined(struct cpu *cpu, const struct insn *insn)
{
    cpu_raise(cpu, EXCEPTION_UD);
}
