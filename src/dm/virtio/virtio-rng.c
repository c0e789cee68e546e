/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-rng, the entropy device (virtio 1.2, 5.4): one queue of buffers to fill with random bytes.
 * It is also the example of how a virtio device is written.
 */
#include "dm/machine.h"
#include "dm/virtio/rng-source.h"
#include "dm/virtio/virtio-mmio.h"
#include "dm/virtio/virtio-pci.h"
#include "util/error.h"

#include <event2/event.h>

#define QUEUE_SIZE 64
#define FILL_MAX   65536u    /* bytes of one buffer that are filled; the rest is left */
#define NO_LIMIT   INT64_MAX /* of max-bytes */
#define NS_PER_MS  1000000u

struct virtio_rng {
    struct virtio_device virtio;
    /* Properties. */
    char *source_id;
    uint64_t max_bytes;
    uint32_t period; /* ms */

    struct object *source;    /* NULL: the host's kernel */
    struct event *readable;   /* of a source that has to be waited for; NULL: none */
    struct clock_timer timer; /* end of a period with a limit; the main loop's */
    struct io_task refill;    /* what the timer has the I/O thread do */
    uint64_t budget;          /* bytes left in this period; of the I/O thread while queues run */
};

static struct virtio_rng *rng_of(struct virtio_device *device)
{
    return (struct virtio_rng *)device;
}

/* ---- In the I/O thread ---- */

/* Bytes written to an element; 0: the source has nothing now. */
static uint64_t fill(struct virtio_rng *rng, const struct virtqueue_element *element)
{
    uint64_t wanted = MIN(MIN(element->in_length, FILL_MAX), rng->budget), done = 0;

    while (done < wanted) {
        uint8_t bytes[4096];
        size_t part = MIN(sizeof(bytes), wanted - done);
        size_t came = rng_source_read(rng->source, bytes, part);

        virtqueue_write(element, done, bytes, came);
        done += came;
        if (came < part) {
            break;
        }
    }
    return done;
}

static bool handle_requests(struct virtqueue *queue)
{
    struct virtio_rng *rng = rng_of(queue->device);
    struct virtqueue_element *element;

    while (rng->budget && (element = virtqueue_pop(queue))) {
        uint64_t done = fill(rng, element);

        if (!done && element->in_length) {
            virtqueue_unpop(element);
            if (rng->readable) {
                event_add(rng->readable, NULL);
            }
            return false;
        }
        if (rng->max_bytes != NO_LIMIT) {
            rng->budget -= done;
        }
        virtqueue_push(element, done);
        virtqueue_notify(queue);
    }
    if (!rng->budget && !clock_timer_is_armed(&rng->timer)) {
        clock_timer_arm(&rng->timer,
                        machine_clock_now(rng->timer.clock) + (uint64_t)rng->period * NS_PER_MS);
    }
    return rng->budget > 0;
}

static void on_readable(evutil_socket_t fd, short events, void *opaque)
{
    struct virtio_rng *rng = opaque;

    virtqueue_kick(virtio_queue(&rng->virtio, 0));
}

static void refill_budget(void *opaque)
{
    struct virtio_rng *rng = opaque;

    rng->budget = rng->max_bytes;
    virtqueue_kick(virtio_queue(&rng->virtio, 0));
}

static void add_event(void *opaque)
{
    struct virtio_rng *rng = opaque;

    rng->readable = event_new(io_thread_base(rng->virtio.thread), rng_source_fd(rng->source),
                              EV_READ, on_readable, rng);
}

static void remove_event(void *opaque)
{
    struct virtio_rng *rng = opaque;

    io_thread_cancel(rng->virtio.thread, &rng->refill);
    g_clear_pointer(&rng->readable, event_free);
}

/* ---- In the main loop ---- */

static void period_ended(void *opaque)
{
    struct virtio_rng *rng = opaque;

    io_thread_post(rng->virtio.thread, &rng->refill);
}

