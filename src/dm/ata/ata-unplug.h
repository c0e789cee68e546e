/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For the Xen platform device (Xen's docs/misc/hvm-emulated-unplug). */
#ifndef DUODM_DM_ATA_ATA_UNPLUG_H
#define DUODM_DM_ATA_ATA_UNPLUG_H

#include <stdbool.h>

struct machine;

/* Take the emulated ATA disks from the guest, on IDE and AHCI, and let go of their images: all, or
 * all but the first one (primary master, or that of port 0). CD drives stay. No reset brings them
 * back. Main loop. */
void ata_unplug_disks(struct machine *machine, bool keep_first);

#endif
