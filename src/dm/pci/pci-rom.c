/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Expansion ROMs (PCI 3.0, 6.2.5.2 and 6.3). */
#include "dm/boot/boot-file.h"
#include "dm/boot/firmware-image.h"
#include "dm/machine.h"
#include "dm/pci/pci-bus.h"
#include "dm/pci/pci-regs.h"
#include "util/error.h"

#include <string.h>

#define ROM_SIZE_MIN 0x800u /* what the register can tell */

static uint64_t power_of_two(uint64_t size)
{
    uint64_t power = ROM_SIZE_MIN;

    while (power < size) {
        power *= 2;
    }
    return power;
}

bool pci_is_rom(const uint8_t *data, uint64_t length)
{
    return length >= 3 && data[0] == 0x55 && data[1] == 0xaa;
}

bool pci_register_rom_image(struct pci_device *device, const uint8_t *data, uint64_t length,
                            GError **error)
{
    uint64_t size = power_of_two(length);

    if (!memory_region_init_rom(&device->rom_memory, "option-rom", size, error)) {
        return false;
    }
    memcpy(memory_region_host_pointer(&device->rom_memory), data, length);
    device->rom = (struct pci_bar){
        .region = &device->rom_memory, .size = size, .is_rom = true, .address = UINT64_MAX};
    pci_put(device->write_mask, PCI_ROM_ADDRESS, 4, (uint32_t) ~(size - 1) | PCI_ROM_ENABLE);
    return true;
}

bool pci_register_rom(struct pci_device *device, const char *file, GError **error)
{
    g_autofree char *path = firmware_file_find(&device->device.machine->config, file, error);
    g_autoptr(GBytes) image = NULL;
    const uint8_t *data;
    gsize length;

    if (path) {
        image = boot_file_read("option ROM", path, PCI_ROM_MAX, "the most that is possible", error);
    }
    if (!image) {
        return false;
    }
    data = g_bytes_get_data(image, &length);
    if (!pci_is_rom(data, length)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "'%s' is no option ROM: it does not begin with 55h AAh", path);
    }
    return pci_register_rom_image(device, data, length, error);
}

void pci_rom_release(struct pci_device *device)
{
    memory_region_destroy(&device->rom_memory);
    memset(&device->rom, 0, sizeof(device->rom));
}
