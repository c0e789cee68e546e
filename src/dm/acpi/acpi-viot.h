/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The virtual I/O translation table (ACPI 6.5, 5.2.33): one virtio-iommu, for all of PCI but
 * itself. */
#ifndef DUODM_DM_ACPI_ACPI_VIOT_H
#define DUODM_DM_ACPI_ACPI_VIOT_H

#include <stdint.h>

struct acpi_tables;

struct acpi_viot {
    uint16_t iommu; /* requester ID of the function */
};

/* Append the table; returns its offset. */
uint32_t acpi_append_viot(struct acpi_tables *tables, const struct acpi_viot *viot);

#endif
