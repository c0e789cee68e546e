/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The expansion ROM. Devices may share its decoder with their BARs, and some can't be read once a
 * driver has begun: so it is read in whole when the device comes, and the guest sees the copy.
 */
#include "dm/vfio/vfio-pci.h"
#include "util/trace.h"

static bool copy_rom(struct vfio_pci *vfio, GError **error)
{
    const struct vfio_region *region = &vfio->device->regions[VFIO_REGION_ROM];
    g_autofree uint8_t *image = NULL;

    if (!region->readable || region->size < 4 || region->size > PCI_ROM_MAX) {
        return true;
    }
    image = g_malloc0(region->size);
    /* First its beginning: there may be a register, but no ROM behind it. */
    if (!vfio_device_read_block(vfio->device, VFIO_REGION_ROM, 0, image, 4) ||
        !pci_is_rom(image, 4) ||
        !vfio_device_read_block(vfio->device, VFIO_REGION_ROM, 4, image + 4, region->size - 4)) {
        trace_vfio_no_rom(vfio->device->name);
        return true;
    }
    return pci_register_rom_image(&vfio->pci, image, region->size, error);
}

bool vfio_rom_init(struct vfio_pci *vfio, GError **error)
{
    if (!vfio->rom_bar) {
        return true;
    }
    if (vfio->rom_file) {
        return !*vfio->rom_file || pci_register_rom(&vfio->pci, vfio->rom_file, error);
    }
    return copy_rom(vfio, error);
}
