/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exceptions and the delivery of events: SDM vol. 3, chapter 6 and 20 (real and virtual-8086 mode),
 * with the pseudo-code of INT n in vol. 2.
 */
#include "tcg/access.h"
#include "tcg/debug.h"
#include "tcg/event.h"
#include "tcg/operand.h"
#include "tcg/rollback.h"

#define ERROR_EXT 1u /* the event did not come from the program */
#define ERROR_IDT 2u /* the error code's index is into the IDT */

#define NO_VECTOR (-1) /* delivering_vector of an interrupt: benign */
/* The same of INT n, INT3, INTO: benign, and EXT stays clear in error codes. */
#define SOFTWARE_VECTOR (-2)

/* SDM vol. 3, table 6-4. */
enum exception_class { CLASS_BENIGN, CLASS_CONTRIBUTORY, CLASS_PAGE_FAULT, CLASS_DOUBLE_FAULT };

static enum exception_class exception_class(int vector)
{
    switch (vector) {
    case EXCEPTION_DE:
    case EXCEPTION_TS:
    case EXCEPTION_NP:
    case EXCEPTION_SS:
    case EXCEPTION_GP:
        return CLASS_CONTRIBUTORY;
    case EXCEPTION_PF:
        return CLASS_PAGE_FAULT;
    case EXCEPTION_DF:
        return CLASS_DOUBLE_FAULT;
    default:
        return CLASS_BENIGN;
    }
}

/* With what the fault `vector` during the delivery of another event is answered: itself, a double
 * fault, or NO_VECTOR for shutdown (SDM vol. 3, table 6-5). */
static int combine(int first_vector, int vector)
{
    enum exception_class first = exception_class(first_vector), second = exception_class(vector);
    if (first == CLASS_DOUBLE_FAULT) {
        return second == CLASS_BENIGN ? vector : NO_VECTOR;
    }
    if (first == CLASS_CONTRIBUTORY && second == CLASS_CONTRIBUTORY) {
        return EXCEPTION_DF;
    }
    if (first == CLASS_PAGE_FAULT && second != CLASS_BENIGN) {
        return EXCEPTION_DF;
    }
    return vector;
}

static _Noreturn void raise_exception(struct cpu *cpu, int vector, bool has_error, uint32_t error)
{
    static const struct insn no_insn;
    rollback_restore(cpu);
    cpu->rip -= cpu->current->length;
    if (cpu->mode != CPU_MODE_64) {
        cpu->rip = (uint32_t)cpu->rip;
    }
    cpu->current = &no_insn;
    cpu->debug_pending = 0;
    cpu->debug_no_step = false;
    cpu->interrupt_shadow = cpu->debug_shadow = false;
    if (cpu->delivering) {
        bool external = cpu->delivering_vector != SOFTWARE_VECTOR;
        if (has_error && vector != EXCEPTION_PF && vector != EXCEPTION_AC && external) {
            error |= ERROR_EXT;
        }
        vector = combine(cpu->delivering_vector, vector);
        if (vector == EXCEPTION_DF) {
            has_error = true;
            error = 0;
        }
        cpu->delivering = false;
    }
    cpu->pending_vector = vector;
    cpu->pending_has_error = has_error;
    cpu->pending_error = error;
    longjmp(*cpu->unwind, 1);
}

_Noreturn void cpu_raise(struct cpu *cpu, enum cpu_exception vector)
{
    raise_exception(cpu, vector, false, 0);
}

_Noreturn void cpu_raise_error(struct cpu *cpu, enum cpu_exception vector, uint32_t error)
{
    raise_exception(cpu, vector, true, error);
}

_Noreturn void cpu_raise_page_fault(struct cpu *cpu, uint64_t linear, uint32_t error)
{
    cpu->cr2 = linear;
    raise_exception(cpu, EXCEPTION_PF, true, error);
}

void cpu_deliver_pending(struct cpu *cpu)
{
    if (cpu->pending_vector == NO_VECTOR) {
        cpu->shutdown = true;
        cpu->exit_block = true;
        return;
    }
    cpu_deliver_event(cpu, EVENT_EXCEPTION, cpu->pending_vector, cpu->pending_has_error,
                      cpu->pending_error);
}

/* An event under delivery. */
struct event {
    enum event_type type;
    uint8_t vector;
    bool has_error;
    uint32_t error;
    uint32_t flags; /* EFLAGS as the frame shows them */
};

static bool is_fault(const struct event *event)
{
    switch (event->vector) {
    case EXCEPTION_DB: /* code breakpoints leave RF to the handler */
    case EXCEPTION_BP:
    case EXCEPTION_OF:
    case EXCEPTION_NMI:
    case EXCEPTION_DF:
    case EXCEPTION_MC:
        return false;
    default:
        return event->type == EVENT_EXCEPTION;
    }
}

