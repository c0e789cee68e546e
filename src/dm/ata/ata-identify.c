/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IDENTIFY DEVICE (ATA8-ACS, 7.16; words of older standards as in ATA/ATAPI-6, 8.15) and IDENTIFY
 * PACKET DEVICE (ATA8-ACS, 7.17). */
#include "dm/ata/ata-drive.h"
#include "util/little-endian.h"

#define WORD_SERIAL        10
#define WORD_FIRMWARE      23
#define WORD_MODEL         27
#define SERIAL_CHARACTERS  20
#define VERSION_CHARACTERS 8
#define MODEL_CHARACTERS   40

#define LBA28_MAX    0x0fffffffu
#define CYLINDER_MAX 16383u

/* SET FEATURES' transfer modes: type in bits 7:3, number in 2:0. */
#define MODE_MULTIWORD 0x20u
#define MODE_ULTRA     0x40u

static void put(uint8_t *data, unsigned word, uint32_t value)
{
    store_le16(data + 2 * word, (uint16_t)value);
}

/* Text is padded by blanks, two characters a word, the first in the high byte. */
static void put_text(uint8_t *data, unsigned word, unsigned length, const char *text)
{
    size_t given = strlen(text);

    for (unsigned i = 0; i < length; i++) {
        data[2 * word + (i ^ 1)] = i < given ? (uint8_t)text[i] : ' ';
    }
}

static void put_names(const struct ata_drive *drive, uint8_t *data, const char *model)
{
    put_text(data, WORD_SERIAL, SERIAL_CHARACTERS, drive->serial);
    put_text(data, WORD_FIRMWARE, VERSION_CHARACTERS, drive->version);
    put_text(data, WORD_MODEL, MODEL_CHARACTERS, drive->model ? drive->model : model);
}

/* Modes that can be, in bits 7:0, and the one that is, in bits 15:8. */
static uint32_t dma_modes(const struct ata_drive *drive, uint8_t type, uint32_t supported)
{
    uint32_t selected =
        (drive->transfer_mode & 0xf8) == type ? 1u << (drive->transfer_mode & 7) : 0;

    return supported | selected << 8;
}

static void put_modes(const struct ata_drive *drive, uint8_t *data)
{
    put(data, 63, dma_modes(drive, MODE_MULTIWORD, 0x07));
    put(data, 64, 0x0003); /* PIO modes 3 and 4 */
    for (unsigned word = 65; word <= 68; word++) {
        put(data, word, 120); /* ns, of a cycle */
    }
    put(data, 88, dma_modes(drive, MODE_ULTRA, 0x3f));
}

static void put_checksum(uint8_t *data)
{
    uint8_t sum = 0;

    data[510] = 0xa5;
    for (unsigned i = 0; i < 511; i++) {
        sum = (uint8_t)(sum + data[i]);
    }
    data[511] = (uint8_t)-sum;
}

static void put_geometry(const struct ata_drive *drive, uint8_t *data)
{
    uint64_t capacity = ata_capacity(drive);
    uint64_t cylinders = MIN(capacity / (16 * 63), CYLINDER_MAX);
    uint64_t now = MIN(capacity / ((uint64_t)drive->heads * drive->sectors), 0xffff);
    uint32_t reached = (uint32_t)(now * drive->heads * drive->sectors);

    put(data, 1, (uint32_t)cylinders);
    put(data, 3, 16);
    put(data, 6, 63);
    put(data, 54, (uint32_t)now);
    put(data, 55, drive->heads);
    put(data, 56, drive->sectors);
    store_le32(data + 2 * 57, reached);
    store_le32(data + 2 * 60, (uint32_t)MIN(capacity, LBA28_MAX));
    store_le64(data + 2 * 100, capacity);
}

/* Commands and features that there are (82 to 84), and that are on (85 to 87). */
static void put_features(const struct ata_drive *drive, uint8_t *data)
{
    uint32_t named = drive->wwn ? 0x0100 : 0;

    put(data, 82, 0x4068);         /* NOP, look-ahead, write cache, power management */
    put(data, 83, 0x7400);         /* FLUSH CACHE (EXT), 48-bit addresses */
    put(data, 84, 0x4060 | named); /* WRITE DMA FUA EXT, general purpose logs */
    put(data, 85, 0x4008u | (drive->look_ahead ? 0x40 : 0) | (drive->write_cache ? 0x20 : 0));
    put(data, 86, 0x3400);
    put(data, 87, 0x4060 | named);
}

void ata_identify(const struct ata_drive *drive, uint8_t *data)
{
    memset(data, 0, ATA_SECTOR);
    put(data, 0, 0x0040); /* fixed disk */
    put_geometry(drive, data);
    put_names(drive, data, "DUODM HARDDISK");
    put(data, 47, 0x8000 | ATA_MULTIPLE_MAX);
    put(data, 49, 0x2f00); /* standby timer, IORDY, LBA, DMA */
    put(data, 50, 0x4000);
    put(data, 53, 0x0007); /* words 54 to 58, 64 to 70, 88 hold */
    put(data, 59, drive->multiple ? 0x0100u | drive->multiple : 0);
    put_modes(drive, data);
    if (ata_drive_bus(drive)->is_serial) {
        put(data, 75, ATA_NCQ_DEPTH - 1);
        put(data, 76, 0x010e); /* NCQ; 1.5, 3, 6 Gb/s */
        put(data, 78, 0x0000);
    } else {
        put(data, 93, drive->unit == 0 ? 0x6001 : 0x6100); /* 80 wires */
    }
    put(data, 80, 0x01f0); /* ATA/ATAPI-4 to ATA8-ACS */
    put_features(drive, data);
    if (block_get_limits(drive->backend)->can_discard) {
        put(data, 105, ATA_BUFFER_SIZE / ATA_SECTOR); /* blocks of one TRIM */
        put(data, 169, 0x0001);
    }
    put(data, 106, 0x4000); /* a physical sector is a logical one */
    for (unsigned i = 0; i < 4; i++) {
        put(data, 108 + i, (uint32_t)(drive->wwn >> (48 - 16 * i)));
    }
    put_checksum(data);
}

void atapi_identify(const struct ata_drive *drive, uint8_t *data)
{
    memset(data, 0, ATA_SECTOR);
    put(data, 0, 0x85c0); /* CD drive, removable, answers within 50 us, packets of 12 bytes */
    put_names(drive, data, "DUODM DVD-ROM");
    put(data, 49, 0x0b00); /* IORDY, LBA, DMA */
    put(data, 50, 0x4000);
    put(data, 53, 0x0006);
    put_modes(drive, data);
    if (ata_drive_bus(drive)->is_serial) {
        put(data, 76, 0x000e);
    } else {
        put(data, 93, drive->unit == 0 ? 0x6001 : 0x6100);
    }
    put(data, 80, 0x01f0);
    put(data, 82, 0x4218); /* NOP, DEVICE RESET, PACKET, power management */
    put(data, 83, 0x4000);
    put(data, 84, 0x4000);
    put(data, 85, 0x4218);
    put(data, 87, 0x4000);
    put_checksum(data);
}
