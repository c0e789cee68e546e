/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Far JMP and CALL, software interrupts, and loads of segment registers. The protected-mode parts
 * follow the pseudo-code of SDM vol. 2, JMP and CALL, in its order of checks.
 */
#include "tcg/event.h"
#include "tcg/debug.h"
#include "tcg/execute.h"
#include "tcg/operand.h"
#include "tcg/rollback.h"

struct far_pointer {
    uint16_t selector;
    uint64_t offset;
};

static struct far_pointer read_far_pointer(struct cpu *cpu, const struct insn *insn)
{
    unsigned size = insn->operand_size;
    uint64_t offset = effective_address(cpu, insn);
    uint64_t next = (offset + size) & size_mask(insn->address_size);
    struct far_pointer pointer = {.offset = memory_read(cpu, insn->segment, offset, size)};
    pointer.selector = cpu_read16(cpu, insn->segment, next);
    return pointer;
}

static bool uses_real_segments(const struct cpu *cpu)
{
    return !cpu->protected_mode || cpu->v86;
}

/* Real and v86 mode: only the limit is checked. */
static void jump_real(struct cpu *cpu, struct far_pointer target)
{
    uint32_t limit = cpu->v86 ? 0xffff : cpu->segment[X86_CS].limit;
    if (target.offset > limit) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    segment_load_real(cpu, X86_CS, target.selector);
    cpu->rip = target.offset;
}

/* A code segment that JMP or CALL names directly: no change of level. */
static void check_direct_code(struct cpu *cpu, uint16_t selector, const struct descriptor *d)
{
    if (descriptor_is_conforming(d)
            ? descriptor_dpl(d) > cpu->cpl
            : (selector & SELECTOR_RPL) > cpu->cpl || descriptor_dpl(d) != cpu->cpl) {
        raise_selector(cpu, EXCEPTION_GP, selector);
    }
    segment_check_code_size(cpu, d, selector);
    if (!descriptor_is_present(d)) {
        raise_selector(cpu, EXCEPTION_NP, selector);
    }
}

/* Gates and TSSs: may this level use them? */
static void check_gate(struct cpu *cpu, uint16_t selector, const struct descriptor *d)
{
    if (descriptor_dpl(d) < cpu->cpl || descriptor_dpl(d) < (selector & SELECTOR_RPL)) {
        raise_selector(cpu, EXCEPTION_GP, selector);
    }
    if (!descriptor_is_present(d)) {
        raise_selector(cpu, EXCEPTION_NP, selector);
    }
}

/* A call gate, opened. */
struct call_gate {
    uint16_t selector;
    uint64_t offset;
    unsigned size, parameters;
    struct descriptor code;
};

static void read_call_gate(struct cpu *cpu, uint16_t selector, const struct descriptor *d,
                           struct call_gate *gate)
{
    uint32_t upper[2] = {0, 0};
    if (cpu->long_mode) {
        /* The second half's type field must be 0 (SDM vol. 3, 5.8.3.1). */
        if (!descriptor_read_upper(cpu, selector, upper) || (upper[1] & 0x1f00)) {
            raise_selector(cpu, EXCEPTION_GP, selector);
        }
    }
    check_gate(cpu, selector, d);
    gate->size = cpu->long_mode ? 8 : descriptor_type(d) == SYSTEM_CALL_GATE_32 ? 4 : 2;
    gate->parameters = cpu->long_mode ? 0 : d->high & 0x1f;
    gate->offset = (gate_offset(d) & size_mask(gate->size)) | (uint64_t)upper[0] << 32;
    gate->selector = gate_selector(d);
    if (selector_is_null(gate->selector)) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    if (!descriptor_read(cpu, gate->selector, &gate->code) || !descriptor_is_code(&gate->code) ||
        descriptor_dpl(&gate->code) > cpu->cpl) {
        raise_selector(cpu, EXCEPTION_GP, gate->selector);
    }
    unsigned size_bits = descriptor_attributes(&gate->code) & (SEGMENT_L | SEGMENT_D);
    if (cpu->long_mode && size_bits != SEGMENT_L) {
        raise_selector(cpu, EXCEPTION_GP, gate->selector);
    }
}

static bool is_call_gate(const struct cpu *cpu, unsigned type)
{
    return type == SYSTEM_CALL_GATE_32 || (type == SYSTEM_CALL_GATE_16 && !cpu->long_mode);
}

static void enter_code(struct cpu *cpu, uint16_t selector, struct descriptor *d, uint64_t offset)
{
    segment_load_code(cpu, (selector & ~SELECTOR_RPL) | cpu->cpl, d);
    cpu->rip = offset;
}

/* JMP and CALL to a TSS or through a task gate. */
static void switch_task(struct cpu *cpu, uint16_t selector, struct descriptor *d,
                        enum task_switch_cause cause)
{
    unsigned type = descriptor_type(d);
    struct descriptor tss = *d;
    struct cpu_rollback state;
    if (cpu->long_mode || (type != SYSTEM_TASK_GATE && type != SYSTEM_TSS_16_AVAILABLE &&
                           type != SYSTEM_TSS_32_AVAILABLE)) {
        raise_selector(cpu, EXCEPTION_GP, selector);
    }
    check_gate(cpu, selector, d);
    if (type == SYSTEM_TASK_GATE) {
        selector = gate_selector(d);
    }
    task_read_tss(cpu, selector, &tss);
    rollback_begin(cpu, &state);
    task_switch(cpu, selector, &tss, cause);
    task_switch_finish(cpu, 0);
}

