/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/char/stream.h"
#include "util/log.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* epoll takes neither regular files nor devices without a poll method, and neither ever waits. */
static bool is_pollable(int fd)
{
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        return false;
    }
    return S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || isatty(fd);
}

/* Lock held. The event is not persistent: it is asked for again each time there is room. */
static void want_input(struct chardev_stream *stream)
{
    if (stream->in_fd < 0 || stream->at_end) {
        return;
    }
    if (stream->in_pollable) {
        event_add(&stream->read_event, NULL);
    } else {
        event_active(&stream->read_event, EV_READ, 0);
    }
}

void stream_accept_input(struct chardev_stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    want_input(stream);
    pthread_mutex_unlock(&stream->lock);
}

static void stream_readable(evutil_socket_t fd, short what, void *opaque)
{
    struct chardev_stream *stream = opaque;
    uint8_t buffer[4096];
    size_t room = frontend_room(stream->chardev->frontend);
    ssize_t n;

    if (stream->in_fd < 0 || room == 0) {
        return; /* the front end asks again when it has room */
    }
    room = MIN(room, sizeof(buffer));
    n = stream->read ? stream->read(stream, buffer, room) : read(stream->in_fd, buffer, room);
    if (n > 0) {
        frontend_receive(stream->chardev->frontend, buffer, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        pthread_mutex_lock(&stream->lock);
        stream->at_end = true;
        pthread_mutex_unlock(&stream->lock);
        stream->hung_up(stream);
        return;
    }
    stream_accept_input(stream);
}

/* Lock held. Bytes that the descriptor took; all of them once nobody reads. */
static size_t write_some(struct chardev_stream *stream, const uint8_t *data, size_t length)
{
    size_t done = 0;

    while (done < length && !stream->write_failed) {
        ssize_t n = write(stream->out_fd, data + done, length - done);

        if (n > 0) {
            done += (size_t)n;
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return done;
        } else {
            stream->write_failed = true;
            if (errno != EPIPE && errno != ECONNRESET && errno != EIO) {
                log_warning("chardev '%s': output is lost: %s", stream->chardev->id,
                            g_strerror(errno));
            }
        }
    }
    return length;
}

/* Lock held. */
static void write_queue(struct chardev_stream *stream)
{
    while (stream->queue_length) {
        size_t run = MIN(stream->queue_length, STREAM_QUEUE_SIZE - stream->queue_start);
        size_t n = write_some(stream, stream->queue + stream->queue_start, run);

        stream->queue_start = (stream->queue_start + n) % STREAM_QUEUE_SIZE;
        stream->queue_length -= n;
        if (n < run) {
            break;
        }
    }
}

/* Lock held. Bytes that fitted. */
static size_t append_queue(struct chardev_stream *stream, const uint8_t *data, size_t length)
{
    size_t taken = MIN(length, STREAM_QUEUE_SIZE - stream->queue_length);

    if (taken && !stream->queue) {
        stream->queue = g_malloc(STREAM_QUEUE_SIZE);
    }
    for (size_t done = 0; done < taken;) {
        size_t end = (stream->queue_start + stream->queue_length) % STREAM_QUEUE_SIZE;
        size_t run = MIN(taken - done, STREAM_QUEUE_SIZE - end);

        memcpy(stream->queue + end, data + done, run);
        stream->queue_length += run;
        done += run;
    }
    return taken;
}

size_t stream_write(struct chardev_stream *stream, const uint8_t *data, size_t length)
{
    size_t taken = length;

    pthread_mutex_lock(&stream->lock);
    if (stream->out_fd >= 0 && !stream->write_failed) {
        taken = stream->queue_length ? 0 : write_some(stream, data, length);
        if (taken < length) {
            taken += append_queue(stream, data + taken, length - taken);
            event_add(&stream->write_event, NULL);
        }
        stream->owes_writable |= taken < length;
    }
    pthread_mutex_unlock(&stream->lock);
    return taken;
}

static void stream_writable(evutil_socket_t fd, short what, void *opaque)
{
    struct chardev_stream *stream = opaque;
    bool tell = false;

    pthread_mutex_lock(&stream->lock);
    if (stream->out_fd >= 0) {
        write_queue(stream);
        if (stream->queue_length) {
            event_add(&stream->write_event, NULL);
        }
        tell = stream->owes_writable && stream->queue_length <= STREAM_QUEUE_SIZE / 2;
        stream->owes_writable &= !tell;
    }
    pthread_mutex_unlock(&stream->lock);
    if (tell) {
        frontend_event(stream->chardev->frontend, CHARDEV_WRITABLE);
    }
}

void stream_init(struct chardev_stream *stream, struct chardev *chardev)
{
    stream->chardev = chardev;
    stream->in_fd = stream->out_fd = -1;
    pthread_mutex_init(&stream->lock, NULL);
}

void stream_start(struct chardev_stream *stream, int in_fd, int out_fd)
{
    struct event_base *base = stream->chardev->base;

    pthread_mutex_lock(&stream->lock);
    stream->in_fd = in_fd;
    stream->out_fd = out_fd;
    stream->in_pollable = is_pollable(in_fd);
    stream->out_pollable = is_pollable(out_fd);
    stream->at_end = stream->write_failed = false;
    stream->queue_start = stream->queue_length = 0;
    event_assign(&stream->read_event, base, stream->in_pollable ? in_fd : -1,
                 stream->in_pollable ? EV_READ : 0, stream_readable, stream);
    event_assign(&stream->write_event, base, stream->out_pollable ? out_fd : -1,
                 stream->out_pollable ? EV_WRITE : 0, stream_writable, stream);
    want_input(stream);
    pthread_mutex_unlock(&stream->lock);
}

void stream_stop(struct chardev_stream *stream)
{
    bool tell;

    pthread_mutex_lock(&stream->lock);
    if (stream->in_fd >= 0 || stream->out_fd >= 0) {
        event_del(&stream->read_event);
        event_del(&stream->write_event);
    }
    stream->in_fd = stream->out_fd = -1;
    stream->queue_length = 0;
    tell = stream->owes_writable;
    stream->owes_writable = false;
    pthread_mutex_unlock(&stream->lock);
    if (tell) {
        frontend_event(stream->chardev->frontend, CHARDEV_WRITABLE);
    }
}

void stream_destroy(struct chardev_stream *stream)
{
    stream_stop(stream);
    g_clear_pointer(&stream->queue, g_free);
    pthread_mutex_destroy(&stream->lock);
}

void stream_flush(struct chardev_stream *stream)
{
    gint64 limit = g_get_monotonic_time() + G_USEC_PER_SEC;

    pthread_mutex_lock(&stream->lock);
    while (stream->out_fd >= 0 && stream->queue_length) {
        struct pollfd poll_fd = {.fd = stream->out_fd, .events = POLLOUT};
        gint64 left = limit - g_get_monotonic_time();

        write_queue(stream);
        if (left <= 0 || (stream->queue_length && poll(&poll_fd, 1, (int)(left / 1000) + 1) == 0)) {
            break;
        }
    }
    pthread_mutex_unlock(&stream->lock);
}
