/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/virtio/virtio-mmio.h"
#include "dm/fdt/device-tree.h"
#include "dm/machine.h"
#include "util/error.h"

/* Registers, 4.2.2. */
enum {
    MMIO_MAGIC = 0x000,
    MMIO_VERSION = 0x004,
    MMIO_DEVICE_ID = 0x008,
    MMIO_VENDOR_ID = 0x00c,
    MMIO_FEATURES = 0x010,
    MMIO_FEATURE_SELECT = 0x014,
    MMIO_DRIVER_FEATURES = 0x020,
    MMIO_DRIVER_FEATURE_SELECT = 0x024,
    MMIO_QUEUE_SELECT = 0x030,
    MMIO_QUEUE_SIZE_MAX = 0x034,
    MMIO_QUEUE_SIZE = 0x038,
    MMIO_QUEUE_READY = 0x044,
    MMIO_QUEUE_NOTIFY = 0x050,
    MMIO_INTERRUPT_STATUS = 0x060,
    MMIO_INTERRUPT_ACKNOWLEDGE = 0x064,
    MMIO_STATUS = 0x070,
    MMIO_QUEUE_DESCRIPTORS = 0x080,
    MMIO_QUEUE_DRIVER = 0x090,
    MMIO_QUEUE_DEVICE = 0x0a0,
    MMIO_SHARED_LENGTH = 0x0b0, /* all ones: there is no such region */
    MMIO_SHARED_BASE = 0x0b8,
    MMIO_QUEUE_RESET = 0x0c0,
    MMIO_GENERATION = 0x0fc,
    MMIO_CONFIG = 0x100,
};
#define MAGIC     0x74726976u /* "virt" */
#define VERSION   2
#define VENDOR_ID 0x1af4

/* A slot of the bus: the registers of an empty one, and who is in it. */
struct slot {
    struct virtio_mmio_slot board;
    struct memory_region empty;
    struct virtio_device *device;
};

struct virtio_mmio_bus {
    struct bus base;
    struct machine *machine;
    struct memory_region *space;
    unsigned count;
    struct slot slots[];
};

/* transport_data of a device. */
struct virtio_mmio {
    struct virtio_device *device;
    struct slot *slot;
    struct memory_region region;
};

/* ---- Interrupts ---- */

static void interrupt_queue(struct virtqueue *queue)
{
    virtio_isr_raise(queue->device, VIRTIO_ISR_QUEUE);
}

static void interrupt_config(struct virtio_device *device)
{
    virtio_isr_raise(device, VIRTIO_ISR_CONFIG);
}

static void set_line(struct virtio_device *device, bool level)
{
    struct virtio_mmio *transport = device->transport_data;

    irq_line_set(&transport->slot->board.line, level);
}

static void transport_reset(struct virtio_device *device)
{
}

static bool can_access_memory(struct virtio_device *device)
{
    return true;
}

static const struct virtio_transport mmio_transport = {
    .interrupt_queue = interrupt_queue,
    .interrupt_config = interrupt_config,
    .reset = transport_reset,
    .can_access_memory = can_access_memory,
    .set_line = set_line,
};

/* ---- Registers ---- */

static uint32_t identify(unsigned offset, uint16_t device_id)
{
    switch (offset) {
    case MMIO_MAGIC:
        return MAGIC;
    case MMIO_VERSION:
        return VERSION;
    case MMIO_DEVICE_ID:
        return device_id;
    case MMIO_VENDOR_ID:
        return device_id ? VENDOR_ID : 0;
    default:
        return 0;
    }
}

static uint32_t register_read(struct virtio_device *device, unsigned offset)
{
    struct virtqueue *queue = virtio_selected_queue(device);

    switch (offset) {
    case MMIO_FEATURES:
        return virtio_get_features(device, device->feature_select);
    case MMIO_QUEUE_SIZE_MAX:
        return queue ? queue->size_max : 0;
    case MMIO_QUEUE_READY:
        return queue && queue->enabled;
    case MMIO_INTERRUPT_STATUS:
        return virtio_isr_take(device, 0);
    case MMIO_STATUS:
        return virtio_read_status(device);
    case MMIO_SHARED_LENGTH:
    case MMIO_SHARED_LENGTH + 4:
    case MMIO_SHARED_BASE:
    case MMIO_SHARED_BASE + 4:
        return UINT32_MAX;
    case MMIO_GENERATION:
        return device->config_generation;
    default:
        return identify(offset, device->class->device_id);
    }
}

