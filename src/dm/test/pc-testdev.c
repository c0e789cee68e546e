/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pc-testdev, for guests that test the platform: latches at ports E0h-E3h (one of 4 bytes) and E8h
 * (one of each access size), a port E4h that is written to after a page was changed in place, ports
 * 2000h+n that drive GSI n, and 64 KiB of memory-mapped latch at FF000000h.
 */
#include "dm/machine.h"
#include "util/little-endian.h"

#define LATCH_PORT    0xe0u
#define FLUSH_PORT    0xe4u
#define BYTES_PORT    0xe8u
#define GSI_PORT      0x2000u
#define MEMORY_START  0xff000000u
#define MEMORY_LENGTH 0x10000u

struct pc_testdev {
    struct device device;
    struct memory_region latch_ports, flush_port, bytes_port, gsi_ports, memory;
    uint8_t latch[4];
    uint8_t bytes[4];
    uint8_t buffer[MEMORY_LENGTH];
};

extern const struct device_class pc_testdev_class;

static uint64_t load_sized(const uint8_t *at, unsigned size)
{
    uint8_t wide[8] = {0};

    memcpy(wide, at, size);
    return load_le64(wide);
}

static void store_sized(uint8_t *at, unsigned size, uint64_t value)
{
    uint8_t wide[8];

    store_le64(wide, value);
    memcpy(at, wide, size);
}

/* The core lets no access through that leaves its region, of 4 bytes here. */
static enum memory_result latch_read(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t *value)
{
    *value = load_sized(((struct pc_testdev *)opaque)->latch + offset, size);
    return MEMORY_OK;
}

static enum memory_result latch_write(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t value)
{
    store_sized(((struct pc_testdev *)opaque)->latch + offset, size, value);
    return MEMORY_OK;
}

static enum memory_result bytes_read(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t *value)
{
    *value = load_sized(((struct pc_testdev *)opaque)->bytes + offset, size);
    return MEMORY_OK;
}

static enum memory_result bytes_write(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t value)
{
    store_sized(((struct pc_testdev *)opaque)->bytes + offset, size, value);
    return MEMORY_OK;
}

/* Guest memory that changed is seen at once, so there is nothing to flush. */
static enum memory_result flush_read(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t *value)
{
    *value = 0;
    return MEMORY_OK;
}

static enum memory_result flush_write(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t value)
{
    return MEMORY_OK;
}

static enum memory_result gsi_read(void *opaque, uint64_t offset, unsigned size,
                                   struct memory_attributes attributes, uint64_t *value)
{
    *value = 0;
    return MEMORY_OK;
}

static enum memory_result gsi_write(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t value)
{
    struct pc_testdev *testdev = opaque;

    irq_line_set(&testdev->device.machine->gsi[offset], value & 1);
    return MEMORY_OK;
}

static enum memory_result memory_read(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t *value)
{
    *value = load_sized(((struct pc_testdev *)opaque)->buffer + offset, size);
    return MEMORY_OK;
}

static enum memory_result memory_write(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t value)
{
    store_sized(((struct pc_testdev *)opaque)->buffer + offset, size, value);
    return MEMORY_OK;
}

#define TESTDEV_OPS(name_, max_, unaligned_)                                                       \
    static const struct memory_region_ops name_##_ops = {                                          \
        .read = name_##_read,                                                                      \
        .write = name_##_write,                                                                    \
        .valid = {.min_size = 1, .max_size = max_, .allow_unaligned = unaligned_},                 \
        .implemented = {.min_size = 1, .max_size = max_, .allow_unaligned = unaligned_},           \
    }
TESTDEV_OPS(latch, 4, true);
TESTDEV_OPS(bytes, 4, true);
TESTDEV_OPS(flush, 4, true);
TESTDEV_OPS(memory, 8, true);

/* Wider accesses would fall on several lines: only the addressed one is driven. */
static const struct memory_region_ops gsi_ops = {
    .read = gsi_read,
    .write = gsi_write,
    .valid = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
};

static bool testdev_realize(struct device *device, GError **error)
{
    struct pc_testdev *testdev = (struct pc_testdev *)device;
    struct memory_region *io = &device->machine->system_io;
    struct access_guard *guard = &device->guard;

    memory_region_init_mmio(&testdev->latch_ports, "pc-testdev-latch", 4, &latch_ops, testdev,
                            guard);
    memory_region_init_mmio(&testdev->flush_port, "pc-testdev-flush", 4, &flush_ops, testdev,
                            guard);
    memory_region_init_mmio(&testdev->bytes_port, "pc-testdev-bytes", 4, &bytes_ops, testdev,
                            guard);
    memory_region_init_mmio(&testdev->gsi_ports, "pc-testdev-gsi", MACHINE_GSI_COUNT, &gsi_ops,
                            testdev, guard);
    memory_region_init_mmio(&testdev->memory, "pc-testdev-memory", MEMORY_LENGTH, &memory_ops,
                            testdev, guard);
    memory_region_add_subregion(io, LATCH_PORT, &testdev->latch_ports);
    memory_region_add_subregion(io, FLUSH_PORT, &testdev->flush_port);
    memory_region_add_subregion(io, BYTES_PORT, &testdev->bytes_port);
    memory_region_add_subregion(io, GSI_PORT, &testdev->gsi_ports);
    memory_region_add_subregion(&device->machine->system_memory, MEMORY_START, &testdev->memory);
    return true;
}

static void testdev_unrealize(struct device *device)
{
    struct pc_testdev *testdev = (struct pc_testdev *)device;

    memory_region_destroy(&testdev->memory);
    memory_region_destroy(&testdev->gsi_ports);
    memory_region_destroy(&testdev->bytes_port);
    memory_region_destroy(&testdev->flush_port);
    memory_region_destroy(&testdev->latch_ports);
}

static void testdev_reset(struct device *device)
{
    struct pc_testdev *testdev = (struct pc_testdev *)device;

    memset(testdev->latch, 0, sizeof(testdev->latch));
    memset(testdev->bytes, 0, sizeof(testdev->bytes));
    memset(testdev->buffer, 0, sizeof(testdev->buffer));
}

static const struct state_field testdev_state_fields[] = {
    STATE_ARRAY(BYTES, pc_testdev, latch, 4, 1),
    STATE_ARRAY(BYTES, pc_testdev, bytes, 4, 1),
    STATE_ARRAY(BYTES, pc_testdev, buffer, MEMORY_LENGTH, 1),
    STATE_END,
};

static const struct state_description testdev_state = {
    .name = "pc-testdev",
    .version = 1,
    .fields = testdev_state_fields,
};

const struct device_class pc_testdev_class = {
    .name = "pc-testdev",
    .description = "test device: latches, interrupt lines and memory for platform tests",
    .bus_type = BUS_ISA,
    .instance_size = sizeof(struct pc_testdev),
    .user_creatable = true,
    .state = &testdev_state,
    .realize = testdev_realize,
    .unrealize = testdev_unrealize,
    .reset = testdev_reset,
};
