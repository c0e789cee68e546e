/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control queue of virtio-net (virtio 1.2, 5.1.6.5). All in the I/O thread. */
#include "dm/virtio/virtio-net.h"
#include "util/little-endian.h"

#define CTRL_RX            0 /* 5.1.6.5.1 */
#define CTRL_RX_PROMISC    0
#define CTRL_RX_ALLMULTI   1
#define CTRL_RX_ALLUNI     2
#define CTRL_RX_NOMULTI    3
#define CTRL_RX_NOUNI      4
#define CTRL_RX_NOBCAST    5
#define CTRL_MAC           1 /* 5.1.6.5.2 */
#define CTRL_MAC_TABLE_SET 0
#define CTRL_MAC_ADDR_SET  1
#define CTRL_VLAN          2 /* 5.1.6.5.3 */
#define CTRL_VLAN_ADD      0
#define CTRL_VLAN_DEL      1
#define CTRL_ANNOUNCE      3 /* 5.1.6.5.4 */
#define CTRL_ANNOUNCE_ACK  0
#define CTRL_MQ            4 /* 5.1.6.5.5 */
#define CTRL_MQ_PAIRS_SET  0
#define CTRL_OFFLOADS      5 /* 5.1.6.5.6 */
#define CTRL_OFFLOADS_SET  0
#define CTRL_OK            0
#define CTRL_ERROR         1

/* Read exactly `size` bytes of a command's data; the offset moves on. False: there are fewer. */
static bool take(const struct virtqueue_element *element, uint64_t *offset, void *to, size_t size)
{
    if (virtqueue_read(element, *offset, to, size) != size) {
        return false;
    }
    *offset += size;
    return true;
}

static bool set_mode(struct virtio_net *net, uint8_t command,
                     const struct virtqueue_element *element, uint64_t offset)
{
    struct rx_filter *filter = &net->nic.filter;
    bool *const modes[] = {
        [CTRL_RX_PROMISC] = &filter->promiscuous, [CTRL_RX_ALLMULTI] = &filter->all_multicast,
        [CTRL_RX_ALLUNI] = &filter->all_unicast,  [CTRL_RX_NOMULTI] = &filter->no_multicast,
        [CTRL_RX_NOUNI] = &filter->no_unicast,    [CTRL_RX_NOBCAST] = &filter->no_broadcast,
    };
    uint8_t on;

    if (command >= G_N_ELEMENTS(modes) ||
        !virtio_has_feature(&net->virtio, command <= CTRL_RX_ALLMULTI
                                              ? VIRTIO_NET_F_CTRL_RX
                                              : VIRTIO_NET_F_CTRL_RX_EXTRA) ||
        !take(element, &offset, &on, 1)) {
        return false;
    }
    *modes[command] = on;
    return true;
}

/* A count and that many addresses. *kept of them are in list, which holds RX_FILTER_ADDRESSES. */
static bool take_addresses(const struct virtqueue_element *element, uint64_t *offset,
                           uint8_t (*list)[6], uint64_t *count)
{
    uint8_t raw[4];
    size_t kept;

    if (!take(element, offset, raw, sizeof(raw))) {
        return false;
    }
    *count = load_le32(raw);
    if (*count * 6 > element->out_length - *offset) {
        return false;
    }
    kept = MIN(*count, RX_FILTER_ADDRESSES);
    virtqueue_read(element, *offset, list, kept * 6);
    *offset += *count * 6;
    return true;
}

static bool set_table(struct virtio_net *net, const struct virtqueue_element *element,
                      uint64_t offset)
{
    uint8_t unicast[RX_FILTER_ADDRESSES][6], multicast[RX_FILTER_ADDRESSES][6];
    uint64_t unicast_count, multicast_count;

    if (!virtio_has_feature(&net->virtio, VIRTIO_NET_F_CTRL_RX) ||
        !take_addresses(element, &offset, unicast, &unicast_count) ||
        !take_addresses(element, &offset, multicast, &multicast_count)) {
        return false;
    }
    rx_filter_set_unicast(&net->nic.filter, unicast, unicast_count);
    rx_filter_add_multicast(&net->nic.filter, multicast, multicast_count);
    return true;
}

