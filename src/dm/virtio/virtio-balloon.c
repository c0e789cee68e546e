/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-balloon (virtio 1.2, 5.5): the guest gives pages to the balloon, and they go back to the
 * host until it takes them out again. With free-page-reporting, pages that the guest does not use
 * go back by themselves.
 */
#include "dm/virtio/virtio-balloon.h"
#include "dm/machine.h"
#include "dm/virtio/virtio-mmio.h"
#include "dm/virtio/virtio-pci.h"
#include "util/error.h"
#include "util/little-endian.h"

#include <inttypes.h>

/* Feature bits, 5.5.3. */
#define VIRTIO_BALLOON_F_STATS_VQ       1
#define VIRTIO_BALLOON_F_DEFLATE_ON_OOM 2
#define VIRTIO_BALLOON_F_REPORTING      5

/* Configuration, 5.5.4. */
#define CONFIG_PAGES  0
#define CONFIG_ACTUAL 4
#define CONFIG_SIZE   8

#define PAGE_SHIFT     12 /* of page numbers, whatever pages the guest uses: 5.5.6 */
#define QUEUE_SIZE     128
#define STATISTIC_SIZE 10 /* u16 tag, u64 value */

static const char *const statistic_names[] = {
    "swap-in",      "swap-out",         "major-faults", "minor-faults",        "free-memory",
    "total-memory", "available-memory", "disk-caches",  "hugetlb-allocations", "hugetlb-failures",
};
#define STATISTICS G_N_ELEMENTS(statistic_names)

struct virtio_balloon {
    struct virtio_device virtio;
    /* Properties. */
    bool deflate_on_oom, reporting;
    uint32_t interval; /* s between requests for statistics; 0: none */

    struct io_task tell_change;
    struct clock_timer timer; /* the next request for statistics */
    struct io_task refresh;   /* what it has the I/O thread do */

    /* Of the I/O thread. */
    struct virtqueue_element *statistics_buffer; /* the driver's, held until new ones are wanted */
    pthread_mutex_t lock;                        /* leaf; protects statistics */
    uint64_t statistics[STATISTICS];             /* UINT64_MAX: not told */
};

static struct virtio_balloon *balloon_of(struct virtio_device *device)
{
    return (struct virtio_balloon *)device;
}

static struct machine *machine_of(const struct virtio_balloon *balloon)
{
    return balloon->virtio.pci.device.machine;
}

/* Yes holds until the end of the RCU read section that it was asked in. */
static bool may_discard(const struct virtio_balloon *balloon)
{
    return !__atomic_load_n(&machine_of(balloon)->discard_blockers, __ATOMIC_ACQUIRE);
}

/* ---- Inflating, in the I/O thread ---- */

/* Neighbouring pages, in either direction, that are given back together. */
struct page_run {
    uint64_t first, count;
};

/* Under RCU. */
static void discard_run(struct virtio_balloon *balloon, const struct page_run *run)
{
    struct address_space *memory = &machine_of(balloon)->as_memory;
    uint64_t address = run->first << PAGE_SHIFT, left = run->count << PAGE_SHIFT;

    while (left) {
        uint64_t length = left;
        struct dma_segment segment;

        if (!dma_segment_map(memory, address, &length, true,
                             virtio_dma_attributes(&balloon->virtio), NULL, &segment, NULL)) {
            break; /* no RAM there: the guest's mistake, and nothing to give back */
        }
        dma_segment_discard(&segment, length);
        dma_segment_unmap(&segment, 0);
        address += length;
        left -= length;
    }
}

static void add_page(struct virtio_balloon *balloon, struct page_run *run, uint64_t page)
{
    if (run->count && page == run->first + run->count) {
        run->count++;
    } else if (run->count && page + 1 == run->first) {
        run->first--;
        run->count++;
    } else {
        if (run->count) {
            discard_run(balloon, run);
        }
        *run = (struct page_run){page, 1};
    }
}

static void inflate_part(struct virtio_balloon *balloon, const uint8_t *pages, uint64_t length)
{
    struct page_run run = {0};

    memory_rcu_read_lock();
    if (may_discard(balloon)) {
        for (unsigned i = 0; i + 4 <= length; i += 4) {
            add_page(balloon, &run, load_le32(pages + i));
        }
    }
    if (run.count) {
        discard_run(balloon, &run);
    }
    memory_rcu_read_unlock();
}

