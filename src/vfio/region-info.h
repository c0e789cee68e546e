/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VFIO_DEVICE_GET_REGION_INFO: the answer is the same from the kernel and from a vfio-user server.
 */
#ifndef DUODM_VFIO_REGION_INFO_H
#define DUODM_VFIO_REGION_INFO_H

#include "vfio/vfio-device.h"

/*
 * Take over a struct vfio_region_info with the capabilities behind it, size bytes that are no less
 * than the struct. What is out of place in it is left out.
 */
void vfio_region_take_info(struct vfio_region *region, const void *info, uint32_t size);

#endif
