/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all virtio devices share: status, features, configuration, and when queues run. Changes come
 * from guests' register accesses, the machine's start and stop, resets; each is brought to the
 * queues by virtio_update_running, in their own threads.
 */
#include "dm/virtio/virtqueue-private.h"
#include "dm/machine.h"
#include "util/log.h"
#include "util/trace.h"

#include <assert.h>

/* virtio_saved_queues.flags */
#define SAVED_ENABLED        0x1u
#define SAVED_AVAILABLE_WRAP 0x2u
#define SAVED_USED_WRAP      0x4u

const char *virtio_name(const struct virtio_device *device)
{
    return device->pci.device.id ? device->pci.device.id : device->class->name;
}

struct address_space *virtio_dma_space(struct virtio_device *device)
{
    return virtio_has_feature(device, VIRTIO_F_ACCESS_PLATFORM)
               ? device->bus_space
               : &device->pci.device.machine->as_memory;
}

struct memory_attributes virtio_dma_attributes(const struct virtio_device *device)
{
    return (struct memory_attributes){.requester = pci_requester_id(&device->pci),
                                      .from_device = true};
}

/* ---- Queues run, and stop ---- */

/* Call a function for each thread that has queues of the device, in that thread. */
struct thread_visit {
    struct virtio_device *device;
    struct io_thread *thread;
    void (*visit)(struct virtqueue *queue);
};

static void visit_in_thread(void *opaque)
{
    struct thread_visit *visit = opaque;

    for (unsigned i = 0; i < visit->device->queue_count; i++) {
        if (visit->device->queues[i].thread == visit->thread) {
            visit->visit(&visit->device->queues[i]);
        }
    }
}

static bool is_first_of_thread(const struct virtio_device *device, unsigned index)
{
    for (unsigned i = 0; i < index; i++) {
        if (device->queues[i].thread == device->queues[index].thread) {
            return false;
        }
    }
    return true;
}

static void visit_queues(struct virtio_device *device, void (*visit)(struct virtqueue *queue))
{
    for (unsigned i = 0; i < device->queue_count; i++) {
        if (is_first_of_thread(device, i)) {
            struct thread_visit call = {device, device->queues[i].thread, visit};

            io_thread_call(call.thread, visit_in_thread, &call);
        }
    }
}

static void start_queue(struct virtqueue *queue)
{
    if (queue->enabled) {
        virtqueue_start(queue);
    }
}

static void start_device(void *opaque)
{
    struct virtio_device *device = opaque;

    device->class->start(device);
}

/* What the driver notified meanwhile, nobody has seen. */
static void kick_queue(struct virtqueue *queue)
{
    if (queue->running) {
        virtqueue_kick(queue);
    }
}

static void start_running(struct virtio_device *device)
{
    device->running = true;
    visit_queues(device, start_queue);
    if (device->class->start) {
        io_thread_call(device->thread, start_device, device);
    }
    visit_queues(device, kick_queue);
}

static bool is_drained(const struct virtio_device *device)
{
    for (unsigned i = 0; i < device->queue_count; i++) {
        if (__atomic_load_n(&device->queues[i].in_flight, __ATOMIC_ACQUIRE)) {
            return false;
        }
    }
    return true;
}

void virtio_queue_drained_slow(struct virtqueue *queue)
{
    struct virtio_device *device = queue->device;

    pthread_mutex_lock(&device->lock);
    pthread_cond_broadcast(&device->drained);
    pthread_mutex_unlock(&device->lock);
}

static void begin_drain(struct virtio_device *device)
{
    __atomic_store_n(&device->draining, true, __ATOMIC_SEQ_CST);
}

static void end_drain(struct virtio_device *device)
{
    pthread_mutex_lock(&device->lock);
    while (!is_drained(device)) {
        pthread_cond_wait(&device->drained, &device->lock);
    }
    pthread_mutex_unlock(&device->lock);
    __atomic_store_n(&device->draining, false, __ATOMIC_SEQ_CST);
}

static void stop_device(void *opaque)
{
    struct virtio_device *device = opaque;

    device->class->stop(device);
}

