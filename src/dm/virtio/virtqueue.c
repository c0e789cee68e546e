/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What split and packed rings share: elements, the handler's loop, notifications. Hot path. */
#include "dm/virtio/virtqueue-private.h"
#include "dm/io-thread.h"
#include "util/error.h"
#include "util/little-endian.h"
#include "util/trace.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CAPACITY_MIN  8
#define CAPACITY_KEPT 64         /* a free element keeps arrays up to that */
#define TURN_BUFFERS  1024       /* popped in a row before others of the thread have their turn */
#define IOVECS_MAX    (1u << 16) /* pieces of RAM of one element */

static const struct ring_ops *ops_of(const struct virtqueue *queue)
{
    return queue->packed ? &packed_ring_ops : &split_ring_ops;
}

/* Rings. */

uint64_t ring_area_size(enum ring_area area, bool packed, unsigned size)
{
    switch (area) {
    case RING_DESCRIPTORS:
        return (uint64_t)DESCRIPTOR_SIZE * size;
    case RING_DRIVER:
        return packed ? 4 : 6 + 2 * size; /* 2.8.14; 2.7.6: flags, idx, ring, used_event */
    default:
        return packed ? 4 : 6 + 8 * size;
    }
}

unsigned ring_area_alignment(enum ring_area area, bool packed)
{
    switch (area) {
    case RING_DESCRIPTORS:
        return 16;
    case RING_DRIVER:
        return packed ? 4 : 2;
    default:
        return 4;
    }
}

void *ring_at(struct virtqueue *queue, enum ring_area area, uint64_t offset, unsigned size)
{
    void *at = dma_window_at(&queue->ring[area], offset, size);

    if (G_UNLIKELY(!at)) {
        virtio_break(queue->device, "its ring is not in RAM");
    }
    return at;
}

struct descriptor ring_descriptor_read(const void *at, bool packed)
{
    uint64_t address, rest;

    if (G_LIKELY(host_is_aligned(at, 8))) {
        address = host_load_aligned(at, 8);
        rest = host_load_aligned((const uint8_t *)at + 8, 8);
    } else {
        address = host_load(at, 8);
        rest = host_load((const uint8_t *)at + 8, 8);
    }
    return (struct descriptor){
        .address = address,
        .length = (uint32_t)rest,
        .flags = (uint16_t)(rest >> (packed ? 48 : 32)),
        .next = (uint16_t)(rest >> (packed ? 32 : 48)),
    };
}

/* Elements. */

static void resize_arrays(struct virtqueue_element *element, unsigned capacity)
{
    element->capacity = capacity;
    element->iovecs = g_renew(struct iovec, element->iovecs, capacity);
    element->segments = g_renew(struct dma_segment, element->segments, capacity);
}

static struct virtqueue_element *element_new(struct virtqueue *queue)
{
    struct virtqueue_element *element = queue->free;

    if (G_LIKELY(element != NULL)) {
        queue->free = element->next;
    } else {
        element = g_malloc0(sizeof(*element) + queue->data_size);
        element->queue = queue;
        resize_arrays(element, CAPACITY_MIN);
    }
    element->out_count = element->in_count = 0;
    element->out_length = element->in_length = 0;
    return element;
}

/* Let go of the memory; `written` bytes of in were stored. The element is free for the next. */
static void element_release(struct virtqueue_element *element, uint64_t written)
{
    struct virtqueue *queue = element->queue;
    uint64_t position = element->in_length; /* of a piece in `in`, from behind */

    element_unlink(element);
    for (unsigned i = element->out_count + element->in_count; i-- > 0;) {
        uint64_t length = element->iovecs[i].iov_len, dirty = 0;

        if (i >= element->out_count) {
            position -= length;
            dirty = written > position ? MIN(written - position, length) : 0;
        }
        dma_segment_unmap(&element->segments[i], dirty);
    }
    memset(element->data, 0, queue->data_size);
    if (element->capacity > CAPACITY_KEPT) {
        resize_arrays(element, CAPACITY_KEPT);
    }
    element->next = queue->free;
    queue->free = element;
}

static void element_free(struct virtqueue_element *element)
{
    g_free(element->iovecs);
    g_free(element->segments);
    g_free(element);
}

bool chain_count(struct virtqueue *queue, unsigned *count)
{
    if (G_UNLIKELY(++*count > VIRTQUEUE_CHAIN_MAX)) {
        return virtio_break(queue->device, "a buffer has too many descriptors, or a loop of them");
    }
    return true;
}