static bool rng_realize(struct virtio_device *device, GError **error)
{
    struct virtio_rng *rng = rng_of(device);
    struct machine *machine = device->pci.device.machine;

    if (!rng->period) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "property 'period': 0 is not possible: it is a number of ms");
    }
    if (!rng_source_find(machine, rng->source_id, &rng->source, error)) {
        g_prefix_error(error, "property 'rng': ");
        return false;
    }
    virtio_add_queue(device, QUEUE_SIZE, 0, handle_requests);
    rng->budget = rng->max_bytes;
    rng->refill = (struct io_task){.run = refill_budget, .opaque = rng};
    clock_timer_init(&rng->timer, machine->clock, period_ended, rng, NULL);
    if (rng->source) {
        io_thread_call(device->thread, add_event, rng);
    }
    return true;
}

static void rng_unrealize(struct virtio_device *device)
{
    struct virtio_rng *rng = rng_of(device);

    clock_timer_destroy(&rng->timer);
    io_thread_call(device->thread, remove_event, rng);
}

static void reset_budget(void *opaque)
{
    struct virtio_rng *rng = opaque;

    io_thread_cancel(rng->virtio.thread, &rng->refill);
    rng->budget = rng->max_bytes;
}

static void rng_reset(struct virtio_device *device)
{
    struct virtio_rng *rng = rng_of(device);

    clock_timer_disarm(&rng->timer);
    io_thread_call(device->thread, reset_budget, rng);
}

static const struct state_field rng_fields[] = {
    VIRTIO_STATE_FIELDS,
    STATE(UINT64, virtio_rng, budget, 1),
    STATE(TIMER, virtio_rng, timer, 1),
    STATE_END,
};

static const struct state_description rng_state = {
    .name = "virtio-rng",
    .version = 1,
    .fields = rng_fields,
    VIRTIO_STATE_HOOKS,
};

static const struct virtio_class rng_class = {
    .name = "virtio-rng",
    .device_id = 4,
    .legacy_id = 0x1005,
    .realize = rng_realize,
    .unrealize = rng_unrealize,
    .reset = rng_reset,
};

#define RNG_PROPERTIES                                                                             \
    {"rng",                                                                                        \
     PROPERTY_STRING | PROPERTY_OF_HOST,                                                           \
     offsetof(struct virtio_rng, source_id),                                                       \
     NULL,                                                                                         \
     0,                                                                                            \
     0,                                                                                            \
     "where random bytes come from (-object rng-...) [the host's kernel]"},                        \
        {"max-bytes",                                                                              \
         PROPERTY_UINT64 | PROPERTY_OF_HOST,                                                       \
         offsetof(struct virtio_rng, max_bytes),                                                   \
         "0x7fffffffffffffff",                                                                     \
         1,                                                                                        \
         INT64_MAX,                                                                                \
         "bytes that the guest gets in a period [no limit]"},                                      \
    {                                                                                              \
        "period", PROPERTY_UINT32 | PROPERTY_OF_HOST, offsetof(struct virtio_rng, period),         \
            "65536", 0, 0, "of max-bytes, in ms"                                                   \
    }

static const struct property rng_pci_properties[] = {
    VIRTIO_PCI_PROPERTIES,
    RNG_PROPERTIES,
    PROPERTY_END,
};

static const struct property rng_mmio_properties[] = {
    VIRTIO_DEVICE_PROPERTIES,
    RNG_PROPERTIES,
    PROPERTY_END,
};

VIRTIO_PCI_CLASSES(virtio_rng, rng_class, virtio_rng, "virtio-rng", "source of random numbers",
                   0x00ff00, rng_state, rng_pci_properties);
VIRTIO_MMIO_CLASS(virtio_rng, rng_class, virtio_rng, "virtio-rng", "source of random numbers",
                  rng_state, rng_mmio_properties);
