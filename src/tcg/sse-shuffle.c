/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packing, unpacking, shuffling, blending, inserting and extracting lanes; MMX and SSE. */
#include "tcg/simd.h"

/* Interleave the low or high halves of destination and source. */
#define UNPACK(name, lane, high)                                                                   \
    LANES(name)                                                                                    \
    {                                                                                              \
        const union vector128 old = *d;                                                            \
        unsigned half = bytes / sizeof(d->lane[0]) / 2, first = (high) ? half : 0;                 \
        for (unsigned i = 0; i < half; i++) {                                                      \
            d->lane[2 * i] = old.lane[first + i];                                                  \
            d->lane[2 * i + 1] = s->lane[first + i];                                               \
        }                                                                                          \
    }                                                                                              \
    SSE_HANDLER(name)
/* The low unpacks of MMX read 4 bytes of memory. */
#define UNPACK_LOW(name, lane)                                                                     \
    UNPACK(name, lane, false)                                                                      \
    void mmx_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        mmx_execute_size(cpu, insn, name##_lanes, 4);                                              \
    }
#define UNPACK_HIGH(name, lane)                                                                    \
    UNPACK(name, lane, true)                                                                       \
    MMX_HANDLER(name)
UNPACK_LOW(punpcklbw, u8)
UNPACK_LOW(punpcklwd, u16)
UNPACK_LOW(punpckldq, u32)
UNPACK_HIGH(punpckhbw, u8)
UNPACK_HIGH(punpckhwd, u16)
UNPACK_HIGH(punpckhdq, u32)
UNPACK(punpcklqdq, u64, false)
UNPACK(punpckhqdq, u64, true)
UNPACK(unpcklps, u32, false)
UNPACK(unpckhps, u32, true)
UNPACK(unpcklpd, u64, false)
UNPACK(unpckhpd, u64, true)

/* Narrow the lanes of the destination, then of the source. */
#define PACK(name, wide, narrow, saturate)                                                         \
    LANES(name)                                                                                    \
    {                                                                                              \
        const union vector128 old = *d;                                                            \
        unsigned count = bytes / sizeof(d->wide[0]);                                               \
        for (unsigned i = 0; i < count; i++) {                                                     \
            d->narrow[i] = saturate(old.wide[i]);                                                  \
            d->narrow[count + i] = saturate(s->wide[i]);                                           \
        }                                                                                          \
    }                                                                                              \
    SSE_HANDLER(name)
PACK(packsswb, s16, s8, saturate_s8)
PACK(packuswb, s16, u8, saturate_u8)
PACK(packssdw, s32, s16, saturate_s16)
PACK(packusdw, s32, u16, saturate_u16)
MMX_HANDLER(packsswb)
MMX_HANDLER(packuswb)
MMX_HANDLER(packssdw)

LANES(pshufb)
{
    const union vector128 old = *d;

    for (unsigned i = 0; i < bytes; i++) {
        d->u8[i] = s->u8[i] & 0x80 ? 0 : old.u8[s->u8[i] & (bytes - 1)];
    }
}
MMX_SSE_HANDLERS(pshufb)

/* Bytes of destination:source, shifted right by the immediate. */
LANES(palignr)
{
    uint8_t both[32] = {0};

    memcpy(both, s, bytes);
    memcpy(both + bytes, d, bytes);
    for (unsigned i = 0; i < bytes; i++) {
        d->u8[i] = i + immediate < 2 * bytes ? both[i + immediate] : 0;
    }
}
MMX_SSE_HANDLERS(palignr)

/* Lane i of the result is the one that bits 2i+1:2i of the immediate select. */
#define SELECT4(lane, from, base) from->lane[(base) + ((immediate >> (2 * i)) & 3)]

LANES(pshufw)
{
    for (unsigned i = 0; i < 4; i++) {
        d->u16[i] = SELECT4(u16, s, 0);
    }
}
MMX_HANDLER(pshufw)

LANES(pshufd)
{
    for (unsigned i = 0; i < 4; i++) {
        d->u32[i] = SELECT4(u32, s, 0);
    }
}
SSE_HANDLER(pshufd)

