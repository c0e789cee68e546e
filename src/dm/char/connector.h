/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections that are made in the background: a loop that serves others can't wait until a name is
 * resolved, or a host answers. Nothing ends a resolver early, so one that hangs keeps its thread,
 * for longer than the connector lives if need be; but a connector has one thread at most.
 */
#ifndef DUODM_DM_CHAR_CONNECTOR_H
#define DUODM_DM_CHAR_CONNECTOR_H

#include "dm/char/socket-address.h"

struct connector;
struct event_base;
/* fd: a non-blocking socket, the callee's; -1: nobody is there. */
typedef void (*connector_done_fn)(void *opaque, int fd);

/* For a path, or a host and port, which are copied. */
struct connector *connector_new(const struct socket_address *address, connector_done_fn done,
                                void *opaque);
/* Does not wait. Stopped before. NULL is fine. */
void connector_free(struct connector *connector);

/* Try once, and call done in base's loop. It is not being tried. False: no thread, or no
 * descriptor, could be had. */
bool connector_start(struct connector *connector, struct event_base *base);
/* If it is being tried: done is not called any more. In base's loop, or while that does not run.
 * NULL is fine. */
void connector_stop(struct connector *connector);

#endif
