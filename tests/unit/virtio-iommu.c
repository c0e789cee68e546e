/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-iommu's requests, one by one as its specification has them. */
#include "unit/suite.h"
#include "unit/virtio-iommu-fixture.h"

#define R  VIRTIO_IOMMU_MAP_READ
#define W  VIRTIO_IOMMU_MAP_WRITE
#define RW (R | W)

static unsigned held(const struct vi *vi, unsigned index)
{
    return vi->hosts[index].mapped;
}

static void plug_all(struct vi *vi)
{
    for (unsigned i = 0; i < ENDPOINTS; i++) {
        CU_ASSERT_TRUE_FATAL(vi_plug(vi, i, NULL));
    }
}

/* ---- What requests are answered ---- */

static void test_attach(void)
{
    struct vi *vi = vi_new(false);
    uint8_t reserved[VIRTIO_IOMMU_ATTACH_SIZE] = {VIRTIO_IOMMU_ATTACH, [8] = 0x18, [16] = 1};

    CU_ASSERT_EQUAL(vi_send(vi, reserved, sizeof(reserved)), VIRTIO_IOMMU_INVALID);
    CU_ASSERT_EQUAL(vi_attach(vi, 1, vi_requester(0), 2), VIRTIO_IOMMU_INVALID);
    CU_ASSERT_EQUAL(vi_attach(vi, 1, 0x10, 0), VIRTIO_IOMMU_NO_ENTRY);
    CU_ASSERT_EQUAL(vi_attach(vi, 1, vi_requester(0) | 0x10000, 0), VIRTIO_IOMMU_NO_ENTRY);
    CU_ASSERT_EQUAL(vi_attach(vi, 0x10000, vi_requester(0), 0), VIRTIO_IOMMU_OUT_OF_RANGE);
    CU_ASSERT_EQUAL(g_hash_table_size(vi->unit->domains), 0);
    CU_ASSERT_EQUAL(vi_attach(vi, 1, vi_requester(0), 0), VIRTIO_IOMMU_OK);
    CU_ASSERT_EQUAL(vi_attach(vi, 1, vi_requester(0), 0), VIRTIO_IOMMU_OK);
    CU_ASSERT_EQUAL(vi_attach(vi, 1, vi_requester(1), 1), VIRTIO_IOMMU_INVALID);
    CU_ASSERT_EQUAL(vi_attach(vi, 0, vi_requester(1), 1), VIRTIO_IOMMU_OK);
    CU_ASSERT_EQUAL(vi_attach(vi, 0, vi_requester(2), 0), VIRTIO_IOMMU_INVALID);
    CU_ASSERT_EQUAL(vi_detach(vi, 0, vi_requester(0)), VIRTIO_IOMMU_INVALID);
    CU_ASSERT_EQUAL(vi_detach(vi, 7, vi_requester(0)), VIRTIO_IOMMU_INVALID);
    CU_ASSERT_EQUAL(vi_detach(vi, 1, vi_requester(2)), VIRTIO_IOMMU_INVALID);
    CU_ASSERT_EQUAL(vi_detach(vi, 1, 0x10), VIRTIO_IOMMU_NO_ENTRY);
    CU_ASSERT_EQUAL(vi_attach(vi, 0xffff, vi_requester(0), 0), VIRTIO_IOMMU_OK); /* moves */
    CU_ASSERT_EQUAL(vi_map_pages(vi, 1, 0, 1, 0, RW), VIRTIO_IOMMU_NO_ENTRY);    /* 1 is gone */
    CU_ASSERT_EQUAL(vi_detach(vi, 0xffff, vi_requester(0)), VIRTIO_IOMMU_OK);
    CU_ASSERT_EQUAL(vi_detach(vi, 0, vi_requester(1)), VIRTIO_IOMMU_OK);
    CU_ASSERT_EQUAL(g_hash_table_size(vi->unit->domains), 0);
    vi_free(vi);
}