LANES(pshuflw)
{
    for (unsigned i = 0; i < 4; i++) {
        d->u16[i] = SELECT4(u16, s, 0);
    }
    d->u64[1] = s->u64[1];
}
SSE_HANDLER(pshuflw)

LANES(pshufhw)
{
    for (unsigned i = 0; i < 4; i++) {
        d->u16[4 + i] = SELECT4(u16, s, 4);
    }
    d->u64[0] = s->u64[0];
}
SSE_HANDLER(pshufhw)

LANES(shufps)
{
    const union vector128 old = *d, *o = &old;

    for (unsigned i = 0; i < 4; i++) {
        d->u32[i] = i < 2 ? SELECT4(u32, o, 0) : SELECT4(u32, s, 0);
    }
}
SSE_HANDLER(shufps)

LANES(shufpd)
{
    d->u64[0] = d->u64[immediate & 1];
    d->u64[1] = s->u64[(immediate >> 1) & 1];
}
SSE_HANDLER(shufpd)

/* Blends: by immediate, or by the sign bits of XMM0. */
#define BLEND(name, lane)                                                                          \
    LANES(name)                                                                                    \
    {                                                                                              \
        for (unsigned i = 0; i < bytes / sizeof(d->lane[0]); i++) {                                \
            d->lane[i] = (immediate >> i) & 1 ? s->lane[i] : d->lane[i];                           \
        }                                                                                          \
    }                                                                                              \
    SSE_HANDLER(name)
BLEND(pblendw, u16)
BLEND(blendps, u32)
BLEND(blendpd, u64)

#define BLEND_VARIABLE(name, lane, signed_lane)                                                    \
    void sse_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        sse_check(cpu);                                                                            \
        union vector128 s = sse_read(cpu, insn), mask = cpu->ymm[0].xmm,                           \
                        *d = &cpu->ymm[insn->reg].xmm;                                             \
        for (unsigned i = 0; i < 16 / sizeof(d->lane[0]); i++) {                                   \
            d->lane[i] = mask.signed_lane[i] < 0 ? s.lane[i] : d->lane[i];                         \
        }                                                                                          \
    }
BLEND_VARIABLE(pblendvb, u8, s8)
BLEND_VARIABLE(blendvps, u32, s32)
BLEND_VARIABLE(blendvpd, u64, s64)

/* Widening moves: the source's low lanes, in 8, 4 or 2 bytes of memory. */
#define WIDEN(name, narrow, wide)                                                                  \
    void sse_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        union vector128 s, *d = &cpu->ymm[insn->reg].xmm;                                          \
        unsigned count = 16 / sizeof(d->wide[0]);                                                  \
        sse_check(cpu);                                                                            \
        s = sse_read_low(cpu, insn, count * sizeof(d->narrow[0]));                                 \
        for (unsigned i = 0; i < count; i++) {                                                     \
            d->wide[i] = s.narrow[i];                                                              \
        }                                                                                          \
    }
WIDEN(pmovsxbw, s8, s16)
WIDEN(pmovsxbd, s8, s32)
WIDEN(pmovsxbq, s8, s64)
WIDEN(pmovsxwd, s16, s32)
WIDEN(pmovsxwq, s16, s64)
WIDEN(pmovsxdq, s32, s64)
WIDEN(pmovzxbw, u8, u16)
WIDEN(pmovzxbd, u8, u32)
WIDEN(pmovzxbq, u8, u64)
WIDEN(pmovzxwd, u16, u32)
WIDEN(pmovzxwq, u16, u64)
WIDEN(pmovzxdq, u32, u64)

/* PINSR: from a general register's low part or memory. */
#define INSERT(name, lane, size)                                                                   \
    void sse_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        sse_check(cpu);                                                                            \
        uint64_t value = simd_read_general(cpu, insn, size);                                       \
        cpu->ymm[insn->reg].xmm.lane[insn->immediate & (16 / (size)-1)] = value;                   \
    }
INSERT(pinsrb, u8, 1)
INSERT(pinsrw, u16, 2)
INSERT(pinsrd, u32, 4)
INSERT(pinsrq, u64, 8)

