/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Far RET and IRET: SDM vol. 2, in the order of checks of their pseudo-code. */
#include "tcg/event.h"
#include "tcg/execute.h"
#include "tcg/operand.h"
#include "tcg/rollback.h"

static bool uses_real_segments(const struct cpu *cpu)
{
    return !cpu->protected_mode || cpu->v86;
}

static uint64_t peek(struct cpu *cpu, const struct insn *insn, unsigned slot)
{
    return stack_peek(cpu, insn->operand_size, slot * insn->operand_size);
}

/* Where a far return goes, and the descriptors checked for it. */
struct return_frame {
    uint16_t code_selector, stack_selector;
    uint64_t rip, stack_pointer;
    struct descriptor code, stack;
};

static void check_code(struct cpu *cpu, struct return_frame *frame)
{
    uint16_t selector = frame->code_selector;
    unsigned rpl = selector & SELECTOR_RPL;
    struct descriptor *d = &frame->code;
    if (selector_is_null(selector)) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    if (!descriptor_read(cpu, selector, d) || !descriptor_is_code(d) || rpl < cpu->cpl ||
        (descriptor_is_conforming(d) ? descriptor_dpl(d) > rpl : descriptor_dpl(d) != rpl)) {
        raise_selector(cpu, EXCEPTION_GP, selector);
    }
    segment_check_code_size(cpu, d, selector);
    if (!descriptor_is_present(d)) {
        raise_selector(cpu, EXCEPTION_NP, selector);
    }
}

/* A null SS is good for 64-bit code at levels 0 to 2. */
static void check_stack(struct cpu *cpu, struct return_frame *frame)
{
    uint16_t selector = frame->stack_selector;
    unsigned rpl = frame->code_selector & SELECTOR_RPL;
    struct descriptor *d = &frame->stack;
    if (selector_is_null(selector)) {
        bool to_64 = cpu->long_mode && (descriptor_attributes(&frame->code) & SEGMENT_L);
        if (!to_64 || rpl == 3 || (selector & SELECTOR_RPL) != rpl) {
            cpu_raise_error(cpu, EXCEPTION_GP, 0);
        }
        return;
    }
    if (!descriptor_read(cpu, selector, d) || (selector & SELECTOR_RPL) != rpl ||
        !descriptor_is_writable_data(d) || descriptor_dpl(d) != rpl) {
        raise_selector(cpu, EXCEPTION_GP, selector);
    }
    if (!descriptor_is_present(d)) {
        raise_selector(cpu, EXCEPTION_SS, selector);
    }
}

static void load_code(struct cpu *cpu, struct return_frame *frame)
{
    cpu->cpl = frame->code_selector & SELECTOR_RPL;
    segment_load_code(cpu, frame->code_selector, &frame->code);
    cpu->rip = frame->rip;
}

/* `extra` bytes of parameters are dropped from the stack returned to. */
static void load_stack(struct cpu *cpu, struct return_frame *frame, uint64_t extra)
{
    if (selector_is_null(frame->stack_selector)) {
        segment_load_null(cpu, X86_SS, frame->stack_selector);
    } else {
        descriptor_set_accessed(cpu, &frame->stack);
        descriptor_to_segment(&frame->stack, frame->stack_selector, &cpu->segment[X86_SS]);
    }
    cpu_update_mode(cpu);
    stack_pointer_write(cpu, frame->stack_pointer + extra);
}

static void return_real(struct cpu *cpu, const struct insn *insn)
{
    uint64_t rip = peek(cpu, insn, 0);
    uint16_t selector = peek(cpu, insn, 1);
    if (rip > (cpu->v86 ? 0xffff : cpu->segment[X86_CS].limit)) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    stack_drop(cpu, 2 * insn->operand_size + insn->immediate);
    segment_load_real(cpu, X86_CS, selector);
    cpu->rip = rip;
}

