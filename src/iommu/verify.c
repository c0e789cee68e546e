/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Are the host's mappings those of the guest's tables? Both are gone through side by side, once, in
 * order of IOVA; how long that takes is bounded as the guest's walk is.
 */
#include "iommu/iova-tree.h"
#include "iommu/mapping-set-private.h"

#include <inttypes.h>

struct comparison {
    struct range range;
    struct iova_cursor host; /* the first mapping that is not dealt with */
    uint64_t confirmed;      /* bytes of it that the guest has, too */
    struct mapping_difference difference;
    GString *out;
    unsigned lines; /* that may still be written */
};

static void report(struct comparison *comparison, const char *what,
                   const struct iommu_mapping *mapping)
{
    if (comparison->out && comparison->lines) {
        comparison->lines--;
        g_string_append_printf(
            comparison->out, "%s: iova 0x%" PRIx64 " length 0x%" PRIx64 " -> 0x%" PRIx64 " %s%s\n",
            what, mapping->iova, mapping->length, mapping->translated,
            mapping->access & IOMMU_READ ? "r" : "-", mapping->access & IOMMU_WRITE ? "w" : "-");
    }
}

/* The part in range of the host's mapping that is next; false: there is none. */
static bool next_held(const struct comparison *comparison, struct iommu_mapping *held,
                      struct range *part)
{
    if (!iova_cursor_get(&comparison->host, held)) {
        return false;
    }
    *part = range_intersect(iommu_mapping_range(held), comparison->range);
    return part->length != 0;
}

/* Nothing more that the guest has can confirm it. */
static void end_held(struct comparison *comparison, const struct iommu_mapping *held,
                     struct range part)
{
    if (comparison->confirmed < part.length) {
        comparison->difference.extra += part.length - comparison->confirmed;
        report(comparison, "not in the guest's tables", held);
    }
    comparison->confirmed = 0;
    iova_cursor_next(&comparison->host);
}

static uint64_t range_last(struct range range)
{
    return range.start + (range.length - 1);
}

static bool visit_guest(void *opaque, const struct iommu_mapping *mapping, GError **error)
{
    struct comparison *comparison = opaque;
    struct range wanted = range_intersect(iommu_mapping_range(mapping), comparison->range);
    uint64_t found = 0;
    struct iommu_mapping held;
    struct range part;

    while (wanted.length && next_held(comparison, &held, &part) &&
           part.start <= range_last(wanted)) {
        uint64_t common = range_intersect(part, wanted).length;

        if (common && iommu_mapping_agrees(mapping, &held)) {
            found += common;
            comparison->confirmed += common;
        }
        if (range_last(part) > range_last(wanted)) {
            break; /* the guest's next may overlap it, too */
        }
        end_held(comparison, &held, part);
    }
    if (found < wanted.length) {
        comparison->difference.missing += wanted.length - found;
        report(comparison, "missing on the host", mapping);
    }
    return true;
}

struct mapping_difference mapping_set_verify(struct mapping_set *set, struct range range,
                                             iommu_walk_fn walk, void *walk_opaque, GString *out,
                                             unsigned lines)
{
    struct comparison comparison = {.range = range,
                                    .host = iova_tree_find(mapping_set_tree(set), range.start),
                                    .out = out,
                                    .lines = lines};
    g_autoptr(GError) error = NULL;
    struct iommu_mapping held;
    struct range part;

    if (!walk(walk_opaque, range, visit_guest, &comparison, &error)) {
        comparison.difference.unknown = true;
        if (out) {
            g_string_append_printf(out, "not compared to the end: %s\n", error->message);
        }
        return comparison.difference;
    }
    while (next_held(&comparison, &held, &part)) {
        end_held(&comparison, &held, part);
    }
    return comparison.difference;
}
