/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PROBE (virtio 1.2, 5.13.6.7): which addresses an endpoint can't have mapped. These are the
 * interrupt messages', and what the hosts that follow it can't map: the guest had better know
 * before than be refused later.
 */
#include "iommu/notifier.h"
#include "iommu/virtio-iommu-private.h"
#include "util/little-endian.h"

#define PROPERTY_SIZE  (VIRTIO_IOMMU_PROPERTY_HEAD + VIRTIO_IOMMU_RESERVED_MEMORY_LENGTH)
#define PROPERTIES_MAX (VIRTIO_IOMMU_PROBE_BYTES / PROPERTY_SIZE)

/* Where the properties are written. */
struct list {
    uint8_t *at;
    unsigned left; /* properties for which there is room */
    iova_t end;    /* of all that can be said to be reserved */
};

static void put(struct list *list, unsigned subtype, struct range range)
{
    if (!range.length || !list->left) {
        return;
    }
    if (--list->left == 0) { /* what there is no room to tell is not to be used either */
        range.length = list->end - range.start;
    }
    store_le16(list->at, VIRTIO_IOMMU_PROPERTY_RESERVED_MEMORY);
    store_le16(list->at + 2, VIRTIO_IOMMU_RESERVED_MEMORY_LENGTH);
    list->at[4] = (uint8_t)subtype;
    store_le64(list->at + 8, range.start);
    store_le64(list->at + 16, range.start + (range.length - 1));
    list->at += PROPERTY_SIZE;
}

/* A hole in what hosts can map; the messages within it have a property of their own. */
static void put_hole(struct list *list, iova_t start, iova_t end)
{
    const iova_t messages = VIRTIO_IOMMU_MSI_START;
    const iova_t behind = messages + VIRTIO_IOMMU_MSI_LENGTH;

    if (start < messages) {
        put(list, VIRTIO_IOMMU_RESERVED, (struct range){start, MIN(end, messages) - start});
    }
    if (end > behind) {
        put(list, VIRTIO_IOMMU_RESERVED,
            (struct range){MAX(start, behind), end - MAX(start, behind)});
    }
}

/* The first window of a notifier that ends above iova, in its part of the region; false: none. */
static bool next_window(const struct iommu_notifier *notifier, iova_t iova, struct range *window)
{
    for (unsigned i = 0; i < notifier->windows->len; i++) {
        *window =
            range_intersect(g_array_index(notifier->windows, struct range, i), notifier->range);
        if (window->length && window->start + window->length > iova) {
            return true;
        }
    }
    return false;
}

/*
 * From iova on: up to where *end is it usable, or unusable, by all that the notifiers say? One
 * whose part of the region does not hold iova says nothing, but that its part may begin.
 */
static bool is_usable(const struct iommu_region *region, iova_t iova, iova_t *end)
{
    bool usable = true;

    for (const struct iommu_notifier *notifier = region->notifiers; notifier;
         notifier = notifier->next) {
        struct range part = notifier->range, window;
        iova_t border = part.start + part.length;

        if (!notifier->windows || !notifier->windows->len || border <= iova) {
            continue;
        }
        if (part.start > iova) {
            *end = MIN(*end, part.start);
        } else if (next_window(notifier, iova, &window) && window.start <= iova) {
            *end = MIN(*end, window.start + window.length);
        } else {
            usable = false;
            *end = MIN(*end, next_window(notifier, iova, &window) ? window.start : border);
        }
    }
    return usable;
}

void virtio_iommu_put_properties(const struct virtio_iommu_endpoint *endpoint, uint8_t *properties)
{
    struct list list = {properties, PROPERTIES_MAX,
                        UINT64_C(1) << endpoint->unit->config.address_width};
    iova_t hole = list.end; /* where the hole under way has begun; the end: there is none */

    put(&list, VIRTIO_IOMMU_RESERVED_MSI,
        (struct range){VIRTIO_IOMMU_MSI_START, VIRTIO_IOMMU_MSI_LENGTH});
    for (iova_t iova = 0, end; iova < list.end; iova = end) {
        end = list.end;
        if (!is_usable(&endpoint->region, iova, &end)) {
            hole = MIN(hole, iova);
        } else if (hole < iova) {
            put_hole(&list, hole, iova);
            hole = list.end;
        }
    }
    if (hole < list.end) {
        put_hole(&list, hole, list.end);
    }
}
