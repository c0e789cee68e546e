/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net, the network card (virtio 1.2, 5.1). Between its files only: virtio-net.c (the device,
 * main loop and guard), virtio-net-data.c (packets) and virtio-net-control.c (control queue), both
 * in the I/O thread.
 *
 * Queues: 2n receives and 2n + 1 sends for pair n; the control queue comes after the last pair, or,
 * without VIRTIO_NET_F_MQ, after the first (5.1.2).
 */
#ifndef DUODM_DM_VIRTIO_VIRTIO_NET_H
#define DUODM_DM_VIRTIO_VIRTIO_NET_H

#include "dm/net/nic.h"
#include "dm/virtio/virtio.h"

/* Feature bits, 5.1.3, and virtio 1.3 for USO. */
#define VIRTIO_NET_F_CSUM                0
#define VIRTIO_NET_F_GUEST_CSUM          1
#define VIRTIO_NET_F_CTRL_GUEST_OFFLOADS 2
#define VIRTIO_NET_F_MTU                 3
#define VIRTIO_NET_F_MAC                 5
#define VIRTIO_NET_F_GUEST_TSO4          7
#define VIRTIO_NET_F_GUEST_TSO6          8
#define VIRTIO_NET_F_GUEST_ECN           9
#define VIRTIO_NET_F_HOST_TSO4           11
#define VIRTIO_NET_F_HOST_TSO6           12
#define VIRTIO_NET_F_HOST_ECN            13
#define VIRTIO_NET_F_MRG_RXBUF           15
#define VIRTIO_NET_F_STATUS              16
#define VIRTIO_NET_F_CTRL_VQ             17
#define VIRTIO_NET_F_CTRL_RX             18
#define VIRTIO_NET_F_CTRL_VLAN           19
#define VIRTIO_NET_F_CTRL_RX_EXTRA       20
#define VIRTIO_NET_F_GUEST_ANNOUNCE      21
#define VIRTIO_NET_F_MQ                  22
#define VIRTIO_NET_F_CTRL_MAC_ADDR       23
#define VIRTIO_NET_F_GUEST_USO4          54
#define VIRTIO_NET_F_GUEST_USO6          55
#define VIRTIO_NET_F_HOST_USO            56
#define VIRTIO_NET_F_SPEED_DUPLEX        63

/* What the driver can take, and may change at any time (5.1.6.5.6). */
#define VIRTIO_NET_GUEST_OFFLOADS                                                                  \
    (VIRTIO_FEATURE(VIRTIO_NET_F_GUEST_CSUM) | VIRTIO_FEATURE(VIRTIO_NET_F_GUEST_TSO4) |           \
     VIRTIO_FEATURE(VIRTIO_NET_F_GUEST_TSO6) | VIRTIO_FEATURE(VIRTIO_NET_F_GUEST_ECN) |            \
     VIRTIO_FEATURE(VIRTIO_NET_F_GUEST_USO4) | VIRTIO_FEATURE(VIRTIO_NET_F_GUEST_USO6))

#define VIRTIO_NET_PAIRS_MAX 31 /* with the control queue VIRTIO_QUEUES_MAX - 1 */

/* Features that a property turns off: virtio-net.c has their names. */
#define VIRTIO_NET_SWITCHES 23

struct virtio_net {
    struct virtio_device virtio;
    struct nic nic;

    /* Properties. */
    bool switches[VIRTIO_NET_SWITCHES];
    uint16_t mtu;   /* host_mtu; 0: none is told */
    uint32_t speed; /* Mbit/s; UINT32_MAX: unknown */
    char *duplex;   /* "full", "half", or NULL: unknown */
    uint16_t rx_queue_size, tx_queue_size;
    int32_t boot_index; /* over PCI only */

    unsigned max_pairs; /* constant after realize */
    uint64_t address;   /* atomic: filter.mac in the low bytes, for who reads the configuration */
    bool announce;      /* atomic: the guest is asked to announce itself */

    /* Of the I/O thread. */
    bool running;                       /* between start and stop; else all but discard are the
                                           guard's, and so is nic.filter */
    bool discard;                       /* the driver is not there: packets are lost as on a wire */
    uint32_t pairs;                     /* that the driver uses */
    uint64_t offloads;                  /* GUEST_... features that are in force */
    unsigned header_size;               /* bytes before a packet: 10 or 12 */
    bool starved[VIRTIO_NET_PAIRS_MAX]; /* a packet waits for receive buffers */
    uint8_t *linear;                    /* for packets in too many pieces; NULL: not yet needed */
};

static inline struct virtio_net *virtio_net_of(struct virtio_device *device)
{
    return (struct virtio_net *)device;
}

/* The index of the control queue, as the negotiated features have it. */
static inline unsigned virtio_net_control_index(const struct virtio_net *net)
{
    return virtio_has_feature(&net->virtio, VIRTIO_NET_F_MQ) ? 2 * net->max_pairs : 2;
}

/* Tell the back end what it may give: GUEST_... features of `offloads`. */
void virtio_net_set_offloads(struct virtio_net *net, uint64_t offloads);

/* After a change of filter.mac. */
void virtio_net_publish_address(struct virtio_net *net);

/* virtio-net-data.c */
bool virtio_net_handle_receive(struct virtqueue *queue);
bool virtio_net_handle_send(struct virtqueue *queue);
bool virtio_net_receive(void *opaque, unsigned pair, const struct vnet_header *header,
                        const struct iovec *data, unsigned count);
void virtio_net_receive_end(void *opaque, unsigned pair);
void virtio_net_writable(void *opaque, unsigned pair);

/* virtio-net-control.c */
bool virtio_net_handle_control(struct virtqueue *queue);

#endif
