/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ATA drives: state that is saved in the middle of commands, random transfers against a model,
 * trays, unplugging. What a guest sees otherwise is in tests/device. */
#include "dm/ata/ata-unplug.h"
#include "unit/ata-fixture.h"
#include "unit/suite.h"
#include "unit/seed.h"

static struct ata_images images;

static const uint8_t *disk_bytes(unsigned index, uint64_t sector)
{
    return images.bytes[index] + sector * ATA_SECTOR;
}

/* ---- Saved state ---- */

/* The machine stops; another one gets its memory and the state of all devices. */
static void move_machine(struct ata_test *from, struct ata_test *to)
{
    struct device *devices[2 + ATA_TEST_DRIVES], *others[2 + ATA_TEST_DRIVES];
    g_autoptr(GError) error = NULL;

    machine_stop(from->machine, RUN_STATE_PAUSED);
    ata_test_init(to, &images);
    machine_stop(to->machine, RUN_STATE_PAUSED);
    memcpy(to->ram, from->ram, ATA_TEST_RAM);
    for (unsigned i = 0; i < ATA_TEST_DRIVES; i++) {
        devices[i] = &from->drives[i]->device;
        others[i] = &to->drives[i]->device;
    }
    devices[ATA_TEST_DRIVES] = &from->ide->device;
    others[ATA_TEST_DRIVES] = &to->ide->device;
    devices[ATA_TEST_DRIVES + 1] = &from->ahci->device;
    others[ATA_TEST_DRIVES + 1] = &to->ahci->device;
    for (unsigned i = 0; i < G_N_ELEMENTS(devices); i++) {
        g_autoptr(GByteArray) stream = g_byte_array_new();
        size_t used;

        device_save_state(devices[i], stream);
        CU_ASSERT_TRUE(stream->len < 12 << 10);
        if (!device_load_state(others[i], stream->data, stream->len, &used, &error)) {
            printf("\n%s\n", error->message);
            CU_FAIL_FATAL("not loaded");
        }
        CU_ASSERT_EQUAL(used, stream->len);
    }
    ata_test_clear(from);
    machine_start(to->machine);
    ata_test_settle(to);
}

static void test_saved_in_pio(void)
{
    struct ata_test first, second;
    uint8_t data[3 * ATA_SECTOR];

    ata_test_init(&first, &images);
    ata_test_command(&first, 0, ATA_READ_SECTORS, 7, 3, 0);
    ata_test_settle(&first);
    for (unsigned i = 0; i < 700; i += 2) {
        if (i == ATA_SECTOR) {
            ata_test_settle(&first);
        }
        store_le16(data + i, (uint16_t)ata_test_in(&first, 0x1f0, 2));
    }
    CU_ASSERT_TRUE(first.gsi[14]);
    move_machine(&first, &second);
    CU_ASSERT_TRUE(second.gsi[14]);
    for (unsigned i = 700; i < sizeof(data); i += 2) {
        ata_test_settle(&second);
        store_le16(data + i, (uint16_t)ata_test_in(&second, 0x1f0, 2));
    }
    CU_ASSERT_EQUAL(memcmp(data, disk_bytes(ATA_TEST_DISK, 7), sizeof(data)), 0);
    CU_ASSERT_EQUAL(ata_test_in(&second, 0x1f7, 1), ATA_STATUS_DRDY | ATA_STATUS_DSC);
    ata_test_clear(&second);
}

static void test_saved_in_pio_out(void)
{
    struct ata_test first, second;
    uint8_t data[2 * ATA_SECTOR];

    for (unsigned i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 5 + 1);
    }
    ata_test_init(&first, &images);
    ata_test_command(&first, 0, ATA_WRITE_SECTORS, 900, 2, 0);
    for (unsigned i = 0; i < 100; i += 4) {
        ata_test_out(&first, 0x1f0, 4, load_le32(data + i));
    }
    move_machine(&first, &second);
    for (unsigned i = 100; i < sizeof(data); i += 4) {
        ata_test_out(&second, 0x1f0, 4, load_le32(data + i));
        ata_test_settle(&second);
    }
    CU_ASSERT_EQUAL(memcmp(data, disk_bytes(ATA_TEST_DISK, 900), sizeof(data)), 0);
    ata_test_clear(&second);
}

