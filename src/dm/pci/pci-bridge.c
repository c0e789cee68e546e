/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/pci/pci-bridge.h"
#include "dm/machine.h"
#include "dm/pci/pci-bus.h"
#include "dm/pci/pci-regs.h"

#define BRIDGE_PRIORITY 1 /* as BARs have it */
#define IO_SIZE         0x10000u
#define MEMORY_UNIT     0x100000u /* of memory windows */
#define IO_UNIT         0x1000u
#define ISA_BLOCK       0x400u /* ISA Enable lets the first quarter of each through: 3.2.5.18 */
#define ISA_QUARTER     0x100u
#define ISA_BLOCKS      (IO_SIZE / ISA_BLOCK)

/* What VGA Enable lets through. */
#define VGA_MEMORY      0xa0000u
#define VGA_MEMORY_SIZE 0x20000u
static const struct range vga_ports[] = {{0x3b0, 12}, {0x3c0, 32}};

static struct pci_bridge *bridge_of(struct pci_device *device)
{
    return (struct pci_bridge *)device;
}

struct pci_bus *pci_bridge_bus(const struct pci_device *bridge)
{
    return ((const struct pci_bridge *)bridge)->bus;
}

/* ---- Windows ---- */

/* A window from base to limit, both included; base above limit: closed. */
static struct range window_of(uint64_t base, uint64_t limit)
{
    return base <= limit && limit < MACHINE_MEMORY_SIZE ? (struct range){base, limit - base + 1}
                                                        : (struct range){0};
}

static struct range io_window(const uint8_t *config)
{
    uint64_t base = (uint64_t)(config[PCI_IO_BASE] & 0xf0) << 8;
    uint64_t limit = (uint64_t)(config[PCI_IO_LIMIT] & 0xf0) << 8;

    return window_of(base, limit + IO_UNIT - 1);
}

static struct range memory_window(const uint8_t *config)
{
    uint64_t base = (uint64_t)(pci_get(config, PCI_MEMORY_BASE, 2) & 0xfff0) << 16;
    uint64_t limit = (uint64_t)(pci_get(config, PCI_MEMORY_LIMIT, 2) & 0xfff0) << 16;

    return window_of(base, limit + MEMORY_UNIT - 1);
}

static struct range prefetch_window(const uint8_t *config)
{
    uint64_t base = (uint64_t)(pci_get(config, PCI_PREFETCH_BASE, 2) & 0xfff0) << 16 |
                    (uint64_t)pci_get(config, PCI_PREFETCH_BASE_HIGH, 4) << 32;
    uint64_t limit = (uint64_t)(pci_get(config, PCI_PREFETCH_LIMIT, 2) & 0xfff0) << 16 |
                     (uint64_t)pci_get(config, PCI_PREFETCH_LIMIT_HIGH, 4) << 32;

    return window_of(base, limit + MEMORY_UNIT - 1);
}

static void set_window(struct memory_region *window, struct range range, bool enabled)
{
    memory_region_set_enabled(window, enabled && range.length);
    if (enabled && range.length) {
        memory_region_set_size(window, range.length);
        memory_region_set_alias_offset(window, range.start);
        memory_region_set_offset(window, range.start);
    }
}

static void make_isa_windows(struct pci_bridge *bridge)
{
    bridge->isa_windows = g_new0(struct memory_region, ISA_BLOCKS);
    for (unsigned i = 0; i < ISA_BLOCKS; i++) {
        struct memory_region *window = &bridge->isa_windows[i];

        memory_region_init_alias(window, "bridge-isa", &bridge->io_space, i * ISA_BLOCK,
                                 ISA_QUARTER);
        memory_region_set_enabled(window, false);
        memory_region_add_subregion_overlap(bridge->pci.pci_bus->io_space, i * ISA_BLOCK, window,
                                            BRIDGE_PRIORITY);
    }
}

static void update_io(struct pci_bridge *bridge, bool enabled, bool isa)
{
    struct range range = io_window(bridge->pci.config);

    set_window(&bridge->io_window, range, enabled && !isa);
    if (isa && !bridge->isa_windows) {
        make_isa_windows(bridge);
    }
    for (unsigned i = 0; bridge->isa_windows && i < ISA_BLOCKS; i++) {
        bool inside = range_contains(range, i * ISA_BLOCK);

        memory_region_set_enabled(&bridge->isa_windows[i], enabled && isa && inside);
    }
}

