/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87: escape opcodes D8..DF (SDM vol. 2, A.5). Memory forms by reg, then register forms. */
#include "tcg/simd-rows.h"

#define MEMORY(text, name, operand)   INSN(text, FPU, fpu_##name, operand)
#define STACK(text, name)             INSN(text, FPU, fpu_##name, STi)
#define STACK_2(text, name, to, from) INSN(text, FPU, fpu_##name, to, from)
#define PLAIN(text, name)             INSN(text, FPU, fpu_##name, ST0)
#define MOVE_IF(text)                                                                              \
    {                                                                                              \
        .kind = OPCODE_INSN, .feature = FEATURE_CMOV, .operands = {ST0, STi}, .name = (text),      \
        .execute = {                                                                               \
            fpu_fcmov                                                                              \
        }                                                                                          \
    }
#define X87(...)                                                                                   \
    {                                                                                              \
        .kind = OPCODE_X87, .sub = ROWS(16, __VA_ARGS__)                                           \
    }

const struct opcode opcode_map_x87[8] = {
    /* D8 */
    X87(MEMORY("fadd", fadd_m32, Md), MEMORY("fmul", fmul_m32, Md), MEMORY("fcom", fcom_m32, Md),
        MEMORY("fcomp", fcomp_m32, Md), MEMORY("fsub", fsub_m32, Md),
        MEMORY("fsubr", fsubr_m32, Md), MEMORY("fdiv", fdiv_m32, Md),
        MEMORY("fdivr", fdivr_m32, Md),
        /* register forms */
        STACK_2("fadd", fadd_st0, ST0, STi), STACK_2("fmul", fmul_st0, ST0, STi),
        STACK("fcom", fcom), STACK("fcomp", fcomp), STACK_2("fsub", fsub_st0, ST0, STi),
        STACK_2("fsubr", fsubr_st0, ST0, STi), STACK_2("fdiv", fdiv_st0, ST0, STi),
        STACK_2("fdivr", fdivr_st0, ST0, STi)),
    /* D9 */
    X87(MEMORY("fld", fld_m32, Md), INVALID, MEMORY("fst", fst_m32, Md),
        MEMORY("fstp", fstp_m32, Md), MEMORY("fldenv", fldenv, M), MEMORY("fldcw", fldcw, Mw),
        MEMORY("fnstenv", fnstenv, M), MEMORY("fnstcw", fnstcw, Mw),
        /* register forms */
        STACK("fld", fld_sti), STACK("fxch", fxch), BY_RM(PLAIN("fnop", fnop)),
        STACK("fstp1", fstp_sti),
        BY_RM(PLAIN("fchs", fchs), PLAIN("fabs", fabs), INVALID, INVALID, PLAIN("ftst", ftst),
              PLAIN("fxam", fxam)),
        BY_RM(PLAIN("fld1", fld1), PLAIN("fldl2t", fldl2t), PLAIN("fldl2e", fldl2e),
              PLAIN("fldpi", fldpi), PLAIN("fldlg2", fldlg2), PLAIN("fldln2", fldln2),
              PLAIN("fldz", fldz)),
        BY_RM(PLAIN("f2xm1", f2xm1), PLAIN("fyl2x", fyl2x), PLAIN("fptan", fptan),
              PLAIN("fpatan", fpatan), PLAIN("fxtract", fxtract), PLAIN("fprem1", fprem1),
              PLAIN("fdecstp", fdecstp), PLAIN("fincstp", fincstp)),
        BY_RM(PLAIN("fprem", fprem), PLAIN("fyl2xp1", fyl2xp1), PLAIN("fsqrt", fsqrt),
              PLAIN("fsincos", fsincos), PLAIN("frndint", frndint), PLAIN("fscale", fscale),
              PLAIN("fsin", fsin), PLAIN("fcos", fcos))),
    /* DA */
    X87(MEMORY("fiadd", fiadd_m32, Md), MEMORY("fimul", fimul_m32, Md),
        MEMORY("ficom", ficom_m32, Md), MEMORY("ficomp", ficomp_m32, Md),
        MEMORY("fisub", fisub_m32, Md), MEMORY("fisubr", fisubr_m32, Md),
        MEMORY("fidiv", fidiv_m32, Md), MEMORY("fidivr", fidivr_m32, Md),
        /* register forms */
        MOVE_IF("fcmovb"), MOVE_IF("fcmove"), MOVE_IF("fcmovbe"), MOVE_IF("fcmovu"), INVALID,
        BY_RM(INVALID, PLAIN("fucompp", fucompp))),
    /* DB */
    X87(MEMORY("fild", fild_m32, Md), INSN("fisttp", SSE3, fpu_fisttp_m32, Md),
        MEMORY("fist", fist_m32, Md), MEMORY("fistp", fistp_m32, Md), INVALID,
        MEMORY("fld", fld_m80, Mt), INVALID, MEMORY("fstp", fstp_m80, Mt),
        /* register forms */
        MOVE_IF("fcmovnb"), MOVE_IF("fcmovne"), MOVE_IF("fcmovnbe"), MOVE_IF("fcmovnu"),
        BY_RM(PLAIN("fneni", ignored), PLAIN("fndisi", ignored), PLAIN("fnclex", fnclex),
              PLAIN("fninit", fninit), PLAIN("fnsetpm", ignored)),
        STACK_2("fucomi", fucomi, ST0, STi), STACK_2("fcomi", fcomi, ST0, STi)),
    /* DC */
    X87(MEMORY("fadd", fadd_m64, Mq), MEMORY("fmul", fmul_m64, Mq), MEMORY("fcom", fcom_m64, Mq),
        MEMORY("fcomp", fcomp_m64, Mq), MEMORY("fsub", fsub_m64, Mq),
        MEMORY("fsubr", fsubr_m64, Mq), MEMORY("fdiv", fdiv_m64, Mq),
        MEMORY("fdivr", fdivr_m64, Mq),
        /* register forms */
        STACK_2("fadd", fadd_sti, STi, ST0), STACK_2("fmul", fmul_sti, STi, ST0),
        STACK("fcom2", fcom), STACK("fcomp3", fcomp), STACK_2("fsubr", fsubr_sti, STi, ST0),
        STACK_2("fsub", fsub_sti, STi, ST0), STACK_2("fdivr", fdivr_sti, STi, ST0),
        STACK_2("fdiv", fdiv_sti, STi, ST0)),
    /* DD */
    X87(MEMORY("fld", fld_m64, Mq), INSN("fisttp", SSE3, fpu_fisttp_m64, Mq),
        MEMORY("fst", fst_m64, Mq), MEMORY("fstp", fstp_m64, Mq), MEMORY("frstor", frstor, M),
        INVALID, MEMORY("fnsave", fnsave, M), MEMORY("fnstsw", fnstsw, Mw),
        /* register forms */
        STACK("ffree", ffree), STACK("fxch4", fxch), STACK("fst", fst_sti), STACK("fstp", fstp_sti),
        STACK("fucom", fucom), STACK("fucomp", fucomp)),
    /* DE */
    X87(MEMORY("fiadd", fiadd_m16, Mw), MEMORY("fimul", fimul_m16, Mw),
        MEMORY("ficom", ficom_m16, Mw), MEMORY("ficomp", ficomp_m16, Mw),
        MEMORY("fisub", fisub_m16, Mw), MEMORY("fisubr", fisubr_m16, Mw),
        MEMORY("fidiv", fidiv_m16, Mw), MEMORY("fidivr", fidivr_m16, Mw),
        /* register forms */
        STACK_2("faddp", faddp, STi, ST0), STACK_2("fmulp", fmulp, STi, ST0),
        STACK("fcomp5", fcomp), BY_RM(INVALID, PLAIN("fcompp", fcompp)),
        STACK_2("fsubrp", fsubrp, STi, ST0), STACK_2("fsubp", fsubp, STi, ST0),
        STACK_2("fdivrp", fdivrp, STi, ST0), STACK_2("fdivp", fdivp, STi, ST0)),
    /* DF */
    X87(MEMORY("fild", fild_m16, Mw), INSN("fisttp", SSE3, fpu_fisttp_m16, Mw),
        MEMORY("fist", fist_m16, Mw), MEMORY("fistp", fistp_m16, Mw), MEMORY("fbld", fbld, Mt),
        MEMORY("fild", fild_m64, Mq), MEMORY("fbstp", fbstp, Mt), MEMORY("fistp", fistp_m64, Mq),
        /* register forms */
        STACK("ffreep", ffreep), STACK("fxch7", fxch), STACK("fstp8", fstp_sti),
        STACK("fstp9", fstp_sti), BY_RM(INSN("fnstsw", FPU, fpu_fnstsw_ax, ST0)),
        STACK_2("fucomip", fucomip, ST0, STi), STACK_2("fcomip", fcomip, ST0, STi)),
};
