/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which status flags an instruction leaves undefined: SDM vol. 1, appendix A, and vol. 2. */
#include "tcg/opcode.h"

#include <string.h>

#define SZAP (FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF)

static const struct {
    const char *name;
    uint32_t undefined;
} rows[] = {
    {"aaa", FLAG_OF | FLAG_SF | FLAG_ZF | FLAG_PF},
    {"aad", FLAG_OF | FLAG_AF | FLAG_CF},
    {"aam", FLAG_OF | FLAG_AF | FLAG_CF},
    {"aas", FLAG_OF | FLAG_SF | FLAG_ZF | FLAG_PF},
    {"and", FLAG_AF},
    {"andn", FLAG_AF | FLAG_PF},
    {"bextr", FLAG_AF | FLAG_SF | FLAG_PF},
    {"blsi", FLAG_AF | FLAG_PF},
    {"blsmsk", FLAG_AF | FLAG_PF},
    {"blsr", FLAG_AF | FLAG_PF},
    {"bsf", FLAG_OF | FLAG_SF | FLAG_AF | FLAG_CF | FLAG_PF},
    {"bsr", FLAG_OF | FLAG_SF | FLAG_AF | FLAG_CF | FLAG_PF},
    {"bt", FLAG_OF | FLAG_SF | FLAG_AF | FLAG_PF},
    {"btc", FLAG_OF | FLAG_SF | FLAG_AF | FLAG_PF},
    {"btr", FLAG_OF | FLAG_SF | FLAG_AF | FLAG_PF},
    {"bts", FLAG_OF | FLAG_SF | FLAG_AF | FLAG_PF},
    {"bzhi", FLAG_AF | FLAG_PF},
    {"daa", FLAG_OF},
    {"das", FLAG_OF},
    {"div", FLAGS_STATUS},
    {"idiv", FLAGS_STATUS},
    {"imul", SZAP},
    {"lzcnt", FLAG_OF | FLAG_SF | FLAG_PF | FLAG_AF},
    {"mul", SZAP},
    {"or", FLAG_AF},
    {"test", FLAG_AF},
    {"tzcnt", FLAG_OF | FLAG_SF | FLAG_PF | FLAG_AF},
    {"xor", FLAG_AF},
};

static bool is_named(const struct insn *insn, const char *name)
{
    return strcmp(insn->opcode->name, name) == 0;
}

static bool has_operand(const struct insn *insn, enum operand operand)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(insn->opcode->operands); i++) {
        if (insn->opcode->operands[i] == operand) {
            return true;
        }
    }
    return false;
}

/* OF is defined after one position; CF unless more than all bits were shifted out. */
static uint32_t undefined_by_shift(const struct insn *insn)
{
    unsigned bits = insn->operand_size * 8;
    unsigned count = insn->immediate & (insn->operand_size == 8 ? 63 : 31);
    bool variable = has_operand(insn, rCL);
    bool arithmetic = is_named(insn, "sar");
    bool by_double = is_named(insn, "shld") || is_named(insn, "shrd");
    uint32_t undefined = 0;
    if (!variable && count == 0) {
        return 0;
    }
    if (variable || count != 1) {
        undefined |= FLAG_OF;
    }
    if (by_double && (variable || count > bits)) {
        return FLAGS_STATUS; /* and the result */
    }
    if (!arithmetic && (variable || count >= bits)) {
        undefined |= FLAG_CF;
    }
    return undefined | FLAG_AF;
}

static uint32_t undefined_by_rotate(const struct insn *insn)
{
    unsigned count = insn->immediate & (insn->operand_size == 8 ? 63 : 31);
    bool variable = has_operand(insn, rCL);
    return variable || count > 1 ? FLAG_OF : 0;
}

uint32_t insn_undefined_flags(const struct insn *insn)
{
    static const char *const shifts[] = {"shl", "shr", "sar", "shld", "shrd"};
    static const char *const rotates[] = {"rol", "ror", "rcl", "rcr"};
    for (unsigned i = 0; i < G_N_ELEMENTS(shifts); i++) {
        if (is_named(insn, shifts[i])) {
            return undefined_by_shift(insn);
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(rotates); i++) {
        if (is_named(insn, rotates[i])) {
            return undefined_by_rotate(insn);
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (is_named(insn, rows[i].name)) {
            return rows[i].undefined;
        }
    }
    return 0;
}
