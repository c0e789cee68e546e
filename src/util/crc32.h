/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CRC-32 of IEEE 802.3, 3.2.9, as PNG and zlib have it too: for what is checked now and then. The
 * checksum of each packet is dm/nic/fcs.h's. */
#ifndef DUODM_UTIL_CRC32_H
#define DUODM_UTIL_CRC32_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32_of(const void *data, size_t length);

#endif
