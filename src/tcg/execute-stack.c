/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PUSH, POP, PUSHA, PUSHF, ENTER and their opposites. */
#include "tcg/event.h"
#include "tcg/execute.h"
#include "tcg/opcode.h"
#include "tcg/operand.h"
#include "tcg/segment.h"

ALWAYS_INLINE void push_rm(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    stack_push(cpu, size, rm_read(cpu, insn, size));
}
EXECUTE_BY_SIZE(push_rm)

/* A memory operand that is relative to RSP sees RSP after the pop. */
ALWAYS_INLINE void pop_rm(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    uint64_t value = stack_peek(cpu, size, 0);
    if (!insn->memory) {
        stack_drop(cpu, size);
        register_write(cpu, insn, insn->rm, size, value);
        return;
    }
    uint64_t offset = effective_address(cpu, insn);
    if (insn->base == X86_RSP) {
        offset = (offset + size) & size_mask(insn->address_size);
    }
    memory_write(cpu, insn->segment, offset, size, value);
    stack_drop(cpu, size);
}
EXECUTE_BY_SIZE(pop_rm)

static uint64_t peek_variable(struct cpu *cpu, unsigned size, unsigned skip)
{
    switch (size) {
    case 2:
        return stack_peek(cpu, 2, skip);
    case 4:
        return stack_peek(cpu, 4, skip);
    default:
        return stack_peek(cpu, 8, skip);
    }
}

void execute_push_imm(struct cpu *cpu, const struct insn *insn)
{
    stack_push_sized(cpu, insn->operand_size, insn->immediate);
}

static unsigned operand_segment(const struct insn *insn)
{
    return insn->opcode->operands[0] - sES;
}

/* SDM vol. 2, PUSH: of 32 bits Intel's processors write 16. AMD's write all, the upper ones zero.
 */
void execute_push_segment(struct cpu *cpu, const struct insn *insn)
{
    uint16_t selector = cpu->segment[operand_segment(insn)].selector;
    if (insn->operand_size == 4 && !cpu->vendor_amd) {
        uint64_t pointer = (cpu->gpr[X86_RSP] - 4) & stack_mask(cpu);
        cpu_write16(cpu, X86_SS, pointer, selector);
        stack_pointer_write(cpu, pointer);
    } else {
        stack_push_sized(cpu, insn->operand_size, selector);
    }
}

void execute_pop_segment(struct cpu *cpu, const struct insn *insn)
{
    unsigned segment = operand_segment(insn), size = insn->operand_size;
    /* The width of the stack pointer is that of the old SS. */
    unsigned pointer_size = stack_address_size(cpu);
    uint16_t selector = stack_peek(cpu, 2, 0);
    segment_load(cpu, segment, selector);
    gpr_write(cpu, X86_RSP, pointer_size, cpu->gpr[X86_RSP] + size);
    if (segment == X86_SS) {
        segment_shadow_interrupts(cpu);
    }
}

/* The whole frame is checked first: a fault leaves everything as it was. */
void execute_pusha(struct cpu *cpu, const struct insn *insn)
{
    unsigned size = insn->operand_size;
    uint64_t mask = stack_mask(cpu), pointer = cpu->gpr[X86_RSP];
    for (unsigned i = 1; i <= 8; i++) {
        cpu_probe_write(cpu, X86_SS, (pointer - i * size) & mask, size);
    }
    for (unsigned i = 0; i < 8; i++) {
        pointer = (pointer - size) & mask;
        if (size == 2) {
            cpu_write16(cpu, X86_SS, pointer, cpu->gpr[i]);
        } else {
            cpu_write32(cpu, X86_SS, pointer, cpu->gpr[i]);
        }
    }
    stack_pointer_write(cpu, pointer);
}

void execute_popa(struct cpu *cpu, const struct insn *insn)
{
    unsigned size = insn->operand_size;
    uint64_t values[8];
    for (unsigned i = 0; i < 8; i++) {
        values[i] = peek_variable(cpu, size, i * size);
    }
    for (unsigned i = 0; i < 8; i++) {
        unsigned number = X86_RDI - i;
        if (number != X86_RSP) {
            gpr_write(cpu, number, size, values[i]);
        }
    }
    stack_drop(cpu, 8 * size);
}

static unsigned io_privilege(const struct cpu *cpu)
{
    return (cpu->eflags & FLAG_IOPL) >> 12;
}

