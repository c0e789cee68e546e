/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of user-connection.h: for user-connection.c (its life, and the thread) and user-messages.c
 * (what is sent and what comes) only. */
#ifndef DUODM_VFIO_USER_CONNECTION_PRIVATE_H
#define DUODM_VFIO_USER_CONNECTION_PRIVATE_H

#include "vfio/user-connection.h"

#include <pthread.h>

/*
 * What the server sends comes by one socket or two: the second has its commands.
 *
 * Who waits for an answer reads the main socket itself, so that no other thread has to run on the
 * way; of several, one reads, and hands out what is the others'. The thread reads while nobody
 * waits.
 */
struct vfio_user_channel {
    int fd; /* -1: there is none */
    struct vfio_user_framer framer;
    uint8_t *answer;    /* header and payload of what is sent to the server's command */
    size_t answer_room; /* bytes */
};

struct vfio_user_waiter;

struct vfio_user_connection {
    char *name, *path;
    unsigned timeout; /* ms */
    struct vfio_user_listener listener;
    struct vfio_user_capabilities capabilities;
    struct vfio_user_channel main; /* of who has is_reading */
    struct vfio_user_channel twin; /* the thread's, from when it is watched */
    pthread_t thread;
    int epoll; /* what the thread waits for: wake, twin.fd, and main.fd while nobody is reading */
    int wake;  /* event descriptor: the thread looks at stop, and asks the listener */
    bool stop; /* atomic */

    pthread_mutex_t send_lock; /* outside of lock: one message is sent whole */
    pthread_mutex_t lock;      /* leaf: of what follows */
    pthread_cond_t changed;    /* a waiter is done, or the connection broken */
    struct vfio_user_waiter *waiters;
    bool is_reading; /* somebody reads the main socket */
    uint16_t next_id;
    char *problem; /* NULL: all is well */
};

/* user-connection.c: the connection has ended, with a reason for people: the first one counts, and
 * the listener hears of it. */
void vfio_user_end_connection(struct vfio_user_connection *connection, const char *problem);
/* Fail with that reason. Returns false. */
bool vfio_user_fail_broken(struct vfio_user_connection *connection, GError **error);

/* user-messages.c: read a socket once, without waiting, and do what a whole message says. What is
 * wrong, or NULL. By who reads the socket. */
const char *vfio_user_receive(struct vfio_user_connection *connection,
                              struct vfio_user_channel *channel);
/* Become who reads the main socket, and be it no longer. Under the lock. */
void vfio_user_begin_reading(struct vfio_user_connection *connection);
void vfio_user_end_reading(struct vfio_user_connection *connection);

#endif
