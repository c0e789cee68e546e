/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moves, extensions, exchanges, and what conditions choose. */
#include "tcg/execute.h"
#include "tcg/translate.h"

static uint32_t register_mask(const struct insn *insn, unsigned guest, unsigned size)
{
    return 1u << (guest_is_high_byte(insn, guest, size) ? guest - 4 : guest);
}

/* Between registers, any of which may be a high byte. */
static void move_registers(struct translator *t, const struct insn *insn, unsigned size,
                           unsigned to, unsigned from)
{
    bool from_high = guest_is_high_byte(insn, from, size);
    unsigned host;

    guest_will_change(t, register_mask(insn, to, size));
    host = from_high ? host_of_guest(from - 4) : guest_value(t, from, size, S1);
    emit_rm(&t->e, size, size == 1 ? 0x88 : 0x89, host, from_high, guest_operand(insn, to, size));
    guest_clear_upper(t, to, size);
}

static void load_register(struct translator *t, unsigned guest, unsigned size)
{
    guest_will_change(t, 1u << guest);
    if (host_of_guest(guest) != HOST_NO_REGISTER) {
        emit_load(&t->e, size, host_of_guest(guest), host_memory(S0, 0));
    } else {
        emit_load(&t->e, size, S1, host_memory(S0, 0));
        guest_write(t, guest, size, S1);
    }
}

static bool translate_mov_rm_reg(struct translator *t, const struct insn *insn,
                                 const struct translate_row *row)
{
    if (!insn->memory) {
        move_registers(t, insn, row->size, insn->rm, insn->reg);
        return true;
    }
    emit_operand_probe(t, insn, row->size, true);
    emit_store(&t->e, row->size, host_memory(S0, 0),
               guest_value(t, begin_high_byte(t, insn, row->size), row->size, S1));
    end_high_byte(t, insn, row->size);
    return true;
}

static bool translate_mov_reg_rm(struct translator *t, const struct insn *insn,
                                 const struct translate_row *row)
{
    if (!insn->memory) {
        move_registers(t, insn, row->size, insn->reg, insn->rm);
        return true;
    }
    emit_operand_probe(t, insn, row->size, false);
    guest_will_change(t, register_mask(insn, insn->reg, row->size));
    load_register(t, begin_high_byte(t, insn, row->size), row->size);
    end_high_byte(t, insn, row->size);
    return true;
}

static bool translate_mov_imm(struct translator *t, const struct insn *insn,
                              const struct translate_row *row)
{
    unsigned size = row->size;
    struct host_operand operand = host_memory(S0, 0);
    struct emitter *e = &t->e;

    if (insn->memory) {
        emit_operand_probe(t, insn, size, true);
    } else {
        guest_will_change(t, register_mask(insn, insn->rm, size));
        operand = guest_operand(insn, insn->rm, size);
        if (size >= 4) {
            uint64_t value = size == 4 ? (uint32_t)insn->immediate : insn->immediate;

            if (operand.kind == HOST_REGISTER) {
                emit_load_immediate(e, operand.reg, value);
            } else {
                emit_load_immediate(e, S1, value);
                emit_store(e, 8, operand, S1);
            }
            return true;
        }
    }
    emit_rm(e, size, size == 1 ? 0xc6 : 0xc7, 0, false, operand);
    if (size == 1) {
        emit_8(e, (uint8_t)insn->immediate);
    } else if (size == 2) {
        emit_16(e, (uint16_t)insn->immediate);
    } else {
        emit_32(e, (uint32_t)insn->immediate);
    }
    return true;
}

static void emit_offset_probe(struct translator *t, const struct insn *insn, unsigned size,
                              bool is_write)
{
    flags_before_spoil(t);
    emit_load_immediate(&t->e, S0, insn->immediate);
    emit_segment_base(t, insn);
    emit_probe(t, size, is_write);
}

static bool translate_mov_acc_moffs(struct translator *t, const struct insn *insn,
                                    const struct translate_row *row)
{
    if (!address_is_simple(t, insn)) {
        return false;
    }
    emit_offset_probe(t, insn, row->size, false);
    load_register(t, X86_RAX, row->size);
    return true;
}

static bool translate_mov_moffs_acc(struct translator *t, const struct insn *insn,
                                    const struct translate_row *row)
{
    if (!address_is_simple(t, insn)) {
        return false;
    }
    emit_offset_probe(t, insn, row->size, true);
    emit_store(&t->e, row->size, host_memory(S0, 0), HOST_RAX);
    return true;
}