static void inflate(struct virtio_balloon *balloon, const struct virtqueue_element *element)
{
    uint64_t offset = 0, came;
    uint8_t pages[1024];

    while ((came = virtqueue_read(element, offset, pages, sizeof(pages))) >= 4) {
        inflate_part(balloon, pages, came);
        offset += came;
    }
}

static bool handle_inflate(struct virtqueue *queue)
{
    struct virtio_balloon *balloon = balloon_of(queue->device);
    struct virtqueue_element *element;

    while ((element = virtqueue_pop(queue))) {
        inflate(balloon, element);
        virtqueue_push(element, 0);
        virtqueue_notify(queue);
    }
    return true;
}

/* Pages come back when they are touched: there is nothing to do. */
static bool handle_deflate(struct virtqueue *queue)
{
    struct virtqueue_element *element;

    while ((element = virtqueue_pop(queue))) {
        virtqueue_push(element, 0);
        virtqueue_notify(queue);
    }
    return true;
}

/* ---- Statistics, 5.5.6.3: the driver's buffer is returned when new ones are wanted ---- */

static void read_statistics(struct virtio_balloon *balloon, const struct virtqueue_element *element)
{
    uint8_t entry[STATISTIC_SIZE];

    pthread_mutex_lock(&balloon->lock);
    for (uint64_t offset = 0; offset < STATISTICS * 2 * STATISTIC_SIZE; offset += STATISTIC_SIZE) {
        if (virtqueue_read(element, offset, entry, sizeof(entry)) < sizeof(entry)) {
            break;
        }
        if (load_le16(entry) < STATISTICS) {
            balloon->statistics[load_le16(entry)] = load_le64(entry + 2);
        }
    }
    pthread_mutex_unlock(&balloon->lock);
}

static void return_buffer(struct virtio_balloon *balloon)
{
    struct virtqueue_element *element = balloon->statistics_buffer;

    balloon->statistics_buffer = NULL;
    if (element) {
        struct virtqueue *queue = element->queue;

        virtqueue_push(element, 0);
        virtqueue_notify(queue);
    }
}

static bool handle_statistics(struct virtqueue *queue)
{
    struct virtio_balloon *balloon = balloon_of(queue->device);
    struct virtqueue_element *element;

    while ((element = virtqueue_pop(queue))) {
        return_buffer(balloon); /* a driver that offers two gets the first back */
        read_statistics(balloon, element);
        balloon->statistics_buffer = element;
    }
    return true;
}

static void refresh_statistics(void *opaque)
{
    return_buffer(opaque);
}

static void balloon_stop(struct virtio_device *device)
{
    struct virtio_balloon *balloon = balloon_of(device);

    if (balloon->statistics_buffer) {
        virtqueue_unpop(balloon->statistics_buffer);
        balloon->statistics_buffer = NULL;
    }
}

/* ---- Free page reporting, 5.5.6.7 ---- */

static bool handle_reports(struct virtqueue *queue)
{
    struct virtio_balloon *balloon = balloon_of(queue->device);
    struct virtqueue_element *element;

    while ((element = virtqueue_pop(queue))) {
        for (unsigned i = 0; i < element->in_count; i++) {
            memory_rcu_read_lock();
            if (may_discard(balloon)) {
                dma_segment_discard(&element->segments[element->out_count + i],
                                    element->in[i].iov_len);
            }
            memory_rcu_read_unlock();
        }
        virtqueue_push(element, 0);
        virtqueue_notify(queue);
    }
    return true;
}

/* Queues of features that were not negotiated do not exist, and those behind move up: 5.5.2. */
static bool handle_third(struct virtqueue *queue)
{
    return virtio_has_feature(queue->device, VIRTIO_BALLOON_F_STATS_VQ) ? handle_statistics(queue)
                                                                        : handle_reports(queue);
}

/* ---- Under the guard ---- */

static uint64_t actual_bytes(const struct virtio_balloon *balloon)
{
    uint64_t ram = machine_of(balloon)->config.ram_size;
    uint64_t taken = (uint64_t)load_le32(balloon->virtio.config + CONFIG_ACTUAL) << PAGE_SHIFT;

    return ram - MIN(taken, ram);
}

