/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memory/ram-windows.h"
#include "memory/dispatch.h"
#include "memory/host-access.h"
#include "memory/lookup.h"
#include "memory/ram-block.h"

static void *find(const struct ram_block *block, uint64_t offset, uint64_t *length, bool is_write)
{
    return block->windows->find(block->windows_opaque, offset, length, is_write);
}

void ram_windows_look_up(const struct flat_range *range, enum lookup_access access,
                         struct memory_section *section)
{
    const struct ram_block *block = section->region->ram;
    uint64_t length = section->length;

    section->is_transient = true;
    if (access != LOOKUP_READ && !range->read_only) {
        section->host = find(block, section->offset, &length, true);
        section->writable = section->host != NULL;
    }
    if (!section->host) {
        length = section->length;
        section->host = find(block, section->offset, &length, false);
    }
    section->length = length;
}

/* How much of an access one window answers: whole if it can. 0: there is no page. */
static unsigned find_part(const struct ram_block *block, uint64_t offset, unsigned size,
                          bool is_write, void **host)
{
    uint64_t length = size;

    *host = find(block, offset, &length, is_write);
    return *host ? (unsigned)length : 0;
}

enum memory_result ram_windows_load(const struct ram_block *block, uint64_t offset, unsigned size,
                                    uint64_t *value)
{
    enum memory_result result = MEMORY_OK;

    *value = 0;
    memory_rcu_read_lock();
    for (unsigned done = 0, part; done < size && result == MEMORY_OK; done += part) {
        void *host;

        part = find_part(block, offset + done, size - done, false, &host);
        if (part) {
            *value |= host_load(host, part) << (8 * done);
        } else {
            result = MEMORY_DECODE_ERROR;
            *value = value_mask(size);
        }
    }
    memory_rcu_read_unlock();
    return result;
}

enum memory_result ram_windows_store(struct ram_block *block, uint64_t offset, unsigned size,
                                     uint64_t value)
{
    enum memory_result result = MEMORY_OK;

    memory_rcu_read_lock();
    for (unsigned done = 0, part; done < size && result == MEMORY_OK; done += part) {
        void *host;

        part = find_part(block, offset + done, size - done, true, &host);
        if (part) {
            host_store(host, part, (value >> (8 * done)) & value_mask(part));
            ram_block_set_dirty(block, offset + done, part);
        } else {
            result = MEMORY_DECODE_ERROR;
        }
    }
    memory_rcu_read_unlock();
    return result;
}

bool ram_windows_read(struct memory_region *region, uint64_t offset, void *buffer, uint64_t length)
{
    bool ok = true;

    memory_rcu_read_lock();
    for (uint64_t done = 0; ok && done < length;) {
        uint64_t part = length - done;
        const void *host = find(region->ram, offset + done, &part, false);

        ok = host != NULL;
        if (ok) {
            host_read((uint8_t *)buffer + done, host, part, false);
            done += part;
        }
    }
    memory_rcu_read_unlock();
    return ok;
}

bool ram_windows_write(struct memory_region *region, uint64_t offset, const void *buffer,
                       uint64_t length)
{
    bool ok = true;

    memory_rcu_read_lock();
    for (uint64_t done = 0; ok && done < length;) {
        uint64_t part = length - done;
        void *host = find(region->ram, offset + done, &part, true);

        ok = host != NULL;
        if (ok) {
            host_write(host, (const uint8_t *)buffer + done, part, false);
            ram_block_set_dirty(region->ram, offset + done, part);
            done += part;
        }
    }
    memory_rcu_read_unlock();
    return ok;
}
