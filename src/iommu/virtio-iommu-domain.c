/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Domains: who is in which, and what they map. Each change is made for all hosts, or not at all. */
#include "iommu/virtio-iommu-private.h"
#include "util/trace.h"

struct virtio_iommu_domain *virtio_iommu_domain_new(uint32_t id, bool bypass)
{
    struct virtio_iommu_domain *domain = g_new0(struct virtio_iommu_domain, 1);

    domain->id = id;
    domain->bypass = bypass;
    domain->tree = iova_tree_new();
    domain->endpoints = g_ptr_array_new();
    return domain;
}

void virtio_iommu_domain_free(struct virtio_iommu_domain *domain)
{
    iova_tree_free(domain->tree);
    g_ptr_array_unref(domain->endpoints);
    g_free(domain);
}

struct virtio_iommu_domain *virtio_iommu_find_domain(const struct virtio_iommu *unit, uint32_t id)
{
    return g_hash_table_lookup(unit->domains, GUINT_TO_POINTER(id));
}

/* ---- Endpoints ---- */

static gint by_requester(gconstpointer a, gconstpointer b)
{
    const struct virtio_iommu_endpoint *const *x = a, *const *y = b;

    return (*x)->requester - (*y)->requester;
}

static void set_domain(struct virtio_iommu_endpoint *endpoint, struct virtio_iommu_domain *domain)
{
    if (endpoint->domain) {
        g_ptr_array_remove(endpoint->domain->endpoints, endpoint);
    }
    mutex_lock(&endpoint->lock);
    endpoint->domain = domain;
    mutex_unlock(&endpoint->lock);
    if (domain) {
        g_ptr_array_add(domain->endpoints, endpoint);
        g_ptr_array_sort(domain->endpoints, by_requester); /* the order of their locks */
    }
}

static void end_if_empty(struct virtio_iommu *unit, struct virtio_iommu_domain *domain)
{
    if (domain && domain != unit->nowhere && domain->endpoints->len == 0) {
        unit->mapping_count -= iova_tree_count(domain->tree);
        g_hash_table_remove(unit->domains, GUINT_TO_POINTER(domain->id)); /* frees it */
    }
}

/* Back to where it was. Hosts that can't even do that are told that they are wrong. */
static void put_back(struct virtio_iommu_endpoint *endpoint, struct virtio_iommu_domain *domain)
{
    set_domain(endpoint, domain);
    iommu_region_invalidate(&endpoint->region, virtio_iommu_everything());
}

/*
 * First out of the one domain, then into the other. So a host holds each mapping as the guest made
 * it in the domain where it is now, even if the other one had the same pages in other pieces, and
 * can drop it alone.
 */
static bool try_move(struct virtio_iommu_endpoint *endpoint, struct virtio_iommu_domain *domain,
                     GError **error)
{
    struct virtio_iommu *unit = endpoint->unit;
    struct virtio_iommu_domain *old = endpoint->domain;

    set_domain(endpoint, unit->nowhere);
    if (!iommu_region_update(&endpoint->region, virtio_iommu_everything(), error)) {
        put_back(endpoint, old);
        return false;
    }
    set_domain(endpoint, domain);
    if (!iommu_region_update(&endpoint->region, virtio_iommu_everything(), error)) {
        set_domain(endpoint, unit->nowhere);
        iommu_region_update(&endpoint->region, virtio_iommu_everything(), NULL);
        put_back(endpoint, old);
        return false;
    }
    return true;
}

bool virtio_iommu_move(struct virtio_iommu_endpoint *endpoint, struct virtio_iommu_domain *domain,
                       GError **error)
{
    struct virtio_iommu_domain *old = endpoint->domain;
    bool ok;

    if (old == domain) {
        return true;
    }
    ok = try_move(endpoint, domain, error);
    end_if_empty(endpoint->unit, ok ? old : domain);
    return ok;
}

void virtio_iommu_force_move(struct virtio_iommu_endpoint *endpoint,
                             struct virtio_iommu_domain *domain)
{
    struct virtio_iommu_domain *old = endpoint->domain;

    if (old != domain) {
        put_back(endpoint, endpoint->unit->nowhere);
        put_back(endpoint, domain);
        end_if_empty(endpoint->unit, old);
    }
}

/* ---- Mappings ---- */

static struct virtio_iommu_endpoint *endpoint_at(const struct virtio_iommu_domain *domain,
                                                 unsigned index)
{
    return g_ptr_array_index(domain->endpoints, index);
}

/* Nobody translates meanwhile. There is one at most who holds several of these locks: who has the
 * unit's. */
static void lock_tree(struct virtio_iommu_domain *domain)
{
    for (unsigned i = 0; i < domain->endpoints->len; i++) {
        mutex_lock(&endpoint_at(domain, i)->lock);
    }
}

static void unlock_tree(struct virtio_iommu_domain *domain)
{
    for (unsigned i = domain->endpoints->len; i-- > 0;) {
        mutex_unlock(&endpoint_at(domain, i)->lock);
    }
}

static void invalidate(struct virtio_iommu_domain *domain, struct range range, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        iommu_region_invalidate(&endpoint_at(domain, i)->region, range);
    }
}

bool virtio_iommu_domain_map(struct virtio_iommu *unit, struct virtio_iommu_domain *domain,
                             const struct iommu_mapping *mapping, GError **error)
{
    for (unsigned i = 0; i < domain->endpoints->len; i++) {
        if (!iommu_region_map(&endpoint_at(domain, i)->region, mapping, error)) {
            /* The tree has it not: what others hold of it goes. */
            invalidate(domain, iommu_mapping_range(mapping), i);
            return false;
        }
    }
    lock_tree(domain);
    iova_tree_insert(domain->tree, mapping);
    unlock_tree(domain);
    unit->mapping_count++;
    return true;
}

static void insert_all(struct virtio_iommu_domain *domain, const GArray *mappings)
{
    lock_tree(domain);
    for (unsigned i = 0; i < mappings->len; i++) {
        iova_tree_insert(domain->tree, &g_array_index(mappings, struct iommu_mapping, i));
    }
    unlock_tree(domain);
}

/* Take those in range out of the tree. */
static GArray *remove_all(struct virtio_iommu_domain *domain, struct range range)
{
    GArray *removed = g_array_new(false, false, sizeof(struct iommu_mapping));
    struct iova_cursor cursor = iova_tree_find(domain->tree, range.start);
    struct iommu_mapping mapping;

    for (;
         iova_cursor_get(&cursor, &mapping) && range_overlaps(iommu_mapping_range(&mapping), range);
         iova_cursor_next(&cursor)) {
        g_array_append_val(removed, mapping);
    }
    lock_tree(domain);
    for (unsigned i = 0; i < removed->len; i++) {
        iova_tree_remove(domain->tree, g_array_index(removed, struct iommu_mapping, i).iova);
    }
    unlock_tree(domain);
    return removed;
}

bool virtio_iommu_domain_unmap(struct virtio_iommu *unit, struct virtio_iommu_domain *domain,
                               struct range range, GError **error)
{
    g_autoptr(GArray) removed = remove_all(domain, range);
    bool ok = true;

    for (unsigned i = 0; removed->len && i < domain->endpoints->len; i++) {
        ok &= iommu_region_unmap(&endpoint_at(domain, i)->region, range, ok ? error : NULL);
    }
    if (!ok) { /* a host still has some: so has the guest */
        insert_all(domain, removed);
        invalidate(domain, range, domain->endpoints->len);
        return false;
    }
    unit->mapping_count -= removed->len;
    return true;
}
