/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory regions: the tree that says what answers where. A region is embedded in its owner and
 * must outlive its place in the tree. Edits are made under a transaction (memory_topology_begin /
 * commit; each edit outside of one is its own) and are seen by readers all at once, when the
 * outermost transaction commits. Edits may come from any thread; the topology lock serialises
 * them. It is the outermost lock: never begin a transaction inside a leaf lock.
 *
 * Priority: where subregions of one container overlap, the higher priority wins; between equals,
 * the one added later. A container's holes, and a disabled region, show what lies below.
 */
#ifndef DUODM_MEMORY_REGION_H
#define DUODM_MEMORY_REGION_H

#include "memory/access.h"
#include "memory/guard.h"
#include "util/range.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct memory_region;
struct address_space;

enum memory_region_kind {
    MEMORY_CONTAINER,   /* holds others, answers nothing itself */
    MEMORY_RAM,         /* host memory, read and written in place */
    MEMORY_ROM,         /* host memory; guest writes are dropped and counted */
    MEMORY_ROM_DEVICE,  /* host memory for reads (while in ROM mode), callbacks for writes */
    MEMORY_RAM_DEVICE,  /* host memory that is a device's (mmap'd BAR): mapped, never bounced, not
                           DMA RAM by default */
    MEMORY_MMIO,        /* callbacks */
    MEMORY_ALIAS,       /* a window onto another region */
    MEMORY_IOMMU,       /* each access is translated into another address space */
    MEMORY_RESERVATION, /* occupies, answers nothing: reads all ones, writes dropped */
};

enum memory_endianness {
    MEMORY_LITTLE_ENDIAN,
    MEMORY_BIG_ENDIAN,
};

/* Access sizes in bytes: powers of two from 1 to 8. */
struct memory_access_sizes {
    uint8_t min_size;     /* 0 means 1 */
    uint8_t max_size;     /* 0 means 8 in .valid, 4 in .implemented */
    bool allow_unaligned; /* an access need not be a multiple of its size */
};

/*
 * A device's callbacks. The core checks an access against .valid (what the guest may do; anything
 * else is a MEMORY_DECODE_ERROR), then splits or widens it to .implemented (what the callbacks
 * handle), converts endianness, and takes the region's guard around the access. A write narrower
 * than implemented.min_size is widened by reading, merging and writing back. offset is relative to
 * the region. read must set *value; bits beyond size are ignored.
 */
struct memory_region_ops {
    enum memory_result (*read)(void *opaque, uint64_t offset, unsigned size,
                               struct memory_attributes attributes, uint64_t *value);
    enum memory_result (*write)(void *opaque, uint64_t offset, unsigned size,
                                struct memory_attributes attributes, uint64_t value);
    enum memory_endianness endianness;
    struct memory_access_sizes valid;
    struct memory_access_sizes implemented;
};

/* What an IOMMU region answers for one address (iommu/iommu-region.h). */
struct iommu_entry {
    struct address_space *target; /* NULL: fault, nothing may be accessed */
    iova_t iova;                  /* first IOVA that the entry covers */
    gpa_t translated;             /* address in target of that first IOVA */
    uint64_t address_mask;        /* size - 1, a power of two less one: bytes covered */
    bool readable;
    bool writable;
};

struct memory_iommu_ops {
    /* Translate one address for one access. Any thread; must not block on a device guard. */
    struct iommu_entry (*translate)(void *opaque, iova_t iova, bool is_write,
                                    struct memory_attributes attributes);
};

/* Clients of the dirty log, each with its own bitmap over a RAM region. */
enum dirty_client {
    DIRTY_DISPLAY,
    DIRTY_MIGRATION,
    DIRTY_CODE, /* tcg: pages that hold translated code */
    DIRTY_CLIENT_COUNT
};

/* The fields are private to src/memory. */
struct memory_region {
    const char *name; /* owned copy */
    enum memory_region_kind kind;
    uint64_t size; /* bytes, > 0, at most 2^63 */
    bool enabled;
    bool read_only; /* RAM seen through this region can't be written (shadowed ROM) */
    bool rom_mode;  /* ROM device: reads go to memory */
    bool coalesced; /* writes may come late, if in order: nothing is to be seen of them at once */
    struct memory_region *container;
    uint64_t offset; /* in container */
    int priority;
    uint64_t sequence; /* order of addition, decides between equal priorities */
    void *subregions;  /* private container */
    struct memory_region *alias;
    uint64_t alias_offset;
    const struct memory_region_ops *ops;
    const struct memory_iommu_ops *iommu_ops;
    void *opaque;
    struct access_guard *guard; /* may be NULL: the callbacks are thread-safe by themselves */
    struct ram_block *ram;
    void *ioeventfds; /* private container */
    void *topology;   /* private */
};

