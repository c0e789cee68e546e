/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Debug console: a port that takes characters and, read, says that it is there (Bochs's port E9h).
 * SeaBIOS writes its messages to a second one at 402h.
 */
#include "dm/chardev.h"
#include "dm/device.h"
#include "dm/machine.h"

struct debugcon {
    struct device device;
    struct memory_region region;
    struct chardev *chardev; /* property; NULL: output goes nowhere */
    struct chardev_frontend frontend;
    uint32_t iobase;   /* property */
    uint32_t readback; /* property: what a read gives */
};

static size_t debugcon_can_receive(void *opaque)
{
    return 256;
}

static void debugcon_receive(void *opaque, const uint8_t *data, size_t length)
{
    /* There is no way in: what is typed is dropped. */
}

static enum memory_result debugcon_read(void *opaque, uint64_t offset, unsigned size,
                                        struct memory_attributes attributes, uint64_t *value)
{
    struct debugcon *debugcon = opaque;

    *value = debugcon->readback;
    return MEMORY_OK;
}

/* The port has no status to wait for, so what a slow peer does not take is lost. */
static enum memory_result debugcon_write(void *opaque, uint64_t offset, unsigned size,
                                         struct memory_attributes attributes, uint64_t value)
{
    struct debugcon *debugcon = opaque;
    uint8_t character = (uint8_t)value;

    chardev_write(&debugcon->frontend, &character, 1);
    return MEMORY_OK;
}

static const struct memory_region_ops debugcon_ops = {
    .read = debugcon_read,
    .write = debugcon_write,
    .valid = {.min_size = 1, .max_size = 1},
    .implemented = {.min_size = 1, .max_size = 1},
};

static bool debugcon_realize(struct device *device, GError **error)
{
    struct debugcon *debugcon = (struct debugcon *)device;

    debugcon->frontend = (struct chardev_frontend){
        .can_receive = debugcon_can_receive,
        .receive = debugcon_receive,
        .opaque = debugcon,
        .guard = &device->guard,
    };
    if (debugcon->chardev && !chardev_attach(debugcon->chardev, &debugcon->frontend, error)) {
        return false;
    }
    memory_region_init_mmio(&debugcon->region, "debugcon", 1, &debugcon_ops, debugcon,
                            &device->guard);
    memory_region_add_subregion(&device->machine->system_io, debugcon->iobase, &debugcon->region);
    return true;
}

static void debugcon_unrealize(struct device *device)
{
    struct debugcon *debugcon = (struct debugcon *)device;

    memory_region_destroy(&debugcon->region);
    chardev_detach(&debugcon->frontend);
}

static const struct property debugcon_properties[] = {
    {"chardev", PROPERTY_CHARDEV, offsetof(struct debugcon, chardev), NULL, 0, 0,
     "where the characters go"},
    {"iobase", PROPERTY_UINT32, offsetof(struct debugcon, iobase), "0xe9", 0, 0xffff, "port"},
    {"readback", PROPERTY_UINT32, offsetof(struct debugcon, readback), "0xe9", 0, 0xff,
     "value of a read"},
    PROPERTY_END,
};

const struct device_class debugcon_class = {
    .name = "isa-debugcon",
    .description = "debug console: one port, output only",
    .bus_type = BUS_ISA,
    .instance_size = sizeof(struct debugcon),
    .user_creatable = true,
    .properties = debugcon_properties,
    .realize = debugcon_realize,
    .unrealize = debugcon_unrealize,
};
