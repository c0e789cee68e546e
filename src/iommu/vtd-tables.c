/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iommu/vtd-tables.h"
#include "memory/host-access.h"
#include "util/error.h"
#include "util/hot-path.h"
#include "util/little-endian.h"

#include <inttypes.h>

#define PAGE_BITS   12
#define LEVEL_BITS  9
#define LEVEL_COUNT (1u << LEVEL_BITS)
#define PAGE_SIZE   (UINT64_C(1) << PAGE_BITS)

#define BY_IOMMU ((struct memory_attributes){.from_device = true})

/* What lies in several pieces, or behind windows. Inside memory_rcu_read_lock. */
static bool read_pieces(const struct vtd_tables *tables, gpa_t address, void *buffer,
                        uint64_t length)
{
    uint64_t part;

    for (uint64_t done = 0; done < length; done += part) {
        struct memory_section section =
            address_space_lookup(tables->memory, address + done, false, BY_IOMMU);

        if (!section.host) {
            return false;
        }
        part = MIN(length - done, section.length);
        host_read((uint8_t *)buffer + done, section.host, part, false);
    }
    return true;
}

HOT_PATH bool vtd_read_memory(const struct vtd_tables *tables, gpa_t address, void *buffer,
                              uint64_t length)
{
    const void *host;
    bool ok = true;

    memory_rcu_read_lock();
    host = address_space_find_ram(tables->memory, address, length);
    if (G_LIKELY(host)) {
        host_read(buffer, host, length, false);
    } else {
        ok = read_pieces(tables, address, buffer, length);
    }
    memory_rcu_read_unlock();
    return ok;
}

/* An entry of 8 bytes, in one piece. Inside memory_rcu_read_lock. */
HOT_PATH static bool read_second_entry(const struct vtd_tables *tables, gpa_t address,
                                       uint64_t *entry)
{
    const void *host = address_space_find_ram(tables->memory, address, sizeof(*entry));

    if (G_LIKELY(host)) {
        *entry = host_load(host, sizeof(*entry));
        return true;
    }
    if (!read_pieces(tables, address, entry, sizeof(*entry))) {
        return false;
    }
    *entry = GUINT64_FROM_LE(*entry);
    return true;
}

HOT_PATH bool vtd_store32(const struct vtd_tables *tables, gpa_t address, uint32_t value)
{
    struct memory_section section;
    bool ok;

    memory_rcu_read_lock();
    section = address_space_lookup(tables->memory, address, true, BY_IOMMU);
    ok = section.writable && section.length >= sizeof(value);
    if (ok) {
        host_store(section.host, sizeof(value), value);
        memory_region_set_dirty(section.region, section.offset, sizeof(value));
    }
    memory_rcu_read_unlock();
    return ok;
}

/* Bits [51:12] of an entry; those above the host's address width must be zero. */
static gpa_t entry_address(uint64_t entry)
{
    return entry & (VTD_BIT(52) - PAGE_SIZE);
}

static bool is_beyond_host(const struct vtd_tables *tables, uint64_t entry)
{
    return entry_address(entry) >> tables->host_width != 0;
}

static bool read_entry(const struct vtd_tables *tables, gpa_t address, uint64_t entry[2])
{
    uint8_t bytes[16];

    if (!vtd_read_memory(tables, address, bytes, sizeof(bytes))) {
        return false;
    }
    entry[0] = load_le64(bytes);
    entry[1] = load_le64(bytes + 8);
    return true;
}

static enum vtd_fault_reason check_context(const struct vtd_tables *tables, const uint64_t entry[2],
                                           struct vtd_context *context)
{
    unsigned width = vtd_field(entry[1], 2, 0);

    context->type = vtd_field(entry[0], 3, 2);
    context->domain = (uint16_t)vtd_field(entry[1], 23, 8);
    context->table = entry_address(entry[0]);
    context->levels = (uint8_t)(width + 2);
    if (vtd_field(entry[0], 11, 4) || vtd_field(entry[1], 63, 24) || vtd_field(entry[1], 7, 7) ||
        entry[0] >> 52 || is_beyond_host(tables, entry[0])) {
        return VTD_FAULT_CONTEXT_RESERVED;
    }
    if (context->type != VTD_TRANSLATE &&
        !(context->type == VTD_PASS_THROUGH && tables->pass_through)) {
        return VTD_FAULT_CONTEXT_INVALID;
    }
    if (width < 1 || width > 2 || PAGE_BITS + LEVEL_BITS * (width + 2) > tables->iova_width) {
        return VTD_FAULT_CONTEXT_INVALID;
    }
    return VTD_FAULT_NONE;
}

