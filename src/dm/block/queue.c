/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue: checks and shapes what is submitted, hands it to io_uring, to the driver or to a thread
 * of the pool, and completes it on the submitter's loop.
 */
#include "dm/block/block-private.h"
#include "util/error.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct request_list {
    struct block_request *first, **end;
};

struct block_queue {
    struct block_backend *backend;
    struct event_base *base;
    struct block_queue_handler handler;
    struct block_uring *ring; /* NULL: none */
    unsigned in_flight;
    bool completing; /* completions are being told: a nested kick leaves the reaping to it */
    struct request_list done; /* ended within submit */
    /* Ended by other threads. */
    pthread_mutex_t lock; /* leaf: protects posted */
    struct request_list posted;
    int posted_fd; /* eventfd, readable while posted has something */
    struct event *posted_event;
};

static void list_clear(struct request_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static void list_add(struct request_list *list, struct block_request *request)
{
    request->next = NULL;
    *list->end = request;
    list->end = &request->next;
}

static uint64_t now_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

struct block_backend *block_request_protocol(const struct block_request *request)
{
    return block_protocol(request->queue->backend);
}

struct event_base *block_queue_base(const struct block_queue *queue)
{
    return queue->base;
}

struct block_backend *block_queue_backend(const struct block_queue *queue)
{
    return queue->backend;
}

unsigned block_queue_in_flight(const struct block_queue *queue)
{
    return queue->in_flight;
}

/* Submission. */

static bool is_zero(const struct block_request *request)
{
    for (unsigned i = 0; i < request->iov_count; i++) {
        const uint8_t *bytes = request->iov[i].iov_base;
        size_t length = request->iov[i].iov_len;

        /* Equal to itself shifted by one byte, and the first is zero. */
        if (length && (bytes[0] || memcmp(bytes, bytes + 1, length - 1) != 0)) {
            return false;
        }
    }
    return true;
}

static bool has_right_iov(const struct block_request *request)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < request->iov_count; i++) {
        sum += request->iov[i].iov_len;
    }
    return sum == request->length;
}

/* 0 or the errno of a request that can't be. */
static int check_request(const struct block_backend *backend, const struct block_request *request)
{
    uint64_t size = block_size(backend), mask = backend->limits.request_alignment - 1;

    if (request->operation == BLOCK_FLUSH) {
        return 0;
    }
    if (request->operation != BLOCK_READ && backend->read_only) {
        return EPERM;
    }
    if (request->offset > size || request->length > size - request->offset ||
        ((request->offset | request->length) & mask)) {
        return EINVAL;
    }
    if ((request->operation == BLOCK_READ || request->operation == BLOCK_WRITE) &&
        !has_right_iov(request)) {
        return EINVAL;
    }
    return 0;
}

/* Is there nothing left to do? Else what is left is in the request. */
static bool shape_request(const struct block_backend *backend, struct block_request *request)
{
    const struct block_options *options = &backend->options;

    request->sync = (request->fua || options->write_through) && !options->no_flush;
    switch (request->operation) {
    case BLOCK_FLUSH:
        return options->no_flush;
    case BLOCK_DISCARD:
        return !backend->limits.can_discard || request->length == 0;
    case BLOCK_WRITE:
        if (options->detect_zeroes != BLOCK_ZEROES_OFF && is_zero(request)) {
            request->operation = BLOCK_WRITE_ZEROES;
            request->may_unmap =
                options->detect_zeroes == BLOCK_ZEROES_UNMAP && backend->limits.can_discard;
        }
        break;
    case BLOCK_WRITE_ZEROES:
        request->may_unmap = request->may_unmap && backend->limits.can_discard;
        break;
    case BLOCK_READ:
        break;
    }
    request->flush_after = request->sync && request->operation != BLOCK_READ &&
                           !(request->operation == BLOCK_WRITE && backend->native_fua);
    return request->length == 0;
}

