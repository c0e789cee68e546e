/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: virtqueues. The first bytes of an input choose features, the size and places of the
 * ring; the rest is guest memory from address 0 on. A device pops what there is and pushes it back.
 */
#include "fuzz/fuzz-main.h"
#include "memory/host-access.h"
#include "unit/virtio-fixture.h"

#include <stdlib.h>

#define HEADER      8
#define MEMORY_SIZE 0x4000u
#define POPS_MAX    600 /* more than any ring holds */

/* Touch all of each buffer, give the first back once, and push. */
static void pop_all(struct virtqueue *queue)
{
    struct virtqueue_element *element = virtqueue_pop(queue);

    if (element) {
        virtqueue_unpop(element);
    }
    for (unsigned i = 0; i < POPS_MAX && (element = virtqueue_pop(queue)); i++) {
        uint8_t data[64] = {0};
        uint64_t length = virtqueue_read(element, 0, data, sizeof(data));

        virtqueue_read(element, element->out_length - MIN(element->out_length, 8), data, 8);
        virtqueue_write(element, 0, data, sizeof(data));
        virtqueue_write(element, element->in_length - MIN(element->in_length, 8), data, 8);
        virtqueue_push(element, element->in_length ? length : 0);
        virtqueue_notify(queue);
    }
}

static bool test_handle(struct virtqueue *queue)
{
    pop_all(queue);
    return true;
}

static void test_stop(struct virtio_device *device)
{
}

static void call_handler(void *opaque)
{
    struct virtqueue *queue = opaque;

    if (queue->running) {
        pop_all(queue);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct virtio_test test; /* made once */
    uint64_t features = 0;
    unsigned ring_size;

    if (!test.machine) {
        virtio_test_init(&test);
    }
    if (size < HEADER) {
        return 0;
    }
    features |= data[0] & 1 ? VIRTIO_FEATURE(VIRTIO_F_RING_PACKED) : 0;
    features |= data[0] & 2 ? VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX) : 0;
    features |= data[0] & 4 ? VIRTIO_FEATURE(VIRTIO_F_INDIRECT_DESC) : 0;
    ring_size = data[0] & 8 ? data[1] + 1u : 1u << (data[1] & 7);
    memset(test.ram, 0, MEMORY_SIZE);
    memcpy(test.ram, data + HEADER, MIN(size - HEADER, MEMORY_SIZE));
    virtio_test_start(&test, features, ring_size, data[2] * 16u, data[3] * 64u, data[4] * 64u);
    io_thread_call(test.device->thread, call_handler, virtio_queue(test.device, 0));
    virtio_test_write(&test, 0x70, 0);
    return 0;
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "virtio-ring");
}
#endif