static void stop_running(struct virtio_device *device)
{
    begin_drain(device);
    visit_queues(device, virtqueue_stop);
    if (device->class->stop) {
        io_thread_call(device->thread, stop_device, device);
    }
    end_drain(device);
    /* A queue's thread may be between the last buffer and its interrupt, which belongs to what a
     * snapshot of the stopped machine holds. */
    visit_queues(device, virtqueue_notify);
    device->running = false;
}

/* ---- Memory that is taken back ---- */

/* The device was broken: give back what is only held. */
static void on_revoked(void *opaque)
{
    struct virtio_device *device = opaque;

    if (virtio_is_broken(device) && device->class->stop) {
        device->class->stop(device);
    }
}

static void memory_changed(struct iommu_watch *watch, struct range range)
{
    struct virtio_device *device =
        (struct virtio_device *)((char *)watch - offsetof(struct virtio_device, watch));
    bool good = true;

    for (unsigned i = 0; i < device->queue_count; i++) {
        good &= virtqueue_revoke(&device->queues[i], range);
    }
    if (!good) {
        virtio_break(device, "memory of a request under way was taken back");
        io_thread_post(device->thread, &device->revoked);
    }
}

static bool start_watch(struct virtio_device *device, GError **error)
{
    device->revoked = (struct io_task){.run = on_revoked, .opaque = device};
    device->watch.changed = memory_changed;
    return !device->drain || !device->access_platform ||
           iommu_watch_start(&device->watch, device->bus_space, error);
}

static void cancel_revoked(void *opaque)
{
    struct virtio_device *device = opaque;

    io_thread_cancel(device->thread, &device->revoked);
}

static void stop_watch(struct virtio_device *device)
{
    iommu_watch_stop(&device->watch);
    io_thread_call(device->thread, cancel_revoked, device);
}

/* ---- When queues run ---- */

/* Legacy drivers used devices before DRIVER_OK: 3.1.2. */
static bool legacy_is_ready(const struct virtio_device *device)
{
    for (unsigned i = 0; device->legacy && i < device->queue_count; i++) {
        if (device->queues[i].enabled) {
            return true;
        }
    }
    return false;
}

void virtio_update_running(struct virtio_device *device)
{
    uint8_t status = virtio_get_status(device);
    bool ready = (status & VIRTIO_STATUS_DRIVER_OK) || legacy_is_ready(device);
    bool run = ready && device->machine_running && !virtio_is_broken(device) &&
               device->transport->can_access_memory(device);

    if (run && !device->running) {
        start_running(device);
    } else if (!run && device->running) {
        stop_running(device);
    }
}

static void machine_ran(void *opaque, bool running)
{
    struct virtio_device *device = opaque;
    bool entered = access_guard_enter(&device->pci.device.guard);

    device->machine_running = running;
    virtio_update_running(device);
    if (entered) {
        access_guard_leave(&device->pci.device.guard);
    }
}

bool virtio_break(struct virtio_device *device, const char *reason)
{
    if (__atomic_exchange_n(&device->broken, true, __ATOMIC_SEQ_CST)) {
        return false;
    }
    trace_virtio_broken(virtio_name(device), reason);
    log_item(LOG_GUEST_ERRORS, "%s: %s: it needs a reset\n", virtio_name(device), reason);
    /* 2.1.2: with DRIVER_OK the driver is told. */
    if (__atomic_fetch_or(&device->status, VIRTIO_STATUS_NEEDS_RESET, __ATOMIC_SEQ_CST) &
        VIRTIO_STATUS_DRIVER_OK) {
        device->transport->interrupt_config(device);
    }
    return false;
}

/* ---- Interrupt status ---- */

void virtio_isr_raise(struct virtio_device *device, uint8_t bits)
{
    pthread_mutex_lock(&device->lock);
    device->isr |= bits;
    device->transport->set_line(device, true);
    pthread_mutex_unlock(&device->lock);
}

uint8_t virtio_isr_take(struct virtio_device *device, uint8_t bits)
{
    uint8_t before;

    pthread_mutex_lock(&device->lock);
    before = device->isr;
    device->isr &= (uint8_t)~bits;
    device->transport->set_line(device, device->isr != 0);
    pthread_mutex_unlock(&device->lock);
    return before;
}

/* ---- Queues as the driver sets them up ---- */

struct virtqueue *virtio_selected_queue(struct virtio_device *device)
{
    return device->queue_select < device->queue_count ? &device->queues[device->queue_select]
                                                      : NULL;
}

