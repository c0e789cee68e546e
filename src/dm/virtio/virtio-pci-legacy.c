/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The legacy interface of virtio over PCI, 4.1.4.10: registers in a port BAR, rings in one piece.
 */
#include "dm/virtio/virtio-pci-private.h"

/* Registers. */
enum {
    LEGACY_FEATURES = 0,
    LEGACY_DRIVER_FEATURES = 4,
    LEGACY_QUEUE_PAGE = 8,
    LEGACY_QUEUE_SIZE = 12,
    LEGACY_QUEUE_SELECT = 14,
    LEGACY_QUEUE_NOTIFY = 16,
    LEGACY_STATUS = 18,
    LEGACY_ISR = 19,
    LEGACY_CONFIG_VECTOR = 20, /* only while MSI-X is enabled; else the device's configuration */
    LEGACY_QUEUE_VECTOR = 22,
};
#define LEGACY_SIZE      256u
#define LEGACY_PAGE      4096u
#define LEGACY_ALIGNMENT 4096u /* of the used ring, 2.7.2 */

/* Where the device's configuration begins. */
static unsigned config_start(const struct virtio_device *device)
{
    return pci_msix_is_enabled(&device->pci) ? 24 : 20;
}

static uint32_t register_read(struct virtio_device *device, unsigned offset)
{
    struct virtqueue *queue = virtio_selected_queue(device);

    switch (offset) {
    case LEGACY_FEATURES:
        return virtio_get_features(device, 0);
    case LEGACY_DRIVER_FEATURES:
        return (uint32_t)device->driver_features;
    case LEGACY_QUEUE_PAGE:
        return queue ? (uint32_t)(queue->descriptor_area / LEGACY_PAGE) : 0;
    case LEGACY_QUEUE_SIZE:
        return queue ? queue->size_max : 0;
    case LEGACY_QUEUE_SELECT:
        return device->queue_select;
    case LEGACY_STATUS:
        return virtio_read_status(device);
    case LEGACY_ISR:
        return virtio_isr_take(device, UINT8_MAX);
    case LEGACY_CONFIG_VECTOR:
        return device->config_vector;
    case LEGACY_QUEUE_VECTOR:
        return queue ? queue->vector : VIRTIO_NO_VECTOR;
    default:
        return 0;
    }
}

/* 2.7.2: descriptors, available ring, and on the next boundary the used ring. */
static void set_page(struct virtqueue *queue, uint32_t page)
{
    uint64_t size = queue->size_max, driver;

    if (queue->enabled) {
        virtio_reset_queue(queue);
    }
    if (!page) {
        return;
    }
    driver = (uint64_t)page * LEGACY_PAGE + 16 * size;
    queue->size = queue->size_max;
    queue->descriptor_area = (uint64_t)page * LEGACY_PAGE;
    queue->driver_area = driver;
    queue->device_area =
        (driver + 6 + 2 * size + LEGACY_ALIGNMENT - 1) & ~(LEGACY_ALIGNMENT - 1ull);
    virtio_enable_queue(queue);
}

static void register_write(struct virtio_device *device, unsigned offset, uint32_t value)
{
    struct virtqueue *queue = virtio_selected_queue(device);

    switch (offset) {
    case LEGACY_DRIVER_FEATURES:
        device->legacy = true;
        virtio_set_driver_features(device, 0, value);
        break;
    case LEGACY_QUEUE_PAGE:
        if (queue && device->legacy) {
            set_page(queue, value);
        }
        break;
    case LEGACY_QUEUE_SELECT:
        device->queue_select = (uint16_t)value;
        break;
    case LEGACY_QUEUE_NOTIFY: /* of a queue that there is not, or in an odd size */
        if ((uint16_t)value < device->queue_count) {
            virtqueue_kick(virtio_queue(device, (uint16_t)value));
        }
        break;
    case LEGACY_STATUS:
        if (!(virtio_get_status(device) & VIRTIO_STATUS_FEATURES_OK)) {
            device->legacy = true;
        }
        virtio_set_status(device, (uint8_t)value);
        break;
    case LEGACY_CONFIG_VECTOR:
        __atomic_store_n(&device->config_vector, virtio_pci_check_vector(device, value),
                         __ATOMIC_RELAXED);
        break;
    case LEGACY_QUEUE_VECTOR:
        if (queue) {
            __atomic_store_n(&queue->vector, virtio_pci_check_vector(device, value),
                             __ATOMIC_RELAXED);
        }
        break;
    default:
        break;
    }
}

static enum memory_result legacy_read(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t *value)
{
    struct virtio_pci *transport = opaque;
    unsigned start = config_start(transport->device);

    *value = offset >= start ? virtio_config_read(transport->device, (unsigned)offset - start, size)
                             : register_read(transport->device, (unsigned)offset);
    return MEMORY_OK;
}

static enum memory_result legacy_write(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t value)
{
    struct virtio_pci *transport = opaque;
    unsigned start = config_start(transport->device);

    if (offset >= start) {
        virtio_config_write(transport->device, (unsigned)offset - start, size, (uint32_t)value);
    } else {
        register_write(transport->device, (unsigned)offset, (uint32_t)value);
    }
    return MEMORY_OK;
}

static const struct memory_region_ops legacy_ops = {
    .read = legacy_read,
    .write = legacy_write,
    .valid = {.min_size = 1, .max_size = 4},
    .implemented = {.min_size = 1, .max_size = 4},
};

bool virtio_pci_make_legacy(struct virtio_pci *transport, unsigned bar, GError **error)
{
    struct virtio_device *device = transport->device;

    memory_region_init_mmio(&transport->legacy, "virtio-pci-legacy", LEGACY_SIZE, &legacy_ops,
                            transport, &device->pci.device.guard);
    pci_register_bar(&device->pci, bar, &transport->legacy, true, false, false);
    for (unsigned i = 0; i < device->queue_count; i++) {
        if (!memory_region_add_ioeventfd(&transport->legacy, LEGACY_QUEUE_NOTIFY, 2, true, i,
                                         device->queues[i].kick_fd, error)) {
            return false;
        }
    }
    return true;
}
