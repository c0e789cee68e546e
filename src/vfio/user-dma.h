/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DMA of a vfio-user server. Each mapping is told to it, with the memory's descriptor where it may
 * map that itself; what it may not, it reads and writes by messages, which reach exactly what is
 * mapped at that moment.
 */
#ifndef DUODM_VFIO_USER_DMA_H
#define DUODM_VFIO_USER_DMA_H

#include "vfio/dma-backend.h"
#include "vfio/user-connection.h"

struct vfio_user_dma;

/* direct: give the server descriptors of memory. A descriptor gives it the whole file, for good:
 * there is no way to take it back from a server that doesn't keep to the rules. */
struct vfio_user_dma *vfio_user_dma_new(bool direct);
void vfio_user_dma_free(struct vfio_user_dma *dma); /* nothing is mapped. NULL is fine */
/* The server that it is for, which is there from now until the back end is used no more. */
void vfio_user_dma_set_connection(struct vfio_user_dma *dma,
                                  struct vfio_user_connection *connection);
struct dma_backend *vfio_user_dma_backend(struct vfio_user_dma *dma);

/* What the server's messages ask for, as struct vfio_user_listener has it. Any thread. */
int vfio_user_dma_read(struct vfio_user_dma *dma, const struct vfio_user_dma_access *access,
                       void *data);
int vfio_user_dma_write(struct vfio_user_dma *dma, const struct vfio_user_dma_access *access,
                        const void *data);

#endif
