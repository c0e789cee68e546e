/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtio device for tests, in a slot of a virtio-mmio bus: RAM, registers, one queue whose
 * handler and completions are the test's. */
#ifndef DUODM_TESTS_UNIT_VIRTIO_FIXTURE_H
#define DUODM_TESTS_UNIT_VIRTIO_FIXTURE_H

#include "dm/virtio/virtio-mmio.h"
#include "unit/fake-machine.h"

#include <event2/thread.h>

#define TEST_REGISTERS  0xf0000000u
#define TEST_QUEUE_SIZE 256

struct virtio_test {
    struct fake_engine engine;
    struct machine *machine;
    struct virtio_mmio_bus *bus;
    struct virtio_device *device;
    uint8_t *ram;
    bool level; /* of the interrupt line; atomic */
};

struct test_device {
    struct virtio_device virtio;
};

/* What the test does with the queue. In the I/O thread. */
static bool test_handle(struct virtqueue *queue);

static bool test_realize(struct virtio_device *device, GError **error)
{
    virtio_add_queue(device, TEST_QUEUE_SIZE, 16, test_handle);
    return true;
}

static void test_stop(struct virtio_device *device);

static const struct virtio_class test_virtio_class = {
    .name = "virtio-test",
    .device_id = 42,
    .realize = test_realize,
    .stop = test_stop,
};

static const struct state_field test_fields[] = {VIRTIO_STATE_FIELDS, STATE_END};
static const struct state_description test_state = {
    .name = "virtio-test",
    .version = 1,
    .fields = test_fields,
    VIRTIO_STATE_HOOKS,
};
static const struct property test_properties[] = {VIRTIO_DEVICE_PROPERTIES, PROPERTY_END};

VIRTIO_MMIO_CLASS(virtio_test, test_virtio_class, test_device, "virtio-test", "test device",
                  test_state, test_properties);

static void virtio_test_line(void *opaque, unsigned number, bool level)
{
    struct virtio_test *test = opaque;

    __atomic_store_n(&test->level, level, __ATOMIC_SEQ_CST);
}

static inline void virtio_test_init(struct virtio_test *test)
{
    struct virtio_mmio_slot slot = {TEST_REGISTERS, {virtio_test_line, test, 0}};
    struct device *device;

    memset(test, 0, sizeof(*test));
    evthread_use_pthreads();
    test->machine = fake_machine_new(&test->engine);
    test->ram = memory_region_host_pointer(&test->machine->ram);
    test->bus = virtio_mmio_bus_new(test->machine, &test->machine->system_memory, &slot, 1);
    device = device_new(test->machine, &virtio_test_mmio_class, NULL, NULL, NULL);
    if (!device || !device_set_property(device, "packed", "on", NULL) ||
        !device_realize(device, NULL)) {
        abort();
    }
    test->device = (struct virtio_device *)device;
    machine_start(test->machine);
}

static inline void virtio_test_clear(struct virtio_test *test)
{
    machine_stop(test->machine, RUN_STATE_PAUSED);
    virtio_mmio_bus_free(test->bus);
    fake_machine_free(test->machine);
}

static inline void virtio_test_write(struct virtio_test *test, unsigned offset, uint32_t value)
{
    address_space_store(&test->machine->as_memory, TEST_REGISTERS + offset, 4,
                        MEMORY_ATTRIBUTES_CPU, value);
}

static inline uint32_t virtio_test_read(struct virtio_test *test, unsigned offset)
{
    uint64_t value;

    address_space_load(&test->machine->as_memory, TEST_REGISTERS + offset, 4, MEMORY_ATTRIBUTES_CPU,
                       &value);
    return (uint32_t)value;
}

/* From reset to DRIVER_OK, with one ring. */
static inline void virtio_test_start(struct virtio_test *test, uint64_t features, unsigned size,
                                     uint64_t descriptors, uint64_t driver, uint64_t device)
{
    features |= VIRTIO_FEATURE(VIRTIO_F_VERSION_1);
    virtio_test_write(test, 0x70, 0);
    virtio_test_write(test, 0x70, 3);
    for (unsigned i = 0; i < 2; i++) {
        virtio_test_write(test, 0x24, i);
        virtio_test_write(test, 0x20, (uint32_t)(features >> (32 * i)));
    }
    virtio_test_write(test, 0x70, 11);
    virtio_test_write(test, 0x30, 0);
    virtio_test_write(test, 0x38, size);
    virtio_test_write(test, 0x80, (uint32_t)descriptors);
    virtio_test_write(test, 0x90, (uint32_t)driver);
    virtio_test_write(test, 0xa0, (uint32_t)device);
    virtio_test_write(test, 0x44, 1);
    virtio_test_write(test, 0x70, 15);
}

#endif
