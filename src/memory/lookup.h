/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way of each access from an address to what answers it. */
#ifndef DUODM_MEMORY_LOOKUP_H
#define DUODM_MEMORY_LOOKUP_H

#include "memory/address-space.h"
#include "memory/flat-view.h"

/* IOMMU regions that lead to IOMMU regions: beyond this many, it is taken for a loop. */
#define IOMMU_DEPTH_MAX 8

/* A read or a write wants its own permission; an exchange wants both. */
enum lookup_access {
    LOOKUP_READ,
    LOOKUP_WRITE,
    LOOKUP_READ_WRITE,
};

/* As address_space_lookup; inside memory_rcu_read_lock. */
struct memory_section memory_lookup(struct address_space *as, gpa_t address,
                                    enum lookup_access access, struct memory_attributes attributes);

#endif
