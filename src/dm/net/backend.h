/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a kind of network back end gives to netdev.c and queue.c, and what they give back. Each kind
 * is one const struct netdev_kind, listed in netdev.c.
 */
#ifndef DUODM_DM_NET_BACKEND_H
#define DUODM_DM_NET_BACKEND_H

#include "dm/keyval.h"
#include "dm/net/net.h"
#include "dm/net/segment.h"

#include <event2/event.h>
#include <jansson.h>
#include <pthread.h>

struct net_queue;

struct netdev_kind {
    const char *name;        /* as -netdev has it */
    const char *description; /* one line */
    const char *const *keys; /* options besides type and id; ended by NULL */
    size_t instance_size;    /* bytes; the struct begins with struct netdev */
    size_t queue_size;       /* bytes; the struct begins with struct net_queue */
    /* An older way to ask for another kind: the list that asks in the modern way. NULL: this is a
     * kind by itself. */
    struct key_values *(*translate)(const struct key_values *options, GError **error);
    /* Opens, and says netdev_make_queues. On failure nothing is left open but the queues. */
    bool (*open)(struct netdev *netdev, const struct key_values *options, GError **error);
    /* No NIC is attached, no queue runs. */
    void (*close)(struct netdev *netdev);
    /* A NIC was attached: from now on read from outside, in the loop queue->base. */
    void (*start)(struct net_queue *queue);
    /* Mirror of start: no event of the queue is active or pending when it returns. */
    void (*stop)(struct net_queue *queue);
    /* Send one packet, which needs no more than netdev->send_offloads. Under queue->lock. False: no
     * room; net_queue_writable is called later. */
    bool (*send)(struct net_queue *queue, const struct vnet_header *header,
                 const struct iovec *data, unsigned count);
    /* In the queue's loop: net_queue_deliver returned false some time ago; try again, then read on.
     */
    void (*resume)(struct net_queue *queue);
    void (*set_receive_offloads)(struct netdev *netdev, unsigned offloads); /* or NULL */
    void (*set_active)(struct net_queue *queue, bool active);               /* or NULL */
    /* What follows the type in `info network`; caller frees. */
    char *(*describe)(const struct netdev *netdev);
};

/* One queue. Embedded at the start of the kind's own struct. */
struct net_queue {
    struct netdev *netdev;
    unsigned index;
    struct event_base *base; /* while started */
    struct event *resume;    /* in base: the NIC has room again */
    pthread_mutex_t lock;    /* leaf: what follows, and the kind's own sending state */
    bool wants_writable;     /* a net_send was refused */
    bool cutting;            /* segments of one packet are still to be sent */
    struct segmenter segmenter;
    uint8_t *scratch; /* NET_PACKET_MAX bytes, made when first needed */
};

struct netdev {
    const struct netdev_kind *kind;
    struct machine *machine;
    char *id;
    struct net_client *client; /* NULL: no NIC */
    struct net_queue *queues[NET_QUEUES_MAX];
    unsigned queue_count;
    unsigned send_offloads; /* what send takes: set by open. A TSO bit without CHECKSUM: large
                               packets, with their checksum in place */
    bool link_down;         /* set_link: atomic */
    bool is_disconnected;   /* no peer: atomic, set by netdev_set_connected */
    pthread_mutex_t events_lock;
    GQueue events;              /* of struct netdev_event, on their way to the monitors */
    struct event *events_event; /* in the main loop */
};

extern const struct netdev_kind netdev_dgram, netdev_socket, netdev_stream, netdev_tap, netdev_user;

/* In open: make queues 0 to count - 1, zeroed but for their base part. */
void netdev_make_queues(struct netdev *netdev, unsigned count);
/* Run a function in the loop of the queues and wait for it: what is theirs may be touched. Main
 * loop. */
void netdev_call(struct netdev *netdev, void (*run)(void *opaque), void *opaque);
/* The peer came or went. Any thread. */
void netdev_set_connected(struct netdev *netdev, bool connected);
/* A QMP event; name is static, data an object of which the reference is taken over. Any thread. */
void netdev_emit_event(struct netdev *netdev, const char *name, json_t *data);

/* Offer a packet to the NIC. False: it has no room; keep the packet and stop reading until kind's
 * resume. In the queue's loop. */
bool net_queue_deliver(struct net_queue *queue, const struct vnet_header *header,
                       const struct iovec *data, unsigned count);
/* After the packets of one event. */
void net_queue_deliver_end(struct net_queue *queue);
/* There is room after a send that returned false. In the queue's loop, lock not held. */
void net_queue_writable(struct net_queue *queue);

/* queue.c, for netdev.c */
void net_queue_init(struct net_queue *queue, struct netdev *netdev, unsigned index);
void net_queue_destroy(struct net_queue *queue);
void net_queue_start(struct net_queue *queue, struct event_base *base);
void net_queue_stop(struct net_queue *queue);

#endif