static void test_map(void)
{
    struct vi *vi = vi_new(false);
    const uint64_t end = 1ull << 48;
    static const struct {
        uint64_t first, last, physical;
        uint32_t flags;
        unsigned status;
    } cases[] = {
        {0x1000, 0x1fff, 0, 0, VIRTIO_IOMMU_INVALID},
        {0x1000, 0x1fff, 0, VIRTIO_IOMMU_MAP_MMIO, VIRTIO_IOMMU_INVALID},
        {0x1000, 0x1fff, 0, 8 | R, VIRTIO_IOMMU_INVALID},
        {0x1000, 0x0fff, 0, R, VIRTIO_IOMMU_INVALID},
        {0x1000, 0x1000, 0, R, VIRTIO_IOMMU_INVALID},
        {0x1000, 0x17ff, 0, R, VIRTIO_IOMMU_OUT_OF_RANGE},
        {0x1800, 0x1fff, 0, R, VIRTIO_IOMMU_OUT_OF_RANGE},
        {0x1000, 0x1fff, 0x800, R, VIRTIO_IOMMU_OUT_OF_RANGE},
        {0, UINT64_MAX, 0, R, VIRTIO_IOMMU_OUT_OF_RANGE},
        {1ull << 48, (1ull << 48) + 0xfff, 0, R, VIRTIO_IOMMU_OUT_OF_RANGE},
        {(1ull << 48) - 0x1000, (1ull << 48) + 0xfff, 0, R, VIRTIO_IOMMU_OUT_OF_RANGE},
        {0x1000, 0x2fff, UINT64_MAX - 0xfff, R, VIRTIO_IOMMU_OUT_OF_RANGE},
        {0x1000, 0x2fff, (1ull << 52) - 0x1000, R, VIRTIO_IOMMU_OUT_OF_RANGE},
        {0xfee00000, 0xfee00fff, 0, R, VIRTIO_IOMMU_INVALID},
        {0xfedff000, 0xfee00fff, 0, R, VIRTIO_IOMMU_INVALID},
        {0, (1ull << 48) - 1, 0, R, VIRTIO_IOMMU_INVALID}, /* the messages are within */
        {0xfedff000, 0xfedfffff, 0, R, VIRTIO_IOMMU_OK},
        {0x1000, 0x2fff, 0x5000, W | VIRTIO_IOMMU_MAP_MMIO, VIRTIO_IOMMU_OK},
        {0x2000, 0x3fff, 0x5000, R, VIRTIO_IOMMU_INVALID},
        {0x0000, 0x1fff, 0x5000, R, VIRTIO_IOMMU_INVALID},
        {0x0000, 0x3fff, 0x5000, R, VIRTIO_IOMMU_INVALID},
        {0x3000, 0x3fff, 0x5000, RW, VIRTIO_IOMMU_OK},
    };

    CU_ASSERT_EQUAL(vi_map_pages(vi, 1, 0, 1, 0, RW), VIRTIO_IOMMU_NO_ENTRY);
    CU_ASSERT_EQUAL(vi_unmap_pages(vi, 1, 0, 1), VIRTIO_IOMMU_NO_ENTRY);
    CU_ASSERT_EQUAL(vi_attach(vi, 1, vi_requester(0), 0), VIRTIO_IOMMU_OK);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        CU_ASSERT_EQUAL(
            vi_map(vi, 1, cases[i].first, cases[i].last, cases[i].physical, cases[i].flags),
            cases[i].status);
    }
    CU_ASSERT_EQUAL(vi_map(vi, 1, end - 0x1000, end - 1, 0, R), VIRTIO_IOMMU_OK);
    CU_ASSERT_EQUAL(vi_attach(vi, 2, vi_requester(1), VIRTIO_IOMMU_ATTACH_BYPASS), VIRTIO_IOMMU_OK);
    CU_ASSERT_EQUAL(vi_map_pages(vi, 2, 0, 1, 0, RW), VIRTIO_IOMMU_INVALID);
    CU_ASSERT_EQUAL(vi_unmap_pages(vi, 2, 0, 1), VIRTIO_IOMMU_INVALID);
    virtio_iommu_set_features(vi->unit, ALL_FEATURES & ~(1u << VIRTIO_IOMMU_F_MMIO));
    CU_ASSERT_EQUAL(vi_map_pages(vi, 1, 9, 1, 0, R | VIRTIO_IOMMU_MAP_MMIO), VIRTIO_IOMMU_INVALID);
    vi_free(vi);
}

