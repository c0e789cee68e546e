/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What events and far transfers share: frames on stacks, stacks from the TSS, task switches. */
#ifndef DUODM_TCG_EVENT_H
#define DUODM_TCG_EVENT_H

#include "tcg/segment.h"

/* A stack to switch to. */
struct new_stack {
    uint16_t selector;
    uint64_t pointer;
    struct descriptor descriptor; /* of SS; not read for a null selector */
};

/* SS:ESP for level dpl from the current 16- or 32-bit TSS: #TS if it is too short. */
void stack_from_task(struct cpu *cpu, unsigned dpl, struct new_stack *stack);
/* RSP for level dpl, or of an IST entry (1..7), from the 64-bit TSS. */
uint64_t stack_from_task_64(struct cpu *cpu, unsigned dpl, unsigned ist);
/* Check the SS that stack_from_task found, for level dpl: #TS or #SS. */
void stack_check_new(struct cpu *cpu, struct new_stack *stack, unsigned dpl);
/* Load SS and the stack pointer. cpl is that of the stack already. */
void stack_load_new(struct cpu *cpu, struct new_stack *stack);
/* #SS(selector) unless `count` pushes of `size` bytes fit on the current stack. */
void stack_check_room(struct cpu *cpu, unsigned count, unsigned size, uint16_t selector);
/* Push with a size known only at run time. */
void stack_push_sized(struct cpu *cpu, unsigned size, uint64_t value);

/* INT n, INT3 (is_int_n false), INTO (likewise). */
void event_software(struct cpu *cpu, uint8_t vector, bool is_int_n);

enum task_switch_cause { TASK_JUMP, TASK_CALL, TASK_RETURN, TASK_EVENT };

/*
 * Switch to the TSS of descriptor d, which was checked to be a present TSS of the right busyness
 * (SDM vol. 3, 7.3). After it rip is the new task's, checked against its CS by the caller.
 */
void task_switch(struct cpu *cpu, uint16_t selector, struct descriptor *d,
                 enum task_switch_cause cause);
/* After a switch, and an error code's push: #GP if EIP is outside CS, #DB if the T bit is set. */
void task_switch_finish(struct cpu *cpu, uint32_t error);
/* Read the TSS that a task gate (or JMP, CALL) names: #GP, #NP for one that can't be entered. */
void task_read_tss(struct cpu *cpu, uint16_t selector, struct descriptor *d);

#endif