struct vtd_context vtd_read_context(const struct vtd_tables *tables, uint64_t root,
                                    uint16_t requester)
{
    struct vtd_context context = {.fault = VTD_FAULT_NONE};
    uint64_t entry[2];

    if (!read_entry(tables, entry_address(root) + (requester >> 8) * UINT64_C(16), entry)) {
        context.fault = VTD_FAULT_ROOT_ACCESS;
    } else if (!(entry[0] & VTD_PRESENT)) {
        context.fault = VTD_FAULT_ROOT_NOT_PRESENT;
    } else if (vtd_field(entry[0], 11, 1) || entry[1] || entry[0] >> 52 ||
               is_beyond_host(tables, entry[0])) {
        context.fault = VTD_FAULT_ROOT_RESERVED;
    } else if (!read_entry(tables, entry_address(entry[0]) + (requester & 0xff) * UINT64_C(16),
                           entry)) {
        context.fault = VTD_FAULT_CONTEXT_ACCESS;
    } else {
        context.fault_hidden = entry[0] & VTD_FAULT_HIDDEN;
        context.fault = entry[0] & VTD_PRESENT ? check_context(tables, entry, &context)
                                               : VTD_FAULT_CONTEXT_NOT_PRESENT;
    }
    return context;
}

/* Second stage, 9.8. Level 1 holds 4 KiB pages, 2 those of 2 MiB, 3 those of 1 GiB. */

static unsigned level_shift(unsigned level)
{
    return PAGE_BITS + LEVEL_BITS * (level - 1);
}

static bool is_leaf(uint64_t entry, unsigned level)
{
    return level == 1 || ((entry & VTD_SECOND_LARGE) && level <= 3);
}

HOT_PATH static bool has_reserved_bits(const struct vtd_tables *tables, uint64_t entry,
                                       unsigned level)
{
    uint64_t reserved = is_leaf(entry, level) ? VTD_BIT(level_shift(level)) - PAGE_SIZE
                        : level > 3           ? VTD_SECOND_LARGE
                                              : 0;

    return (entry & reserved) || is_beyond_host(tables, entry);
}

static unsigned entry_access(uint64_t entry)
{
    return (entry & VTD_SECOND_READ ? IOMMU_READ : 0) |
           (entry & VTD_SECOND_WRITE ? IOMMU_WRITE : 0);
}

static uint64_t context_reach(const struct vtd_context *context)
{
    return VTD_BIT(level_shift(context->levels + 1u));
}

/* vtd_second_lookup inside memory_rcu_read_lock. */
static enum vtd_fault_reason look_up(const struct vtd_tables *tables,
                                     const struct vtd_context *context, iova_t iova, bool is_write,
                                     struct vtd_leaf_table *leaf, struct iommu_mapping *mapping)
{
    unsigned wanted = is_write ? IOMMU_WRITE : IOMMU_READ;
    unsigned access = leaf->access ? leaf->access : IOMMU_READ | IOMMU_WRITE;
    gpa_t table = leaf->access ? leaf->table : context->table;

    if (iova >= context_reach(context)) {
        return VTD_FAULT_BEYOND_WIDTH;
    }
    for (unsigned level = leaf->access ? 1 : context->levels;; level--) {
        unsigned shift = level_shift(level);
        uint64_t index = iova >> shift & (LEVEL_COUNT - 1), entry;

        if (!read_second_entry(tables, table + index * 8, &entry)) {
            return VTD_FAULT_TABLE_ACCESS;
        }
        access &= entry_access(entry);
        if (!(access & wanted)) {
            return is_write ? VTD_FAULT_WRITE : VTD_FAULT_READ;
        }
        if (has_reserved_bits(tables, entry, level)) {
            return VTD_FAULT_TABLE_RESERVED;
        }
        table = entry_address(entry);
        if (level == 2 && !is_leaf(entry, level)) {
            *leaf = (struct vtd_leaf_table){iova & ~(VTD_BIT(shift) - 1), table, access};
        }
        if (is_leaf(entry, level)) {
            uint64_t size = VTD_BIT(shift);

            *mapping = (struct iommu_mapping){iova & ~(size - 1), size, table, access};
            return VTD_FAULT_NONE;
        }
    }
}

enum vtd_fault_reason vtd_second_lookup(const struct vtd_tables *tables,
                                        const struct vtd_context *context, iova_t iova,
                                        bool is_write, struct vtd_leaf_table *leaf,
                                        struct iommu_mapping *mapping)
{
    enum vtd_fault_reason reason;

    memory_rcu_read_lock();
    reason = look_up(tables, context, iova, is_write, leaf, mapping);
    memory_rcu_read_unlock();
    return reason;
}

/* A walk under way. */
struct walk {
    const struct vtd_tables *tables;
    uint64_t first, last; /* IOVAs, both included */
    uint64_t visited;     /* tables and mappings */
    iommu_visit_fn visit;
    void *visit_opaque;
    GError **error;
};

static bool count_visit(struct walk *walk)
{
    uint64_t limit = walk->tables->walk_limit;

    return !limit || walk->visited++ < limit ||
           duodm_fail(
               walk->error, DUODM_ERROR_FAILED,
               "the guest's IOMMU tables have more than %" PRIu64
               " tables and mappings: more than its memory can hold, if none is linked twice",
               limit);
}

typedef uint64_t entry_pair __attribute__((vector_size(16)));

/* A table, or the part of it that is looked at, as it is in memory. */
union table {
    uint64_t entries[LEVEL_COUNT];
    entry_pair pairs[LEVEL_COUNT / 2];
};

#define AT_ONCE 16u /* entries: a sparse table is looked at by these, which are 8 pairs */