static void emit_change(void *opaque)
{
    struct virtio_balloon *balloon = opaque;
    bool entered = access_guard_enter(&balloon->virtio.pci.device.guard);
    g_autofree char *data = g_strdup_printf("{\"actual\": %" PRIu64 "}", actual_bytes(balloon));

    if (entered) {
        access_guard_leave(&balloon->virtio.pci.device.guard);
    }
    machine_emit_event(machine_of(balloon), "BALLOON_CHANGE", data);
}

static void balloon_config_written(struct virtio_device *device, unsigned offset, unsigned length)
{
    machine_post(device->pci.device.machine, &balloon_of(device)->tell_change);
}

static void forget_statistics(void *opaque)
{
    struct virtio_balloon *balloon = opaque;

    io_thread_cancel(balloon->virtio.thread, &balloon->refresh);
    pthread_mutex_lock(&balloon->lock);
    memset(balloon->statistics, 0xff, sizeof(balloon->statistics));
    pthread_mutex_unlock(&balloon->lock);
}

static void balloon_reset(struct virtio_device *device)
{
    /* The next driver begins with no balloon; what is asked of it stays. */
    store_le32(device->config + CONFIG_ACTUAL, 0);
    io_thread_call(device->thread, forget_statistics, balloon_of(device));
}

/* ---- Main loop ---- */

static void arm_timer(struct virtio_balloon *balloon)
{
    if (balloon->interval) {
        clock_timer_arm(&balloon->timer, machine_clock_now(balloon->timer.clock) +
                                             balloon->interval * NS_PER_SECOND);
    }
}

static void interval_ended(void *opaque)
{
    struct virtio_balloon *balloon = opaque;

    io_thread_post(balloon->virtio.thread, &balloon->refresh);
    arm_timer(balloon);
}

static struct virtio_balloon *find_balloon(struct machine *machine, GError **error)
{
    if (!machine->balloon) {
        duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                   "the machine has no balloon: add -device virtio-balloon-pci");
    }
    return machine->balloon;
}

bool balloon_set_target(struct machine *machine, uint64_t bytes, GError **error)
{
    struct virtio_balloon *balloon = find_balloon(machine, error);
    uint64_t ram = machine->config.ram_size;
    bool entered;

    if (!balloon) {
        return false;
    }
    if (!bytes) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "a guest can't do without memory");
    }
    entered = access_guard_enter(&balloon->virtio.pci.device.guard);
    store_le32(balloon->virtio.config + CONFIG_PAGES,
               (uint32_t)((ram - MIN(bytes, ram)) >> PAGE_SHIFT));
    virtio_config_changed(&balloon->virtio);
    if (entered) {
        access_guard_leave(&balloon->virtio.pci.device.guard);
    }
    return true;
}

bool balloon_query(struct machine *machine, uint64_t *bytes, GError **error)
{
    struct virtio_balloon *balloon = find_balloon(machine, error);
    bool entered;

    if (!balloon) {
        return false;
    }
    entered = access_guard_enter(&balloon->virtio.pci.device.guard);
    *bytes = actual_bytes(balloon);
    if (entered) {
        access_guard_leave(&balloon->virtio.pci.device.guard);
    }
    return true;
}

void balloon_print_statistics(struct machine *machine, GString *out)
{
    struct virtio_balloon *balloon = machine->balloon;

    if (!balloon) {
        return;
    }
    pthread_mutex_lock(&balloon->lock);
    for (unsigned i = 0; i < STATISTICS; i++) {
        if (balloon->statistics[i] != UINT64_MAX) {
            g_string_append_printf(out, "%s: %" PRIu64 "\n", statistic_names[i],
                                   balloon->statistics[i]);
        }
    }
    pthread_mutex_unlock(&balloon->lock);
}

