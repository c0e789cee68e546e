/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a CD drive says of itself: INQUIRY (SPC-3, 6.4), mode pages (MMC-5, 7), features and
 * profiles (MMC-5, 5 and 6.6). */
#include "dm/ata/atapi.h"

#define INQUIRY_SIZE 36u

#define PAGE_CONTROL_SHIFT 6 /* of MODE SENSE's byte 2 */
#define PAGE_CHANGEABLE    1u
#define PAGE_SAVED         3u
#define PAGE_ERRORS        0x01u
#define PAGE_CAPABILITIES  0x2au
#define PAGE_ALL           0x3fu
#define SPEED              704u /* kB/s: four times that of audio */

#define PROFILE_CD_ROM  0x0008u
#define PROFILE_DVD_ROM 0x0010u
#define CD_BLOCKS_MAX   405000u /* 90 minutes; what is larger is a DVD */

void atapi_inquiry(struct ata_drive *drive, const uint8_t *cdb)
{
    uint8_t *data = atapi_buffer(drive, INQUIRY_SIZE);

    if (cdb[1] & 1 || cdb[2]) { /* vital product data: none */
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
        return;
    }
    data[0] = 0x05; /* CD drive */
    data[1] = 0x80; /* removable */
    data[3] = 0x21; /* ATAPI; response format 1 */
    data[4] = INQUIRY_SIZE - 5;
    memcpy(data + 8, "DUODM   DVD-ROM         1.0 ", 28);
    atapi_reply(drive, INQUIRY_SIZE, cdb_16(cdb + 3));
}

/* Mode pages. */

static uint32_t put_page_errors(uint8_t *data)
{
    data[0] = PAGE_ERRORS;
    data[1] = 6;
    data[3] = 5; /* retries */
    return 8;
}

static uint32_t put_page_capabilities(const struct ata_drive *drive, uint8_t *data)
{
    data[0] = PAGE_CAPABILITIES;
    data[1] = 20;
    data[2] = 0x3b; /* reads CD-R, CD-RW, DVD-ROM, DVD-R, method 2 */
    data[4] = 0x70; /* mode 2 forms 1 and 2, multisession */
    data[5] = 0x00;
    data[6] = (uint8_t)(0x29 | (drive->packet.locked ? 2 : 0)); /* tray, eject, lock */
    put_16(data + 8, SPEED);
    put_16(data + 10, 2);   /* levels of volume */
    put_16(data + 12, 512); /* KiB of buffer */
    put_16(data + 14, SPEED);
    return 22;
}

/* Pages from data + start on; the end, or 0: there is no such page. */
static uint32_t put_pages(struct ata_drive *drive, const uint8_t *cdb, uint8_t *data,
                          uint32_t start)
{
    unsigned page = cdb[2] & 0x3f, control = cdb[2] >> PAGE_CONTROL_SHIFT;
    uint32_t end = start;

    if (page == PAGE_ERRORS || page == PAGE_ALL) {
        end += put_page_errors(data + end);
        if (control == PAGE_CHANGEABLE) {
            memset(data + end - 6, 0, 6);
        }
    }
    if (page == PAGE_CAPABILITIES || page == PAGE_ALL) {
        end += put_page_capabilities(drive, data + end);
        if (control == PAGE_CHANGEABLE) {
            memset(data + end - 20, 0, 20);
        }
    }
    return end > start ? end : 0;
}

static uint8_t medium_type(const struct ata_drive *drive)
{
    return drive->packet.tray_open ? 0x71 : drive->backend ? 0x01 : 0x70;
}

static void mode_sense(struct ata_drive *drive, const uint8_t *cdb, uint32_t header,
                       uint32_t allocation)
{
    uint8_t *data = atapi_buffer(drive, 64);
    uint32_t end = put_pages(drive, cdb, data, header);

    if (cdb[2] >> PAGE_CONTROL_SHIFT == PAGE_SAVED) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_SAVING_NOT_SUPPORTED);
    } else if (!end) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
    } else if (header == 4) {
        data[0] = (uint8_t)(end - 1);
        data[1] = medium_type(drive);
        atapi_reply(drive, end, allocation);
    } else {
        put_16(data, end - 2);
        data[2] = medium_type(drive);
        atapi_reply(drive, end, allocation);
    }
}

void atapi_mode_sense_6(struct ata_drive *drive, const uint8_t *cdb)
{
    mode_sense(drive, cdb, 4, cdb[4]);
}

