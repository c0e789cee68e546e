/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opcode maps, written as the manuals write them (SDM vol. 2, appendix A). A map is an array of
 * 256 rows. A row is an instruction, or leads to an array of further rows.
 */
#ifndef DUODM_TCG_OPCODE_H
#define DUODM_TCG_OPCODE_H

#include "tcg/features.h"
#include "tcg/insn.h"

/* Operands in the manual's letters. The decoder takes from them whether there is a ModRM byte and
 * which immediates follow; the random-instruction test takes from them what to vary. */
enum operand {
    OPERAND_NONE,
    /* ModRM.rm: register or memory */ Eb,
    Ew,
    Ed,
    Ev,
    Ey,
    Ep,
    /* ModRM.reg: general register */ Gb,
    Gw,
    Gd,
    Gv,
    Gy,
    /* memory only */ M,
    Mb,
    Mw,
    Md,
    Mq,
    Mv,
    Mp,
    Ma,
    Mt /* 80 bits */,
    Mdq /* 128 bits */,
    Mx /* of the vector's length */,
    Mvs /* at a vector of indexes: VSIB */,
    My,
    /* general register in ModRM.rm, memory is #UD */ Rd,
    Rv,
    Ry,
    /* immediate */ Ib,
    Ibs /* sign-extended */,
    Iw,
    Iz,
    Iv,
    I1 /* constant 1 */,
    /* relative jump */ Jb,
    Jz,
    Ap, /* far pointer */
    Ob,
    Ov, /* moffs */
    Sw,
    Cd,
    Dd, /* segment, control, debug register in reg */
    Zb,
    Zv, /* general register in the opcode's low 3 bits, with REX.B */
    rAL,
    rAX /* by operand size */,
    rCL,
    rDX,
    Xb,
    Xv,
    Yb,
    Yv, /* strings */
    sES,
    sCS,
    sSS,
    sDS,
    sFS,
    sGS,
    Fv, /* flags */
    /* vectors: V/P xmm or mmx in reg; W/Q in rm, register or memory; U/N register only in rm */
    Vx,
    Wx,
    Ux,
    Wss,
    Wsd,
    Wq,
    Wd,
    Ww,
    Pq,
    Qq,
    Qd,
    Nq,
    By, /* VEX.vvvv general register */
    Hx, /* VEX.vvvv vector */
    Lx, /* vector in bits 7:4 of an immediate byte */
    /* W of other lengths: half, quarter, eighth of the vector; 128 bits; a byte; VMOVDDUP's */
    Wh,
    Wqr,
    Wer,
    Wdq,
    Wb,
    Wdup,
    Us, /* U of which the low element is meant */
    /* general register of 32 bits, or less of memory */
    RdMb,
    RdMw,
    ST0,
    STi,
};

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
