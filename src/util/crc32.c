/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/crc32.h"

#define POLYNOMIAL 0xedb88320u /* reflected */

uint32_t crc32_of(const void *data, size_t length)
{
    const uint8_t *bytes = data;
    uint32_t remainders[256], crc = ~0u;

    for (unsigned byte = 0; byte < 256; byte++) {
        remainders[byte] = byte;
        for (unsigned bit = 0; bit < 8; bit++) {
            remainders[byte] = remainders[byte] >> 1 ^ (POLYNOMIAL & -(remainders[byte] & 1));
        }
    }
    for (size_t i = 0; i < length; i++) {
        crc = crc >> 8 ^ remainders[(crc ^ bytes[i]) & 0xff];
    }
    return ~crc;
}
