/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Socket addresses of -netdev: "addr.type=unix,addr.path=/x", "local.type=inet,local.host=...". */
#ifndef DUODM_DM_NET_ADDRESS_H
#define DUODM_DM_NET_ADDRESS_H

#include "dm/char/socket-address.h"

/* Parse the options whose keys begin with prefix. *given: were there any? False and an error where
 * they are wrong. */
bool net_address_parse(struct socket_address *address, const struct key_values *options,
                       const char *prefix, bool *given, GError **error);
/* Split "HOST:PORT" into two options; an empty host is left out. */
bool net_address_set_host_port(struct key_values *options, const char *prefix, const char *text,
                               GError **error);

#endif
