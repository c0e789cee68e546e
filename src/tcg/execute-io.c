/* SPDX-License-Identifier: GPL-2.0-or-later */
/* I/O ports, and the instructions that IOPL guards: IN, OUT, CLI, STI, HLT. */
#include "tcg/debug.h"
#include "tcg/execute.h"
#include "tcg/operand.h"
#include "tcg/port.h"
#include "tcg/segment.h"

static unsigned io_privilege(const struct cpu *cpu)
{
    return (cpu->eflags & FLAG_IOPL) >> 12;
}

#define TSS_32_IO_MAP_BASE 0x66
#define TSS_32_MINIMUM     0x67

/* The bitmap is read as a word, of which the last byte must be within the TSS's limit too. */
static bool bitmap_allows(struct cpu *cpu, uint16_t port, unsigned size)
{
    const struct x86_segment *task = &cpu->task;
    unsigned type = task->attributes & SEGMENT_TYPE;
    bool is_32_bit = type == SYSTEM_TSS_32_AVAILABLE || type == SYSTEM_TSS_32_BUSY;
    if (!is_32_bit || task->limit < TSS_32_MINIMUM) {
        return false;
    }
    unsigned base = cpu_system_read(cpu, task->base + TSS_32_IO_MAP_BASE, 2);
    uint64_t offset = base + port / 8u;
    if (offset + 1 > task->limit) {
        return false;
    }
    unsigned bits = cpu_system_read(cpu, task->base + offset, 2);
    return ((bits >> (port & 7)) & ((1u << size) - 1)) == 0;
}

void port_check(struct cpu *cpu, uint16_t port, unsigned size)
{
    if (!cpu->protected_mode || (!cpu->v86 && cpu->cpl <= io_privilege(cpu))) {
        return;
    }
    if (!bitmap_allows(cpu, port, size)) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
}

uint32_t port_read(struct cpu *cpu, uint16_t port, unsigned size)
{
    debug_note_port(cpu, port, size);
    return cpu_port_read(cpu, port, size);
}

void port_write(struct cpu *cpu, uint16_t port, unsigned size, uint32_t value)
{
    debug_note_port(cpu, port, size);
    cpu_port_write(cpu, port, size, value);
}

/* There is no 64-bit form: REX.W changes nothing. */
static void in(struct cpu *cpu, uint16_t port, unsigned size)
{
    size = size == 8 ? 4 : size;
    port_check(cpu, port, size);
    gpr_write(cpu, X86_RAX, size, port_read(cpu, port, size));
}

static void out(struct cpu *cpu, uint16_t port, unsigned size)
{
    size = size == 8 ? 4 : size;
    port_check(cpu, port, size);
    port_write(cpu, port, size, gpr_read(cpu, X86_RAX, size));
}

ALWAYS_INLINE void in_imm(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    in(cpu, (uint8_t)insn->immediate, size);
}
EXECUTE_BY_SIZE(in_imm)

ALWAYS_INLINE void in_dx(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    in(cpu, (uint16_t)cpu->gpr[X86_RDX], size);
}
EXECUTE_BY_SIZE(in_dx)

ALWAYS_INLINE void out_imm(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    out(cpu, (uint8_t)insn->immediate, size);
}
EXECUTE_BY_SIZE(out_imm)

ALWAYS_INLINE void out_dx(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    out(cpu, (uint16_t)cpu->gpr[X86_RDX], size);
}
EXECUTE_BY_SIZE(out_dx)

/* SDM vol. 2, CLI, table "Decision Table for CLI Results". */
void execute_cli(struct cpu *cpu, const struct insn *insn)
{
    if (!cpu->protected_mode || cpu->cpl <= io_privilege(cpu)) {
        cpu->eflags &= ~FLAG_IF;
    } else if ((cpu->v86 && (cpu->cr4 & CR4_VME)) ||
               (!cpu->v86 && cpu->cpl == 3 && (cpu->cr4 & CR4_PVI))) {
        cpu->eflags &= ~FLAG_VIF;
    } else {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
}

void execute_sti(struct cpu *cpu, const struct insn *insn)
{
    if (!cpu->protected_mode || cpu->cpl <= io_privilege(cpu)) {
        /* The shadow covers the next instruction only if interrupts were off. */
        if (!(cpu->eflags & FLAG_IF)) {
            cpu->interrupt_shadow = true;
        }
        cpu->eflags |= FLAG_IF;
        cpu->exit_block = true;
    } else if (((cpu->v86 && (cpu->cr4 & CR4_VME)) ||
                (!cpu->v86 && cpu->cpl == 3 && (cpu->cr4 & CR4_PVI))) &&
               !(cpu->eflags & FLAG_VIP)) {
        cpu->eflags |= FLAG_VIF;
    } else {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
}

void execute_hlt(struct cpu *cpu, const struct insn *insn)
{
    if (cpu->cpl != 0) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    cpu->halted = true;
    cpu->exit_block = true;
}
