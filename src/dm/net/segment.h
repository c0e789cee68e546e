/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finishing packets in software for back ends that can't: the checksum that a guest left out, and
 * the cutting of a large TCP or UDP packet into segments. The header is the guest's: nothing in it
 * or in the packet is trusted.
 */
#ifndef DUODM_DM_NET_SEGMENT_H
#define DUODM_DM_NET_SEGMENT_H

#include "dm/net/packet.h"

#define SEGMENT_HEADERS_MAX 256 /* bytes: Ethernet, VLANs, IP with options, TCP with options */

struct segmenter {
    const uint8_t *packet; /* not owned; all of the large packet */
    size_t length;
    size_t ip, transport; /* where those headers start */
    size_t headers;       /* bytes of all headers */
    size_t position;      /* of the payload that goes next */
    uint16_t segment_size;
    uint8_t protocol; /* 6 TCP, 17 UDP */
    bool is_ipv6;
    unsigned index; /* of the next segment */
    uint8_t buffer[SEGMENT_HEADERS_MAX];
};

/* What a taker must be able to do to get this packet as it is: a set of enum net_offload. */
unsigned vnet_header_needs(const struct vnet_header *header, bool is_ipv6);
/* Do the offsets lie in a packet of `length` bytes, and does a size of segments make sense? */
bool vnet_header_is_valid(const struct vnet_header *header, size_t length);

/* Put the missing checksum into a packet. The header must be valid for it. */
void packet_finish_checksum(uint8_t *packet, size_t length, const struct vnet_header *header);
/* The same for a large packet that stays whole: what its checksum was made of is not believed.
 * False: it is no such packet. */
bool packet_finish_large(uint8_t *packet, size_t length, const struct vnet_header *header);

/* Start on a packet, which must stay as it is until the last segment. False: the header asks for
 * something that the packet is not; drop it. */
bool segmenter_start(struct segmenter *segmenter, const struct vnet_header *header,
                     const uint8_t *packet, size_t length);
/* The next segment as two pieces, valid until the next call; false after the last. */
bool segmenter_next(struct segmenter *segmenter, struct iovec pieces[2]);

#endif
