/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BMI1 and BMI2: three general registers by VEX, the same on the host. Of those that struct cpu
 * holds, ModRM.rm is a memory operand, and one of the others goes through S1.
 */
#include "tcg/simd-handlers.h"
#include "tcg/translate.h"

static unsigned vex_prefix(const struct insn *insn)
{
    return insn->prefixes & INSN_REPNE        ? 3
           : insn->prefixes & INSN_REP        ? 2
           : insn->prefixes & INSN_OPERAND_16 ? 1
                                              : 0;
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

static bool translate_bmi(struct translator *t, const struct insn *insn,
                          const struct translate_row *row)
{
    unsigned size = insn->operand_size;
    bool group = !has_operand(insn, Gy); /* BLSR, BLSMSK, BLSI: the destination is VEX.vvvv */
    bool two_results = insn->execute == bmi_mulx;
    unsigned written = group ? insn->vex_register : insn->reg, to, vvvv = 0;
    struct host_operand rm;

    if (two_results && (host_of_guest(insn->reg) == HOST_NO_REGISTER ||
                        host_of_guest(insn->vex_register) == HOST_NO_REGISTER)) {
        return false;
    }
    rm = emit_rm_to_read(t, insn, size);
    guest_will_change(t, 1u << written | (two_results ? 1u << insn->vex_register : 0));
    to = host_of_guest(written) == HOST_NO_REGISTER ? S1 : host_of_guest(written);
    if (group) {
        vvvv = to;
    } else if (has_operand(insn, By)) {
        vvvv = guest_value(t, insn->vex_register, size, S1);
    }
    emit_vex_rm(&t->e, vex_prefix(insn), insn->map, insn->byte, size == 8, false, vvvv,
                group ? (insn->modrm >> 3) & 7u : to, rm);
    if (has_operand(insn, Ib)) {
        emit_8(&t->e, (uint8_t)insn->immediate);
    }
    if (to == S1) {
        guest_write(t, written, size, S1);
    }
    if (row->effects & FLAGS_WRITE) {
        flags_now_in_host(t, describe_nothing());
    }
    return true;
}

const struct translate_row *translate_bmi_row(const struct insn *insn,
                                              const struct cpu_features *host)
{
    static const struct translate_row plain = {.translate = translate_bmi};
    static const struct translate_row writes_flags = {.translate = translate_bmi,
                                                      .effects = FLAGS_WRITE};
    static const insn_execute_fn without_flags[] = {bmi_shlx, bmi_shrx, bmi_sarx, bmi_rorx,
                                                    bmi_pdep, bmi_pext, bmi_mulx};
    enum cpu_feature feature = insn->opcode->feature;

    if (!insn->vex || (feature != FEATURE_BMI1 && feature != FEATURE_BMI2) ||
        !cpu_features_have(host, feature)) {
        return NULL;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(without_flags); i++) {
        if (insn->execute == without_flags[i]) {
            return &plain;
        }
    }
    return &writes_flags;
}
