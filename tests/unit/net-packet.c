/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets: checksums, cutting of large ones, filters, framing; each against a naive model. */
#include "dm/net/checksum.h"
#include "dm/net/coalesce.h"
#include "dm/net/framing.h"
#include "dm/net/rx-filter.h"
#include "dm/net/segment.h"
#include "unit/suite.h"
#include "unit/seed.h"

#include <arpa/inet.h>
#include <glib.h>
#include <string.h>

/* Checksums. */

/* RFC 1071, word by word in network order. */
static uint16_t naive_sum(const uint8_t *data, size_t length, uint32_t sum)
{
    for (size_t i = 0; i < length; i++) {
        sum += i & 1 ? data[i] : (uint32_t)data[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

static uint16_t checksum_of(const uint8_t *data, size_t length)
{
    return ntohs(checksum_finish(checksum_add(0, data, length)));
}

static void test_checksum(void)
{
    static const uint8_t rfc[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}; /* RFC 1071, 3 */
    uint8_t ones[4096], data[300];
    GRand *random = test_seeded_rand();

    CU_ASSERT_EQUAL(checksum_of(rfc, sizeof(rfc)), (uint16_t)~0xddf2);
    CU_ASSERT_EQUAL(checksum_of(rfc, 0), 0xffff);
    memset(ones, 0xff, sizeof(ones));
    CU_ASSERT_EQUAL(checksum_of(ones, sizeof(ones)), 0);
    for (unsigned i = 0; i < 5000; i++) {
        size_t start = (size_t)g_rand_int_range(random, 0, 8);
        size_t length = (size_t)g_rand_int_range(random, 0, (int)(sizeof(data) - start));

        for (size_t k = 0; k < sizeof(data); k++) {
            data[k] = g_rand_boolean(random) ? 0xff : (uint8_t)g_rand_int(random);
        }
        CU_ASSERT_EQUAL(checksum_of(data + start, length),
                        (uint16_t)~naive_sum(data + start, length, 0));
    }
    g_rand_free(random);
}

/* Packets for cutting. */

struct sample {
    uint8_t bytes[NET_PACKET_MAX];
    size_t length, ip, transport, headers;
    bool is_ipv6, is_udp;
    struct vnet_header header;
};

static void put16(uint8_t *to, unsigned value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

static unsigned get16(const uint8_t *from)
{
    return (unsigned)(from[0] << 8 | from[1]);
}

static uint32_t get32(const uint8_t *from)
{
    return (uint32_t)get16(from) << 16 | get16(from + 2);
}

static void make_sample(struct sample *s, GRand *random)
{
    unsigned vlans = (unsigned)g_rand_int_range(random, 0, 3);
    unsigned ip_options = (unsigned)g_rand_int_range(random, 0, 11) * 4;
    unsigned tcp_options = (unsigned)g_rand_int_range(random, 0, 11) * 4;
    size_t payload = (size_t)g_rand_int_range(random, 0, g_rand_boolean(random) ? 300 : 65000);
    uint8_t *ip, *transport;

    for (size_t i = 0; i < sizeof(s->bytes); i++) {
        s->bytes[i] = (uint8_t)g_rand_int(random);
    }
    s->is_ipv6 = g_rand_boolean(random);
    s->is_udp = g_rand_boolean(random);
    for (unsigned i = 0; i < vlans; i++) {
        put16(s->bytes + 12 + 4 * i, i ? 0x8100 : 0x88a8);
    }
    s->ip = 14 + 4 * vlans;
    put16(s->bytes + s->ip - 2, s->is_ipv6 ? 0x86dd : 0x0800);
    s->transport = s->ip + (s->is_ipv6 ? 40 : 20 + ip_options);
    s->headers = s->transport + (s->is_udp ? 8 : 20 + tcp_options);
    s->length = s->headers + payload;
    ip = s->bytes + s->ip;
    transport = s->bytes + s->transport;
    if (s->is_ipv6) {
        ip[0] = 0x60;
        ip[6] = s->is_udp ? 17 : 6;
    } else {
        ip[0] = (uint8_t)(0x40 | (20 + ip_options) / 4);
        ip[9] = s->is_udp ? 17 : 6;
    }
    if (!s->is_udp) {
        transport[12] = (uint8_t)((20 + tcp_options) / 4 << 4);
    }
    s->header = (struct vnet_header){
        .flags = VNET_NEEDS_CHECKSUM,
        .gso_type = s->is_udp    ? VNET_GSO_UDPL4
                    : s->is_ipv6 ? VNET_GSO_TCPV6
                                 : VNET_GSO_TCPV4,
        .gso_size = (uint16_t)g_rand_int_range(random, 1, g_rand_boolean(random) ? 1461 : 65536),
        .checksum_start = (uint16_t)s->transport,
        .checksum_offset = s->is_udp ? 6 : 16,
    };
    if (payload / s->header.gso_size > 500) {
        s->header.gso_size = (uint16_t)(payload / 500 + 1);
    }
}

/* Is the transport checksum of a whole packet right, by the naive sum? */
static bool transport_is_right(const struct sample *s, const uint8_t *packet, size_t length)
{
    size_t size = length - s->transport;
    uint32_t sum =
        s->is_ipv6 ? naive_sum(packet + s->ip + 8, 32, 0) : naive_sum(packet + s->ip + 12, 8, 0);

    sum += (uint32_t)(size & 0xffff) + (uint32_t)(size >> 16) + (s->is_udp ? 17 : 6);
    return naive_sum(packet + s->transport, size, sum) == 0xffff;
}

static void check_segment(const struct sample *s, const uint8_t *packet, size_t length,
                          unsigned index, size_t position, bool is_last)
{
    const uint8_t *ip = packet + s->ip, *transport = packet + s->transport;
    const uint8_t *old_ip = s->bytes + s->ip, *old = s->bytes + s->transport;

    CU_ASSERT_EQUAL(memcmp(packet, s->bytes, s->ip), 0);
    CU_ASSERT_EQUAL(memcmp(packet + s->headers, s->bytes + position, length - s->headers), 0);
    if (s->is_ipv6) {
        CU_ASSERT_EQUAL(get16(ip + 4), length - s->ip - 40);
    } else {
        CU_ASSERT_EQUAL(get16(ip + 2), length - s->ip);
        CU_ASSERT_EQUAL(get16(ip + 4), (uint16_t)(get16(old_ip + 4) + index));
        CU_ASSERT_EQUAL(naive_sum(ip, s->transport - s->ip, 0), 0xffff);
    }
    CU_ASSERT_TRUE(transport_is_right(s, packet, length));
    if (s->is_udp) {
        CU_ASSERT_EQUAL(get16(transport + 4), length - s->transport);
        CU_ASSERT_NOT_EQUAL(get16(transport + 6), 0);
    } else {
        uint8_t flags = old[13];

        flags &= is_last ? 0xff : (uint8_t)~0x09;
        flags &= index ? (uint8_t)~0x80 : 0xff;
        CU_ASSERT_EQUAL(transport[13], flags);
        CU_ASSERT_EQUAL(get32(transport + 4), get32(old + 4) + (uint32_t)(position - s->headers));
    }
}

static void check_sample(const struct sample *s)
{
    static uint8_t packet[NET_PACKET_MAX];
    g_autofree uint8_t *copy = g_memdup2(s->bytes, s->length); /* of that size, so that ASan sees */
    size_t position = s->headers;
    struct segmenter segmenter;
    struct iovec pieces[2];
    unsigned index = 0;

    CU_ASSERT_TRUE_FATAL(segmenter_start(&segmenter, &s->header, copy, s->length));
    while (segmenter_next(&segmenter, pieces)) {
        size_t length = packet_copy(packet, sizeof(packet), pieces, 2);
        size_t size = length - s->headers;

        CU_ASSERT_TRUE_FATAL(size <= s->header.gso_size && position + size <= s->length);
        CU_ASSERT_TRUE(size == s->header.gso_size || position + size == s->length);
        check_segment(s, packet, length, index, position, position + size == s->length);
        position += size;
        index++;
    }
    CU_ASSERT_EQUAL(position, s->length);
    CU_ASSERT_TRUE(index > 0);
}

static void test_segments(void)
{
    GRand *random = test_seeded_rand();
    struct sample *s = g_new(struct sample, 1);

    for (unsigned i = 0; i < 400; i++) {
        make_sample(s, random);
        check_sample(s);
    }
    g_free(s);
    g_rand_free(random);
}

static void test_large_packet(void)
{
    GRand *random = test_seeded_rand();
    struct sample *s = g_new(struct sample, 1);

    for (unsigned i = 0; i < 200; i++) {
        make_sample(s, random);
        CU_ASSERT_TRUE(packet_finish_large(s->bytes, s->length, &s->header));
        CU_ASSERT_TRUE(transport_is_right(s, s->bytes, s->length));
    }
    g_free(s);
    g_rand_free(random);
}

/* A guest's packet with the sum of the pseudo-header in place. */
static void test_partial_checksum(void)
{
    GRand *random = test_seeded_rand();
    struct sample *s = g_new(struct sample, 1);

    for (unsigned i = 0; i < 200; i++) {
        size_t size;
        uint32_t sum;

        make_sample(s, random);
        s->header.gso_type = VNET_GSO_NONE;
        size = s->length - s->transport;
        sum = s->is_ipv6 ? naive_sum(s->bytes + s->ip + 8, 32, 0)
                         : naive_sum(s->bytes + s->ip + 12, 8, 0);
        sum += (uint32_t)(size & 0xffff) + (s->is_udp ? 17 : 6);
        put16(s->bytes + s->transport + s->header.checksum_offset, naive_sum(NULL, 0, 0));
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        put16(s->bytes + s->transport + s->header.checksum_offset, sum);
        CU_ASSERT_TRUE(vnet_header_is_valid(&s->header, s->length));
        packet_finish_checksum(s->bytes, s->length, &s->header);
        CU_ASSERT_TRUE(transport_is_right(s, s->bytes, s->length));
    }
    g_free(s);
    g_rand_free(random);
}

static void test_bad_headers(void)
{
    struct vnet_header header = {.flags = VNET_NEEDS_CHECKSUM, .checksum_start = 34};
    struct sample *s = g_new(struct sample, 1);
    GRand *random = test_seeded_rand();
    struct segmenter segmenter;

    header.checksum_offset = 16;
    CU_ASSERT_TRUE(vnet_header_is_valid(&header, 52));
    CU_ASSERT_FALSE(vnet_header_is_valid(&header, 51));
    header.checksum_start = header.checksum_offset = 0xffff;
    CU_ASSERT_FALSE(vnet_header_is_valid(&header, NET_PACKET_MAX));
    header = (struct vnet_header){.gso_type = VNET_GSO_TCPV4, .gso_size = 1000};
    CU_ASSERT_FALSE(vnet_header_is_valid(&header, 2000)); /* no checksum asked for */
    header.flags = VNET_NEEDS_CHECKSUM;
    CU_ASSERT_TRUE(vnet_header_is_valid(&header, 2000));
    header.gso_size = 0;
    CU_ASSERT_FALSE(vnet_header_is_valid(&header, 2000));
    header = (struct vnet_header){.flags = 1, .gso_type = VNET_GSO_UDP, .gso_size = 1000};
    CU_ASSERT_FALSE(vnet_header_is_valid(&header, 2000));
    do {
        make_sample(s, random);
    } while (s->is_ipv6 || s->is_udp);
    for (size_t length = 0; length < s->headers; length++) {
        CU_ASSERT_FALSE(segmenter_start(&segmenter, &s->header, s->bytes, length));
    }
    s->bytes[s->transport + 12] = 0x40; /* a TCP header of 16 bytes */
    CU_ASSERT_FALSE(segmenter_start(&segmenter, &s->header, s->bytes, s->length));
    s->bytes[s->transport + 12] = 0x50;
    CU_ASSERT_TRUE(segmenter_start(&segmenter, &s->header, s->bytes, s->length));
    s->bytes[s->ip + 9] = 17;
    CU_ASSERT_FALSE(segmenter_start(&segmenter, &s->header, s->bytes, s->length));
    s->bytes[s->ip + 9] = 6;
    s->header.gso_type = VNET_GSO_TCPV6;
    CU_ASSERT_FALSE(segmenter_start(&segmenter, &s->header, s->bytes, s->length));
    g_free(s);
    g_rand_free(random);
}

static void test_needs(void)
{
    struct vnet_header h = {.flags = VNET_NEEDS_CHECKSUM};

    CU_ASSERT_EQUAL(vnet_header_needs(&h, false), NET_OFFLOAD_CHECKSUM);
    h.gso_type = VNET_GSO_TCPV4 | VNET_GSO_ECN;
    CU_ASSERT_EQUAL(vnet_header_needs(&h, false),
                    NET_OFFLOAD_CHECKSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO_ECN);
    h.gso_type = VNET_GSO_UDPL4;
    CU_ASSERT_EQUAL(vnet_header_needs(&h, true), NET_OFFLOAD_CHECKSUM | NET_OFFLOAD_USO6);
    CU_ASSERT_EQUAL(vnet_header_needs(&h, false), NET_OFFLOAD_CHECKSUM | NET_OFFLOAD_USO4);
    h = (struct vnet_header){0};
    CU_ASSERT_EQUAL(vnet_header_needs(&h, false), 0);
}

/* Joining what was cut gives the large packet again, for any size of segments. */
static void test_coalesce(void)
{
    GRand *random = test_seeded_rand();
    struct sample *s = g_new(struct sample, 1);
    uint8_t packet[NET_PACKET_MAX];
    struct coalescer c;

    coalescer_init(&c);
    for (unsigned i = 0; i < 60; i++) {
        struct segmenter segmenter;
        struct vnet_header header;
        struct iovec pieces[2], whole;
        unsigned segments = 0;

        do {
            make_sample(s, random);
        } while (s->is_ipv6 || s->is_udp || s->ip != 14 || s->transport != 34 ||
                 s->length == s->headers);
        s->bytes[20] &= 0x40; /* no fragment */
        s->bytes[21] = 0;
        s->bytes[47] = 0x10 | (s->bytes[47] & 8);
        CU_ASSERT_TRUE_FATAL(segmenter_start(&segmenter, &s->header, s->bytes, s->length));
        while (segmenter_next(&segmenter, pieces)) {
            size_t length = packet_copy(packet, sizeof(packet), pieces, 2);

            length += length < 60 && g_rand_boolean(random) ? 4 : 0; /* padding is not payload */
            CU_ASSERT_TRUE(coalescer_add(&c, packet, length));
            segments++;
        }
        CU_ASSERT_FALSE(coalescer_add(&c, s->bytes, s->length)); /* another sequence number */
        CU_ASSERT_TRUE(coalescer_take(&c, &header, &whole));
        CU_ASSERT_EQUAL_FATAL(whole.iov_len, s->length);
        CU_ASSERT_EQUAL(memcmp((uint8_t *)whole.iov_base + s->headers, s->bytes + s->headers,
                               s->length - s->headers),
                        0);
        if (segments > 1) {
            CU_ASSERT_EQUAL(header.gso_size, s->header.gso_size);
            CU_ASSERT_TRUE(vnet_header_is_valid(&header, whole.iov_len));
            CU_ASSERT_EQUAL(naive_sum((uint8_t *)whole.iov_base + 14, 20, 0), 0xffff);
            header.gso_type = VNET_GSO_NONE; /* the partial checksum is right, too */
            packet_finish_checksum(whole.iov_base, whole.iov_len, &header);
            CU_ASSERT_TRUE(transport_is_right(s, whole.iov_base, whole.iov_len));
        }
        CU_ASSERT_FALSE(coalescer_take(&c, &header, &whole));
    }
    coalescer_destroy(&c);
    g_free(s);
    g_rand_free(random);
}

/* Filters. */

static void test_filter_modes(void)
{
    static const uint8_t own[16] = {0x52, 0x54, 0, 0x12, 0x34, 0x56}, other[16] = {0x52, 1};
    static const uint8_t multicast[16] = {0x01, 0, 0x5e, 0, 0, 1};
    static const uint8_t broadcast[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct rx_filter f = {.mac = {0x52, 0x54, 0, 0x12, 0x34, 0x56}};
    uint8_t list[RX_FILTER_ADDRESSES + 1][6] = {{0}};

    CU_ASSERT_TRUE(rx_filter_accepts(&f, own, 16));
    CU_ASSERT_FALSE(rx_filter_accepts(&f, own, 13));
    CU_ASSERT_TRUE(rx_filter_accepts(&f, broadcast, 16));
    CU_ASSERT_FALSE(rx_filter_accepts(&f, other, 16));
    CU_ASSERT_FALSE(rx_filter_accepts(&f, multicast, 16));
    f.promiscuous = true;
    CU_ASSERT_TRUE(rx_filter_accepts(&f, other, 16));
    f.promiscuous = false;
    f.all_multicast = true;
    CU_ASSERT_TRUE(rx_filter_accepts(&f, multicast, 16));
    f.no_multicast = true;
    CU_ASSERT_FALSE(rx_filter_accepts(&f, multicast, 16));
    f.all_unicast = true;
    CU_ASSERT_TRUE(rx_filter_accepts(&f, other, 16));
    f.no_unicast = true;
    CU_ASSERT_FALSE(rx_filter_accepts(&f, own, 16));
    f.no_broadcast = true;
    CU_ASSERT_FALSE(rx_filter_accepts(&f, broadcast, 16));

    f = (struct rx_filter){0};
    memcpy(list[0], other, 6);
    memcpy(list[1], multicast, 6);
    rx_filter_set_unicast(&f, list, 1);
    rx_filter_add_multicast(&f, list + 1, 1);
    CU_ASSERT_TRUE(rx_filter_accepts(&f, other, 16));
    CU_ASSERT_TRUE(rx_filter_accepts(&f, multicast, 16));
    rx_filter_set_unicast(&f, list, RX_FILTER_ADDRESSES + 1);
    CU_ASSERT_TRUE(f.unicast_overflow);
    CU_ASSERT_TRUE(rx_filter_accepts(&f, own, 16));
    CU_ASSERT_FALSE(rx_filter_accepts(&f, multicast, 16));
    rx_filter_set_unicast(&f, list, RX_FILTER_ADDRESSES);
    rx_filter_add_multicast(&f, list, 1);
    CU_ASSERT_FALSE(f.unicast_overflow);
    CU_ASSERT_TRUE(f.multicast_overflow);
    CU_ASSERT_TRUE(rx_filter_accepts(&f, multicast, 16));
}

static void test_filter_vlan(void)
{
    uint8_t packet[18] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct rx_filter f = {.vlan_filter = true};

    CU_ASSERT_TRUE(rx_filter_accepts(&f, packet, sizeof(packet))); /* untagged */
    put16(packet + 12, ETHERNET_VLAN);
    for (unsigned vlan = 0; vlan < 4096; vlan += 13) {
        put16(packet + 14, 0xe000 | vlan); /* priority bits are no part of it */
        CU_ASSERT_FALSE(rx_filter_accepts(&f, packet, sizeof(packet)));
        rx_filter_set_vlan(&f, (uint16_t)vlan, true);
        CU_ASSERT_TRUE(rx_filter_accepts(&f, packet, sizeof(packet)));
        rx_filter_set_vlan(&f, (uint16_t)vlan, false);
        CU_ASSERT_FALSE(rx_filter_accepts(&f, packet, sizeof(packet)));
    }
    f.vlan_filter = false;
    CU_ASSERT_TRUE(rx_filter_accepts(&f, packet, sizeof(packet)));
}

/* Framing: random packets, arriving in random parts. */

static void test_framing(void)
{
    GRand *random = test_seeded_rand();
    g_autoptr(GByteArray) stream = g_byte_array_new();
    g_autoptr(GArray) lengths = g_array_new(FALSE, FALSE, sizeof(size_t));
    struct frame_reader reader;
    size_t sent = 0, checked = 0;
    guint number = 0;

    for (unsigned i = 0; i < 200; i++) {
        size_t length = (size_t)g_rand_int_range(random, 0, i % 10 ? 2000 : NET_PACKET_MAX + 1);
        uint32_t prefix = htonl((uint32_t)length);
        guint start = stream->len + 4;

        g_byte_array_append(stream, (const uint8_t *)&prefix, 4);
        g_byte_array_set_size(stream, (guint)(start + length));
        memset(stream->data + start, (int)i, length);
        g_array_append_val(lengths, length);
    }
    frame_reader_init(&reader);
    while (sent < stream->len) {
        const uint8_t *packet;
        size_t room, length;
        uint8_t *space = frame_reader_space(&reader, &room);
        size_t part = (size_t)g_rand_int_range(random, 1, g_rand_boolean(random) ? 8 : 90000);

        part = MIN(MIN(room, stream->len - sent), part);
        CU_ASSERT_TRUE_FATAL(room > 0);
        memcpy(space, stream->data + sent, part);
        frame_reader_added(&reader, part);
        sent += part;
        while (frame_reader_peek(&reader, &packet, &length) == FRAME_PACKET) {
            CU_ASSERT_EQUAL_FATAL(length, g_array_index(lengths, size_t, number));
            CU_ASSERT_EQUAL(memcmp(packet, stream->data + checked + 4, length), 0);
            frame_reader_drop(&reader);
            checked += 4 + length;
            number++;
        }
    }
    CU_ASSERT_EQUAL(number, lengths->len);
    frame_reader_destroy(&reader);
    g_rand_free(random);
}

static void test_framing_broken(void)
{
    struct frame_reader reader;
    const uint8_t *packet;
    size_t room, length;
    uint32_t prefix = htonl(NET_PACKET_MAX + 1);

    frame_reader_init(&reader);
    memcpy(frame_reader_space(&reader, &room), &prefix, 3);
    frame_reader_added(&reader, 3);
    CU_ASSERT_EQUAL(frame_reader_peek(&reader, &packet, &length), FRAME_NONE);
    memcpy(frame_reader_space(&reader, &room), (const uint8_t *)&prefix + 3, 1);
    frame_reader_added(&reader, 1);
    CU_ASSERT_EQUAL(frame_reader_peek(&reader, &packet, &length), FRAME_BROKEN);
    frame_reader_destroy(&reader);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"checksum", test_checksum},
        {"segments", test_segments},
        {"a large packet's checksum", test_large_packet},
        {"a partial checksum", test_partial_checksum},
        {"headers that are wrong", test_bad_headers},
        {"what a packet needs", test_needs},
        {"joining", test_coalesce},
        {"filter: modes and tables", test_filter_modes},
        {"filter: VLANs", test_filter_vlan},
        {"framing", test_framing},
        {"framing: too long", test_framing_broken},
        {NULL, NULL},
    };

    return unit_run("net-packet", tests);
}
