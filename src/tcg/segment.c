/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors, segment registers, and the modes that follow from them. */
#include "tcg/segment.h"
#include "tcg/access.h"

uint32_t descriptor_base(const struct descriptor *d)
{
    return (d->low >> 16) | ((d->high & 0xff) << 16) | (d->high & 0xff000000);
}

uint32_t descriptor_limit(const struct descriptor *d)
{
    uint32_t limit = (d->low & 0xffff) | (d->high & 0xf0000);
    return (d->high >> 8) & SEGMENT_G ? (limit << 12) | 0xfff : limit;
}

uint32_t gate_offset(const struct descriptor *d)
{
    return (d->low & 0xffff) | (d->high & 0xffff0000);
}

/* Linear address of `size` bytes at the selector's place; false if they pass the table's limit. */
static bool descriptor_locate(const struct cpu *cpu, uint16_t selector, unsigned size,
                              uint64_t *linear)
{
    uint32_t offset = selector & ~(SELECTOR_RPL | SELECTOR_TI);
    uint64_t base = cpu->gdt.base;
    uint32_t limit = cpu->gdt.limit;
    if (selector & SELECTOR_TI) {
        if (!(cpu->ldt.attributes & SEGMENT_PRESENT)) {
            return false;
        }
        base = cpu->ldt.base;
        limit = cpu->ldt.limit;
    }
    *linear = base + offset;
    return offset + size - 1 <= limit;
}

bool descriptor_read(struct cpu *cpu, uint16_t selector, struct descriptor *d)
{
    if (!descriptor_locate(cpu, selector, 8, &d->linear)) {
        return false;
    }
    uint64_t value = cpu_system_read(cpu, d->linear, 8);
    d->low = value;
    d->high = value >> 32;
    return true;
}

bool descriptor_read_upper(struct cpu *cpu, uint16_t selector, uint32_t upper[2])
{
    uint64_t linear;
    if (!descriptor_locate(cpu, selector, 16, &linear)) {
        return false;
    }
    uint64_t value = cpu_system_read(cpu, linear + 8, 8);
    upper[0] = value;
    upper[1] = value >> 32;
    return true;
}

void descriptor_to_segment(const struct descriptor *d, uint16_t selector,
                           struct x86_segment *segment)
{
    segment->selector = selector;
    segment->attributes = descriptor_attributes(d);
    segment->limit = descriptor_limit(d);
    segment->base = descriptor_base(d);
}

void descriptor_set_type(struct cpu *cpu, struct descriptor *d, unsigned type)
{
    d->high = (d->high & ~(SEGMENT_TYPE << 8)) | type << 8;
    cpu_system_write(cpu, d->linear + 4, 4, d->high);
}

void descriptor_set_accessed(struct cpu *cpu, struct descriptor *d)
{
    if (!(descriptor_type(d) & SEGMENT_ACCESSED)) {
        descriptor_set_type(cpu, d, descriptor_type(d) | SEGMENT_ACCESSED);
    }
}

_Noreturn void raise_selector(struct cpu *cpu, enum cpu_exception vector, uint16_t selector)
{
    cpu_raise_error(cpu, vector, selector & SELECTOR_ERROR);
}

void segment_load_real(struct cpu *cpu, unsigned index, uint16_t selector)
{
    struct x86_segment *segment = &cpu->segment[index];
    segment->selector = selector;
    segment->base = (uint32_t)selector << 4;
    if (cpu->v86) {
        segment->limit = 0xffff;
        segment->attributes =
            SEGMENT_PRESENT | 3 << 5 | SEGMENT_S | SEGMENT_WRITABLE | SEGMENT_ACCESSED;
    } else {
        /* Limit, D and G stay, which is what "big real mode" lives on. */
        segment->attributes = (segment->attributes & (SEGMENT_D | SEGMENT_G)) | SEGMENT_PRESENT |
                              SEGMENT_S | SEGMENT_WRITABLE | SEGMENT_ACCESSED;
    }
    cpu_update_mode(cpu);
}

/* The limit stays, so that a later load in real mode finds a usable one. */
void segment_load_null(struct cpu *cpu, unsigned index, uint16_t selector)
{
    struct x86_segment *segment = &cpu->segment[index];
    segment->selector = selector;
    segment->base = 0;
    segment->attributes = 0;
}

static void load_stack(struct cpu *cpu, uint16_t selector)
{
    unsigned rpl = selector & SELECTOR_RPL;
    struct descriptor d;
    if (selector_is_null(selector)) {
        if (cpu->mode != CPU_MODE_64 || cpu->cpl == 3 || rpl != cpu->cpl) {
            cpu_raise_error(cpu, EXCEPTION_GP, 0);
        }
        segment_load_null(cpu, X86_SS, selector);
        return;
    }
    if (!descriptor_read(cpu, selector, &d) || rpl != cpu->cpl ||
        !descriptor_is_writable_data(&d) || descriptor_dpl(&d) != cpu->cpl) {
        raise_selector(cpu, EXCEPTION_GP, selector);
    }
    if (!descriptor_is_present(&d)) {
        raise_selector(cpu, EXCEPTION_SS, selector);
    }
    descriptor_set_accessed(cpu, &d);
    descriptor_to_segment(&d, selector, &cpu->segment[X86_SS]);
}

