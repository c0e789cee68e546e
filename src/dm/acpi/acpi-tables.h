/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI tables of the boards (ACPI 6.5, chapter 5). They are built without addresses: what points
 * where is kept as a list of commands, which either firmware carries out (the fw_cfg file
 * etc/table-loader) or acpi_tables_place does for a kernel that is loaded directly.
 */
#ifndef DUODM_DM_ACPI_ACPI_TABLES_H
#define DUODM_DM_ACPI_ACPI_TABLES_H

#include "util/range.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct acpi_dmar; /* acpi-dmar.h */
struct acpi_viot; /* acpi-viot.h */

/* What of its chipset. */
struct acpi_chipset {
    const uint8_t *dsdt;
    uint32_t dsdt_length; /* bytes */
    uint16_t gpe0;        /* ports of general-purpose events: status, then enable */
    uint8_t gpe0_length;  /* of both together */
};
/* acpi-chipsets.c. Their DSDTs take the power management block to be at 600h. */
extern const struct acpi_chipset acpi_chipset_piix, acpi_chipset_q35;

/* What of a machine the tables depend on. */
struct acpi_config {
    const struct acpi_chipset *chipset; /* not microvm's */
    unsigned cpu_count;
    const uint32_t *apic_ids; /* cpu_count of them */
    struct range window_32;   /* of PCI, below 4 GiB; ends at fec00000h */
    struct range window_64;   /* length 0: none; whole GiB */
    bool has_hpet;
    unsigned serial_mask; /* bit n: port COMn+1 exists */
    uint16_t pm_base;     /* of the chipset's power management */
    struct range ecam;    /* config space in memory, 1 MiB for each bus; length 0: it is not */
    bool no_pic;          /* there are no 8259s */
    /* ISA interrupts that are level-triggered and active high: a bit each. */
    uint16_t level_interrupts;
    /* The IOMMU, as its kind of table has it; NULL: there is none of that kind. */
    const struct acpi_dmar *dmar;
    const struct acpi_viot *viot;
};

#define ACPI_RSDP_SIZE 36u

/* The two blobs, as fw_cfg names them. */
enum acpi_blob { ACPI_BLOB_RSDP, ACPI_BLOB_TABLES };

enum acpi_command_kind { ACPI_ADD_POINTER, ACPI_ADD_CHECKSUM };

struct acpi_command {
    enum acpi_command_kind kind;
    enum acpi_blob blob;   /* which is changed */
    uint32_t offset;       /* of what is changed in it */
    enum acpi_blob target; /* pointer: the blob whose address is added */
    uint8_t size;          /* pointer: 4 or 8 bytes */
    uint32_t start;        /* checksum: first byte summed */
    uint32_t length;       /* checksum: bytes summed */
};

struct acpi_tables {
    GByteArray *tables;
    uint8_t rsdp[ACPI_RSDP_SIZE];
    GArray *commands; /* of struct acpi_command, in order */
};

#define ACPI_TABLES_ALIGNMENT 64u /* of the blob in memory, for the FACS at its start */

/* Those of a board with a chipset. */
struct acpi_tables *acpi_tables_build(const struct acpi_config *config);
void acpi_tables_free(struct acpi_tables *tables);

/* The content of etc/table-loader. */
#define ACPI_FILE_RSDP   "etc/acpi/rsdp"
#define ACPI_FILE_TABLES "etc/acpi/tables"
#define ACPI_FILE_LOADER "etc/table-loader"
GByteArray *acpi_tables_pack_loader(const struct acpi_tables *tables);

/* Carry out the commands for blobs at these guest physical addresses, in place: once only. */
void acpi_tables_place(struct acpi_tables *tables, uint64_t tables_address, uint64_t rsdp_address);

/* The SSDT of the processors, from its header on, without checksum. */
GByteArray *acpi_build_ssdt(const struct acpi_config *config);

/* A table header with signature, revision and the project's IDs; length and checksum are zero. */
#define ACPI_HEADER_SIZE 36u
void acpi_put_header(GByteArray *table, const char *signature, uint8_t revision);
void acpi_put(GByteArray *table, uint64_t value, unsigned size); /* little-endian */

#endif
