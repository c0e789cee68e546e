/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SSE and AVX: the guest's instruction is the host's, on the same vector registers. They get into
 * the host's when a block first needs them, and back when C code is called (trampolines.c). What is
 * left to do is told by the letters of the row's operands, so that no instruction is named here but
 * those that are different.
 *
 * While they are there MXCSR is the guest's, with all exceptions masked: else nothing is translated
 * (jit_context).
 */
#include "tcg/avx.h"
#include "tcg/simd-handlers.h"
#include "tcg/translate.h"
#include "tcg/xsave.h"

#define GROUP1_CMP 7

/* What the operands' letters say. */
struct vector_form {
    unsigned memory_bytes; /* of the memory operand; 0: the row has none */
    bool store;            /* it is the destination */
    bool general_reg;      /* ModRM.reg is a general register, written */
    bool general_rm;       /* ModRM.rm, if it names a register, is a general one */
    bool group;            /* ModRM.reg is part of the opcode */
    bool vvvv;
    bool immediate;
};

static struct vector_form form_of(const struct insn *insn)
{
    struct vector_form form = {.group = true};

    for (unsigned i = 0; i < G_N_ELEMENTS(insn->opcode->operands); i++) {
        enum operand operand = insn->opcode->operands[i];
        unsigned bytes = avx_memory_bytes(insn, operand);

        if (bytes) {
            form.memory_bytes = bytes;
            form.store = i == 0;
        }
        form.general_rm |= operand == Ed || operand == Ey || operand == RdMb || operand == RdMw;
        form.general_reg |= operand == Gd || operand == Gy;
        form.group &= operand != Vx && operand != Gd && operand != Gy;
        form.vvvv |= operand == Hx;
        form.immediate |= operand == Ib || operand == Lx;
    }
    return form;
}

/* --- Which instructions --- */

/* MMX registers, gathers, and memory that is not where ModRM says stay with the handlers. */
static bool is_vector(const struct insn *insn)
{
    static const insn_execute_fn others[] = {sse_maskmovdqu, avx_maskmovdqu, avx_maskmov_load,
                                             avx_maskmov_store};
    bool vector = false;

    for (unsigned i = 0; i < G_N_ELEMENTS(insn->opcode->operands); i++) {
        switch (insn->opcode->operands[i]) {
        case Pq:
        case Qq:
        case Qd:
        case Nq:
        case Mvs:
            return false;
        case Vx:
        case Ux:
        case Us:
        case Hx:
            vector = true;
            break;
        default:
            break;
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++) {
        vector &= insn->execute != others[i];
    }
    return vector;
}

static bool is_one_of(insn_execute_fn handler, const insn_execute_fn *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (list[i] == handler) {
            return true;
        }
    }
    return false;
}

static bool is_string_compare(const struct insn *insn)
{
    static const insn_execute_fn list[] = {sse_pcmpestri, sse_pcmpestrm, sse_pcmpistri,
                                           sse_pcmpistrm, avx_pcmpestri, avx_pcmpestrm,
                                           avx_pcmpistri, avx_pcmpistrm};

    return is_one_of(insn->execute, list, G_N_ELEMENTS(list));
}

static bool writes_flags(const struct insn *insn)
{
    static const insn_execute_fn list[] = {sse_comiss,  sse_comisd, sse_ucomiss,
                                           sse_ucomisd, sse_ptest,  avx_execute_flags};

    return is_string_compare(insn) || is_one_of(insn->execute, list, G_N_ELEMENTS(list));
}

/* Of legacy instructions all but a few want their 16 bytes aligned, of VEX ones a few. */
static bool is_aligned(const struct insn *insn, const struct vector_form *form)
{
    if (insn->vex) {
        return insn->execute == avx_execute_aligned;
    }
    return form->memory_bytes == 16 && insn->execute != sse_load_unaligned &&
           insn->execute != sse_store_unaligned && !is_string_compare(insn);
}

/* --- The code --- */

void vector_require(struct translator *t, const struct insn *insn)
{
    struct emitter *e = &t->e;

    if (insn->vex && !t->avx_allowed) {
        emit_rm(e, 4, 0xf7, 0, false, CPU_FIELD(cr4)); /* TEST */
        emit_32(e, CR4_OSXSAVE);
        emit_slow_if(t, HOST_EQUAL);
        emit_rm(e, 4, 0xf7, 0, false, CPU_FIELD(xcr0));
        emit_32(e, XCR0_AVX);
        emit_slow_if(t, HOST_EQUAL);
        t->avx_allowed = true;
    }
    if (!t->vector_resident) {
        emit_alu_immediate(e, 1, GROUP1_CMP, CPU_FIELD(vector_resident), 0);
        uint8_t *resident = emit_jump_if(e, HOST_NOT_EQUAL);
        emit_call_to(e, t->jit->stubs.vector_load - e->to_exec);
        emit_slow_if(t, HOST_EQUAL);
        emit_bind(e, resident);
        t->vector_resident = true;
    }
}

