/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device classes ide-hd and ide-cd: properties, life and saved state of a drive. */
#include "dm/ata/ata-drive.h"
#include "dm/ata/ata-unplug.h"
#include "dm/firmware/boot-order.h"
#include "dm/machine.h"
#include "util/error.h"
#include "util/log.h"

#define SERIAL_MAX  20
#define VERSION_MAX 8
#define MODEL_MAX   40

static struct ata_drive *drive_of(struct device *device)
{
    return (struct ata_drive *)device;
}

/* ---- Life ---- */

static void on_run(void *opaque, bool running)
{
    struct ata_drive *drive = opaque;

    drive->stopped = !running;
    if (!running) {
        machine_cancel(drive->device.machine, &drive->submit_task);
        ata_drain(drive);
    } else if (drive->must_submit || drive->submit_first) {
        machine_post(drive->device.machine, &drive->submit_task);
    }
}

static bool check_length(const char *name, const char *text, size_t most, GError **error)
{
    return !text || strlen(text) <= most ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "property '%s': at most %zu characters are possible", name, most);
}

/* Serial numbers count the drives: guests tell them apart by these. */
static void choose_serial(struct ata_drive *drive)
{
    GPtrArray *buses = drive->device.machine->device_buses;
    unsigned number = 1;

    for (unsigned i = 0; !drive->serial && i < buses->len; i++) {
        const struct bus *bus = g_ptr_array_index(buses, i);

        number += bus->type == BUS_ATA ? bus->children->len : 0;
    }
    if (!drive->serial) {
        drive->serial = g_strdup_printf("DD%05u", number);
    }
}

static bool check_properties(struct ata_drive *drive, GError **error)
{
    if (drive->backend) {
        drive->policies = block_get_policies(drive->backend);
    }
    choose_serial(drive);
    return check_length("serial", drive->serial, SERIAL_MAX, error) &&
           check_length("ver", drive->version, VERSION_MAX, error) &&
           check_length("model", drive->model, MODEL_MAX, error) &&
           (!drive->werror ||
            block_error_policy_parse(drive->werror, true, &drive->policies.write, error)) &&
           (!drive->rerror ||
            block_error_policy_parse(drive->rerror, false, &drive->policies.read, error));
}

/* *backend: NULL where a CD drive is to be empty. */
static bool find_image(const struct ata_drive *drive, struct block_backend **backend,
                       GError **error)
{
    struct block_registry *blocks = drive->device.machine->blocks;

    *backend = NULL;
    if (!drive->drive || !*drive->drive) {
        return drive->is_packet ||
               duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "property 'drive' is missing: the id of a -drive, or the node-name of a "
                          "-blockdev");
    }
    if (drive->is_packet && block_is_empty_drive(blocks, drive->drive)) {
        return true;
    }
    *backend = block_find(blocks, drive->drive, error);
    if (!*backend) {
        g_prefix_error(error, "property 'drive': ");
    }
    return *backend != NULL;
}

static bool add_to_boot_order(struct ata_drive *drive, GError **error)
{
    const struct ata_bus *bus = ata_drive_bus(drive);
    g_autofree char *path =
        g_strdup_printf("drive@%x/disk@%x", bus->number, bus->is_serial ? 0 : drive->unit);

    return boot_order_add(drive->device.machine, bus->controller, drive->boot_index, path, error);
}

static bool drive_realize(struct ata_drive *drive, GError **error)
{
    struct machine *machine = drive->device.machine;
    struct block_backend *backend;

    drive->stopped = machine->state != RUN_STATE_RUNNING;
    drive->submit_task = (struct io_task){.run = ata_submit, .opaque = drive};
    drive->submit_last = &drive->submit_first;
    if (!find_image(drive, &backend, error) ||
        (backend && !ata_attach_image(drive, backend, error))) {
        return false;
    }
    if (!check_properties(drive, error) || !add_to_boot_order(drive, error)) {
        ata_detach_image(drive);
        return false;
    }
    ata_set_defaults(drive);
    machine_add_run_listener(machine, on_run, drive);
    return true;
}

static bool disk_realize(struct device *device, GError **error)
{
    struct ata_drive *drive = drive_of(device);

    if (!drive_realize(drive, error)) {
        return false;
    }
    /* ATA knows no disk that can't be written: the guest sees commands fail. */
    if (block_is_read_only(drive->backend)) {
        log_warning("drive '%s' is read-only: the guest's writes will fail", drive->drive);
    }
    return true;
}

static bool cd_realize(struct device *device, GError **error)
{
    struct ata_drive *drive = drive_of(device);
    const char *name = drive->drive;

    drive->is_packet = true;
    if (!drive_realize(drive, error)) {
        return false;
    }
    if (drive->backend && g_str_equal(name, block_node_name(drive->backend))) {
        name = block_device_name(drive->backend);
    }
    ata_offer_medium(drive, name && *name ? name : NULL);
    return true;
}

