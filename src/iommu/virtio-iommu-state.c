/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Saved state: for each domain, all numbers little-endian,
 *
 *     u32 id, u8 bypass, u32 endpoints, u32 mappings
 *     per endpoint: u16 requester
 *     per mapping, in order: u64 iova, u64 length, u64 translated, u8 access
 *
 * It is read as a whole into domains that nobody is in yet; only if all of it can be this unit's
 * are these put in place of what is there.
 */
#include "iommu/virtio-iommu-private.h"
#include "util/little-endian.h"

#define DOMAIN_BYTES  13u
#define MAPPING_BYTES 25u

/* ---- Saving ---- */

static void save_mapping(GByteArray *bytes, const struct iommu_mapping *mapping)
{
    uint8_t record[MAPPING_BYTES];

    store_le64(record, mapping->iova);
    store_le64(record + 8, mapping->length);
    store_le64(record + 16, mapping->translated);
    record[24] = (uint8_t)mapping->access;
    g_byte_array_append(bytes, record, sizeof(record));
}

static void save_domain(GByteArray *bytes, const struct virtio_iommu_domain *domain)
{
    uint8_t head[DOMAIN_BYTES], requester[2];
    struct iova_cursor cursor = iova_tree_find(domain->tree, 0);
    struct iommu_mapping mapping;

    store_le32(head, domain->id);
    head[4] = domain->bypass;
    store_le32(head + 5, domain->endpoints->len);
    store_le32(head + 9, (uint32_t)iova_tree_count(domain->tree));
    g_byte_array_append(bytes, head, sizeof(head));
    for (unsigned i = 0; i < domain->endpoints->len; i++) {
        const struct virtio_iommu_endpoint *endpoint = g_ptr_array_index(domain->endpoints, i);

        store_le16(requester, endpoint->requester);
        g_byte_array_append(bytes, requester, sizeof(requester));
    }
    for (; iova_cursor_get(&cursor, &mapping); iova_cursor_next(&cursor)) {
        save_mapping(bytes, &mapping);
    }
}

static gint by_id(gconstpointer a, gconstpointer b)
{
    return GPOINTER_TO_UINT(a) < GPOINTER_TO_UINT(b) ? -1 : 1;
}

void virtio_iommu_save(struct virtio_iommu *unit, GByteArray *bytes)
{
    g_autoptr(GList) ids = NULL;

    mutex_lock(&unit->lock);
    ids = g_list_sort(g_hash_table_get_keys(unit->domains), by_id);
    for (const GList *at = ids; at; at = at->next) {
        save_domain(bytes, g_hash_table_lookup(unit->domains, at->data));
    }
    mutex_unlock(&unit->lock);
}

/* ---- Loading ---- */

struct loader {
    struct virtio_iommu *unit;
    const uint8_t *at;
    size_t left;
    GPtrArray *domains; /* that were read, without endpoints */
    GArray *places;     /* of struct place */
    uint64_t mappings;
};

struct place {
    struct virtio_iommu_endpoint *endpoint;
    struct virtio_iommu_domain *domain;
};

static const uint8_t *take(struct loader *loader, size_t length)
{
    const uint8_t *at = loader->at;

    if (loader->left < length) {
        return NULL;
    }
    loader->at += length;
    loader->left -= length;
    return at;
}

/* Each endpoint is there, and in one domain. */
static bool load_endpoint(struct loader *loader, struct virtio_iommu_domain *domain)
{
    const uint8_t *record = take(loader, 2);
    struct place place = {.domain = domain};

    if (!record) {
        return false;
    }
    place.endpoint =
        g_hash_table_lookup(loader->unit->endpoints, GUINT_TO_POINTER(load_le16(record)));
    for (unsigned i = 0; i < loader->places->len; i++) {
        if (g_array_index(loader->places, struct place, i).endpoint == place.endpoint) {
            return false;
        }
    }
    g_array_append_val(loader->places, place);
    return place.endpoint != NULL;
}

