/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Segment descriptors and segment registers: SDM vol. 3, chapters 3 and 5. */
#ifndef DUODM_TCG_SEGMENT_H
#define DUODM_TCG_SEGMENT_H

#include "tcg/cpu.h"

/* Bits of x86_segment.attributes. */
enum segment_attribute {
    SEGMENT_TYPE = 0xf,
    SEGMENT_ACCESSED = 1 << 0,
    SEGMENT_WRITABLE = 1 << 1,    /* data */
    SEGMENT_READABLE = 1 << 1,    /* code */
    SEGMENT_EXPAND_DOWN = 1 << 2, /* data */
    SEGMENT_CONFORMING = 1 << 2,  /* code */
    SEGMENT_CODE = 1 << 3,
    SEGMENT_S = 1 << 4, /* code or data; else system */
    SEGMENT_PRESENT = 1 << 7,
    SEGMENT_AVL = 1 << 12,
    SEGMENT_L = 1 << 13,
    SEGMENT_D = 1 << 14, /* or B */
    SEGMENT_G = 1 << 15,
};

/* Types of system descriptors (SDM vol. 3, table 3-2). */
enum system_type {
    SYSTEM_TSS_16_AVAILABLE = 1,
    SYSTEM_LDT = 2,
    SYSTEM_TSS_16_BUSY = 3,
    SYSTEM_CALL_GATE_16 = 4,
    SYSTEM_TASK_GATE = 5,
    SYSTEM_INTERRUPT_GATE_16 = 6,
    SYSTEM_TRAP_GATE_16 = 7,
    SYSTEM_TSS_32_AVAILABLE = 9,
    SYSTEM_TSS_32_BUSY = 11,
    SYSTEM_CALL_GATE_32 = 12,
    SYSTEM_INTERRUPT_GATE_32 = 14,
    SYSTEM_TRAP_GATE_32 = 15,
};
#define SYSTEM_BUSY 2u /* bit of a TSS's type */

#define SELECTOR_RPL   3u
#define SELECTOR_TI    4u
#define SELECTOR_ERROR 0xfffcu /* what an error code shows of a selector */

/* A descriptor as it lies in memory, and where. */
struct descriptor {
    uint32_t low, high;
    uint64_t linear;
};

static inline bool selector_is_null(uint16_t selector)
{
    return !(selector & SELECTOR_ERROR);
}
static inline unsigned descriptor_attributes(const struct descriptor *d)
{
    return (d->high >> 8) & 0xf0ff;
}
static inline unsigned descriptor_type(const struct descriptor *d)
{
    return (d->high >> 8) & SEGMENT_TYPE;
}
static inline bool descriptor_is_system(const struct descriptor *d)
{
    return !((d->high >> 8) & SEGMENT_S);
}
static inline bool descriptor_is_present(const struct descriptor *d)
{
    return (d->high >> 8) & SEGMENT_PRESENT;
}
static inline unsigned descriptor_dpl(const struct descriptor *d)
{
    return (d->high >> 13) & 3;
}
static inline bool descriptor_is_code(const struct descriptor *d)
{
    return !descriptor_is_system(d) && ((d->high >> 8) & SEGMENT_CODE);
}
static inline bool descriptor_is_conforming(const struct descriptor *d)
{
    return (d->high >> 8) & SEGMENT_CONFORMING;
}
static inline bool descriptor_is_writable_data(const struct descriptor *d)
{
    unsigned attributes = descriptor_attributes(d);
    return (attributes & (SEGMENT_S | SEGMENT_CODE | SEGMENT_WRITABLE)) ==
           (SEGMENT_S | SEGMENT_WRITABLE);
}
uint32_t descriptor_base(const struct descriptor *d);
uint32_t descriptor_limit(const struct descriptor *d); /* bytes, expanded by G */
/* Of a call, interrupt or trap gate. */
uint32_t gate_offset(const struct descriptor *d);
static inline uint16_t gate_selector(const struct descriptor *d)
{
    return d->low >> 16;
}

/* The descriptor that a selector names in GDT or LDT; false if it is outside the table. */
bool descriptor_read(struct cpu *cpu, uint16_t selector, struct descriptor *d);
/* The upper half of a 16-byte descriptor (long mode's LDT, TSS, call gate); false as above. */
bool descriptor_read_upper(struct cpu *cpu, uint16_t selector, uint32_t upper[2]);
/* Fill the hidden part. */
void descriptor_to_segment(const struct descriptor *d, uint16_t selector,
                           struct x86_segment *segment);
/* Set the accessed bit in memory and in *d. */
void descriptor_set_accessed(struct cpu *cpu, struct descriptor *d);
/* Change the type in memory and in *d (a TSS's busy bit). */
void descriptor_set_type(struct cpu *cpu, struct descriptor *d, unsigned type);

/* Raise vector with a selector as error code. */
_Noreturn void raise_selector(struct cpu *cpu, enum cpu_exception vector, uint16_t selector);

/* Load ES, SS, DS, FS or GS as MOV and POP do, in any mode. */
void segment_load(struct cpu *cpu, unsigned index, uint16_t selector);
/* As real and virtual-8086 mode load a segment register, CS too. */
void segment_load_real(struct cpu *cpu, unsigned index, uint16_t selector);
/* Make a data segment register unusable: null selector. */
void segment_load_null(struct cpu *cpu, unsigned index, uint16_t selector);
/* On a return to an outer level: null what that level may not have. */
void segment_drop_privileged(struct cpu *cpu);
/* MOV SS, POP SS: no interrupt nor debug exception before the next instruction's end. */
void segment_shadow_interrupts(struct cpu *cpu);
/* Are offset .. offset + size - 1 within the segment? (Not in 64-bit mode.) */
bool segment_contains(const struct x86_segment *segment, uint64_t offset, unsigned size);

/* Load CS with a descriptor that was checked. Calls cpu_update_mode. */
void segment_load_code(struct cpu *cpu, uint16_t selector, struct descriptor *d);
/* #GP(error) unless offset can be the next rip in the code segment d. */
void segment_check_target(struct cpu *cpu, const struct descriptor *d, uint64_t offset,
                          uint32_t error);
/* In long mode a code segment can't be both 64-bit and have D: #GP(selector). */
void segment_check_code_size(struct cpu *cpu, const struct descriptor *d, uint16_t selector);

#endif
