/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What firmware and kernels are told of the machine, and how they get into it. */
#include "dm/acpi/acpi-tables.h"
#include "dm/acpi/smbios.h"
#include "dm/board/pc.h"
#include "dm/board/x86.h"
#include "dm/boot/firmware-image.h"
#include "dm/boot/kernel-loader.h"
#include "dm/firmware/kernel-rom.h"
#include "dm/firmware/bios-stub.h"
#include "dm/firmware/firmware-state.h"
#include "dm/firmware/fw-cfg.h"
#include "dm/iommu/intel-iommu.h"
#include "dm/iommu/virtio-iommu-pci.h"
#include "dm/timer/mc146818.h"
#include "util/error.h"
#include "util/little-endian.h"

#define KIB 1024u
#define MIB (1u << 20)
/* Of a ROM, what is also seen at the end of the first MiB. */
#define ROM_LOW_MAX (128 * KIB)

/* CMOS bytes of memory size and equipment, as the PC/AT and its BIOSes use them. */

static void set_cmos_16(struct pc *pc, unsigned low, unsigned high, uint64_t value)
{
    value = MIN(value, 0xffff);
    mc146818_set_cmos(pc->rtc, low, (uint8_t)value);
    mc146818_set_cmos(pc->rtc, high, (uint8_t)(value >> 8));
}

/* -boot order letters to the codes in CMOS 38h and 3dh; 0: no device. */
static unsigned boot_code(const char *order, unsigned place)
{
    static const char letters[] = "?acdn"; /* 1: diskette, 2: disk, 3: CD, 4: network */
    const char *at = strlen(order) > place ? strchr(letters, order[place]) : NULL;

    return at && *at ? (unsigned)(at - letters) : 0;
}

static void set_boot_order(struct pc *pc, const char *order)
{
    order = order ? order : "cdn";
    mc146818_set_cmos(pc->rtc, 0x38, (uint8_t)(boot_code(order, 2) << 4 | 1));
    mc146818_set_cmos(pc->rtc, 0x3d, (uint8_t)(boot_code(order, 0) | boot_code(order, 1) << 4));
}

/* -boot once= is over with the first reset after that of the start. */
static void forget_boot_once(void *opaque)
{
    struct pc *pc = opaque;

    if (!pc->machine->wakes && pc->resets++ == 1) {
        set_boot_order(pc, pc->machine->config.boot_order);
    }
}

/* By the shutdown code, SeaBIOS tells a processor that is reset from a machine that wakes up. */
static void tell_that_it_wakes(void *opaque)
{
    const struct pc *pc = opaque;

    if (pc->machine->wakes) {
        mc146818_set_cmos(pc->rtc, 0x0f, 0xfe);
    }
}

void pc_fill_cmos(struct pc *pc)
{
    struct machine *machine = pc->machine;
    const struct machine_config *config = &machine->config;
    uint64_t low = machine->ram_below_4g, high = machine->ram_above_4g >> 16;

    set_cmos_16(pc, 0x15, 0x16, 640);
    set_cmos_16(pc, 0x17, 0x18, (low - MIB) / KIB);
    set_cmos_16(pc, 0x30, 0x31, (low - MIB) / KIB);
    set_cmos_16(pc, 0x34, 0x35, low > 16 * MIB ? (low - 16 * MIB) >> 16 : 0);
    for (unsigned i = 0; i < 3; i++) {
        mc146818_set_cmos(pc->rtc, 0x5b + i, (uint8_t)(high >> (8 * i)));
    }
    mc146818_set_cmos(pc->rtc, 0x14, PC_EQUIPMENT);
    set_boot_order(pc, config->boot_once ? config->boot_once : config->boot_order);
    if (config->boot_once) {
        machine_add_reset_handler(machine, forget_boot_once, pc);
    }
    machine_add_reset_handler(machine, tell_that_it_wakes, pc);
    mc146818_set_cmos(pc->rtc, 0x5f, (uint8_t)(machine->config.smp - 1));
}

