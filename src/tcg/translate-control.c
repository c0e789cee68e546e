/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jumps, calls, returns, and the ways out of a block. */
#include "tcg/execute.h"
#include "tcg/translate.h"

#define GROUP1_ADD 0
#define GROUP1_AND 4
#define GROUP1_CMP 7
#define GROUP2_SHL 4
#define GROUP2_SHR 5
#define GROUP2_SAR 7

#define JUMP_ENTRY_SHIFT 4
_Static_assert(sizeof(struct jump_entry) == 1 << JUMP_ENTRY_SHIFT, "an index is shifted");

/* --- Leaving --- */

static void emit_leave(struct translator *t, const uint8_t *stub)
{
    emit_jump_to(&t->e, stub - t->e.to_exec);
}

/* A jump whose displacement can be replaced in one store while others execute it. */
static uint8_t *emit_patchable_jump(struct translator *t)
{
    while (((uintptr_t)t->e.at + 1) & 3) {
        emit_8(&t->e, 0x90);
    }
    return emit_jump(&t->e);
}

static void emit_exit_in_page(struct translator *t, unsigned target)
{
    struct jit_exit *record = jit_allocate(t->jit, sizeof(*record));
    struct emitter *e = &t->e;
    uint8_t *leave = NULL, *place;

    if (!record) {
        t->failed = true;
        return;
    }
    if (target <= t->next) {
        /* There may be a loop: see whether somebody wants us. */
        emit_alu_immediate(e, 4, GROUP1_CMP, CPU_FIELD(exit_request), 0);
        leave = emit_jump_if(e, HOST_NOT_EQUAL);
    }
    if (target == t->start) {
        emit_jump_to(e, t->entry);
    } else {
        place = emit_patchable_jump(t);
        emit_bind(e, place);
        record->place = place;
        record->host_page = t->host_page;
        emit_load_immediate(e, S0, target);
        emit_load_immediate(e, S1, (uintptr_t)record);
        emit_leave(t, t->jit->stubs.leave_to);
    }
    if (leave) {
        emit_bind(e, leave);
        emit_load_immediate(e, S0, target);
        emit_load_immediate(e, S1, 0);
        emit_leave(t, t->jit->stubs.leave_to);
    }
}

void emit_exit(struct translator *t, int64_t target)
{
    if (target >= 0 && target < (int64_t)PAGE_SIZE_4K) {
        emit_exit_in_page(t, (unsigned)target);
        return;
    }
    emit_load(&t->e, 8, S0, CPU_FIELD(page_linear));
    if (target == (int32_t)target || t->word == 4) {
        emit_alu_immediate(&t->e, t->word, GROUP1_ADD, host_register(S0), (int32_t)target);
    } else {
        emit_load_immediate(&t->e, S1, (uint64_t)target);
        emit_rm(&t->e, 8, 0x03, S0, false, host_register(S1));
    }
    emit_exit_indirect(t, 0);
}

void emit_exit_indirect(struct translator *t, int stack_fix)
{
    struct emitter *e = &t->e;
    int32_t table = t->jit->tlb_offset + (int32_t)offsetof(struct tlb, jumps) +
                    (int32_t)(t->context * JUMP_ENTRIES * sizeof(struct jump_entry));
    unsigned start = t->next - (t->insn ? t->insn->length : 0);
    uint8_t *asked, *miss;

    emit_alu_immediate(e, 4, GROUP1_CMP, CPU_FIELD(exit_request), 0);
    asked = emit_jump_if(e, HOST_NOT_EQUAL);
    emit_move(e, 4, S1, S0); /* jump_index */
    emit_shift_immediate(e, 4, GROUP2_SHR, S1, PAGE_BITS);
    emit_rm(e, 4, 0x33, S1, false, host_register(S0));
    emit_alu_immediate(e, 4, GROUP1_AND, host_register(S1), JUMP_ENTRIES - 1);
    emit_shift_immediate(e, 4, GROUP2_SHL, S1, JUMP_ENTRY_SHIFT);
    emit_rm(e, 8, 0x3b, S0, false,
            host_cpu_indexed(S1, table + (int32_t)offsetof(struct jump_entry, linear)));
    miss = emit_jump_if(e, HOST_NOT_EQUAL);
    emit_alu_immediate(e, 8, GROUP1_AND, host_register(S0), -(int32_t)PAGE_SIZE_4K);
    emit_store(e, 8, CPU_FIELD(page_linear), S0);
    emit_rm(e, 4, 0xff, 4, false,
            host_cpu_indexed(S1, table + (int32_t)offsetof(struct jump_entry, code)));
    emit_bind(e, asked);
    emit_bind(e, miss);
    emit_load_immediate(e, S1, (uint64_t)(uint16_t)stack_fix << 16 | start);
    emit_leave(t, t->jit->stubs.leave_indirect);
}

