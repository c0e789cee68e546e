/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ATA commands: one row each of a table. Packet commands are in atapi*.c, queued ones in
 * ata-queued.c. Sections are those of ATA8-ACS, and of ATA/ATAPI-6 for what is obsolete since. */
#include "dm/ata/ata-drive.h"
#include "util/little-endian.h"

/* What of a command a function of the table needs to know. */
#define FOR_DISK   0x0001u
#define FOR_PACKET 0x0002u
#define EXT        0x0004u /* 48-bit address and 16-bit count */
#define WRITE      0x0008u
#define USE_DMA    0x0010u
#define MULTIPLE   0x0020u /* blocks of several sectors */
#define FUA        0x0040u
#define FOR_BOTH   (FOR_DISK | FOR_PACKET)

struct ata_command_row {
    uint8_t code, last; /* codes from and to */
    uint16_t flags;
    void (*run)(struct ata_drive *drive, unsigned flags);
};

/* What CHECK POWER MODE tells: 7.8. */
#define POWER_ACTIVE  0xffu
#define POWER_STANDBY 0x00u

#define LOG_DIRECTORY 0x00u
#define LOG_NCQ_ERROR 0x10u

#define TRIM_ENTRY   8u /* bytes: 48 bits of sector, 16 of their number: 7.10.3.2 */
#define SECTOR_SHIFT 9

uint64_t ata_capacity(const struct ata_drive *drive)
{
    return drive->backend ? block_size(drive->backend) / ATA_SECTOR : 0;
}

/* ---- Addresses ---- */

uint64_t ata_lba48(const struct ata_registers *regs)
{
    return (uint64_t)regs->lba_low | (uint64_t)regs->lba_mid << 8 | (uint64_t)regs->lba_high << 16 |
           (uint64_t)regs->lba_low_high << 24 | (uint64_t)regs->lba_mid_high << 32 |
           (uint64_t)regs->lba_high_high << 40;
}

static uint32_t lba28(const struct ata_registers *regs)
{
    return (uint32_t)regs->lba_low | (uint32_t)regs->lba_mid << 8 | (uint32_t)regs->lba_high << 16 |
           (uint32_t)(regs->device & ATA_DEVICE_HEAD) << 24;
}

/* Cylinder, head and sector, which counts from 1. ATA/ATAPI-4, 8.1. */
static bool chs_sector(const struct ata_drive *drive, uint64_t *sector)
{
    const struct ata_registers *regs = &drive->regs;
    uint32_t cylinder = regs->lba_mid | (uint32_t)regs->lba_high << 8;
    uint32_t head = regs->device & ATA_DEVICE_HEAD;

    *sector = ((uint64_t)cylinder * drive->heads + head) * drive->sectors + regs->lba_low - 1;
    return regs->lba_low > 0 && regs->lba_low <= drive->sectors && head < drive->heads;
}

/* Where a command begins and how many sectors it is for. False: that is not on the disk. */
static bool get_extent(const struct ata_drive *drive, unsigned flags, uint64_t *sector,
                       uint32_t *count)
{
    const struct ata_registers *regs = &drive->regs;
    uint64_t capacity = ata_capacity(drive);

    if (flags & EXT) {
        *sector = ata_lba48(regs);
        *count = regs->count | (uint32_t)regs->count_high << 8;
        *count = *count ? *count : 0x10000;
    } else {
        *count = regs->count ? regs->count : 0x100;
        *sector = lba28(regs);
        if (!(regs->device & ATA_DEVICE_LBA) && !chs_sector(drive, sector)) {
            return false;
        }
    }
    return *sector <= capacity && *count <= capacity - *sector;
}

static void set_lba(struct ata_drive *drive, unsigned flags, uint64_t sector)
{
    struct ata_registers *regs = &drive->regs;

    regs->lba_low = (uint8_t)sector;
    regs->lba_mid = (uint8_t)(sector >> 8);
    regs->lba_high = (uint8_t)(sector >> 16);
    if (flags & EXT) {
        regs->lba_low_high = (uint8_t)(sector >> 24);
        regs->lba_mid_high = (uint8_t)(sector >> 32);
        regs->lba_high_high = (uint8_t)(sector >> 40);
    } else {
        regs->device = (uint8_t)((regs->device & ~ATA_DEVICE_HEAD) | (sector >> 24 & 0xf));
    }
}

