/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptor-table registers, and instructions that ask about selectors. */
#include "tcg/execute.h"
#include "tcg/operand.h"
#include "tcg/segment.h"

static void check_privileged(struct cpu *cpu)
{
    if (cpu->cpl != 0) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
}

static void check_umip(struct cpu *cpu)
{
    if ((cpu->cr4 & CR4_UMIP) && cpu->cpl > 0) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
}

static void store_table(struct cpu *cpu, const struct insn *insn, uint64_t base, uint16_t limit)
{
    check_umip(cpu);
    uint8_t image[10];
    unsigned size = cpu->mode == CPU_MODE_64 ? 8 : 4;
    memcpy(image, &limit, 2);
    memcpy(image + 2, &base, 8);
    cpu_write_bytes(cpu, insn->segment, effective_address(cpu, insn), image, 2 + size);
}

void execute_sgdt(struct cpu *cpu, const struct insn *insn)
{
    store_table(cpu, insn, cpu->gdt.base, cpu->gdt.limit);
}

void execute_sidt(struct cpu *cpu, const struct insn *insn)
{
    store_table(cpu, insn, cpu->idt.base, cpu->idt.limit);
}

/* With a 16-bit operand size the base has 24 bits. */
static void load_table(struct cpu *cpu, const struct insn *insn, uint64_t *base, uint16_t *limit)
{
    check_privileged(cpu);
    uint8_t image[10] = {0};
    unsigned size = cpu->mode == CPU_MODE_64 ? 8 : 4;
    uint64_t new_base;
    cpu_read_bytes(cpu, insn->segment, effective_address(cpu, insn), image, 2 + size);
    memcpy(&new_base, image + 2, 8);
    if (size == 4 && insn->operand_size == 2) {
        new_base &= 0xffffff;
    }
    if (!cpu_is_canonical(new_base)) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    *base = new_base;
    memcpy(limit, image, 2);
}

void execute_lgdt(struct cpu *cpu, const struct insn *insn)
{
    load_table(cpu, insn, &cpu->gdt.base, &cpu->gdt.limit);
}

void execute_lidt(struct cpu *cpu, const struct insn *insn)
{
    load_table(cpu, insn, &cpu->idt.base, &cpu->idt.limit);
}

static void store_selector(struct cpu *cpu, const struct insn *insn, uint16_t selector)
{
    check_umip(cpu);
    if (insn->memory) {
        rm_write(cpu, insn, 2, selector);
    } else {
        gpr_write(cpu, insn->rm, insn->operand_size, selector);
    }
}

void execute_sldt(struct cpu *cpu, const struct insn *insn)
{
    store_selector(cpu, insn, cpu->ldt.selector);
}

void execute_str(struct cpu *cpu, const struct insn *insn)
{
    store_selector(cpu, insn, cpu->task.selector);
}

/* The descriptor for LLDT and LTR; in long mode it has 16 bytes and *base all 64 bits. */
static void read_system(struct cpu *cpu, uint16_t selector, struct descriptor *d, uint64_t *base)
{
    uint32_t upper[2] = {0, 0};
    if ((selector & SELECTOR_TI) || !descriptor_read(cpu, selector, d) ||
        !descriptor_is_system(d)) {
        raise_selector(cpu, EXCEPTION_GP, selector);
    }
    if (cpu->long_mode && (!descriptor_read_upper(cpu, selector, upper) || (upper[1] & 0x1f00))) {
        raise_selector(cpu, EXCEPTION_GP, selector);
    }
    *base = descriptor_base(d) | (uint64_t)upper[0] << 32;
}

void execute_lldt(struct cpu *cpu, const struct insn *insn)
{
    check_privileged(cpu);
    uint16_t selector = rm_read(cpu, insn, 2);
    struct descriptor d;
    uint64_t base;
    if (selector_is_null(selector)) {
        cpu->ldt = (struct x86_segment){.selector = selector};
        return;
    }
    read_system(cpu, selector, &d, &base);
    if (descriptor_type(&d) != SYSTEM_LDT || !cpu_is_canonical(base)) {
        raise_selector(cpu, EXCEPTION_GP, selector);
    }
    if (!descriptor_is_present(&d)) {
        raise_selector(cpu, EXCEPTION_NP, selector);
    }
    descriptor_to_segment(&d, selector, &cpu->ldt);
    cpu->ldt.base = base;
}

