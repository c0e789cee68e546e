/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/firmware/boot-screen.h"
#include "dm/display/vga.h"
#include "dm/machine.h"
#include "dm/pci/pci-regs.h"
#include "util/little-endian.h"

#define VGA_VENDOR 0x1234
#define VGA_DEVICE 0x1111

#define PORT_DISPI     0x1ce
#define PORT_ATTRIBUTE 0x3c0
#define PORT_STATUS    0x3da
#define PORT_MISC      0x3c2

#define WIDTH  1024
#define HEIGHT 768
#define DEPTH  32

/* struct screen_info, the first 64 bytes of struct boot_params (Documentation/arch/x86/
 * zero-page.rst, include/uapi/linux/screen_info.h). */
#define SCREEN_INFO_SIZE 0x40
#define SCREEN_TYPE      0x0f
#define TYPE_VESA_LINEAR 0x23
#define SCREEN_WIDTH     0x12
#define SCREEN_HEIGHT    0x14
#define SCREEN_DEPTH     0x16
#define SCREEN_BASE      0x18
#define SCREEN_SIZE      0x1c /* in 64 KiB */
#define SCREEN_PITCH     0x24
#define SCREEN_COLORS    0x26 /* size and position of red, green, blue and the rest */
#define SCREEN_PAGES     0x32

static const struct pci_device *find_adapter(struct pci_bus *bus)
{
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        const struct pci_device *device = pci_bus_find(bus, (uint8_t)devfn);

        if (device && pci_get(device->config, PCI_VENDOR_ID, 2) == VGA_VENDOR &&
            pci_get(device->config, PCI_DEVICE_ID, 2) == VGA_DEVICE) {
            return device;
        }
    }
    return NULL;
}

static void out(struct machine *machine, unsigned port, unsigned size, uint32_t value)
{
    address_space_store(&machine->as_io, port, size, MEMORY_ATTRIBUTES_CPU, value);
}

static void set_dispi(struct machine *machine, unsigned index, uint16_t value)
{
    out(machine, PORT_DISPI, 2, index);
    out(machine, PORT_DISPI + 1, 2, value);
}

static void set_mode(struct machine *machine)
{
    uint64_t ignored;

    set_dispi(machine, DISPI_ENABLE, 0);
    set_dispi(machine, DISPI_XRES, WIDTH);
    set_dispi(machine, DISPI_YRES, HEIGHT);
    set_dispi(machine, DISPI_BPP, DEPTH);
    set_dispi(machine, DISPI_ENABLE, DISPI_ENABLED | DISPI_LFB);
    out(machine, PORT_MISC, 1, 1); /* status at 3dah, whose reading resets the flip-flop */
    address_space_load(&machine->as_io, PORT_STATUS, 1, MEMORY_ATTRIBUTES_CPU, &ignored);
    out(machine, PORT_ATTRIBUTE, 1, 0x20); /* picture on */
}

void boot_screen_set_up(struct machine *machine, struct pci_bus *bus, const struct boot_plan *plan)
{
    static const uint8_t colors[] = {8, 16, 8, 8, 8, 0, 8, 24};
    const struct pci_device *adapter = plan->linux_params ? find_adapter(bus) : NULL;
    uint8_t info[SCREEN_INFO_SIZE] = {0};
    uint32_t base;

    if (!adapter || adapter->bars[0].address == UINT64_MAX ||
        adapter->bars[0].size < WIDTH * HEIGHT * DEPTH / 8) {
        return;
    }
    base = (uint32_t)adapter->bars[0].address; /* a BAR of 32 bits */
    set_mode(machine);
    info[SCREEN_TYPE] = TYPE_VESA_LINEAR;
    store_le16(info + SCREEN_WIDTH, WIDTH);
    store_le16(info + SCREEN_HEIGHT, HEIGHT);
    store_le16(info + SCREEN_DEPTH, DEPTH);
    store_le32(info + SCREEN_BASE, base);
    store_le32(info + SCREEN_SIZE, (uint32_t)(adapter->bars[0].size >> 16));
    store_le16(info + SCREEN_PITCH, WIDTH * DEPTH / 8);
    memcpy(info + SCREEN_COLORS, colors, sizeof(colors));
    store_le16(info + SCREEN_PAGES, 1);
    address_space_write(&machine->as_memory, plan->linux_params, MEMORY_ATTRIBUTES_CPU, info,
                        sizeof(info));
}
