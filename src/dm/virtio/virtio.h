/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtio devices (virtio 1.2). A kind of device is a const struct virtio_class, whose instance
 * begins with struct virtio_device; the transports (virtio-pci.h, virtio-mmio.h) make device
 * classes of it. How to write one: see virtio-rng.c, the smallest.
 *
 * Threads:
 * - Register accesses, features, status, configuration: under the device's guard (core's business).
 * - Queues: in an I/O thread, without the guard. They run between start and stop, that is, while
 *   the driver is ready (DRIVER_OK), the machine runs, and the device is neither broken nor reset.
 *   Stopping waits until nothing is popped that was not pushed; so a device's reset, pause, saved
 *   state and end need not think of requests under way.
 */
#ifndef DUODM_DM_VIRTIO_VIRTIO_H
#define DUODM_DM_VIRTIO_VIRTIO_H

#include "dm/io-thread.h"
#include "dm/pci/pci.h"
#include "dm/virtio/virtqueue.h"
#include "iommu/iommu-watch.h"

#define VIRTIO_QUEUES_MAX 64
#define VIRTIO_CONFIG_MAX 256 /* bytes of device configuration */
#define VIRTIO_NO_VECTOR  0xffffu

/* Device status, 2.1. */
#define VIRTIO_STATUS_ACKNOWLEDGE 1u
#define VIRTIO_STATUS_DRIVER      2u
#define VIRTIO_STATUS_DRIVER_OK   4u
#define VIRTIO_STATUS_FEATURES_OK 8u
#define VIRTIO_STATUS_NEEDS_RESET 64u
#define VIRTIO_STATUS_FAILED      128u

/* Feature bits that are not a device's own, 6. */
#define VIRTIO_F_NOTIFY_ON_EMPTY 24 /* legacy */
#define VIRTIO_F_ANY_LAYOUT      27 /* legacy */
#define VIRTIO_F_INDIRECT_DESC   28
#define VIRTIO_F_EVENT_IDX       29
#define VIRTIO_F_VERSION_1       32
#define VIRTIO_F_ACCESS_PLATFORM 33
#define VIRTIO_F_RING_PACKED     34
#define VIRTIO_F_RING_RESET      40

#define VIRTIO_FEATURE(bit_) (UINT64_C(1) << (bit_))

struct virtio_device;

/* A kind of device. Functions may be NULL unless said otherwise. */
struct virtio_class {
    const char *name;   /* "virtio-rng": for messages */
    uint16_t device_id; /* 5 */
    uint16_t legacy_id; /* PCI device ID of the transitional device, 4.1.2.1; 0: there is none */
    uint32_t pci_class_code; /* 24 bits */
    uint64_t features;       /* its own that are always offered */
    unsigned config_size;    /* bytes of device configuration; realize may lower or raise
                                device->config_size */
    /* Add queues (virtio_add_queue), fill in device->config, find back ends. Must be there. */
    bool (*realize)(struct virtio_device *device, GError **error);
    void (*unrealize)(struct virtio_device *device); /* mirror; queues are stopped */
    /* The guest has chosen device->features (when it set FEATURES_OK). Guard. */
    void (*features_set)(struct virtio_device *device);
    /* The guest is about to read the configuration: make device->config current. Guard. */
    void (*config_read)(struct virtio_device *device);
    /* The guest wrote these bytes of device->config (only those in config_write_mask change).
     * Guard. */
    void (*config_written)(struct virtio_device *device, unsigned offset, unsigned length);
    /* To the state of power-on: a guest's reset, or the machine's. Queues are stopped. Guard. */
    void (*reset)(struct virtio_device *device);
    /* Is the last reset not over yet, as the driver shall see it? It polls (4.1.4.3.2). May be
     * NULL. Any thread. */
    bool (*is_resetting)(const struct virtio_device *device);
    /* Queues have begun to run; before the first handler is called. In device->thread, guard held
     * by who waits. */
    void (*start)(struct virtio_device *device);
    /* No buffer can be popped any more. Give back (virtqueue_unpop, virtqueue_push) what would not
     * be pushed soon by itself; the core waits for the rest. In device->thread. */
    void (*stop)(struct virtio_device *device);
    void (*before_save)(struct virtio_device *device);
    bool (*after_load)(struct virtio_device *device); /* false: the values can't be */
};