static void count_piece(struct virtqueue_element *element, unsigned at, struct iovec piece,
                        bool is_write)
{
    element->iovecs[at] = piece;
    if (is_write) {
        element->in_count++;
        element->in_length += piece.iov_len;
    } else {
        element->out_count++;
        element->out_length += piece.iov_len;
    }
}

/* Append [address, address + length) as pieces of RAM. */
bool element_add(struct virtqueue_element *element, const struct descriptor *descriptor)
{
    struct virtio_device *device = element->queue->device;
    bool is_write = descriptor->flags & DESCRIPTOR_WRITE;
    uint64_t address = descriptor->address, left = descriptor->length;
    struct dma_ahead ahead = {0};

    if (G_UNLIKELY(!is_write && element->in_count)) {
        return virtio_break(device, "a part to read comes after one to write");
    }
    if (G_UNLIKELY(left > UINT64_MAX - address)) {
        return virtio_break(device, "a buffer goes past the last address");
    }
    while (left) {
        unsigned at = element->out_count + element->in_count;
        uint64_t length = left;
        void *host;

        if (G_UNLIKELY(at == element->capacity)) {
            if (at >= IOVECS_MAX) {
                return virtio_break(device, "a buffer has too many pieces");
            }
            resize_arrays(element, 2 * at);
        }
        host = dma_segment_map(
            virtio_dma_space(device), address, &length, is_write, virtio_dma_attributes(device),
            at ? &element->segments[at - 1] : NULL, &element->segments[at], &ahead);
        if (G_UNLIKELY(!host)) {
            return virtio_break(device, is_write ? "a buffer to write is not in RAM"
                                                 : "a buffer to read is not in RAM");
        }
        count_piece(element, at, (struct iovec){host, length}, is_write);
        address += length;
        left -= length;
    }
    return true;
}

static bool check_table(struct virtqueue *queue, const struct descriptor *table)
{
    if (!virtio_has_feature(queue->device, VIRTIO_F_INDIRECT_DESC)) {
        return virtio_break(queue->device, "an indirect table, which was not negotiated");
    }
    if (table->flags & DESCRIPTOR_NEXT) {
        return virtio_break(queue->device, "a descriptor is both indirect and chained");
    }
    if (!table->length || table->length % DESCRIPTOR_SIZE ||
        table->length / DESCRIPTOR_SIZE > VIRTQUEUE_CHAIN_MAX ||
        table->length > UINT64_MAX - table->address) {
        return virtio_break(queue->device, "an indirect table has an impossible length");
    }
    return true;
}

bool element_add_table(struct virtqueue_element *element, const struct descriptor *table,
                       bool packed)
{
    struct virtqueue *queue = element->queue;
    unsigned entries = table->length / DESCRIPTOR_SIZE, count = 0, next = 0;
    struct dma_window window;

    if (!check_table(queue, table)) {
        return false;
    }
    dma_window_init(&window, virtio_dma_space(queue->device), table->address, table->length, false,
                    virtio_dma_attributes(queue->device));
    dma_window_look_up(&window);
    for (;;) {
        uint64_t offset = (uint64_t)next * DESCRIPTOR_SIZE;
        const uint8_t *low = dma_window_at(&window, offset, 8);
        const uint8_t *high = dma_window_at(&window, offset + 8, 8);
        struct descriptor descriptor;
        uint8_t bytes[DESCRIPTOR_SIZE];

        if (!low || !high) {
            return virtio_break(queue->device, "an indirect table is not in RAM");
        }
        host_read(bytes, low, 8, false); /* a table need not be aligned: 2.7.5.3 */
        host_read(bytes + 8, high, 8, false);
        descriptor = ring_descriptor_read(bytes, packed);
        if (descriptor.flags & DESCRIPTOR_INDIRECT) {
            return virtio_break(queue->device, "an indirect table within another");
        }
        if (!chain_count(queue, &count) || !element_add(element, &descriptor)) {
            return false;
        }
        if (packed) { /* 2.8.7: all entries, in order */
            if (++next == entries) {
                return true;
            }
        } else {
            if (!(descriptor.flags & DESCRIPTOR_NEXT)) {
                return true;
            }
            next = descriptor.next;
            if (next >= entries) {
                return virtio_break(queue->device, "a chain leaves its indirect table");
            }
        }
    }
}

