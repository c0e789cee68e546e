/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets on a stream: 4 bytes of length, big-endian, then the packet. The reader takes bytes from
 * a peer that may send anything.
 */
#ifndef DUODM_DM_NET_FRAMING_H
#define DUODM_DM_NET_FRAMING_H

#include "dm/net/packet.h"

#define FRAMING_PREFIX 4
#define FRAMING_BUFFER (2 * (NET_PACKET_MAX + FRAMING_PREFIX))

struct frame_reader {
    uint8_t *buffer;   /* of FRAMING_BUFFER bytes, owned */
    size_t start, end; /* what was read and not yet taken */
};

enum frame_result {
    FRAME_NONE,   /* more bytes are needed */
    FRAME_PACKET, /* *packet and *length; stays until frame_reader_drop */
    FRAME_BROKEN, /* no packet is that long: the peer speaks something else */
};

void frame_reader_init(struct frame_reader *reader);
void frame_reader_destroy(struct frame_reader *reader);
void frame_reader_reset(struct frame_reader *reader);
/* Where the next bytes may be put, at least one: *room of them. Then say how many came. */
uint8_t *frame_reader_space(struct frame_reader *reader, size_t *room);
void frame_reader_added(struct frame_reader *reader, size_t count);
enum frame_result frame_reader_peek(const struct frame_reader *reader, const uint8_t **packet,
                                    size_t *length);
/* The packet of the last peek was used. */
void frame_reader_drop(struct frame_reader *reader);

#endif
