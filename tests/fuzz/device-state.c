/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: the state of every device of a machine, altered under checksums that are good. What
 * is refused leaves the device as it was; what is taken may be nonsense, but the machine goes on: a
 * guest then writes registers, and time passes. An input is the number of alterations and 8-byte
 * steps: those alterations first, then what the guest does.
 */
#include "dm/cli/launch.h"
#include "dm/pci/pci-bus.h"
#include "dm/pci/pci-regs.h"
#include "dm/snapshot/device-state.h"
#include "dm/state.h"
#include "fuzz/fuzz-main.h"
#include "unit/engines-for-tests.h"
#include "util/crc32.h"
#include "util/little-endian.h"
#include "util/log.h"

#include <event2/event.h>
#include <event2/thread.h>

#define STEPS_MAX    64u
#define SECTION_HEAD 12u /* magic, length, version */
#define CHECKSUM     4u
#define MEMORY_BASE  0xe0000000u
#define PORT_BASE    0xc000u
#define MS           1000000u

static const char *const command_line[] = {
    "-machine",
    "pc",
    "-accel",
    "qtest",
    "-nodefaults",
    "-display",
    "none",
    "-m",
    "16",
    "-device",
    "intel-iommu,caching-mode=on",
    "-device",
    "virtio-rng-pci",
    "-device",
    "virtio-balloon-pci",
    "-device",
    "virtio-serial-pci,id=ports",
    "-device",
    "virtserialport,bus=ports.0,name=a",
    "-device",
    "virtconsole,bus=ports.0",
    "-device",
    "virtio-net-pci",
    "-blockdev",
    "null-co,node-name=d1,size=1048576",
    "-device",
    "virtio-blk-pci,drive=d1",
    "-device",
    "isa-serial",
    "-device",
    "VGA",
    "-device",
    "rtl8139",
    "-device",
    "e1000",
    "-blockdev",
    "null-co,node-name=d2,size=1048576",
    "-device",
    "ide-hd,drive=d2",
    "-device",
    "ide-cd",
    "-device",
    "ahci,id=ahci",
    "-blockdev",
    "null-co,node-name=d3,size=1048576",
    "-device",
    "ide-hd,drive=d3,bus=ahci.0",
    "-usb",
    "-device",
    "usb-tablet",
    "-device",
    "usb-kbd",
};

struct step {
    uint8_t kind, device;
    uint8_t where[2], value[4];
};

struct window {
    bool is_io;
    uint64_t base, size;
};

struct world {
    struct launch launch;
    struct machine *machine;
    GPtrArray *devices; /* of struct device *, with state */
    GPtrArray *states;  /* of GByteArray *: the sections of each */
    GArray *windows;    /* of struct window */
    GByteArray *good;   /* the machine's state */
};

/* ---- The machine, made once ---- */

static void add_window(struct world *world, bool is_io, uint64_t base, uint64_t size)
{
    struct window window = {is_io, base, size};

    g_array_append_val(world->windows, window);
}