void execute_ret_far(struct cpu *cpu, const struct insn *insn)
{
    unsigned size = insn->operand_size;
    struct return_frame frame = {0};
    struct cpu_rollback state;
    if (uses_real_segments(cpu)) {
        return_real(cpu, insn);
        return;
    }
    frame.rip = peek(cpu, insn, 0);
    frame.code_selector = peek(cpu, insn, 1);
    check_code(cpu, &frame);
    bool outer = (frame.code_selector & SELECTOR_RPL) > cpu->cpl;
    if (outer) {
        unsigned skip = 2 * size + insn->immediate;
        frame.stack_pointer = stack_peek(cpu, size, skip);
        frame.stack_selector = stack_peek(cpu, size, skip + size);
        check_stack(cpu, &frame);
    }
    segment_check_target(cpu, &frame.code, frame.rip, 0);
    rollback_begin(cpu, &state);
    if (!outer) {
        stack_drop(cpu, 2 * size + insn->immediate);
        load_code(cpu, &frame);
    } else {
        load_code(cpu, &frame);
        load_stack(cpu, &frame, insn->immediate);
        segment_drop_privileged(cpu);
    }
    rollback_end(cpu);
}

static unsigned io_privilege(const struct cpu *cpu)
{
    return (cpu->eflags & FLAG_IOPL) >> 12;
}

/* The flags that IRET loads at this level, with this operand size. */
static uint32_t return_flags_mask(const struct cpu *cpu, unsigned size)
{
    uint32_t mask = FLAGS_STATUS | FLAG_TF | FLAG_DF | FLAG_NT;
    if (size != 2) {
        mask |= FLAG_RF | FLAG_AC | FLAG_ID;
    }
    if (cpu->cpl <= io_privilege(cpu)) {
        mask |= FLAG_IF;
    }
    if (cpu->cpl == 0) {
        mask |= FLAG_IOPL | (size != 2 ? FLAG_VIF | FLAG_VIP : 0);
    }
    return mask;
}

static void iret_real(struct cpu *cpu, const struct insn *insn)
{
    uint64_t rip = peek(cpu, insn, 0);
    uint16_t selector = peek(cpu, insn, 1);
    uint32_t flags = peek(cpu, insn, 2);
    if (rip > cpu->segment[X86_CS].limit) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    stack_drop(cpu, 3 * insn->operand_size);
    segment_load_real(cpu, X86_CS, selector);
    cpu->rip = rip;
    cpu_set_eflags(cpu, flags, return_flags_mask(cpu, insn->operand_size) & ~(FLAG_VIF | FLAG_VIP));
}

/* RETURN-FROM-VIRTUAL-8086-MODE. */
static void iret_v86(struct cpu *cpu, const struct insn *insn)
{
    bool full = io_privilege(cpu) == 3;
    if (!full && (!(cpu->cr4 & CR4_VME) || insn->operand_size != 2)) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    uint64_t rip = peek(cpu, insn, 0);
    uint16_t selector = peek(cpu, insn, 1);
    uint32_t flags = peek(cpu, insn, 2);
    uint32_t mask = return_flags_mask(cpu, insn->operand_size) & ~FLAG_IOPL;
    if (rip > 0xffff) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    if (!full) {
        if ((flags & FLAG_TF) || ((flags & FLAG_IF) && (cpu->eflags & FLAG_VIP))) {
            cpu_raise_error(cpu, EXCEPTION_GP, 0);
        }
        flags = (flags & ~FLAG_VIF) | (flags & FLAG_IF ? FLAG_VIF : 0);
        mask = (mask & ~FLAG_IF) | FLAG_VIF;
    }
    stack_drop(cpu, 3 * insn->operand_size);
    segment_load_real(cpu, X86_CS, selector);
    cpu->rip = rip;
    cpu_set_eflags(cpu, flags, mask);
}

