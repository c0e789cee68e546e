/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The event descriptors of a region, and their sections in a view. */
#ifndef DUODM_MEMORY_IOEVENTFD_H
#define DUODM_MEMORY_IOEVENTFD_H

#include "memory/flat-view.h"
#include "memory/listener.h"

/* memory_region.ioeventfds: never changed once published, replaced under RCU. address in an entry
 * is the offset in the region. */
struct ioeventfd_table {
    struct rcu_head rcu;
    unsigned count;
    struct ioeventfd_section entries[]; /* sorted by ioeventfd_compare */
};

/* Order by address, size, match, value, descriptor. GCompareDataFunc. */
gint ioeventfd_compare(gconstpointer a, gconstpointer b, gpointer unused);

/* Does a write signal a descriptor instead of running the callback? Signals it then. Wait-free;
 * inside memory_rcu_read_lock. */
bool ioeventfd_try_signal(struct memory_region *region, uint64_t offset, unsigned size,
                          uint64_t value);

/* Append the sections that lie wholly inside a flat range. */
void ioeventfd_collect(const struct flat_range *range, GArray *out);

/* Free a region's table at once. */
void ioeventfd_table_free(struct memory_region *region);

#endif
