/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection to a vfio-user server. Whoever waits for an answer reads what the server sends, and
 * carries out its commands meanwhile, so that these never wait for what a waiting thread holds; a
 * thread of the connection does so while nobody waits.
 *
 * The server is not trusted: what breaks the rules of the protocol, and what is not answered in
 * time, ends the connection. From then on every request fails at once.
 */
#ifndef DUODM_VFIO_USER_CONNECTION_H
#define DUODM_VFIO_USER_CONNECTION_H

#include "vfio/user-protocol.h"

struct vfio_user_connection;

/* Called by any thread that reads, with the locks that it holds: they take leaf locks only. */
struct vfio_user_listener {
    /* Carry out a DMA_READ (fill data) or DMA_WRITE, access.count bytes: 0, or an errno. */
    int (*dma_read)(void *opaque, const struct vfio_user_dma_access *access, void *data);
    int (*dma_write)(void *opaque, const struct vfio_user_dma_access *access, const void *data);
    /* Asked after vfio_user_wake_descriptor was signalled: what the server did wrong elsewhere than
     * on the socket; NULL: nothing. NULL: nobody is asked. */
    const char *(*examine)(void *opaque);
    /* The connection has ended, by no wish of ours: once, any lock held. Only note it. */
    void (*lost)(void *opaque);
    void *opaque;
};

/*
 * Connect to a socket in the file system and agree on a version. name is for messages, and copied.
 * timeout: ms that the server has for each answer. *listener is copied; it is called from now on.
 */
struct vfio_user_connection *vfio_user_connect(const char *path, const char *name, unsigned timeout,
                                               const struct vfio_user_listener *listener,
                                               GError **error);
/* No request is under way. No listener is called any more. NULL is fine. */
void vfio_user_disconnect(struct vfio_user_connection *connection);

/* An event descriptor by which anyone, also a signal handler, has the listener asked (examine). */
int vfio_user_wake_descriptor(const struct vfio_user_connection *connection);

/* What the server said of itself; constant. */
const struct vfio_user_capabilities *
vfio_user_capabilities(const struct vfio_user_connection *connection);

/* A command and its answer. */
struct vfio_user_request {
    enum vfio_user_command command;
    const void *payload; /* what follows the header, in two parts */
    size_t payload_size;
    const void *data; /* the second one */
    size_t data_size;
    const int *fds; /* go along; stay the caller's */
    unsigned fd_count;

    void *reply; /* where the answer's payload goes */
    size_t reply_room,
        reply_minimum; /* bytes: an answer that has more, or less, breaks the rules */
    bool takes_fds;    /* descriptors may come with the answer; else they are closed */
    /* Results. */
    size_t reply_size;
    int reply_fds[VFIO_USER_FDS_MAX]; /* the caller's, who closes them */
    unsigned reply_fd_count;
    int refusal; /* errno that the server gave; 0: it did what was asked */
};

/* Ask, and wait for the answer. False: the server refused (refusal is not 0), or is gone. Any
 * thread. */
bool vfio_user_request(struct vfio_user_connection *connection, struct vfio_user_request *request,
                       GError **error);

/* The server broke the rules, in a way that the connection can't see by itself: end it. Always
 * returns false, with the error set. */
bool vfio_user_break(struct vfio_user_connection *connection, const char *problem, GError **error);
bool vfio_user_is_broken(struct vfio_user_connection *connection);
/* Why it is; NULL: it is not. Caller frees. */
char *vfio_user_problem(struct vfio_user_connection *connection);

#endif
