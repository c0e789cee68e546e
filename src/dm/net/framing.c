/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/net/framing.h"

#include <arpa/inet.h>
#include <glib.h>
#include <string.h>

void frame_reader_init(struct frame_reader *reader)
{
    reader->buffer = g_malloc(FRAMING_BUFFER);
    reader->start = reader->end = 0;
}

void frame_reader_destroy(struct frame_reader *reader)
{
    g_clear_pointer(&reader->buffer, g_free);
}

void frame_reader_reset(struct frame_reader *reader)
{
    reader->start = reader->end = 0;
}

uint8_t *frame_reader_space(struct frame_reader *reader, size_t *room)
{
    /* A whole frame fits behind the start, or else what is there is moved to the front. */
    if (reader->start == reader->end) {
        reader->start = reader->end = 0;
    } else if (FRAMING_BUFFER - reader->start < NET_PACKET_MAX + FRAMING_PREFIX) {
        memmove(reader->buffer, reader->buffer + reader->start, reader->end - reader->start);
        reader->end -= reader->start;
        reader->start = 0;
    }
    *room = FRAMING_BUFFER - reader->end;
    return reader->buffer + reader->end;
}

void frame_reader_added(struct frame_reader *reader, size_t count)
{
    reader->end += count;
}

static uint32_t next_length(const struct frame_reader *reader)
{
    uint32_t length;

    memcpy(&length, reader->buffer + reader->start, sizeof(length));
    return ntohl(length);
}

enum frame_result frame_reader_peek(const struct frame_reader *reader, const uint8_t **packet,
                                    size_t *length)
{
    size_t have = reader->end - reader->start;

    if (have < FRAMING_PREFIX) {
        return FRAME_NONE;
    }
    *length = next_length(reader);
    if (*length > NET_PACKET_MAX) {
        return FRAME_BROKEN;
    }
    if (have - FRAMING_PREFIX < *length) {
        return FRAME_NONE;
    }
    *packet = reader->buffer + reader->start + FRAMING_PREFIX;
    return FRAME_PACKET;
}

void frame_reader_drop(struct frame_reader *reader)
{
    reader->start += FRAMING_PREFIX + next_length(reader);
}
