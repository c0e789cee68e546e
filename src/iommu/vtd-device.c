/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One requester behind the unit: its view of memory, its cached context, its IOTLB. The view shows
 * system memory, or a region that translates, and always the interrupt messages' addresses.
 */
#include "iommu/vtd-private.h"
#include "util/error.h"
#include "util/hot-path.h"

#define INTERRUPT_BASE UINT64_C(0xfee00000)
#define INTERRUPT_SIZE UINT64_C(0x100000)
#define ROOT_SIZE      VTD_BIT(52)

static struct vtd_device *device_of(struct iommu_region *region)
{
    return (struct vtd_device *)((char *)region - offsetof(struct vtd_device, iommu));
}

/* A guest need not tell of a context that it makes present, nor of rights that it adds, unless in
 * caching mode: what would fault by what is cached is looked up once more. sequence: of that look.
 */
static enum vtd_fault_reason walk_again(struct vtd_device *device, uint64_t sequence, iova_t iova,
                                        bool is_write, struct iommu_mapping *mapping, bool *hidden)
{
    struct vtd *vtd = device->vtd;
    struct vtd_leaf_table leaf = {0};
    struct vtd_context context = vtd_read_context(
        &vtd->tables, __atomic_load_n(&vtd->root, __ATOMIC_ACQUIRE), device->requester);

    *hidden = context.fault_hidden;
    if (context.fault != VTD_FAULT_NONE) {
        return context.fault;
    }
    if (context.type == VTD_PASS_THROUGH) { /* the view changes when the guest tells */
        *mapping = (struct iommu_mapping){0, ROOT_SIZE, 0, IOMMU_READ | IOMMU_WRITE};
        return VTD_FAULT_NONE;
    }
    vtd_iotlb_adopt(&device->iotlb, sequence, &context);
    return vtd_second_lookup(&vtd->tables, &context, iova, is_write, &leaf, mapping);
}

static enum vtd_fault_reason find_mapping(struct vtd_device *device, iova_t iova, bool is_write,
                                          struct iommu_mapping *mapping, bool *hidden)
{
    struct vtd_iotlb_look look;

    vtd_iotlb_look(&device->iotlb, iova, &look);
    *mapping = look.mapping;
    if (look.hit && (mapping->access & (is_write ? IOMMU_WRITE : IOMMU_READ))) {
        return VTD_FAULT_NONE;
    }
    if (look.context.fault == VTD_FAULT_NONE &&
        vtd_second_lookup(&device->vtd->tables, &look.context, iova, is_write, &look.leaf,
                          mapping) == VTD_FAULT_NONE) {
        vtd_iotlb_remember(&device->iotlb, look.sequence, iova, mapping, &look.leaf);
        return VTD_FAULT_NONE;
    }
    return walk_again(device, look.sequence, iova, is_write, mapping, hidden);
}

static struct iommu_entry translate(struct iommu_region *region, iova_t iova, bool is_write,
                                    struct memory_attributes attributes)
{
    struct vtd_device *device = device_of(region);
    struct iommu_mapping mapping;
    bool hidden = false;
    enum vtd_fault_reason reason = find_mapping(device, iova, is_write, &mapping, &hidden);

    if (reason != VTD_FAULT_NONE) {
        if (!attributes.is_probe && !hidden) {
            vtd_record_fault(device->vtd, device->requester, iova, is_write, reason);
        }
        return (struct iommu_entry){.iova = iova & ~UINT64_C(0xfff), .address_mask = 0xfff};
    }
    return (struct iommu_entry){region->target,
                                mapping.iova,
                                mapping.translated,
                                mapping.length - 1,
                                (mapping.access & IOMMU_READ) != 0,
                                (mapping.access & IOMMU_WRITE) != 0};
}

HOT_PATH static bool walk(void *opaque, struct range range, iommu_visit_fn visit,
                          void *visit_opaque, GError **error)
{
    struct vtd_device *device = device_of(opaque);

    return device->context.fault != VTD_FAULT_NONE || !device->translating ||
           vtd_second_walk(&device->vtd->tables, &device->context, range, visit, visit_opaque,
                           error);
}

/* Without caching mode the guest does not tell of what it maps anew. */
static bool events_changed(struct iommu_region *region, unsigned old_events, unsigned new_events,
                           GError **error)
{
    return !(new_events & IOMMU_EVENT_MAP) || device_of(region)->vtd->config.caching_mode ||
           duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                      "a passthrough device behind intel-iommu needs caching mode: "
                      "-device intel-iommu,caching-mode=on");
}

static const struct iommu_region_ops iommu_ops = {
    .translate = translate,
    .walk = walk,
    .events_changed = events_changed,
};

static enum memory_result interrupt_write(void *opaque, uint64_t offset, unsigned size,
                                          struct memory_attributes attributes, uint64_t value)
{
    struct vtd_device *device = opaque;
    uint64_t address = INTERRUPT_BASE + offset;
    uint32_t data = (uint32_t)value;

    if (vtd_remap_interrupt(device->vtd, device->requester, attributes.is_probe, &address, &data)) {
        device->vtd->host.send_interrupt(device->vtd->host.opaque, address, data);
    }
    return MEMORY_OK;
}

static enum memory_result interrupt_read(void *opaque, uint64_t offset, unsigned size,
                                         struct memory_attributes attributes, uint64_t *value)
{
    *value = UINT64_MAX;
    return MEMORY_DECODE_ERROR;
}

