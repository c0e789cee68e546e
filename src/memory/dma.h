/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest RAM that a device uses in place, through host pointers: windows onto what it comes back to
 * again and again (rings), and segments for the buffers of a request, which stay valid for as long
 * as the request takes. Only memory: what callbacks answer is refused, so a thread that uses these
 * never enters a device's guard.
 */
#ifndef DUODM_MEMORY_DMA_H
#define DUODM_MEMORY_DMA_H

#include "memory/address-space.h"
#include "util/range.h"

struct ram_block;

/* A run of addresses whose host address is remembered while the address space stays as it is. */
struct dma_window {
    struct address_space *as;
    gpa_t address;   /* of byte 0 */
    uint64_t length; /* bytes; address + length does not wrap */
    bool is_write;   /* will be written too */
    bool watched; /* its user hears of what IOMMUs invalidate (iommu/iommu-watch.h): then the host
                     address is remembered behind them, too, until dma_window_forget */
    struct memory_attributes attributes;
    /* Private. */
    uint64_t generation;          /* of as when it was looked up; 0: not yet */
    struct address_space *behind; /* an IOMMU, where the memory is; NULL: as itself */
    uint64_t behind_generation;
    uint8_t *host; /* of byte 0; NULL: not in one piece, each access is looked up */
    struct ram_block *block;
    uint64_t block_offset; /* of byte 0 */
};

static inline void dma_window_init(struct dma_window *window, struct address_space *as,
                                   gpa_t address, uint64_t length, bool is_write,
                                   struct memory_attributes attributes)
{
    *window = (struct dma_window){.as = as,
                                  .address = address,
                                  .length = length,
                                  .is_write = is_write,
                                  .attributes = attributes};
}

/*
 * Bring a window up to date. Inside memory_rcu_read_lock; what dma_window_at gives is good until
 * its unlock. Cheap while the address space has not changed.
 */
void dma_window_look_up(struct dma_window *window);
static inline void dma_window_refresh(struct dma_window *window)
{
    if (G_UNLIKELY(window->generation !=
                       __atomic_load_n(&window->as->generation, __ATOMIC_ACQUIRE) ||
                   (window->behind &&
                    window->behind_generation !=
                        __atomic_load_n(&window->behind->generation, __ATOMIC_ACQUIRE)))) {
        dma_window_look_up(window);
    }
}
/* What addresses in range lead to has changed: look up again, if the window has some of them. */
static inline void dma_window_forget(struct dma_window *window, struct range range)
{
    if (range_overlaps(range, (struct range){window->address, window->length})) {
        window->generation = 0;
    }
}

/* Host address of `size` bytes at offset, which must lie inside; NULL: there is no RAM. After
 * dma_window_refresh, in the same read lock. The bytes must not cross a page. */
void *dma_window_find(const struct dma_window *window, uint64_t offset, uint64_t size);
static inline void *dma_window_at(const struct dma_window *window, uint64_t offset, uint64_t size)
{
    return G_LIKELY(window->host != NULL) ? window->host + offset
                                          : dma_window_find(window, offset, size);
}
/* After a store there: tell the dirty log. */
void dma_window_set_dirty(const struct dma_window *window, uint64_t offset, uint64_t length);

/* The RAM behind a buffer; keeps it alive. */
struct dma_segment {
    struct ram_block *block;
    uint64_t block_offset; /* of the buffer's first byte */
    gpa_t address;         /* of the same byte, as it was asked for */
    bool counted;          /* holds a reference; false: the segment before holds it */
    void *window;          /* pinned: ram-windows.h; NULL: none */
};

/* What was found where a segment ended. Zero: nothing. */
struct dma_ahead {
    gpa_t address;
    struct memory_section section;
};

/*
 * The host address of a buffer's first byte, and in *length how much of it (at most what was asked
 * for) lies there in one piece. NULL: no RAM there, or it can't be written. Inside
 * memory_rcu_read_lock. previous: a segment that will be unmapped together with this one, or NULL.
 * ahead: carried from segment to segment of one buffer, so that each page behind an IOMMU is looked
 * up once; for who hears of what IOMMUs take back, and is in the same hold of the lock that keeps
 * that out. NULL: none.
 */
void *dma_segment_map(struct address_space *as, gpa_t address, uint64_t *length, bool is_write,
                      struct memory_attributes attributes, const struct dma_segment *previous,
                      struct dma_segment *segment, struct dma_ahead *ahead);
/* Do the addresses of its first `length` bytes that are in range still lead where they did? Inside
 * memory_rcu_read_lock. */
bool dma_segment_is_current(const struct dma_segment *segment, uint64_t length, struct range range,
                            struct address_space *as, bool is_write,
                            struct memory_attributes attributes);
/* Give its first `length` bytes (whole host pages of them) back to the host: they read as zeros,
 * and take no memory until they are touched. */
void dma_segment_discard(const struct dma_segment *segment, uint64_t length);
/* written: bytes from its start that were stored. Unmap the last of several first. */
void dma_segment_unmap(struct dma_segment *segment, uint64_t written);

#endif