/* Give a function's BARs places that nobody else has. */
static void place_bars(struct world *world, unsigned devfn, uint64_t cursors[2])
{
    struct pci_bus *bus = pci_bus_from_base(world->machine->pci_bus);

    for (unsigned bar = PCI_BASE_ADDRESS_0; bar < PCI_BASE_ADDRESS_0 + 24; bar += 4) {
        uint32_t type = pci_bus_config_read(bus, 0, devfn, bar, 4), mask;
        bool is_io = type & 1;

        pci_bus_config_write(bus, 0, devfn, bar, 4, UINT32_MAX);
        mask = pci_bus_config_read(bus, 0, devfn, bar, 4) & ~(is_io ? 3u : 15u);
        if (mask) {
            uint32_t size = is_io ? ~(mask | 0xffff0000u) + 1 : ~mask + 1;

            size = is_io ? size & 0xffff : size;
            cursors[is_io] = (cursors[is_io] + size - 1) & ~(uint64_t)(size - 1);
            pci_bus_config_write(bus, 0, devfn, bar, 4, (uint32_t)cursors[is_io]);
            add_window(world, is_io, cursors[is_io], size);
            cursors[is_io] += size;
        }
        if (!is_io && (type & 6) == 4) { /* its upper half */
            bar += 4;
            pci_bus_config_write(bus, 0, devfn, bar, 4, 0);
        }
    }
    pci_bus_config_write(bus, 0, devfn, PCI_COMMAND, 2,
                         PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void add_devices(struct world *world, const struct bus *bus)
{
    for (unsigned i = 0; bus && i < bus->children->len; i++) {
        struct device *device = g_ptr_array_index(bus->children, i);

        if (device_has_state(device)) {
            GByteArray *state = g_byte_array_new();

            device_save_state(device, state);
            g_ptr_array_add(world->devices, device);
            g_ptr_array_add(world->states, state);
        }
    }
}

static void launch(struct world *world)
{
    static bool (*const steps[])(struct launch * launch, GError * *error) = {
        launch_choose_engine, launch_make_machine, launch_open_chardevs, launch_create_engine,
        launch_open_drives,   launch_open_netdevs, launch_make_board,    launch_add_devices,
    };
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    g_autoptr(GError) error = NULL;

    g_ptr_array_add(words, (char *)"duodm");
    for (unsigned i = 0; i < G_N_ELEMENTS(command_line); i++) {
        g_ptr_array_add(words, (char *)command_line[i]);
    }
    command_line_init(&world->launch.line);
    world->launch.base = event_base_new();
    if (!command_line_parse(&world->launch.line, (int)words->len, (char **)words->pdata, &error)) {
        g_error("%s", error->message);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(steps); i++) {
        if (!steps[i](&world->launch, &error)) {
            g_error("%s", error->message);
        }
    }
    world->machine = world->launch.machine;
    machine_clock_set_manual(world->machine->clock);
    machine_reset(world->machine);
}

/* Of ACPI's hotplug ports without the one that ejects devices: they are to stay. */
static struct world *make_world(void)
{
    static const struct {
        uint16_t start, size;
    } ports[] = {{0x20, 2},  {0x40, 4},  {0x60, 5},   {0x70, 2},   {0xa0, 2},   {0x170, 8},
                 {0x1ce, 4}, {0x1f0, 8}, {0x376, 1},  {0x3c0, 32}, {0x3f6, 1},  {0x3f8, 8},
                 {0x4d0, 2}, {0x510, 8}, {0x600, 64}, {0x700, 16}, {0xaf00, 32}};
    struct world *world = g_new0(struct world, 1);
    uint64_t cursors[] = {MEMORY_BASE, PORT_BASE};

    evthread_use_pthreads();
    log_set_file("/dev/null", NULL);
    launch(world);
    world->devices = g_ptr_array_new();
    world->states = g_ptr_array_new();
    world->windows = g_array_new(false, false, sizeof(struct window));
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        if (pci_bus_find(pci_bus_from_base(world->machine->pci_bus), (uint8_t)devfn)) {
            place_bars(world, devfn, cursors);
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(ports); i++) {
        add_window(world, true, ports[i].start, ports[i].size);
    }
    add_window(world, false, 0xa0000, 0x20000);
    add_window(world, false, 0xfec00000, 0x40);
    add_window(world, false, 0xfed00000, 0x200);
    add_window(world, false, 0xfed90000, 0x1000);
    add_devices(world, world->machine->system_bus);
    add_devices(world, world->machine->isa_bus);
    add_devices(world, world->machine->pci_bus);
    for (unsigned i = 0; i < world->machine->device_buses->len; i++) {
        add_devices(world, g_ptr_array_index(world->machine->device_buses, i));
    }
    world->good = g_byte_array_new();
    g_assert(device_state_save(world->machine, false, world->good, NULL));
    return world;
}

/* ---- Alterations ---- */

/* A number at a place of a device's sections, but in their frames. */
static void alter(GByteArray *state, const struct step *step)
{
    unsigned size = 1u << step->kind % 3;
    size_t at = load_le16(step->where) | (size_t)(step->kind & 0xf0) << 12, start = 0;

    at %= state->len;
    while (start < state->len) {
        uint32_t length = load_le32(state->data + start + 4);

        if (at >= start + SECTION_HEAD && at + size <= start + length - CHECKSUM) {
            memcpy(state->data + at, step->value, size);
            store_le32(state->data + start + length - CHECKSUM,
                       crc32_of(state->data + start, length - CHECKSUM));
            return;
        }
        start += length;
    }
}

static void load_altered(struct device *device, const GByteArray *state)
{
    g_autoptr(GByteArray) before = g_byte_array_new(), after = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    size_t consumed;

    device_save_state(device, before);
    if (!device_load_state(device, state->data, state->len, &consumed, &error)) {
        g_assert(error);
        device_save_state(device, after);
        g_assert(before->len == after->len && !memcmp(before->data, after->data, before->len));
    }
}

static void load_all_altered(struct world *world, const struct step *steps, unsigned count)
{
    for (unsigned device = 0; device < world->devices->len; device++) {
        const GByteArray *state = g_ptr_array_index(world->states, device);
        g_autoptr(GByteArray) altered = NULL;

        for (unsigned i = 0; i < count; i++) {
            if (steps[i].device % world->devices->len == device) {
                if (!altered) {
                    altered = g_byte_array_new();
                    g_byte_array_append(altered, state->data, state->len);
                }
                alter(altered, &steps[i]);
            }
        }
        if (altered) {
            load_altered(g_ptr_array_index(world->devices, device), altered);
        }
    }
}

/* ---- What the guest does ---- */

static void take_step(struct world *world, const struct step *step)
{
    const struct window *window =
        &g_array_index(world->windows, struct window, step->device % world->windows->len);
    struct machine *machine = world->machine;
    struct address_space *as = window->is_io ? &machine->as_io : &machine->as_memory;
    uint64_t address = window->base + load_le16(step->where) % window->size;
    uint64_t value = load_le32(step->value);
    unsigned size = 1u << (step->kind >> 4) % 3;

    switch (step->kind % 4) {
    case 0:
    case 1:
        address_space_store(as, address, size, MEMORY_ATTRIBUTES_CPU, value);
        break;
    case 2:
        address_space_load(as, address, size, MEMORY_ATTRIBUTES_CPU, &value);
        break;
    default:
        machine_clock_advance(machine->clock, machine_clock_now(machine->clock) + value % 256 * MS);
        break;
    }
    event_base_loop(machine->base, EVLOOP_NONBLOCK);
}

/* Whatever it is now, with a good state it is a good machine again. */
static void mend(struct world *world, bool at_once)
{
    bool was_running;
    size_t consumed;

    if (at_once) {
        g_assert(device_state_load(world->machine, world->good->data, world->good->len,
                                   &was_running, NULL));
        return;
    }
    for (unsigned i = 0; i < world->devices->len; i++) {
        const GByteArray *state = g_ptr_array_index(world->states, i);

        g_assert(device_load_state(g_ptr_array_index(world->devices, i), state->data, state->len,
                                   &consumed, NULL));
    }
}

/* The highest bit of the first byte: how the machine is mended. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world *world; /* made once */
    struct step steps[STEPS_MAX];
    unsigned count, altered;

    if (size < 1) {
        return 0;
    }
    world = world ? world : make_world();
    count = (unsigned)MIN(STEPS_MAX, (size - 1) / sizeof(struct step));
    memcpy(steps, data + 1, count * sizeof(struct step));
    altered = MIN(data[0] % 16u, count);
    load_all_altered(world, steps, altered);
    machine_start(world->machine);
    for (unsigned i = altered; i < count; i++) {
        take_step(world, &steps[i]);
    }
    machine_stop(world->machine, RUN_STATE_PAUSED);
    mend(world, data[0] & 0x80);
    return 0;
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "device-state");
}
#endif
