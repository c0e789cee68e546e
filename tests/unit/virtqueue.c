/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtqueues against a naive driver: random buffers go in, the device completes them in random
 * order, and each must come back once, with what was written, with no notification lost or made in
 * vain. Split and packed, with and without event indexes; stops and saved state in between.
 */
#include "memory/host-access.h"
#include "unit/suite.h"
#include "unit/virtio-fixture.h"
#include "unit/seed.h"

#include <sched.h>
#include <stdlib.h>

#define DESCRIPTORS 0x10000u
#define DRIVER      0x12000u
#define DEVICE      0x14000u
#define TABLES      0x20000u /* an indirect table of 64 bytes for each id */
#define BUFFERS     0x40000u /* a page for each id */
#define PARTS_MAX   4
#define PART_MAX    300
#define STEPS       1500

/* ---- The device: pops all, completes when told. In the I/O thread. ---- */

static struct {
    struct virtqueue_element *pending[TEST_QUEUE_SIZE];
    unsigned count;
    unsigned popped; /* atomic; since the start of the test */
    unsigned unpops; /* still to be made, one at each call of the handler */
    GRand *random;
} echo;

static bool test_handle(struct virtqueue *queue)
{
    struct virtqueue_element *element;

    while ((element = virtqueue_pop(queue))) {
        if (echo.unpops) {
            echo.unpops--;
            virtqueue_unpop(element);
            virtqueue_kick(queue);
            return false;
        }
        echo.pending[echo.count++] = element;
        __atomic_fetch_add(&echo.popped, 1, __ATOMIC_SEQ_CST);
    }
    return true;
}

/* Write a function of what was read, all over `in` but its last byte. */
static uint64_t answer(struct virtqueue_element *element)
{
    uint8_t sum = 0, data[PARTS_MAX * PART_MAX];
    uint64_t length = virtqueue_read(element, 0, data, sizeof(data)), written;

    CU_ASSERT_EQUAL_FATAL(length, element->out_length);
    for (uint64_t i = 0; i < length; i++) {
        sum += data[i];
    }
    written = element->in_length ? element->in_length - 1 : 0;
    for (uint64_t i = 0; i < written; i++) {
        data[i] = (uint8_t)(sum + i);
    }
    CU_ASSERT_EQUAL_FATAL(virtqueue_write(element, 0, data, written), written);
    return written;
}

static void complete(struct virtqueue *queue, unsigned count)
{
    struct virtqueue_element *elements[TEST_QUEUE_SIZE];
    uint64_t written[TEST_QUEUE_SIZE];

    for (unsigned i = 0; i < count; i++) {
        unsigned k = (unsigned)g_rand_int_range(echo.random, 0, (int)echo.count);

        elements[i] = echo.pending[k];
        echo.pending[k] = echo.pending[--echo.count];
        written[i] = answer(elements[i]);
    }
    if (count && g_rand_boolean(echo.random)) {
        virtqueue_push_all(queue, elements, written, count);
    } else {
        for (unsigned i = 0; i < count; i++) {
            virtqueue_push(elements[i], written[i]);
        }
    }
    virtqueue_notify(queue);
}

static void complete_some(void *opaque)
{
    complete(opaque, (unsigned)g_rand_int_range(echo.random, 0, (int)echo.count + 1));
}

static void complete_all(void *opaque)
{
    complete(opaque, echo.count);
}

/* All but the last step: the driver is told when a batch has ended. */
static void push_untold(void *opaque)
{
    while (echo.count) {
        struct virtqueue_element *element = echo.pending[--echo.count];

        virtqueue_push(element, answer(element));
    }
}

static void test_stop(struct virtio_device *device)
{
    if (echo.count) {
        complete(virtio_queue(device, 0), echo.count);
    }
}

/* ---- The driver ---- */

struct sent {
    bool used;
    uint8_t sum;
    unsigned places, in_length;
    unsigned in_at[PARTS_MAX], in_size[PARTS_MAX], ins; /* its parts to be written */
};

