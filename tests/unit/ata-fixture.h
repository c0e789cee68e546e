/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine with 2 MiB of RAM, an IDE function (a disk and a CD drive on channel 0) and an AHCI HBA
 * (the same on ports 0 and 1), over images in memory. */
#ifndef DUODM_TESTS_UNIT_ATA_FIXTURE_H
#define DUODM_TESTS_UNIT_ATA_FIXTURE_H

#include "dm/ata/ata-drive.h"
#include "unit/fake-machine.h"
#include "util/little-endian.h"

#include <event2/thread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define ATA_TEST_SECTORS 2048u
#define ATA_TEST_DMA     0xc000u     /* bus master ports */
#define ATA_TEST_HBA     0xf0000000u /* AHCI registers */
#define ATA_TEST_TABLE   0x10000u    /* regions of IDE */
#define ATA_TEST_LIST    0x20000u    /* AHCI: command list, received FIS, tables */
#define ATA_TEST_FIS     0x20400u
#define ATA_TEST_TABLES  0x30000u
#define ATA_TEST_DATA    0x80000u
#define ATA_TEST_RAM     0x200000u

enum { ATA_TEST_DISK, ATA_TEST_CD, ATA_TEST_SATA_DISK, ATA_TEST_SATA_CD, ATA_TEST_DRIVES };

struct ata_test {
    struct fake_engine engine;
    struct machine *machine;
    struct memory_region memory;
    struct pci_bus *bus;
    struct pci_device *ide, *ahci;
    struct ata_drive *drives[ATA_TEST_DRIVES];
    uint8_t *ram;
    bool gsi[MACHINE_GSI_COUNT];
};

/* The images: 1 MiB each, shared by all machines of a test. */
struct ata_images {
    bool slow; /* not these, but disks that take 50 ms for each request */
    int fds[ATA_TEST_DRIVES];
    uint8_t *bytes[ATA_TEST_DRIVES];
};

static inline void ata_images_init(struct ata_images *images)
{
    images->slow = false;
    for (unsigned i = 0; i < ATA_TEST_DRIVES; i++) {
        images->fds[i] = memfd_create("image", MFD_CLOEXEC);
        if (images->fds[i] < 0 || ftruncate(images->fds[i], ATA_TEST_SECTORS * ATA_SECTOR) < 0) {
            abort();
        }
        images->bytes[i] = mmap(NULL, ATA_TEST_SECTORS * ATA_SECTOR, PROT_READ | PROT_WRITE,
                                MAP_SHARED, images->fds[i], 0);
        for (unsigned k = 0; k < ATA_TEST_SECTORS * ATA_SECTOR; k++) {
            images->bytes[i][k] = (uint8_t)(k * 31 + (k >> 9) * 7 + i);
        }
    }
}

static inline void ata_images_clear(struct ata_images *images)
{
    for (unsigned i = 0; i < ATA_TEST_DRIVES; i++) {
        munmap(images->bytes[i], ATA_TEST_SECTORS * ATA_SECTOR);
        close(images->fds[i]);
    }
}

static void ata_test_gsi(void *opaque, unsigned number, bool level)
{
    struct ata_test *test = opaque;

    test->gsi[number] = level;
}

static inline struct ata_drive *ata_test_drive(struct ata_test *test,
                                               const struct ata_images *images, unsigned index)
{
    static const char *const buses[] = {"ide.0", "ide.0", "ahci.0", "ahci.1"};
    bool is_cd = index == ATA_TEST_CD || index == ATA_TEST_SATA_CD;
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", images->fds[index]);
    g_autofree char *name = g_strdup_printf("image%u", index);
    json_t *options =
        images->slow
            ? json_pack("{s:s, s:i, s:i, s:b}", "driver", "null-co", "size",
                        ATA_TEST_SECTORS * ATA_SECTOR, "latency-ns", 50000000, "read-only", is_cd)
            : json_pack("{s:s, s:s, s:s, s:s, s:b}", "driver", "file", "filename", path, "locking",
                        "off", "discard", "unmap", "read-only", is_cd);
    struct bus *bus = NULL;
    struct device *device;

    if (!block_open(test->machine->blocks, options, name, NULL)) {
        abort();
    }
    json_decref(options);
    for (unsigned i = 0; i < test->machine->device_buses->len; i++) {
        struct bus *other = g_ptr_array_index(test->machine->device_buses, i);

        bus = g_str_equal(other->name, buses[index]) ? other : bus;
    }
    device =
        device_create(test->machine, is_cd ? "ide-cd" : "ide-hd", bus, NULL, "drive", name, NULL);
    if (!device) {
        abort();
    }
    return (struct ata_drive *)device;
}

