/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's MXCSR: control and flags of SSE floating point. */
#ifndef DUODM_TCG_MXCSR_H
#define DUODM_TCG_MXCSR_H

/* MXCSR: SDM vol. 1, 10.2.3. */
enum mxcsr_bit {
    MXCSR_IE = 1 << 0,
    MXCSR_DE = 1 << 1,
    MXCSR_ZE = 1 << 2,
    MXCSR_OE = 1 << 3,
    MXCSR_UE = 1 << 4,
    MXCSR_PE = 1 << 5,
    MXCSR_DAZ = 1 << 6,
    MXCSR_UM = 1 << 11,
    MXCSR_RC = 3 << 13,
    MXCSR_FTZ = 1 << 15,
};
#define MXCSR_FLAGS      0x3fu
#define MXCSR_MASKS      0x1f80u
#define MXCSR_MASK_SHIFT 7
#define MXCSR_RESET      0x1f80u
#define MXCSR_VALID      0xffffu /* MXCSR_MASK: the rest is reserved, #GP if set */
/* What changes results; the masks do not while we compute with everything masked. */
#define MXCSR_COMPUTE (MXCSR_DAZ | MXCSR_RC | MXCSR_FTZ)

#endif