static void jump_through_gate(struct cpu *cpu, uint16_t selector, const struct descriptor *d)
{
    struct call_gate gate;
    read_call_gate(cpu, selector, d, &gate);
    if (!descriptor_is_conforming(&gate.code) && descriptor_dpl(&gate.code) != cpu->cpl) {
        raise_selector(cpu, EXCEPTION_GP, gate.selector);
    }
    if (!descriptor_is_present(&gate.code)) {
        raise_selector(cpu, EXCEPTION_NP, gate.selector);
    }
    segment_check_target(cpu, &gate.code, gate.offset, 0);
    enter_code(cpu, gate.selector, &gate.code, gate.offset);
}

static void read_target(struct cpu *cpu, uint16_t selector, struct descriptor *d)
{
    if (selector_is_null(selector)) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    if (!descriptor_read(cpu, selector, d)) {
        raise_selector(cpu, EXCEPTION_GP, selector);
    }
    if (!descriptor_is_system(d) && !descriptor_is_code(d)) {
        raise_selector(cpu, EXCEPTION_GP, selector);
    }
}

static void jump_far(struct cpu *cpu, struct far_pointer target)
{
    struct descriptor d;
    if (uses_real_segments(cpu)) {
        jump_real(cpu, target);
        return;
    }
    read_target(cpu, target.selector, &d);
    if (!descriptor_is_system(&d)) {
        check_direct_code(cpu, target.selector, &d);
        segment_check_target(cpu, &d, target.offset, 0);
        enter_code(cpu, target.selector, &d, target.offset);
    } else if (is_call_gate(cpu, descriptor_type(&d))) {
        jump_through_gate(cpu, target.selector, &d);
    } else {
        switch_task(cpu, target.selector, &d, TASK_JUMP);
    }
}

void execute_jmp_far(struct cpu *cpu, const struct insn *insn)
{
    jump_far(cpu, (struct far_pointer){insn->immediate2, insn->immediate});
}

void execute_jmp_far_indirect(struct cpu *cpu, const struct insn *insn)
{
    jump_far(cpu, read_far_pointer(cpu, insn));
}

static void push_return(struct cpu *cpu, unsigned size, uint16_t code, uint64_t rip)
{
    stack_push_sized(cpu, size, code);
    stack_push_sized(cpu, size, rip);
}

#define MAX_PARAMETERS 31

/* A call gate to a more privileged level: the parameters move to the new stack. */
static void call_inner(struct cpu *cpu, struct call_gate *gate)
{
    unsigned level = descriptor_dpl(&gate->code), size = gate->size;
    uint16_t old_code = cpu->segment[X86_CS].selector, old_stack = cpu->segment[X86_SS].selector;
    uint64_t old_pointer = cpu->gpr[X86_RSP], old_rip = cpu->rip;
    uint64_t parameters[MAX_PARAMETERS];
    struct new_stack stack;
    struct cpu_rollback state;
    if (cpu->long_mode) {
        stack.pointer = stack_from_task_64(cpu, level, 0);
    } else {
        stack_from_task(cpu, level, &stack);
        stack_check_new(cpu, &stack, level);
    }
    for (unsigned i = 0; i < gate->parameters; i++) {
        parameters[i] = stack_peek(cpu, size, i * size);
    }

    rollback_begin(cpu, &state);
    cpu->cpl = level;
    if (cpu->long_mode) {
        segment_load_null(cpu, X86_SS, level);
    } else {
        stack_load_new(cpu, &stack);
        stack_check_room(cpu, 4 + gate->parameters, size, stack.selector);
    }
    segment_check_target(cpu, &gate->code, gate->offset, 0);
    enter_code(cpu, gate->selector, &gate->code, gate->offset);
    if (cpu->long_mode) {
        cpu->gpr[X86_RSP] = stack.pointer;
    }
    stack_push_sized(cpu, size, old_stack);
    stack_push_sized(cpu, size, old_pointer);
    for (unsigned i = gate->parameters; i-- > 0;) {
        stack_push_sized(cpu, size, parameters[i]);
    }
    push_return(cpu, size, old_code, old_rip);
    rollback_end(cpu);
}

/* Without a change of level, to code that was checked. */
static void call_same_level(struct cpu *cpu, uint16_t selector, struct descriptor *d,
                            uint64_t offset, unsigned size)
{
    uint16_t old_code = cpu->segment[X86_CS].selector;
    uint64_t old_rip = cpu->rip;
    struct cpu_rollback state;
    stack_check_room(cpu, 2, size, 0);
    segment_check_target(cpu, d, offset, 0);
    rollback_begin(cpu, &state);
    /* Pushed before CS changes: the stack pointer's width is the caller's. */
    push_return(cpu, size, old_code, old_rip);
    enter_code(cpu, selector, d, offset);
    rollback_end(cpu);
}

