/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/pci/pci-ecam.h"

/* Over BARs that a guest puts there: the host bridge decodes first. */
#define ECAM_PRIORITY 2

static enum memory_result ecam_read(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t *value)
{
    const struct pci_ecam *ecam = opaque;

    *value = pci_bus_config_read(ecam->bus, (unsigned)(offset >> 20), offset >> 12 & 0xff,
                                 offset & 0xfff, size);
    return MEMORY_OK;
}

static enum memory_result ecam_write(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t value)
{
    const struct pci_ecam *ecam = opaque;

    pci_bus_config_write(ecam->bus, (unsigned)(offset >> 20), offset >> 12 & 0xff, offset & 0xfff,
                         size, (uint32_t)value);
    return MEMORY_OK;
}

static const struct memory_region_ops ecam_ops = {
    .read = ecam_read,
    .write = ecam_write,
    .valid = {.min_size = 1, .max_size = 4},
    .implemented = {.min_size = 1, .max_size = 4},
};

void pci_ecam_init(struct pci_ecam *ecam, struct pci_bus *bus, struct memory_region *memory)
{
    ecam->bus = bus;
    memory_region_init_mmio(&ecam->space, "pcie-mmcfg", PCI_ECAM_SIZE, &ecam_ops, ecam, NULL);
    for (unsigned i = 0; i < PCI_ECAM_WINDOWS; i++) {
        memory_region_init_alias(&ecam->windows[i], "pcie-mmcfg-window", &ecam->space, 0,
                                 PCI_ECAM_SIZE >> i);
        memory_region_set_enabled(&ecam->windows[i], false);
        memory_region_add_subregion_overlap(memory, 0, &ecam->windows[i], ECAM_PRIORITY);
    }
}

void pci_ecam_map(struct pci_ecam *ecam, uint64_t start, unsigned window)
{
    memory_topology_begin();
    for (unsigned i = 0; i < PCI_ECAM_WINDOWS; i++) {
        if (i == window) {
            memory_region_set_offset(&ecam->windows[i], start);
        }
        memory_region_set_enabled(&ecam->windows[i], i == window);
    }
    memory_topology_commit();
}

void pci_ecam_destroy(struct pci_ecam *ecam)
{
    for (unsigned i = 0; i < PCI_ECAM_WINDOWS; i++) {
        memory_region_destroy(&ecam->windows[i]);
    }
    memory_region_destroy(&ecam->space);
}