static void update_windows(struct pci_bridge *bridge)
{
    uint32_t command = pci_get(bridge->pci.config, PCI_COMMAND, 2);
    uint32_t control = pci_get(bridge->pci.config, PCI_BRIDGE_CONTROL, 2);
    bool io = command & PCI_COMMAND_IO, memory = command & PCI_COMMAND_MEMORY;
    bool vga = control & PCI_BRIDGE_VGA;

    update_io(bridge, io, control & PCI_BRIDGE_ISA);
    set_window(&bridge->memory_window, memory_window(bridge->pci.config), memory);
    set_window(&bridge->prefetch_window, prefetch_window(bridge->pci.config), memory);
    memory_region_set_enabled(&bridge->vga_memory, vga && memory);
    for (unsigned i = 0; i < G_N_ELEMENTS(vga_ports); i++) {
        memory_region_set_enabled(&bridge->vga_ports[i], vga && io);
    }
}

bool pci_bridge_get_info(const struct pci_device *device, struct pci_bridge_info *info)
{
    const uint8_t *config = device->config;

    *info = (struct pci_bridge_info){
        .secondary = config[PCI_SECONDARY_BUS],
        .subordinate = config[PCI_SUBORDINATE_BUS],
        .io = io_window(config),
        .memory = memory_window(config),
        .prefetch = prefetch_window(config),
    };
    return pci_class_of(device)->is_bridge;
}

/* ---- The bus behind ---- */

static void update_numbers(struct pci_bridge *bridge)
{
    struct pci_bus *bus = bridge->bus;
    uint8_t number = bridge->pci.config[PCI_SECONDARY_BUS];
    bool changed = number != bus->number;

    __atomic_store_n(&bus->number, number, __ATOMIC_RELAXED);
    __atomic_store_n(&bus->last, bridge->pci.config[PCI_SUBORDINATE_BUS], __ATOMIC_RELAXED);
    for (unsigned devfn = 0; changed && devfn < PCI_DEVFN_COUNT; devfn++) {
        struct pci_device *device = pci_bus_find(bus, (uint8_t)devfn);

        if (device) {
            pci_device_renumber(device);
        }
    }
}

/* ---- Reset of what is behind, or loss of the link to it ---- */

/* No DMA from here on, and no answer: as if the guest had cleared its command register. */
static bool silence(struct pci_device *device, void *opaque)
{
    if (access_guard_enter(&device->device.guard)) {
        pci_config_write(device, PCI_COMMAND, 2, 0);
        access_guard_leave(&device->device.guard);
    }
    return true;
}

static void reset_behind(struct bus *bus)
{
    for (unsigned i = 0; i < bus->children->len; i++) {
        struct pci_device *device = g_ptr_array_index(bus->children, i);
        struct pci_bus *behind = pci_device_secondary(device);

        if (behind) {
            reset_behind(pci_bus_base(behind));
        }
        device_reset(&device->device);
    }
}

static void update_silence(struct pci_bridge *bridge)
{
    __atomic_store_n(&bridge->bus->is_silent, bridge->is_down || bridge->reset_pending,
                     __ATOMIC_RELEASE);
}

/* In the main loop: a reset may wait for what a vCPU must not wait for. */
static void on_reset_task(void *opaque)
{
    struct pci_bridge *bridge = opaque;

    reset_behind(pci_bus_base(bridge->bus));
    memory_topology_begin();
    bridge->reset_pending = false;
    update_silence(bridge);
    memory_topology_commit();
}

static void update_reset(struct pci_bridge *bridge)
{
    bool reset = pci_get(bridge->pci.config, PCI_BRIDGE_CONTROL, 2) & PCI_BRIDGE_RESET;
    bool is_down = reset || bridge->link_down;

    if (is_down && !bridge->is_down) {
        pci_bus_visit(bridge->bus, silence, NULL);
        bridge->reset_pending = true;
        machine_post(bridge->pci.device.machine, &bridge->reset_task);
    }
    bridge->is_down = is_down;
    update_silence(bridge);
}

void pci_bridge_update(struct pci_device *device)
{
    if (!pci_device_secondary(device)) {
        return;
    }
    update_windows(bridge_of(device));
    update_reset(bridge_of(device));
    update_numbers(bridge_of(device));
}

void pci_bridge_reset(struct pci_bridge *bridge)
{
    machine_cancel(bridge->pci.device.machine, &bridge->reset_task);
    bridge->reset_pending = false;
    pci_bridge_update(&bridge->pci);
}

