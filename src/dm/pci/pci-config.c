/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Config space: which bits a guest may change, and what the change does (PCI 3.0, chapter 6). */
#include "dm/pci/pci-bus.h"
#include "dm/pci/pci-regs.h"
#include "dm/machine.h"

#include <assert.h>

#define IO_SPACE_SIZE 0x10000u

/* A BAR decodes before what lies on the ISA side of the bridge: positive before subtractive. */
#define BAR_PRIORITY 1

uint32_t pci_device_config_read(struct pci_device *device, unsigned offset, unsigned length)
{
    uint32_t value = pci_get(device->config, offset, length);
    bool level = __atomic_load_n(&device->interrupt_level, __ATOMIC_RELAXED);

    /* The interrupt status bit shows the pin's level, whether or not it is disabled. */
    if (level && offset <= PCI_STATUS && offset + length > PCI_STATUS) {
        value |= (uint32_t)PCI_STATUS_INTERRUPT << (8 * (PCI_STATUS - offset));
    }
    return pci_msi_show_pending(device, offset, length, value);
}

uint32_t pci_config_read(struct pci_device *device, unsigned offset, unsigned size)
{
    const struct pci_class *class = pci_class_of(device);

    return class->config_read ? class->config_read(device, offset, size)
                              : pci_device_config_read(device, offset, size);
}

/* Where the register at `offset` says that a BAR is; UINT64_MAX if nowhere. */
static uint64_t bar_address(const struct pci_device *device, const struct pci_bar *bar,
                            unsigned offset)
{
    uint32_t command = pci_get(device->config, PCI_COMMAND, 2);
    uint64_t address = pci_get(device->config, offset, 4), limit;

    if (!(command & (bar->is_io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY))) {
        return UINT64_MAX;
    }
    if (bar->is_rom && !(address & PCI_ROM_ENABLE)) {
        return UINT64_MAX;
    }
    if (bar->is_64) {
        address |= (uint64_t)pci_get(device->config, offset + 4, 4) << 32;
    }
    address &= ~(bar->size - 1);
    /* The end of the space is not decoded: that is a BAR being sized, all ones. Nor is address 0,
     * where no firmware puts a BAR: that is one not set yet. */
    limit = bar->is_io ? IO_SPACE_SIZE : address >> 32 ? MACHINE_MEMORY_SIZE : 1ull << 32;
    if (address == 0 || address >= limit || bar->size >= limit - address) {
        return UINT64_MAX;
    }
    return address;
}

static void update_bar(struct pci_device *device, struct pci_bar *bar, unsigned offset)
{
    struct pci_bus *bus = device->pci_bus;
    struct memory_region *space = bar->is_io ? bus->io_space : bus->memory_space;
    uint64_t address = bar_address(device, bar, offset);

    if (address == bar->address) {
        return;
    }
    if (bar->address != UINT64_MAX) {
        memory_region_remove_subregion(space, bar->region);
    }
    if (address != UINT64_MAX) {
        memory_region_add_subregion_overlap(space, address, bar->region, BAR_PRIORITY);
    }
    bar->address = address;
}

bool pci_device_is_master(const struct pci_device *device)
{
    return pci_get(device->config, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
}

void pci_device_update_mappings(struct pci_device *device)
{
    memory_topology_begin();
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        if (device->bars[i].region) {
            update_bar(device, &device->bars[i], PCI_BASE_ADDRESS_0 + 4 * i);
        }
    }
    if (device->rom.region) {
        update_bar(device, &device->rom, PCI_ROM_ADDRESS);
    }
    memory_region_set_enabled(&device->dma_window, pci_device_is_master(device));
    memory_topology_commit();
}

static bool overlaps(unsigned offset, unsigned length, unsigned start, unsigned end)
{
    return offset < end && start < offset + length;
}

void pci_config_write(struct pci_device *device, unsigned offset, unsigned size, uint32_t value)
{
    const struct pci_class *class = pci_class_of(device);

    if (class->config_write) {
        class->config_write(device, offset, size, value);
    }
    for (unsigned i = 0; i < size; i++) {
        unsigned o = offset + i;
        uint8_t byte = (uint8_t)(value >> (8 * i)), mask = device->write_mask[o];

        device->config[o] = (uint8_t)((device->config[o] & ~mask) | (byte & mask));
        device->config[o] &= (uint8_t) ~(byte & device->clear_mask[o]);
    }
    if (overlaps(offset, size, PCI_COMMAND, PCI_COMMAND + 2)) {
        pci_device_update_interrupt(device);
        pci_device_update_mappings(device);
    } else if (overlaps(offset, size, PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_0 + 4 * PCI_BAR_COUNT) ||
               overlaps(offset, size, PCI_ROM_ADDRESS, PCI_ROM_ADDRESS + 4)) {
        pci_device_update_mappings(device);
    }
    if (device->msi.capability &&
        overlaps(offset, size, device->msi.capability, device->msi.capability + PCI_MSI_SIZE_MAX)) {
        pci_msi_update(device);
    }
    if (device->msix.capability &&
        overlaps(offset, size, device->msix.capability, device->msix.capability + PCI_MSIX_SIZE)) {
        pci_msix_update(device);
    }
    if (class->config_written) {
        class->config_written(device, offset, size);
    }
}

/* Making a device's config space. */

void pci_register_bar(struct pci_device *device, unsigned number, struct memory_region *region,
                      bool is_io, bool is_64, bool prefetchable)
{
    unsigned offset = PCI_BASE_ADDRESS_0 + 4 * number;
    uint64_t size = region->size, mask = ~(size - 1);
    uint32_t flags =
        is_io ? PCI_BAR_IO : (is_64 ? PCI_BAR_64 : 0) | (prefetchable ? PCI_BAR_PREFETCHABLE : 0);

    assert(number + is_64 < PCI_BAR_COUNT && !device->bars[number].region);
    assert((size & (size - 1)) == 0 && size >= (is_io ? 4 : 16));
    assert(is_io ? size <= 256 && !is_64 : is_64 || size <= 1ull << 31);
    device->bars[number] = (struct pci_bar){
        .region = region,
        .size = size,
        .is_io = is_io,
        .is_64 = is_64,
        .prefetchable = prefetchable,
        .address = UINT64_MAX,
    };
    pci_put(device->config, offset, 4, flags);
    pci_put(device->write_mask, offset, 4, (uint32_t)mask);
    if (is_64) {
        pci_put(device->write_mask, offset + 4, 4, (uint32_t)(mask >> 32));
    }
}

unsigned pci_add_capability(struct pci_device *device, uint8_t id, unsigned size)
{
    unsigned offset = MAX(device->capabilities_end, PCI_HEADER_END), length = (size + 3) & ~3u;

    assert(size >= 2);
    if (offset + length > PCI_CONFIG_SIZE) {
        return 0;
    }
    device->capabilities_end = (uint16_t)(offset + length);
    device->config[offset] = id;
    device->config[offset + 1] = device->config[PCI_CAPABILITY_LIST];
    device->config[PCI_CAPABILITY_LIST] = (uint8_t)offset;
    pci_put(device->config, PCI_STATUS, 2,
            pci_get(device->config, PCI_STATUS, 2) | PCI_STATUS_CAPABILITIES);
    return offset;
}