/* MOVZX, MOVSX, MOVSXD. value: opcode << 8 | size of the source */
static bool translate_extend(struct translator *t, const struct insn *insn,
                             const struct translate_row *row)
{
    unsigned size = row->size, from_size = row->value & 0xff, host = host_of_guest(insn->reg);
    struct host_operand operand = host_memory(S0, 0);
    bool in_memory = host == HOST_NO_REGISTER;

    if (insn->memory) {
        emit_operand_probe(t, insn, from_size, false);
    } else {
        operand = guest_operand(insn, insn->rm, from_size);
        if (operand.high_byte && (in_memory || host >= HOST_R8 || size == 8)) {
            return false; /* needs REX; and without it the guest has no such register */
        }
    }
    guest_will_change(t, 1u << insn->reg);
    emit_rm_from(&t->e, size, from_size, row->value >> 8, in_memory ? S1 : host, operand);
    if (in_memory) {
        guest_write(t, insn->reg, size, S1);
    }
    return true;
}

static bool translate_lea(struct translator *t, const struct insn *insn,
                          const struct translate_row *row)
{
    unsigned base = insn->base, index = insn->index, size = row->size, to;

    if (!address_is_simple(t, insn)) {
        return false;
    }
    to = host_of_guest(insn->reg);
    guest_will_change(t, 1u << insn->reg);
    if (insn->rip_relative) {
        emit_load(&t->e, 8, S0, CPU_FIELD(page_linear));
        emit_lea(&t->e, 8, S0, host_memory(S0, (int32_t)t->next));
        base = S0;
    } else {
        base = base == INSN_NO_REGISTER ? HOST_NO_REGISTER : guest_value(t, base, 8, S0);
    }
    index = index == INSN_NO_REGISTER ? HOST_NO_REGISTER : guest_value(t, index, 8, S1);
    if (insn->address_size == 4 || size == 2 || to == HOST_NO_REGISTER) {
        emit_lea(&t->e, insn->address_size == 4 || size == 4 ? 4 : 8, S0,
                 base == HOST_NO_REGISTER && index == HOST_NO_REGISTER
                     ? host_memory(HOST_NO_REGISTER, insn->displacement)
                     : host_memory_indexed(base, index, insn->scale, insn->displacement));
        guest_write(t, insn->reg, size, S0);
        return true;
    }
    emit_lea(&t->e, size, to, host_memory_indexed(base, index, insn->scale, insn->displacement));
    return true;
}

/* With memory always locked, by the host too. */
static bool translate_xchg(struct translator *t, const struct insn *insn,
                           const struct translate_row *row)
{
    unsigned size = row->size, host;

    if (!insn->memory || guest_is_high_byte(insn, insn->reg, size)) {
        return false;
    }
    emit_operand_probe(t, insn, size, true);
    guest_will_change(t, 1u << insn->reg);
    host = guest_value(t, insn->reg, size, S1);
    emit_rm(&t->e, size, size == 1 ? 0x86 : 0x87, host, false, host_memory(S0, 0));
    if (host == S1) {
        guest_write(t, insn->reg, size, S1);
    }
    return true;
}

static bool translate_nop(struct translator *t, const struct insn *insn,
                          const struct translate_row *row)
{
    return true;
}

/* XCHG with the accumulator. PAUSE is for the handler. */
static bool translate_xchg_acc(struct translator *t, const struct insn *insn,
                               const struct translate_row *row)
{
    unsigned size = row->size, host;

    if (insn->rm == X86_RAX) {
        return !(insn->prefixes & INSN_REP) || insn->byte != 0x90;
    }
    guest_will_change(t, 1u << X86_RAX | 1u << insn->rm);
    host = guest_value(t, insn->rm, size, S1);
    emit_rm(&t->e, size, 0x87, HOST_RAX, false, host_register(host));
    if (host == S1) {
        guest_write(t, insn->rm, size, S1);
    }
    return true;
}

static bool translate_cmov(struct translator *t, const struct insn *insn,
                           const struct translate_row *row)
{
    unsigned size = row->size, host = host_of_guest(insn->reg);
    struct host_operand operand;
    bool in_memory = host == HOST_NO_REGISTER;

    operand = emit_rm_to_read(t, insn, size);
    flags_to_host(t);
    guest_will_change(t, 1u << insn->reg);
    if (in_memory) {
        host = S1;
        emit_load(&t->e, size, S1, CPU_FIELD(gpr[insn->reg]));
    }
    emit_rm(&t->e, size, 0x0f40 | (insn->byte & 15), host, false, operand);
    if (in_memory) {
        guest_write(t, insn->reg, size, S1);
    }
    return true;
}

