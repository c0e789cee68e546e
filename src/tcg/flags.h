/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lazy status flags. An instruction records its operation, operands and result; each flag is made
 * from them when something asks. All values are zero-extended from the operation's size.
 */
#ifndef DUODM_TCG_FLAGS_H
#define DUODM_TCG_FLAGS_H

#include "tcg/cpu.h"

/* struct cpu_flags.operation is one of these plus log2 of the size in bytes. */
enum flags_operation {
    FLAGS_EXPLICIT = 0, /* result holds the status flags themselves; no size */
    FLAGS_RESULT = 4,   /* ZF, SF, PF from result; CF, AF, OF are the bits of source */
    FLAGS_ADD = 8,      /* result = destination + source (+ carry: ADC) */
    FLAGS_SUB = 12,     /* result = destination - source */
    FLAGS_SBB = 16,     /* result = destination - source - borrow */
    FLAGS_INC = 20,     /* result = destination + 1; source: the CF kept */
    FLAGS_DEC = 24,     /* result = destination - 1; source: the CF kept */
    /* What translated code leaves: values with bits above the size, to be cut off by who reads. */
    FLAGS_COMPARE = 28, /* of destination and source */
    FLAGS_SUM = 32,     /* result = destination + source; destination is not there */
    FLAGS_LOGIC = 36,   /* ZF, SF, PF from result; CF, AF, OF 0 */
    FLAGS_INC_RAW = 40, /* result; bit 0 of source: the CF kept; destination is not there */
    FLAGS_DEC_RAW = 44,
};

static inline unsigned flags_size_log2(unsigned size)
{
    return size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3;
}

/* Ones in the low `size` bytes. */
static inline uint64_t size_mask(unsigned size)
{
    return size == 8 ? ~0ull : (1ull << (size * 8)) - 1;
}

static inline void flags_set(struct cpu *cpu, enum flags_operation operation, unsigned size,
                             uint64_t result, uint64_t destination, uint64_t source)
{
    cpu->lazy.operation = operation | flags_size_log2(size);
    cpu->lazy.result = result;
    cpu->lazy.destination = destination;
    cpu->lazy.source = source;
}

/* ZF, SF, PF from result (of size bytes); CF, AF and OF as the bits of `others` have them. */
static inline void flags_set_result(struct cpu *cpu, unsigned size, uint64_t result,
                                    uint32_t others)
{
    cpu->lazy.operation = FLAGS_RESULT | flags_size_log2(size);
    cpu->lazy.result = result;
    cpu->lazy.source = others;
}

/* All six status flags, as bits of EFLAGS. */
static inline void flags_set_explicit(struct cpu *cpu, uint32_t status)
{
    cpu->lazy.operation = FLAGS_EXPLICIT;
    cpu->lazy.result = status;
}

/* The six status flags as bits of EFLAGS. */
uint32_t flags_get_status(const struct cpu *cpu);
/* As flags_get_carry, for the operations that are not inline. */
bool flags_compute_carry(const struct cpu *cpu);
/* PF of a value. */
uint32_t flags_parity(uint64_t value);

/* Turn what translated code left into one of the other forms. */
void flags_complete(const struct cpu *cpu);

static inline void flags_look(const struct cpu *cpu)
{
    if (__builtin_expect(cpu->lazy.operation >= FLAGS_COMPARE, 0)) {
        flags_complete(cpu);
    }
}

static inline uint64_t flags_sign_bit(const struct cpu *cpu)
{
    return 1ull << ((8u << (cpu->lazy.operation & 3)) - 1);
}

static inline bool flags_get_carry(const struct cpu *cpu)
{
    flags_look(cpu);
    switch (cpu->lazy.operation & ~3u) {
    case FLAGS_SUB:
        return cpu->lazy.destination < cpu->lazy.source;
    case FLAGS_RESULT:
    case FLAGS_INC:
    case FLAGS_DEC:
        return cpu->lazy.source & FLAG_CF;
    default:
        return flags_compute_carry(cpu);
    }
}

static inline bool flags_get_zero(const struct cpu *cpu)
{
    flags_look(cpu);
    if (cpu->lazy.operation == FLAGS_EXPLICIT) {
        return cpu->lazy.result & FLAG_ZF;
    }
    return cpu->lazy.result == 0;
}

static inline bool flags_get_sign(const struct cpu *cpu)
{
    flags_look(cpu);
    if (cpu->lazy.operation == FLAGS_EXPLICIT) {
        return cpu->lazy.result & FLAG_SF;
    }
    return cpu->lazy.result & flags_sign_bit(cpu);
}

bool flags_get_overflow(const struct cpu *cpu);

/* SF != OF: "less" after a comparison. */
static inline bool flags_get_less(const struct cpu *cpu)
{
    flags_look(cpu);
    if ((cpu->lazy.operation & ~3u) == FLAGS_SUB) {
        uint64_t sign = flags_sign_bit(cpu);
        return (cpu->lazy.destination ^ sign) < (cpu->lazy.source ^ sign);
    }
    return flags_get_sign(cpu) != flags_get_overflow(cpu);
}

/* Condition of Jcc, SETcc, CMOVcc by the opcode's low four bits (SDM vol. 1, appendix B). */
static inline __attribute__((always_inline)) bool flags_condition(const struct cpu *cpu,
                                                                  unsigned code)
{
    bool holds;
    switch ((code >> 1) & 7) {
    case 0:
        holds = flags_get_overflow(cpu);
        break;
    case 1:
        holds = flags_get_carry(cpu);
        break;
    case 2:
        holds = flags_get_zero(cpu);
        break;
    case 3:
        holds = flags_get_carry(cpu) || flags_get_zero(cpu);
        break;
    case 4:
        holds = flags_get_sign(cpu);
        break;
    case 5:
        flags_look(cpu);
        holds = cpu->lazy.operation == FLAGS_EXPLICIT ? cpu->lazy.result & FLAG_PF
                                                      : flags_parity(cpu->lazy.result);
        break;
    case 6:
        holds = flags_get_less(cpu);
        break;
    default:
        holds = flags_get_zero(cpu) || flags_get_less(cpu);
        break;
    }
    return holds != (code & 1);
}

#endif
