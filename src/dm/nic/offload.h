/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What cards do with IP, TCP and UDP in a packet: where the headers are, whether checksums are
 * right, and how to ask the back end for those that the guest left to the card. Packets are a
 * guest's or a stranger's: no length in them is trusted.
 */
#ifndef DUODM_DM_NIC_OFFLOAD_H
#define DUODM_DM_NIC_OFFLOAD_H

#include "dm/net/packet.h"

#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17

struct packet_layout {
    size_t network;   /* where the IP header starts */
    size_t transport; /* where what follows it starts */
    size_t end;       /* of the IP packet; at most the length given */
    uint8_t protocol; /* of the transport */
    bool is_ipv6;
    bool is_whole; /* no fragment, and none of it is missing */
};

/* False: there is no IP packet behind Ethernet's header and VLAN tags, or its header is broken. */
bool packet_find_layout(const uint8_t *packet, size_t length, struct packet_layout *layout);
/* The same where the guest says that the IP packet is, e.g. by a descriptor; the length fields of
 * the packet are not looked at, for the guest may leave them out. */
bool packet_find_layout_at(const uint8_t *packet, size_t length, size_t network, bool is_ipv6,
                           struct packet_layout *layout);

/* Compute and store the checksum of the IPv4 header. */
void packet_write_ipv4_checksum(uint8_t *packet, const struct packet_layout *layout);
bool packet_ipv4_checksum_is_good(const uint8_t *packet, const struct packet_layout *layout);
/* UDP over IPv4 may be without one. packet_has_transport. */
bool packet_has_checksum(const uint8_t *packet, const struct packet_layout *layout);
/* TCP's or UDP's; the packet is_whole. Without a checksum it is good. */
bool packet_transport_checksum_is_good(const uint8_t *packet, const struct packet_layout *layout);

/* Is there a TCP or UDP header, all of it? */
bool packet_has_transport(const struct packet_layout *layout);
/* Ask for the checksum of TCP or UDP: the pseudo-header's is put in place, the rest is said in the
 * header. packet_has_transport. */
void packet_request_checksum(uint8_t *packet, const struct packet_layout *layout,
                             struct vnet_header *header);
/* Ask for segments of that many bytes of payload each. Lengths and checksums of the packet are made
 * those of a whole one. False: it is no packet that can be cut. */
bool packet_request_segments(uint8_t *packet, size_t length, struct packet_layout *layout,
                             uint16_t segment_size, struct vnet_header *header);

#endif
