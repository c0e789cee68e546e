/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memory/ioeventfd.h"
#include "memory/topology.h"
#include "util/error.h"
#include "util/hot-path.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define COMPARE(x, y) (((x) > (y)) - ((x) < (y)))

gint ioeventfd_compare(gconstpointer a, gconstpointer b, gpointer unused)
{
    const struct ioeventfd_section *x = a, *y = b;
    const int order[] = {
        COMPARE(x->address, y->address),
        COMPARE(x->size, y->size),
        COMPARE(x->match_value, y->match_value),
        COMPARE(x->value, y->value),
        COMPARE(x->fd, y->fd),
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        if (order[i]) {
            return order[i];
        }
    }
    return 0;
}

static struct ioeventfd_table *get_table(const struct memory_region *region)
{
    return __atomic_load_n((struct ioeventfd_table *const *)&region->ioeventfds, __ATOMIC_ACQUIRE);
}

/* Index of the first entry at or after an offset. */
static unsigned table_find(const struct ioeventfd_table *table, uint64_t offset)
{
    unsigned low = 0, high = table->count;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (table->entries[middle].address < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void signal_fd(int fd)
{
    const uint64_t one = 1;
    ssize_t n;

    /* A full counter (EAGAIN) is a signal that has not been taken yet: nothing is lost. */
    do {
        n = write(fd, &one, sizeof(one));
    } while (n < 0 && errno == EINTR);
}

static bool entry_matches(const struct ioeventfd_section *entry, unsigned size, uint64_t value)
{
    if (entry->size && entry->size != size) {
        return false;
    }
    if (size < 8) {
        value &= (UINT64_C(1) << (8 * size)) - 1;
    }
    return !entry->match_value || entry->value == value;
}

HOT_PATH bool ioeventfd_try_signal(struct memory_region *region, uint64_t offset, unsigned size,
                                   uint64_t value)
{
    const struct ioeventfd_table *table = get_table(region);

    if (G_LIKELY(!table)) {
        return false;
    }
    for (unsigned i = table_find(table, offset);
         i < table->count && table->entries[i].address == offset; i++) {
        if (entry_matches(&table->entries[i], size, value)) {
            signal_fd(table->entries[i].fd);
            return true;
        }
    }
    return false;
}

void ioeventfd_collect(const struct flat_range *range, GArray *out)
{
    const struct ioeventfd_table *table = get_table(range->region);

    if (G_LIKELY(!table)) {
        return;
    }
    for (unsigned i = table_find(table, range->region_offset); i < table->count; i++) {
        struct ioeventfd_section section = table->entries[i];
        uint64_t skip = section.address - range->region_offset;

        if (skip >= range->length) {
            break;
        }
        if (MAX(section.size, 1) <= range->length - skip) {
            section.address = range->start + skip;
            g_array_append_val(out, section);
        }
    }
}

static void table_free(struct rcu_head *head)
{
    memory_rcu_deferred_begin();
    g_free(caa_container_of(head, struct ioeventfd_table, rcu));
}

void ioeventfd_table_free(struct memory_region *region)
{
    g_free(region->ioeventfds);
    region->ioeventfds = NULL;
}

/* Replace a region's table by entries (taken over), in a transaction. */
static void set_table(struct memory_region *region, const struct ioeventfd_section *entries,
                      unsigned count)
{
    struct ioeventfd_table *old = region->ioeventfds, *table = NULL;

    if (count) {
        table = g_malloc(sizeof(*table) + count * sizeof(*entries));
        table->count = count;
        memcpy(table->entries, entries, count * sizeof(*entries));
    }
    __atomic_store_n(&region->ioeventfds, (void *)table, __ATOMIC_RELEASE);
    if (old) {
        memory_rcu_defer(&old->rcu, table_free);
    }
    topology_mark(region, 0, region->size);
}

/* Could one write match both? */
static bool entries_collide(const struct ioeventfd_section *a, const struct ioeventfd_section *b)
{
    return a->address == b->address && (!a->size || !b->size || a->size == b->size) &&
           (!a->match_value || !b->match_value || a->value == b->value);
}

static bool check_section(const struct memory_region *region,
                          const struct ioeventfd_section *section, GError **error)
{
    unsigned size = section->size;

    if (region->kind != MEMORY_MMIO) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "event descriptor: region '%s' has no registers", region->name);
    }
    if (size > 8 || (size & (size - 1)) || (section->match_value && !size)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "event descriptor in region '%s': a size of %u is not possible",
                          region->name, size);
    }
    if (section->address >= region->size || MAX(size, 1) > region->size - section->address) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "event descriptor at 0x%" G_GINT64_MODIFIER
                          "x: region '%s' has 0x%" G_GINT64_MODIFIER "x bytes",
                          section->address, region->name, region->size);
    }
    return true;
}

bool memory_region_add_ioeventfd(struct memory_region *region, uint64_t offset, unsigned size,
                                 bool match_value, uint64_t value, int fd, GError **error)
{
    struct ioeventfd_section section = {offset, size, match_value, match_value ? value : 0, fd};
    struct ioeventfd_table *old;
    g_autofree struct ioeventfd_section *entries = NULL;
    unsigned count, at = 0;

    if (!check_section(region, &section, error)) {
        return false;
    }
    memory_topology_begin();
    old = region->ioeventfds;
    count = old ? old->count : 0;
    entries = g_new(struct ioeventfd_section, count + 1);
    for (unsigned i = 0; i < count; i++) {
        if (entries_collide(&old->entries[i], &section)) {
            memory_topology_commit();
            return duodm_fail(error, DUODM_ERROR_EXISTS,
                              "event descriptor at 0x%" G_GINT64_MODIFIER
                              "x of region '%s': another one takes the same writes",
                              offset, region->name);
        }
        if (ioeventfd_compare(&old->entries[i], &section, NULL) < 0) {
            at = i + 1;
        }
    }
    if (count) {
        memcpy(entries, old->entries, at * sizeof(section));
        memcpy(entries + at + 1, old->entries + at, (count - at) * sizeof(section));
    }
    entries[at] = section;
    set_table(region, entries, count + 1);
    memory_topology_commit();
    return true;
}

void memory_region_remove_ioeventfd(struct memory_region *region, uint64_t offset, unsigned size,
                                    bool match_value, uint64_t value, int fd)
{
    struct ioeventfd_section section = {offset, size, match_value, match_value ? value : 0, fd};
    g_autofree struct ioeventfd_section *entries = NULL;
    struct ioeventfd_table *old;
    unsigned count = 0;

    memory_topology_begin();
    old = region->ioeventfds;
    if (old) {
        entries = g_new(struct ioeventfd_section, old->count);
        for (unsigned i = 0; i < old->count; i++) {
            if (ioeventfd_compare(&old->entries[i], &section, NULL) != 0) {
                entries[count++] = old->entries[i];
            }
        }
        if (count < old->count) {
            set_table(region, entries, count);
        }
    }
    memory_topology_commit();
}
