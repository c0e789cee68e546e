/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The x87 register stack, its tags, status and exceptions: SDM vol. 1, chapter 8. */
#ifndef DUODM_TCG_FPU_H
#define DUODM_TCG_FPU_H

#include "tcg/access.h"

/* An 80-bit register: the first 10 bytes are its memory format. */
struct x87_value {
    uint64_t mantissa;
    uint16_t exponent; /* bit 15: sign */
};

enum fpu_status_bit {
    FPU_IE = 1 << 0, /* invalid operation */
    FPU_DE = 1 << 1, /* denormal operand */
    FPU_ZE = 1 << 2, /* zero divide */
    FPU_OE = 1 << 3, /* overflow */
    FPU_UE = 1 << 4, /* underflow */
    FPU_PE = 1 << 5, /* precision */
    FPU_SF = 1 << 6, /* stack fault */
    FPU_ES = 1 << 7, /* an unmasked exception waits */
    FPU_C0 = 1 << 8,
    FPU_C1 = 1 << 9,
    FPU_C2 = 1 << 10,
    FPU_TOP = 7 << 11,
    FPU_C3 = 1 << 14,
    FPU_B = 1 << 15, /* follows ES */
};
#define FPU_EXCEPTIONS 0x3f
#define FPU_CONDITIONS (FPU_C0 | FPU_C1 | FPU_C2 | FPU_C3)
/* Detected before computing: unmasked, they keep any result from being stored. */
#define FPU_PRECOMPUTATION (FPU_IE | FPU_DE | FPU_ZE)
#define FPU_TOP_SHIFT      11
#define FPU_CONTROL_RESET  0x37f
#define FPU_CONTROL_WRITE  0x1f7f /* bits that FLDCW changes: bit 6 reads as one */
#define FPU_CONTROL_FIXED  0x0040

/* #NM if the FPU is not to be used now; then #MF if an exception waits. For every waiting x87
 * instruction but WAIT. */
void fpu_check(struct cpu *cpu);
/* #NM alone: FNINIT, FNSTSW and the other non-waiting ones. */
void fpu_check_available(struct cpu *cpu);
/* The waiting exception: #MF if CR0.NE, else nothing: the interrupt was sent when it arose. */
void fpu_raise_error(struct cpu *cpu);
/* An unmasked exception arose. */
void fpu_signal_error(struct cpu *cpu);

static inline void fpu_raise_pending(struct cpu *cpu)
{
    if (cpu->fpu.status & FPU_ES) {
        fpu_raise_error(cpu);
    }
}

/* Remember the instruction, and its memory operand if any, for FSAVE's pointers. */
void fpu_record(struct cpu *cpu, const struct insn *insn);

static inline unsigned fpu_top(const struct cpu *cpu)
{
    return (cpu->fpu.status & FPU_TOP) >> FPU_TOP_SHIFT;
}

static inline void fpu_set_top(struct cpu *cpu, unsigned top)
{
    cpu->fpu.status = (cpu->fpu.status & ~FPU_TOP) | ((top & 7) << FPU_TOP_SHIFT);
}

/* Physical register of ST(i) */
static inline unsigned fpu_physical(const struct cpu *cpu, unsigned i)
{
    return (fpu_top(cpu) + i) & 7;
}

static inline bool fpu_is_empty(const struct cpu *cpu, unsigned i)
{
    return !((cpu->fpu.valid >> fpu_physical(cpu, i)) & 1);
}

static inline struct x87_value fpu_read(const struct cpu *cpu, unsigned i)
{
    unsigned r = fpu_physical(cpu, i);

    return (struct x87_value){cpu->fpu.registers[r].mantissa, cpu->fpu.registers[r].exponent};
}

static inline void fpu_write(struct cpu *cpu, unsigned i, struct x87_value value)
{
    unsigned r = fpu_physical(cpu, i);

    cpu->fpu.registers[r].mantissa = value.mantissa;
    cpu->fpu.registers[r].exponent = value.exponent;
    cpu->fpu.valid |= 1u << r;
}

static inline void fpu_pop(struct cpu *cpu)
{
    cpu->fpu.valid &= ~(1u << fpu_physical(cpu, 0));
    fpu_set_top(cpu, fpu_top(cpu) + 1);
}

static inline void fpu_push(struct cpu *cpu, struct x87_value value)
{
    fpu_set_top(cpu, fpu_top(cpu) - 1);
    fpu_write(cpu, 0, value);
}

/* The real indefinite QNaN: what masked invalid operations give. */
static inline struct x87_value fpu_indefinite(void)
{
    return (struct x87_value){UINT64_C(0xc000000000000000), 0xffff};
}

/* ES and B from the flags and masks. */
static inline void fpu_update_summary(struct cpu *cpu)
{
    bool waits = cpu->fpu.status & ~cpu->fpu.control & FPU_EXCEPTIONS;
    bool new_one = waits && !(cpu->fpu.status & FPU_ES);

    cpu->fpu.status = (cpu->fpu.status & ~(FPU_ES | FPU_B)) | (waits ? FPU_ES | FPU_B : 0);
    if (new_one) {
        fpu_signal_error(cpu);
    }
}

/*
 * Take over flags and the condition codes named in conditions (a mask of C0..C3) from the status
 * of an operation. False if an unmasked exception forbids storing the result and popping.
 */
bool fpu_note_status(struct cpu *cpu, uint16_t status, uint16_t conditions);
/* Stack underflow (C1 = 0) and overflow (C1 = 1). True if masked: then the caller stores the
 * indefinite value and goes on. */
bool fpu_stack_underflow(struct cpu *cpu);
bool fpu_stack_overflow(struct cpu *cpu);
/* Of a store to memory: overflow and underflow too, unmasked, forbid the store. */
bool fpu_note_store_status(struct cpu *cpu, uint16_t status);

/* FNINIT's state */
void fpu_initialize(struct cpu *cpu);
/* The full tag word, two bits a register (valid, zero, special, empty): SDM vol. 1, 8.1.7. */
uint16_t fpu_get_tag_word(const struct cpu *cpu);
void fpu_set_tag_word(struct cpu *cpu, uint16_t tags);

#endif