void execute_pushf(struct cpu *cpu, const struct insn *insn)
{
    uint32_t flags = cpu_get_eflags(cpu) & ~(FLAG_VM | FLAG_RF);
    if (cpu->v86 && io_privilege(cpu) < 3) {
        if (!(cpu->cr4 & CR4_VME) || insn->operand_size != 2) {
            cpu_raise_error(cpu, EXCEPTION_GP, 0);
        }
        /* The guest of v86 sees VIF as its IF, and IOPL 3. */
        flags = (flags & ~FLAG_IF) | (flags & FLAG_VIF ? FLAG_IF : 0) | FLAG_IOPL;
    }
    stack_push_sized(cpu, insn->operand_size, flags);
}

/* POPF with VME in v86 mode at IOPL < 3: IF goes to VIF (SDM vol. 2, POPF). */
static void popf_vme(struct cpu *cpu, uint32_t value)
{
    if (((value & FLAG_IF) && (cpu->eflags & FLAG_VIP)) || (value & FLAG_TF)) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    stack_drop(cpu, 2);
    value = (value & ~FLAG_VIF) | (value & FLAG_IF ? FLAG_VIF : 0);
    cpu_set_eflags(cpu, value, FLAGS_STATUS | FLAG_DF | FLAG_TF | FLAG_NT | FLAG_VIF | FLAG_RF);
}

void execute_popf(struct cpu *cpu, const struct insn *insn)
{
    unsigned size = insn->operand_size;
    uint32_t mask = FLAGS_STATUS | FLAG_TF | FLAG_DF | FLAG_NT;
    if (cpu->v86 && io_privilege(cpu) < 3) {
        if (!(cpu->cr4 & CR4_VME) || size != 2) {
            cpu_raise_error(cpu, EXCEPTION_GP, 0);
        }
        popf_vme(cpu, stack_peek(cpu, 2, 0));
        cpu->exit_block = true; /* TF may be set */
        return;
    }
    uint32_t value = peek_variable(cpu, size, 0);
    if (size != 2) {
        mask |= FLAG_AC | FLAG_ID;
    }
    if (!cpu->protected_mode || cpu->cpl == 0) {
        mask |= FLAG_IOPL;
    }
    if (!cpu->protected_mode || cpu->cpl <= io_privilege(cpu)) {
        mask |= FLAG_IF;
    }
    stack_drop(cpu, size);
    /* RF is always cleared; VM, VIF and VIP stay. */
    cpu_set_eflags(cpu, value & ~FLAG_RF, mask | FLAG_RF);
    cpu->exit_block = true;
}

#define ENTER_MAX_LEVEL 31

/* SDM vol. 2, ENTER. Step by step, since frames may overlap: a fault after some pushes leaves them
 * in memory, below the stack pointer. */
void execute_enter(struct cpu *cpu, const struct insn *insn)
{
    unsigned size = insn->operand_size, level = insn->immediate2 & ENTER_MAX_LEVEL;
    uint64_t mask = stack_mask(cpu), frame_pointer = cpu->gpr[X86_RBP];
    uint64_t frame = (cpu->gpr[X86_RSP] - size) & mask, pointer = frame;
    memory_write(cpu, X86_SS, pointer, size, frame_pointer);
    for (unsigned i = 1; i < level; i++) {
        frame_pointer = (frame_pointer - size) & mask;
        uint64_t value = memory_read(cpu, X86_SS, frame_pointer, size);
        pointer = (pointer - size) & mask;
        memory_write(cpu, X86_SS, pointer, size, value);
    }
    if (level > 0) {
        pointer = (pointer - size) & mask;
        memory_write(cpu, X86_SS, pointer, size, frame);
    }
    /* Room for the local variables is demanded as if the last of them were written. */
    pointer = (pointer - insn->immediate) & mask;
    cpu_probe_write(cpu, X86_SS, pointer, 1);
    gpr_write(cpu, X86_RBP, size, frame);
    stack_pointer_write(cpu, pointer);
}

void execute_leave(struct cpu *cpu, const struct insn *insn)
{
    unsigned size = insn->operand_size;
    uint64_t pointer = cpu->gpr[X86_RBP] & stack_mask(cpu);
    uint64_t value = memory_read(cpu, X86_SS, pointer, size);
    stack_pointer_write(cpu, pointer + size);
    gpr_write(cpu, X86_RBP, size, value);
}
