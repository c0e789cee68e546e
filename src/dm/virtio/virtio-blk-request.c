/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of virtio-blk (virtio 1.2, 5.2.6), in the I/O thread: a driver's notification pops all
 * that there is, submits it together, and what has completed together is told by one interrupt.
 * Hot path.
 */
#include "dm/virtio/virtio-blk.h"
#include "util/little-endian.h"
#include "util/log.h"

#include <errno.h>

/* Requests, 5.2.6. */
#define REQUEST_IN           0
#define REQUEST_OUT          1
#define REQUEST_FLUSH        4
#define REQUEST_GET_ID       8
#define REQUEST_DISCARD      11
#define REQUEST_WRITE_ZEROES 13

#define STATUS_OK     0
#define STATUS_IOERR  1
#define STATUS_UNSUPP 2

#define HEADER_SIZE   16 /* le32 type, le32 reserved, le64 sector */
#define SEGMENT_SIZE  16 /* le64 sector, le32 num_sectors, le32 flags */
#define SEGMENT_UNMAP 1u /* flags */

/* What an element keeps of its request. */
struct blk_request {
    struct block_request block; /* first: completion gets it */
    struct virtqueue_element *element;
    struct blk_request *next_parked;
    struct iovec *iov; /* owned copy of the data's iovecs; NULL: they are the element's own */
};

/* Beside each virtqueue; its thread's own. */
struct virtio_blk_queue {
    struct block_queue *queue;
    struct blk_request *parked; /* wait for the machine to go on */
    bool pushed;                /* the driver was not told yet */
};

static struct virtio_blk_queue *blk_queue_of(struct virtqueue *queue)
{
    return &virtio_blk_of(queue->device)->queues[queue->index];
}

/* The status is the last byte of what the driver wants written: 5.2.6. */
static void finish(struct virtqueue_element *element, uint8_t status)
{
    struct virtio_blk_queue *queue = blk_queue_of(element->queue);
    struct blk_request *request = virtqueue_element_data(element);

    virtqueue_write(element, element->in_length - 1, &status, 1);
    g_free(request->iov);
    virtqueue_push(element, element->in_length);
    queue->pushed = true;
}

/* Not ended: it is tried again when the queue runs next. */
static void park(struct blk_request *request)
{
    struct virtio_blk_queue *queue = blk_queue_of(request->element->queue);

    request->next_parked = queue->parked;
    queue->parked = request;
    virtqueue_park(request->element);
}

static void on_complete(struct block_request *block, int result)
{
    struct blk_request *request = (struct blk_request *)block;
    struct virtio_blk *blk = virtio_blk_of(request->element->queue->device);

    result =
        block_settle_error(blk->backend, blk->policies, block->operation != BLOCK_READ, result);
    if (result == -ECANCELED) {
        park(request);
        return;
    }
    finish(request->element, result < 0 ? STATUS_IOERR : STATUS_OK);
}

static void tell_driver(void *opaque)
{
    struct virtqueue *virtqueue = opaque;
    struct virtio_blk_queue *queue = blk_queue_of(virtqueue);

    if (queue->pushed) {
        queue->pushed = false;
        virtqueue_notify(virtqueue);
    }
}

static void submit(struct virtqueue_element *element)
{
    struct blk_request *request = virtqueue_element_data(element);

    block_queue_submit(blk_queue_of(element->queue)->queue, &request->block);
}

/*
 * The iovecs of a request's data: what is left of `from` without `skip` bytes at the start and
 * `trim` at the end. Where header and status have descriptors of their own, as nearly always, no
 * copy is needed.
 */
static void set_data(struct blk_request *request, struct iovec *from, unsigned count, uint64_t skip,
                     uint64_t trim)
{
    struct iovec *to;
    unsigned kept = 0;

    while (count && skip >= from->iov_len) {
        skip -= from->iov_len;
        from++;
        count--;
    }
    while (count && trim >= from[count - 1].iov_len) {
        trim -= from[--count].iov_len;
    }
    if (skip || trim) {
        request->iov = to = g_new(struct iovec, count);
        for (unsigned i = 0; i < count; i++) {
            to[kept++] = from[i];
        }
        if (count) {
            to[0].iov_base = (uint8_t *)to[0].iov_base + skip;
            to[0].iov_len -= skip;
            to[count - 1].iov_len -= trim;
        }
        from = to;
    }
    request->block.iov = from;
    request->block.iov_count = count;
}

/* Are these sectors on the disk? */
static bool is_on_disk(const struct virtio_blk *blk, uint64_t sector, uint64_t length)
{
    uint64_t size = block_size(blk->backend);

    return sector <= size / BLOCK_SECTOR && length <= size - sector * BLOCK_SECTOR;
}

static void count_invalid(struct virtio_blk *blk, enum block_operation operation)
{
    __atomic_fetch_add(&block_get_stats(blk->backend)->invalid[operation], 1, __ATOMIC_RELAXED);
}