/* The seven examples of the specification, in pages; and what comes after. */
static void test_unmap(void)
{
    struct vi *vi = vi_new(false);
    uint8_t reserved[VIRTIO_IOMMU_UNMAP_SIZE] = {
        VIRTIO_IOMMU_UNMAP, [4] = 1, [17] = 0x10, [24] = 1};
    gpa_t address;

    CU_ASSERT_EQUAL(vi_attach(vi, 1, vi_requester(0), 0), VIRTIO_IOMMU_OK);
    plug_all(vi);
    CU_ASSERT_EQUAL(vi_unmap_pages(vi, 1, 0, 5), VIRTIO_IOMMU_OK); /* (1) */
    vi_map_pages(vi, 1, 0, 10, 0, RW);
    CU_ASSERT_EQUAL(held(vi, 0), 1);
    CU_ASSERT_EQUAL(vi_unmap_pages(vi, 1, 0, 10), VIRTIO_IOMMU_OK); /* (2) */
    CU_ASSERT_EQUAL(held(vi, 0), 0);
    vi_map_pages(vi, 1, 0, 5, 0, RW);
    vi_map_pages(vi, 1, 5, 5, 5, RW);
    CU_ASSERT_EQUAL(held(vi, 0), 2);
    CU_ASSERT_EQUAL(vi_unmap_pages(vi, 1, 0, 10), VIRTIO_IOMMU_OK); /* (3) */
    CU_ASSERT_EQUAL(held(vi, 0), 0);
    vi_map_pages(vi, 1, 0, 10, 0, RW);
    CU_ASSERT_EQUAL(vi_unmap_pages(vi, 1, 0, 5), VIRTIO_IOMMU_OUT_OF_RANGE); /* (4) */
    CU_ASSERT_EQUAL(vi_unmap_pages(vi, 1, 5, 5), VIRTIO_IOMMU_OUT_OF_RANGE);
    CU_ASSERT_EQUAL(vi_unmap_pages(vi, 1, 3, 1), VIRTIO_IOMMU_OUT_OF_RANGE);
    CU_ASSERT_EQUAL(held(vi, 0), 1);
    CU_ASSERT_TRUE(vi_translate(vi, 0, 9 * FIXTURE_PAGE + 7, true, true, &address));
    CU_ASSERT_EQUAL(address, 9 * FIXTURE_PAGE + 7);
    CU_ASSERT_EQUAL(vi_unmap(vi, 1, 0, UINT64_MAX), VIRTIO_IOMMU_OK);
    vi_map_pages(vi, 1, 0, 5, 0, RW);
    vi_map_pages(vi, 1, 5, 5, 5, RW);
    CU_ASSERT_EQUAL(vi_unmap_pages(vi, 1, 0, 5), VIRTIO_IOMMU_OK); /* (5) */
    CU_ASSERT_EQUAL(held(vi, 0), 1);
    CU_ASSERT_EQUAL(vi_unmap_pages(vi, 1, 0, 100), VIRTIO_IOMMU_OK); /* (6) */
    CU_ASSERT_EQUAL(held(vi, 0), 0);
    vi_map_pages(vi, 1, 0, 5, 0, RW);
    vi_map_pages(vi, 1, 10, 5, 10, RW);
    CU_ASSERT_EQUAL(vi_send(vi, reserved, sizeof(reserved)), VIRTIO_IOMMU_INVALID);
    CU_ASSERT_EQUAL(vi_unmap(vi, 1, 5, 4), VIRTIO_IOMMU_INVALID);
    CU_ASSERT_EQUAL(held(vi, 0), 2);
    CU_ASSERT_EQUAL(vi_unmap_pages(vi, 1, 0, 15), VIRTIO_IOMMU_OK); /* (7) */
    CU_ASSERT_EQUAL(held(vi, 0), 0);
    CU_ASSERT_EQUAL(vi_unmap(vi, 1, 1ull << 50, UINT64_MAX), VIRTIO_IOMMU_OK);
    vi_free(vi);
}

static void test_malformed_requests(void)
{
    static const struct {
        uint8_t type;
        unsigned size;
    } kinds[] = {{VIRTIO_IOMMU_ATTACH, VIRTIO_IOMMU_ATTACH_SIZE},
                 {VIRTIO_IOMMU_DETACH, VIRTIO_IOMMU_DETACH_SIZE},
                 {VIRTIO_IOMMU_MAP, VIRTIO_IOMMU_MAP_SIZE},
                 {VIRTIO_IOMMU_UNMAP, VIRTIO_IOMMU_UNMAP_SIZE}};
    struct vi *vi = vi_new(false);
    uint8_t out[256] = {0}, in[600];

    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        out[0] = kinds[i].type;
        for (unsigned size = 0; size < 80; size++) {
            unsigned status = vi_send(vi, out, size);

            CU_ASSERT_EQUAL(status == NO_ANSWER, size < VIRTIO_IOMMU_HEAD_SIZE);
            if (size >= VIRTIO_IOMMU_HEAD_SIZE && size != kinds[i].size) {
                CU_ASSERT_EQUAL(status, VIRTIO_IOMMU_INVALID);
            }
        }
        for (unsigned room = 0; room < 4; room++) { /* for the tail */
            CU_ASSERT_EQUAL(virtio_iommu_request(vi->unit, out, kinds[i].size, in, room), 0);
        }
        out[1] = out[2] = out[3] = 0xff; /* reserved in the head: ignored */
        CU_ASSERT_NOT_EQUAL(vi_send(vi, out, kinds[i].size), NO_ANSWER);
    }
    for (unsigned type = 0; type < 256; type++) {
        out[0] = (uint8_t)type;
        CU_ASSERT_EQUAL(vi_send(vi, out, 20) != NO_ANSWER, type >= 1 && type <= 5);
    }
    virtio_iommu_set_features(vi->unit, 0);
    for (unsigned type = 1; type <= 5; type++) {
        out[0] = (uint8_t)type;
        CU_ASSERT_EQUAL(vi_send(vi, out, 20), NO_ANSWER);
    }
    vi_free(vi);
}

