/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel started on a board without firmware and chipset: its tables lie in RAM below 1 MiB,
 * where a scan finds them, and the processors are as firmware leaves them. Written anew at each
 * reset. The board has a reset register at port CF9h.
 */
#ifndef DUODM_DM_FIRMWARE_DIRECT_BOOT_H
#define DUODM_DM_FIRMWARE_DIRECT_BOOT_H

#include "dm/acpi/acpi-tables.h"
#include "dm/machine.h"

struct direct_boot_config {
    struct machine *machine;   /* -kernel and -initrd are its */
    const char *append;        /* the kernel's command line; NULL: none. Not kept */
    struct acpi_tables *acpi;  /* placed by this, not kept; NULL: none, an MP table then */
    uint16_t level_interrupts; /* ISA interrupts that are level-triggered: a bit each */
    GBytes *device_tree;       /* for kernels that take one, a reference is taken; NULL: none */
};

struct direct_boot;

struct direct_boot *direct_boot_new(const struct direct_boot_config *config, GError **error);
void direct_boot_free(struct direct_boot *boot); /* NULL is fine */
/* A reset handler: opaque is the direct_boot. */
void direct_boot_reset(void *opaque);

#endif
