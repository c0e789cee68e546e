/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Carrying out the commands that join the tables, or handing them to firmware. */
#include "dm/acpi/acpi-tables.h"
#include "util/little-endian.h"

/* An entry of etc/table-loader: le32 command, then its fields, padded to 128 bytes. */
#define ENTRY_SIZE       128u
#define FILE_NAME_SIZE   56u
#define COMMAND_ALLOCATE 1u
#define COMMAND_POINTER  2u
#define COMMAND_CHECKSUM 3u
#define ZONE_HIGH        1
#define ZONE_FSEG        2
#define RSDP_ALIGNMENT   16u

static const char *const blob_files[] = {
    [ACPI_BLOB_RSDP] = ACPI_FILE_RSDP,
    [ACPI_BLOB_TABLES] = ACPI_FILE_TABLES,
};

static void put_name(uint8_t *entry, unsigned offset, enum acpi_blob blob)
{
    g_strlcpy((char *)entry + offset, blob_files[blob], FILE_NAME_SIZE);
}

static void pack_allocate(GByteArray *out, enum acpi_blob blob, uint32_t alignment, uint8_t zone)
{
    uint8_t entry[ENTRY_SIZE] = {0};

    store_le32(entry, COMMAND_ALLOCATE);
    put_name(entry, 4, blob);
    store_le32(entry + 60, alignment);
    entry[64] = zone;
    g_byte_array_append(out, entry, sizeof(entry));
}

static void pack_command(GByteArray *out, const struct acpi_command *command)
{
    uint8_t entry[ENTRY_SIZE] = {0};

    if (command->kind == ACPI_ADD_POINTER) {
        store_le32(entry, COMMAND_POINTER);
        put_name(entry, 4, command->blob);
        put_name(entry, 60, command->target);
        store_le32(entry + 116, command->offset);
        entry[120] = command->size;
    } else {
        store_le32(entry, COMMAND_CHECKSUM);
        put_name(entry, 4, command->blob);
        store_le32(entry + 60, command->offset);
        store_le32(entry + 64, command->start);
        store_le32(entry + 68, command->length);
    }
    g_byte_array_append(out, entry, sizeof(entry));
}

GByteArray *acpi_tables_pack_loader(const struct acpi_tables *tables)
{
    GByteArray *out = g_byte_array_new();

    pack_allocate(out, ACPI_BLOB_RSDP, RSDP_ALIGNMENT, ZONE_FSEG);
    pack_allocate(out, ACPI_BLOB_TABLES, ACPI_TABLES_ALIGNMENT, ZONE_HIGH);
    for (unsigned i = 0; i < tables->commands->len; i++) {
        pack_command(out, &g_array_index(tables->commands, struct acpi_command, i));
    }
    return out;
}

static void apply_pointer(uint8_t *at, uint8_t size, uint64_t base)
{
    if (size == 8) {
        store_le64(at, load_le64(at) + base);
    } else {
        store_le32(at, load_le32(at) + (uint32_t)base);
    }
}

static void apply_checksum(uint8_t *data, const struct acpi_command *command)
{
    uint8_t sum = 0;

    for (uint32_t i = 0; i < command->length; i++) {
        sum += data[command->start + i];
    }
    data[command->offset] = (uint8_t)(data[command->offset] - sum);
}

void acpi_tables_place(struct acpi_tables *tables, uint64_t tables_address, uint64_t rsdp_address)
{
    uint8_t *const data[] = {
        [ACPI_BLOB_RSDP] = tables->rsdp,
        [ACPI_BLOB_TABLES] = tables->tables->data,
    };
    const uint64_t addresses[] = {
        [ACPI_BLOB_RSDP] = rsdp_address,
        [ACPI_BLOB_TABLES] = tables_address,
    };

    for (unsigned i = 0; i < tables->commands->len; i++) {
        const struct acpi_command *command =
            &g_array_index(tables->commands, struct acpi_command, i);

        if (command->kind == ACPI_ADD_POINTER) {
            apply_pointer(data[command->blob] + command->offset, command->size,
                          addresses[command->target]);
        } else {
            apply_checksum(data[command->blob], command);
        }
    }
}
