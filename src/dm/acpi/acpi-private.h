/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the boards' tables are made of. Offsets are those in acpi_tables.tables. */
#ifndef DUODM_DM_ACPI_ACPI_PRIVATE_H
#define DUODM_DM_ACPI_ACPI_PRIVATE_H

#include "dm/acpi/acpi-tables.h"

/* In each table's header (5.2.6). */
#define TABLE_LENGTH_OFFSET   4u
#define TABLE_CHECKSUM_OFFSET 9u

/* Fixed ACPI Description Table: fields that all boards set (ACPI 6.5, 5.2.9). */
#define FADT_SIZE                268u
#define FADT_REVISION            5
#define FADT_DSDT                40
#define FADT_CENTURY             108
#define FADT_IAPC_BOOT_ARCH      109
#define FADT_FLAGS               112
#define FADT_RESET_REG           116
#define FADT_RESET_VALUE         128
#define FADT_X_DSDT              140
#define FADT_FLAG_WBINVD         (1u << 0)
#define FADT_FLAG_PROC_C1        (1u << 2)
#define FADT_FLAG_SLP_BUTTON     (1u << 5) /* there is no fixed sleep button */
#define FADT_FLAG_RESET_REG      (1u << 10)
#define FADT_FLAG_PLATFORM_CLOCK (1u << 15)
#define BOOT_ARCH_LEGACY         (1u << 0)
#define BOOT_ARCH_8042           (1u << 1)
#define BOOT_ARCH_NO_VGA         (1u << 2)

/* Address spaces of a generic address structure (5.2.3.2). */
#define SPACE_SYSTEM_MEMORY 0
#define SPACE_SYSTEM_IO     1

struct acpi_tables *acpi_tables_new(void);
/* Append a table with a header, set its length; its checksum is made last, by the commands. */
uint32_t acpi_append_table(struct acpi_tables *tables, const uint8_t *data, uint32_t length);
/* The field of `size` bytes holds an offset in the tables, and is to hold the address. */
void acpi_add_pointer(struct acpi_tables *tables, enum acpi_blob blob, uint32_t offset,
                      uint8_t size);
/* Set Name (SEGM, value) of a DSDT, which has a placeholder of 32 bits there. */
void acpi_set_name(uint8_t *aml, size_t length, const char *segment, uint32_t value);
uint32_t acpi_append_madt(struct acpi_tables *tables, const struct acpi_config *config);
/* Root tables for the listed ones, and all checksums. The DSDT is listed in none. */
void acpi_tables_finish(struct acpi_tables *tables, uint32_t dsdt, const uint32_t *listed,
                        unsigned count);

#endif
