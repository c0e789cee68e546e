/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPUs that come and go by ACPI, where it is not duodm that runs them: a bitmap in I/O space of the
 * CPUs that ought to be there, as the DSDT of Xen's hvmloader reads it (tools/libacpi/mk_dsdt.c),
 * and general-purpose event 2 when it has changed. The hypervisor has all of them from the start.
 */
#ifndef DUODM_DM_ACPI_ACPI_CPU_HOTPLUG_H
#define DUODM_DM_ACPI_ACPI_CPU_HOTPLUG_H

#include "dm/acpi/acpi-pm.h"
#include "memory/region.h"

#define ACPI_CPU_HOTPLUG_BASE 0xaf00u
#define ACPI_CPU_HOTPLUG_SIZE 0x20u /* bytes: a bit for each of 256 CPUs */
#define ACPI_CPU_HOTPLUG_GPE  2u

/* Embedded in the chipset's function that has the events; its guard protects it. */
struct acpi_cpu_hotplug {
    struct machine *machine;
    struct acpi_pm *pm;
    struct access_guard *guard;
    struct memory_region ports;
    uint8_t present[ACPI_CPU_HOTPLUG_SIZE];
};

/* Map the registers, with the first config.smp CPUs present, and be the machine's (machine->cpus).
 */
void acpi_cpu_hotplug_init(struct acpi_cpu_hotplug *cpus, struct machine *machine,
                           struct acpi_pm *pm, struct access_guard *guard);
void acpi_cpu_hotplug_destroy(struct acpi_cpu_hotplug *cpus);

/* No guard held. */
bool acpi_cpu_is_present(struct acpi_cpu_hotplug *cpus, unsigned index);
void acpi_cpu_set_present(struct acpi_cpu_hotplug *cpus, unsigned index, bool present);

#endif
