/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: a virtio-iommu's requests and saved state, with two hosts that follow and may fail.
 * An input is a row of actions (act). After each one the hosts hold what the guest maps, unless one
 * was told that it does not.
 */
#include "fuzz/fuzz-main.h"
#include "iommu/iova-tree.h"
#include "iommu/notifier.h"
#include "iommu/virtio-iommu.h"
#include "util/error.h"
#include "util/little-endian.h"

#define HOSTS    2
#define RAM_SIZE 0x40000u

struct host {
    struct iommu_notifier notifier;
    struct iova_tree *held;
    unsigned fail_in; /* calls; 0: never */
    bool told;
};

struct input {
    const uint8_t *data;
    size_t left;
};

static struct {
    struct memory_region system, ram;
    struct address_space memory;
    struct virtio_iommu *unit;
    struct virtio_iommu_endpoint *endpoints[HOSTS];
    struct address_space dma[HOSTS];
    struct host hosts[HOSTS];
} world;

static bool fails(struct host *host, GError **error)
{
    return host->fail_in && --host->fail_in == 0 && !duodm_fail(error, DUODM_ERROR_IO, "refused");
}

static bool host_map(void *opaque, const struct iommu_mapping *mapping, GError **error)
{
    struct host *host = opaque;

    if (fails(host, error)) {
        return false;
    }
    g_assert(iova_tree_insert(host->held, mapping)); /* nothing is mapped twice */
    return true;
}

static bool host_unmap(void *opaque, struct range range, uint64_t mappings, GError **error)
{
    struct host *host = opaque;
    struct iova_cursor cursor;
    struct iommu_mapping mapping;

    if (fails(host, error)) {
        return false;
    }
    while (cursor = iova_tree_find(host->held, range.start),
           iova_cursor_get(&cursor, &mapping) &&
               range_overlaps(iommu_mapping_range(&mapping), range)) {
        g_assert(range_contains_range(range, iommu_mapping_range(&mapping))); /* I4 */
        iova_tree_remove(host->held, mapping.iova);
    }
    return true;
}

static const struct mapping_set_ops host_ops = {host_map, host_unmap};

static void host_failed(struct iommu_notifier *notifier, const GError *error)
{
    ((struct host *)notifier->opaque)->told = true;
}

static void plug(unsigned index)
{
    struct host *host = &world.hosts[index];

    host->told = false;
    host->notifier = (struct iommu_notifier){.name = "host",
                                             .events = IOMMU_EVENT_MAP | IOMMU_EVENT_UNMAP,
                                             .range = {0, UINT64_C(0xfee00000)},
                                             .ops = &host_ops,
                                             .opaque = host,
                                             .failed = host_failed};
    iommu_notifier_register(virtio_iommu_endpoint_region(world.endpoints[index]), &host->notifier,
                            NULL);
}

static void unplug(unsigned index)
{
    struct host *host = &world.hosts[index];

    host->fail_in = 0;
    iommu_notifier_unregister(&host->notifier, NULL);
    iova_tree_clear(host->held);
}

static void fault_recorded(void *opaque)
{
}

static void make_world(void)
{
    struct virtio_iommu_config config = {.address_width = 48, .mapping_limit = 64, .bypass = true};
    struct virtio_iommu_host host = {fault_recorded, NULL, NULL};

    memory_region_init_container(&world.system, "system", UINT64_C(1) << 52);
    g_assert(memory_region_init_ram(&world.ram, "ram", RAM_SIZE, NULL));
    memory_region_add_subregion(&world.system, 0, &world.ram);
    address_space_init(&world.memory, &world.system, "memory");
    world.unit = virtio_iommu_new(&config, &host, &world.memory, &world.system);
    for (unsigned i = 0; i < HOSTS; i++) {
        world.endpoints[i] = virtio_iommu_get_endpoint(world.unit, (uint16_t)(8 * i));
        address_space_init(&world.dma[i], virtio_iommu_endpoint_root(world.endpoints[i]), "dma");
        world.hosts[i].held = iova_tree_new();
    }
}

