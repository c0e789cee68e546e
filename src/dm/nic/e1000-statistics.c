/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counters of the 82540EM: 13.7. They stick at their maximum, and reading clears them. */
#include "dm/nic/e1000.h"

#define FCS_SIZE 4

void e1000_count(struct e1000 *nic, unsigned offset)
{
    uint32_t *counter = e1000_at(nic, offset);

    *counter += *counter != UINT32_MAX;
}

/* A counter of 64 bits, low word first. */
static void add_octets(struct e1000 *nic, unsigned offset, uint64_t octets)
{
    uint64_t sum = e1000_get(nic, offset) | (uint64_t)e1000_get(nic, offset + 4) << 32;

    sum = sum > UINT64_MAX - octets ? UINT64_MAX : sum + octets;
    *e1000_at(nic, offset) = (uint32_t)sum;
    *e1000_at(nic, offset + 4) = (uint32_t)(sum >> 32);
}

/* By size with FCS: 64, up to 127, 255, 511, 1023, and more. */
static unsigned size_class(size_t length)
{
    static const uint16_t limits[] = {64, 127, 255, 511, 1023};
    unsigned class = 0;

    while (class < G_N_ELEMENTS(limits) && length > limits[class]) {
        class ++;
    }
    return class;
}

static bool is_broadcast(const uint8_t *packet)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    return memcmp(packet, broadcast, 6) == 0;
}

void e1000_count_received(struct e1000 *nic, const uint8_t *packet, size_t length)
{
    size_t octets = length + FCS_SIZE;

    e1000_count(nic, TPR);
    e1000_count(nic, GPRC);
    e1000_count(nic, PRC64 + 4 * size_class(octets));
    add_octets(nic, GORCL, octets);
    add_octets(nic, TORL, octets);
    if (packet[0] & 1) {
        e1000_count(nic, is_broadcast(packet) ? BPRC : MPRC);
    }
}

void e1000_count_sent(struct e1000 *nic, const uint8_t *packet, size_t length)
{
    size_t octets = length + FCS_SIZE;

    e1000_count(nic, TPT);
    e1000_count(nic, GPTC);
    e1000_count(nic, PTC64 + 4 * size_class(octets));
    add_octets(nic, GOTCL, octets);
    add_octets(nic, TOTL, octets);
    if (packet[0] & 1) {
        e1000_count(nic, is_broadcast(packet) ? BPTC : MPTC);
    }
}
