/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Joining what segment.h cuts: consecutive segments of one TCP connection (IPv4) become one large
 * packet for a guest that takes those. Only for packets whose checksums are known to be right.
 */
#ifndef DUODM_DM_NET_COALESCE_H
#define DUODM_DM_NET_COALESCE_H

#include "dm/net/packet.h"

struct coalescer {
    uint8_t *buffer;       /* the packet so far, of NET_PACKET_MAX bytes, owned */
    size_t length;         /* bytes in it; 0: none */
    size_t headers;        /* bytes of its headers */
    uint32_t sequence;     /* of the byte that would come next */
    uint16_t segment_size; /* payload of the first */
    unsigned segments;
    bool is_closed; /* its last segment said PSH or was short: nothing goes behind it */
};

void coalescer_init(struct coalescer *coalescer);
void coalescer_destroy(struct coalescer *coalescer);
/* Put a packet behind what is there, or begin with it. False: it does not go with that (take that
 * out and try again), or with anything. */
bool coalescer_add(struct coalescer *coalescer, const uint8_t *packet, size_t length);
/* Take out what is there; the packet stays until the next add. False: nothing. */
bool coalescer_take(struct coalescer *coalescer, struct vnet_header *header, struct iovec *packet);

#endif
