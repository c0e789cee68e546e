/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest memory of one part of a DMA transfer, as iovecs straight into RAM. */
#ifndef DUODM_DM_ATA_ATA_SG_H
#define DUODM_DM_ATA_ATA_SG_H

#include "memory/dma.h"

#include <sys/uio.h>

struct pci_device;

#define ATA_SG_MAX 256u /* pieces of one part */

struct ata_sg {
    struct iovec iov[ATA_SG_MAX];
    struct dma_segment segments[ATA_SG_MAX];
    unsigned count;
    uint64_t length; /* bytes, of all pieces */
    bool to_memory;  /* the device writes it */
};

void ata_sg_start(struct ata_sg *sg, bool to_memory);
/* Add guest memory as seen by the device as bus master. How many bytes were added: fewer than
 * `length` if there is no RAM there, or no place for more pieces. */
uint64_t ata_sg_add(struct ata_sg *sg, struct pci_device *master, uint64_t address,
                    uint64_t length);
/* Drop what is past `length` bytes. */
void ata_sg_trim(struct ata_sg *sg, uint64_t length);
/* Copy between the start of a buffer and all of sg, in its direction; length: of the buffer. */
void ata_sg_copy(const struct ata_sg *sg, uint8_t *buffer, uint64_t length);
/* written: bytes from the start that were stored. */
void ata_sg_unmap(struct ata_sg *sg, uint64_t written);

#endif
