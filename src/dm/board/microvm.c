/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/board/microvm.h"
#include "dm/acpi/acpi-microvm.h"
#include "dm/board/x86.h"
#include "dm/boot/e820.h"
#include "dm/boot/kernel-loader.h"
#include "dm/chardev.h"
#include "dm/fdt/device-tree.h"
#include "dm/firmware/direct-boot.h"
#include "dm/firmware/fw-cfg.h"
#include "dm/virtio/virtio-mmio.h"
#include "dm/isa/reset-control.h"
#include "util/error.h"

#define RESET_PORT 0xcf9u

struct microvm_options {
    char *pic;
    bool pit, rtc, isa_serial, auto_kernel_cmdline;
};

struct microvm {
    struct machine *machine;
    struct memory_region ram_low, ram_high; /* aliases of machine->ram */
    struct memory_region msi_window;
    bool has_acpi, has_pic, has_rtc;
    bool auto_kernel_cmdline;
    unsigned serial_mask; /* bit n: port n is there */
    struct virtio_mmio_bus *virtio;
    struct direct_boot *boot; /* NULL: no kernel */
};

static bool create_memory(struct microvm *microvm, GError **error)
{
    struct machine *machine = microvm->machine;
    struct memory_region *system = &machine->system_memory;
    uint64_t low = MIN(machine->config.ram_size, MICROVM_RAM_BELOW_4G_MAX);
    uint64_t high = machine->config.ram_size - low;

    if (!machine_make_ram(machine, error)) {
        return false;
    }
    machine->ram_below_4g = low;
    machine->ram_above_4g = high;
    memory_topology_begin();
    memory_region_init_alias(&microvm->ram_low, "ram-below-4g", &machine->ram, 0, low);
    memory_region_add_subregion(system, 0, &microvm->ram_low);
    if (high) {
        memory_region_init_alias(&microvm->ram_high, "ram-above-4g", &machine->ram, low, high);
        memory_region_add_subregion(system, E820_FOUR_GIB, &microvm->ram_high);
    }
    x86_add_msi_window(machine, &microvm->msi_window);
    memory_topology_commit();
    return true;
}

static void microvm_destroy(void *opaque)
{
    struct microvm *microvm = opaque;

    direct_boot_free(microvm->boot);
    memory_topology_begin();
    memory_region_destroy(&microvm->msi_window);
    memory_region_destroy(&microvm->ram_high);
    memory_region_destroy(&microvm->ram_low);
    memory_region_destroy(&microvm->machine->ram);
    memory_topology_commit();
    g_free(microvm);
}

static bool create_serials(struct microvm *microvm, GError **error)
{
    const struct machine_config *config = &microvm->machine->config;

    for (unsigned i = 0; i < config->serial_count; i++) {
        g_autofree char *index = g_strdup_printf("%u", i);

        if (!config->serials[i]) {
            continue;
        }
        if (i >= MICROVM_SERIALS) {
            return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                              "machine 'microvm' has two serial ports: give -serial twice at most");
        }
        if (!device_create(microvm->machine, "isa-serial", microvm->machine->isa_bus, error,
                           "index", index, "chardev", chardev_id(config->serials[i]), NULL)) {
            return false;
        }
        microvm->serial_mask |= 1u << i;
    }
    return true;
}

static bool create_reset(struct machine *machine, GError **error)
{
    struct device *reset =
        device_create(machine, "reset-control", machine->system_bus, error, NULL);

    if (!reset) {
        return false;
    }
    memory_region_add_subregion(&machine->system_io, RESET_PORT, reset_control_region(reset));
    return true;
}

/* Its devices' lines lead to the interrupt controllers on the system bus. */
static void microvm_release(struct machine *machine)
{
    struct microvm *microvm = machine->board_private;

    if (microvm) {
        g_clear_pointer(&microvm->virtio, virtio_mmio_bus_free);
    }
}

