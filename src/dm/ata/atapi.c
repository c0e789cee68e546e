/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PACKET command (ATA/ATAPI-6, 8.25 and 9.8), sense data, and the table of packet commands. */
#include "dm/ata/atapi.h"

#define SENSE_SIZE       18u
#define SENSE_FIXED      0x70u /* current error, fixed format: SPC-3, 4.5.3 */
#define FEATURE_DMA      0x01u /* of PACKET: data go by DMA */
#define BYTE_COUNT_LARGE 0xfffeu

/* Commands that answer even while a unit attention waits (SPC-3, 5.3 and MMC-5, 4.1.6.1), and
 * those that need a medium. */
#define ALWAYS       0x1u
#define NEEDS_MEDIUM 0x2u

uint32_t atapi_capacity(const struct ata_drive *drive)
{
    return drive->backend ? (uint32_t)MIN(block_size(drive->backend) / ATAPI_SECTOR, UINT32_MAX)
                          : 0;
}

uint8_t *atapi_buffer(struct ata_drive *drive, uint32_t length)
{
    return memset(drive->buffer, 0, length);
}

void atapi_fail(struct ata_drive *drive, uint8_t key, uint16_t code)
{
    drive->packet.sense_key = key;
    drive->packet.sense_code = code;
    ata_fail(drive, (uint8_t)(key << 4 | ATA_ERROR_ABRT));
}

void atapi_reset(struct ata_drive *drive)
{
    struct atapi_state *packet = &drive->packet;

    packet->sense_key = SENSE_NONE;
    packet->sense_code = ASC_NONE;
    packet->locked = false;
    packet->attention_reset = true;
    packet->attention_medium = false;
    packet->medium_event = MEDIUM_EVENT_NONE;
    packet->dma = false;
}

void atapi_begin(struct ata_drive *drive)
{
    const struct ata_registers *regs = &drive->regs;
    uint32_t limit = regs->lba_mid | (uint32_t)regs->lba_high << 8;

    /* An odd limit counts as the even one below; none at all as the largest. */
    drive->packet.byte_limit = (uint16_t)(limit < 2 ? BYTE_COUNT_LARGE : limit & ~1u);
    drive->packet.dma = regs->features & FEATURE_DMA;
    drive->transfer = (struct ata_transfer){
        .mode = ATA_MODE_PIO,
        .end = ATA_END_PACKET,
        .block_size = ATAPI_CDB,
        .length = ATAPI_CDB,
    };
    ata_transfer_start(drive);
}

/* Data for the host: from the buffer, or from the medium. */
static void send_data(struct ata_drive *drive, bool has_image, uint64_t offset, uint64_t length)
{
    drive->transfer = (struct ata_transfer){
        .mode = drive->packet.dma ? ATA_MODE_DMA : ATA_MODE_PIO,
        .end = ATA_END_COMMAND,
        .has_image = has_image,
        .operation = BLOCK_READ,
        .to_host = true,
        .block_size = drive->packet.byte_limit,
        .offset = offset,
        .length = length,
    };
    ata_transfer_start(drive);
}

void atapi_reply(struct ata_drive *drive, uint32_t length, uint32_t allocation)
{
    drive->buffer_end = MIN(length, allocation);
    if (drive->buffer_end) {
        send_data(drive, false, 0, drive->buffer_end);
    } else {
        ata_succeed(drive);
    }
}

void atapi_send_blocks(struct ata_drive *drive, uint32_t block, uint32_t count)
{
    uint32_t capacity = atapi_capacity(drive);

    if (block > capacity || count > capacity - block) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    } else if (count) {
        send_data(drive, true, (uint64_t)block * ATAPI_SECTOR, (uint64_t)count * ATAPI_SECTOR);
    } else {
        ata_succeed(drive);
    }
}

/* The unit attention that waits, if one does: taken. */
static bool take_attention(struct ata_drive *drive, uint16_t *code)
{
    struct atapi_state *packet = &drive->packet;

    if (packet->attention_reset) {
        packet->attention_reset = false;
        *code = ASC_RESET_OCCURRED;
        return true;
    }
    if (packet->attention_medium) {
        packet->attention_medium = false;
        *code = ASC_MEDIUM_MAY_HAVE_CHANGED;
        return true;
    }
    return false;
}

static void test_unit_ready(struct ata_drive *drive, const uint8_t *cdb)
{
    ata_succeed(drive);
}

