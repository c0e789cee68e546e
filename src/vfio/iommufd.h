/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's iommufd: address spaces (IOAS) to which VFIO's devices, opened by files of their
 * own, are attached. There is no limit of mappings but memory's. */
#ifndef DUODM_VFIO_IOMMUFD_H
#define DUODM_VFIO_IOMMUFD_H

#include "vfio/container.h"

struct iommufd;

/* /dev/iommu, opened; an error says what is missing. */
struct iommufd *iommufd_open(GError **error);
void iommufd_close(struct iommufd *iommufd); /* all containers were freed. NULL is fine */

/* An empty address space; the iommufd must outlive it. */
struct vfio_container *iommufd_container_new(struct iommufd *iommufd, GError **error);

#endif
