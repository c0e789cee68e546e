/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bus master of an IDE channel: registers, and its table of physical regions. */
#include "dm/ata/ide-channel.h"
#include "util/little-endian.h"

/* Registers: 2.0. */
#define BM_COMMAND 0u
#define BM_STATUS  2u
#define BM_TABLE   4u

#define COMMAND_START     0x01u
#define COMMAND_TO_MEMORY 0x08u
#define STATUS_ACTIVE     0x01u
#define STATUS_ERROR      0x02u
#define STATUS_INTERRUPT  0x04u
#define STATUS_CAPABLE    0x60u /* drives 0 and 1 can do DMA: for software to keep */

#define PRD_SIZE      8u /* bytes: address, count, flags: 1.2 */
#define PRD_END       0x80000000u
#define PRD_TABLE_MAX 0x10000u /* a table does not cross 64 KiB */

static struct ide_channel *channel_of(struct ata_bus *bus)
{
    return (struct ide_channel *)bus;
}

/* ---- Regions ---- */

/* The rest of the region that the cursor stands in. False: there is none. */
static bool look_at_region(const struct ide_channel *channel, const struct ide_prd_cursor *cursor,
                           uint32_t *address, uint32_t *left, bool *is_last)
{
    uint32_t place = channel->dma_table + cursor->entry * PRD_SIZE, count;
    uint8_t prd[PRD_SIZE];

    if (cursor->at_end || (channel->dma_table & (PRD_TABLE_MAX - 1)) + cursor->entry * PRD_SIZE >
                              PRD_TABLE_MAX - PRD_SIZE) {
        return false;
    }
    if (pci_dma_read(channel->bus.controller, place, prd, PRD_SIZE) != MEMORY_OK) {
        return false;
    }
    count = load_le32(prd + 4) & 0xfffe;
    count = count ? count : 0x10000;
    if (cursor->offset >= count) { /* a guest that writes to the table meanwhile */
        return false;
    }
    *address = (load_le32(prd) & ~1u) + cursor->offset;
    *left = count - cursor->offset;
    *is_last = load_le32(prd + 4) & PRD_END;
    return true;
}

static void move_cursor(struct ide_prd_cursor *cursor, uint32_t bytes, uint32_t left, bool is_last)
{
    if (bytes < left) {
        cursor->offset += bytes;
        return;
    }
    cursor->entry++;
    cursor->offset = 0;
    cursor->at_end = is_last;
}

void ide_dma_map(struct ata_bus *bus, struct ata_drive *drive, struct ata_sg *sg, uint64_t length)
{
    struct ide_channel *channel = channel_of(bus);
    struct ide_prd_cursor cursor = channel->cursor;
    uint32_t address, left;
    bool is_last;

    while (sg->length < length && look_at_region(channel, &cursor, &address, &left, &is_last)) {
        uint32_t piece = (uint32_t)MIN(left, length - sg->length);

        if (ata_sg_add(sg, bus->master, address, piece) < piece) {
            return;
        }
        move_cursor(&cursor, piece, left, is_last);
    }
}

static void advance(struct ide_channel *channel, uint64_t bytes)
{
    uint32_t address, left;
    bool is_last;

    while (bytes && look_at_region(channel, &channel->cursor, &address, &left, &is_last)) {
        uint32_t piece = (uint32_t)MIN(left, bytes);

        move_cursor(&channel->cursor, piece, left, is_last);
        bytes -= piece;
    }
}

/* ---- Transfers ---- */

bool ide_dma_advance(struct ata_bus *bus, struct ata_drive *drive, uint64_t bytes)
{
    struct ide_channel *channel = channel_of(bus);

    advance(channel, bytes);
    if (channel->dma_command & COMMAND_START) {
        return true;
    }
    channel->dma_status &= (uint8_t)~STATUS_ACTIVE; /* stopped meanwhile */
    return false;
}

