/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Construction of address spaces, and accesses by address: hot path. */
#include "memory/address-space.h"
#include "memory/address-map.h"
#include "memory/dispatch.h"
#include "memory/host-access.h"
#include "memory/lookup.h"
#include "memory/ram-block.h"
#include "memory/topology.h"
#include "util/hot-path.h"
#include "util/trace.h"

/* ---- Construction ---- */

void address_space_init(struct address_space *as, struct memory_region *root, const char *name)
{
    struct space_links *links = g_new0(struct space_links, 1);

    *as = (struct address_space){.name = g_strdup(name), .root = root, .links = links};
    as->listeners = g_ptr_array_new();
    links->map = address_map_new();
    memory_topology_begin();
    topology_attach(as);
    memory_topology_commit();
}

void address_space_destroy(struct address_space *as)
{
    GPtrArray *listeners = as->listeners;

    if (!as->links) {
        return;
    }
    memory_topology_begin();
    while (listeners->len) {
        memory_listener_unregister(listeners->pdata[listeners->len - 1]);
    }
    topology_detach(as);
    memory_topology_commit();
    g_ptr_array_free(listeners, TRUE);
    address_map_free(space_links(as)->map);
    g_free(as->links);
    g_free((char *)as->name);
    *as = (struct address_space){0};
}

/* ---- Parts of accesses, each within one section ---- */

static void count_unassigned(struct address_space *as)
{
    __atomic_fetch_add(&as->unassigned_count, 1, __ATOMIC_RELAXED);
}

static enum memory_result failed_read(struct address_space *as, gpa_t address, unsigned size,
                                      enum memory_result result)
{
    if (result == MEMORY_DECODE_ERROR) {
        count_unassigned(as);
        trace_memory_unassigned_read(address, size);
    }
    return result;
}

static enum memory_result failed_write(struct address_space *as, gpa_t address, unsigned size,
                                       uint64_t value, enum memory_result result)
{
    if (result == MEMORY_DECODE_ERROR) {
        count_unassigned(as);
        trace_memory_unassigned_write(address, size, value);
    }
    return result;
}

static void wrote_to_host(const struct memory_section *section, uint64_t length)
{
    /* What the block says now, not what the view said before the store. */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    ram_block_set_dirty(section->region->ram, section->offset, length);
}

static bool is_device_memory(const struct memory_section *section)
{
    return section->region->kind == MEMORY_RAM_DEVICE;
}

/* Read up to 8 bytes by a callback; *value is all ones where it fails. */
HOT_PATH static enum memory_result read_callback(struct address_space *as, gpa_t address,
                                                 const struct memory_section *section,
                                                 unsigned size, struct memory_attributes attributes,
                                                 uint64_t *value)
{
    enum memory_result result = MEMORY_DECODE_ERROR;

    *value = value_mask(size);
    if (section->region) {
        result =
            memory_region_dispatch_read(section->region, section->offset, size, attributes, value);
    }
    return result == MEMORY_OK ? result : failed_read(as, address, size, result);
}

/* A store to what is not writable memory: callbacks, ROM, or nothing. */
HOT_PATH static enum memory_result
write_callback(struct address_space *as, gpa_t address, const struct memory_section *section,
               unsigned size, struct memory_attributes attributes, uint64_t value)
{
    enum memory_result result = MEMORY_DECODE_ERROR;

    if (section->region) {
        if (section->host && section->region->kind != MEMORY_ROM_DEVICE) {
            failed_write(as, address, size, value, MEMORY_DECODE_ERROR);
            return MEMORY_OK; /* ROM: dropped and counted */
        }
        result =
            memory_region_dispatch_write(section->region, section->offset, size, attributes, value);
    }
    return result == MEMORY_OK ? result : failed_write(as, address, size, value, result);
}

