/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VEX maps 0F38 and 0F3A: the general-register instructions of BMI1 and BMI2. */
#include "tcg/simd-rows.h"

#define BMI(text, since, name, ...) INSN_FLAGS(text, since, bmi_##name, OP_VEX, __VA_ARGS__)

const struct opcode opcode_map_vex_0f38[256] = {
    [0xf2] = BY_PREFIX(BMI("andn", BMI1, andn, Gy, By, Ey)),
    [0xf3] = BY_PREFIX(
        BY_REG([1] = BMI("blsr", BMI1, blsr, By, Ey), [2] = BMI("blsmsk", BMI1, blsmsk, By, Ey),
               [3] = BMI("blsi", BMI1, blsi, By, Ey))),
    [0xf5] = BY_PREFIX(BMI("bzhi", BMI2, bzhi, Gy, Ey, By), INVALID,
                       BMI("pext", BMI2, pext, Gy, By, Ey), BMI("pdep", BMI2, pdep, Gy, By, Ey)),
    [0xf6] = BY_PREFIX(INVALID, INVALID, INVALID, BMI("mulx", BMI2, mulx, Gy, By, Ey)),
    [0xf7] = BY_PREFIX(BMI("bextr", BMI1, bextr, Gy, Ey, By), BMI("shlx", BMI2, shlx, Gy, Ey, By),
                       BMI("sarx", BMI2, sarx, Gy, Ey, By), BMI("shrx", BMI2, shrx, Gy, Ey, By)),
};

const struct opcode opcode_map_vex_0f3a[256] = {
    [0xf0] = BY_PREFIX(INVALID, INVALID, INVALID, BMI("rorx", BMI2, rorx, Gy, Ey, Ib)),
};