static inline void ata_test_out(struct ata_test *test, unsigned port, unsigned size, uint32_t value)
{
    address_space_store(&test->machine->as_io, port, size, MEMORY_ATTRIBUTES_CPU, value);
}

static inline uint32_t ata_test_in(struct ata_test *test, unsigned port, unsigned size)
{
    uint64_t value;

    address_space_load(&test->machine->as_io, port, size, MEMORY_ATTRIBUTES_CPU, &value);
    return (uint32_t)value;
}

static inline void ata_test_set(struct ata_test *test, unsigned offset, uint32_t value)
{
    address_space_store(&test->machine->as_memory, ATA_TEST_HBA + offset, 4, MEMORY_ATTRIBUTES_CPU,
                        value);
}

static inline uint32_t ata_test_get(struct ata_test *test, unsigned offset)
{
    uint64_t value;

    address_space_load(&test->machine->as_memory, ATA_TEST_HBA + offset, 4, MEMORY_ATTRIBUTES_CPU,
                       &value);
    return (uint32_t)value;
}

static inline void ata_test_configure(struct ata_test *test)
{
    pci_bus_config_write(test->bus, 0, test->ide->devfn, 0x20, 4, ATA_TEST_DMA);
    pci_bus_config_write(test->bus, 0, test->ide->devfn, 0x40, 4, 0x80008000);
    pci_bus_config_write(test->bus, 0, test->ide->devfn, 4, 2, 5);
    pci_bus_config_write(test->bus, 0, test->ahci->devfn, 0x24, 4, ATA_TEST_HBA);
    pci_bus_config_write(test->bus, 0, test->ahci->devfn, 4, 2, 6);
}

static inline void ata_test_init(struct ata_test *test, const struct ata_images *images)
{
    memset(test, 0, sizeof(*test));
    evthread_use_pthreads();
    test->machine = fake_machine_new(&test->engine);
    test->ram = memory_region_host_pointer(&test->machine->ram);
    for (unsigned i = 0; i < MACHINE_GSI_COUNT; i++) {
        test->machine->gsi[i] = (struct irq_line){ata_test_gsi, test, i};
    }
    memory_region_init_container(&test->memory, "pci", MACHINE_MEMORY_SIZE);
    memory_region_add_subregion_overlap(&test->machine->system_memory, 0, &test->memory, -1);
    test->bus = pci_bus_new(test->machine, &test->memory, &test->machine->system_io);
    test->ide = (struct pci_device *)device_create(
        test->machine, "piix3-ide", pci_bus_base(test->bus), NULL, "addr", "2", NULL);
    test->ahci = (struct pci_device *)device_create(test->machine, "ahci", pci_bus_base(test->bus),
                                                    NULL, "addr", "3", NULL);
    if (!test->ide || !test->ahci) {
        abort();
    }
    for (unsigned i = 0; i < ATA_TEST_DRIVES; i++) {
        test->drives[i] = ata_test_drive(test, images, i);
    }
    machine_reset(test->machine);
    machine_start(test->machine);
    ata_test_configure(test);
}

static inline void ata_test_clear(struct ata_test *test)
{
    machine_stop(test->machine, RUN_STATE_PAUSED);
    pci_bus_free(test->bus);
    memory_region_destroy(&test->memory);
    fake_machine_free(test->machine);
}

/* Let the main loop work until no drive has anything to do. */
static inline void ata_test_settle(struct ata_test *test)
{
    for (unsigned i = 0; i < ATA_TEST_DRIVES; i++) {
        while (ata_drive_is_working(test->drives[i]) || test->drives[i]->submit_first) {
            event_base_loop(test->machine->base, EVLOOP_ONCE);
        }
    }
}