static bool are_zero(const entry_pair *pairs)
{
    entry_pair any =
        (pairs[0] | pairs[1] | pairs[2] | pairs[3]) | (pairs[4] | pairs[5] | pairs[6] | pairs[7]);

    return (any[0] | any[1]) == 0;
}

/* The first entry from i on that is not zero; count: there is none. */
static unsigned skip_zeros(const union table *table, unsigned i, unsigned count)
{
    while (i < count && !table->entries[i]) {
        bool all = i % AT_ONCE == 0 && i + AT_ONCE <= count && are_zero(&table->pairs[i / 2]);

        i += all ? AT_ONCE : 1;
    }
    return i;
}

/* Where a walk is: a table whose first entry maps `base`, and what the levels above it allow. */
struct place {
    gpa_t table;
    unsigned level;
    iova_t base;
    unsigned access;
};

/* What entry `index` maps, or the table it leads to (as `translated`). False: nothing. */
HOT_PATH static bool take_entry(const struct walk *walk, const struct place *place, uint64_t index,
                                uint64_t entry, struct iommu_mapping *mapping)
{
    unsigned shift = level_shift(place->level);

    *mapping = (struct iommu_mapping){place->base + (index << shift), VTD_BIT(shift),
                                      entry_address(entry), place->access & entry_access(entry)};
    return mapping->access && !has_reserved_bits(walk->tables, entry, place->level);
}

static struct place place_below(const struct place *place, const struct iommu_mapping *mapping)
{
    return (struct place){mapping->translated, place->level - 1, mapping->iova, mapping->access};
}

static bool visit_leaf(struct walk *walk, const struct iommu_mapping *mapping)
{
    return count_visit(walk) && walk->visit(walk->visit_opaque, mapping, walk->error);
}

/* Visit what lies in a table. False: refused. */
static bool walk_table(struct walk *walk, const struct place *place)
{
    unsigned shift = level_shift(place->level);
    unsigned from =
        walk->first > place->base ? (unsigned)((walk->first - place->base) >> shift) : 0;
    uint64_t last_index = (walk->last - place->base) >> shift;
    unsigned count = MIN((unsigned)MIN(last_index, LEVEL_COUNT - 1), LEVEL_COUNT - 1) - from + 1;
    union table part;

    if (!count_visit(walk)) {
        return false;
    }
    if (!vtd_read_memory(walk->tables, place->table + from * UINT64_C(8), part.entries,
                         count * UINT64_C(8))) {
        return true;
    }
    for (unsigned i = 0; (i = skip_zeros(&part, i, count)) < count; i++) {
        uint64_t entry = GUINT64_FROM_LE(part.entries[i]);
        struct iommu_mapping mapping;
        struct place below;

        if (!take_entry(walk, place, from + i, entry, &mapping)) {
            continue;
        }
        below = place_below(place, &mapping);
        if (is_leaf(entry, place->level) ? !visit_leaf(walk, &mapping)
                                         : !walk_table(walk, &below)) {
            return false;
        }
    }
    return true;
}

/* How a way down the tables ends. */
enum way_end {
    WAY_REFUSED, /* by walk_limit */
    WAY_NOTHING, /* is mapped in the range */
    WAY_LEAF,    /* has all of it */
    WAY_TABLE,   /* of which it takes more than one entry */
};

/* Down as long as the range takes one entry: what a guest invalidates is mostly a page or a few.
 * Inside memory_rcu_read_lock. */
HOT_PATH static enum way_end go_down(struct walk *walk, struct place *place,
                                     struct iommu_mapping *mapping)
{
    uint64_t index, entry;

    while (index = (walk->first - place->base) >> level_shift(place->level),
           index == (walk->last - place->base) >> level_shift(place->level)) {
        if (!count_visit(walk)) {
            return WAY_REFUSED;
        }
        if (!read_second_entry(walk->tables, place->table + index * 8, &entry) ||
            !take_entry(walk, place, index, entry, mapping)) {
            return WAY_NOTHING;
        }
        if (is_leaf(entry, place->level)) {
            return WAY_LEAF;
        }
        *place = place_below(place, mapping);
    }
    return WAY_TABLE;
}

HOT_PATH bool vtd_second_walk(const struct vtd_tables *tables, const struct vtd_context *context,
                              struct range range, iommu_visit_fn visit, void *visit_opaque,
                              GError **error)
{
    struct walk walk = {tables, 0, 0, 0, visit, visit_opaque, error};
    struct place place = {context->table, context->levels, 0, IOMMU_READ | IOMMU_WRITE};
    struct range reach = {0, context_reach(context)};
    struct iommu_mapping mapping;
    enum way_end end;

    range = range_intersect(range, reach);
    if (!range.length) {
        return true;
    }
    walk.first = range.start;
    walk.last = range.start + (range.length - 1);
    memory_rcu_read_lock();
    end = go_down(&walk, &place, &mapping);
    memory_rcu_read_unlock();
    return end == WAY_NOTHING || (end == WAY_LEAF && visit_leaf(&walk, &mapping)) ||
           (end == WAY_TABLE && walk_table(&walk, &place));
}