/* ---- Data ---- */

static void run_transfer(struct ata_drive *drive, unsigned flags)
{
    uint64_t sector;
    uint32_t count;

    if (((flags & WRITE) && block_is_read_only(drive->backend)) ||
        ((flags & MULTIPLE) && !drive->multiple)) {
        ata_fail(drive, ATA_ERROR_ABRT);
        return;
    }
    if (!get_extent(drive, flags, &sector, &count)) {
        ata_fail(drive, ATA_ERROR_IDNF);
        return;
    }
    drive->transfer = (struct ata_transfer){
        .mode = flags & USE_DMA ? ATA_MODE_DMA : ATA_MODE_PIO,
        .end = ATA_END_COMMAND,
        .has_image = true,
        .operation = flags & WRITE ? BLOCK_WRITE : BLOCK_READ,
        .to_host = !(flags & WRITE),
        .fua = (flags & FUA) || !drive->write_cache,
        .block_size = (uint16_t)(ATA_SECTOR * (flags & MULTIPLE ? drive->multiple : 1)),
        .offset = sector * ATA_SECTOR,
        .length = (uint64_t)count * ATA_SECTOR,
    };
    drive->power = POWER_ACTIVE;
    ata_transfer_start(drive);
}

/* A request to the image without data. */
static void run_image_operation(struct ata_drive *drive, enum block_operation operation,
                                uint64_t offset, uint64_t length)
{
    drive->transfer = (struct ata_transfer){
        .mode = ATA_MODE_NONE,
        .has_image = true,
        .operation = (uint8_t)operation,
        .offset = offset,
        .length = length,
    };
    ata_transfer_start(drive);
}

static void run_flush(struct ata_drive *drive, unsigned flags)
{
    run_image_operation(drive, BLOCK_FLUSH, 0, 0);
}

/* Is it on the disk? More than that an image can't tell without being read. */
static void run_verify(struct ata_drive *drive, unsigned flags)
{
    uint64_t sector;
    uint32_t count;

    if (get_extent(drive, flags, &sector, &count)) {
        ata_succeed(drive);
    } else {
        ata_fail(drive, ATA_ERROR_IDNF);
    }
}

/* Data for the host that are in the buffer already. */
static void give_buffer(struct ata_drive *drive, uint32_t length)
{
    drive->transfer = (struct ata_transfer){
        .mode = ATA_MODE_PIO,
        .to_host = true,
        .block_size = ATA_SECTOR,
        .length = length,
    };
    drive->buffer_end = length;
    ata_transfer_start(drive);
}

static void run_identify(struct ata_drive *drive, unsigned flags)
{
    ata_identify(drive, drive->buffer);
    give_buffer(drive, ATA_SECTOR);
}

static void run_identify_packet(struct ata_drive *drive, unsigned flags)
{
    atapi_identify(drive, drive->buffer);
    give_buffer(drive, ATA_SECTOR);
}

/* 7.24; general purpose logs: annex A. */
static void run_read_log(struct ata_drive *drive, unsigned flags)
{
    const struct ata_registers *regs = &drive->regs;
    uint32_t count = regs->count | (uint32_t)regs->count_high << 8;
    uint32_t page = regs->lba_mid | (uint32_t)regs->lba_mid_high << 8;

    if (count != 1 || page != 0 ||
        (regs->lba_low != LOG_DIRECTORY &&
         (regs->lba_low != LOG_NCQ_ERROR || !ata_drive_bus(drive)->is_serial))) {
        ata_fail(drive, ATA_ERROR_ABRT);
        return;
    }
    if (regs->lba_low == LOG_DIRECTORY) {
        memset(drive->buffer, 0, ATA_SECTOR);
        drive->buffer[0] = 1; /* version */
        drive->buffer[2 * LOG_NCQ_ERROR] = ata_drive_bus(drive)->is_serial;
    } else {
        ata_queued_error_log(drive, drive->buffer);
    }
    give_buffer(drive, ATA_SECTOR);
}

/* ---- TRIM: 7.10 ---- */

