/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/acpi/acpi-dmar.h"
#include "dm/acpi/acpi-private.h"
#include "util/little-endian.h"

#define FLAG_INTERRUPT_REMAPPING 0x01
#define FLAG_ALL_PCI             0x01 /* of a DRHD: all functions that no other unit names */
#define TYPE_DRHD                0
#define SCOPE_IOAPIC             3
#define SCOPE_SIZE               8 /* bytes, with one step of path */
#define DRHD_SIZE                16

/* 8.3.1: enumeration ID, and where it is: bus, then device and function. */
static void put_scope(GByteArray *table, uint8_t type, uint8_t id, uint16_t requester)
{
    acpi_put(table, type, 1);
    acpi_put(table, SCOPE_SIZE, 1);
    acpi_put(table, 0, 2); /* reserved */
    acpi_put(table, id, 1);
    acpi_put(table, requester >> 8, 1);
    acpi_put(table, requester >> 3 & 0x1f, 1);
    acpi_put(table, requester & 7, 1);
}

GByteArray *acpi_build_dmar(const struct acpi_dmar *dmar)
{
    GByteArray *table = g_byte_array_new();
    unsigned scope_size = dmar->remaps_messages ? SCOPE_SIZE : 0;
    uint8_t sum = 0;

    acpi_put_header(table, "DMAR", 1);
    acpi_put(table, dmar->host_width - 1u, 1);
    acpi_put(table, dmar->remaps_messages ? FLAG_INTERRUPT_REMAPPING : 0, 1);
    acpi_put(table, 0, 8);
    acpi_put(table, 0, 2);
    /* DRHD, 8.3. */
    acpi_put(table, TYPE_DRHD, 2);
    acpi_put(table, DRHD_SIZE + scope_size, 2);
    acpi_put(table, FLAG_ALL_PCI, 1);
    acpi_put(table, 0, 1); /* one page of registers */
    acpi_put(table, 0, 2); /* segment */
    acpi_put(table, dmar->base, 8);
    if (dmar->remaps_messages) {
        put_scope(table, SCOPE_IOAPIC, 0, dmar->ioapic);
    }
    store_le32(table->data + TABLE_LENGTH_OFFSET, table->len);
    for (unsigned i = 0; i < table->len; i++) {
        sum += table->data[i];
    }
    table->data[TABLE_CHECKSUM_OFFSET] = (uint8_t)-sum;
    return table;
}

uint32_t acpi_append_dmar(struct acpi_tables *tables, const struct acpi_dmar *dmar)
{
    g_autoptr(GByteArray) table = acpi_build_dmar(dmar);

    return acpi_append_table(tables, table->data, table->len);
}
