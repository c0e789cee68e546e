/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: pages of Xen's I/O requests with anything in them. Each ends, touches no memory but
 * the guest's, and the ring of buffered ones is never taken past its end.
 */
#include "fuzz/fuzz-main.h"

#include "backend-xen/ioreq.h"

#define RAM_SIZE     0x4000u
#define MMIO_BASE    UINT64_C(0xe0000000)
#define MMIO_SIZE    0x1000u
#define REQUESTS_MAX 16u /* one may be 64 Ki accesses long */

static enum memory_result device_read(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t *value)
{
    g_assert(offset + size <= MMIO_SIZE);
    *value = offset * 0x0101010101010101;
    return MEMORY_OK;
}

static enum memory_result device_write(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t value)
{
    g_assert(offset + size <= MMIO_SIZE);
    return MEMORY_OK;
}

static const struct memory_region_ops device_ops = {
    .read = device_read,
    .write = device_write,
    .valid = {.min_size = 1, .max_size = 8, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 4},
};

static uint32_t config_read(void *opaque, unsigned bus, unsigned devfn, unsigned offset,
                            unsigned size)
{
    g_assert(bus < 256 && devfn < 256 && size && size <= 4);
    return offset;
}

static void config_write(void *opaque, unsigned bus, unsigned devfn, unsigned offset, unsigned size,
                         uint32_t value)
{
    g_assert(bus < 256 && devfn < 256 && size && size <= 4);
}

static void invalidate(void *opaque)
{
}

static void set_time_offset(void *opaque, int64_t seconds)
{
}

static struct memory_region memory, io, ram, mmio, port;
static struct address_space as_memory, as_io;
static const struct ioreq_target target = {
    .memory = &as_memory,
    .io = &as_io,
    .config_read = config_read,
    .config_write = config_write,
    .invalidate = invalidate,
    .set_time_offset = set_time_offset,
};

static void make_system(void)
{
    static bool made;

    if (made) {
        return;
    }
    made = true;
    memory_region_init_container(&memory, "memory", UINT64_C(1) << 52);
    memory_region_init_container(&io, "io", 0x10000);
    g_assert(memory_region_init_ram(&ram, "ram", RAM_SIZE, NULL));
    memory_region_init_mmio(&mmio, "mmio", MMIO_SIZE, &device_ops, NULL, NULL);
    memory_region_init_mmio(&port, "port", 8, &device_ops, NULL, NULL);
    memory_region_add_subregion(&memory, 0, &ram);
    memory_region_add_subregion(&memory, MMIO_BASE, &mmio);
    memory_region_add_subregion(&io, 0x1f0, &port);
    address_space_init(&as_memory, &memory, "memory");
    address_space_init(&as_io, &io, "io");
}

static void perform_all(const uint8_t *data, size_t size)
{
    struct ioreq request;

    for (unsigned i = 0; i < REQUESTS_MAX && size >= sizeof(request); i++) {
        memcpy(&request, data, sizeof(request));
        ioreq_perform(&target, &request);
        data += sizeof(request);
        size -= sizeof(request);
    }
}

/* The bytes are the page, from its pointers on. What never empties is a full ring's worth a time.
 */
static void drain(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *page = g_malloc0(4096); /* of a page's size, so that ASan sees more */

    memcpy(page, data, MIN(size, 4096));
    ioreq_drain_buffer(&target, (struct buffered_iopage *)(void *)page);
}

/* First byte: which of the two pages. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    make_system();
    if (size > 1) {
        (data[0] & 1 ? drain : perform_all)(data + 1, size - 1);
    }
    return 0;
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "xen-ioreq");
}
#endif
