/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A device of the kernel's VFIO, behind its file descriptor. */
#ifndef DUODM_VFIO_VFIO_KERNEL_H
#define DUODM_VFIO_VFIO_KERNEL_H

#include "vfio/vfio-device.h"

struct type1_container;

/* A device of a group of the container, which must outlive it. address: "0000:00:05.0". */
struct vfio_device *vfio_kernel_device_new(struct type1_container *container, unsigned group,
                                           const char *address, GError **error);

/*
 * The IOMMU group of a PCI device, given its folder in sysfs. Errors say what has to be done before
 * the device can be assigned: an IOMMU, the driver vfio-pci.
 */
bool vfio_find_group(const char *folder, unsigned *group, GError **error);

#endif
