/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/pci/config-ports.h"

#define CONFADD_PORT  0xcf8u
#define CONFADD_ON    0x80000000u
#define PORT_PRIORITY 2 /* above the BARs: the bridge decodes these ports first */

static enum memory_result confadd_read(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t *value)
{
    struct pci_config_ports *ports = opaque;

    *value = UINT64_MAX;
    if (offset == 0 && size == 4) {
        *value = __atomic_load_n(&ports->address, __ATOMIC_RELAXED);
    } else if (offset == 1 && size == 1 && ports->reset_port) {
        return memory_region_dispatch_read(ports->reset_port, 0, 1, attributes, value);
    }
    return MEMORY_OK;
}

static enum memory_result confadd_write(void *opaque, uint64_t offset, unsigned size,
                                        struct memory_attributes attributes, uint64_t value)
{
    struct pci_config_ports *ports = opaque;

    if (offset == 0 && size == 4) {
        __atomic_store_n(&ports->address, (uint32_t)value & PCI_CONFADD_MASK, __ATOMIC_RELAXED);
    } else if (offset == 1 && size == 1 && ports->reset_port) {
        return memory_region_dispatch_write(ports->reset_port, 0, 1, attributes, value);
    }
    return MEMORY_OK;
}

static enum memory_result confdata_read(void *opaque, uint64_t offset, unsigned size,
                                        struct memory_attributes attributes, uint64_t *value)
{
    struct pci_config_ports *ports = opaque;
    uint32_t address = __atomic_load_n(&ports->address, __ATOMIC_RELAXED);

    *value = UINT64_MAX;
    if (address & CONFADD_ON) {
        *value = pci_bus_config_read(ports->bus, address >> 16 & 0xff, address >> 8 & 0xff,
                                     (address & 0xfc) + (unsigned)offset, size);
    }
    return MEMORY_OK;
}

static enum memory_result confdata_write(void *opaque, uint64_t offset, unsigned size,
                                         struct memory_attributes attributes, uint64_t value)
{
    struct pci_config_ports *ports = opaque;
    uint32_t address = __atomic_load_n(&ports->address, __ATOMIC_RELAXED);

    if (address & CONFADD_ON) {
        pci_bus_config_write(ports->bus, address >> 16 & 0xff, address >> 8 & 0xff,
                             (address & 0xfc) + (unsigned)offset, size, (uint32_t)value);
    }
    return MEMORY_OK;
}

static const struct memory_region_ops confadd_ops = {
    .read = confadd_read,
    .write = confadd_write,
    .valid = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
};

static const struct memory_region_ops confdata_ops = {
    .read = confdata_read,
    .write = confdata_write,
    .valid = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
};

void pci_config_ports_init(struct pci_config_ports *ports, struct pci_bus *bus)
{
    struct memory_region *io = pci_bus_io_space(bus);

    ports->bus = bus;
    memory_region_init_mmio(&ports->address_ports, "pci-config-address", 4, &confadd_ops, ports,
                            NULL);
    memory_region_init_mmio(&ports->data_ports, "pci-config-data", 4, &confdata_ops, ports, NULL);
    memory_region_add_subregion_overlap(io, CONFADD_PORT, &ports->address_ports, PORT_PRIORITY);
    memory_region_add_subregion_overlap(io, CONFADD_PORT + 4, &ports->data_ports, PORT_PRIORITY);
}

void pci_config_ports_destroy(struct pci_config_ports *ports)
{
    memory_region_destroy(&ports->data_ports);
    memory_region_destroy(&ports->address_ports);
}

void pci_config_ports_reset(struct pci_config_ports *ports)
{
    __atomic_store_n(&ports->address, 0, __ATOMIC_RELAXED);
}
