/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing x86-64 host instructions. Operands are host registers, words of struct cpu (by GS) or
 * host memory behind a register. Nothing here knows about guests.
 */
#ifndef DUODM_TCG_EMIT_H
#define DUODM_TCG_EMIT_H

#include <stdbool.h>
#include <stdint.h>

enum host_register {
    HOST_RAX,
    HOST_RCX,
    HOST_RDX,
    HOST_RBX,
    HOST_RSP,
    HOST_RBP,
    HOST_RSI,
    HOST_RDI,
    HOST_R8,
    HOST_R9,
    HOST_R10,
    HOST_R11,
    HOST_R12,
    HOST_R13,
    HOST_R14,
    HOST_R15,
    HOST_NO_REGISTER
};

/* Condition codes, as in Jcc's low four bits. */
enum host_condition {
    HOST_BELOW = 2,
    HOST_ABOVE_EQUAL = 3,
    HOST_EQUAL = 4,
    HOST_NOT_EQUAL = 5,
    HOST_BELOW_EQUAL = 6,
    HOST_ABOVE = 7,
};

struct emitter {
    uint8_t *at;      /* where the next byte goes, in the writable mapping */
    uint8_t *end;     /* of the room */
    intptr_t to_exec; /* add to a writable address to get the executable one */
    bool overflow;    /* the room did not do; what was written is worthless */
};

enum host_operand_kind { HOST_REGISTER, HOST_CPU, HOST_MEMORY };

/* What ModRM.rm names. */
struct host_operand {
    uint8_t kind;         /* enum host_operand_kind */
    uint8_t reg;          /* HOST_REGISTER, or the base */
    uint8_t index, scale; /* HOST_MEMORY, HOST_CPU (no base then); HOST_NO_REGISTER: none; shift */
    bool high_byte;       /* HOST_REGISTER of one byte: AH, CH, DH, BH for reg 0..3 */
    int32_t displacement;
};

static inline struct host_operand host_register(unsigned reg)
{
    return (struct host_operand){.kind = HOST_REGISTER, .reg = (uint8_t)reg};
}

/* A field of struct cpu. */
static inline struct host_operand host_cpu(int32_t offset)
{
    return (struct host_operand){
        .kind = HOST_CPU, .index = HOST_NO_REGISTER, .displacement = offset};
}

/* A field of an array behind struct cpu: offset + index (bytes). */
static inline struct host_operand host_cpu_indexed(unsigned index, int32_t offset)
{
    return (struct host_operand){.kind = HOST_CPU, .index = (uint8_t)index, .displacement = offset};
}

static inline struct host_operand host_memory(unsigned base, int32_t displacement)
{
    return (struct host_operand){.kind = HOST_MEMORY,
                                 .reg = (uint8_t)base,
                                 .index = HOST_NO_REGISTER,
                                 .displacement = displacement};
}

static inline struct host_operand host_memory_indexed(unsigned base, unsigned index, unsigned scale,
                                                      int32_t displacement)
{
    return (struct host_operand){.kind = HOST_MEMORY,
                                 .reg = (uint8_t)base,
                                 .index = (uint8_t)index,
                                 .scale = (uint8_t)scale,
                                 .displacement = displacement};
}

static inline void emit_8(struct emitter *e, uint8_t byte)
{
    if (e->at < e->end) {
        *e->at++ = byte;
    } else {
        e->overflow = true;
    }
}

void emit_16(struct emitter *e, uint16_t value);
void emit_32(struct emitter *e, uint32_t value);
void emit_64(struct emitter *e, uint64_t value);

/* Opcode bytes: 0xNN, 0x0fNN, 0x0f38NN or 0x0f3aNN. */

/*
 * opcode reg, rm in size bytes (1, 2, 4, 8). With size 1 the opcode is that of the byte form and
 * reg is a byte register; reg_high: AH..BH for reg 0..3. An instruction with a high byte can't have
 * a register above 7 or one of SPL..DIL: the caller sees to it.
 */
void emit_rm(struct emitter *e, unsigned size, uint32_t opcode, unsigned reg, bool reg_high,
             struct host_operand rm);
/* The same, with an operand of another size in rm (MOVZX, MOVSX: 1 or 2 bytes). */
void emit_rm_from(struct emitter *e, unsigned size, unsigned rm_size, uint32_t opcode, unsigned reg,
                  struct host_operand rm);
/* Legacy SSE, MMX and x87 forms: mandatory prefix (0, 66, F3, F2), then opcode; rex_w as asked. */
void emit_prefixed_rm(struct emitter *e, uint8_t prefix, bool rex_w, uint32_t opcode, unsigned reg,
                      struct host_operand rm);
/* VEX form: prefix code 0..3 (none, 66, F3, F2), map 1..3. vvvv: register, or 0 for unused. */
void emit_vex_rm(struct emitter *e, unsigned prefix, unsigned map, uint8_t opcode, bool w,
                 bool length_256, unsigned vvvv, unsigned reg, struct host_operand rm);

void emit_move(struct emitter *e, unsigned size, unsigned to, unsigned from);
void emit_load(struct emitter *e, unsigned size, unsigned to, struct host_operand from);
void emit_store(struct emitter *e, unsigned size, struct host_operand to, unsigned from);
/* Shortest form for the value; flags unharmed. */
void emit_load_immediate(struct emitter *e, unsigned to, uint64_t value);
/* Group 1: operation 0..7 (ADD OR ADC SBB AND SUB XOR CMP); the immediate as the size has it. */
void emit_alu_immediate(struct emitter *e, unsigned size, unsigned operation,
                        struct host_operand rm, int32_t immediate);
void emit_lea(struct emitter *e, unsigned size, unsigned to, struct host_operand address);
/* Operation of group 2 (4: SHL, 5: SHR, 7: SAR ...) by a constant. */
void emit_shift_immediate(struct emitter *e, unsigned size, unsigned operation, unsigned reg,
                          uint8_t count);
void emit_push(struct emitter *e, unsigned reg);
void emit_pop(struct emitter *e, unsigned reg);

/* Jumps of 32 bits. The result is the place of the displacement, for emit_bind. */
uint8_t *emit_jump(struct emitter *e);
uint8_t *emit_jump_if(struct emitter *e, unsigned condition);
/* Let the jump at `place` (from emit_jump...) go to `target`, or to here. NULL place: nothing. */
void emit_bind_to(struct emitter *e, uint8_t *place, const uint8_t *target);
void emit_bind(struct emitter *e, uint8_t *place);
void emit_jump_to(struct emitter *e, const uint8_t *target);
void emit_call_to(struct emitter *e, const uint8_t *target);

#endif
