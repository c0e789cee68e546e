/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One endpoint: its view of memory, and what its addresses lead to. */
#include "iommu/virtio-iommu-private.h"

#define PAGE_MASK (~(uint64_t)(VIRTIO_IOMMU_GRANULE - 1))

static struct virtio_iommu_endpoint *endpoint_of(struct iommu_region *region)
{
    return (struct virtio_iommu_endpoint *)((char *)region -
                                            offsetof(struct virtio_iommu_endpoint, region));
}

bool virtio_iommu_endpoint_bypasses(const struct virtio_iommu_endpoint *endpoint)
{
    return endpoint->domain ? endpoint->domain->bypass
                            : __atomic_load_n(&endpoint->unit->bypass, __ATOMIC_ACQUIRE);
}

/* Bits of the largest aligned power of two around `inside` that does not hold `outside`. */
static unsigned order_without(uint64_t inside, uint64_t outside)
{
    return 63 - (unsigned)__builtin_clzll(inside ^ outside);
}

/* The largest part of a mapping around iova that has a power of two as its size and is aligned to
 * it: what an entry can tell. */
static struct range aligned_part(const struct iommu_mapping *mapping, iova_t iova)
{
    unsigned order = order_without(iova, mapping->iova + mapping->length);
    uint64_t size;

    if (mapping->iova) {
        order = MIN(order, order_without(iova, mapping->iova - 1));
    }
    size = UINT64_C(1) << order;
    return (struct range){iova & ~(size - 1), size};
}

static bool find_mapping(const struct virtio_iommu_endpoint *endpoint, iova_t iova,
                         struct iommu_mapping *mapping)
{
    struct iova_cursor cursor;

    if (virtio_iommu_endpoint_bypasses(endpoint)) {
        *mapping = (struct iommu_mapping){0, VIRTIO_IOMMU_SPACE, 0, IOMMU_READ | IOMMU_WRITE};
        return true;
    }
    if (!endpoint->domain) {
        return false;
    }
    cursor = iova_tree_find(endpoint->domain->tree, iova);
    return iova_cursor_get(&cursor, mapping) && range_contains(iommu_mapping_range(mapping), iova);
}

static struct iommu_entry translate(struct iommu_region *region, iova_t iova, bool is_write,
                                    struct memory_attributes attributes)
{
    struct virtio_iommu_endpoint *endpoint = endpoint_of(region);
    struct virtio_iommu_fault fault = {endpoint->requester, is_write, VIRTIO_IOMMU_FAULT_MAPPING,
                                       iova};
    struct iommu_mapping mapping;
    struct range part;
    bool found;

    mutex_lock(&endpoint->lock);
    found = find_mapping(endpoint, iova, &mapping);
    if (!endpoint->domain) {
        fault.reason = VIRTIO_IOMMU_FAULT_DOMAIN;
    }
    mutex_unlock(&endpoint->lock);
    if (!found || !(mapping.access & (is_write ? IOMMU_WRITE : IOMMU_READ))) {
        if (!attributes.is_probe) {
            virtio_iommu_record_fault(endpoint->unit, &fault);
        }
        return (struct iommu_entry){.iova = iova & PAGE_MASK,
                                    .address_mask = VIRTIO_IOMMU_GRANULE - 1};
    }
    part = aligned_part(&mapping, iova);
    return (struct iommu_entry){region->target,
                                part.start,
                                mapping.translated + (part.start - mapping.iova),
                                part.length - 1,
                                (mapping.access & IOMMU_READ) != 0,
                                (mapping.access & IOMMU_WRITE) != 0};
}

/* Memory as a host IOMMU can map it, from address on: false: it is none. *length: of what is
 * alike. */
static bool look_at_memory(struct address_space *memory, gpa_t address, uint64_t *length,
                           unsigned *access)
{
    struct memory_section section;

    memory_rcu_read_lock();
    section = address_space_lookup(
        memory, address, false, (struct memory_attributes){.from_device = true, .is_probe = true});
    memory_rcu_read_unlock();
    *length = section.length;
    *access = IOMMU_READ | (section.writable ? IOMMU_WRITE : 0);
    return section.region && section.host &&
           (section.region->kind == MEMORY_RAM || section.region->kind == MEMORY_ROM);
}

/* The identity, as mappings: one for each piece of memory, so that where one comes or goes the
 * others stay as they are (I4). BARs of other devices are left out: hosts may refuse them. */
