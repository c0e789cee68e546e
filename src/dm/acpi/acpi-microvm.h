/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ACPI tables of board "microvm": hardware-reduced, power through the registers of acpi-ged.h. */
#ifndef DUODM_DM_ACPI_ACPI_MICROVM_H
#define DUODM_DM_ACPI_ACPI_MICROVM_H

#include "dm/acpi/acpi-tables.h"

/* config: what of it a machine without PCI has. virtio_mask: bit n, a device is in slot n. */
struct acpi_tables *acpi_microvm_build(const struct acpi_config *config, uint32_t virtio_mask,
                                       bool has_rtc);

#endif
