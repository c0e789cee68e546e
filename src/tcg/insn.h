/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A decoded instruction: what the decoder makes, the interpreter executes, the translator reads. */
#ifndef DUODM_TCG_INSN_H
#define DUODM_TCG_INSN_H

#include "tcg/cpu.h"

struct opcode;

typedef void (*insn_execute_fn)(struct cpu *cpu, const struct insn *insn);

enum insn_prefix {
    INSN_REP = 1 << 0,
    INSN_REPNE = 1 << 1,
    INSN_LOCK = 1 << 2,
    INSN_REX = 1 << 3,
    INSN_OPERAND_16 = 1 << 4
};

#define INSN_NO_REGISTER 0xff

struct insn {
    insn_execute_fn execute;
    const struct opcode *opcode; /* its row in the opcode map */
    uint64_t immediate; /* sign-extended to 64 bits where the manual says so; moffs; far offset */
    int32_t displacement;
    uint16_t immediate2;        /* far pointer's selector, ENTER's level */
    uint8_t length;             /* bytes, 1..15 */
    uint8_t byte;               /* last opcode byte: condition codes, short register forms */
    uint8_t operand_size;       /* bytes: 2, 4, 8 (1 for byte forms) */
    uint8_t address_size;       /* bytes: 2, 4, 8 */
    uint8_t prefixes;           /* mask of enum insn_prefix */
    uint8_t segment;            /* enum x86_segment_index for the memory operand */
    bool memory;                /* ModRM names memory */
    uint8_t reg;                /* ModRM.reg, with REX.R (VEX.R) */
    uint8_t rm;                 /* register when !memory, with REX.B */
    uint8_t base, index, scale; /* of the memory operand; INSN_NO_REGISTER if none; shift 0..3 */
    bool rip_relative;          /* displacement is from the next instruction */
    uint8_t vex_register;       /* VEX.vvvv */
    uint8_t map;                /* opcode map: 0 one byte, 1 0F, 2 0F38, 3 0F3A */
    bool vex, vex_l, vex_w;
    uint8_t modrm; /* the raw byte */
};

#endif