void block_request_execute(struct block_request *request)
{
    block_pool_submit(request->queue->backend->registry->pool, request);
}

static void dispatch(struct block_request *request)
{
    struct block_backend *protocol = block_request_protocol(request);
    struct block_queue *queue = request->queue;

    if (protocol->driver->start) {
        protocol->driver->start(protocol, request);
    } else if (!queue->ring || !block_uring_submit(queue->ring, request)) {
        block_request_execute(request);
    }
}

static void end_at_once(struct block_request *request, int result)
{
    request->result = result;
    list_add(&request->queue->done, request);
}

void block_queue_submit(struct block_queue *queue, struct block_request *request)
{
    struct block_backend *backend = queue->backend;
    int problem;

    request->queue = queue;
    request->next = NULL;
    request->progress = 0;
    request->window = backend->window;
    request->asked = request->operation;
    request->flush_after = false;
    request->cancelled = false;
    request->bounce = NULL;
    request->started = now_ns();
    queue->in_flight++;
    block_backend_begin(backend);
    problem = check_request(backend, request);
    if (problem) {
        __atomic_fetch_add(&backend->stats.invalid[request->asked], 1, __ATOMIC_RELAXED);
        end_at_once(request, -problem);
    } else if (shape_request(backend, request)) {
        end_at_once(request, 0);
    } else {
        dispatch(request);
    }
}

void block_queue_kick(struct block_queue *queue)
{
    if (queue->ring) {
        block_uring_flush(queue->ring);
    }
    if (!queue->completing) {
        block_queue_on_completions(queue);
    }
}

/* Completion. */

static void account(struct block_backend *backend, const struct block_request *request)
{
    struct block_stats *stats = &backend->stats;
    enum block_operation operation = request->asked;

    if (request->result < 0) {
        __atomic_fetch_add(&stats->failed[operation], 1, __ATOMIC_RELAXED);
        return;
    }
    __atomic_fetch_add(&stats->operations[operation], 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&stats->bytes[operation], request->length, __ATOMIC_RELAXED);
    __atomic_fetch_add(&stats->time_ns[operation], now_ns() - request->started, __ATOMIC_RELAXED);
    if (operation == BLOCK_WRITE) {
        uint64_t end = request->offset + request->length;
        uint64_t highest = __atomic_load_n(&stats->highest_write, __ATOMIC_RELAXED);

        while (end > highest &&
               !__atomic_compare_exchange_n(&stats->highest_write, &highest, end, true,
                                            __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        }
    }
}

void block_request_finish(struct block_request *request, int result)
{
    struct block_queue *queue = request->queue;

    if (result == 0 && request->flush_after) {
        request->flush_after = false;
        request->operation = BLOCK_FLUSH;
        dispatch(request);
        if (queue->ring) {
            block_uring_flush(queue->ring);
        }
        return;
    }
    request->operation = request->asked;
    request->result = result;
    account(queue->backend, request);
    queue->in_flight--;
    block_backend_end(queue->backend);
    request->complete(request, result);
}

void block_request_post(struct block_request *request, int result)
{
    struct block_queue *queue = request->queue;
    const uint64_t one = 1;
    bool first;

    request->result = result;
    pthread_mutex_lock(&queue->lock);
    first = !queue->posted.first;
    list_add(&queue->posted, request);
    /* Inside the lock: once it is left, the queue's thread may take the request and free the queue.
     * A write of 1 to an eventfd that was just emptied can't fail. */
    if (first && write(queue->posted_fd, &one, sizeof(one)) < 0) {
        g_assert(errno == EAGAIN);
    }
    pthread_mutex_unlock(&queue->lock);
}

static unsigned finish_list(struct request_list *list)
{
    struct block_request *request = list->first, *next;
    unsigned count = 0;

    list_clear(list);
    for (; request; request = next) {
        next = request->next;
        block_request_finish(request, request->result);
        count++;
    }
    return count;
}

static unsigned finish_posted(struct block_queue *queue)
{
    struct request_list taken;
    uint64_t count;

    list_clear(&taken);
    pthread_mutex_lock(&queue->lock);
    if (queue->posted.first) {
        taken.first = queue->posted.first;
        list_clear(&queue->posted);
        if (read(queue->posted_fd, &count, sizeof(count)) < 0) {
            g_assert(errno == EAGAIN || errno == EINTR);
        }
    }
    pthread_mutex_unlock(&queue->lock);
    return finish_list(&taken);
}

void block_queue_on_completions(struct block_queue *queue)
{
    unsigned total = 0, count;

    if (queue->completing) {
        return;
    }
    queue->completing = true;
    do {
        count = finish_list(&queue->done) + finish_posted(queue);
        if (queue->ring) {
            count += block_uring_reap(queue->ring);
        }
        total += count;
    } while (count);
    queue->completing = false;
    if (total && queue->handler.batch_end) {
        queue->handler.batch_end(queue->handler.opaque);
    }
}

static void on_posted(evutil_socket_t fd, short what, void *opaque)
{
    block_queue_on_completions(opaque);
}

void block_queue_wait(struct block_queue *queue)
{
    struct pollfd fds[2] = {{.fd = queue->posted_fd, .events = POLLIN}, {.fd = -1}};

    if (queue->ring) {
        block_uring_flush(queue->ring);
        fds[1] = (struct pollfd){.fd = block_uring_fd(queue->ring), .events = POLLIN};
    }
    if (!queue->done.first) {
        poll(fds, 2, -1);
    }
    block_queue_on_completions(queue);
}

/* Making and freeing. */

static bool make_ring(struct block_queue *queue, GError **error)
{
    struct block_backend *protocol = block_protocol(queue->backend);
    g_autoptr(GError) problem = NULL;

    if (protocol->uring_fd < 0 || protocol->options.aio == BLOCK_AIO_THREADS) {
        return true;
    }
    queue->ring = block_uring_new(queue, queue->base, protocol->uring_fd, &problem);
    if (!queue->ring && protocol->options.aio == BLOCK_AIO_URING) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "aio=io_uring: %s; use aio=threads, or leave it out", problem->message);
    }
    return true; /* without a ring, threads do the work */
}