void atapi_mode_sense_10(struct ata_drive *drive, const uint8_t *cdb)
{
    mode_sense(drive, cdb, 8, cdb_16(cdb + 7));
}

/* No page has a field that can be changed: what comes is taken, and changes nothing. */
static void mode_select(struct ata_drive *drive, uint32_t length)
{
    if (length > ATA_BUFFER_SIZE) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
        return;
    }
    if (!length) {
        ata_succeed(drive);
        return;
    }
    drive->transfer = (struct ata_transfer){
        .mode = drive->packet.dma ? ATA_MODE_DMA : ATA_MODE_PIO,
        .end = ATA_END_COMMAND,
        .block_size = (uint16_t)length,
        .length = length,
    };
    ata_transfer_start(drive);
}

void atapi_mode_select_6(struct ata_drive *drive, const uint8_t *cdb)
{
    mode_select(drive, cdb[4]);
}

void atapi_mode_select_10(struct ata_drive *drive, const uint8_t *cdb)
{
    mode_select(drive, cdb_16(cdb + 7));
}

/* GET CONFIGURATION. */

struct feature {
    uint16_t code;
    uint8_t version; /* bits 5:2 version, 1 persistent, 0 current */
    uint8_t length;  /* of data */
    uint8_t data[8];
    bool needs_medium; /* current only with one */
};

/* MMC-5, 5.3. Profiles in the first are marked current below. */
static const struct feature features[] = {
    {0x0000, 0x03, 8, {0x00, 0x10, 0, 0, 0x00, 0x08, 0, 0}, false}, /* profiles */
    {0x0001, 0x0b, 8, {0, 0, 0, 2, 1, 0, 0, 0}, false},             /* core: ATAPI, device busy */
    {0x0002, 0x07, 4, {0x02, 0, 0, 0}, false},                      /* morphing */
    {0x0003, 0x03, 4, {0x29, 0, 0, 0}, false},               /* removable: tray, eject, lock */
    {0x0010, 0x00, 8, {0, 0, 0x08, 0x00, 0, 1, 0, 0}, true}, /* reads blocks of 2048 */
    {0x001e, 0x08, 4, {0, 0, 0, 0}, true},                   /* CDs */
    {0x001f, 0x04, 4, {0, 0, 0, 0}, true},                   /* DVDs */
    {0x0100, 0x03, 0, {0}, false},                           /* power management */
};

static uint32_t profile(const struct ata_drive *drive)
{
    if (!atapi_is_ready(drive)) {
        return 0;
    }
    return atapi_capacity(drive) > CD_BLOCKS_MAX ? PROFILE_DVD_ROM : PROFILE_CD_ROM;
}

static bool is_current(const struct ata_drive *drive, const struct feature *feature)
{
    uint32_t now = profile(drive);

    switch (feature->code) {
    case 0x001e:
        return now == PROFILE_CD_ROM;
    case 0x001f:
        return now == PROFILE_DVD_ROM;
    default:
        return !feature->needs_medium || now;
    }
}

static uint32_t put_feature(const struct ata_drive *drive, const struct feature *feature,
                            uint8_t *data)
{
    put_16(data, feature->code);
    data[2] = feature->version | (is_current(drive, feature) ? 1 : 0);
    data[3] = feature->length;
    memcpy(data + 4, feature->data, feature->length);
    for (unsigned i = 4; feature->code == 0 && i < 12; i += 4) {
        data[i + 2] = cdb_16(data + i) == profile(drive);
    }
    return 4u + feature->length;
}

void atapi_get_configuration(struct ata_drive *drive, const uint8_t *cdb)
{
    unsigned type = cdb[1] & 3, first = cdb_16(cdb + 2);
    uint8_t *data = atapi_buffer(drive, 256);
    uint32_t end = 8;

    if (type == 3) {
        atapi_fail(drive, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(features); i++) {
        const struct feature *feature = &features[i];

        /* 0: all from the first on, 1: those of them that are current, 2: that one. */
        if (feature->code >= first && (type != 1 || is_current(drive, feature)) &&
            (type != 2 || feature->code == first)) {
            end += put_feature(drive, feature, data + end);
        }
    }
    put_32(data, end - 4);
    put_16(data + 6, profile(drive));
    atapi_reply(drive, end, cdb_16(cdb + 7));
}
