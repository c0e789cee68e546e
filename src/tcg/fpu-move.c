/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87 loads, stores, exchanges, constants, conditional moves. */
#include "tcg/fpu.h"
#include "tcg/simd.h"
#include "tcg/host-x87.h"

typedef uint16_t (*host_constant)(uint16_t control, struct x87_value *value);

/* Push what an operation with this status made of its operand. */
static void fpu_finish_load(struct cpu *cpu, struct x87_value value, uint16_t status, bool pushed)
{
    if (!fpu_is_empty(cpu, 7)) {
        if (fpu_stack_overflow(cpu)) {
            fpu_push(cpu, fpu_indefinite());
        }
        return;
    }
    fpu_note_status(cpu, status & ~FPU_C1, FPU_C1);
    if (pushed) {
        fpu_push(cpu, value);
    }
}

#define FPU_LOAD(name, size)                                                                       \
    void fpu_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        struct x87_value value = fpu_indefinite();                                                 \
        fpu_check(cpu);                                                                            \
        uint64_t operand = simd_read_memory(cpu, insn, size);                                      \
        fpu_record(cpu, insn);                                                                     \
        uint16_t status = host_##name(cpu->fpu.control, &value, operand);                          \
        fpu_finish_load(cpu, value, status, host_x87_pushed(status));                              \
    }
FPU_LOAD(fld_m32, 4)
FPU_LOAD(fld_m64, 8)
FPU_LOAD(fild_m16, 2)
FPU_LOAD(fild_m32, 4)
FPU_LOAD(fild_m64, 8)

void fpu_fbld(struct cpu *cpu, const struct insn *insn)
{
    struct x87_value value = fpu_indefinite();
    struct x87_bcd bcd;

    fpu_check(cpu);
    cpu_read_bytes(cpu, insn->segment, insn_effective_address(cpu, insn), &bcd, sizeof(bcd));
    fpu_record(cpu, insn);
    uint16_t status = host_fbld(cpu->fpu.control, &value, bcd);
    fpu_finish_load(cpu, value, status, host_x87_pushed(status));
}

void fpu_fld_m80(struct cpu *cpu, const struct insn *insn)
{
    uint8_t bytes[10];
    struct x87_value value;

    fpu_check(cpu);
    cpu_read_bytes(cpu, insn->segment, insn_effective_address(cpu, insn), bytes, sizeof(bytes));
    fpu_record(cpu, insn);
    memcpy(&value.mantissa, bytes, 8);
    memcpy(&value.exponent, bytes + 8, 2);
    fpu_finish_load(cpu, value, 0, true);
}

void fpu_fld_sti(struct cpu *cpu, const struct insn *insn)
{
    unsigned i = insn->modrm & 7;

    fpu_check(cpu);
    fpu_record(cpu, insn);
    if (!fpu_is_empty(cpu, i)) {
        fpu_finish_load(cpu, fpu_read(cpu, i), 0, true);
    } else if (fpu_stack_underflow(cpu)) {
        fpu_push(cpu, fpu_indefinite());
    }
}

#define FPU_CONSTANT(name)                                                                         \
    void fpu_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        struct x87_value value;                                                                    \
        fpu_check(cpu);                                                                            \
        fpu_record(cpu, insn);                                                                     \
        host_##name(cpu->fpu.control, &value);                                                     \
        fpu_finish_load(cpu, value, 0, true);                                                      \
    }
FPU_CONSTANT(fld1)
FPU_CONSTANT(fldl2t)
FPU_CONSTANT(fldl2e)
FPU_CONSTANT(fldpi)
FPU_CONSTANT(fldlg2)
FPU_CONSTANT(fldln2)
FPU_CONSTANT(fldz)

/*
 * Stores. An empty ST(0) stores the destination's indefinite value. The memory is checked before
 * status changes, so that a page fault leaves no trace.
 */
#define FPU_STORE(name, host, type, indefinite, pop)                                               \
    void fpu_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        struct x87_value value;                                                                    \
        type result = (indefinite);                                                                \
        fpu_check(cpu);                                                                            \
        cpu_probe_write(cpu, insn->segment, insn_effective_address(cpu, insn), sizeof(type));      \
        fpu_record(cpu, insn);                                                                     \
        if (fpu_is_empty(cpu, 0)) {                                                                \
            if (!fpu_stack_underflow(cpu)) {                                                       \
                return;                                                                            \
            }                                                                                      \
        } else {                                                                                   \
            value = fpu_read(cpu, 0);                                                              \
            if (!fpu_note_store_status(cpu, host(cpu->fpu.control, &value, &result))) {            \
                return;                                                                            \
            }                                                                                      \
        }                                                                                          \
        simd_write_memory(cpu, insn, sizeof(type), result);                                        \
        if (pop) {                                                                                 \
            fpu_pop(cpu);                                                                          \
        }                                                                                          \
    }
