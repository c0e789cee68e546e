/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packed integer arithmetic, comparison and logic, MMX and SSE: made from packed.def. */
#include "tcg/simd.h"

/* Plain loops over a constant number of lanes: the compiler makes vector instructions of them. */
#define PACKED_LANES(name, lane, value)                                                            \
    LANES(name)                                                                                    \
    {                                                                                              \
        for (unsigned i = 0; i < bytes / sizeof(d->lane[0]); i++) {                                \
            d->lane[i] = packed_##name(d->lane[i], s->lane[i]);                                    \
        }                                                                                          \
    }
#define PACKED_LANE(name, lane, value)                                                             \
    static inline __typeof__(((union vector128 *)0)->lane[0]) packed_##name(                       \
        __typeof__(((union vector128 *)0)->lane[0]) d,                                             \
        __typeof__(((union vector128 *)0)->lane[0]) s)                                             \
    {                                                                                              \
        return (value);                                                                            \
    }
#define PACKED(name, lane, value)                                                                  \
    PACKED_LANE(name, lane, value) PACKED_LANES(name, lane, value) MMX_SSE_HANDLERS(name)
#define PACKED_SSE(name, lane, value)                                                              \
    PACKED_LANE(name, lane, value) PACKED_LANES(name, lane, value) SSE_HANDLER(name)
#include "tcg/packed.def"

/* Shifts: the count is the low 64 bits of the source; a count past the lane gives 0 or the sign. */
#define SHIFT(name, lane, width, value, beyond)                                                    \
    LANES(name)                                                                                    \
    {                                                                                              \
        uint64_t count = s->u64[0];                                                                \
        for (unsigned i = 0; i < bytes / sizeof(d->lane[0]); i++) {                                \
            d->lane[i] = count < (width) ? (value) : (beyond);                                     \
        }                                                                                          \
    }                                                                                              \
    MMX_SSE_HANDLERS(name)                                                                         \
    void mmx_##name##_immediate(struct cpu *cpu, const struct insn *insn)                          \
    {                                                                                              \
        const union vector128 count = {.u64 = {insn->immediate & 0xff}};                           \
        mmx_check(cpu);                                                                            \
        union vector128 d = {.u64 = {*mmx_register(cpu, insn->rm)}};                               \
        mmx_enter(cpu);                                                                            \
        name##_lanes(&d, &count, 8, 0);                                                            \
        mmx_write(cpu, insn->rm, d.u64[0]);                                                        \
    }                                                                                              \
    void sse_##name##_immediate(struct cpu *cpu, const struct insn *insn)                          \
    {                                                                                              \
        const union vector128 count = {.u64 = {insn->immediate & 0xff}};                           \
        sse_check(cpu);                                                                            \
        name##_lanes(&cpu->ymm[insn->rm].xmm, &count, 16, 0);                                      \
    }
SHIFT(psllw, u16, 16, d->u16[i] << count, 0)
SHIFT(pslld, u32, 32, d->u32[i] << count, 0)
SHIFT(psllq, u64, 64, d->u64[i] << count, 0)
SHIFT(psrlw, u16, 16, d->u16[i] >> count, 0)
SHIFT(psrld, u32, 32, d->u32[i] >> count, 0)
SHIFT(psrlq, u64, 64, d->u64[i] >> count, 0)
SHIFT(psraw, s16, 16, d->s16[i] >> count, d->s16[i] >> 15)
SHIFT(psrad, s32, 32, d->s32[i] >> count, d->s32[i] >> 31)

/* Shifts of the whole register by bytes. */
static void sse_shift_bytes(struct cpu *cpu, const struct insn *insn, int direction)
{
    union vector128 *d = &cpu->ymm[insn->rm].xmm, result = {.u64 = {0, 0}};
    int count = MIN(insn->immediate & 0xff, 16);

    sse_check(cpu);
    for (int i = 0; i < 16; i++) {
        int from = i - direction * count;
        if (from >= 0 && from < 16) {
            result.u8[i] = d->u8[from];
        }
    }
    *d = result;
}

void sse_pslldq(struct cpu *cpu, const struct insn *insn)
{
    sse_shift_bytes(cpu, insn, 1);
}

void sse_psrldq(struct cpu *cpu, const struct insn *insn)
{
    sse_shift_bytes(cpu, insn, -1);
}

/* Sums of neighbouring products. */
LANES(pmaddwd)
{
    for (unsigned i = 0; i < bytes / 4; i++) {
        uint32_t low = (uint32_t)(d->s16[2 * i] * s->s16[2 * i]);
        uint32_t high = (uint32_t)(d->s16[2 * i + 1] * s->s16[2 * i + 1]);
        d->u32[i] = low + high;
    }
}
MMX_SSE_HANDLERS(pmaddwd)

LANES(pmaddubsw)
{
    for (unsigned i = 0; i < bytes / 2; i++) {
        int low = d->u8[2 * i] * s->s8[2 * i], high = d->u8[2 * i + 1] * s->s8[2 * i + 1];
        d->s16[i] = saturate_s16(low + high);
    }
}
MMX_SSE_HANDLERS(pmaddubsw)

/* Sum of absolute differences, for each 8 bytes. */
LANES(psadbw)
{
    for (unsigned i = 0; i < bytes / 8; i++) {
        unsigned sum = 0;
        for (unsigned j = 8 * i; j < 8 * i + 8; j++) {
            sum += d->u8[j] > s->u8[j] ? d->u8[j] - s->u8[j] : s->u8[j] - d->u8[j];
        }
        d->u64[i] = sum;
    }
}
MMX_SSE_HANDLERS(psadbw)

/* Horizontal: the results of the destination's pairs, then of the source's. */
#define HORIZONTAL(name, lane, value)                                                              \
    LANES(name)                                                                                    \
    {                                                                                              \
        const union vector128 old = *d;                                                            \
        unsigned half = bytes / sizeof(d->lane[0]) / 2;                                            \
        for (unsigned i = 0; i < half; i++) {                                                      \
            __typeof__(d->lane[0]) a = old.lane[2 * i], b = old.lane[2 * i + 1];                   \
            d->lane[i] = (value);                                                                  \
            a = s->lane[2 * i], b = s->lane[2 * i + 1];                                            \
            d->lane[half + i] = (value);                                                           \
        }                                                                                          \
    }                                                                                              \
    MMX_SSE_HANDLERS(name)
HORIZONTAL(phaddw, u16, a + b)
HORIZONTAL(phaddd, u32, a + b)
HORIZONTAL(phaddsw, s16, saturate_s16(a + b))
HORIZONTAL(phsubw, u16, a - b)
HORIZONTAL(phsubd, u32, a - b)
HORIZONTAL(phsubsw, s16, saturate_s16(a - b))

/* The smallest of eight words and its place. */
LANES(phminposuw)
{
    unsigned place = 0;

    for (unsigned i = 1; i < 8; i++) {
        if (s->u16[i] < s->u16[place]) {
            place = i;
        }
    }
    *d = (union vector128){.u16 = {s->u16[place], place}};
}
SSE_HANDLER(phminposuw)

/* Eight sums of four absolute differences; the immediate names the 4-byte blocks. */
LANES(mpsadbw)
{
    const union vector128 old = *d;
    unsigned source = (immediate & 3) * 4, destination = ((immediate >> 2) & 1) * 4;

    for (unsigned i = 0; i < 8; i++) {
        unsigned sum = 0;
        for (unsigned j = 0; j < 4; j++) {
            sum += abs(old.u8[destination + i + j] - s->u8[source + j]);
        }
        d->u16[i] = sum;
    }
}
SSE_HANDLER(mpsadbw)
