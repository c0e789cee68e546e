/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packed virtqueues, virtio 1.2, 2.8: one ring that both sides write, and an event suppression
 * structure of each. */
#include "dm/virtio/virtqueue-private.h"

/* Offsets in a descriptor. */
#define DESCRIPTOR_LENGTH 8
#define DESCRIPTOR_ID     12
#define DESCRIPTOR_FLAGS  14

#define FLAG_AVAILABLE 0x0080u
#define FLAG_USED      0x8000u

/* The event suppression structure, 2.8.14. */
#define EVENT_PLACE   0
#define EVENT_FLAGS   2
#define EVENT_ENABLE  0
#define EVENT_DISABLE 1
#define EVENT_AT      2
#define EVENT_WRAP    0x8000u

static uint64_t place_offset(uint16_t place)
{
    return (uint64_t)place * DESCRIPTOR_SIZE;
}

static bool flags_are_available(uint16_t flags, bool wrap)
{
    return !!(flags & FLAG_AVAILABLE) == wrap && !!(flags & FLAG_USED) != wrap;
}

static bool packed_is_empty(struct virtqueue *queue)
{
    uint16_t flags;

    if (!ring_load16(queue, RING_DESCRIPTORS,
                     place_offset(queue->available_next) + DESCRIPTOR_FLAGS, &flags)) {
        return true;
    }
    ring_acquire();
    return !flags_are_available(flags, queue->available_wrap);
}

static bool packed_pop(struct virtqueue *queue, struct virtqueue_element *element)
{
    uint16_t at = queue->available_next;
    struct descriptor descriptor;
    unsigned count = 0;

    if (packed_is_empty(queue)) {
        return false;
    }
    do {
        const void *host = ring_at(queue, RING_DESCRIPTORS, place_offset(at), DESCRIPTOR_SIZE);

        if (!host || !chain_count(queue, &count)) {
            return false;
        }
        if (G_UNLIKELY(count + queue->in_flight > queue->size)) {
            return virtio_break(queue->device, "a buffer is longer than what is free of the ring");
        }
        descriptor = ring_descriptor_read(host, true);
        if (descriptor.flags & DESCRIPTOR_INDIRECT) {
            if (G_UNLIKELY(count > 1)) { /* 2.8.8: not within a chain */
                return virtio_break(queue->device, "an indirect table within a chain");
            }
            if (!element_add_table(element, &descriptor, true)) {
                return false;
            }
        } else if (!element_add(element, &descriptor)) {
            return false;
        }
        at = at + 1 == queue->size ? 0 : at + 1;
    } while (descriptor.flags & DESCRIPTOR_NEXT);
    queue->available_wrap ^= at <= queue->available_next;
    queue->available_next = at;
    element->id = descriptor.next; /* the last one has it: 2.8.6 */
    element->descriptor_count = (uint16_t)count;
    return true;
}

static void packed_unpop(struct virtqueue *queue, const struct virtqueue_element *element)
{
    if (element->descriptor_count > queue->available_next) {
        queue->available_next += queue->size;
        queue->available_wrap = !queue->available_wrap;
    }
    queue->available_next -= element->descriptor_count;
}

/* Where the next element goes after one that took `places`. */
static void step_used(struct virtqueue *queue, unsigned places)
{
    unsigned next = queue->used_next + places;

    if (next >= queue->size) {
        next -= queue->size;
        queue->used_wrap = !queue->used_wrap;
    }
    queue->used_next = (uint16_t)next;
}

static uint16_t used_flags(const struct virtqueue *queue, const struct virtqueue_element *element)
{
    return (uint16_t)((queue->used_wrap ? FLAG_AVAILABLE | FLAG_USED : 0) |
                      (element->in_count ? DESCRIPTOR_WRITE : 0));
}

/* The driver looks at the first of several: its flags go last. */
static void packed_push(struct virtqueue *queue, struct virtqueue_element *const *elements,
                        const uint64_t *written, unsigned count)
{
    uint64_t first_offset = place_offset(queue->used_next);
    uint16_t first_flags = used_flags(queue, elements[0]);

    for (unsigned i = 0; i < count; i++) {
        uint64_t offset = place_offset(queue->used_next);
        uint8_t *at = ring_at(queue, RING_DESCRIPTORS, offset, DESCRIPTOR_SIZE);

        if (!at) {
            return;
        }
        host_store_aligned(at + DESCRIPTOR_LENGTH, 4, MIN(written[i], UINT32_MAX));
        host_store_aligned(at + DESCRIPTOR_ID, 2, elements[i]->id);
        if (i > 0) {
            ring_release();
            host_store_aligned(at + DESCRIPTOR_FLAGS, 2, used_flags(queue, elements[i]));
        }
        ring_set_dirty(queue, RING_DESCRIPTORS, offset, DESCRIPTOR_SIZE);
        step_used(queue, elements[i]->descriptor_count);
        queue->unsignalled =
            (uint16_t)MIN(queue->unsignalled + elements[i]->descriptor_count, UINT16_MAX);
    }
    ring_release();
    ring_store16(queue, RING_DESCRIPTORS, first_offset + DESCRIPTOR_FLAGS, first_flags);
}

static void packed_set_notifications(struct virtqueue *queue, bool on)
{
    if (!on || !queue->event_index) {
        ring_store16(queue, RING_DEVICE, EVENT_FLAGS, on ? EVENT_ENABLE : EVENT_DISABLE);
        return;
    }
    ring_store16(queue, RING_DEVICE, EVENT_PLACE,
                 (uint16_t)(queue->available_next | (queue->available_wrap ? EVENT_WRAP : 0)));
    ring_release();
    ring_store16(queue, RING_DEVICE, EVENT_FLAGS, EVENT_AT);
}

static bool packed_wants_interrupt(struct virtqueue *queue)
{
    uint16_t flags, place;

    if (!ring_load16(queue, RING_DRIVER, EVENT_FLAGS, &flags)) {
        return false;
    }
    if (flags != EVENT_AT || !queue->event_index) {
        return flags != EVENT_DISABLE;
    }
    ring_acquire();
    if (!ring_load16(queue, RING_DRIVER, EVENT_PLACE, &place)) {
        return false;
    }
    /* Places of the lap before count down from 0. */
    if (!!(place & EVENT_WRAP) != queue->used_wrap) {
        place = (uint16_t)((place & ~EVENT_WRAP) - queue->size);
    } else {
        place &= (uint16_t)~EVENT_WRAP;
    }
    return ring_passes(place, queue->used_next, (uint16_t)(queue->used_next - queue->unsignalled));
}

const struct ring_ops packed_ring_ops = {
    .is_empty = packed_is_empty,
    .pop = packed_pop,
    .unpop = packed_unpop,
    .push = packed_push,
    .set_notifications = packed_set_notifications,
    .wants_interrupt = packed_wants_interrupt,
};
