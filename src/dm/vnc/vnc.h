/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VNC server: shows the machine's picture to RFB clients and brings their input to it. A thread
 * of its own serves all clients, so that none can hold up the machine. Functions are called in the
 * main loop.
 */
#ifndef DUODM_DM_VNC_VNC_H
#define DUODM_DM_VNC_VNC_H

#include <glib.h>
#include <stdbool.h>

struct machine;
struct vnc_server;

enum vnc_share { VNC_SHARE_ALLOW_EXCLUSIVE, VNC_SHARE_FORCE_SHARED, VNC_SHARE_IGNORE };

/* -vnc's argument. */
struct vnc_options {
    char *host;         /* NULL: any address */
    char *path;         /* unix socket; NULL: TCP */
    unsigned port;      /* TCP */
    unsigned last_port; /* the first free one up to this is taken */
    bool needs_password;
    enum vnc_share share;
};

/* false and an error if the text is none of -vnc's, or asks for what there is not. *off: "none". */
bool vnc_options_parse(struct vnc_options *options, const char *text, bool *off, GError **error);
void vnc_options_clear(struct vnc_options *options);

/* Sets machine->vnc; false and an error if the build or this host has no library for it, or nobody
 * can listen there. */
bool vnc_server_start(struct machine *machine, const struct vnc_options *options, GError **error);
void vnc_server_stop(struct machine *machine); /* nothing to do if it was not started */

/* At most 8 bytes count. NULL: nobody gets in any more. Fails if there is no password=on. */
bool vnc_set_password(struct vnc_server *server, const char *password, GError **error);
/* From this time (seconds of the epoch; 0: never) the password is no longer valid. */
bool vnc_set_password_expiry(struct vnc_server *server, gint64 when, GError **error);

/* Where it listens, and who is there: strings as QMP has them, owned. */
struct vnc_client_info {
    char *host, *service, *family;
};
struct vnc_info {
    char *host, *service, *family;
    const char *auth;   /* "none" or "vnc" */
    GPtrArray *clients; /* of struct vnc_client_info */
};
struct vnc_info *vnc_get_info(struct vnc_server *server);
void vnc_info_free(struct vnc_info *info);

#endif
