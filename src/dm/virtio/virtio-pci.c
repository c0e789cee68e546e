/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The modern interface of virtio over PCI, 4.1: capabilities, and the structures that they point
 * to. virtio-pci-legacy.c has the other one. */
#include "dm/virtio/virtio-pci-private.h"
#include "dm/pci/pci-express.h"
#include "dm/pci/pci-iommu.h"
#include "dm/pci/pci-regs.h"
#include "util/error.h"

#include <assert.h>

#define BAR_LEGACY 0
#define BAR_MSIX   1
#define BAR_MODERN 4

/* Layout of BAR 4. */
#define COMMON_OFFSET     0x0000u
#define ISR_OFFSET        0x1000u
#define CONFIG_OFFSET     0x2000u
#define NOTIFY_OFFSET     0x3000u
#define PART_SIZE         0x1000u
#define MODERN_SIZE       0x4000u
#define NOTIFY_MULTIPLIER 4u

/* cfg_type, 4.1.4. */
#define CAP_COMMON 1
#define CAP_NOTIFY 2
#define CAP_ISR    3
#define CAP_DEVICE 4
#define CAP_PCI    5

/* Offsets in struct virtio_pci_cap. */
#define CAP_LENGTH     2
#define CAP_TYPE       3
#define CAP_BAR        4
#define CAP_BAR_OFFSET 8
#define CAP_BAR_LENGTH 12
#define CAP_SIZE       16
#define CAP_DATA       16 /* of CAP_NOTIFY: multiplier; of CAP_PCI: data */

/* Offsets in the common configuration structure, 4.1.4.3. */
enum {
    COMMON_FEATURE_SELECT = 0x00,
    COMMON_FEATURE = 0x04,
    COMMON_DRIVER_SELECT = 0x08,
    COMMON_DRIVER_FEATURE = 0x0c,
    COMMON_CONFIG_VECTOR = 0x10,
    COMMON_QUEUES = 0x12,
    COMMON_STATUS = 0x14,
    COMMON_GENERATION = 0x15,
    COMMON_QUEUE_SELECT = 0x16,
    COMMON_QUEUE_SIZE = 0x18,
    COMMON_QUEUE_VECTOR = 0x1a,
    COMMON_QUEUE_ENABLE = 0x1c,
    COMMON_QUEUE_NOTIFY = 0x1e,
    COMMON_QUEUE_DESCRIPTORS = 0x20,
    COMMON_QUEUE_DRIVER = 0x28,
    COMMON_QUEUE_DEVICE = 0x30,
    COMMON_NOTIFY_DATA = 0x38,
    COMMON_QUEUE_RESET = 0x3a,
};

/* ---- Interrupts ---- */

static void interrupt(struct virtio_device *device, uint16_t vector, uint8_t isr)
{
    if (pci_msix_is_enabled(&device->pci)) {
        if (vector != VIRTIO_NO_VECTOR) {
            pci_msix_notify(&device->pci, vector);
        }
    } else {
        virtio_isr_raise(device, isr);
    }
}

static void interrupt_queue(struct virtqueue *queue)
{
    interrupt(queue->device, __atomic_load_n(&queue->vector, __ATOMIC_RELAXED), VIRTIO_ISR_QUEUE);
}

static void interrupt_config(struct virtio_device *device)
{
    interrupt(device, __atomic_load_n(&device->config_vector, __ATOMIC_RELAXED), VIRTIO_ISR_CONFIG);
}

static void set_line(struct virtio_device *device, bool level)
{
    pci_set_interrupt(&device->pci, level);
}

static void transport_reset(struct virtio_device *device)
{
}

static bool can_access_memory(struct virtio_device *device)
{
    /* Drivers of the legacy interface are known to forget to switch it on. */
    return device->legacy || pci_device_is_master(&device->pci);
}

const struct virtio_transport virtio_pci_transport = {
    .interrupt_queue = interrupt_queue,
    .interrupt_config = interrupt_config,
    .reset = transport_reset,
    .can_access_memory = can_access_memory,
    .set_line = set_line,
};

uint16_t virtio_pci_check_vector(struct virtio_device *device, uint32_t vector)
{
    return vector < device->pci.msix.count ? (uint16_t)vector : VIRTIO_NO_VECTOR;
}

/* ---- Common configuration ---- */

