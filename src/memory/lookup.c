/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hot path: no lock, no allocation. Each thread remembers the ranges that it found last. A slot is
 * good while it bears the address space's generation: generations are never used twice, not even
 * by two address spaces, and a range lives at least as long as the view that has it.
 */
#include "memory/lookup.h"
#include "util/hot-path.h"

#define CACHE_SLOTS 128 /* a power of two */

struct cache_slot {
    uint64_t generation; /* 0: empty */
    gpa_t start;         /* start and length of range, so that a miss does not touch it */
    uint64_t length;
    const struct flat_range *range;
};

/* Large ranges, RAM and what IOMMUs answer, have a second place, by address space: a device that
 * goes through buffers is in another page each time, but in the same range. */
#define LARGE_SLOTS 4 /* a power of two */
#define LARGE_RANGE (UINT64_C(1) << 20)

/* In this order: what is last is beside the thread's control block. */
static __thread struct {
    struct cache_slot slots[CACHE_SLOTS];
    struct cache_slot large[LARGE_SLOTS];
} cache;

static inline bool has_address(const struct cache_slot *slot, uint64_t generation, gpa_t address)
{
    return slot->generation == generation && address - slot->start < slot->length;
}

/* Registers of one device fall into different slots, and so do pages of RAM. */
static inline struct cache_slot *get_slot(gpa_t address)
{
    return &cache.slots[((address >> 4) ^ (address >> 12) ^ (address >> 20)) % CACHE_SLOTS];
}

/* Apart, so that a hit need not save registers. */
__attribute__((noinline)) static const struct flat_range *
find_in_view(struct address_space *as, gpa_t address, uint64_t generation, uint64_t *hole_length)
{
    const struct flat_range *range =
        flat_view_find(__atomic_load_n(&as->view, __ATOMIC_ACQUIRE), address, hole_length);

    if (range) {
        struct cache_slot slot = {generation, range->start, range->length, range};

        *get_slot(address) = slot;
        if (range->length >= LARGE_RANGE) {
            cache.large[generation % LARGE_SLOTS] = slot;
        }
    }
    return range;
}

static inline const struct flat_range *find_range(struct address_space *as, gpa_t address,
                                                  uint64_t *hole_length)
{
    uint64_t generation = __atomic_load_n(&as->generation, __ATOMIC_ACQUIRE);
    const struct cache_slot *slot = get_slot(address);
    const struct cache_slot *large = &cache.large[generation % LARGE_SLOTS];

    return has_address(slot, generation, address) ? slot->range
           : has_address(large, generation, address)
               ? large->range
               : find_in_view(as, address, generation, hole_length);
}

static inline struct memory_section section_of(const struct flat_range *range, gpa_t address,
                                               enum lookup_access access)
{
    uint64_t skip = address - range->start;
    struct memory_section section = {
        .region = range->region,
        .offset = range->region_offset + skip,
        .length = range->length - skip,
        .dirty_logged = range->dirty_clients != 0,
    };

    if (range->host) {
        section.host = range->host + skip;
        section.writable = !range->read_only && !range->rom_mode;
    } else if (G_UNLIKELY(range->is_windowed)) {
        ram_windows_look_up(range, access, &section);
    }
    return section;
}

/* Follow an IOMMU region one step: the address space behind it and the address there, or false.
 * *length is cut to what the entry covers. */
static bool translate(const struct memory_section *section, enum lookup_access access,
                      struct memory_attributes attributes, struct address_space **as,
                      gpa_t *address, uint64_t *length)
{
    const struct memory_region *region = section->region;
    bool is_write = access != LOOKUP_READ;
    struct iommu_entry entry =
        region->iommu_ops->translate(region->opaque, section->offset, is_write, attributes);
    uint64_t skip = section->offset - entry.iova, covered = entry.address_mask - skip;

    *length = MIN(*length, section->length);
    if (!entry.target || skip > entry.address_mask || (access != LOOKUP_WRITE && !entry.readable) ||
        (is_write && !entry.writable)) {
        return false;
    }
    *as = entry.target;
    *address = entry.translated + skip;
    *length = MIN(*length, covered == UINT64_MAX ? covered : covered + 1);
    return true;
}

/* From a range that an IOMMU answers on to what is behind. */
static struct memory_section look_behind(struct address_space *as, const struct flat_range *range,
                                         gpa_t address, enum lookup_access access,
                                         struct memory_attributes attributes, bool to_copy)
{
    uint64_t length = UINT64_MAX, hole_length = 0;

    if (to_copy) {
        memory_translation_hold();
    }
    for (unsigned depth = 0; depth < IOMMU_DEPTH_MAX; depth++) {
        struct memory_section section = section_of(range, address, access);

        if (!translate(&section, access, attributes, &as, &address, &length)) {
            break;
        }
        range = find_range(as, address, &hole_length);
        if (!range) {
            length = MIN(length, hole_length);
            break;
        }
        if (!range->is_iommu) {
            section = section_of(range, address, access);
            section.is_transient = true;
            section.space = as;
            section.length = MIN(section.length, length);
            section.is_held = to_copy && section.host;
            if (to_copy && !section.host) {
                memory_translation_release();
            }
            return section;
        }
    }
    if (to_copy) {
        memory_translation_release();
    }
    return (struct memory_section){.length = length};
}

HOT_PATH static inline struct memory_section look_up(struct address_space *as, gpa_t address,
                                                     enum lookup_access access,
                                                     struct memory_attributes attributes,
                                                     bool to_copy)
{
    uint64_t hole_length = 0;
    const struct flat_range *range = find_range(as, address, &hole_length);
    struct memory_section section;

    if (G_UNLIKELY(!range)) {
        return (struct memory_section){.length = hole_length};
    }
    if (G_UNLIKELY(range->is_iommu)) {
        return look_behind(as, range, address, access, attributes, to_copy);
    }
    section = section_of(range, address, access);
    section.space = as;
    return section;
}

HOT_PATH struct memory_section memory_lookup(struct address_space *as, gpa_t address,
                                             enum lookup_access access,
                                             struct memory_attributes attributes)
{
    return look_up(as, address, access, attributes, false);
}

HOT_PATH struct memory_section memory_lookup_to_copy(struct address_space *as, gpa_t address,
                                                     enum lookup_access access,
                                                     struct memory_attributes attributes)
{
    return look_up(as, address, access, attributes, true);
}

/* Tables are in RAM, each in another page: the large range first. */
HOT_PATH const void *address_space_find_ram(struct address_space *as, gpa_t address,
                                            uint64_t length)
{
    uint64_t generation = __atomic_load_n(&as->generation, __ATOMIC_ACQUIRE), hole_length, skip;
    const struct cache_slot *large = &cache.large[generation % LARGE_SLOTS];
    const struct flat_range *range = G_LIKELY(has_address(large, generation, address))
                                         ? large->range
                                         : find_range(as, address, &hole_length);

    if (!range || !range->host) {
        return NULL;
    }
    skip = address - range->start;
    return length <= range->length - skip ? range->host + skip : NULL;
}

HOT_PATH struct memory_section address_space_lookup(struct address_space *as, gpa_t address,
                                                    bool is_write,
                                                    struct memory_attributes attributes)
{
    return memory_lookup(as, address, is_write ? LOOKUP_WRITE : LOOKUP_READ, attributes);
}
