/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opcode maps, written as the manuals write them (SDM vol. 2, appendix A). A map is an array of
 * 256 rows. A row is an instruction, or leads to an array of further rows.
 */
#ifndef DUODM_TCG_OPCODE_H
#define DUODM_TCG_OPCODE_H

#include "tcg/features.h"
#include "tcg/insn.h"

/* Operands in the manual's letters (operands.def). The decoder takes from them whether there is a
 * ModRM byte and which immediates follow; the random-instruction test takes from them what to
 * vary. */
enum operand {
#define OPERAND(letter_, place_, size_, notation_, text_) letter_,
#include "tcg/operands.def"
#undef OPERAND
};

/* The field of an instruction that an operand is in. */
enum operand_place {
    OPERAND_IN_IMPLIED, /* none: the opcode says it all */
    OPERAND_IN_OPCODE,  /* low 3 bits of the opcode, REX.B */
    OPERAND_IN_REG,     /* ModRM.reg */
    OPERAND_IN_RM,      /* ModRM.rm: register or memory; so are the next two */
    OPERAND_IN_RM_MEMORY,
    OPERAND_IN_RM_REGISTER,
    OPERAND_IN_VVVV, /* VEX.vvvv */
    OPERAND_IN_IS4,  /* bits 7:4 of an immediate byte */
    OPERAND_IN_IMMEDIATE,
};

/* The operand size that an instruction has by an operand of its. */
enum operand_size {
    OPERAND_SIZE_NONE, /* says nothing of it */
    OPERAND_SIZE_BYTE,
    OPERAND_SIZE_WORD,
    OPERAND_SIZE_DOUBLE,   /* 4 bytes */
    OPERAND_SIZE_WIDE,     /* 8 bytes by REX.W, else 4 */
    OPERAND_SIZE_NATIVE,   /* 8 bytes in 64-bit mode, else 4 */
    OPERAND_SIZE_VARIABLE, /* by mode and prefixes */
};

/* How an operand that is not memory is written. */
enum operand_notation {
    OPERAND_AS_NOTHING,
    OPERAND_AS_TEXT, /* always the same */
    OPERAND_AS_GENERAL,
    OPERAND_AS_SEGMENT,
    OPERAND_AS_CONTROL,
    OPERAND_AS_DEBUG,
    OPERAND_AS_XMM,
    OPERAND_AS_VECTOR, /* xmm, or ymm by VEX.L */
    OPERAND_AS_MMX,
    OPERAND_AS_STACK, /* x87 register */
    OPERAND_AS_NUMBER,
    OPERAND_AS_RELATIVE,
    OPERAND_AS_FAR_POINTER,
    OPERAND_AS_OFFSET,
};

struct operand_kind {
    uint8_t place;    /* enum operand_place */
    uint8_t size;     /* enum operand_size */
    uint8_t notation; /* enum operand_notation */
};
extern const struct operand_kind operand_kinds[]; /* by enum operand; decode.c */

/* Is it in ModRM.rm, where memory may stand? */
static inline bool operand_is_rm(enum operand operand)
{
    return operand_kinds[operand].place >= OPERAND_IN_RM &&
           operand_kinds[operand].place <= OPERAND_IN_RM_REGISTER;
}

enum opcode_flag {
    OP_LOCK = 1 << 0,   /* LOCK allowed with a memory destination */
    OP_NOT_64 = 1 << 1, /* #UD in 64-bit mode */
    OP_ONLY_64 = 1 << 2,
    OP_DEFAULT_64 = 1 << 3, /* operand size 64 by default in 64-bit mode (push, pop) */
    OP_FORCE_64 = 1 << 4,   /* and can't be changed (near jumps) */
    OP_END = 1 << 5,        /* ends a block: may change rip, mode or code */
    OP_SYSTEM = 1 << 6, /* privileged or touches system state: not for the user-mode comparison */
    OP_NO_NATIVE = 1 << 7,   /* outcome depends on the machine (CPUID, RDTSC...): not compared */
    OP_STRING = 1 << 8,      /* REP prefixes are repeat prefixes */
    OP_PROTECTED = 1 << 9,   /* #UD in real and v86 mode */
    OP_READS_ONLY = 1 << 10, /* destination is not written (CMP, TEST) */
    OP_VEX = 1 << 11,        /* only with VEX */
    OP_VEX_128 = 1 << 12,    /* VEX.L must be 0 */
    OP_VEX_256 = 1 << 13,    /* VEX.L must be 1 */
    OP_VEX_W0 = 1 << 14,     /* VEX.W must be 0 */
    OP_AVX2_256 = 1 << 15,   /* with VEX.L it needs AVX2 */
};

