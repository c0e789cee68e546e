/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memory/host-access.h"
#include "util/hot-path.h"

HOT_PATH void host_read_units(void *buffer, const void *host, uint64_t length)
{
    uint8_t *to = buffer;
    const uint8_t *from = host;

    for (; length >= 8 && host_is_aligned(from, 8); from += 8, to += 8, length -= 8) {
        uint64_t value = __atomic_load_n((const uint64_t *)from, __ATOMIC_ACQUIRE);

        memcpy(to, &value, 8);
    }
    while (length) {
        unsigned unit = host_unit(from, length);
        uint64_t value = GUINT64_TO_LE(host_load_aligned(from, unit));

        memcpy(to, &value, unit);
        to += unit;
        from += unit;
        length -= unit;
    }
}

HOT_PATH void host_write_units(void *host, const void *buffer, uint64_t length)
{
    const uint8_t *from = buffer;
    uint8_t *to = host;

    while (length) {
        unsigned unit = host_unit(to, length);
        uint64_t value = 0;

        memcpy(&value, from, unit);
        host_store_aligned(to, unit, GUINT64_FROM_LE(value));
        to += unit;
        from += unit;
        length -= unit;
    }
}
