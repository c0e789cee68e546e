/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/fdt/device-tree.h"
#include "dm/acpi/acpi-ged.h"
#include "dm/machine.h"

/* The sleep control register: 4.8.3.7. */
#define SLEEP_ENABLE     0x20u
#define SLEEP_TYPE_SHIFT 2
#define SLEEP_TYPE_MASK  7u

struct acpi_ged {
    struct device device;
    struct memory_region registers;
    struct irq_line line;
    uint32_t events;       /* ACPI_GED_EVENT_*, until they are read */
    uint8_t sleep_control; /* SLP_TYPx: SLP_EN reads as 0 */
};

static void update_line(struct acpi_ged *ged)
{
    irq_line_set(&ged->line, ged->events != 0);
}

static enum memory_result ged_read(void *opaque, uint64_t offset, unsigned size,
                                   struct memory_attributes attributes, uint64_t *value)
{
    struct acpi_ged *ged = opaque;

    *value = 0;
    if (offset == ACPI_GED_EVENTS) {
        *value = ged->events;
        ged->events = 0;
        update_line(ged);
    } else if (offset == ACPI_GED_SLEEP_CONTROL) {
        *value = ged->sleep_control;
    }
    return MEMORY_OK;
}

static enum memory_result ged_write(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t value)
{
    struct acpi_ged *ged = opaque;

    if (offset == ACPI_GED_SLEEP_CONTROL) {
        unsigned type = value >> SLEEP_TYPE_SHIFT & SLEEP_TYPE_MASK;

        ged->sleep_control = (uint8_t)(type << SLEEP_TYPE_SHIFT);
        if ((value & SLEEP_ENABLE) && type == ACPI_GED_SLEEP_TYPE_OFF) {
            machine_request_shutdown(ged->device.machine, SHUTDOWN_GUEST_SHUTDOWN);
        }
    } else if (offset == ACPI_GED_RESET && value == ACPI_GED_RESET_VALUE) {
        machine_request_reset(ged->device.machine, true);
    }
    return MEMORY_OK;
}

static const struct memory_region_ops ged_ops = {
    .read = ged_read,
    .write = ged_write,
    .valid = {.min_size = 1, .max_size = 4},
    .implemented = {.min_size = 1, .max_size = 4},
};

static void on_power_button(void *opaque)
{
    struct acpi_ged *ged = opaque;

    if (access_guard_enter(&ged->device.guard)) {
        ged->events |= ACPI_GED_EVENT_POWER_BUTTON;
        update_line(ged);
        access_guard_leave(&ged->device.guard);
    }
}

static bool ged_realize(struct device *device, GError **error)
{
    struct acpi_ged *ged = (struct acpi_ged *)device;
    struct machine *machine = device->machine;

    ged->line = machine->gsi[ACPI_GED_INTERRUPT];
    memory_region_init_mmio(&ged->registers, "acpi-ged", ACPI_GED_SIZE, &ged_ops, ged,
                            &device->guard);
    memory_region_add_subregion(&machine->system_memory, ACPI_GED_ADDRESS, &ged->registers);
    machine_set_powerdown_handler(machine, on_power_button, ged);
    return true;
}

static void ged_unrealize(struct device *device)
{
    struct acpi_ged *ged = (struct acpi_ged *)device;

    machine_set_powerdown_handler(device->machine, NULL, NULL);
    memory_region_destroy(&ged->registers);
}

static void ged_reset(struct device *device)
{
    struct acpi_ged *ged = (struct acpi_ged *)device;

    ged->events = 0;
    ged->sleep_control = 0;
    update_line(ged);
}

static bool ged_after_load(void *object)
{
    update_line(object);
    return true;
}

static const struct state_field ged_fields[] = {
    STATE(UINT32, acpi_ged, events, 1),
    STATE(UINT8, acpi_ged, sleep_control, 1),
    STATE_END,
};

static const struct state_description ged_state = {
    .name = "acpi-ged",
    .version = 1,
    .fields = ged_fields,
    .after_load = ged_after_load,
};

static void ged_describe(struct device *device, struct device_tree *tree, struct device_node *node)
{
    struct device_node *registers =
        device_tree_add_memory_device(tree, "syscon", ACPI_GED_ADDRESS, ACPI_GED_SIZE, "syscon");
    uint32_t handle = device_node_phandle(registers);
    struct device_node *off = device_node_add(tree->root, "poweroff");
    struct device_node *restart = device_node_add(tree->root, "reboot");

    device_node_set(registers, "reg-io-width", 1);
    device_node_set_string(off, "compatible", "syscon-poweroff");
    device_node_set(off, "regmap", handle);
    device_node_set(off, "offset", ACPI_GED_SLEEP_CONTROL);
    device_node_set(off, "value", ACPI_GED_SLEEP_TYPE_OFF << SLEEP_TYPE_SHIFT | SLEEP_ENABLE);
    device_node_set_string(restart, "compatible", "syscon-reboot");
    device_node_set(restart, "regmap", handle);
    device_node_set(restart, "offset", ACPI_GED_RESET);
    device_node_set(restart, "value", ACPI_GED_RESET_VALUE);
}

const struct device_class acpi_ged_class = {
    .name = "acpi-ged",
    .description = "power button, sleep and reset registers of hardware-reduced ACPI",
    .bus_type = BUS_SYSTEM,
    .instance_size = sizeof(struct acpi_ged),
    .state = &ged_state,
    .realize = ged_realize,
    .unrealize = ged_unrealize,
    .reset = ged_reset,
    .describe = ged_describe,
};
