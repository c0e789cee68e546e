/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bit tests, scans and counts. */
#include "tcg/execute.h"
#include "tcg/translate.h"

#define GROUP1_AND 4
#define GROUP2_SAR 7

/* In memory the register is an index into a string of bits: S0 becomes the word's address. */
static void emit_bit_string_probe(struct translator *t, const struct insn *insn, unsigned size,
                                  bool is_write)
{
    unsigned shift = size == 2 ? 4 : size == 4 ? 5 : 6;
    unsigned scale = size == 2 ? 1 : size == 4 ? 2 : 3;
    struct emitter *e = &t->e;

    flags_before_spoil(t);
    emit_address(t, insn);
    if (size == 8) {
        emit_load(e, 8, S1, guest_operand(insn, insn->reg, 8));
    } else {
        emit_rm_from(e, 8, size, size == 2 ? 0x0fbf : 0x63, S1,
                     guest_operand(insn, insn->reg, size));
    }
    emit_shift_immediate(e, 8, GROUP2_SAR, S1, (uint8_t)shift);
    emit_lea(e, 8, S0, host_memory_indexed(S0, S1, scale, 0));
    emit_probe(t, size, is_write);
}

/* BT, BTS, BTR, BTC by a constant: group 8, value is ModRM.reg */
static bool translate_bit_constant(struct translator *t, const struct insn *insn,
                                   const struct translate_row *row)
{
    unsigned size = row->size;
    bool is_write = row->value != 4;
    struct host_operand operand = host_memory(S0, 0);

    if (insn->memory) {
        emit_operand_probe(t, insn, size, is_write);
    } else {
        operand = guest_operand(insn, insn->rm, size);
    }
    if (t->flags_live) {
        flags_to_host(t);
    }
    if (!insn->memory && is_write) {
        guest_will_change(t, 1u << insn->rm);
    }
    emit_lock_prefix(t, insn);
    emit_rm(&t->e, size, 0x0fba, row->value, false, operand);
    emit_8(&t->e, (uint8_t)(insn->immediate & (size * 8 - 1)));
    if (!insn->memory && is_write) {
        guest_clear_upper(t, insn->rm, size);
    }
    flags_now_in_host(t, describe_nothing());
    return true;
}

/* BT, BTS, BTR, BTC by a register. In memory: probe the word, and index it by what is left. */
static bool translate_bit_register(struct translator *t, const struct insn *insn,
                                   const struct translate_row *row)
{
    unsigned size = row->size, index;
    bool is_write = row->value != 4;
    struct host_operand operand = host_memory(S0, 0);
    struct emitter *e = &t->e;

    if (insn->memory ? insn->address_size != 8 || size == 2
                     : host_of_guest(insn->rm) == HOST_NO_REGISTER) {
        return false;
    }
    if (insn->memory) {
        emit_bit_string_probe(t, insn, size, is_write);
        emit_load(e, 4, S1, guest_operand(insn, insn->reg, 4));
        emit_alu_immediate(e, 4, GROUP1_AND, host_register(S1), (int32_t)(size * 8 - 1));
        emit_store(e, 8, CPU_FIELD(scratch), S1);
    } else {
        operand = guest_operand(insn, insn->rm, size);
    }
    if (t->flags_live) {
        flags_to_host(t);
    }
    if (insn->memory) {
        emit_load(e, 8, S1, CPU_FIELD(scratch));
        index = S1;
    } else {
        if (is_write) {
            guest_will_change(t, 1u << insn->rm);
        }
        index = guest_value(t, insn->reg, size, S1);
    }
    emit_lock_prefix(t, insn);
    emit_rm(e, size, 0x0f83 + row->value * 8, index, false, operand);
    flags_now_in_host(t, describe_nothing());
    return true;
}

/* BSF, BSR, TZCNT, LZCNT, POPCNT. value: opcode, with F3 above it if it has that prefix */
static bool translate_scan(struct translator *t, const struct insn *insn,
                           const struct translate_row *row)
{
    unsigned size = row->size, host = host_of_guest(insn->reg);
    struct host_operand operand;
    bool in_memory = host == HOST_NO_REGISTER;

    operand = emit_rm_to_read(t, insn, size);
    guest_will_change(t, 1u << insn->reg);
    if (in_memory) {
        /* BSF and BSR of 0 leave all of it. */
        host = S1;
        emit_load(&t->e, 8, S1, CPU_FIELD(gpr[insn->reg]));
    }
    if (row->value >> 16) {
        emit_8(&t->e, 0xf3);
    }
    emit_rm(&t->e, size, row->value & 0xffff, host, false, operand);
    if (in_memory) {
        guest_write(t, insn->reg, 8, S1);
    }
    flags_now_in_host(t, describe_nothing());
    return true;
}

#define ROWS(name, translate, flags, value)                                                        \
    {execute_##name##_2, translate, 2, flags, value},                                              \
        {execute_##name##_4, translate, 4, flags, value},                                          \
    {                                                                                              \
        execute_##name##_8, translate, 8, flags, value                                             \
    }
#define BIT_ROWS(name, reg)                                                                        \
    ROWS(name##_imm, translate_bit_constant, FLAGS_CHANGE, reg),                                   \
        ROWS(name##_reg, translate_bit_register, FLAGS_CHANGE, reg)

const struct translate_row translate_bit_rows[] = {
    BIT_ROWS(bt, 4),
    BIT_ROWS(bts, 5),
    BIT_ROWS(btr, 6),
    BIT_ROWS(btc, 7),
    ROWS(bsf, translate_scan, FLAGS_WRITE, 0x0fbc),
    ROWS(bsr, translate_scan, FLAGS_WRITE, 0x0fbd),
    ROWS(tzcnt, translate_scan, FLAGS_WRITE, 0xf30fbc),
    ROWS(lzcnt, translate_scan, FLAGS_WRITE, 0xf30fbd),
    ROWS(popcnt, translate_scan, FLAGS_WRITE, 0xf30fb8),
    {NULL, NULL, 0, 0, 0},
};