void ide_dma_failed(struct ata_bus *bus, struct ata_drive *drive)
{
    struct ide_channel *channel = channel_of(bus);

    channel->dma_status |= STATUS_ERROR;
    channel->dma_status &= (uint8_t)~STATUS_ACTIVE;
}

/* 2.1: active falls with the last region, not with the drive's last byte. */
void ide_dma_ended(struct ide_channel *channel)
{
    if (channel->cursor.at_end || !(channel->dma_command & COMMAND_START)) {
        channel->dma_status &= (uint8_t)~STATUS_ACTIVE;
    }
}

void ide_dma_interrupted(struct ide_channel *channel)
{
    channel->dma_status |= STATUS_INTERRUPT;
}

/* If drive and bus master are both ready: go. */
static void try_start(struct ide_channel *channel)
{
    struct ata_drive *drive = ide_channel_selected(channel);
    bool to_memory = channel->dma_command & COMMAND_TO_MEMORY;

    if (drive && drive->phase == ATA_DMA && (channel->dma_command & COMMAND_START)) {
        if (drive->transfer.to_host == to_memory) {
            ata_dma_run(drive);
        } else {
            ide_dma_failed(&channel->bus, drive);
            ata_fail(drive, ATA_ERROR_ABRT);
        }
    }
}

void ide_dma_wanted(struct ata_bus *bus, struct ata_drive *drive)
{
    try_start(channel_of(bus));
}

/* ---- Registers ---- */

uint8_t ide_dma_read(const struct ide_channel *channel, unsigned offset)
{
    switch (offset) {
    case BM_COMMAND:
        return channel->dma_command;
    case BM_STATUS:
        return channel->dma_status;
    case BM_TABLE:
    case BM_TABLE + 1:
    case BM_TABLE + 2:
    case BM_TABLE + 3:
        return (uint8_t)(channel->dma_table >> (8 * (offset - BM_TABLE)));
    default:
        return 0;
    }
}

static void write_command(struct ide_channel *channel, uint8_t value)
{
    const struct ata_drive *drive = ide_channel_selected(channel);
    uint8_t changed = (uint8_t)(channel->dma_command ^ value);
    uint8_t writable = COMMAND_START;

    if (!(channel->dma_command & COMMAND_START)) {
        writable |= COMMAND_TO_MEMORY; /* not while it runs: 2.0 */
    }
    channel->dma_command = (uint8_t)((channel->dma_command & ~writable) | (value & writable));
    if (!(changed & COMMAND_START)) {
        return;
    }
    if (value & COMMAND_START) {
        channel->cursor = (struct ide_prd_cursor){0};
        channel->dma_status |= STATUS_ACTIVE;
        try_start(channel);
    } else if (!drive || drive->transfer.mode != ATA_MODE_DMA || !ata_drive_is_working(drive)) {
        channel->dma_status &= (uint8_t)~STATUS_ACTIVE; /* else when what is in flight has ended */
    }
}

void ide_dma_write_table(struct ide_channel *channel, uint32_t address)
{
    if (!(channel->dma_status & STATUS_ACTIVE)) {
        channel->dma_table = address & ~3u;
    }
}

void ide_dma_write(struct ide_channel *channel, unsigned offset, uint8_t value)
{
    unsigned shift = 8 * (offset - BM_TABLE);

    switch (offset) {
    case BM_COMMAND:
        write_command(channel, value);
        break;
    case BM_STATUS:
        channel->dma_status =
            (uint8_t)((channel->dma_status & (STATUS_ACTIVE | STATUS_ERROR | STATUS_INTERRUPT) &
                       ~(value & (STATUS_ERROR | STATUS_INTERRUPT))) |
                      (value & STATUS_CAPABLE));
        break;
    case BM_TABLE:
    case BM_TABLE + 1:
    case BM_TABLE + 2:
    case BM_TABLE + 3:
        ide_dma_write_table(channel,
                            (channel->dma_table & ~(0xffu << shift)) | (uint32_t)value << shift);
        break;
    default:
        break;
    }
}
