/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The course of a command's data: programmed I/O in blocks, DMA in parts, and the end. The
 * protocols are those of ATA/ATAPI-6, 9.5 (PIO in), 9.6 (PIO out), 9.7 (DMA), 9.8 (PACKET). */
#include "dm/ata/ata-drive.h"

static void end_command(struct ata_drive *drive, uint8_t status, bool interrupt)
{
    struct ata_bus *bus = ata_drive_bus(drive);

    drive->phase = ATA_IDLE;
    drive->regs.status = status;
    if (drive->is_packet && drive->regs.command == ATA_PACKET) {
        drive->regs.count = ATAPI_REASON_CD | ATAPI_REASON_IO;
    }
    bus->ops->ended(bus, drive, interrupt);
}

void ata_succeed(struct ata_drive *drive)
{
    drive->regs.error = 0;
    end_command(drive, ATA_STATUS_DRDY | ATA_STATUS_DSC, true);
}

void ata_fail(struct ata_drive *drive, uint8_t error)
{
    drive->regs.error = error;
    end_command(drive, ATA_STATUS_DRDY | ATA_STATUS_DSC | ATA_STATUS_ERR, true);
}

/* A packet command says in the register file how much of what is wanted. */
static void set_packet_registers(struct ata_drive *drive, uint8_t reason, uint32_t length)
{
    if (drive->is_packet && drive->regs.command == ATA_PACKET) {
        drive->regs.count = reason;
        drive->regs.lba_mid = (uint8_t)length;
        drive->regs.lba_high = (uint8_t)(length >> 8);
    }
}

static void ask_for_pio(struct ata_drive *drive, enum ata_phase phase, uint32_t length,
                        bool interrupt)
{
    struct ata_bus *bus = ata_drive_bus(drive);

    drive->block_end = drive->position + length;
    drive->phase = phase;
    drive->regs.status = ATA_STATUS_DRDY | ATA_STATUS_DSC | ATA_STATUS_DRQ;
    bus->ops->pio_block(bus, drive, interrupt);
}

static void give_block(struct ata_drive *drive)
{
    uint32_t length = MIN(drive->transfer.block_size, drive->buffer_end - drive->position);

    set_packet_registers(drive, ATAPI_REASON_IO, length);
    ask_for_pio(drive, ATA_PIO_IN, length, true);
}

static void want_block(struct ata_drive *drive, bool interrupt)
{
    const struct ata_transfer *transfer = &drive->transfer;
    uint32_t length = (uint32_t)MIN(transfer->block_size, transfer->length - transfer->done);

    drive->position = 0;
    drive->buffer_end = length;
    set_packet_registers(drive, transfer->end == ATA_END_PACKET ? ATAPI_REASON_CD : 0, length);
    ask_for_pio(drive, ATA_PIO_OUT, length, interrupt);
}

static void want_dma(struct ata_drive *drive)
{
    struct ata_bus *bus = ata_drive_bus(drive);

    drive->phase = ATA_DMA;
    drive->regs.status = ATA_STATUS_BSY;
    bus->ops->dma_wanted(bus, drive);
}

void ata_transfer_start(struct ata_drive *drive)
{
    struct ata_transfer *transfer = &drive->transfer;

    transfer->done = 0;
    drive->position = 0;
    if (transfer->mode == ATA_MODE_DMA) {
        want_dma(drive);
    } else if (transfer->mode == ATA_MODE_PIO && !transfer->to_host) {
        want_block(drive, false);
    } else if (transfer->has_image) {
        ata_work(drive);
    } else if (transfer->mode == ATA_MODE_PIO) {
        give_block(drive);
    } else {
        ata_succeed(drive);
    }
}

/* All that the host sends is here. */
static void end_of_data_out(struct ata_drive *drive)
{
    switch (drive->transfer.end) {
    case ATA_END_PACKET:
        atapi_run(drive);
        break;
    case ATA_END_TRIM:
        ata_next_trim(drive);
        break;
    default:
        ata_succeed(drive);
        break;
    }
}

void ata_pio_taken(struct ata_drive *drive)
{
    const struct ata_transfer *transfer = &drive->transfer;

    if (drive->phase == ATA_PIO_OUT) {
        if (transfer->has_image) {
            ata_work(drive);
        } else {
            end_of_data_out(drive);
        }
    } else if (drive->position < drive->buffer_end) {
        give_block(drive);
    } else if (transfer->has_image && transfer->done < transfer->length) {
        drive->position = 0;
        ata_work(drive);
    } else if (drive->regs.command == ATA_PACKET) {
        ata_succeed(drive);
    } else { /* the host knows, having read all: no interrupt */
        end_command(drive, ATA_STATUS_DRDY | ATA_STATUS_DSC, false);
    }
}

/* Between the buffer and guest memory. */
static void run_buffer_dma(struct ata_drive *drive)
{
    struct ata_bus *bus = ata_drive_bus(drive);
    struct ata_transfer *transfer = &drive->transfer;

    while (transfer->done < transfer->length) {
        uint64_t length;

        ata_sg_start(&drive->sg, transfer->to_host);
        bus->ops->dma_map(bus, drive, &drive->sg, transfer->length - transfer->done);
        length = drive->sg.length;
        if (!length) {
            bus->ops->dma_failed(bus, drive);
            ata_fail(drive, ATA_ERROR_ABRT);
            return;
        }
        ata_sg_copy(&drive->sg, drive->buffer + transfer->done, length);
        ata_sg_unmap(&drive->sg, transfer->to_host ? length : 0);
        bus->ops->dma_advance(bus, drive, length);
        transfer->done += length;
    }
    if (transfer->to_host) {
        ata_succeed(drive);
    } else {
        end_of_data_out(drive);
    }
}

void ata_dma_run(struct ata_drive *drive)
{
    if (drive->transfer.has_image) {
        ata_work(drive);
    } else {
        run_buffer_dma(drive);
    }
}

void ata_transfer_part_done(struct ata_drive *drive)
{
    struct ata_bus *bus = ata_drive_bus(drive);
    struct ata_transfer *transfer = &drive->transfer;
    uint64_t length = drive->request.length;
    bool goes_on = true;

    if (transfer->end == ATA_END_TRIM) {
        ata_next_trim(drive);
        return;
    }
    if (transfer->mode == ATA_MODE_DMA) {
        goes_on = bus->ops->dma_advance(bus, drive, length);
    }
    transfer->done += length;
    if (transfer->mode == ATA_MODE_PIO && transfer->to_host) {
        drive->position = 0;
        drive->buffer_end = (uint32_t)length;
        give_block(drive);
    } else if (transfer->mode == ATA_MODE_NONE || transfer->done == transfer->length) {
        ata_succeed(drive);
    } else if (transfer->mode == ATA_MODE_PIO) {
        want_block(drive, true);
    } else if (goes_on) {
        ata_work(drive);
    } else {
        drive->phase = ATA_DMA;
    }
}