/* The command was given, and the main loop has not come to it. */
static void test_saved_before_dma(void)
{
    const struct ata_piece pieces[] = {{ATA_TEST_DATA, 0x10000},
                                       {ATA_TEST_DATA + 0x10000, 0x10000}};
    struct ata_test first, second;

    ata_test_init(&first, &images);
    ata_test_regions(&first, pieces, 2);
    ata_test_command(&first, 0, ATA_READ_DMA_EXT, 100, 256, 0);
    ata_test_start_dma(&first, true);
    CU_ASSERT_EQUAL(first.drives[ATA_TEST_DISK]->phase, ATA_WORK);
    move_machine(&first, &second);
    CU_ASSERT_TRUE(second.gsi[14]);
    CU_ASSERT_EQUAL(ata_test_in(&second, ATA_TEST_DMA + 2, 1), 4);
    CU_ASSERT_EQUAL(
        memcmp(second.ram + ATA_TEST_DATA, disk_bytes(ATA_TEST_DISK, 100), 256 * ATA_SECTOR), 0);
    ata_test_clear(&second);
}

/* DMA is wanted, and the guest has not started it. */
static void test_saved_while_dma_is_wanted(void)
{
    const struct ata_piece piece = {ATA_TEST_DATA, 1024};
    struct ata_test first, second;

    ata_test_init(&first, &images);
    ata_test_regions(&first, &piece, 1);
    ata_test_command(&first, 0, ATA_READ_DMA, 3, 2, 0);
    move_machine(&first, &second);
    ata_test_start_dma(&second, true);
    ata_test_settle(&second);
    CU_ASSERT_EQUAL(memcmp(second.ram + ATA_TEST_DATA, disk_bytes(ATA_TEST_DISK, 3), 1024), 0);
    ata_test_clear(&second);
}

static void put_packet(struct ata_test *test, const uint8_t *packet)
{
    for (unsigned i = 0; i < ATAPI_CDB; i += 2) {
        ata_test_out(test, 0x1f0, 2, load_le16(packet + i));
    }
}

static void test_saved_in_packet(void)
{
    static const uint8_t ready[ATAPI_CDB] = {CDB_TEST_UNIT_READY};
    static const uint8_t read[ATAPI_CDB] = {CDB_READ_10, 0, 0, 0, 0, 4, 0, 0, 12};
    struct ata_test first, second;
    uint8_t data[12 * ATAPI_SECTOR];

    ata_test_init(&first, &images);
    ata_test_command(&first, 1, ATA_PACKET, 0, 0, 0); /* the unit attention */
    put_packet(&first, ready);
    ata_test_command(&first, 1, ATA_PACKET, 3000 << 8, 0, 0);
    put_packet(&first, read);
    ata_test_settle(&first);
    for (unsigned i = 0; i < 5000; i += 2) {
        ata_test_settle(&first);
        store_le16(data + i, (uint16_t)ata_test_in(&first, 0x1f0, 2));
    }
    move_machine(&first, &second);
    for (unsigned i = 5000; i < sizeof(data); i += 2) {
        ata_test_settle(&second);
        store_le16(data + i, (uint16_t)ata_test_in(&second, 0x1f0, 2));
    }
    CU_ASSERT_EQUAL(memcmp(data, images.bytes[ATA_TEST_CD] + 4 * ATAPI_SECTOR, sizeof(data)), 0);
    CU_ASSERT_EQUAL(ata_test_in(&second, 0x1f2, 1), ATAPI_REASON_CD | ATAPI_REASON_IO);
    ata_test_clear(&second);
}

