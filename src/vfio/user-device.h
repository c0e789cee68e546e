/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A device of a vfio-user server: another process, at the other end of a socket. */
#ifndef DUODM_VFIO_USER_DEVICE_H
#define DUODM_VFIO_USER_DEVICE_H

#include "vfio/dma-backend.h"
#include "vfio/vfio-device.h"

struct vfio_user_options {
    const char *path;           /* of the server's socket */
    const char *name;           /* for messages */
    unsigned timeout;           /* ms that the server has for each answer, > 0 */
    bool direct_dma;            /* give it the memory's descriptors (user-dma.h) */
    void (*lost)(void *opaque); /* the server is gone, or broke the rules: once, any thread,
                                   any lock held, maybe before ..._new returns. Only note it */
    void *opaque;
};

/* Connect, and ask what it has. It can do no DMA before something is mapped. */
struct vfio_device *vfio_user_device_new(const struct vfio_user_options *options, GError **error);
/* What maps for it; lives as long as the device. Nothing may be mapped when that is freed. */
struct dma_backend *vfio_user_device_backend(struct vfio_device *device);
/* Why it was lost; NULL: it is there. Caller frees. */
char *vfio_user_device_problem(struct vfio_device *device);

#endif