struct driver {
    struct virtio_test test;
    GRand *random;
    bool packed, event_index;
    unsigned size, free_places, outstanding;
    struct sent sent[TEST_QUEUE_SIZE];
    /* Split: indexes that run free. Packed: places, with the wrap counter in bit 15. */
    uint16_t available, used;
    unsigned added; /* buffers, in all */
};

static uint16_t get16(struct driver *driver, unsigned address)
{
    return (uint16_t)host_load(driver->test.ram + address, 2);
}

static void put(struct driver *driver, unsigned address, unsigned size, uint64_t value)
{
    host_store(driver->test.ram + address, size, value);
}

static void put_descriptor(struct driver *driver, unsigned address, uint64_t buffer,
                           unsigned length, unsigned third, unsigned fourth)
{
    put(driver, address, 8, buffer);
    put(driver, address + 8, 4, length);
    put(driver, address + 12, 2, third);
    put(driver, address + 14, 2, fourth);
}

static uint16_t packed_step(const struct driver *driver, uint16_t place, unsigned steps)
{
    unsigned next = (place & 0x7fffu) + steps, wrap = place & 0x8000u;

    if (next >= driver->size) {
        next -= driver->size;
        wrap ^= 0x8000u;
    }
    return (uint16_t)(next | wrap);
}

static unsigned available_flags(uint16_t place)
{
    return place & 0x8000u ? 0x80u : 0x8000u;
}

/* A random buffer in the page of an id; returns the number of parts. */
static unsigned make_parts(struct driver *driver, unsigned id, struct iovec *parts, unsigned *outs)
{
    unsigned count = (unsigned)g_rand_int_range(driver->random, 1, PARTS_MAX + 1);
    struct sent *sent = &driver->sent[id];
    unsigned at = BUFFERS + id * 4096;

    *sent = (struct sent){.used = true};
    *outs = (unsigned)g_rand_int_range(driver->random, 0, (int)count + 1);
    for (unsigned i = 0; i < count; i++) {
        unsigned length = (unsigned)g_rand_int_range(driver->random, 0, PART_MAX);

        parts[i] = (struct iovec){(void *)(uintptr_t)at, length};
        for (unsigned k = 0; i < *outs && k < length; k++) {
            uint8_t byte = (uint8_t)g_rand_int(driver->random);

            put(driver, at + k, 1, byte);
            sent->sum += byte;
        }
        if (i >= *outs) {
            sent->in_at[sent->ins] = at;
            sent->in_size[sent->ins++] = length;
            sent->in_length += length;
        }
        at += length + 3;
    }
    return count;
}

static void write_chain(struct driver *driver, unsigned id, const struct iovec *parts,
                        unsigned count, unsigned outs, bool indirect)
{
    unsigned table = TABLES + id * 64;

    for (unsigned i = 0; i < count; i++) {
        unsigned flags = (i < outs ? 0 : 2) | (i + 1 < count ? 1 : 0);
        uintptr_t buffer = (uintptr_t)parts[i].iov_base;
        unsigned length = (unsigned)parts[i].iov_len;

        if (driver->packed && indirect) {
            put_descriptor(driver, table + 16 * i, buffer, length, 0, flags & 2);
        } else if (driver->packed) {
            uint16_t place = packed_step(driver, driver->available, i);

            put_descriptor(driver, DESCRIPTORS + 16 * (place & 0x7fffu), buffer, length, id,
                           flags | available_flags(i ? place : (uint16_t)(place ^ 0x8000u)));
        } else if (indirect) {
            put_descriptor(driver, table + 16 * i, buffer, length, flags, i + 1);
        } else {
            put_descriptor(driver, DESCRIPTORS + 16 * (id + i), buffer, length, flags, id + i + 1);
        }
    }
}

