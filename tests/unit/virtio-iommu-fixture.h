/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtio-iommu with some memory and endpoints, each followed by a host; requests as a driver
 * writes them. */
#ifndef DUODM_TESTS_UNIT_VIRTIO_IOMMU_FIXTURE_H
#define DUODM_TESTS_UNIT_VIRTIO_IOMMU_FIXTURE_H

#include "iommu/virtio-iommu.h"
#include "unit/iommu-fixture.h"
#include "util/little-endian.h"

#define ENDPOINTS      3
#define ALL_FEATURES   0x77u /* 0 to 2, 4 to 6 */
#define LOW_RAM_PAGES  256u  /* from 0 on */
#define HIGH_RAM_START 384u  /* page */
#define HIGH_RAM_PAGES 64u
#define NO_ANSWER      0xffu

struct vi {
    struct memory_region system, low_ram, high_ram;
    struct address_space memory;
    struct virtio_iommu *unit;
    struct virtio_iommu_endpoint *endpoints[ENDPOINTS];
    struct fixture_host hosts[ENDPOINTS];
    struct iommu_notifier notifiers[ENDPOINTS];
    unsigned events; /* faults told of */
};

/* Not its own: 00:03.0 and on. */
static inline uint16_t vi_requester(unsigned index)
{
    return (uint16_t)((3 + index) << 3);
}

static inline void vi_fault_recorded(void *opaque)
{
    ((struct vi *)opaque)->events++;
}

static inline void vi_failed(struct iommu_notifier *notifier, const GError *error)
{
    ((struct fixture_host *)notifier->opaque)->told = true;
}

static inline bool vi_plug(struct vi *vi, unsigned index, GError **error)
{
    vi->notifiers[index] = fixture_notifier(&vi->hosts[index]);
    vi->notifiers[index].failed = vi_failed;
    return iommu_notifier_register(virtio_iommu_endpoint_region(vi->endpoints[index]),
                                   &vi->notifiers[index], error);
}

static inline void vi_unplug(struct vi *vi, unsigned index)
{
    iommu_notifier_unregister(&vi->notifiers[index], NULL);
}

/* bypass: of endpoints in no domain. No host follows yet. */
static inline struct vi *vi_new(bool bypass)
{
    struct virtio_iommu_config config = {
        .address_width = 48, .mapping_limit = 40, .bypass = bypass};
    struct vi *vi = g_new0(struct vi, 1);
    struct virtio_iommu_host host = {vi_fault_recorded, NULL, vi};

    memory_region_init_container(&vi->system, "system", 1ull << 52);
    CU_ASSERT_TRUE_FATAL(
        memory_region_init_ram(&vi->low_ram, "low", LOW_RAM_PAGES * FIXTURE_PAGE, NULL));
    CU_ASSERT_TRUE_FATAL(
        memory_region_init_ram(&vi->high_ram, "high", HIGH_RAM_PAGES * FIXTURE_PAGE, NULL));
    memory_region_add_subregion(&vi->system, 0, &vi->low_ram);
    memory_region_add_subregion(&vi->system, HIGH_RAM_START * FIXTURE_PAGE, &vi->high_ram);
    address_space_init(&vi->memory, &vi->system, "memory");
    vi->unit = virtio_iommu_new(&config, &host, &vi->memory, &vi->system);
    virtio_iommu_set_features(vi->unit, ALL_FEATURES);
    for (unsigned i = 0; i < ENDPOINTS; i++) {
        vi->endpoints[i] = virtio_iommu_get_endpoint(vi->unit, vi_requester(i));
    }
    return vi;
}

static inline void vi_free(struct vi *vi)
{
    for (unsigned i = 0; i < ENDPOINTS; i++) {
        vi_unplug(vi, i);
        virtio_iommu_put_endpoint(vi->endpoints[i]);
    }
    virtio_iommu_free(vi->unit);
    address_space_destroy(&vi->memory);
    memory_region_destroy(&vi->high_ram);
    memory_region_destroy(&vi->low_ram);
    memory_region_destroy(&vi->system);
    g_free(vi);
}

/* The status of a request of so many bytes, or NO_ANSWER. */
static inline unsigned vi_send(struct vi *vi, const uint8_t *out, size_t length)
{
    uint8_t in[VIRTIO_IOMMU_TAIL_SIZE];
    size_t used = virtio_iommu_request(vi->unit, out, length, in, sizeof(in));

    CU_ASSERT_TRUE(used == 0 || used == sizeof(in));
    return used ? in[0] : NO_ANSWER;
}

static inline unsigned vi_attach(struct vi *vi, uint32_t domain, uint32_t endpoint, uint32_t flags)
{
    uint8_t out[VIRTIO_IOMMU_ATTACH_SIZE] = {VIRTIO_IOMMU_ATTACH};

    store_le32(out + 4, domain);
    store_le32(out + 8, endpoint);
    store_le32(out + 12, flags);
    return vi_send(vi, out, sizeof(out));
}

static inline unsigned vi_detach(struct vi *vi, uint32_t domain, uint32_t endpoint)
{
    uint8_t out[VIRTIO_IOMMU_DETACH_SIZE] = {VIRTIO_IOMMU_DETACH};

    store_le32(out + 4, domain);
    store_le32(out + 8, endpoint);
    return vi_send(vi, out, sizeof(out));
}

/* last: of the range. */
static inline unsigned vi_map(struct vi *vi, uint32_t domain, uint64_t first, uint64_t last,
                              uint64_t physical, uint32_t flags)
{
    uint8_t out[VIRTIO_IOMMU_MAP_SIZE] = {VIRTIO_IOMMU_MAP};

    store_le32(out + 4, domain);
    store_le64(out + 8, first);
    store_le64(out + 16, last);
    store_le64(out + 24, physical);
    store_le32(out + 32, flags);
    return vi_send(vi, out, sizeof(out));
}

static inline unsigned vi_unmap(struct vi *vi, uint32_t domain, uint64_t first, uint64_t last)
{
    uint8_t out[VIRTIO_IOMMU_UNMAP_SIZE] = {VIRTIO_IOMMU_UNMAP};

    store_le32(out + 4, domain);
    store_le64(out + 8, first);
    store_le64(out + 16, last);
    return vi_send(vi, out, sizeof(out));
}

/* The same by pages. */
static inline unsigned vi_map_pages(struct vi *vi, uint32_t domain, unsigned page, unsigned pages,
                                    unsigned target, uint32_t flags)
{
    return vi_map(vi, domain, page * FIXTURE_PAGE, (page + pages) * FIXTURE_PAGE - 1,
                  target * FIXTURE_PAGE, flags);
}

static inline unsigned vi_unmap_pages(struct vi *vi, uint32_t domain, unsigned page, unsigned pages)
{
    return vi_unmap(vi, domain, page * FIXTURE_PAGE, (page + pages) * FIXTURE_PAGE - 1);
}

/* Where an endpoint's access leads; false: nowhere. A probe records no fault. */
static inline bool vi_translate(struct vi *vi, unsigned index, iova_t iova, bool is_write,
                                bool is_probe, gpa_t *address)
{
    struct iommu_region *region = virtio_iommu_endpoint_region(vi->endpoints[index]);
    struct iommu_entry entry = region->ops->translate(
        region, iova, is_write, (struct memory_attributes){.is_probe = is_probe});

    *address = entry.translated + (iova - entry.iova);
    return entry.target && (is_write ? entry.writable : entry.readable);
}

#endif
