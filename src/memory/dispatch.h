/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Accesses to callbacks, beyond what address-space.h offers. */
#ifndef DUODM_MEMORY_DISPATCH_H
#define DUODM_MEMORY_DISPATCH_H

#include "memory/address-space.h"

/* How many of `length` bytes at offset one access may take: the largest power of two up to 8 that
 * the region's ops allow there. */
unsigned dispatch_access_size(const struct memory_region *region, uint64_t offset, uint64_t length);

/*
 * Several accesses in one hold of a region's guard: enter, then reads and writes, then leave. Enter
 * is false, and nothing to leave, where accesses are not callbacks, and in a callback of the same
 * guard. size is 1, 2, 4 or 8; a failed read gives ones. Inside one memory_rcu_read_lock.
 */
bool dispatch_enter(struct memory_region *region, uint64_t offset);
void dispatch_leave(struct memory_region *region);
enum memory_result dispatch_read_entered(struct memory_region *region, uint64_t offset,
                                         unsigned size, struct memory_attributes attributes,
                                         uint64_t *value);
enum memory_result dispatch_write_entered(struct memory_region *region, uint64_t offset,
                                          unsigned size, struct memory_attributes attributes,
                                          uint64_t value);

/* The low `size` bytes (1 to 8) of a value. */
static inline uint64_t value_mask(unsigned size)
{
    return UINT64_MAX >> (64 - 8 * size);
}

#endif
