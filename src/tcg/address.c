/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The effective address of a memory operand. */
#include "tcg/access.h"
#include "tcg/operand.h"

uint64_t insn_effective_address(const struct cpu *cpu, const struct insn *insn)
{
    return effective_address(cpu, insn);
}
