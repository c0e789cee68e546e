/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shifts and rotates. A count of 0 leaves the flags alone: where they matter, the handler does it.
 */
#include "tcg/execute.h"
#include "tcg/translate.h"

#define GROUP2_RCL 2
#define GROUP2_RCR 3

static unsigned count_mask(unsigned size)
{
    return size == 8 ? 63 : 31;
}

bool shift_count_is_zero(const struct insn *insn, const struct translate_row *row)
{
    return (row->value & SHIFT_BY_CONSTANT) && !(insn->immediate & count_mask(row->size));
}

static void emit_count_guard(struct translator *t, unsigned size)
{
    emit_rm(&t->e, 1, 0xf6, 0, false, host_register(HOST_RCX)); /* TEST CL */
    emit_8(&t->e, (uint8_t)count_mask(size));
    emit_slow_if(t, HOST_EQUAL);
}

/* Flags and operand made ready; value & 0xff: ModRM.reg of group 2. */
static struct host_operand begin_shift(struct translator *t, const struct insn *insn,
                                       const struct translate_row *row, bool keeps_some)
{
    struct host_operand operand = host_memory(S0, 0);
    unsigned size = row->size;

    if (insn->memory) {
        emit_operand_probe(t, insn, size, true);
    } else {
        operand = guest_operand(insn, insn->rm, size);
    }
    if (!(row->value & SHIFT_BY_CONSTANT) && t->flags_live) {
        flags_before_spoil(t);
        emit_count_guard(t, size);
    }
    if (keeps_some) {
        flags_to_host(t);
    }
    if (!insn->memory) {
        guest_will_change(t, 1u << (operand.high_byte ? insn->rm - 4 : insn->rm));
    }
    return operand;
}

static void end_shift(struct translator *t, const struct insn *insn,
                      const struct translate_row *row)
{
    if (!insn->memory) {
        guest_clear_upper(t, insn->rm, row->size);
    }
    flags_now_in_host(t, describe_nothing());
}

static bool translate_shift(struct translator *t, const struct insn *insn,
                            const struct translate_row *row)
{
    unsigned operation = row->value & 0xff, size = row->size;
    bool through_carry = operation == GROUP2_RCL || operation == GROUP2_RCR;
    bool is_rotate = operation <= GROUP2_RCR;
    struct host_operand operand =
        begin_shift(t, insn, row, through_carry || (is_rotate && t->flags_live));

    if (row->value & SHIFT_BY_CONSTANT) {
        emit_rm(&t->e, size, size == 1 ? 0xc0 : 0xc1, operation, false, operand);
        emit_8(&t->e, (uint8_t)insn->immediate);
    } else {
        emit_rm(&t->e, size, size == 1 ? 0xd2 : 0xd3, operation, false, operand);
    }
    end_shift(t, insn, row);
    return true;
}

/* SHLD, SHRD. value: opcode of the form with an immediate; the next is by CL */
static bool translate_double_shift(struct translator *t, const struct insn *insn,
                                   const struct translate_row *row)
{
    unsigned size = row->size;
    struct host_operand operand = begin_shift(t, insn, row, false);

    emit_rm(&t->e, size, (row->value & 0xffff) + (row->value & SHIFT_BY_CONSTANT ? 0 : 1),
            guest_value(t, insn->reg, size, S1), false, operand);
    if (row->value & SHIFT_BY_CONSTANT) {
        emit_8(&t->e, (uint8_t)insn->immediate);
    }
    end_shift(t, insn, row);
    return true;
}

#define ROWS(name, flags, value)                                                                   \
    {execute_##name##_1, translate_shift, 1, flags, value},                                        \
        {execute_##name##_2, translate_shift, 2, flags, value},                                    \
        {execute_##name##_4, translate_shift, 4, flags, value},                                    \
    {                                                                                              \
        execute_##name##_8, translate_shift, 8, flags, value                                       \
    }
/* By CL the flags may stay what they were. */
#define SHIFT_ROWS(name, flags, operation)                                                         \
    ROWS(name##_imm, flags, operation | SHIFT_BY_CONSTANT),                                        \
        ROWS(name##_cl, ((flags) & ~(unsigned)FLAGS_WRITE) | FLAGS_CHANGE, operation)
#define DOUBLE_ROWS(name, opcode)                                                                  \
    {execute_##name##_imm_4, translate_double_shift, 4, FLAGS_WRITE, opcode | SHIFT_BY_CONSTANT},  \
        {execute_##name##_imm_8, translate_double_shift, 8, FLAGS_WRITE,                           \
         opcode | SHIFT_BY_CONSTANT},                                                              \
        {execute_##name##_cl_4, translate_double_shift, 4, FLAGS_CHANGE, opcode},                  \
    {                                                                                              \
        execute_##name##_cl_8, translate_double_shift, 8, FLAGS_CHANGE, opcode                     \
    }

const struct translate_row translate_shift_rows[] = {
    SHIFT_ROWS(rol, FLAGS_CHANGE, 0),
    SHIFT_ROWS(ror, FLAGS_CHANGE, 1),
    SHIFT_ROWS(rcl, FLAGS_READ | FLAGS_CHANGE, 2),
    SHIFT_ROWS(rcr, FLAGS_READ | FLAGS_CHANGE, 3),
    SHIFT_ROWS(shl, FLAGS_WRITE, 4),
    SHIFT_ROWS(shr, FLAGS_WRITE, 5),
    SHIFT_ROWS(sar, FLAGS_WRITE, 7),
    DOUBLE_ROWS(shld, 0x0fa4),
    DOUBLE_ROWS(shrd, 0x0fac),
    {NULL, NULL, 0, 0, 0},
};