static const struct memory_region_ops interrupt_ops = {
    .read = interrupt_read,
    .write = interrupt_write,
    .valid = {.min_size = 4, .max_size = 4},
    .implemented = {.min_size = 4, .max_size = 4},
};

/* The place of a requester among the members, or where it belongs. */
static unsigned find_place(const struct vtd_members *members, uint16_t requester)
{
    unsigned place = 0;

    while (place < members->count && members->at[place].device->requester < requester) {
        place++;
    }
    return place;
}

static void insert_member(struct vtd_members *members, unsigned place, struct vtd_device *device)
{
    members->at = g_renew(struct vtd_member, members->at, members->count + 1);
    memmove(&members->at[place + 1], &members->at[place],
            (members->count - place) * sizeof(members->at[0]));
    members->at[place] = (struct vtd_member){.device = device};
    members->count++;
}

static void remove_member(struct vtd_members *members, unsigned place)
{
    members->count--;
    memmove(&members->at[place], &members->at[place + 1],
            (members->count - place) * sizeof(members->at[0]));
}

static void update_member(struct vtd_members *members, struct vtd_device *device)
{
    members->at[find_place(members, device->requester)] =
        (struct vtd_member){device, device->context.domain, vtd_device_is_open(device)};
}

bool vtd_device_update_context(struct vtd_device *device)
{
    struct vtd *vtd = device->vtd;
    struct vtd_context context = vtd_read_context(&vtd->tables, vtd->root, device->requester);
    bool changed = !vtd_context_equal(&context, &device->context) || vtd_device_is_open(device);

    device->context = context;
    update_member(&vtd->members, device);
    vtd_iotlb_set_context(&device->iotlb, &context);
    return changed;
}

static bool should_translate(const struct vtd_device *device)
{
    return (vtd_get32(device->vtd, VTD_GSTS) & VTD_GCMD_TRANSLATION) &&
           !(device->context.fault == VTD_FAULT_NONE && device->context.type == VTD_PASS_THROUGH);
}

bool vtd_device_must_switch(const struct vtd_device *device)
{
    return device->translating != should_translate(device);
}

void vtd_device_switch(struct vtd_device *device)
{
    device->translating = should_translate(device);
    memory_region_set_enabled(&device->iommu.region, device->translating);
    memory_region_set_enabled(&device->untranslated, !device->translating);
}

static void make_view(struct vtd_device *device)
{
    struct vtd *vtd = device->vtd;
    g_autofree char *name = g_strdup_printf("vtd-%02x:%02x.%x", device->requester >> 8,
                                            device->requester >> 3 & 0x1f, device->requester & 7);

    memory_region_init_container(&device->root, name, ROOT_SIZE);
    memory_region_init_alias(&device->untranslated, name, vtd->system, 0,
                             MIN(vtd->system->size, ROOT_SIZE));
    iommu_region_init(&device->iommu, name, ROOT_SIZE, VTD_BIT(12) | VTD_BIT(21) | VTD_BIT(30),
                      &iommu_ops, vtd->tables.memory, &vtd->lock);
    memory_region_init_mmio(&device->interrupts, "vtd-interrupts", INTERRUPT_SIZE, &interrupt_ops,
                            device, NULL);
    memory_region_set_enabled(&device->iommu.region, false);
    memory_region_add_subregion(&device->root, 0, &device->untranslated);
    memory_region_add_subregion(&device->root, 0, &device->iommu.region);
    memory_region_add_subregion_overlap(&device->root, INTERRUPT_BASE, &device->interrupts, 1);
}

static struct vtd_device *device_new(struct vtd *vtd, uint16_t requester)
{
    struct vtd_device *device = g_new0(struct vtd_device, 1);

    device->vtd = vtd;
    device->requester = requester;
    vtd_iotlb_init(&device->iotlb);
    make_view(device);
    return device;
}

struct vtd_device *vtd_get_device(struct vtd *vtd, uint16_t requester)
{
    struct vtd_members *members = &vtd->members;
    struct vtd_device *device;
    unsigned place;

    memory_topology_begin();
    mutex_lock(&vtd->lock);
    place = find_place(members, requester);
    if (place == members->count || members->at[place].device->requester != requester) {
        device = device_new(vtd, requester);
        insert_member(members, place, device);
        update_member(members, device);
        if (vtd_get32(vtd, VTD_GSTS) & VTD_GCMD_TRANSLATION) {
            vtd_device_update_context(device);
            vtd_device_switch(device);
        }
    }
    device = members->at[place].device;
    device->references++;
    mutex_unlock(&vtd->lock);
    memory_topology_commit();
    return device;
}

void vtd_put_device(struct vtd_device *device)
{
    struct vtd *vtd = device->vtd;
    bool last;

    mutex_lock(&vtd->lock);
    last = --device->references == 0;
    if (last) {
        remove_member(&vtd->members, find_place(&vtd->members, device->requester));
    }
    mutex_unlock(&vtd->lock);
    if (last) {
        memory_region_destroy(&device->interrupts);
        iommu_region_destroy(&device->iommu);
        memory_region_destroy(&device->untranslated);
        memory_region_destroy(&device->root);
        vtd_iotlb_destroy(&device->iotlb);
        g_free(device);
    }
}

struct memory_region *vtd_device_root(struct vtd_device *device)
{
    return &device->root;
}

struct iommu_region *vtd_device_iommu(struct vtd_device *device)
{
    return &device->iommu;
}
