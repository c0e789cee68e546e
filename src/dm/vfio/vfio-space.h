/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Passed-through functions that see the same memory share one container: all of its mappings are
 * made once. A space is made with its first function, before that is announced to the guest, and
 * goes with its last. While there is one, guest RAM is pinned: nothing of it may be discarded.
 * Main loop only.
 */
#ifndef DUODM_DM_VFIO_VFIO_SPACE_H
#define DUODM_DM_VFIO_VFIO_SPACE_H

#include "vfio/dma-map.h"
#include "vfio/vfio-device.h"

struct iommufd;
struct machine;
struct memory_region;
struct vfio_host_device;
struct vfio_pci;

struct vfio_space;

/*
 * Open a device of the host as vfio->device, in the space of those that see view, through an
 * iommufd or, with NULL, a type1 container. Maps all that is there (invariant I1). On failure
 * nothing is left of it.
 */
bool vfio_space_open(struct machine *machine, struct memory_region *view, struct vfio_pci *vfio,
                     struct iommufd *iommufd, const struct vfio_host_device *host, GError **error);
/*
 * The same for a device that is open, and has a back end of its own, which nobody else uses: its
 * space is its alone. On failure the device is the caller's still; else vfio_space_close frees it.
 */
bool vfio_space_attach(struct machine *machine, struct memory_region *view, struct vfio_pci *vfio,
                       struct vfio_device *device, struct dma_backend *backend, GError **error);
/* Close the device that was opened for vfio, or attached. */
void vfio_space_close(struct vfio_pci *vfio);

/* A device was reset, and does no DMA yet: it is cut off no more, unless its host can't be brought
 * up to date: then it stays so, and *error says why. */
bool vfio_space_recover(struct vfio_pci *vfio, GError **error);

/* Do the hosts hold what the guest's IOMMUs map? Lines that say what they hold go to out. */
bool vfio_spaces_verify(struct machine *machine, GString *out);

#endif
