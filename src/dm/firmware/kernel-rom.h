/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -kernel under a BIOS that is not ours (hvmloader's, where an engine attaches to a guest). */
#ifndef DUODM_DM_FIRMWARE_KERNEL_ROM_H
#define DUODM_DM_FIRMWARE_KERNEL_ROM_H

#include "dm/machine.h"

/*
 * Load -kernel, -initrd and -append, and offer the BIOS the option ROM that starts them, as a file
 * of machine->fw_cfg, which must be there.
 */
bool kernel_rom_create(struct machine *machine, GError **error);

#endif
