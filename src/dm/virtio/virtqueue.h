/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtqueues, split and packed (virtio 1.2, 2.7 and 2.8), as a device sees them: pop what the
 * driver made available, use it, push it back, notify.
 *
 * Threads: a queue belongs to one I/O thread. All functions here are called in that thread, but for
 * virtqueue_kick. A device's handler is called there, too. No lock is taken that others hold for
 * longer than a moment.
 *
 * A driver that breaks the rules (loops, lengths, indexes, addresses of what is not RAM) breaks the
 * device: it needs a reset, and until then virtqueue_pop gives nothing.
 */
#ifndef DUODM_DM_VIRTIO_VIRTQUEUE_H
#define DUODM_DM_VIRTIO_VIRTQUEUE_H

#include "memory/dma.h"

#include <sys/uio.h>

struct event;
struct io_thread;
struct virtio_device;
struct virtqueue;

#define VIRTQUEUE_SIZE_MAX  32768 /* 2.7: of a ring */
#define VIRTQUEUE_CHAIN_MAX 1024  /* descriptors of one buffer, direct and indirect */

/*
 * A buffer that the driver made available. The device reads `out` and writes `in`; both are in
 * guest RAM, which the guest may change at any time: read a value once, then check it.
 */
struct virtqueue_element {
    struct virtqueue *queue;
    struct iovec *out, *in;         /* what the driver wrote; what it wants written. Pieces of RAM:
                                       may be more than the driver had descriptors, or IOV_MAX */
    unsigned out_count, in_count;   /* of iovecs */
    uint64_t out_length, in_length; /* bytes */
    /* Private. */
    uint16_t id;               /* head's index (split) or buffer ID (packed) */
    uint16_t descriptor_count; /* places in the ring that it takes */
    unsigned capacity;         /* of iovecs and segments */
    struct iovec *iovecs;      /* out, then in */
    struct dma_segment *segments;
    struct virtqueue_element *next, *previous; /* among the free ones, or those in flight */
    /* Of a watched queue, under its lock: */
    bool linked;                                  /* in the list of those in flight */
    bool parked;                                  /* virtqueue_park */
    bool revoked;                                 /* some of its memory was taken back */
    bool drains;                                  /* the IOMMU's guest waits for it */
    uint64_t data[] __attribute__((aligned(16))); /* of the device: virtio_add_queue's data_size */
};

/* The device's own part of an element; zero when it is popped. */
static inline void *virtqueue_element_data(struct virtqueue_element *element)
{
    return element->data;
}

/*
 * What a device does when the driver notifies a queue. Driver notifications are off meanwhile.
 * True: took all that there was; the core asks for notifications again and looks once more. False:
 * left some, and will call virtqueue_kick when it can go on.
 */
typedef bool (*virtqueue_handler_fn)(struct virtqueue *queue);

struct virtqueue {
    struct virtio_device *device;
    unsigned index;           /* among the device's */
    struct io_thread *thread; /* where it lives */
    virtqueue_handler_fn handle;
    void *opaque; /* the device's */

    /* What the driver set up. Under the device's guard; changes only while the queue is stopped. */
    uint16_t size, size_max; /* descriptors */
    bool enabled;
    gpa_t descriptor_area, driver_area, device_area;
    uint16_t vector; /* MSI-X; VIRTIO_NO_VECTOR: none */

    /* Private: of the thread, while the queue runs. */
    bool running; /* pop gives something */
    bool packed, event_index;
    bool notifications;  /* the driver is asked to notify */
    bool available_wrap; /* packed: wrap counters, 2.8.1 */
    bool used_wrap;
    uint16_t available_next;   /* where the next available descriptor is looked for */
    uint16_t available_seen;   /* split: the driver's index as it was last read */
    uint16_t used_next;        /* where the next used descriptor goes */
    uint64_t budget;           /* buffers that may be popped before others have their turn */
    uint16_t unsignalled;      /* places pushed since the driver was last (considered to be) told */
    uint16_t in_flight;        /* atomic; places popped and not pushed */
    struct dma_window ring[3]; /* descriptor, driver and device area */
    struct virtqueue_element *free;
    /*
     * Behind an IOMMU, so that memory may be taken back at any time (virtqueue-watch.c): then the
     * lock is held around each use of the rings, which includes all translation; it protects the
     * windows and the list. Changes while the queue is stopped, under the lock.
     */
    bool watched;
    pthread_mutex_t lock; /* leaf, but for the IOMMU's leaves */
    struct virtqueue_element *in_flight_first;
    size_t data_size;
    int kick_fd; /* eventfd: the driver's notification, and virtqueue_kick */
    struct event *kick;
};

/*
 * The next available buffer, or NULL: there is none (or the queue is stopped, or the device
 * broken). It is the caller's until pushed or given back.
 */
struct virtqueue_element *virtqueue_pop(struct virtqueue *queue);
/* Is there nothing to pop? A racy look. */
bool virtqueue_is_empty(struct virtqueue *queue);
/* Used: the driver gets it with the number of bytes that were written to its `in`, from the start.
 * The element is gone. The driver is not told: virtqueue_notify. */
void virtqueue_push(struct virtqueue_element *element, uint64_t written);
/* The same for several, which the driver sees all at once. */
void virtqueue_push_all(struct virtqueue *queue, struct virtqueue_element *const *elements,
                        const uint64_t *written, unsigned count);
/* Back to where it was, as if it had not been popped: only the last one popped, and nothing was
 * written to it. */
void virtqueue_unpop(struct virtqueue_element *element);
/*
 * An element that waits for something that a stopped machine may bring (a disk with space again) is
 * parked: it holds up no stop, and is not to be touched until unparked. False: it has to stay so,
 * the device is broken. One whose queue is stopped can be forgotten: the device was reset, the
 * driver never gets it.
 */
void virtqueue_park(struct virtqueue_element *element);
bool virtqueue_unpark(struct virtqueue_element *element) __attribute__((warn_unused_result));
void virtqueue_forget(struct virtqueue_element *element); /* a parked one; guard or thread */
/*
 * For saved state: a parked element as bytes, and one of them again, parked, in another process.
 * The machine is paused. Save: false, and nothing, for one that has to stay parked. Load: NULL if
 * the bytes can't be an element of the queue; *data and *length go past what was read.
 */
bool virtqueue_save_parked(const struct virtqueue_element *element, GByteArray *bytes);
struct virtqueue_element *virtqueue_load_parked(struct virtqueue *queue, const uint8_t **data,
                                                size_t *length);
/* Interrupt, if the driver wants one for what was pushed since the last time. */
void virtqueue_notify(struct virtqueue *queue);
/* Have the handler called, in the queue's thread. Any thread; async-signal-safe. */
void virtqueue_kick(struct virtqueue *queue);

/* Copy between an element and a buffer; returns the bytes copied, fewer at the end of the element.
 * offset counts from the start of out, or of in. */
uint64_t virtqueue_read(const struct virtqueue_element *element, uint64_t offset, void *buffer,
                        uint64_t length);
uint64_t virtqueue_write(const struct virtqueue_element *element, uint64_t offset,
                         const void *buffer, uint64_t length);
/* The same on any vector of guest memory. */
uint64_t iovec_read(const struct iovec *iov, unsigned count, uint64_t offset, void *buffer,
                    uint64_t length);
uint64_t iovec_write(const struct iovec *iov, unsigned count, uint64_t offset, const void *buffer,
                     uint64_t length);

#endif
