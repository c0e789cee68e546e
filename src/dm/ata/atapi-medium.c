/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packet commands of the medium (one data track) and the tray. Sections are those of MMC-5. */
#include "dm/ata/atapi.h"

#define TRACK_DATA   0x14u /* ADR 1, data track */
#define LEAD_OUT     0xaau
#define MSF_OFFSET   150u /* frames: the address 00:02:00 is block 0 */
#define FRAMES       75u  /* per second */
#define NO_AUDIO     0x15u
#define CLASS_MEDIUM 4u /* of events */
#define CD_USER_DATA 0x10u
#define CD_ANY_DATA  0xf8u

void atapi_read_10(struct ata_drive *drive, const uint8_t *cdb)
{
    atapi_send_blocks(drive, cdb_32(cdb + 2), cdb_16(cdb + 7));
}

void atapi_read_12(struct ata_drive *drive, const uint8_t *cdb)
{
    atapi_send_blocks(drive, cdb_32(cdb + 2), cdb_32(cdb + 6));
}

/* 6.20: user data of a data track. An image has no more than that. */
void atapi_read_cd(struct ata_drive *drive, const uint8_t *cdb)
{
    uint32_t count = (uint32_t)cdb[6] << 16 | cdb_16(cdb + 7);
    unsigned type = cdb[1] >> 2 & 7;

    if (cdb[10] & 7 || (cdb[9] & ~CD_USER_DATA)) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
    } else if (type != 0 && type != 2) { /* any, or mode 1 */
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_ILLEGAL_MODE_FOR_TRACK);
    } else {
        atapi_send_blocks(drive, cdb_32(cdb + 2), cdb[9] & CD_USER_DATA ? count : 0);
    }
}

void atapi_seek(struct ata_drive *drive, const uint8_t *cdb)
{
    if (cdb_32(cdb + 2) < atapi_capacity(drive)) {
        ata_succeed(drive);
    } else {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    }
}

void atapi_read_capacity(struct ata_drive *drive, const uint8_t *cdb)
{
    uint8_t *data = atapi_buffer(drive, 8);
    uint32_t blocks = atapi_capacity(drive);

    put_32(data, blocks ? blocks - 1 : 0);
    put_32(data + 4, ATAPI_SECTOR);
    atapi_reply(drive, 8, 8);
}

void atapi_read_format_capacities(struct ata_drive *drive, const uint8_t *cdb)
{
    uint8_t *data = atapi_buffer(drive, 12);

    data[3] = 8;
    put_32(data + 4, atapi_capacity(drive));
    put_32(data + 8, ATAPI_SECTOR);
    data[8] = atapi_is_ready(drive) ? 2 : 3; /* formatted; no medium */
    atapi_reply(drive, 12, cdb_16(cdb + 7));
}

/* ---- Table of contents: 6.26 ---- */

static void put_address(uint8_t *data, uint32_t block, bool is_msf)
{
    if (is_msf) {
        uint32_t frames = block + MSF_OFFSET;

        data[1] = (uint8_t)(frames / FRAMES / 60);
        data[2] = (uint8_t)(frames / FRAMES % 60);
        data[3] = (uint8_t)(frames % FRAMES);
    } else {
        put_32(data, block);
    }
}

/* Format 0: tracks from `first` on, and the lead-out. 0: there is no such track. */
static uint32_t put_tracks(const struct ata_drive *drive, uint8_t *data, bool is_msf,
                           unsigned first)
{
    uint32_t end = 4;

    if (first > 1 && first != LEAD_OUT) {
        return 0;
    }
    data[2] = data[3] = 1; /* first and last track */
    if (first <= 1) {
        data[end + 1] = TRACK_DATA;
        data[end + 2] = 1;
        put_address(data + end + 4, 0, is_msf);
        end += 8;
    }
    data[end + 1] = TRACK_DATA;
    data[end + 2] = LEAD_OUT;
    put_address(data + end + 4, atapi_capacity(drive), is_msf);
    return end + 8;
}

/* Format 1: the last session. */
static uint32_t put_session(uint8_t *data, bool is_msf)
{
    data[2] = data[3] = 1;
    data[5] = TRACK_DATA;
    data[6] = 1;
    put_address(data + 8, 0, is_msf);
    return 12;
}

/* Format 2: the sub-channel's points A0 (first track), A1 (last), A2 (lead-out), and track 1. */
static uint32_t put_points(const struct ata_drive *drive, uint8_t *data)
{
    static const uint8_t points[] = {0xa0, 0xa1, 0xa2, 1};
    uint32_t end = 4;

    data[2] = data[3] = 1;
    for (unsigned i = 0; i < G_N_ELEMENTS(points); i++) {
        uint8_t *entry = data + end;

        entry[0] = 1;
        entry[1] = TRACK_DATA;
        entry[3] = points[i];
        if (points[i] == 0xa2 || points[i] == 1) {
            put_address(entry + 7, points[i] == 1 ? 0 : atapi_capacity(drive), true);
        } else {
            entry[8] = 1;
        }
        end += 11;
    }
    return end;
}

