/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/firmware/direct-boot.h"
#include "dm/boot/kernel-loader.h"
#include "dm/firmware/firmware-processors.h"
#include "dm/firmware/mp-table.h"
#include "util/error.h"
#include "util/log.h"

/* What points to tables lies in F0000h-FFFFFh, which kernels scan; the tables before it. */
#define TABLES_ADDRESS 0xe0000u
#define TABLES_SIZE    0x10000u
#define ROOT_ADDRESS   0xf0000u /* the ACPI root pointer, or the MP pointer */

#define RESET_ENTRY 0xffff0u /* F000:FFF0, where real-mode code goes to reset the machine */

#define RTC_INDEX 0x70
#define RTC_DATA  0x71

/* Of the 8259s, if there are any: which inputs are level-triggered. */
#define EDGE_LEVEL_LOW  0x4d0
#define EDGE_LEVEL_HIGH 0x4d1

struct direct_boot {
    struct machine *machine;
    uint16_t level_interrupts;
    uint8_t root[ACPI_RSDP_SIZE];
    GByteArray *tables;
    struct boot_plan *plan;
};

static void add_mp_table(struct direct_boot *boot)
{
    const struct machine *machine = boot->machine;
    g_autofree uint32_t *ids = g_new0(uint32_t, MAX(machine->vcpu_count, 1));
    struct mp_config config = {.cpu_count = MAX(machine->vcpu_count, 1),
                               .apic_ids = ids,
                               .level_interrupts = boot->level_interrupts};

    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        ids[i] = machine->vcpus[i]->apic_id;
    }
    boot->tables = mp_table_build(&config);
    mp_pointer_make(boot->root, TABLES_ADDRESS);
}

static bool add_tables(struct direct_boot *boot, const struct direct_boot_config *config,
                       GError **error)
{
    if (config->acpi) {
        acpi_tables_place(config->acpi, TABLES_ADDRESS, ROOT_ADDRESS);
        boot->tables = g_byte_array_ref(config->acpi->tables);
        memcpy(boot->root, config->acpi->rsdp, ACPI_RSDP_SIZE);
    } else {
        add_mp_table(boot);
    }
    return boot->tables->len <= TABLES_SIZE ||
           duodm_fail(error, DUODM_ERROR_NO_MEMORY,
                      "the tables of so many vCPUs take %u bytes, %u is the most",
                      boot->tables->len, TABLES_SIZE);
}

static bool load_kernel(struct direct_boot *boot, const struct direct_boot_config *config,
                        GError **error)
{
    const struct machine *machine = boot->machine;
    struct boot_environment environment = {
        .ram_below_4g = machine->ram_below_4g,
        .ram_above_4g = machine->ram_above_4g,
        .rsdp = config->acpi ? ROOT_ADDRESS : 0,
        .kernel_path = machine->config.kernel,
        .initrd = machine->config.initrd,
        .append = config->append,
        .device_tree = config->device_tree,
    };

    e820_map_for_kernel(&environment.map, machine->ram_below_4g, machine->ram_above_4g);
    boot->plan = kernel_load(&environment, error);
    return boot->plan;
}

struct direct_boot *direct_boot_new(const struct direct_boot_config *config, GError **error)
{
    struct direct_boot *boot = g_new0(struct direct_boot, 1);

    boot->machine = config->machine;
    boot->level_interrupts = config->level_interrupts;
    if (!add_tables(boot, config, error) || !load_kernel(boot, config, error)) {
        direct_boot_free(boot);
        return NULL;
    }
    return boot;
}

void direct_boot_free(struct direct_boot *boot)
{
    if (boot) {
        g_clear_pointer(&boot->tables, g_byte_array_unref);
        boot_plan_free(boot->plan);
        g_free(boot);
    }
}

static void out(struct machine *machine, uint16_t port, uint8_t value)
{
    address_space_store(&machine->as_io, port, 1, MEMORY_ATTRIBUTES_CPU, value);
}

static void write_cmos(struct machine *machine, uint8_t index, uint8_t value)
{
    out(machine, RTC_INDEX, index);
    out(machine, RTC_DATA, value);
}

/* Linux takes this way if ACPI is hardware-reduced and there is no EFI. */
static const uint8_t reset_code[] = {
    0xb0, 0x06,       /* mov $6, %al */
    0xba, 0xf9, 0x0c, /* mov $0xcf9, %dx */
    0xee,             /* out %al, (%dx) */
    0xf4, 0xeb, 0xfd, /* 1: hlt; jmp 1b */
};

void direct_boot_reset(void *opaque)
{
    struct direct_boot *boot = opaque;
    struct machine *machine = boot->machine;
    g_autoptr(GError) error = NULL;

    write_cmos(machine, 0x0a, 0x26); /* divider on, 1024 Hz */
    write_cmos(machine, 0x0b, 0x02); /* 24 hours, BCD, no interrupts */
    out(machine, EDGE_LEVEL_LOW, (uint8_t)boot->level_interrupts);
    out(machine, EDGE_LEVEL_HIGH, (uint8_t)(boot->level_interrupts >> 8));
    address_space_write(&machine->as_memory, TABLES_ADDRESS, MEMORY_ATTRIBUTES_CPU,
                        boot->tables->data, boot->tables->len);
    address_space_write(&machine->as_memory, ROOT_ADDRESS, MEMORY_ATTRIBUTES_CPU, boot->root,
                        sizeof(boot->root));
    address_space_write(&machine->as_memory, RESET_ENTRY, MEMORY_ATTRIBUTES_CPU, reset_code,
                        sizeof(reset_code));
    firmware_set_up_processors(machine);
    if (!boot_plan_write(boot->plan, &machine->as_memory, &error)) {
        log_warning("%s", error->message);
    }
    if (machine->vcpu_count) {
        machine->engine->set_state(machine->vcpus[0], &boot->plan->cpu);
    }
}
