/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iommu/notifier.h"
#include "memory/ram-block.h"
#include "util/error.h"
#include "util/hot-path.h"
#include "util/trace.h"
#include "vfio/dma-map-private.h"

#include <inttypes.h>

#define VERIFY_LINES 20

/* An IOMMU region as it shows in the address space. */
struct iommu_window {
    struct dma_map *map;
    struct iommu_region *region;
    struct iommu_notifier notifier;
    iova_t start;           /* of the section, in as */
    uint64_t region_offset; /* of start, in region */
    bool followed; /* registered; else the host has nothing of it, and it is tried again. Under the
                      topology lock */
};

/*
 * Entries that one guest mapping, or section, takes in the host. Nearly always one; the exceptions
 * are kept by IOVA. Under map->lock.
 */
static gint compare_iovas(gconstpointer a, gconstpointer b, gpointer unused)
{
    const iova_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

HOT_PATH static void set_entries(struct dma_map *map, iova_t iova, uint64_t entries)
{
    if (entries != 1) {
        iova_t *key = g_new(iova_t, 1);

        *key = iova;
        if (!map->odd_entries) {
            map->odd_entries = g_tree_new_full(compare_iovas, NULL, g_free, NULL);
        }
        g_tree_insert(map->odd_entries, key, GSIZE_TO_POINTER(entries));
        map->has_exceptions = true;
    }
}

void dma_map_add_leftover(struct dma_map *map, struct range range)
{
    g_array_append_val(map->leftovers, range);
    map->has_exceptions = true;
}

/* The first exception in a range, or NULL. */
static GTreeNode *first_odd(const struct dma_map *map, struct range range)
{
    GTreeNode *node = map->odd_entries ? g_tree_lower_bound(map->odd_entries, &range.start) : NULL;

    return node && range_contains(range, *(iova_t *)g_tree_node_key(node)) ? node : NULL;
}

/* Of so many mappings, or sections, which are all that the range has, and of what was left over. */
HOT_PATH static uint64_t count_entries(const struct dma_map *map, struct range range,
                                       uint64_t mappings)
{
    uint64_t count = mappings;

    if (G_LIKELY(!map->has_exceptions)) {
        return count;
    }
    for (unsigned i = 0; i < map->leftovers->len; i++) {
        count += range_contains_range(range, g_array_index(map->leftovers, struct range, i));
    }
    for (GTreeNode *node = first_odd(map, range);
         node && range_contains(range, *(iova_t *)g_tree_node_key(node));
         node = g_tree_node_next(node)) {
        count += GPOINTER_TO_SIZE(g_tree_node_value(node)) - 1;
    }
    return count;
}

HOT_PATH static void forget_entries(struct dma_map *map, struct range range)
{
    if (G_LIKELY(!map->has_exceptions)) {
        return;
    }
    for (unsigned i = map->leftovers->len; i-- > 0;) {
        if (range_contains_range(range, g_array_index(map->leftovers, struct range, i))) {
            g_array_remove_index_fast(map->leftovers, i);
        }
    }
    for (GTreeNode *node; (node = first_odd(map, range));) {
        g_tree_remove(map->odd_entries, g_tree_node_key(node));
    }
}

bool dma_map_host_map(struct dma_map *map, const struct dma_mapping *mapping, GError **error)
{
    bool ok;

    mutex_lock(&map->lock);
    ok = dma_backend_map(map->backend, mapping, error);
    mutex_unlock(&map->lock);
    return ok;
}

HOT_PATH bool dma_map_host_unmap(struct dma_map *map, struct range range, uint64_t mappings,
                                 GError **error)
{
    uint64_t entries;
    bool ok;

    mutex_lock(&map->lock);
    entries = count_entries(map, range, mappings);
    ok = entries == 0 || dma_backend_unmap(map->backend, range, entries, error);
    if (ok) {
        forget_entries(map, range);
    }
    mutex_unlock(&map->lock);
    return ok;
}

HOT_PATH bool dma_map_is_memory(const struct memory_region *region)
{
    return region->kind == MEMORY_RAM || region->kind == MEMORY_RAM_DEVICE ||
           region->kind == MEMORY_ROM;
}

HOT_PATH struct dma_mapping dma_map_mapping_of(struct memory_region *region, uint64_t offset,
                                               iova_t iova, uint64_t length, unsigned access)
{
    struct dma_mapping mapping = {.iova = iova,
                                  .length = length,
                                  .access = access,
                                  .region = region,
                                  .region_offset = offset};

    mapping.host = memory_region_host_pointer(region);
    if (mapping.host) {
        mapping.host = (uint8_t *)mapping.host + offset;
    }
    mapping.fd = memory_region_fd(region, &mapping.fd_offset);
    mapping.fd_offset += offset;
    if ((access & IOMMU_WRITE) && region->ram) {
        ram_block_add_silent_writer(region->ram);
    }
    return mapping;
}

/* Behind an IOMMU. Callbacks of the notifier's mapping set, under the IOMMU's lock. */

static iova_t window_iova(const struct iommu_window *window, iova_t iova)
{
    return iova - window->region_offset + window->start;
}

/* Map the pieces of memory that a guest mapping leads to. What is no memory is left out: a device
 * that goes there finds nothing. Under map->lock and RCU; *entries: how many were made. */
HOT_PATH static bool map_pieces(struct iommu_window *window, const struct iommu_mapping *guest,
                                uint64_t *entries, GError **error)
{
    bool is_write = guest->access & IOMMU_WRITE;

    for (uint64_t done = 0, length; done < guest->length; done += length) {
        struct memory_section section =
            address_space_lookup(window->region->target, guest->translated + done, is_write,
                                 (struct memory_attributes){.from_device = true, .is_probe = true});
        struct dma_mapping mapping;

        length = MIN(section.length, guest->length - done);
        if (!section.region || !section.host || !dma_map_is_memory(section.region) ||
            (is_write && !section.writable)) {
            trace_dma_map_skipped(guest->iova + done, length, "no memory there");
            continue;
        }
        mapping =
            dma_map_mapping_of(section.region, section.offset,
                               window_iova(window, guest->iova + done), length, guest->access);
        if (!dma_backend_map(window->map->backend, &mapping, error)) {
            return false;
        }
        ++*entries;
    }
    return true;
}

HOT_PATH static bool window_map(void *opaque, const struct iommu_mapping *guest, GError **error)
{
    struct iommu_window *window = opaque;
    struct dma_map *map = window->map;
    struct range range = {window_iova(window, guest->iova), guest->length};
    uint64_t entries = 0;
    bool ok;

    memory_rcu_read_lock();
    mutex_lock(&map->lock);
    ok = map_pieces(window, guest, &entries, error);
    if (ok) {
        set_entries(map, range.start, entries);
    } else if (entries && !dma_backend_unmap(map->backend, range, entries, NULL)) {
        set_entries(map, range.start, entries);
        dma_map_add_leftover(map, range);
    }
    mutex_unlock(&map->lock);
    memory_rcu_read_unlock();
    return ok;
}

HOT_PATH static bool window_unmap(void *opaque, struct range range, uint64_t mappings,
                                  GError **error)
{
    struct iommu_window *window = opaque;
    struct range host = {window_iova(window, range.start), range.length};

    return dma_map_host_unmap(window->map, host, mappings, error);
}

static const struct mapping_set_ops window_ops = {window_map, window_unmap};

static void window_failed(struct iommu_notifier *notifier, const GError *error)
{
    struct iommu_window *window = notifier->opaque;

    window->map->failed(window->map->opaque, error);
}

static void window_left_over(struct iommu_notifier *notifier, struct range range)
{
    const struct iommu_window *window = notifier->opaque;
    struct range host = {window_iova(window, range.start), range.length};

    mutex_lock(&window->map->lock);
    dma_map_add_leftover(window->map, host);
    mutex_unlock(&window->map->lock);
}

static bool follow_window(struct iommu_window *window, GError **error)
{
    window->followed =
        window->followed || iommu_notifier_register(window->region, &window->notifier, error);
    return window->followed;
}

static bool add_window(struct dma_map *map, const struct listener_section *section, GError **error)
{
    struct iommu_window *window = g_new0(struct iommu_window, 1);

    window->map = map;
    window->region = iommu_region_from_memory(section->region);
    window->start = section->start;
    window->region_offset = section->region_offset;
    window->notifier = (struct iommu_notifier){
        .name = map->backend->name,
        .events = IOMMU_EVENT_MAP | IOMMU_EVENT_UNMAP,
        .range = {section->region_offset, section->length},
        .ops = &window_ops,
        .opaque = window,
        .probe_granularity = dma_backend_page_size(map->backend),
        /* They are addresses in as: those in the region where the two are the same. */
        .windows = section->start == section->region_offset ? map->backend->windows : NULL,
        .failed = window_failed,
        .left_over = window_left_over,
    };
    g_ptr_array_add(map->windows, window);
    return follow_window(window, error);
}

static bool remove_window(struct dma_map *map, struct iommu_window *window, GError **error)
{
    bool ok = !window->followed || iommu_notifier_unregister(&window->notifier, error);

    g_ptr_array_remove(map->windows, window);
    g_free(window);
    return ok;
}

static bool remove_window_at(struct dma_map *map, iova_t start, GError **error)
{
    for (unsigned i = 0; i < map->windows->len; i++) {
        struct iommu_window *window = g_ptr_array_index(map->windows, i);

        if (window->start == start) {
            return remove_window(map, window, error);
        }
    }
    return true;
}

/* The listener of the devices' address space. */

static struct dma_map *map_of(struct memory_listener *listener)
{
    return (struct dma_map *)((char *)listener - offsetof(struct dma_map, listener));
}

static void tell(struct dma_map *map, const GError *error)
{
    map->told = true;
    map->failed(map->opaque, error);
}

static bool section_remove_checked(struct dma_map *map, const struct listener_section *section,
                                   GError **error)
{
    return section->region->kind == MEMORY_IOMMU ? remove_window_at(map, section->start, error)
                                                 : dma_ram_remove(map, section, error);
}

static bool section_add(struct memory_listener *listener, const struct listener_section *section,
                        GError **error)
{
    struct dma_map *map = map_of(listener);
    g_autoptr(GError) refusal = NULL;

    if (section->region->kind == MEMORY_IOMMU
            ? add_window(map, section, &refusal)
            : !dma_map_is_memory(section->region) || dma_ram_add(map, section, &refusal)) {
        return true;
    }
    if (map->registered) { /* it is ours from now on, and tried again */
        tell(map, refusal);
        return true;
    }
    section_remove_checked(map, section, NULL);
    g_propagate_error(error, g_steal_pointer(&refusal));
    return false;
}

static void section_remove(struct memory_listener *listener, const struct listener_section *section)
{
    struct dma_map *map = map_of(listener);
    g_autoptr(GError) error = NULL;

    if (!section_remove_checked(map, section, &error) && map->registered) {
        tell(map, error);
    }
}

/* RAM, then what is followed anew: the other way round could meet what is left over. */
static bool settle(struct dma_map *map, GError **error)
{
    bool ok = dma_ram_settle(map, error);

    for (unsigned i = 0; i < map->windows->len; i++) {
        ok &= follow_window(g_ptr_array_index(map->windows, i), ok ? error : NULL);
    }
    return ok;
}

static void sections_commit(struct memory_listener *listener)
{
    struct dma_map *map = map_of(listener);
    g_autoptr(GError) error = NULL;

    if (map->registered && !settle(map, &error) && !map->told) {
        tell(map, error);
    }
    map->told = false;
}

/*
 * Memory that IOMMU mappings lead to has come or gone (a BAR moved, RAM was hotplugged). What leads
 * there is dropped, and made again from the guest's tables when the change is complete.
 */
static struct dma_map *map_of_targets(struct memory_listener *listener)
{
    return (struct dma_map *)((char *)listener - offsetof(struct dma_map, targets));
}

static void target_changed(struct dma_map *map, const struct listener_section *section)
{
    struct range range = {section->start, section->length};

    for (unsigned i = 0; dma_map_is_memory(section->region) && i < map->windows->len; i++) {
        struct iommu_window *window = g_ptr_array_index(map->windows, i);
        g_autoptr(GError) error = NULL;

        if (window->followed && !iommu_notifier_target_changed(&window->notifier, range, &error)) {
            map->failed(map->opaque, error);
        }
    }
}

static bool target_added(struct memory_listener *listener, const struct listener_section *section,
                         GError **error)
{
    target_changed(map_of_targets(listener), section);
    return true;
}

static void target_removed(struct memory_listener *listener, const struct listener_section *section)
{
    target_changed(map_of_targets(listener), section);
}

static void targets_commit(struct memory_listener *listener)
{
    struct dma_map *map = map_of_targets(listener);

    for (unsigned i = 0; i < map->windows->len; i++) {
        struct iommu_window *window = g_ptr_array_index(map->windows, i);
        g_autoptr(GError) error = NULL;

        if (window->followed && !iommu_notifier_settle(&window->notifier, &error)) {
            map->failed(map->opaque, error);
        }
    }
}

static void map_free(struct dma_map *map)
{
    g_clear_pointer(&map->odd_entries, g_tree_unref);
    g_ptr_array_free(map->windows, true);
    g_ptr_array_free(map->ram, true);
    g_array_unref(map->leftovers);
    mutex_destroy(&map->lock);
    g_free(map);
}

struct dma_map *dma_map_new(struct address_space *as, struct address_space *target,
                            struct dma_backend *backend, dma_map_failed_fn failed, void *opaque,
                            GError **error)
{
    struct dma_map *map = g_new0(struct dma_map, 1);

    map->as = as;
    map->backend = backend;
    map->failed = failed;
    map->opaque = opaque;
    map->windows = g_ptr_array_new();
    map->ram = g_ptr_array_new_with_free_func(g_free);
    map->leftovers = g_array_new(false, false, sizeof(struct range));
    mutex_init(&map->lock);
    map->listener = (struct memory_listener){
        .name = backend->name,
        .section_add = section_add,
        .section_remove = section_remove,
        .commit = sections_commit,
    };
    map->targets = (struct memory_listener){
        .name = backend->name,
        .section_add = target_added,
        .section_remove = target_removed,
        .commit = targets_commit,
    };
    if (!memory_listener_register(&map->targets, target, error)) {
        map_free(map);
        return NULL;
    }
    if (!memory_listener_register(&map->listener, as, error)) {
        memory_listener_unregister(&map->targets);
        map_free(map);
        return NULL;
    }
    map->registered = true;
    return map;
}

void dma_map_free(struct dma_map *map)
{
    if (map) {
        map->registered = false;
        memory_listener_unregister(&map->listener);
        memory_listener_unregister(&map->targets);
        map_free(map);
    }
}

bool dma_map_reconcile(struct dma_map *map, GError **error)
{
    bool ok;

    memory_topology_begin(); /* the windows stay */
    ok = settle(map, error);
    for (unsigned i = 0; i < map->windows->len; i++) {
        struct iommu_window *window = g_ptr_array_index(map->windows, i);

        ok &= !window->followed || iommu_notifier_reconcile(&window->notifier, ok ? error : NULL);
    }
    memory_topology_commit();
    return ok;
}

static bool verify_window(const struct dma_map *map, struct iommu_window *window, GString *out)
{
    struct mapping_difference difference;

    if (!window->followed) {
        g_string_append_printf(out, "%s: iova 0x%" PRIx64 ": not followed\n", map->backend->name,
                               window->start);
        return false;
    }
    difference = iommu_notifier_verify(&window->notifier, out, VERIFY_LINES);
    g_string_append_printf(out,
                           "%s: iova 0x%" PRIx64 ": %" PRIu64 " mappings, %" PRIu64
                           " bytes missing, %" PRIu64 " extra\n",
                           map->backend->name, window->start,
                           iommu_notifier_count(&window->notifier), difference.missing,
                           difference.extra);
    return difference.missing == 0 && difference.extra == 0 && !difference.unknown;
}

bool dma_map_verify(struct dma_map *map, GString *out)
{
    struct mapping_difference ram;
    bool ok;

    memory_topology_begin();
    ram = dma_ram_verify(map);
    ok = ram.missing == 0 && ram.extra == 0;
    if (!ok) {
        g_string_append_printf(out, "%s: memory: %" PRIu64 " bytes missing, %" PRIu64 " extra\n",
                               map->backend->name, ram.missing, ram.extra);
    }
    for (unsigned i = 0; i < map->windows->len; i++) {
        ok &= verify_window(map, g_ptr_array_index(map->windows, i), out);
    }
    memory_topology_commit();
    return ok;
}
