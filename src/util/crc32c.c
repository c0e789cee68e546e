/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/crc32c.h"

#include <string.h>

#define POLYNOMIAL 0x82f63b78u /* reflected */

static uint32_t by_table(uint32_t crc, const uint8_t *data, size_t length)
{
    uint32_t remainders[16];

    for (unsigned nibble = 0; nibble < 16; nibble++) {
        remainders[nibble] = nibble;
        for (unsigned bit = 0; bit < 4; bit++) {
            remainders[nibble] = remainders[nibble] >> 1 ^ (POLYNOMIAL & -(remainders[nibble] & 1));
        }
    }
    for (size_t i = 0; i < length; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ remainders[crc & 15];
        crc = crc >> 4 ^ remainders[crc & 15];
    }
    return crc;
}

#ifdef __x86_64__
#define HAS_INSTRUCTION __builtin_cpu_supports("sse4.2")

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const uint8_t *data,
                                                                 size_t length)
{
    uint64_t state = crc;

    for (; length >= 8; data += 8, length -= 8) {
        uint64_t word;

        memcpy(&word, data, sizeof(word));
        state = __builtin_ia32_crc32di(state, word);
    }
    for (; length; data++, length--) {
        state = __builtin_ia32_crc32qi((uint32_t)state, *data);
    }
    return (uint32_t)state;
}
#else
#define HAS_INSTRUCTION 0
#define by_instruction  by_table
#endif

uint32_t crc32c(uint32_t before, const void *data, size_t length)
{
    return ~(HAS_INSTRUCTION ? by_instruction(~before, data, length)
                             : by_table(~before, data, length));
}