/* Make one buffer available, if there is room. Split: id is the head, its chain is behind it. */
static bool add(struct driver *driver)
{
    struct iovec parts[PARTS_MAX];
    bool indirect = g_rand_boolean(driver->random);
    unsigned id = 0, outs, count;

    while (id + PARTS_MAX <= driver->size && driver->sent[id].used) {
        id += PARTS_MAX;
    }
    if (id + PARTS_MAX > driver->size || driver->free_places < PARTS_MAX) {
        return false;
    }
    count = make_parts(driver, id, parts, &outs);
    write_chain(driver, id, parts, count, outs, indirect);
    driver->sent[id].places = indirect ? 1 : count;
    driver->free_places -= driver->sent[id].places;
    driver->outstanding++;
    driver->added++;
    if (!driver->packed) {
        if (indirect) {
            put_descriptor(driver, DESCRIPTORS + 16 * id, TABLES + id * 64, 16 * count, 4, 0);
        }
        put(driver, DRIVER + 4 + 2 * (driver->available % driver->size), 2, id);
        __atomic_thread_fence(__ATOMIC_RELEASE);
        put(driver, DRIVER + 2, 2, ++driver->available);
        return true;
    }
    if (indirect) {
        put_descriptor(driver, DESCRIPTORS + 16 * (driver->available & 0x7fffu), TABLES + id * 64,
                       16 * count, id,
                       4 | available_flags((uint16_t)(driver->available ^ 0x8000u)));
    }
    __atomic_thread_fence(__ATOMIC_RELEASE);
    put(driver, DESCRIPTORS + 16 * (driver->available & 0x7fffu) + 14, 2,
        (indirect ? 4 : (outs ? 0 : 2) | (count > 1 ? 1 : 0)) | available_flags(driver->available));
    driver->available = packed_step(driver, driver->available, driver->sent[id].places);
    return true;
}

/* Is event one of the indexes (or places) from first up to before end? One by one. */
static bool is_crossed(const struct driver *driver, uint16_t event, uint16_t first, uint16_t end)
{
    while (first != end) {
        if (first == event) {
            return true;
        }
        first = driver->packed ? packed_step(driver, first, 1) : (uint16_t)(first + 1);
    }
    return false;
}

/* Does the side that owns an area want to hear of the step from first to end? */
static bool is_wanted(struct driver *driver, unsigned area, uint16_t first, uint16_t end)
{
    unsigned event_at =
        area == DEVICE ? DEVICE + 4 + 8 * driver->size : DRIVER + 4 + 2 * driver->size;

    if (driver->packed) {
        uint16_t flags = get16(driver, area + 2);

        return flags == 2 ? is_crossed(driver, get16(driver, area), first, end)
                          : flags == 0 && first != end;
    }
    return driver->event_index ? is_crossed(driver, get16(driver, event_at), first, end)
                               : !(get16(driver, area) & 1) && first != end;
}

/* The place before another one. */
static uint16_t packed_back(const struct driver *driver, uint16_t place)
{
    return packed_step(driver, place, driver->size - 1) ^ 0x8000u;
}

/* The driver's wish for interrupts: at an index to come, or one that has just passed. */
static void choose_interrupts(struct driver *driver)
{
    int ahead = g_rand_int_range(driver->random, -1, 4);
    bool on = g_rand_boolean(driver->random);

    if (driver->packed) {
        bool event = driver->event_index && on;

        put(driver, DRIVER, 2,
            ahead < 0 ? packed_back(driver, driver->used)
                      : packed_step(driver, driver->used, (unsigned)ahead));
        put(driver, DRIVER + 2, 2, event ? 2 : on ? 0 : 1);
    } else if (driver->event_index) {
        put(driver, DRIVER + 4 + 2 * driver->size, 2, (uint16_t)(driver->used + ahead));
    } else {
        put(driver, DRIVER, 2, on ? 0 : 1);
    }
}

static bool wait_until_popped(struct driver *driver)
{
    for (unsigned i = 0; i < 20000000; i++) {
        if (__atomic_load_n(&echo.popped, __ATOMIC_SEQ_CST) == driver->added) {
            return true;
        }
        sched_yield();
    }
    return false;
}