enum opcode_kind {
    OPCODE_INVALID, /* zero: #UD */
    OPCODE_INSN,
    OPCODE_GROUP,  /* sub[8], by ModRM.reg */
    OPCODE_PREFIX, /* sub[4], by mandatory prefix: none, 66, F3, F2 */
    OPCODE_MOD,    /* sub[2]: memory form, register form */
    OPCODE_RM,     /* sub[8], by ModRM.rm */
    OPCODE_W,      /* sub[2]: REX.W/VEX.W 0, 1 */
    OPCODE_MAP,    /* sub[256], by another opcode byte (0F, 0F38, 0F3A) */
    OPCODE_X87,    /* sub[16]: memory forms by reg 0..7, register forms by reg 8..15 */
    OPCODE_LEGACY_PREFIX,
};

struct opcode {
    uint8_t kind; /* enum opcode_kind */
    uint16_t flags;
    uint8_t feature; /* enum cpu_feature, #UD if the CPU lacks it */
    uint8_t operands[4];
    const char *name;
    const struct opcode *sub;
    insn_execute_fn execute[4]; /* by operand size 1, 2, 4, 8; [0] alone if one serves all */
};

/* The maps. Those of SIMD and x87 are kept apart from the integer ones; the decoder looks in the
 * integer map first, then in the other. */
extern const struct opcode opcode_map_one_byte[256];         /* opcodes-one-byte.c */
extern const struct opcode opcode_63_arpl, opcode_63_movsxd; /* byte 63, by mode */
extern const struct opcode opcode_map_0f[256];               /* opcodes-0f.c: integer and system */
extern const struct opcode opcode_map_0f38_system[256];      /* opcodes-0f.c: INVPCID */
extern const struct opcode opcode_map_0f_simd[256];          /* opcodes-0f-simd.c */
extern const struct opcode opcode_map_0f38[256];             /* opcodes-0f38.c */
extern const struct opcode opcode_map_0f3a[256];             /* opcodes-0f3a.c */
extern const struct opcode opcode_map_x87[8];        /* opcodes-x87.c: D8..DF, each OPCODE_X87 */
extern const struct opcode opcode_map_vex_0f[256];   /* opcodes-vex-0f.c */
extern const struct opcode opcode_map_vex_0f38[256]; /* opcodes-vex.c, with BMI1, BMI2 */
extern const struct opcode opcode_map_vex_0f3a[256];

enum decode_result {
    DECODE_OK,
    DECODE_UNDEFINED /* #UD */,
    DECODE_TOO_LONG /* #GP(0) */,
    DECODE_NEED_MORE
};
/*
 * Decode one instruction from `available` bytes (up to 15) in the mode that cpu is in. NEED_MORE:
 * the bytes end within the instruction (at a page's end: the caller gets the next page's).
 */
enum decode_result decode_insn(const struct cpu *cpu, const uint8_t *bytes, unsigned available,
                               struct insn *insn);
/* Status flags (mask of enum cpu_flag) that the manuals leave undefined after the instruction with
 * these operands; for a count in CL, after any count. */
uint32_t insn_undefined_flags(const struct insn *insn);
/* Text of an instruction, for -d in_asm and failing tests. Caller frees. */
char *insn_format(const struct insn *insn, uint64_t rip);

#endif
