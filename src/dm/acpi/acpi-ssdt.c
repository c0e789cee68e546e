/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The SSDT: the processors, as AML (ACPI 6.5, chapter 20). */
#include "dm/acpi/acpi-tables.h"

#include <string.h>

#define AML_ROOT_CHAR 0x5c
#define AML_NAME      0x08
#define AML_WORD      0x0b
#define AML_STRING    0x0d
#define AML_SCOPE     0x10
#define AML_EXTENDED  0x5b
#define AML_DEVICE    0x82

static void put_bytes(GByteArray *out, const char *text, unsigned length)
{
    g_byte_array_append(out, (const uint8_t *)text, length);
}

/* PkgLength in its four-byte form (20.2.4): 28 bits, and it counts its own bytes. */
#define PACKAGE_LENGTH_SIZE 4u

static void put_package_length(GByteArray *out, uint32_t body)
{
    uint32_t length = body + PACKAGE_LENGTH_SIZE;

    acpi_put(out, 0xc0 | (length & 0xf), 1);
    acpi_put(out, length >> 4, 3);
}

/* Device (Cnnn) {Name (_HID, "ACPI0007") Name (_UID, index)} */
static void put_processor(GByteArray *out, unsigned index)
{
    static const char hex[] = "0123456789ABCDEF";
    const char name[4] = {'C', hex[index >> 8 & 15], hex[index >> 4 & 15], hex[index & 15]};
    const char hid[] = "ACPI0007";

    acpi_put(out, AML_EXTENDED, 1);
    acpi_put(out, AML_DEVICE, 1);
    put_package_length(out, 4 + (1 + 4 + 1 + sizeof(hid)) + (1 + 4 + 1 + 2));
    put_bytes(out, name, 4);
    acpi_put(out, AML_NAME, 1);
    put_bytes(out, "_HID", 4);
    acpi_put(out, AML_STRING, 1);
    put_bytes(out, hid, sizeof(hid));
    acpi_put(out, AML_NAME, 1);
    put_bytes(out, "_UID", 4);
    acpi_put(out, AML_WORD, 1);
    acpi_put(out, index, 2);
}

GByteArray *acpi_build_ssdt(const struct acpi_config *config)
{
    GByteArray *ssdt = g_byte_array_new();
    g_autoptr(GByteArray) processors = g_byte_array_new();

    acpi_put_header(ssdt, "SSDT", 2);
    for (unsigned i = 0; i < config->cpu_count; i++) {
        put_processor(processors, i);
    }
    /* Scope (\_SB) */
    acpi_put(ssdt, AML_SCOPE, 1);
    put_package_length(ssdt, 5 + processors->len);
    acpi_put(ssdt, AML_ROOT_CHAR, 1);
    put_bytes(ssdt, "_SB_", 4);
    g_byte_array_append(ssdt, processors->data, processors->len);
    return ssdt;
}
