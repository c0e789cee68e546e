/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bit tests, scans and counts. */
#include "tcg/execute.h"
#include "tcg/operand.h"

enum bit_operation { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

ALWAYS_INLINE uint64_t bit_value(enum bit_operation operation, uint64_t value, uint64_t bit)
{
    if (operation == BIT_SET) {
        return value | bit;
    }
    if (operation == BIT_RESET) {
        return value & ~bit;
    }
    return value ^ bit;
}

ALWAYS_INLINE void bit_operate(struct cpu *cpu, const struct insn *insn, unsigned size,
                               enum bit_operation operation, uint64_t offset, unsigned number)
{
    uint64_t bit = 1ull << (number & (size * 8 - 1)), old;
    if (operation == BIT_TEST) {
        old = insn->memory ? memory_read(cpu, insn->segment, offset, size)
                           : register_read(cpu, insn, insn->rm, size);
    } else if (insn->memory) {
        struct modify m;
        modify_begin_at(cpu, insn, size, offset, insn->prefixes & INSN_LOCK, &m);
        do {
            old = m.old;
        } while (!modify_commit_memory(cpu, insn, size, &m, bit_value(operation, old, bit)));
    } else {
        old = register_read(cpu, insn, insn->rm, size);
        register_write(cpu, insn, insn->rm, size, bit_value(operation, old, bit));
    }
    cpu_set_eflags(cpu, old & bit ? FLAG_CF : 0, FLAG_CF);
}

ALWAYS_INLINE void bit_imm(struct cpu *cpu, const struct insn *insn, unsigned size,
                           enum bit_operation operation)
{
    uint64_t offset = insn->memory ? effective_address(cpu, insn) : 0;
    bit_operate(cpu, insn, size, operation, offset, insn->immediate);
}

/* In memory the register is a signed index into a string of bits. */
ALWAYS_INLINE void bit_reg(struct cpu *cpu, const struct insn *insn, unsigned size,
                           enum bit_operation operation)
{
    int64_t index = sign_extend(reg_read(cpu, insn, size), size);
    uint64_t offset = 0;
    if (insn->memory) {
        unsigned shift = size == 2 ? 4 : size == 4 ? 5 : 6;
        offset = effective_address(cpu, insn) + (uint64_t)(index >> shift) * size;
        offset &= size_mask(insn->address_size);
    }
    bit_operate(cpu, insn, size, operation, offset, index);
}

#define BIT_HANDLERS(name, operation)                                                              \
    ALWAYS_INLINE void name##_imm(struct cpu *cpu, const struct insn *insn, unsigned size)         \
    {                                                                                              \
        bit_imm(cpu, insn, size, operation);                                                       \
    }                                                                                              \
    ALWAYS_INLINE void name##_reg(struct cpu *cpu, const struct insn *insn, unsigned size)         \
    {                                                                                              \
        bit_reg(cpu, insn, size, operation);                                                       \
    }                                                                                              \
    EXECUTE_BY_SIZE(name##_imm)                                                                    \
    EXECUTE_BY_SIZE(name##_reg)

BIT_HANDLERS(bt, BIT_TEST)
BIT_HANDLERS(bts, BIT_SET)
BIT_HANDLERS(btr, BIT_RESET)
BIT_HANDLERS(btc, BIT_COMPLEMENT)

/* With a source of 0 the destination stays (AMD's promise), all 64 bits of it. */
ALWAYS_INLINE void bit_scan(struct cpu *cpu, const struct insn *insn, unsigned size, bool reverse)
{
    uint64_t source = rm_read(cpu, insn, size);
    if (source) {
        gpr_write(cpu, insn->reg, size,
                  (unsigned)(reverse ? 63 - __builtin_clzll(source) : __builtin_ctzll(source)));
    }
    cpu_set_eflags(cpu, source ? 0 : FLAG_ZF, FLAG_ZF);
}

ALWAYS_INLINE void bsf(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    bit_scan(cpu, insn, size, false);
}
EXECUTE_BY_SIZE(bsf)

ALWAYS_INLINE void bsr(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    bit_scan(cpu, insn, size, true);
}
EXECUTE_BY_SIZE(bsr)

ALWAYS_INLINE void count_zeros(struct cpu *cpu, const struct insn *insn, unsigned size,
                               bool leading)
{
    uint64_t source = rm_read(cpu, insn, size), count = size * 8;
    if (source) {
        count = leading ? __builtin_clzll(source) - (64u - size * 8)
                        : (unsigned)__builtin_ctzll(source);
    }
    gpr_write(cpu, insn->reg, size, count);
    cpu_set_eflags(cpu, (source ? 0 : FLAG_CF) | (count ? 0 : FLAG_ZF), FLAG_CF | FLAG_ZF);
}

/* On a CPU that lacks them the prefix is ignored. */
ALWAYS_INLINE void tzcnt(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    if (cpu_features_have(&cpu->features, FEATURE_BMI1)) {
        count_zeros(cpu, insn, size, false);
    } else {
        bit_scan(cpu, insn, size, false);
    }
}
EXECUTE_BY_SIZE(tzcnt)

ALWAYS_INLINE void lzcnt(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    if (cpu_features_have(&cpu->features, FEATURE_ABM)) {
        count_zeros(cpu, insn, size, true);
    } else {
        bit_scan(cpu, insn, size, true);
    }
}
EXECUTE_BY_SIZE(lzcnt)

ALWAYS_INLINE void popcnt(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    uint64_t source = rm_read(cpu, insn, size);
    gpr_write(cpu, insn->reg, size, __builtin_popcountll(source));
    flags_set_explicit(cpu, source ? 0 : FLAG_ZF);
}
EXECUTE_BY_SIZE(popcnt)