static unsigned part_size(const struct memory_section *section, uint64_t length)
{
    length = MIN(length, section->length);
    if (!section->region) {
        return (unsigned)MIN(length, 8);
    }
    return dispatch_access_size(section->region, section->offset, length);
}

/* ---- Any length ---- */

enum memory_result address_space_read(struct address_space *as, gpa_t address,
                                      struct memory_attributes attributes, void *buffer,
                                      uint64_t length)
{
    enum memory_result result = MEMORY_OK;
    uint8_t *to = buffer;

    memory_rcu_read_lock();
    while (length && result == MEMORY_OK) {
        struct memory_section section = memory_lookup_to_copy(as, address, LOOKUP_READ, attributes);
        uint64_t take = MIN(length, section.length);

        if (section.host) {
            host_read(to, section.host, take, is_device_memory(&section));
            memory_lookup_done(&section);
        } else {
            uint64_t value;

            take = part_size(&section, length);
            result = read_callback(as, address, &section, (unsigned)take, attributes, &value);
            value = GUINT64_TO_LE(value);
            memcpy(to, &value, take);
        }
        to += take;
        address += take;
        length -= take;
    }
    memory_rcu_read_unlock();
    if (length) {
        memset(to, 0xff, length);
    }
    return result;
}

static enum memory_result write_range(struct address_space *as, gpa_t address,
                                      struct memory_attributes attributes, const void *buffer,
                                      uint64_t length, bool into_rom)
{
    enum memory_result result = MEMORY_OK;
    const uint8_t *from = buffer;

    memory_rcu_read_lock();
    while (length && result == MEMORY_OK) {
        struct memory_section section =
            memory_lookup_to_copy(as, address, LOOKUP_WRITE, attributes);
        uint64_t take = MIN(length, section.length);

        if (section.writable || (into_rom && section.host)) {
            host_write(section.host, from, take, is_device_memory(&section));
            memory_lookup_done(&section);
            wrote_to_host(&section, take);
        } else {
            uint64_t value = 0;

            memory_lookup_done(&section);
            take = part_size(&section, length);
            memcpy(&value, from, take);
            result = write_callback(as, address, &section, (unsigned)take, attributes,
                                    GUINT64_FROM_LE(value));
        }
        from += take;
        address += take;
        length -= take;
    }
    memory_rcu_read_unlock();
    return result;
}

enum memory_result address_space_write(struct address_space *as, gpa_t address,
                                       struct memory_attributes attributes, const void *buffer,
                                       uint64_t length)
{
    return write_range(as, address, attributes, buffer, length, false);
}

enum memory_result address_space_write_rom(struct address_space *as, gpa_t address,
                                           const void *buffer, uint64_t length)
{
    return write_range(as, address, MEMORY_ATTRIBUTES_CPU, buffer, length, true);
}

/* ---- One access ---- */

/* A load that crosses sections: each part is answered by its own, ones where that fails. */
static enum memory_result load_parts(struct address_space *as, gpa_t address, unsigned size,
                                     struct memory_attributes attributes, uint64_t *value)
{
    enum memory_result result = MEMORY_OK;

    *value = 0;
    for (unsigned done = 0; done < size;) {
        struct memory_section section =
            memory_lookup_to_copy(as, address + done, LOOKUP_READ, attributes);
        unsigned take = part_size(&section, size - done);
        enum memory_result one = MEMORY_OK;
        uint64_t part;

        if (section.host) {
            part = host_load(section.host, take);
            memory_lookup_done(&section);
        } else {
            one = read_callback(as, address + done, &section, take, attributes, &part);
        }
        *value |= (part & value_mask(take)) << (8 * done);
        result = result ? result : one;
        done += take;
    }
    return result;
}

static enum memory_result store_parts(struct address_space *as, gpa_t address, unsigned size,
                                      struct memory_attributes attributes, uint64_t value)
{
    enum memory_result result = MEMORY_OK;

