/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests (virtio 1.2, 5.13.6): what they say, and which status they get. */
#include "iommu/virtio-iommu-private.h"
#include "memory/translation.h"
#include "util/error.h"
#include "util/little-endian.h"
#include "util/trace.h"

/* What is refused where the specification has no answer: a host's call failed. */
static enum virtio_iommu_status host_status(const GError *error)
{
    trace_virtio_iommu_host_failed(error->message);
    return g_error_matches(error, DUODM_ERROR, DUODM_ERROR_NO_MEMORY) ? VIRTIO_IOMMU_NO_MEMORY
                                                                      : VIRTIO_IOMMU_DEVICE_ERROR;
}

static bool has_feature(const struct virtio_iommu *unit, unsigned bit)
{
    return unit->features >> bit & 1;
}

static struct virtio_iommu_endpoint *find_endpoint(const struct virtio_iommu *unit, uint32_t id)
{
    return g_hash_table_lookup(unit->endpoints, GUINT_TO_POINTER(id));
}

/* The last address that can be mapped. */
static uint64_t input_last(const struct virtio_iommu *unit)
{
    return (UINT64_C(1) << unit->config.address_width) - 1;
}

/* ---- ATTACH, DETACH: domain, endpoint, flags or reserved ---- */

static enum virtio_iommu_status attach(struct virtio_iommu *unit, const uint8_t *request,
                                       uint8_t *properties)
{
    uint32_t id = load_le32(request + 4), flags = load_le32(request + 12);
    struct virtio_iommu_endpoint *endpoint = find_endpoint(unit, load_le32(request + 8));
    bool bypass = flags & VIRTIO_IOMMU_ATTACH_BYPASS;
    struct virtio_iommu_domain *domain;
    g_autoptr(GError) error = NULL;

    if (load_le32(request + 16) || (flags & ~VIRTIO_IOMMU_ATTACH_BYPASS) ||
        (bypass && !has_feature(unit, VIRTIO_IOMMU_F_BYPASS_CONFIG))) {
        return VIRTIO_IOMMU_INVALID;
    }
    if (!endpoint) {
        return VIRTIO_IOMMU_NO_ENTRY;
    }
    if (id > VIRTIO_IOMMU_DOMAIN_LAST) {
        return VIRTIO_IOMMU_OUT_OF_RANGE;
    }
    domain = virtio_iommu_find_domain(unit, id);
    if (!domain) {
        domain = virtio_iommu_domain_new(id, bypass);
        g_hash_table_insert(unit->domains, GUINT_TO_POINTER(id), domain);
    } else if (domain->bypass != bypass) {
        return VIRTIO_IOMMU_INVALID;
    }
    return virtio_iommu_move(endpoint, domain, &error) ? VIRTIO_IOMMU_OK : host_status(error);
}

static enum virtio_iommu_status detach(struct virtio_iommu *unit, const uint8_t *request,
                                       uint8_t *properties)
{
    struct virtio_iommu_endpoint *endpoint = find_endpoint(unit, load_le32(request + 8));
    g_autoptr(GError) error = NULL;

    if (!endpoint) {
        return VIRTIO_IOMMU_NO_ENTRY;
    }
    if (!endpoint->domain || endpoint->domain->id != load_le32(request + 4)) {
        return VIRTIO_IOMMU_INVALID;
    }
    return virtio_iommu_move(endpoint, NULL, &error) ? VIRTIO_IOMMU_OK : host_status(error);
}

/* ---- MAP, UNMAP: domain, first and last address ---- */

static bool is_mapped(const struct virtio_iommu_domain *domain, struct range range)
{
    struct iova_cursor cursor = iova_tree_find(domain->tree, range.start);
    struct iommu_mapping mapping;

    return iova_cursor_get(&cursor, &mapping) &&
           range_overlaps(iommu_mapping_range(&mapping), range);
}