static void set_half(uint64_t *value, bool high, uint32_t half)
{
    unsigned shift = high ? 32 : 0;

    *value = (*value & ~(UINT64_C(0xffffffff) << shift)) | (uint64_t)half << shift;
}

static void write_queue(struct virtqueue *queue, unsigned offset, uint32_t value)
{
    if (offset == MMIO_QUEUE_READY || offset == MMIO_QUEUE_RESET) {
        if (offset == MMIO_QUEUE_READY && value == 1) {
            virtio_enable_queue(queue);
        } else if (queue->enabled && value == (offset == MMIO_QUEUE_RESET)) {
            virtio_reset_queue(queue);
        }
        return;
    }
    if (queue->enabled) { /* 4.2.2.2: the driver must not change it any more */
        return;
    }
    switch (offset) {
    case MMIO_QUEUE_SIZE:
        queue->size = (uint16_t)MIN(value, UINT16_MAX); /* checked when it is enabled */
        break;
    case MMIO_QUEUE_DESCRIPTORS:
    case MMIO_QUEUE_DESCRIPTORS + 4:
        set_half(&queue->descriptor_area, offset & 4, value);
        break;
    case MMIO_QUEUE_DRIVER:
    case MMIO_QUEUE_DRIVER + 4:
        set_half(&queue->driver_area, offset & 4, value);
        break;
    case MMIO_QUEUE_DEVICE:
    case MMIO_QUEUE_DEVICE + 4:
        set_half(&queue->device_area, offset & 4, value);
        break;
    default:
        break;
    }
}

static void register_write(struct virtio_device *device, unsigned offset, uint32_t value)
{
    switch (offset) {
    case MMIO_FEATURE_SELECT:
        device->feature_select = value;
        break;
    case MMIO_DRIVER_FEATURES:
        virtio_set_driver_features(device, device->driver_feature_select, value);
        break;
    case MMIO_DRIVER_FEATURE_SELECT:
        device->driver_feature_select = value;
        break;
    case MMIO_QUEUE_SELECT:
        device->queue_select = (uint16_t)MIN(value, UINT16_MAX);
        break;
    case MMIO_QUEUE_NOTIFY: /* of a queue that there is not */
        break;
    case MMIO_INTERRUPT_ACKNOWLEDGE:
        virtio_isr_take(device, (uint8_t)value);
        break;
    case MMIO_STATUS:
        virtio_set_status(device, (uint8_t)value);
        break;
    default:
        if (virtio_selected_queue(device)) {
            write_queue(virtio_selected_queue(device), offset, value);
        }
        break;
    }
}

static enum memory_result mmio_read(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t *value)
{
    struct virtio_mmio *transport = opaque;

    *value = 0;
    if (offset >= MMIO_CONFIG) {
        *value = virtio_config_read(transport->device, (unsigned)offset - MMIO_CONFIG, size);
    } else if (size == 4) { /* 4.2.2.2: registers take no other size */
        *value = register_read(transport->device, (unsigned)offset);
    }
    return MEMORY_OK;
}

static enum memory_result mmio_write(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t value)
{
    struct virtio_mmio *transport = opaque;

    if (offset >= MMIO_CONFIG) {
        virtio_config_write(transport->device, (unsigned)offset - MMIO_CONFIG, size,
                            (uint32_t)value);
    } else if (size == 4) {
        register_write(transport->device, (unsigned)offset, (uint32_t)value);
    }
    return MEMORY_OK;
}

static const struct memory_region_ops mmio_ops = {
    .read = mmio_read,
    .write = mmio_write,
    .valid = {.min_size = 1, .max_size = 8},
    .implemented = {.min_size = 1, .max_size = 4},
};

static enum memory_result empty_read(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t *value)
{
    *value = size == 4 ? identify((unsigned)offset, 0) : 0;
    return MEMORY_OK;
}

static enum memory_result empty_write(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t value)
{
    return MEMORY_OK;
}

static const struct memory_region_ops empty_ops = {
    .read = empty_read,
    .write = empty_write,
    .valid = {.min_size = 1, .max_size = 8},
    .implemented = {.min_size = 1, .max_size = 4},
};

/* ---- The bus ---- */

static struct virtio_mmio_bus *bus_of(const struct virtio_device *device)
{
    return (struct virtio_mmio_bus *)device->pci.device.bus;
}