void virtqueue_set_in_flight(struct virtqueue *queue, unsigned in_flight)
{
    __atomic_store_n(&queue->in_flight, (uint16_t)in_flight, __ATOMIC_RELEASE);
    if (G_UNLIKELY(!in_flight)) {
        virtio_queue_drained(queue);
    }
}

struct virtqueue_element *virtqueue_pop(struct virtqueue *queue)
{
    struct virtqueue_element *element;
    bool good;

    if (G_UNLIKELY(!queue->running || !queue->budget || virtio_is_broken(queue->device))) {
        return NULL;
    }
    element = element_new(queue);
    ring_enter(queue);
    good = ops_of(queue)->pop(queue, element);
    if (good && queue->watched) {
        element_link(element);
    }
    ring_leave(queue);
    if (!good) {
        element_release(element, 0);
        return NULL;
    }
    element->out = element->iovecs;
    element->in = element->iovecs + element->out_count;
    virtqueue_set_in_flight(queue, queue->in_flight + element->descriptor_count);
    queue->budget--;
    trace_virtio_queue_pop(virtio_name(queue->device), queue->index, element->id,
                           element->out_length, element->in_length);
    return element;
}

bool virtqueue_is_empty(struct virtqueue *queue)
{
    bool empty;

    if (!queue->running || virtio_is_broken(queue->device)) {
        return true;
    }
    ring_enter(queue);
    empty = ops_of(queue)->is_empty(queue);
    ring_leave(queue);
    return empty;
}

void virtqueue_push_all(struct virtqueue *queue, struct virtqueue_element *const *elements,
                        const uint64_t *written, unsigned count)
{
    unsigned places = 0;

    ring_enter(queue);
    if (!virtio_is_broken(queue->device)) {
        ops_of(queue)->push(queue, elements, written, count);
    }
    ring_leave(queue);
    for (unsigned i = 0; i < count; i++) {
        trace_virtio_queue_push(virtio_name(queue->device), queue->index, elements[i]->id,
                                (unsigned)written[i]);
        places += elements[i]->descriptor_count;
        element_release(elements[i], written[i]);
    }
    virtqueue_set_in_flight(queue, queue->in_flight - places);
}

void virtqueue_push(struct virtqueue_element *element, uint64_t written)
{
    virtqueue_push_all(element->queue, &element, &written, 1);
}

void virtqueue_unpop(struct virtqueue_element *element)
{
    struct virtqueue *queue = element->queue;
    unsigned places = element->descriptor_count;

    ops_of(queue)->unpop(queue, element);
    element_release(element, 0);
    virtqueue_set_in_flight(queue, queue->in_flight - places);
}

void virtqueue_forget(struct virtqueue_element *element)
{
    element_release(element, 0);
}

/* Can an IOMMU take its memory away? */
static bool queue_is_watched(const struct virtqueue *queue)
{
    return queue->device->drain && virtio_has_feature(queue->device, VIRTIO_F_ACCESS_PLATFORM);
}

/* Saved elements: id and places (le16), counts of out and in (le32), and for each piece its address
 * as the driver gave it, and its length (le64). */

#define SAVED_HEAD  12u
#define SAVED_PIECE 16u

bool virtqueue_save_parked(const struct virtqueue_element *element, GByteArray *bytes)
{
    uint8_t head[SAVED_HEAD], piece[SAVED_PIECE];

    if (element->linked && element->revoked) {
        return false; /* its device is broken: the driver never gets it */
    }
    store_le16(head, element->id);
    store_le16(head + 2, element->descriptor_count);
    store_le32(head + 4, element->out_count);
    store_le32(head + 8, element->in_count);
    g_byte_array_append(bytes, head, sizeof(head));
    for (unsigned i = 0; i < element->out_count + element->in_count; i++) {
        store_le64(piece, element->segments[i].address);
        store_le64(piece + 8, element->iovecs[i].iov_len);
        g_byte_array_append(bytes, piece, sizeof(piece));
    }
    return true;
}

/* One piece of RAM onto the element. */
static bool load_piece(struct virtqueue_element *element, const uint8_t *piece, bool is_write)
{
    unsigned at = element->out_count + element->in_count;
    uint64_t address = load_le64(piece), wanted = load_le64(piece + 8), length = wanted;
    void *host;

    if (!wanted || wanted > UINT64_MAX - address) {
        return false;
    }
    host = dma_segment_map(virtio_dma_space(element->queue->device), address, &length, is_write,
                           virtio_dma_attributes(element->queue->device),
                           at ? &element->segments[at - 1] : NULL, &element->segments[at], NULL);
    if (!host) {
        return false;
    }
    count_piece(element, at, (struct iovec){host, length}, is_write);
    return length == wanted;
}

