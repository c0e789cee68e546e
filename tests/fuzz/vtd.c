/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: the VT-d model. An input is one byte of options, how many operations there are, the
 * operations (10 bytes each: what, where, a value), and guest memory from address 0 on: tables,
 * queue and interrupt entries are where the operations say. Whatever they are, a host that follows
 * a device holds what its tables map, maps nothing twice and cuts nothing in two; also if it fails
 * now and then.
 */
#include "fuzz/fuzz-main.h"
#include "iommu/iova-tree.h"
#include "iommu/notifier.h"
#include "iommu/vtd.h"
#include "util/error.h"
#include "util/little-endian.h"

#define RAM_SIZE   0x10000u
#define REGISTERS  UINT64_C(0xfed90000)
#define DEVICES    2u
#define HEADER     2u
#define OPTIONS    32u /* of them */
#define OPERATION  10u
#define WALK_LIMIT 2048u /* so that an input ends in time */

struct requester {
    uint16_t id;
    struct vtd_device *device;
    struct address_space dma;
    struct iommu_notifier host;
    struct iova_tree *held; /* by the host */
    unsigned fail_in;       /* calls; 0: never */
};

struct machine_of_unit {
    struct memory_region system, ram;
    struct address_space memory;
    struct vtd *vtd;
    struct requester requesters[DEVICES];
};

static void send_interrupt(void *opaque, uint64_t address, uint32_t data)
{
}

/* ---- A host that follows ---- */

static bool fails(struct requester *requester, GError **error)
{
    return requester->fail_in && --requester->fail_in == 0 &&
           !duodm_fail(error, DUODM_ERROR_IO, "refused");
}

static bool host_map(void *opaque, const struct iommu_mapping *mapping, GError **error)
{
    struct requester *requester = opaque;

    g_assert(mapping->length && !(mapping->length & 0xfff) && !(mapping->iova & 0xfff));
    if (fails(requester, error)) {
        return false;
    }
    g_assert(iova_tree_insert(requester->held, mapping));
    return true;
}

static bool host_unmap(void *opaque, struct range range, uint64_t mappings, GError **error)
{
    struct requester *requester = opaque;
    struct iova_cursor cursor;
    struct iommu_mapping mapping;

    g_assert(range.length && range.start + range.length - 1 >= range.start);
    if (fails(requester, error)) {
        return false;
    }
    while (cursor = iova_tree_find(requester->held, range.start),
           iova_cursor_get(&cursor, &mapping) &&
               range_overlaps(iommu_mapping_range(&mapping), range)) {
        g_assert(range_contains_range(range, iommu_mapping_range(&mapping)));
        iova_tree_remove(requester->held, mapping.iova);
    }
    return true;
}

static const struct mapping_set_ops host_ops = {.map = host_map, .unmap = host_unmap};

static void host_failed(struct iommu_notifier *notifier, const GError *error)
{
    g_assert(error);
}

static void follow(struct requester *requester)
{
    requester->host = (struct iommu_notifier){
        .name = "host",
        .events = IOMMU_EVENT_MAP | IOMMU_EVENT_UNMAP,
        .range = {0, UINT64_C(1) << 48},
        .ops = &host_ops,
        .opaque = requester,
        .failed = host_failed,
    };
    if (!iommu_notifier_register(vtd_device_iommu(requester->device), &requester->host, NULL)) {
        /* Nothing is left, but what the host may have refused to unmap. */
        g_assert(requester->fail_in == 0 || iova_tree_count(requester->held) == 0);
        iova_tree_clear(requester->held);
    }
}

static void leave(struct requester *requester)
{
    requester->fail_in = 0;
    iommu_notifier_unregister(&requester->host, NULL);
    g_assert(iova_tree_count(requester->held) == 0);
}

static void check(struct requester *requester)
{
    struct mapping_difference difference;

    requester->fail_in = 0;
    if (requester->host.region && iommu_notifier_reconcile(&requester->host, NULL)) {
        difference = iommu_notifier_verify(&requester->host, NULL, 0);
        g_assert(!difference.missing && !difference.extra);
        g_assert(iova_tree_count(requester->held) == iommu_notifier_count(&requester->host));
    }
}

/* ---- The machine ---- */

static struct machine_of_unit *make(unsigned options)
{
    struct machine_of_unit *m = g_new0(struct machine_of_unit, 1);
    struct vtd_config config = {
        .host_width = 40,
        .iova_width = options & 1 ? 48 : 39,
        .caching_mode = !(options & 2),
        .interrupt_remapping = options & 4,
        .extended_interrupts = options & 8,
        .pass_through = !(options & 16),
        .walk_limit = WALK_LIMIT,
    };
    struct vtd_host host = {.send_interrupt = send_interrupt};