/* Tables. */

static struct acpi_tables *build_acpi(struct pc *pc)
{
    struct machine *machine = pc->machine;
    struct acpi_dmar dmar;
    struct acpi_viot viot;
    g_autofree uint32_t *ids = g_new0(uint32_t, machine->config.smp);
    struct acpi_config config = {
        .cpu_count = machine->config.smp,
        .apic_ids = ids,
        .window_32 = pc->pci_window_32,
        .window_64 = pc->pci_window_64,
        .has_hpet = !machine->config.no_hpet,
        .serial_mask = pc->serial_mask,
        .pm_base = PC_PM_BASE,
        .level_interrupts = 1 << 5 | 1 << 9 | 1 << 10 | 1 << 11, /* PCI's, the SCI among them */
        .chipset = pc->chipset->acpi,
        .ecam = pc->chipset->ecam,
    };

    if (intel_iommu_get_dmar(machine, &dmar)) {
        config.dmar = &dmar;
    }
    if (virtio_iommu_get_viot(machine, &viot)) {
        config.viot = &viot;
    }
    /* Firmware may put BARs anywhere above RAM, and config space where that is in memory. */
    if (!config.ecam.length) {
        config.window_32.start = machine->ram_below_4g;
    }
    config.window_32.length = PC_PCI_WINDOW_END - config.window_32.start;
    for (unsigned i = 0; i < machine->config.smp; i++) {
        ids[i] = i < machine->vcpu_count ? machine->vcpus[i]->apic_id : i;
    }
    return acpi_tables_build(&config);
}

static GByteArray *build_smbios(struct pc *pc, unsigned *count, unsigned *largest)
{
    const struct machine *machine = pc->machine;
    uint8_t uuid[16];
    struct smbios_config config = {
        .sockets = MAX(machine->config.sockets, 1),
        .cores = MAX(machine->config.cores, 1),
        .threads = MAX(machine->config.threads, 1),
        .ram_below_4g = machine->ram_below_4g,
        .ram_above_4g = machine->ram_above_4g,
        .product = pc->chipset->product,
    };

    if (machine->config.uuid_text && smbios_parse_uuid(machine->config.uuid_text, uuid)) {
        config.uuid = uuid;
    }
    return smbios_build(&config, count, largest);
}

/* For a BIOS, which puts the tables where it likes. */
static bool offer_tables(struct pc *pc, const struct acpi_tables *acpi, const GByteArray *smbios,
                         unsigned count, unsigned largest, GError **error)
{
    struct fw_cfg *fw_cfg = pc->machine->fw_cfg;
    g_autoptr(GByteArray) loader = acpi_tables_pack_loader(acpi);
    uint8_t anchor[SMBIOS_ANCHOR_SIZE];

    smbios_make_anchor(anchor, smbios, count, largest, 0);
    if (!fw_cfg_add_file(fw_cfg, SMBIOS_FILE_TABLES, smbios->data, smbios->len, error) ||
        !fw_cfg_add_file(fw_cfg, SMBIOS_FILE_ANCHOR, anchor, sizeof(anchor), error)) {
        return false;
    }
    return pc->machine->config.no_acpi ||
           (fw_cfg_add_file(fw_cfg, ACPI_FILE_RSDP, acpi->rsdp, ACPI_RSDP_SIZE, error) &&
            fw_cfg_add_file(fw_cfg, ACPI_FILE_TABLES, acpi->tables->data, acpi->tables->len,
                            error) &&
            fw_cfg_add_file(fw_cfg, ACPI_FILE_LOADER, loader->data, loader->len, error));
}

/* ROM and kernel. */

