/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The DSDTs of chipsets, and what the FADT says with them. */
#include "dm/acpi/acpi-tables.h"
#include "dm/pci/chipset.h"

#include "dm/acpi/dsdt_pc.hex"
#include "dm/acpi/dsdt_q35.hex"

const struct acpi_chipset acpi_chipset_piix = {
    .dsdt = dsdt_pc_aml_code,
    .dsdt_length = sizeof(dsdt_pc_aml_code),
    .gpe0 = PIIX4_GPE0_BASE,
    .gpe0_length = 4,
};

const struct acpi_chipset acpi_chipset_q35 = {
    .dsdt = dsdt_q35_aml_code,
    .dsdt_length = sizeof(dsdt_q35_aml_code),
    .gpe0 = 0x600 + ICH9_GPE0_OFFSET,
    .gpe0_length = 16,
};