/* What of the ISA bus's interrupts no other device of this board has. */
static const uint8_t isa_interrupts[MICROVM_VIRTIO_SLOTS] = {5, 6, 7, 9, 10, 11, 12, 14};

static unsigned virtio_gsi(const struct microvm *microvm, unsigned slot)
{
    return microvm->has_acpi ? MICROVM_VIRTIO_GSI + slot : isa_interrupts[slot];
}

static void create_virtio(struct microvm *microvm)
{
    struct machine *machine = microvm->machine;
    struct virtio_mmio_slot slots[MICROVM_VIRTIO_SLOTS];

    for (unsigned i = 0; i < MICROVM_VIRTIO_SLOTS; i++) {
        slots[i] = (struct virtio_mmio_slot){
            .address = MICROVM_VIRTIO_ADDRESS + i * MICROVM_VIRTIO_SIZE,
            .line = machine->gsi[virtio_gsi(microvm, i)],
        };
    }
    microvm->virtio =
        virtio_mmio_bus_new(machine, &machine->system_memory, slots, MICROVM_VIRTIO_SLOTS);
}

static bool create_devices(struct microvm *microvm, const struct microvm_options *options,
                           GError **error)
{
    struct machine *machine = microvm->machine;
    const char *base = machine->config.rtc_base ? machine->config.rtc_base : "utc";

    return x86_create_interrupts(machine, microvm->has_pic, error) &&
           (!options->pit || x86_create_replaceable(machine, "i8254", machine->isa_bus, error)) &&
           (!microvm->has_rtc ||
            device_create(machine, "mc146818rtc", machine->isa_bus, error, "base", base, NULL)) &&
           (!options->isa_serial || create_serials(microvm, error)) &&
           create_reset(machine, error) &&
           (!microvm->has_acpi ||
            device_create(machine, "acpi-ged", machine->system_bus, error, NULL)) &&
           device_create(machine, "fw_cfg", machine->system_bus, error, NULL) &&
           x86_fill_fw_cfg(machine, error);
}

/* Without ACPI the kernel looks for its interrupts where a PC/AT had them. */
static bool choose_pic(struct microvm *microvm, const char *value, GError **error)
{
    bool on = !microvm->has_acpi;

    if (!g_str_equal(value, "auto") && !parse_bool(value, &on, error)) {
        g_prefix_error(error, "pic: ");
        return false;
    }
    microvm->has_pic = on;
    return true;
}

static bool microvm_create(struct machine *machine, const void *opaque, GError **error)
{
    const struct microvm_options *options = opaque;
    struct microvm *microvm = g_new0(struct microvm, 1);

    microvm->machine = machine;
    microvm->has_acpi = !machine->config.no_acpi;
    microvm->has_rtc = options->rtc;
    microvm->auto_kernel_cmdline = options->auto_kernel_cmdline;
    if (!choose_pic(microvm, options->pic, error) || !create_memory(microvm, error)) {
        g_free(microvm);
        return false;
    }
    machine->board_private = microvm;
    machine_add_cleanup(machine, microvm_destroy, microvm);
    if (!create_devices(microvm, options, error)) {
        return false;
    }
    create_virtio(microvm);
    return true;
}

/* Bit n: a device is in slot n. */
static uint32_t used_slots(const struct microvm *microvm)
{
    uint32_t mask = 0;

    for (unsigned i = 0; i < MICROVM_VIRTIO_SLOTS; i++) {
        mask |= virtio_mmio_slot_is_used(microvm->virtio, i) ? 1u << i : 0;
    }
    return mask;
}

/*
 * What the user wrote; and without ACPI what nothing else tells the kernel: where devices are, and
 * that the machine is reset through the real-mode entry, not by a keyboard controller.
 */