static uint32_t half(uint64_t value, unsigned offset)
{
    return (uint32_t)(offset & 4 ? value >> 32 : value);
}

static uint32_t read_queue(struct virtqueue *queue, unsigned offset)
{
    if (!queue) {
        return 0; /* 4.1.5.1.3: size 0, there is no such queue */
    }
    switch (offset) {
    case COMMON_QUEUE_SIZE:
        return queue->size;
    case COMMON_QUEUE_VECTOR:
        return queue->vector;
    case COMMON_QUEUE_ENABLE:
        return queue->enabled;
    case COMMON_QUEUE_NOTIFY:
        return queue->index;
    case COMMON_QUEUE_DESCRIPTORS:
    case COMMON_QUEUE_DESCRIPTORS + 4:
        return half(queue->descriptor_area, offset);
    case COMMON_QUEUE_DRIVER:
    case COMMON_QUEUE_DRIVER + 4:
        return half(queue->driver_area, offset);
    case COMMON_QUEUE_DEVICE:
    case COMMON_QUEUE_DEVICE + 4:
        return half(queue->device_area, offset);
    case COMMON_NOTIFY_DATA:
        return queue->index;
    default:
        return 0;
    }
}

static uint32_t common_read(struct virtio_device *device, unsigned offset)
{
    switch (offset) {
    case COMMON_FEATURE_SELECT:
        return device->feature_select;
    case COMMON_FEATURE:
        return virtio_get_features(device, device->feature_select);
    case COMMON_DRIVER_SELECT:
        return device->driver_feature_select;
    case COMMON_DRIVER_FEATURE:
        return device->driver_feature_select < 2
                   ? (uint32_t)(device->driver_features >> (32 * device->driver_feature_select))
                   : 0;
    case COMMON_CONFIG_VECTOR:
        return device->config_vector;
    case COMMON_QUEUES:
        return device->queue_count;
    case COMMON_STATUS:
        return virtio_read_status(device);
    case COMMON_GENERATION:
        return device->config_generation;
    case COMMON_QUEUE_SELECT:
        return device->queue_select;
    default:
        return read_queue(virtio_selected_queue(device), offset);
    }
}

static void set_half(uint64_t *value, unsigned offset, uint32_t half_value)
{
    unsigned shift = offset & 4 ? 32 : 0;

    *value = (*value & ~(UINT64_C(0xffffffff) << shift)) | (uint64_t)half_value << shift;
}

static void write_queue(struct virtqueue *queue, unsigned offset, uint32_t value)
{
    if (!queue) {
        return;
    }
    if (offset == COMMON_QUEUE_VECTOR) {
        __atomic_store_n(&queue->vector, virtio_pci_check_vector(queue->device, value),
                         __ATOMIC_RELAXED);
    } else if (offset == COMMON_QUEUE_ENABLE) {
        if (value == 1) {
            virtio_enable_queue(queue);
        }
    } else if (offset == COMMON_QUEUE_RESET) {
        if (value == 1 && virtio_has_feature(queue->device, VIRTIO_F_RING_RESET)) {
            virtio_reset_queue(queue);
        }
    } else if (!queue->enabled) { /* 4.1.4.3.2: the driver must not change it any more */
        switch (offset) {
        case COMMON_QUEUE_SIZE:
            queue->size = (uint16_t)value; /* checked when it is enabled */
            break;
        case COMMON_QUEUE_DESCRIPTORS:
        case COMMON_QUEUE_DESCRIPTORS + 4:
            set_half(&queue->descriptor_area, offset, value);
            break;
        case COMMON_QUEUE_DRIVER:
        case COMMON_QUEUE_DRIVER + 4:
            set_half(&queue->driver_area, offset, value);
            break;
        case COMMON_QUEUE_DEVICE:
        case COMMON_QUEUE_DEVICE + 4:
            set_half(&queue->device_area, offset, value);
            break;
        default:
            break;
        }
    }
}

