/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Board "q35": a PC with PCI Express. */
#include "dm/acpi/acpi-tables.h"
#include "dm/board/pc.h"
#include "dm/firmware/firmware-state.h"
#include "dm/pci/pci-ecam.h"
#include "dm/pci/q35.h"
#include "util/error.h"

/* Where SeaBIOS has config space, and PCI's window above it. */
#define ECAM_ADDRESS 0xb0000000u

static bool create_functions(struct pc *pc, GError **error)
{
    pc->isa_bridge = pc_create_function(pc, "ICH9-LPC", "1f.0", true, error);
    if (!pc->isa_bridge) {
        return false;
    }
    pc->power_management = pc->isa_bridge;
    pc->ide = pc_create_function(pc, "ahci", "1f.2", false, error);
    return pc->ide && pc_create_function(pc, "ICH9-SMB", "1f.3", false, error);
}

static bool create_chipset(struct pc *pc, GError **error)
{
    struct machine *machine = pc->machine;
    struct memory_region *reset;

    pc->pci_bus = pci_express_bus_new(machine, &pc->pci_memory, &machine->system_io);
    pci_bus_set_line_map(pc->pci_bus, pci_line_map_ich9);
    reset = pc_create_reset_port(pc, error);
    if (!reset) {
        return false;
    }
    pc->host_bridge = pc_create_function(pc, "mch", "0", false, error);
    if (!pc->host_bridge) {
        return false;
    }
    mch_set_reset_port(pc->host_bridge, reset);
    return create_functions(pc, error);
}

static void enable_chipset(void *opaque)
{
    struct pc *pc = opaque;

    mch_enable_ecam(pc->host_bridge, ECAM_ADDRESS);
    ich9_lpc_enable(pc->isa_bridge, PC_PM_BASE, firmware_pirq_routes);
}

static const struct pc_chipset q35_chipset = {
    .product = "PC (Q35 + ICH9)",
    .ram_below_4g = ECAM_ADDRESS,
    .ecam = {ECAM_ADDRESS, PCI_ECAM_SIZE},
    .window_start = ECAM_ADDRESS + PCI_ECAM_SIZE,
    .pam = MCH_PAM0,
    .line_map = pci_line_map_ich9,
    .acpi = &acpi_chipset_q35,
    .create = create_chipset,
    .enable = enable_chipset,
};

static bool q35_create(struct machine *machine, const void *options, GError **error)
{
    if (machine->engine->attaches) {
        return duodm_fail(
            error, DUODM_ERROR_NOT_SUPPORTED,
            "machine 'q35' is not what a Xen domain's firmware looks for: use -machine "
            "xenfv");
    }
    return pc_create_with(machine, options, &q35_chipset, error);
}

const struct board_class q35_board = {
    .name = "q35",
    .alias = "pc-q35",
    .description = "PC with PCI Express (Q35, ICH9)",
    .properties = pc_properties,
    .options_size = sizeof(struct pc_options),
    .ide_units = 1,
    .usb_address = "1d.0",
    .create = q35_create,
    .complete = pc_complete,
    .describe = pc_describe,
};
