/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Port 92h of the PS/2: fast A20 gate and fast reset. Address line 20 is never masked here: the
 * gate bits of this port and of the keyboard controller are kept and read back, as on machines
 * whose processors have no A20M# pin any more.
 */
#include "dm/machine.h"

#define FAST_RESET 0x01
#define FAST_A20   0x02

struct port92 {
    struct device device;
    struct memory_region port;
    uint8_t value;
};

extern const struct device_class port92_class;

static enum memory_result port92_read(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t *value)
{
    *value = ((struct port92 *)opaque)->value;
    return MEMORY_OK;
}

/* A reset is a rising edge of the bit (PIIX4 datasheet, 4.2.5.5). */
static enum memory_result port92_write(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t value)
{
    struct port92 *port92 = opaque;
    bool reset = value & ~port92->value & FAST_RESET;

    port92->value = (uint8_t)value & (FAST_RESET | FAST_A20);
    if (reset) {
        machine_request_reset(port92->device.machine, true);
    }
    return MEMORY_OK;
}

static const struct memory_region_ops port92_ops = {
    .read = port92_read,
    .write = port92_write,
    .valid = {.min_size = 1, .max_size = 1},
    .implemented = {.min_size = 1, .max_size = 1},
};

static bool port92_realize(struct device *device, GError **error)
{
    struct port92 *port92 = (struct port92 *)device;

    memory_region_init_mmio(&port92->port, "port92", 1, &port92_ops, port92, &device->guard);
    memory_region_add_subregion(&device->machine->system_io, 0x92, &port92->port);
    return true;
}

static void port92_unrealize(struct device *device)
{
    memory_region_destroy(&((struct port92 *)device)->port);
}

static void port92_reset(struct device *device)
{
    ((struct port92 *)device)->value = 0;
}

static const struct state_field port92_state_fields[] = {
    STATE(UINT8, port92, value, 1),
    STATE_END,
};

static const struct state_description port92_state = {
    .name = "port92",
    .version = 1,
    .fields = port92_state_fields,
};

const struct device_class port92_class = {
    .name = "port92",
    .description = "fast A20 gate and fast reset at port 92h",
    .bus_type = BUS_ISA,
    .instance_size = sizeof(struct port92),
    .state = &port92_state,
    .realize = port92_realize,
    .unrealize = port92_unrealize,
    .reset = port92_reset,
};
