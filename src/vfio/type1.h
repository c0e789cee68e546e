/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VFIO container with the type1v2 IOMMU driver (linux/vfio.h): the kernel's own, oldest API. */
#ifndef DUODM_VFIO_TYPE1_H
#define DUODM_VFIO_TYPE1_H

#include "vfio/container.h"

/* An empty container. Errors say what is missing. */
struct vfio_container *type1_container_new(GError **error);

#endif
