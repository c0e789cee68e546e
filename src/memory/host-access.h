/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accesses to guest memory through host pointers. vCPUs and devices race on it by design: an
 * aligned access of 1, 2, 4 or 8 bytes is made in one piece, as the guest's CPU would.
 */
#ifndef DUODM_MEMORY_HOST_ACCESS_H
#define DUODM_MEMORY_HOST_ACCESS_H

#include "util/tsan.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline bool host_is_aligned(const void *host, uint64_t size)
{
    return ((uintptr_t)host & (size - 1)) == 0;
}

/* size 1, 2, 4 or 8, aligned. In the order in which an x86 processor makes loads and stores. */
static inline uint64_t host_load_aligned(const void *host, unsigned size)
{
    switch (size) {
    case 1:
        return __atomic_load_n((const uint8_t *)host, __ATOMIC_ACQUIRE);
    case 2:
        return GUINT16_FROM_LE(__atomic_load_n((const uint16_t *)host, __ATOMIC_ACQUIRE));
    case 4:
        return GUINT32_FROM_LE(__atomic_load_n((const uint32_t *)host, __ATOMIC_ACQUIRE));
    default:
        return GUINT64_FROM_LE(__atomic_load_n((const uint64_t *)host, __ATOMIC_ACQUIRE));
    }
}

static inline void host_store_aligned(void *host, unsigned size, uint64_t value)
{
    switch (size) {
    case 1:
        __atomic_store_n((uint8_t *)host, (uint8_t)value, __ATOMIC_RELEASE);
        break;
    case 2:
        __atomic_store_n((uint16_t *)host, GUINT16_TO_LE((uint16_t)value), __ATOMIC_RELEASE);
        break;
    case 4:
        __atomic_store_n((uint32_t *)host, GUINT32_TO_LE((uint32_t)value), __ATOMIC_RELEASE);
        break;
    default:
        __atomic_store_n((uint64_t *)host, GUINT64_TO_LE(value), __ATOMIC_RELEASE);
    }
}

/* Largest power of two up to 8 that fits into length and divides the address. */
static inline unsigned host_unit(const void *host, uint64_t length)
{
    unsigned unit = 8;

    while (unit > length || !host_is_aligned(host, unit)) {
        unit /= 2;
    }
    return unit;
}

#define HOST_SMALL 32 /* bytes: up to here a call of memcpy costs more than it gains */

/* Copies in aligned units: for memory that is a device's, small accesses, and ThreadSanitizer,
 * which would see a guest's races in memcpy. */
void host_read_units(void *buffer, const void *host, uint64_t length);
void host_write_units(void *host, const void *buffer, uint64_t length);

static inline bool host_wants_units(uint64_t length, bool is_device)
{
#ifdef WITH_TSAN
    return true;
#else
    return is_device || length <= HOST_SMALL;
#endif
}

static inline void host_read(void *buffer, const void *host, uint64_t length, bool is_device)
{
    if (host_wants_units(length, is_device)) {
        host_read_units(buffer, host, length);
    } else {
        memcpy(buffer, host, length);
    }
}

static inline void host_write(void *host, const void *buffer, uint64_t length, bool is_device)
{
    if (host_wants_units(length, is_device)) {
        host_write_units(host, buffer, length);
    } else {
        memcpy(host, buffer, length);
    }
}

/* 1 to 8 bytes of any alignment as a little-endian number. */
static inline uint64_t host_load(const void *host, unsigned size)
{
    uint64_t value = 0;

    if (G_LIKELY((size & (size - 1)) == 0 && host_is_aligned(host, size))) {
        return host_load_aligned(host, size);
    }
    host_read_units(&value, host, size);
    return GUINT64_FROM_LE(value);
}

static inline void host_store(void *host, unsigned size, uint64_t value)
{
    if (G_LIKELY((size & (size - 1)) == 0 && host_is_aligned(host, size))) {
        host_store_aligned(host, size, value);
        return;
    }
    value = GUINT64_TO_LE(value);
    host_write_units(host, &value, size);
}

#endif
