/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hot path: one look at a generation, or a lookup; no lock, no allocation. */
#include "memory/dma.h"
#include "memory/lookup.h"
#include "memory/ram-block.h"
#include "memory/ram-windows.h"

static bool is_usable(const struct memory_section *section, bool is_write)
{
    return section->host && (!is_write || section->writable);
}

static struct memory_section look_up(struct address_space *as, gpa_t address, bool is_write,
                                     struct memory_attributes attributes)
{
    return memory_lookup(as, address, is_write ? LOOKUP_READ_WRITE : LOOKUP_READ, attributes);
}

/* Lengthen a section over what follows it in host memory as in the address space. What follows
 * elsewhere goes to *ahead. */
static void extend(struct address_space *as, gpa_t address, uint64_t wanted, bool is_write,
                   enum lookup_access access, struct memory_attributes attributes,
                   struct memory_section *section, struct dma_ahead *ahead)
{
    while (section->length < wanted) {
        struct memory_section next =
            memory_lookup(as, address + section->length, access, attributes);

        if (next.region != section->region || next.offset != section->offset + section->length ||
            !is_usable(&next, is_write) ||
            (uint8_t *)next.host != (uint8_t *)section->host + section->length) {
            if (ahead) {
                *ahead = (struct dma_ahead){address + section->length, next};
            }
            return;
        }
        section->length += next.length;
        section->is_transient |= next.is_transient;
    }
}

void dma_window_look_up(struct dma_window *window)
{
    uint64_t generation = __atomic_load_n(&window->as->generation, __ATOMIC_ACQUIRE);
    /* Of where it was last: of where it is now if that is the same. */
    uint64_t behind_generation =
        window->behind ? __atomic_load_n(&window->behind->generation, __ATOMIC_ACQUIRE) : 0;
    struct memory_section section =
        look_up(window->as, window->address, window->is_write, window->attributes);

    window->host = NULL;
    window->generation = 0;
    if (!is_usable(&section, window->is_write)) {
        return;
    }
    extend(window->as, window->address, window->length, window->is_write,
           window->is_write ? LOOKUP_READ_WRITE : LOOKUP_READ, window->attributes, &section, NULL);
    if (section.length < window->length) {
        return;
    }
    window->host = section.host;
    window->block = section.region->ram;
    window->block_offset = section.offset;
    /* What an IOMMU says now it may not say at the next look, with the same generation. */
    if (!section.is_transient) {
        window->behind = NULL;
        window->generation = generation;
    } else if (window->watched && !section.region->ram->windows) {
        window->generation = window->behind == section.space ? generation : 0;
        window->behind = section.space;
        window->behind_generation = behind_generation;
    }
}

void *dma_window_find(const struct dma_window *window, uint64_t offset, uint64_t size)
{
    struct memory_section section =
        look_up(window->as, window->address + offset, window->is_write, window->attributes);

    return is_usable(&section, window->is_write) && section.length >= size ? section.host : NULL;
}

void dma_window_set_dirty(const struct dma_window *window, uint64_t offset, uint64_t length)
{
    /* The store before the look at who logs: see address-space.c. */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (G_LIKELY(window->host != NULL)) {
        ram_block_set_dirty(window->block, window->block_offset + offset, length);
    } else {
        struct memory_section section =
            look_up(window->as, window->address + offset, true, window->attributes);

        if (is_usable(&section, true)) {
            ram_block_set_dirty(section.region->ram, section.offset, length);
        }
    }
}

/* The window that a section lies in, kept until the segment is unmapped. */
static bool pin_window(const struct memory_section *section, uint64_t *length, bool is_write,
                       void **host, void **window)
{
    const struct ram_block *block = section->region->ram;

    *host = block->windows->pin(block->windows_opaque, section->offset, length, is_write, window);
    return *host != NULL;
}

void *dma_segment_map(struct address_space *as, gpa_t address, uint64_t *length, bool is_write,
                      struct memory_attributes attributes, const struct dma_segment *previous,
                      struct dma_segment *segment, struct dma_ahead *ahead)
{
    enum lookup_access access = is_write ? LOOKUP_WRITE : LOOKUP_READ;
    bool is_known = ahead && ahead->section.host && ahead->address == address;
    struct memory_section section =
        is_known ? ahead->section : memory_lookup(as, address, access, attributes);

    if (!is_usable(&section, is_write)) {
        return NULL;
    }
    extend(as, address, *length, is_write, access, attributes, &section, ahead);
    *length = MIN(*length, section.length);
    segment->window = NULL;
    if (G_UNLIKELY(section.region->ram->windows != NULL) &&
        !pin_window(&section, length, is_write, &section.host, &segment->window)) {
        return NULL;
    }
    segment->block = section.region->ram;
    segment->block_offset = section.offset;
    segment->address = address;
    segment->counted = !previous || previous->block != segment->block;
    if (segment->counted) {
        ram_block_ref(segment->block);
    }
    return section.host;
}

bool dma_segment_is_current(const struct dma_segment *segment, uint64_t length, struct range range,
                            struct address_space *as, bool is_write,
                            struct memory_attributes attributes)
{
    struct range left = range_intersect((struct range){segment->address, length}, range);

    attributes.is_probe = true;
    while (left.length) {
        struct memory_section section =
            memory_lookup(as, left.start, is_write ? LOOKUP_WRITE : LOOKUP_READ, attributes);
        uint64_t same = MIN(section.length, left.length);

        if (!same || !is_usable(&section, is_write) || section.region->ram != segment->block ||
            section.offset != segment->block_offset + (left.start - segment->address)) {
            return false;
        }
        left.start += same;
        left.length -= same;
    }
    return true;
}

void dma_segment_discard(const struct dma_segment *segment, uint64_t length)
{
    ram_block_discard(segment->block, segment->block_offset, length);
}

void dma_segment_unmap(struct dma_segment *segment, uint64_t written)
{
    if (written) {
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        ram_block_set_dirty(segment->block, segment->block_offset, written);
    }
    if (G_UNLIKELY(segment->window != NULL)) {
        segment->block->windows->unpin(segment->block->windows_opaque, segment->window);
    }
    if (segment->counted) {
        ram_block_unref(segment->block);
    }
}