    for (unsigned done = 0; done < size;) {
        struct memory_section section =
            memory_lookup_to_copy(as, address + done, LOOKUP_WRITE, attributes);
        unsigned take = part_size(&section, size - done);
        uint64_t part = (value >> (8 * done)) & value_mask(take);
        enum memory_result one = MEMORY_OK;

        if (section.writable) {
            host_store(section.host, take, part);
            memory_lookup_done(&section);
            wrote_to_host(&section, take);
        } else {
            memory_lookup_done(&section);
            one = write_callback(as, address + done, &section, take, attributes, part);
        }
        result = result ? result : one;
        done += take;
    }
    return result;
}

HOT_PATH enum memory_result address_space_load(struct address_space *as, gpa_t address,
                                               unsigned size, struct memory_attributes attributes,
                                               uint64_t *value)
{
    enum memory_result result = MEMORY_OK;
    struct memory_section section;

    memory_rcu_read_lock();
    section = memory_lookup_to_copy(as, address, LOOKUP_READ, attributes);
    if (G_UNLIKELY(section.length < size)) {
        memory_lookup_done(&section);
        result = load_parts(as, address, size, attributes, value);
    } else if (section.host) {
        *value = host_load(section.host, size);
        memory_lookup_done(&section);
    } else {
        result = read_callback(as, address, &section, size, attributes, value);
    }
    memory_rcu_read_unlock();
    return result;
}

HOT_PATH enum memory_result address_space_store(struct address_space *as, gpa_t address,
                                                unsigned size, struct memory_attributes attributes,
                                                uint64_t value)
{
    enum memory_result result = MEMORY_OK;
    struct memory_section section;

    value &= value_mask(size);
    memory_rcu_read_lock();
    section = memory_lookup_to_copy(as, address, LOOKUP_WRITE, attributes);
    if (G_UNLIKELY(section.length < size)) {
        memory_lookup_done(&section);
        result = store_parts(as, address, size, attributes, value);
    } else if (section.writable) {
        host_store(section.host, size, value);
        memory_lookup_done(&section);
        wrote_to_host(&section, size);
    } else {
        memory_lookup_done(&section);
        result = write_callback(as, address, &section, size, attributes, value);
    }
    memory_rcu_read_unlock();
    return result;
}

/* ---- The same access again and again ---- */

static uint64_t get_generation(const struct address_space *as)
{
    return __atomic_load_n(&as->generation, __ATOMIC_ACQUIRE);
}

/* What takes all elements: a register's region, whose guard is then held. NULL: make each access by
 * itself. */
static struct memory_region *enter_register(struct address_space *as, gpa_t address, unsigned size,
                                            bool is_write, struct memory_attributes attributes,
                                            uint64_t *offset)
{
    struct memory_section section = address_space_lookup(as, address, is_write, attributes);

    *offset = section.offset;
    return section.region && !section.host && !section.is_transient && section.length >= size &&
                   dispatch_enter(section.region, section.offset)
               ? section.region
               : NULL;
}

/* Read elements as long as nobody changes what is where, which an access itself may do. Returns how
 * many were read. */
static uint32_t load_from_register(struct address_space *as, gpa_t address, unsigned size,
                                   struct memory_attributes attributes, uint8_t *buffer,
                                   uint32_t count)
{
    uint64_t generation = get_generation(as), offset, value;
    struct memory_region *region;
    uint32_t done = 0;

    memory_rcu_read_lock();
    region = enter_register(as, address, size, false, attributes, &offset);
    for (; region && done < count && get_generation(as) == generation; done++) {
        enum memory_result result = dispatch_read_entered(region, offset, size, attributes, &value);

        if (result != MEMORY_OK) {
            failed_read(as, address, size, result);
        }
        value = GUINT64_TO_LE(value);
        memcpy(buffer + (size_t)done * size, &value, size);
    }
    if (region) {
        dispatch_leave(region);
    }
    memory_rcu_read_unlock();
    return done;
}