/* A function of what was sent, all over but the last byte. */
static bool is_answered(struct driver *driver, const struct sent *sent, unsigned length)
{
    unsigned position = 0;

    for (unsigned i = 0; i < sent->ins; i++) {
        for (unsigned k = 0; k < sent->in_size[i] && position < length; k++, position++) {
            uint8_t byte = (uint8_t)host_load(driver->test.ram + sent->in_at[i] + k, 1);

            if (byte != (uint8_t)(sent->sum + position)) {
                return false;
            }
        }
    }
    return position == length;
}

static void check_buffer(struct driver *driver, unsigned id, unsigned length)
{
    struct sent *sent = &driver->sent[id];

    CU_ASSERT_TRUE_FATAL(id < driver->size && sent->used);
    CU_ASSERT_EQUAL(length, sent->in_length ? sent->in_length - 1 : 0);
    CU_ASSERT_TRUE(is_answered(driver, sent, length));
    driver->free_places += sent->places;
    driver->outstanding--;
    sent->used = false;
}

/* All used buffers. Returns where the device's index is now. */
static void take_used(struct driver *driver)
{
    if (!driver->packed) {
        uint16_t index = get16(driver, DEVICE + 2);

        for (; driver->used != index; driver->used++) {
            unsigned at = DEVICE + 4 + 8 * (driver->used % driver->size);

            check_buffer(driver, (unsigned)host_load(driver->test.ram + at, 4),
                         (unsigned)host_load(driver->test.ram + at + 4, 4));
        }
        return;
    }
    for (;;) {
        unsigned at = DESCRIPTORS + 16 * (driver->used & 0x7fffu);
        unsigned flags = get16(driver, at + 14), id, places;

        if ((flags & 0x8080u) != (driver->used & 0x8000u ? 0x8080u : 0)) {
            return;
        }
        id = get16(driver, at + 12);
        CU_ASSERT_TRUE_FATAL(id < driver->size);
        places = driver->sent[id].places;
        check_buffer(driver, id, (unsigned)host_load(driver->test.ram + at + 8, 4));
        driver->used = packed_step(driver, driver->used, places);
    }
}

/* Have the device complete some, and see what it says and whether it interrupts. */
static void step_device(struct driver *driver, void (*what)(void *opaque))
{
    struct virtqueue *queue = virtio_queue(driver->test.device, 0);
    uint16_t before = driver->used;
    bool wanted;

    choose_interrupts(driver);
    virtio_test_write(&driver->test, 0x64, 3);
    io_thread_call(queue->thread, what, queue);
    take_used(driver);
    wanted = is_wanted(driver, DRIVER, before, driver->used);
    CU_ASSERT_EQUAL(virtio_test_read(&driver->test, 0x60), wanted);
    CU_ASSERT_EQUAL(__atomic_load_n(&driver->test.level, __ATOMIC_SEQ_CST), wanted);
}

