/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Save and restore what a control transfer changes. */
#include "tcg/rollback.h"
#include "tcg/access.h"

#include <string.h>

void rollback_begin(struct cpu *cpu, struct cpu_rollback *state)
{
    memcpy(state->gpr, cpu->gpr, sizeof(state->gpr));
    memcpy(state->segment, cpu->segment, sizeof(state->segment));
    state->rip = cpu->rip;
    state->lazy = cpu->lazy;
    state->eflags = cpu->eflags;
    state->cpl = cpu->cpl;
    state->ldt = cpu->ldt;
    state->task = cpu->task;
    cpu->rollback = state;
}

void rollback_end(struct cpu *cpu)
{
    cpu->rollback = NULL;
}

void rollback_restore(struct cpu *cpu)
{
    const struct cpu_rollback *state = cpu->rollback;
    if (!state) {
        return;
    }
    cpu->rollback = NULL;
    memcpy(cpu->gpr, state->gpr, sizeof(state->gpr));
    memcpy(cpu->segment, state->segment, sizeof(state->segment));
    cpu->rip = state->rip;
    cpu->lazy = state->lazy;
    cpu_set_eflags(cpu, state->eflags, ~FLAGS_STATUS);
    cpu->cpl = state->cpl;
    cpu->ldt = state->ldt;
    cpu->task = state->task;
    cpu_update_mode(cpu);
}
