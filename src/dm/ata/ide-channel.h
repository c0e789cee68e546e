/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One IDE channel: task file ports, interrupt, bus master. Sections of the bus master are those of
 * "Programming Interface for Bus Master IDE Controller", revision 1.0 (T13 calls it BMIDE). */
#ifndef DUODM_DM_ATA_IDE_CHANNEL_H
#define DUODM_DM_ATA_IDE_CHANNEL_H

#include "dm/ata/ata-drive.h"

#define IDE_DMA_REGISTERS 8u /* ports of each channel */

/* A place in the table of physical regions. */
struct ide_prd_cursor {
    uint16_t entry;
    uint32_t offset; /* bytes into the entry's region */
    bool at_end;     /* past the last */
};

struct ide_channel {
    struct ata_bus bus;          /* first */
    const struct irq_line *line; /* not owned */
    struct memory_region ports, control_port;
    uint8_t device;              /* as written last: selects the drive */
    uint8_t control;             /* device control register */
    bool pending[ATA_BUS_UNITS]; /* a drive asserts INTRQ */
    bool line_level;
    uint8_t dma_command, dma_status;
    uint32_t dma_table;
    struct ide_prd_cursor cursor;
};

/* number: 0 or 1. interrupt: not owned. The regions are made, and mapped by the owner. */
void ide_channel_init(struct ide_channel *channel, struct ata_master *master, unsigned number,
                      const struct irq_line *interrupt);
void ide_channel_destroy(struct ide_channel *channel);
void ide_channel_reset(struct ide_channel *channel);
/* After state was loaded: false, it can't be. */
bool ide_channel_after_load(struct ide_channel *channel);

/* ide-dma.c: the channel's 8 bus master ports, a byte at a time. */
uint8_t ide_dma_read(const struct ide_channel *channel, unsigned offset);
void ide_dma_write(struct ide_channel *channel, unsigned offset, uint8_t value);
void ide_dma_write_table(struct ide_channel *channel, uint32_t address);
/* The drive that is selected; NULL: there is none. */
struct ata_drive *ide_channel_selected(const struct ide_channel *channel);
/* Parts of struct ata_host_ops. */
void ide_dma_wanted(struct ata_bus *bus, struct ata_drive *drive);
void ide_dma_map(struct ata_bus *bus, struct ata_drive *drive, struct ata_sg *sg, uint64_t length);
bool ide_dma_advance(struct ata_bus *bus, struct ata_drive *drive, uint64_t bytes);
void ide_dma_failed(struct ata_bus *bus, struct ata_drive *drive);
void ide_dma_ended(struct ide_channel *channel);
void ide_dma_interrupted(struct ide_channel *channel);

#endif
