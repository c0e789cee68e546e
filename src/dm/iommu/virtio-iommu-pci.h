/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio-iommu (iommu/virtio-iommu.h) as a PCI function: its queues, and its place before all
 * other functions of its bus.
 */
#ifndef DUODM_DM_IOMMU_VIRTIO_IOMMU_PCI_H
#define DUODM_DM_IOMMU_VIRTIO_IOMMU_PCI_H

#include "dm/acpi/acpi-viot.h"
#include "dm/device.h"

struct virtio_iommu;

extern const struct device_class virtio_iommu_pci_class;

/* What firmware tables say of the machine's unit; false: it has none. */
bool virtio_iommu_get_viot(struct machine *machine, struct acpi_viot *viot);
/* The machine's unit, or NULL. */
struct virtio_iommu *virtio_iommu_find(struct machine *machine);

#endif