static void test_saved_in_queued_commands(void)
{
    struct ata_test first, second;

    ata_test_init(&first, &images);
    ata_test_start_port(&first, 0);
    for (unsigned tag = 0; tag < 8; tag++) {
        const struct ata_piece pieces[] = {{ATA_TEST_DATA + 0x4000 * tag, 1000},
                                           {ATA_TEST_DATA + 0x4000 * tag + 2000, 9240}};

        ata_test_slot(&first, 0, tag, ATA_READ_FPDMA_QUEUED, 100 * tag, tag << 3, 20, NULL, pieces,
                      2);
    }
    ata_test_set(&first, 0x134, 0xff);
    ata_test_set(&first, 0x138, 0xff);
    CU_ASSERT_EQUAL(ata_test_get(&first, 0x138), 0);
    CU_ASSERT_EQUAL(ata_test_get(&first, 0x134), 0xff);
    move_machine(&first, &second);
    CU_ASSERT_EQUAL(ata_test_get(&second, 0x134), 0);
    for (unsigned tag = 0; tag < 8; tag++) {
        const uint8_t *wanted = disk_bytes(ATA_TEST_SATA_DISK, 100 * tag);

        CU_ASSERT_EQUAL(memcmp(second.ram + ATA_TEST_DATA + 0x4000 * tag, wanted, 1000), 0);
        CU_ASSERT_EQUAL(
            memcmp(second.ram + ATA_TEST_DATA + 0x4000 * tag + 2000, wanted + 1000, 9240), 0);
    }
    ata_test_clear(&second);
}

static void test_saved_in_ahci_command(void)
{
    const struct ata_piece piece = {ATA_TEST_DATA, 65536};
    struct ata_test first, second;

    ata_test_init(&first, &images);
    ata_test_start_port(&first, 0);
    ata_test_slot(&first, 0, 5, ATA_READ_DMA_EXT, 11, 128, 0, NULL, &piece, 1);
    ata_test_slot(&first, 0, 6, ATA_READ_SECTORS, 13, 16, 0, NULL,
                  &(struct ata_piece){ATA_TEST_DATA + 65536, 8192}, 1);
    ata_test_set(&first, 0x138, 3 << 5);
    move_machine(&first, &second);
    CU_ASSERT_EQUAL(ata_test_get(&second, 0x138), 0);
    CU_ASSERT_EQUAL(memcmp(second.ram + ATA_TEST_DATA, disk_bytes(ATA_TEST_SATA_DISK, 11), 65536),
                    0);
    CU_ASSERT_EQUAL(
        memcmp(second.ram + ATA_TEST_DATA + 65536, disk_bytes(ATA_TEST_SATA_DISK, 13), 8192), 0);
    ata_test_clear(&second);
}

#define STATES 14

/* In the middle of a read; all but number 0 with something that can't be. */
static void put_state(struct ata_drive *drive, unsigned number)
{
    drive->phase = ATA_PIO_IN;
    drive->transfer = (struct ata_transfer){.mode = ATA_MODE_PIO,
                                            .has_image = true,
                                            .operation = BLOCK_READ,
                                            .to_host = true,
                                            .block_size = 512,
                                            .length = 1024,
                                            .done = 512};
    drive->position = 0;
    drive->block_end = drive->buffer_end = 512;
    switch (number) {
    case 0:
        break;
    case 1:
        drive->phase = ATA_DMA + 1;
        break;
    case 2:
        drive->position = 513;
        break;
    case 3:
        drive->block_end = drive->buffer_end = ATA_BUFFER_SIZE + 2;
        break;
    case 4:
        drive->transfer.offset = ATA_TEST_SECTORS * ATA_SECTOR;
        break;
    case 5:
        drive->transfer.offset = UINT64_MAX - 511;
        break;
    case 6:
        drive->transfer.length = 1000;
        break;
    case 7:
        drive->transfer.done = 1536;
        break;
    case 8:
        drive->transfer.block_size = 0;
        break;
    case 9:
        drive->transfer.block_size = 16384;
        break;
    case 10:
        drive->transfer.operation = BLOCK_OPERATION_COUNT;
        break;
    case 11:
        drive->heads = 0;
        break;
    case 12:
        drive->transfer.has_image = false;
        drive->transfer.length = drive->transfer.done = ATA_BUFFER_SIZE + 1;
        break;
    default:
        drive->transfer.mode = ATA_MODE_DMA + 1;
        break;
    }
}

