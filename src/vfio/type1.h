/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VFIO container with the type1v2 IOMMU driver (linux/vfio.h): the kernel's own, oldest API. */
#ifndef DUODM_VFIO_TYPE1_H
#define DUODM_VFIO_TYPE1_H

#include "vfio/dma-backend.h"

struct type1_container;

/*
 * Open a container for a group (its number, as in /dev/vfio/N) and choose its IOMMU driver. Errors
 * say what is missing: the module, the permission, a device of the group that is not bound to VFIO.
 */
struct type1_container *type1_container_new(unsigned group, GError **error);
/* Add a group whose devices can share the mappings. EXISTS... the error says why not. */
bool type1_container_add_group(struct type1_container *container, unsigned group, GError **error);
/* The kernel drops all mappings with the last descriptor. NULL is fine. */
void type1_container_free(struct type1_container *container);

struct dma_backend *type1_container_backend(struct type1_container *container);
/* A descriptor of a device of one of the groups, by PCI address "0000:00:05.0"; -1 and an error. */
int type1_container_open_device(struct type1_container *container, const char *address,
                                GError **error);

#endif