static void run_data_set_management(struct ata_drive *drive, unsigned flags)
{
    uint32_t count = drive->regs.count | (uint32_t)drive->regs.count_high << 8;

    if (drive->regs.features != ATA_DSM_TRIM || block_is_read_only(drive->backend) ||
        !block_get_limits(drive->backend)->can_discard || count == 0 ||
        count > ATA_BUFFER_SIZE / ATA_SECTOR) {
        ata_fail(drive, ATA_ERROR_ABRT);
        return;
    }
    drive->transfer = (struct ata_transfer){
        .mode = ATA_MODE_DMA,
        .end = ATA_END_TRIM,
        .length = (uint64_t)count * ATA_SECTOR,
    };
    drive->buffer_end = count * ATA_SECTOR;
    drive->position = 0;
    ata_transfer_start(drive);
}

/* Discard the next range of the buffer; buffer[position] is its entry, which is shortened by what
 * is done. Reads of the disk's end and beyond are errors: 7.10.3.1. */
void ata_next_trim(struct ata_drive *drive)
{
    struct ata_transfer *transfer = &drive->transfer;
    uint64_t most = block_get_limits(drive->backend)->max_zeroes / ATA_SECTOR;
    uint64_t capacity = ata_capacity(drive);

    for (; drive->position < drive->buffer_end; drive->position += TRIM_ENTRY) {
        uint64_t entry = load_le64(drive->buffer + drive->position);
        uint64_t sector = entry & 0xffffffffffffu, count = entry >> 48, part = MIN(count, most);

        if (!count) {
            continue;
        }
        if (sector > capacity || count > capacity - sector) {
            ata_fail(drive, ATA_ERROR_IDNF);
            return;
        }
        store_le64(drive->buffer + drive->position, (sector + part) | (count - part) << 48);
        transfer->mode = ATA_MODE_NONE;
        transfer->has_image = true;
        transfer->operation = BLOCK_DISCARD;
        transfer->offset = sector << SECTOR_SHIFT;
        transfer->length = part << SECTOR_SHIFT;
        transfer->done = 0;
        ata_work(drive);
        return;
    }
    ata_succeed(drive);
}

/* ---- Without data ---- */

static void run_succeed(struct ata_drive *drive, unsigned flags)
{
    ata_succeed(drive);
}

static void run_abort(struct ata_drive *drive, unsigned flags)
{
    ata_fail(drive, ATA_ERROR_ABRT);
}

static void run_standby(struct ata_drive *drive, unsigned flags)
{
    drive->power = POWER_STANDBY;
    if (drive->is_packet || !drive->backend) {
        ata_succeed(drive);
    } else {
        run_flush(drive, flags); /* 7.53: cached data first */
    }
}

static void run_idle(struct ata_drive *drive, unsigned flags)
{
    drive->power = POWER_ACTIVE;
    ata_succeed(drive);
}

static void run_check_power(struct ata_drive *drive, unsigned flags)
{
    drive->regs.count = drive->power;
    ata_succeed(drive);
}

static void run_native_max(struct ata_drive *drive, unsigned flags)
{
    uint64_t last = ata_capacity(drive) - 1;

    set_lba(drive, flags, flags & EXT ? last : MIN(last, 0x0fffffff));
    ata_succeed(drive);
}

static void run_seek(struct ata_drive *drive, unsigned flags)
{
    uint64_t sector = lba28(&drive->regs);

    if ((!(drive->regs.device & ATA_DEVICE_LBA) && !chs_sector(drive, &sector)) ||
        sector >= ata_capacity(drive)) {
        ata_fail(drive, ATA_ERROR_IDNF);
    } else {
        ata_succeed(drive);
    }
}

static void run_initialize_parameters(struct ata_drive *drive, unsigned flags)
{
    if (!drive->regs.count) {
        ata_fail(drive, ATA_ERROR_ABRT);
        return;
    }
    drive->sectors = drive->regs.count;
    drive->heads = (drive->regs.device & ATA_DEVICE_HEAD) + 1;
    ata_succeed(drive);
}

