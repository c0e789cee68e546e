/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Split virtqueues, virtio 1.2, 2.7: descriptor table, available ring, used ring. */
#include "dm/virtio/virtqueue-private.h"

/* Offsets in the available and in the used ring. */
#define RING_FLAGS 0
#define RING_INDEX 2
#define RING_START 4

#define AVAILABLE_NO_INTERRUPT 0x1u
#define USED_NO_NOTIFY         0x1u

static uint64_t available_entry(uint16_t place)
{
    return RING_START + 2 * (uint64_t)place;
}

static uint64_t used_entry(uint16_t place)
{
    return RING_START + 8 * (uint64_t)place;
}

/* used_event is behind the available ring, avail_event behind the used one: 2.7.7, 2.7.10. */
static uint64_t used_event(const struct virtqueue *queue)
{
    return available_entry(queue->size);
}

static uint64_t available_event(const struct virtqueue *queue)
{
    return used_entry(queue->size);
}

static uint16_t place_of(const struct virtqueue *queue, uint16_t index)
{
    return index & (queue->size - 1);
}

/* Read the driver's index. False: broken. */
static bool look_at_index(struct virtqueue *queue)
{
    if (!ring_load16(queue, RING_DRIVER, RING_INDEX, &queue->available_seen)) {
        queue->available_seen = queue->available_next;
        return false;
    }
    if (G_UNLIKELY((uint16_t)(queue->available_seen - queue->available_next) > queue->size)) {
        queue->available_seen = queue->available_next;
        return virtio_break(queue->device, "the available index jumped");
    }
    ring_acquire();
    return true;
}

static bool split_is_empty(struct virtqueue *queue)
{
    return queue->available_seen == queue->available_next &&
           (!look_at_index(queue) || queue->available_seen == queue->available_next);
}

/* All descriptors from head on. */
static bool collect(struct virtqueue *queue, struct virtqueue_element *element, uint16_t head)
{
    unsigned count = 0;
    uint16_t at = head;

    for (;;) {
        struct descriptor descriptor;
        const void *host;

        if (G_UNLIKELY(at >= queue->size)) {
            return virtio_break(queue->device, "a descriptor's index is past the end of the table");
        }
        if (G_UNLIKELY(count >= queue->size)) {
            return virtio_break(queue->device, "a loop of descriptors");
        }
        host = ring_at(queue, RING_DESCRIPTORS, (uint64_t)at * DESCRIPTOR_SIZE, DESCRIPTOR_SIZE);
        if (!host) {
            return false;
        }
        descriptor = ring_descriptor_read(host, false);
        if (!chain_count(queue, &count)) {
            return false;
        }
        if (descriptor.flags & DESCRIPTOR_INDIRECT) {
            return element_add_table(element, &descriptor, false);
        }
        if (!element_add(element, &descriptor)) {
            return false;
        }
        if (!(descriptor.flags & DESCRIPTOR_NEXT)) {
            return true;
        }
        at = descriptor.next;
    }
}

static bool split_pop(struct virtqueue *queue, struct virtqueue_element *element)
{
    uint16_t head;

    if (split_is_empty(queue)) {
        return false;
    }
    if (G_UNLIKELY(queue->in_flight >= queue->size)) {
        return virtio_break(queue->device, "more buffers are available than there are descriptors");
    }
    if (!ring_load16(queue, RING_DRIVER, available_entry(place_of(queue, queue->available_next)),
                     &head) ||
        !collect(queue, element, head)) {
        return false;
    }
    queue->available_next++;
    element->id = head;
    element->descriptor_count = 1; /* a place in the rings */
    if (queue->event_index && queue->notifications) {
        ring_store16(queue, RING_DEVICE, available_event(queue), queue->available_next);
    }
    return true;
}

static void split_unpop(struct virtqueue *queue, const struct virtqueue_element *element)
{
    queue->available_next--;
}

static void split_push(struct virtqueue *queue, struct virtqueue_element *const *elements,
                       const uint64_t *written, unsigned count)
{
    uint16_t next = queue->used_next;

    for (unsigned i = 0; i < count; i++, next++) {
        uint64_t offset = used_entry(place_of(queue, next));
        uint32_t length = (uint32_t)MIN(written[i], UINT32_MAX);
        uint8_t *at = ring_at(queue, RING_DEVICE, offset, 4);

        if (!at) {
            return;
        }
        host_store_aligned(at, 4, elements[i]->id);
        at = ring_at(queue, RING_DEVICE, offset + 4, 4);
        if (!at) {
            return;
        }
        host_store_aligned(at, 4, length);
        ring_set_dirty(queue, RING_DEVICE, offset, 8);
    }
    ring_release();
    queue->used_next = next;
    queue->unsignalled = (uint16_t)MIN(queue->unsignalled + count, UINT16_MAX);
    ring_store16(queue, RING_DEVICE, RING_INDEX, next);
}

static void split_set_notifications(struct virtqueue *queue, bool on)
{
    if (!queue->event_index) {
        ring_store16(queue, RING_DEVICE, RING_FLAGS, on ? 0 : USED_NO_NOTIFY);
    } else if (on) {
        ring_store16(queue, RING_DEVICE, available_event(queue), queue->available_next);
    }
}

static bool split_wants_interrupt(struct virtqueue *queue)
{
    uint16_t value;

    if (queue->event_index) {
        return ring_load16(queue, RING_DRIVER, used_event(queue), &value) &&
               ring_passes(value, queue->used_next,
                           (uint16_t)(queue->used_next - queue->unsignalled));
    }
    return ring_load16(queue, RING_DRIVER, RING_FLAGS, &value) && !(value & AVAILABLE_NO_INTERRUPT);
}

const struct ring_ops split_ring_ops = {
    .is_empty = split_is_empty,
    .pop = split_pop,
    .unpop = split_unpop,
    .push = split_push,
    .set_notifications = split_set_notifications,
    .wants_interrupt = split_wants_interrupt,
};
