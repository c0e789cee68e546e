/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What firmware does with a bus, and with those behind its bridges, before it starts a kernel:
 * every bus gets a number, every BAR an address, every bridge windows onto what is behind it (and
 * some room where devices may be plugged), every pin an interrupt line, and all have their decoders
 * switched on. Done by config cycles alone.
 */
#include "dm/pci/pci-bridge.h"
#include "dm/pci/pci-bus.h"
#include "dm/pci/pci-regs.h"
#include "util/error.h"

#include <inttypes.h>

/* Granules of bridges' windows, and what a port has in reserve for what may be plugged. */
#define MEMORY_UNIT      (UINT64_C(1) << 20)
#define IO_UNIT          (UINT64_C(1) << 12)
#define MEMORY_RESERVE   (UINT64_C(2) << 20)
#define PREFETCH_RESERVE (UINT64_C(1) << 30)
#define IO_RESERVE       IO_UNIT
#define BUS_NUMBER_LAST  255u

/* A window and how far it is given away. */
struct window {
    struct range range;
    uint64_t next;
    const char *name;
    uint64_t owed; /* at most what places need that have not got theirs yet */
};

/* What a bus gives away: the root's, or those of the bridge above. */
struct windows {
    struct window memory, memory64, io;
};

/* A naturally aligned piece; false if the window has no room. */
static bool window_take(struct window *window, uint64_t size, uint64_t alignment, uint64_t *address)
{
    uint64_t end = window->range.start + window->range.length;
    uint64_t start = (window->next + alignment - 1) & ~(alignment - 1);

    if (start < window->next || start > end || size > end - start) {
        return false;
    }
    *address = start;
    window->next = start + size;
    return true;
}

/* What needs a place in a window of its bus: a BAR, or a window of a bridge. */
enum place_kind { PLACE_BAR, PLACE_IO, PLACE_MEMORY, PLACE_PREFETCH };

struct place {
    struct pci_device *device;
    enum place_kind kind;
    unsigned number; /* of the BAR */
    uint64_t size, alignment;
    uint64_t least; /* without reserve */
    bool is_io, can_be_high;
};

/* Largest alignment first, so that there are no gaps. */
static int compare_places(gconstpointer a, gconstpointer b)
{
    const struct place *x = a, *y = b;

    if (x->alignment != y->alignment) {
        return x->alignment > y->alignment ? -1 : 1;
    }
    if (x->device->devfn != y->device->devfn) {
        return x->device->devfn - y->device->devfn;
    }
    return x->kind != y->kind ? (int)x->kind - (int)y->kind : (int)x->number - (int)y->number;
}

static struct place bar_place(struct pci_device *device, unsigned number)
{
    const struct pci_bar *bar = &device->bars[number];

    return (struct place){
        .device = device,
        .number = number,
        .size = bar->size,
        .alignment = bar->size,
        .least = bar->size,
        .is_io = bar->is_io,
        /* A bridge's only window above 4 GiB is the prefetchable one. */
        .can_be_high = bar->is_64 && (bar->prefetchable || !device->pci_bus->bridge),
    };
}

static GArray *collect_places(struct pci_bus *bus);

/* Is it given away by the bridge's window of that kind? */
static bool belongs(const struct place *place, enum place_kind kind)
{
    return kind == PLACE_IO         ? place->is_io
           : kind == PLACE_PREFETCH ? !place->is_io && place->can_be_high
                                    : !place->is_io && !place->can_be_high;
}

/* The window of a kind that what is behind a bridge needs. */
static struct place window_place(struct pci_device *bridge, enum place_kind kind, uint64_t unit,
                                 uint64_t reserve)
{
    g_autoptr(GArray) places = collect_places(pci_device_secondary(bridge));
    struct place window = {.device = bridge,
                           .kind = kind,
                           .alignment = unit,
                           .is_io = kind == PLACE_IO,
                           .can_be_high = kind == PLACE_PREFETCH};

    for (unsigned i = 0; i < places->len; i++) {
        const struct place *place = &g_array_index(places, struct place, i);

        if (belongs(place, kind)) {
            window.alignment = MAX(window.alignment, place->alignment);
            window.least =
                ((window.least + place->alignment - 1) & ~(place->alignment - 1)) + place->size;
        }
    }
    window.least = (window.least + unit - 1) & ~(unit - 1);
    window.size = MAX(window.least, pci_device_secondary(bridge)->is_link ? reserve : 0);
    return window;
}

