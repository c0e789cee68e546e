/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ethernet packets between NICs and network back ends: a header that says what is left to be done
 * to the packet (virtio's), and the bytes. Back ends and NICs exchange the header as it stands in
 * memory, little-endian as the host is, so that tap and virtio-net need not convert it.
 */
#ifndef DUODM_DM_NET_PACKET_H
#define DUODM_DM_NET_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Bytes, without the header: an IP packet of the largest size, Ethernet header, two VLAN tags. */
#define NET_PACKET_MAX (65535 + 14 + 8)
#define NET_IOVEC_MAX  64 /* pieces of a packet that a NIC may send */

#define ETHERNET_HEADER_SIZE 14
#define ETHERNET_VLAN        0x8100 /* IEEE 802.1Q */
#define ETHERNET_VLAN_STACK  0x88a8 /* IEEE 802.1ad */

/* struct virtio_net_hdr (virtio 1.2, 5.1.6). All zero: the packet is complete. */
struct vnet_header {
    uint8_t flags;            /* VNET_NEEDS_CHECKSUM ... */
    uint8_t gso_type;         /* VNET_GSO_NONE ..., VNET_GSO_ECN may be added */
    uint16_t header_length;   /* bytes up to the payload: a hint, never trusted */
    uint16_t gso_size;        /* bytes of payload in each segment */
    uint16_t checksum_start;  /* the checksum is over all from here */
    uint16_t checksum_offset; /* where it goes, from checksum_start; holds the pseudo-header's */
    uint16_t buffer_count;    /* to a guest: merged receive buffers; to a back end: ignored */
};
_Static_assert(sizeof(struct vnet_header) == 12, "as virtio has it");

#define VNET_NEEDS_CHECKSUM 1
#define VNET_DATA_VALID     2 /* the checksum was found good */

#define VNET_GSO_NONE  0
#define VNET_GSO_TCPV4 1
#define VNET_GSO_UDP   3 /* UDP by IP fragments: not supported */
#define VNET_GSO_TCPV6 4
#define VNET_GSO_UDPL4 5 /* UDP datagrams, IPv4 or IPv6 (virtio 1.3) */
#define VNET_GSO_ECN   0x80

/* What the taker of packets can do with unfinished ones. Values are those of TUNSETOFFLOAD. */
enum net_offload {
    NET_OFFLOAD_CHECKSUM = 1 << 0,
    NET_OFFLOAD_TSO4 = 1 << 1,
    NET_OFFLOAD_TSO6 = 1 << 2,
    NET_OFFLOAD_TSO_ECN = 1 << 3,
    NET_OFFLOAD_USO4 = 1 << 5,
    NET_OFFLOAD_USO6 = 1 << 6,
};
#define NET_OFFLOAD_ALL                                                                            \
    (NET_OFFLOAD_CHECKSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 | NET_OFFLOAD_TSO_ECN |            \
     NET_OFFLOAD_USO4 | NET_OFFLOAD_USO6)

/* Bytes of all pieces together. */
static inline size_t packet_length(const struct iovec *data, unsigned count)
{
    size_t length = 0;

    for (unsigned i = 0; i < count; i++) {
        length += data[i].iov_len;
    }
    return length;
}

/* Copy up to `size` bytes from the start of a packet; the number copied. */
size_t packet_copy(void *to, size_t size, const struct iovec *data, unsigned count);

#endif