static void run_set_multiple(struct ata_drive *drive, unsigned flags)
{
    uint8_t count = drive->regs.count;

    if (count > ATA_MULTIPLE_MAX || (count & (count - 1))) {
        ata_fail(drive, ATA_ERROR_ABRT);
        return;
    }
    drive->multiple = count;
    ata_succeed(drive);
}

/* PIO default and flow control, multiword and ultra DMA: 7.45.3. */
static bool set_transfer_mode(struct ata_drive *drive, uint8_t mode)
{
    static const struct {
        uint8_t type, last;
    } modes[] = {{0x00, 1}, {0x08, 4}, {0x20, 2}, {0x40, 5}};

    for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
        if ((mode & 0xf8) == modes[i].type && (mode & 7) <= modes[i].last) {
            if (modes[i].type >= 0x20) {
                drive->transfer_mode = mode;
            }
            return true;
        }
    }
    return false;
}

static void run_set_features(struct ata_drive *drive, unsigned flags)
{
    uint8_t feature = drive->regs.features;

    switch (feature) {
    case ATA_FEATURE_TRANSFER_MODE:
        if (!set_transfer_mode(drive, drive->regs.count)) {
            ata_fail(drive, ATA_ERROR_ABRT);
            return;
        }
        break;
    case ATA_FEATURE_CACHE_ON:
    case ATA_FEATURE_CACHE_OFF:
        if (drive->is_packet) {
            ata_fail(drive, ATA_ERROR_ABRT);
            return;
        }
        drive->write_cache = feature == ATA_FEATURE_CACHE_ON;
        if (!drive->write_cache) {
            run_flush(drive, flags);
            return;
        }
        break;
    case ATA_FEATURE_LOOK_AHEAD_ON:
    case ATA_FEATURE_LOOK_AHEAD_OFF:
        drive->look_ahead = feature == ATA_FEATURE_LOOK_AHEAD_ON;
        break;
    case ATA_FEATURE_DEFAULTS_ON:
    case ATA_FEATURE_DEFAULTS_OFF:
        break;
    default:
        ata_fail(drive, ATA_ERROR_ABRT);
        return;
    }
    ata_succeed(drive);
}

static void set_signature(struct ata_drive *drive)
{
    struct ata_registers *regs = &drive->regs;

    regs->count = regs->lba_low = 1;
    regs->lba_mid = drive->is_packet ? ATAPI_SIGNATURE_MID : 0;
    regs->lba_high = drive->is_packet ? ATAPI_SIGNATURE_HIGH : 0;
    regs->device &= ATA_DEVICE_DEV;
}

/* Commands that a packet drive aborts leave its signature: ATA/ATAPI-6, 8.15.5, 8.27.5. */
static void run_abort_signature(struct ata_drive *drive, unsigned flags)
{
    set_signature(drive);
    ata_fail(drive, ATA_ERROR_ABRT);
}

static void run_device_reset(struct ata_drive *drive, unsigned flags)
{
    ata_drive_begin_reset(drive, false);
}

static void run_packet(struct ata_drive *drive, unsigned flags)
{
    atapi_begin(drive);
}

/* Both drives do it, whichever is selected; drive 0 tells of both: ATA/ATAPI-6, 9.10. */
static void run_diagnostic(struct ata_drive *drive, unsigned flags)
{
    set_signature(drive);
    drive->regs.error = 1; /* passed */
    drive->phase = ATA_IDLE;
    drive->regs.status = drive->is_packet ? 0 : ATA_STATUS_DRDY | ATA_STATUS_DSC;
    ata_drive_bus(drive)->ops->ended(ata_drive_bus(drive), drive, true);
}

