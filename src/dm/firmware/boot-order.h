/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The order in which firmware tries devices, as `bootindex` gives it: fw_cfg's file "bootorder". */
#ifndef DUODM_DM_FIRMWARE_BOOT_ORDER_H
#define DUODM_DM_FIRMWARE_BOOT_ORDER_H

#include "dm/pci/pci.h"

struct machine;

/* A PCI device, or what hangs off it (suffix: its path from there, as firmware calls it; NULL: the
 * device itself), has a place. index < 0: it has none, and nothing is done. An index that is taken
 * is refused. */
bool boot_order_add(struct machine *machine, const struct pci_device *device, int32_t index,
                    const char *suffix, GError **error);
/* Give the order to the firmware, if there is one. When all devices are there. */
bool boot_order_publish(struct machine *machine, GError **error);
void boot_order_free(struct machine *machine);

#endif
