/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VT-d unit (iommu/vtd.h) as part of a machine: before all functions of its PCI bus, and before
 * the local APICs. What is passed through, and snapshots, reach it through the bus (pci-iommu.h).
 */
#ifndef DUODM_DM_IOMMU_INTEL_IOMMU_H
#define DUODM_DM_IOMMU_INTEL_IOMMU_H

#include "dm/acpi/acpi-dmar.h"
#include "dm/device.h"

extern const struct device_class intel_iommu_class;

/* What firmware tables say of the machine's unit; false: it has none. */
bool intel_iommu_get_dmar(struct machine *machine, struct acpi_dmar *dmar);
/* Write the DMAR table to a file, for a guest whose firmware is somebody else's. */
bool intel_iommu_write_dmar(struct machine *machine, const char *path, GError **error);
/* The machine's unit, or NULL. */
struct vtd *intel_iommu_find(struct machine *machine);

#endif