static bool translate_setcc(struct translator *t, const struct insn *insn,
                            const struct translate_row *row)
{
    struct host_operand operand = host_memory(S0, 0);

    if (insn->memory) {
        emit_operand_probe(t, insn, 1, true);
    } else {
        operand = guest_operand(insn, insn->rm, 1);
    }
    flags_to_host(t);
    if (!insn->memory) {
        guest_will_change(t, register_mask(insn, insn->rm, 1));
    }
    emit_rm(&t->e, 1, 0x0f90 | (insn->byte & 15), 0, false, operand);
    return true;
}

/* CBW, CWDE, CDQE; CWD, CDQ, CQO: the same byte. */
static bool translate_convert(struct translator *t, const struct insn *insn,
                              const struct translate_row *row)
{
    guest_will_change(t, 1u << row->value);
    if (row->size == 2) {
        emit_8(&t->e, 0x66);
    } else if (row->size == 8) {
        emit_8(&t->e, 0x48);
    }
    emit_8(&t->e, row->value == X86_RAX ? 0x98 : 0x99);
    return true;
}

static bool translate_bswap(struct translator *t, const struct insn *insn,
                            const struct translate_row *row)
{
    unsigned size = row->size, host;

    if (size < 4) {
        return false;
    }
    guest_will_change(t, 1u << insn->rm);
    host = guest_value(t, insn->rm, size, S1);
    if (size == 8 || host >= HOST_R8) {
        emit_8(&t->e, (uint8_t)(0x40 | (size == 8 ? 8 : 0) | (host >= HOST_R8 ? 1 : 0)));
    }
    emit_8(&t->e, 0x0f);
    emit_8(&t->e, (uint8_t)(0xc8 | (host & 7)));
    if (host == S1) {
        guest_write(t, insn->rm, size, S1);
    }
    return true;
}

#define SIZED_ROWS(name, translate, flags, value)                                                  \
    {execute_##name##_2, translate, 2, flags, value},                                              \
        {execute_##name##_4, translate, 4, flags, value},                                          \
    {                                                                                              \
        execute_##name##_8, translate, 8, flags, value                                             \
    }
#define ALL_SIZED_ROWS(name, translate, flags, value)                                              \
    {execute_##name##_1, translate, 1, flags, value}, SIZED_ROWS(name, translate, flags, value)

const struct translate_row translate_move_rows[] = {
    ALL_SIZED_ROWS(mov_rm_reg, translate_mov_rm_reg, 0, 0),
    ALL_SIZED_ROWS(mov_reg_rm, translate_mov_reg_rm, 0, 0),
    ALL_SIZED_ROWS(mov_rm_imm, translate_mov_imm, 0, 0),
    ALL_SIZED_ROWS(mov_acc_moffs, translate_mov_acc_moffs, ROW_MAY_FAULT, 0),
    ALL_SIZED_ROWS(mov_moffs_acc, translate_mov_moffs_acc, ROW_MAY_FAULT, 0),
    SIZED_ROWS(movzx_8, translate_extend, 0, 0x0fb6 << 8 | 1),
    SIZED_ROWS(movzx_16, translate_extend, 0, 0x0fb7 << 8 | 2),
    SIZED_ROWS(movsx_8, translate_extend, 0, 0x0fbe << 8 | 1),
    SIZED_ROWS(movsx_16, translate_extend, 0, 0x0fbf << 8 | 2),
    SIZED_ROWS(movsx_32, translate_extend, 0, 0x63 << 8 | 4),
    SIZED_ROWS(lea, translate_lea, 0, 0),
    ALL_SIZED_ROWS(xchg, translate_xchg, 0, 0),
    SIZED_ROWS(xchg_acc, translate_xchg_acc, 0, 0),
    SIZED_ROWS(cmov, translate_cmov, FLAGS_READ, 0),
    {execute_setcc, translate_setcc, 1, FLAGS_READ, 0},
    SIZED_ROWS(cbw, translate_convert, 0, X86_RAX),
    SIZED_ROWS(cwd, translate_convert, 0, X86_RDX),
    SIZED_ROWS(bswap, translate_bswap, 0, 0),
    {execute_nop, translate_nop, 0, 0, 0},
    {NULL, NULL, 0, 0, 0},
};
