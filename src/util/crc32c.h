/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CRC-32C (Castagnoli; RFC 3720, B.4): by the processor's instruction where it has one. */
#ifndef DUODM_UTIL_CRC32C_H
#define DUODM_UTIL_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of length bytes that follow those of which `before` is the checksum (0: none). */
uint32_t crc32c(uint32_t before, const void *data, size_t length);

#endif
