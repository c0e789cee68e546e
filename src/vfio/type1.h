/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VFIO container with the type1v2 IOMMU driver (linux/vfio.h): the kernel's own, oldest API. */
#ifndef DUODM_VFIO_TYPE1_H
#define DUODM_VFIO_TYPE1_H

#include "vfio/dma-backend.h"

struct type1_container;

/* An empty container; it can map when it has a group. Errors say what is missing. */
struct type1_container *type1_container_new(GError **error);
/*
 * Add a group (its number, as in /dev/vfio/N); the first one brings the IOMMU driver. Fails, with
 * nothing changed, if the group is not to be had (the error says what to do), or can't share the
 * mappings of those that are here.
 */
bool type1_container_add_group(struct type1_container *container, unsigned group, GError **error);
bool type1_container_has_group(const struct type1_container *container, unsigned group);
bool type1_container_is_empty(const struct type1_container *container); /* no group is left */
/* The kernel drops all mappings with the last group. NULL is fine. */
void type1_container_free(struct type1_container *container);

struct dma_backend *type1_container_backend(struct type1_container *container);

/* A descriptor of a device of a group, by PCI address "0000:00:05.0"; -1 and an error. Each that
 * was had is given back by a release_group, after it was closed; the last one of a group lets go of
 * the group. */
int type1_container_open_device(struct type1_container *container, unsigned group,
                                const char *address, GError **error);
void type1_container_release_group(struct type1_container *container, unsigned group);
int type1_container_group_descriptor(const struct type1_container *container, unsigned group);

#endif
