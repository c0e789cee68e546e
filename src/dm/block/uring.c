/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fast way to a file: reads, writes, flushes and discards through one io_uring per queue, sent
 * to the kernel together at the queue's kick. What is not plain (a short transfer, an operation
 * that the file system lacks) goes on in a thread of the pool, which knows it all.
 */
#include "dm/block/block-private.h"
#include "dm/block/file.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <sys/uio.h>

#define RING_ENTRIES 256 /* as a virtqueue has by default; the completion ring has twice that */

#define FLUSH_TRIES 1000

struct block_uring {
    struct io_uring ring;
    struct block_queue *queue;
    struct event *event; /* completions came */
    bool unsent;         /* entries that the kernel has not seen */
};

static void on_ring(evutil_socket_t fd, short what, void *opaque)
{
    const struct block_uring *ring = opaque;

    block_queue_on_completions(ring->queue);
}

struct block_uring *block_uring_new(struct block_queue *queue, struct event_base *base, int fd,
                                    GError **error)
{
    struct block_uring *ring = g_new0(struct block_uring, 1);
    int result;

    result = io_uring_queue_init(RING_ENTRIES, &ring->ring, IORING_SETUP_COOP_TASKRUN);
    if (result == -EINVAL) {
        result = io_uring_queue_init(RING_ENTRIES, &ring->ring, 0); /* before Linux 5.19 */
    }
    if (result == 0) {
        result = io_uring_register_files(&ring->ring, &fd, 1);
        if (result < 0) {
            io_uring_queue_exit(&ring->ring);
        }
    }
    if (result < 0) {
        duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED, "the host gives no io_uring: %s",
                   g_strerror(-result));
        g_free(ring);
        return NULL;
    }
    ring->queue = queue;
    ring->event = event_new(base, ring->ring.ring_fd, EV_READ | EV_PERSIST, on_ring, ring);
    event_add(ring->event, NULL);
    return ring;
}

void block_uring_free(struct block_uring *ring)
{
    if (ring) {
        event_free(ring->event);
        io_uring_queue_exit(&ring->ring);
        g_free(ring);
    }
}

int block_uring_fd(const struct block_uring *ring)
{
    return ring->ring.ring_fd;
}

static void prepare_transfer(struct io_uring_sqe *sqe, const struct block_request *request,
                             bool is_write)
{
    uint64_t offset = request->window + request->offset;

    if (request->iov_count == 1 && request->length <= INT32_MAX) {
        const struct iovec *iov = request->iov;

        if (is_write) {
            io_uring_prep_write(sqe, 0, iov->iov_base, (unsigned)iov->iov_len, offset);
        } else {
            io_uring_prep_read(sqe, 0, iov->iov_base, (unsigned)iov->iov_len, offset);
        }
    } else if (is_write) {
        io_uring_prep_writev(sqe, 0, request->iov, request->iov_count, offset);
    } else {
        io_uring_prep_readv(sqe, 0, request->iov, request->iov_count, offset);
    }
    if (is_write && request->sync) {
        sqe->rw_flags = RWF_DSYNC;
    }
}

/* Can the ring carry this request out as it is? */
static bool is_plain(const struct block_request *request)
{
    const struct block_backend *protocol = block_request_protocol(request);

    switch (request->operation) {
    case BLOCK_READ:
    case BLOCK_WRITE:
        return request->iov_count <= IOV_MAX && request->progress == 0 &&
               block_file_is_aligned(protocol, request);
    case BLOCK_FLUSH:
        return block_file_flush_error(protocol) == 0;
    case BLOCK_DISCARD:
    case BLOCK_WRITE_ZEROES:
        return false; /* rare, and with a fallback for each file system */
    }
    return false;
}

bool block_uring_submit(struct block_uring *ring, struct block_request *request)
{
    struct io_uring_sqe *sqe;

    if (!is_plain(request)) {
        return false;
    }
    sqe = io_uring_get_sqe(&ring->ring);
    if (!sqe) {
        block_uring_flush(ring);
        sqe = io_uring_get_sqe(&ring->ring);
        if (!sqe) {
            return false;
        }
    }
    if (request->operation == BLOCK_FLUSH) {
        io_uring_prep_fsync(sqe, 0, IORING_FSYNC_DATASYNC);
    } else {
        prepare_transfer(sqe, request, request->operation == BLOCK_WRITE);
    }
    sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data(sqe, request);
    ring->unsent = true;
    return true;
}

void block_uring_flush(struct block_uring *ring)
{
    unsigned tries = 0;

    while (ring->unsent) {
        int result = io_uring_submit(&ring->ring);

        ring->unsent = io_uring_sq_ready(&ring->ring) > 0;
        /* No memory, or completions to be reaped first: what is under way brings us here again. If
         * nothing is, insist. */
        if (result < 0 && result != -EINTR && ++tries > FLUSH_TRIES) {
            break;
        }
    }
}

static void finish(struct block_request *request, int result)
{
    struct block_backend *protocol = block_request_protocol(request);

    if (request->operation == BLOCK_FLUSH) {
        if (result < 0) {
            block_file_note_flush_error(protocol, -result);
        }
        block_request_finish(request, result);
        return;
    }
    if (result == -EAGAIN || result == -EINTR || result == -EOPNOTSUPP) {
        block_request_execute(request);
    } else if (result < 0) {
        block_request_finish(request, result);
    } else if ((uint64_t)result == request->length) {
        block_request_finish(request, 0);
    } else {
        request->progress = (uint64_t)result;
        block_request_execute(request);
    }
}

unsigned block_uring_reap(struct block_uring *ring)
{
    struct io_uring_cqe *cqe;
    unsigned count = 0;

    while (io_uring_peek_cqe(&ring->ring, &cqe) == 0) {
        struct block_request *request = io_uring_cqe_get_data(cqe);
        int result = cqe->res;

        io_uring_cqe_seen(&ring->ring, cqe);
        finish(request, result);
        count++;
    }
    if (count) {
        block_uring_flush(ring);
    }
    return count;
}