static bool is_possible(const struct virtio_iommu *unit, const struct iommu_mapping *mapping)
{
    const struct range input = {0, UINT64_C(1) << unit->config.address_width};
    const struct range messages = {VIRTIO_IOMMU_MSI_START, VIRTIO_IOMMU_MSI_LENGTH};
    struct range range = iommu_mapping_range(mapping);

    return mapping->length && range_contains_range(input, range) &&
           !range_overlaps(messages, range) &&
           range_contains_range(virtio_iommu_everything(),
                                (struct range){mapping->translated, mapping->length}) &&
           !((mapping->iova | mapping->length | mapping->translated) &
             (VIRTIO_IOMMU_GRANULE - 1)) &&
           mapping->access && !(mapping->access & ~(unsigned)(IOMMU_READ | IOMMU_WRITE));
}

static bool load_mapping(struct loader *loader, struct virtio_iommu_domain *domain)
{
    const uint8_t *record = take(loader, MAPPING_BYTES);
    struct iommu_mapping mapping;

    if (!record || domain->bypass || ++loader->mappings > loader->unit->config.mapping_limit) {
        return false;
    }
    mapping = (struct iommu_mapping){.iova = load_le64(record),
                                     .length = load_le64(record + 8),
                                     .translated = load_le64(record + 16),
                                     .access = record[24]};
    return is_possible(loader->unit, &mapping) && iova_tree_insert(domain->tree, &mapping);
}

static bool load_domain(struct loader *loader)
{
    const uint8_t *head = take(loader, DOMAIN_BYTES);
    struct virtio_iommu_domain *domain;
    bool good;

    if (!head) {
        return false;
    }
    domain = virtio_iommu_domain_new(load_le32(head), head[4] != 0);
    good = domain->id <= VIRTIO_IOMMU_DOMAIN_LAST && head[4] <= 1 && load_le32(head + 5);
    for (unsigned i = 0; i < loader->domains->len; i++) {
        const struct virtio_iommu_domain *other = g_ptr_array_index(loader->domains, i);

        good &= other->id != domain->id;
    }
    g_ptr_array_add(loader->domains, domain);
    for (uint32_t i = load_le32(head + 5); good && i > 0; i--) {
        good = load_endpoint(loader, domain);
    }
    for (uint32_t i = load_le32(head + 9); good && i > 0; i--) {
        good = load_mapping(loader, domain);
    }
    return good;
}

static void put_in_place(struct loader *loader)
{
    struct virtio_iommu *unit = loader->unit;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, unit->endpoints);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        virtio_iommu_force_move(value, NULL); /* the domains that were end with their last */
    }
    for (unsigned i = 0; i < loader->domains->len; i++) {
        struct virtio_iommu_domain *domain = g_ptr_array_index(loader->domains, i);

        g_hash_table_insert(unit->domains, GUINT_TO_POINTER(domain->id), domain);
        unit->mapping_count += iova_tree_count(domain->tree);
    }
    for (unsigned i = 0; i < loader->places->len; i++) {
        const struct place *place = &g_array_index(loader->places, struct place, i);

        virtio_iommu_force_move(place->endpoint, place->domain);
    }
}

bool virtio_iommu_load(struct virtio_iommu *unit, const uint8_t *bytes, size_t length)
{
    struct loader loader = {.unit = unit, .at = bytes, .left = length};
    bool good = true;

    loader.domains = g_ptr_array_new();
    loader.places = g_array_new(false, false, sizeof(struct place));
    mutex_lock(&unit->lock);
    while (good && loader.left) {
        good = load_domain(&loader);
    }
    if (good) {
        put_in_place(&loader);
    }
    mutex_unlock(&unit->lock);
    for (unsigned i = 0; !good && i < loader.domains->len; i++) {
        virtio_iommu_domain_free(g_ptr_array_index(loader.domains, i));
    }
    g_ptr_array_unref(loader.domains);
    g_array_unref(loader.places);
    return good;
}
