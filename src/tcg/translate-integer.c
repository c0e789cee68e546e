/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Arithmetic and logic: each guest instruction is the same host instruction. */
#include "tcg/execute.h"
#include "tcg/translate.h"

/* In the order of the opcode map and of group 1. */
enum { ADD, OR, ADC, SBB, AND, SUB, XOR, CMP };

#define GROUP1_AND 4
#define GROUP1_ADD 0

static bool uses_carry(unsigned operation)
{
    return operation == ADC || operation == SBB;
}

/* What the host's flags are after `a OPERATION= b`, b a register that is not a, or an immediate. */
static struct flags_description describe(const struct insn *insn, unsigned operation, unsigned size,
                                         unsigned a, unsigned b, const int32_t *immediate)
{
    static const uint8_t kinds[] = {
        [ADD] = DESCRIBE_ADD,     [OR] = DESCRIBE_LOGIC,     [AND] = DESCRIBE_LOGIC,
        [XOR] = DESCRIBE_LOGIC,   [SUB] = DESCRIBE_SUBTRACT, [CMP] = DESCRIBE_COMPARE,
        [ADC] = DESCRIBE_NOTHING, [SBB] = DESCRIBE_NOTHING,
    };
    struct flags_description d = {.kind = kinds[operation],
                                  .size = (uint8_t)size,
                                  .a = (uint8_t)a,
                                  .b = (uint8_t)b,
                                  .b_is_immediate = immediate != NULL,
                                  .immediate = immediate ? *immediate : 0};

    if (guest_is_high_byte(insn, a, size) || (!immediate && guest_is_high_byte(insn, b, size)) ||
        (!immediate && a == b && (operation == ADD || operation == SUB))) {
        d.kind = DESCRIBE_NOTHING;
    }
    if (d.kind == DESCRIBE_LOGIC) {
        d.b_is_immediate = true; /* b does not matter */
    }
    return d;
}

static uint32_t register_mask(const struct insn *insn, unsigned guest, unsigned size)
{
    return 1u << (guest_is_high_byte(insn, guest, size) ? guest - 4 : guest);
}

/* destination OPERATION= source, both guest registers */
static void operate_registers(struct translator *t, const struct insn *insn, unsigned operation,
                              unsigned size, unsigned destination, unsigned source)
{
    unsigned from;

    if (uses_carry(operation)) {
        flags_to_host(t);
    }
    if (operation != CMP) {
        guest_will_change(t, register_mask(insn, destination, size));
    }
    if (guest_is_high_byte(insn, source, size)) {
        from = host_of_guest(source - 4);
    } else {
        from = guest_value(t, source, size, S1);
    }
    emit_rm(&t->e, size, operation * 8 + (size == 1 ? 0 : 1), from,
            guest_is_high_byte(insn, source, size), guest_operand(insn, destination, size));
    if (operation != CMP) {
        guest_clear_upper(t, destination, size);
    }
    flags_now_in_host(t, describe(insn, operation, size, destination, source, NULL));
}

static bool translate_rm_reg(struct translator *t, const struct insn *insn,
                             const struct translate_row *row)
{
    unsigned operation = row->value, size = row->size;

    if (!insn->memory) {
        operate_registers(t, insn, operation, size, insn->rm, insn->reg);
        return true;
    }
    emit_operand_probe(t, insn, size, operation != CMP);
    if (uses_carry(operation)) {
        flags_to_host(t);
    }
    unsigned from = guest_value(t, begin_high_byte(t, insn, size), size, S1);

    emit_lock_prefix(t, insn);
    emit_rm(&t->e, size, operation * 8 + (size == 1 ? 0 : 1), from, false, host_memory(S0, 0));
    end_high_byte(t, insn, size);
    flags_now_in_host(t, describe_nothing());
    return true;
}

static bool translate_reg_rm(struct translator *t, const struct insn *insn,
                             const struct translate_row *row)
{
    unsigned operation = row->value, size = row->size, reg = insn->reg;
    struct flags_description description = describe_nothing();

    if (!insn->memory) {
        operate_registers(t, insn, operation, size, reg, insn->rm);
        return true;
    }
    emit_operand_probe(t, insn, size, false);
    if (uses_carry(operation)) {
        flags_to_host(t);
    }
    if (operation != CMP) {
        guest_will_change(t, register_mask(insn, reg, size));
    }
    reg = begin_high_byte(t, insn, size);
    if (host_of_guest(reg) != HOST_NO_REGISTER) {
        emit_rm(&t->e, size, operation * 8 + (size == 1 ? 2 : 3), host_of_guest(reg), false,
                host_memory(S0, 0));
    } else {
        emit_load(&t->e, size, S1, host_memory(S0, 0));
        emit_rm(&t->e, size, operation * 8 + (size == 1 ? 0 : 1), S1, false, CPU_FIELD(gpr[reg]));
        if (operation != CMP) {
            guest_clear_upper(t, reg, size);
        }
    }
    end_high_byte(t, insn, size);
    if (operation == OR || operation == AND || operation == XOR) {
        description = describe(insn, operation, size, insn->reg, insn->reg, NULL);
    }
    flags_now_in_host(t, description);
    return true;
}