/* What can be said of a MAP request by itself. */
static enum virtio_iommu_status check_map(const struct virtio_iommu *unit, uint64_t first,
                                          uint64_t last, uint64_t physical, uint32_t flags)
{
    uint32_t known = VIRTIO_IOMMU_MAP_READ | VIRTIO_IOMMU_MAP_WRITE;
    static const struct range messages = {VIRTIO_IOMMU_MSI_START, VIRTIO_IOMMU_MSI_LENGTH};

    known |= has_feature(unit, VIRTIO_IOMMU_F_MMIO) ? VIRTIO_IOMMU_MAP_MMIO : 0;
    if ((flags & ~known) || !(flags & (VIRTIO_IOMMU_MAP_READ | VIRTIO_IOMMU_MAP_WRITE)) ||
        last <= first) {
        return VIRTIO_IOMMU_INVALID;
    }
    if ((first | physical | (last + 1)) & (VIRTIO_IOMMU_GRANULE - 1) || last > input_last(unit) ||
        physical >= VIRTIO_IOMMU_SPACE || last - first >= VIRTIO_IOMMU_SPACE - physical) {
        return VIRTIO_IOMMU_OUT_OF_RANGE;
    }
    return range_overlaps(messages, (struct range){first, last - first + 1}) ? VIRTIO_IOMMU_INVALID
                                                                             : VIRTIO_IOMMU_OK;
}

static enum virtio_iommu_status map(struct virtio_iommu *unit, const uint8_t *request,
                                    uint8_t *properties)
{
    struct virtio_iommu_domain *domain = virtio_iommu_find_domain(unit, load_le32(request + 4));
    uint64_t first = load_le64(request + 8), last = load_le64(request + 16);
    uint64_t physical = load_le64(request + 24);
    uint32_t flags = load_le32(request + 32);
    enum virtio_iommu_status status;
    struct iommu_mapping mapping;
    g_autoptr(GError) error = NULL;

    if (!domain) {
        return VIRTIO_IOMMU_NO_ENTRY;
    }
    status = check_map(unit, first, last, physical, flags);
    if (status != VIRTIO_IOMMU_OK) {
        return status;
    }
    mapping = (struct iommu_mapping){.iova = first,
                                     .length = last - first + 1,
                                     .translated = physical,
                                     .access = (flags & VIRTIO_IOMMU_MAP_READ ? IOMMU_READ : 0) |
                                               (flags & VIRTIO_IOMMU_MAP_WRITE ? IOMMU_WRITE : 0)};
    if (domain->bypass || is_mapped(domain, iommu_mapping_range(&mapping))) {
        return VIRTIO_IOMMU_INVALID;
    }
    if (unit->mapping_count >= unit->config.mapping_limit) {
        return VIRTIO_IOMMU_NO_MEMORY;
    }
    return virtio_iommu_domain_map(unit, domain, &mapping, &error) ? VIRTIO_IOMMU_OK
                                                                   : host_status(error);
}

/* Does a mapping reach over either end of range? */
static bool is_cut(const struct virtio_iommu_domain *domain, struct range range)
{
    uint64_t last = range.start + (range.length - 1);
    struct iova_cursor at_start = iova_tree_find(domain->tree, range.start);
    struct iova_cursor at_last = iova_tree_find(domain->tree, last);
    struct iommu_mapping mapping;

    if (iova_cursor_get(&at_start, &mapping) && mapping.iova < range.start) {
        return true;
    }
    return iova_cursor_get(&at_last, &mapping) && mapping.iova <= last &&
           mapping.iova + (mapping.length - 1) > last;
}

static enum virtio_iommu_status unmap(struct virtio_iommu *unit, const uint8_t *request,
                                      uint8_t *properties)
{
    struct virtio_iommu_domain *domain = virtio_iommu_find_domain(unit, load_le32(request + 4));
    uint64_t first = load_le64(request + 8), last = load_le64(request + 16);
    g_autoptr(GError) error = NULL;
    struct range range;

    if (!domain) {
        return VIRTIO_IOMMU_NO_ENTRY;
    }
    if (load_le32(request + 24) || domain->bypass || last < first) {
        return VIRTIO_IOMMU_INVALID;
    }
    if (first > input_last(unit)) {
        return VIRTIO_IOMMU_OK; /* nothing can be there */
    }
    range = (struct range){first, MIN(last, input_last(unit)) - first + 1};
    if (is_cut(domain, range)) {
        return VIRTIO_IOMMU_OUT_OF_RANGE;
    }
    return virtio_iommu_domain_unmap(unit, domain, range, &error) ? VIRTIO_IOMMU_OK
                                                                  : host_status(error);
}