static void load_data(struct cpu *cpu, unsigned index, uint16_t selector)
{
    unsigned rpl = selector & SELECTOR_RPL;
    struct descriptor d;
    if (selector_is_null(selector)) {
        segment_load_null(cpu, index, selector);
        return;
    }
    if (!descriptor_read(cpu, selector, &d) || descriptor_is_system(&d) ||
        (descriptor_type(&d) & (SEGMENT_CODE | SEGMENT_READABLE)) == SEGMENT_CODE) {
        raise_selector(cpu, EXCEPTION_GP, selector);
    }
    bool conforming = descriptor_is_code(&d) && descriptor_is_conforming(&d);
    if (!conforming && (rpl > descriptor_dpl(&d) || cpu->cpl > descriptor_dpl(&d))) {
        raise_selector(cpu, EXCEPTION_GP, selector);
    }
    if (!descriptor_is_present(&d)) {
        raise_selector(cpu, EXCEPTION_NP, selector);
    }
    descriptor_set_accessed(cpu, &d);
    descriptor_to_segment(&d, selector, &cpu->segment[index]);
}

void segment_load(struct cpu *cpu, unsigned index, uint16_t selector)
{
    if (!cpu->protected_mode || cpu->v86) {
        segment_load_real(cpu, index, selector);
        return;
    }
    if (index == X86_SS) {
        load_stack(cpu, selector);
    } else {
        load_data(cpu, index, selector);
    }
    cpu_update_mode(cpu);
}

void segment_drop_privileged(struct cpu *cpu)
{
    static const uint8_t data[] = {X86_ES, X86_DS, X86_FS, X86_GS};
    for (unsigned i = 0; i < G_N_ELEMENTS(data); i++) {
        const struct x86_segment *segment = &cpu->segment[data[i]];
        unsigned dpl = (segment->attributes >> 5) & 3, type = segment->attributes & SEGMENT_TYPE;
        bool conforming = (type & SEGMENT_CODE) && (type & SEGMENT_CONFORMING);
        /* Only the selector goes: the base, which an MSR may have given to FS and GS, stays. */
        if (!selector_is_null(segment->selector) && !conforming && dpl < cpu->cpl) {
            uint64_t base = segment->base;
            segment_load_null(cpu, data[i], 0);
            cpu->segment[data[i]].base = base;
        }
    }
    cpu_update_mode(cpu);
}

void segment_shadow_interrupts(struct cpu *cpu)
{
    cpu->interrupt_shadow = true;
    cpu->debug_shadow = true;
    cpu->exit_block = true;
}

bool segment_contains(const struct x86_segment *segment, uint64_t offset, unsigned size)
{
    unsigned type = segment->attributes & (SEGMENT_CODE | SEGMENT_EXPAND_DOWN);
    uint64_t last = offset + size - 1;
    if (type == SEGMENT_EXPAND_DOWN) {
        return offset > segment->limit &&
               last <= (segment->attributes & SEGMENT_D ? UINT32_MAX : UINT16_MAX);
    }
    return last <= segment->limit;
}

void segment_load_code(struct cpu *cpu, uint16_t selector, struct descriptor *d)
{
    descriptor_set_accessed(cpu, d);
    descriptor_to_segment(d, selector, &cpu->segment[X86_CS]);
    cpu_update_mode(cpu);
}

static bool is_64_bit_code(const struct cpu *cpu, const struct descriptor *d)
{
    return cpu->long_mode && (descriptor_attributes(d) & SEGMENT_L);
}

void segment_check_target(struct cpu *cpu, const struct descriptor *d, uint64_t offset,
                          uint32_t error)
{
    if (is_64_bit_code(cpu, d) ? !cpu_is_canonical(offset) : offset > descriptor_limit(d)) {
        cpu_raise_error(cpu, EXCEPTION_GP, error);
    }
}

void segment_check_code_size(struct cpu *cpu, const struct descriptor *d, uint16_t selector)
{
    unsigned both = SEGMENT_L | SEGMENT_D;
    if (cpu->long_mode && (descriptor_attributes(d) & both) == both) {
        raise_selector(cpu, EXCEPTION_GP, selector);
    }
}

/* Writable data with a limit of 4 GiB. */
static bool is_open(const struct cpu *cpu, unsigned index)
{
    const struct x86_segment *segment = &cpu->segment[index];
    unsigned mask =
        SEGMENT_PRESENT | SEGMENT_S | SEGMENT_CODE | SEGMENT_EXPAND_DOWN | SEGMENT_WRITABLE;
    unsigned wanted = SEGMENT_PRESENT | SEGMENT_S | SEGMENT_WRITABLE;
    return segment->limit == UINT32_MAX &&
           (!cpu->protected_mode || (segment->attributes & mask) == wanted);
}

static bool is_flat(const struct cpu *cpu, unsigned index)
{
    return cpu->segment[index].base == 0 && is_open(cpu, index);
}

void cpu_update_mode(struct cpu *cpu)
{
    unsigned code = cpu->segment[X86_CS].attributes;
    cpu->long_mode = cpu->efer & EFER_LMA;
    cpu->protected_mode = cpu->cr0 & CR0_PE;
    cpu->v86 = cpu->protected_mode && (cpu->eflags & FLAG_VM);
    if (!cpu->protected_mode) {
        cpu->cpl = 0;
    } else if (cpu->v86) {
        cpu->cpl = 3;
    }
    if (cpu->v86) {
        cpu->mode = CPU_MODE_16;
    } else if (cpu->long_mode && (code & SEGMENT_L)) {
        cpu->mode = CPU_MODE_64;
    } else {
        cpu->mode = code & SEGMENT_D ? CPU_MODE_32 : CPU_MODE_16;
    }
    cpu->stack_32 = cpu->segment[X86_SS].attributes & SEGMENT_D;
    cpu->flat_segments = is_flat(cpu, X86_ES) && is_flat(cpu, X86_SS) && is_flat(cpu, X86_DS);
    cpu->open_fs = is_open(cpu, X86_FS);
    cpu->open_gs = is_open(cpu, X86_GS);
    cpu->exit_block = true;
}
