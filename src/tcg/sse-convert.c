/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SSE conversions between integers, single and double precision. */
#include "tcg/simd.h"
#include "tcg/host-sse.h"

/* Vector to vector; size: bytes of the memory operand, 16 must be aligned */
#define CONVERT(name, size)                                                                        \
    void sse_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        sse_check(cpu);                                                                            \
        union vector128 s = (size) == 16 ? sse_read(cpu, insn) : sse_read_low(cpu, insn, size);    \
        union vector128 d = cpu->ymm[insn->reg].xmm;                                               \
        sse_note_exceptions(cpu, host_##name(cpu->mxcsr, &d, &s));                                 \
        cpu->ymm[insn->reg].xmm = d;                                                               \
    }
CONVERT(cvtdq2ps, 16)
CONVERT(cvtdq2pd, 8)
CONVERT(cvtps2pd, 8)
CONVERT(cvtpd2ps, 16)
CONVERT(cvtps2dq, 16)
CONVERT(cvttps2dq, 16)
CONVERT(cvtpd2dq, 16)
CONVERT(cvttpd2dq, 16)
CONVERT(cvtss2sd, 4)
CONVERT(cvtsd2ss, 8)

/* General register or memory to the low lane */
#define CONVERT_FROM_GENERAL(name)                                                                 \
    void sse_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        sse_check(cpu);                                                                            \
        uint64_t value = simd_read_general(cpu, insn, insn->operand_size);                         \
        union vector128 d = cpu->ymm[insn->reg].xmm;                                               \
        unsigned flags = insn->operand_size == 8 ? host_##name##_64(cpu->mxcsr, &d, value)         \
                                                 : host_##name##_32(cpu->mxcsr, &d, value);        \
        sse_note_exceptions(cpu, flags);                                                           \
        cpu->ymm[insn->reg].xmm = d;                                                               \
    }
CONVERT_FROM_GENERAL(cvtsi2ss)
CONVERT_FROM_GENERAL(cvtsi2sd)

/* Low lane to a general register */
#define CONVERT_TO_GENERAL(name, size)                                                             \
    void sse_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        uint64_t value;                                                                            \
        sse_check(cpu);                                                                            \
        union vector128 s = sse_read_low(cpu, insn, size);                                         \
        unsigned flags = insn->operand_size == 8 ? host_##name##_64(cpu->mxcsr, &value, &s)        \
                                                 : host_##name##_32(cpu->mxcsr, &value, &s);       \
        sse_note_exceptions(cpu, flags);                                                           \
        cpu->gpr[insn->reg] = value;                                                               \
    }
CONVERT_TO_GENERAL(cvtss2si, 4)
CONVERT_TO_GENERAL(cvttss2si, 4)
CONVERT_TO_GENERAL(cvtsd2si, 8)
CONVERT_TO_GENERAL(cvttsd2si, 8)

/* Two integers of an MMX register or memory to floating point. */
void sse_cvtpi2ps(struct cpu *cpu, const struct insn *insn)
{
    sse_mmx_check(cpu);
    union vector128 s = mmx_read(cpu, insn, 8), d = {.u64 = {0}};
    unsigned flags = host_cvtdq2ps(cpu->mxcsr, &d, &s);
    mmx_enter(cpu);
    sse_note_exceptions(cpu, flags);
    cpu->ymm[insn->reg].xmm.u64[0] = d.u64[0];
}

/* Exact always. A memory operand leaves the x87 state alone. */
void sse_cvtpi2pd(struct cpu *cpu, const struct insn *insn)
{
    sse_check(cpu);
    if (!insn->memory) {
        fpu_raise_pending(cpu);
    }
    union vector128 s = mmx_read(cpu, insn, 8);
    if (!insn->memory) {
        mmx_enter(cpu);
    }
    host_cvtdq2pd(cpu->mxcsr, &cpu->ymm[insn->reg].xmm, &s);
}

/* Two floating-point numbers to integers in an MMX register. */
#define CONVERT_TO_MMX(name, host, size)                                                           \
    void sse_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        union vector128 d = {.u64 = {0}};                                                          \
        sse_mmx_check(cpu);                                                                        \
        union vector128 s = (size) == 16 ? sse_read(cpu, insn) : sse_read_low(cpu, insn, size);    \
        s.u64[1] = (size) == 16 ? s.u64[1] : 0;                                                    \
        unsigned flags = host(cpu->mxcsr, &d, &s);                                                 \
        mmx_enter(cpu);                                                                            \
        sse_note_exceptions(cpu, flags);                                                           \
        mmx_write(cpu, insn->reg, d.u64[0]);                                                       \
    }
CONVERT_TO_MMX(cvtps2pi, host_cvtps2dq, 8)
CONVERT_TO_MMX(cvttps2pi, host_cvttps2dq, 8)
CONVERT_TO_MMX(cvtpd2pi, host_cvtpd2dq, 16)
CONVERT_TO_MMX(cvttpd2pi, host_cvttpd2dq, 16)