static void common_write(struct virtio_device *device, unsigned offset, uint32_t value)
{
    switch (offset) {
    case COMMON_FEATURE_SELECT:
        device->feature_select = value;
        break;
    case COMMON_DRIVER_SELECT:
        device->driver_feature_select = value;
        break;
    case COMMON_DRIVER_FEATURE:
        virtio_set_driver_features(device, device->driver_feature_select, value);
        break;
    case COMMON_CONFIG_VECTOR:
        __atomic_store_n(&device->config_vector, virtio_pci_check_vector(device, value),
                         __ATOMIC_RELAXED);
        break;
    case COMMON_STATUS:
        virtio_set_status(device, (uint8_t)value);
        break;
    case COMMON_QUEUE_SELECT:
        device->queue_select = (uint16_t)value;
        break;
    default:
        write_queue(virtio_selected_queue(device), offset, value);
        break;
    }
}

/* ---- Regions ---- */

/* Which part of BAR 4, and what there. Used by the regions and by the window in config space. */
static uint32_t modern_read(struct virtio_device *device, unsigned offset, unsigned size)
{
    unsigned at = offset & (PART_SIZE - 1);

    switch (offset & ~(PART_SIZE - 1)) {
    case COMMON_OFFSET:
        return common_read(device, at);
    case ISR_OFFSET:
        return at == 0 ? virtio_isr_take(device, UINT8_MAX) : 0;
    case CONFIG_OFFSET:
        return virtio_config_read(device, at, size);
    default:
        return 0;
    }
}

static void modern_write(struct virtio_device *device, unsigned offset, unsigned size,
                         uint32_t value)
{
    unsigned at = offset & (PART_SIZE - 1);

    switch (offset & ~(PART_SIZE - 1)) {
    case COMMON_OFFSET:
        common_write(device, at, value);
        break;
    case CONFIG_OFFSET:
        virtio_config_write(device, at, size, value);
        break;
    case NOTIFY_OFFSET:
        if (at / NOTIFY_MULTIPLIER < device->queue_count) {
            virtqueue_kick(virtio_queue(device, at / NOTIFY_MULTIPLIER));
        }
        break;
    default:
        break;
    }
}

#define PART_CALLBACKS(name_, offset_)                                                             \
    static enum memory_result name_##_region_read(void *opaque, uint64_t offset, unsigned size,    \
                                                  struct memory_attributes attributes,             \
                                                  uint64_t *value)                                 \
    {                                                                                              \
        struct virtio_pci *transport = opaque;                                                     \
        *value = modern_read(transport->device, (offset_) + (unsigned)offset, size);               \
        return MEMORY_OK;                                                                          \
    }                                                                                              \
    static enum memory_result name_##_region_write(void *opaque, uint64_t offset, unsigned size,   \
                                                   struct memory_attributes attributes,            \
                                                   uint64_t value)                                 \
    {                                                                                              \
        struct virtio_pci *transport = opaque;                                                     \
        modern_write(transport->device, (offset_) + (unsigned)offset, size, (uint32_t)value);      \
        return MEMORY_OK;                                                                          \
    }                                                                                              \
    static const struct memory_region_ops name_##_ops = {                                          \
        .read = name_##_region_read,                                                               \
        .write = name_##_region_write,                                                             \
        .valid = {.min_size = 1, .max_size = 8},                                                   \
        .implemented = {.min_size = 1, .max_size = 4},                                             \
    }

PART_CALLBACKS(common, COMMON_OFFSET);
PART_CALLBACKS(isr, ISR_OFFSET);
PART_CALLBACKS(config, CONFIG_OFFSET);
PART_CALLBACKS(notify, NOTIFY_OFFSET);

/* Each queue's doorbell signals its event descriptor: no callback, no guard. */
static bool add_doorbells(struct virtio_pci *transport, GError **error)
{
    struct virtio_device *device = transport->device;

    for (unsigned i = 0; i < device->queue_count; i++) {
        if (!memory_region_add_ioeventfd(&transport->notify, i * NOTIFY_MULTIPLIER, 0, false, 0,
                                         device->queues[i].kick_fd, error)) {
            return false;
        }
    }
    return true;
}

static void add_part(struct virtio_pci *transport, struct memory_region *region, const char *name,
                     uint64_t offset, const struct memory_region_ops *ops)
{
    memory_region_init_mmio(region, name, PART_SIZE, ops, transport,
                            &transport->device->pci.device.guard);
    memory_region_add_subregion(&transport->modern, offset, region);
}

