/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Life of the unit, what changes without a request, and faults. */
#include "iommu/notifier.h"
#include "iommu/virtio-iommu-private.h"
#include "memory/translation.h"
#include "util/little-endian.h"
#include "util/trace.h"

#include <assert.h>

static void free_domain(gpointer domain)
{
    virtio_iommu_domain_free(domain);
}

static void devices_have_ended(void *opaque)
{
    struct virtio_iommu *unit = opaque;

    if (unit->host.devices_have_ended) {
        unit->host.devices_have_ended(unit->host.opaque);
    }
}

struct virtio_iommu *virtio_iommu_new(const struct virtio_iommu_config *config,
                                      const struct virtio_iommu_host *host,
                                      struct address_space *memory, struct memory_region *system)
{
    struct virtio_iommu *unit = g_new0(struct virtio_iommu, 1);

    unit->config = *config;
    unit->host = *host;
    unit->memory = memory;
    unit->system = system;
    unit->bypass = config->bypass;
    unit->endpoints = g_hash_table_new(NULL, NULL);
    unit->domains = g_hash_table_new_full(NULL, NULL, NULL, free_domain);
    unit->nowhere = virtio_iommu_domain_new(UINT32_MAX, false);
    iommu_drain_init(&unit->drain, devices_have_ended, unit);
    mutex_init(&unit->lock);
    mutex_init(&unit->fault_lock);
    return unit;
}

void virtio_iommu_free(struct virtio_iommu *unit)
{
    if (!unit) {
        return;
    }
    assert(g_hash_table_size(unit->endpoints) == 0);
    g_hash_table_destroy(unit->endpoints);
    g_hash_table_destroy(unit->domains);
    virtio_iommu_domain_free(unit->nowhere);
    iommu_drain_destroy(&unit->drain);
    mutex_destroy(&unit->fault_lock);
    mutex_destroy(&unit->lock);
    g_free(unit);
}

void virtio_iommu_set_features(struct virtio_iommu *unit, uint64_t features)
{
    mutex_lock(&unit->lock);
    unit->features = features;
    mutex_unlock(&unit->lock);
}

void virtio_iommu_set_bypass(struct virtio_iommu *unit, bool bypass)
{
    GHashTableIter iter;
    gpointer value;

    mutex_lock(&unit->lock);
    if (unit->bypass != bypass) {
        __atomic_store_n(&unit->bypass, bypass, __ATOMIC_RELEASE);
        g_hash_table_iter_init(&iter, unit->endpoints);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
            struct virtio_iommu_endpoint *endpoint = value;

            if (!endpoint->domain) {
                iommu_region_invalidate(&endpoint->region, virtio_iommu_everything());
            }
        }
    }
    mutex_unlock(&unit->lock);
    memory_translation_synchronize();
}

void virtio_iommu_reset(struct virtio_iommu *unit)
{
    GHashTableIter iter;
    gpointer value;

    mutex_lock(&unit->lock);
    unit->features = 0;
    g_hash_table_iter_init(&iter, unit->endpoints);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        virtio_iommu_force_move(value, NULL);
    }
    mutex_unlock(&unit->lock);
    mutex_lock(&unit->fault_lock);
    unit->fault_count = 0;
    mutex_unlock(&unit->fault_lock);
    memory_translation_synchronize();
}

/* ---- Faults ---- */

void virtio_iommu_record_fault(struct virtio_iommu *unit, const struct virtio_iommu_fault *fault)
{
    bool recorded;

    trace_virtio_iommu_fault(fault->endpoint, fault->address, fault->is_write, fault->reason);
    mutex_lock(&unit->fault_lock);
    recorded = unit->fault_count < VIRTIO_IOMMU_FAULTS_MAX;
    if (recorded) {
        unit->faults[(unit->fault_first + unit->fault_count++) % VIRTIO_IOMMU_FAULTS_MAX] = *fault;
    }
    mutex_unlock(&unit->fault_lock);
    if (recorded) {
        unit->host.fault_recorded(unit->host.opaque);
    }
}

bool virtio_iommu_has_fault(struct virtio_iommu *unit)
{
    bool has_fault;

    mutex_lock(&unit->fault_lock);
    has_fault = unit->fault_count > 0;
    mutex_unlock(&unit->fault_lock);
    return has_fault;
}

bool virtio_iommu_take_fault(struct virtio_iommu *unit, uint8_t event[VIRTIO_IOMMU_EVENT_SIZE])
{
    struct virtio_iommu_fault fault;
    bool found;

    mutex_lock(&unit->fault_lock);
    found = unit->fault_count > 0;
    if (found) {
        fault = unit->faults[unit->fault_first];
        unit->fault_first = (unit->fault_first + 1) % VIRTIO_IOMMU_FAULTS_MAX;
        unit->fault_count--;
    }
    mutex_unlock(&unit->fault_lock);
    if (found) {
        memset(event, 0, VIRTIO_IOMMU_EVENT_SIZE);
        event[0] = (uint8_t)fault.reason;
        store_le32(event + 4,
                   VIRTIO_IOMMU_FAULT_ADDRESS |
                       (fault.is_write ? VIRTIO_IOMMU_FAULT_WRITE : VIRTIO_IOMMU_FAULT_READ));
        store_le32(event + 8, fault.endpoint);
        store_le64(event + 16, fault.address);
    }
    return found;
}

/* ---- Monitors ---- */

static gint by_requester(gconstpointer a, gconstpointer b)
{
    const struct virtio_iommu_endpoint_info *x = a, *y = b;

    return x->requester - y->requester;
}

static struct virtio_iommu_endpoint_info describe(const struct virtio_iommu_endpoint *endpoint)
{
    const struct virtio_iommu_domain *domain = endpoint->domain;
    struct virtio_iommu_endpoint_info info = {.requester = endpoint->requester,
                                              .attached = domain != NULL,
                                              .bypass = virtio_iommu_endpoint_bypasses(endpoint),
                                              .domain = domain ? domain->id : 0,
                                              .mappings =
                                                  domain ? iova_tree_count(domain->tree) : 0};

    for (const struct iommu_notifier *notifier = endpoint->region.notifiers; notifier;
         notifier = notifier->next) {
        info.notifiers++;
        info.host_mappings += notifier->held ? mapping_set_count(notifier->held) : 0;
    }
    return info;
}

GArray *virtio_iommu_query(struct virtio_iommu *unit)
{
    GArray *list = g_array_new(false, false, sizeof(struct virtio_iommu_endpoint_info));
    GHashTableIter iter;
    gpointer value;

    mutex_lock(&unit->lock);
    g_hash_table_iter_init(&iter, unit->endpoints);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct virtio_iommu_endpoint_info info = describe(value);

        g_array_append_val(list, info);
    }
    mutex_unlock(&unit->lock);
    g_array_sort(list, by_requester);
    return list;
}
