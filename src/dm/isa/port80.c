/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Port 80h: firmware writes progress codes there, and everyone writes to it to wait a microsecond.
 */
#include "dm/machine.h"

struct port80 {
    struct device device;
    struct memory_region port;
    uint8_t code; /* last one written */
};

extern const struct device_class port80_class;

static enum memory_result port80_read(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t *value)
{
    struct port80 *port80 = opaque;

    *value = __atomic_load_n(&port80->code, __ATOMIC_RELAXED);
    return MEMORY_OK;
}

static enum memory_result port80_write(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t value)
{
    struct port80 *port80 = opaque;

    __atomic_store_n(&port80->code, (uint8_t)value, __ATOMIC_RELAXED);
    return MEMORY_OK;
}

static const struct memory_region_ops port80_ops = {
    .read = port80_read,
    .write = port80_write,
    .valid = {.min_size = 1, .max_size = 1},
    .implemented = {.min_size = 1, .max_size = 1},
};

static bool port80_realize(struct device *device, GError **error)
{
    struct port80 *port80 = (struct port80 *)device;

    /* Without a guard: the one register is atomic, and all vCPUs write it often. */
    memory_region_init_mmio(&port80->port, "port80", 1, &port80_ops, port80, NULL);
    memory_region_set_coalesced(&port80->port, true);
    memory_region_add_subregion(&device->machine->system_io, 0x80, &port80->port);
    return true;
}

static void port80_unrealize(struct device *device)
{
    memory_region_destroy(&((struct port80 *)device)->port);
}

static void port80_reset(struct device *device)
{
    __atomic_store_n(&((struct port80 *)device)->code, 0, __ATOMIC_RELAXED);
}

static const struct state_field port80_state_fields[] = {
    STATE(UINT8, port80, code, 1),
    STATE_END,
};

static const struct state_description port80_state = {
    .name = "port80",
    .version = 1,
    .fields = port80_state_fields,
};

const struct device_class port80_class = {
    .name = "port80",
    .description = "POST code register at port 80h",
    .bus_type = BUS_ISA,
    .instance_size = sizeof(struct port80),
    .state = &port80_state,
    .realize = port80_realize,
    .unrealize = port80_unrealize,
    .reset = port80_reset,
};