void execute_ltr(struct cpu *cpu, const struct insn *insn)
{
    check_privileged(cpu);
    uint16_t selector = rm_read(cpu, insn, 2);
    struct descriptor d;
    uint64_t base;
    if (selector_is_null(selector)) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    read_system(cpu, selector, &d, &base);
    unsigned type = descriptor_type(&d);
    bool valid =
        type == SYSTEM_TSS_32_AVAILABLE || (type == SYSTEM_TSS_16_AVAILABLE && !cpu->long_mode);
    if (!valid || !cpu_is_canonical(base)) {
        raise_selector(cpu, EXCEPTION_GP, selector);
    }
    if (!descriptor_is_present(&d)) {
        raise_selector(cpu, EXCEPTION_NP, selector);
    }
    descriptor_set_type(cpu, &d, type | SYSTEM_BUSY);
    descriptor_to_segment(&d, selector, &cpu->task);
    cpu->task.base = base;
}

/* Masks of system types that LAR and LSL know, outside and in long mode (SDM vol. 2, LAR). */
#define TYPES_LAR      0x1a3e /* 1 to 5, 9, 11, 12 */
#define TYPES_LAR_LONG 0x1a04 /* 2, 9, 11, 12 */
#define TYPES_LSL      0x0a0e /* 1, 2, 3, 9, 11 */
#define TYPES_LSL_LONG 0x0a04 /* 2, 9, 11 */

/* May the program at this level see the segment? Reads its descriptor. */
static bool is_visible(struct cpu *cpu, uint16_t selector, struct descriptor *d, unsigned types)
{
    unsigned privilege = MAX(cpu->cpl, selector & SELECTOR_RPL);
    if (selector_is_null(selector) || !descriptor_read(cpu, selector, d)) {
        return false;
    }
    if (descriptor_is_system(d) && !((types >> descriptor_type(d)) & 1)) {
        return false;
    }
    return (descriptor_is_code(d) && descriptor_is_conforming(d)) || descriptor_dpl(d) >= privilege;
}

static void set_zero_flag(struct cpu *cpu, bool zero)
{
    cpu_set_eflags(cpu, zero ? FLAG_ZF : 0, FLAG_ZF);
}

void execute_lar(struct cpu *cpu, const struct insn *insn)
{
    struct descriptor d;
    bool visible =
        is_visible(cpu, rm_read(cpu, insn, 2), &d, cpu->long_mode ? TYPES_LAR_LONG : TYPES_LAR);
    if (visible) {
        gpr_write(cpu, insn->reg, insn->operand_size, d.high & 0x00f0ff00);
    }
    set_zero_flag(cpu, visible);
}

void execute_lsl(struct cpu *cpu, const struct insn *insn)
{
    struct descriptor d;
    bool visible =
        is_visible(cpu, rm_read(cpu, insn, 2), &d, cpu->long_mode ? TYPES_LSL_LONG : TYPES_LSL);
    if (visible) {
        gpr_write(cpu, insn->reg, insn->operand_size, descriptor_limit(&d));
    }
    set_zero_flag(cpu, visible);
}

void execute_verr(struct cpu *cpu, const struct insn *insn)
{
    struct descriptor d;
    bool visible = is_visible(cpu, rm_read(cpu, insn, 2), &d, 0);
    set_zero_flag(cpu,
                  visible && (!descriptor_is_code(&d) || (descriptor_type(&d) & SEGMENT_READABLE)));
}

void execute_verw(struct cpu *cpu, const struct insn *insn)
{
    struct descriptor d;
    bool visible = is_visible(cpu, rm_read(cpu, insn, 2), &d, 0);
    set_zero_flag(cpu, visible && descriptor_is_writable_data(&d));
}

void execute_arpl(struct cpu *cpu, const struct insn *insn)
{
    uint16_t source = reg_read(cpu, insn, 2), destination = rm_read(cpu, insn, 2);
    bool adjust = (destination & SELECTOR_RPL) < (source & SELECTOR_RPL);
    /* What stays as it is is not written: it may lie where nothing can be. */
    if (adjust) {
        rm_write(cpu, insn, 2, (destination & ~SELECTOR_RPL) | (source & SELECTOR_RPL));
    }
    set_zero_flag(cpu, adjust);
}
