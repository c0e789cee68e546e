/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ROUNDPS, ROUNDPD, ROUNDSS, ROUNDSD, on the bits of the numbers. */
#include "tcg/simd.h"

enum rounding { ROUND_NEAREST, ROUND_DOWN, ROUND_UP, ROUND_ZERO };

/* Immediate: SDM vol. 2, figure "Bit Control Fields of Immediate Byte for ROUNDxx". */
#define ROUND_FROM_MXCSR 4
#define ROUND_NO_INEXACT 8

struct float_format {
    unsigned fraction_bits, bias;
    uint64_t sign, infinity; /* masks: the infinity's is all of the exponent */
};
static const struct float_format float_single = {23, 127, 1u << 31, 0x7f800000};
static const struct float_format float_double = {52, 1023, UINT64_C(1) << 63,
                                                 UINT64_C(0x7ff) << 52};

/* The integer next to magnitude/2^shift, as bits of the same format. */
static uint64_t round_value(const struct float_format *f, uint64_t value, enum rounding rounding,
                            uint32_t mxcsr, unsigned *flags)
{
    uint64_t sign = value & f->sign, magnitude = value & ~f->sign;
    uint64_t quiet = UINT64_C(1) << (f->fraction_bits - 1);
    uint64_t one = (uint64_t)f->bias << f->fraction_bits;

    if (magnitude > f->infinity) {
        *flags |= magnitude & quiet ? 0 : MXCSR_IE;
        return value | quiet;
    }
    int exponent = (int)(magnitude >> f->fraction_bits) - (int)f->bias;
    if (exponent >= (int)f->fraction_bits || magnitude == 0) {
        return value;
    }
    if ((mxcsr & MXCSR_DAZ) && magnitude >> f->fraction_bits == 0) {
        return sign;
    }
    if (exponent < 0) {
        bool away = rounding == ROUND_NEAREST ? magnitude > one - quiet * 2
                    : rounding == ROUND_DOWN  ? sign != 0
                    : rounding == ROUND_UP    ? sign == 0
                                              : false;
        *flags |= MXCSR_PE;
        return sign | (away ? one : 0);
    }
    uint64_t unit = UINT64_C(1) << ((int)f->fraction_bits - exponent),
             rest = magnitude & (unit - 1);
    if (!rest) {
        return value;
    }
    *flags |= MXCSR_PE;
    uint64_t down = magnitude - rest;
    /* The lowest bit kept; for 1.x it is the implicit one. */
    bool odd = exponent == 0 || (down & unit);
    bool up = rounding == ROUND_NEAREST ? rest > unit / 2 || (rest == unit / 2 && odd)
              : rounding == ROUND_DOWN  ? sign != 0
              : rounding == ROUND_UP    ? sign == 0
                                        : false;
    return sign | (down + (up ? unit : 0));
}

static enum rounding rounding_of(const struct cpu *cpu, const struct insn *insn)
{
    return insn->immediate & ROUND_FROM_MXCSR ? (cpu->mxcsr & MXCSR_RC) >> 13 : insn->immediate & 3;
}

#define ROUND_HANDLER(name, lane, count, size, format)                                             \
    void sse_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        unsigned flags = 0;                                                                        \
        sse_check(cpu);                                                                            \
        union vector128 s = (size) == 16 ? sse_read(cpu, insn) : sse_read_low(cpu, insn, size);    \
        union vector128 d = cpu->ymm[insn->reg].xmm;                                               \
        for (unsigned i = 0; i < (count); i++) {                                                   \
            d.lane[i] =                                                                            \
                round_value(&format, s.lane[i], rounding_of(cpu, insn), cpu->mxcsr, &flags);       \
        }                                                                                          \
        flags &= insn->immediate & ROUND_NO_INEXACT ? MXCSR_FLAGS & ~MXCSR_PE : MXCSR_FLAGS;       \
        sse_note_exceptions(cpu, flags);                                                           \
        cpu->ymm[insn->reg].xmm = d;                                                               \
    }
ROUND_HANDLER(roundps, u32, 4, 16, float_single)
ROUND_HANDLER(roundpd, u64, 2, 16, float_double)
ROUND_HANDLER(roundss, u32, 1, 4, float_single)
ROUND_HANDLER(roundsd, u64, 1, 8, float_double)