static void forget_queue(struct virtqueue *queue)
{
    queue->size = queue->size_max;
    queue->enabled = false;
    queue->descriptor_area = queue->driver_area = queue->device_area = 0;
    queue->vector = VIRTIO_NO_VECTOR;
    queue->available_next = queue->available_seen = queue->used_next = 0;
    queue->available_wrap = queue->used_wrap = true; /* 2.8.1 */
    queue->unsignalled = 0;
}

static void start_one(void *opaque)
{
    start_queue(opaque);
    kick_queue(opaque);
}

void virtio_enable_queue(struct virtqueue *queue)
{
    struct virtio_device *device = queue->device;
    const char *problem = virtqueue_check(queue, virtio_has_feature(device, VIRTIO_F_RING_PACKED));

    if (queue->enabled) {
        return;
    }
    if (problem) {
        virtio_break(device, problem);
        return;
    }
    queue->enabled = true;
    if (device->running) {
        io_thread_call(queue->thread, start_one, queue);
    } else {
        virtio_update_running(device);
    }
}

/* 2.6.1. All of the device stops for the moment. */
void virtio_reset_queue(struct virtqueue *queue)
{
    struct virtio_device *device = queue->device;

    if (device->running) {
        stop_running(device);
    }
    forget_queue(queue);
    virtio_update_running(device);
}

/* ---- Status, features ---- */

void virtio_reset(struct virtio_device *device)
{
    if (device->running) {
        stop_running(device);
    }
    __atomic_store_n(&device->status, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&device->broken, false, __ATOMIC_RELEASE);
    device->driver_features = device->features = 0;
    device->feature_select = device->driver_feature_select = 0;
    device->queue_select = 0;
    device->config_vector = VIRTIO_NO_VECTOR;
    device->legacy = false;
    for (unsigned i = 0; i < device->queue_count; i++) {
        forget_queue(&device->queues[i]);
    }
    virtio_isr_take(device, UINT8_MAX);
    device->transport->reset(device);
    if (device->class->reset) {
        device->class->reset(device);
    }
}

/* 2.2.2: only what was offered, and what a modern device can't do without. */
static bool features_are_good(const struct virtio_device *device)
{
    uint64_t features = device->driver_features;
    uint64_t needed = VIRTIO_FEATURE(VIRTIO_F_VERSION_1);

    if (device->access_platform) {
        needed |= VIRTIO_FEATURE(VIRTIO_F_ACCESS_PLATFORM); /* 6.2 */
    }
    return !(features & ~device->offered_features) && (features & needed) == needed;
}

static void settle_features(struct virtio_device *device)
{
    device->features = device->driver_features;
    if (device->class->features_set) {
        device->class->features_set(device);
    }
}

void virtio_set_status(struct virtio_device *device, uint8_t status)
{
    uint8_t old = virtio_get_status(device), added;

    trace_virtio_status(virtio_name(device), status);
    if (!status) {
        virtio_reset(device);
        return;
    }
    added = status & (uint8_t)~old & (uint8_t)~VIRTIO_STATUS_NEEDS_RESET;
    if (!device->legacy && (added & VIRTIO_STATUS_FEATURES_OK)) {
        if (features_are_good(device)) {
            settle_features(device);
        } else {
            added &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
        }
    }
    if (!device->legacy && !((old | added) & VIRTIO_STATUS_FEATURES_OK)) {
        added &= (uint8_t)~VIRTIO_STATUS_DRIVER_OK; /* 3.1.1 */
    }
    __atomic_fetch_or(&device->status, added, __ATOMIC_SEQ_CST);
    virtio_update_running(device);
}

uint32_t virtio_get_features(const struct virtio_device *device, uint32_t select)
{
    return select < 2 ? (uint32_t)(device->offered_features >> (32 * select)) : 0;
}

void virtio_set_driver_features(struct virtio_device *device, uint32_t select, uint32_t value)
{
    uint64_t mask = UINT64_C(0xffffffff) << (32 * (select & 1));

    if (select > 1 || (virtio_get_status(device) & VIRTIO_STATUS_FEATURES_OK) || device->running) {
        return;
    }
    device->driver_features = (device->driver_features & ~mask) | (uint64_t)value
                                                                      << (32 * (select & 1));
    if (device->legacy) { /* no FEATURES_OK: what is written holds */
        device->driver_features &= device->offered_features & UINT32_MAX;
        settle_features(device);
    }
}