static bool load_pieces(struct virtqueue_element *element, const uint8_t *pieces, unsigned out,
                        unsigned in)
{
    bool good = true;

    memory_rcu_read_lock();
    for (unsigned i = 0; i < out + in && good; i++) {
        good = load_piece(element, pieces + (size_t)i * SAVED_PIECE, i >= out);
    }
    memory_rcu_read_unlock();
    element->out = element->iovecs;
    element->in = element->iovecs + element->out_count;
    return good;
}

struct virtqueue_element *virtqueue_load_parked(struct virtqueue *queue, const uint8_t **data,
                                                size_t *length)
{
    struct virtqueue_element *element;
    uint32_t out, in;
    size_t size;

    if (*length < SAVED_HEAD) {
        return NULL;
    }
    out = load_le32(*data + 4);
    in = load_le32(*data + 8);
    size = ((size_t)out + in) * SAVED_PIECE;
    if (out > IOVECS_MAX || in > IOVECS_MAX - out || *length - SAVED_HEAD < size ||
        load_le16(*data) >= queue->size || load_le16(*data + 2) > queue->size ||
        !load_le16(*data + 2)) {
        return NULL;
    }
    element = element_new(queue);
    if (out + in > element->capacity) {
        resize_arrays(element, out + in);
    }
    element->id = load_le16(*data);
    element->descriptor_count = load_le16(*data + 2);
    if (!load_pieces(element, *data + SAVED_HEAD, out, in)) {
        element_release(element, 0);
        return NULL;
    }
    if (queue_is_watched(queue)) {
        pthread_mutex_lock(&queue->lock);
        element_link(element);
        element->parked = true;
        pthread_mutex_unlock(&queue->lock);
    }
    *data += SAVED_HEAD + size;
    *length -= SAVED_HEAD + size;
    return element;
}

/* Copies. */

static uint64_t copy(const struct iovec *iov, unsigned count, uint64_t offset, uint8_t *buffer,
                     uint64_t length, bool into)
{
    uint64_t done = 0;

    for (unsigned i = 0; i < count && done < length; i++) {
        uint64_t take;

        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        take = MIN(length - done, iov[i].iov_len - offset);
        if (into) {
            host_write((uint8_t *)iov[i].iov_base + offset, buffer + done, take, false);
        } else {
            host_read(buffer + done, (const uint8_t *)iov[i].iov_base + offset, take, false);
        }
        done += take;
        offset = 0;
    }
    return done;
}

uint64_t iovec_read(const struct iovec *iov, unsigned count, uint64_t offset, void *buffer,
                    uint64_t length)
{
    return copy(iov, count, offset, buffer, length, false);
}

uint64_t iovec_write(const struct iovec *iov, unsigned count, uint64_t offset, const void *buffer,
                     uint64_t length)
{
    return copy(iov, count, offset, (uint8_t *)buffer, length, true);
}

uint64_t virtqueue_read(const struct virtqueue_element *element, uint64_t offset, void *buffer,
                        uint64_t length)
{
    return iovec_read(element->out, element->out_count, offset, buffer, length);
}

uint64_t virtqueue_write(const struct virtqueue_element *element, uint64_t offset,
                         const void *buffer, uint64_t length)
{
    return iovec_write(element->in, element->in_count, offset, buffer, length);
}

/* Notifications. */

void virtqueue_notify(struct virtqueue *queue)
{
    bool wanted;

    if (!queue->unsignalled || virtio_is_broken(queue->device)) {
        return;
    }
    ring_fence(); /* what was pushed, before the look at what the driver wants */
    ring_enter(queue);
    wanted = ops_of(queue)->wants_interrupt(queue);
    ring_leave(queue);
    queue->unsignalled = 0;
    if (wanted) {
        virtio_interrupt_queue(queue);
    }
}

static void set_notifications(struct virtqueue *queue, bool on)
{
    queue->notifications = on;
    ring_enter(queue);
    ops_of(queue)->set_notifications(queue, on);
    ring_leave(queue);
    if (on) {
        ring_fence(); /* the wish, before the look for what came meanwhile */
    }
}

