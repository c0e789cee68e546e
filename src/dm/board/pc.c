/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/board/pc.h"
#include "dm/board/x86.h"
#include "dm/firmware/kernel-rom.h"
#include "dm/chardev.h"
#include "dm/fdt/device-tree.h"
#include "dm/firmware/boot-order.h"
#include "dm/firmware/firmware-state.h"
#include "dm/firmware/fw-cfg.h"
#include "dm/isa/reset-control.h"
#include "dm/timer/hpet.h"
#include "dm/timer/i8254.h"
#include "dm/timer/mc146818.h"
#include "util/error.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

/* Memory. */

/* The most RAM below 4 GiB: what was asked for, or what is usual under the engine. */
static bool choose_limit(const struct pc *pc, const struct pc_options *options, uint64_t *limit,
                         GError **error)
{
    uint64_t most = pc->machine->engine->attaches ? pc->chipset->ram_below_4g_attached
                                                  : pc->chipset->ram_below_4g;

    *limit = options->max_ram_below_4g ? options->max_ram_below_4g : most;
    return (*limit >= MIB && *limit <= most) ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "max-ram-below-4g: 1M to %lluM is possible", most / MIB);
}

static bool create_memory(struct pc *pc, const struct pc_options *options, GError **error)
{
    struct machine *machine = pc->machine;
    struct memory_region *system = &machine->system_memory;
    uint64_t limit, low, high, window_64;

    if (!choose_limit(pc, options, &limit, error)) {
        return false;
    }
    low = MIN(machine->config.ram_size, limit);
    high = machine->config.ram_size - low;
    window_64 = (E820_FOUR_GIB + high + GIB - 1) & ~(GIB - 1);
    machine->ram_below_4g = low;
    machine->ram_above_4g = high;
    if (!machine_make_ram(machine, error)) {
        return false;
    }
    pc->pci_window_32 =
        (struct range){pc->chipset->window_start, PC_PCI_WINDOW_END - pc->chipset->window_start};
    pc->pci_window_64 = (struct range){window_64, 32 * GIB};

    memory_topology_begin();
    memory_region_init_container(&pc->pci_memory, "pci", MACHINE_MEMORY_SIZE);
    memory_region_add_subregion_overlap(system, 0, &pc->pci_memory, -1);
    memory_region_init_alias(&pc->ram_low, "ram-below-4g", &machine->ram, 0, low);
    memory_region_add_subregion(system, 0, &pc->ram_low);
    if (high) {
        memory_region_init_alias(&pc->ram_high, "ram-above-4g", &machine->ram,
                                 machine->ram_above_4g_offset, high);
        memory_region_add_subregion(system, E820_FOUR_GIB, &pc->ram_high);
    }
    x86_add_msi_window(machine, &pc->msi_window);
    memory_topology_commit();
    return true;
}

static void destroy_memory(struct pc *pc)
{
    memory_topology_begin();
    if (pc->has_rom) {
        memory_region_destroy(&pc->rom_low);
        memory_region_destroy(&pc->rom);
    }
    memory_region_destroy(&pc->msi_window);
    if (pc->machine->ram_above_4g) {
        memory_region_destroy(&pc->ram_high);
    }
    memory_region_destroy(&pc->ram_low);
    memory_region_destroy(&pc->pci_memory);
    memory_region_destroy(&pc->machine->ram);
    memory_topology_commit();
}

static void pc_destroy(void *opaque)
{
    struct pc *pc = opaque;

    firmware_state_free(pc->firmware_state);
    destroy_memory(pc);
    g_free(pc);
}

/* Chipset. */

struct pci_device *pc_create_function(struct pc *pc, const char *class_name, const char *address,
                                      bool multifunction, GError **error)
{
    return (struct pci_device *)device_create(pc->machine, class_name, pci_bus_base(pc->pci_bus),
                                              error, "addr", address, "multifunction",
                                              multifunction ? "on" : "off", NULL);
}

struct memory_region *pc_create_reset_port(struct pc *pc, GError **error)
{
    struct device *reset =
        device_create(pc->machine, "reset-control", pc->machine->system_bus, error, NULL);

    return reset ? reset_control_region(reset) : NULL;
}

/* ISA. */

/* Where an engine attaches, the clock in it is not reached (Xen has one), only its memory is. */
static bool create_rtc(struct pc *pc, GError **error)
{
    const char *base = pc->machine->config.rtc_base;

    pc->rtc = device_create(pc->machine, "mc146818rtc", pc->machine->isa_bus, error, "base",
                            base ? base : "utc", NULL);
    if (!pc->rtc) {
        return false;
    }
    pc_fill_cmos(pc);
    return true;
}