/* ---- Configuration ---- */

uint32_t virtio_config_read(struct virtio_device *device, unsigned offset, unsigned size)
{
    uint32_t value = 0;

    if (device->class->config_read) {
        device->class->config_read(device);
    }
    for (unsigned i = 0; i < size; i++) {
        uint64_t at = (uint64_t)offset + i;

        value |= (uint32_t)(at < device->config_size ? device->config[at] : 0) << (8 * i);
    }
    return value;
}

void virtio_config_write(struct virtio_device *device, unsigned offset, unsigned size,
                         uint32_t value)
{
    bool changed = false;

    for (unsigned i = 0; i < size; i++) {
        uint64_t at = (uint64_t)offset + i;
        uint8_t byte = (uint8_t)(value >> (8 * i));

        if (at < device->config_size && device->config_write_mask[at]) {
            uint8_t mask = device->config_write_mask[at];

            device->config[at] = (uint8_t)((device->config[at] & ~mask) | (byte & mask));
            changed = true;
        }
    }
    if (changed && device->class->config_written) {
        device->class->config_written(device, offset, size);
    }
}

void virtio_config_changed(struct virtio_device *device)
{
    device->config_generation++;
    if (virtio_get_status(device) & VIRTIO_STATUS_DRIVER_OK) {
        device->transport->interrupt_config(device);
    }
}

/* ---- Life ---- */

unsigned virtio_add_queue(struct virtio_device *device, unsigned size_max, size_t data_size,
                          virtqueue_handler_fn handle)
{
    unsigned index = device->queue_count++;
    struct virtqueue *queue;

    assert(index < VIRTIO_QUEUES_MAX);
    assert(size_max && size_max <= VIRTQUEUE_SIZE_MAX && !(size_max & (size_max - 1)));
    queue = &device->queues[index];
    queue->device = device;
    queue->index = index;
    queue->thread = device->thread;
    queue->size_max = (uint16_t)size_max;
    queue->data_size = data_size;
    queue->handle = handle;
    queue->kick_fd = -1;
    forget_queue(queue);
    return index;
}

static uint64_t common_features(const struct virtio_device *device, bool legacy_only)
{
    uint64_t features = 0;

    features |= device->indirect ? VIRTIO_FEATURE(VIRTIO_F_INDIRECT_DESC) : 0;
    features |= device->event_index ? VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX) : 0;
    if (legacy_only) {
        return features;
    }
    features |= VIRTIO_FEATURE(VIRTIO_F_VERSION_1) | VIRTIO_FEATURE(VIRTIO_F_RING_RESET);
    features |= device->packed ? VIRTIO_FEATURE(VIRTIO_F_RING_PACKED) : 0;
    features |= device->access_platform ? VIRTIO_FEATURE(VIRTIO_F_ACCESS_PLATFORM) : 0;
    return features;
}

static bool init_queues(struct virtio_device *device, GError **error)
{
    for (unsigned i = 0; i < device->queue_count; i++) {
        if (!virtqueue_init(&device->queues[i], error)) {
            while (i-- > 0) {
                virtqueue_destroy(&device->queues[i]);
            }
            return false;
        }
    }
    return true;
}

static void destroy_queues(struct virtio_device *device)
{
    for (unsigned i = 0; i < device->queue_count; i++) {
        virtqueue_destroy(&device->queues[i]);
    }
}

static void clear(struct virtio_device *device)
{
    g_clear_pointer(&device->queues, g_free);
    device->queue_count = 0;
    pthread_cond_destroy(&device->drained);
    pthread_mutex_destroy(&device->lock);
}