void atapi_read_toc(struct ata_drive *drive, const uint8_t *cdb)
{
    unsigned format = cdb[2] & 0xf ? cdb[2] & 0xf : cdb[9] >> 6;
    bool is_msf = cdb[1] & 2;
    uint8_t *data = atapi_buffer(drive, 64);
    uint32_t end = 0;

    if (format == 0) {
        end = put_tracks(drive, data, is_msf, cdb[6]);
    } else if (format == 1) {
        end = put_session(data, is_msf);
    } else if (format == 2) {
        end = put_points(drive, data);
    }
    if (!end) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
        return;
    }
    put_16(data, end - 2);
    atapi_reply(drive, end, cdb_16(cdb + 7));
}

/* 6.25: nothing plays. */
void atapi_read_subchannel(struct ata_drive *drive, const uint8_t *cdb)
{
    uint8_t *data = atapi_buffer(drive, 4);

    data[1] = NO_AUDIO;
    atapi_reply(drive, 4, cdb_16(cdb + 7));
}

/* 6.22: one complete session. */
void atapi_read_disc_information(struct ata_drive *drive, const uint8_t *cdb)
{
    uint8_t *data = atapi_buffer(drive, 34);

    if (cdb[1] & 7) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
        return;
    }
    put_16(data, 32);
    data[2] = 0x0e; /* the disc and its last session are complete */
    data[3] = data[4] = data[5] = data[6] = 1;
    data[7] = 0x20; /* unrestricted use */
    memset(data + 16, 0xff, 8);
    atapi_reply(drive, 34, cdb_16(cdb + 7));
}

/* 6.27 */
void atapi_read_track_information(struct ata_drive *drive, const uint8_t *cdb)
{
    uint8_t *data = atapi_buffer(drive, 36);
    uint32_t number = cdb_32(cdb + 2);
    unsigned kind = cdb[1] & 3;

    if ((kind == 0 && number >= atapi_capacity(drive)) || (kind && number != 1) || kind == 3) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
        return;
    }
    put_16(data, 34);
    data[2] = data[3] = 1; /* track and session */
    data[5] = 0x04;        /* data */
    data[6] = 0x01;        /* mode 1 */
    put_32(data + 24, atapi_capacity(drive));
    atapi_reply(drive, 36, cdb_16(cdb + 7));
}

/* ---- The tray ---- */

/* 6.42. The medium stays in the open tray, until a person (QMP) takes it. */
void atapi_start_stop(struct ata_drive *drive, const uint8_t *cdb)
{
    bool start = cdb[4] & 1, move = cdb[4] & 2;

    if (move && !start && drive->packet.locked) {
        atapi_fail(drive, atapi_is_ready(drive) ? SENSE_ILLEGAL_REQUEST : SENSE_NOT_READY,
                   ASC_REMOVAL_PREVENTED);
        return;
    }
    if (move) {
        ata_move_tray(drive, !start);
    }
    ata_succeed(drive);
}

void atapi_prevent_removal(struct ata_drive *drive, const uint8_t *cdb)
{
    drive->packet.locked = cdb[4] & 1;
    ata_succeed(drive);
}

/* 6.7: polled only. */
void atapi_get_event_status(struct ata_drive *drive, const uint8_t *cdb)
{
    struct atapi_state *packet = &drive->packet;
    uint8_t *data = atapi_buffer(drive, 8);

    if (!(cdb[1] & 1)) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
        return;
    }
    data[3] = 1u << CLASS_MEDIUM; /* classes that there are */
    if (!(cdb[4] & 1u << CLASS_MEDIUM)) {
        put_16(data, 2);
        data[2] = 0x80; /* no event of those asked for */
        atapi_reply(drive, 4, cdb_16(cdb + 7));
        return;
    }
    put_16(data, 6);
    data[2] = CLASS_MEDIUM;
    data[4] = packet->medium_event;
    data[5] = (packet->tray_open ? 1 : 0) | (drive->backend ? 2 : 0);
    if (cdb_16(cdb + 7) > 4) {
        packet->medium_event = MEDIUM_EVENT_NONE;
    }
    atapi_reply(drive, 8, cdb_16(cdb + 7));
}

void atapi_mechanism_status(struct ata_drive *drive, const uint8_t *cdb)
{
    uint8_t *data = atapi_buffer(drive, 8);

    data[1] = drive->packet.tray_open ? 0x10 : 0;
    data[5] = 1; /* slots: no changer */
    atapi_reply(drive, 8, cdb_16(cdb + 8));
}
