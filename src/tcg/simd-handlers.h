/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every handler of the SIMD and x87 opcode maps; what each does is in the manual under its name. */
#ifndef DUODM_TCG_SIMD_HANDLERS_H
#define DUODM_TCG_SIMD_HANDLERS_H

#include "tcg/insn.h"

/* Lists, as they are: */
/* clang-format off */
#define HANDLER(name)            void name(struct cpu *cpu, const struct insn *insn);
#define HANDLER_1(p, a)          HANDLER(p##a)
#define HANDLER_2(p, a, b)       HANDLER(p##a) HANDLER(p##b)
#define HANDLER_3(p, a, b, c)    HANDLER_2(p, a, b) HANDLER(p##c)
#define HANDLER_4(p, a, b, c, d) HANDLER_2(p, a, b) HANDLER_2(p, c, d)
#define MMX_SSE_BOTH(name)       HANDLER(mmx_##name) HANDLER(sse_##name)

/* sse-packed.c */
#define PACKED(name, lane, value)     MMX_SSE_BOTH(name)
#define PACKED_SSE(name, lane, value) HANDLER(sse_##name)
#include "tcg/packed.def"
#undef PACKED
#undef PACKED_SSE
#define SHIFT_BOTH(name) MMX_SSE_BOTH(name) MMX_SSE_BOTH(name##_immediate)
SHIFT_BOTH(psllw)
SHIFT_BOTH(pslld) SHIFT_BOTH(psllq) SHIFT_BOTH(psrlw) SHIFT_BOTH(psrld) SHIFT_BOTH(psrlq)
SHIFT_BOTH(psraw) SHIFT_BOTH(psrad) HANDLER_2(sse_, pslldq, psrldq) MMX_SSE_BOTH(pmaddwd)
MMX_SSE_BOTH(pmaddubsw) MMX_SSE_BOTH(psadbw) MMX_SSE_BOTH(phaddw) MMX_SSE_BOTH(phaddd)
MMX_SSE_BOTH(phaddsw) MMX_SSE_BOTH(phsubw) MMX_SSE_BOTH(phsubd) MMX_SSE_BOTH(phsubsw)
HANDLER_2(sse_, phminposuw, mpsadbw)

/* sse-shuffle.c */
MMX_SSE_BOTH(punpcklbw) MMX_SSE_BOTH(punpcklwd) MMX_SSE_BOTH(punpckldq) MMX_SSE_BOTH(punpckhbw)
MMX_SSE_BOTH(punpckhwd) MMX_SSE_BOTH(punpckhdq) HANDLER_2(sse_, punpcklqdq, punpckhqdq)
HANDLER_4(sse_, unpcklps, unpckhps, unpcklpd,
unpckhpd) MMX_SSE_BOTH(packsswb) MMX_SSE_BOTH(packuswb) MMX_SSE_BOTH(packssdw)
HANDLER(sse_packusdw) MMX_SSE_BOTH(pshufb) MMX_SSE_BOTH(palignr) HANDLER(mmx_pshufw)
HANDLER_3(sse_, pshufd, pshuflw, pshufhw) HANDLER_2(sse_, shufps, shufpd)
HANDLER_3(sse_, pblendw, blendps, blendpd) HANDLER_3(sse_, pblendvb,
blendvps, blendvpd)
HANDLER_3(sse_pmovsx, bw, bd, bq) HANDLER_3(sse_pmovsx, wd, wq, dq)
HANDLER_3(sse_pmovzx, bw, bd, bq) HANDLER_3(sse_pmovzx, wd, wq, dq)
HANDLER_4(sse_pinsr, b, w, d, q) HANDLER(mmx_pinsrw)
HANDLER_4(sse_pextr, b, w, d, q) HANDLER(sse_pextrw_memory)
HANDLER(mmx_pextrw)
HANDLER_3(sse_, insertps, movmskps, movmskpd)
MMX_SSE_BOTH(pmovmskb) HANDLER(sse_ptest)

/* sse-move.c */
HANDLER_2(sse_load_, aligned, unaligned) HANDLER_2(sse_store_, aligned, unaligned)
HANDLER_2(sse_movss_, load, store) HANDLER_2(sse_movsd_, load, store)
HANDLER_2(sse_movlps_, load, store) HANDLER_2(sse_movhps_, load, store)
HANDLER_2(sse_movq_, load, store) HANDLER_2(sse_movd_, load, store)
HANDLER_2(mmx_movq_, load, store) HANDLER_2(mmx_movd_, load, store)
HANDLER_2(sse_, movdq2q, movq2dq) HANDLER_3(sse_mov, ddup, sldup, shdup)
HANDLER_1(mmx_, maskmovq) HANDLER_1(sse_, maskmovdqu)

/* sse-float.c, sse-round.c */
#define FLOAT_ALL(name) HANDLER_4(sse_##name, ps, pd, ss, sd)
FLOAT_ALL(add) FLOAT_ALL(sub) FLOAT_ALL(mul) FLOAT_ALL(div)
FLOAT_ALL(min) FLOAT_ALL(max) FLOAT_ALL(sqrt) FLOAT_ALL(cmp)
FLOAT_ALL(round) HANDLER_4(sse_, rcpps, rcpss, rsqrtps,
rsqrtss)
HANDLER_4(sse_, comiss, comisd, ucomiss, ucomisd)
HANDLER_4(sse_, haddps, haddpd, hsubps, hsubpd)
HANDLER_4(sse_, addsubps, addsubpd, dpps, dppd)

