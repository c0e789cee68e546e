/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Native command queuing (ATA8-ACS, 4.15): reads and writes of which each has a request of its own.
 * Requests are noted in the controller's guard, made and completed in the main loop. */
#include "dm/ata/ata-drive.h"
#include "dm/machine.h"

#include <errno.h>

#define TAG_SHIFT  3 /* of the count register */
#define LOG_NQ     0x80u
#define LOG_ERRORS ATA_STATUS_ERR

/* It has a request to be made: soon, or when another one is, or the machine goes on. */
static void note(struct ata_queued *queued, bool soon)
{
    struct ata_drive *drive = queued->drive;

    queued->next = NULL;
    queued->waits = true;
    *drive->submit_last = queued;
    drive->submit_last = &queued->next;
    if (soon && !drive->stopped) {
        machine_post(drive->device.machine, &drive->submit_task);
    }
}

bool ata_queued_is_active(const struct ata_drive *drive, unsigned tag)
{
    return drive->queued[tag] && drive->queued[tag]->active;
}

static struct ata_queued *get(struct ata_drive *drive, unsigned tag)
{
    struct ata_queued *queued = drive->queued[tag];

    if (!queued) {
        queued = drive->queued[tag] = g_new0(struct ata_queued, 1);
        queued->drive = drive;
        queued->tag = (uint8_t)tag;
    }
    return queued;
}

static uint8_t fail_command(struct ata_drive *drive, unsigned tag, uint64_t sector, uint8_t error)
{
    drive->queued_failed = true;
    drive->failed_tag = (uint8_t)tag;
    drive->failed_error = error;
    drive->failed_sector = sector;
    return error;
}

bool ata_queued_command(struct ata_drive *drive, uint8_t *error)
{
    const struct ata_registers *regs = &drive->regs;
    unsigned tag = regs->count >> TAG_SHIFT;
    bool is_write = regs->command == ATA_WRITE_FPDMA_QUEUED;
    uint64_t capacity = ata_capacity(drive), sector = ata_lba48(regs);
    uint64_t count = regs->features | (uint32_t)regs->features_high << 8;
    struct ata_queued *queued = get(drive, tag);

    count = count ? count : 0x10000;
    if (queued->active || queued->in_flight || drive->is_packet ||
        (is_write && block_is_read_only(drive->backend))) {
        *error = fail_command(drive, tag, sector, ATA_ERROR_ABRT);
        return false;
    }
    if (sector > capacity || count > capacity - sector) {
        *error = fail_command(drive, tag, sector, ATA_ERROR_IDNF);
        return false;
    }
    queued->active = true;
    queued->is_write = is_write;
    queued->fua = (regs->device & ATA_DEVICE_FUA) || !drive->write_cache;
    queued->offset = sector * ATA_SECTOR;
    queued->length = count * ATA_SECTOR;
    queued->done = 0;
    note(queued, true);
    return true;
}

/* The command is over. In the guard. */
static void end(struct ata_queued *queued, uint8_t error)
{
    struct ata_bus *bus = ata_drive_bus(queued->drive);

    queued->active = false;
    if (error) {
        fail_command(queued->drive, queued->tag, (queued->offset + queued->done) / ATA_SECTOR,
                     error);
    }
    bus->ops->queued_ended(bus, queued, error);
}

static void complete(struct block_request *request, int result);

/* False: it has failed. */
static bool prepare(struct ata_queued *queued)
{
    struct ata_drive *drive = queued->drive;
    struct ata_bus *bus = ata_drive_bus(drive);

    ata_sg_start(&queued->sg, !queued->is_write);
    bus->ops->queued_map(bus, queued, &queued->sg,
                         MIN(queued->length - queued->done, ATA_DMA_PART));
    ata_sg_trim(&queued->sg, queued->sg.length & ~(uint64_t)(ATA_SECTOR - 1));
    if (!queued->sg.length) {
        end(queued, ATA_ERROR_ABRT);
        return false;
    }
    queued->request = (struct block_request){
        .operation = queued->is_write ? BLOCK_WRITE : BLOCK_READ,
        .offset = queued->offset + queued->done,
        .length = queued->sg.length,
        .iov = queued->sg.iov,
        .iov_count = queued->sg.count,
        .fua = queued->is_write && queued->fua,
        .complete = complete,
    };
    return true;
}

