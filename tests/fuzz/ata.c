/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: ATA and packet commands over an IDE channel and over AHCI ports. An input is a list
 * of actions, each a byte that says which, and its arguments; see run_action.
 */
#include "fuzz/fuzz-main.h"
#include "unit/ata-fixture.h"

#define ACTIONS_MAX 400
#define MOVES_MAX   64 /* words of data in one action */

struct input {
    const uint8_t *data;
    size_t left;
};

static uint32_t take(struct input *input, unsigned bytes)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < bytes && input->left; i++, input->left--) {
        value |= (uint32_t)*input->data++ << (8 * i);
    }
    return value;
}

/* Bytes into one of the places from which drives are told what to do. */
static void poke(struct ata_test *test, struct input *input)
{
    static const uint32_t places[] = {ATA_TEST_TABLE,           ATA_TEST_LIST,
                                      ATA_TEST_TABLES,          ATA_TEST_LIST + 0x1000,
                                      ATA_TEST_TABLES + 0x8000, ATA_TEST_DATA};
    uint32_t place = places[take(input, 1) % G_N_ELEMENTS(places)] + take(input, 1) * 4;
    uint32_t length = take(input, 1);

    for (uint32_t i = 0; i < length && input->left; i++) {
        test->ram[place + i] = (uint8_t)take(input, 1);
    }
}

static void move_words(struct ata_test *test, struct input *input, bool in)
{
    unsigned count = take(input, 1) % MOVES_MAX;

    for (unsigned i = 0; i < count; i++) {
        if (in) {
            ata_test_in(test, 0x1f0, 2);
        } else {
            ata_test_out(test, 0x1f0, 2, take(input, 2));
        }
    }
}

static void run_action(struct ata_test *test, struct input *input)
{
    uint32_t action = take(input, 1), place;

    switch (action & 7) {
    case 0:
        ata_test_out(test, 0x1f0 + (action >> 3 & 7), 1, take(input, 1));
        break;
    case 1:
        move_words(test, input, action & 8);
        break;
    case 2:
        ata_test_out(test, 0x3f6, 1, take(input, 1));
        break;
    case 3:
        place = action >> 3 & 4;
        ata_test_out(test, ATA_TEST_DMA + place, place ? 4 : 1, take(input, place ? 4 : 1));
        break;
    case 4:
        place = take(input, 1) * 4;
        ata_test_set(test, action & 8 ? place % 0x40 : 0x100 + place % 0x100, take(input, 4));
        break;
    case 5:
        poke(test, input);
        break;
    case 6:
        ata_test_in(test, 0x1f0 + (action >> 3 & 7), 1);
        ata_test_get(test, 0x100 + take(input, 1) * 4);
        break;
    default:
        ata_test_settle(test);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ata_test test; /* made once */
    struct input input = {data, size};

    if (!test.machine) {
        struct ata_images images;

        ata_images_init(&images);
        ata_test_init(&test, &images);
    }
    memset(test.ram, 0, ATA_TEST_DATA);
    ata_test_regions(&test, &(struct ata_piece){ATA_TEST_DATA, 0x10000}, 1);
    for (unsigned i = 0; i < 2; i++) {
        ata_test_start_port(&test, i);
    }
    for (unsigned i = 0; i < ACTIONS_MAX && input.left; i++) {
        run_action(&test, &input);
    }
    ata_test_settle(&test);
    machine_reset(test.machine);
    ata_test_configure(&test);
    return 0;
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, "ata");
}
#endif
