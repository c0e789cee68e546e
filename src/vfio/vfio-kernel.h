/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A device of the kernel's VFIO, behind its file descriptor. */
#ifndef DUODM_VFIO_VFIO_KERNEL_H
#define DUODM_VFIO_VFIO_KERNEL_H

#include "vfio/container.h"
#include "vfio/vfio-device.h"

/* A device that is in the container, which must outlive it, and its descriptor: is removed from
 * there when the device is freed, or on failure. host is copied. */
struct vfio_device *vfio_kernel_device_new(struct vfio_container *container,
                                           const struct vfio_host_device *host, int descriptor,
                                           GError **error);

/*
 * A PCI device by its folder in sysfs. Errors say what has to be done before the device can be
 * assigned: an IOMMU, the driver vfio-pci. What is in it is freed by vfio_host_device_clear.
 */
bool vfio_host_device_find(const char *folder, struct vfio_host_device *device, GError **error);
void vfio_host_device_clear(struct vfio_host_device *device);

#endif
