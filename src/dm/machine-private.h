/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between machine.c, machine-run.c and memory-backend.c only. */
#ifndef DUODM_DM_MACHINE_PRIVATE_H
#define DUODM_DM_MACHINE_PRIVATE_H

#include "dm/machine.h"

/* memory-backend.c: machine->ram, of what -machine memory-backend= says. */
bool machine_allocate_ram(struct machine *machine, GError **error);

/* Make and take down machine->run_private. */
bool machine_run_init(struct machine *machine, GError **error);
void machine_run_destroy(struct machine *machine);
/* Pause the vCPUs and the clock for good, without an event: the machine is taken down. */
void machine_run_stop(struct machine *machine);
/* All of machine_add_reset_handler's, in order. */
void machine_call_reset_handlers(struct machine *machine);

#endif
