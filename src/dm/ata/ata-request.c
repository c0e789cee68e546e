/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a drive asks of its image. A request is noted in the controller's guard (must_submit), made
 * and completed in the main loop. While the machine stands nothing is begun: what was noted, or has
 * failed with a policy of stop, is made when it goes on, and is part of the saved state till then.
 */
#include "dm/ata/ata-drive.h"
#include "dm/machine.h"

#include <errno.h>

void ata_work(struct ata_drive *drive)
{
    drive->phase = ATA_WORK;
    drive->regs.status = ATA_STATUS_BSY;
    drive->must_submit = true;
    if (!drive->stopped) {
        machine_post(drive->device.machine, &drive->submit_task);
    }
}

/* The part of guest memory that the next request is for. False: there is none. */
static bool map_part(struct ata_drive *drive, uint64_t left)
{
    struct ata_bus *bus = ata_drive_bus(drive);

    ata_sg_start(&drive->sg, drive->transfer.to_host);
    bus->ops->dma_map(bus, drive, &drive->sg, MIN(left, ATA_DMA_PART));
    ata_sg_trim(&drive->sg, drive->sg.length & ~(uint64_t)(ATA_SECTOR - 1));
    return drive->sg.length > 0;
}

/* Bytes for programmed I/O. A host that reads takes them block by block, and polls for each that is
 * not there: so as much is read as the buffer holds, which is whole blocks (their sizes are powers
 * of two). */
static uint64_t pio_length(const struct ata_drive *drive, uint64_t left)
{
    const struct ata_transfer *transfer = &drive->transfer;

    return transfer->to_host
               ? MIN(left, transfer->by_block ? transfer->block_size : ATA_BUFFER_SIZE)
               : drive->buffer_end;
}

/* Fill in drive->request. False: the command has failed instead. In the guard. */
static bool prepare(struct ata_drive *drive)
{
    const struct ata_transfer *transfer = &drive->transfer;
    struct block_request *request = &drive->request;
    uint64_t left = transfer->length - transfer->done;

    if (!drive->backend) { /* the medium was taken meanwhile */
        ata_fail(drive, ATA_ERROR_ABRT);
        return false;
    }
    request->operation = (enum block_operation)transfer->operation;
    request->offset = transfer->offset + transfer->done;
    request->fua = transfer->fua;
    request->may_unmap = true;
    request->complete = ata_request_complete;
    switch (transfer->mode) {
    case ATA_MODE_DMA:
        if (!map_part(drive, left)) {
            ata_drive_bus(drive)->ops->dma_failed(ata_drive_bus(drive), drive);
            ata_fail(drive, ATA_ERROR_ABRT);
            return false;
        }
        request->iov = drive->sg.iov;
        request->iov_count = drive->sg.count;
        request->length = drive->sg.length;
        break;
    case ATA_MODE_PIO:
        request->length = pio_length(drive, left);
        drive->buffer_iov = (struct iovec){drive->buffer, request->length};
        request->iov = &drive->buffer_iov;
        request->iov_count = 1;
        break;
    default:
        request->length = left;
        request->iov_count = 0;
        break;
    }
    return true;
}

void ata_submit(void *opaque)
{
    struct ata_drive *drive = opaque;
    struct access_guard *guard = ata_drive_bus(drive)->guard;
    bool entered = access_guard_enter(guard), is_due;
    struct ata_queued *queued, *next;

    is_due = drive->must_submit && !drive->in_flight && !drive->stopped;
    if (is_due) {
        drive->must_submit = false;
        is_due = drive->in_flight = prepare(drive);
    }
    queued = drive->stopped ? NULL : ata_queued_take(drive);
    if (entered) {
        access_guard_leave(guard);
    }
    if (is_due) {
        block_queue_submit(drive->queue, &drive->request);
    }
    for (; queued; queued = next) {
        next = queued->next;
        block_queue_submit(drive->queue, &queued->request);
    }
    if (drive->queue) {
        block_queue_kick(drive->queue);
    }
}

static void fail_request(struct ata_drive *drive)
{
    uint64_t sector = drive->request.offset / ATA_SECTOR;
    struct ata_registers *regs = &drive->regs;

    if (drive->is_packet) {
        atapi_fail(drive, SENSE_MEDIUM_ERROR, ASC_READ_ERROR);
        return;
    }
    regs->lba_low = (uint8_t)sector;
    regs->lba_mid = (uint8_t)(sector >> 8);
    regs->lba_high = (uint8_t)(sector >> 16);
    regs->lba_low_high = (uint8_t)(sector >> 24);
    regs->lba_mid_high = (uint8_t)(sector >> 32);
    regs->lba_high_high = (uint8_t)(sector >> 40);
    ata_fail(drive, drive->transfer.operation == BLOCK_READ ? ATA_ERROR_UNC : ATA_ERROR_ABRT);
}

/* Was more to be read than the host takes at once? Which block fails is then still to be found. */
static bool has_read_ahead(const struct ata_drive *drive)
{
    const struct ata_transfer *transfer = &drive->transfer;

    return transfer->mode == ATA_MODE_PIO && transfer->to_host && !drive->is_packet &&
           drive->request.length > transfer->block_size;
}

/* In the guard. */
static void finish_request(struct ata_drive *drive, int result)
{
    const struct block_request *request = &drive->request;

    if (drive->transfer.mode == ATA_MODE_DMA) {
        ata_sg_unmap(&drive->sg, request->operation == BLOCK_READ ? request->length : 0);
    }
    if (drive->phase != ATA_WORK) { /* reset or abandoned meanwhile */
        ata_drive_settle(drive);
        return;
    }
    if (result < 0 && result != -ECANCELED && has_read_ahead(drive)) {
        drive->transfer.by_block = true;
        ata_work(drive);
        return;
    }
    result = block_settle_error(drive->backend, drive->policies, request->operation != BLOCK_READ,
                                result);
    if (result == -ECANCELED) {
        drive->must_submit = true; /* when the machine goes on */
    } else if (result < 0) {
        fail_request(drive);
    } else {
        ata_transfer_part_done(drive);
    }
}

void ata_request_complete(struct block_request *request, int result)
{
    struct ata_drive *drive =
        (struct ata_drive *)((char *)request - offsetof(struct ata_drive, request));
    struct access_guard *guard = ata_drive_bus(drive)->guard;
    bool entered = access_guard_enter(guard); /* not if a reset waits for this */

    drive->in_flight = false;
    finish_request(drive, result);
    if (entered) {
        access_guard_leave(guard);
    }
}

void ata_drain(struct ata_drive *drive)
{
    if (drive->queue) {
        block_queue_cancel(drive->queue);
        block_drain(drive->backend);
    }
}
