/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the opcode maps of SIMD and x87 are written: one line, one instruction. */
#ifndef DUODM_TCG_SIMD_ROWS_H
#define DUODM_TCG_SIMD_ROWS_H

#include "tcg/opcode.h"
#include "tcg/simd-handlers.h"

/* name, CPU feature, handler, then operands in the manual's letters */
#define INSN_FLAGS(text, need, handler, flag_mask, ...)                                            \
    {                                                                                              \
        .kind = OPCODE_INSN, .flags = (flag_mask), .feature = FEATURE_##need,                      \
        .operands = {__VA_ARGS__}, .name = (text), .execute = {                                    \
            handler                                                                                \
        }                                                                                          \
    }
#define INSN(text, need, handler, ...) INSN_FLAGS(text, need, handler, 0, __VA_ARGS__)
#define ROWS(count, ...)                                                                           \
    (const struct opcode[count])                                                                   \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define INVALID                                                                                    \
    {                                                                                              \
        .kind = OPCODE_INVALID                                                                     \
    }
/* by mandatory prefix: none, 66, F3, F2 */
#define BY_PREFIX(...)                                                                             \
    {                                                                                              \
        .kind = OPCODE_PREFIX, .sub = ROWS(4, __VA_ARGS__)                                         \
    }
/* by ModRM.reg; rows as [n] = ... */
#define BY_REG(...)                                                                                \
    {                                                                                              \
        .kind = OPCODE_GROUP, .sub = ROWS(8, __VA_ARGS__)                                          \
    }
#define BY_RM(...)                                                                                 \
    {                                                                                              \
        .kind = OPCODE_RM, .sub = ROWS(8, __VA_ARGS__)                                             \
    }
/* memory form, register form */
#define BY_MOD(...)                                                                                \
    {                                                                                              \
        .kind = OPCODE_MOD, .sub = ROWS(2, __VA_ARGS__)                                            \
    }

/* Families: the MMX form with no prefix and the SSE form with 66. */
#define MMX_SSE(text, name)                                                                        \
    BY_PREFIX(INSN(text, MMX, mmx_##name, Pq, Qq), INSN(text, SSE2, sse_##name, Vx, Wx))
/* likewise, where the MMX form came with SSE, SSSE3 */
#define MMX_SSE_SINCE(text, mmx_since, sse_since, name)                                            \
    BY_PREFIX(INSN(text, mmx_since, mmx_##name, Pq, Qq), INSN(text, sse_since, sse_##name, Vx, Wx))
/* 66 alone */
#define SSE_66(text, since, name, ...)                                                             \
    BY_PREFIX(INVALID, INSN(text, since, sse_##name, __VA_ARGS__))
/* ps, pd, ss, sd */
#define FLOAT(text, name)                                                                          \
    BY_PREFIX(INSN(text "ps", SSE, sse_##name##ps, Vx, Wx),                                        \
              INSN(text "pd", SSE2, sse_##name##pd, Vx, Wx),                                       \
              INSN(text "ss", SSE, sse_##name##ss, Vx, Wss),                                       \
              INSN(text "sd", SSE2, sse_##name##sd, Vx, Wsd))

#endif