static const struct ata_command_row ata_command_table[] = {
    {ATA_NOP, ATA_NOP, FOR_BOTH, run_abort}, /* 7.20: always ends so */
    {ATA_DATA_SET_MANAGEMENT, ATA_DATA_SET_MANAGEMENT, FOR_DISK | USE_DMA, run_data_set_management},
    {ATA_DEVICE_RESET, ATA_DEVICE_RESET, FOR_PACKET, run_device_reset},
    {ATA_RECALIBRATE, ATA_RECALIBRATE + 15, FOR_DISK, run_succeed},
    {ATA_READ_SECTORS, ATA_READ_SECTORS_OLD, FOR_DISK, run_transfer},
    {ATA_READ_SECTORS, ATA_READ_SECTORS, FOR_PACKET, run_abort_signature},
    {ATA_READ_SECTORS_EXT, ATA_READ_SECTORS_EXT, FOR_DISK | EXT, run_transfer},
    {ATA_READ_DMA_EXT, ATA_READ_DMA_EXT, FOR_DISK | EXT | USE_DMA, run_transfer},
    {ATA_READ_NATIVE_MAX_EXT, ATA_READ_NATIVE_MAX_EXT, FOR_DISK | EXT, run_native_max},
    {ATA_READ_MULTIPLE_EXT, ATA_READ_MULTIPLE_EXT, FOR_DISK | EXT | MULTIPLE, run_transfer},
    {ATA_READ_LOG_EXT, ATA_READ_LOG_EXT, FOR_DISK, run_read_log},
    {ATA_WRITE_SECTORS, ATA_WRITE_SECTORS_OLD, FOR_DISK | WRITE, run_transfer},
    {ATA_WRITE_SECTORS_EXT, ATA_WRITE_SECTORS_EXT, FOR_DISK | WRITE | EXT, run_transfer},
    {ATA_WRITE_DMA_EXT, ATA_WRITE_DMA_EXT, FOR_DISK | WRITE | EXT | USE_DMA, run_transfer},
    {ATA_WRITE_MULTIPLE_EXT, ATA_WRITE_MULTIPLE_EXT, FOR_DISK | WRITE | EXT | MULTIPLE,
     run_transfer},
    {ATA_WRITE_VERIFY, ATA_WRITE_VERIFY, FOR_DISK | WRITE, run_transfer},
    {ATA_WRITE_DMA_FUA_EXT, ATA_WRITE_DMA_FUA_EXT, FOR_DISK | WRITE | EXT | USE_DMA | FUA,
     run_transfer},
    {ATA_READ_VERIFY, ATA_READ_VERIFY_OLD, FOR_DISK, run_verify},
    {ATA_READ_VERIFY_EXT, ATA_READ_VERIFY_EXT, FOR_DISK | EXT, run_verify},
    {ATA_SEEK, ATA_SEEK + 15, FOR_DISK, run_seek},
    {ATA_DIAGNOSTIC, ATA_DIAGNOSTIC, FOR_BOTH, run_diagnostic},
    {ATA_INITIALIZE_PARAMETERS, ATA_INITIALIZE_PARAMETERS, FOR_DISK, run_initialize_parameters},
    {ATA_STANDBY_IMMEDIATE_OLD, ATA_STANDBY_IMMEDIATE_OLD, FOR_BOTH, run_standby},
    {ATA_IDLE_IMMEDIATE_OLD, ATA_IDLE_IMMEDIATE_OLD, FOR_BOTH, run_idle},
    {ATA_STANDBY_OLD, ATA_STANDBY_OLD, FOR_BOTH, run_standby},
    {ATA_IDLE_OLD, ATA_IDLE_OLD, FOR_BOTH, run_idle},
    {ATA_CHECK_POWER_OLD, ATA_CHECK_POWER_OLD, FOR_BOTH, run_check_power},
    {ATA_SLEEP_OLD, ATA_SLEEP_OLD, FOR_BOTH, run_standby},
    {ATA_PACKET, ATA_PACKET, FOR_PACKET, run_packet},
    {ATA_IDENTIFY_PACKET, ATA_IDENTIFY_PACKET, FOR_PACKET, run_identify_packet},
    {ATA_READ_MULTIPLE, ATA_READ_MULTIPLE, FOR_DISK | MULTIPLE, run_transfer},
    {ATA_WRITE_MULTIPLE, ATA_WRITE_MULTIPLE, FOR_DISK | WRITE | MULTIPLE, run_transfer},
    {ATA_SET_MULTIPLE, ATA_SET_MULTIPLE, FOR_DISK, run_set_multiple},
    {ATA_READ_DMA, ATA_READ_DMA_OLD, FOR_DISK | USE_DMA, run_transfer},
    {ATA_WRITE_DMA, ATA_WRITE_DMA_OLD, FOR_DISK | WRITE | USE_DMA, run_transfer},
    {ATA_WRITE_MULTIPLE_FUA, ATA_WRITE_MULTIPLE_FUA, FOR_DISK | WRITE | EXT | MULTIPLE | FUA,
     run_transfer},
    {ATA_STANDBY_IMMEDIATE, ATA_STANDBY_IMMEDIATE, FOR_BOTH, run_standby},
    {ATA_IDLE_IMMEDIATE, ATA_IDLE_IMMEDIATE, FOR_BOTH, run_idle},
    {ATA_STANDBY, ATA_STANDBY, FOR_BOTH, run_standby},
    {ATA_IDLE_TIMER, ATA_IDLE_TIMER, FOR_BOTH, run_idle},
    {ATA_CHECK_POWER, ATA_CHECK_POWER, FOR_BOTH, run_check_power},
    {ATA_SLEEP, ATA_SLEEP, FOR_BOTH, run_standby},
    {ATA_FLUSH_CACHE, ATA_FLUSH_CACHE, FOR_DISK, run_flush},
    {ATA_FLUSH_CACHE_EXT, ATA_FLUSH_CACHE_EXT, FOR_DISK, run_flush},
    {ATA_IDENTIFY, ATA_IDENTIFY, FOR_DISK, run_identify},
    {ATA_IDENTIFY, ATA_IDENTIFY, FOR_PACKET, run_abort_signature},
    {ATA_SET_FEATURES, ATA_SET_FEATURES, FOR_BOTH, run_set_features},
    {ATA_READ_NATIVE_MAX, ATA_READ_NATIVE_MAX, FOR_DISK, run_native_max},
};