/* Region kinds. name is copied. Failing ones leave the region untouched. */
void memory_region_init_container(struct memory_region *region, const char *name, uint64_t size);
void memory_region_init_mmio(struct memory_region *region, const char *name, uint64_t size,
                             const struct memory_region_ops *ops, void *opaque,
                             struct access_guard *guard);
/* RAM is a memfd, shared, zeroed; size is rounded up to the host page size inside. */
bool memory_region_init_ram(struct memory_region *region, const char *name, uint64_t size,
                            GError **error);
/* RAM that no other process can map (memory_region_fd is -1), but in huge pages. */
bool memory_region_init_private_ram(struct memory_region *region, const char *name, uint64_t size,
                                    GError **error);
bool memory_region_init_rom(struct memory_region *region, const char *name, uint64_t size,
                            GError **error);
bool memory_region_init_rom_device(struct memory_region *region, const char *name, uint64_t size,
                                   const struct memory_region_ops *ops, void *opaque,
                                   struct access_guard *guard, GError **error);
/* Host memory that the caller owns and keeps while the region lives. */
void memory_region_init_ram_device(struct memory_region *region, const char *name, uint64_t size,
                                   void *host);
void memory_region_init_alias(struct memory_region *region, const char *name,
                              struct memory_region *target, uint64_t target_offset, uint64_t size);
void memory_region_init_iommu(struct memory_region *region, const char *name, uint64_t size,
                              const struct memory_iommu_ops *ops, void *opaque);
void memory_region_init_reservation(struct memory_region *region, const char *name, uint64_t size);

/* Takes the region out of its container if it is in one (and its subregions and aliases off it),
 * and frees what init took. Waits until no reader can be in the region any more, so: not in a
 * transaction, not while reading (in a callback), holding nothing that a callback may want. The
 * owner may free the region then. Does nothing if the region was zeroed and never made. */
void memory_region_destroy(struct memory_region *region);

/* Tree edits. A region can be in one container at a time; offsets and sizes are bytes. What lies
 * beyond the end of a container is not seen. None of these can fail. */
void memory_region_add_subregion(struct memory_region *container, uint64_t offset,
                                 struct memory_region *region);
void memory_region_add_subregion_overlap(struct memory_region *container, uint64_t offset,
                                         struct memory_region *region, int priority);
void memory_region_remove_subregion(struct memory_region *container, struct memory_region *region);
void memory_region_set_enabled(struct memory_region *region, bool enabled);
void memory_region_set_offset(struct memory_region *region, uint64_t offset);
void memory_region_set_size(struct memory_region *region, uint64_t size);
void memory_region_set_alias_offset(struct memory_region *region, uint64_t target_offset);
void memory_region_set_read_only(struct memory_region *region, bool read_only);
void memory_region_set_rom_mode(struct memory_region *region, bool rom_mode);
/* An engine may collect writes to this MMIO region and carry them out later, in order, before any
 * other access of a vCPU. Before the region is in a tree. */
void memory_region_set_coalesced(struct memory_region *region, bool coalesced);

/* Batch edits. Nests. Readers and listeners see the result at the outermost commit. */
void memory_topology_begin(void);
void memory_topology_commit(void);

/* Do accesses to the region enter a device's guard? If not, its callbacks may be called with any
 * lock held but a leaf's. */
static inline bool memory_region_is_guarded(const struct memory_region *region)
{
    return region->guard != NULL;
}

/* Host address of byte 0 of a RAM, ROM or ROM device region; NULL for others. */
void *memory_region_host_pointer(struct memory_region *region);
/* The memfd behind a RAM region and the offset of its first byte; -1 if none. */
int memory_region_fd(struct memory_region *region, uint64_t *offset);

/* A write of `size` bytes (1, 2, 4 or 8) at offset, of any value or of that one, of an MMIO region
 * signals fd instead of the callback. */
bool memory_region_add_ioeventfd(struct memory_region *region, uint64_t offset, unsigned size,
                                 bool match_value, uint64_t value, int fd, GError **error);
void memory_region_remove_ioeventfd(struct memory_region *region, uint64_t offset, unsigned size,
                                    bool match_value, uint64_t value, int fd);

/* Dirty log, in 4 KiB pages. Logging is counted: each start needs its stop. */
void memory_region_dirty_log_start(struct memory_region *region, enum dirty_client client);
void memory_region_dirty_log_stop(struct memory_region *region, enum dirty_client client);
/* Bring in what engines know of pages that vCPUs wrote in an address space; test_dirty sees it from
 * then on. Not in a callback. */
void address_space_sync_dirty_log(struct address_space *as);
/* Mark a range dirty for all clients that log. Any thread, wait-free. */
void memory_region_set_dirty(struct memory_region *region, uint64_t offset, uint64_t length);
/* Is a page of the range dirty for the client? If clear, atomically made clean as it is read. */
bool memory_region_test_dirty(struct memory_region *region, uint64_t offset, uint64_t length,
                              enum dirty_client client, bool clear);

#endif
