/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shifts and rotates. Each computes its result and CF, OF for a masked count that is not 0; a
 * count of 0 changes nothing, flags included. OF is defined for a count of 1 only; what is
 * computed here for other counts is what AMD's processors give.
 */
#include "tcg/execute.h"
#include "tcg/operand.h"

enum shift_operation { ROL, ROR, RCL, RCR, SHL, SHR, SAL, SAR };

struct shift_result {
    uint64_t value;
    bool carry, overflow;
};

ALWAYS_INLINE bool top_bit(uint64_t value, unsigned size)
{
    return (value >> (size * 8 - 1)) & 1;
}

ALWAYS_INLINE struct shift_result rotate(enum shift_operation operation, unsigned size,
                                         uint64_t value, unsigned count)
{
    unsigned bits = size * 8, shift = count & (bits - 1);
    struct shift_result r = {.value = value};
    if (shift) {
        unsigned left = operation == ROL ? shift : bits - shift;
        r.value = ((value << left) | (value >> (bits - left))) & size_mask(size);
    }
    if (operation == ROL) {
        r.carry = r.value & 1;
        r.overflow = top_bit(r.value, size) != r.carry;
    } else {
        r.carry = top_bit(r.value, size);
        r.overflow = r.carry != ((r.value >> (bits - 2)) & 1);
    }
    return r;
}

/* A rotate through carry turns bits + 1 positions. */
ALWAYS_INLINE struct shift_result rotate_carry(enum shift_operation operation, unsigned size,
                                               uint64_t value, unsigned count, bool carry)
{
    unsigned bits = size * 8, left = count % (bits + 1);
    struct shift_result r = {.value = value, .carry = carry};
    if (operation == RCR) {
        left = (bits + 1 - left) % (bits + 1);
    }
    if (left) {
        unsigned __int128 wide = ((unsigned __int128)carry << bits) | value;
        wide = (wide << left) | (wide >> (bits + 1 - left));
        r.value = (uint64_t)wide & size_mask(size);
        r.carry = (wide >> bits) & 1;
    }
    if (operation == RCL) {
        r.overflow = top_bit(r.value, size) != r.carry;
    } else {
        r.overflow = top_bit(r.value, size) != ((r.value >> (bits - 2)) & 1);
    }
    return r;
}

ALWAYS_INLINE struct shift_result shift(enum shift_operation operation, unsigned size,
                                        uint64_t value, unsigned count)
{
    unsigned bits = size * 8;
    struct shift_result r;
    if (operation == SHL) {
        /* In 128 bits the last bit shifted out is still there. */
        unsigned __int128 wide = (unsigned __int128)value << count;
        r.value = (uint64_t)wide & size_mask(size);
        r.carry = (wide >> bits) & 1;
        r.overflow = top_bit(r.value, size) != r.carry;
    } else if (operation == SHR) {
        r.value = count < bits ? value >> count : 0;
        r.carry = count <= bits && ((value >> (count - 1)) & 1);
        r.overflow = top_bit(r.value << 1, size) != top_bit(r.value, size);
    } else {
        int64_t wide = sign_extend(value, size);
        r.value = (uint64_t)(wide >> count) & size_mask(size);
        r.carry = (wide >> (count - 1)) & 1;
        r.overflow = false;
    }
    return r;
}

ALWAYS_INLINE void shift_rm(struct cpu *cpu, const struct insn *insn, unsigned size,
                            enum shift_operation operation, unsigned count)
{
    count &= size == 8 ? 63 : 31;
    struct modify m;
    modify_begin(cpu, insn, size, &m);
    if (count == 0) {
        modify_commit(cpu, insn, size, &m, m.old);
        return;
    }
    struct shift_result r;
    if (operation == ROL || operation == ROR) {
        r = rotate(operation, size, m.old, count);
    } else if (operation == RCL || operation == RCR) {
        r = rotate_carry(operation, size, m.old, count, flags_get_carry(cpu));
    } else {
        r = shift(operation, size, m.old, count);
    }
    modify_commit(cpu, insn, size, &m, r.value);

