/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/net/coalesce.h"
#include "dm/net/checksum.h"

#include <arpa/inet.h>
#include <glib.h>
#include <string.h>

/* Offsets in a packet without VLAN tag and IP options. */
#define AT_IP               14
#define AT_IP_LENGTH        (AT_IP + 2)
#define AT_IP_FRAGMENT      (AT_IP + 6)
#define AT_IP_TTL           (AT_IP + 8)
#define AT_IP_CHECKSUM      (AT_IP + 10)
#define AT_IP_ADDRESSES     (AT_IP + 12)
#define AT_TCP              (AT_IP + 20)
#define AT_TCP_SEQUENCE     (AT_TCP + 4)
#define AT_TCP_ACKNOWLEDGED (AT_TCP + 8)
#define AT_TCP_DATA_OFFSET  (AT_TCP + 12)
#define AT_TCP_FLAGS        (AT_TCP + 13)
#define AT_TCP_WINDOW       (AT_TCP + 14)
#define AT_TCP_CHECKSUM     (AT_TCP + 16)
#define AT_TCP_OPTIONS      (AT_TCP + 20)
#define FLAG_PSH            0x08
#define FLAG_ACK            0x10
#define FRAGMENT_MASK       0x3fff /* more fragments, offset */
#define IP_PACKET_MAX       65535
#define VERSION_AND_SIZE    0x45

static uint16_t get16(const uint8_t *from)
{
    return (uint16_t)(from[0] << 8 | from[1]);
}

static uint32_t get32(const uint8_t *from)
{
    return (uint32_t)get16(from) << 16 | get16(from + 2);
}

static void put16(uint8_t *to, size_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

void coalescer_init(struct coalescer *c)
{
    *c = (struct coalescer){.buffer = g_malloc(NET_PACKET_MAX)};
}

void coalescer_destroy(struct coalescer *c)
{
    g_clear_pointer(&c->buffer, g_free);
}

/* Bytes of the headers and, in *length, of the packet without padding; 0: it is nothing to join. */
static size_t measure(const uint8_t *packet, size_t *length)
{
    size_t headers, total;

    if (*length < AT_TCP_OPTIONS || get16(packet + 12) != 0x0800 ||
        packet[AT_IP] != VERSION_AND_SIZE || packet[AT_IP + 9] != 6 ||
        (get16(packet + AT_IP_FRAGMENT) & FRAGMENT_MASK) ||
        (packet[AT_TCP_FLAGS] & ~FLAG_PSH) != FLAG_ACK) {
        return 0;
    }
    headers = AT_TCP + (size_t)(packet[AT_TCP_DATA_OFFSET] >> 4) * 4;
    total = AT_IP + (size_t)get16(packet + AT_IP_LENGTH);
    if (headers < AT_TCP_OPTIONS || total > *length || total <= headers) {
        return 0;
    }
    *length = total;
    return headers;
}

/* The same connection, and no header says anything new. */
static bool goes_with(const struct coalescer *c, const uint8_t *packet, size_t headers)
{
    const uint8_t *first = c->buffer;

    return headers == c->headers && memcmp(first, packet, AT_IP_LENGTH) == 0 &&
           get16(packet + AT_IP_FRAGMENT) == get16(first + AT_IP_FRAGMENT) &&
           packet[AT_IP_TTL] == first[AT_IP_TTL] &&
           memcmp(first + AT_IP_ADDRESSES, packet + AT_IP_ADDRESSES, 12) == 0 && /* and ports */
           get32(packet + AT_TCP_SEQUENCE) == c->sequence &&
           memcmp(first + AT_TCP_ACKNOWLEDGED, packet + AT_TCP_ACKNOWLEDGED, 4) == 0 &&
           memcmp(first + AT_TCP_WINDOW, packet + AT_TCP_WINDOW, 2) == 0 &&
           memcmp(first + AT_TCP_OPTIONS, packet + AT_TCP_OPTIONS, headers - AT_TCP_OPTIONS) == 0;
}

bool coalescer_add(struct coalescer *c, const uint8_t *packet, size_t length)
{
    size_t headers = measure(packet, &length), payload = length - headers;

    if (!headers) {
        return false;
    }
    if (!c->length) {
        memcpy(c->buffer, packet, length);
        c->length = length;
        c->headers = headers;
        c->segment_size = (uint16_t)payload;
        c->segments = 1;
        c->sequence = get32(packet + AT_TCP_SEQUENCE) + (uint32_t)payload;
        c->is_closed = packet[AT_TCP_FLAGS] & FLAG_PSH;
        return true;
    }
    if (c->is_closed || payload > c->segment_size || c->length + payload > AT_IP + IP_PACKET_MAX ||
        !goes_with(c, packet, headers)) {
        return false;
    }
    memcpy(c->buffer + c->length, packet + headers, payload);
    c->length += payload;
    c->segments++;
    c->sequence += (uint32_t)payload;
    c->buffer[AT_TCP_FLAGS] |= packet[AT_TCP_FLAGS];
    c->is_closed = (packet[AT_TCP_FLAGS] & FLAG_PSH) || payload < c->segment_size;
    return true;
}

/* The header's lengths and sums for all of the packet; TCP's is the pseudo-header's only. */
static void finish_headers(struct coalescer *c)
{
    uint8_t *packet = c->buffer;
    uint16_t sum;

    put16(packet + AT_IP_LENGTH, c->length - AT_IP);
    memset(packet + AT_IP_CHECKSUM, 0, 2);
    sum = checksum_finish(checksum_add(0, packet + AT_IP, AT_TCP - AT_IP));
    memcpy(packet + AT_IP_CHECKSUM, &sum, 2);
    sum = (uint16_t)~checksum_finish(checksum_add_pseudo(
        checksum_add(0, packet + AT_IP_ADDRESSES, 8), (uint32_t)(c->length - AT_TCP), 6));
    memcpy(packet + AT_TCP_CHECKSUM, &sum, 2);
}

bool coalescer_take(struct coalescer *c, struct vnet_header *header, struct iovec *packet)
{
    if (!c->length) {
        return false;
    }
    *header = (struct vnet_header){.flags = VNET_DATA_VALID};
    if (c->segments > 1) {
        finish_headers(c);
        *header = (struct vnet_header){
            .flags = VNET_NEEDS_CHECKSUM,
            .gso_type = VNET_GSO_TCPV4,
            .header_length = (uint16_t)c->headers,
            .gso_size = c->segment_size,
            .checksum_start = AT_TCP,
            .checksum_offset = AT_TCP_CHECKSUM - AT_TCP,
        };
    }
    *packet = (struct iovec){c->buffer, c->length};
    c->length = 0;
    return true;
}
