/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A screen for a kernel that is loaded directly, where the machine has an adapter. */
#ifndef DUODM_DM_FIRMWARE_BOOT_SCREEN_H
#define DUODM_DM_FIRMWARE_BOOT_SCREEN_H

#include "dm/boot/boot-plan.h"
#include "dm/pci/pci.h"

/*
 * Set the VGA to a linear mode, as a boot loader would by its BIOS, and tell the kernel where it
 * is: it has a console from its first message on, without a driver of the adapter's own. Nothing is
 * done for a kernel that can't be told. After PCI was set up and the plan was written.
 */
void boot_screen_set_up(struct machine *machine, struct pci_bus *bus, const struct boot_plan *plan);

#endif