void emit_side_exits(struct translator *t)
{
    for (unsigned i = 0; i < t->side_exit_count; i++) {
        struct side_exit *exit = &t->side_exits[i];

        emit_bind(&t->e, exit->from);
        flags_state_to_record(t, &exit->flags);
        t->next = exit->next;
        t->insn = exit->insn;
        emit_exit(t, exit->target);
    }
}

void emit_handler(struct translator *t, const struct insn *insn, bool ends)
{
    const struct insn *kept = keep_insn(t, insn);
    struct emitter *e = &t->e;

    flags_to_record(t);
    emit_load_immediate(e, S0, (uintptr_t)kept);
    emit_load_immediate(e, S1, t->next);
    if (ends) {
        emit_leave(t, t->jit->stubs.handler_leave);
        t->ended = true;
    } else {
        emit_call_to(e, t->jit->stubs.handler - e->to_exec);
        flags_now_in_record(t);
    }
    t->vector_resident = false;
}

/* --- Instructions --- */

/* In 32-bit code an operand size of 16 bits cuts the target's upper half off: for the handler. */
static bool target_is_cut(const struct translator *t, const struct insn *insn)
{
    return t->word == 4 && insn->operand_size != 4;
}

static int64_t jump_target(const struct translator *t, const struct insn *insn)
{
    return (int64_t)t->next + (int64_t)insn->immediate;
}

static bool translate_jmp(struct translator *t, const struct insn *insn,
                          const struct translate_row *row)
{
    if (target_is_cut(t, insn)) {
        return false;
    }
    flags_to_record(t);
    emit_exit(t, jump_target(t, insn));
    t->ended = true;
    return true;
}

static void add_side_exit(struct translator *t, uint8_t *from, int64_t target)
{
    t->side_exits[t->side_exit_count++] = (struct side_exit){
        .from = from, .flags = t->flags, .target = target, .insn = t->insn, .next = t->next};
}

static bool translate_jcc(struct translator *t, const struct insn *insn,
                          const struct translate_row *row)
{
    if (target_is_cut(t, insn)) {
        return false;
    }
    flags_to_host(t);
    add_side_exit(t, emit_jump_if(&t->e, row->value), jump_target(t, insn));
    return true;
}

static bool translate_jcxz(struct translator *t, const struct insn *insn,
                           const struct translate_row *row)
{
    if (insn->address_size < 4 || target_is_cut(t, insn)) {
        return false;
    }
    flags_before_spoil(t);
    emit_rm(&t->e, insn->address_size, 0x85, HOST_RCX, false, host_register(HOST_RCX));
    add_side_exit(t, emit_jump_if(&t->e, HOST_EQUAL), jump_target(t, insn));
    return true;
}

/* LOOP: no flags change. */
static bool translate_loop(struct translator *t, const struct insn *insn,
                           const struct translate_row *row)
{
    unsigned size = insn->address_size;

    if (size < 4 || target_is_cut(t, insn)) {
        return false;
    }
    flags_before_spoil(t);
    guest_will_change(t, 1u << X86_RCX);
    emit_lea(&t->e, size, HOST_RCX, host_memory(HOST_RCX, -1));
    emit_rm(&t->e, size, 0x85, HOST_RCX, false, host_register(HOST_RCX));
    add_side_exit(t, emit_jump_if(&t->e, HOST_NOT_EQUAL), jump_target(t, insn));
    return true;
}

static void emit_push_return(struct translator *t)
{
    emit_load(&t->e, 8, S1, CPU_FIELD(page_linear));
    emit_lea(&t->e, t->word, S1, host_memory(S1, (int32_t)t->next));
    emit_store(&t->e, t->word, host_memory(S0, 0), S1);
    emit_move_stack(t, -(int32_t)t->word);
}

