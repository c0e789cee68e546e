/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SMBIOS tables (DMTF DSP0134, version 2.8): what machine this is, for people and drivers. */
#ifndef DUODM_DM_ACPI_SMBIOS_H
#define DUODM_DM_ACPI_SMBIOS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct smbios_config {
    unsigned sockets, cores, threads; /* cores per socket, threads per core */
    uint64_t ram_below_4g, ram_above_4g;
    const char *product; /* board's name */
    const uint8_t *uuid; /* 16 bytes as text has them (RFC 4122 order); NULL: not set */
};

#define SMBIOS_ANCHOR_SIZE 31u
#define SMBIOS_FILE_TABLES "etc/smbios/smbios-tables"
#define SMBIOS_FILE_ANCHOR "etc/smbios/smbios-anchor"

/* The structures, one after another. count: how many. largest: bytes of the largest. */
GByteArray *smbios_build(const struct smbios_config *config, unsigned *count, unsigned *largest);
/* The entry point structure for tables at `address` (0: firmware fills it in). */
void smbios_make_anchor(uint8_t anchor[SMBIOS_ANCHOR_SIZE], const GByteArray *tables,
                        unsigned count, unsigned largest, uint32_t address);
/* Parse a UUID's text; false if it is none. */
bool smbios_parse_uuid(const char *text, uint8_t uuid[16]);

#endif