/* How a device is reached. */
struct virtio_transport {
    void (*interrupt_queue)(struct virtqueue *queue);       /* any thread */
    void (*interrupt_config)(struct virtio_device *device); /* any thread */
    /* What the transport itself has to forget at a reset that the driver asked for. Guard. */
    void (*reset)(struct virtio_device *device);
    bool (*can_access_memory)(struct virtio_device *device);    /* bus mastering is on. Guard */
    void (*set_line)(struct virtio_device *device, bool level); /* INTx. Any thread, lock held */
};

/* What a snapshot holds of a queue; parallel arrays, so that a state table can name them. */
struct virtio_saved_queues {
    uint64_t descriptor_area[VIRTIO_QUEUES_MAX], driver_area[VIRTIO_QUEUES_MAX];
    uint64_t device_area[VIRTIO_QUEUES_MAX];
    uint16_t size[VIRTIO_QUEUES_MAX], vector[VIRTIO_QUEUES_MAX];
    uint16_t available_next[VIRTIO_QUEUES_MAX], used_next[VIRTIO_QUEUES_MAX];
    uint8_t flags[VIRTIO_QUEUES_MAX]; /* enabled, wrap counters */
};

/* Properties of the PCI transport, besides those of PCI and of virtio. */
struct virtio_pci_options {
    bool disable_legacy, disable_modern;
    uint32_t vectors; /* MSI-X; UINT32_MAX: one for each queue and one for the configuration */
};

/* Begins with struct device, so it is one. Over virtio-mmio only pci.device of pci is used. */
struct virtio_device {
    struct pci_device pci;
    const struct virtio_class *class;
    const struct virtio_transport *transport;
    void *transport_data;            /* the transport's own */
    struct address_space *bus_space; /* what the device sees as bus master; the transport's */
    struct iommu_drain *drain; /* of the IOMMU that it is behind; the transport's. NULL: none */
    struct iommu_watch watch;  /* of bus_space, if drain and access_platform */
    struct io_task revoked;    /* in thread: a driver took memory back that is in use */

    /* Properties. */
    char *thread_id; /* iothread */
    bool access_platform, packed, event_index, indirect;
    struct virtio_pci_options pci_options;

    /* Under the guard. */
    uint64_t offered_features, driver_features;   /* what is offered; what the driver has written */
    uint64_t features;                            /* negotiated: constant while queues run */
    uint8_t config[VIRTIO_CONFIG_MAX];            /* device configuration, little-endian */
    uint8_t config_write_mask[VIRTIO_CONFIG_MAX]; /* bits that the guest may write */
    unsigned config_size;
    uint8_t config_generation;
    uint16_t config_vector;
    bool legacy;          /* the driver uses the legacy interface, 1.3.1 */
    bool machine_running; /* as the machine last told */
    bool running;         /* queues run */
    uint32_t feature_select, driver_feature_select; /* of the transport's registers */
    uint16_t queue_select;

    uint8_t status; /* atomic: any thread may add NEEDS_RESET */
    bool broken;    /* atomic */
    uint8_t isr;    /* interrupt status, 4.1.4.5; under lock */

    struct io_thread *thread; /* of the queues that do not have another one */
    struct virtqueue *queues; /* queue_count of them */
    unsigned queue_count;

    pthread_mutex_t lock; /* leaf but for the interrupt line; for isr and drained */
    pthread_cond_t drained;
    bool draining; /* atomic: someone waits until nothing is in flight */
    struct virtio_saved_queues saved;
};

