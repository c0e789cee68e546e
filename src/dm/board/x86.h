/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all x86 boards have in common. */
#ifndef DUODM_DM_BOARD_X86_H
#define DUODM_DM_BOARD_X86_H

#include "dm/machine.h"

#define X86_MSI_WINDOW      0xfee00000u
#define X86_MSI_WINDOW_SIZE 0x100000u
#define X86_IOAPIC_ADDRESS  0xfec00000u

/* Where devices write MSIs, over system memory. The caller destroys the region. */
void x86_add_msi_window(struct machine *machine, struct memory_region *window);
/* A device of the board, or what the engine has in its place. */
struct device *x86_create_replaceable(struct machine *machine, const char *name, struct bus *bus,
                                      GError **error);
/* IOAPIC, 8259s if has_pic, and machine->gsi. */
bool x86_create_interrupts(struct machine *machine, bool has_pic, GError **error);
/* The items that firmware and guests look for on any board, and the user's. x86-fw-cfg.c. */
bool x86_fill_fw_cfg(struct machine *machine, GError **error);

#endif