static uint32_t store_to_register(struct address_space *as, gpa_t address, unsigned size,
                                  struct memory_attributes attributes, const uint8_t *buffer,
                                  uint32_t count)
{
    uint64_t generation = get_generation(as), offset;
    struct memory_region *region;
    uint32_t done = 0;

    memory_rcu_read_lock();
    region = enter_register(as, address, size, true, attributes, &offset);
    for (; region && done < count && get_generation(as) == generation; done++) {
        enum memory_result result;
        uint64_t value = 0;

        memcpy(&value, buffer + (size_t)done * size, size);
        value = GUINT64_FROM_LE(value);
        result = dispatch_write_entered(region, offset, size, attributes, value);
        if (result != MEMORY_OK) {
            failed_write(as, address, size, value, result);
        }
    }
    if (region) {
        dispatch_leave(region);
    }
    memory_rcu_read_unlock();
    return done;
}

HOT_PATH void address_space_load_string(struct address_space *as, gpa_t address, unsigned size,
                                        struct memory_attributes attributes, void *buffer,
                                        uint32_t count)
{
    uint32_t done =
        count > 1 ? load_from_register(as, address, size, attributes, buffer, count) : 0;

    for (; done < count; done++) {
        uint64_t value;

        address_space_load(as, address, size, attributes, &value);
        value = GUINT64_TO_LE(value);
        memcpy((uint8_t *)buffer + (size_t)done * size, &value, size);
    }
}

HOT_PATH void address_space_store_string(struct address_space *as, gpa_t address, unsigned size,
                                         struct memory_attributes attributes, const void *buffer,
                                         uint32_t count)
{
    uint32_t done = count > 1 ? store_to_register(as, address, size, attributes, buffer, count) : 0;

    for (; done < count; done++) {
        uint64_t value = 0;

        memcpy(&value, (const uint8_t *)buffer + (size_t)done * size, size);
        address_space_store(as, address, size, attributes, GUINT64_FROM_LE(value));
    }
}

/* ---- Atomic exchange ---- */

#define EXCHANGE(type, from_le)                                                                    \
    do {                                                                                           \
        type old = from_le((type)*expected);                                                       \
        done = __atomic_compare_exchange_n((type *)host, &old, from_le((type)desired), false,      \
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                    \
        *expected = from_le(old);                                                                  \
    } while (0)
#define BYTE_FROM_LE(x) (x)

/* Returns whether the memory was changed. */
static bool host_compare_exchange(void *host, unsigned size, uint64_t *expected, uint64_t desired)
{
    bool done = false;

    switch (size) {
    case 1:
        EXCHANGE(uint8_t, BYTE_FROM_LE);
        break;
    case 2:
        EXCHANGE(uint16_t, GUINT16_FROM_LE);
        break;
    case 4:
        EXCHANGE(uint32_t, GUINT32_FROM_LE);
        break;
    case 8:
        EXCHANGE(uint64_t, GUINT64_FROM_LE);
        break;
    }
    return done;
}

enum memory_result address_space_compare_exchange(struct address_space *as, gpa_t address,
                                                  unsigned size,
                                                  struct memory_attributes attributes,
                                                  uint64_t *expected, uint64_t desired)
{
    enum memory_result result = MEMORY_OK;
    struct memory_section section;
    bool is_memory, is_changed;

    memory_rcu_read_lock();
    section = memory_lookup_to_copy(as, address, LOOKUP_READ_WRITE, attributes);
    is_memory = section.writable && section.length >= size && host_is_aligned(section.host, size);
    is_changed = is_memory && host_compare_exchange(section.host, size, expected, desired);
    memory_lookup_done(&section);
    if (!is_memory) {
        result = failed_write(as, address, size, desired, MEMORY_DECODE_ERROR);
    } else if (is_changed) {
        wrote_to_host(&section, size);
    }
    memory_rcu_read_unlock();
    return result;
}
