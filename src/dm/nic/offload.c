/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/nic/offload.h"
#include "dm/net/checksum.h"

#include <glib.h>
#include <string.h>

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd

/* Offsets in headers. */
#define IPV4_HEADER_MIN  20
#define IPV4_LENGTH      2
#define IPV4_FRAGMENT    6
#define IPV4_PROTOCOL    9
#define IPV4_CHECKSUM    10
#define IPV4_ADDRESSES   12
#define IPV6_HEADER_SIZE 40
#define IPV6_LENGTH      4
#define IPV6_NEXT_HEADER 6
#define IPV6_ADDRESSES   8
#define TCP_HEADER_MIN   20
#define TCP_DATA_OFFSET  12
#define TCP_CHECKSUM     16
#define UDP_HEADER_SIZE  8
#define UDP_LENGTH       4
#define UDP_CHECKSUM     6

#define IPV4_FRAGMENT_BITS 0x3fff /* more fragments, and the offset */

static uint16_t load_be16(const uint8_t *from)
{
    return (uint16_t)(from[0] << 8 | from[1]);
}

static void store_be16(uint8_t *to, size_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

bool packet_find_layout_at(const uint8_t *packet, size_t length, size_t network, bool is_ipv6,
                           struct packet_layout *layout)
{
    const uint8_t *ip = packet + network;
    size_t header = IPV6_HEADER_SIZE;

    if (network > length || length - network < (is_ipv6 ? IPV6_HEADER_SIZE : IPV4_HEADER_MIN) ||
        ip[0] >> 4 != (is_ipv6 ? 6 : 4)) {
        return false;
    }
    if (!is_ipv6) {
        header = (size_t)(ip[0] & 15) * 4;
        if (header < IPV4_HEADER_MIN || header > length - network) {
            return false;
        }
    }
    *layout = (struct packet_layout){
        .network = network,
        .transport = network + header,
        .end = length,
        .protocol = ip[is_ipv6 ? IPV6_NEXT_HEADER : IPV4_PROTOCOL],
        .is_ipv6 = is_ipv6,
        .is_whole = is_ipv6 || !(load_be16(ip + IPV4_FRAGMENT) & IPV4_FRAGMENT_BITS),
    };
    return true;
}

bool packet_find_layout(const uint8_t *packet, size_t length, struct packet_layout *layout)
{
    size_t at = ETHERNET_HEADER_SIZE - 2, total;
    uint16_t type;

    for (;;) {
        if (length < at + 2) {
            return false;
        }
        type = load_be16(packet + at);
        at += 2;
        if (type != ETHERNET_VLAN && type != ETHERNET_VLAN_STACK) {
            break;
        }
        at += 2;
    }
    if ((type != ETHERTYPE_IPV4 && type != ETHERTYPE_IPV6) ||
        !packet_find_layout_at(packet, length, at, type == ETHERTYPE_IPV6, layout)) {
        return false;
    }
    total = layout->is_ipv6 ? IPV6_HEADER_SIZE + load_be16(packet + at + IPV6_LENGTH)
                            : load_be16(packet + at + IPV4_LENGTH);
    if (total == (layout->is_ipv6 ? IPV6_HEADER_SIZE : 0)) {
        total = length - at; /* left to the card, or larger than can be said */
    }
    if (at + total < layout->transport) {
        return false;
    }
    layout->is_whole = layout->is_whole && at + total <= length;
    layout->end = MIN(at + total, length);
    return true;
}

static size_t checksum_position(const struct packet_layout *layout)
{
    return layout->transport + (layout->protocol == PROTOCOL_TCP ? TCP_CHECKSUM : UDP_CHECKSUM);
}

static uint64_t sum_pseudo(const uint8_t *packet, const struct packet_layout *layout)
{
    const uint8_t *ip = packet + layout->network;
    uint64_t sum = layout->is_ipv6 ? checksum_add(0, ip + IPV6_ADDRESSES, 32)
                                   : checksum_add(0, ip + IPV4_ADDRESSES, 8);

    return checksum_add_pseudo(sum, (uint32_t)(layout->end - layout->transport), layout->protocol);
}

void packet_write_ipv4_checksum(uint8_t *packet, const struct packet_layout *layout)
{
    uint8_t *ip = packet + layout->network;
    uint16_t value;

    memset(ip + IPV4_CHECKSUM, 0, 2);
    value = checksum_finish(checksum_add(0, ip, layout->transport - layout->network));
    memcpy(ip + IPV4_CHECKSUM, &value, 2);
}

bool packet_ipv4_checksum_is_good(const uint8_t *packet, const struct packet_layout *layout)
{
    size_t size = layout->transport - layout->network;

    return checksum_finish(checksum_add(0, packet + layout->network, size)) == 0;
}

bool packet_has_transport(const struct packet_layout *layout)
{
    size_t size = layout->end - layout->transport;

    return (layout->protocol == PROTOCOL_TCP && size >= TCP_HEADER_MIN) ||
           (layout->protocol == PROTOCOL_UDP && size >= UDP_HEADER_SIZE);
}

bool packet_has_checksum(const uint8_t *packet, const struct packet_layout *layout)
{
    return layout->protocol != PROTOCOL_UDP ||
           load_be16(packet + layout->transport + UDP_CHECKSUM) != 0;
}

bool packet_transport_checksum_is_good(const uint8_t *packet, const struct packet_layout *layout)
{
    const uint8_t *transport = packet + layout->transport;
    uint64_t sum;

    if (!packet_has_transport(layout)) {
        return false;
    }
    if (!packet_has_checksum(packet, layout)) {
        return true;
    }
    sum = sum_pseudo(packet, layout);
    return checksum_finish(checksum_add(sum, transport, layout->end - layout->transport)) == 0;
}

void packet_request_checksum(uint8_t *packet, const struct packet_layout *layout,
                             struct vnet_header *header)
{
    size_t position = checksum_position(layout);
    uint16_t sum = (uint16_t)~checksum_finish(sum_pseudo(packet, layout));

    memcpy(packet + position, &sum, 2);
    header->flags = VNET_NEEDS_CHECKSUM;
    header->checksum_start = (uint16_t)layout->transport;
    header->checksum_offset = (uint16_t)(position - layout->transport);
}

bool packet_request_segments(uint8_t *packet, size_t length, struct packet_layout *layout,
                             uint16_t segment_size, struct vnet_header *header)
{
    uint8_t *ip = packet + layout->network;
    size_t size = length - layout->network, headers = layout->transport;

    layout->end = length;
    if (!segment_size || size > UINT16_MAX || !packet_has_transport(layout)) {
        return false;
    }
    headers += layout->protocol == PROTOCOL_TCP
                   ? (size_t)(packet[layout->transport + TCP_DATA_OFFSET] >> 4) * 4
                   : UDP_HEADER_SIZE;
    if (layout->protocol == PROTOCOL_UDP) {
        store_be16(packet + layout->transport + UDP_LENGTH, length - layout->transport);
    }
    if (layout->is_ipv6) {
        store_be16(ip + IPV6_LENGTH, size - IPV6_HEADER_SIZE);
    } else {
        store_be16(ip + IPV4_LENGTH, size);
        packet_write_ipv4_checksum(packet, layout);
    }
    packet_request_checksum(packet, layout, header);
    if (length > headers && length - headers > segment_size) {
        header->gso_type = layout->protocol == PROTOCOL_UDP ? VNET_GSO_UDPL4
                           : layout->is_ipv6                ? VNET_GSO_TCPV6
                                                            : VNET_GSO_TCPV4;
        header->gso_size = segment_size;
        header->header_length = (uint16_t)headers;
    }
    return true;
}
