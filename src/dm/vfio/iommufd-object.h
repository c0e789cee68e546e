/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -object iommufd: the kernel's iommufd, opened when the machine is made. */
#ifndef DUODM_DM_VFIO_IOMMUFD_OBJECT_H
#define DUODM_DM_VFIO_IOMMUFD_OBJECT_H

#include <glib.h>
#include <stdbool.h>

struct iommufd;
struct machine;

/* The one of an object's id, which is the machine's. *iommufd is NULL, and no error, for id NULL.
 */
bool iommufd_object_find(struct machine *machine, const char *id, struct iommufd **iommufd,
                         GError **error);

#endif
