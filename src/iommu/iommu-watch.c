/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "iommu/iommu-watch.h"
#include "util/hot-path.h"

#include <assert.h>

void iommu_drain_init(struct iommu_drain *drain, void (*emptied)(void *opaque), void *opaque)
{
    *drain = (struct iommu_drain){0, emptied, opaque};
}

void iommu_drain_destroy(struct iommu_drain *drain)
{
    assert(drain->count == 0);
}

void iommu_drain_add(struct iommu_drain *drain)
{
    __atomic_add_fetch(&drain->count, 1, __ATOMIC_SEQ_CST);
}

void iommu_drain_remove(struct iommu_drain *drain)
{
    if (__atomic_sub_fetch(&drain->count, 1, __ATOMIC_SEQ_CST) == 0) {
        drain->emptied(drain->opaque);
    }
}

HOT_PATH bool iommu_drain_is_empty(const struct iommu_drain *drain)
{
    return __atomic_load_n(&drain->count, __ATOMIC_SEQ_CST) == 0;
}

/* One section of the address space that an IOMMU region answers. */
struct watch_window {
    struct iommu_watch *watch;
    struct iommu_notifier notifier;
    gpa_t start; /* in the address space */
    uint64_t region_offset;
};

static bool window_changed(void *opaque, struct range range, uint64_t mappings, GError **error)
{
    struct watch_window *window = opaque;

    range.start = range.start - window->region_offset + window->start;
    window->watch->changed(window->watch, range);
    return true;
}

static const struct mapping_set_ops window_ops = {.unmap = window_changed};

static struct iommu_watch *watch_of(struct memory_listener *listener)
{
    return (struct iommu_watch *)((char *)listener - offsetof(struct iommu_watch, listener));
}

static bool section_add(struct memory_listener *listener, const struct listener_section *section,
                        GError **error)
{
    struct iommu_watch *watch = watch_of(listener);
    struct watch_window *window;

    if (section->region->kind != MEMORY_IOMMU) {
        return true;
    }
    window = g_new0(struct watch_window, 1);
    window->watch = watch;
    window->start = section->start;
    window->region_offset = section->region_offset;
    window->notifier = (struct iommu_notifier){
        .name = listener->name,
        .events = IOMMU_EVENT_UNMAP,
        .range = {section->region_offset, section->length},
        .ops = &window_ops,
        .opaque = window,
    };
    if (!iommu_notifier_register(iommu_region_from_memory(section->region), &window->notifier,
                                 error)) {
        g_free(window);
        return false;
    }
    g_ptr_array_add(watch->windows, window);
    return true;
}

static void remove_window(struct iommu_watch *watch, gpa_t start)
{
    for (unsigned i = 0; i < watch->windows->len; i++) {
        struct watch_window *window = g_ptr_array_index(watch->windows, i);

        if (window->start == start) {
            iommu_notifier_unregister(&window->notifier, NULL);
            g_ptr_array_remove_index_fast(watch->windows, i);
            g_free(window);
            return;
        }
    }
}

static void section_remove(struct memory_listener *listener, const struct listener_section *section)
{
    struct iommu_watch *watch = watch_of(listener);

    if (section->region->kind == MEMORY_IOMMU) {
        remove_window(watch, section->start);
    }
    watch->changed(watch, (struct range){section->start, section->length});
}

bool iommu_watch_start(struct iommu_watch *watch, struct address_space *as, GError **error)
{
    watch->windows = g_ptr_array_new();
    watch->listener = (struct memory_listener){
        .name = as->name,
        .section_add = section_add,
        .section_remove = section_remove,
    };
    if (!memory_listener_register(&watch->listener, as, error)) {
        g_clear_pointer(&watch->windows, g_ptr_array_unref);
        return false;
    }
    return true;
}

void iommu_watch_stop(struct iommu_watch *watch)
{
    if (watch->windows) {
        memory_listener_unregister(&watch->listener);
        g_clear_pointer(&watch->windows, g_ptr_array_unref);
    }
}