static GArray *collect_places(struct pci_bus *bus)
{
    GArray *places = g_array_new(FALSE, FALSE, sizeof(struct place));

    for (unsigned devfn = 0; devfn < PCI_DEVFN_COUNT; devfn++) {
        struct pci_device *device = bus->devices[devfn];

        for (unsigned i = 0; device && i < PCI_BAR_COUNT; i++) {
            if (device->bars[i].region) {
                struct place place = bar_place(device, i);

                g_array_append_val(places, place);
            }
        }
        if (device && pci_device_secondary(device)) {
            struct place windows[] = {
                window_place(device, PLACE_IO, IO_UNIT, IO_RESERVE),
                window_place(device, PLACE_MEMORY, MEMORY_UNIT, MEMORY_RESERVE),
                window_place(device, PLACE_PREFETCH, MEMORY_UNIT, PREFETCH_RESERVE),
            };

            g_array_append_vals(places, windows, G_N_ELEMENTS(windows));
        }
    }
    g_array_sort(places, compare_places);
    return places;
}

static void config_write(const struct pci_device *device, unsigned offset, unsigned size,
                         uint32_t value)
{
    struct pci_bus *bus = device->pci_bus;

    pci_bus_config_write(bus->root, bus->number, device->devfn, offset, size, value);
}

static struct window *first_choice(struct windows *windows, const struct place *place)
{
    return place->is_io                                           ? &windows->io
           : place->can_be_high && windows->memory64.range.length ? &windows->memory64
                                                                  : &windows->memory;
}

static uint64_t debt(const struct place *place)
{
    return place->least ? place->least + place->alignment : 0;
}

/* A reserve is no need: only of what is left when all others have theirs. */
static bool can_reserve(const struct window *window, const struct place *place)
{
    uint64_t left = window->range.start + window->range.length - window->next;
    uint64_t wanted = place->size + place->alignment + window->owed;

    return window->range.length && left >= wanted;
}

/* Somewhere high if that is possible and there is room, else below. */
static bool take(struct windows *windows, const struct place *place, uint64_t size,
                 uint64_t *address)
{
    struct window *window = place->is_io ? &windows->io : &windows->memory;

    return (place->can_be_high && windows->memory64.range.length &&
            window_take(&windows->memory64, size, place->alignment, address)) ||
           window_take(window, size, place->alignment, address);
}

static bool fail_place(const struct windows *windows, const struct place *place, GError **error)
{
    const char *window = place->is_io ? windows->io.name : windows->memory.name;

    if (place->kind != PLACE_BAR) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY,
                          "what is behind PCI device '%s' (%" PRIu64 " bytes) finds no room in the "
                          "%s window",
                          place->device->device.class->name, place->least, window);
    }
    return duodm_fail(error, DUODM_ERROR_NO_MEMORY,
                      "BAR %u of PCI device '%s' (%" PRIu64 " bytes) finds no room in the %s "
                      "window",
                      place->number, place->device->device.class->name, place->size, window);
}

static void write_bar(const struct place *place, uint64_t address)
{
    unsigned offset = PCI_BASE_ADDRESS_0 + 4 * place->number;

    config_write(place->device, offset, 4, (uint32_t)address);
    if (place->device->bars[place->number].is_64) {
        config_write(place->device, offset + 4, 4, (uint32_t)(address >> 32));
    }
}

/* Length 0: the window is closed. */
static void write_window(const struct place *place, struct range range)
{
    const struct pci_device *bridge = place->device;
    uint64_t base = range.length ? range.start : UINT32_MAX;
    uint64_t limit = range.length ? range.start + range.length - 1 : 0;

    if (place->kind == PLACE_IO) {
        config_write(bridge, PCI_IO_BASE, 1, (uint32_t)base >> 8 & 0xf0);
        config_write(bridge, PCI_IO_LIMIT, 1, (uint32_t)limit >> 8 & 0xf0);
    } else if (place->kind == PLACE_MEMORY) {
        config_write(bridge, PCI_MEMORY_BASE, 2, (uint32_t)base >> 16);
        config_write(bridge, PCI_MEMORY_LIMIT, 2, (uint32_t)limit >> 16);
    } else {
        config_write(bridge, PCI_PREFETCH_BASE, 2, (uint32_t)base >> 16);
        config_write(bridge, PCI_PREFETCH_LIMIT, 2, (uint32_t)limit >> 16);
        config_write(bridge, PCI_PREFETCH_BASE_HIGH, 4, (uint32_t)(base >> 32));
        config_write(bridge, PCI_PREFETCH_LIMIT_HIGH, 4, (uint32_t)(limit >> 32));
    }
}

static struct windows *windows_behind(GHashTable *table, struct pci_device *bridge)
{
    struct windows *windows = g_hash_table_lookup(table, bridge);

