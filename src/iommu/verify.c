/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Are the host's mappings those of the guest's tables? Both are walked side by side, in two passes:
 * what the guest has and the host lacks, and the other way about.
 */
#include "iommu/mapping-set.h"

#include <inttypes.h>

struct side {
    const char *what;    /* how a difference is called */
    iommu_walk_fn other; /* what the visited mappings are looked for in */
    void *other_opaque;
    struct range range;
    uint64_t bytes; /* that were not found there */
    GString *out;
    unsigned *lines; /* that may still be written */
};

/* How much of one mapping is confirmed by the other side. */
struct search {
    const struct iommu_mapping *mapping;
    struct range range;
    uint64_t found; /* bytes */
};

static bool count_found(void *opaque, const struct iommu_mapping *other, GError **error)
{
    struct search *search = opaque;

    if (iommu_mapping_agrees(search->mapping, other)) {
        search->found += range_intersect(search->range, iommu_mapping_range(other)).length;
    }
    return true;
}

static bool look_for(void *opaque, const struct iommu_mapping *mapping, GError **error)
{
    struct side *side = opaque;
    struct search search = {.mapping = mapping};

    search.range = range_intersect(iommu_mapping_range(mapping), side->range);
    if (!search.range.length) {
        return true;
    }
    side->other(side->other_opaque, search.range, count_found, &search, NULL);
    if (search.found == search.range.length) {
        return true;
    }
    side->bytes += search.range.length - search.found;
    if (side->out && *side->lines) {
        --*side->lines;
        g_string_append_printf(
            side->out, "%s: iova 0x%" PRIx64 " length 0x%" PRIx64 " -> 0x%" PRIx64 " %s%s\n",
            side->what, mapping->iova, mapping->length, mapping->translated,
            mapping->access & IOMMU_READ ? "r" : "-", mapping->access & IOMMU_WRITE ? "w" : "-");
    }
    return true;
}

struct mapping_difference mapping_set_verify(struct mapping_set *set, struct range range,
                                             iommu_walk_fn walk, void *walk_opaque, GString *out,
                                             unsigned lines)
{
    struct side guest = {"missing on the host", mapping_set_walk, set, range, 0, out, &lines};
    struct side host = {"not in the guest's tables", walk, walk_opaque, range, 0, out, &lines};

    walk(walk_opaque, range, look_for, &guest, NULL);
    mapping_set_walk(set, range, look_for, &host, NULL);
    return (struct mapping_difference){guest.bytes, host.bytes};
}
