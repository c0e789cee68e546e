/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between virtio-pci.c and virtio-pci-legacy.c only. */
#ifndef DUODM_DM_VIRTIO_VIRTIO_PCI_PRIVATE_H
#define DUODM_DM_VIRTIO_VIRTIO_PCI_PRIVATE_H

#include "dm/virtio/virtio-pci.h"

/* A vector that the driver named, as it is kept: one that exists, or VIRTIO_NO_VECTOR. */
uint16_t virtio_pci_check_vector(struct virtio_device *device, uint32_t vector);

/* The legacy interface's BAR. */
bool virtio_pci_make_legacy(struct virtio_pci *transport, unsigned bar, GError **error);

#endif
