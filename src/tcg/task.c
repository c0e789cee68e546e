/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Task switches (SDM vol. 3, chapter 7), and the stacks that TSSs hold. */
#include "tcg/access.h"
#include "tcg/debug.h"
#include "tcg/event.h"
#include "tcg/operand.h"
#include "tcg/rollback.h"

/* Offsets in a TSS: figures 7-2 (32 bits) and 7-10 (16 bits). */
struct task_layout {
    uint8_t size; /* of a field, bytes */
    uint8_t minimum_limit;
    uint8_t ip, flags, registers, segments, ldt;
    uint8_t segment_count; /* ES, CS, SS, DS, and FS, GS with 32 bits */
};
static const struct task_layout layout_16 = {2, 0x2b, 0x0e, 0x10, 0x12, 0x22, 0x2a, 4};
static const struct task_layout layout_32 = {4, 0x67, 0x20, 0x24, 0x28, 0x48, 0x60, 6};
#define TASK_LINK   0x00
#define TASK_CR3    0x1c /* 32 bits only */
#define TASK_TRAP   0x64 /* 32 bits only */
#define TASK_TRAP_T 1u
#define TSS_TYPE_32 8u
#define DR7_LOCAL   0x155u /* L0..L3, LE */
#define FLAGS_ALL   0x3fffffu

/* What a new task's TSS says. */
struct task_image {
    uint32_t cr3, ip, flags;
    uint32_t registers[8];
    uint16_t segments[X86_SEGMENT_COUNT];
    uint16_t ldt;
    bool trap, is_32_bit;
};

static const struct task_layout *layout_of(unsigned attributes)
{
    return attributes & TSS_TYPE_32 ? &layout_32 : &layout_16;
}

void stack_push_sized(struct cpu *cpu, unsigned size, uint64_t value)
{
    switch (size) {
    case 2:
        stack_push(cpu, 2, value);
        break;
    case 4:
        stack_push(cpu, 4, value);
        break;
    default:
        stack_push(cpu, 8, value);
        break;
    }
}

void stack_check_room(struct cpu *cpu, unsigned count, unsigned size, uint16_t selector)
{
    if (cpu->mode == CPU_MODE_64) {
        return;
    }
    uint64_t mask = stack_mask(cpu), pointer = cpu->gpr[X86_RSP];
    for (unsigned i = 1; i <= count; i++) {
        if (!segment_contains(&cpu->segment[X86_SS], (pointer - i * size) & mask, size)) {
            raise_selector(cpu, EXCEPTION_SS, selector);
        }
    }
}

void stack_from_task(struct cpu *cpu, unsigned dpl, struct new_stack *stack)
{
    bool is_32_bit = cpu->task.attributes & TSS_TYPE_32;
    unsigned offset = is_32_bit ? 4 + dpl * 8 : 2 + dpl * 4, size = is_32_bit ? 4 : 2;
    if (offset + size + 1 > cpu->task.limit) {
        raise_selector(cpu, EXCEPTION_TS, cpu->task.selector);
    }
    stack->pointer = cpu_system_read(cpu, cpu->task.base + offset, size);
    stack->selector = cpu_system_read(cpu, cpu->task.base + offset + size, 2);
}

uint64_t stack_from_task_64(struct cpu *cpu, unsigned dpl, unsigned ist)
{
    unsigned offset = ist ? 28 + ist * 8 : 4 + dpl * 8;
    if (offset + 7 > cpu->task.limit) {
        raise_selector(cpu, EXCEPTION_TS, cpu->task.selector);
    }
    uint64_t pointer = cpu_system_read(cpu, cpu->task.base + offset, 8);
    if (!cpu_is_canonical(pointer)) {
        cpu_raise_error(cpu, EXCEPTION_SS, 0);
    }
    return pointer;
}

void stack_check_new(struct cpu *cpu, struct new_stack *stack, unsigned dpl)
{
    struct descriptor *d = &stack->descriptor;
    uint16_t selector = stack->selector;
    if (selector_is_null(selector) || !descriptor_read(cpu, selector, d) ||
        (selector & SELECTOR_RPL) != dpl || descriptor_dpl(d) != dpl ||
        !descriptor_is_writable_data(d)) {
        raise_selector(cpu, EXCEPTION_TS, selector);
    }
    if (!descriptor_is_present(d)) {
        raise_selector(cpu, EXCEPTION_SS, selector);
    }
}

void stack_load_new(struct cpu *cpu, struct new_stack *stack)
{
    descriptor_set_accessed(cpu, &stack->descriptor);
    descriptor_to_segment(&stack->descriptor, stack->selector, &cpu->segment[X86_SS]);
    cpu_update_mode(cpu);
    stack_pointer_write(cpu, stack->pointer);
}