static void test_probe(void)
{
    struct vi *vi = vi_new(false);
    uint8_t out[VIRTIO_IOMMU_PROBE_SIZE] = {VIRTIO_IOMMU_PROBE, [8] = 0xff /* reserved */};
    uint8_t in[VIRTIO_IOMMU_PROBE_BYTES + 10], *tail = in + VIRTIO_IOMMU_PROBE_BYTES;

    memset(in, 0xee, sizeof(in));
    store_le32(out + 4, vi_requester(1));
    CU_ASSERT_EQUAL(virtio_iommu_request(vi->unit, out, sizeof(out), in, sizeof(in)),
                    VIRTIO_IOMMU_PROBE_BYTES + VIRTIO_IOMMU_TAIL_SIZE);
    CU_ASSERT_EQUAL(load_le32(tail), VIRTIO_IOMMU_OK);
    CU_ASSERT_EQUAL(tail[4], 0xee);
    CU_ASSERT_EQUAL(load_le32(in), 20u << 16 | VIRTIO_IOMMU_PROPERTY_RESERVED_MEMORY);
    CU_ASSERT_EQUAL(load_le32(in + 4), VIRTIO_IOMMU_RESERVED_MSI);
    CU_ASSERT_EQUAL(load_le64(in + 8), 0xfee00000);
    CU_ASSERT_EQUAL(load_le64(in + 16), 0xfeefffff);
    for (unsigned i = 24; i < VIRTIO_IOMMU_PROBE_BYTES; i++) {
        CU_ASSERT_EQUAL(in[i], 0);
    }
    store_le32(out + 4, 0x10);
    virtio_iommu_request(vi->unit, out, sizeof(out), in, sizeof(in));
    CU_ASSERT_EQUAL(tail[0], VIRTIO_IOMMU_NO_ENTRY);
    CU_ASSERT_EQUAL(in[0], 0);
    /* Too little room for all properties: the tail is at the end of what there is. */
    CU_ASSERT_EQUAL(virtio_iommu_request(vi->unit, out, sizeof(out), in, 100), 100);
    CU_ASSERT_EQUAL(in[96], VIRTIO_IOMMU_INVALID);
    vi_free(vi);
}

/* The properties of endpoint 0 as (subtype, first, last); their number. */
static unsigned read_properties(struct vi *vi, uint64_t properties[][3])
{
    uint8_t out[VIRTIO_IOMMU_PROBE_SIZE] = {VIRTIO_IOMMU_PROBE};
    uint8_t in[VIRTIO_IOMMU_PROBE_BYTES + VIRTIO_IOMMU_TAIL_SIZE];
    unsigned count = 0;

    store_le32(out + 4, vi_requester(0));
    virtio_iommu_request(vi->unit, out, sizeof(out), in, sizeof(in));
    for (const uint8_t *at = in; at + 24 <= in + VIRTIO_IOMMU_PROBE_BYTES && at[0]; at += 24) {
        properties[count][0] = load_le32(at + 4);
        properties[count][1] = load_le64(at + 8);
        properties[count++][2] = load_le64(at + 16);
    }
    return count;
}

