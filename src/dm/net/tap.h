/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening tap interfaces and telling them what is wanted. */
#ifndef DUODM_DM_NET_TAP_H
#define DUODM_DM_NET_TAP_H

#include "dm/keyval.h"

#include <net/if.h>

struct tap_device {
    char name[IFNAMSIZ];
    size_t header_size; /* bytes before each packet: 0, or those of struct vnet_header */
    unsigned offloads;  /* what the kernel can do: a set of enum net_offload */
    bool multi_queue;
};

/* Open what ifname=, fd=, fds=, queues=, vnet_hdr= and sndbuf= ask for: *count descriptors, not
 * blocking, which the caller closes. fds holds NET_QUEUES_MAX. On failure none is left open. */
bool tap_device_open(struct tap_device *device, const struct key_values *options, int *fds,
                     unsigned *count, GError **error);
/* What unfinished packets the kernel may give: those of the set that it can. */
void tap_device_set_offloads(const struct tap_device *device, int fd, unsigned offloads);
/* Does the kernel put packets into this queue? Only with multi_queue. */
void tap_device_set_active(const struct tap_device *device, int fd, bool active);

#endif