static char *make_command_line(const struct microvm *microvm)
{
    const char *append = microvm->machine->config.append;
    GString *line = g_string_new(NULL);

    if (microvm->has_acpi || !microvm->auto_kernel_cmdline) {
        g_string_append(line, append ? append : "");
        return g_string_free(line, FALSE);
    }
    g_string_append_printf(line, "reboot=b%s%s", append ? " " : "", append ? append : "");
    for (unsigned i = 0; i < MICROVM_VIRTIO_SLOTS; i++) {
        if (virtio_mmio_slot_is_used(microvm->virtio, i)) {
            g_string_append_printf(line, " virtio_mmio.device=%u@0x%x:%u", MICROVM_VIRTIO_SIZE,
                                   MICROVM_VIRTIO_ADDRESS + i * MICROVM_VIRTIO_SIZE,
                                   virtio_gsi(microvm, i));
        }
    }
    return g_string_free(line, FALSE);
}

static struct acpi_tables *build_acpi(const struct microvm *microvm)
{
    const struct machine *machine = microvm->machine;
    g_autofree uint32_t *ids = g_new0(uint32_t, machine->config.smp);
    struct acpi_config config = {
        .cpu_count = machine->config.smp,
        .apic_ids = ids,
        .serial_mask = microvm->serial_mask,
        .no_pic = !microvm->has_pic,
    };

    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        ids[i] = machine->vcpus[i]->apic_id;
    }
    return acpi_microvm_build(&config, used_slots(microvm), microvm->has_rtc);
}

static bool microvm_complete(struct machine *machine, GError **error)
{
    struct microvm *microvm = machine->board_private;
    g_autofree char *command_line = make_command_line(microvm);
    struct direct_boot_config config = {.machine = machine, .append = command_line};
    struct acpi_tables *acpi = NULL;
    g_autoptr(GBytes) blob = NULL;
    struct device_tree *tree = device_tree_new(machine);

    blob = device_node_pack(tree->root);
    device_tree_free(tree);
    config.device_tree = blob;
    if (!fw_cfg_add_file(machine->fw_cfg, "etc/fdt", g_bytes_get_data(blob, NULL),
                         g_bytes_get_size(blob), error)) {
        return false;
    }
    if (!machine->config.kernel) {
        return !machine->engine->has_vcpus || machine->config.dtb_dump ||
               duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "machine 'microvm' has no firmware: name a kernel with -kernel");
    }
    if (microvm->has_acpi) {
        acpi = build_acpi(microvm);
    } else {
        for (unsigned i = 0; i < MICROVM_VIRTIO_SLOTS; i++) {
            config.level_interrupts |= (uint16_t)(1u << isa_interrupts[i]);
        }
    }
    config.acpi = acpi;
    microvm->boot = direct_boot_new(&config, error);
    acpi_tables_free(acpi);
    if (!microvm->boot) {
        return false;
    }
    machine_add_reset_handler(machine, direct_boot_reset, microvm->boot);
    return true;
}

#define OPTION(type_, name_, field_, default_, help_)                                              \
    {                                                                                              \
        name_, PROPERTY_##type_, offsetof(struct microvm_options, field_), default_, 0, 0, help_   \
    }

static const struct property microvm_properties[] = {
    OPTION(STRING, "pic", pic, "auto", "8259 interrupt controllers: on, off, auto (without ACPI)"),
    OPTION(BOOL, "pit", pit, "on", "8254 timer"),
    OPTION(BOOL, "rtc", rtc, "on", "real-time clock"),
    OPTION(BOOL, "isa-serial", isa_serial, "on",
           "serial ports, two at most, as -serial names them"),
    OPTION(BOOL, "auto-kernel-cmdline", auto_kernel_cmdline, "on",
           "without ACPI, tell of devices on the kernel's command line"),
    PROPERTY_END,
};

const struct board_class microvm_board = {
    .name = "microvm",
    .description = "virtio over MMIO, no PCI, no firmware: quick to start",
    .properties = microvm_properties,
    .options_size = sizeof(struct microvm_options),
    .create = microvm_create,
    .complete = microvm_complete,
    .release = microvm_release,
};
