/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way of each access from an address to what answers it. */
#ifndef DUODM_MEMORY_LOOKUP_H
#define DUODM_MEMORY_LOOKUP_H

#include "memory/address-space.h"
#include "memory/flat-view.h"
#include "memory/translation.h"

/* IOMMU regions that lead to IOMMU regions: beyond this many, it is taken for a loop. */
#define IOMMU_DEPTH_MAX 8

/* A read or a write wants its own permission; an exchange wants both. */
enum lookup_access {
    LOOKUP_READ,
    LOOKUP_WRITE,
    LOOKUP_READ_WRITE,
};

/* ram-windows.c: what of a section of windowed RAM one window shows. */
void ram_windows_look_up(const struct flat_range *range, enum lookup_access access,
                         struct memory_section *section);

/* As address_space_lookup; inside memory_rcu_read_lock. */
struct memory_section memory_lookup(struct address_space *as, gpa_t address,
                                    enum lookup_access access, struct memory_attributes attributes);

/* The same for an access that copies at once: if it is memory that an IOMMU led to, what that said
 * holds until memory_lookup_done, which is called right after the copy. */
struct memory_section memory_lookup_to_copy(struct address_space *as, gpa_t address,
                                            enum lookup_access access,
                                            struct memory_attributes attributes);
static inline void memory_lookup_done(struct memory_section *section)
{
    if (G_UNLIKELY(section->is_held)) {
        section->is_held = false;
        memory_translation_release();
    }
}

#endif