/* Hosts say what they can't map, each in the part that it follows. */
static void test_probe_tells_of_hosts(void)
{
    static const struct range windows[] = {{0x10000, 0xfecf0000}, {0xfef00000, 1ull << 38}};
    static const uint64_t expected[][3] = {
        {VIRTIO_IOMMU_RESERVED_MSI, 0xfee00000, 0xfeefffff},
        {VIRTIO_IOMMU_RESERVED, 0, 0xffff},
        {VIRTIO_IOMMU_RESERVED, 0xfed00000, 0xfedfffff},
        {VIRTIO_IOMMU_RESERVED, 0x40fef00000, 0xffffffffffff},
    };
    struct vi *vi = vi_new(false);
    g_autoptr(GArray) list = g_array_new(false, false, sizeof(struct range));
    struct iommu_region *region = virtio_iommu_endpoint_region(vi->endpoints[0]);
    struct iommu_notifier high;
    uint64_t found[21][3];

    g_array_append_vals(list, windows, G_N_ELEMENTS(windows));
    vi->notifiers[0] = high = fixture_notifier(&vi->hosts[0]);
    vi->notifiers[0].range = (struct range){0, 0xfee00000};
    high.range = (struct range){0xfef00000, (1ull << 52) - 0xfef00000};
    vi->notifiers[0].windows = high.windows = list;
    CU_ASSERT_TRUE(iommu_notifier_register(region, &vi->notifiers[0], NULL));
    CU_ASSERT_TRUE(iommu_notifier_register(region, &high, NULL));
    CU_ASSERT_EQUAL_FATAL(read_properties(vi, found), G_N_ELEMENTS(expected));
    CU_ASSERT_EQUAL(memcmp(found, expected, sizeof(expected)), 0);
    /* More holes than there is room for: the last one covers what is left. */
    g_array_set_size(list, 0);
    for (uint64_t i = 0; i < 40; i++) {
        struct range window = {(2 * i + 1) << 20, 1 << 20};

        g_array_append_val(list, window);
    }
    CU_ASSERT_EQUAL_FATAL(read_properties(vi, found), 21);
    CU_ASSERT_EQUAL(found[19][2], (37 << 20) - 1);
    CU_ASSERT_EQUAL(found[20][1], 38 << 20);
    CU_ASSERT_EQUAL(found[20][2], 0xffffffffffff);
    iommu_notifier_unregister(&high, NULL);
    vi_free(vi);
}

static void test_mappings_are_bounded(void)
{
    struct vi *vi = vi_new(false);

    CU_ASSERT_EQUAL(vi_attach(vi, 1, vi_requester(0), 0), VIRTIO_IOMMU_OK);
    CU_ASSERT_EQUAL(vi_attach(vi, 2, vi_requester(1), 0), VIRTIO_IOMMU_OK);
    for (unsigned i = 0; i < 40; i++) {
        CU_ASSERT_EQUAL(vi_map_pages(vi, 1 + i % 2, i, 1, i, R), VIRTIO_IOMMU_OK);
    }
    CU_ASSERT_EQUAL(vi_map_pages(vi, 1, 100, 1, 0, R), VIRTIO_IOMMU_NO_MEMORY);
    CU_ASSERT_EQUAL(vi_detach(vi, 1, vi_requester(0)), VIRTIO_IOMMU_OK); /* and 20 are gone */
    CU_ASSERT_EQUAL(vi_map_pages(vi, 2, 100, 1, 0, R), VIRTIO_IOMMU_OK);
    CU_ASSERT_EQUAL(vi->unit->mapping_count, 21);
    virtio_iommu_reset(vi->unit);
    CU_ASSERT_EQUAL(vi->unit->mapping_count, 0);
    vi_free(vi);
}

/* ---- Translation, faults ---- */

static void expect_event(struct vi *vi, unsigned reason, unsigned flags, uint64_t address)
{
    uint8_t event[VIRTIO_IOMMU_EVENT_SIZE];

    CU_ASSERT_TRUE(virtio_iommu_has_fault(vi->unit));
    CU_ASSERT_TRUE_FATAL(virtio_iommu_take_fault(vi->unit, event));
    CU_ASSERT_EQUAL(load_le32(event), reason);
    CU_ASSERT_EQUAL(load_le32(event + 4), flags | VIRTIO_IOMMU_FAULT_ADDRESS);
    CU_ASSERT_EQUAL(load_le64(event + 8), vi_requester(0));
    CU_ASSERT_EQUAL(load_le64(event + 16), address);
}

static void test_faults(void)
{
    struct vi *vi = vi_new(false);
    gpa_t address;

    CU_ASSERT_FALSE(vi_translate(vi, 0, 0x1234, false, true, &address));
    CU_ASSERT_FALSE(virtio_iommu_has_fault(vi->unit));
    CU_ASSERT_FALSE(vi_translate(vi, 0, 0x1234, false, false, &address));
    expect_event(vi, VIRTIO_IOMMU_FAULT_DOMAIN, VIRTIO_IOMMU_FAULT_READ, 0x1234);
    vi_attach(vi, 1, vi_requester(0), 0);
    CU_ASSERT_FALSE(vi_translate(vi, 0, 0x1234, true, false, &address));
    expect_event(vi, VIRTIO_IOMMU_FAULT_MAPPING, VIRTIO_IOMMU_FAULT_WRITE, 0x1234);
    vi_map_pages(vi, 1, 1, 1, 8, R);
    CU_ASSERT_TRUE(vi_translate(vi, 0, 0x1234, false, false, &address));
    CU_ASSERT_EQUAL(address, 0x8234);
    CU_ASSERT_FALSE(vi_translate(vi, 0, 0x1234, true, false, &address));
    expect_event(vi, VIRTIO_IOMMU_FAULT_MAPPING, VIRTIO_IOMMU_FAULT_WRITE, 0x1234);
    CU_ASSERT_EQUAL(vi->events, 3);
    for (unsigned i = 0; i < VIRTIO_IOMMU_FAULTS_MAX + 10; i++) {
        vi_translate(vi, 0, 0x100000 + i, false, false, &address);
    }
    CU_ASSERT_EQUAL(vi->events, 3 + VIRTIO_IOMMU_FAULTS_MAX);
    for (unsigned i = 0; i < VIRTIO_IOMMU_FAULTS_MAX; i++) {
        expect_event(vi, VIRTIO_IOMMU_FAULT_MAPPING, VIRTIO_IOMMU_FAULT_READ, 0x100000 + i);
    }
    CU_ASSERT_FALSE(virtio_iommu_has_fault(vi->unit));
    vi_free(vi);
}

