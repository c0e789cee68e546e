/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a kind of character back end gives to chardev.c, and what chardev.c gives back to it. Each
 * kind is one const struct chardev_backend, listed in chardev.c.
 */
#ifndef DUODM_DM_CHAR_BACKEND_H
#define DUODM_DM_CHAR_BACKEND_H

#include "dm/chardev.h"
#include "dm/keyval.h"

struct chardev_backend {
    const char *name;        /* as -chardev has it */
    const char *description; /* one line */
    const char *const *keys; /* options besides id and mux; ended by NULL */
    size_t instance_size;    /* bytes; the struct begins with struct chardev */
    /* On failure nothing is left open; close is not called. */
    bool (*open)(struct chardev *chardev, const struct key_values *options, GError **error);
    void (*close)(struct chardev *chardev);
    /* Bytes taken (sent, queued, or thrown away because nobody listens). Any thread. */
    size_t (*write)(struct chardev *chardev, const uint8_t *data, size_t length);
    void (*accept_input)(struct chardev *chardev); /* any thread; NULL: there is no input */
    void (*flush)(struct chardev *chardev);        /* NULL: nothing is ever queued */
    char *(*filename)(const struct chardev *chardev);
    int (*take_fd)(struct chardev *chardev); /* NULL: descriptors never come */
    bool (*accept_many)(struct chardev *chardev, chardev_accept_fn accept, void *opaque,
                        GDestroyNotify free_opaque);
    /* A mux keeps its own list of front ends; NULL: chardev.c keeps the one. */
    bool (*attach)(struct chardev *chardev, struct chardev_frontend *frontend, GError **error);
    void (*detach)(struct chardev *chardev, struct chardev_frontend *frontend);
    size_t (*write_from)(struct chardev *chardev, struct chardev_frontend *frontend,
                         const uint8_t *data, size_t length);
};

struct chardev {
    const struct chardev_backend *backend;
    const struct chardev_backend *outer; /* who speaks to the outside: backend, or a mux's back's */
    struct machine *machine;             /* NULL in some tests */
    struct event_base *base;
    char *id;
    struct chardev_frontend *frontend; /* NULL: none attached; unused by a mux */
    bool peer_open;                    /* somebody is at the other end; main loop only */
    bool interactive;                  /* a terminal: input comes from a person's fingers */
};

extern const struct chardev_backend chardev_file, chardev_mux, chardev_null, chardev_pty,
    chardev_socket, chardev_stdio;

/* A chardev of a kind, not registered under its id: for connections and the back of a mux. */
struct chardev *chardev_make(const struct chardev_backend *backend, struct machine *machine,
                             struct event_base *base, const char *id,
                             const struct key_values *options, GError **error);
/* A mux in front of `back`, which it then owns. Never fails. */
struct chardev *chardev_mux_new(struct chardev *back, const char *id);
/* A chardev for a connected socket, which it then owns. */
struct chardev *chardev_socket_adopt(struct machine *machine, struct event_base *base,
                                     const char *id, int fd);

/* Calls to a front end, inside its guard. Main loop only. NULL frontend: nothing happens. */
size_t frontend_room(struct chardev_frontend *frontend);
void frontend_receive(struct chardev_frontend *frontend, const uint8_t *data, size_t length);
void frontend_event(struct chardev_frontend *frontend, enum chardev_event event);

/* The peer came or went: remembers it and tells the front end. */
void chardev_set_peer_open(struct chardev *chardev, bool open);

#endif