/* An ATA command of a drive on channel 0. */
static inline void ata_test_command(struct ata_test *test, unsigned unit, uint8_t command,
                                    uint64_t lba, unsigned count, unsigned features)
{
    ata_test_out(test, 0x1f6, 1, 0xe0 | unit << 4);
    for (unsigned half = 2; half-- > 0;) {
        ata_test_out(test, 0x1f1, 1, features >> (8 * half) & 0xff);
        ata_test_out(test, 0x1f2, 1, count >> (8 * half) & 0xff);
        for (unsigned i = 0; i < 3; i++) {
            ata_test_out(test, 0x1f3 + i, 1, lba >> (24 * half + 8 * i) & 0xff);
        }
    }
    ata_test_out(test, 0x1f7, 1, command);
}

struct ata_piece {
    uint32_t address, length;
};

static inline void ata_test_regions(struct ata_test *test, const struct ata_piece *pieces,
                                    unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        store_le32(test->ram + ATA_TEST_TABLE + 8 * i, pieces[i].address);
        store_le32(test->ram + ATA_TEST_TABLE + 8 * i + 4,
                   (pieces[i].length & 0xffff) | (i == count - 1 ? 0x80000000u : 0));
    }
    ata_test_out(test, ATA_TEST_DMA, 1, 0);
    ata_test_out(test, ATA_TEST_DMA + 2, 1, 6);
    ata_test_out(test, ATA_TEST_DMA + 4, 4, ATA_TEST_TABLE);
}

static inline void ata_test_start_dma(struct ata_test *test, bool to_memory)
{
    ata_test_out(test, ATA_TEST_DMA, 1, to_memory ? 8 : 0);
    ata_test_out(test, ATA_TEST_DMA, 1, to_memory ? 9 : 1);
}

/* AHCI ports 0 and 1, with their lists one after the other. */
static inline void ata_test_start_port(struct ata_test *test, unsigned number)
{
    unsigned base = 0x100 + 0x80 * number;

    ata_test_set(test, 4, 0x80000002);
    ata_test_set(test, base + 0x00, ATA_TEST_LIST + 0x1000 * number);
    ata_test_set(test, base + 0x08, ATA_TEST_FIS + 0x1000 * number);
    ata_test_set(test, base + 0x18, 0x16);
    ata_test_set(test, base + 0x30, UINT32_MAX);
    ata_test_set(test, base + 0x10, UINT32_MAX);
    ata_test_set(test, base + 0x14, 0x7dc0007f);
    ata_test_set(test, base + 0x18, 0x17);
}

/* Put a command into a slot, not yet issued. packet: 12 bytes or NULL. */
static inline void ata_test_slot(struct ata_test *test, unsigned number, unsigned slot,
                                 uint8_t command, uint64_t lba, unsigned count, unsigned features,
                                 const uint8_t *packet, const struct ata_piece *pieces,
                                 unsigned piece_count)
{
    uint8_t *header = test->ram + ATA_TEST_LIST + 0x1000 * number + 32 * slot;
    uint32_t place = ATA_TEST_TABLES + 0x8000 * number + 0x400 * slot;
    uint8_t *fis = test->ram + place;

    memset(header, 0, 32);
    store_le16(header, (uint16_t)(5 | (packet ? 0x20 : 0)));
    store_le16(header + 2, (uint16_t)piece_count);
    store_le32(header + 8, place);
    memset(fis, 0, 0x80);
    fis[0] = 0x27;
    fis[1] = 0x80;
    fis[2] = command;
    fis[3] = (uint8_t)features;
    fis[11] = (uint8_t)(features >> 8);
    for (unsigned i = 0; i < 3; i++) {
        fis[4 + i] = (uint8_t)(lba >> (8 * i));
        fis[8 + i] = (uint8_t)(lba >> (24 + 8 * i));
    }
    fis[7] = 0x40;
    store_le16(fis + 12, (uint16_t)count);
    if (packet) {
        memcpy(fis + 0x40, packet, ATAPI_CDB);
    }
    for (unsigned i = 0; i < piece_count; i++) {
        store_le64(fis + 0x80 + 16 * i, pieces[i].address);
        store_le32(fis + 0x80 + 16 * i + 12, pieces[i].length - 1);
    }
}

#endif