/* Entries are aligned powers of two, as large as the mapping lets them be. */
static void test_entries(void)
{
    struct vi *vi = vi_new(false);
    struct iommu_region *region = virtio_iommu_endpoint_region(vi->endpoints[0]);
    static const struct {
        unsigned page, start, pages;
    } cases[] = {{3, 3, 1}, {4, 4, 4}, {7, 4, 4}, {8, 8, 2}, {9, 8, 2}, {10, 10, 1}};

    vi_attach(vi, 1, vi_requester(0), 0);
    CU_ASSERT_EQUAL(vi_map_pages(vi, 1, 3, 8, 33, RW), VIRTIO_IOMMU_OK);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct iommu_entry entry =
            region->ops->translate(region, cases[i].page * FIXTURE_PAGE + 5, false,
                                   (struct memory_attributes){.is_probe = true});

        CU_ASSERT_EQUAL(entry.iova, cases[i].start * FIXTURE_PAGE);
        CU_ASSERT_EQUAL(entry.address_mask, cases[i].pages * FIXTURE_PAGE - 1);
        CU_ASSERT_EQUAL(entry.translated, (cases[i].start + 30) * FIXTURE_PAGE);
    }
    vi_free(vi);
}

/* ---- Bypass ---- */

static bool host_is_identity(const struct vi *vi, unsigned index)
{
    for (unsigned i = 0; i < FIXTURE_PAGES; i++) {
        const struct fixture_page *page = &vi->hosts[index].pages[i];
        bool is_ram =
            i < LOW_RAM_PAGES || (i >= HIGH_RAM_START && i < HIGH_RAM_START + HIGH_RAM_PAGES);

        if ((page->access == (IOMMU_READ | IOMMU_WRITE)) != is_ram ||
            (is_ram && page->translated != i * FIXTURE_PAGE)) {
            return false;
        }
    }
    return true;
}

static void test_bypass(void)
{
    struct vi *vi = vi_new(true);
    gpa_t address;

    plug_all(vi);
    CU_ASSERT_TRUE(host_is_identity(vi, 0));
    CU_ASSERT_EQUAL(held(vi, 0), 2);
    CU_ASSERT_TRUE(vi_translate(vi, 0, (1ull << 51) + 3, true, false, &address));
    CU_ASSERT_EQUAL(address, (1ull << 51) + 3);
    vi_attach(vi, 1, vi_requester(0), 0);
    CU_ASSERT_EQUAL(held(vi, 0), 0);
    vi_attach(vi, 2, vi_requester(1), VIRTIO_IOMMU_ATTACH_BYPASS);
    virtio_iommu_set_bypass(vi->unit, false);
    CU_ASSERT_EQUAL(held(vi, 0), 0);
    CU_ASSERT_TRUE(host_is_identity(vi, 1));
    CU_ASSERT_EQUAL(held(vi, 2), 0);
    CU_ASSERT_FALSE(vi_translate(vi, 2, 0, false, true, &address));
    vi_detach(vi, 1, vi_requester(0));
    CU_ASSERT_EQUAL(held(vi, 0), 0);
    virtio_iommu_set_bypass(vi->unit, true);
    CU_ASSERT_TRUE(host_is_identity(vi, 0));
    CU_ASSERT_TRUE(host_is_identity(vi, 2));
    vi_attach(vi, 1, vi_requester(0), 0);
    virtio_iommu_reset(vi->unit); /* and all see everything again */
    CU_ASSERT_TRUE(host_is_identity(vi, 0));
    CU_ASSERT_TRUE(host_is_identity(vi, 1));
    vi_free(vi);
}

