/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest memory of one part of a DMA transfer, as iovecs straight into RAM. A controller keeps a
 * list of what its drives use, so that an IOMMU can wait for what its guest takes back
 * (iommu/iommu-watch.h). The transfer itself goes on: it was asked for before.
 */
#ifndef DUODM_DM_ATA_ATA_SG_H
#define DUODM_DM_ATA_ATA_SG_H

#include "iommu/iommu-watch.h"
#include "memory/dma.h"

#include <sys/uio.h>

struct pci_device;

#define ATA_SG_MAX 256u /* pieces of one part */

/* A controller as bus master. */
struct ata_master {
    struct pci_device *pci;
    struct iommu_drain
        *drain; /* of the IOMMU that it is behind; NULL: there is none, nothing noted */
    struct iommu_watch watch; /* of the memory that it sees, if there is a drain */
    pthread_mutex_t lock;     /* leaf; held around each translation */
    struct ata_sg *first;     /* of those in use; under the lock */
};

/* In realize and unrealize, the latter with nothing in use. No lock held. */
bool ata_master_init(struct ata_master *master, struct pci_device *pci, GError **error);
void ata_master_destroy(struct ata_master *master);
/* For pci_class.iommu_changed. */
bool ata_master_follow(struct ata_master *master, GError **error);

struct ata_sg {
    struct iovec iov[ATA_SG_MAX];
    struct dma_segment segments[ATA_SG_MAX];
    unsigned count;
    uint64_t length; /* bytes, of all pieces */
    bool to_memory;  /* the device writes it */
    /* Private. */
    struct ata_master *master; /* in whose list it is; NULL: in none */
    struct ata_sg *next, *previous;
    bool drains; /* some of it was taken back, and the drain knows */
};

void ata_sg_start(struct ata_sg *sg, bool to_memory);
/* Add guest memory as seen by the device as bus master. How many bytes were added: fewer than
 * `length` if there is no RAM there, or no place for more pieces. */
uint64_t ata_sg_add(struct ata_sg *sg, struct ata_master *master, uint64_t address,
                    uint64_t length);
/* Drop what is past `length` bytes. */
void ata_sg_trim(struct ata_sg *sg, uint64_t length);
/* Copy between the start of a buffer and all of sg, in its direction; length: of the buffer. */
void ata_sg_copy(const struct ata_sg *sg, uint8_t *buffer, uint64_t length);
/* written: bytes from the start that were stored. */
void ata_sg_unmap(struct ata_sg *sg, uint64_t written);

#endif