void task_read_tss(struct cpu *cpu, uint16_t selector, struct descriptor *d)
{
    if ((selector & SELECTOR_TI) || selector_is_null(selector) ||
        !descriptor_read(cpu, selector, d)) {
        raise_selector(cpu, EXCEPTION_GP, selector);
    }
    unsigned type = descriptor_type(d);
    if (!descriptor_is_system(d) ||
        (type != SYSTEM_TSS_16_AVAILABLE && type != SYSTEM_TSS_32_AVAILABLE)) {
        raise_selector(cpu, EXCEPTION_GP, selector);
    }
    if (!descriptor_is_present(d)) {
        raise_selector(cpu, EXCEPTION_NP, selector);
    }
}

static void save_state(struct cpu *cpu, uint32_t flags)
{
    const struct task_layout *layout = layout_of(cpu->task.attributes);
    uint64_t base = cpu->task.base;
    unsigned size = layout->size;
    /* Where it is all in place a fault can't leave half of it. */
    cpu_system_write(cpu, base + layout->ip, size, cpu->rip);
    cpu_system_write(cpu, base + layout->flags, size, flags);
    for (unsigned i = 0; i < 8; i++) {
        cpu_system_write(cpu, base + layout->registers + i * size, size,
                         cpu->gpr[i] & size_mask(size));
    }
    for (unsigned i = 0; i < layout->segment_count; i++) {
        cpu_system_write(cpu, base + layout->segments + i * size, 2, cpu->segment[i].selector);
    }
}

static void read_image(struct cpu *cpu, const struct descriptor *d, struct task_image *image)
{
    const struct task_layout *layout = layout_of(descriptor_type(d));
    uint64_t base = descriptor_base(d);
    unsigned size = layout->size;
    *image = (struct task_image){.is_32_bit = layout == &layout_32};
    image->ip = cpu_system_read(cpu, base + layout->ip, size);
    image->flags = cpu_system_read(cpu, base + layout->flags, size);
    /* A 16-bit TSS leaves the registers' upper halves undefined; the 80386 sets them. */
    for (unsigned i = 0; i < 8; i++) {
        image->registers[i] = cpu_system_read(cpu, base + layout->registers + i * size, size) |
                              (image->is_32_bit ? 0 : 0xffff0000u);
    }
    for (unsigned i = 0; i < layout->segment_count; i++) {
        image->segments[i] = cpu_system_read(cpu, base + layout->segments + i * size, 2);
    }
    image->ldt = cpu_system_read(cpu, base + layout->ldt, 2);
    if (image->is_32_bit) {
        image->cr3 = cpu_system_read(cpu, base + TASK_CR3, 4);
        image->trap = cpu_system_read(cpu, base + TASK_TRAP, 2) & TASK_TRAP_T;
    }
}

static void load_ldt(struct cpu *cpu, uint16_t selector)
{
    struct descriptor d;
    if (selector_is_null(selector)) {
        return;
    }
    if ((selector & SELECTOR_TI) || !descriptor_read(cpu, selector, &d) ||
        !descriptor_is_system(&d) || descriptor_type(&d) != SYSTEM_LDT ||
        !descriptor_is_present(&d)) {
        raise_selector(cpu, EXCEPTION_TS, selector);
    }
    descriptor_to_segment(&d, selector, &cpu->ldt);
}

static void load_code(struct cpu *cpu, uint16_t selector)
{
    unsigned rpl = selector & SELECTOR_RPL;
    struct descriptor d;
    if (selector_is_null(selector) || !descriptor_read(cpu, selector, &d) ||
        !descriptor_is_code(&d) ||
        (descriptor_is_conforming(&d) ? descriptor_dpl(&d) > rpl : descriptor_dpl(&d) != rpl)) {
        raise_selector(cpu, EXCEPTION_TS, selector);
    }
    if (!descriptor_is_present(&d)) {
        raise_selector(cpu, EXCEPTION_NP, selector);
    }
    segment_load_code(cpu, selector, &d);
}

static void load_stack(struct cpu *cpu, uint16_t selector)
{
    struct new_stack stack = {.selector = selector, .pointer = cpu->gpr[X86_RSP]};
    stack_check_new(cpu, &stack, cpu->cpl);
    stack_load_new(cpu, &stack);
}