/* sse-convert.c */
HANDLER_4(sse_cvt, dq2ps, dq2pd, ps2pd, pd2ps) HANDLER_4(sse_cvt, ps2dq, tps2dq, pd2dq, tpd2dq)
HANDLER_4(sse_cvt, ss2sd, sd2ss, si2ss, si2sd)
HANDLER_4(sse_cvt, ss2si, tss2si, sd2si, tsd2si) HANDLER_2(sse_cvt, pi2ps, pi2pd)
HANDLER_4(sse_cvt, ps2pi, tps2pi, pd2pi, tpd2pi)

/* sse-string.c, crypto-aes.c, crypto-sha.c */
HANDLER_4(sse_pcmp, estri, estrm, istri, istrm) HANDLER_4(sse_aes, enc, enclast, dec, declast)
HANDLER_3(sse_, aesimc, aeskeygenassist, pclmulqdq)
HANDLER_4(sse_sha1, rnds4, nexte, msg1, msg2) HANDLER_3(sse_sha256, rnds2, msg1, msg2)

/* avx.c, avx-memory.c, sse-string.c, sse-move.c, xsave.c */
HANDLER_4(avx_, execute, execute_flags, execute_aligned, zero) HANDLER_1(avx_, gather)
HANDLER_3(avx_, dpps, dppd, cvtps2ph)
HANDLER_2(avx_maskmov_, load, store) HANDLER_1(avx_, maskmovdqu)
HANDLER_4(avx_pcmp, estri, estrm, istri, istrm) HANDLER_2(avx_, ldmxcsr, stmxcsr)

/* bmi.c */
HANDLER_4(bmi_, andn, blsr, blsmsk, blsi) HANDLER_4(bmi_, bextr, bzhi, mulx, rorx)
HANDLER_3(bmi_, shlx, shrx, sarx) HANDLER_2(bmi_, pdep, pext) HANDLER_2(adx_, adcx, adox)
HANDLER_2(execute_movbe_, load, store) HANDLER_2(execute_, crc32, crc32_byte)

/* fpu-arithmetic.c */
#define FPU_ALL(name)                                                                              \
HANDLER_4(fpu_f##name, _st0, _sti, p, _m32)                                                    \
HANDLER_3(fpu_f, name##_m64, i##name##_m16, i##name##_m32)
FPU_ALL(add) FPU_ALL(mul) FPU_ALL(sub) FPU_ALL(subr) FPU_ALL(div) FPU_ALL(divr)
HANDLER_4(fpu_, fscale, fchs, fabs, fsqrt)
HANDLER_4(fpu_, frndint, f2xm1, fsin, fcos) HANDLER_2(fpu_, fprem, fprem1)
HANDLER_3(fpu_, fpatan, fyl2x, fyl2xp1)
HANDLER_3(fpu_, fptan, fsincos, fxtract)

/* fpu-move.c */
HANDLER_4(fpu_fld_, m32, m64, m80, sti) HANDLER_3(fpu_fild_, m16, m32, m64)
HANDLER_4(fpu_fld, 1, l2t, l2e, pi) HANDLER_3(fpu_fld, lg2, ln2, z)
HANDLER_3(fpu_fst_, m32, m64, sti) HANDLER_4(fpu_fstp_, m32, m64, m80, sti)
HANDLER_2(fpu_fist_, m16, m32) HANDLER_3(fpu_fistp_, m16, m32, m64)
HANDLER_3(fpu_fisttp_, m16, m32, m64) HANDLER_4(fpu_f, bld, bstp, xch, cmov)

/* fpu-compare.c */
HANDLER_3(fpu_fcom, , p, pp) HANDLER_3(fpu_fucom, , p, pp)
HANDLER_4(fpu_f, comi, comip, ucomi, ucomip) HANDLER_4(fpu_fcom, _m32, _m64, p_m32, p_m64)
HANDLER_4(fpu_ficom, _m16, _m32, p_m16, p_m32) HANDLER_2(fpu_f, tst, xam)

/* fpu-control.c, fpu-environment.c, xsave.c */
HANDLER_4(fpu_fn, init, clex, stcw, stsw) HANDLER_3(fpu_f, ldcw, nstsw_ax, nop)
HANDLER_4(fpu_f, free, freep, incstp, decstp) HANDLER_1(fpu_, ignored) HANDLER_1(mmx_, emms)
HANDLER_4(fpu_f, nstenv, ldenv, nsave, rstor) HANDLER_2(fpu_fx, save, rstor)
HANDLER_4(fpu_x, save, saveopt, savec, rstor) HANDLER_2(fpu_x, getbv, setbv)
HANDLER_2(sse_, ldmxcsr, stmxcsr)

/* clang-format on */

#undef HANDLER
#undef HANDLER_1
#undef HANDLER_2
#undef HANDLER_3
#undef HANDLER_4
#undef MMX_SSE_BOTH
#undef SHIFT_BOTH
#undef FLOAT_ALL
#undef FPU_ALL

#endif