static void transfer(struct virtio_blk *blk, struct virtqueue_element *element, uint64_t sector,
                     bool is_write)
{
    struct blk_request *request = virtqueue_element_data(element);
    uint64_t length = is_write ? element->out_length - HEADER_SIZE : element->in_length - 1;
    enum block_operation operation = is_write ? BLOCK_WRITE : BLOCK_READ;

    if (is_write && block_is_read_only(blk->backend)) {
        finish(element, STATUS_IOERR); /* 5.2.6.2 */
        return;
    }
    if (!is_on_disk(blk, sector, length) ||
        ((sector * BLOCK_SECTOR | length) & (blk->logical_block_size - 1))) {
        count_invalid(blk, operation);
        finish(element, STATUS_IOERR);
        return;
    }
    if (is_write) {
        set_data(request, element->out, element->out_count, HEADER_SIZE, 0);
    } else {
        set_data(request, element->in, element->in_count, 0, 1);
    }
    request->block.operation = operation;
    request->block.offset = sector * BLOCK_SECTOR;
    request->block.length = length;
    request->block.fua = is_write && __atomic_load_n(&blk->write_through, __ATOMIC_RELAXED);
    submit(element);
}

static void flush(struct virtqueue_element *element)
{
    struct blk_request *request = virtqueue_element_data(element);

    request->block.operation = BLOCK_FLUSH;
    submit(element);
}

/* 5.2.6.1: one segment, as max_discard_seg and max_write_zeroes_seg say. */
static void discard(struct virtio_blk *blk, struct virtqueue_element *element, bool zeroes)
{
    struct blk_request *request = virtqueue_element_data(element);
    uint8_t segment[SEGMENT_SIZE];
    uint64_t sector, length;
    uint32_t flags;

    if (!virtio_has_feature(&blk->virtio,
                            zeroes ? VIRTIO_BLK_F_WRITE_ZEROES : VIRTIO_BLK_F_DISCARD) ||
        element->out_length != HEADER_SIZE + SEGMENT_SIZE) {
        finish(element, STATUS_UNSUPP);
        return;
    }
    virtqueue_read(element, HEADER_SIZE, segment, SEGMENT_SIZE);
    sector = load_le64(segment);
    length = (uint64_t)load_le32(segment + 8) * BLOCK_SECTOR;
    flags = load_le32(segment + 12);
    if (flags & (zeroes ? ~SEGMENT_UNMAP : ~0u)) {
        finish(element, STATUS_UNSUPP);
        return;
    }
    if (block_is_read_only(blk->backend) || !is_on_disk(blk, sector, length) ||
        length > block_get_limits(blk->backend)->max_zeroes ||
        ((sector * BLOCK_SECTOR | length) & (blk->logical_block_size - 1))) {
        count_invalid(blk, zeroes ? BLOCK_WRITE_ZEROES : BLOCK_DISCARD);
        finish(element, STATUS_IOERR);
        return;
    }
    request->block.operation = zeroes ? BLOCK_WRITE_ZEROES : BLOCK_DISCARD;
    request->block.offset = sector * BLOCK_SECTOR;
    request->block.length = length;
    request->block.may_unmap = flags & SEGMENT_UNMAP;
    request->block.fua = __atomic_load_n(&blk->write_through, __ATOMIC_RELAXED);
    submit(element);
}

/* 5.2.6.1: up to 20 bytes, without a final NUL where it fills them. */
static void get_id(const struct virtio_blk *blk, struct virtqueue_element *element)
{
    char id[VIRTIO_BLK_ID_SIZE] = {0};

    if (blk->serial) {
        memcpy(id, blk->serial, MIN(strlen(blk->serial), VIRTIO_BLK_ID_SIZE));
    }
    virtqueue_write(element, 0, id, MIN(element->in_length - 1, VIRTIO_BLK_ID_SIZE));
    finish(element, STATUS_OK);
}

static void start_request(struct virtio_blk *blk, struct virtqueue_element *element)
{
    struct blk_request *request = virtqueue_element_data(element);
    uint8_t header[HEADER_SIZE];
    uint64_t sector;

    if (!element->in_length || virtqueue_read(element, 0, header, HEADER_SIZE) != HEADER_SIZE) {
        virtio_break(&blk->virtio, "a request has no header or no place for its status");
        virtqueue_push(element, 0);
        return;
    }
    request->element = element;
    request->block.complete = on_complete;
    sector = load_le64(header + 8);
    switch (load_le32(header)) {
    case REQUEST_IN:
        transfer(blk, element, sector, false);
        break;
    case REQUEST_OUT:
        transfer(blk, element, sector, true);
        break;
    case REQUEST_FLUSH:
        flush(element);
        break;
    case REQUEST_GET_ID:
        get_id(blk, element);
        break;
    case REQUEST_DISCARD:
        discard(blk, element, false);
        break;
    case REQUEST_WRITE_ZEROES:
        discard(blk, element, true);
        break;
    default:
        finish(element, STATUS_UNSUPP);
    }
}

static bool handle_queue(struct virtqueue *virtqueue)
{
    struct virtio_blk *blk = virtio_blk_of(virtqueue->device);
    struct virtqueue_element *element;

    while ((element = virtqueue_pop(virtqueue))) {
        start_request(blk, element);
    }
    block_queue_kick(blk->queues[virtqueue->index].queue);
    tell_driver(virtqueue);
    return true;
}