static bool translate_call(struct translator *t, const struct insn *insn,
                           const struct translate_row *row)
{
    if (target_is_cut(t, insn)) {
        return false;
    }
    emit_push_probe(t);
    emit_push_return(t);
    flags_to_record(t);
    emit_exit(t, jump_target(t, insn));
    t->ended = true;
    return true;
}

/* The target's value to a host register. */
static bool emit_target(struct translator *t, const struct insn *insn, unsigned to)
{
    if (insn->operand_size != t->word) {
        return false;
    }
    if (insn->memory) {
        emit_operand_probe(t, insn, t->word, false);
        emit_load(&t->e, t->word, to, host_memory(S0, 0));
    } else {
        emit_load(&t->e, t->word, to, guest_operand(insn, insn->rm, t->word));
    }
    return true;
}

static bool translate_jmp_indirect(struct translator *t, const struct insn *insn,
                                   const struct translate_row *row)
{
    if (!emit_target(t, insn, S0)) {
        return false;
    }
    flags_to_record(t);
    emit_exit_indirect(t, 0);
    t->ended = true;
    return true;
}

/* Nothing is pushed if the target in S1 is not canonical. */
static void emit_check_canonical(struct translator *t)
{
    flags_before_spoil(t);
    emit_move(&t->e, 8, S0, S1);
    emit_shift_immediate(&t->e, 8, GROUP2_SHL, S0, 16);
    emit_shift_immediate(&t->e, 8, GROUP2_SAR, S0, 16);
    emit_rm(&t->e, 8, 0x3b, S0, false, host_register(S1));
    emit_slow_if(t, HOST_NOT_EQUAL);
}

static bool translate_call_indirect(struct translator *t, const struct insn *insn,
                                    const struct translate_row *row)
{
    if (!emit_target(t, insn, S1)) {
        return false;
    }
    emit_store(&t->e, 8, CPU_FIELD(scratch), S1);
    if (t->word == 8) {
        emit_check_canonical(t);
    }
    emit_push_probe(t);
    emit_push_return(t);
    flags_to_record(t);
    emit_load(&t->e, 8, S0, CPU_FIELD(scratch));
    emit_exit_indirect(t, 0);
    t->ended = true;
    return true;
}

static bool translate_ret(struct translator *t, const struct insn *insn,
                          const struct translate_row *row)
{
    int32_t bytes = (int32_t)t->word + (int32_t)insn->immediate;

    if (insn->operand_size != t->word || bytes > INT16_MAX) {
        return false;
    }
    emit_pop_probe(t);
    emit_load(&t->e, t->word, S0, host_memory(S0, 0));
    emit_move_stack(t, bytes);
    flags_to_record(t);
    emit_exit_indirect(t, -bytes);
    t->ended = true;
    return true;
}

#define JCC(code)                                                                                  \
    {                                                                                              \
        execute_jcc_##code, translate_jcc, 0, FLAGS_READ | ROW_SIDE_EXIT, code                     \
    }

const struct translate_row translate_control_rows[] = {
    JCC(0),
    JCC(1),
    JCC(2),
    JCC(3),
    JCC(4),
    JCC(5),
    JCC(6),
    JCC(7),
    JCC(8),
    JCC(9),
    JCC(10),
    JCC(11),
    JCC(12),
    JCC(13),
    JCC(14),
    JCC(15),
    {execute_jmp_near, translate_jmp, 0, FLAGS_READ, 0},
    {execute_jmp_near_indirect, translate_jmp_indirect, 0, FLAGS_READ, 0},
    {execute_call_near, translate_call, 0, FLAGS_READ, 0},
    {execute_call_near_indirect, translate_call_indirect, 0, FLAGS_READ, 0},
    {execute_ret_near, translate_ret, 0, FLAGS_READ, 0},
    {execute_loop, translate_loop, 0, FLAGS_READ | ROW_SIDE_EXIT, 0},
    {execute_jcxz, translate_jcxz, 0, FLAGS_READ | ROW_SIDE_EXIT, 0},
    {NULL, NULL, 0, 0, 0},
};
