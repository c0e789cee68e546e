/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/firmware/firmware-state.h"
#include "dm/firmware/boot-screen.h"
#include "dm/acpi/smbios.h"
#include "dm/firmware/bios-stub.h"
#include "dm/firmware/firmware-processors.h"
#include "dm/firmware/mp-table.h"
#include "dm/pci/chipset.h"
#include "util/error.h"
#include "util/log.h"

/* E0000h-EFFFFh holds the tables, F0000h-FFFFFh what points to them. */
#define TABLES_ADDRESS 0xe0000u
#define TABLES_SIZE    0x10000u
#define RSDP_OFFSET    (BIOS_STUB_TABLES + 0x00u)
#define ANCHOR_OFFSET  (BIOS_STUB_TABLES + 0x40u)
#define MP_OFFSET      (BIOS_STUB_TABLES + 0x80u)

#define PAM_COUNT      7u
#define PAM_ALL_RAM    0x33 /* reads and writes of both halves go to RAM */
#define PAM0_RAM       0x30 /* F0000h alone is in PAM0 */
#define PAM0_READ_ONLY 0x10
#define PCI_CONFIG_BUS 0u

#define TICKS_PER_DAY 0x1800b0u

struct firmware_state {
    struct firmware_config config;
    uint8_t tables[TABLES_SIZE];
    uint8_t segment[BIOS_STUB_SIZE];
    bool has_acpi;
    struct boot_plan *plan; /* NULL: none yet */
};

const uint8_t firmware_pirq_routes[PCI_LINES] = {10, 10, 11, 11, 10, 10, 11, 11};

/* The pointer, and the table right after it. */
static bool put_mp_table(struct firmware_state *state, GError **error)
{
    const struct machine *machine = state->config.machine;
    const uint32_t offset = MP_OFFSET + MP_POINTER_SIZE;
    g_autofree uint32_t *ids = g_new0(uint32_t, MAX(machine->vcpu_count, 1));
    struct mp_config config = {
        .cpu_count = MAX(machine->vcpu_count, 1),
        .apic_ids = ids,
        .has_pci = true,
        .line_map = state->config.line_map,
        .level_interrupts = 1u << CHIPSET_SCI_INTERRUPT,
    };
    g_autoptr(GByteArray) table = NULL;

    for (unsigned i = 0; i < machine->vcpu_count; i++) {
        ids[i] = machine->vcpus[i]->apic_id;
    }
    memcpy(config.pci_routes, firmware_pirq_routes, sizeof(config.pci_routes));
    table = mp_table_build(&config);
    if (offset + table->len > BIOS_STUB_TABLES_END) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY,
                          "the MP table takes %u bytes, %u is the most", table->len,
                          BIOS_STUB_TABLES_END - offset);
    }
    mp_pointer_make(state->segment + MP_OFFSET, BIOS_STUB_ADDRESS + offset);
    memcpy(state->segment + offset, table->data, table->len);
    return true;
}

struct firmware_state *firmware_state_new(const struct firmware_config *config,
                                          struct acpi_tables *tables, const GByteArray *smbios,
                                          unsigned smbios_count, unsigned smbios_largest,
                                          GError **error)
{
    uint32_t smbios_offset = tables ? (tables->tables->len + 15) & ~15u : 0;
    struct firmware_state *state;

    if (smbios_offset + smbios->len > TABLES_SIZE) {
        duodm_fail(error, DUODM_ERROR_NO_MEMORY,
                   "the ACPI and SMBIOS tables of so many vCPUs take %u bytes, %u is the most",
                   smbios_offset + smbios->len, TABLES_SIZE);
        return NULL;
    }
    state = g_new0(struct firmware_state, 1);
    state->config = *config;
    bios_stub_make_segment(state->segment);
    state->has_acpi = tables;
    if (tables) {
        acpi_tables_place(tables, TABLES_ADDRESS, BIOS_STUB_ADDRESS + RSDP_OFFSET);
        memcpy(state->tables, tables->tables->data, tables->tables->len);
        memcpy(state->segment + RSDP_OFFSET, tables->rsdp, ACPI_RSDP_SIZE);
    }
    memcpy(state->tables + smbios_offset, smbios->data, smbios->len);
    smbios_make_anchor(state->segment + ANCHOR_OFFSET, smbios, smbios_count, smbios_largest,
                       TABLES_ADDRESS + smbios_offset);
    if (!put_mp_table(state, error)) {
        firmware_state_free(state);
        return NULL;
    }
    return state;
}

void firmware_state_free(struct firmware_state *state)
{
    if (state) {
        boot_plan_free(state->plan);
        g_free(state);
    }
}

uint64_t firmware_state_rsdp(const struct firmware_state *state)
{
    return state->has_acpi ? BIOS_STUB_ADDRESS + RSDP_OFFSET : 0;
}

const uint8_t *firmware_state_segment(const struct firmware_state *state)
{
    return state->segment;
}

void firmware_state_set_plan(struct firmware_state *state, struct boot_plan *plan)
{
    boot_plan_free(state->plan);
    state->plan = plan;
}

static void out(struct firmware_state *state, uint16_t port, uint8_t value)
{
    address_space_store(&state->config.machine->as_io, port, 1, MEMORY_ATTRIBUTES_CPU, value);
}

static uint8_t in(struct firmware_state *state, uint16_t port)
{
    uint64_t value;

    address_space_load(&state->config.machine->as_io, port, 1, MEMORY_ATTRIBUTES_CPU, &value);
    return (uint8_t)value;
}

