/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the VEX opcode maps are written: as simd-rows.h, and words for what the prefix adds. */
#ifndef DUODM_TCG_VEX_ROWS_H
#define DUODM_TCG_VEX_ROWS_H

#include "tcg/simd-rows.h"

/* name, CPU feature, mask of enum opcode_flag, operands: executed by the host (avx.h) */
#define VEX(text, since, flag_mask, ...)                                                           \
    INSN_FLAGS(text, since, avx_execute, OP_VEX | (flag_mask), __VA_ARGS__)
/* result in the flags */
#define VEX_FLAGS(text, flag_mask, ...)                                                            \
    INSN_FLAGS(text, AVX, avx_execute_flags, OP_VEX | (flag_mask), __VA_ARGS__)
/* memory operand aligned */
#define VEX_ALIGNED(text, flag_mask, ...)                                                          \
    INSN_FLAGS(text, AVX, avx_execute_aligned, OP_VEX | (flag_mask), __VA_ARGS__)
#define VEX_66(text, since, flag_mask, ...)                                                        \
    BY_PREFIX(INVALID, VEX(text, since, flag_mask, __VA_ARGS__))
/* by VEX.W */
#define BY_W(...)                                                                                  \
    {                                                                                              \
        .kind = OPCODE_W, .sub = ROWS(2, __VA_ARGS__)                                              \
    }

/* Families */
#define PACKED_INTEGER(text) VEX_66(text, AVX, OP_AVX2_256, Vx, Hx, Wx)
/* the count of a shift is 128 bits long, whatever VEX.L */
#define PACKED_SHIFT(text)           VEX_66(text, AVX, OP_AVX2_256, Vx, Hx, Wdq)
#define PACKED_SHIFT_IMMEDIATE(text) VEX_66(text, AVX, OP_AVX2_256, Hx, Ux, Ib)
#define VEX_PS_PD(text, ...)                                                                       \
    BY_PREFIX(VEX(text "ps", AVX, 0, __VA_ARGS__), VEX(text "pd", AVX, 0, __VA_ARGS__))
/* ps, pd, ss, sd */
#define VEX_FLOAT(text)                                                                            \
    BY_PREFIX(VEX(text "ps", AVX, 0, Vx, Hx, Wx), VEX(text "pd", AVX, 0, Vx, Hx, Wx),              \
              VEX(text "ss", AVX, 0, Vx, Hx, Wss), VEX(text "sd", AVX, 0, Vx, Hx, Wsd))

#endif
