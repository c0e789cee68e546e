/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-testdev: each BAR begins with a header. The guest writes a test's number to it, and finds in
 * it the width, offset and data of writes to do, and how many of them have arrived. A test that a
 * BAR does not have shows width 0.
 */
#include "dm/pci/pci.h"
#include "util/little-endian.h"

#define MEMORY_SIZE 4096u
#define IO_SIZE     256u

/* The header: test, width, 2 bytes of zero, offset, data, count, name. */
#define HEADER_TEST   0
#define HEADER_WIDTH  1
#define HEADER_OFFSET 4
#define HEADER_DATA   8
#define HEADER_COUNT  12
#define HEADER_NAME   16
#define HEADER_SIZE   48

/* Where the writes of a test go. */
#define TEST_WIDTH  1
#define TEST_OFFSET 0x80
#define TEST_DATA   0xfa

struct test_bar {
    struct memory_region region;
    const char *name;
    bool selected;  /* test 0; false: one that does not exist */
    uint8_t number; /* as written */
    uint32_t count;
};

struct pci_testdev {
    struct pci_device pci;
    struct test_bar memory, io;
};

extern const struct device_class pci_testdev_class;

static void make_header(const struct test_bar *bar, uint8_t header[HEADER_SIZE])
{
    memset(header, 0, HEADER_SIZE);
    header[HEADER_TEST] = bar->number;
    if (bar->selected) {
        header[HEADER_WIDTH] = TEST_WIDTH;
        store_le32(header + HEADER_OFFSET, TEST_OFFSET);
        store_le32(header + HEADER_DATA, TEST_DATA);
        store_le32(header + HEADER_COUNT, bar->count);
        g_strlcpy((char *)header + HEADER_NAME, bar->name, HEADER_SIZE - HEADER_NAME);
    }
}

static enum memory_result bar_read(void *opaque, uint64_t offset, unsigned size,
                                   struct memory_attributes attributes, uint64_t *value)
{
    uint8_t header[HEADER_SIZE], bytes[8] = {0};

    make_header(opaque, header);
    for (unsigned i = 0; i < size; i++) {
        bytes[i] = offset + i < HEADER_SIZE ? header[offset + i] : 0;
    }
    *value = load_le64(bytes);
    return MEMORY_OK;
}

static enum memory_result bar_write(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t value)
{
    struct test_bar *bar = opaque;

    if (offset == HEADER_TEST) {
        bar->number = (uint8_t)value;
        bar->selected = bar->number == 0;
        bar->count = 0;
    } else if (bar->selected && offset == TEST_OFFSET && size == TEST_WIDTH &&
               (uint8_t)value == TEST_DATA) {
        bar->count++;
    }
    return MEMORY_OK;
}

static const struct memory_region_ops bar_ops = {
    .read = bar_read,
    .write = bar_write,
    .valid = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
};

static void bar_init(struct test_bar *bar, struct pci_testdev *testdev, const char *name,
                     const char *region_name, uint64_t size)
{
    bar->name = name;
    memory_region_init_mmio(&bar->region, region_name, size, &bar_ops, bar,
                            &testdev->pci.device.guard);
}

static bool testdev_realize(struct device *device, GError **error)
{
    struct pci_testdev *testdev = (struct pci_testdev *)device;

    bar_init(&testdev->memory, testdev, "mmio-no-eventfd", "pci-testdev-mmio", MEMORY_SIZE);
    bar_init(&testdev->io, testdev, "portio-no-eventfd", "pci-testdev-portio", IO_SIZE);
    pci_register_bar(&testdev->pci, 0, &testdev->memory.region, false, false, false);
    pci_register_bar(&testdev->pci, 1, &testdev->io.region, true, false, false);
    return true;
}

static void testdev_unrealize(struct device *device)
{
    struct pci_testdev *testdev = (struct pci_testdev *)device;

    memory_region_destroy(&testdev->io.region);
    memory_region_destroy(&testdev->memory.region);
}

static void bar_reset(struct test_bar *bar)
{
    bar->selected = false;
    bar->number = 0;
    bar->count = 0;
}

static void testdev_reset(struct device *device)
{
    struct pci_testdev *testdev = (struct pci_testdev *)device;

    bar_reset(&testdev->memory);
    bar_reset(&testdev->io);
}

static const struct state_field testdev_state_fields[] = {
    {"memory.selected", STATE_BOOL, offsetof(struct pci_testdev, memory.selected), 1, 1},
    {"memory.number", STATE_UINT8, offsetof(struct pci_testdev, memory.number), 1, 1},
    {"memory.count", STATE_UINT32, offsetof(struct pci_testdev, memory.count), 1, 1},
    {"io.selected", STATE_BOOL, offsetof(struct pci_testdev, io.selected), 1, 1},
    {"io.number", STATE_UINT8, offsetof(struct pci_testdev, io.number), 1, 1},
    {"io.count", STATE_UINT32, offsetof(struct pci_testdev, io.count), 1, 1},
    STATE_END,
};

static const struct state_description testdev_state = {
    .name = "pci-testdev",
    .version = 1,
    .fields = testdev_state_fields,
};

static const struct property testdev_properties[] = {
    PCI_DEVICE_PROPERTIES,
    PROPERTY_END,
};

static const struct pci_class testdev_pci_class = {
    .vendor_id = 0x1b36,
    .device_id = 0x0005,
    .subsystem_vendor_id = 0x1af4,
    .subsystem_id = 0x1100,
    .class_code = 0xff0000, /* no class of the specification fits */
};

const struct device_class pci_testdev_class = {
    .name = "pci-testdev",
    .description = "test device: counts writes to its BARs",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct pci_testdev),
    .user_creatable = true,
    .properties = testdev_properties,
    .state = &testdev_state,
    .realize = testdev_realize,
    .unrealize = testdev_unrealize,
    .reset = testdev_reset,
    .bus_class = &testdev_pci_class,
};