static void emit_operation(struct translator *t, const struct insn *insn,
                           const struct vector_form *form, unsigned reg, struct host_operand rm)
{
    static const uint8_t prefixes[] = {0, 0x66, 0xf3, 0xf2};
    unsigned prefix = insn->prefixes & INSN_REPNE        ? 3
                      : insn->prefixes & INSN_REP        ? 2
                      : insn->prefixes & INSN_OPERAND_16 ? 1
                                                         : 0;
    uint32_t opcode = (insn->map == 1 ? 0x0f00 : insn->map == 2 ? 0x0f3800 : 0x0f3a00) | insn->byte;

    if (insn->vex) {
        bool wide = form->general_rm || form->general_reg ? insn->operand_size == 8 : insn->vex_w;
        emit_vex_rm(&t->e, prefix, insn->map, insn->byte, wide, insn->vex_l,
                    form->vvvv ? insn->vex_register : 0, reg, rm);
    } else {
        emit_prefixed_rm(&t->e, prefixes[prefix], insn->operand_size == 8, opcode, reg, rm);
    }
    if (form->immediate) {
        emit_8(&t->e, (uint8_t)insn->immediate);
    }
}

static bool translate_vector(struct translator *t, const struct insn *insn,
                             const struct translate_row *row)
{
    struct vector_form form = form_of(insn);
    unsigned general_size = insn->operand_size == 8 ? 8 : 4, written = HOST_NO_REGISTER;
    unsigned reg = form.group ? (insn->modrm >> 3) & 7u : insn->reg;
    struct host_operand rm = host_register(insn->rm);

    if (insn->memory || !t->vector_resident || insn->vex) {
        flags_before_spoil(t);
    }
    vector_require(t, insn);
    if (insn->memory) {
        emit_address(t, insn);
        if (is_aligned(insn, &form)) {
            emit_probe_aligned(t, form.memory_bytes, form.store);
        } else {
            emit_probe(t, form.memory_bytes, form.store);
        }
        rm = host_memory(S0, 0);
    } else if (form.general_rm && !form.store) {
        rm = guest_operand(insn, insn->rm, 4);
    } else if (form.general_rm) {
        written = insn->rm;
    }
    if (form.general_reg) {
        written = insn->reg;
    }
    if (is_string_compare(insn)) {
        guest_will_change(t, 1u << X86_RCX);
    }
    if (written == HOST_NO_REGISTER) {
        emit_operation(t, insn, &form, reg, rm);
    } else {
        unsigned host = host_of_guest(written);
        bool in_memory = host == HOST_NO_REGISTER;
        guest_will_change(t, 1u << written);
        host = in_memory ? S1 : host;
        emit_operation(t, insn, &form, form.general_reg ? host : reg,
                       form.general_reg ? rm : host_register(host));
        if (in_memory) {
            guest_write(t, written, general_size, S1);
        }
    }
    if (row->effects & FLAGS_WRITE) {
        flags_now_in_host(t, describe_nothing());
    }
    return true;
}

/* VZEROUPPER, VZEROALL */
static bool translate_zero(struct translator *t, const struct insn *insn,
                           const struct translate_row *row)
{
    flags_before_spoil(t);
    vector_require(t, insn);
    emit_8(&t->e, 0xc5);
    emit_8(&t->e, insn->vex_l ? 0xfc : 0xf8);
    emit_8(&t->e, 0x77);
    return true;
}

const struct translate_row *translate_vector_row(const struct insn *insn,
                                                 const struct cpu_features *host)
{
    static const struct translate_row plain = {.translate = translate_vector,
                                               .effects = ROW_MAY_FAULT};
    static const struct translate_row with_flags = {.translate = translate_vector,
                                                    .effects = FLAGS_WRITE | ROW_MAY_FAULT};
    static const struct translate_row zero = {.translate = translate_zero,
                                              .effects = ROW_MAY_FAULT};
    enum cpu_feature feature = insn->opcode->feature;

    if (feature == FEATURE_NONE || !cpu_features_have(host, feature)) {
        return NULL;
    }
    if (insn->execute == avx_zero) {
        return &zero;
    }
    if (!is_vector(insn)) {
        return NULL;
    }
    return writes_flags(insn) ? &with_flags : &plain;
}
