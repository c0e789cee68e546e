/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Network back ends ("netdevs": tap, user, stream, dgram, ...) as NICs see them. A NIC attaches a
 * struct net_client; packets then go both ways, in one or more queues. Each queue of a back end
 * runs in one event loop, the main one or an I/O thread's, and calls the NIC there.
 *
 * Flow control: a receiver that has no room says so, keeps nothing, and asks again with
 * net_resume or is told by `writable`. Nothing is lost by that, and nobody waits.
 */
#ifndef DUODM_DM_NET_NET_H
#define DUODM_DM_NET_NET_H

#include "dm/net/packet.h"

#include <glib.h>
#include <stdio.h>

struct access_guard;
struct io_thread;
struct machine;
struct netdev;

#define NET_QUEUES_MAX 64 /* of one back end */

/* The NIC's side. Callbacks come from the loop of the queue, inside guard. */
struct net_client {
    /* A packet for the guest. False: no room; it is kept, and offered again after net_resume. */
    bool (*receive)(void *opaque, unsigned queue, const struct vnet_header *header,
                    const struct iovec *data, unsigned count);
    /* No more packets for now: time to tell the guest of those that came. May be NULL. */
    void (*receive_end)(void *opaque, unsigned queue);
    /* There is room again after a net_send that returned false. May be NULL. */
    void (*writable)(void *opaque, unsigned queue);
    /* The carrier came or went (net_client_link_is_up). Main loop. May be NULL. */
    void (*link_changed)(void *opaque);
    void *opaque;
    const char *name; /* for messages and monitors: the device's id. Not owned; may be NULL */
    struct access_guard *guard; /* entered around the callbacks; NULL: the NIC locks by itself */
    struct io_thread *thread;   /* where the queues run; NULL: the main loop */
    struct netdev *netdev;      /* set by attach; NULL: nothing is connected */
    bool link_down;             /* set_link NIC: atomic */
};

/* Make a back end from -netdev's text: "tap,id=n0,ifname=tap0,script=no". The machine owns it. */
struct netdev *netdev_new(struct machine *machine, const char *options, GError **error);
/* Refused while a NIC uses it. */
bool netdev_remove(struct netdev *netdev, GError **error);
struct netdev *netdev_find(const struct machine *machine, const char *id);
const char *netdev_id(const struct netdev *netdev);
bool netdev_is_attached(const struct netdev *netdev); /* to a NIC */
unsigned netdev_queue_count(const struct netdev *netdev);
/* As `info network` has it: "type=user,net=10.0.2.0,restrict=off". Caller frees. */
char *netdev_describe(const struct netdev *netdev);
/* Print the kinds, a line each, for -netdev help. */
void netdev_list_kinds(FILE *out);
/* Warn of those that no NIC uses. */
void netdev_warn_unused(const struct machine *machine);
/* The carrier of the back end, by set_link. Main loop. */
void netdev_set_link(struct netdev *netdev, bool up);

/* Main loop only; the queues start and stop in their own. Detach returns when no callback runs any
 * more. */
bool net_attach(struct net_client *client, struct netdev *netdev, GError **error);
void net_detach(struct net_client *client);
/* The cable of the NIC, by set_link. Main loop. */
void net_client_set_link(struct net_client *client, bool up);
/* Carrier: connected, and no set_link says otherwise. Any thread. */
bool net_client_link_is_up(const struct net_client *client);
/* What receive takes besides complete packets: a set of enum net_offload. The back end does no more
 * than that, and may do less. Any thread. */
void net_set_receive_offloads(struct net_client *client, unsigned offloads);
/* Queues 0 to count - 1 are used for what comes in. At most netdev_queue_count. */
void net_set_active_queues(struct net_client *client, unsigned count);

/*
 * Send a packet. Any thread, but one at a time on one queue; never calls back. Unfinished packets
 * (see struct vnet_header) are finished here if the back end can't. True: sent, or dropped because
 * it is not valid or nobody is there. False: no room, nothing was taken: `writable` will be called.
 */
bool net_send(struct net_client *client, unsigned queue, const struct vnet_header *header,
              const struct iovec *data, unsigned count);
/* Room was made after a receive that returned false. Any thread. */
void net_resume(struct net_client *client, unsigned queue);

#endif
