/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The words in which the opcode maps are written; included only by opcodes-*.c. */
#ifndef DUODM_TCG_OPCODE_ROWS_H
#define DUODM_TCG_OPCODE_ROWS_H

#include "tcg/opcode.h"

/* Handlers: one for all operand sizes, or one per size. */
#define ONE(name)                                                                                  \
    {                                                                                              \
        execute_##name                                                                             \
    }
#define SIZED(name)                                                                                \
    {                                                                                              \
        execute_##name##_1, execute_##name##_2, execute_##name##_4, execute_##name##_8             \
    }

/* An instruction: name, mask of enum opcode_flag, handlers, operands in the manual's letters. */
#define ROW(name_, flags_, execute_, ...)                                                          \
    {                                                                                              \
        .kind = OPCODE_INSN, .name = name_, .flags = flags_, .execute = execute_, .operands = {    \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
/* The same, on CPUs with FEATURE_feature_ only. */
#define ROW_IF(feature_, name_, flags_, execute_, ...)                                             \
    {                                                                                              \
        .kind = OPCODE_INSN, .feature = FEATURE_##feature_, .name = name_, .flags = flags_,        \
        .execute = execute_, .operands = {                                                         \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
/* A row that leads to others. */
#define LEADS(kind_, sub_)                                                                         \
    {                                                                                              \
        .kind = kind_, .sub = sub_                                                                 \
    }
#define LEGACY_PREFIX                                                                              \
    {                                                                                              \
        .kind = OPCODE_LEGACY_PREFIX                                                               \
    }

#endif