    memory_region_init_container(&m->system, "system", UINT64_C(1) << 52);
    g_assert(memory_region_init_ram(&m->ram, "ram", RAM_SIZE, NULL));
    memory_region_add_subregion(&m->system, 0, &m->ram);
    address_space_init(&m->memory, &m->system, "memory");
    m->vtd = vtd_new(&config, &host, &m->memory, &m->system);
    memory_region_add_subregion(&m->system, REGISTERS, &m->vtd->window);
    for (unsigned i = 0; i < DEVICES; i++) {
        struct requester *requester = &m->requesters[i];

        requester->id = (uint16_t)(8 + 0x100 * i);
        requester->held = iova_tree_new();
        requester->device = vtd_get_device(m->vtd, requester->id);
        address_space_init(&requester->dma, vtd_device_root(requester->device), "dma");
    }
    return m;
}

/* As it was made. */
static void reset(struct machine_of_unit *m)
{
    for (unsigned i = 0; i < DEVICES; i++) {
        leave(&m->requesters[i]);
    }
    vtd_reset(m->vtd);
    memset(memory_region_host_pointer(&m->ram), 0, RAM_SIZE);
}

static void use_memory(struct requester *requester, bool is_write, uint64_t address)
{
    struct memory_attributes attributes = {.requester = requester->id, .from_device = true};
    uint8_t bytes[100] = {0};

    address &= (UINT64_C(1) << 52) - 1;
    if (is_write) {
        address_space_write(&requester->dma, address, attributes, bytes, sizeof(bytes));
    } else {
        address_space_read(&requester->dma, address, attributes, bytes, sizeof(bytes));
    }
}

static void save_and_load(struct machine_of_unit *m)
{
    struct vtd_state state;

    vtd_save(m->vtd, &state);
    g_assert(vtd_load(m->vtd, &state));
}

/* what: the operation in its low bits, the device in its highest. */
static void operate(struct machine_of_unit *m, uint8_t what, uint8_t where, uint64_t value)
{
    struct requester *requester = &m->requesters[what >> 7];
    uint64_t address = REGISTERS + 4 * where, data = value;
    uint32_t message = (uint32_t)(value >> 32);

    switch (what & 15) {
    case 0:
    case 1:
        address_space_store(&m->memory, address, 4, MEMORY_ATTRIBUTES_CPU, value);
        break;
    case 2:
    case 3:
        address_space_store(&m->memory, address & ~UINT64_C(7), 8, MEMORY_ATTRIBUTES_CPU, value);
        break;
    case 4:
        address_space_load(&m->memory, address, 4, MEMORY_ATTRIBUTES_CPU, &data);
        break;
    case 5:
    case 6:
        use_memory(requester, what & 1, value);
        break;
    case 7:
        vtd_remap_interrupt(m->vtd, requester->id, where & 1, &data, &message);
        break;
    case 8: /* guest memory changes */
        address_space_store(&m->memory, value & (RAM_SIZE - 8), 8, MEMORY_ATTRIBUTES_CPU,
                            value >> 16);
        break;
    case 9:
        if (requester->host.region) {
            leave(requester);
        } else {
            follow(requester);
        }
        break;
    case 10:
        check(requester);
        break;
    case 11:
        save_and_load(m);
        break;
    case 12:
        vtd_reset(m->vtd);
        break;
    case 13:
        requester->fail_in = where % 8;
        break;
    default: /* a message: always in translated views */
        use_memory(requester, true, UINT64_C(0xfee00000) | (value & 0xffffc));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct machine_of_unit *machines[OPTIONS]; /* made once */
    struct machine_of_unit *m;
    size_t count, memory;
    unsigned options;

    if (size < HEADER) {
        return 0;
    }
    options = data[0] % OPTIONS;
    m = machines[options] = machines[options] ? machines[options] : make(options);
    count = MIN(data[1], (size - HEADER) / OPERATION);
    memory = HEADER + count * OPERATION;
    memcpy(memory_region_host_pointer(&m->ram), data + memory, MIN(size - memory, RAM_SIZE));
    for (size_t i = 0; i < count; i++) {
        const uint8_t *operation = data + HEADER + i * OPERATION;

        operate(m, operation[0], operation[1], load_le64(operation + 2));
    }
    reset(m);
    return 0;
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "vtd");
}
#endif
