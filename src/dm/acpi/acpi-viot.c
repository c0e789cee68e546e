/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/acpi/acpi-viot.h"
#include "dm/acpi/acpi-private.h"

#define TYPE_PCI_RANGE        1
#define TYPE_VIRTIO_IOMMU_PCI 3
#define TABLE_HEAD            48u /* bytes: the header, and what is said of the nodes */
#define PCI_RANGE_SIZE        24u
#define VIRTIO_IOMMU_SIZE     16u
#define RANGES                2 /* below and above the IOMMU */

static void put_iommu(GByteArray *table, uint16_t requester)
{
    acpi_put(table, TYPE_VIRTIO_IOMMU_PCI, 1);
    acpi_put(table, 0, 1);
    acpi_put(table, VIRTIO_IOMMU_SIZE, 2);
    acpi_put(table, 0, 2); /* segment */
    acpi_put(table, requester, 2);
    acpi_put(table, 0, 8);
}

/* Functions first to last, whose endpoint IDs are their requester IDs. output: offset of the IOMMU
 * in the table. */
static void put_range(GByteArray *table, uint16_t first, uint16_t last, uint16_t output)
{
    acpi_put(table, TYPE_PCI_RANGE, 1);
    acpi_put(table, 0, 1);
    acpi_put(table, PCI_RANGE_SIZE, 2);
    acpi_put(table, first, 4); /* ID of the first endpoint */
    acpi_put(table, 0, 2);     /* segments: from, to */
    acpi_put(table, 0, 2);
    acpi_put(table, first, 2);
    acpi_put(table, last, 2);
    acpi_put(table, output, 2);
    acpi_put(table, 0, 6);
}

uint32_t acpi_append_viot(struct acpi_tables *tables, const struct acpi_viot *viot)
{
    g_autoptr(GByteArray) table = g_byte_array_new();

    acpi_put_header(table, "VIOT", 0);
    acpi_put(table, RANGES + 1, 2);
    acpi_put(table, TABLE_HEAD, 2);
    acpi_put(table, 0, 8);
    put_iommu(table, viot->iommu);
    put_range(table, 0, viot->iommu - 1, TABLE_HEAD);
    put_range(table, viot->iommu + 1, UINT16_MAX, TABLE_HEAD);
    return acpi_append_table(tables, table->data, table->len);
}
