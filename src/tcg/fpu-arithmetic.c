/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87 arithmetic: FADD, FSUB, FMUL, FDIV and relatives, FSQRT, FSCALE, FPREM, transcendentals. */
#include "tcg/fpu.h"
#include "tcg/simd.h"
#include "tcg/host-x87.h"

typedef uint16_t (*host_binary)(uint16_t control, struct x87_value *a, const struct x87_value *b);
typedef uint16_t (*host_unary)(uint16_t control, struct x87_value *value);
typedef uint16_t (*host_pushing)(uint16_t control, struct x87_value *first,
                                 struct x87_value *second);

/* ST(destination) = ST(destination) OPERATION ST(source), then pop if asked. */
static ALWAYS_INLINE void fpu_binary(struct cpu *cpu, const struct insn *insn, unsigned destination,
                                     unsigned source, bool pop, host_binary operation)
{
    fpu_check(cpu);
    fpu_record(cpu, insn);
    struct x87_value a = fpu_read(cpu, destination), b = fpu_read(cpu, source);
    if (fpu_is_empty(cpu, destination) || fpu_is_empty(cpu, source)) {
        if (!fpu_stack_underflow(cpu)) {
            return;
        }
        a = fpu_indefinite();
    } else if (!fpu_note_status(cpu, operation(cpu->fpu.control, &a, &b), FPU_C1)) {
        return;
    }
    fpu_write(cpu, destination, a);
    if (pop) {
        fpu_pop(cpu);
    }
}

/* ST(0) = ST(0) OPERATION memory; status is of the operation, which changed value. */
static void fpu_finish_memory(struct cpu *cpu, struct x87_value value, uint16_t status)
{
    if (fpu_note_status(cpu, status, FPU_C1)) {
        fpu_write(cpu, 0, value);
    }
}

static ALWAYS_INLINE bool fpu_begin_memory(struct cpu *cpu, const struct insn *insn)
{
    fpu_record(cpu, insn);
    if (!fpu_is_empty(cpu, 0)) {
        return true;
    }
    if (fpu_stack_underflow(cpu)) {
        fpu_write(cpu, 0, fpu_indefinite());
    }
    return false;
}

#define FPU_MEMORY(name, size)                                                                     \
    void fpu_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        fpu_check(cpu);                                                                            \
        uint64_t operand = simd_read_memory(cpu, insn, size);                                      \
        if (fpu_begin_memory(cpu, insn)) {                                                         \
            struct x87_value value = fpu_read(cpu, 0);                                             \
            uint16_t status = host_##name(cpu->fpu.control, &value, operand);                      \
            fpu_finish_memory(cpu, value, status);                                                 \
        }                                                                                          \
    }
