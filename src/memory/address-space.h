/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An address space is a view of a region tree from its root. Readers look at an immutable flat
 * view, published by RCU; they never lock. Any thread may read and write.
 */
#ifndef DUODM_MEMORY_ADDRESS_SPACE_H
#define DUODM_MEMORY_ADDRESS_SPACE_H

#include "memory/access.h"
#include "memory/region.h"

struct flat_view;
struct memory_listener;

struct address_space {
    const char *name;           /* owned copy */
    struct memory_region *root; /* not owned */
    struct flat_view *view;     /* RCU-protected */
    uint64_t generation;        /* atomic; grows with each published view, for caches */
    uint64_t unassigned_count;  /* atomic; accesses that nothing answered */
    void *listeners;            /* private */
    void *links;                /* private */
};

/* root must outlive the address space. Destroying unregisters listeners. */
void address_space_init(struct address_space *as, struct memory_region *root, const char *name);
void address_space_destroy(struct address_space *as);

/*
 * RCU. A thread that touches guest memory through a host pointer it got from a lookup, or walks a
 * flat view, does so between these two (they nest, cost a few ns). Threads register themselves at
 * first use. The functions below that take an address do it by themselves.
 */
void memory_rcu_read_lock(void);
void memory_rcu_read_unlock(void);

/* Copy length bytes. Crosses regions as needed. Stops at the first error; bytes read past it are
 * ones. */
enum memory_result address_space_read(struct address_space *as, gpa_t address,
                                      struct memory_attributes attributes, void *buffer,
                                      uint64_t length);
enum memory_result address_space_write(struct address_space *as, gpa_t address,
                                       struct memory_attributes attributes, const void *buffer,
                                       uint64_t length);
/* Like a write, but also into the memory of ROMs: for loaders and debuggers. */
enum memory_result address_space_write_rom(struct address_space *as, gpa_t address,
                                           const void *buffer, uint64_t length);

/* One access of 1, 2, 4 or 8 bytes, little-endian value. A failed load gives all ones. An access
 * that crosses regions is made in parts; the parts that fail give ones and the first error. */
enum memory_result address_space_load(struct address_space *as, gpa_t address, unsigned size,
                                      struct memory_attributes attributes, uint64_t *value);
enum memory_result address_space_store(struct address_space *as, gpa_t address, unsigned size,
                                       struct memory_attributes attributes, uint64_t value);

/*
 * The same access `count` times, as a string instruction makes it to a port: element i is the
 * `size` bytes (1, 2, 4 or 8) at buffer + i * size. All goes as if each were made by itself, but a
 * register is looked up, and its device entered, once.
 */
void address_space_load_string(struct address_space *as, gpa_t address, unsigned size,
                               struct memory_attributes attributes, void *buffer, uint32_t count);
void address_space_store_string(struct address_space *as, gpa_t address, unsigned size,
                                struct memory_attributes attributes, const void *buffer,
                                uint32_t count);

/* Atomic compare-and-exchange in RAM, naturally aligned. *expected gets the old value.
 * Returns MEMORY_DECODE_ERROR where there is no RAM. */
enum memory_result address_space_compare_exchange(struct address_space *as, gpa_t address,
                                                  unsigned size,
                                                  struct memory_attributes attributes,
                                                  uint64_t *expected, uint64_t desired);

/*
 * Map for DMA. On return *length may be shorter. RAM gives its own address; anything else a bounce
 * buffer (bounded in number and bytes; NULL when exhausted). Keeps the RAM alive until unmapped.
 * unmap writes back `written` bytes when is_write, and marks them dirty.
 */
void *address_space_map(struct address_space *as, gpa_t address, uint64_t *length, bool is_write,
                        struct memory_attributes attributes);
void address_space_unmap(struct address_space *as, void *host, uint64_t length, bool is_write,
                         uint64_t written);

/*
 * What is at an address, for a CPU's TLB or a mapper. Valid only inside memory_rcu_read_lock (host
 * pointers) and while `generation` of the address space is unchanged (identity).
 * IOMMU regions are followed; section.offset is that of the final region.
 */
struct memory_section {
    struct memory_region *region; /* NULL: nothing answers */
    uint64_t offset;              /* of the address asked for, in region, bytes */
    uint64_t length;              /* bytes from there that are alike */
    void *host;                   /* host address of that byte, or NULL if accesses are callbacks */
    bool writable;                /* stores may go to host directly (dirty log permitting). Host but
                                     not writable: stores are dropped, except that a
                                     MEMORY_ROM_DEVICE's go to memory_region_dispatch_write */
    bool dirty_logged;            /* some client logs: mark pages with memory_region_set_dirty */
    bool is_transient;            /* an IOMMU was on the way, or RAM is seen through a window:
                                     `generation` does not tell when that changes */
    bool is_held;                 /* of the memory layer's own lookups: memory_lookup_done is due */
    struct address_space *space;  /* where region was found: behind the IOMMUs; NULL: nowhere */
};
struct memory_section address_space_lookup(struct address_space *as, gpa_t address, bool is_write,
                                           struct memory_attributes attributes);
/*
 * The short way to a few bytes of RAM or ROM that are read: their host address, if `length` bytes
 * from there lie in one piece of it. NULL: they don't, or it is not that simple (an IOMMU,
 * windows): address_space_lookup tells. Inside memory_rcu_read_lock.
 */
const void *address_space_find_ram(struct address_space *as, gpa_t address, uint64_t length);

/* One access to the callbacks of a region found by lookup, with all checks of ops. size 1..8.
 * Inside the same memory_rcu_read_lock as the lookup. */
enum memory_result memory_region_dispatch_read(struct memory_region *region, uint64_t offset,
                                               unsigned size, struct memory_attributes attributes,
                                               uint64_t *value);
enum memory_result memory_region_dispatch_write(struct memory_region *region, uint64_t offset,
                                                unsigned size, struct memory_attributes attributes,
                                                uint64_t value);

/* Text of `info mtree` (flat: `info mtree -f`). */
void address_space_print_tree(struct address_space *as, GString *out, bool flat);

#endif