/* ---- Life ---- */

void pci_bridge_init_header(struct pci_device *device)
{
    uint8_t *config = device->config, *mask = device->write_mask;

    config[PCI_HEADER_TYPE] |= PCI_HEADER_BRIDGE;
    pci_put(mask, PCI_PRIMARY_BUS, 3, 0xffffff);
    pci_put(mask, PCI_IO_BASE, 2, 0xf0f0);
    pci_put(device->clear_mask, PCI_SECONDARY_STATUS, 2, PCI_STATUS_ERRORS);
    pci_put(mask, PCI_MEMORY_BASE, 4, 0xfff0fff0);
    pci_put(config, PCI_PREFETCH_BASE, 2, PCI_WINDOW_64);
    pci_put(config, PCI_PREFETCH_LIMIT, 2, PCI_WINDOW_64);
    pci_put(mask, PCI_PREFETCH_BASE, 4, 0xfff0fff0);
    pci_put(mask, PCI_PREFETCH_BASE_HIGH, 4, UINT32_MAX);
    pci_put(mask, PCI_PREFETCH_LIMIT_HIGH, 4, UINT32_MAX);
    pci_put(mask, PCI_BRIDGE_CONTROL, 2,
            PCI_BRIDGE_PARITY | PCI_BRIDGE_SERR | PCI_BRIDGE_ISA | PCI_BRIDGE_VGA |
                PCI_BRIDGE_VGA_16 | PCI_BRIDGE_RESET);
}

/* A closed window onto a space of the bridge's. */
static void add_window(struct memory_region *window, const char *name, struct memory_region *space,
                       struct memory_region *primary, struct range at)
{
    memory_region_init_alias(window, name, space, at.start, at.length);
    memory_region_set_enabled(window, false);
    memory_region_add_subregion_overlap(primary, at.start, window, BRIDGE_PRIORITY);
}

void pci_bridge_init(struct pci_bridge *bridge, bool is_link)
{
    struct pci_device *pci = &bridge->pci;
    struct memory_region *memory = pci->pci_bus->memory_space, *io = pci->pci_bus->io_space;
    g_autofree char *place = device_describe(&pci->device);

    memory_region_init_container(&bridge->memory_space, "bridge-memory", MACHINE_MEMORY_SIZE);
    memory_region_init_container(&bridge->io_space, "bridge-io", IO_SIZE);
    add_window(&bridge->memory_window, "bridge-memory-window", &bridge->memory_space, memory,
               (struct range){0, MEMORY_UNIT});
    add_window(&bridge->prefetch_window, "bridge-prefetch-window", &bridge->memory_space, memory,
               (struct range){0, MEMORY_UNIT});
    add_window(&bridge->io_window, "bridge-io-window", &bridge->io_space, io,
               (struct range){0, IO_UNIT});
    add_window(&bridge->vga_memory, "bridge-vga", &bridge->memory_space, memory,
               (struct range){VGA_MEMORY, VGA_MEMORY_SIZE});
    for (unsigned i = 0; i < G_N_ELEMENTS(vga_ports); i++) {
        add_window(&bridge->vga_ports[i], "bridge-vga-ports", &bridge->io_space, io, vga_ports[i]);
    }
    bridge->reset_task = (struct io_task){.run = on_reset_task, .opaque = bridge};
    bridge->bus = pci_bus_new_secondary(pci, place, &bridge->memory_space, &bridge->io_space);
    bridge->bus->is_link = is_link;
}

void pci_bridge_destroy(struct pci_bridge *bridge)
{
    machine_cancel(bridge->pci.device.machine, &bridge->reset_task);
    pci_bus_free(bridge->bus);
    for (unsigned i = 0; i < G_N_ELEMENTS(vga_ports); i++) {
        memory_region_destroy(&bridge->vga_ports[i]);
    }
    memory_region_destroy(&bridge->vga_memory);
    for (unsigned i = 0; bridge->isa_windows && i < ISA_BLOCKS; i++) {
        memory_region_destroy(&bridge->isa_windows[i]);
    }
    g_clear_pointer(&bridge->isa_windows, g_free);
    memory_region_destroy(&bridge->io_window);
    memory_region_destroy(&bridge->prefetch_window);
    memory_region_destroy(&bridge->memory_window);
    memory_region_destroy(&bridge->io_space);
    memory_region_destroy(&bridge->memory_space);
}