static bool walk_memory(struct address_space *memory, struct range range, iommu_visit_fn visit,
                        void *visit_opaque, GError **error)
{
    uint64_t end = range.start + range.length, length;

    for (gpa_t address = range.start; address < end; address += length) {
        unsigned access;
        bool is_memory = look_at_memory(memory, address, &length, &access);
        struct iommu_mapping mapping = {.access = access};
        gpa_t stop;

        length = MIN(length, end - address);
        mapping.iova = mapping.translated = (address + ~PAGE_MASK) & PAGE_MASK;
        stop = (address + length) & PAGE_MASK;
        if (is_memory && stop > mapping.iova) {
            mapping.length = stop - mapping.iova;
            if (!visit(visit_opaque, &mapping, error)) {
                return false;
            }
        }
    }
    return true;
}

static bool walk(void *opaque, struct range range, iommu_visit_fn visit, void *visit_opaque,
                 GError **error)
{
    struct virtio_iommu_endpoint *endpoint = endpoint_of(opaque);
    struct iommu_mapping mapping;
    struct iova_cursor cursor;

    if (virtio_iommu_endpoint_bypasses(endpoint)) {
        return walk_memory(endpoint->region.target, range, visit, visit_opaque, error);
    }
    if (!endpoint->domain) {
        return true;
    }
    cursor = iova_tree_find(endpoint->domain->tree, range.start);
    for (;
         iova_cursor_get(&cursor, &mapping) && range_overlaps(iommu_mapping_range(&mapping), range);
         iova_cursor_next(&cursor)) {
        if (!visit(visit_opaque, &mapping, error)) {
            return false;
        }
    }
    return true;
}

static bool shows_target(struct iommu_region *region)
{
    return virtio_iommu_endpoint_bypasses(endpoint_of(region));
}

static const struct iommu_region_ops region_ops = {
    .translate = translate,
    .walk = walk,
    .shows_target = shows_target,
};

static void make_view(struct virtio_iommu_endpoint *endpoint)
{
    struct virtio_iommu *unit = endpoint->unit;
    g_autofree char *name =
        g_strdup_printf("virtio-iommu-%02x:%02x.%x", endpoint->requester >> 8,
                        endpoint->requester >> 3 & 0x1f, endpoint->requester & 7);

    memory_region_init_container(&endpoint->root, name, VIRTIO_IOMMU_SPACE);
    iommu_region_init(&endpoint->region, name, VIRTIO_IOMMU_SPACE, PAGE_MASK, &region_ops,
                      unit->memory, &unit->lock);
    memory_region_init_alias(&endpoint->messages, "messages", unit->system, VIRTIO_IOMMU_MSI_START,
                             VIRTIO_IOMMU_MSI_LENGTH);
    memory_region_add_subregion(&endpoint->root, 0, &endpoint->region.region);
    memory_region_add_subregion_overlap(&endpoint->root, VIRTIO_IOMMU_MSI_START,
                                        &endpoint->messages, 1);
}

struct virtio_iommu_endpoint *virtio_iommu_get_endpoint(struct virtio_iommu *unit,
                                                        uint16_t requester)
{
    struct virtio_iommu_endpoint *endpoint;

    memory_topology_begin();
    mutex_lock(&unit->lock);
    endpoint = g_hash_table_lookup(unit->endpoints, GUINT_TO_POINTER(requester));
    if (!endpoint) {
        endpoint = g_new0(struct virtio_iommu_endpoint, 1);
        endpoint->unit = unit;
        endpoint->requester = requester;
        mutex_init(&endpoint->lock);
        make_view(endpoint);
        g_hash_table_insert(unit->endpoints, GUINT_TO_POINTER(requester), endpoint);
    }
    endpoint->references++;
    mutex_unlock(&unit->lock);
    memory_topology_commit();
    return endpoint;
}

void virtio_iommu_put_endpoint(struct virtio_iommu_endpoint *endpoint)
{
    struct virtio_iommu *unit = endpoint->unit;
    bool last;

    mutex_lock(&unit->lock);
    last = --endpoint->references == 0;
    if (last) {
        virtio_iommu_force_move(endpoint, NULL);
        g_hash_table_remove(unit->endpoints, GUINT_TO_POINTER(endpoint->requester));
    }
    mutex_unlock(&unit->lock);
    if (last) {
        memory_region_destroy(&endpoint->messages);
        iommu_region_destroy(&endpoint->region);
        memory_region_destroy(&endpoint->root);
        mutex_destroy(&endpoint->lock);
        g_free(endpoint);
    }
}

struct memory_region *virtio_iommu_endpoint_root(struct virtio_iommu_endpoint *endpoint)
{
    return &endpoint->root;
}

struct iommu_region *virtio_iommu_endpoint_region(struct virtio_iommu_endpoint *endpoint)
{
    return &endpoint->region;
}