static bool translate_rm_imm(struct translator *t, const struct insn *insn,
                             const struct translate_row *row)
{
    unsigned operation = row->value, size = row->size;
    int32_t immediate = (int32_t)insn->immediate;

    if (insn->memory) {
        emit_operand_probe(t, insn, size, operation != CMP);
        if (uses_carry(operation)) {
            flags_to_host(t);
        }
        emit_lock_prefix(t, insn);
        emit_alu_immediate(&t->e, size, operation, host_memory(S0, 0), immediate);
        flags_now_in_host(t, describe_nothing());
        return true;
    }
    if (uses_carry(operation)) {
        flags_to_host(t);
    }
    if (operation != CMP) {
        guest_will_change(t, register_mask(insn, insn->rm, size));
    }
    emit_alu_immediate(&t->e, size, operation, guest_operand(insn, insn->rm, size), immediate);
    if (operation != CMP) {
        guest_clear_upper(t, insn->rm, size);
    }
    flags_now_in_host(t, describe(insn, operation, size, insn->rm, 0, &immediate));
    return true;
}

static struct flags_description describe_test(const struct insn *insn, unsigned size, unsigned a,
                                              unsigned b, const int32_t *immediate)
{
    struct flags_description d = describe(insn, CMP, size, a, b, immediate);

    if (d.kind != DESCRIBE_NOTHING) {
        d.kind = !immediate && a == b ? DESCRIBE_LOGIC : DESCRIBE_TEST;
    }
    return d;
}

static bool translate_test_reg(struct translator *t, const struct insn *insn,
                               const struct translate_row *row)
{
    unsigned size = row->size, opcode = size == 1 ? 0x84 : 0x85, from;
    bool high = guest_is_high_byte(insn, insn->reg, size);

    if (insn->memory) {
        emit_operand_probe(t, insn, size, false);
        from = guest_value(t, begin_high_byte(t, insn, size), size, S1);
        emit_rm(&t->e, size, opcode, from, false, host_memory(S0, 0));
        end_high_byte(t, insn, size);
        flags_now_in_host(t, describe_nothing());
        return true;
    }
    from = high ? host_of_guest(insn->reg - 4u) : guest_value(t, insn->reg, size, S1);
    emit_rm(&t->e, size, opcode, from, high, guest_operand(insn, insn->rm, size));
    flags_now_in_host(t, describe_test(insn, size, insn->rm, insn->reg, NULL));
    return true;
}

static bool translate_test_imm(struct translator *t, const struct insn *insn,
                               const struct translate_row *row)
{
    unsigned size = row->size;
    int32_t immediate = (int32_t)insn->immediate;
    struct host_operand operand;

    operand = emit_rm_to_read(t, insn, size);
    emit_rm(&t->e, size, size == 1 ? 0xf6 : 0xf7, 0, false, operand);
    if (size == 1) {
        emit_8(&t->e, (uint8_t)immediate);
    } else if (size == 2) {
        emit_16(&t->e, (uint16_t)immediate);
    } else {
        emit_32(&t->e, (uint32_t)immediate);
    }
    flags_now_in_host(t, insn->memory ? describe_nothing()
                                      : describe_test(insn, size, insn->rm, 0, &immediate));
    return true;
}

/* INC, DEC, NOT, NEG: one operand. value: opcode << 3 | ModRM.reg */
static bool translate_unary(struct translator *t, const struct insn *insn,
                            const struct translate_row *row)
{
    unsigned size = row->size, opcode = (row->value >> 3) - (size == 1 ? 1 : 0);
    bool changes_some = row->effects & FLAGS_CHANGE;
    struct flags_description description = describe_nothing();
    struct host_operand operand;

    if (insn->memory) {
        emit_operand_probe(t, insn, size, true);
        operand = host_memory(S0, 0);
    } else {
        operand = guest_operand(insn, insn->rm, size);
    }
    if (changes_some && t->flags_live) {
        flags_to_host(t);
    }
    if (!insn->memory) {
        guest_will_change(t, register_mask(insn, insn->rm, size));
    }
    emit_lock_prefix(t, insn);
    emit_rm(&t->e, size, opcode, row->value & 7, false, operand);
    if (!insn->memory) {
        guest_clear_upper(t, insn->rm, size);
    }
    if (row->effects == FLAGS_UNTOUCHED) {
        return true;
    }
    if (changes_some && !insn->memory && !guest_is_high_byte(insn, insn->rm, size)) {
        description = (struct flags_description){.kind = row->value & 1 ? DESCRIBE_DECREMENT
                                                                        : DESCRIBE_INCREMENT,
                                                 .size = (uint8_t)size,
                                                 .a = insn->rm,
                                                 .b_is_immediate = true};
    }
    flags_now_in_host(t, description);
    return true;
}

