/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets of virtio-net (virtio 1.2, 5.1.6). All in the I/O thread. Hot path. */
#include "dm/virtio/virtio-net.h"

#include <string.h>

#define SEND_BUDGET 256 /* packets of one call: then others of the thread have their turn */
#define MERGED_MAX  256 /* receive buffers of one packet */

/* Sending, 5.1.6.2. */

/* The packet behind the header, as pieces. Too many pieces are made one. False: it is too long. */
static bool strip_header(struct virtio_net *net, const struct virtqueue_element *element,
                         struct iovec pieces[NET_IOVEC_MAX], unsigned *count)
{
    size_t skip = net->header_size;
    uint64_t length = element->out_length - skip;

    if (length > NET_PACKET_MAX) {
        return false;
    }
    *count = 0;
    for (unsigned i = 0; i < element->out_count; i++) {
        size_t over = MIN(skip, element->out[i].iov_len);

        skip -= over;
        if (over == element->out[i].iov_len) {
            continue;
        }
        if (*count == NET_IOVEC_MAX) {
            net->linear = net->linear ? net->linear : g_malloc(NET_PACKET_MAX);
            virtqueue_read(element, net->header_size, net->linear, length);
            pieces[0] = (struct iovec){net->linear, length};
            *count = 1;
            return true;
        }
        pieces[(*count)++] = (struct iovec){(uint8_t *)element->out[i].iov_base + over,
                                            element->out[i].iov_len - over};
    }
    return true;
}

/* False: the back end has no room. */
static bool send_element(struct virtio_net *net, unsigned pair,
                         const struct virtqueue_element *element)
{
    struct iovec pieces[NET_IOVEC_MAX];
    struct vnet_header header = {0};
    unsigned count;

    virtqueue_read(element, 0, &header, net->header_size);
    return !strip_header(net, element, pieces, &count) ||
           net_send(&net->nic.client, pair, &header, pieces, count);
}

bool virtio_net_handle_send(struct virtqueue *queue)
{
    struct virtio_net *net = virtio_net_of(queue->device);
    struct virtqueue_element *element;
    bool done = true;

    for (unsigned i = 0; (element = virtqueue_pop(queue)); i++) {
        if (element->out_length < net->header_size) {
            virtio_break(queue->device, "a packet to send is shorter than its header");
            virtqueue_push(element, 0);
            return true;
        }
        if (!send_element(net, queue->index / 2, element)) {
            virtqueue_unpop(element); /* virtio_net_writable comes */
            done = false;
            break;
        }
        virtqueue_push(element, 0);
        if (i == SEND_BUDGET) {
            virtqueue_kick(queue);
            done = false;
            break;
        }
    }
    virtqueue_notify(queue);
    return done;
}

void virtio_net_writable(void *opaque, unsigned pair)
{
    struct virtio_net *net = opaque;

    virtqueue_kick(virtio_queue(&net->virtio, 2 * pair + 1));
}

/* Receiving, 5.1.6.4. */

/*
 * Notifications of receive buffers are wanted only while a packet waits for them: the handler says
 * "not done" otherwise, and is called again by virtio_net_receive.
 */
bool virtio_net_handle_receive(struct virtqueue *queue)
{
    struct virtio_net *net = virtio_net_of(queue->device);
    unsigned pair = queue->index / 2;

    if (!net->starved[pair]) {
        return false;
    }
    if (virtqueue_is_empty(queue)) {
        return true;
    }
    net->starved[pair] = false;
    net_resume(&net->nic.client, pair);
    return false;
}

/* `length` bytes of the packet from `from` on, into an element from `to` on. */
static void fill(const struct virtqueue_element *element, uint64_t to, const struct iovec *data,
                 unsigned count, size_t from, size_t length)
{
    for (unsigned i = 0; i < count && length; i++) {
        size_t part;

        if (from >= data[i].iov_len) {
            from -= data[i].iov_len;
            continue;
        }
        part = MIN(data[i].iov_len - from, length);
        virtqueue_write(element, to, (const uint8_t *)data[i].iov_base + from, part);
        to += part;
        length -= part;
        from = 0;
    }
}