void virtqueue_kick(struct virtqueue *queue)
{
    eventfd_write(queue->kick_fd, 1); /* fails only when full: then it is awake */
}

/* A driver that never stops must not keep the thread from others: a turn is bounded. */
static void on_kick(evutil_socket_t fd, short events, void *opaque)
{
    struct virtqueue *queue = opaque;
    eventfd_t count;

    eventfd_read(fd, &count);
    queue->budget = TURN_BUFFERS;
    while (queue->running && !virtio_is_broken(queue->device)) {
        set_notifications(queue, false);
        if (!queue->handle(queue)) {
            break;
        }
        if (!queue->budget) {
            virtqueue_kick(queue);
            break;
        }
        set_notifications(queue, true);
        if (virtqueue_is_empty(queue)) {
            break;
        }
    }
    queue->budget = UINT64_MAX;
}

/* Life. */

static void add_event(void *opaque)
{
    struct virtqueue *queue = opaque;

    queue->kick = event_new(io_thread_base(queue->thread), queue->kick_fd, EV_READ | EV_PERSIST,
                            on_kick, queue);
    if (queue->kick && event_add(queue->kick, NULL) < 0) {
        g_clear_pointer(&queue->kick, event_free);
    }
}

static void remove_event(void *opaque)
{
    struct virtqueue *queue = opaque;

    g_clear_pointer(&queue->kick, event_free);
}

bool virtqueue_init(struct virtqueue *queue, GError **error)
{
    queue->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (queue->kick_fd < 0) {
        return duodm_fail(error, DUODM_ERROR_IO, "no event descriptor for a virtqueue: %s",
                          g_strerror(errno));
    }
    io_thread_call(queue->thread, add_event, queue);
    if (!queue->kick) {
        close(queue->kick_fd);
        return duodm_fail(error, DUODM_ERROR_FAILED, "the I/O thread takes no event");
    }
    pthread_mutex_init(&queue->lock, NULL);
    return true;
}

void virtqueue_destroy(struct virtqueue *queue)
{
    assert(!queue->running && !queue->in_flight);
    io_thread_call(queue->thread, remove_event, queue);
    close(queue->kick_fd);
    pthread_mutex_destroy(&queue->lock);
    while (queue->free) {
        struct virtqueue_element *element = queue->free;

        queue->free = element->next;
        element_free(element);
    }
}

const char *virtqueue_check(const struct virtqueue *queue, bool packed)
{
    const gpa_t addresses[] = {queue->descriptor_area, queue->driver_area, queue->device_area};

    if (!queue->size || queue->size > queue->size_max) {
        return "a queue has an impossible size";
    }
    if (!packed && (queue->size & (queue->size - 1))) {
        return "the size of a split queue is no power of two";
    }
    for (enum ring_area area = RING_DESCRIPTORS; area <= RING_DEVICE; area++) {
        if (addresses[area] & (ring_area_alignment(area, packed) - 1)) {
            return "a ring is not aligned";
        }
        if (addresses[area] > UINT64_MAX - ring_area_size(area, packed, queue->size)) {
            return "a ring goes past the last address";
        }
    }
    return NULL;
}

void virtqueue_start(struct virtqueue *queue)
{
    const gpa_t addresses[] = {queue->descriptor_area, queue->driver_area, queue->device_area};

    pthread_mutex_lock(&queue->lock);
    queue->watched = queue_is_watched(queue);
    pthread_mutex_unlock(&queue->lock);
    queue->packed = virtio_has_feature(queue->device, VIRTIO_F_RING_PACKED);
    queue->event_index = virtio_has_feature(queue->device, VIRTIO_F_EVENT_IDX);
    for (enum ring_area area = RING_DESCRIPTORS; area <= RING_DEVICE; area++) {
        dma_window_init(&queue->ring[area], virtio_dma_space(queue->device), addresses[area],
                        ring_area_size(area, queue->packed, queue->size), area != RING_DRIVER,
                        virtio_dma_attributes(queue->device));
        queue->ring[area].watched = queue->watched;
    }
    queue->ring[RING_DESCRIPTORS].is_write = queue->packed;
    queue->available_seen = queue->available_next;
    queue->budget = UINT64_MAX;
    queue->running = true;
    set_notifications(queue, true);
}

void virtqueue_stop(struct virtqueue *queue)
{
    queue->running = false;
}