static void call_through_gate(struct cpu *cpu, uint16_t selector, const struct descriptor *d)
{
    struct call_gate gate;
    read_call_gate(cpu, selector, d, &gate);
    if (!descriptor_is_present(&gate.code)) {
        raise_selector(cpu, EXCEPTION_NP, gate.selector);
    }
    if (!descriptor_is_conforming(&gate.code) && descriptor_dpl(&gate.code) < cpu->cpl) {
        call_inner(cpu, &gate);
    } else {
        call_same_level(cpu, gate.selector, &gate.code, gate.offset, gate.size);
    }
}

static void call_real(struct cpu *cpu, struct far_pointer target, unsigned size)
{
    uint32_t limit = cpu->v86 ? 0xffff : cpu->segment[X86_CS].limit;
    struct cpu_rollback state;
    stack_check_room(cpu, 2, size, 0);
    if (target.offset > limit) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    rollback_begin(cpu, &state);
    push_return(cpu, size, cpu->segment[X86_CS].selector, cpu->rip);
    rollback_end(cpu);
    segment_load_real(cpu, X86_CS, target.selector);
    cpu->rip = target.offset;
}

static void call_far(struct cpu *cpu, struct far_pointer target, unsigned size)
{
    struct descriptor d;
    if (uses_real_segments(cpu)) {
        call_real(cpu, target, size);
        return;
    }
    read_target(cpu, target.selector, &d);
    if (!descriptor_is_system(&d)) {
        check_direct_code(cpu, target.selector, &d);
        call_same_level(cpu, target.selector, &d, target.offset, size);
    } else if (is_call_gate(cpu, descriptor_type(&d))) {
        call_through_gate(cpu, target.selector, &d);
    } else {
        switch_task(cpu, target.selector, &d, TASK_CALL);
    }
}

void execute_call_far(struct cpu *cpu, const struct insn *insn)
{
    call_far(cpu, (struct far_pointer){insn->immediate2, insn->immediate}, insn->operand_size);
}

void execute_call_far_indirect(struct cpu *cpu, const struct insn *insn)
{
    call_far(cpu, read_far_pointer(cpu, insn), insn->operand_size);
}

void execute_int3(struct cpu *cpu, const struct insn *insn)
{
    event_software(cpu, EXCEPTION_BP, false);
}

void execute_int_imm(struct cpu *cpu, const struct insn *insn)
{
    event_software(cpu, insn->immediate, true);
}

void execute_into(struct cpu *cpu, const struct insn *insn)
{
    if (flags_get_overflow(cpu)) {
        event_software(cpu, EXCEPTION_OF, false);
    }
}

/* INT1: a trap that no descriptor privilege check stops, and that leaves DR6 alone. */
void execute_icebp(struct cpu *cpu, const struct insn *insn)
{
    bool step = cpu->eflags & FLAG_TF;
    debug_icebp(cpu);
    cpu->debug_no_step = step;
}

/* A memory operand is 16 bits, whatever the operand size. */
void execute_mov_rm_segment(struct cpu *cpu, const struct insn *insn)
{
    unsigned number = insn->reg & 7;
    if (number >= X86_SEGMENT_COUNT) {
        cpu_raise(cpu, EXCEPTION_UD);
    }
    uint16_t selector = cpu->segment[number].selector;
    if (insn->memory) {
        rm_write(cpu, insn, 2, selector);
    } else {
        gpr_write(cpu, insn->rm, insn->operand_size, selector);
    }
}

void execute_mov_segment_rm(struct cpu *cpu, const struct insn *insn)
{
    unsigned number = insn->reg & 7;
    if (number >= X86_SEGMENT_COUNT || number == X86_CS) {
        cpu_raise(cpu, EXCEPTION_UD);
    }
    segment_load(cpu, number, rm_read(cpu, insn, 2));
    if (number == X86_SS) {
        segment_shadow_interrupts(cpu);
    }
}

/* LES and its kin: the register is written only if the segment could be loaded. */
static void load_pointer(struct cpu *cpu, const struct insn *insn, unsigned segment)
{
    struct far_pointer pointer = read_far_pointer(cpu, insn);
    segment_load(cpu, segment, pointer.selector);
    gpr_write(cpu, insn->reg, insn->operand_size, pointer.offset);
}

void execute_les(struct cpu *cpu, const struct insn *insn)
{
    load_pointer(cpu, insn, X86_ES);
}

void execute_lds(struct cpu *cpu, const struct insn *insn)
{
    load_pointer(cpu, insn, X86_DS);
}

void execute_lss(struct cpu *cpu, const struct insn *insn)
{
    load_pointer(cpu, insn, X86_SS);
}

void execute_lfs(struct cpu *cpu, const struct insn *insn)
{
    load_pointer(cpu, insn, X86_FS);
}

void execute_lgs(struct cpu *cpu, const struct insn *insn)
{
    load_pointer(cpu, insn, X86_GS);
}
