/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One stub for each vector, 16 bytes apart: pushes the error code, or 0 for exceptions that have
 * none, and the vector, and goes to `common`. For 32-bit and 64-bit code. */
    .macro stub vector, has_error
    .align 16
    .if \has_error == 0
    push $0
    .endif
    push $\vector
    jmp common
    .endm

    .globl exception_stubs
    .align 16
exception_stubs:
    .set i, 0
    .rept 256
    .if (i == 8) || ((i >= 10) && (i <= 14)) || (i == 17)
    stub i, 1
    .else
    stub i, 0
    .endif
    .set i, i + 1
    .endr