static void drive_unrealize(struct device *device)
{
    struct ata_drive *drive = drive_of(device);

    machine_remove_run_listener(device->machine, on_run, drive);
    drive->stopped = true;
    machine_cancel(device->machine, &drive->submit_task);
    if (drive->is_packet) {
        ata_withdraw_medium(drive);
    }
    ata_detach_image(drive);
    for (unsigned i = 0; i < ATA_NCQ_DEPTH; i++) {
        g_clear_pointer(&drive->queued[i], g_free);
    }
}

static void drive_reset(struct device *device)
{
    struct ata_drive *drive = drive_of(device);
    struct access_guard *guard = ata_drive_bus(drive)->guard;
    bool entered;

    if (drive->unplugged) {
        return;
    }
    drive->must_submit = false;
    ata_drain(drive);
    entered = access_guard_enter(guard);
    ata_drive_begin_reset(drive, true);
    if (entered) {
        access_guard_leave(guard);
    }
}

void ata_unplug_disks(struct machine *machine, bool keep_first)
{
    for (unsigned i = 0; i < machine->device_buses->len; i++) {
        struct ata_bus *bus = g_ptr_array_index(machine->device_buses, i);

        for (unsigned unit = 0; bus->base.type == BUS_ATA && unit < bus->units; unit++) {
            struct ata_drive *drive = bus->drives[unit];

            if (drive && !drive->is_packet && !(keep_first && bus->number == 0 && unit == 0)) {
                bool entered = access_guard_enter(bus->guard);

                ata_drive_abandon(drive);
                drive->unplugged = true;
                bus->drives[unit] = NULL;
                if (entered) {
                    access_guard_leave(bus->guard);
                }
                ata_detach_image(drive);
            }
        }
    }
}

/* ---- Saved state ---- */

static const struct state_field drive_fields[] = {
    STATE_ARRAY(BYTES, ata_drive, regs, sizeof(struct ata_registers), 1),
    STATE(UINT8, ata_drive, phase, 1),
    STATE(UINT8, ata_drive, transfer.mode, 1),
    STATE(UINT8, ata_drive, transfer.end, 1),
    STATE(BOOL, ata_drive, transfer.has_image, 1),
    STATE(UINT8, ata_drive, transfer.operation, 1),
    STATE(BOOL, ata_drive, transfer.to_host, 1),
    STATE(BOOL, ata_drive, transfer.fua, 1),
    STATE(UINT16, ata_drive, transfer.block_size, 1),
    STATE(UINT64, ata_drive, transfer.offset, 1),
    STATE(UINT64, ata_drive, transfer.length, 1),
    STATE(UINT64, ata_drive, transfer.done, 1),
    STATE_ARRAY(BYTES, ata_drive, buffer, ATA_BUFFER_SIZE, 1),
    STATE(UINT32, ata_drive, position, 1),
    STATE(UINT32, ata_drive, block_end, 1),
    STATE(UINT32, ata_drive, buffer_end, 1),
    STATE(UINT8, ata_drive, multiple, 1),
    STATE(UINT8, ata_drive, heads, 1),
    STATE(UINT8, ata_drive, sectors, 1),
    STATE(UINT8, ata_drive, transfer_mode, 1),
    STATE(UINT8, ata_drive, power, 1),
    STATE(BOOL, ata_drive, write_cache, 1),
    STATE(BOOL, ata_drive, look_ahead, 1),
    STATE(BOOL, ata_drive, unplugged, 1),
    STATE_ARRAY(BYTES, ata_drive, packet.cdb, ATAPI_CDB_MAX, 1),
    STATE(UINT8, ata_drive, packet.sense_key, 1),
    STATE(UINT16, ata_drive, packet.sense_code, 1),
    STATE(BOOL, ata_drive, packet.tray_open, 1),
    STATE(BOOL, ata_drive, packet.locked, 1),
    STATE(BOOL, ata_drive, packet.attention_reset, 1),
    STATE(BOOL, ata_drive, packet.attention_medium, 1),
    STATE(UINT8, ata_drive, packet.medium_event, 1),
    STATE(BOOL, ata_drive, packet.dma, 1),
    STATE(UINT16, ata_drive, packet.byte_limit, 1),
    STATE_END,
};

/* Is it a transfer that this drive could be in the middle of? */
static bool transfer_is_sane(const struct ata_drive *drive)
{
    const struct ata_transfer *transfer = &drive->transfer;
    uint64_t size = drive->backend ? block_size(drive->backend) : 0;
    uint64_t end = transfer->offset + transfer->length;

    if (transfer->mode > ATA_MODE_DMA || transfer->end > ATA_END_TRIM ||
        transfer->operation >= BLOCK_OPERATION_COUNT || transfer->done > transfer->length ||
        end < transfer->offset || ((transfer->offset | transfer->done) & (ATA_SECTOR - 1))) {
        return false;
    }
    if (transfer->has_image) {
        bool is_write = transfer->operation != BLOCK_READ && transfer->operation != BLOCK_FLUSH;

        return end <= size && !(transfer->length & (ATA_SECTOR - 1)) &&
               !(is_write && (drive->is_packet || block_is_read_only(drive->backend))) &&
               (transfer->mode != ATA_MODE_PIO ||
                (transfer->block_size &&
                 (drive->is_packet || transfer->block_size <= ATA_BUFFER_SIZE)));
    }
    return transfer->length <= ATA_BUFFER_SIZE &&
           (transfer->mode != ATA_MODE_PIO || transfer->block_size);
}

