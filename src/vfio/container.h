/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the kernel's VFIO keeps devices that see the same memory: a DMA back end, and how devices
 * come to it. The kernel has two kinds: groups in containers of type1 (type1.h), and devices that
 * are bound to an iommufd (iommufd.h).
 */
#ifndef DUODM_VFIO_CONTAINER_H
#define DUODM_VFIO_CONTAINER_H

#include "vfio/dma-backend.h"

/* A PCI function of the host. */
struct vfio_host_device {
    char *folder;   /* in sysfs */
    char *address;  /* "0000:00:05.0", for messages, too */
    unsigned group; /* IOMMU group: /dev/vfio/N */
};

struct vfio_container;

struct vfio_container_ops {
    /*
     * Open a device and put it in: from now on it reaches what the back end maps. Its descriptor;
     * -1 and an error, with nothing changed, if it is not to be had (the error says what to do), or
     * can't share the mappings of those that are here. The first device brings the IOMMU: no
     * mapping is made before. read_limits follows.
     */
    int (*add_device)(struct vfio_container *container, const struct vfio_host_device *device,
                      GError **error);
    /* Mirror: closes the descriptor. read_limits follows, if there are others. */
    void (*remove_device)(struct vfio_container *container, const struct vfio_host_device *device,
                          int descriptor);
    /* Tell the back end what can be mapped: that changes with each device that comes or goes.
     * Nobody maps meanwhile. */
    bool (*read_limits)(struct vfio_container *container, GError **error);
    /* What proves that the device's group is ours, for a reset of its bus; -1: nothing need. */
    int (*group_descriptor)(const struct vfio_container *container, unsigned group);
    void (*free)(struct vfio_container *container); /* all devices were removed */
};

/* Embedded in what each kind needs. */
struct vfio_container {
    const struct vfio_container_ops *ops;
    struct dma_backend backend;
};

static inline void vfio_container_free(struct vfio_container *container) /* NULL is fine */
{
    if (container) {
        container->ops->free(container);
    }
}

#endif