static bool map_rom(struct pc *pc, const uint8_t *data, uint64_t size, GError **error)
{
    uint64_t low = MIN(size, ROM_LOW_MAX);

    if (!memory_region_init_rom(&pc->rom, "bios", size, error)) {
        return false;
    }
    memcpy(memory_region_host_pointer(&pc->rom), data, size);
    memory_region_init_alias(&pc->rom_low, "bios-below-1m", &pc->rom, size - low, low);
    memory_topology_begin();
    memory_region_add_subregion(&pc->pci_memory, E820_FOUR_GIB - size, &pc->rom);
    memory_region_add_subregion(&pc->pci_memory, E820_HIGH_START - low, &pc->rom_low);
    memory_topology_commit();
    pc->has_rom = true;
    return true;
}

static bool load_bios(struct pc *pc, GError **error)
{
    const char *name = pc->machine->config.bios;
    g_autoptr(GError) local = NULL;
    g_autoptr(GBytes) image = firmware_image_read(name, &local);
    const uint8_t *data;
    gsize size;

    if (!image && !name && !pc->machine->engine->has_vcpus) {
        return true; /* a device test needs none */
    }
    if (!image) {
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
    }
    data = g_bytes_get_data(image, &size);
    return map_rom(pc, data, size, error);
}

static bool load_kernel(struct pc *pc, struct acpi_tables *acpi, const GByteArray *smbios,
                        unsigned count, unsigned largest, GError **error)
{
    struct machine *machine = pc->machine;
    struct firmware_config config = {
        .machine = machine,
        .pci_bus = pc->pci_bus,
        .host_bridge = pc->host_bridge,
        .pam = pc->chipset->pam,
        .line_map = pc->chipset->line_map,
        .enable_chipset = pc->chipset->enable,
        .opaque = pc,
        .pci_window_32 = pc->pci_window_32,
        .pci_window_64 = pc->pci_window_64,
        .pci_window_io = {PC_IO_WINDOW_START, PC_IO_WINDOW_SIZE},
        .serial_mask = pc->serial_mask,
        .equipment = PC_EQUIPMENT,
    };
    struct boot_environment environment = {
        .ram_below_4g = machine->ram_below_4g,
        .ram_above_4g = machine->ram_above_4g,
        .kernel_path = machine->config.kernel,
        .initrd = machine->config.initrd,
        .append = machine->config.append,
    };
    struct boot_plan *plan;

    pc->firmware_state = firmware_state_new(&config, machine->config.no_acpi ? NULL : acpi, smbios,
                                            count, largest, error);
    if (!pc->firmware_state) {
        return false;
    }
    e820_map_for_kernel(&environment.map, machine->ram_below_4g, machine->ram_above_4g);
    if (pc->chipset->ecam.length) {
        e820_map_reserve(&environment.map, pc->chipset->ecam.start, pc->chipset->ecam.length);
    }
    environment.rsdp = firmware_state_rsdp(pc->firmware_state);
    plan = kernel_load(&environment, error);
    if (!plan) {
        return false;
    }
    firmware_state_set_plan(pc->firmware_state, plan);
    machine_add_reset_handler(machine, firmware_state_reset, pc->firmware_state);
    return map_rom(pc, firmware_state_segment(pc->firmware_state), BIOS_STUB_SIZE, error);
}

bool pc_load_firmware(struct pc *pc, GError **error)
{
    const struct machine_config *config = &pc->machine->config;
    unsigned count, largest;
    g_autoptr(GByteArray) smbios = build_smbios(pc, &count, &largest);
    struct acpi_tables *acpi = build_acpi(pc);
    bool ok;

    if (!config->kernel && config->initrd) {
        ok = duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "-initrd needs -kernel");
    } else if (!config->kernel && config->append) {
        ok = duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "-append needs -kernel");
    } else {
        ok = offer_tables(pc, acpi, smbios, count, largest, error) &&
             (config->kernel && !config->bios
                  ? load_kernel(pc, acpi, smbios, count, largest, error)
                  : (!config->kernel || kernel_rom_create(pc->machine, error)) &&
                        load_bios(pc, error));
    }
    acpi_tables_free(acpi);
    return ok;
}
