/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DUODM_DM_FIRMWARE_FIRMWARE_PROCESSORS_H
#define DUODM_DM_FIRMWARE_FIRMWARE_PROCESSORS_H

#include "dm/machine.h"

/* As firmware leaves them: memory types of all, the local APIC of the boot processor in virtual
 * wire mode. The vCPUs are paused and were reset. */
void firmware_set_up_processors(struct machine *machine);

#endif
