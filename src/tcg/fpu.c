/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87 state: when instructions may run, exceptions, the register stack's faults, tags. */
#include "dm/machine.h"
#include "tcg/fpu.h"
#include "tcg/simd.h"

#define FPU_ERROR_INTERRUPT 13

void fpu_check_available(struct cpu *cpu)
{
    if (cpu->cr0 & (CR0_EM | CR0_TS)) {
        cpu_raise(cpu, EXCEPTION_NM);
    }
}

void fpu_check(struct cpu *cpu)
{
    fpu_check_available(cpu);
    fpu_raise_pending(cpu);
}

/*
 * With CR0.NE clear the error goes out by the FERR# pin, which a PC wires to IRQ 13
 * (SDM vol. 1, 8.7.2), at once; waiting instructions then behave as with IGNNE# asserted.
 */
void fpu_signal_error(struct cpu *cpu)
{
    if (!(cpu->cr0 & CR0_NE) && cpu->vcpu && cpu->vcpu->machine) {
        irq_line_pulse(&cpu->vcpu->machine->gsi[FPU_ERROR_INTERRUPT]);
    }
}

void fpu_raise_error(struct cpu *cpu)
{
    if (cpu->cr0 & CR0_NE) {
        cpu_raise(cpu, EXCEPTION_MF);
    }
}

void fpu_record(struct cpu *cpu, const struct insn *insn)
{
    struct cpu_fpu *fpu = &cpu->fpu;

    fpu->opcode = ((insn->byte & 7) << 8) | insn->modrm;
    fpu->instruction_pointer = cpu->rip - insn->length;
    fpu->instruction_selector = cpu->segment[X86_CS].selector;
    if (insn->memory) {
        fpu->data_pointer = insn_effective_address(cpu, insn);
        fpu->data_selector = cpu->segment[insn->segment].selector;
    }
}

bool fpu_note_status(struct cpu *cpu, uint16_t status, uint16_t conditions)
{
    uint16_t raised = status & FPU_EXCEPTIONS;

    cpu->fpu.status = (cpu->fpu.status & ~conditions) | raised | (status & conditions);
    if (!raised) {
        return true;
    }
    fpu_update_summary(cpu);
    return !(raised & ~cpu->fpu.control & FPU_PRECOMPUTATION);
}

bool fpu_note_store_status(struct cpu *cpu, uint16_t status)
{
    return fpu_note_status(cpu, status, FPU_C1) &&
           !(status & ~cpu->fpu.control & (FPU_OE | FPU_UE));
}

static bool fpu_stack_fault(struct cpu *cpu, uint16_t c1)
{
    cpu->fpu.status = (cpu->fpu.status & ~FPU_C1) | FPU_IE | FPU_SF | c1;
    fpu_update_summary(cpu);
    return cpu->fpu.control & FPU_IE;
}

bool fpu_stack_underflow(struct cpu *cpu)
{
    return fpu_stack_fault(cpu, 0);
}

bool fpu_stack_overflow(struct cpu *cpu)
{
    return fpu_stack_fault(cpu, FPU_C1);
}

void fpu_initialize(struct cpu *cpu)
{
    struct cpu_fpu *fpu = &cpu->fpu;

    fpu->control = FPU_CONTROL_RESET;
    fpu->status = 0;
    fpu->valid = 0;
    fpu->opcode = 0;
    fpu->instruction_pointer = fpu->data_pointer = 0;
    fpu->instruction_selector = fpu->data_selector = 0;
}

enum fpu_tag { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

static enum fpu_tag fpu_classify(uint64_t mantissa, uint16_t exponent)
{
    if ((exponent & 0x7fff) == 0) {
        return mantissa == 0 ? TAG_ZERO : TAG_SPECIAL;
    }
    if ((exponent & 0x7fff) == 0x7fff) {
        return TAG_SPECIAL;
    }
    return mantissa >> 63 ? TAG_VALID : TAG_SPECIAL;
}

uint16_t fpu_get_tag_word(const struct cpu *cpu)
{
    uint16_t tags = 0;

    for (unsigned i = 0; i < 8; i++) {
        enum fpu_tag tag = TAG_EMPTY;
        if ((cpu->fpu.valid >> i) & 1) {
            tag = fpu_classify(cpu->fpu.registers[i].mantissa, cpu->fpu.registers[i].exponent);
        }
        tags |= tag << (2 * i);
    }
    return tags;
}

void fpu_set_tag_word(struct cpu *cpu, uint16_t tags)
{
    cpu->fpu.valid = 0;
    for (unsigned i = 0; i < 8; i++) {
        if (((tags >> (2 * i)) & 3) != TAG_EMPTY) {
            cpu->fpu.valid |= 1u << i;
        }
    }
}
