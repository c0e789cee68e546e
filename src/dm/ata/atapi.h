/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files atapi*.c: packet commands of a CD drive (MMC-5, T10/1675D). */
#ifndef DUODM_DM_ATA_ATAPI_H
#define DUODM_DM_ATA_ATAPI_H

#include "dm/ata/ata-drive.h"

/* Events of media, as GET EVENT STATUS NOTIFICATION tells them: MMC-5, table 286. */
#define MEDIUM_EVENT_NONE    0u
#define MEDIUM_EVENT_EJECT   1u /* the button was pressed */
#define MEDIUM_EVENT_NEW     2u
#define MEDIUM_EVENT_REMOVED 3u

/* Of a packet: big-endian fields. */
static inline uint32_t cdb_16(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 8 | bytes[1];
}

static inline uint32_t cdb_32(const uint8_t *bytes)
{
    return cdb_16(bytes) << 16 | cdb_16(bytes + 2);
}

static inline void put_16(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static inline void put_32(uint8_t *bytes, uint32_t value)
{
    put_16(bytes, value >> 16);
    put_16(bytes + 2, value);
}

/* Is a medium there that can be read? */
static inline bool atapi_is_ready(const struct ata_drive *drive)
{
    return drive->backend && !drive->packet.tray_open;
}

/* Blocks of 2048 bytes. */
uint32_t atapi_capacity(const struct ata_drive *drive);
/* The answer to a command with `length` zeroed bytes, to be filled by the caller. */
uint8_t *atapi_buffer(struct ata_drive *drive, uint32_t length);
/* Answer with blocks of the medium. */
void atapi_send_blocks(struct ata_drive *drive, uint32_t block, uint32_t count);

/* atapi-describe.c: what the drive is and has. Commands of the table in atapi.c. */
void atapi_inquiry(struct ata_drive *drive, const uint8_t *cdb);
void atapi_mode_sense_6(struct ata_drive *drive, const uint8_t *cdb);
void atapi_mode_sense_10(struct ata_drive *drive, const uint8_t *cdb);
void atapi_mode_select_6(struct ata_drive *drive, const uint8_t *cdb);
void atapi_mode_select_10(struct ata_drive *drive, const uint8_t *cdb);
void atapi_get_configuration(struct ata_drive *drive, const uint8_t *cdb);
/* atapi-medium.c: what is on the medium, and the tray. */
void atapi_read_10(struct ata_drive *drive, const uint8_t *cdb);
void atapi_read_12(struct ata_drive *drive, const uint8_t *cdb);
void atapi_read_cd(struct ata_drive *drive, const uint8_t *cdb);
void atapi_seek(struct ata_drive *drive, const uint8_t *cdb);
void atapi_read_capacity(struct ata_drive *drive, const uint8_t *cdb);
void atapi_read_format_capacities(struct ata_drive *drive, const uint8_t *cdb);
void atapi_read_toc(struct ata_drive *drive, const uint8_t *cdb);
void atapi_read_subchannel(struct ata_drive *drive, const uint8_t *cdb);
void atapi_read_disc_information(struct ata_drive *drive, const uint8_t *cdb);
void atapi_read_track_information(struct ata_drive *drive, const uint8_t *cdb);
void atapi_start_stop(struct ata_drive *drive, const uint8_t *cdb);
void atapi_prevent_removal(struct ata_drive *drive, const uint8_t *cdb);
void atapi_get_event_status(struct ata_drive *drive, const uint8_t *cdb);
void atapi_mechanism_status(struct ata_drive *drive, const uint8_t *cdb);

#endif
