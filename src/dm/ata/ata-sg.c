/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/ata/ata-sg.h"
#include "dm/pci/pci-iommu.h"
#include "dm/pci/pci.h"

#include <string.h>

/* ---- What an IOMMU takes back ---- */

static struct memory_attributes attributes_of(const struct ata_master *master)
{
    return (struct memory_attributes){.requester = pci_requester_id(master->pci),
                                      .from_device = true};
}

/* Does all of it that lies in range still lie where it did? */
static bool is_current(const struct ata_sg *sg, struct range range)
{
    for (unsigned i = 0; i < sg->count; i++) {
        if (!dma_segment_is_current(&sg->segments[i], sg->iov[i].iov_len, range,
                                    &sg->master->pci->dma, sg->to_memory,
                                    attributes_of(sg->master))) {
            return false;
        }
    }
    return true;
}

static void memory_changed(struct iommu_watch *watch, struct range range)
{
    struct ata_master *master =
        (struct ata_master *)((char *)watch - offsetof(struct ata_master, watch));

    memory_rcu_read_lock();
    pthread_mutex_lock(&master->lock);
    for (struct ata_sg *sg = master->first; sg; sg = sg->next) {
        if (!sg->drains && !is_current(sg, range)) {
            sg->drains = true;
            iommu_drain_add(master->drain);
        }
    }
    pthread_mutex_unlock(&master->lock);
    memory_rcu_read_unlock();
}

bool ata_master_follow(struct ata_master *master, GError **error)
{
    iommu_watch_stop(&master->watch);
    master->drain = pci_device_drain(master->pci);
    return !master->drain || iommu_watch_start(&master->watch, &master->pci->dma, error);
}

bool ata_master_init(struct ata_master *master, struct pci_device *pci, GError **error)
{
    master->pci = pci;
    master->watch.changed = memory_changed;
    pthread_mutex_init(&master->lock, NULL);
    return ata_master_follow(master, error);
}

void ata_master_destroy(struct ata_master *master)
{
    iommu_watch_stop(&master->watch);
    pthread_mutex_destroy(&master->lock);
}

/* The lock is held. */
static void link_sg(struct ata_sg *sg, struct ata_master *master)
{
    sg->master = master;
    sg->previous = NULL;
    sg->next = master->first;
    if (sg->next) {
        sg->next->previous = sg;
    }
    master->first = sg;
}

/* Nothing of it is in use any more. */
static void unlink_sg(struct ata_sg *sg)
{
    struct ata_master *master = sg->master;

    if (!master) {
        return;
    }
    pthread_mutex_lock(&master->lock);
    if (sg->previous) {
        sg->previous->next = sg->next;
    } else {
        master->first = sg->next;
    }
    if (sg->next) {
        sg->next->previous = sg->previous;
    }
    sg->master = NULL;
    if (sg->drains) {
        sg->drains = false;
        iommu_drain_remove(master->drain);
    }
    pthread_mutex_unlock(&master->lock);
}

/* ---- A part ---- */

void ata_sg_start(struct ata_sg *sg, bool to_memory)
{
    sg->count = 0;
    sg->length = 0;
    sg->to_memory = to_memory;
}

static uint64_t add_pieces(struct ata_sg *sg, struct ata_master *master, uint64_t address,
                           uint64_t length)
{
    uint64_t done = 0;

    while (done < length && sg->count < ATA_SG_MAX) {
        uint64_t piece = length - done;
        struct dma_segment *segment = &sg->segments[sg->count];
        const struct dma_segment *previous = sg->count ? segment - 1 : NULL;
        void *host = dma_segment_map(&master->pci->dma, address + done, &piece, sg->to_memory,
                                     attributes_of(master), previous, segment, NULL);

        if (!host) {
            break;
        }
        sg->iov[sg->count++] = (struct iovec){host, piece};
        done += piece;
    }
    sg->length += done;
    return done;
}

uint64_t ata_sg_add(struct ata_sg *sg, struct ata_master *master, uint64_t address, uint64_t length)
{
    uint64_t done;

    if (address + length < address) {
        return 0;
    }
    memory_rcu_read_lock();
    if (!master->drain) {
        done = add_pieces(sg, master, address, length);
    } else {
        pthread_mutex_lock(&master->lock);
        done = add_pieces(sg, master, address, length);
        if (done && !sg->master) {
            link_sg(sg, master);
        }
        pthread_mutex_unlock(&master->lock);
    }
    memory_rcu_read_unlock();
    return done;
}

static void drop_last(struct ata_sg *sg, uint64_t written)
{
    dma_segment_unmap(&sg->segments[sg->count - 1], written);
    if (--sg->count == 0) {
        unlink_sg(sg);
    }
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
        drop_last(sg, 0);
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
        uint64_t length = sg->iov[sg->count - 1].iov_len;

        start -= length;
        drop_last(sg, written > start ? MIN(written - start, length) : 0);
    }
    sg->length = 0;
}
