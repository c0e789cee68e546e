/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Character back ends: stdio, file, pty, socket, null, and a multiplexer of several front ends on
 * one back end (-nographic: serial and monitor, switched by Ctrl-A c). Back ends run in the main
 * loop; front ends are called there. Writing may be done by any thread and never blocks: what the
 * peer does not take is queued up to a bound, then chardev_write takes less.
 */
#ifndef DUODM_DM_CHARDEV_H
#define DUODM_DM_CHARDEV_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct event_base;
struct machine;
struct chardev;

enum chardev_event {
    CHARDEV_OPENED,   /* a peer is there; at once on attach if it is there already */
    CHARDEV_CLOSED,   /* it is gone */
    CHARDEV_BREAK,    /* the serial line's break condition (a multiplexer's Ctrl-A b) */
    CHARDEV_WRITABLE, /* chardev_write took less before: there is room now */
    CHARDEV_FOCUS     /* of a multiplexer: what is typed goes to this front end from now on */
};

/* A user of a chardev (a UART, a monitor). Called in the main loop, within `guard` alone. */
struct chardev_frontend {
    size_t (*can_receive)(void *opaque); /* bytes that receive would take now */
    void (*receive)(void *opaque, const uint8_t *data, size_t length);
    void (*event)(void *opaque, enum chardev_event event); /* may be NULL */
    void *opaque;
    struct chardev *chardev;    /* set by attach */
    struct access_guard *guard; /* entered around the calls, or NULL */
};

/* Make a back end from -chardev's text: "socket,id=x,path=p,server=on,wait=off". */
struct chardev *chardev_new(struct machine *machine, struct event_base *base, const char *options,
                            GError **error);
/* From -serial's or -monitor's short forms: "stdio", "null", "none" (NULL, no error), "pty",
 * "file:PATH", "mon:stdio", "tcp:HOST:PORT[,server][,nowait]", "unix:PATH[,server][,nowait]",
 * "chardev:ID". */
struct chardev *chardev_new_short(struct machine *machine, struct event_base *base, const char *id,
                                  const char *text, GError **error);
void chardev_free(struct chardev *chardev);
struct chardev *chardev_find(struct machine *machine, const char *id);
const char *chardev_id(const struct chardev *chardev);
/* As query-chardev's `filename`: "pty:/dev/pts/3", "unix:/x,server=on". Caller frees. */
char *chardev_filename(const struct chardev *chardev);

/* One front end each (a mux: up to 4). */
bool chardev_attach(struct chardev *chardev, struct chardev_frontend *frontend, GError **error);
void chardev_detach(struct chardev_frontend *frontend);

/* A listening socket can serve several peers at once: each is then a chardev of its own, which
 * accept gets, attaches to and frees. free_opaque is called with the listener's end. False: not a
 * listening socket, nothing was done. */
typedef void (*chardev_accept_fn)(void *opaque, struct chardev *connection);
bool chardev_accept_many(struct chardev *chardev, chardev_accept_fn accept, void *opaque,
                         GDestroyNotify free_opaque);
/* Has it a front end? */
bool chardev_is_attached(const struct chardev *chardev);
/* Is it a multiplexer, whose front ends wait for CHARDEV_FOCUS? */
bool chardev_is_shared(const struct chardev *chardev);
/* Is a peer there? Main loop only. */
bool chardev_is_open(const struct chardev *chardev);
/* Does some chardev of the machine speak to standard input and output? */
bool chardev_stdio_is_used(struct machine *machine);
/* Print the kinds of back end, a line each, for -chardev help. */
void chardev_list_kinds(FILE *out);
/* The keys that -chardev takes, whatever the kind, each once; the strings are constants. */
GPtrArray *chardev_list_keys(void);

/* Bytes taken; the rest when CHARDEV_WRITABLE comes. frontend->chardev NULL swallows all. */
size_t chardev_write(struct chardev_frontend *frontend, const void *data, size_t length);
/* Room was made in the front end: call can_receive again soon. Any thread. */
void chardev_accept_input(struct chardev_frontend *frontend);
/* A descriptor that came with the data (SCM_RIGHTS), or -1. Caller closes. */
int chardev_take_fd(struct chardev_frontend *frontend);
/* Write out what is queued, for at most a second, before the process ends. */
void chardev_flush(struct chardev *chardev);

#endif