/* A stream that says what no drive could be in is refused, and leaves the drive as it was. */
static void test_impossible_states(void)
{
    struct ata_test test;
    struct ata_drive *drive, kept;
    size_t used;

    ata_test_init(&test, &images);
    machine_stop(test.machine, RUN_STATE_PAUSED);
    drive = test.drives[ATA_TEST_DISK];
    for (unsigned i = 0; i < STATES; i++) {
        g_autoptr(GByteArray) stream = g_byte_array_new();
        g_autoptr(GError) error = NULL;

        kept = *drive;
        put_state(drive, i);
        device_save_state(&drive->device, stream);
        *drive = kept;
        CU_ASSERT_EQUAL(device_load_state(&drive->device, stream->data, stream->len, &used, &error),
                        i == 0);
        if (i) {
            CU_ASSERT_EQUAL(drive->phase, kept.phase);
            CU_ASSERT_EQUAL(drive->position, kept.position);
        }
        *drive = kept;
    }
    machine_start(test.machine);
    ata_test_clear(&test);
}

/* ---- Random transfers against a model ---- */

/* Pieces of random lengths that make up `length` bytes, without overlap. */
static unsigned random_pieces(GRand *random, struct ata_piece *pieces, unsigned most,
                              uint32_t length)
{
    uint32_t at = ATA_TEST_DATA + 2 * (uint32_t)g_rand_int_range(random, 0, 100);
    unsigned count = 0;

    while (length) {
        uint32_t piece = 2 * (uint32_t)g_rand_int_range(random, 1, 3000);

        piece = count == most - 1 ? length : MIN(piece, length);
        pieces[count++] = (struct ata_piece){at, piece};
        at += piece + 2 * (uint32_t)g_rand_int_range(random, 0, 50);
        length -= piece;
    }
    return count;
}

static void copy_pieces(struct ata_test *test, const struct ata_piece *pieces, unsigned count,
                        uint8_t *buffer, bool to_ram)
{
    for (unsigned i = 0; i < count; i++) {
        uint8_t *ram = test->ram + pieces[i].address;

        memcpy(to_ram ? ram : buffer, to_ram ? buffer : ram, pieces[i].length);
        buffer += pieces[i].length;
    }
}

static void transfer_by_ide(struct ata_test *test, GRand *random, uint64_t sector, uint32_t count,
                            uint8_t *data, bool is_write)
{
    struct ata_piece pieces[40];
    unsigned used = random_pieces(random, pieces, 40, count * ATA_SECTOR);

    if (is_write) {
        copy_pieces(test, pieces, used, data, true);
    }
    ata_test_regions(test, pieces, used);
    ata_test_command(test, 0, is_write ? ATA_WRITE_DMA_EXT : ATA_READ_DMA_EXT, sector, count, 0);
    ata_test_start_dma(test, !is_write);
    ata_test_settle(test);
    CU_ASSERT_EQUAL(ata_test_in(test, 0x1f7, 1), ATA_STATUS_DRDY | ATA_STATUS_DSC);
    if (!is_write) {
        copy_pieces(test, pieces, used, data, false);
    }
}

static void transfer_by_pio(struct ata_test *test, uint64_t sector, uint32_t count, uint8_t *data,
                            bool is_write)
{
    ata_test_command(test, 0, is_write ? ATA_WRITE_SECTORS_EXT : ATA_READ_SECTORS_EXT, sector,
                     count, 0);
    for (uint32_t i = 0; i < count * ATA_SECTOR; i += 4) {
        ata_test_settle(test);
        if (is_write) {
            ata_test_out(test, 0x1f0, 4, load_le32(data + i));
        } else {
            store_le32(data + i, ata_test_in(test, 0x1f0, 4));
        }
    }
    ata_test_settle(test);
    CU_ASSERT_EQUAL(ata_test_in(test, 0x1f7, 1), ATA_STATUS_DRDY | ATA_STATUS_DSC);
}