/* Memory comes and goes below: what stays is not touched (I4). */
static void test_bypass_follows_memory(void)
{
    struct vi *vi = vi_new(true);
    unsigned serial;

    plug_all(vi);
    serial = vi->hosts[0].pages[0].remapping;
    memory_region_set_enabled(&vi->high_ram, false);
    iommu_notifier_target_changed(&vi->notifiers[0], fixture_range(HIGH_RAM_START, HIGH_RAM_PAGES),
                                  NULL);
    CU_ASSERT_TRUE(iommu_notifier_settle(&vi->notifiers[0], NULL));
    CU_ASSERT_EQUAL(held(vi, 0), 1);
    memory_region_set_enabled(&vi->high_ram, true);
    CU_ASSERT_TRUE(iommu_notifier_settle(&vi->notifiers[0], NULL)); /* what has come, too */
    CU_ASSERT_TRUE(host_is_identity(vi, 0));
    CU_ASSERT_EQUAL(vi->hosts[0].pages[0].remapping, serial);
    vi_free(vi);
}

/* ---- Hosts ---- */

/* crosvm: an endpoint that came into a domain with mappings got none of them. */
static void test_late_host_gets_all(void)
{
    struct vi *vi = vi_new(false);

    vi_attach(vi, 1, vi_requester(0), 0);
    vi_attach(vi, 1, vi_requester(1), 0);
    CU_ASSERT_TRUE(vi_plug(vi, 0, NULL));
    for (unsigned i = 0; i < 30; i++) {
        vi_map_pages(vi, 1, 3 * i, 2, i, RW);
    }
    CU_ASSERT_TRUE(vi_plug(vi, 1, NULL));
    CU_ASSERT_TRUE(vi_plug(vi, 2, NULL));
    CU_ASSERT_EQUAL(held(vi, 1), 30);
    CU_ASSERT_EQUAL(held(vi, 2), 0);
    CU_ASSERT_EQUAL(memcmp(&vi->hosts[0].pages, &vi->hosts[1].pages, sizeof(vi->hosts[0].pages)),
                    0);
    vi_attach(vi, 1, vi_requester(2), 0);
    CU_ASSERT_EQUAL(held(vi, 2), 30);
    CU_ASSERT_EQUAL(iommu_notifier_verify(&vi->notifiers[2], NULL, 0).missing, 0);
    vi_free(vi);
}

/* The status tells the truth, and nothing is left of what was refused. */
static void test_host_refuses(void)
{
    struct vi *vi = vi_new(false);
    gpa_t address;

    plug_all(vi);
    vi_attach(vi, 1, vi_requester(0), 0);
    vi_attach(vi, 1, vi_requester(1), 0);
    vi->hosts[0].fail_errno = vi->hosts[1].fail_errno = EIO;
    vi->hosts[1].fail_at = vi->hosts[1].calls + 1;
    CU_ASSERT_EQUAL(vi_map_pages(vi, 1, 5, 2, 0, RW), VIRTIO_IOMMU_DEVICE_ERROR);
    CU_ASSERT_EQUAL(held(vi, 0), 0);
    CU_ASSERT_FALSE(vi_translate(vi, 0, 5 * FIXTURE_PAGE, false, true, &address));
    CU_ASSERT_EQUAL(vi_map_pages(vi, 1, 5, 2, 0, RW), VIRTIO_IOMMU_OK);
    vi->hosts[1].fail_at = vi->hosts[1].calls + 1;
    CU_ASSERT_EQUAL(vi_unmap_pages(vi, 1, 5, 2), VIRTIO_IOMMU_DEVICE_ERROR);
    CU_ASSERT_EQUAL(held(vi, 0), 1); /* it is still the guest's: mapped again */
    CU_ASSERT_EQUAL(held(vi, 1), 1);
    CU_ASSERT_TRUE(vi_translate(vi, 0, 5 * FIXTURE_PAGE, false, true, &address));
    vi->hosts[2].limit = 1;
    vi_map_pages(vi, 1, 9, 1, 0, RW);
    CU_ASSERT_EQUAL(vi_attach(vi, 1, vi_requester(2), 0), VIRTIO_IOMMU_NO_MEMORY);
    CU_ASSERT_EQUAL(held(vi, 2), 0);
    CU_ASSERT_EQUAL(vi_detach(vi, 1, vi_requester(2)), VIRTIO_IOMMU_INVALID);
    CU_ASSERT_EQUAL(vi_attach(vi, 7, vi_requester(2), VIRTIO_IOMMU_ATTACH_BYPASS),
                    VIRTIO_IOMMU_NO_MEMORY); /* two pieces of RAM */
    CU_ASSERT_PTR_NULL(g_hash_table_lookup(vi->unit->domains, GUINT_TO_POINTER(7)));
    for (unsigned i = 0; i < ENDPOINTS; i++) {
        CU_ASSERT_FALSE(vi->hosts[i].told);
    }
    vi_free(vi);
}

