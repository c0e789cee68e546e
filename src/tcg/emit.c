/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instruction formats: SDM vol. 2, chapter 2. */
#include "tcg/emit.h"

#include <string.h>

#define REX_W 8
#define REX_R 4
#define REX_X 2
#define REX_B 1

#define PREFIX_GS           0x65
#define PREFIX_OPERAND_SIZE 0x66

void emit_16(struct emitter *e, uint16_t value)
{
    emit_8(e, (uint8_t)value);
    emit_8(e, value >> 8);
}

void emit_32(struct emitter *e, uint32_t value)
{
    if (e->end - e->at < 4) {
        e->overflow = true;
        return;
    }
    memcpy(e->at, &value, 4);
    e->at += 4;
}

void emit_64(struct emitter *e, uint64_t value)
{
    emit_32(e, (uint32_t)value);
    emit_32(e, value >> 32);
}

static void emit_opcode(struct emitter *e, uint32_t opcode)
{
    if (opcode > 0xffff) {
        emit_8(e, opcode >> 16);
    }
    if (opcode > 0xff) {
        emit_8(e, opcode >> 8 & 0xff);
    }
    emit_8(e, opcode & 0xff);
}

static bool has_index(const struct host_operand *rm)
{
    return rm->kind != HOST_REGISTER && rm->index != HOST_NO_REGISTER;
}

static bool has_base(const struct host_operand *rm)
{
    return rm->kind == HOST_MEMORY && rm->reg != HOST_NO_REGISTER;
}

static uint8_t rex_bits(unsigned reg, const struct host_operand *rm)
{
    uint8_t rex = reg & 8 ? REX_R : 0;

    if (rm->kind == HOST_REGISTER || has_base(rm)) {
        rex |= rm->reg & 8 ? REX_B : 0;
    }
    if (has_index(rm)) {
        rex |= rm->index & 8 ? REX_X : 0;
    }
    return rex;
}

/* ModRM, SIB and displacement: SDM vol. 2, tables 2-2 and 2-3. */
static void emit_modrm(struct emitter *e, unsigned reg, const struct host_operand *rm)
{
    unsigned field = (reg & 7) << 3, base = rm->reg & 7, mode;
    bool byte = rm->displacement >= -128 && rm->displacement <= 127;

    if (rm->kind == HOST_REGISTER) {
        emit_8(e, (uint8_t)(0xc0 | field | ((rm->reg + (rm->high_byte ? 4 : 0)) & 7)));
        return;
    }
    if (!has_base(rm)) {
        /* SIB without base: disp32, absolute */
        emit_8(e, (uint8_t)(0x04 | field));
        emit_8(e, (uint8_t)(has_index(rm) ? rm->scale << 6 | (rm->index & 7) << 3 | 5 : 0x25));
        emit_32(e, (uint32_t)rm->displacement);
        return;
    }
    if (rm->displacement == 0 && base != HOST_RBP) {
        mode = 0x00;
    } else {
        mode = byte ? 0x40 : 0x80;
    }
    if (has_index(rm)) {
        emit_8(e, (uint8_t)(mode | field | 4));
        emit_8(e, (uint8_t)(rm->scale << 6 | (rm->index & 7) << 3 | base));
    } else if (base == HOST_RSP) {
        emit_8(e, (uint8_t)(mode | field | 4));
        emit_8(e, 0x24);
    } else {
        emit_8(e, (uint8_t)(mode | field | base));
    }
    if (mode == 0x40) {
        emit_8(e, (uint8_t)rm->displacement);
    } else if (mode == 0x80) {
        emit_32(e, (uint32_t)rm->displacement);
    }
}

/* Registers 4..7 as bytes are SPL..DIL only with a REX prefix. */
static bool byte_needs_rex(unsigned reg, bool high)
{
    return !high && reg >= 4 && reg <= 7;
}

static void emit_form(struct emitter *e, uint8_t prefix, uint8_t rex, bool force_rex,
                      uint32_t opcode, unsigned reg, const struct host_operand *rm)
{
    if (rm->kind == HOST_CPU) {
        emit_8(e, PREFIX_GS);
    }
    if (prefix) {
        emit_8(e, prefix);
    }
    if (rex || force_rex) {
        emit_8(e, 0x40 | rex);
    }
    emit_opcode(e, opcode);
    emit_modrm(e, reg, rm);
}

void emit_rm(struct emitter *e, unsigned size, uint32_t opcode, unsigned reg, bool reg_high,
             struct host_operand rm)
{
    uint8_t rex = rex_bits(reg, &rm) | (size == 8 ? REX_W : 0);
    bool in_register = rm.kind == HOST_REGISTER, force = false;

    /* reg may be an opcode's extension; next to a high byte it can't be one of SPL..DIL. */
    if (size == 1 && !(in_register && rm.high_byte)) {
        force = byte_needs_rex(reg, reg_high) || (in_register && byte_needs_rex(rm.reg, false));
    }

    emit_form(e, size == 2 ? PREFIX_OPERAND_SIZE : 0, rex, force, opcode, reg + (reg_high ? 4 : 0),
              &rm);
}

void emit_rm_from(struct emitter *e, unsigned size, unsigned rm_size, uint32_t opcode, unsigned reg,
                  struct host_operand rm)
{
    uint8_t rex = rex_bits(reg, &rm) | (size == 8 ? REX_W : 0);
    bool force = rm_size == 1 && rm.kind == HOST_REGISTER && byte_needs_rex(rm.reg, rm.high_byte);