static void transfer_by_ahci(struct ata_test *test, GRand *random, uint64_t sector, uint32_t count,
                             uint8_t *data, bool is_write)
{
    struct ata_piece pieces[40];
    unsigned used = random_pieces(random, pieces, 40, count * ATA_SECTOR);
    unsigned tag = (unsigned)g_rand_int_range(random, 0, 32);

    if (is_write) {
        copy_pieces(test, pieces, used, data, true);
    }
    ata_test_slot(test, 0, tag, is_write ? ATA_WRITE_FPDMA_QUEUED : ATA_READ_FPDMA_QUEUED, sector,
                  tag << 3, count, NULL, pieces, used);
    ata_test_set(test, 0x134, 1u << tag);
    ata_test_set(test, 0x138, 1u << tag);
    ata_test_settle(test);
    CU_ASSERT_EQUAL(ata_test_get(test, 0x134), 0);
    CU_ASSERT_EQUAL(ata_test_get(test, 0x110) & 0x40000000, 0);
    if (!is_write) {
        copy_pieces(test, pieces, used, data, false);
    }
}

static void test_random_transfers(void)
{
    g_autoptr(GRand) random = test_seeded_rand();
    uint8_t *model[2], *data = g_malloc(100 * ATA_SECTOR);
    struct ata_test test;

    ata_test_init(&test, &images);
    ata_test_start_port(&test, 0);
    model[0] = g_memdup2(images.bytes[ATA_TEST_DISK], ATA_TEST_SECTORS * ATA_SECTOR);
    model[1] = g_memdup2(images.bytes[ATA_TEST_SATA_DISK], ATA_TEST_SECTORS * ATA_SECTOR);
    for (unsigned round = 0; round < 400; round++) {
        unsigned way = (unsigned)g_rand_int_range(random, 0, 3);
        bool is_write = g_rand_boolean(random);
        uint32_t count = (uint32_t)g_rand_int_range(random, 1, way == 1 ? 8 : 100);
        uint64_t sector = (uint64_t)g_rand_int_range(random, 0, (int)(ATA_TEST_SECTORS - count));
        uint8_t *place = model[way == 2] + sector * ATA_SECTOR;

        for (uint32_t i = 0; is_write && i < count * ATA_SECTOR; i++) {
            data[i] = place[i] = (uint8_t)g_rand_int(random);
        }
        if (way == 0) {
            transfer_by_ide(&test, random, sector, count, data, is_write);
        } else if (way == 1) {
            transfer_by_pio(&test, sector, count, data, is_write);
        } else {
            transfer_by_ahci(&test, random, sector, count, data, is_write);
        }
        CU_ASSERT_EQUAL(memcmp(data, place, count * ATA_SECTOR), 0);
    }
    CU_ASSERT_EQUAL(memcmp(model[0], images.bytes[ATA_TEST_DISK], ATA_TEST_SECTORS * ATA_SECTOR),
                    0);
    CU_ASSERT_EQUAL(
        memcmp(model[1], images.bytes[ATA_TEST_SATA_DISK], ATA_TEST_SECTORS * ATA_SECTOR), 0);
    g_free(model[0]);
    g_free(model[1]);
    g_free(data);
    ata_test_clear(&test);
}

/* ---- Resets with a request under way ---- */

