/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87 comparisons: the relation goes to C3, C2, C0, or to ZF, PF, CF. */
#include "tcg/fpu.h"
#include "tcg/simd.h"
#include "tcg/host-x87.h"

#define RELATION  (FPU_C0 | FPU_C2 | FPU_C3)
#define UNORDERED (FPU_C0 | FPU_C2 | FPU_C3)

typedef uint16_t (*host_compare)(uint16_t control, struct x87_value *a, const struct x87_value *b);

/* Compare ST(0) with ST(i). The status with the relation, or false after an unmasked exception. */
static ALWAYS_INLINE bool fpu_relate(struct cpu *cpu, const struct insn *insn, unsigned i,
                                     host_compare compare, uint16_t *status)
{
    fpu_check(cpu);
    fpu_record(cpu, insn);
    if (fpu_is_empty(cpu, 0) || fpu_is_empty(cpu, i)) {
        *status = UNORDERED;
        return fpu_stack_underflow(cpu);
    }
    struct x87_value a = fpu_read(cpu, 0), b = fpu_read(cpu, i);
    *status = compare(cpu->fpu.control, &a, &b);
    return fpu_note_status(cpu, *status & ~FPU_C1, FPU_C1);
}

static void fpu_set_relation(struct cpu *cpu, uint16_t status)
{
    cpu->fpu.status = (cpu->fpu.status & ~RELATION) | (status & RELATION);
}

static void fpu_pop_times(struct cpu *cpu, unsigned count)
{
    while (count--) {
        fpu_pop(cpu);
    }
}

#define FPU_COMPARE(name, i, compare, pops)                                                        \
    void fpu_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        uint16_t status;                                                                           \
        bool goes_on = fpu_relate(cpu, insn, i, compare, &status);                                 \
        fpu_set_relation(cpu, status);                                                             \
        if (goes_on) {                                                                             \
            fpu_pop_times(cpu, pops);                                                              \
        }                                                                                          \
    }
FPU_COMPARE(fcom, insn->modrm & 7, host_fcom, 0)
FPU_COMPARE(fcomp, insn->modrm & 7, host_fcom, 1)
FPU_COMPARE(fcompp, 1, host_fcom, 2)
FPU_COMPARE(fucom, insn->modrm & 7, host_fucom, 0)
FPU_COMPARE(fucomp, insn->modrm & 7, host_fucom, 1)
FPU_COMPARE(fucompp, 1, host_fucom, 2)

/* C3, C2, C0 in the order of ZF, PF, CF */
static uint32_t relation_flags(uint16_t status)
{
    return (status & FPU_C3 ? FLAG_ZF : 0) | (status & FPU_C2 ? FLAG_PF : 0) |
           (status & FPU_C0 ? FLAG_CF : 0);
}

#define FPU_COMPARE_FLAGS(name, compare, pops)                                                     \
    void fpu_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        uint16_t status;                                                                           \
        bool goes_on = fpu_relate(cpu, insn, insn->modrm & 7, compare, &status);                   \
        cpu_set_eflags(cpu, relation_flags(status), FLAGS_STATUS);                                 \
        if (goes_on) {                                                                             \
            fpu_pop_times(cpu, pops);                                                              \
        }                                                                                          \
    }
FPU_COMPARE_FLAGS(fcomi, host_fcom, 0)
FPU_COMPARE_FLAGS(fcomip, host_fcom, 1)
FPU_COMPARE_FLAGS(fucomi, host_fucom, 0)
FPU_COMPARE_FLAGS(fucomip, host_fucom, 1)

#define FPU_COMPARE_MEMORY(name, host, size, pops)                                                 \
    void fpu_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        uint16_t status = UNORDERED;                                                               \
        bool goes_on;                                                                              \
        fpu_check(cpu);                                                                            \
        uint64_t operand = simd_read_memory(cpu, insn, size);                                      \
        fpu_record(cpu, insn);                                                                     \
        if (fpu_is_empty(cpu, 0)) {                                                                \
            goes_on = fpu_stack_underflow(cpu);                                                    \
        } else {                                                                                   \
            struct x87_value value = fpu_read(cpu, 0);                                             \
            status = host(cpu->fpu.control, &value, operand);                                      \
            goes_on = fpu_note_status(cpu, status & ~FPU_C1, FPU_C1);                              \
        }                                                                                          \
        fpu_set_relation(cpu, status);                                                             \
        if (goes_on) {                                                                             \
            fpu_pop_times(cpu, pops);                                                              \
        }                                                                                          \
    }
FPU_COMPARE_MEMORY(fcom_m32, host_fcom_m32, 4, 0)
FPU_COMPARE_MEMORY(fcom_m64, host_fcom_m64, 8, 0)
FPU_COMPARE_MEMORY(fcomp_m32, host_fcom_m32, 4, 1)
FPU_COMPARE_MEMORY(fcomp_m64, host_fcom_m64, 8, 1)
FPU_COMPARE_MEMORY(ficom_m16, host_ficom_m16, 2, 0)
FPU_COMPARE_MEMORY(ficom_m32, host_ficom_m32, 4, 0)
FPU_COMPARE_MEMORY(ficomp_m16, host_ficom_m16, 2, 1)
FPU_COMPARE_MEMORY(ficomp_m32, host_ficom_m32, 4, 1)

void fpu_ftst(struct cpu *cpu, const struct insn *insn)
{
    uint16_t status = UNORDERED;

    fpu_check(cpu);
    fpu_record(cpu, insn);
    if (fpu_is_empty(cpu, 0)) {
        fpu_stack_underflow(cpu);
    } else {
        struct x87_value value = fpu_read(cpu, 0);
        status = host_ftst(cpu->fpu.control, &value);
        fpu_note_status(cpu, status & ~FPU_C1, FPU_C1);
    }
    fpu_set_relation(cpu, status);
}

/* Class of ST(0) in C3, C2, C0; sign in C1. Empty is a class too, not a stack fault. */
void fpu_fxam(struct cpu *cpu, const struct insn *insn)
{
    fpu_check(cpu);
    fpu_record(cpu, insn);
    struct x87_value value = fpu_read(cpu, 0);
    uint16_t status = host_fxam(cpu->fpu.control, &value);
    if (fpu_is_empty(cpu, 0)) {
        status = FPU_C3 | FPU_C0 | (status & FPU_C1);
    }
    cpu->fpu.status = (cpu->fpu.status & ~FPU_CONDITIONS) | (status & FPU_CONDITIONS);
}