static bool create_timers(struct pc *pc, GError **error)
{
    struct machine *machine = pc->machine;
    irq_handler_fn set_disconnected = i8254_set_disconnected;
    struct device *pit, *hpet;

    pit = x86_create_replaceable(machine, "i8254", machine->isa_bus, error);
    if (!pit) {
        return false;
    }
    if (pit->class != &i8254_class) {
        set_disconnected = machine->engine->set_pit_disconnected;
    }
    if (machine->config.no_hpet) {
        return true;
    }
    hpet = device_create(machine, "hpet", machine->system_bus, error, NULL);
    if (!hpet) {
        return false;
    }
    hpet_set_legacy_output(hpet, 0, (struct irq_line){set_disconnected, pit, 0});
    hpet_set_legacy_output(hpet, 1, (struct irq_line){mc146818_set_disconnected, pc->rtc, 0});
    return true;
}

static bool create_serials(struct pc *pc, GError **error)
{
    struct machine *machine = pc->machine;

    for (unsigned i = 0; i < machine->config.serial_count; i++) {
        g_autofree char *index = g_strdup_printf("%u", i);
        struct chardev *chardev = machine->config.serials[i];

        if (chardev && !device_create(machine, "isa-serial", machine->isa_bus, error, "index",
                                      index, "chardev", chardev_id(chardev), NULL)) {
            return false;
        }
        pc->serial_mask |= chardev ? 1u << i : 0;
    }
    return true;
}

static bool create_isa(struct pc *pc, GError **error)
{
    static const char *const classes[] = {"port80", "port92", "i8042"};

    for (unsigned i = 0; i < G_N_ELEMENTS(classes); i++) {
        if (!device_create(pc->machine, classes[i], pc->machine->isa_bus, error, NULL)) {
            return false;
        }
    }
    return create_rtc(pc, error) && create_serials(pc, error);
}

/* Firmware comes with the guest, too; fw_cfg is for what it can't know: -kernel. */
static bool create_kernel(struct pc *pc, GError **error)
{
    struct machine *machine = pc->machine;

    return !machine->config.kernel ||
           (device_create(machine, "fw_cfg", machine->system_bus, error, NULL) &&
            kernel_rom_create(machine, error));
}

/* What comes with the guest where an engine attaches to it. */
static bool create_own_parts(struct pc *pc, GError **error)
{
    return create_timers(pc, error) &&
           device_create(pc->machine, "fw_cfg", pc->machine->system_bus, error, NULL) &&
           x86_fill_fw_cfg(pc->machine, error);
}

/* What fails is left to machine_free, which runs the cleanup. */
bool pc_create_with(struct machine *machine, const void *options, const struct pc_chipset *chipset,
                    GError **error)
{
    struct pc *pc = g_new0(struct pc, 1);

    pc->machine = machine;
    pc->chipset = chipset;
    if (!create_memory(pc, options, error)) {
        g_free(pc);
        return false;
    }
    machine->board_private = pc;
    machine_add_cleanup(machine, pc_destroy, pc);
    return x86_create_interrupts(machine, true, error) && chipset->create(pc, error) &&
           create_isa(pc, error) &&
           (machine->engine->attaches ? create_kernel(pc, error) : create_own_parts(pc, error));
}

/* All devices are there: what tells the guest of them. Where an engine attaches, others did. */
bool pc_complete(struct machine *machine, GError **error)
{
    if (machine->engine->attaches) {
        return true;
    }
    /* Firmware talks over the serial line where there is no screen. */
    fw_cfg_set_u16(machine->fw_cfg, FW_CFG_NO_GRAPHIC, !machine->display);
    return boot_order_publish(machine, error) && pc_load_firmware(machine->board_private, error);
}

void pc_describe(struct machine *machine, struct device_tree *tree)
{
    const struct pc *pc = machine->board_private;

    tree->pci_io = (struct range){PC_IO_WINDOW_START, PC_IO_WINDOW_SIZE};
    tree->pci_window_32 = pc->pci_window_32;
    tree->pci_window_64 = pc->pci_window_64;
    memcpy(tree->pci_routes, firmware_pirq_routes, sizeof(tree->pci_routes));
}

const struct property pc_properties[] = {
    {"max-ram-below-4g", PROPERTY_SIZE, offsetof(struct pc_options, max_ram_below_4g), NULL, 0,
     PC_RAM_BELOW_4G_MAX,
     "bytes of RAM below 4 GiB, the rest is above (0: all that there can be: 3584M, q35 2816M, xen "
     "3840M)"},
    PROPERTY_END,
};
