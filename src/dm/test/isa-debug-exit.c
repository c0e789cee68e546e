/* SPDX-License-Identifier: GPL-2.0-or-later */
/* isa-debug-exit: a guest's test ends the process with a status of its choice, (value << 1) | 1. */
#include "dm/machine.h"
#include "util/error.h"

struct isa_debug_exit {
    struct device device;
    struct memory_region ports;
    uint32_t iobase, iosize;
};

extern const struct device_class isa_debug_exit_class;

static enum memory_result exit_read(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t *value)
{
    *value = 0;
    return MEMORY_OK;
}

static enum memory_result exit_write(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t value)
{
    struct isa_debug_exit *debug_exit = opaque;

    /* Of the status the host keeps 8 bits. */
    machine_request_exit(debug_exit->device.machine, (int)((value << 1 | 1) & 0xff));
    return MEMORY_OK;
}

static const struct memory_region_ops exit_ops = {
    .read = exit_read,
    .write = exit_write,
    .valid = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
};

static bool exit_realize(struct device *device, GError **error)
{
    struct isa_debug_exit *debug_exit = (struct isa_debug_exit *)device;

    if (debug_exit->iobase + debug_exit->iosize > 0x10000) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "isa-debug-exit: ports 0x%x to 0x%x do not exist: the last is 0xffff",
                          debug_exit->iobase, debug_exit->iobase + debug_exit->iosize - 1);
    }
    memory_region_init_mmio(&debug_exit->ports, "isa-debug-exit", debug_exit->iosize, &exit_ops,
                            debug_exit, &device->guard);
    memory_region_add_subregion(&device->machine->system_io, debug_exit->iobase,
                                &debug_exit->ports);
    return true;
}

static void exit_unrealize(struct device *device)
{
    memory_region_destroy(&((struct isa_debug_exit *)device)->ports);
}

static const struct property exit_properties[] = {
    {"iobase", PROPERTY_UINT32, offsetof(struct isa_debug_exit, iobase), "0x501", 0, 0xffff,
     "first port"},
    {"iosize", PROPERTY_UINT32, offsetof(struct isa_debug_exit, iosize), "2", 1, 0x10000,
     "number of ports"},
    PROPERTY_END,
};

const struct device_class isa_debug_exit_class = {
    .name = "isa-debug-exit",
    .description = "test device: a written value v ends the process with status 2v+1",
    .bus_type = BUS_ISA,
    .instance_size = sizeof(struct isa_debug_exit),
    .user_creatable = true,
    .properties = exit_properties,
    .realize = exit_realize,
    .unrealize = exit_unrealize,
};
