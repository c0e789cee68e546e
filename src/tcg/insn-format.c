/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instructions as text, in the manual's order of operands, for traces and failing tests. */
#include "tcg/opcode.h"

#include <inttypes.h>

static const char *const names_64[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                         "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
static const char *const names_8[8] = {"al", "cl", "dl", "bl", "ah", "ch", "dh", "bh"};
static const char *const segment_names[6] = {"es", "cs", "ss", "ds", "fs", "gs"};

static void append_register(GString *text, unsigned number, unsigned size, bool rex)
{
    number &= 15;
    if (size == 1 && number < 8 && (!rex || number < 4)) {
        g_string_append(text, names_8[number]);
    } else if (number >= 8) {
        g_string_append_printf(text, "r%u%s", number,
                               size == 1   ? "b"
                               : size == 2 ? "w"
                               : size == 4 ? "d"
                                           : "");
    } else if (size == 1) {
        g_string_append_printf(text, "%sl", names_64[number] + 1);
    } else if (size == 2) {
        g_string_append(text, names_64[number] + 1);
    } else {
        g_string_append_printf(text, "%c%s", size == 4 ? 'e' : 'r', names_64[number] + 1);
    }
}

static void append_memory(GString *text, const struct insn *insn, uint64_t rip)
{
    bool first = true;
    if (insn->segment < X86_SEGMENT_COUNT) {
        g_string_append_printf(text, "%s:", segment_names[insn->segment]);
    }
    g_string_append_c(text, '[');
    if (insn->rip_relative) {
        g_string_append_printf(text, "0x%" PRIx64 "]",
                               rip + insn->length + (uint64_t)(int64_t)insn->displacement);
        return;
    }
    if (insn->base != INSN_NO_REGISTER) {
        append_register(text, insn->base, insn->address_size, false);
        first = false;
    }
    if (insn->index != INSN_NO_REGISTER) {
        if (!first) {
            g_string_append_c(text, '+');
        }
        append_register(text, insn->index, insn->address_size, false);
        g_string_append_printf(text, "*%u", 1u << (insn->scale & 3));
        first = false;
    }
    if (first) {
        g_string_append_printf(text, "0x%x", (uint32_t)insn->displacement);
    } else if (insn->displacement) {
        g_string_append_printf(text, "%c0x%x", insn->displacement < 0 ? '-' : '+',
                               insn->displacement < 0 ? 0u - (uint32_t)insn->displacement
                                                      : (uint32_t)insn->displacement);
    }
    g_string_append_c(text, ']');
}

static unsigned size_of(enum operand operand, const struct insn *insn)
{
    switch ((enum operand_size)operand_kinds[operand].size) {
    case OPERAND_SIZE_BYTE:
        return 1;
    case OPERAND_SIZE_WORD:
        return 2;
    case OPERAND_SIZE_DOUBLE:
        return 4;
    default:
        return insn->operand_size;
    }
}

static unsigned number_of(enum operand operand, const struct insn *insn)
{
    switch ((enum operand_place)operand_kinds[operand].place) {
    case OPERAND_IN_REG:
        return insn->reg;
    case OPERAND_IN_VVVV:
        return insn->vex_register;
    case OPERAND_IN_IS4:
        return (unsigned)(insn->immediate >> 4) & 15;
    case OPERAND_IN_IMPLIED:
        return X86_RAX;
    default:
        return insn->rm;
    }
}

static const char *text_of(enum operand operand)
{
    static const char *const texts[] = {
#define OPERAND(letter_, place_, size_, notation_, text_) [letter_] = text_,
#include "tcg/operands.def"
#undef OPERAND
    };

    return texts[operand];
}

static void append_operand(GString *text, const struct insn *insn, uint64_t rip,
                           enum operand operand)
{
    unsigned number = number_of(operand, insn);
    if (operand_is_rm(operand) && insn->memory) {
        append_memory(text, insn, rip);
        return;
    }
    switch ((enum operand_notation)operand_kinds[operand].notation) {
    case OPERAND_AS_NOTHING:
        break;
    case OPERAND_AS_TEXT:
        g_string_append(text, text_of(operand));
        break;
    case OPERAND_AS_GENERAL:
        append_register(text, number, size_of(operand, insn), insn->prefixes & INSN_REX);
        break;
    case OPERAND_AS_SEGMENT:
        g_string_append(text, (number & 7) < 6 ? segment_names[number & 7] : "?");
        break;
    case OPERAND_AS_CONTROL:
        g_string_append_printf(text, "cr%u", number);
        break;
    case OPERAND_AS_DEBUG:
        g_string_append_printf(text, "dr%u", number);
        break;
    case OPERAND_AS_XMM:
        g_string_append_printf(text, "xmm%u", number);
        break;
    case OPERAND_AS_VECTOR:
        g_string_append_printf(text, "%cmm%u", insn->vex_l ? 'y' : 'x', number);
        break;
    case OPERAND_AS_MMX:
        g_string_append_printf(text, "mm%u", number);
        break;
    case OPERAND_AS_STACK:
        g_string_append_printf(text, "st%u", insn->modrm & 7);
        break;
    case OPERAND_AS_NUMBER:
        g_string_append_printf(text, "0x%" PRIx64, insn->immediate);
        break;
    case OPERAND_AS_RELATIVE:
        g_string_append_printf(text, "0x%" PRIx64, rip + insn->length + insn->immediate);
        break;
    case OPERAND_AS_FAR_POINTER:
        g_string_append_printf(text, "0x%x:0x%" PRIx64, insn->immediate2, insn->immediate);
        break;
    case OPERAND_AS_OFFSET:
        g_string_append_printf(text, "[0x%" PRIx64 "]", insn->immediate);
        break;
    }
}

char *insn_format(const struct insn *insn, uint64_t rip)
{
    GString *text = g_string_new(NULL);
    const struct opcode *opcode = insn->opcode;
    if (insn->prefixes & INSN_LOCK) {
        g_string_append(text, "lock ");
    }
    if (opcode->flags & OP_STRING) {
        if (insn->prefixes & INSN_REP) {
            g_string_append(text, "rep ");
        }
        if (insn->prefixes & INSN_REPNE) {
            g_string_append(text, "repne ");
        }
    }
    g_string_append(text, opcode->name);
    for (unsigned i = 0; i < G_N_ELEMENTS(opcode->operands); i++) {
        if (opcode->operands[i] == OPERAND_NONE || opcode->operands[i] == Fv) {
            break;
        }
        g_string_append(text, i == 0 ? " " : ", ");
        append_operand(text, insn, rip, opcode->operands[i]);
    }
    return g_string_free(text, FALSE);
}
