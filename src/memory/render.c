/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Resolve a part of a region tree into flat ranges. The subregions that reach into the part are
 * laid over one another in pairs, pairs of pairs and so on, so that n of them cost O(n log n) also
 * when all overlap.
 */
#include "memory/ram-block.h"
#include "memory/topology.h"

/* Where we are: what lies above in the tree has said these. */
struct render_state {
    unsigned depth;
    bool read_only;
};

static GArray *render(struct memory_region *region, uint64_t offset, uint64_t length, gpa_t start,
                      struct render_state state);

static GArray *ranges_new(void)
{
    return g_array_new(FALSE, FALSE, sizeof(struct flat_range));
}

/* Append the parts of `range` that no range in `above` covers; *next is the first of above that may
 * matter, and moves on. Appends the ranges of above on the way. */
static void append_uncovered(GArray *out, const struct flat_range *range, const GArray *above,
                             unsigned *next)
{
    gpa_t position = range->start, last = range->start + (range->length - 1);

    for (; *next < above->len; ++*next) {
        const struct flat_range *cover = &g_array_index(above, struct flat_range, *next);
        gpa_t cover_last = cover->start + (cover->length - 1);

        if (cover->start > last) {
            break;
        }
        if (cover->start > position) {
            struct flat_range part = flat_range_cut(range, position, cover->start - position);

            flat_ranges_append(out, &part);
        }
        if (cover_last >= last) {
            /* It may reach over what follows in the list below, too: leave it there. */
            return;
        }
        flat_ranges_append(out, cover);
        position = MAX(position, cover_last + 1);
    }
    if (position <= last) {
        struct flat_range part = flat_range_cut(range, position, last - position + 1);

        flat_ranges_append(out, &part);
    }
}

/* Lay one list over another. Takes both. */
static GArray *overlay(GArray *above, GArray *below)
{
    GArray *out;
    unsigned next = 0;

    if (!below->len) {
        g_array_free(below, TRUE);
        return above;
    }
    if (!above->len) {
        g_array_free(above, TRUE);
        return below;
    }
    out = ranges_new();
    for (unsigned i = 0; i < below->len; i++) {
        append_uncovered(out, &g_array_index(below, struct flat_range, i), above, &next);
    }
    for (; next < above->len; next++) {
        flat_ranges_append(out, &g_array_index(above, struct flat_range, next));
    }
    g_array_free(above, TRUE);
    g_array_free(below, TRUE);
    return out;
}

/* The highest priority first; among equals the one added last. */
static gint compare_precedence(gconstpointer a, gconstpointer b)
{
    const struct memory_region *x = *(struct memory_region *const *)a;
    const struct memory_region *y = *(struct memory_region *const *)b;

    if (x->priority != y->priority) {
        return x->priority > y->priority ? -1 : 1;
    }
    return x->sequence > y->sequence ? -1 : 1;
}

/* Bytes [offset, offset + length) of a container: children[from] to children[to - 1], in order of
 * precedence. */
static GArray *render_children(const GPtrArray *children, unsigned from, unsigned to,
                               uint64_t offset, uint64_t length, gpa_t start,
                               struct render_state state)
{
    if (to - from == 1) {
        struct memory_region *child = children->pdata[from];
        uint64_t skip = child->offset > offset ? child->offset - offset : 0;

        return render(child, offset + skip - child->offset, length - skip, start + skip, state);
    }
    unsigned middle = from + (to - from) / 2;
    GArray *above = render_children(children, from, middle, offset, length, start, state);
    GArray *below = render_children(children, middle, to, offset, length, start, state);

    return overlay(above, below);
}

static GArray *render_container(struct memory_region *region, uint64_t offset, uint64_t length,
                                gpa_t start, struct render_state state)
{
    g_autoptr(GPtrArray) children = g_ptr_array_new();

    subregions_collect(region->subregions, offset, offset + (length - 1), children);
    if (!children->len) {
        return ranges_new();
    }
    g_ptr_array_sort(children, compare_precedence);
    return render_children(children, 0, children->len, offset, length, start, state);
}

static GArray *render_alias(struct memory_region *region, uint64_t offset, uint64_t length,
                            gpa_t start, struct render_state state)
{
    struct memory_region *target = region->alias;

    if (!target || region->alias_offset >= target->size ||
        offset >= target->size - region->alias_offset) {
        return ranges_new();
    }
    return render(target, region->alias_offset + offset, length, start, state);
}

static GArray *render_terminal(struct memory_region *region, uint64_t offset, uint64_t length,
                               gpa_t start, struct render_state state)
{
    GArray *out = ranges_new();
    struct flat_range range = {
        .start = start,
        .length = length,
        .region = region,
        .region_offset = offset,
        .read_only = state.read_only || region->kind == MEMORY_ROM,
        .rom_mode = region->kind == MEMORY_ROM_DEVICE && region->rom_mode,
        .is_iommu = region->kind == MEMORY_IOMMU,
    };

    if (region->ram) {
        range.dirty_clients = ram_block_dirty_clients(region->ram);
        range.is_windowed = region->ram->host == NULL;
        if (!range.is_windowed && (region->kind != MEMORY_ROM_DEVICE || range.rom_mode)) {
            range.host = region->ram->host + offset;
        }
    }
    g_array_append_val(out, range);
    return out;
}

static GArray *render(struct memory_region *region, uint64_t offset, uint64_t length, gpa_t start,
                      struct render_state state)
{
    if (!region->enabled || offset >= region->size || state.depth > TOPOLOGY_DEPTH_MAX) {
        return ranges_new();
    }
    length = MIN(length, region->size - offset);
    state.depth++;
    state.read_only |= region->read_only;
    switch (region->kind) {
    case MEMORY_CONTAINER:
        return render_container(region, offset, length, start, state);
    case MEMORY_ALIAS:
        return render_alias(region, offset, length, start, state);
    default:
        return render_terminal(region, offset, length, start, state);
    }
}

void topology_render(struct memory_region *region, uint64_t offset, uint64_t length, gpa_t start,
                     GArray *out)
{
    GArray *ranges = render(region, offset, length, start, (struct render_state){0});

    for (unsigned i = 0; i < ranges->len; i++) {
        flat_ranges_append(out, &g_array_index(ranges, struct flat_range, i));
    }
    g_array_free(ranges, TRUE);
}
