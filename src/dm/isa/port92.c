/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Port 92h of the PS/2: fast reset, and the gate of address line 20. There is one gate: the
 * keyboard controller's output port drives it too, and whoever spoke last is obeyed, so that a
 * program which knows one of the two ways can always open and close it.
 */
#include "dm/machine.h"

#define FAST_RESET 0x01
#define FAST_A20   0x02

struct port92 {
    struct device device;
    struct memory_region port;
    uint8_t value; /* atomic: the keyboard controller writes FAST_A20, under its own guard */
};

extern const struct device_class port92_class;

/* Only for changing bits; the gate follows FAST_A20. */
static uint8_t change(struct port92 *port92, uint8_t mask, uint8_t bits)
{
    uint8_t old = __atomic_load_n(&port92->value, __ATOMIC_RELAXED), next;

    do {
        next = (uint8_t)((old & ~mask) | (bits & mask));
    } while (!__atomic_compare_exchange_n(&port92->value, &old, next, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_RELAXED));
    machine_mask_a20(port92->device.machine, !(next & FAST_A20));
    return old;
}

static void set_a20(void *opaque, unsigned number, bool level)
{
    change(opaque, FAST_A20, level ? FAST_A20 : 0);
}

static enum memory_result port92_read(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t *value)
{
    *value = __atomic_load_n(&((struct port92 *)opaque)->value, __ATOMIC_RELAXED);
    return MEMORY_OK;
}

/* A reset is a rising edge of the bit (PIIX4 datasheet, 4.2.5.5). */
static enum memory_result port92_write(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t value)
{
    struct port92 *port92 = opaque;
    uint8_t old = change(port92, FAST_RESET | FAST_A20, (uint8_t)value);

    if (value & ~old & FAST_RESET) {
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
    device->machine->a20 = (struct irq_line){set_a20, port92, 0};
    return true;
}

static void port92_unrealize(struct device *device)
{
    device->machine->a20 = (struct irq_line){0};
    memory_region_destroy(&((struct port92 *)device)->port);
}

/* The reset vector lies above 1 MiB: the gate is open. */
static void port92_reset(struct device *device)
{
    change((struct port92 *)device, FAST_RESET | FAST_A20, FAST_A20);
}

static bool port92_after_load(void *object)
{
    change(object, 0, 0);
    return true;
}

static const struct state_field port92_state_fields[] = {
    STATE(UINT8, port92, value, 1),
    STATE_END,
};

static const struct state_description port92_state = {
    .name = "port92",
    .version = 1,
    .fields = port92_state_fields,
    .after_load = port92_after_load,
};

const struct device_class port92_class = {
    .name = "port92",
    .description = "A20 gate and fast reset at port 92h",
    .bus_type = BUS_ISA,
    .instance_size = sizeof(struct port92),
    .state = &port92_state,
    .realize = port92_realize,
    .unrealize = port92_unrealize,
    .reset = port92_reset,
};
