/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables of the MultiProcessor Specification, version 1.4, chapter 4, in the default of virtual
 * wire mode: for guests that don't read ACPI's. They say the same as those.
 */
#ifndef DUODM_DM_FIRMWARE_MP_TABLE_H
#define DUODM_DM_FIRMWARE_MP_TABLE_H

#include "dm/pci/pci.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct mp_config {
    unsigned cpu_count;
    const uint32_t *apic_ids;      /* cpu_count of them; the first is the boot processor's */
    bool has_pci;                  /* bus 0 with slots 0 to 31 */
    pci_line_map_fn line_map;      /* of PCI's pins */
    uint8_t pci_routes[PCI_LINES]; /* ISA interrupts that PCI's lines are routed to */
    uint16_t level_interrupts;     /* ISA interrupts that are level-triggered: a bit each */
};

#define MP_POINTER_SIZE 16u

/* The configuration table, and the pointer to it as if the table were at `address`. */
GByteArray *mp_table_build(const struct mp_config *config);
void mp_pointer_make(uint8_t pointer[MP_POINTER_SIZE], uint32_t address);

#endif
