/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82371SB (PIIX3), function 1: two IDE channels at the ports and interrupts of the PC/AT,
 * with bus master DMA. Sections are those of the datasheet, Intel order number 290550.
 */
#include "dm/ata/ide-channel.h"
#include "dm/machine.h"
#include "dm/pci/chipset.h"
#include "dm/pci/pci-regs.h"

#define IDETIM        0x40u   /* timing, 16 bits for each channel: 2.3.9 */
#define IDETIM_ENABLE 0x8000u /* the channel's ports are decoded */
#define SIDETIM       0x44u
#define DMA_BAR       4 /* BMIBA: 2.3.7 */
#define DMA_PORTS     (2 * IDE_DMA_REGISTERS)
#define CHANNELS      2

struct piix3_ide {
    struct pci_device pci;
    struct ata_master master;
    struct ide_channel channels[CHANNELS];
    struct memory_region dma;
};

static const struct {
    uint16_t ports, control;
    uint8_t interrupt;
} channel_places[CHANNELS] = {{0x1f0, 0x3f6, 14}, {0x170, 0x376, 15}};

/* ---- Bus master ports ---- */

static enum memory_result dma_read(void *opaque, uint64_t offset, unsigned size,
                                   struct memory_attributes attributes, uint64_t *value)
{
    const struct piix3_ide *ide = opaque;

    *value = 0;
    for (unsigned i = 0; i < size; i++) {
        unsigned port = (unsigned)offset + i;

        *value |= (uint64_t)ide_dma_read(&ide->channels[port / IDE_DMA_REGISTERS],
                                         port % IDE_DMA_REGISTERS)
                  << (8 * i);
    }
    return MEMORY_OK;
}

static enum memory_result dma_write(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t value)
{
    struct piix3_ide *ide = opaque;

    for (unsigned i = 0; i < size; i++) {
        unsigned port = (unsigned)offset + i;

        ide_dma_write(&ide->channels[port / IDE_DMA_REGISTERS], port % IDE_DMA_REGISTERS,
                      (uint8_t)(value >> (8 * i)));
    }
    return MEMORY_OK;
}

static const struct memory_region_ops dma_ops = {
    .read = dma_read,
    .write = dma_write,
    .valid = {.min_size = 1, .max_size = 4},
    .implemented = {.min_size = 1, .max_size = 4},
};

/* ---- The function ---- */

/* The channels are decoded where both their timing register and the command register say so. */
static void update_ports(struct piix3_ide *ide)
{
    const uint8_t *config = ide->pci.config;
    bool io = pci_get(config, PCI_COMMAND, 2) & PCI_COMMAND_IO;

    memory_topology_begin();
    for (unsigned i = 0; i < CHANNELS; i++) {
        bool enabled = io && (pci_get(config, IDETIM + 2 * i, 2) & IDETIM_ENABLE);

        memory_region_set_enabled(&ide->channels[i].ports, enabled);
        memory_region_set_enabled(&ide->channels[i].control_port, enabled);
    }
    memory_topology_commit();
}

static void ide_config_written(struct pci_device *device, unsigned offset, unsigned length)
{
    if (offset < PCI_COMMAND + 2 || (offset < SIDETIM && offset + length > IDETIM)) {
        update_ports((struct piix3_ide *)device);
    }
}

void piix3_ide_enable(struct pci_device *pci)
{
    pci_bus_config_write(pci->pci_bus, 0, pci->devfn, IDETIM, 2, IDETIM_ENABLE);
    pci_bus_config_write(pci->pci_bus, 0, pci->devfn, IDETIM + 2, 2, IDETIM_ENABLE);
}

