/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Board "pc": the chipset with PIIX3 and PIIX4. */
#include "dm/acpi/acpi-tables.h"
#include "dm/board/pc.h"
#include "dm/firmware/firmware-state.h"
#include "dm/pci/chipset.h"

static bool create_chipset(struct pc *pc, GError **error)
{
    struct machine *machine = pc->machine;
    struct memory_region *reset;

    pc->pci_bus = pci_bus_new(machine, &pc->pci_memory, &machine->system_io);
    if (machine->engine->set_pci_pin) {
        pci_bus_set_pin_handler(pc->pci_bus, machine->engine->set_pci_pin, machine);
    }
    reset = pc_create_reset_port(pc, error);
    if (!reset) {
        return false;
    }
    pc->host_bridge = pc_create_function(pc, "i440FX-pcihost", "0", false, error);
    if (!pc->host_bridge) {
        return false;
    }
    i440fx_set_reset_port(pc->host_bridge, reset);
    pc->isa_bridge = pc_create_function(pc, "PIIX3", "1.0", true, error);
    if (!pc->isa_bridge) {
        return false;
    }
    pc->ide = pc_create_function(pc, "piix3-ide", "1.1", false, error);
    if (!pc->ide) {
        return false;
    }
    pc->power_management = pc_create_function(pc, "PIIX4_PM", "1.3", false, error);
    return pc->power_management != NULL;
}

static void enable_chipset(void *opaque)
{
    struct pc *pc = opaque;

    piix3_ide_enable(pc->ide);
    piix4_pm_enable(pc->power_management, PC_PM_BASE);
    piix3_route(pc->isa_bridge, firmware_pirq_routes);
}

static const struct pc_chipset piix_chipset = {
    .product = "PC (i440FX + PIIX)",
    .ram_below_4g = 0xe0000000,          /* as far as our own PCI window allows */
    .ram_below_4g_attached = 0xf0000000, /* where Xen's builder ends it */
    .window_start = 0xe0000000,
    .pam = I440FX_PAM0,
    .line_map = pci_line_map_piix,
    .acpi = &acpi_chipset_piix,
    .create = create_chipset,
    .enable = enable_chipset,
};

bool pc_create(struct machine *machine, const void *options, GError **error)
{
    return pc_create_with(machine, options, &piix_chipset, error);
}

const struct board_class pc_board = {
    .name = "pc",
    .alias = "pc-i440fx",
    .description = "PC (i440FX, PIIX3, PIIX4)",
    .is_default = true,
    .properties = pc_properties,
    .options_size = sizeof(struct pc_options),
    .ide_units = 2,
    .usb_address = "01.2",
    .create = pc_create,
    .complete = pc_complete,
    .describe = pc_describe,
};
