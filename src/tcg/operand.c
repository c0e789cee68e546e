/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Read-modify-write of what is not plain RAM within one page. */
#include "tcg/operand.h"

uint64_t modify_begin_slow(struct cpu *cpu, const struct insn *insn, unsigned size,
                           struct modify *m)
{
    cpu_probe_write(cpu, insn->segment, m->offset, size);
    if (m->locked) {
        cpu_locked_begin(cpu);
    }
    return memory_read(cpu, insn->segment, m->offset, size);
}

void modify_commit_slow(struct cpu *cpu, const struct insn *insn, unsigned size, struct modify *m,
                        uint64_t value)
{
    memory_write(cpu, insn->segment, m->offset, size, value);
    if (m->locked) {
        cpu_locked_end(cpu);
    }
}