#define FLOAT_INDEFINITE  UINT32_C(0xffc00000)
#define DOUBLE_INDEFINITE UINT64_C(0xfff8000000000000)
FPU_STORE(fst_m32, host_fst_m32, uint32_t, FLOAT_INDEFINITE, false)
FPU_STORE(fst_m64, host_fst_m64, uint64_t, DOUBLE_INDEFINITE, false)
FPU_STORE(fstp_m32, host_fst_m32, uint32_t, FLOAT_INDEFINITE, true)
FPU_STORE(fstp_m64, host_fst_m64, uint64_t, DOUBLE_INDEFINITE, true)
FPU_STORE(fist_m16, host_fist_m16, uint16_t, 0x8000, false)
FPU_STORE(fist_m32, host_fist_m32, uint32_t, UINT32_C(0x80000000), false)
FPU_STORE(fistp_m16, host_fist_m16, uint16_t, 0x8000, true)
FPU_STORE(fistp_m32, host_fist_m32, uint32_t, UINT32_C(0x80000000), true)
FPU_STORE(fistp_m64, host_fist_m64, uint64_t, UINT64_C(1) << 63, true)
FPU_STORE(fisttp_m16, host_fisttp_m16, uint16_t, 0x8000, true)
FPU_STORE(fisttp_m32, host_fisttp_m32, uint32_t, UINT32_C(0x80000000), true)
FPU_STORE(fisttp_m64, host_fisttp_m64, uint64_t, UINT64_C(1) << 63, true)

void fpu_fbstp(struct cpu *cpu, const struct insn *insn)
{
    struct x87_bcd result = {{[7] = 0xc0, [8] = 0xff, [9] = 0xff}};
    uint64_t offset = insn_effective_address(cpu, insn);

    fpu_check(cpu);
    cpu_probe_write(cpu, insn->segment, offset, sizeof(result));
    fpu_record(cpu, insn);
    if (fpu_is_empty(cpu, 0)) {
        if (!fpu_stack_underflow(cpu)) {
            return;
        }
    } else {
        struct x87_value value = fpu_read(cpu, 0);
        if (!fpu_note_store_status(cpu, host_fbstp(cpu->fpu.control, &value, &result))) {
            return;
        }
    }
    cpu_write_bytes(cpu, insn->segment, offset, &result, sizeof(result));
    fpu_pop(cpu);
}

void fpu_fstp_m80(struct cpu *cpu, const struct insn *insn)
{
    uint8_t bytes[10];
    uint64_t offset = insn_effective_address(cpu, insn);
    struct x87_value value = fpu_read(cpu, 0);

    fpu_check(cpu);
    cpu_probe_write(cpu, insn->segment, offset, sizeof(bytes));
    fpu_record(cpu, insn);
    if (fpu_is_empty(cpu, 0)) {
        if (!fpu_stack_underflow(cpu)) {
            return;
        }
        value = fpu_indefinite();
    } else {
        cpu->fpu.status &= ~FPU_C1;
    }
    memcpy(bytes, &value.mantissa, 8);
    memcpy(bytes + 8, &value.exponent, 2);
    cpu_write_bytes(cpu, insn->segment, offset, bytes, sizeof(bytes));
    fpu_pop(cpu);
}

static void fpu_store_register(struct cpu *cpu, const struct insn *insn, bool pop)
{
    struct x87_value value;

    fpu_check(cpu);
    fpu_record(cpu, insn);
    value = fpu_read(cpu, 0);
    if (fpu_is_empty(cpu, 0)) {
        if (!fpu_stack_underflow(cpu)) {
            return;
        }
        value = fpu_indefinite();
    } else {
        cpu->fpu.status &= ~FPU_C1;
    }
    fpu_write(cpu, insn->modrm & 7, value);
    if (pop) {
        fpu_pop(cpu);
    }
}

void fpu_fst_sti(struct cpu *cpu, const struct insn *insn)
{
    fpu_store_register(cpu, insn, false);
}

void fpu_fstp_sti(struct cpu *cpu, const struct insn *insn)
{
    fpu_store_register(cpu, insn, true);
}

void fpu_fxch(struct cpu *cpu, const struct insn *insn)
{
    unsigned i = insn->modrm & 7;

    fpu_check(cpu);
    fpu_record(cpu, insn);
    struct x87_value a = fpu_read(cpu, 0), b = fpu_read(cpu, i);
    if (fpu_is_empty(cpu, 0) || fpu_is_empty(cpu, i)) {
        if (!fpu_stack_underflow(cpu)) {
            return;
        }
        a = fpu_is_empty(cpu, 0) ? fpu_indefinite() : a;
        b = fpu_is_empty(cpu, i) ? fpu_indefinite() : b;
    } else {
        cpu->fpu.status &= ~FPU_C1;
    }
    fpu_write(cpu, 0, b);
    fpu_write(cpu, i, a);
}

/* FCMOVcc: opcodes DA and DB (inverted), the flag in ModRM.reg: B, E, BE, U. */
void fpu_fcmov(struct cpu *cpu, const struct insn *insn)
{
    static const uint32_t tested[4] = {FLAG_CF, FLAG_ZF, FLAG_CF | FLAG_ZF, FLAG_PF};
    unsigned i = insn->modrm & 7;

    fpu_check(cpu);
    fpu_record(cpu, insn);
    if (fpu_is_empty(cpu, 0) || fpu_is_empty(cpu, i)) {
        if (fpu_stack_underflow(cpu)) {
            fpu_write(cpu, 0, fpu_indefinite());
        }
        return;
    }
    bool set = cpu_get_eflags(cpu) & tested[(insn->modrm >> 3) & 3];
    if (set != (insn->byte == 0xdb)) {
        fpu_write(cpu, 0, fpu_read(cpu, i));
    }
}
