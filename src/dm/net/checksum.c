/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/net/checksum.h"

#include <arpa/inet.h>
#include <string.h>

/* An end-around carry keeps the sum in 64 bits: 2^64 - 1 is a multiple of 2^16 - 1. */
static uint64_t add_with_carry(uint64_t a, uint64_t b)
{
    uint64_t sum = a + b;

    return sum + (sum < a);
}

uint64_t checksum_add(uint64_t sum, const void *data, size_t length)
{
    const uint8_t *bytes = data;
    uint64_t other = 0, word;

    /* Two chains of carries: the processor adds both at once. */
    for (; length >= 16; bytes += 16, length -= 16) {
        memcpy(&word, bytes, 8);
        sum = add_with_carry(sum, word);
        memcpy(&word, bytes + 8, 8);
        other = add_with_carry(other, word);
    }
    sum = add_with_carry(sum, other);
    for (; length >= 8; bytes += 8, length -= 8) {
        memcpy(&word, bytes, 8);
        sum = add_with_carry(sum, word);
    }
    word = 0;
    memcpy(&word, bytes, length);
    return add_with_carry(sum, word);
}

uint64_t checksum_add_pseudo(uint64_t sum, uint32_t length, uint8_t protocol)
{
    return add_with_carry(sum, (uint64_t)htonl(length) + htons(protocol));
}

uint16_t checksum_finish(uint64_t sum)
{
    sum = (sum >> 32) + (sum & 0xffffffff);
    sum = (sum >> 32) + (sum & 0xffffffff);
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t)~sum;
}