struct ata_queued *ata_queued_take(struct ata_drive *drive)
{
    struct ata_queued *list = drive->submit_first, *next, *ready = NULL, **last = &ready;

    drive->submit_first = NULL;
    drive->submit_last = &drive->submit_first;
    for (; list; list = next) {
        next = list->next;
        list->waits = false;
        if (list->active && prepare(list)) {
            list->next = NULL;
            list->in_flight = true;
            drive->queued_in_flight++;
            *last = list;
            last = &list->next;
        }
    }
    return ready;
}

/* In the guard. */
static void finish(struct ata_queued *queued, int result)
{
    struct ata_drive *drive = queued->drive;
    const struct block_request *request = &queued->request;

    ata_sg_unmap(&queued->sg, queued->is_write ? 0 : request->length);
    if (!queued->active) { /* abandoned */
        ata_drive_settle(drive);
        return;
    }
    result = block_settle_error(drive->backend, drive->policies, queued->is_write, result);
    if (result == 0) {
        queued->done += request->length;
        if (queued->done < queued->length) {
            ata_drive_bus(drive)->ops->queued_advance(ata_drive_bus(drive), queued,
                                                      request->length);
        }
    }
    if (result < 0 && result != -ECANCELED) {
        end(queued, queued->is_write ? ATA_ERROR_ABRT : ATA_ERROR_UNC);
    } else if (queued->done == queued->length) {
        end(queued, 0);
    } else {
        note(queued, result == 0); /* the next part; or this one once more */
    }
}

static void complete(struct block_request *request, int result)
{
    struct ata_queued *queued = (struct ata_queued *)request;
    struct access_guard *guard = ata_drive_bus(queued->drive)->guard;
    bool entered = access_guard_enter(guard); /* not if a reset waits for this */

    queued->in_flight = false;
    queued->drive->queued_in_flight--;
    finish(queued, result);
    if (entered) {
        access_guard_leave(guard);
    }
}

void ata_queued_batch_end(void *opaque)
{
    struct ata_bus *bus = ata_drive_bus(opaque);
    bool entered;

    if (bus->ops->queued_batch_ended) {
        entered = access_guard_enter(bus->guard);
        bus->ops->queued_batch_ended(bus);
        if (entered) {
            access_guard_leave(bus->guard);
        }
    }
}

void ata_queued_abandon(struct ata_drive *drive)
{
    for (struct ata_queued *queued = drive->submit_first; queued; queued = queued->next) {
        queued->waits = false;
    }
    drive->submit_first = NULL;
    drive->submit_last = &drive->submit_first;
    for (unsigned i = 0; i < ATA_NCQ_DEPTH; i++) {
        if (drive->queued[i]) {
            drive->queued[i]->active = false;
        }
    }
}

void ata_queued_error_log(struct ata_drive *drive, uint8_t *data)
{
    uint8_t sum = 0;

    memset(data, 0, ATA_SECTOR);
    if (drive->queued_failed) {
        data[0] = drive->failed_tag;
        data[2] = ATA_STATUS_DRDY | LOG_ERRORS;
        data[3] = drive->failed_error;
        for (unsigned i = 0; i < 3; i++) {
            data[4 + i] = (uint8_t)(drive->failed_sector >> (8 * i));
            data[8 + i] = (uint8_t)(drive->failed_sector >> (24 + 8 * i));
        }
    } else {
        data[0] = LOG_NQ;
    }
    for (unsigned i = 0; i < ATA_SECTOR - 1; i++) {
        sum = (uint8_t)(sum + data[i]);
    }
    data[ATA_SECTOR - 1] = (uint8_t)-sum;
    drive->queued_failed = false;
}
