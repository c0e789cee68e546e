/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/isa/reset-control.h"
#include "dm/machine.h"

#define SYSTEM_RESET 0x02 /* hard reset, not only the processor: here both reset all */
#define RESET_CPU    0x04 /* a rising edge resets */

struct reset_control {
    struct device device;
    struct memory_region port;
    uint8_t value;
};

struct memory_region *reset_control_region(struct device *device)
{
    return &((struct reset_control *)device)->port;
}

static enum memory_result control_read(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t *value)
{
    *value = ((struct reset_control *)opaque)->value;
    return MEMORY_OK;
}

static enum memory_result control_write(void *opaque, uint64_t offset, unsigned size,
                                        struct memory_attributes attributes, uint64_t value)
{
    struct reset_control *control = opaque;
    bool reset = value & ~control->value & RESET_CPU;

    control->value = (uint8_t)value & (SYSTEM_RESET | RESET_CPU);
    if (reset) {
        machine_request_reset(control->device.machine, true);
    }
    return MEMORY_OK;
}

static const struct memory_region_ops control_ops = {
    .read = control_read,
    .write = control_write,
    .valid = {.min_size = 1, .max_size = 1},
    .implemented = {.min_size = 1, .max_size = 1},
};

static bool control_realize(struct device *device, GError **error)
{
    struct reset_control *control = (struct reset_control *)device;

    memory_region_init_mmio(&control->port, "reset-control", 1, &control_ops, control,
                            &device->guard);
    return true;
}

static void control_unrealize(struct device *device)
{
    memory_region_destroy(&((struct reset_control *)device)->port);
}

static void control_reset(struct device *device)
{
    ((struct reset_control *)device)->value = 0;
}

static const struct state_field control_state_fields[] = {
    STATE(UINT8, reset_control, value, 1),
    STATE_END,
};

static const struct state_description control_state = {
    .name = "reset-control",
    .version = 1,
    .fields = control_state_fields,
};

const struct device_class reset_control_class = {
    .name = "reset-control",
    .description = "reset control register at port CF9h",
    .bus_type = BUS_SYSTEM,
    .instance_size = sizeof(struct reset_control),
    .state = &control_state,
    .realize = control_realize,
    .unrealize = control_unrealize,
    .reset = control_reset,
};