bool virtio_realize(struct virtio_device *device, const struct virtio_class *class,
                    const struct virtio_transport *transport, bool legacy_only, GError **error)
{
    struct machine *machine = device->pci.device.machine;

    device->class = class;
    device->transport = transport;
    device->thread = io_thread_find(machine, device->thread_id, error);
    if (!device->thread) {
        g_prefix_error(error, "property 'iothread': ");
        return false;
    }
    device->queues = g_new0(struct virtqueue, VIRTIO_QUEUES_MAX);
    pthread_mutex_init(&device->lock, NULL);
    pthread_cond_init(&device->drained, NULL);
    device->config_size = class->config_size;
    device->config_vector = VIRTIO_NO_VECTOR;
    device->offered_features = class->features | common_features(device, legacy_only);
    if (!class->realize(device, error)) {
        clear(device);
        return false;
    }
    assert(device->config_size <= VIRTIO_CONFIG_MAX);
    if (!init_queues(device, error)) {
        goto unrealize;
    }
    if (!start_watch(device, error)) {
        destroy_queues(device);
        goto unrealize;
    }
    device->machine_running = machine->state == RUN_STATE_RUNNING;
    machine_add_run_listener(machine, machine_ran, device);
    return true;

unrealize:
    if (class->unrealize) {
        class->unrealize(device);
    }
    clear(device);
    return false;
}

void virtio_unrealize(struct virtio_device *device)
{
    machine_remove_run_listener(device->pci.device.machine, machine_ran, device);
    if (device->running) {
        stop_running(device);
    }
    if (device->class->unrealize) {
        device->class->unrealize(device);
    }
    stop_watch(device);
    destroy_queues(device);
    clear(device);
}

/* ---- Saved state. The machine is paused, so queues are stopped. ---- */

void virtio_before_save(void *opaque)
{
    struct virtio_device *device = opaque;
    struct virtio_saved_queues *saved = &device->saved;

    if (device->class->before_save) {
        device->class->before_save(device);
    }
    memset(saved, 0, sizeof(*saved));
    for (unsigned i = 0; i < device->queue_count; i++) {
        const struct virtqueue *queue = &device->queues[i];

        saved->descriptor_area[i] = queue->descriptor_area;
        saved->driver_area[i] = queue->driver_area;
        saved->device_area[i] = queue->device_area;
        saved->size[i] = queue->size;
        saved->vector[i] = queue->vector;
        saved->available_next[i] = queue->available_next;
        saved->used_next[i] = queue->used_next;
        saved->flags[i] = (uint8_t)((queue->enabled ? SAVED_ENABLED : 0) |
                                    (queue->available_wrap ? SAVED_AVAILABLE_WRAP : 0) |
                                    (queue->used_wrap ? SAVED_USED_WRAP : 0));
    }
}

static bool load_queue(struct virtqueue *queue, const struct virtio_saved_queues *saved)
{
    bool packed = virtio_has_feature(queue->device, VIRTIO_F_RING_PACKED);
    unsigned i = queue->index;

    queue->descriptor_area = saved->descriptor_area[i];
    queue->driver_area = saved->driver_area[i];
    queue->device_area = saved->device_area[i];
    queue->size = saved->size[i];
    queue->vector = saved->vector[i];
    queue->available_next = queue->available_seen = saved->available_next[i];
    queue->used_next = saved->used_next[i];
    queue->enabled = saved->flags[i] & SAVED_ENABLED;
    queue->available_wrap = saved->flags[i] & SAVED_AVAILABLE_WRAP;
    queue->used_wrap = saved->flags[i] & SAVED_USED_WRAP;
    queue->unsignalled = 0;
    if (queue->enabled && virtqueue_check(queue, packed)) {
        return false;
    }
    /* Places of a packed ring; a split one's indexes run free. */
    return !packed || !queue->enabled ||
           (queue->available_next < queue->size && queue->used_next < queue->size);
}

const struct property virtio_facts[] = {
    {"queues", PROPERTY_UINT32, offsetof(struct virtio_device, queue_count), NULL, 0, 0, NULL},
    PROPERTY_END,
};

bool virtio_after_load(void *opaque)
{
    struct virtio_device *device = opaque;
    uint64_t known = device->offered_features;

    if (device->running) {
        stop_running(device); /* loaded into a running machine: an error of the caller's */
    }
    if (device->features & ~known) {
        return false;
    }
    for (unsigned i = 0; i < device->queue_count; i++) {
        if (!load_queue(&device->queues[i], &device->saved)) {
            return false;
        }
    }
    if (device->class->after_load && !device->class->after_load(device)) {
        return false;
    }
    virtio_isr_take(device, 0); /* the line, as it says */
    virtio_update_running(device);
    return true;
}
