/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way of packets between a NIC and its back end. */
#include "dm/net/backend.h"
#include "memory/guard.h"

#include <string.h>

static const struct vnet_header complete; /* nothing left to be done */

static void resume_event(evutil_socket_t fd, short what, void *opaque)
{
    struct net_queue *queue = opaque;

    queue->netdev->kind->resume(queue);
}

void net_queue_init(struct net_queue *queue, struct netdev *netdev, unsigned index)
{
    queue->netdev = netdev;
    queue->index = index;
    pthread_mutex_init(&queue->lock, NULL);
}

void net_queue_destroy(struct net_queue *queue)
{
    pthread_mutex_destroy(&queue->lock);
    g_free(queue->scratch);
}

void net_queue_start(struct net_queue *queue, struct event_base *base)
{
    queue->base = base;
    queue->resume = event_new(base, -1, 0, resume_event, queue);
    queue->netdev->kind->start(queue);
}

void net_queue_stop(struct net_queue *queue)
{
    event_free(queue->resume); /* waits for the callback, if another thread is in it */
    queue->resume = NULL;
    queue->netdev->kind->stop(queue);
    queue->base = NULL;
    queue->wants_writable = queue->cutting = false;
}

/* From the outside to the guest. */

bool net_queue_deliver(struct net_queue *queue, const struct vnet_header *header,
                       const struct iovec *data, unsigned count)
{
    struct net_client *client = queue->netdev->client;
    bool taken;

    if (!net_client_link_is_up(client)) {
        return true;
    }
    if (client->guard && !access_guard_enter(client->guard)) {
        return true; /* the NIC waits for this very thread: the wire loses a packet */
    }
    taken = client->receive(client->opaque, queue->index, header, data, count);
    if (client->guard) {
        access_guard_leave(client->guard);
    }
    return taken;
}

static void call_client(struct net_queue *queue, void (*function)(void *opaque, unsigned queue))
{
    struct net_client *client = queue->netdev->client;

    if (function && (!client->guard || access_guard_enter(client->guard))) {
        function(client->opaque, queue->index);
        if (client->guard) {
            access_guard_leave(client->guard);
        }
    }
}

void net_queue_deliver_end(struct net_queue *queue)
{
    call_client(queue, queue->netdev->client->receive_end);
}

void net_resume(struct net_client *client, unsigned queue)
{
    struct netdev *netdev = client->netdev;

    if (netdev && queue < netdev->queue_count) {
        event_active(netdev->queues[queue]->resume, 0, 0);
    }
}

/* From the guest to the outside. All under the queue's lock. */

/* Send the segments that are left; false if the back end has no room for one of them. */
static bool continue_cutting(struct net_queue *queue)
{
    struct segmenter *s = &queue->segmenter;
    struct iovec pieces[2];

    while (queue->cutting) {
        struct segmenter before = {.position = s->position, .index = s->index};

        if (!segmenter_next(s, pieces)) {
            queue->cutting = false;
        } else if (!queue->netdev->kind->send(queue, &complete, pieces, 2)) {
            s->position = before.position; /* that one again */
            s->index = before.index;
            return false;
        }
    }
    return true;
}

static bool send_copy(struct net_queue *queue, size_t length)
{
    struct iovec piece = {queue->scratch, length};

    return queue->netdev->kind->send(queue, &complete, &piece, 1);
}

/* Finish a packet here: the back end can't. */
static bool send_in_software(struct net_queue *queue, const struct vnet_header *header,
                             const struct iovec *data, unsigned count, unsigned lacks)
{
    size_t length;

    queue->scratch = queue->scratch ? queue->scratch : g_malloc(NET_PACKET_MAX);
    length = packet_copy(queue->scratch, NET_PACKET_MAX, data, count);
    if ((header->gso_type & ~VNET_GSO_ECN) == VNET_GSO_NONE) {
        packet_finish_checksum(queue->scratch, length, header);
        return send_copy(queue, length);
    }
    if (lacks == NET_OFFLOAD_CHECKSUM) {
        return !packet_finish_large(queue->scratch, length, header) || send_copy(queue, length);
    }
    if (!segmenter_start(&queue->segmenter, header, queue->scratch, length)) {
        return true;
    }
    queue->cutting = true;
    continue_cutting(queue); /* what is not sent now is sent when there is room */
    return true;
}

/* The protocol matters for UDP segments only, whose type does not say it. */
static bool is_ipv6(const struct iovec *data, unsigned count)
{
    uint8_t start[ETHERNET_HEADER_SIZE + 8];
    size_t length = packet_copy(start, sizeof(start), data, count), at = 12;

    while (at + 2 <= length && ((start[at] == 0x81 && start[at + 1] == 0x00) ||
                                (start[at] == 0x88 && start[at + 1] == 0xa8))) {
        at += 4;
    }
    return at + 2 <= length && start[at] == 0x86 && start[at + 1] == 0xdd;
}

static bool send_locked(struct net_queue *queue, const struct vnet_header *header,
                        const struct iovec *data, unsigned count)
{
    const struct netdev *netdev = queue->netdev;
    size_t length = packet_length(data, count);
    unsigned lacks;

    if (queue->cutting) {
        return false; /* packets stay in order */
    }
    if (length < ETHERNET_HEADER_SIZE || length > NET_PACKET_MAX ||
        !vnet_header_is_valid(header, length)) {
        return true;
    }
    lacks = vnet_header_needs(header, header->gso_type && is_ipv6(data, count)) &
            ~netdev->send_offloads;
    if (lacks) {
        return send_in_software(queue, header, data, count, lacks);
    }
    return netdev->kind->send(queue, header, data, count);
}

bool net_send(struct net_client *client, unsigned index, const struct vnet_header *header,
              const struct iovec *data, unsigned count)
{
    struct netdev *netdev = client->netdev;
    struct net_queue *queue;
    bool sent;

    if (!net_client_link_is_up(client)) {
        return true;
    }
    queue = netdev->queues[index % netdev->queue_count];
    pthread_mutex_lock(&queue->lock);
    sent = send_locked(queue, header, data, count);
    queue->wants_writable |= !sent;
    pthread_mutex_unlock(&queue->lock);
    return sent;
}

void net_queue_writable(struct net_queue *queue)
{
    bool wanted = false;

    pthread_mutex_lock(&queue->lock);
    if (continue_cutting(queue)) {
        wanted = queue->wants_writable;
        queue->wants_writable = false;
    }
    pthread_mutex_unlock(&queue->lock);
    if (wanted) {
        call_client(queue, queue->netdev->client->writable);
    }
}