static void test_reset_waits(void)
{
    const struct ata_piece piece = {ATA_TEST_DATA, 512};
    struct ata_images slow = images;
    struct ata_test test;
    struct ata_drive *drive;

    slow.slow = true;
    ata_test_init(&test, &slow);
    drive = test.drives[ATA_TEST_DISK];
    ata_test_regions(&test, &piece, 1);
    ata_test_command(&test, 0, ATA_READ_DMA, 3, 1, 0);
    ata_test_start_dma(&test, true);
    while (drive->must_submit) {
        ata_submit(drive); /* as the main loop does: now it is with the image */
    }
    CU_ASSERT_TRUE(drive->in_flight);
    ata_test_out(&test, 0x3f6, 1, ATA_CONTROL_SRST);
    ata_test_out(&test, 0x3f6, 1, 0);
    CU_ASSERT_EQUAL(ata_test_in(&test, 0x3f6, 1), ATA_STATUS_BSY);
    ata_test_out(&test, 0x1f7, 1, ATA_IDENTIFY); /* not heard */
    ata_test_settle(&test);
    CU_ASSERT_EQUAL(ata_test_in(&test, 0x3f6, 1), ATA_STATUS_DRDY | ATA_STATUS_DSC);
    CU_ASSERT_EQUAL(ata_test_in(&test, 0x1f2, 1), 1);
    CU_ASSERT_FALSE(test.gsi[14]);

    /* DMA that is stopped stays active until memory is written no more. */
    ata_test_regions(&test, &piece, 1);
    ata_test_command(&test, 0, ATA_READ_DMA, 3, 1, 0);
    ata_test_start_dma(&test, true);
    ata_submit(drive);
    ata_test_out(&test, ATA_TEST_DMA, 1, 0);
    CU_ASSERT_TRUE(ata_test_in(&test, ATA_TEST_DMA + 2, 1) & 1);
    ata_test_settle(&test);
    CU_ASSERT_FALSE(ata_test_in(&test, ATA_TEST_DMA + 2, 1) & 1);

    /* A port that is stopped shows CR so long, and begins nothing before. */
    ata_test_start_port(&test, 0);
    ata_test_slot(&test, 0, 0, ATA_READ_FPDMA_QUEUED, 0, 0, 1, NULL, &piece, 1);
    ata_test_set(&test, 0x134, 1);
    ata_test_set(&test, 0x138, 1);
    drive = test.drives[ATA_TEST_SATA_DISK];
    ata_submit(drive);
    ata_test_set(&test, 0x118, 0x16);
    CU_ASSERT_TRUE(ata_test_get(&test, 0x118) & 0x8000);
    ata_test_set(&test, 0x118, 0x17);
    ata_test_set(&test, 0x138, 1);
    CU_ASSERT_EQUAL(ata_test_get(&test, 0x138), 1);
    ata_test_settle(&test);
    CU_ASSERT_EQUAL(ata_test_get(&test, 0x138), 0);
    ata_test_clear(&test);
}

/* ---- Trays and unplugging ---- */

static json_t *image_options(unsigned index)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", images.fds[index]);

    return json_pack("{s:s, s:s, s:s, s:b}", "driver", "file", "filename", path, "locking", "off",
                     "read-only", 1);
}

