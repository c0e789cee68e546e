/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/acpi/acpi-cpu-hotplug.h"
#include "dm/machine.h"

static enum memory_result present_read(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t *value)
{
    *value = ((struct acpi_cpu_hotplug *)opaque)->present[offset];
    return MEMORY_OK;
}

/* What the guest did about it is not asked for. */
static enum memory_result present_write(void *opaque, uint64_t offset, unsigned size,
                                        struct memory_attributes attributes, uint64_t value)
{
    return MEMORY_OK;
}

static const struct memory_region_ops present_ops = {
    .read = present_read,
    .write = present_write,
    .valid = {.min_size = 1, .max_size = 4},
    .implemented = {.min_size = 1, .max_size = 1},
};

void acpi_cpu_hotplug_init(struct acpi_cpu_hotplug *cpus, struct machine *machine,
                           struct acpi_pm *pm, struct access_guard *guard)
{
    *cpus = (struct acpi_cpu_hotplug){.machine = machine, .pm = pm, .guard = guard};
    for (unsigned i = 0; i < machine->config.smp; i++) {
        cpus->present[i / 8] |= (uint8_t)(1u << i % 8);
    }
    memory_region_init_mmio(&cpus->ports, "acpi-cpu-hotplug", ACPI_CPU_HOTPLUG_SIZE, &present_ops,
                            cpus, guard);
    memory_region_add_subregion(&machine->system_io, ACPI_CPU_HOTPLUG_BASE, &cpus->ports);
    machine->cpus = cpus;
}

void acpi_cpu_hotplug_destroy(struct acpi_cpu_hotplug *cpus)
{
    if (cpus->machine) {
        cpus->machine->cpus = NULL;
        memory_region_destroy(&cpus->ports);
    }
}

bool acpi_cpu_is_present(struct acpi_cpu_hotplug *cpus, unsigned index)
{
    return cpus->present[index / 8] >> index % 8 & 1;
}

void acpi_cpu_set_present(struct acpi_cpu_hotplug *cpus, unsigned index, bool present)
{
    uint8_t bit = (uint8_t)(1u << index % 8);
    bool entered = access_guard_enter(cpus->guard);

    cpus->present[index / 8] =
        (uint8_t)(present ? cpus->present[index / 8] | bit : cpus->present[index / 8] & ~bit);
    acpi_pm_raise_gpe(cpus->pm, ACPI_CPU_HOTPLUG_GPE);
    if (entered) {
        access_guard_leave(cpus->guard);
    }
}
