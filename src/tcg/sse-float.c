/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SSE floating-point arithmetic and comparison. */
#include "tcg/avx.h"
#include "tcg/simd.h"
#include "tcg/host-sse.h"

typedef unsigned (*host_vector_operation)(uint32_t mxcsr, union vector128 *destination,
                                          const union vector128 *source);

/* size: of the memory operand in bytes; 16 must be aligned */
static ALWAYS_INLINE void sse_float(struct cpu *cpu, const struct insn *insn, unsigned size,
                                    host_vector_operation operation)
{
    sse_check(cpu);
    union vector128 s = size == 16 ? sse_read(cpu, insn) : sse_read_low(cpu, insn, size);
    union vector128 d = cpu->ymm[insn->reg].xmm;
    sse_note_exceptions(cpu, operation(cpu->mxcsr, &d, &s));
    cpu->ymm[insn->reg].xmm = d;
}

#define FLOAT_HANDLER(name, size)                                                                  \
    void sse_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        sse_float(cpu, insn, size, host_##name);                                                   \
    }
#define FLOAT_FAMILY(name)                                                                         \
    FLOAT_HANDLER(name##ps, 16)                                                                    \
    FLOAT_HANDLER(name##pd, 16)                                                                    \
    FLOAT_HANDLER(name##ss, 4)                                                                     \
    FLOAT_HANDLER(name##sd, 8)
FLOAT_FAMILY(add)
FLOAT_FAMILY(sub)
FLOAT_FAMILY(mul)
FLOAT_FAMILY(div)
FLOAT_FAMILY(min)
FLOAT_FAMILY(max)
FLOAT_FAMILY(sqrt)
FLOAT_HANDLER(rcpps, 16)
FLOAT_HANDLER(rcpss, 4)
FLOAT_HANDLER(rsqrtps, 16)
FLOAT_HANDLER(rsqrtss, 4)

#define COMPARE_HANDLER(name, size)                                                                \
    void sse_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        sse_check(cpu);                                                                            \
        union vector128 s = (size) == 16 ? sse_read(cpu, insn) : sse_read_low(cpu, insn, size);    \
        union vector128 d = cpu->ymm[insn->reg].xmm;                                               \
        sse_note_exceptions(cpu, host_##name(cpu->mxcsr, &d, &s, insn->immediate));                \
        cpu->ymm[insn->reg].xmm = d;                                                               \
    }
COMPARE_HANDLER(cmpps, 16)
COMPARE_HANDLER(cmppd, 16)
COMPARE_HANDLER(cmpss, 4)
COMPARE_HANDLER(cmpsd, 8)

#define ORDER_HANDLER(name, size)                                                                  \
    void sse_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        uint32_t eflags;                                                                           \
        sse_check(cpu);                                                                            \
        union vector128 s = sse_read_low(cpu, insn, size);                                         \
        unsigned flags = host_##name(cpu->mxcsr, &cpu->ymm[insn->reg].xmm, &s, &eflags);           \
        sse_note_exceptions(cpu, flags);                                                           \
        cpu_set_eflags(cpu, eflags, FLAGS_STATUS);                                                 \
    }
ORDER_HANDLER(comiss, 4)
ORDER_HANDLER(comisd, 8)
ORDER_HANDLER(ucomiss, 4)
ORDER_HANDLER(ucomisd, 8)

/* Horizontal: the results of the destination's pairs, then of the source's. */
#define HORIZONTAL_PS(name, host)                                                                  \
    static unsigned host_##name(uint32_t mxcsr, union vector128 *d, const union vector128 *s)      \
    {                                                                                              \
        union vector128 odd = {.u32 = {d->u32[1], d->u32[3], s->u32[1], s->u32[3]}};               \
        *d = (union vector128){.u32 = {d->u32[0], d->u32[2], s->u32[0], s->u32[2]}};               \
        return host(mxcsr, d, &odd);                                                               \
    }                                                                                              \
    FLOAT_HANDLER(name, 16)
#define HORIZONTAL_PD(name, host)                                                                  \
    static unsigned host_##name(uint32_t mxcsr, union vector128 *d, const union vector128 *s)      \
    {                                                                                              \
        union vector128 odd = {.u64 = {d->u64[1], s->u64[1]}};                                     \
        *d = (union vector128){.u64 = {d->u64[0], s->u64[0]}};                                     \
        return host(mxcsr, d, &odd);                                                               \
    }                                                                                              \
    FLOAT_HANDLER(name, 16)
HORIZONTAL_PS(haddps, host_addps)
HORIZONTAL_PS(hsubps, host_subps)
HORIZONTAL_PD(haddpd, host_addpd)
HORIZONTAL_PD(hsubpd, host_subpd)

/* ADDSUB: even lanes subtract, odd lanes add. Lanes not wanted compute 0 - 0 and 0 + 0, which
 * raise nothing. */
#define ADD_SUBTRACT(name, lane, count, host_add, host_subtract)                                   \
    static unsigned host_##name(uint32_t mxcsr, union vector128 *d, const union vector128 *s)      \
    {                                                                                              \
        union vector128 odd = *d, odd_source = *s, even = *d, even_source = *s;                    \
        for (unsigned i = 0; i < (count); i += 2) {                                                \
            odd.lane[i] = odd_source.lane[i] = 0;                                                  \
            even.lane[i + 1] = even_source.lane[i + 1] = 0;                                        \
        }                                                                                          \
        unsigned flags = host_add(mxcsr, &odd, &odd_source);                                       \
        flags |= host_subtract(mxcsr, &even, &even_source);                                        \
        for (unsigned i = 0; i < (count); i++) {                                                   \
            d->lane[i] = i & 1 ? odd.lane[i] : even.lane[i];                                       \
        }                                                                                          \
        return flags;                                                                              \
    }                                                                                              \
    FLOAT_HANDLER(name, 16)
ADD_SUBTRACT(addsubps, u32, 4, host_addps, host_subps)
ADD_SUBTRACT(addsubpd, u64, 2, host_addpd, host_subpd)

/*
 * Dot products: bits 7:4 of the immediate choose the products, bits 3:0 the lanes that get the sum.
 * Each step's exceptions, of all 128-bit lanes, count, and an unmasked one ends it.
 */
static void dot_product_ps(struct cpu *cpu, union vector128 *d, const union vector128 *s,
                           unsigned lanes, unsigned immediate)
{
    union vector128 even[2], odd[2];
    unsigned flags = 0;

    for (unsigned lane = 0; lane < lanes; lane++) {
        union vector128 source = s[lane];
        for (unsigned i = 0; i < 4; i++) {
            if (!((immediate >> (4 + i)) & 1)) {
                d[lane].u32[i] = source.u32[i] = 0;
            }
        }
        flags |= host_mulps(cpu->mxcsr, &d[lane], &source);
    }
    sse_note_exceptions(cpu, flags);
    for (unsigned lane = 0; lane < lanes; lane++) {
        even[lane] = (union vector128){.u32 = {d[lane].u32[0], d[lane].u32[2]}};
        odd[lane] = (union vector128){.u32 = {d[lane].u32[1], d[lane].u32[3]}};
        flags |= host_addps(cpu->mxcsr, &even[lane], &odd[lane]);
    }
    sse_note_exceptions(cpu, flags);
    for (unsigned lane = 0; lane < lanes; lane++) {
        odd[lane].u32[0] = even[lane].u32[1];
        flags |= host_addss(cpu->mxcsr, &even[lane], &odd[lane]);
    }
    sse_note_exceptions(cpu, flags);
    for (unsigned lane = 0; lane < lanes; lane++) {
        for (unsigned i = 0; i < 4; i++) {
            d[lane].u32[i] = (immediate >> i) & 1 ? even[lane].u32[0] : 0;
        }
    }
}

static void dot_product_pd(struct cpu *cpu, union vector128 *d, const union vector128 *s,
                           unsigned immediate)
{
    union vector128 source = *s;

    for (unsigned i = 0; i < 2; i++) {
        if (!((immediate >> (4 + i)) & 1)) {
            d->u64[i] = source.u64[i] = 0;
        }
    }
    sse_note_exceptions(cpu, host_mulpd(cpu->mxcsr, d, &source));
    union vector128 sum = *d, high = {.u64 = {d->u64[1]}};
    sse_note_exceptions(cpu, host_addsd(cpu->mxcsr, &sum, &high));
    for (unsigned i = 0; i < 2; i++) {
        d->u64[i] = (immediate >> i) & 1 ? sum.u64[0] : 0;
    }
}

void sse_dpps(struct cpu *cpu, const struct insn *insn)
{
    sse_check(cpu);
    union vector128 s = sse_read(cpu, insn), d = cpu->ymm[insn->reg].xmm;
    dot_product_ps(cpu, &d, &s, 1, insn->immediate);
    cpu->ymm[insn->reg].xmm = d;
}

void sse_dppd(struct cpu *cpu, const struct insn *insn)
{
    sse_check(cpu);
    union vector128 s = sse_read(cpu, insn), d = cpu->ymm[insn->reg].xmm;
    dot_product_pd(cpu, &d, &s, insn->immediate);
    cpu->ymm[insn->reg].xmm = d;
}

static union vector256 avx_read(struct cpu *cpu, const struct insn *insn)
{
    union vector256 s = {.u64 = {0}};

    if (!insn->memory) {
        return cpu->ymm[insn->rm];
    }
    cpu_read_bytes(cpu, insn->segment, insn_effective_address(cpu, insn), &s, avx_length(insn));
    return s;
}

void avx_dpps(struct cpu *cpu, const struct insn *insn)
{
    avx_check(cpu);
    union vector256 s = avx_read(cpu, insn), d = cpu->ymm[insn->vex_register];
    dot_product_ps(cpu, d.lanes, s.lanes, avx_length(insn) / 16, insn->immediate);
    d.high = insn->vex_l ? d.high : (union vector128){.u64 = {0, 0}};
    cpu->ymm[insn->reg] = d;
}

void avx_dppd(struct cpu *cpu, const struct insn *insn)
{
    avx_check(cpu);
    union vector256 s = avx_read(cpu, insn), d = cpu->ymm[insn->vex_register];
    dot_product_pd(cpu, &d.xmm, &s.xmm, insn->immediate);
    d.high = (union vector128){.u64 = {0, 0}};
    cpu->ymm[insn->reg] = d;
}
