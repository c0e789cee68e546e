/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The DMA remapping reporting table (VT-d 4.1, chapter 8): one unit, for all of PCI. */
#ifndef DUODM_DM_ACPI_ACPI_DMAR_H
#define DUODM_DM_ACPI_ACPI_DMAR_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct acpi_tables;

struct acpi_dmar {
    uint64_t base;      /* address of the unit's registers */
    uint8_t host_width; /* bits of an address of DMA */
    bool remaps_messages;
    uint16_t ioapic; /* requester ID under which the IOAPIC sends, if messages are remapped; its ID
                        in the MADT is 0 */
};

/* The table, complete, as a file for somebody else's firmware. */
GByteArray *acpi_build_dmar(const struct acpi_dmar *dmar);
/* Append the table; returns its offset. */
uint32_t acpi_append_dmar(struct acpi_tables *tables, const struct acpi_dmar *dmar);

#endif
