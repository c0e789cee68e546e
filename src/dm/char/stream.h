/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors as a character stream: input is read only as the front end has room, output that
 * the other side does not take is queued up to a bound. What stdio, file, pty and socket share.
 */
#ifndef DUODM_DM_CHAR_STREAM_H
#define DUODM_DM_CHAR_STREAM_H

#include "dm/char/backend.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <sys/types.h>

#define STREAM_QUEUE_SIZE 65536 /* bytes */

struct chardev_stream {
    struct chardev *chardev;
    /* Optional: another way to read(2). */
    ssize_t (*read)(struct chardev_stream *stream, void *buffer, size_t length);
    /* End of input or an error of the descriptor. Main loop. */
    void (*hung_up)(struct chardev_stream *stream);

    pthread_mutex_t lock; /* leaf; all below */
    int in_fd, out_fd;    /* may be the same; -1: closed */
    bool in_pollable, out_pollable;
    bool at_end;       /* no more input will come */
    bool write_failed; /* nobody reads any more: output is thrown away */
    bool owes_writable;
    struct event read_event, write_event;
    uint8_t *queue; /* ring of STREAM_QUEUE_SIZE, made when first needed */
    size_t queue_start, queue_length;
};

void stream_init(struct chardev_stream *stream, struct chardev *chardev);
/* Start on descriptors that are non-blocking (or never block). The caller keeps owning them. */
void stream_start(struct chardev_stream *stream, int in_fd, int out_fd);
/* Forget the descriptors and what was queued. A writer that waits is told to go on. */
void stream_stop(struct chardev_stream *stream);
void stream_destroy(struct chardev_stream *stream);

/* As chardev_write has it: how many bytes were taken, written or queued; CHARDEV_WRITABLE follows
 * if not all. With nobody to read all are taken, and lost. Any thread. */
size_t stream_write(struct chardev_stream *stream, const uint8_t *data, size_t length);
/* The front end has room again: read. Any thread. */
void stream_accept_input(struct chardev_stream *stream);
/* Write what is queued, for at most a second. */
void stream_flush(struct chardev_stream *stream);

#endif