void ata_command(struct ata_drive *drive)
{
    unsigned kind = drive->is_packet ? FOR_PACKET : FOR_DISK;

    drive->regs.error = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(ata_command_table); i++) {
        const struct ata_command_row *row = &ata_command_table[i];

        if (drive->regs.command >= row->code && drive->regs.command <= row->last &&
            (row->flags & kind)) {
            row->run(drive, row->flags);
            return;
        }
    }
    ata_fail(drive, ATA_ERROR_ABRT);
}

/* ---- Reset ---- */

void ata_set_defaults(struct ata_drive *drive)
{
    drive->multiple = ATA_MULTIPLE_MAX;
    drive->heads = 16;
    drive->sectors = 63;
    drive->transfer_mode = 0x22; /* multiword DMA 2 */
    drive->write_cache = drive->write_cache_default;
    drive->look_ahead = true;
}

/* 9.1, 9.2 of ATA/ATAPI-6: when all that was under way has ended. */
static void finish_reset(struct ata_drive *drive)
{
    struct ata_bus *bus = ata_drive_bus(drive);

    drive->signature_pending = false;
    set_signature(drive);
    drive->regs.error = 1; /* passed */
    drive->regs.status = drive->is_packet ? 0 : ATA_STATUS_DRDY | ATA_STATUS_DSC;
    drive->power = POWER_ACTIVE;
    bus->ops->reset_ended(bus, drive);
}

bool ata_drive_is_working(const struct ata_drive *drive)
{
    return drive->in_flight || drive->must_submit || drive->queued_in_flight;
}

void ata_drive_abandon(struct ata_drive *drive)
{
    drive->phase = ATA_IDLE;
    drive->must_submit = false;
    ata_queued_abandon(drive);
}

void ata_drive_settle(struct ata_drive *drive)
{
    struct ata_bus *bus = ata_drive_bus(drive);

    if (drive->in_flight || drive->queued_in_flight) {
        return;
    }
    if (drive->signature_pending) {
        finish_reset(drive);
    }
    if (bus->ops->idle) {
        bus->ops->idle(bus, drive);
    }
}

void ata_drive_begin_reset(struct ata_drive *drive, bool is_hard)
{
    ata_drive_abandon(drive);
    if (is_hard) {
        ata_set_defaults(drive);
        if (drive->is_packet) {
            atapi_reset(drive);
        }
    }
    drive->queued_failed = false;
    drive->regs.status = ATA_STATUS_BSY;
    drive->signature_pending = true;
    if (!drive->in_flight && !drive->queued_in_flight) {
        finish_reset(drive);
    }
}