static void add_some(struct driver *driver)
{
    unsigned count = (unsigned)g_rand_int_range(driver->random, 0, 20);
    uint16_t before = driver->available;

    while (count-- && add(driver)) {
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (is_wanted(driver, DEVICE, before, driver->available)) {
        virtio_test_write(&driver->test, 0x50, 0);
    }
    CU_ASSERT_TRUE_FATAL(wait_until_popped(driver));
}

/* Stop, save, load, continue. The device completes what it has, when it is stopped. */
static void pause_and_continue(struct driver *driver)
{
    struct device *device = &driver->test.device->pci.device;
    g_autoptr(GByteArray) state = g_byte_array_new();
    size_t consumed;

    machine_stop(driver->test.machine, RUN_STATE_PAUSED);
    CU_ASSERT_EQUAL(echo.count, 0);
    take_used(driver);
    CU_ASSERT_EQUAL(driver->outstanding, 0);
    device_save_state(device, state);
    CU_ASSERT_TRUE(device_load_state(device, state->data, state->len, &consumed, NULL));
    machine_start(driver->test.machine);
}

/* A driver and the device that it drives, with a ring of `size` places, running. */
static struct driver *driver_new(bool packed, bool event_index, unsigned size, uint32_t seed)
{
    struct driver *driver = g_new0(struct driver, 1);
    uint64_t features = VIRTIO_FEATURE(VIRTIO_F_INDIRECT_DESC);

    driver->random = g_rand_new_with_seed(seed);
    echo.random = g_rand_new_with_seed(seed + 1);
    echo.popped = echo.count = 0;
    driver->packed = packed;
    driver->event_index = event_index;
    driver->size = driver->free_places = size;
    driver->available = driver->used = packed ? 0x8000u : 0;
    features |= packed ? VIRTIO_FEATURE(VIRTIO_F_RING_PACKED) : 0;
    features |= event_index ? VIRTIO_FEATURE(VIRTIO_F_EVENT_IDX) : 0;
    virtio_test_init(&driver->test);
    virtio_test_start(&driver->test, features, size, DESCRIPTORS, DRIVER, DEVICE);
    return driver;
}

static void driver_free(struct driver *driver)
{
    virtio_test_clear(&driver->test);
    g_rand_free(echo.random);
    g_rand_free(driver->random);
    g_free(driver);
}

static void run(bool packed, bool event_index, unsigned size)
{
    struct driver *driver = driver_new(packed, event_index, size, (uint32_t)test_seed());

    CU_ASSERT_EQUAL_FATAL(virtio_test_read(&driver->test, 0x70), 15);
    for (unsigned i = 0; i < STEPS; i++) {
        if (g_rand_int_range(driver->random, 0, 100) == 0) {
            pause_and_continue(driver);
        }
        add_some(driver);
        step_device(driver, g_rand_int_range(driver->random, 0, 8) ? complete_some : complete_all);
    }
    step_device(driver, complete_all);
    CU_ASSERT_EQUAL(driver->outstanding, 0);
    CU_ASSERT_EQUAL(driver->free_places, size);
    CU_ASSERT_EQUAL(virtio_test_read(&driver->test, 0x70), 15);
    driver_free(driver);
}

static void test_split(void)
{
    run(false, false, 16);
    run(false, false, 256);
}

static void test_split_event_index(void)
{
    run(false, true, 16);
    run(false, true, 256);
}

static void test_packed(void)
{
    run(true, false, 16);
    run(true, false, 21); /* no power of two */
    run(true, false, 256);
}

static void test_packed_event_index(void)
{
    run(true, true, 16);
    run(true, true, 21);
    run(true, true, 256);
}

/* What was popped and given back comes again, across the end of the ring. */
static void run_unpop(bool packed)
{
    struct driver *driver = driver_new(packed, false, 12 + 4 * !packed, 1);

    for (unsigned i = 0; i < 200; i++) {
        machine_stop(driver->test.machine, RUN_STATE_PAUSED);
        echo.unpops = 1 + i % 3;
        machine_start(driver->test.machine);
        add_some(driver);
        step_device(driver, complete_all);
    }
    CU_ASSERT_EQUAL(driver->outstanding, 0);
    driver_free(driver);
}

static void test_unpop(void)
{
    run_unpop(false);
    run_unpop(true);
}

/* A machine that is stopped may be saved: an interrupt that comes later would be lost. */
static void run_stop_tells(bool packed)
{
    struct driver *driver = driver_new(packed, false, 64, 3);
    struct virtqueue *queue;

    while (!echo.count) {
        add_some(driver);
    }
    queue = virtio_queue(driver->test.device, 0);
    io_thread_call(queue->thread, push_untold, queue);
    CU_ASSERT_FALSE(__atomic_load_n(&driver->test.level, __ATOMIC_SEQ_CST));
    machine_stop(driver->test.machine, RUN_STATE_PAUSED);
    CU_ASSERT_TRUE(__atomic_load_n(&driver->test.level, __ATOMIC_SEQ_CST));
    driver_free(driver);
}

static void test_stop_tells(void)
{
    run_stop_tells(false);
    run_stop_tells(true);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"split", test_split},
        {"split, event index", test_split_event_index},
        {"packed", test_packed},
        {"packed, event index", test_packed_event_index},
        {"unpop", test_unpop},
        {"a stop tells the driver", test_stop_tells},
        {NULL, NULL},
    };

    return unit_run("virtqueue", tests);
}
