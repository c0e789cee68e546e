/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Little-endian numbers at unaligned addresses: file headers, firmware tables, guest structures. */
#ifndef DUODM_UTIL_LITTLE_ENDIAN_H
#define DUODM_UTIL_LITTLE_ENDIAN_H

#include <glib.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t load_le16(const void *from)
{
    uint16_t value;

    memcpy(&value, from, sizeof(value));
    return GUINT16_FROM_LE(value);
}

static inline uint32_t load_le32(const void *from)
{
    uint32_t value;

    memcpy(&value, from, sizeof(value));
    return GUINT32_FROM_LE(value);
}

static inline uint64_t load_le64(const void *from)
{
    uint64_t value;

    memcpy(&value, from, sizeof(value));
    return GUINT64_FROM_LE(value);
}

static inline void store_le16(void *to, uint16_t value)
{
    value = GUINT16_TO_LE(value);
    memcpy(to, &value, sizeof(value));
}

static inline void store_le32(void *to, uint32_t value)
{
    value = GUINT32_TO_LE(value);
    memcpy(to, &value, sizeof(value));
}

static inline void store_le64(void *to, uint64_t value)
{
    value = GUINT64_TO_LE(value);
    memcpy(to, &value, sizeof(value));
}

#endif
