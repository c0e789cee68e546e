/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection that is made in the background: a loop that serves others can't wait until a name is
 * resolved, or a host answers.
 */
#ifndef DUODM_DM_CHAR_CONNECTOR_H
#define DUODM_DM_CHAR_CONNECTOR_H

#include "dm/char/socket-address.h"

struct connector;
struct event_base;
/* fd: a non-blocking socket, the callee's; -1: nobody is there. The connector is gone. */
typedef void (*connector_done_fn)(void *opaque, int fd);

/* Connect to a path, or a host and port, and call done once, in base's loop. NULL: no thread, or no
 * descriptor, could be had. */
struct connector *connector_start(struct event_base *base, const struct socket_address *address,
                                  connector_done_fn done, void *opaque);
/* It is not to call any more; in base's loop, before it has called. NULL: nothing to do. */
void connector_cancel(struct connector *connector);

#endif
