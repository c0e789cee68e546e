/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pushes and pops of a word: 64 bits, or 32 in 32-bit code. */
#include "tcg/execute.h"
#include "tcg/translate.h"

#define STATUS_FREE_BITS (FLAG_TF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_AC | FLAG_ID)
#define GROUP1_OR        1
#define GROUP1_AND       4
#define GROUP1_CMP       7

void emit_push_probe(struct translator *t)
{
    flags_before_spoil(t);
    emit_lea(&t->e, t->word, S0, host_memory(host_of_guest(X86_RSP), -(int32_t)t->word));
    emit_probe(t, t->word, true);
}

void emit_pop_probe(struct translator *t)
{
    flags_before_spoil(t);
    emit_move(&t->e, t->word, S0, host_of_guest(X86_RSP));
    emit_probe(t, t->word, false);
}

void emit_move_stack(struct translator *t, int32_t bytes)
{
    guest_will_change(t, 1u << X86_RSP);
    emit_lea(&t->e, t->word, host_of_guest(X86_RSP), host_memory(host_of_guest(X86_RSP), bytes));
}

static void emit_store_pushed(struct translator *t, unsigned from)
{
    emit_store(&t->e, t->word, host_memory(S0, 0), from);
    emit_move_stack(t, -(int32_t)t->word);
}

static bool translate_push(struct translator *t, const struct insn *insn,
                           const struct translate_row *row)
{
    if (insn->memory) {
        emit_operand_probe(t, insn, t->word, false);
        emit_load(&t->e, t->word, S1, host_memory(S0, 0));
        emit_store(&t->e, t->word, CPU_FIELD(scratch), S1);
        emit_push_probe(t);
        emit_load(&t->e, t->word, S1, CPU_FIELD(scratch));
        emit_store_pushed(t, S1);
    } else {
        emit_push_probe(t);
        emit_store_pushed(t, guest_value(t, insn->rm, t->word, S1));
    }
    return true;
}

static bool translate_push_immediate(struct translator *t, const struct insn *insn,
                                     const struct translate_row *row)
{
    if (insn->operand_size != t->word) {
        return false;
    }
    emit_push_probe(t);
    emit_rm(&t->e, t->word, 0xc7, 0, false, host_memory(S0, 0));
    emit_32(&t->e, (uint32_t)insn->immediate);
    emit_move_stack(t, -(int32_t)t->word);
    return true;
}

static bool translate_pop(struct translator *t, const struct insn *insn,
                          const struct translate_row *row)
{
    if (insn->memory) {
        return false;
    }
    emit_pop_probe(t);
    guest_will_change(t, 1u << insn->rm | 1u << X86_RSP);
    emit_load(&t->e, t->word, S0, host_memory(S0, 0));
    emit_move_stack(t, (int32_t)t->word);
    guest_write(t, insn->rm, t->word, S0);
    return true;
}

static bool translate_leave(struct translator *t, const struct insn *insn,
                            const struct translate_row *row)
{
    if (insn->operand_size != t->word) {
        return false;
    }
    flags_before_spoil(t);
    emit_move(&t->e, t->word, S0, HOST_RBP);
    emit_probe(t, t->word, false);
    guest_will_change(t, 1u << X86_RBP | 1u << X86_RSP);
    emit_lea(&t->e, t->word, host_of_guest(X86_RSP), host_memory(HOST_RBP, (int32_t)t->word));
    emit_load(&t->e, t->word, HOST_RBP, host_memory(S0, 0));
    return true;
}

/* EFLAGS as PUSHF pushes it: of status bits the record's, the rest from cpu->eflags. */
static bool translate_pushf(struct translator *t, const struct insn *insn,
                            const struct translate_row *row)
{
    struct emitter *e = &t->e;

    if (insn->operand_size != t->word) {
        return false;
    }
    flags_to_explicit_record(t);
    emit_push_probe(t);
    emit_load(e, 4, S1, CPU_FIELD(lazy.result));
    emit_alu_immediate(e, 4, GROUP1_AND, host_register(S1), FLAGS_STATUS);
    emit_store(e, 8, CPU_FIELD(scratch), S1);
    emit_load(e, 4, S1, CPU_FIELD(eflags));
    emit_alu_immediate(e, 4, GROUP1_AND, host_register(S1),
                       (int32_t) ~(FLAGS_STATUS | FLAG_VM | FLAG_RF));
    emit_rm(e, 8, 0x0b, S1, false, CPU_FIELD(scratch)); /* OR */
    emit_alu_immediate(e, 4, GROUP1_OR, host_register(S1), FLAG_FIXED);
    emit_store_pushed(t, S1);
    return true;
}

/* The kernel's POPF: nothing changes but the status flags and IF, and no interrupt waits for that.
 */
static bool translate_popf(struct translator *t, const struct insn *insn,
                           const struct translate_row *row)
{
    struct emitter *e = &t->e;
    uint8_t *quiet;

    if (insn->operand_size != t->word || t->user) {
        return false;
    }
    emit_pop_probe(t);
    emit_load(e, t->word, S0, host_memory(S0, 0));
    emit_move(e, 4, S1, S0);
    emit_rm(e, 4, 0x33, S1, false, CPU_FIELD(eflags)); /* XOR */
    emit_rm(e, 4, 0xf7, 0, false, host_register(S1));  /* TEST */
    emit_32(e, STATUS_FREE_BITS);
    emit_slow_if(t, HOST_NOT_EQUAL);
    emit_rm(e, 4, 0xf7, 0, false, host_register(S1));
    emit_32(e, FLAG_IF);
    quiet = emit_jump_if(e, HOST_EQUAL);
    emit_alu_immediate(e, 1, GROUP1_CMP, CPU_FIELD(interrupt_pending), 0);
    emit_slow_if(t, HOST_NOT_EQUAL);
    emit_rm(e, 4, 0x81, 6, false, CPU_FIELD(eflags)); /* XOR: turn it round */
    emit_32(e, FLAG_IF);
    emit_bind(e, quiet);
    emit_store(e, 8, CPU_FIELD(lazy.result), S0);
    emit_rm(e, 1, 0xc6, 0, false, CPU_FIELD(lazy.operation));
    emit_8(e, FLAGS_EXPLICIT);
    flags_now_in_record(t);
    t->flags.explicit_record = true;
    emit_move_stack(t, (int32_t)t->word);
    return true;
}

const struct translate_row translate_stack_rows[] = {
    {execute_push_rm_8, translate_push, 8, ROW_MAY_FAULT, 0},
    {execute_push_rm_4, translate_push, 4, ROW_MAY_FAULT, 0},
    {execute_push_imm, translate_push_immediate, 0, ROW_MAY_FAULT, 0},
    {execute_pop_rm_8, translate_pop, 8, ROW_MAY_FAULT, 0},
    {execute_pop_rm_4, translate_pop, 4, ROW_MAY_FAULT, 0},
    {execute_leave, translate_leave, 0, ROW_MAY_FAULT, 0},
    {execute_pushf, translate_pushf, 0, FLAGS_READ | ROW_MAY_FAULT, 0},
    {execute_popf, translate_popf, 0, FLAGS_READ | ROW_GOES_ON, 0},
    {NULL, NULL, 0, 0, 0},
};
