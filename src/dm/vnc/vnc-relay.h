/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands between the network and libvncserver, in a thread of its own: it accepts clients,
 * hands on whole messages only, and takes all that the library sends at once, to pass it on as fast
 * as each client reads. So the library never waits for a client, nor one client for another.
 */
#ifndef DUODM_DM_VNC_VNC_RELAY_H
#define DUODM_DM_VNC_VNC_RELAY_H

#include <glib.h>
#include <stdbool.h>

struct vnc_relay;
struct vnc_client_info;

/* How many bytes for a client wait in the relay. Shared by both sides, counted. */
struct vnc_backlog {
    gint references; /* atomic */
    gsize bytes;     /* atomic */
};
void vnc_backlog_unref(struct vnc_backlog *backlog);

/* A client that speaks RFB has come. fd: for the library, and with it what the client said first.
 * All arguments are the receiver's. In the relay's thread. */
typedef void (*vnc_arrival_fn)(void *opaque, int fd, struct vnc_client_info *info,
                               struct vnc_backlog *backlog);

/* listener stays the caller's. */
struct vnc_relay *vnc_relay_start(int listener, bool needs_password, vnc_arrival_fn arrival,
                                  void *opaque, GError **error);
void vnc_relay_stop(struct vnc_relay *relay); /* closes all connections */

#endif