/* Common properties of all virtio devices: in a class's table, after the bus's. */
#define VIRTIO_DEVICE_PROPERTIES                                                                   \
    {"iothread",                                                                                   \
     PROPERTY_STRING | PROPERTY_OF_HOST,                                                           \
     offsetof(struct virtio_device, thread_id),                                                    \
     NULL,                                                                                         \
     0,                                                                                            \
     0,                                                                                            \
     "I/O thread that serves it (-object iothread) [one that devices share]"},                     \
        {"iommu_platform",                                                                         \
         PROPERTY_BOOL,                                                                            \
         offsetof(struct virtio_device, access_platform),                                          \
         "off",                                                                                    \
         0,                                                                                        \
         0,                                                                                        \
         "accesses memory as any other device of its bus, through an IOMMU if there is one"},      \
        {"packed", PROPERTY_BOOL,       offsetof(struct virtio_device, packed), "off", 0,          \
         0,        "offer packed rings"},                                                          \
        {"event_idx",                                                                              \
         PROPERTY_BOOL,                                                                            \
         offsetof(struct virtio_device, event_index),                                              \
         "on",                                                                                     \
         0,                                                                                        \
         0,                                                                                        \
         "offer event indexes, which save notifications"},                                         \
    {                                                                                              \
        "indirect_desc", PROPERTY_BOOL, offsetof(struct virtio_device, indirect), "on", 0, 0,      \
            "offer indirect descriptors"                                                           \
    }

/* What a saved device must have here, too: its class's facts. */
extern const struct property virtio_facts[];

/*
 * Saved state: put VIRTIO_STATE_FIELDS first in the table of a device's own fields, and
 * VIRTIO_STATE_HOOKS into its description.
 */
#define VIRTIO_STATE_HOOKS .before_save = virtio_before_save, .after_load = virtio_after_load
#define VIRTIO_STATE_FIELDS                                                                        \
    STATE(UINT64, virtio_device, features, 1), STATE(UINT64, virtio_device, driver_features, 1),   \
        STATE_ARRAY(BYTES, virtio_device, config, VIRTIO_CONFIG_MAX, 1),                           \
        STATE(UINT8, virtio_device, config_generation, 1),                                         \
        STATE(UINT16, virtio_device, config_vector, 1), STATE(BOOL, virtio_device, legacy, 1),     \
        STATE(UINT32, virtio_device, feature_select, 1),                                           \
        STATE(UINT32, virtio_device, driver_feature_select, 1),                                    \
        STATE(UINT16, virtio_device, queue_select, 1), STATE(UINT8, virtio_device, status, 1),     \
        STATE(BOOL, virtio_device, broken, 1), STATE(UINT8, virtio_device, isr, 1),                \
        STATE_ARRAY(UINT64, virtio_device, saved.descriptor_area, VIRTIO_QUEUES_MAX, 1),           \
        STATE_ARRAY(UINT64, virtio_device, saved.driver_area, VIRTIO_QUEUES_MAX, 1),               \
        STATE_ARRAY(UINT64, virtio_device, saved.device_area, VIRTIO_QUEUES_MAX, 1),               \
        STATE_ARRAY(UINT16, virtio_device, saved.size, VIRTIO_QUEUES_MAX, 1),                      \
        STATE_ARRAY(UINT16, virtio_device, saved.vector, VIRTIO_QUEUES_MAX, 1),                    \
        STATE_ARRAY(UINT16, virtio_device, saved.available_next, VIRTIO_QUEUES_MAX, 1),            \
        STATE_ARRAY(UINT16, virtio_device, saved.used_next, VIRTIO_QUEUES_MAX, 1),                 \
        STATE_ARRAY(UINT8, virtio_device, saved.flags, VIRTIO_QUEUES_MAX, 1)
void virtio_before_save(void *device);
bool virtio_after_load(void *device);

/* For devices. */

/* In realize: a queue of up to size_max descriptors (a power of two), data_size bytes of the
 * device's own in each element. handle: see virtqueue.h. Returns its index. At most
 * VIRTIO_QUEUES_MAX. The pointer virtio_queue(index) is good when realize has returned. */
