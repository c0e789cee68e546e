/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iommu/vtd-tables.h"
#include "memory/host-access.h"
#include "util/error.h"
#include "util/little-endian.h"

#include <inttypes.h>

#define PAGE_BITS   12
#define LEVEL_BITS  9
#define LEVEL_COUNT (1u << LEVEL_BITS)
#define PAGE_SIZE   (UINT64_C(1) << PAGE_BITS)

static const struct memory_attributes by_iommu = {.from_device = true};

/* The RAM at an address, from there on. Inside memory_rcu_read_lock. */
static struct memory_section find_ram(const struct vtd_tables *tables, gpa_t address, bool is_write)
{
    struct memory_section section =
        address_space_lookup(tables->memory, address, is_write, by_iommu);

    if (is_write && !section.writable) {
        section.host = NULL;
    }
    return section;
}

bool vtd_read_memory(const struct vtd_tables *tables, gpa_t address, void *buffer, uint64_t length)
{
    uint64_t part = 0;
    bool ok = true;

    memory_rcu_read_lock();
    for (uint64_t done = 0; ok && done < length; done += part) {
        struct memory_section section = find_ram(tables, address + done, false);

        ok = section.host != NULL;
        part = MIN(length - done, section.length);
        if (ok) {
            host_read((uint8_t *)buffer + done, section.host, part, false);
        }
    }
    memory_rcu_read_unlock();
    return ok;
}

bool vtd_write_memory(const struct vtd_tables *tables, gpa_t address, const void *buffer,
                      uint64_t length)
{
    struct memory_section section;
    bool ok;

    memory_rcu_read_lock();
    section = find_ram(tables, address, true);
    ok = section.host && section.length >= length &&
         address_space_write(tables->memory, address, by_iommu, buffer, length) == MEMORY_OK;
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

static bool has_reserved_bits(const struct vtd_tables *tables, uint64_t entry, unsigned level)
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

enum vtd_fault_reason vtd_second_lookup(const struct vtd_tables *tables,
                                        const struct vtd_context *context, iova_t iova,
                                        bool is_write, struct vtd_leaf_table *leaf,
                                        struct iommu_mapping *mapping)
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

        if (!vtd_read_memory(tables, table + index * 8, &entry, sizeof(entry))) {
            return VTD_FAULT_TABLE_ACCESS;
        }
        entry = GUINT64_FROM_LE(entry);
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

#define AT_ONCE 16u /* entries: a sparse table is looked at by these */

static bool are_zero(const entry_pair *pairs)
{
    entry_pair any = pairs[0];

    for (unsigned i = 1; i < AT_ONCE / 2; i++) {
        any |= pairs[i];
    }
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

/* Visit what lies in the table whose first entry maps `base` at `level`. False: refused. */
static bool walk_table(struct walk *walk, gpa_t table, unsigned level, iova_t base, unsigned access)
{
    unsigned shift = level_shift(level);
    unsigned from = walk->first > base ? (unsigned)((walk->first - base) >> shift) : 0;
    uint64_t last_index = (walk->last - base) >> shift;
    unsigned count = MIN((unsigned)MIN(last_index, LEVEL_COUNT - 1), LEVEL_COUNT - 1) - from + 1;
    union table part;

    if (!count_visit(walk)) {
        return false;
    }
    if (!vtd_read_memory(walk->tables, table + from * UINT64_C(8), part.entries,
                         count * UINT64_C(8))) {
        return true;
    }
    for (unsigned i = 0; (i = skip_zeros(&part, i, count)) < count; i++) {
        uint64_t entry = GUINT64_FROM_LE(part.entries[i]);
        unsigned allowed = access & entry_access(entry);
        iova_t iova = base + ((uint64_t)(from + i) << shift);
        struct iommu_mapping mapping = {iova, VTD_BIT(shift), entry_address(entry), allowed};

        if (!allowed || has_reserved_bits(walk->tables, entry, level)) {
            continue;
        }
        if (is_leaf(entry, level)
                ? !count_visit(walk) || !walk->visit(walk->visit_opaque, &mapping, walk->error)
                : !walk_table(walk, entry_address(entry), level - 1, iova, allowed)) {
            return false;
        }
    }
    return true;
}

bool vtd_second_walk(const struct vtd_tables *tables, const struct vtd_context *context,
                     struct range range, iommu_visit_fn visit, void *visit_opaque, GError **error)
{
    struct walk walk = {tables, 0, 0, 0, visit, visit_opaque, error};
    struct range reach = {0, context_reach(context)};

    range = range_intersect(range, reach);
    if (!range.length) {
        return true;
    }
    walk.first = range.start;
    walk.last = range.start + (range.length - 1);
    return walk_table(&walk, context->table, context->levels, 0, IOMMU_READ | IOMMU_WRITE);
}