static bool balloon_realize(struct virtio_device *device, GError **error)
{
    struct virtio_balloon *balloon = balloon_of(device);
    struct machine *machine = device->pci.device.machine;

    if (machine->balloon) {
        return duodm_fail(error, DUODM_ERROR_EXISTS, "a machine has one balloon, and it is there");
    }
    virtio_add_queue(device, QUEUE_SIZE, 0, handle_inflate);
    virtio_add_queue(device, QUEUE_SIZE, 0, handle_deflate);
    virtio_add_queue(device, QUEUE_SIZE, 0, handle_third);
    device->offered_features |= VIRTIO_FEATURE(VIRTIO_BALLOON_F_STATS_VQ);
    if (balloon->reporting) {
        virtio_add_queue(device, QUEUE_SIZE, 0, handle_reports);
        device->offered_features |= VIRTIO_FEATURE(VIRTIO_BALLOON_F_REPORTING);
    }
    if (balloon->deflate_on_oom) {
        device->offered_features |= VIRTIO_FEATURE(VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
    }
    memset(device->config_write_mask + CONFIG_ACTUAL, 0xff, 4);
    pthread_mutex_init(&balloon->lock, NULL);
    memset(balloon->statistics, 0xff, sizeof(balloon->statistics));
    balloon->tell_change = (struct io_task){.run = emit_change, .opaque = balloon};
    balloon->refresh = (struct io_task){.run = refresh_statistics, .opaque = balloon};
    clock_timer_init(&balloon->timer, machine->clock, interval_ended, balloon, NULL);
    arm_timer(balloon);
    machine->balloon = balloon;
    return true;
}

static void balloon_unrealize(struct virtio_device *device)
{
    struct virtio_balloon *balloon = balloon_of(device);

    clock_timer_destroy(&balloon->timer);
    io_thread_call(device->thread, forget_statistics, balloon);
    machine_cancel(device->pci.device.machine, &balloon->tell_change);
    device->pci.device.machine->balloon = NULL;
    pthread_mutex_destroy(&balloon->lock);
}

static const struct state_field balloon_fields[] = {
    VIRTIO_STATE_FIELDS,
    STATE(TIMER, virtio_balloon, timer, 1),
    STATE_END,
};

static const struct state_description balloon_state = {
    .name = "virtio-balloon",
    .version = 1,
    .fields = balloon_fields,
    VIRTIO_STATE_HOOKS,
};

static const struct virtio_class balloon_class = {
    .name = "virtio-balloon",
    .device_id = 5,
    .legacy_id = 0x1002,
    .config_size = CONFIG_SIZE,
    .realize = balloon_realize,
    .unrealize = balloon_unrealize,
    .config_written = balloon_config_written,
    .reset = balloon_reset,
    .stop = balloon_stop,
};

#define BALLOON_PROPERTIES                                                                         \
    {"deflate-on-oom",                                                                             \
     PROPERTY_BOOL,                                                                                \
     offsetof(struct virtio_balloon, deflate_on_oom),                                              \
     "off",                                                                                        \
     0,                                                                                            \
     0,                                                                                            \
     "let the guest take pages back before it kills a process for want of memory"},                \
        {"free-page-reporting",                                                                    \
         PROPERTY_BOOL,                                                                            \
         offsetof(struct virtio_balloon, reporting),                                               \
         "off",                                                                                    \
         0,                                                                                        \
         0,                                                                                        \
         "have the guest tell which pages it does not use, and give them to the host"},            \
    {                                                                                              \
        "guest-stats-polling-interval", PROPERTY_UINT32 | PROPERTY_OF_HOST,                        \
            offsetof(struct virtio_balloon, interval), "0", 0, 86400,                              \
            "seconds from one request for statistics to the next, 0: none"                         \
    }

static const struct property balloon_pci_properties[] = {
    VIRTIO_PCI_PROPERTIES,
    BALLOON_PROPERTIES,
    PROPERTY_END,
};

static const struct property balloon_mmio_properties[] = {
    VIRTIO_DEVICE_PROPERTIES,
    BALLOON_PROPERTIES,
    PROPERTY_END,
};

VIRTIO_PCI_CLASSES(virtio_balloon, balloon_class, virtio_balloon, "virtio-balloon",
                   "memory balloon", 0x00ff00, balloon_state, balloon_pci_properties);
VIRTIO_MMIO_CLASS(virtio_balloon, balloon_class, virtio_balloon, "virtio-balloon", "memory balloon",
                  balloon_state, balloon_mmio_properties);