static uint32_t idt_error(const struct event *event)
{
    return event->vector * 8 + ERROR_IDT;
}

/* Real mode: the IDT is a table of far pointers (SDM vol. 3, 20.1.4). */
static void deliver_real(struct cpu *cpu, const struct event *event)
{
    if (event->vector * 4u + 3 > cpu->idt.limit) {
        cpu_raise_error(cpu, EXCEPTION_GP, idt_error(event));
    }
    uint32_t pointer = cpu_system_read(cpu, cpu->idt.base + event->vector * 4u, 4);
    stack_check_room(cpu, 3, 2, 0);
    stack_push(cpu, 2, event->flags);
    stack_push(cpu, 2, cpu->segment[X86_CS].selector);
    stack_push(cpu, 2, cpu->rip);
    cpu_set_eflags(cpu, 0, FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF);
    segment_load_real(cpu, X86_CS, pointer >> 16);
    cpu->rip = pointer & 0xffff;
}

#define TSS_IO_MAP_BASE   0x66
#define REDIRECTION_BYTES 32

/* Does VME send INT n of v86 code to the 8086 program's own handler? (SDM vol. 3, 20.3.3) */
static bool is_redirected(struct cpu *cpu, uint8_t vector)
{
    uint64_t base = cpu_system_read(cpu, cpu->task.base + TSS_IO_MAP_BASE, 2);
    uint64_t offset = base - REDIRECTION_BYTES + vector / 8;
    if (base < REDIRECTION_BYTES || offset > cpu->task.limit) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    return !((cpu_system_read(cpu, cpu->task.base + offset, 1) >> (vector & 7)) & 1);
}

/* Through the 8086 program's interrupt table at linear address 0. */
static void deliver_v86_redirected(struct cpu *cpu, const struct event *event)
{
    uint32_t pointer = cpu_system_read(cpu, event->vector * 4u, 4);
    uint32_t flags = event->flags;
    bool full = (cpu->eflags & FLAG_IOPL) == FLAG_IOPL;
    if (!full) {
        flags = (flags & ~FLAG_IF) | FLAG_IOPL | (flags & FLAG_VIF ? FLAG_IF : 0);
    }
    stack_push(cpu, 2, flags);
    stack_push(cpu, 2, cpu->segment[X86_CS].selector);
    stack_push(cpu, 2, cpu->rip);
    cpu_set_eflags(cpu, 0, FLAG_TF | FLAG_RF | (full ? FLAG_IF : FLAG_VIF));
    segment_load_real(cpu, X86_CS, pointer >> 16);
    cpu->rip = pointer & 0xffff;
}

/* The gate's code segment: its descriptor, checked. */
static void read_handler(struct cpu *cpu, uint16_t selector, struct descriptor *d)
{
    if (selector_is_null(selector)) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    if (!descriptor_read(cpu, selector, d) || !descriptor_is_code(d) ||
        descriptor_dpl(d) > cpu->cpl) {
        raise_selector(cpu, EXCEPTION_GP, selector);
    }
    unsigned size_bits = descriptor_attributes(d) & (SEGMENT_L | SEGMENT_D);
    if (cpu->long_mode && size_bits != SEGMENT_L) {
        raise_selector(cpu, EXCEPTION_GP, selector);
    }
    if (!descriptor_is_present(d)) {
        raise_selector(cpu, EXCEPTION_NP, selector);
    }
}

static void enter_handler(struct cpu *cpu, bool interrupt_gate)
{
    cpu_set_eflags(cpu, 0, FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM | (interrupt_gate ? FLAG_IF : 0));
}

static void push_return(struct cpu *cpu, const struct event *event, unsigned size, uint16_t code,
                        uint64_t rip)
{
    stack_push_sized(cpu, size, event->flags);
    stack_push_sized(cpu, size, code);
    stack_push_sized(cpu, size, rip);
    if (event->has_error) {
        stack_push_sized(cpu, size, event->error);
    }
}

