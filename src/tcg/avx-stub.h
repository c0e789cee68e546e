/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How avx.c has the host execute one instruction. */
#ifndef DUODM_TCG_AVX_STUB_H
#define DUODM_TCG_AVX_STUB_H

#include "tcg/avx.h"

/* The registers of a stub: what ModRM.reg, VEX.vvvv, ModRM.rm and an immediate name in the guest's
 * instruction is in ymm0, ymm1, ymm2 and ymm3; memory is at [rdx]; a general register that is read
 * or written in ModRM.rm is rax, one that is written in ModRM.reg rcx. */
enum stub_register {
    STUB_REG = 0,
    STUB_VVVV = 1,
    STUB_RM = 2,
    STUB_IS4 = 3,
    STUB_MEMORY = 2, /* rdx */
    STUB_GENERAL_IN = 0,
    STUB_GENERAL_OUT = 1,
};

struct stub_frame {
    union vector256 reg, vvvv, rm, is4;
    union vector256 memory __attribute__((aligned(32))); /* for VMOVAPS and its like */
    uint64_t general_in, general_out, flags;
};

/* The stub with these bytes (the first in bits 7:0); NULL: the host refuses the memory. */
const void *host_stub_find(struct host_stubs *stubs, uint64_t code);
void host_stub_run(const void *stub, struct stub_frame *frame);

#endif
