/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/ata/ata-sg.h"
#include "dm/pci/pci.h"

#include <string.h>

void ata_sg_start(struct ata_sg *sg, bool to_memory)
{
    sg->count = 0;
    sg->length = 0;
    sg->to_memory = to_memory;
}

uint64_t ata_sg_add(struct ata_sg *sg, struct pci_device *master, uint64_t address, uint64_t length)
{
    struct memory_attributes attributes = {.requester = pci_requester_id(master),
                                           .from_device = true};
    uint64_t done = 0;

    if (address + length < address) {
        return 0;
    }
    memory_rcu_read_lock();
    while (done < length && sg->count < ATA_SG_MAX) {
        uint64_t piece = length - done;
        struct dma_segment *segment = &sg->segments[sg->count];
        const struct dma_segment *previous = sg->count ? segment - 1 : NULL;
        void *host = dma_segment_map(&master->dma, address + done, &piece, sg->to_memory,
                                     attributes, previous, segment);

        if (!host) {
            break;
        }
        sg->iov[sg->count++] = (struct iovec){host, piece};
        done += piece;
    }
    memory_rcu_read_unlock();
    sg->length += done;
    return done;
}

void ata_sg_trim(struct ata_sg *sg, uint64_t length)
{
    while (sg->length > length) {
        struct iovec *last = &sg->iov[sg->count - 1];
        uint64_t excess = sg->length - length;

        if (excess < last->iov_len) {
            last->iov_len -= excess;
            sg->length = length;
            return;
        }
        sg->length -= last->iov_len;
        dma_segment_unmap(&sg->segments[--sg->count], 0);
    }
}

void ata_sg_copy(const struct ata_sg *sg, uint8_t *buffer, uint64_t length)
{
    for (unsigned i = 0; i < sg->count && length; i++) {
        uint64_t piece = MIN(length, sg->iov[i].iov_len);

        if (sg->to_memory) {
            memcpy(sg->iov[i].iov_base, buffer, piece);
        } else {
            memcpy(buffer, sg->iov[i].iov_base, piece);
        }
        buffer += piece;
        length -= piece;
    }
}

void ata_sg_unmap(struct ata_sg *sg, uint64_t written)
{
    uint64_t start = sg->length;

    while (sg->count) {
        uint64_t length = sg->iov[--sg->count].iov_len;

        start -= length;
        dma_segment_unmap(&sg->segments[sg->count],
                          written > start ? MIN(written - start, length) : 0);
    }
    sg->length = 0;
}