/* The register forms: to ST(0), to ST(i), to ST(i) and pop. */
#define FPU_FAMILY(operation)                                                                      \
    void fpu_f##operation##_st0(struct cpu *cpu, const struct insn *insn)                          \
    {                                                                                              \
        fpu_binary(cpu, insn, 0, insn->modrm & 7, false, host_f##operation);                       \
    }                                                                                              \
    void fpu_f##operation##_sti(struct cpu *cpu, const struct insn *insn)                          \
    {                                                                                              \
        fpu_binary(cpu, insn, insn->modrm & 7, 0, false, host_f##operation);                       \
    }                                                                                              \
    void fpu_f##operation##p(struct cpu *cpu, const struct insn *insn)                             \
    {                                                                                              \
        fpu_binary(cpu, insn, insn->modrm & 7, 0, true, host_f##operation);                        \
    }                                                                                              \
    FPU_MEMORY(f##operation##_m32, 4)                                                              \
    FPU_MEMORY(f##operation##_m64, 8)                                                              \
    FPU_MEMORY(fi##operation##_m16, 2)                                                             \
    FPU_MEMORY(fi##operation##_m32, 4)

FPU_FAMILY(add)
FPU_FAMILY(mul)
FPU_FAMILY(sub)
FPU_FAMILY(subr)
FPU_FAMILY(div)
FPU_FAMILY(divr)

void fpu_fscale(struct cpu *cpu, const struct insn *insn)
{
    fpu_binary(cpu, insn, 0, 1, false, host_fscale);
}

/* ST(0) = OPERATION ST(0); conditions: those of C0..C3 that it defines */
static ALWAYS_INLINE void fpu_unary(struct cpu *cpu, const struct insn *insn, uint16_t conditions,
                                    host_unary operation)
{
    fpu_check(cpu);
    fpu_record(cpu, insn);
    struct x87_value value = fpu_read(cpu, 0);
    if (fpu_is_empty(cpu, 0)) {
        cpu->fpu.status &= ~(conditions & ~FPU_C1);
        if (!fpu_stack_underflow(cpu)) {
            return;
        }
        value = fpu_indefinite();
    } else if (!fpu_note_status(cpu, operation(cpu->fpu.control, &value), conditions)) {
        return;
    }
    fpu_write(cpu, 0, value);
}

#define FPU_UNARY(operation, conditions)                                                           \
    void fpu_##operation(struct cpu *cpu, const struct insn *insn)                                 \
    {                                                                                              \
        fpu_unary(cpu, insn, conditions, host_##operation);                                        \
    }
FPU_UNARY(fchs, FPU_C1)
FPU_UNARY(fabs, FPU_C1)
FPU_UNARY(fsqrt, FPU_C1)
FPU_UNARY(frndint, FPU_C1)
FPU_UNARY(f2xm1, FPU_C1)
FPU_UNARY(fsin, FPU_C1 | FPU_C2) /* C2: operand out of range */
FPU_UNARY(fcos, FPU_C1 | FPU_C2)

/* Partial remainder: C2 incomplete; C0 C3 C1 the quotient's low bits, where there is one. */
static ALWAYS_INLINE void fpu_remainder(struct cpu *cpu, const struct insn *insn,
                                        host_binary operation)
{
    fpu_check(cpu);
    fpu_record(cpu, insn);
    struct x87_value a = fpu_read(cpu, 0), b = fpu_read(cpu, 1);
    if (fpu_is_empty(cpu, 0) || fpu_is_empty(cpu, 1)) {
        cpu->fpu.status &= ~FPU_C2;
        if (!fpu_stack_underflow(cpu)) {
            return;
        }
        a = fpu_indefinite();
    } else {
        uint16_t status = operation(cpu->fpu.control, &a, &b);
        uint16_t refused = FPU_IE | (~cpu->fpu.control & FPU_PRECOMPUTATION);
        if (!fpu_note_status(cpu, status, status & refused ? FPU_C1 | FPU_C2 : FPU_CONDITIONS)) {
            return;
        }
    }
    fpu_write(cpu, 0, a);
}

void fpu_fprem(struct cpu *cpu, const struct insn *insn)
{
    fpu_remainder(cpu, insn, host_fprem);
}

void fpu_fprem1(struct cpu *cpu, const struct insn *insn)
{
    fpu_remainder(cpu, insn, host_fprem1);
}

/* ST(1) = OPERATION of ST(0) and ST(1), then pop */
static ALWAYS_INLINE void fpu_popping(struct cpu *cpu, const struct insn *insn,
                                      host_binary operation)
{
    fpu_check(cpu);
    fpu_record(cpu, insn);
    struct x87_value a = fpu_read(cpu, 0), b = fpu_read(cpu, 1);
    if (fpu_is_empty(cpu, 0) || fpu_is_empty(cpu, 1)) {
        if (!fpu_stack_underflow(cpu)) {
            return;
        }
        a = fpu_indefinite();
    } else if (!fpu_note_status(cpu, operation(cpu->fpu.control, &a, &b), FPU_C1)) {
        return;
    }
    fpu_write(cpu, 1, a);
    fpu_pop(cpu);
}

#define FPU_POPPING(operation)                                                                     \
    void fpu_##operation(struct cpu *cpu, const struct insn *insn)                                 \
    {                                                                                              \
        fpu_popping(cpu, insn, host_##operation);                                                  \
    }
FPU_POPPING(fpatan)
FPU_POPPING(fyl2x)
FPU_POPPING(fyl2xp1)

/* ST(0) is replaced by a second result, then the first is pushed. */
static ALWAYS_INLINE void fpu_pushing(struct cpu *cpu, const struct insn *insn, uint16_t conditions,
                                      host_pushing operation)
{
    fpu_check(cpu);
    fpu_record(cpu, insn);
    struct x87_value first = fpu_read(cpu, 0), second;
    if (fpu_is_empty(cpu, 0) || !fpu_is_empty(cpu, 7)) {
        bool masked = fpu_is_empty(cpu, 0) ? fpu_stack_underflow(cpu) : fpu_stack_overflow(cpu);
        cpu->fpu.status &= ~(conditions & ~FPU_C1);
        if (!masked) {
            return;
        }
        first = second = fpu_indefinite();
    } else {
        uint16_t status = operation(cpu->fpu.control, &first, &second);
        if (!fpu_note_status(cpu, status, conditions) || (status & conditions & FPU_C2)) {
            return;
        }
    }
    fpu_write(cpu, 0, second);
    fpu_push(cpu, first);
}

void fpu_fptan(struct cpu *cpu, const struct insn *insn)
{
    fpu_pushing(cpu, insn, FPU_C1 | FPU_C2, host_fptan);
}

void fpu_fsincos(struct cpu *cpu, const struct insn *insn)
{
    fpu_pushing(cpu, insn, FPU_C1 | FPU_C2, host_fsincos);
}

void fpu_fxtract(struct cpu *cpu, const struct insn *insn)
{
    fpu_pushing(cpu, insn, FPU_C1, host_fxtract);
}
