/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Board "xenfv": the pc of a Xen HVM domain, as its firmware (hvmloader) and its drivers look for
 * it. It differs from pc under xen in one device, by which a guest finds Xen and unplugs what is
 * emulated.
 */
#include "dm/board/pc.h"
#include "util/error.h"

static bool xenfv_create(struct machine *machine, const void *options, GError **error)
{
    if (!machine->engine->attaches && machine->engine->has_vcpus) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "machine 'xenfv' is a Xen domain's: give -accel xen, or another machine");
    }
    return pc_create(machine, options, error) &&
           device_create(machine, "xen-platform", machine->pci_bus, error, NULL);
}

const struct board_class xenfv_board = {
    .name = "xenfv",
    .description = "Xen HVM domain (pc with the Xen platform device)",
    .engine = "xen",
    .properties = pc_properties,
    .options_size = sizeof(struct pc_options),
    .ide_units = 2,
    .usb_address = "01.2",
    .create = xenfv_create,
    .complete = pc_complete,
};
