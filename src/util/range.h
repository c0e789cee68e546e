/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Half-open ranges of 64-bit addresses: {start, length}, in bytes. A valid range does not wrap:
 * start + length <= 2^64 - 1. length 0 is the empty range.
 */
#ifndef DUODM_UTIL_RANGE_H
#define DUODM_UTIL_RANGE_H

#include <stdbool.h>
#include <stdint.h>

struct range {
    uint64_t start;  /* first byte */
    uint64_t length; /* bytes */
};

/* Does start + length fit in 64 bits? Check every range that comes from outside with this. */
static inline bool range_is_valid(struct range r)
{
    return r.length <= UINT64_MAX - r.start;
}

static inline bool range_contains(struct range r, uint64_t address)
{
    return address >= r.start && address - r.start < r.length;
}

static inline bool range_contains_range(struct range outer, struct range inner)
{
    return inner.start >= outer.start && inner.length <= outer.length &&
           inner.start - outer.start <= outer.length - inner.length;
}

static inline bool range_overlaps(struct range a, struct range b)
{
    return a.length && b.length && a.start <= b.start + (b.length - 1) &&
           b.start <= a.start + (a.length - 1);
}

/* The common part of two ranges; empty (length 0) when there is none. */
static inline struct range range_intersect(struct range a, struct range b)
{
    uint64_t start, a_last, b_last, last;

    if (!range_overlaps(a, b)) {
        return (struct range){0, 0};
    }
    start = a.start > b.start ? a.start : b.start;
    a_last = a.start + (a.length - 1);
    b_last = b.start + (b.length - 1);
    last = a_last < b_last ? a_last : b_last;
    return (struct range){start, last - start + 1};
}

#endif