static const uint8_t *take(struct input *input, size_t length)
{
    const uint8_t *data = input->data;

    length = MIN(length, input->left);
    input->data += length;
    input->left -= length;
    return data;
}

static uint8_t take_byte(struct input *input)
{
    return input->left ? *take(input, 1) : 0;
}

static void send_request(struct input *input)
{
    size_t out_length = take_byte(input), in_length = 4u * take_byte(input), used;
    g_autofree uint8_t *out = NULL, *in = g_malloc(in_length + 1);

    out_length = MIN(out_length, input->left);
    out = g_memdup2(take(input, out_length), out_length);
    used = virtio_iommu_request(world.unit, out, out_length, in, in_length);
    g_assert(used <= in_length);
}

static void load(struct input *input)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new(), again = g_byte_array_new();
    size_t length = input->left;

    virtio_iommu_load(world.unit, take(input, length), length);
    virtio_iommu_save(world.unit, bytes);
    g_assert(virtio_iommu_load(world.unit, bytes->data, bytes->len));
    virtio_iommu_save(world.unit, again);
    g_assert(again->len == bytes->len &&
             (!bytes->len || !memcmp(again->data, bytes->data, bytes->len)));
}

/* DMA of a device: to an address that the input gives, and what the guest hears of it. */
static void use_memory(struct input *input, unsigned index)
{
    struct memory_attributes attributes = {.requester = (uint16_t)(8 * index), .from_device = true};
    uint8_t bytes[100] = {0}, where[8] = {0}, event[VIRTIO_IOMMU_EVENT_SIZE];
    size_t length = MIN(input->left, sizeof(where));
    uint64_t address;

    memcpy(where, take(input, length), length);
    address = load_le64(where) & ((UINT64_C(1) << 52) - 1);
    if (where[7] & 0x80) {
        address_space_write(&world.dma[index], address, attributes, bytes, sizeof(bytes));
    } else {
        address_space_read(&world.dma[index], address, attributes, bytes, sizeof(bytes));
    }
    virtio_iommu_take_fault(world.unit, event);
}

static void act(struct input *input)
{
    uint8_t action = take_byte(input);
    unsigned index = action >> 4 & 1;

    if (action & 0x40) {
        use_memory(input, index);
        return;
    }
    switch (action & 7) {
    case 0:
        (world.hosts[index].notifier.region ? unplug : plug)(index);
        break;
    case 1:
        world.hosts[index].fail_in = take_byte(input) & 7;
        break;
    case 2:
        virtio_iommu_set_bypass(world.unit, index);
        break;
    case 3:
        virtio_iommu_reset(world.unit);
        virtio_iommu_set_features(world.unit, take_byte(input));
        break;
    case 4:
        load(input);
        break;
    default:
        send_request(input);
        break;
    }
}

static void check(void)
{
    for (unsigned i = 0; i < HOSTS; i++) {
        struct iommu_notifier *notifier = &world.hosts[i].notifier;

        if (notifier->region && !world.hosts[i].told) {
            struct mapping_difference difference = iommu_notifier_verify(notifier, NULL, 0);

            g_assert(!difference.missing && !difference.extra);
            g_assert(iommu_notifier_count(notifier) == iova_tree_count(world.hosts[i].held));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};

    if (!world.unit) {
        make_world();
    }
    virtio_iommu_set_features(world.unit, 0x77);
    while (input.left) {
        act(&input);
        check();
    }
    for (unsigned i = 0; i < HOSTS; i++) {
        unplug(i);
    }
    virtio_iommu_reset(world.unit);
    virtio_iommu_set_bypass(world.unit, true);
    g_assert(world.unit->mapping_count == 0);
    return 0;
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "virtio-iommu");
}
#endif
