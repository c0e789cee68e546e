/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Accesses to callbacks, beyond what address-space.h offers. */
#ifndef DUODM_MEMORY_DISPATCH_H
#define DUODM_MEMORY_DISPATCH_H

#include "memory/address-space.h"

/* How many of `length` bytes at offset one access may take: the largest power of two up to 8 that
 * the region's ops allow there. */
unsigned dispatch_access_size(const struct memory_region *region, uint64_t offset, uint64_t length);

/* The low `size` bytes (1 to 8) of a value. */
static inline uint64_t value_mask(unsigned size)
{
    return UINT64_MAX >> (64 - 8 * size);
}

#endif