static void write_config(struct firmware_state *state, const struct pci_device *device,
                         unsigned offset, uint8_t value)
{
    pci_bus_config_write(state->config.pci_bus, PCI_CONFIG_BUS, device->devfn, offset, 1, value);
}

static void write_memory(struct firmware_state *state, uint64_t address, const uint8_t *data,
                         uint64_t length)
{
    address_space_write(&state->config.machine->as_memory, address, MEMORY_ATTRIBUTES_CPU, data,
                        length);
}

static uint8_t read_cmos(struct firmware_state *state, uint8_t index)
{
    out(state, 0x70, index);
    return in(state, 0x71);
}

static void write_cmos(struct firmware_state *state, uint8_t index, uint8_t value)
{
    out(state, 0x70, index);
    out(state, 0x71, value);
}

static unsigned from_bcd(uint8_t value)
{
    return (value >> 4) * 10u + (value & 15);
}

/* Timer ticks since midnight, from the clock. */
static uint32_t ticks_today(struct firmware_state *state)
{
    uint64_t seconds = from_bcd(read_cmos(state, 4)) * 3600u + from_bcd(read_cmos(state, 2)) * 60u +
                       from_bcd(read_cmos(state, 0));

    return (uint32_t)(seconds * TICKS_PER_DAY / 86400 % TICKS_PER_DAY);
}

/* Interrupt controllers at 08h and 70h; the timer, keyboard and cascade inputs are open. PCI's
 * lines and the SCI are level-triggered. */
static void set_up_interrupts(struct firmware_state *state)
{
    unsigned level = 1u << CHIPSET_SCI_INTERRUPT;

    out(state, 0x20, 0x11); /* ICW1: cascade, ICW4 follows */
    out(state, 0xa0, 0x11);
    out(state, 0x21, 0x08);
    out(state, 0xa1, 0x70);
    out(state, 0x21, 0x04);
    out(state, 0xa1, 0x02);
    out(state, 0x21, 0x01);
    out(state, 0xa1, 0x01);
    out(state, 0x21, 0xf8);
    out(state, 0xa1, 0xff);
    for (unsigned i = 0; i < PCI_LINES; i++) {
        level |= 1u << firmware_pirq_routes[i];
    }
    out(state, 0x4d0, (uint8_t)level);
    out(state, 0x4d1, (uint8_t)(level >> 8));
}

static void set_up_timer(struct firmware_state *state)
{
    out(state, 0x43, 0x34); /* channel 0, low then high byte, mode 2 */
    out(state, 0x40, 0);
    out(state, 0x40, 0);
}

static void set_up_clock(struct firmware_state *state)
{
    write_cmos(state, 0x0a, 0x26); /* divider on, 1024 Hz */
    write_cmos(state, 0x0b, 0x02); /* 24 hours, BCD, no interrupts */
    write_cmos(state, 0x0f, 0x00);
    read_cmos(state, 0x0c);
    read_cmos(state, 0x0d);
}

/* Self test, then a command byte: translation, keyboard on with its interrupt, mouse off. */
static void set_up_keyboard(struct firmware_state *state)
{
    out(state, 0x64, 0xaa);
    in(state, 0x60);
    out(state, 0x64, 0x60);
    out(state, 0x60, 0x65);
    out(state, 0x92, 0x02); /* A20 */
}

/* Shadow RAM is opened, filled, and F0000h closed to writes. */
static void set_up_memory(struct firmware_state *state)
{
    const struct firmware_config *config = &state->config;
    uint8_t low[BIOS_STUB_LOW_SIZE];
    const uint8_t extended_size = 1; /* KiB of the extended BIOS data area */

    write_config(state, config->host_bridge, config->pam, PAM0_RAM);
    for (unsigned i = 1; i < PAM_COUNT; i++) {
        write_config(state, config->host_bridge, config->pam + i, PAM_ALL_RAM);
    }
    write_memory(state, TABLES_ADDRESS, state->tables, TABLES_SIZE);
    write_memory(state, BIOS_STUB_ADDRESS, state->segment, BIOS_STUB_SIZE);
    write_config(state, config->host_bridge, config->pam, PAM0_READ_ONLY);
    bios_stub_make_low_memory(low, config->serial_mask, config->equipment, ticks_today(state));
    write_memory(state, 0, low, sizeof(low));
    write_memory(state, E820_LOW_RAM_END, &extended_size, 1);
}

static void set_up_pci(struct firmware_state *state)
{
    const struct firmware_config *config = &state->config;
    g_autoptr(GError) error = NULL;

    config->enable_chipset(config->opaque);
    if (!pci_bus_assign_resources(config->pci_bus, config->pci_window_32, config->pci_window_64,
                                  config->pci_window_io, firmware_pirq_routes, &error)) {
        log_warning("%s", error->message);
    }
}

static void start_kernel(struct firmware_state *state)
{
    struct machine *machine = state->config.machine;
    g_autoptr(GError) error = NULL;

    if (!boot_plan_write(state->plan, &machine->as_memory, &error)) {
        log_warning("%s", error->message);
    }
    boot_screen_set_up(machine, state->config.pci_bus, state->plan);
    if (machine->vcpu_count) {
        machine->engine->set_state(machine->vcpus[0], &state->plan->cpu);
    }
}

void firmware_state_reset(void *opaque)
{
    struct firmware_state *state = opaque;

    set_up_clock(state);
    set_up_memory(state);
    set_up_pci(state);
    set_up_interrupts(state);
    set_up_timer(state);
    set_up_keyboard(state);
    firmware_set_up_processors(state->config.machine);
    start_kernel(state);
}
