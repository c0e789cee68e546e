/* SPDX-License-Identifier: GPL-2.0-or-later */
/* User-mode networking: libslirp's TCP/IP stack in this process, no privileges needed. */
#ifndef DUODM_DM_NET_USER_H
#define DUODM_DM_NET_USER_H

#include "dm/keyval.h"

#include <libslirp.h>

struct netdev;

/* A forwarded port: hostfwd=tcp|udp:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT. */
struct user_forward {
    bool is_udp;
    struct in_addr host_address, guest_address; /* guest's 0: the DHCP server's first */
    uint16_t host_port, guest_port;
};
/* Without the part from '-' where for_removal is set. */
bool user_forward_parse(struct user_forward *forward, const char *text, bool for_removal,
                        GError **error);

/* What the options say; `strings` owns what config points to. */
struct user_options {
    SlirpConfig config;
    GPtrArray *forwards;       /* of char: hostfwd= */
    GPtrArray *guest_forwards; /* of char: guestfwd= */
    GPtrArray *dns_search;     /* of char, ended by NULL */
    GPtrArray *strings;        /* of char */
};
extern const char *const user_option_keys[];
bool user_options_parse(struct user_options *user, const struct key_values *options,
                        GError **error);
void user_options_clear(struct user_options *user);

/* Is the back end of this kind? The others need one that is. Main loop. */
bool netdev_is_user(const struct netdev *netdev);
bool netdev_user_add_forward(struct netdev *netdev, const char *text, GError **error);
bool netdev_user_remove_forward(struct netdev *netdev, const char *text, GError **error);
/* Table of connections; caller frees. */
char *netdev_user_connections(struct netdev *netdev);

#endif