/* MUL, IMUL with RDX:RAX. value: ModRM.reg */
static bool translate_multiply(struct translator *t, const struct insn *insn,
                               const struct translate_row *row)
{
    unsigned size = row->size;
    struct host_operand operand;

    operand = emit_rm_to_read(t, insn, size);
    guest_will_change(t, 1u << X86_RAX | (size > 1 ? 1u << X86_RDX : 0));
    emit_rm(&t->e, size, size == 1 ? 0xf6 : 0xf7, row->value, false, operand);
    flags_now_in_host(t, describe_nothing());
    return true;
}

/* IMUL with a destination of its own. */
static bool translate_imul(struct translator *t, const struct insn *insn,
                           const struct translate_row *row)
{
    unsigned size = row->size, host = host_of_guest(insn->reg);
    bool has_immediate = row->value, in_memory = host == HOST_NO_REGISTER;
    int32_t immediate = (int32_t)insn->immediate;
    struct host_operand operand;

    operand = emit_rm_to_read(t, insn, size);
    guest_will_change(t, 1u << insn->reg);
    if (in_memory) {
        host = S1;
    }
    if (has_immediate) {
        emit_rm(&t->e, size, 0x69, host, false, operand);
        if (size == 2) {
            emit_16(&t->e, (uint16_t)immediate);
        } else {
            emit_32(&t->e, (uint32_t)immediate);
        }
    } else {
        if (in_memory) {
            emit_load(&t->e, size, S1, CPU_FIELD(gpr[insn->reg]));
        }
        emit_rm(&t->e, size, 0x0faf, host, false, operand);
    }
    if (in_memory) {
        guest_write(t, insn->reg, size, S1);
    }
    flags_now_in_host(t, describe_nothing());
    return true;
}

/* The divisor to S0, zero- or sign-extended to 64 bits. */
static void load_divisor(struct translator *t, const struct insn *insn, unsigned size)
{
    if (insn->memory) {
        emit_operand_probe(t, insn, size, false);
        emit_load(&t->e, size, S0, host_memory(S0, 0));
    } else {
        flags_before_spoil(t);
        emit_load(&t->e, size, S0, guest_operand(insn, insn->rm, size));
    }
}

/* What may raise #DE is left to the handler. */
static bool translate_divide(struct translator *t, const struct insn *insn,
                             const struct translate_row *row)
{
    unsigned size = row->size;

    if (size < 4) {
        return false;
    }
    load_divisor(t, insn, size);
    emit_rm(&t->e, size, 0x3b, HOST_RDX, false, host_register(S0));
    emit_slow_if(t, HOST_ABOVE_EQUAL);
    guest_will_change(t, 1u << X86_RAX | 1u << X86_RDX);
    emit_rm(&t->e, size, 0xf7, 6, false, host_register(S0));
    return true;
}

/* Only if the dividend is sign-extended from one word, and the divisor neither 0 nor -1. */
static bool translate_divide_signed(struct translator *t, const struct insn *insn,
                                    const struct translate_row *row)
{
    unsigned size = row->size;

    if (size < 4) {
        return false;
    }
    load_divisor(t, insn, size);
    emit_lea(&t->e, size, S1, host_memory(S0, 1));
    emit_alu_immediate(&t->e, size, CMP, host_register(S1), 1);
    emit_slow_if(t, HOST_BELOW_EQUAL);
    emit_move(&t->e, size, S1, HOST_RAX);
    emit_shift_immediate(&t->e, size, 7, S1, (uint8_t)(size * 8 - 1));
    emit_rm(&t->e, size, 0x3b, S1, false, host_register(HOST_RDX));
    emit_slow_if(t, HOST_NOT_EQUAL);
    guest_will_change(t, 1u << X86_RAX | 1u << X86_RDX);
    emit_rm(&t->e, size, 0xf7, 7, false, host_register(S0));
    return true;
}

static bool translate_xadd(struct translator *t, const struct insn *insn,
                           const struct translate_row *row)
{
    unsigned size = row->size, host;

    if (!insn->memory || guest_is_high_byte(insn, insn->reg, size)) {
        return false;
    }
    emit_operand_probe(t, insn, size, true);
    guest_will_change(t, 1u << insn->reg);
    host = guest_value(t, insn->reg, size, S1);
    emit_lock_prefix(t, insn);
    emit_rm(&t->e, size, size == 1 ? 0x0fc0 : 0x0fc1, host, false, host_memory(S0, 0));
    if (host == S1) {
        guest_write(t, insn->reg, size, S1);
    }
    flags_now_in_host(t, describe_nothing());
    return true;
}

