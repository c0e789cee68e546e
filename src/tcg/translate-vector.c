/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's vector registers in the host's. They get there when a block first needs them, and
 * back when C code is called (trampolines.c). */
#include "tcg/translate.h"

void vector_require(struct translator *t)
{
    if (!t->vector_resident) {
        emit_call_to(&t->e, t->jit->stubs.vector_load - t->e.to_exec);
        t->vector_resident = true;
    }
}
