/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Handlers of the integer and system instructions: what struct insn.execute points to. On entry
 * cpu->rip is the next instruction's address and cpu->current the instruction.
 */
#ifndef DUODM_TCG_EXECUTE_H
#define DUODM_TCG_EXECUTE_H

#include "tcg/insn.h"

#define EXECUTE(name) void execute_##name(struct cpu *cpu, const struct insn *insn)
/* By operand size in bytes. */
#define EXECUTE_SIZED(name)                                                                        \
    EXECUTE(name##_1);                                                                             \
    EXECUTE(name##_2);                                                                             \
    EXECUTE(name##_4);                                                                             \
    EXECUTE(name##_8)

/* execute-arithmetic.c */
EXECUTE_SIZED(add_rm_reg);
EXECUTE_SIZED(add_reg_rm);
EXECUTE_SIZED(add_rm_imm);
EXECUTE_SIZED(or_rm_reg);
EXECUTE_SIZED(or_reg_rm);
EXECUTE_SIZED(or_rm_imm);
EXECUTE_SIZED(adc_rm_reg);
EXECUTE_SIZED(adc_reg_rm);
EXECUTE_SIZED(adc_rm_imm);
EXECUTE_SIZED(sbb_rm_reg);
EXECUTE_SIZED(sbb_reg_rm);
EXECUTE_SIZED(sbb_rm_imm);
EXECUTE_SIZED(and_rm_reg);
EXECUTE_SIZED(and_reg_rm);
EXECUTE_SIZED(and_rm_imm);
EXECUTE_SIZED(sub_rm_reg);
EXECUTE_SIZED(sub_reg_rm);
EXECUTE_SIZED(sub_rm_imm);
EXECUTE_SIZED(xor_rm_reg);
EXECUTE_SIZED(xor_reg_rm);
EXECUTE_SIZED(xor_rm_imm);
EXECUTE_SIZED(cmp_rm_reg);
EXECUTE_SIZED(cmp_reg_rm);
EXECUTE_SIZED(cmp_rm_imm);
EXECUTE_SIZED(test_rm_reg);
EXECUTE_SIZED(test_rm_imm);
EXECUTE_SIZED(inc);
EXECUTE_SIZED(dec);
EXECUTE_SIZED(neg);
EXECUTE_SIZED(not );
EXECUTE_SIZED(cmpxchg);
EXECUTE_SIZED(xadd);
EXECUTE(cmpxchg8b);
EXECUTE(cmpxchg16b);

/* execute-shift.c */
EXECUTE_SIZED(rol_imm);
EXECUTE_SIZED(rol_cl);
EXECUTE_SIZED(ror_imm);
EXECUTE_SIZED(ror_cl);
EXECUTE_SIZED(rcl_imm);
EXECUTE_SIZED(rcl_cl);
EXECUTE_SIZED(rcr_imm);
EXECUTE_SIZED(rcr_cl);
EXECUTE_SIZED(shl_imm);
EXECUTE_SIZED(shl_cl);
EXECUTE_SIZED(shr_imm);
EXECUTE_SIZED(shr_cl);
EXECUTE_SIZED(sar_imm);
EXECUTE_SIZED(sar_cl);
EXECUTE_SIZED(shld_imm);
EXECUTE_SIZED(shld_cl);
EXECUTE_SIZED(shrd_imm);
EXECUTE_SIZED(shrd_cl);

/* execute-multiply.c */
EXECUTE_SIZED(mul);
EXECUTE_SIZED(imul);
EXECUTE_SIZED(imul_reg);
EXECUTE_SIZED(imul_imm);
EXECUTE_SIZED(divide);
EXECUTE_SIZED(divide_signed);
EXECUTE(aaa);
EXECUTE(aad);
EXECUTE(aam);
EXECUTE(aas);
EXECUTE(daa);
EXECUTE(das);

/* execute-move.c */
EXECUTE_SIZED(mov_rm_reg);
EXECUTE_SIZED(mov_reg_rm);
EXECUTE_SIZED(mov_rm_imm);
EXECUTE_SIZED(mov_acc_moffs);
EXECUTE_SIZED(mov_moffs_acc);
EXECUTE_SIZED(movzx_8);
EXECUTE_SIZED(movzx_16);
EXECUTE_SIZED(movsx_8);
EXECUTE_SIZED(movsx_16);
EXECUTE_SIZED(movsx_32);
EXECUTE_SIZED(lea);
EXECUTE_SIZED(xchg);
EXECUTE_SIZED(xchg_acc);
EXECUTE_SIZED(cmov);
EXECUTE_SIZED(cbw);
EXECUTE_SIZED(cwd);
EXECUTE_SIZED(bswap);
EXECUTE(setcc);
EXECUTE(xlat);
EXECUTE(lahf);
EXECUTE(sahf);
EXECUTE(salc);
EXECUTE(nop);
EXECUTE(fence);
EXECUTE(clflush);
EXECUTE(cmc);
EXECUTE(clc);
EXECUTE(stc);
EXECUTE(cld);
EXECUTE(std);
EXECUTE(fwait);

/* execute-bit.c */
EXECUTE_SIZED(bt_imm);
EXECUTE_SIZED(bt_reg);
EXECUTE_SIZED(bts_imm);
EXECUTE_SIZED(bts_reg);
EXECUTE_SIZED(btr_imm);
EXECUTE_SIZED(btr_reg);
EXECUTE_SIZED(btc_imm);
EXECUTE_SIZED(btc_reg);
EXECUTE_SIZED(bsf);
EXECUTE_SIZED(bsr);
EXECUTE_SIZED(tzcnt);
EXECUTE_SIZED(lzcnt);
EXECUTE_SIZED(popcnt);

/* execute-stack.c */
EXECUTE_SIZED(push_rm);
EXECUTE_SIZED(pop_rm);
EXECUTE(push_imm);
EXECUTE(push_segment);
EXECUTE(pop_segment);
EXECUTE(pusha);
EXECUTE(popa);
EXECUTE(pushf);
EXECUTE(popf);
EXECUTE(enter);
EXECUTE(leave);

/* execute-string.c */
EXECUTE_SIZED(movs);
EXECUTE_SIZED(cmps);
EXECUTE_SIZED(stos);
EXECUTE_SIZED(lods);
EXECUTE_SIZED(scas);
EXECUTE_SIZED(ins);
EXECUTE_SIZED(outs);

/* execute-io.c */
EXECUTE_SIZED(in_imm);
EXECUTE_SIZED(in_dx);
EXECUTE_SIZED(out_imm);
EXECUTE_SIZED(out_dx);
EXECUTE(cli);
EXECUTE(sti);
EXECUTE(hlt);

/* execute-jump.c */
EXECUTE(jcc_0);
EXECUTE(jcc_1);
EXECUTE(jcc_2);
EXECUTE(jcc_3);
EXECUTE(jcc_4);
EXECUTE(jcc_5);
EXECUTE(jcc_6);
EXECUTE(jcc_7);
EXECUTE(jcc_8);
EXECUTE(jcc_9);
EXECUTE(jcc_10);
EXECUTE(jcc_11);
EXECUTE(jcc_12);
EXECUTE(jcc_13);
EXECUTE(jcc_14);
EXECUTE(jcc_15);
EXECUTE(jmp_near);
EXECUTE(jmp_near_indirect);
EXECUTE(call_near);
EXECUTE(call_near_indirect);
EXECUTE(ret_near);
EXECUTE(loop);
EXECUTE(loope);
EXECUTE(loopne);
EXECUTE(jcxz);
EXECUTE(bound);
EXECUTE(undefined);

/* execute-far.c: far transfers and segment registers */
EXECUTE(jmp_far);
EXECUTE(jmp_far_indirect);
EXECUTE(call_far);
EXECUTE(call_far_indirect);
EXECUTE(ret_far);
EXECUTE(iret);
EXECUTE(int3);
EXECUTE(int_imm);
EXECUTE(into);
EXECUTE(icebp);
EXECUTE(mov_rm_segment);
EXECUTE(mov_segment_rm);
EXECUTE(les);
EXECUTE(lds);
EXECUTE(lss);
EXECUTE(lfs);
EXECUTE(lgs);

/* execute-fast-call.c */
EXECUTE(syscall);
EXECUTE(sysret);
EXECUTE(sysenter);
EXECUTE(sysexit);
EXECUTE(swapgs);
EXECUTE(rdfsbase);
EXECUTE(rdgsbase);
EXECUTE(wrfsbase);
EXECUTE(wrgsbase);

/* execute-descriptor.c */
EXECUTE(sgdt);
EXECUTE(sidt);
EXECUTE(lgdt);
EXECUTE(lidt);
EXECUTE(sldt);
EXECUTE(lldt);
EXECUTE(str);
EXECUTE(ltr);
EXECUTE(lar);
EXECUTE(lsl);
EXECUTE(verr);
EXECUTE(verw);
EXECUTE(arpl);

/* execute-system.c */
EXECUTE(mov_from_cr);
EXECUTE(mov_to_cr);
EXECUTE(mov_from_dr);
EXECUTE(mov_to_dr);
EXECUTE(clts);
EXECUTE(smsw);
EXECUTE(lmsw);
EXECUTE(invlpg);
EXECUTE(invpcid);
EXECUTE(wbinvd);
EXECUTE(rdmsr);
EXECUTE(wrmsr);
EXECUTE(rdtsc);
EXECUTE(rdtscp);
EXECUTE(rdpmc);
EXECUTE(rdpid);
EXECUTE(rdrand);
EXECUTE(cpuid);
EXECUTE(hypercall);
EXECUTE(monitor);
EXECUTE(mwait);
EXECUTE(clac);
EXECUTE(stac);

#endif