/* 64-bit interrupt and trap gates (SDM vol. 3, 6.14). */
static void deliver_long(struct cpu *cpu, const struct event *event)
{
    uint64_t entry = cpu->idt.base + event->vector * 16u;
    if (event->vector * 16u + 15 > cpu->idt.limit) {
        cpu_raise_error(cpu, EXCEPTION_GP, idt_error(event));
    }
    uint64_t low = cpu_system_read(cpu, entry, 8), high = cpu_system_read(cpu, entry + 8, 8);
    struct descriptor gate = {.low = low, .high = low >> 32}, code;
    unsigned type = descriptor_type(&gate), ist = gate.high & 7;
    if (!descriptor_is_system(&gate) ||
        (type != SYSTEM_INTERRUPT_GATE_32 && type != SYSTEM_TRAP_GATE_32)) {
        cpu_raise_error(cpu, EXCEPTION_GP, idt_error(event));
    }
    if (event->type == EVENT_SOFTWARE && descriptor_dpl(&gate) < cpu->cpl) {
        cpu_raise_error(cpu, EXCEPTION_GP, idt_error(event));
    }
    if (!descriptor_is_present(&gate)) {
        cpu_raise_error(cpu, EXCEPTION_NP, idt_error(event));
    }
    uint16_t selector = gate_selector(&gate);
    read_handler(cpu, selector, &code);
    uint64_t offset = gate_offset(&gate) | (high & 0xffffffff) << 32;

    unsigned level = descriptor_is_conforming(&code) ? cpu->cpl : descriptor_dpl(&code);
    uint16_t old_code = cpu->segment[X86_CS].selector, old_stack = cpu->segment[X86_SS].selector;
    uint64_t old_pointer = cpu->gpr[X86_RSP], old_rip = cpu->rip, pointer = old_pointer;
    if (level != cpu->cpl || ist) {
        pointer = stack_from_task_64(cpu, level, ist);
    }
    if (!cpu_is_canonical(offset)) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }

    if (level != cpu->cpl) {
        segment_load_null(cpu, X86_SS, level);
    }
    cpu->cpl = level;
    segment_load_code(cpu, (selector & ~SELECTOR_RPL) | level, &code);
    cpu->gpr[X86_RSP] = pointer & ~15ull;
    stack_push(cpu, 8, old_stack);
    stack_push(cpu, 8, old_pointer);
    push_return(cpu, event, 8, old_code, old_rip);
    enter_handler(cpu, type == SYSTEM_INTERRUPT_GATE_32);
    cpu->rip = offset;
}

static void deliver_task_gate(struct cpu *cpu, const struct event *event,
                              const struct descriptor *gate)
{
    uint16_t selector = gate_selector(gate);
    struct descriptor tss;
    task_read_tss(cpu, selector, &tss);
    bool is_32_bit = descriptor_type(&tss) & 8;
    /* The frame that the old task keeps is in its TSS: RF too. */
    cpu->eflags = (cpu->eflags & ~FLAG_RF) | (event->flags & FLAG_RF);
    task_switch(cpu, selector, &tss, TASK_EVENT);
    if (event->has_error) {
        stack_push_sized(cpu, is_32_bit ? 4 : 2, event->error);
    }
    task_switch_finish(cpu, 0);
}

/* The part of an inner-level delivery that is special to v86 mode. */
static void push_v86_segments(struct cpu *cpu, unsigned size)
{
    static const uint8_t order[] = {X86_GS, X86_FS, X86_DS, X86_ES};
    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        stack_push_sized(cpu, size, cpu->segment[order[i]].selector);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        segment_load_null(cpu, order[i], 0);
    }
}

/* Through an interrupt or trap gate to a more privileged level. */
static void deliver_inner(struct cpu *cpu, const struct event *event, const struct descriptor *gate,
                          struct descriptor *code, unsigned size)
{
    unsigned level = descriptor_dpl(code);
    bool from_v86 = cpu->v86;
    uint16_t old_code = cpu->segment[X86_CS].selector, old_stack = cpu->segment[X86_SS].selector;
    uint64_t old_pointer = cpu->gpr[X86_RSP], old_rip = cpu->rip;
    struct new_stack stack;
    stack_from_task(cpu, level, &stack);
    stack_check_new(cpu, &stack, level);

    cpu->eflags &= ~FLAG_VM;
    cpu->cpl = level;
    stack_load_new(cpu, &stack);
    stack_check_room(cpu, 5 + event->has_error + (from_v86 ? 4 : 0), size, stack.selector);
    segment_check_target(cpu, code, gate_offset(gate) & size_mask(size), 0);
    segment_load_code(cpu, (gate_selector(gate) & ~SELECTOR_RPL) | level, code);
    if (from_v86) {
        push_v86_segments(cpu, size);
    }
    stack_push_sized(cpu, size, old_stack);
    stack_push_sized(cpu, size, old_pointer);
    push_return(cpu, event, size, old_code, old_rip);
    cpu_update_mode(cpu);
}

static void deliver_same_level(struct cpu *cpu, const struct event *event,
                               const struct descriptor *gate, struct descriptor *code,
                               unsigned size)
{
    uint16_t old_code = cpu->segment[X86_CS].selector;
    stack_check_room(cpu, 3 + event->has_error, size, 0);
    segment_check_target(cpu, code, gate_offset(gate) & size_mask(size), 0);
    segment_load_code(cpu, (gate_selector(gate) & ~SELECTOR_RPL) | cpu->cpl, code);
    push_return(cpu, event, size, old_code, cpu->rip);
}

