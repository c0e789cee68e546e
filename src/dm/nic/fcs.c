/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/nic/fcs.h"
#include "util/little-endian.h"

#define POLYNOMIAL         0x04c11db7u
#define POLYNOMIAL_REVERSE 0xedb88320u

void fcs_tables_init(struct fcs_tables *tables)
{
    for (unsigned i = 0; i < 256; i++) {
        uint32_t crc = i;

        for (unsigned bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (POLYNOMIAL_REVERSE & -(crc & 1));
        }
        tables->entries[0][i] = crc;
    }
    for (unsigned i = 0; i < 256; i++) {
        for (unsigned k = 1; k < 8; k++) {
            uint32_t before = tables->entries[k - 1][i];

            tables->entries[k][i] = before >> 8 ^ tables->entries[0][before & 0xff];
        }
    }
}

uint32_t fcs_of(const struct fcs_tables *tables, const uint8_t *data, size_t length)
{
    const uint32_t(*t)[256] = tables->entries;
    uint32_t crc = ~0u;

    for (; length >= 8; data += 8, length -= 8) {
        uint32_t low = crc ^ load_le32(data), high = load_le32(data + 4);

        crc = t[7][low & 0xff] ^ t[6][low >> 8 & 0xff] ^ t[5][low >> 16 & 0xff] ^ t[4][low >> 24] ^
              t[3][high & 0xff] ^ t[2][high >> 8 & 0xff] ^ t[1][high >> 16 & 0xff] ^
              t[0][high >> 24];
    }
    for (; length; data++, length--) {
        crc = crc >> 8 ^ t[0][(crc ^ *data) & 0xff];
    }
    return ~crc;
}

uint32_t fcs_hash(const uint8_t address[6])
{
    uint32_t crc = ~0u;

    for (unsigned i = 0; i < 48; i++) {
        uint32_t bit = (uint32_t)(address[i / 8] >> (i % 8)) & 1;

        crc = crc << 1 ^ (POLYNOMIAL & -(crc >> 31 ^ bit));
    }
    return crc;
}