/* A capability that points to a part of BAR 4. */
static unsigned add_capability(struct virtio_device *device, uint8_t type, uint32_t offset,
                               uint32_t length, unsigned size)
{
    unsigned at = pci_add_capability(&device->pci, PCI_CAP_VENDOR, size);
    uint8_t *config = device->pci.config;

    assert(at);
    pci_put(config, at + CAP_LENGTH, 1, size);
    pci_put(config, at + CAP_TYPE, 1, type);
    pci_put(config, at + CAP_BAR, 1, type == CAP_PCI ? 0 : BAR_MODERN);
    pci_put(config, at + CAP_BAR_OFFSET, 4, offset);
    pci_put(config, at + CAP_BAR_LENGTH, 4, length);
    return at;
}

static bool make_modern(struct virtio_pci *transport, GError **error)
{
    struct virtio_device *device = transport->device;
    unsigned at;

    memory_region_init_container(&transport->modern, "virtio-pci", MODERN_SIZE);
    add_part(transport, &transport->common, "virtio-pci-common", COMMON_OFFSET, &common_ops);
    add_part(transport, &transport->isr, "virtio-pci-isr", ISR_OFFSET, &isr_ops);
    add_part(transport, &transport->config, "virtio-pci-device", CONFIG_OFFSET, &config_ops);
    add_part(transport, &transport->notify, "virtio-pci-notify", NOTIFY_OFFSET, &notify_ops);
    pci_register_bar(&device->pci, BAR_MODERN, &transport->modern, false, true, true);
    add_capability(device, CAP_COMMON, COMMON_OFFSET, PART_SIZE, CAP_SIZE);
    add_capability(device, CAP_ISR, ISR_OFFSET, PART_SIZE, CAP_SIZE);
    add_capability(device, CAP_DEVICE, CONFIG_OFFSET, PART_SIZE, CAP_SIZE);
    at = add_capability(device, CAP_NOTIFY, NOTIFY_OFFSET, PART_SIZE, CAP_SIZE + 4);
    pci_put(device->pci.config, at + CAP_DATA, 4, NOTIFY_MULTIPLIER);
    at = add_capability(device, CAP_PCI, 0, 0, CAP_SIZE + 4);
    transport->cfg_capability = at;
    pci_put(device->pci.write_mask, at + CAP_BAR, 1, 0xff);
    pci_put(device->pci.write_mask, at + CAP_BAR_OFFSET, 4, UINT32_MAX);
    pci_put(device->pci.write_mask, at + CAP_BAR_LENGTH, 4, UINT32_MAX);
    pci_put(device->pci.write_mask, at + CAP_DATA, 4, UINT32_MAX);
    return add_doorbells(transport, error);
}

static void free_modern(struct virtio_pci *transport)
{
    memory_region_destroy(&transport->notify);
    memory_region_destroy(&transport->config);
    memory_region_destroy(&transport->isr);
    memory_region_destroy(&transport->common);
    memory_region_destroy(&transport->modern);
}

/* ---- The window in config space, 4.1.4.9 ---- */

static bool window_is_open(const struct virtio_pci *transport, unsigned *offset, unsigned *size)
{
    const uint8_t *config = transport->device->pci.config;
    unsigned at = transport->cfg_capability;

    *offset = pci_get(config, at + CAP_BAR_OFFSET, 4);
    *size = pci_get(config, at + CAP_BAR_LENGTH, 4);
    return pci_get(config, at + CAP_BAR, 1) == BAR_MODERN &&
           (*size == 1 || *size == 2 || *size == 4) && *offset <= MODERN_SIZE - *size &&
           *offset % *size == 0;
}

static bool touches_window(const struct virtio_pci *transport, unsigned offset, unsigned length)
{
    unsigned data = transport->cfg_capability + CAP_DATA;

    return transport->cfg_capability && offset < data + 4 && data < offset + length;
}

uint32_t virtio_pci_config_read(struct pci_device *pci, unsigned offset, unsigned length)
{
    struct virtio_device *device = (struct virtio_device *)pci;
    struct virtio_pci *transport = device->transport_data;
    unsigned at, size;

    if (touches_window(transport, offset, length) && window_is_open(transport, &at, &size)) {
        pci_put(pci->config, transport->cfg_capability + CAP_DATA, 4,
                modern_read(device, at, size));
    }
    return pci_device_config_read(pci, offset, length);
}