/* cloud-hypervisor, crosvm: a move between domains whose mappings are alike, but cut differently.
 */
static void test_move_between_like_domains(void)
{
    struct vi *vi = vi_new(false);

    plug_all(vi);
    vi_attach(vi, 1, vi_requester(0), 0);
    vi_map_pages(vi, 1, 0, 4, 0, RW);
    vi_attach(vi, 2, vi_requester(1), 0);
    vi_map_pages(vi, 2, 0, 2, 0, RW);
    vi_map_pages(vi, 2, 2, 2, 2, RW);
    CU_ASSERT_EQUAL(vi_attach(vi, 2, vi_requester(0), 0), VIRTIO_IOMMU_OK);
    CU_ASSERT_EQUAL(vi_unmap_pages(vi, 2, 0, 2), VIRTIO_IOMMU_OK);
    CU_ASSERT_EQUAL(held(vi, 0), 1);
    vi_free(vi);
}

/* ---- Saved and loaded ---- */

static void test_saved_and_loaded(void)
{
    struct vi *vi = vi_new(false), *other = vi_new(false);
    g_autoptr(GByteArray) bytes = g_byte_array_new(), again = g_byte_array_new();

    plug_all(other);
    vi_attach(vi, 5, vi_requester(0), 0);
    vi_attach(vi, 5, vi_requester(2), 0);
    vi_attach(vi, 3, vi_requester(1), VIRTIO_IOMMU_ATTACH_BYPASS);
    for (unsigned i = 0; i < 20; i++) {
        vi_map_pages(vi, 5, 2 * i, 1, i, i % 3 + 1);
    }
    vi_attach(other, 5, vi_requester(1), 0);
    vi_map_pages(other, 5, 7, 1, 7, R);
    virtio_iommu_save(vi->unit, bytes);
    for (unsigned length = 1; length < bytes->len; length++) {
        bool whole = length == 13 + 2; /* the first domain alone */

        CU_ASSERT_EQUAL(virtio_iommu_load(other->unit, bytes->data, length), whole);
    }
    vi_attach(other, 9, vi_requester(2), 0);
    CU_ASSERT_TRUE(virtio_iommu_load(other->unit, bytes->data, bytes->len));
    virtio_iommu_save(other->unit, again);
    CU_ASSERT_EQUAL(bytes->len, again->len);
    CU_ASSERT_EQUAL(memcmp(bytes->data, again->data, bytes->len), 0);
    CU_ASSERT_EQUAL(held(other, 0), 20);
    CU_ASSERT_TRUE(host_is_identity(other, 1));
    CU_ASSERT_EQUAL(held(other, 2), 20);
    CU_ASSERT_EQUAL(vi_unmap_pages(other, 5, 0, 64), VIRTIO_IOMMU_OK);
    CU_ASSERT_EQUAL(held(other, 2), 0);
    CU_ASSERT_TRUE(virtio_iommu_load(other->unit, NULL, 0));
    CU_ASSERT_EQUAL(g_hash_table_size(other->unit->domains), 0);
    /* Whatever is changed: it is refused, or is a state that requests could have made. */
    for (unsigned i = 0; i < bytes->len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes->data[i] ^= 1u << bit;
            if (virtio_iommu_load(other->unit, bytes->data, bytes->len)) {
                g_byte_array_set_size(again, 0);
                virtio_iommu_save(other->unit, again);
                CU_ASSERT_EQUAL(again->len, bytes->len);
            }
            bytes->data[i] ^= 1u << bit;
        }
    }
    vi_free(vi);
    vi_free(other);
}

static const struct unit_test tests[] = {
    {"attach and detach", test_attach},
    {"map", test_map},
    {"unmap", test_unmap},
    {"malformed requests", test_malformed_requests},
    {"probe", test_probe},
    {"probe tells of hosts", test_probe_tells_of_hosts},
    {"mappings are bounded", test_mappings_are_bounded},
    {"faults", test_faults},
    {"entries are as large as can be", test_entries},
    {"bypass", test_bypass},
    {"bypass follows memory", test_bypass_follows_memory},
    {"a late host gets all", test_late_host_gets_all},
    {"a host refuses", test_host_refuses},
    {"move between like domains", test_move_between_like_domains},
    {"saved and loaded", test_saved_and_loaded},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("virtio-iommu", tests);
}
