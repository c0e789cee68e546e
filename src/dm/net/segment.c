/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/net/segment.h"
#include "dm/net/checksum.h"

#include <glib.h>
#include <string.h>

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define PROTOCOL_TCP   6
#define PROTOCOL_UDP   17

#define IPV4_HEADER_MIN  20
#define IPV4_LENGTH      2 /* offsets in the header */
#define IPV4_ID          4
#define IPV4_PROTOCOL    9
#define IPV4_CHECKSUM    10
#define IPV4_ADDRESSES   12
#define IPV6_HEADER_SIZE 40
#define IPV6_LENGTH      4
#define IPV6_ADDRESSES   8

#define TCP_HEADER_MIN  20
#define TCP_SEQUENCE    4
#define TCP_DATA_OFFSET 12
#define TCP_FLAGS       13
#define TCP_CHECKSUM    16
#define TCP_FLAG_FIN    0x01
#define TCP_FLAG_PSH    0x08
#define TCP_FLAG_CWR    0x80
#define UDP_HEADER_SIZE 8
#define UDP_LENGTH      4
#define UDP_CHECKSUM    6

static uint16_t load_be16(const uint8_t *from)
{
    return (uint16_t)(from[0] << 8 | from[1]);
}

static void store_be16(uint8_t *to, uint16_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

static uint32_t load_be32(const uint8_t *from)
{
    return (uint32_t)load_be16(from) << 16 | load_be16(from + 2);
}

static void store_be32(uint8_t *to, uint32_t value)
{
    store_be16(to, (uint16_t)(value >> 16));
    store_be16(to + 2, (uint16_t)value);
}

/* A checksum as checksum_finish made it. Zero would mean "none" in UDP; its double is as good. */
static void store_checksum(uint8_t *to, uint16_t value)
{
    value = value ? value : 0xffff;
    memcpy(to, &value, sizeof(value));
}

size_t packet_copy(void *to, size_t size, const struct iovec *data, unsigned count)
{
    size_t done = 0;

    for (unsigned i = 0; i < count && done < size; i++) {
        size_t part = MIN(data[i].iov_len, size - done);

        memcpy((uint8_t *)to + done, data[i].iov_base, part);
        done += part;
    }
    return done;
}

unsigned vnet_header_needs(const struct vnet_header *header, bool is_ipv6)
{
    unsigned needs = header->flags & VNET_NEEDS_CHECKSUM ? NET_OFFLOAD_CHECKSUM : 0;

    if (header->gso_type & VNET_GSO_ECN) {
        needs |= NET_OFFLOAD_TSO_ECN;
    }
    switch (header->gso_type & ~VNET_GSO_ECN) {
    case VNET_GSO_NONE:
        return needs & ~(unsigned)NET_OFFLOAD_TSO_ECN;
    case VNET_GSO_TCPV4:
        return needs | NET_OFFLOAD_TSO4;
    case VNET_GSO_TCPV6:
        return needs | NET_OFFLOAD_TSO6;
    default:
        return needs | (is_ipv6 ? NET_OFFLOAD_USO6 : NET_OFFLOAD_USO4);
    }
}

bool vnet_header_is_valid(const struct vnet_header *header, size_t length)
{
    uint8_t type = header->gso_type & (uint8_t)~VNET_GSO_ECN;

    if ((header->flags & VNET_NEEDS_CHECKSUM) &&
        (size_t)header->checksum_start + header->checksum_offset + 2 > length) {
        return false;
    }
    if (type == VNET_GSO_NONE) {
        return true;
    }
    /* Virtio 1.2, 5.1.6.2: a packet to be cut has its checksum left out. */
    return (type == VNET_GSO_TCPV4 || type == VNET_GSO_TCPV6 || type == VNET_GSO_UDPL4) &&
           header->gso_size && (header->flags & VNET_NEEDS_CHECKSUM);
}

void packet_finish_checksum(uint8_t *packet, size_t length, const struct vnet_header *header)
{
    size_t start = header->checksum_start;
    uint64_t sum = checksum_add(0, packet + start, length - start);

    store_checksum(packet + start + header->checksum_offset, checksum_finish(sum));
}

/* Find the IP header behind Ethernet's and its VLAN tags. */
static bool find_ip(struct segmenter *s)
{
    size_t at = ETHERNET_HEADER_SIZE - 2;
    uint16_t type;

    for (;;) {
        if (s->length < at + 2) {
            return false;
        }
        type = load_be16(s->packet + at);
        if (type != ETHERNET_VLAN && type != ETHERNET_VLAN_STACK) {
            break;
        }
        at += 4;
    }
    s->ip = at + 2;
    s->is_ipv6 = type == ETHERTYPE_IPV6;
    return type == ETHERTYPE_IPV4 || type == ETHERTYPE_IPV6;
}

/* Does the transport header begin where the IP header says, and is it the protocol it should be? */
static bool check_ip(const struct segmenter *s)
{
    const uint8_t *ip = s->packet + s->ip;
    size_t size;

    if (s->is_ipv6) {
        /* Extension headers may lie between: what follows them is taken on the guest's word. */
        return s->length >= s->ip + IPV6_HEADER_SIZE && ip[0] >> 4 == 6 &&
               s->transport >= s->ip + IPV6_HEADER_SIZE;
    }
    if (s->length < s->ip + IPV4_HEADER_MIN || ip[0] >> 4 != 4) {
        return false;
    }
    size = (size_t)(ip[0] & 15) * 4;
    return size >= IPV4_HEADER_MIN && s->transport == s->ip + size &&
           ip[IPV4_PROTOCOL] == s->protocol;
}

static bool check_transport(struct segmenter *s, uint16_t checksum_offset)
{
    size_t size = UDP_HEADER_SIZE;

    if (s->protocol == PROTOCOL_TCP) {
        if (s->length < s->transport + TCP_HEADER_MIN || checksum_offset != TCP_CHECKSUM) {
            return false;
        }
        size = (size_t)(s->packet[s->transport + TCP_DATA_OFFSET] >> 4) * 4;
        if (size < TCP_HEADER_MIN) {
            return false;
        }
    } else if (checksum_offset != UDP_CHECKSUM) {
        return false;
    }
    s->headers = s->transport + size;
    return s->headers <= s->length && s->headers <= SEGMENT_HEADERS_MAX;
}

bool segmenter_start(struct segmenter *s, const struct vnet_header *header, const uint8_t *packet,
                     size_t length)
{
    uint8_t type = header->gso_type & (uint8_t)~VNET_GSO_ECN;

    s->packet = packet;
    s->length = length;
    s->transport = header->checksum_start;
    s->segment_size = header->gso_size;
    s->protocol = type == VNET_GSO_UDPL4 ? PROTOCOL_UDP : PROTOCOL_TCP;
    s->index = 0;
    if (type == VNET_GSO_NONE || !vnet_header_is_valid(header, length) || !find_ip(s) ||
        (type == VNET_GSO_TCPV4 && s->is_ipv6) || (type == VNET_GSO_TCPV6 && !s->is_ipv6) ||
        !check_ip(s) || !check_transport(s, header->checksum_offset)) {
        return false;
    }
    s->position = s->headers;
    return true;
}

/* Sum of the transport's pseudo-header, for a transport header and payload of `length` bytes. */
static uint64_t sum_pseudo(const struct segmenter *s, size_t length)
{
    uint64_t sum = s->is_ipv6 ? checksum_add(0, s->packet + s->ip + IPV6_ADDRESSES, 32)
                              : checksum_add(0, s->packet + s->ip + IPV4_ADDRESSES, 8);

    return checksum_add_pseudo(sum, (uint32_t)length, s->protocol);
}

static size_t checksum_position(const struct segmenter *s)
{
    return s->transport + (s->protocol == PROTOCOL_TCP ? TCP_CHECKSUM : UDP_CHECKSUM);
}

static void write_ip(struct segmenter *s, size_t total)
{
    uint8_t *ip = s->buffer + s->ip;

    if (s->is_ipv6) {
        store_be16(ip + IPV6_LENGTH, (uint16_t)(total - s->ip - IPV6_HEADER_SIZE));
        return;
    }
    store_be16(ip + IPV4_LENGTH, (uint16_t)(total - s->ip));
    store_be16(ip + IPV4_ID, (uint16_t)(load_be16(ip + IPV4_ID) + s->index));
    memset(ip + IPV4_CHECKSUM, 0, 2);
    store_checksum(ip + IPV4_CHECKSUM, checksum_finish(checksum_add(0, ip, s->transport - s->ip)));
}

static void write_transport(struct segmenter *s, const uint8_t *payload, size_t size, bool is_last)
{
    uint8_t *transport = s->buffer + s->transport;
    size_t length = s->headers - s->transport + size;
    uint64_t sum;

    if (s->protocol == PROTOCOL_TCP) {
        uint32_t sequence = load_be32(transport + TCP_SEQUENCE);

        store_be32(transport + TCP_SEQUENCE, sequence + s->index * (uint32_t)s->segment_size);
        if (!is_last) {
            transport[TCP_FLAGS] &= (uint8_t) ~(TCP_FLAG_FIN | TCP_FLAG_PSH);
        }
        if (s->index > 0) {
            transport[TCP_FLAGS] &= (uint8_t)~TCP_FLAG_CWR; /* RFC 3168, 6.1.2: once */
        }
    } else {
        store_be16(transport + UDP_LENGTH, (uint16_t)length);
    }
    memset(s->buffer + checksum_position(s), 0, 2);
    sum = sum_pseudo(s, length);
    sum = checksum_add(sum, transport, s->headers - s->transport); /* both sizes are even */
    sum = checksum_add(sum, payload, size);
    store_checksum(s->buffer + checksum_position(s), checksum_finish(sum));
}

bool segmenter_next(struct segmenter *s, struct iovec pieces[2])
{
    const uint8_t *payload = s->packet + s->position;
    size_t left = s->length - s->position, size = MIN(left, s->segment_size);

    if (!left && s->index > 0) {
        return false; /* a packet of headers only is one segment */
    }
    memcpy(s->buffer, s->packet, s->headers);
    write_ip(s, s->headers + size);
    write_transport(s, payload, size, size == left);
    pieces[0] = (struct iovec){s->buffer, s->headers};
    pieces[1] = (struct iovec){(void *)payload, size};
    s->position += size;
    s->index++;
    return true;
}

bool packet_finish_large(uint8_t *packet, size_t length, const struct vnet_header *header)
{
    struct segmenter s;
    uint64_t sum;

    if (!segmenter_start(&s, header, packet, length)) {
        return false;
    }
    memset(packet + checksum_position(&s), 0, 2);
    sum = sum_pseudo(&s, length - s.transport);
    sum = checksum_add(sum, packet + s.transport, length - s.transport);
    store_checksum(packet + checksum_position(&s), checksum_finish(sum));
    return true;
}