static bool translate_cmpxchg(struct translator *t, const struct insn *insn,
                              const struct translate_row *row)
{
    unsigned size = row->size, host;

    if (!insn->memory || guest_is_high_byte(insn, insn->reg, size)) {
        return false;
    }
    emit_operand_probe(t, insn, size, true);
    guest_will_change(t, 1u << X86_RAX);
    host = guest_value(t, insn->reg, size, S1);
    emit_lock_prefix(t, insn);
    emit_rm(&t->e, size, size == 1 ? 0x0fb0 : 0x0fb1, host, false, host_memory(S0, 0));
    flags_now_in_host(t, describe_nothing());
    return true;
}

static bool translate_cmpxchg16b(struct translator *t, const struct insn *insn,
                                 const struct translate_row *row)
{
    emit_operand_probe(t, insn, 16, true);
    emit_rm(&t->e, 1, 0xf6, 0, false,
            host_register(S0)); /* TEST: a page is aligned here and there */
    emit_8(&t->e, 15);
    emit_slow_if(t, HOST_NOT_EQUAL);
    if (t->flags_live) {
        flags_to_host(t);
    }
    guest_will_change(t, 1u << X86_RAX | 1u << X86_RDX);
    emit_lock_prefix(t, insn);
    emit_rm(&t->e, 8, 0x0fc7, 1, false, host_memory(S0, 0));
    flags_now_in_host(t, describe_nothing());
    return true;
}

#define SIZED_ROWS(name, translate, flags, value)                                                  \
    {execute_##name##_1, translate, 1, flags, value},                                              \
        {execute_##name##_2, translate, 2, flags, value},                                          \
        {execute_##name##_4, translate, 4, flags, value},                                          \
    {                                                                                              \
        execute_##name##_8, translate, 8, flags, value                                             \
    }
#define ALU_ROWS(name, flags, operation)                                                           \
    SIZED_ROWS(name##_rm_reg, translate_rm_reg, flags, operation),                                 \
        SIZED_ROWS(name##_reg_rm, translate_reg_rm, flags, operation),                             \
        SIZED_ROWS(name##_rm_imm, translate_rm_imm, flags, operation)

const struct translate_row translate_integer_rows[] = {
    ALU_ROWS(add, FLAGS_WRITE, ADD),
    ALU_ROWS(or, FLAGS_WRITE, OR),
    ALU_ROWS(adc, FLAGS_READ | FLAGS_WRITE, ADC),
    ALU_ROWS(sbb, FLAGS_READ | FLAGS_WRITE, SBB),
    ALU_ROWS(and, FLAGS_WRITE, AND),
    ALU_ROWS(sub, FLAGS_WRITE, SUB),
    ALU_ROWS(xor, FLAGS_WRITE, XOR),
    ALU_ROWS(cmp, FLAGS_WRITE, CMP),
    SIZED_ROWS(test_rm_reg, translate_test_reg, FLAGS_WRITE, 0),
    SIZED_ROWS(test_rm_imm, translate_test_imm, FLAGS_WRITE, 0),
    SIZED_ROWS(inc, translate_unary, FLAGS_CHANGE, 0xff << 3 | 0),
    SIZED_ROWS(dec, translate_unary, FLAGS_CHANGE, 0xff << 3 | 1),
    SIZED_ROWS(not, translate_unary, FLAGS_UNTOUCHED, 0xf7 << 3 | 2),
    SIZED_ROWS(neg, translate_unary, FLAGS_WRITE, 0xf7 << 3 | 3),
    SIZED_ROWS(mul, translate_multiply, FLAGS_WRITE, 4),
    SIZED_ROWS(imul, translate_multiply, FLAGS_WRITE, 5),
    SIZED_ROWS(imul_reg, translate_imul, FLAGS_WRITE, false),
    SIZED_ROWS(imul_imm, translate_imul, FLAGS_WRITE, true),
    SIZED_ROWS(divide, translate_divide, FLAGS_SPOIL, 0),
    SIZED_ROWS(divide_signed, translate_divide_signed, FLAGS_SPOIL, 0),
    SIZED_ROWS(xadd, translate_xadd, FLAGS_WRITE, 0),
    SIZED_ROWS(cmpxchg, translate_cmpxchg, FLAGS_WRITE, 0),
    {execute_cmpxchg16b, translate_cmpxchg16b, 16, FLAGS_CHANGE, 0},
    {NULL, NULL, 0, 0, 0},
};
