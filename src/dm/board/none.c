/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Board "none": nothing but monitors. A toolstack (libxl) starts it to ask over QMP what duodm can
 * do, before there is a domain: so it asks nothing of an engine, whichever -accel names.
 */
#include "dm/board/none.h"
#include "dm/engine.h"

static const struct engine_ops no_engine = {
    .name = "none",
    .description = "no CPU: what the board 'none' has",
};

static void none_destroy(void *opaque)
{
    struct machine *machine = opaque;

    memory_region_destroy(&machine->ram);
}

/* The RAM is nobody's: pages that nobody touches cost nothing. */
static bool none_create(struct machine *machine, const void *options, GError **error)
{
    machine->ram_below_4g = machine->config.ram_size;
    if (!machine_make_ram(machine, error)) {
        return false;
    }
    machine_add_cleanup(machine, none_destroy, machine);
    return true;
}

const struct board_class none_board = {
    .name = "none",
    .description = "no machine, only monitors: to ask what duodm can do",
    .own_engine = &no_engine,
    .create = none_create,
};