unsigned virtio_add_queue(struct virtio_device *device, unsigned size_max, size_t data_size,
                          virtqueue_handler_fn handle);
static inline struct virtqueue *virtio_queue(struct virtio_device *device, unsigned index)
{
    return &device->queues[index];
}

static inline bool virtio_has_feature(const struct virtio_device *device, unsigned bit)
{
    return device->features >> bit & 1;
}

/* The configuration changed: raise its generation, interrupt the driver. Guard held. */
void virtio_config_changed(struct virtio_device *device);

/* The driver broke the rules (or the device can't go on): nothing more until it is reset. Any
 * thread. reason: a static string, for the log and trace. Always returns false. */
bool virtio_break(struct virtio_device *device, const char *reason);
static inline bool virtio_is_broken(const struct virtio_device *device)
{
    return __atomic_load_n(&device->broken, __ATOMIC_RELAXED);
}

/* Name for messages: its id or its class. */
const char *virtio_name(const struct virtio_device *device);

/* Where its rings and buffers are: the bus master address space with VIRTIO_F_ACCESS_PLATFORM, else
 * all of the machine's memory. */
struct address_space *virtio_dma_space(struct virtio_device *device);
struct memory_attributes virtio_dma_attributes(const struct virtio_device *device);

/* For transports, with the guard held. Values are checked here. */

/* In the transport's realize: what all devices have, then the class's realize; and its mirror. */
bool virtio_realize(struct virtio_device *device, const struct virtio_class *class,
                    const struct virtio_transport *transport, bool legacy_only, GError **error);
void virtio_unrealize(struct virtio_device *device);
void virtio_reset(struct virtio_device *device);
void virtio_set_status(struct virtio_device *device, uint8_t status);
static inline uint8_t virtio_get_status(const struct virtio_device *device)
{
    return __atomic_load_n(&device->status, __ATOMIC_ACQUIRE);
}
/* As the driver reads it: 0 only after a reset is over. */
static inline uint8_t virtio_read_status(const struct virtio_device *device)
{
    uint8_t status = virtio_get_status(device);

    if (!status && device->class->is_resetting && device->class->is_resetting(device)) {
        status = VIRTIO_STATUS_ACKNOWLEDGE;
    }
    return status;
}
/* 32 bits of features, as select says. */
uint32_t virtio_get_features(const struct virtio_device *device, uint32_t select);
void virtio_set_driver_features(struct virtio_device *device, uint32_t select, uint32_t value);
/* The queue that queue_select names, or NULL. */
struct virtqueue *virtio_selected_queue(struct virtio_device *device);
void virtio_enable_queue(struct virtqueue *queue);
void virtio_reset_queue(struct virtqueue *queue);
/* Something that decides whether queues run has changed: bus mastering. */
void virtio_update_running(struct virtio_device *device);
/* Accesses of 1 to 4 bytes to the device configuration; zeros past its end. */
uint32_t virtio_config_read(struct virtio_device *device, unsigned offset, unsigned size);
void virtio_config_write(struct virtio_device *device, unsigned offset, unsigned size,
                         uint32_t value);

/* Interrupt by the line: bits become set and the line rises; the driver takes bits, and when none
 * is left it falls. Any thread. */
#define VIRTIO_ISR_QUEUE  1u
#define VIRTIO_ISR_CONFIG 2u
void virtio_isr_raise(struct virtio_device *device, uint8_t bits);
uint8_t virtio_isr_take(struct virtio_device *device, uint8_t bits); /* what was set before */

/* For queues. */
void virtio_queue_drained_slow(struct virtqueue *queue);
static inline void virtio_queue_drained(struct virtqueue *queue)
{
    if (G_UNLIKELY(__atomic_load_n(&queue->device->draining, __ATOMIC_SEQ_CST))) {
        virtio_queue_drained_slow(queue);
    }
}
static inline void virtio_interrupt_queue(struct virtqueue *queue)
{
    queue->device->transport->interrupt_queue(queue);
}

#endif