static void init_registers(struct pci_device *pci)
{
    pci_put(pci->write_mask, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
    pci_put(pci->config, PCI_STATUS, 2, PCI_STATUS_FAST_BACK | PCI_STATUS_DEVSEL_MEDIUM);
    pci->write_mask[PCI_CACHE_LINE_SIZE] = 0;
    pci->write_mask[PCI_INTERRUPT_LINE] = 0;
    pci_put(pci->write_mask, IDETIM, 2, 0xffff);
    pci_put(pci->write_mask, IDETIM + 2, 2, 0xffff);
    pci->write_mask[SIDETIM] = 0xff;
}

static bool ide_realize(struct device *device, GError **error)
{
    struct piix3_ide *ide = (struct piix3_ide *)device;
    struct machine *machine = device->machine;

    if (!ata_master_init(&ide->master, &ide->pci, error)) {
        return false;
    }
    init_registers(&ide->pci);
    memory_topology_begin();
    for (unsigned i = 0; i < CHANNELS; i++) {
        struct ide_channel *channel = &ide->channels[i];

        ide_channel_init(channel, &ide->master, i, &machine->gsi[channel_places[i].interrupt]);
        memory_region_set_enabled(&channel->ports, false);
        memory_region_set_enabled(&channel->control_port, false);
        memory_region_add_subregion(&machine->system_io, channel_places[i].ports, &channel->ports);
        memory_region_add_subregion(&machine->system_io, channel_places[i].control,
                                    &channel->control_port);
    }
    memory_topology_commit();
    memory_region_init_mmio(&ide->dma, "ide-dma", DMA_PORTS, &dma_ops, ide, &device->guard);
    pci_register_bar(&ide->pci, DMA_BAR, &ide->dma, true, false, false);
    return true;
}

static void ide_unrealize(struct device *device)
{
    struct piix3_ide *ide = (struct piix3_ide *)device;

    for (unsigned i = CHANNELS; i-- > 0;) {
        ide_channel_destroy(&ide->channels[i]);
    }
    ata_master_destroy(&ide->master);
    memory_region_destroy(&ide->dma);
}

static void ide_reset(struct device *device)
{
    struct piix3_ide *ide = (struct piix3_ide *)device;

    for (unsigned i = 0; i < CHANNELS; i++) {
        ide_channel_reset(&ide->channels[i]);
    }
    update_ports(ide);
}

static bool ide_after_load(void *object)
{
    struct piix3_ide *ide = object;

    update_ports(ide);
    return ide_channel_after_load(&ide->channels[0]) && ide_channel_after_load(&ide->channels[1]);
}

#define CHANNEL_STATE(index_)                                                                      \
    STATE(UINT8, piix3_ide, channels[index_].device, 1),                                           \
        STATE(UINT8, piix3_ide, channels[index_].control, 1),                                      \
        STATE(BOOL, piix3_ide, channels[index_].pending[0], 1),                                    \
        STATE(BOOL, piix3_ide, channels[index_].pending[1], 1),                                    \
        STATE(BOOL, piix3_ide, channels[index_].line_level, 1),                                    \
        STATE(UINT8, piix3_ide, channels[index_].dma_command, 1),                                  \
        STATE(UINT8, piix3_ide, channels[index_].dma_status, 1),                                   \
        STATE(UINT32, piix3_ide, channels[index_].dma_table, 1),                                   \
        STATE(UINT16, piix3_ide, channels[index_].cursor.entry, 1),                                \
        STATE(UINT32, piix3_ide, channels[index_].cursor.offset, 1),                               \
        STATE(BOOL, piix3_ide, channels[index_].cursor.at_end, 1)

static const struct state_field ide_fields[] = {
    CHANNEL_STATE(0),
    CHANNEL_STATE(1),
    STATE_END,
};

static const struct state_description ide_state = {
    .name = "piix3-ide",
    .version = 1,
    .fields = ide_fields,
    .after_load = ide_after_load,
};

static const struct property ide_properties[] = {
    PCI_DEVICE_PROPERTIES,
    PROPERTY_END,
};

static bool ide_iommu_changed(struct pci_device *pci, GError **error)
{
    return ata_master_follow(&((struct piix3_ide *)pci)->master, error);
}

static const struct pci_class ide_pci_class = {
    .vendor_id = 0x8086,
    .device_id = 0x7010,
    .subsystem_vendor_id = CHIPSET_SUBSYSTEM_VENDOR,
    .subsystem_id = CHIPSET_SUBSYSTEM,
    .class_code = 0x010180, /* IDE at fixed ports, bus master */
    .config_written = ide_config_written,
    .iommu_changed = ide_iommu_changed,
};

const struct device_class piix3_ide_class = {
    .name = "piix3-ide",
    .description = "82371SB IDE controller",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct piix3_ide),
    .properties = ide_properties,
    .state = &ide_state,
    .realize = ide_realize,
    .unrealize = ide_unrealize,
    .reset = ide_reset,
    .bus_class = &ide_pci_class,
};
