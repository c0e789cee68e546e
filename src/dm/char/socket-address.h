/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a socket chardev listens or connects: a path, a host and port, or a given descriptor. */
#ifndef DUODM_DM_CHAR_SOCKET_ADDRESS_H
#define DUODM_DM_CHAR_SOCKET_ADDRESS_H

#include "dm/keyval.h"

struct socket_address {
    char *path;        /* unix */
    char *host, *port; /* tcp; host NULL: any (server) or the loopback address (client) */
    int fd;            /* given by the one who started us; -1: none */
};

/* From the keys path, host, port, fd: one of path, port and fd has to be there. On failure nothing
 * is left to be cleared. */
bool socket_address_parse(struct socket_address *address, const struct key_values *options,
                          GError **error);
void socket_address_clear(struct socket_address *address);
/* As query-chardev shows it: "unix:/x", "tcp:127.0.0.1:4444"; caller frees. fd: an open socket
 * whose port is shown if port 0 was asked for, or -1. */
char *socket_address_text(const struct socket_address *address, int fd);

/* Can there be such a path and port? The others ask, too. */
bool socket_address_check(const struct socket_address *address, GError **error);

/* A non-blocking socket, or -1 and an error. A stale unix socket is replaced. */
int socket_address_listen(const struct socket_address *address, GError **error);
/* The same. Waits until the connection is made, or until cancel_fd (-1: none) can be read. advice:
 * what a user could do if it can't be, added to the error; NULL: nothing. */
#define SOCKET_ADVICE_LISTEN "server=on listens there"
int socket_address_connect(const struct socket_address *address, int cancel_fd, const char *advice,
                           GError **error);

#endif