/* A node for each slot that is used. */
static void bus_describe(struct bus *base, struct device_tree *tree, struct device_node *parent)
{
    const struct virtio_mmio_bus *bus = (const struct virtio_mmio_bus *)base;

    for (unsigned i = 0; i < bus->count; i++) {
        const struct virtio_mmio_slot *slot = &bus->slots[i].board;
        struct device_node *node;

        if (!virtio_mmio_slot_is_used(bus, i)) {
            continue;
        }
        node = device_tree_add_memory_device(tree, "virtio_mmio", slot->address,
                                             VIRTIO_MMIO_SLOT_SIZE, "virtio,mmio");
        device_node_set(node, "interrupts", slot->line.number, DEVICE_TREE_LEVEL);
        device_node_set_flag(node, "dma-coherent");
    }
}

static const struct bus_ops bus_ops = {.describe = bus_describe};

struct virtio_mmio_bus *virtio_mmio_bus_new(struct machine *machine, struct memory_region *space,
                                            const struct virtio_mmio_slot *slots, unsigned count)
{
    struct virtio_mmio_bus *bus = g_malloc0(sizeof(*bus) + count * sizeof(bus->slots[0]));

    bus_init(&bus->base, &bus_ops, BUS_VIRTIO, "virtio-mmio", NULL);
    bus->machine = machine;
    bus->space = space;
    bus->count = count;
    memory_topology_begin();
    for (unsigned i = 0; i < count; i++) {
        struct slot *slot = &bus->slots[i];

        slot->board = slots[i];
        memory_region_init_mmio(&slot->empty, "virtio-mmio-empty", VIRTIO_MMIO_SLOT_SIZE,
                                &empty_ops, slot, NULL);
        memory_region_add_subregion(space, slot->board.address, &slot->empty);
    }
    memory_topology_commit();
    bus_offer(machine, &bus->base);
    return bus;
}

void virtio_mmio_bus_free(struct virtio_mmio_bus *bus)
{
    if (!bus) {
        return;
    }
    bus_withdraw(bus->machine, &bus->base);
    bus_clear(&bus->base);
    for (unsigned i = 0; i < bus->count; i++) {
        memory_region_destroy(&bus->slots[i].empty);
    }
    g_free(bus);
}

bool virtio_mmio_slot_is_used(const struct virtio_mmio_bus *bus, unsigned slot)
{
    return slot < bus->count && bus->slots[slot].device;
}

/* ---- Life of a device ---- */

static struct slot *find_slot(struct virtio_mmio_bus *bus, GError **error)
{
    for (unsigned i = 0; i < bus->count; i++) {
        if (!bus->slots[i].device) {
            return &bus->slots[i];
        }
    }
    duodm_fail(error, DUODM_ERROR_NO_MEMORY, "all %u slots of bus '%s' are taken", bus->count,
               bus->base.name);
    return NULL;
}

static bool add_doorbells(struct virtio_mmio *transport, GError **error)
{
    for (unsigned i = 0; i < transport->device->queue_count; i++) {
        if (!memory_region_add_ioeventfd(&transport->region, MMIO_QUEUE_NOTIFY, 4, true, i,
                                         transport->device->queues[i].kick_fd, error)) {
            return false;
        }
    }
    return true;
}

bool virtio_mmio_realize(struct device *base, GError **error)
{
    struct virtio_device *device = (struct virtio_device *)base;
    struct virtio_mmio_bus *bus = bus_of(device);
    struct slot *slot = find_slot(bus, error);
    struct virtio_mmio *transport;

    if (!slot) {
        return false;
    }
    transport = g_new0(struct virtio_mmio, 1);
    transport->device = device;
    transport->slot = slot;
    device->transport_data = transport;
    device->bus_space = &base->machine->as_memory;
    if (!virtio_realize(device, base->class->bus_class, &mmio_transport, false, error)) {
        g_clear_pointer(&device->transport_data, g_free);
        return false;
    }
    memory_region_init_mmio(&transport->region, "virtio-mmio", VIRTIO_MMIO_SLOT_SIZE, &mmio_ops,
                            transport, &base->guard);
    slot->device = device;
    if (!add_doorbells(transport, error)) {
        virtio_mmio_unrealize(base);
        return false;
    }
    memory_region_add_subregion_overlap(bus->space, slot->board.address, &transport->region, 1);
    return true;
}

void virtio_mmio_unrealize(struct device *base)
{
    struct virtio_device *device = (struct virtio_device *)base;
    struct virtio_mmio *transport = device->transport_data;

    /* First nobody reaches it any more. */
    memory_region_destroy(&transport->region);
    irq_line_set(&transport->slot->board.line, false);
    virtio_unrealize(device);
    transport->slot->device = NULL;
    g_clear_pointer(&device->transport_data, g_free);
}

void virtio_mmio_reset(struct device *base)
{
    virtio_reset((struct virtio_device *)base);
}