/* Protected and v86 mode: INTERRUPT-OR-TRAP-GATE and its neighbours in the manual. */
static void deliver_protected(struct cpu *cpu, const struct event *event)
{
    if (event->vector * 8u + 7 > cpu->idt.limit) {
        cpu_raise_error(cpu, EXCEPTION_GP, idt_error(event));
    }
    uint64_t value = cpu_system_read(cpu, cpu->idt.base + event->vector * 8u, 8);
    struct descriptor gate = {.low = value, .high = value >> 32}, code;
    unsigned type = descriptor_type(&gate), kind = type & 7;
    bool valid = descriptor_is_system(&gate) &&
                 (type == SYSTEM_TASK_GATE || kind == SYSTEM_INTERRUPT_GATE_16 ||
                  kind == SYSTEM_TRAP_GATE_16);
    if (!valid || (event->type == EVENT_SOFTWARE && descriptor_dpl(&gate) < cpu->cpl)) {
        cpu_raise_error(cpu, EXCEPTION_GP, idt_error(event));
    }
    if (!descriptor_is_present(&gate)) {
        cpu_raise_error(cpu, EXCEPTION_NP, idt_error(event));
    }
    if (type == SYSTEM_TASK_GATE) {
        deliver_task_gate(cpu, event, &gate);
        return;
    }
    uint16_t selector = gate_selector(&gate);
    unsigned size = type & 8 ? 4 : 2;
    read_handler(cpu, selector, &code);
    if (!descriptor_is_conforming(&code) && descriptor_dpl(&code) < cpu->cpl) {
        if (cpu->v86 && descriptor_dpl(&code) != 0) {
            raise_selector(cpu, EXCEPTION_GP, selector);
        }
        deliver_inner(cpu, event, &gate, &code, size);
    } else {
        if (cpu->v86) {
            raise_selector(cpu, EXCEPTION_GP, selector);
        }
        deliver_same_level(cpu, event, &gate, &code, size);
    }
    enter_handler(cpu, kind == SYSTEM_INTERRUPT_GATE_16);
    cpu->rip = gate_offset(&gate) & size_mask(size);
}

static void deliver(struct cpu *cpu, const struct event *event)
{
    if (!cpu->protected_mode) {
        deliver_real(cpu, event);
    } else if (cpu->long_mode) {
        deliver_long(cpu, event);
    } else {
        deliver_protected(cpu, event);
    }
}

/* v86 code's INT n (SDM vol. 3, table 20-2): true if the 8086 program's own handler takes it. */
static bool v86_takes_interrupt(struct cpu *cpu, uint8_t vector)
{
    bool full = (cpu->eflags & FLAG_IOPL) == FLAG_IOPL;
    if ((cpu->cr4 & CR4_VME) && is_redirected(cpu, vector)) {
        return true;
    }
    if (!full) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    return false;
}

void event_software(struct cpu *cpu, uint8_t vector, bool is_int_n)
{
    bool step = cpu->eflags & FLAG_TF;
    if (cpu->v86 && is_int_n && v86_takes_interrupt(cpu, vector)) {
        struct event event = {
            .type = EVENT_SOFTWARE, .vector = vector, .flags = cpu_get_eflags(cpu)};
        struct cpu_rollback state;
        rollback_begin(cpu, &state);
        deliver_v86_redirected(cpu, &event);
        rollback_end(cpu);
    } else {
        cpu_deliver_event(cpu, EVENT_SOFTWARE, vector, false, 0);
    }
    /* TF was cleared on the way: the handler's first instruction is no step of the program. */
    cpu->debug_no_step = step;
}

void cpu_deliver_event(struct cpu *cpu, enum event_type type, uint8_t vector, bool has_error,
                       uint32_t error)
{
    struct event event = {type, vector, has_error && cpu->protected_mode, error,
                          cpu_get_eflags(cpu)};
    if (is_fault(&event)) {
        event.flags |= FLAG_RF;
    }
    cpu->delivering = true;
    if (type == EVENT_EXCEPTION) {
        cpu->delivering_vector = vector;
    } else {
        cpu->delivering_vector = type == EVENT_SOFTWARE ? SOFTWARE_VECTOR : NO_VECTOR;
    }
    struct cpu_rollback state;
    rollback_begin(cpu, &state);
    deliver(cpu, &event);
    rollback_end(cpu);
    cpu->delivering = false;
    cpu->halted = false;
    cpu->exit_block = true;
    if (type == EVENT_EXCEPTION && vector == EXCEPTION_DB) {
        cpu->dr[7] &= ~(uint64_t)DR7_GD;
    }
    if (type == EVENT_NMI) {
        cpu->nmi_blocked = true;
    }
}
