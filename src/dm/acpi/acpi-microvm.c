/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/acpi/acpi-microvm.h"
#include "dm/acpi/acpi-ged.h"
#include "dm/acpi/acpi-private.h"
#include "util/little-endian.h"

#include "dm/acpi/dsdt_microvm.hex"

#define FADT_SLEEP_CONTROL_REG  244
#define FADT_SLEEP_STATUS_REG   256
#define FADT_FLAG_REDUCED       (1u << 20)
#define BOOT_ARCH_NO_CMOS_CLOCK (1u << 5)
#define CMOS_CENTURY            0x32

static void put_register(uint8_t *at, uint64_t address)
{
    at[0] = SPACE_SYSTEM_MEMORY;
    at[1] = 8; /* bits */
    at[3] = 1; /* byte accesses */
    store_le64(at + 4, address);
}

static uint32_t append_fadt(struct acpi_tables *tables, uint32_t dsdt, bool has_rtc)
{
    g_autoptr(GByteArray) fadt = g_byte_array_new();
    uint32_t offset;

    acpi_put_header(fadt, "FACP", FADT_REVISION);
    g_byte_array_set_size(fadt, FADT_SIZE);
    memset(fadt->data + ACPI_HEADER_SIZE, 0, FADT_SIZE - ACPI_HEADER_SIZE);
    store_le32(fadt->data + FADT_DSDT, dsdt);
    store_le64(fadt->data + FADT_X_DSDT, dsdt);
    store_le32(fadt->data + FADT_FLAGS, FADT_FLAG_WBINVD | FADT_FLAG_PROC_C1 |
                                            FADT_FLAG_SLP_BUTTON | FADT_FLAG_RESET_REG |
                                            FADT_FLAG_REDUCED);
    store_le16(fadt->data + FADT_IAPC_BOOT_ARCH,
               BOOT_ARCH_NO_VGA | (has_rtc ? 0 : BOOT_ARCH_NO_CMOS_CLOCK));
    fadt->data[FADT_CENTURY] = has_rtc ? CMOS_CENTURY : 0;
    put_register(fadt->data + FADT_RESET_REG, ACPI_GED_ADDRESS + ACPI_GED_RESET);
    fadt->data[FADT_RESET_VALUE] = ACPI_GED_RESET_VALUE;
    put_register(fadt->data + FADT_SLEEP_CONTROL_REG, ACPI_GED_ADDRESS + ACPI_GED_SLEEP_CONTROL);
    put_register(fadt->data + FADT_SLEEP_STATUS_REG, ACPI_GED_ADDRESS + ACPI_GED_SLEEP_STATUS);
    offset = acpi_append_table(tables, fadt->data, fadt->len);
    acpi_add_pointer(tables, ACPI_BLOB_TABLES, offset + FADT_DSDT, 4);
    acpi_add_pointer(tables, ACPI_BLOB_TABLES, offset + FADT_X_DSDT, 8);
    return offset;
}

struct acpi_tables *acpi_microvm_build(const struct acpi_config *config, uint32_t virtio_mask,
                                       bool has_rtc)
{
    struct acpi_tables *tables = acpi_tables_new();
    g_autoptr(GByteArray) ssdt = acpi_build_ssdt(config);
    uint32_t length = sizeof(dsdt_microvm_aml_code);
    uint32_t dsdt = acpi_append_table(tables, dsdt_microvm_aml_code, length);
    uint8_t *aml = tables->tables->data + dsdt;
    uint32_t listed[3];

    acpi_set_name(aml, length, "VIRM", virtio_mask);
    acpi_set_name(aml, length, "SERM", config->serial_mask);
    acpi_set_name(aml, length, "RTCM", has_rtc);
    listed[0] = append_fadt(tables, dsdt, has_rtc);
    listed[1] = acpi_append_table(tables, ssdt->data, ssdt->len);
    listed[2] = acpi_append_madt(tables, config);
    acpi_tables_finish(tables, dsdt, listed, G_N_ELEMENTS(listed));
    return tables;
}