void virtio_pci_config_written(struct pci_device *pci, unsigned offset, unsigned length)
{
    struct virtio_device *device = (struct virtio_device *)pci;
    struct virtio_pci *transport = device->transport_data;
    unsigned at, size;

    if (offset < PCI_COMMAND + 2 && offset + length > PCI_COMMAND) {
        virtio_update_running(device);
    }
    if (touches_window(transport, offset, length) && window_is_open(transport, &at, &size)) {
        uint32_t value = pci_get(pci->config, transport->cfg_capability + CAP_DATA, 4);

        modern_write(device, at, size, size == 4 ? value : value & ((1u << 8 * size) - 1));
    }
}

/* ---- Life ---- */

static const struct virtio_pci_class *class_of(const struct virtio_device *device)
{
    return device->pci.device.class->bus_class;
}

static bool choose_interfaces(struct virtio_pci *transport, GError **error)
{
    const struct virtio_device *device = transport->device;
    const struct virtio_pci_class *class = class_of(device);

    transport->has_legacy = !device->pci_options.disable_legacy;
    transport->has_modern = !device->pci_options.disable_modern;
    if (class->transitional || class->non_transitional) {
        transport->has_legacy = class->transitional;
        transport->has_modern = true;
    }
    if (transport->has_legacy && !class->virtio->legacy_id) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "this kind of device has no legacy interface: leave out "
                          "disable-legacy=off");
    }
    if (transport->has_legacy && device->access_platform) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "iommu_platform=on can't go with a legacy interface: set "
                          "disable-legacy=on");
    }
    return transport->has_legacy || transport->has_modern ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "disable-legacy=on and disable-modern=on leave no interface");
}

/* 4.1.2.1: IDs, and the revision that tells them apart. */
static void set_ids(struct virtio_pci *transport)
{
    struct virtio_device *device = transport->device;
    const struct virtio_class *class = class_of(device)->virtio;
    uint8_t *config = device->pci.config;

    if (transport->has_legacy) {
        pci_put(config, PCI_DEVICE_ID, 2, class->legacy_id);
        pci_put(config, PCI_REVISION_ID, 1, 0);
        pci_put(config, PCI_SUBSYSTEM_ID, 2, class->device_id);
    } else {
        pci_put(config, PCI_DEVICE_ID, 2, 0x1040u + class->device_id);
    }
}

/* With a legacy interface, which needs I/O, it is one of conventional PCI. */
static bool make_express(struct virtio_pci *transport, GError **error)
{
    struct pci_device *pci = &transport->device->pci;

    return transport->has_legacy || !pci_bus_is_express(pci->pci_bus) ||
           pci_add_express(pci, pci_express_endpoint_type(pci->pci_bus), error);
}

static bool make_msix(struct virtio_device *device, GError **error)
{
    uint32_t *vectors = &device->pci_options.vectors;

    if (*vectors == UINT32_MAX) {
        *vectors = MIN(device->queue_count + 1, PCI_MSIX_VECTORS_MAX);
    }
    return !*vectors || pci_msix_init(&device->pci, *vectors, BAR_MSIX, error);
}

bool virtio_pci_realize(struct device *base, GError **error)
{
    struct virtio_device *device = (struct virtio_device *)base;
    struct virtio_pci *transport = g_new0(struct virtio_pci, 1);

    transport->device = device;
    device->transport_data = transport;
    device->bus_space = &device->pci.dma;
    device->drain = pci_device_drain(&device->pci);
    if (!choose_interfaces(transport, error) ||
        !virtio_realize(device, class_of(device)->virtio, &virtio_pci_transport,
                        !transport->has_modern, error)) {
        g_clear_pointer(&device->transport_data, g_free);
        return false;
    }
    set_ids(transport);
    if (make_express(transport, error) && make_msix(device, error) &&
        (!transport->has_modern || make_modern(transport, error)) &&
        (!transport->has_legacy || virtio_pci_make_legacy(transport, BAR_LEGACY, error))) {
        return true;
    }
    virtio_pci_unrealize(base);
    return false;
}

void virtio_pci_unrealize(struct device *base)
{
    struct virtio_device *device = (struct virtio_device *)base;
    struct virtio_pci *transport = device->transport_data;

    virtio_unrealize(device);
    memory_region_destroy(&transport->legacy);
    free_modern(transport);
    g_clear_pointer(&device->transport_data, g_free);
}

void virtio_pci_reset(struct device *base)
{
    virtio_reset((struct virtio_device *)base);
}
