/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Xen platform device: how drivers find its ports, and what each bit takes from the guest
 * (Xen's docs/misc/hvm-emulated-unplug). */
#include "unit/ata-fixture.h"
#include "unit/suite.h"

#define MAGIC_PORT   0x10
#define VERSION_PORT 0x12
#define NO_DRIVE     0x00 /* status of a channel without a drive: lines are pulled down */

static struct ata_images images;

/* The machine of ata-fixture.h with a disk on the second channel and two network cards, too. */
struct platform_test {
    struct ata_test ata;
    struct ata_drive *second_disk;
    struct device *cards[2];
};

static struct bus *find_bus(struct machine *machine, const char *name)
{
    for (unsigned i = 0; i < machine->device_buses->len; i++) {
        struct bus *bus = g_ptr_array_index(machine->device_buses, i);

        if (g_str_equal(bus->name, name)) {
            return bus;
        }
    }
    return NULL;
}

static void platform_test_init(struct platform_test *test)
{
    static const char *const cards[] = {"rtl8139", "e1000"};
    struct machine *machine;
    json_t *options = json_pack("{s:s, s:i}", "driver", "null-co", "size", 1 << 20);

    ata_test_init(&test->ata, &images);
    machine = test->ata.machine;
    CU_ASSERT_PTR_NOT_NULL_FATAL(block_open(machine->blocks, options, "second", NULL));
    json_decref(options);
    test->second_disk = (struct ata_drive *)device_create(
        machine, "ide-hd", find_bus(machine, "ide.1"), NULL, "drive", "second", NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(test->second_disk);
    for (unsigned i = 0; i < G_N_ELEMENTS(cards); i++) {
        test->cards[i] = device_create(machine, cards[i], pci_bus_base(test->ata.bus), NULL, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(test->cards[i]);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(
        device_create(machine, "xen-platform", pci_bus_base(test->ata.bus), NULL, NULL));
    machine_reset(machine);
    ata_test_configure(&test->ata);
}

static void platform_test_clear(struct platform_test *test)
{
    ata_test_clear(&test->ata);
}

static void unplug(struct platform_test *test, unsigned bits)
{
    ata_test_out(&test->ata, MAGIC_PORT, 2, bits);
    event_base_loop(test->ata.machine->base, EVLOOP_NONBLOCK);
}

static bool disk_answers(struct platform_test *test, unsigned ports)
{
    ata_test_out(&test->ata, ports + 6, 1, 0xa0);
    return ata_test_in(&test->ata, ports + 7, 1) != NO_DRIVE;
}

static bool cd_answers(struct platform_test *test)
{
    ata_test_out(&test->ata, 0x1f6, 1, 0xb0);
    ata_test_command(&test->ata, 1, ATA_IDENTIFY_PACKET, 0, 0, 0);
    return ata_test_in(&test->ata, 0x1f7, 1) & ATA_STATUS_DRQ;
}

/* Of the devices on the PCI bus, how many are network controllers? */
static unsigned count_cards(struct platform_test *test)
{
    unsigned count = 0;

    for (unsigned slot = 0; slot < 32; slot++) {
        count += pci_bus_config_read(test->ata.bus, 0, slot << 3, 0x0a, 2) == 0x0200;
    }
    return count;
}

static void test_is_found(void)
{
    struct platform_test test;

    platform_test_init(&test);
    CU_ASSERT_EQUAL(ata_test_in(&test.ata, MAGIC_PORT, 2), 0x49d2);
    CU_ASSERT_EQUAL(ata_test_in(&test.ata, VERSION_PORT, 1), 1);
    ata_test_out(&test.ata, VERSION_PORT, 2, 3); /* product: Linux */
    ata_test_out(&test.ata, MAGIC_PORT, 4, 0xff);
    CU_ASSERT_EQUAL(ata_test_in(&test.ata, MAGIC_PORT, 2), 0x49d2);
    CU_ASSERT_TRUE(disk_answers(&test, 0x1f0));
    CU_ASSERT_EQUAL(count_cards(&test), 2);
    platform_test_clear(&test);
}

/* Bits, and what is still there. */
static void test_bits(void)
{
    static const struct {
        unsigned bits;
        bool first, second;
        unsigned cards;
    } cases[] = {
        {0x0, true, true, 2},   {0x1, false, false, 2}, {0x2, true, true, 0},
        {0x4, true, false, 2},  {0x5, false, false, 2}, {0x6, true, false, 0},
        {0x7, false, false, 0}, {0x8, true, true, 2},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct platform_test test;

        platform_test_init(&test);
        unplug(&test, cases[i].bits);
        CU_ASSERT_EQUAL(disk_answers(&test, 0x1f0), cases[i].first);
        CU_ASSERT_EQUAL(disk_answers(&test, 0x170), cases[i].second);
        CU_ASSERT_EQUAL(count_cards(&test), cases[i].cards);
        CU_ASSERT_TRUE(cd_answers(&test));
        platform_test_clear(&test);
    }
}

/* One bit after the other adds up, and none brings anything back. */
static void test_one_by_one(void)
{
    struct platform_test test;

    platform_test_init(&test);
    unplug(&test, 0x4);
    CU_ASSERT_TRUE(disk_answers(&test, 0x1f0));
    unplug(&test, 0x2);
    CU_ASSERT_EQUAL(count_cards(&test), 0);
    CU_ASSERT_TRUE(disk_answers(&test, 0x1f0));
    unplug(&test, 0x1);
    CU_ASSERT_FALSE(disk_answers(&test, 0x1f0));
    unplug(&test, 0x0);
    CU_ASSERT_FALSE(disk_answers(&test, 0x170));
    CU_ASSERT_EQUAL(count_cards(&test), 0);
    platform_test_clear(&test);
}

static const struct unit_test tests[] = {
    {"is found by its ports", test_is_found},
    {"each bit of unplug", test_bits},
    {"unplugged bit by bit", test_one_by_one},
    {NULL, NULL},
};

int main(void)
{
    int status;

    ata_images_init(&images);
    status = unit_run("xen-platform", tests);
    ata_images_clear(&images);
    return status;
}
