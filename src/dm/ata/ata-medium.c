/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The image of a drive, and the trays of CD drives as monitors see them. Main loop, unless said. */
#include "dm/ata/atapi.h"
#include "dm/machine.h"
#include "util/error.h"

bool ata_attach_image(struct ata_drive *drive, struct block_backend *backend, GError **error)
{
    struct block_queue_handler handler = {drive, ata_queued_batch_end};
    uint32_t alignment = block_get_limits(backend)->request_alignment;
    struct block_queue *queue;

    if (alignment > ATA_SECTOR) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "the image takes blocks of at least %u bytes, but the drive's have %u: "
                          "use cache=writeback, or a virtio-blk-pci",
                          alignment, ATA_SECTOR);
    }
    drive->user = (struct block_user){
        .opaque = drive,
        .device_id = drive->device.id,
        .writes = !drive->is_packet && !block_is_read_only(backend),
        .share_rw = drive->share_rw,
    };
    if (!block_attach(backend, &drive->user, error)) {
        return false;
    }
    queue = block_queue_new(backend, drive->device.machine->base, &handler, error);
    if (!queue) {
        block_detach(backend);
        return false;
    }
    drive->queue = queue;
    drive->backend = backend;
    return true;
}

void ata_detach_image(struct ata_drive *drive)
{
    struct block_backend *backend = drive->backend;
    struct access_guard *guard = ata_drive_bus(drive)->guard;
    bool entered;

    if (!backend) {
        return;
    }
    ata_drain(drive);
    entered = access_guard_enter(guard);
    drive->backend = NULL;
    if (entered) {
        access_guard_leave(guard);
    }
    g_clear_pointer(&drive->queue, block_queue_free);
    block_detach(backend);
}

/* ---- Trays ---- */

static void tell_tray_moved(void *opaque)
{
    struct ata_drive *drive = opaque;
    const char *name = drive->removable.drive_name;
    json_t *data =
        json_pack("{s:s, s:b}", "device", name ? name : "", "tray-open", drive->packet.tray_open);
    g_autofree char *text = NULL;

    json_object_set_new(data, "id", json_string(drive->device.id ? drive->device.id : ""));
    text = json_dumps(data, JSON_COMPACT);
    machine_emit_event(drive->device.machine, "DEVICE_TRAY_MOVED", text);
    json_decref(data);
}

void ata_move_tray(struct ata_drive *drive, bool open)
{
    struct atapi_state *packet = &drive->packet;

    if (packet->tray_open == open) {
        return;
    }
    packet->tray_open = open;
    if (drive->backend) {
        packet->medium_event = open ? MEDIUM_EVENT_REMOVED : MEDIUM_EVENT_NEW;
        packet->attention_medium = !open;
    }
    machine_post(drive->device.machine, &drive->tray_task);
}

static bool tray_is_open(void *opaque)
{
    const struct ata_drive *drive = opaque;

    return drive->packet.tray_open;
}

static bool tray_is_locked(void *opaque)
{
    const struct ata_drive *drive = opaque;

    return drive->packet.locked;
}

/* Another thread may be inside, never this one. */
static bool enter(struct ata_drive *drive)
{
    return access_guard_enter(ata_drive_bus(drive)->guard);
}

static void leave(struct ata_drive *drive, bool entered)
{
    if (entered) {
        access_guard_leave(ata_drive_bus(drive)->guard);
    }
}

static void tray_move(void *opaque, bool open)
{
    struct ata_drive *drive = opaque;
    bool entered = enter(drive);

    ata_move_tray(drive, open);
    if (open) {
        drive->packet.locked = false; /* by force, if it was */
    }
    leave(drive, entered);
}

static void tray_request_eject(void *opaque)
{
    struct ata_drive *drive = opaque;
    bool entered = enter(drive);

    drive->packet.medium_event = MEDIUM_EVENT_EJECT;
    leave(drive, entered);
}

static bool tray_change(void *opaque, struct block_backend *medium, GError **error)
{
    struct ata_drive *drive = opaque;

    ata_detach_image(drive);
    return !medium || ata_attach_image(drive, medium, error);
}

static const struct block_removable_ops tray_ops = {
    .is_open = tray_is_open,
    .is_locked = tray_is_locked,
    .move_tray = tray_move,
    .request_eject = tray_request_eject,
    .change = tray_change,
};

void ata_offer_medium(struct ata_drive *drive, const char *drive_name)
{
    drive->tray_task = (struct io_task){.run = tell_tray_moved, .opaque = drive};
    drive->removable = (struct block_removable){
        .ops = &tray_ops,
        .opaque = drive,
        .device_id = drive->device.id,
        .drive_name = g_strdup(drive_name),
        .medium = drive->backend,
        .owns_medium = drive->backend && *block_device_name(drive->backend),
    };
    block_removable_register(drive->device.machine->blocks, &drive->removable);
}

void ata_withdraw_medium(struct ata_drive *drive)
{
    machine_cancel(drive->device.machine, &drive->tray_task);
    block_removable_unregister(&drive->removable);
}