/* TASK-RETURN: back to the task whose TSS the current one links to. */
static void iret_task(struct cpu *cpu)
{
    uint16_t selector = cpu_system_read(cpu, cpu->task.base, 2);
    struct descriptor d;
    struct cpu_rollback state;
    if ((selector & SELECTOR_TI) || selector_is_null(selector) ||
        !descriptor_read(cpu, selector, &d) || !descriptor_is_system(&d) ||
        (descriptor_type(&d) != SYSTEM_TSS_16_BUSY && descriptor_type(&d) != SYSTEM_TSS_32_BUSY)) {
        raise_selector(cpu, EXCEPTION_TS, selector);
    }
    if (!descriptor_is_present(&d)) {
        raise_selector(cpu, EXCEPTION_NP, selector);
    }
    rollback_begin(cpu, &state);
    task_switch(cpu, selector, &d, TASK_RETURN);
    task_switch_finish(cpu, 0);
}

/* RETURN-TO-VIRTUAL-8086-MODE: nine doublewords. */
static void iret_to_v86(struct cpu *cpu, const struct insn *insn, uint64_t rip, uint16_t code,
                        uint32_t flags)
{
    static const uint8_t order[] = {X86_SS, X86_ES, X86_DS, X86_FS, X86_GS};
    uint64_t pointer = peek(cpu, insn, 3);
    uint16_t selectors[G_N_ELEMENTS(order)];
    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        selectors[i] = peek(cpu, insn, 4 + i);
    }
    if (rip > 0xffff) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    cpu_set_eflags(cpu, flags,
                   FLAGS_STATUS | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_RF |
                       FLAG_VM | FLAG_AC | FLAG_VIF | FLAG_VIP | FLAG_ID);
    cpu_update_mode(cpu);
    segment_load_real(cpu, X86_CS, code);
    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        segment_load_real(cpu, order[i], selectors[i]);
    }
    cpu->rip = rip & 0xffff;
    cpu->gpr[X86_RSP] = (uint32_t)pointer;
}

static void iret_protected(struct cpu *cpu, const struct insn *insn)
{
    unsigned size = insn->operand_size;
    uint32_t mask = return_flags_mask(cpu, size);
    struct return_frame frame = {.rip = peek(cpu, insn, 0), .code_selector = peek(cpu, insn, 1)};
    uint32_t flags = peek(cpu, insn, 2);
    struct cpu_rollback state;
    if (!cpu->long_mode && size == 4 && (flags & FLAG_VM) && cpu->cpl == 0) {
        iret_to_v86(cpu, insn, frame.rip, frame.code_selector, flags);
        return;
    }
    /* 64-bit mode always pops SS:RSP. */
    bool from_64 = cpu->mode == CPU_MODE_64;
    check_code(cpu, &frame);
    bool outer = (frame.code_selector & SELECTOR_RPL) > cpu->cpl;
    if (outer || from_64) {
        frame.stack_pointer = peek(cpu, insn, 3);
        frame.stack_selector = peek(cpu, insn, 4);
        check_stack(cpu, &frame);
    }
    segment_check_target(cpu, &frame.code, frame.rip, 0);
    rollback_begin(cpu, &state);
    if (outer || from_64) {
        load_code(cpu, &frame);
        load_stack(cpu, &frame, 0);
    } else {
        stack_drop(cpu, 3 * size);
        load_code(cpu, &frame);
    }
    if (outer) {
        segment_drop_privileged(cpu);
    }
    cpu_set_eflags(cpu, flags, mask);
    rollback_end(cpu);
}

void execute_iret(struct cpu *cpu, const struct insn *insn)
{
    /* NMIs are let in again even if the IRET faults (SDM vol. 3, 6.7.1). */
    cpu->nmi_blocked = false;
    cpu->exit_block = true;
    if (!cpu->protected_mode) {
        iret_real(cpu, insn);
    } else if (cpu->v86) {
        iret_v86(cpu, insn);
    } else if (cpu->eflags & FLAG_NT) {
        if (cpu->long_mode) {
            cpu_raise_error(cpu, EXCEPTION_GP, 0);
        }
        iret_task(cpu);
    } else {
        iret_protected(cpu, insn);
    }
}
