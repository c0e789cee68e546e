/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memory/address-map.h"
#include "memory/lookup.h"
#include "memory/ram-block.h"
#include "memory/ram-windows.h"
#include "memory/topology.h"

#include <assert.h>
#include <pthread.h>

/* One piece of memory that was given out; found by its host address. Equal ones are counted. */
struct mapping {
    void *host; /* key */
    unsigned count;
    struct ram_block *block; /* of RAM: kept alive; NULL: a bounce buffer */
    uint64_t block_offset;   /* of host, in block */
    void *window;            /* of windowed RAM: pinned as often as it is counted; else NULL */
    gpa_t address;           /* of a bounce buffer: where it is written back */
    uint64_t length;         /* of a bounce buffer, bytes */
    struct memory_attributes attributes;
};

struct address_map {
    pthread_mutex_t lock;
    GHashTable *mappings; /* host -> struct mapping */
    unsigned bounce_count;
    uint64_t bounce_bytes;
};

static void release_ram(const struct mapping *mapping)
{
    if (mapping->window) {
        mapping->block->windows->unpin(mapping->block->windows_opaque, mapping->window);
    }
    ram_block_unref(mapping->block);
}

static void mapping_free(gpointer data)
{
    struct mapping *mapping = data;

    if (mapping->block) {
        for (unsigned i = 0; i < mapping->count; i++) {
            release_ram(mapping);
        }
    } else {
        g_free(mapping->host);
    }
    g_free(mapping);
}

struct address_map *address_map_new(void)
{
    struct address_map *map = g_new0(struct address_map, 1);

    pthread_mutex_init(&map->lock, NULL);
    map->mappings = g_hash_table_new_full(NULL, NULL, NULL, mapping_free);
    return map;
}

void address_map_free(struct address_map *map)
{
    g_hash_table_destroy(map->mappings);
    pthread_mutex_destroy(&map->lock);
    g_free(map);
}

/* Returns the host address, or NULL if it can't be kept. */
static void *map_ram(struct address_map *map, const struct memory_section *section,
                     uint64_t *length, bool is_write)
{
    struct ram_block *block = section->region->ram;
    void *host = section->host, *window = NULL;
    struct mapping *mapping;

    if (block->windows) {
        host =
            block->windows->pin(block->windows_opaque, section->offset, length, is_write, &window);
        if (!host) {
            return NULL;
        }
    }

    ram_block_ref(block);
    pthread_mutex_lock(&map->lock);
    mapping = g_hash_table_lookup(map->mappings, host);
    if (!mapping) {
        mapping = g_new0(struct mapping, 1);
        mapping->host = host;
        mapping->block = block;
        mapping->block_offset = section->offset;
        mapping->window = window;
        g_hash_table_insert(map->mappings, host, mapping);
    }
    mapping->count++;
    pthread_mutex_unlock(&map->lock);
    return host;
}

/* Take length bytes, or fewer, of what bounce buffers may hold; 0: nothing left. */
static uint64_t reserve_bounce(struct address_map *map, uint64_t length)
{
    pthread_mutex_lock(&map->lock);
    length = MIN(length, MIN(BOUNCE_LENGTH_MAX, BOUNCE_BYTES_MAX - map->bounce_bytes));
    if (map->bounce_count == BOUNCE_BUFFERS_MAX) {
        length = 0;
    }
    if (length) {
        map->bounce_count++;
        map->bounce_bytes += length;
    }
    pthread_mutex_unlock(&map->lock);
    return length;
}

static void release_bounce(struct address_map *map, uint64_t length)
{
    pthread_mutex_lock(&map->lock);
    map->bounce_count--;
    map->bounce_bytes -= length;
    pthread_mutex_unlock(&map->lock);
}

static void *map_bounce(struct address_space *as, gpa_t address, uint64_t *length, bool is_write,
                        struct memory_attributes attributes)
{
    struct address_map *map = space_links(as)->map;
    uint64_t size = reserve_bounce(map, *length);
    struct mapping *mapping;
    void *buffer;

    *length = 0;
    if (!size) {
        return NULL;
    }
    buffer = g_malloc0(size);
    if (!is_write && address_space_read(as, address, attributes, buffer, size) != MEMORY_OK) {
        release_bounce(map, size);
        g_free(buffer);
        return NULL;
    }
    mapping = g_new0(struct mapping, 1);
    mapping->host = buffer;
    mapping->count = 1;
    mapping->address = address;
    mapping->length = size;
    mapping->attributes = attributes;
    pthread_mutex_lock(&map->lock);
    g_hash_table_insert(map->mappings, buffer, mapping);
    pthread_mutex_unlock(&map->lock);
    *length = size;
    return buffer;
}

/* Lengthen a RAM section over what follows it in host memory as in the address space. */
static void extend_section(struct address_space *as, gpa_t address, uint64_t wanted,
                           enum lookup_access access, struct memory_attributes attributes,
                           struct memory_section *section)
{
    while (section->length < wanted) {
        struct memory_section next =
            memory_lookup(as, address + section->length, access, attributes);

        if (next.region != section->region || next.offset != section->offset + section->length ||
            !next.host || next.writable != section->writable ||
            (uint8_t *)next.host != (uint8_t *)section->host + section->length) {
            return;
        }
        section->length += next.length;
    }
}

void *address_space_map(struct address_space *as, gpa_t address, uint64_t *length, bool is_write,
                        struct memory_attributes attributes)
{
    enum lookup_access access = is_write ? LOOKUP_WRITE : LOOKUP_READ;
    struct memory_section section;
    void *host = NULL;

    memory_rcu_read_lock();
    section = memory_lookup(as, address, access, attributes);
    if (!*length || !section.region) {
        *length = 0;
    } else if (section.host && (section.writable || !is_write)) {
        extend_section(as, address, *length, access, attributes, &section);
        *length = MIN(*length, section.length);
        host = map_ram(space_links(as)->map, &section, length, is_write);
        *length = host ? *length : 0;
    } else {
        *length = MIN(*length, section.length);
        host = map_bounce(as, address, length, is_write, attributes);
    }
    memory_rcu_read_unlock();
    return host;
}

/* Take one use of a mapping out of the table. The caller has *use to itself. */
static void take_mapping(struct address_map *map, void *host, struct mapping *use)
{
    struct mapping *mapping;

    pthread_mutex_lock(&map->lock);
    mapping = g_hash_table_lookup(map->mappings, host);
    assert(mapping && "address_space_unmap of what was not mapped");
    *use = *mapping;
    if (--mapping->count == 0) {
        g_hash_table_steal(map->mappings, host);
        g_free(mapping);
    }
    pthread_mutex_unlock(&map->lock);
}

void address_space_unmap(struct address_space *as, void *host, uint64_t length, bool is_write,
                         uint64_t written)
{
    struct address_map *map = space_links(as)->map;
    struct mapping use;

    take_mapping(map, host, &use);
    written = MIN(written, length);
    if (use.block) {
        if (is_write) {
            ram_block_set_dirty(use.block, use.block_offset, written);
        }
        release_ram(&use);
        return;
    }
    if (is_write) {
        address_space_write(as, use.address, use.attributes, use.host, MIN(written, use.length));
    }
    release_bounce(map, use.length);
    g_free(use.host);
}
