/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small machine for fuzz targets: RAM, a serial port, a debug console, no CPU. Made once. */
#ifndef DUODM_TESTS_FUZZ_FUZZ_MACHINE_H
#define DUODM_TESTS_FUZZ_FUZZ_MACHINE_H

#include "dm/machine.h"
#include "unit/engines-for-tests.h"

#include <event2/event.h>
#include <event2/thread.h>

/* Nothing but RAM. */
static struct machine *fuzz_machine_bare(void)
{
    struct machine_config config;
    struct machine *machine;

    evthread_use_pthreads();
    machine_config_init(&config);
    config.ram_size = MACHINE_RAM_MIN;
    machine = machine_new(&config, &qtest_engine, event_base_new(), NULL);
    g_assert(machine && machine_create_engine(machine, NULL, NULL));
    g_assert(memory_region_init_ram(&machine->ram, "ram", MACHINE_RAM_MIN, NULL));
    memory_region_add_subregion(&machine->system_memory, 0, &machine->ram);
    return machine;
}

static inline struct machine *fuzz_machine(void)
{
    static struct machine *machine;

    if (machine) {
        return machine;
    }
    machine = fuzz_machine_bare();
    g_assert(device_create(machine, "isa-serial", NULL, NULL, NULL));
    g_assert(device_create(machine, "isa-debugcon", NULL, NULL, NULL));
    return machine;
}

#endif