static bool set_address(struct virtio_net *net, const struct virtqueue_element *element,
                        uint64_t offset)
{
    if (!virtio_has_feature(&net->virtio, VIRTIO_NET_F_CTRL_MAC_ADDR) ||
        !take(element, &offset, net->nic.filter.mac, 6)) {
        return false;
    }
    virtio_net_publish_address(net);
    return true;
}

static bool set_vlan(struct virtio_net *net, uint8_t command,
                     const struct virtqueue_element *element, uint64_t offset)
{
    uint8_t raw[2];

    if (!virtio_has_feature(&net->virtio, VIRTIO_NET_F_CTRL_VLAN) || command > CTRL_VLAN_DEL ||
        !take(element, &offset, raw, sizeof(raw)) || load_le16(raw) > 4095) {
        return false;
    }
    rx_filter_set_vlan(&net->nic.filter, load_le16(raw), command == CTRL_VLAN_ADD);
    return true;
}

static bool set_pairs(struct virtio_net *net, const struct virtqueue_element *element,
                      uint64_t offset)
{
    uint8_t raw[2];

    if (!virtio_has_feature(&net->virtio, VIRTIO_NET_F_MQ) ||
        !take(element, &offset, raw, sizeof(raw)) || !load_le16(raw) ||
        load_le16(raw) > net->max_pairs) {
        return false;
    }
    net->pairs = load_le16(raw);
    net_set_active_queues(&net->nic.client, net->pairs);
    return true;
}

static bool set_offloads(struct virtio_net *net, const struct virtqueue_element *element,
                         uint64_t offset)
{
    uint8_t raw[8];

    if (!virtio_has_feature(&net->virtio, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
        !take(element, &offset, raw, sizeof(raw)) ||
        (load_le64(raw) & ~(net->virtio.features & VIRTIO_NET_GUEST_OFFLOADS))) {
        return false;
    }
    virtio_net_set_offloads(net, load_le64(raw));
    return true;
}

static bool execute(struct virtio_net *net, const struct virtqueue_element *element)
{
    uint64_t offset = 0;
    uint8_t header[2]; /* class, command */

    if (!take(element, &offset, header, sizeof(header))) {
        return false;
    }
    switch (header[0]) {
    case CTRL_RX:
        return set_mode(net, header[1], element, offset);
    case CTRL_MAC:
        return header[1] == CTRL_MAC_TABLE_SET  ? set_table(net, element, offset)
               : header[1] == CTRL_MAC_ADDR_SET ? set_address(net, element, offset)
                                                : false;
    case CTRL_VLAN:
        return set_vlan(net, header[1], element, offset);
    case CTRL_ANNOUNCE:
        if (header[1] == CTRL_ANNOUNCE_ACK &&
            virtio_has_feature(&net->virtio, VIRTIO_NET_F_GUEST_ANNOUNCE)) {
            __atomic_store_n(&net->announce, false, __ATOMIC_RELAXED);
            return true;
        }
        return false;
    case CTRL_MQ:
        return header[1] == CTRL_MQ_PAIRS_SET && set_pairs(net, element, offset);
    case CTRL_OFFLOADS:
        return header[1] == CTRL_OFFLOADS_SET && set_offloads(net, element, offset);
    default:
        return false;
    }
}

bool virtio_net_handle_control(struct virtqueue *queue)
{
    struct virtio_net *net = virtio_net_of(queue->device);
    struct virtqueue_element *element;

    while ((element = virtqueue_pop(queue))) {
        uint8_t status;

        if (element->out_length < 2 || !element->in_length) {
            virtio_break(queue->device, "a control command has no room for command and answer");
            virtqueue_push(element, 0);
            return true;
        }
        status = execute(net, element) ? CTRL_OK : CTRL_ERROR;
        virtqueue_push(element, virtqueue_write(element, 0, &status, 1));
    }
    virtqueue_notify(queue);
    return true;
}