/* What was parked is tried again. */
void virtio_blk_start(struct virtio_device *device)
{
    struct virtio_blk *blk = virtio_blk_of(device);

    for (unsigned i = 0; i < blk->queue_count; i++) {
        struct virtio_blk_queue *queue = &blk->queues[i];
        struct blk_request *request = queue->parked, *next;

        queue->parked = NULL;
        for (; request; request = next) {
            next = request->next_parked;
            if (!virtqueue_unpark(request->element)) {
                request->next_parked = queue->parked;
                queue->parked = request;
            } else if (request->block.complete) {
                block_queue_submit(queue->queue, &request->block);
            } else { /* from saved state: it never began in this process */
                start_request(blk, request->element);
            }
        }
        block_queue_kick(queue->queue);
        tell_driver(virtio_queue(device, i));
    }
}

void virtio_blk_stop(struct virtio_device *device)
{
    struct virtio_blk *blk = virtio_blk_of(device);

    for (unsigned i = 0; i < blk->queue_count; i++) {
        block_queue_cancel(blk->queues[i].queue);
    }
}

/* What is parked. Queues are stopped: their threads do not look at it. */

void virtio_blk_forget_parked(struct virtio_blk *blk)
{
    for (unsigned i = 0; i < blk->queue_count; i++) {
        struct blk_request *request = blk->queues[i].parked, *next;

        blk->queues[i].parked = NULL;
        for (; request; request = next) {
            next = request->next_parked;
            g_free(request->iov);
            virtqueue_forget(request->element);
        }
    }
}

void virtio_blk_save_parked(struct virtio_blk *blk)
{
    g_byte_array_set_size(blk->saved_parked, 0);
    for (unsigned i = 0; i < blk->queue_count; i++) {
        const struct blk_request *request = blk->queues[i].parked;
        uint8_t index[2];

        store_le16(index, (uint16_t)i);
        for (; request; request = request->next_parked) {
            guint before = blk->saved_parked->len;

            g_byte_array_append(blk->saved_parked, index, sizeof(index));
            if (!virtqueue_save_parked(request->element, blk->saved_parked) ||
                blk->saved_parked->len > VIRTIO_BLK_PARKED_MAX) {
                g_byte_array_set_size(blk->saved_parked, before);
                log_warning("%s: a request that waits for its disk is lost in the saved state",
                            virtio_name(&blk->virtio));
            }
        }
    }
}

/* The queues' lists, in their order. */
bool virtio_blk_load_parked(struct virtio_blk *blk)
{
    const uint8_t *data = blk->saved_parked->data;
    size_t length = blk->saved_parked->len;

    while (length) {
        unsigned index = length < 2 ? UINT16_MAX : load_le16(data);
        struct virtqueue_element *element;
        struct blk_request *request, **last;

        if (index >= blk->queue_count) {
            return false;
        }
        data += 2;
        length -= 2;
        element = virtqueue_load_parked(virtio_queue(&blk->virtio, index), &data, &length);
        if (!element) {
            return false;
        }
        request = virtqueue_element_data(element);
        request->element = element;
        for (last = &blk->queues[index].parked; *last; last = &(*last)->next_parked) {
        }
        *last = request;
    }
    return true;
}

/* Queues of the image, made and freed in the I/O thread. */
struct open_queues {
    struct virtio_blk *blk;
    GError *error;
};

static void open_queues(void *opaque)
{
    struct open_queues *open = opaque;
    struct virtio_blk *blk = open->blk;

    for (unsigned i = 0; i < blk->queue_count && !open->error; i++) {
        struct block_queue_handler handler = {virtio_queue(&blk->virtio, i), tell_driver};

        blk->queues[i].queue = block_queue_new(blk->backend, io_thread_base(blk->virtio.thread),
                                               &handler, &open->error);
    }
}

static void close_queues(void *opaque)
{
    struct virtio_blk *blk = opaque;

    for (unsigned i = 0; i < blk->queue_count; i++) {
        g_clear_pointer(&blk->queues[i].queue, block_queue_free);
    }
}

bool virtio_blk_make_queues(struct virtio_blk *blk, GError **error)
{
    struct open_queues open = {.blk = blk};

    for (unsigned i = 0; i < blk->queue_count; i++) {
        virtio_add_queue(&blk->virtio, blk->queue_size, sizeof(struct blk_request), handle_queue);
    }
    blk->queues = g_new0(struct virtio_blk_queue, blk->queue_count);
    blk->saved_parked = g_byte_array_new();
    io_thread_call(blk->virtio.thread, open_queues, &open);
    if (open.error) {
        g_propagate_error(error, open.error);
        virtio_blk_free_queues(blk);
        return false;
    }
    return true;
}

void virtio_blk_free_queues(struct virtio_blk *blk)
{
    virtio_blk_forget_parked(blk);
    io_thread_call(blk->virtio.thread, close_queues, blk);
    g_clear_pointer(&blk->queues, g_free);
    g_clear_pointer(&blk->saved_parked, g_byte_array_unref);
}