    uint32_t status = (r.carry ? FLAG_CF : 0) | (r.overflow ? FLAG_OF : 0);
    if (operation >= SHL) {
        flags_set_result(cpu, size, r.value, status);
    } else {
        cpu_set_eflags(cpu, status, FLAG_CF | FLAG_OF);
    }
}

#define SHIFT_HANDLERS(name, operation)                                                            \
    ALWAYS_INLINE void name##_imm(struct cpu *cpu, const struct insn *insn, unsigned size)         \
    {                                                                                              \
        shift_rm(cpu, insn, size, operation, insn->immediate);                                     \
    }                                                                                              \
    ALWAYS_INLINE void name##_cl(struct cpu *cpu, const struct insn *insn, unsigned size)          \
    {                                                                                              \
        shift_rm(cpu, insn, size, operation, cpu->gpr[X86_RCX]);                                   \
    }                                                                                              \
    EXECUTE_BY_SIZE(name##_imm)                                                                    \
    EXECUTE_BY_SIZE(name##_cl)

SHIFT_HANDLERS(rol, ROL)
SHIFT_HANDLERS(ror, ROR)
SHIFT_HANDLERS(rcl, RCL)
SHIFT_HANDLERS(rcr, RCR)
SHIFT_HANDLERS(shl, SHL)
SHIFT_HANDLERS(shr, SHR)
SHIFT_HANDLERS(sar, SAR)

/*
 * SHLD, SHRD. With 16 bits and a count over 16 the result is undefined: AMD's processors shift the
 * source in twice.
 */
ALWAYS_INLINE void double_shift(struct cpu *cpu, const struct insn *insn, unsigned size, bool left,
                                unsigned count)
{
    unsigned bits = size * 8;
    count &= size == 8 ? 63 : 31;
    uint64_t source = reg_read(cpu, insn, size);
    struct modify m;
    modify_begin(cpu, insn, size, &m);
    if (count == 0) {
        modify_commit(cpu, insn, size, &m, m.old);
        return;
    }
    unsigned __int128 wide;
    uint64_t result;
    bool carry;
    if (size == 2) {
        uint64_t three =
            left ? m.old << 32 | source << 16 | source : source << 32 | source << 16 | m.old;
        result = (left ? three >> (32 - count) : three >> count) & 0xffff;
        carry = count <= 16 && ((left ? m.old >> (16 - count) : m.old >> (count - 1)) & 1);
    } else if (left) {
        wide = ((unsigned __int128)m.old << bits) | source;
        result = (uint64_t)(wide >> (bits - count)) & size_mask(size);
        carry = (m.old >> (bits - count)) & 1;
    } else {
        wide = ((unsigned __int128)source << bits) | m.old;
        result = (uint64_t)(wide >> count) & size_mask(size);
        carry = (m.old >> (count - 1)) & 1;
    }
    modify_commit(cpu, insn, size, &m, result);
    bool overflow = left ? top_bit(result, size) != carry
                         : top_bit(result, size) != ((result >> (bits - 2)) & 1);
    flags_set_result(cpu, size, result, (carry ? FLAG_CF : 0) | (overflow ? FLAG_OF : 0));
}

#define DOUBLE_SHIFT_HANDLERS(name, left)                                                          \
    ALWAYS_INLINE void name##_imm(struct cpu *cpu, const struct insn *insn, unsigned size)         \
    {                                                                                              \
        double_shift(cpu, insn, size, left, insn->immediate);                                      \
    }                                                                                              \
    ALWAYS_INLINE void name##_cl(struct cpu *cpu, const struct insn *insn, unsigned size)          \
    {                                                                                              \
        double_shift(cpu, insn, size, left, cpu->gpr[X86_RCX]);                                    \
    }                                                                                              \
    EXECUTE_BY_SIZE(name##_imm)                                                                    \
    EXECUTE_BY_SIZE(name##_cl)

DOUBLE_SHIFT_HANDLERS(shld, true)
DOUBLE_SHIFT_HANDLERS(shrd, false)