static bool drive_after_load(void *object)
{
    struct ata_drive *drive = object;
    bool trims = drive->transfer.end == ATA_END_TRIM;

    if (drive->phase > ATA_DMA ||
        drive->position > drive->block_end + (trims ? ATA_BUFFER_SIZE : 0) ||
        drive->buffer_end > ATA_BUFFER_SIZE || drive->position > drive->buffer_end ||
        drive->block_end > ATA_BUFFER_SIZE ||
        ((drive->position | drive->block_end | drive->buffer_end) & (trims ? 7 : 0)) ||
        !drive->heads || drive->heads > 16 || !drive->sectors ||
        drive->multiple > ATA_MULTIPLE_MAX) {
        return false;
    }
    if (drive->phase != ATA_IDLE && !transfer_is_sane(drive)) {
        return false;
    }
    if (drive->transfer.has_image && drive->transfer.mode == ATA_MODE_PIO &&
        (drive->buffer_end & (ATA_SECTOR - 1))) {
        return false;
    }
    drive->must_submit = drive->phase == ATA_WORK;
    return true;
}

static const struct state_description drive_state = {
    .name = "ata-drive",
    .version = 1,
    .fields = drive_fields,
    .after_load = drive_after_load,
};

/* ---- Classes ---- */

#define DRIVE_PROPERTY(name_, type_, field_, default_, least_, most_, help_)                       \
    {                                                                                              \
        name_, PROPERTY_##type_, offsetof(struct ata_drive, field_), default_, least_, most_,      \
            help_                                                                                  \
    }
#define DRIVE_PROPERTIES                                                                           \
    DRIVE_PROPERTY("unit", UINT32, unit, "0xffffffff", 0, 0,                                       \
                   "place on the bus: 0 or 1 [the first that is free]"),                           \
        DRIVE_PROPERTY("serial", STRING, serial, NULL, 0, 0,                                       \
                       "serial number, up to 20 characters"),                                      \
        DRIVE_PROPERTY("model", STRING, model, NULL, 0, 0, "model name, up to 40 characters"),     \
        DRIVE_PROPERTY("ver", STRING, version, "1.0", 0, 0, "version, up to 8 characters"),        \
        DRIVE_PROPERTY("bootindex", BOOT_INDEX, boot_index, "-1", 0, 0,                            \
                       "place in the firmware's boot order, from 0 on"),                           \
        DRIVE_PROPERTY("share-rw", BOOL | PROPERTY_OF_HOST, share_rw, "off", 0, 0,                 \
                       "others may write the image meanwhile"),                                    \
        DRIVE_PROPERTY("rerror", STRING | PROPERTY_OF_HOST, rerror, NULL, 0, 0,                    \
                       "at failed reads: report, ignore, stop [the drive's, or report]")

static const struct property hd_properties[] = {
    DRIVE_PROPERTY("drive", DRIVE, drive, NULL, 0, 0, "the image: -drive's id or a node-name"),
    DRIVE_PROPERTIES,
    DRIVE_PROPERTY("werror", STRING | PROPERTY_OF_HOST, werror, NULL, 0, 0,
                   "at failed writes: report, ignore, stop, enospc [the drive's, or enospc]"),
    DRIVE_PROPERTY("wwn", UINT64, wwn, NULL, 0, 0, "world wide name"),
    DRIVE_PROPERTY("write-cache", BOOL, write_cache_default, "on", 0, 0,
                   "the write cache is on when the guest starts"),
    PROPERTY_END,
};

static const struct property cd_properties[] = {
    DRIVE_PROPERTY("drive", DRIVE | PROPERTY_OF_HOST, drive, NULL, 0, 0,
                   "the medium: -drive's id or a node-name [none]"),
    DRIVE_PROPERTIES,
    PROPERTY_END,
};

const struct device_class ide_hd_class = {
    .name = "ide-hd",
    .description = "ATA disk",
    .bus_type = BUS_ATA,
    .instance_size = sizeof(struct ata_drive),
    .user_creatable = true,
    .properties = hd_properties,
    .state = &drive_state,
    .realize = disk_realize,
    .unrealize = drive_unrealize,
    .reset = drive_reset,
};

const struct device_class ide_cd_class = {
    .name = "ide-cd",
    .description = "ATAPI CD drive",
    .bus_type = BUS_ATA,
    .instance_size = sizeof(struct ata_drive),
    .user_creatable = true,
    .properties = cd_properties,
    .state = &drive_state,
    .realize = cd_realize,
    .unrealize = drive_unrealize,
    .reset = drive_reset,
};
