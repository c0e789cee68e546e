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
    if (size == 1 && number < 8 && (!rex || number < 4))
        g_string_append(text, names_8[number]);
    else if (number >= 8)
        g_string_append_printf(text, "r%u%s", number,
                               size == 1   ? "b"
                               : size == 2 ? "w"
                               : size == 4 ? "d"
                                           : "");
    else if (size == 1)
        g_string_append_printf(text, "%sl", names_64[number] + 1);
    else if (size == 2)
        g_string_append(text, names_64[number] + 1);
    else
        g_string_append_printf(text, "%c%s", size == 4 ? 'e' : 'r', names_64[number] + 1);
}

static void append_memory(GString *text, const struct insn *insn, uint64_t rip)
{
    bool first = true;
    if (insn->segment < X86_SEGMENT_COUNT)
        g_string_append_printf(text, "%s:", segment_names[insn->segment]);
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
        if (!first)
            g_string_append_c(text, '+');
        append_register(text, insn->index, insn->address_size, false);
        g_string_append_printf(text, "*%u", 1u << (insn->scale & 3));
        first = false;
    }
    if (first)
        g_string_append_printf(text, "0x%x", (uint32_t)insn->displacement);
    else if (insn->displacement)
        g_string_append_printf(text, "%c0x%x", insn->displacement < 0 ? '-' : '+',
                               insn->displacement < 0 ? 0u - (uint32_t)insn->displacement
                                                      : (uint32_t)insn->displacement);
    g_string_append_c(text, ']');
}

static void append_rm(GString *text, const struct insn *insn, uint64_t rip, unsigned size)
{
    if (insn->memory)
        append_memory(text, insn, rip);
    else
        append_register(text, insn->rm, size, insn->prefixes & INSN_REX);
}

static void append_vector(GString *text, const struct insn *insn, uint64_t rip, const char *name,
                          bool rm)
{
    if (rm && insn->memory)
        append_memory(text, insn, rip);
    else
        g_string_append_printf(text, "%s%u", name, rm ? insn->rm : insn->reg);
}

static unsigned size_of(enum operand operand, const struct insn *insn)
{
    switch (operand) {
    case Eb:
    case Gb:
    case Zb:
    case rAL:
        return 1;
    case Ew:
    case Gw:
        return 2;
    case Ed:
    case Gd:
        return 4;
    default:
        return insn->operand_size;
    }
}

static void append_operand(GString *text, const struct insn *insn, uint64_t rip,
                           enum operand operand)
{
    unsigned size = size_of(operand, insn);
    bool rex = insn->prefixes & INSN_REX;
    switch (operand) {
    case Eb:
    case Ew:
    case Ed:
    case Ev:
    case Ey:
    case Ep:
    case Rd:
    case Rv:
    case Ry:
    case RdMb:
    case RdMw:
    case Zb:
    case Zv:
        append_rm(text, insn, rip, size);
        break;
    case Gb:
    case Gw:
    case Gd:
    case Gv:
    case Gy:
        append_register(text, insn->reg, size, rex);
        break;
    case By:
        append_register(text, insn->vex_register, size, rex);
        break;
    case M:
    case Mb:
    case Mw:
    case Md:
    case Mq:
    case Mv:
    case Mp:
    case Ma:
    case Mt:
    case Mdq:
    case Mx:
    case Mvs:
    case My:
        append_memory(text, insn, rip);
        break;
    case Ib:
    case Ibs:
    case Iw:
    case Iz:
    case Iv:
    case I1:
        g_string_append_printf(text, "0x%" PRIx64, insn->immediate);
        break;
    case Jb:
    case Jz:
        g_string_append_printf(text, "0x%" PRIx64, rip + insn->length + insn->immediate);
        break;
    case Ap:
        g_string_append_printf(text, "0x%x:0x%" PRIx64, insn->immediate2, insn->immediate);
        break;
    case Ob:
    case Ov:
        g_string_append_printf(text, "[0x%" PRIx64 "]", insn->immediate);
        break;
    case Sw:
        g_string_append(text, (insn->reg & 7) < 6 ? segment_names[insn->reg & 7] : "?");
        break;
    case Cd:
        g_string_append_printf(text, "cr%u", insn->reg);
        break;
    case Dd:
        g_string_append_printf(text, "dr%u", insn->reg);
        break;
    case rAL:
    case rAX:
        append_register(text, X86_RAX, size, rex);
        break;
    case rCL:
        g_string_append(text, "cl");
        break;
    case rDX:
        g_string_append(text, "dx");
        break;
    case sES:
    case sCS:
    case sSS:
    case sDS:
    case sFS:
    case sGS:
        g_string_append(text, segment_names[operand - sES]);
        break;
    case Xb:
    case Xv:
        g_string_append(text, "[rsi]");
        break;
    case Yb:
    case Yv:
        g_string_append(text, "[rdi]");
        break;
    case Vx:
        append_vector(text, insn, rip, insn->vex_l ? "ymm" : "xmm", false);
        break;
    case Hx:
        g_string_append_printf(text, "%cmm%u", insn->vex_l ? 'y' : 'x', insn->vex_register);
        break;
    case Lx:
        g_string_append_printf(text, "%cmm%u", insn->vex_l ? 'y' : 'x',
                               (unsigned)(insn->immediate >> 4) & 15);
        break;
    case Wdup:
        append_vector(text, insn, rip, insn->vex_l ? "ymm" : "xmm", true);
        break;
    case Wx:
    case Ux:
        append_vector(text, insn, rip, insn->vex_l ? "ymm" : "xmm", true);
        break;
    case Us:
    case Wh:
    case Wqr:
    case Wer:
    case Wdq:
    case Wb:
    case Wss:
    case Wsd:
    case Wq:
    case Wd:
    case Ww:
        append_vector(text, insn, rip, "xmm", true);
        break;
    case Pq:
        append_vector(text, insn, rip, "mm", false);
        break;
    case Qq:
    case Qd:
    case Nq:
        append_vector(text, insn, rip, "mm", true);
        break;
    case ST0:
        g_string_append(text, "st0");
        break;
    case STi:
        g_string_append_printf(text, "st%u", insn->modrm & 7);
        break;
    default:
        break;
    }
}

char *insn_format(const struct insn *insn, uint64_t rip)
{
    GString *text = g_string_new(NULL);
    const struct opcode *opcode = insn->opcode;
    if (insn->prefixes & INSN_LOCK)
        g_string_append(text, "lock ");
    if (opcode->flags & OP_STRING) {
        if (insn->prefixes & INSN_REP)
            g_string_append(text, "rep ");
        if (insn->prefixes & INSN_REPNE)
            g_string_append(text, "repne ");
    }
    g_string_append(text, opcode->name);
    for (unsigned i = 0; i < G_N_ELEMENTS(opcode->operands); i++) {
        if (opcode->operands[i] == OPERAND_NONE || opcode->operands[i] == Fv)
            break;
        g_string_append(text, i == 0 ? " " : ", ");
        append_operand(text, insn, rip, opcode->operands[i]);
    }
    return g_string_free(text, FALSE);
}