void mmx_pinsrw(struct cpu *cpu, const struct insn *insn)
{
    mmx_check(cpu);
    uint64_t value = simd_read_general(cpu, insn, 2);
    union vector128 d = {.u64 = {*mmx_register(cpu, insn->reg)}};
    d.u16[insn->immediate & 3] = value;
    mmx_enter(cpu);
    mmx_write(cpu, insn->reg, d.u64[0]);
}

/* PEXTR: to memory of the lane's size, or zero-extended to a general register. */
#define EXTRACT(name, lane, size)                                                                  \
    void sse_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        sse_check(cpu);                                                                            \
        uint64_t value = cpu->ymm[insn->reg].xmm.lane[insn->immediate & (16 / (size)-1)];          \
        if (insn->memory) {                                                                        \
            simd_write_memory(cpu, insn, size, value);                                             \
        } else {                                                                                   \
            cpu->gpr[insn->rm] = value;                                                            \
        }                                                                                          \
    }
EXTRACT(pextrb, u8, 1)
EXTRACT(pextrw_memory, u16, 2)
EXTRACT(pextrd, u32, 4)
EXTRACT(pextrq, u64, 8)

/* The first form of PEXTRW: the general register is in ModRM.reg. */
void sse_pextrw(struct cpu *cpu, const struct insn *insn)
{
    sse_check(cpu);
    cpu->gpr[insn->reg] = cpu->ymm[insn->rm].xmm.u16[insn->immediate & 7];
}

void mmx_pextrw(struct cpu *cpu, const struct insn *insn)
{
    mmx_check(cpu);
    mmx_enter(cpu);
    cpu->gpr[insn->reg] = (uint16_t)(*mmx_register(cpu, insn->rm) >> (16 * (insn->immediate & 3)));
}

/* Immediate: source lane 7:6, destination lane 5:4, lanes to clear 3:0. */
void sse_insertps(struct cpu *cpu, const struct insn *insn)
{
    sse_check(cpu);
    union vector128 s = sse_read_low(cpu, insn, 4), *d = &cpu->ymm[insn->reg].xmm;
    unsigned from = insn->memory ? 0 : (insn->immediate >> 6) & 3;
    d->u32[(insn->immediate >> 4) & 3] = s.u32[from];
    for (unsigned i = 0; i < 4; i++) {
        if ((insn->immediate >> i) & 1) {
            d->u32[i] = 0;
        }
    }
}

/* Sign bits of all lanes into a general register. */
#define MOVE_MASK(name, lane, count)                                                               \
    void sse_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        uint64_t mask = 0;                                                                         \
        sse_check(cpu);                                                                            \
        for (unsigned i = 0; i < (count); i++) {                                                   \
            mask |= (uint64_t)(cpu->ymm[insn->rm].xmm.lane[i] < 0) << i;                           \
        }                                                                                          \
        cpu->gpr[insn->reg] = mask;                                                                \
    }
MOVE_MASK(movmskps, s32, 4)
MOVE_MASK(movmskpd, s64, 2)
MOVE_MASK(pmovmskb, s8, 16)

void mmx_pmovmskb(struct cpu *cpu, const struct insn *insn)
{
    mmx_check(cpu);
    mmx_enter(cpu);
    union vector128 s = {.u64 = {*mmx_register(cpu, insn->rm)}};
    uint64_t mask = 0;
    for (unsigned i = 0; i < 8; i++) {
        mask |= (uint64_t)(s.s8[i] < 0) << i;
    }
    cpu->gpr[insn->reg] = mask;
}

/* ZF: source AND destination is 0; CF: source AND NOT destination is 0. */
void sse_ptest(struct cpu *cpu, const struct insn *insn)
{
    sse_check(cpu);
    union vector128 s = sse_read(cpu, insn);
    const union vector128 *d = &cpu->ymm[insn->reg].xmm;
    bool zero = !((s.u64[0] & d->u64[0]) | (s.u64[1] & d->u64[1]));
    bool carry = !((s.u64[0] & ~d->u64[0]) | (s.u64[1] & ~d->u64[1]));
    cpu_set_eflags(cpu, (zero ? FLAG_ZF : 0) | (carry ? FLAG_CF : 0), FLAGS_STATUS);
}
