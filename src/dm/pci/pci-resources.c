/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What firmware does with the bus before it starts a kernel: every BAR gets an address, every pin
 * an interrupt line, and every device its decoders switched on. Done by config cycles alone.
 */
#include "dm/pci/pci-bus.h"
#include "dm/pci/pci-regs.h"
#include "util/error.h"

#include <inttypes.h>

/* A window and how far it is given away. */
struct window {
    struct range range;
    uint64_t next;
    const char *name;
};

/* A naturally aligned piece; false if the window has no room. */
static bool window_take(struct window *window, uint64_t size, uint64_t *address)
{
    uint64_t end = window->range.start + window->range.length;
    uint64_t start = (window->next + size - 1) & ~(size - 1);

    if (start < window->next || start > end || size > end - start) {
        return false;
    }
    *address = start;
    window->next = start + size;
    return true;
}

struct bar_place {
    struct pci_device *device;
    unsigned number;
};

/* Largest first, so that natural alignment leaves no gaps. */
static int compare_size(gconstpointer a, gconstpointer b)
{
    const struct bar_place *x = a, *y = b;
    uint64_t size_x = x->device->bars[x->number].size, size_y = y->device->bars[y->number].size;

    if (size_x != size_y) {
        return size_x > size_y ? -1 : 1;
    }
    if (x->device->devfn != y->device->devfn) {
        return x->device->devfn - y->device->devfn;
    }
    return (int)x->number - (int)y->number;
}

static GArray *collect_bars(struct pci_bus *bus)
{
    GArray *places = g_array_new(FALSE, FALSE, sizeof(struct bar_place));

    for (unsigned devfn = 0; devfn < PCI_DEVFN_COUNT; devfn++) {
        for (unsigned i = 0; bus->devices[devfn] && i < PCI_BAR_COUNT; i++) {
            struct bar_place place = {bus->devices[devfn], i};

            if (place.device->bars[i].region) {
                g_array_append_val(places, place);
            }
        }
    }
    g_array_sort(places, compare_size);
    return places;
}

static void config_write(struct pci_bus *bus, const struct pci_device *device, unsigned offset,
                         unsigned size, uint32_t value)
{
    pci_bus_config_write(bus, 0, device->devfn, offset, size, value);
}

/* Give one BAR an address: 64-bit ones above 4 GiB if that window has room, else below. */
static bool place_bar(struct pci_bus *bus, const struct bar_place *place, struct window *memory,
                      struct window *memory64, struct window *io, GError **error)
{
    const struct pci_bar *bar = &place->device->bars[place->number];
    unsigned offset = PCI_BASE_ADDRESS_0 + 4 * place->number;
    struct window *window = bar->is_io ? io : memory;
    uint64_t address;
    bool placed =
        bar->is_64 && memory64->range.length && window_take(memory64, bar->size, &address);

    if (!placed && !window_take(window, bar->size, &address)) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY,
                          "BAR %u of PCI device '%s' (%" PRIu64 " bytes) finds no room in the %s "
                          "window",
                          place->number, place->device->device.class->name, bar->size,
                          window->name);
    }
    config_write(bus, place->device, offset, 4, (uint32_t)address);
    if (bar->is_64) {
        config_write(bus, place->device, offset + 4, 4, (uint32_t)(address >> 32));
    }
    return true;
}

/* Decoders for what the device has, and its interrupt line. */
static void enable_device(struct pci_bus *bus, struct pci_device *device,
                          const uint8_t irq_of_line[PCI_LINES])
{
    unsigned pin = device->config[PCI_INTERRUPT_PIN];
    uint32_t command = pci_bus_config_read(bus, 0, device->devfn, PCI_COMMAND, 2);

    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        if (device->bars[i].region) {
            command |= device->bars[i].is_io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
        }
    }
    config_write(bus, device, PCI_COMMAND, 2, command);
    if (pin) {
        config_write(bus, device, PCI_INTERRUPT_LINE, 1,
                     irq_of_line[pci_interrupt_line_of(device)]);
    }
}

bool pci_bus_assign_resources(struct pci_bus *bus, struct range memory_window,
                              struct range memory64_window, struct range io_window,
                              const uint8_t irq_of_line[PCI_LINES], GError **error)
{
    struct window memory = {memory_window, memory_window.start, "32-bit memory"};
    struct window memory64 = {memory64_window, memory64_window.start, "64-bit memory"};
    struct window io = {io_window, io_window.start, "I/O"};
    g_autoptr(GArray) places = collect_bars(bus);
    bool good = true;

    memory_topology_begin();
    for (unsigned i = 0; good && i < places->len; i++) {
        good = place_bar(bus, &g_array_index(places, struct bar_place, i), &memory, &memory64, &io,
                         error);
    }
    for (unsigned devfn = 0; good && devfn < PCI_DEVFN_COUNT; devfn++) {
        if (bus->devices[devfn]) {
            enable_device(bus, bus->devices[devfn], irq_of_line);
        }
    }
    memory_topology_commit();
    return good;
}