    emit_form(e, size == 2 ? PREFIX_OPERAND_SIZE : 0, rex, force, opcode, reg, &rm);
}

void emit_prefixed_rm(struct emitter *e, uint8_t prefix, bool rex_w, uint32_t opcode, unsigned reg,
                      struct host_operand rm)
{
    emit_form(e, prefix, rex_bits(reg, &rm) | (rex_w ? REX_W : 0), false, opcode, reg, &rm);
}

void emit_vex_rm(struct emitter *e, unsigned prefix, unsigned map, uint8_t opcode, bool w,
                 bool length_256, unsigned vvvv, unsigned reg, struct host_operand rm)
{
    uint8_t rex = rex_bits(reg, &rm);

    if (rm.kind == HOST_CPU) {
        emit_8(e, PREFIX_GS);
    }
    emit_8(e, 0xc4);
    emit_8(e, (uint8_t)((~(unsigned)rex & 7) << 5 | map));
    emit_8(e, (uint8_t)((w ? 0x80 : 0) | (~vvvv & 15) << 3 | (length_256 ? 4 : 0) | prefix));
    emit_8(e, opcode);
    emit_modrm(e, reg, &rm);
}

void emit_move(struct emitter *e, unsigned size, unsigned to, unsigned from)
{
    emit_rm(e, size, size == 1 ? 0x8a : 0x8b, to, false, host_register(from));
}

void emit_load(struct emitter *e, unsigned size, unsigned to, struct host_operand from)
{
    emit_rm(e, size, size == 1 ? 0x8a : 0x8b, to, false, from);
}

void emit_store(struct emitter *e, unsigned size, struct host_operand to, unsigned from)
{
    emit_rm(e, size, size == 1 ? 0x88 : 0x89, from, false, to);
}

void emit_load_immediate(struct emitter *e, unsigned to, uint64_t value)
{
    if (value <= UINT32_MAX) {
        if (to & 8) {
            emit_8(e, 0x40 | REX_B);
        }
        emit_8(e, (uint8_t)(0xb8 | (to & 7)));
        emit_32(e, (uint32_t)value);
    } else if ((uint64_t)(int64_t)(int32_t)value == value) {
        emit_rm(e, 8, 0xc7, 0, false, host_register(to));
        emit_32(e, (uint32_t)value);
    } else {
        emit_8(e, (uint8_t)(0x40 | REX_W | (to & 8 ? REX_B : 0)));
        emit_8(e, (uint8_t)(0xb8 | (to & 7)));
        emit_64(e, value);
    }
}

void emit_alu_immediate(struct emitter *e, unsigned size, unsigned operation,
                        struct host_operand rm, int32_t immediate)
{
    if (size == 1) {
        emit_rm(e, 1, 0x80, operation, false, rm);
        emit_8(e, (uint8_t)immediate);
    } else if (immediate >= -128 && immediate <= 127) {
        emit_rm(e, size, 0x83, operation, false, rm);
        emit_8(e, (uint8_t)immediate);
    } else {
        emit_rm(e, size, 0x81, operation, false, rm);
        if (size == 2) {
            emit_16(e, (uint16_t)immediate);
        } else {
            emit_32(e, (uint32_t)immediate);
        }
    }
}

void emit_lea(struct emitter *e, unsigned size, unsigned to, struct host_operand address)
{
    emit_rm(e, size, 0x8d, to, false, address);
}

void emit_shift_immediate(struct emitter *e, unsigned size, unsigned operation, unsigned reg,
                          uint8_t count)
{
    emit_rm(e, size, size == 1 ? 0xc0 : 0xc1, operation, false, host_register(reg));
    emit_8(e, count);
}

void emit_push(struct emitter *e, unsigned reg)
{
    if (reg & 8) {
        emit_8(e, 0x40 | REX_B);
    }
    emit_8(e, (uint8_t)(0x50 | (reg & 7)));
}

void emit_pop(struct emitter *e, unsigned reg)
{
    if (reg & 8) {
        emit_8(e, 0x40 | REX_B);
    }
    emit_8(e, (uint8_t)(0x58 | (reg & 7)));
}

uint8_t *emit_jump(struct emitter *e)
{
    emit_8(e, 0xe9);
    emit_32(e, 0);
    return e->at - 4;
}

uint8_t *emit_jump_if(struct emitter *e, unsigned condition)
{
    emit_8(e, 0x0f);
    emit_8(e, (uint8_t)(0x80 | condition));
    emit_32(e, 0);
    return e->at - 4;
}

void emit_bind_to(struct emitter *e, uint8_t *place, const uint8_t *target)
{
    int32_t distance = (int32_t)(target - (place + 4));

    if (place && !e->overflow) {
        memcpy(place, &distance, 4);
    }
}

void emit_bind(struct emitter *e, uint8_t *place)
{
    emit_bind_to(e, place, e->at);
}

void emit_jump_to(struct emitter *e, const uint8_t *target)
{
    emit_bind_to(e, emit_jump(e), target);
}

void emit_call_to(struct emitter *e, const uint8_t *target)
{
    emit_8(e, 0xe8);
    emit_32(e, 0);
    emit_bind_to(e, e->at - 4, target);
}
