/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One-byte opcode map: SDM vol. 2, appendix A, tables A-2 and A-6 (groups 1 to 5, 11). */
#include "tcg/execute.h"
#include "tcg/opcode-rows.h"

/* The six forms of an arithmetic instruction. */
#define ARITHMETIC(base, name, handler, flags)                                                     \
    [base + 0] = ROW(name, (flags) | OP_LOCK, SIZED(handler##_rm_reg), Eb, Gb),                    \
            [base + 1] = ROW(name, (flags) | OP_LOCK, SIZED(handler##_rm_reg), Ev, Gv),            \
            [base + 2] = ROW(name, flags, SIZED(handler##_reg_rm), Gb, Eb),                        \
            [base + 3] = ROW(name, flags, SIZED(handler##_reg_rm), Gv, Ev),                        \
            [base + 4] = ROW(name, flags, SIZED(handler##_rm_imm), rAL, Ib),                       \
            [base + 5] = ROW(name, flags, SIZED(handler##_rm_imm), rAX, Iz)

#define CMP_ROW(...) ROW("cmp", OP_READS_ONLY, SIZED(cmp_rm_imm), __VA_ARGS__)
#define GROUP_1(name_, flags_, ...)                                                                \
    static const struct opcode name_[8] = {                                                        \
        ROW("add", (flags_) | OP_LOCK, SIZED(add_rm_imm), __VA_ARGS__),                            \
        ROW("or", (flags_) | OP_LOCK, SIZED(or_rm_imm), __VA_ARGS__),                              \
        ROW("adc", (flags_) | OP_LOCK, SIZED(adc_rm_imm), __VA_ARGS__),                            \
        ROW("sbb", (flags_) | OP_LOCK, SIZED(sbb_rm_imm), __VA_ARGS__),                            \
        ROW("and", (flags_) | OP_LOCK, SIZED(and_rm_imm), __VA_ARGS__),                            \
        ROW("sub", (flags_) | OP_LOCK, SIZED(sub_rm_imm), __VA_ARGS__),                            \
        ROW("xor", (flags_) | OP_LOCK, SIZED(xor_rm_imm), __VA_ARGS__),                            \
        ROW("cmp", (flags_) | OP_READS_ONLY, SIZED(cmp_rm_imm), __VA_ARGS__),                      \
    }
GROUP_1(group1_eb_ib, 0, Eb, Ib);
GROUP_1(group1_ev_iz, 0, Ev, Iz);
GROUP_1(group1_eb_ib_82, OP_NOT_64, Eb, Ib);
GROUP_1(group1_ev_ibs, 0, Ev, Ibs);

/* /6 is the undocumented, but universal, second encoding of SHL. */
#define GROUP_2(name_, by, ...)                                                                    \
    static const struct opcode name_[8] = {                                                        \
        ROW("rol", 0, SIZED(rol_##by), __VA_ARGS__), ROW("ror", 0, SIZED(ror_##by), __VA_ARGS__),  \
        ROW("rcl", 0, SIZED(rcl_##by), __VA_ARGS__), ROW("rcr", 0, SIZED(rcr_##by), __VA_ARGS__),  \
        ROW("shl", 0, SIZED(shl_##by), __VA_ARGS__), ROW("shr", 0, SIZED(shr_##by), __VA_ARGS__),  \
        ROW("shl", 0, SIZED(shl_##by), __VA_ARGS__), ROW("sar", 0, SIZED(sar_##by), __VA_ARGS__),  \
    }
GROUP_2(group2_eb_ib, imm, Eb, Ib);
GROUP_2(group2_ev_ib, imm, Ev, Ib);
GROUP_2(group2_eb_1, imm, Eb, I1);
GROUP_2(group2_ev_1, imm, Ev, I1);
GROUP_2(group2_eb_cl, cl, Eb, rCL);
GROUP_2(group2_ev_cl, cl, Ev, rCL);

#define GROUP_3(name_, E, I)                                                                       \
    static const struct opcode name_[8] = {                                                        \
        ROW("test", OP_READS_ONLY, SIZED(test_rm_imm), E, I),                                      \
        ROW("test", OP_READS_ONLY, SIZED(test_rm_imm), E, I),                                      \
        ROW("not", OP_LOCK, SIZED(not ), E),                                                       \
        ROW("neg", OP_LOCK, SIZED(neg), E),                                                        \
        ROW("mul", 0, SIZED(mul), E),                                                              \
        ROW("imul", 0, SIZED(imul), E),                                                            \
        ROW("div", 0, SIZED(divide), E),                                                           \
        ROW("idiv", 0, SIZED(divide_signed), E),                                                   \
    }
GROUP_3(group3_eb, Eb, Ib);
GROUP_3(group3_ev, Ev, Iz);

static const struct opcode group4[8] = {
    [0] = ROW("inc", OP_LOCK, SIZED(inc), Eb),
    [1] = ROW("dec", OP_LOCK, SIZED(dec), Eb),
};
static const struct opcode group5[8] = {
    [0] = ROW("inc", OP_LOCK, SIZED(inc), Ev),
    [1] = ROW("dec", OP_LOCK, SIZED(dec), Ev),
    [2] = ROW("call", OP_FORCE_64 | OP_END, ONE(call_near_indirect), Ev),
    [3] = ROW("callf", OP_END, ONE(call_far_indirect), Mp),
    [4] = ROW("jmp", OP_FORCE_64 | OP_END, ONE(jmp_near_indirect), Ev),
    [5] = ROW("jmpf", OP_END, ONE(jmp_far_indirect), Mp),
    [6] = ROW("push", OP_DEFAULT_64, SIZED(push_rm), Ev),
};
static const struct opcode group1a[8] = {
    [0] = ROW("pop", OP_DEFAULT_64, SIZED(pop_rm), Ev),
};
static const struct opcode group11_eb[8] = {
    [0] = ROW("mov", 0, SIZED(mov_rm_imm), Eb, Ib),
};
static const struct opcode group11_ev[8] = {
    [0] = ROW("mov", 0, SIZED(mov_rm_imm), Ev, Iz),
};

/* 63: ARPL outside 64-bit mode, MOVSXD in it. The decoder resolves by these rows' flags. */
const struct opcode opcode_63_arpl = ROW("arpl", OP_PROTECTED, ONE(arpl), Ew, Gw);
const struct opcode opcode_63_movsxd = ROW("movsxd", OP_ONLY_64, SIZED(movsx_32), Gv, Ed);

const struct opcode opcode_map_one_byte[256] = {
    ARITHMETIC(0x00, "add", add, 0),
    [0x06] = ROW("push", OP_NOT_64, ONE(push_segment), sES),
    [0x07] = ROW("pop", OP_NOT_64, ONE(pop_segment), sES),
    ARITHMETIC(0x08, "or", or, 0),
    [0x0e] = ROW("push", OP_NOT_64, ONE(push_segment), sCS),
    /* 0F: two-byte map, known to the decoder */
    ARITHMETIC(0x10, "adc", adc, 0),
    [0x16] = ROW("push", OP_NOT_64, ONE(push_segment), sSS),
    [0x17] = ROW("pop", OP_NOT_64 | OP_END, ONE(pop_segment), sSS),
    ARITHMETIC(0x18, "sbb", sbb, 0),
    [0x1e] = ROW("push", OP_NOT_64, ONE(push_segment), sDS),
    [0x1f] = ROW("pop", OP_NOT_64, ONE(pop_segment), sDS),
    ARITHMETIC(0x20, "and", and, 0),
    [0x26] = LEGACY_PREFIX,
    [0x27] = ROW("daa", OP_NOT_64, ONE(daa)),
    ARITHMETIC(0x28, "sub", sub, 0),
    [0x2e] = LEGACY_PREFIX,
    [0x2f] = ROW("das", OP_NOT_64, ONE(das)),
    ARITHMETIC(0x30, "xor", xor, 0),
    [0x36] = LEGACY_PREFIX,
    [0x37] = ROW("aaa", OP_NOT_64, ONE(aaa)),
    [0x38] = ROW("cmp", OP_READS_ONLY, SIZED(cmp_rm_reg), Eb, Gb),
    [0x39] = ROW("cmp", OP_READS_ONLY, SIZED(cmp_rm_reg), Ev, Gv),
    [0x3a] = ROW("cmp", OP_READS_ONLY, SIZED(cmp_reg_rm), Gb, Eb),
    [0x3b] = ROW("cmp", OP_READS_ONLY, SIZED(cmp_reg_rm), Gv, Ev),
    [0x3c] = CMP_ROW(rAL, Ib),
    [0x3d] = CMP_ROW(rAX, Iz),
    [0x3e] = LEGACY_PREFIX,
    [0x3f] = ROW("aas", OP_NOT_64, ONE(aas)),

    /* 40..4F: REX prefixes in 64-bit mode */
    [0x40 ... 0x47] = ROW("inc", OP_NOT_64, SIZED(inc), Zv),
    [0x48 ... 0x4f] = ROW("dec", OP_NOT_64, SIZED(dec), Zv),
    [0x50 ... 0x57] = ROW("push", OP_DEFAULT_64, SIZED(push_rm), Zv),
    [0x58 ... 0x5f] = ROW("pop", OP_DEFAULT_64, SIZED(pop_rm), Zv),

    [0x60] = ROW("pusha", OP_NOT_64, ONE(pusha)),
    [0x61] = ROW("popa", OP_NOT_64, ONE(popa)),
    [0x62] = ROW("bound", OP_NOT_64, ONE(bound), Gv, Ma),
    /* 63: opcode_63_* */
    [0x64] = LEGACY_PREFIX,
    [0x65] = LEGACY_PREFIX,
    [0x66] = LEGACY_PREFIX,
    [0x67] = LEGACY_PREFIX,
    [0x68] = ROW("push", OP_DEFAULT_64, ONE(push_imm), Iz),
    [0x69] = ROW("imul", 0, SIZED(imul_imm), Gv, Ev, Iz),
    [0x6a] = ROW("push", OP_DEFAULT_64, ONE(push_imm), Ibs),
    [0x6b] = ROW("imul", 0, SIZED(imul_imm), Gv, Ev, Ibs),
    [0x6c] = ROW("ins", OP_STRING | OP_SYSTEM, SIZED(ins), Yb, rDX),
    [0x6d] = ROW("ins", OP_STRING | OP_SYSTEM, SIZED(ins), Yv, rDX),
    [0x6e] = ROW("outs", OP_STRING | OP_SYSTEM, SIZED(outs), rDX, Xb),
    [0x6f] = ROW("outs", OP_STRING | OP_SYSTEM, SIZED(outs), rDX, Xv),

    [0x70] = ROW("jo", OP_FORCE_64 | OP_END, ONE(jcc_0), Jb),
    [0x71] = ROW("jno", OP_FORCE_64 | OP_END, ONE(jcc_1), Jb),
    [0x72] = ROW("jb", OP_FORCE_64 | OP_END, ONE(jcc_2), Jb),
    [0x73] = ROW("jae", OP_FORCE_64 | OP_END, ONE(jcc_3), Jb),
    [0x74] = ROW("je", OP_FORCE_64 | OP_END, ONE(jcc_4), Jb),
    [0x75] = ROW("jne", OP_FORCE_64 | OP_END, ONE(jcc_5), Jb),
    [0x76] = ROW("jbe", OP_FORCE_64 | OP_END, ONE(jcc_6), Jb),
    [0x77] = ROW("ja", OP_FORCE_64 | OP_END, ONE(jcc_7), Jb),
    [0x78] = ROW("js", OP_FORCE_64 | OP_END, ONE(jcc_8), Jb),
    [0x79] = ROW("jns", OP_FORCE_64 | OP_END, ONE(jcc_9), Jb),
    [0x7a] = ROW("jp", OP_FORCE_64 | OP_END, ONE(jcc_10), Jb),
    [0x7b] = ROW("jnp", OP_FORCE_64 | OP_END, ONE(jcc_11), Jb),
    [0x7c] = ROW("jl", OP_FORCE_64 | OP_END, ONE(jcc_12), Jb),
    [0x7d] = ROW("jge", OP_FORCE_64 | OP_END, ONE(jcc_13), Jb),
    [0x7e] = ROW("jle", OP_FORCE_64 | OP_END, ONE(jcc_14), Jb),
    [0x7f] = ROW("jg", OP_FORCE_64 | OP_END, ONE(jcc_15), Jb),

    [0x80] = LEADS(OPCODE_GROUP, group1_eb_ib),
    [0x81] = LEADS(OPCODE_GROUP, group1_ev_iz),
    [0x82] = LEADS(OPCODE_GROUP, group1_eb_ib_82),
    [0x83] = LEADS(OPCODE_GROUP, group1_ev_ibs),
    [0x84] = ROW("test", OP_READS_ONLY, SIZED(test_rm_reg), Eb, Gb),
    [0x85] = ROW("test", OP_READS_ONLY, SIZED(test_rm_reg), Ev, Gv),
    [0x86] = ROW("xchg", OP_LOCK, SIZED(xchg), Eb, Gb),
    [0x87] = ROW("xchg", OP_LOCK, SIZED(xchg), Ev, Gv),
    [0x88] = ROW("mov", 0, SIZED(mov_rm_reg), Eb, Gb),
    [0x89] = ROW("mov", 0, SIZED(mov_rm_reg), Ev, Gv),
    [0x8a] = ROW("mov", 0, SIZED(mov_reg_rm), Gb, Eb),
    [0x8b] = ROW("mov", 0, SIZED(mov_reg_rm), Gv, Ev),
    [0x8c] = ROW("mov", OP_SYSTEM, ONE(mov_rm_segment), Ev, Sw),
    [0x8d] = ROW("lea", 0, SIZED(lea), Gv, M),
    [0x8e] = ROW("mov", OP_SYSTEM | OP_END, ONE(mov_segment_rm), Sw, Ew),
    [0x8f] = LEADS(OPCODE_GROUP, group1a),

    /* 90: NOP, PAUSE with F3, XCHG with REX.B: all in one handler */
    [0x90 ... 0x97] = ROW("xchg", 0, SIZED(xchg_acc), Zv, rAX),
    [0x98] = ROW("cbw", 0, SIZED(cbw), rAX),
    [0x99] = ROW("cwd", 0, SIZED(cwd), rAX),
    [0x9a] = ROW("callf", OP_NOT_64 | OP_END, ONE(call_far), Ap),
    /* 9B: FWAIT */
    [0x9b] = ROW_IF(FPU, "fwait", 0, ONE(fwait)),
    [0x9c] = ROW("pushf", OP_DEFAULT_64, ONE(pushf), Fv),
    [0x9d] = ROW("popf", OP_DEFAULT_64 | OP_END, ONE(popf), Fv),
    [0x9e] = ROW("sahf", 0, ONE(sahf)),
    [0x9f] = ROW("lahf", 0, ONE(lahf)),

    [0xa0] = ROW("mov", 0, SIZED(mov_acc_moffs), rAL, Ob),
    [0xa1] = ROW("mov", 0, SIZED(mov_acc_moffs), rAX, Ov),
    [0xa2] = ROW("mov", 0, SIZED(mov_moffs_acc), Ob, rAL),
    [0xa3] = ROW("mov", 0, SIZED(mov_moffs_acc), Ov, rAX),
    [0xa4] = ROW("movs", OP_STRING, SIZED(movs), Yb, Xb),
    [0xa5] = ROW("movs", OP_STRING, SIZED(movs), Yv, Xv),
    [0xa6] = ROW("cmps", OP_STRING, SIZED(cmps), Xb, Yb),
    [0xa7] = ROW("cmps", OP_STRING, SIZED(cmps), Xv, Yv),
    [0xa8] = ROW("test", OP_READS_ONLY, SIZED(test_rm_imm), rAL, Ib),
    [0xa9] = ROW("test", OP_READS_ONLY, SIZED(test_rm_imm), rAX, Iz),
    [0xaa] = ROW("stos", OP_STRING, SIZED(stos), Yb, rAL),
    [0xab] = ROW("stos", OP_STRING, SIZED(stos), Yv, rAX),
    [0xac] = ROW("lods", OP_STRING, SIZED(lods), rAL, Xb),
    [0xad] = ROW("lods", OP_STRING, SIZED(lods), rAX, Xv),
    [0xae] = ROW("scas", OP_STRING, SIZED(scas), rAL, Yb),
    [0xaf] = ROW("scas", OP_STRING, SIZED(scas), rAX, Yv),

    [0xb0 ... 0xb7] = ROW("mov", 0, SIZED(mov_rm_imm), Zb, Ib),
    [0xb8 ... 0xbf] = ROW("mov", 0, SIZED(mov_rm_imm), Zv, Iv),

    [0xc0] = LEADS(OPCODE_GROUP, group2_eb_ib),
    [0xc1] = LEADS(OPCODE_GROUP, group2_ev_ib),
    [0xc2] = ROW("ret", OP_FORCE_64 | OP_END, ONE(ret_near), Iw),
    [0xc3] = ROW("ret", OP_FORCE_64 | OP_END, ONE(ret_near)),
    [0xc4] = ROW("les", OP_NOT_64, ONE(les), Gv, Mp), /* or VEX */
    [0xc5] = ROW("lds", OP_NOT_64, ONE(lds), Gv, Mp), /* or VEX */
    [0xc6] = LEADS(OPCODE_GROUP, group11_eb),
    [0xc7] = LEADS(OPCODE_GROUP, group11_ev),
    [0xc8] = ROW("enter", OP_DEFAULT_64, ONE(enter), Iw, Ib),
    [0xc9] = ROW("leave", OP_DEFAULT_64, ONE(leave)),
    [0xca] = ROW("retf", OP_END | OP_SYSTEM, ONE(ret_far), Iw),
    [0xcb] = ROW("retf", OP_END | OP_SYSTEM, ONE(ret_far)),
    [0xcc] = ROW("int3", OP_END | OP_SYSTEM, ONE(int3)),
    [0xcd] = ROW("int", OP_END | OP_SYSTEM, ONE(int_imm), Ib),
    [0xce] = ROW("into", OP_NOT_64 | OP_END | OP_SYSTEM, ONE(into)),
    [0xcf] = ROW("iret", OP_END | OP_SYSTEM, ONE(iret)),

    [0xd0] = LEADS(OPCODE_GROUP, group2_eb_1),
    [0xd1] = LEADS(OPCODE_GROUP, group2_ev_1),
    [0xd2] = LEADS(OPCODE_GROUP, group2_eb_cl),
    [0xd3] = LEADS(OPCODE_GROUP, group2_ev_cl),
    [0xd4] = ROW("aam", OP_NOT_64, ONE(aam), Ib),
    [0xd5] = ROW("aad", OP_NOT_64, ONE(aad), Ib),
    [0xd6] = ROW("salc", OP_NOT_64, ONE(salc)),
    [0xd7] = ROW("xlat", 0, ONE(xlat)),
    /* D8..DF: opcode_map_x87 */

    [0xe0] = ROW("loopne", OP_FORCE_64 | OP_END, ONE(loopne), Jb),
    [0xe1] = ROW("loope", OP_FORCE_64 | OP_END, ONE(loope), Jb),
    [0xe2] = ROW("loop", OP_FORCE_64 | OP_END, ONE(loop), Jb),
    [0xe3] = ROW("jcxz", OP_FORCE_64 | OP_END, ONE(jcxz), Jb),
    [0xe4] = ROW("in", OP_SYSTEM | OP_END, SIZED(in_imm), rAL, Ib),
    [0xe5] = ROW("in", OP_SYSTEM | OP_END, SIZED(in_imm), rAX, Ib),
    [0xe6] = ROW("out", OP_SYSTEM | OP_END, SIZED(out_imm), Ib, rAL),
    [0xe7] = ROW("out", OP_SYSTEM | OP_END, SIZED(out_imm), Ib, rAX),
    [0xe8] = ROW("call", OP_FORCE_64 | OP_END, ONE(call_near), Jz),
    [0xe9] = ROW("jmp", OP_FORCE_64 | OP_END, ONE(jmp_near), Jz),
    [0xea] = ROW("jmpf", OP_NOT_64 | OP_END, ONE(jmp_far), Ap),
    [0xeb] = ROW("jmp", OP_FORCE_64 | OP_END, ONE(jmp_near), Jb),
    [0xec] = ROW("in", OP_SYSTEM | OP_END, SIZED(in_dx), rAL, rDX),
    [0xed] = ROW("in", OP_SYSTEM | OP_END, SIZED(in_dx), rAX, rDX),
    [0xee] = ROW("out", OP_SYSTEM | OP_END, SIZED(out_dx), rDX, rAL),
    [0xef] = ROW("out", OP_SYSTEM | OP_END, SIZED(out_dx), rDX, rAX),

    [0xf0] = LEGACY_PREFIX,
    [0xf1] = ROW("icebp", OP_END | OP_SYSTEM, ONE(icebp)),
    [0xf2] = LEGACY_PREFIX,
    [0xf3] = LEGACY_PREFIX,
    [0xf4] = ROW("hlt", OP_END | OP_SYSTEM, ONE(hlt)),
    [0xf5] = ROW("cmc", 0, ONE(cmc)),
    [0xf6] = LEADS(OPCODE_GROUP, group3_eb),
    [0xf7] = LEADS(OPCODE_GROUP, group3_ev),
    [0xf8] = ROW("clc", 0, ONE(clc)),
    [0xf9] = ROW("stc", 0, ONE(stc)),
    [0xfa] = ROW("cli", OP_SYSTEM, ONE(cli)),
    [0xfb] = ROW("sti", OP_END | OP_SYSTEM, ONE(sti)),
    [0xfc] = ROW("cld", 0, ONE(cld)),
    [0xfd] = ROW("std", 0, ONE(std)),
    [0xfe] = LEADS(OPCODE_GROUP, group4),
    [0xff] = LEADS(OPCODE_GROUP, group5),
};
