/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory that an IOMMU takes back from a device (iommu/iommu-watch.h). A driver takes back what it
 * has got back from the device; then nothing is to be done but to look rings up anew. One that
 * takes back the memory of a request under way breaks the device: the request ends as it may, the
 * IOMMU's invalidation is not complete before, and nothing else begins.
 */
#include "dm/virtio/virtqueue-private.h"

void element_link(struct virtqueue_element *element)
{
    struct virtqueue *queue = element->queue;

    element->linked = true;
    element->parked = element->revoked = element->drains = false;
    element->previous = NULL;
    element->next = queue->in_flight_first;
    if (element->next) {
        element->next->previous = element;
    }
    queue->in_flight_first = element;
}

/* Nobody has to wait for it any more. Under the lock. */
static void end_drain(struct virtqueue_element *element)
{
    if (element->drains) {
        element->drains = false;
        iommu_drain_remove(element->queue->device->drain);
    }
}

void element_unlink(struct virtqueue_element *element)
{
    struct virtqueue *queue = element->queue;

    if (!element->linked) {
        return;
    }
    pthread_mutex_lock(&queue->lock);
    element->linked = false;
    if (element->previous) {
        element->previous->next = element->next;
    } else {
        queue->in_flight_first = element->next;
    }
    if (element->next) {
        element->next->previous = element->previous;
    }
    end_drain(element);
    pthread_mutex_unlock(&queue->lock);
}

void virtqueue_park(struct virtqueue_element *element)
{
    struct virtqueue *queue = element->queue;

    if (element->linked) {
        pthread_mutex_lock(&queue->lock);
        element->parked = true;
        end_drain(element);
        pthread_mutex_unlock(&queue->lock);
    }
    virtqueue_set_in_flight(queue, queue->in_flight - element->descriptor_count);
}

bool virtqueue_unpark(struct virtqueue_element *element)
{
    struct virtqueue *queue = element->queue;
    bool revoked = false;

    if (element->linked) {
        pthread_mutex_lock(&queue->lock);
        revoked = element->revoked;
        element->parked = revoked;
        pthread_mutex_unlock(&queue->lock);
    }
    if (!revoked) {
        virtqueue_set_in_flight(queue, queue->in_flight + element->descriptor_count);
    }
    return !revoked;
}

/* Does an element's memory that lies in range still lie where it did? */
static bool is_current(const struct virtqueue_element *element, struct range range)
{
    struct virtio_device *device = element->queue->device;

    for (unsigned i = 0; i < element->out_count + element->in_count; i++) {
        if (!dma_segment_is_current(&element->segments[i], element->iovecs[i].iov_len, range,
                                    virtio_dma_space(device), i >= element->out_count,
                                    virtio_dma_attributes(device))) {
            return false;
        }
    }
    return true;
}

bool virtqueue_revoke(struct virtqueue *queue, struct range range)
{
    bool good = true;

    memory_rcu_read_lock();
    pthread_mutex_lock(&queue->lock);
    for (unsigned i = 0; queue->watched && i < G_N_ELEMENTS(queue->ring); i++) {
        dma_window_forget(&queue->ring[i], range);
    }
    for (struct virtqueue_element *element = queue->in_flight_first; element;
         element = element->next) {
        if (element->revoked || is_current(element, range)) {
            continue;
        }
        good = false;
        element->revoked = true;
        if (!element->parked) {
            element->drains = true;
            iommu_drain_add(queue->device->drain);
        }
    }
    pthread_mutex_unlock(&queue->lock);
    memory_rcu_read_unlock();
    return good;
}
