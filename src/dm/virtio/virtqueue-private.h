/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the queues: virtqueue.c has what both ring formats share, virtqueue-split.c and
 * virtqueue-packed.c what they differ in. */
#ifndef DUODM_DM_VIRTIO_VIRTQUEUE_PRIVATE_H
#define DUODM_DM_VIRTIO_VIRTQUEUE_PRIVATE_H

#include "dm/virtio/virtio.h"
#include "memory/host-access.h"

enum ring_area { RING_DESCRIPTORS, RING_DRIVER, RING_DEVICE };

/* Descriptors have the same form in both rings, but for the last four bytes (2.7.5, 2.8.13). */
#define DESCRIPTOR_SIZE     16
#define DESCRIPTOR_NEXT     0x1u
#define DESCRIPTOR_WRITE    0x2u
#define DESCRIPTOR_INDIRECT 0x4u

struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags;
    uint16_t next; /* packed: buffer ID */
};

/* Around each use of the rings; the windows are up to date inside. */
static inline void ring_enter(struct virtqueue *queue)
{
    memory_rcu_read_lock();
    if (G_UNLIKELY(queue->watched)) {
        pthread_mutex_lock(&queue->lock);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(queue->ring); i++) {
        dma_window_refresh(&queue->ring[i]);
    }
}

static inline void ring_leave(struct virtqueue *queue)
{
    if (G_UNLIKELY(queue->watched)) {
        pthread_mutex_unlock(&queue->lock);
    }
    memory_rcu_read_unlock();
}

/* virtqueue-watch.c: elements in flight of a watched queue. */
void element_link(struct virtqueue_element *element); /* in ring_enter */
void element_unlink(struct virtqueue_element *element);
/* What addresses in range of the device lead to has changed: forget, and revoke what is in flight
 * there. False: something was, and the device has to be stopped. Leaf locks only. */
bool virtqueue_revoke(struct virtqueue *queue, struct range range);

/* Places of the ring: loads and stores of ring memory, in one piece each. The rings' windows were
 * refreshed in the present read lock. NULL pointers (no RAM there) break the device. */
void *ring_at(struct virtqueue *queue, enum ring_area area, uint64_t offset, unsigned size);

static inline void ring_set_dirty(struct virtqueue *queue, enum ring_area area, uint64_t offset,
                                  unsigned size)
{
    dma_window_set_dirty(&queue->ring[area], offset, size);
}

/* False: broken. */
static inline bool ring_load16(struct virtqueue *queue, enum ring_area area, uint64_t offset,
                               uint16_t *value)
{
    const void *at = ring_at(queue, area, offset, 2);

    *value = at ? (uint16_t)host_load_aligned(at, 2) : 0;
    return at != NULL;
}

static inline void ring_store16(struct virtqueue *queue, enum ring_area area, uint64_t offset,
                                uint16_t value)
{
    void *at = ring_at(queue, area, offset, 2);

    if (at) {
        host_store_aligned(at, 2, value);
        ring_set_dirty(queue, area, offset, 2);
    }
}

/* After the ring's contents, before the index or flag that publishes them: stores stay in order
 * (and loads of what was published come after the load of the index). */
static inline void ring_release(void)
{
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void ring_acquire(void)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
}

/* Between a store that the driver looks at and a load of what it stores. */
static inline void ring_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Would a step from old to new go past event? 2.7.7.2 / 2.8.10. */
static inline bool ring_passes(uint16_t event, uint16_t new, uint16_t old)
{
    return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

/* Read the descriptor at a host address (16 bytes, 16-byte aligned or not). In packed rings, flags
 * come last. */
struct descriptor ring_descriptor_read(const void *at, bool packed);

/* Building an element from descriptors. False: the device is broken. */
bool element_add(struct virtqueue_element *element, const struct descriptor *descriptor);
/* All entries of an indirect table. packed: entries in order, without next. */
bool element_add_table(struct virtqueue_element *element, const struct descriptor *table,
                       bool packed);
/* Count one more descriptor of a buffer against VIRTQUEUE_CHAIN_MAX. */
bool chain_count(struct virtqueue *queue, unsigned *count);

/* One ring format. */
struct ring_ops {
    /* Is a buffer available? Fresh: look into memory even if the last look saw more. */
    bool (*is_empty)(struct virtqueue *queue);
    /* Fill an element from the next buffer and step past it. False: none, or broken. */
    bool (*pop)(struct virtqueue *queue, struct virtqueue_element *element);
    void (*unpop)(struct virtqueue *queue, const struct virtqueue_element *element);
    /* Put used elements into the ring and publish them together. */
    void (*push)(struct virtqueue *queue, struct virtqueue_element *const *elements,
                 const uint64_t *written, unsigned count);
    void (*set_notifications)(struct virtqueue *queue, bool on);
    bool (*wants_interrupt)(struct virtqueue *queue);
};
extern const struct ring_ops split_ring_ops, packed_ring_ops;

/* Sizes of the areas of a ring, bytes. */
uint64_t ring_area_size(enum ring_area area, bool packed, unsigned size);
unsigned ring_area_alignment(enum ring_area area, bool packed);

/* Places popped and not pushed; who waits for 0 is told. */
void virtqueue_set_in_flight(struct virtqueue *queue, unsigned in_flight);

/* For virtio.c. Make and free what a queue has besides the driver's part; in the main loop. */
bool virtqueue_init(struct virtqueue *queue, GError **error);
void virtqueue_destroy(struct virtqueue *queue);
/* Can the queue be used as the driver set it up? False and a reason if not. */
const char *virtqueue_check(const struct virtqueue *queue, bool packed);
/* Begin and end of the time in which pop works. In the queue's thread. */
void virtqueue_start(struct virtqueue *queue);
void virtqueue_stop(struct virtqueue *queue);

#endif
