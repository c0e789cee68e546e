/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System instructions that kernels execute all the time, and single flags. */
#include "tcg/execute.h"
#include "tcg/translate.h"

#define GROUP1_OR  1
#define GROUP1_AND 4
#define GROUP1_CMP 7

/* In cpu->eflags, by OR or AND; flags have been seen to. */
static void emit_change_eflags(struct translator *t, unsigned operation, uint32_t value)
{
    emit_rm(&t->e, 4, 0x81, operation, false, CPU_FIELD(eflags));
    emit_32(&t->e, value);
}

/* CPL 0 is the only one below 3 that is translated (jit_context). */
static bool translate_cli(struct translator *t, const struct insn *insn,
                          const struct translate_row *row)
{
    if (t->user) {
        return false;
    }
    flags_before_spoil(t);
    emit_change_eflags(t, GROUP1_AND, ~(uint32_t)FLAG_IF);
    return true;
}

/* With no interrupt waiting there is nothing for the shadow to hold back within the block. At its
 * end one could come in between: STI and HLT belong together, and the handler sets the shadow. */
static bool translate_sti(struct translator *t, const struct insn *insn,
                          const struct translate_row *row)
{
    if (t->user || t->index + 1 == t->count) {
        return false;
    }
    flags_before_spoil(t);
    emit_alu_immediate(&t->e, 1, GROUP1_CMP, CPU_FIELD(interrupt_pending), 0);
    emit_slow_if(t, HOST_NOT_EQUAL);
    emit_change_eflags(t, GROUP1_OR, FLAG_IF);
    return true;
}

static bool translate_swapgs(struct translator *t, const struct insn *insn,
                             const struct translate_row *row)
{
    if (t->user) {
        return false;
    }
    emit_load(&t->e, 8, S0, CPU_FIELD(segment[X86_GS].base));
    emit_load(&t->e, 8, S1, CPU_FIELD(msr_kernel_gs_base));
    emit_store(&t->e, 8, CPU_FIELD(segment[X86_GS].base), S1);
    emit_store(&t->e, 8, CPU_FIELD(msr_kernel_gs_base), S0);
    return true;
}

static bool translate_direction(struct translator *t, const struct insn *insn,
                                const struct translate_row *row)
{
    flags_before_spoil(t);
    emit_change_eflags(t, row->value ? GROUP1_OR : GROUP1_AND,
                       row->value ? FLAG_DF : ~(uint32_t)FLAG_DF);
    return true;
}

/* CMC, CLC, STC: value is the opcode. */
static bool translate_carry(struct translator *t, const struct insn *insn,
                            const struct translate_row *row)
{
    if (t->flags_live) {
        flags_to_host(t);
        emit_8(&t->e, (uint8_t)row->value);
        flags_now_in_host(t, describe_nothing());
    }
    return true;
}

static bool translate_fence(struct translator *t, const struct insn *insn,
                            const struct translate_row *row)
{
    emit_8(&t->e, 0x0f);
    emit_8(&t->e, 0xae);
    emit_8(&t->e, insn->modrm);
    return true;
}

const struct translate_row translate_system_rows[] = {
    {execute_cli, translate_cli, 0, FLAGS_SPOIL, 0},
    {execute_sti, translate_sti, 0, FLAGS_SPOIL | ROW_GOES_ON, 0},
    {execute_swapgs, translate_swapgs, 0, FLAGS_SPOIL, 0},
    {execute_cld, translate_direction, 0, FLAGS_SPOIL, false},
    {execute_std, translate_direction, 0, FLAGS_SPOIL, true},
    {execute_cmc, translate_carry, 0, FLAGS_CHANGE, 0xf5},
    {execute_clc, translate_carry, 0, FLAGS_CHANGE, 0xf8},
    {execute_stc, translate_carry, 0, FLAGS_CHANGE, 0xf9},
    {execute_fence, translate_fence, 0, 0, 0},
    {NULL, NULL, 0, 0, 0},
};
