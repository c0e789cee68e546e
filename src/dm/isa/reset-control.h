/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The reset control register of the PIIX, port CF9h (Intel 290550, 2.5.9). */
#ifndef DUODM_DM_ISA_RESET_CONTROL_H
#define DUODM_DM_ISA_RESET_CONTROL_H

#include "dm/device.h"

/* The register, one byte. The port lies inside the PCI host bridge's CONFADD, so the board hands
 * it to the bridge: i440fx_set_reset_port. */
struct memory_region *reset_control_region(struct device *device);

extern const struct device_class reset_control_class; /* "reset-control" */

#endif