static void test_change_of_medium(void)
{
    static const uint8_t read[ATAPI_CDB] = {CDB_READ_10, 0, 0, 0, 0, 4, 0, 0, 1};
    const struct ata_piece piece = {ATA_TEST_DATA, ATAPI_SECTOR};
    struct ata_test test;
    struct block_removable *tray;
    struct ata_drive *drive;
    json_t *options = image_options(ATA_TEST_SATA_CD);
    g_autoptr(GError) error = NULL;

    ata_test_init(&test, &images);
    drive = test.drives[ATA_TEST_CD];
    CU_ASSERT_PTR_NULL(block_removable_find(test.machine->blocks, "image0", NULL));
    tray = block_removable_find(test.machine->blocks, "image1", NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(tray);
    CU_ASSERT_PTR_EQUAL(tray->medium, drive->backend);

    CU_ASSERT_FALSE(block_removable_remove_medium(tray, NULL));
    drive->packet.locked = true;
    CU_ASSERT_FALSE(block_removable_open_tray(tray, false, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "locked"));
    CU_ASSERT_EQUAL(drive->packet.medium_event, 1);
    CU_ASSERT_TRUE(block_removable_open_tray(tray, true, NULL));
    CU_ASSERT_FALSE(block_removable_insert_medium(tray, options, NULL));
    CU_ASSERT_TRUE(block_removable_remove_medium(tray, NULL));
    CU_ASSERT_PTR_NULL(drive->backend);
    CU_ASSERT_PTR_NULL(block_find(test.machine->blocks, "image1", NULL));
    CU_ASSERT_TRUE(block_removable_insert_medium(tray, options, NULL));
    CU_ASSERT_TRUE(block_removable_close_tray(tray, NULL));
    CU_ASSERT_TRUE(drive->packet.attention_medium);
    drive->packet.attention_medium = drive->packet.attention_reset = false;

    ata_test_regions(&test, &piece, 1);
    ata_test_command(&test, 1, ATA_PACKET, 0, 0, 1);
    put_packet(&test, read);
    ata_test_start_dma(&test, true);
    ata_test_settle(&test);
    CU_ASSERT_EQUAL(memcmp(test.ram + ATA_TEST_DATA,
                           images.bytes[ATA_TEST_SATA_CD] + 4 * ATAPI_SECTOR, ATAPI_SECTOR),
                    0);
    json_decref(options);
    ata_test_clear(&test);
}

/* The medium goes while a command reads it: the command fails, and nothing else. */
static void test_medium_goes_in_a_command(void)
{
    static const uint8_t ready[ATAPI_CDB] = {CDB_TEST_UNIT_READY};
    static const uint8_t read[ATAPI_CDB] = {CDB_READ_10, 0, 0, 0, 0, 4, 0, 0, 40};
    struct ata_test test;
    struct block_removable *tray;

    ata_test_init(&test, &images);
    tray = block_removable_find(test.machine->blocks, "image1", NULL);
    ata_test_command(&test, 1, ATA_PACKET, 0, 0, 0);
    put_packet(&test, ready);
    ata_test_command(&test, 1, ATA_PACKET, 2048 << 8, 0, 0);
    put_packet(&test, read);
    CU_ASSERT_TRUE(block_removable_open_tray(tray, true, NULL));
    CU_ASSERT_TRUE(block_removable_remove_medium(tray, NULL));
    ata_test_settle(&test);
    for (unsigned i = 0; i < 40 * ATAPI_SECTOR; i += 4) {
        ata_test_in(&test, 0x1f0, 4);
        ata_test_settle(&test);
    }
    CU_ASSERT_TRUE(ata_test_in(&test, 0x1f7, 1) & ATA_STATUS_ERR);
    ata_test_clear(&test);
}

static void test_unplug(void)
{
    struct ata_test test;

    ata_test_init(&test, &images);
    ata_test_start_port(&test, 0);
    ata_unplug_disks(test.machine, false);
    ata_test_out(&test, 0x1f6, 1, 0xa0);
    CU_ASSERT_EQUAL(ata_test_in(&test, 0x1f7, 1), 0);
    ata_test_out(&test, 0x1f6, 1, 0xb0);
    ata_test_command(&test, 1, ATA_IDENTIFY_PACKET, 0, 0, 0);
    CU_ASSERT_TRUE(ata_test_in(&test, 0x1f7, 1) & ATA_STATUS_DRQ);
    ata_test_set(&test, 0x138, 1);
    ata_test_set(&test, 0x12c, 1);
    ata_test_set(&test, 0x12c, 0);
    CU_ASSERT_EQUAL(ata_test_get(&test, 0x128), 0);
    CU_ASSERT_EQUAL(ata_test_get(&test, 0x1a8), 0x133);
    machine_reset(test.machine);
    ata_test_configure(&test);
    ata_test_out(&test, 0x1f6, 1, 0xa0);
    CU_ASSERT_EQUAL(ata_test_in(&test, 0x1f7, 1), 0);
    ata_unplug_disks(test.machine, false); /* once more: nothing */
    ata_test_clear(&test);
}

static const struct unit_test tests[] = {
    {"saved in the middle of PIO in", test_saved_in_pio},
    {"saved in the middle of PIO out", test_saved_in_pio_out},
    {"saved before a DMA request was made", test_saved_before_dma},
    {"saved while DMA is wanted", test_saved_while_dma_is_wanted},
    {"saved in the middle of a packet's data", test_saved_in_packet},
    {"saved with queued commands", test_saved_in_queued_commands},
    {"saved with a command of an AHCI port", test_saved_in_ahci_command},
    {"states that can't be are refused", test_impossible_states},
    {"random transfers, against a model", test_random_transfers},
    {"resets wait for what is under way", test_reset_waits},
    {"another medium", test_change_of_medium},
    {"a medium that goes in the middle of a read", test_medium_goes_in_a_command},
    {"unplugged disks", test_unplug},
    {NULL, NULL},
};

int main(void)
{
    int status;

    ata_images_init(&images);
    status = unit_run("ata", tests);
    ata_images_clear(&images);
    return status;
}