struct block_queue *block_queue_new(struct block_backend *backend, struct event_base *base,
                                    const struct block_queue_handler *handler, GError **error)
{
    struct block_queue *queue = g_new0(struct block_queue, 1);

    queue->backend = backend;
    queue->base = base;
    queue->handler = *handler;
    list_clear(&queue->done);
    list_clear(&queue->posted);
    queue->posted_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (queue->posted_fd < 0) {
        duodm_fail(error, DUODM_ERROR_IO, "no event descriptor for a disk's queue: %s",
                   g_strerror(errno));
        g_free(queue);
        return NULL;
    }
    pthread_mutex_init(&queue->lock, NULL);
    queue->posted_event = event_new(base, queue->posted_fd, EV_READ | EV_PERSIST, on_posted, queue);
    event_add(queue->posted_event, NULL);
    block_ref(backend);
    g_ptr_array_add(backend->queues, queue);
    if (!make_ring(queue, error)) {
        block_queue_free(queue);
        return NULL;
    }
    return queue;
}

void block_queue_cancel(struct block_queue *queue)
{
    struct block_backend *protocol = block_protocol(queue->backend);

    if (queue->in_flight && protocol->driver->cancel) {
        protocol->driver->cancel(protocol, queue);
    }
}

void block_queue_free(struct block_queue *queue)
{
    if (!queue) {
        return;
    }
    while (queue->in_flight) {
        block_queue_cancel(queue);
        block_queue_wait(queue);
    }
    block_uring_free(queue->ring);
    event_free(queue->posted_event);
    close(queue->posted_fd);
    pthread_mutex_destroy(&queue->lock);
    g_ptr_array_remove_fast(queue->backend->queues, queue);
    block_unref(queue->backend);
    g_free(queue);
}
