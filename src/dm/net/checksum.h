/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Internet checksum (RFC 1071). */
#ifndef DUODM_DM_NET_CHECKSUM_H
#define DUODM_DM_NET_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/*
 * The one's complement sum of bytes as 16-bit words in memory order, an odd last byte padded with
 * zero, added to `sum`. Pieces but the last must have an even length.
 */
uint64_t checksum_add(uint64_t sum, const void *data, size_t length);
/* The sum of the pseudo-header's upper-layer length and protocol (RFC 793, 3.1; RFC 8200, 8.1). */
uint64_t checksum_add_pseudo(uint64_t sum, uint32_t length, uint8_t protocol);
/* The checksum's two bytes as they are stored in memory. */
uint16_t checksum_finish(uint64_t sum);

#endif
