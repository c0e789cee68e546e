/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Debug exceptions (SDM vol. 3, chapter 18). The run loop executes instruction by instruction while
 * debug_active(): debug_check_code before each (unless EFLAGS.RF), debug_after_instruction after
 * it.
 */
#ifndef DUODM_TCG_DEBUG_H
#define DUODM_TCG_DEBUG_H

#include "tcg/cpu.h"

#define DR6_CONDITIONS 0xfu       /* B0..B3 */
#define DR6_BD         (1u << 13) /* access to a debug register while DR7.GD */
#define DR6_BS         (1u << 14) /* single step */
#define DR6_BT         (1u << 15) /* task switch with the T bit */
#define DR6_FIXED      0xffff0ff0u
#define DR7_ENABLES    0xffu /* L0, G0 .. L3, G3 */
#define DR7_GD         (1u << 13)
#define DR7_FIXED      (1u << 10)

/* Must instructions execute one at a time? */
static inline bool debug_active(const struct cpu *cpu)
{
    return (cpu->eflags & FLAG_TF) || (cpu->dr[7] & DR7_ENABLES);
}

/* Raise #DB (a fault) if an execution breakpoint is at the instruction at rip. */
void debug_check_code(struct cpu *cpu);
/* A data access of length bytes was made: remember the breakpoints it hit. */
void debug_note_access(struct cpu *cpu, uint64_t linear, unsigned length, bool is_write);
void debug_note_port_slow(struct cpu *cpu, uint16_t port, unsigned size);
/* Deliver #DB (a trap) for data and I/O breakpoints and, if it began with EFLAGS.TF, the step. */
void debug_after_instruction(struct cpu *cpu, bool single_step);
/* Deliver #DB as a trap now, for the given bits of DR6. */
void debug_trap(struct cpu *cpu, uint32_t reasons);
/* INT1: a #DB without a reason of its own. */
void debug_icebp(struct cpu *cpu);
/* Raise #DB as a fault, for the given bits of DR6. */
_Noreturn void debug_fault(struct cpu *cpu, uint32_t reasons);

/* An access to I/O ports was made. */
static inline void debug_note_port(struct cpu *cpu, uint16_t port, unsigned size)
{
    if (__builtin_expect(cpu->dr[7] & DR7_ENABLES, 0)) {
        debug_note_port_slow(cpu, port, size);
    }
}

#endif