    if (!windows) {
        windows = g_new0(struct windows, 1);
        windows->memory.name = "bridge's memory";
        windows->memory64.name = "bridge's prefetchable memory";
        windows->io.name = "bridge's I/O";
        g_hash_table_insert(table, bridge, windows);
    }
    return windows;
}

static void open_window(GHashTable *table, const struct place *place, struct range range)
{
    struct windows *windows = windows_behind(table, place->device);
    struct window *window = place->kind == PLACE_IO       ? &windows->io
                            : place->kind == PLACE_MEMORY ? &windows->memory
                                                          : &windows->memory64;

    write_window(place, range);
    window->range = range;
    window->next = range.start;
}

static bool place_all(struct pci_bus *bus, struct windows *windows, GError **error)
{
    g_autoptr(GHashTable) behind = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    g_autoptr(GArray) places = collect_places(bus);
    GHashTableIter iter;
    gpointer bridge, inner;

    for (unsigned i = 0; i < places->len; i++) {
        const struct place *place = &g_array_index(places, struct place, i);

        first_choice(windows, place)->owed += debt(place);
    }
    for (unsigned i = 0; i < places->len; i++) {
        const struct place *place = &g_array_index(places, struct place, i);
        struct window *window = first_choice(windows, place);
        uint64_t address = 0, size;
        bool taken;

        window->owed -= debt(place);
        size = can_reserve(window, place) ? place->size : place->least;
        taken = size && take(windows, place, size, &address);
        if (!taken && place->least) {
            return fail_place(windows, place, error);
        }
        if (place->kind == PLACE_BAR) {
            write_bar(place, address);
        } else {
            open_window(behind, place, (struct range){address, taken ? size : 0});
        }
    }
    g_hash_table_iter_init(&iter, behind);
    while (g_hash_table_iter_next(&iter, &bridge, &inner)) {
        if (!place_all(pci_device_secondary(bridge), inner, error)) {
            return false;
        }
    }
    return true;
}

/* Number the buses behind those of `bus`, in depth; `last` is the last number given. */
static bool number_buses(struct pci_bus *bus, unsigned *last, GError **error)
{
    for (unsigned devfn = 0; devfn < PCI_DEVFN_COUNT; devfn++) {
        struct pci_device *bridge = bus->devices[devfn];
        struct pci_bus *behind = bridge ? pci_device_secondary(bridge) : NULL;

        if (!behind) {
            continue;
        }
        if (*last == BUS_NUMBER_LAST) {
            return duodm_fail(error, DUODM_ERROR_NO_MEMORY,
                              "bus %s finds no number: there are 256 PCI buses at most",
                              behind->base.name);
        }
        ++*last;
        config_write(bridge, PCI_PRIMARY_BUS, 1, bus->number);
        config_write(bridge, PCI_SECONDARY_BUS, 1, *last);
        config_write(bridge, PCI_SUBORDINATE_BUS, 1, BUS_NUMBER_LAST);
        if (!number_buses(behind, last, error)) {
            return false;
        }
        config_write(bridge, PCI_SUBORDINATE_BUS, 1, *last);
    }
    return true;
}

/* Decoders for what the device has, and its interrupt line. */
static bool enable_device(struct pci_device *device, void *opaque)
{
    const uint8_t *irq_of_line = opaque;
    unsigned pin = device->config[PCI_INTERRUPT_PIN];
    uint32_t command = pci_get(device->config, PCI_COMMAND, 2);

    if (pci_device_secondary(device)) {
        command |= PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
    }
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        if (device->bars[i].region) {
            command |= device->bars[i].is_io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
        }
    }
    config_write(device, PCI_COMMAND, 2, command);
    if (pin) {
        config_write(device, PCI_INTERRUPT_LINE, 1, irq_of_line[pci_interrupt_line_of(device)]);
    }
    return true;
}

bool pci_bus_assign_resources(struct pci_bus *bus, struct range memory_window,
                              struct range memory64_window, struct range io_window,
                              const uint8_t irq_of_line[PCI_LINES], GError **error)
{
    struct windows windows = {
        .memory = {memory_window, memory_window.start, "32-bit memory", 0},
        .memory64 = {memory64_window, memory64_window.start, "64-bit memory", 0},
        .io = {io_window, io_window.start, "I/O", 0},
    };
    unsigned last = 0;
    bool good;

    memory_topology_begin();
    good = number_buses(bus, &last, error) && place_all(bus, &windows, error);
    if (good) {
        pci_bus_visit(bus, enable_device, (void *)irq_of_line);
    }
    memory_topology_commit();
    return good;
}