static void give_back(struct virtqueue_element *const *elements, unsigned count)
{
    while (count-- > 0) {
        virtqueue_unpop(elements[count]);
    }
}

enum gathered { GATHERED, NO_ROOM, NEVER_ROOM };

/* Pop buffers until they hold `length` bytes, header included; nothing stays popped if they don't.
 */
static enum gathered gather(struct virtqueue *queue, uint64_t length, unsigned max,
                            struct virtqueue_element **elements, unsigned *count)
{
    unsigned header_size = virtio_net_of(queue->device)->header_size;
    uint64_t room = 0;

    *count = 0;
    do {
        struct virtqueue_element *element = *count < max ? virtqueue_pop(queue) : NULL;

        if (!element) {
            /* All buffers that there can be are too few: such a packet never fits. */
            bool never = *count == max || *count >= queue->size;

            give_back(elements, *count);
            return never ? NEVER_ROOM : NO_ROOM;
        }
        if (*count == 0 && element->in_length < header_size) {
            virtqueue_unpop(element);
            virtio_break(queue->device, "a receive buffer is shorter than the header");
            return NEVER_ROOM;
        }
        elements[(*count)++] = element;
        room += element->in_length;
    } while (room < length);
    return GATHERED;
}

static void write_packet(struct virtqueue *queue, const struct vnet_header *header,
                         const struct iovec *data, unsigned data_count,
                         struct virtqueue_element *const *elements, unsigned count)
{
    const struct virtio_net *net = virtio_net_of(queue->device);
    size_t length = packet_length(data, data_count), done = 0;
    uint64_t written[MERGED_MAX];
    struct vnet_header out = *header;

    out.buffer_count = (uint16_t)count;
    if (!(net->offloads & VIRTIO_FEATURE(VIRTIO_NET_F_GUEST_CSUM))) {
        out.flags = 0; /* 5.1.6.4.1 */
    }
    virtqueue_write(elements[0], 0, &out, net->header_size);
    for (unsigned i = 0; i < count; i++) {
        size_t start = i == 0 ? net->header_size : 0;
        size_t part = MIN(elements[i]->in_length - start, length - done);

        fill(elements[i], start, data, data_count, done, part);
        written[i] = start + part;
        done += part;
    }
    virtqueue_push_all(queue, elements, written, count);
}

static bool is_wanted(const struct virtio_net *net, unsigned pair, const struct iovec *data,
                      unsigned count)
{
    uint8_t start[ETHERNET_HEADER_SIZE + 4];
    size_t length = packet_copy(start, sizeof(start), data, count);

    return pair < net->pairs && rx_filter_accepts(&net->nic.filter, start, length);
}

bool virtio_net_receive(void *opaque, unsigned pair, const struct vnet_header *header,
                        const struct iovec *data, unsigned count)
{
    struct virtio_net *net = opaque;
    struct virtqueue *queue = virtio_queue(&net->virtio, 2 * pair);
    struct virtqueue_element *elements[MERGED_MAX];
    bool merge;
    unsigned used;

    if (!net->running) {
        return net->discard; /* or else net_start asks for it again */
    }
    if (!is_wanted(net, pair, data, count)) {
        return true;
    }
    merge = virtio_has_feature(&net->virtio, VIRTIO_NET_F_MRG_RXBUF);
    switch (gather(queue, net->header_size + packet_length(data, count), merge ? MERGED_MAX : 1,
                   elements, &used)) {
    case NO_ROOM:
        if (virtio_is_broken(&net->virtio)) {
            return true;
        }
        net->starved[pair] = true;
        virtqueue_kick(queue);
        return false;
    case NEVER_ROOM:
        return true;
    case GATHERED:
        break;
    }
    write_packet(queue, header, data, count, elements, used);
    return true;
}

void virtio_net_receive_end(void *opaque, unsigned pair)
{
    struct virtio_net *net = opaque;

    if (pair < net->max_pairs && net->running) {
        virtqueue_notify(virtio_queue(&net->virtio, 2 * pair));
    }
}
