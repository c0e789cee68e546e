/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel is loaded as where there is no BIOS: by a plan, which is written into guest memory as a
 * whole. What is different is who starts it. The BIOS finds an option ROM in fw_cfg and calls it;
 * the ROM takes the boot interrupt, and then asks the device here, by its port, for the plan to be
 * written, and enters the kernel (kernel-rom-code.S).
 */
#include "dm/firmware/kernel-rom.h"
#include "dm/boot/e820.h"
#include "dm/boot/kernel-loader.h"
#include "dm/firmware/fw-cfg.h"
#include "util/log.h"

#include <assert.h>
#include <string.h>

#define ROM_FILE "genroms/duodm-kernel.bin"
#define PORT     0x51c
#define EFER_LMA 0x400

/* As in kernel-rom-code.S. */
struct __attribute__((packed)) kernel_rom_parameters {
    uint32_t cr0, cr3, cr4, efer;
    uint64_t entry, rax, rdx, rbx, rsp, rbp, rsi, rdi;
};
extern const uint8_t kernel_rom_start[], kernel_rom_parameters[], kernel_rom_end[];

struct kernel_rom {
    struct device device;
    struct memory_region port;
    struct boot_plan *plan;
    uint32_t failed; /* the last writing of the plan: not 0 */
};

static enum memory_result port_read(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t *value)
{
    *value = ((struct kernel_rom *)opaque)->failed;
    return MEMORY_OK;
}

static enum memory_result port_write(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t value)
{
    struct kernel_rom *rom = opaque;
    g_autoptr(GError) error = NULL;

    rom->failed = !boot_plan_write(rom->plan, &rom->device.machine->as_memory, &error);
    if (rom->failed) {
        log_warning("-kernel: %s", error->message);
    }
    return MEMORY_OK;
}

static const struct memory_region_ops port_ops = {
    .read = port_read,
    .write = port_write,
    .valid = {.min_size = 4, .max_size = 4},
    .implemented = {.min_size = 4, .max_size = 4},
};

/* A copy of the ROM with the state in which the plan's processor starts. */
static GByteArray *make_image(const struct boot_plan *plan)
{
    const struct x86_state *cpu = &plan->cpu;
    struct kernel_rom_parameters parameters = {
        .cr0 = (uint32_t)cpu->cr0,
        .cr3 = (uint32_t)cpu->cr3,
        .cr4 = (uint32_t)cpu->cr4,
        .efer = (uint32_t)cpu->efer & ~EFER_LMA,
        .entry = cpu->rip,
        .rax = cpu->gpr[X86_RAX],
        .rdx = cpu->gpr[X86_RDX],
        .rbx = cpu->gpr[X86_RBX],
        .rsp = cpu->gpr[X86_RSP],
        .rbp = cpu->gpr[X86_RBP],
        .rsi = cpu->gpr[X86_RSI],
        .rdi = cpu->gpr[X86_RDI],
    };
    size_t size = (size_t)(kernel_rom_end - kernel_rom_start);
    GByteArray *image = g_byte_array_sized_new((guint)size);
    uint8_t sum = 0;

    g_byte_array_append(image, kernel_rom_start, (guint)size);
    memcpy(image->data + (kernel_rom_parameters - kernel_rom_start), &parameters,
           sizeof(parameters));
    for (size_t i = 0; i < size; i++) {
        sum = (uint8_t)(sum + image->data[i]);
    }
    assert(image->data[size - 1] == 0);
    image->data[size - 1] = (uint8_t)-sum;
    return image;
}

/* The BIOS has its own map of memory, but the loaders want to know it before that runs: what
 * firmware may have taken at the end of RAM is left out. */
static struct boot_plan *make_plan(const struct machine *machine, GError **error)
{
    const uint64_t firmware_room = 1u << 20;
    struct boot_environment environment = {
        .ram_below_4g = machine->ram_below_4g - firmware_room,
        .ram_above_4g = machine->ram_above_4g,
        .kernel_path = machine->config.kernel,
        .initrd = machine->config.initrd,
        .append = machine->config.append,
    };

    e820_map_for_bios_kernel(&environment.map, environment.ram_below_4g, machine->ram_above_4g);
    return kernel_load(&environment, error);
}

static bool kernel_rom_realize(struct device *device, GError **error)
{
    struct kernel_rom *rom = (struct kernel_rom *)device;
    struct machine *machine = device->machine;
    g_autoptr(GByteArray) image = NULL;

    rom->plan = make_plan(machine, error);
    if (!rom->plan) {
        return false;
    }
    image = make_image(rom->plan);
    if (!fw_cfg_add_file(machine->fw_cfg, ROM_FILE, image->data, image->len, error)) {
        boot_plan_free(rom->plan);
        return false;
    }
    memory_region_init_mmio(&rom->port, "kernel-rom", 4, &port_ops, rom, &device->guard);
    memory_region_add_subregion(&machine->system_io, PORT, &rom->port);
    return true;
}

static void kernel_rom_unrealize(struct device *device)
{
    struct kernel_rom *rom = (struct kernel_rom *)device;

    memory_region_destroy(&rom->port);
    boot_plan_free(rom->plan);
}

const struct device_class kernel_rom_class = {
    .name = "kernel-rom",
    .description = "starts -kernel under a BIOS",
    .bus_type = BUS_ISA,
    .instance_size = sizeof(struct kernel_rom),
    .realize = kernel_rom_realize,
    .unrealize = kernel_rom_unrealize,
};

bool kernel_rom_create(struct machine *machine, GError **error)
{
    return device_create(machine, "kernel-rom", machine->isa_bus, error, NULL) != NULL;
}
