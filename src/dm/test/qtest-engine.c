/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engine without CPUs: nothing happens but what the test port does. */
#include "dm/machine.h"
#include "dm/test/qtest.h"

static bool qtest_create(struct machine *machine, const void *options, GError **error)
{
    machine_clock_set_manual(machine->clock);
    return true;
}

const struct engine_ops qtest_engine = {
    .name = "qtest",
    .description = "no CPU: a test drives the devices over -qtest, and moves the clock",
    .has_vcpus = false,
    .create = qtest_create,
};