static void request_sense(struct ata_drive *drive, const uint8_t *cdb)
{
    uint8_t *data = atapi_buffer(drive, SENSE_SIZE);
    struct atapi_state *packet = &drive->packet;

    if (packet->sense_key == SENSE_NONE && take_attention(drive, &packet->sense_code)) {
        packet->sense_key = SENSE_UNIT_ATTENTION;
    }
    data[0] = SENSE_FIXED;
    data[2] = packet->sense_key;
    data[7] = SENSE_SIZE - 8;
    put_16(data + 12, packet->sense_code);
    packet->sense_key = SENSE_NONE;
    packet->sense_code = ASC_NONE;
    atapi_reply(drive, SENSE_SIZE, cdb[4]);
}

static void do_nothing(struct ata_drive *drive, const uint8_t *cdb)
{
    ata_succeed(drive);
}

static const struct {
    uint8_t code;
    uint8_t flags;
    void (*run)(struct ata_drive *drive, const uint8_t *cdb);
} packet_commands[] = {
    {CDB_TEST_UNIT_READY, NEEDS_MEDIUM, test_unit_ready},
    {CDB_REQUEST_SENSE, ALWAYS, request_sense},
    {CDB_INQUIRY, ALWAYS, atapi_inquiry},
    {CDB_MODE_SELECT_6, 0, atapi_mode_select_6},
    {CDB_MODE_SENSE_6, 0, atapi_mode_sense_6},
    {CDB_START_STOP_UNIT, 0, atapi_start_stop},
    {CDB_PREVENT_REMOVAL, 0, atapi_prevent_removal},
    {CDB_READ_FORMAT_CAPACITIES, 0, atapi_read_format_capacities},
    {CDB_READ_CAPACITY, NEEDS_MEDIUM, atapi_read_capacity},
    {CDB_READ_10, NEEDS_MEDIUM, atapi_read_10},
    {CDB_SEEK_10, NEEDS_MEDIUM, atapi_seek},
    {CDB_SYNCHRONIZE_CACHE, 0, do_nothing},
    {CDB_READ_SUBCHANNEL, NEEDS_MEDIUM, atapi_read_subchannel},
    {CDB_READ_TOC, NEEDS_MEDIUM, atapi_read_toc},
    {CDB_GET_CONFIGURATION, ALWAYS, atapi_get_configuration},
    {CDB_GET_EVENT_STATUS, ALWAYS, atapi_get_event_status},
    {CDB_READ_DISC_INFORMATION, NEEDS_MEDIUM, atapi_read_disc_information},
    {CDB_READ_TRACK_INFORMATION, NEEDS_MEDIUM, atapi_read_track_information},
    {CDB_MODE_SELECT_10, 0, atapi_mode_select_10},
    {CDB_MODE_SENSE_10, 0, atapi_mode_sense_10},
    {CDB_READ_12, NEEDS_MEDIUM, atapi_read_12},
    {CDB_SET_CD_SPEED, 0, do_nothing},
    {CDB_MECHANISM_STATUS, 0, atapi_mechanism_status},
    {CDB_READ_CD, NEEDS_MEDIUM, atapi_read_cd},
};

void atapi_run(struct ata_drive *drive)
{
    struct atapi_state *packet = &drive->packet;
    uint16_t attention;
    unsigned i;

    memcpy(packet->cdb, drive->buffer, ATAPI_CDB);
    for (i = 0; i < G_N_ELEMENTS(packet_commands); i++) {
        if (packet_commands[i].code == packet->cdb[0]) {
            break;
        }
    }
    if (packet->cdb[0] != CDB_REQUEST_SENSE) {
        packet->sense_key = SENSE_NONE;
        packet->sense_code = ASC_NONE;
    }
    if (i == G_N_ELEMENTS(packet_commands)) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE);
    } else if (!(packet_commands[i].flags & ALWAYS) && take_attention(drive, &attention)) {
        atapi_fail(drive, SENSE_UNIT_ATTENTION, attention);
    } else if ((packet_commands[i].flags & NEEDS_MEDIUM) && !atapi_is_ready(drive)) {
        atapi_fail(drive, SENSE_NOT_READY,
                   packet->tray_open ? ASC_NO_MEDIUM_TRAY_OPEN : ASC_NO_MEDIUM_TRAY_CLOSED);
    } else {
        packet_commands[i].run(drive, packet->cdb);
    }
}