/* ---- PROBE: endpoint ---- */

static enum virtio_iommu_status probe(struct virtio_iommu *unit, const uint8_t *request,
                                      uint8_t *properties)
{
    struct virtio_iommu_endpoint *endpoint = find_endpoint(unit, load_le32(request + 4));

    if (!endpoint) {
        return VIRTIO_IOMMU_NO_ENTRY;
    }
    virtio_iommu_put_properties(endpoint, properties);
    return VIRTIO_IOMMU_OK;
}

/* ---- All ---- */

struct request_kind {
    /* properties: VIRTIO_IOMMU_PROBE_BYTES of zeros, for PROBE. The lock is held. */
    enum virtio_iommu_status (*handle)(struct virtio_iommu *unit, const uint8_t *request,
                                       uint8_t *properties);
    unsigned size;         /* bytes of the device-readable part */
    unsigned feature;      /* without which it is none */
    unsigned answer_bytes; /* before the tail */
};

static const struct request_kind kinds[] = {
    [VIRTIO_IOMMU_ATTACH] = {attach, VIRTIO_IOMMU_ATTACH_SIZE, VIRTIO_IOMMU_F_MAP_UNMAP, 0},
    [VIRTIO_IOMMU_DETACH] = {detach, VIRTIO_IOMMU_DETACH_SIZE, VIRTIO_IOMMU_F_MAP_UNMAP, 0},
    [VIRTIO_IOMMU_MAP] = {map, VIRTIO_IOMMU_MAP_SIZE, VIRTIO_IOMMU_F_MAP_UNMAP, 0},
    [VIRTIO_IOMMU_UNMAP] = {unmap, VIRTIO_IOMMU_UNMAP_SIZE, VIRTIO_IOMMU_F_MAP_UNMAP, 0},
    [VIRTIO_IOMMU_PROBE] = {probe, VIRTIO_IOMMU_PROBE_SIZE, VIRTIO_IOMMU_F_PROBE,
                            VIRTIO_IOMMU_PROBE_BYTES},
};

static const struct request_kind *find_kind(const struct virtio_iommu *unit, const uint8_t *out,
                                            size_t out_length)
{
    const struct request_kind *kind = NULL;

    if (out_length >= VIRTIO_IOMMU_HEAD_SIZE && out[0] < G_N_ELEMENTS(kinds)) {
        kind = &kinds[out[0]];
    }
    return kind && kind->handle && has_feature(unit, kind->feature) ? kind : NULL;
}

static enum virtio_iommu_status carry_out(struct virtio_iommu *unit,
                                          const struct request_kind *kind, const uint8_t *out,
                                          uint8_t *properties)
{
    enum virtio_iommu_status status;

    mutex_lock(&unit->lock);
    status = kind->handle(unit, out, properties);
    mutex_unlock(&unit->lock);
    memory_translation_synchronize();
    return status;
}

size_t virtio_iommu_request(struct virtio_iommu *unit, const uint8_t *out, size_t out_length,
                            uint8_t *in, size_t in_length)
{
    const struct request_kind *kind = find_kind(unit, out, out_length);
    enum virtio_iommu_status status = VIRTIO_IOMMU_INVALID;
    bool fits;

    if (!kind || in_length < VIRTIO_IOMMU_TAIL_SIZE) {
        return 0;
    }
    fits = in_length >= kind->answer_bytes + VIRTIO_IOMMU_TAIL_SIZE;
    /* Where there is less room than that, the tail is where the driver's buffer ends. */
    in_length = fits ? kind->answer_bytes + VIRTIO_IOMMU_TAIL_SIZE : in_length;
    memset(in, 0, in_length);
    if (fits && out_length == kind->size) {
        status = carry_out(unit, kind, out, in);
    }
    in[in_length - VIRTIO_IOMMU_TAIL_SIZE] = (uint8_t)status;
    trace_virtio_iommu_request(out[0], status);
    return in_length;
}
