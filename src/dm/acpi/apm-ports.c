/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/acpi/apm-ports.h"
#include "dm/pci/chipset.h"

static enum memory_result apm_read(void *opaque, uint64_t offset, unsigned size,
                                   struct memory_attributes attributes, uint64_t *value)
{
    const struct apm_ports *apm = opaque;

    *value = offset == 0 ? apm->control : apm->status;
    return MEMORY_OK;
}

static enum memory_result apm_write(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t value)
{
    struct apm_ports *apm = opaque;

    if (offset == 1) {
        apm->status = (uint8_t)value;
        return MEMORY_OK;
    }
    apm->control = (uint8_t)value;
    if (value == CHIPSET_ACPI_ENABLE || value == CHIPSET_ACPI_DISABLE) {
        acpi_pm_set_sci_enable(apm->pm, value == CHIPSET_ACPI_ENABLE);
    }
    return MEMORY_OK;
}

static const struct memory_region_ops apm_ops = {
    .read = apm_read,
    .write = apm_write,
    .valid = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 1},
};

void apm_ports_init(struct apm_ports *apm, struct acpi_pm *pm, struct memory_region *io,
                    struct access_guard *guard)
{
    apm->pm = pm;
    memory_region_init_mmio(&apm->ports, "apm-control", 2, &apm_ops, apm, guard);
    memory_region_add_subregion(io, CHIPSET_SMI_COMMAND_PORT, &apm->ports);
}

void apm_ports_destroy(struct apm_ports *apm)
{
    memory_region_destroy(&apm->ports);
}

void apm_ports_reset(struct apm_ports *apm)
{
    apm->control = apm->status = 0;
}