static void load_data(struct cpu *cpu, unsigned index, uint16_t selector)
{
    unsigned rpl = selector & SELECTOR_RPL;
    struct descriptor d;
    if (selector_is_null(selector)) {
        return;
    }
    if (!descriptor_read(cpu, selector, &d) || descriptor_is_system(&d) ||
        (descriptor_type(&d) & (SEGMENT_CODE | SEGMENT_READABLE)) == SEGMENT_CODE) {
        raise_selector(cpu, EXCEPTION_TS, selector);
    }
    bool conforming = descriptor_is_code(&d) && descriptor_is_conforming(&d);
    if (!conforming && (rpl > descriptor_dpl(&d) || cpu->cpl > descriptor_dpl(&d))) {
        raise_selector(cpu, EXCEPTION_TS, selector);
    }
    if (!descriptor_is_present(&d)) {
        raise_selector(cpu, EXCEPTION_NP, selector);
    }
    descriptor_set_accessed(cpu, &d);
    descriptor_to_segment(&d, selector, &cpu->segment[index]);
}

/* The new task's state. From here on faults belong to the new task: registers first, so that its
 * handlers see them; then each segment as far as it is good. */
static void load_state(struct cpu *cpu, const struct task_image *image)
{
    static const uint8_t data[] = {X86_DS, X86_ES, X86_FS, X86_GS};
    for (unsigned i = 0; i < 8; i++) {
        cpu->gpr[i] = image->registers[i];
    }
    cpu->rip = image->ip;
    cpu_set_eflags(cpu, image->flags, FLAGS_ALL);
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        if (i != X86_CS) {
            segment_load_null(cpu, i, image->segments[i]);
        }
    }
    cpu->segment[X86_CS].selector = image->segments[X86_CS];
    cpu->ldt = (struct x86_segment){.selector = image->ldt};
    cpu->cpl = image->segments[X86_CS] & SELECTOR_RPL;
    cpu->cr0 |= CR0_TS;
    cpu->dr[7] &= ~(uint64_t)DR7_LOCAL;
    cpu_update_mode(cpu);
    if (image->is_32_bit && (cpu->cr0 & CR0_PG)) {
        cpu_set_cr3(cpu, image->cr3);
    }
    load_ldt(cpu, image->ldt);
    if (cpu->v86) {
        for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
            segment_load_real(cpu, i, image->segments[i]);
        }
        return;
    }
    load_code(cpu, image->segments[X86_CS]);
    load_stack(cpu, image->segments[X86_SS]);
    for (unsigned i = 0; i < G_N_ELEMENTS(data); i++) {
        load_data(cpu, data[i], image->segments[data[i]]);
    }
    cpu_update_mode(cpu);
}

void task_switch(struct cpu *cpu, uint16_t selector, struct descriptor *d,
                 enum task_switch_cause cause)
{
    static const struct insn no_insn;
    bool nests = cause == TASK_CALL || cause == TASK_EVENT;
    uint16_t old_selector = cpu->task.selector;
    struct descriptor old;
    struct task_image image;
    if (descriptor_limit(d) < layout_of(descriptor_type(d))->minimum_limit) {
        raise_selector(cpu, EXCEPTION_TS, selector);
    }
    read_image(cpu, d, &image);
    if (!descriptor_read(cpu, old_selector, &old)) {
        raise_selector(cpu, EXCEPTION_TS, old_selector);
    }
    /* Both descriptors are written as they are, so that their real change can't fault. */
    descriptor_set_type(cpu, d, descriptor_type(d));
    descriptor_set_type(cpu, &old, descriptor_type(&old));

    uint32_t flags = cpu_get_eflags(cpu);
    save_state(cpu, cause == TASK_RETURN ? flags & ~FLAG_NT : flags);
    if (nests) {
        cpu_system_write(cpu, descriptor_base(d) + TASK_LINK, 2, old_selector);
        image.flags |= FLAG_NT;
    } else {
        descriptor_set_type(cpu, &old, descriptor_type(&old) & ~SYSTEM_BUSY);
    }
    if (cause != TASK_RETURN) {
        descriptor_set_type(cpu, d, descriptor_type(d) | SYSTEM_BUSY);
    }

    rollback_end(cpu);
    cpu->current = &no_insn;
    descriptor_to_segment(d, selector, &cpu->task);
    cpu->task_trap = image.trap;
    load_state(cpu, &image);
}

void task_switch_finish(struct cpu *cpu, uint32_t error)
{
    if (cpu->rip > cpu->segment[X86_CS].limit) {
        cpu_raise_error(cpu, EXCEPTION_GP, error);
    }
    if (cpu->task_trap) {
        cpu->task_trap = false;
        /* Before the new task's first instruction, after the event that began it, if any. */
        cpu->delivering = false;
        debug_trap(cpu, DR6_BT);
    }
}
