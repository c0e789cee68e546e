/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PCI bus: config space, BARs, interrupt pins, bus mastering, resources, saved state. */
#include "unit/pci-fixture.h"
#include "unit/seed.h"

static void test_header(void)
{
    struct pci_test test;
    struct card *card;

    pci_test_init(&test);
    card = add_card(&test, "3", "off", NULL);
    CU_ASSERT_EQUAL(config_read(&test, card, PCI_VENDOR_ID, 4), 0x00051b36);
    CU_ASSERT_EQUAL(config_read(&test, card, PCI_REVISION_ID, 4), 0xff000007);
    CU_ASSERT_EQUAL(config_read(&test, card, PCI_SUBSYSTEM_VENDOR_ID, 4), 0x11001af4);
    CU_ASSERT_EQUAL(config_read(&test, card, PCI_INTERRUPT_PIN, 1), 1);
    CU_ASSERT_EQUAL(config_read(&test, card, PCI_HEADER_TYPE, 1), 0);
    config_write(&test, card, PCI_VENDOR_ID, 4, 0);
    CU_ASSERT_EQUAL(config_read(&test, card, PCI_DEVICE_ID, 2), 0x0005);
    config_write(&test, card, PCI_INTERRUPT_LINE, 1, 11);
    CU_ASSERT_EQUAL(config_read(&test, card, PCI_INTERRUPT_LINE, 2), 0x010b);
    /* Where nothing is, and beyond the end. */
    CU_ASSERT_EQUAL(pci_bus_config_read(test.bus, 0, 0x20, 0, 4), UINT32_MAX);
    CU_ASSERT_EQUAL(pci_bus_config_read(test.bus, 1, 0x18, 0, 2), 0xffff);
    CU_ASSERT_EQUAL(pci_bus_config_read(test.bus, 0, 0x18, 255, 2), 0xffff);
    CU_ASSERT_EQUAL(pci_bus_config_read(test.bus, 0, 0x18, 0, 3), 0xffffff);
    CU_ASSERT_EQUAL(pci_bus_config_read(test.bus, 0, 0x1000, 0, 1), 0xff);
    pci_bus_config_write(test.bus, 0, 0x18, 253, 4, 0);
    pci_bus_config_write(test.bus, 7, 0xffffffff, UINT32_MAX, 4, 0);
    pci_test_destroy(&test);
}

/* Errors in the status register, which a guest clears by writing ones and can't set. */
static void test_status(void)
{
    struct pci_test test;
    struct card *card;

    pci_test_init(&test);
    card = add_card(&test, "3", "off", NULL);
    pci_put(card->pci.config, PCI_STATUS, 2, 0x3900);
    config_write(&test, card, PCI_STATUS, 2, 0);
    CU_ASSERT_EQUAL(config_read(&test, card, PCI_STATUS, 2), 0x3900);
    config_write(&test, card, PCI_COMMAND, 4, 0xc1000000);
    CU_ASSERT_EQUAL(config_read(&test, card, PCI_STATUS, 2), 0x3800);
    config_write(&test, card, PCI_STATUS + 1, 1, 0x20);
    CU_ASSERT_EQUAL(config_read(&test, card, PCI_STATUS, 2), 0x1800);
    pci_test_destroy(&test);
}

static void test_bar_sizing(void)
{
    static const uint32_t sized[] = {0xffff0000, 0xffffffc1, 0xfff0000c, 0xffffffff, 0xfffffff0, 0};
    struct pci_test test;
    struct card *card;

    pci_test_init(&test);
    card = add_card(&test, "3", "off", NULL);
    config_write(&test, card, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        config_write(&test, card, PCI_BASE_ADDRESS_0 + 4 * i, 4, UINT32_MAX);
        CU_ASSERT_EQUAL(config_read(&test, card, PCI_BASE_ADDRESS_0 + 4 * i, 4), sized[i]);
        CU_ASSERT_EQUAL(card->pci.bars[i].region ? card->pci.bars[i].address : UINT64_MAX,
                        UINT64_MAX);
    }
    CU_ASSERT_EQUAL(config_read(&test, card, PCI_ROM_ADDRESS, 4), 0);
    config_write(&test, card, PCI_ROM_ADDRESS, 4, UINT32_MAX);
    CU_ASSERT_EQUAL(config_read(&test, card, PCI_ROM_ADDRESS, 4), 0);
    pci_test_destroy(&test);
}

static void test_bar_mapping(void)
{
    struct address_space *memory, *io;
    struct pci_test test;
    struct card *card;

    pci_test_init(&test);
    memory = &test.machine->as_memory;
    io = &test.machine->as_io;
    card = add_card(&test, "3", "off", NULL);
    config_write(&test, card, PCI_BASE_ADDRESS_0, 4, 0xe0000000);
    config_write(&test, card, PCI_BASE_ADDRESS_0 + 4, 4, 0xc000);
    config_write(&test, card, PCI_BASE_ADDRESS_0 + 8, 4, 0x80000000);
    config_write(&test, card, PCI_BASE_ADDRESS_0 + 12, 4, 0x12);
    CU_ASSERT_EQUAL(load(memory, 0xe0000000), 0xff);
    config_write(&test, card, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    CU_ASSERT_EQUAL(load(memory, 0xe0000000), 0xc0);
    CU_ASSERT_EQUAL(load(memory, 0xe000ffff), 0xc0);
    CU_ASSERT_EQUAL(load(memory, 0xe0010000), 0xff);
    CU_ASSERT_EQUAL(load(memory, 0x1280000000), 0xc2);
    CU_ASSERT_EQUAL(load(io, 0xc000), 0xff);
    config_write(&test, card, PCI_COMMAND, 1, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
    CU_ASSERT_EQUAL(load(io, 0xc03f), 0xc1);
    config_write(&test, card, PCI_BASE_ADDRESS_0 + 3, 1, 0xe1); /* moved by one byte */
    CU_ASSERT_EQUAL(load(memory, 0xe0000000), 0xff);
    CU_ASSERT_EQUAL(load(memory, 0xe1000000), 0xc0);
    config_write(&test, card, PCI_COMMAND, 2, 0);
    CU_ASSERT_EQUAL(load(memory, 0xe1000000), 0xff);
    CU_ASSERT_EQUAL(load(io, 0xc000), 0xff);
    pci_test_destroy(&test);
}

/* A BAR that overlaps another's, or RAM, is a guest's own trouble; RAM wins. */
static void test_bar_overlap(void)
{
    struct pci_test test;
    struct card *one, *two;

    pci_test_init(&test);
    one = add_card(&test, "3", "off", NULL);
    two = add_card(&test, "4", "off", NULL);
    config_write(&test, one, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    config_write(&test, two, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    config_write(&test, one, PCI_BASE_ADDRESS_0, 4, 0xe0000000);
    config_write(&test, two, PCI_BASE_ADDRESS_0 + 16, 4, 0xe0000000);
    CU_ASSERT_EQUAL(load(&test.machine->as_memory, 0xe0000000), 0xc4);
    CU_ASSERT_EQUAL(load(&test.machine->as_memory, 0xe0000010), 0xc0);
    config_write(&test, one, PCI_BASE_ADDRESS_0, 4, 0x00100000);
    CU_ASSERT_EQUAL(load(&test.machine->as_memory, 0x00100000), 0);
    pci_test_destroy(&test);
}

/* Where the config space of a card says that its BARs are, worked out anew. */
static uint64_t expected_address(const struct card *card, unsigned i)
{
    const uint8_t *config = card->pci.config;
    unsigned number = card_bars[i].number;
    uint64_t address =
        pci_get(config, PCI_BASE_ADDRESS_0 + 4 * number, 4) & (card_bars[i].is_io ? ~3u : ~15u);
    uint64_t end, space;

    if (card_bars[i].is_64) {
        address |= (uint64_t)pci_get(config, PCI_BASE_ADDRESS_0 + 4 * number + 4, 4) << 32;
    }
    space = card_bars[i].is_io ? 1ull << 16 : address >> 32 ? 1ull << 52 : 1ull << 32;
    end = address + card_bars[i].size;
    if (!(config[PCI_COMMAND] & (card_bars[i].is_io ? 1 : 2)) || address == 0 || end < address ||
        end >= space) {
        return UINT64_MAX;
    }
    return address;
}

static bool mappings_are_right(struct pci_test *test, const struct card *card)
{
    for (unsigned i = 0; i < CARD_BARS; i++) {
        const struct pci_bar *bar = &card->pci.bars[card_bars[i].number];
        uint64_t expected = expected_address(card, i);
        bool is_io = card_bars[i].is_io;
        struct address_space *as = is_io ? &test->machine->as_io : &test->machine->as_memory;
        unsigned found;

        if (bar->address != expected) {
            return false;
        }
        if (expected == UINT64_MAX) {
            continue;
        }
        /* It answers, or another BAR over it does, or RAM. */
        found = load(as, expected);
        if (found - 0xc0 >= PCI_BAR_COUNT && expected >= 2u << 20) {
            return false;
        }
    }
    return true;
}

static bool fixed_bits_are_fixed(const struct card *card)
{
    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++) {
        uint8_t fixed = (uint8_t) ~(card->pci.write_mask[i] | card->pci.clear_mask[i]);
        uint8_t changed = card->pci.config[i] ^ card->pci.power_on[i];

        if ((changed & fixed) || (card->pci.config[i] & card->pci.clear_mask[i])) {
            return false;
        }
    }
    return true;
}

/* 100,000 writes of anything anywhere, most of them where it hurts. */
static void test_random_config_writes(void)
{
    g_autoptr(GRand) random = test_seeded_rand();
    struct pci_test test;
    struct card *cards[3];
    unsigned mapped = 0;

    pci_test_init(&test);
    cards[0] = add_card(&test, "3", "on", NULL);
    cards[1] = add_card(&test, "3.1", "on", NULL);
    cards[2] = add_card(&test, "4", "off", NULL);
    for (unsigned round = 0; round < 100000; round++) {
        struct card *card = cards[g_rand_int_range(random, 0, 3)];
        unsigned size = 1u << g_rand_int_range(random, 0, 3);
        unsigned offset =
            (unsigned)(g_rand_int_range(random, 0, 4) ? g_rand_int_range(random, 0, 0x28)
                                                      : g_rand_int_range(random, 0, 0x104));
        uint32_t value = g_rand_int_range(random, 0, 8) ? g_rand_int(random) : UINT32_MAX;

        if (offset == PCI_COMMAND && g_rand_boolean(random)) {
            value |= PCI_COMMAND_IO | PCI_COMMAND_MEMORY;
        }
        if (offset == PCI_BASE_ADDRESS_0 + 12 && g_rand_boolean(random)) {
            value &= 0xfffff; /* a 64-bit BAR that is decoded at all */
        }
        config_write(&test, card, offset, size, value);
        if (round % 1000 == 999) {
            device_reset(&card->pci.device);
            CU_ASSERT_EQUAL_FATAL(memcmp(card->pci.config, card->pci.power_on, 256), 0);
        }
        CU_ASSERT_TRUE_FATAL(mappings_are_right(&test, card));
        CU_ASSERT_TRUE_FATAL(fixed_bits_are_fixed(card));
        mapped += card->pci.bars[2].address != UINT64_MAX;
    }
    CU_ASSERT_TRUE(mapped > 1000);
    pci_test_destroy(&test);
}

static void test_slots(void)
{
    g_autoptr(GError) taken = NULL, alone = NULL, single = NULL, full = NULL;
    struct pci_test test;

    pci_test_init(&test);
    CU_ASSERT_PTR_NOT_NULL(add_card(&test, "5", "off", NULL));
    CU_ASSERT_PTR_NULL(add_card(&test, "5", "off", &taken));
    CU_ASSERT_PTR_NOT_NULL(strstr(taken->message, "05.0 is taken by 'card'"));
    CU_ASSERT_PTR_NULL(add_card(&test, "5.1", "off", &single));
    CU_ASSERT_PTR_NOT_NULL(strstr(single->message, "multifunction=on"));
    CU_ASSERT_PTR_NULL(add_card(&test, "6.1", "on", &alone));
    CU_ASSERT_PTR_NOT_NULL(add_card(&test, "7", "on", NULL));
    CU_ASSERT_PTR_NOT_NULL(add_card(&test, "7.7", "off", NULL));
    CU_ASSERT_EQUAL(pci_bus_config_read(test.bus, 0, 0x38, PCI_HEADER_TYPE, 1), 0x80);
    for (unsigned i = 0; i < 28; i++) { /* 2 to 31 but 5 and 7 */
        CU_ASSERT_PTR_NOT_NULL(add_card(&test, "-1", "off", NULL));
    }
    CU_ASSERT_PTR_NULL(add_card(&test, "-1", "off", &full));
    CU_ASSERT_PTR_NOT_NULL(strstr(full->message, "no slot is free"));
    pci_test_destroy(&test);
}

static void test_interrupts(void)
{
    struct pci_test test;
    struct card *one, *same, *other;

    pci_test_init(&test);
    one = add_card(&test, "1", "off", NULL);   /* pin A of slot 1: line 0 */
    same = add_card(&test, "5", "off", NULL);  /* slot 5: line 0 too */
    other = add_card(&test, "8", "off", NULL); /* slot 8: line 3 */
    pci_set_interrupt(&one->pci, true);
    pci_set_interrupt(&one->pci, true);
    pci_set_interrupt(&same->pci, true);
    CU_ASSERT_EQUAL(test.levels, 1);
    CU_ASSERT_EQUAL(test.changes, 1);
    pci_set_interrupt(&one->pci, false);
    CU_ASSERT_EQUAL(test.levels, 1);
    pci_set_interrupt(&other->pci, true);
    CU_ASSERT_EQUAL(test.levels, 9);
    CU_ASSERT_EQUAL(config_read(&test, same, PCI_STATUS, 2), PCI_STATUS_INTERRUPT);
    CU_ASSERT_EQUAL(config_read(&test, same, PCI_COMMAND, 4), PCI_STATUS_INTERRUPT << 16);
    CU_ASSERT_EQUAL(config_read(&test, one, PCI_STATUS, 2), 0);
    /* Interrupt disable: the line falls, the status stays. */
    config_write(&test, same, PCI_COMMAND, 2, PCI_COMMAND_INTERRUPT_DISABLE);
    CU_ASSERT_EQUAL(test.levels, 8);
    CU_ASSERT_EQUAL(config_read(&test, same, PCI_STATUS, 2), PCI_STATUS_INTERRUPT);
    config_write(&test, same, PCI_COMMAND, 2, 0);
    CU_ASSERT_EQUAL(test.levels, 9);
    device_reset(&same->pci.device);
    CU_ASSERT_EQUAL(test.levels, 8);
    CU_ASSERT_EQUAL(config_read(&test, same, PCI_STATUS, 2), 0);
    device_destroy(&other->pci.device);
    CU_ASSERT_EQUAL(test.levels, 0);
    pci_test_destroy(&test);
}

static gpointer toggle_pin(gpointer opaque)
{
    for (unsigned i = 0; i < 20000; i++) {
        pci_set_interrupt(&((struct card *)opaque)->pci, i & 1);
    }
    return NULL;
}

/* Pins of four devices on one line, driven and disabled by several threads, end where they should.
 */
static void test_interrupts_of_threads(void)
{
    struct pci_test test;
    struct card *cards[3];
    GThread *threads[3];

    pci_test_init(&test);
    cards[0] = add_card(&test, "4", "off", NULL);
    cards[1] = add_card(&test, "8", "off", NULL);
    cards[2] = add_card(&test, "c", "off", NULL);
    for (unsigned i = 0; i < 3; i++) {
        threads[i] = g_thread_new("pin", toggle_pin, cards[i]);
    }
    for (unsigned i = 0; i < 5000; i++) {
        config_write(&test, cards[0], PCI_COMMAND, 2, i & 1 ? 0 : PCI_COMMAND_INTERRUPT_DISABLE);
    }
    for (unsigned i = 0; i < 3; i++) {
        g_thread_join(threads[i]);
    }
    CU_ASSERT_EQUAL(test.levels, 8); /* each ends high */
    for (unsigned i = 0; i < 3; i++) {
        pci_set_interrupt(&cards[i]->pci, false);
    }
    CU_ASSERT_EQUAL(test.levels, 0);
    pci_test_destroy(&test);
}

static void test_bus_mastering(void)
{
    uint32_t value = 0x12345678;
    struct pci_test test;
    struct card *card;

    pci_test_init(&test);
    card = add_card(&test, "3", "off", NULL);
    CU_ASSERT_EQUAL(pci_dma_write(&card->pci, 0x1000, &value, 4), MEMORY_DECODE_ERROR);
    config_write(&test, card, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    CU_ASSERT_EQUAL(pci_dma_write(&card->pci, 0x1000, &value, 4), MEMORY_OK);
    value = 0;
    CU_ASSERT_EQUAL(pci_dma_read(&card->pci, 0x1000, &value, 4), MEMORY_OK);
    CU_ASSERT_EQUAL(value, 0x12345678);
    config_write(&test, card, PCI_COMMAND, 2, 0);
    CU_ASSERT_EQUAL(pci_dma_read(&card->pci, 0x1000, &value, 4), MEMORY_DECODE_ERROR);
    CU_ASSERT_EQUAL(value, UINT32_MAX);
    pci_test_destroy(&test);
}

static void test_capabilities(void)
{
    struct pci_test test;
    struct card *card;
    unsigned offset, total = 0;

    pci_test_init(&test);
    card = add_card(&test, "3", "off", NULL);
    CU_ASSERT_EQUAL(pci_add_capability(&card->pci, 0x05, 14), 0x40);
    CU_ASSERT_EQUAL(pci_add_capability(&card->pci, 0x11, 12), 0x50);
    CU_ASSERT_EQUAL(config_read(&test, card, PCI_CAPABILITY_LIST, 1), 0x50);
    CU_ASSERT_EQUAL(config_read(&test, card, 0x50, 2), 0x4011);
    CU_ASSERT_EQUAL(config_read(&test, card, 0x40, 2), 0x0005);
    CU_ASSERT_TRUE(config_read(&test, card, PCI_STATUS, 2) & PCI_STATUS_CAPABILITIES);
    while ((offset = pci_add_capability(&card->pci, 0x09, 16))) {
        CU_ASSERT_TRUE_FATAL(offset + 16 <= PCI_CONFIG_SIZE && ++total < 20);
    }
    CU_ASSERT_EQUAL(total, 10);
    pci_test_destroy(&test);
}

/* Each chipset's own: 25 to 31 apart, and neighbours on other lines. */
static void test_line_maps(void)
{
    CU_ASSERT_EQUAL(pci_line_map_piix(1, 0), 0);
    CU_ASSERT_EQUAL(pci_line_map_piix(4, 3), 2);
    CU_ASSERT_EQUAL(pci_line_map_ich9(0, 0), 4);
    CU_ASSERT_EQUAL(pci_line_map_ich9(24, 1), 5);
    CU_ASSERT_EQUAL(pci_line_map_ich9(25, 1), 1);
    for (unsigned slot = 0; slot < 32; slot++) {
        for (unsigned pin = 0; pin < 4; pin++) {
            CU_ASSERT_TRUE(pci_line_map_piix(slot, pin) < 4);
            CU_ASSERT_EQUAL(pci_line_map_ich9(slot, pin) < 4, slot >= 25);
            CU_ASSERT_TRUE(pci_line_map_ich9(slot, pin) < PCI_LINES);
        }
    }
}

static void test_resources(void)
{
    static const uint8_t irqs[PCI_LINES] = {10, 11, 10, 11};
    const struct range memory = {0xe0000000, 0x100000}, high = {1ull << 36, 1ull << 30},
                       io = {0xc000, 0x1000}, none = {0, 0};
    g_autoptr(GError) error = NULL;
    struct pci_test test;
    struct card *cards[3];

    pci_test_init(&test);
    cards[0] = add_card(&test, "2", "off", NULL);
    cards[1] = add_card(&test, "3", "off", NULL);
    cards[2] = add_card(&test, "4", "off", NULL);
    CU_ASSERT_TRUE(pci_bus_assign_resources(test.bus, memory, high, io, irqs, NULL));
    for (unsigned i = 0; i < 3; i++) {
        const struct pci_bar *bars = cards[i]->pci.bars;

        CU_ASSERT_EQUAL(bars[0].address, 0xe0000000 + i * 0x10000);
        CU_ASSERT_EQUAL(bars[1].address, 0xc000 + i * 0x40);
        CU_ASSERT_EQUAL(bars[2].address, (1ull << 36) + i * 0x100000);
        CU_ASSERT_EQUAL(bars[4].address, 0xe0030000 + i * 0x10);
        CU_ASSERT_EQUAL(load(&test.machine->as_memory, bars[2].address), 0xc2);
        /* Pin A of slot s is line s - 1. */
        CU_ASSERT_EQUAL(config_read(&test, cards[i], PCI_INTERRUPT_LINE, 1), irqs[(i + 1) & 3]);
    }
    /* Without the high window the 64-bit BARs go below; there is room for none of them. */
    CU_ASSERT_FALSE(pci_bus_assign_resources(test.bus, memory, none, io, irqs, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error->message, "32-bit memory window"));
    pci_test_destroy(&test);
}

static void test_state(void)
{
    g_autoptr(GByteArray) stream = g_byte_array_new(), foreign = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    struct pci_test test;
    struct card *card;
    size_t consumed;

    pci_test_init(&test);
    card = add_card(&test, "1", "off", NULL);
    config_write(&test, card, PCI_BASE_ADDRESS_0, 4, 0xe0000000);
    config_write(&test, card, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    pci_set_interrupt(&card->pci, true);
    device_save_state(&card->pci.device, stream);
    card->pci.config[PCI_DEVICE_ID] ^= 1; /* another device's */
    device_save_state(&card->pci.device, foreign);
    card->pci.config[PCI_DEVICE_ID] ^= 1;

    device_reset(&card->pci.device);
    CU_ASSERT_EQUAL(test.levels, 0);
    CU_ASSERT_FALSE(
        device_load_state(&card->pci.device, foreign->data, foreign->len, &consumed, &error));
    CU_ASSERT_EQUAL(test.levels, 0);
    CU_ASSERT_EQUAL(load(&test.machine->as_memory, 0xe0000000), 0xff);
    CU_ASSERT_TRUE(
        device_load_state(&card->pci.device, stream->data, stream->len, &consumed, NULL));
    CU_ASSERT_EQUAL(consumed, stream->len);
    CU_ASSERT_EQUAL(test.levels, 1);
    CU_ASSERT_EQUAL(load(&test.machine->as_memory, 0xe0000000), 0xc0);
    CU_ASSERT_EQUAL(pci_dma_read(&card->pci, 0, &consumed, 4), MEMORY_OK);
    pci_test_destroy(&test);
}

/* Cards come and go while another thread reads and writes the slot's config space and BAR. */
struct unplug_test {
    struct pci_test *test;
    bool stop, seen; /* atomic */
};

static gpointer use_slot(gpointer opaque)
{
    struct unplug_test *unplug = opaque;
    struct pci_test *test = unplug->test;
    struct pci_bus *bus = test->bus;
    const unsigned devfn = 9 << 3;

    while (!__atomic_load_n(&unplug->stop, __ATOMIC_RELAXED)) {
        uint64_t value;

        if (pci_bus_config_read(bus, 0, devfn, PCI_VENDOR_ID, 2) == 0x1b36) {
            __atomic_store_n(&unplug->seen, true, __ATOMIC_RELAXED);
        }
        pci_bus_config_write(bus, 0, devfn, PCI_BASE_ADDRESS_0, 4, 0xe0000000);
        pci_bus_config_write(bus, 0, devfn, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
        address_space_load(&test->machine->as_memory, 0xe0000000, 4, MEMORY_ATTRIBUTES_CPU, &value);
    }
    return NULL;
}

static void test_unplug_under_use(void)
{
    struct pci_test test;
    struct unplug_test unplug = {.test = &test};
    unsigned rounds = 0;
    GThread *thread;

    pci_test_init(&test);
    thread = g_thread_new("vcpu", use_slot, &unplug);
    /* As long as it takes the other thread to have met a card, and no shorter than 200 cards. */
    while (rounds < 200 || !__atomic_load_n(&unplug.seen, __ATOMIC_RELAXED)) {
        struct card *card = add_card(&test, "9", "off", NULL);

        CU_ASSERT_PTR_NOT_NULL_FATAL(card);
        device_destroy(&card->pci.device);
        rounds++;
    }
    __atomic_store_n(&unplug.stop, true, __ATOMIC_RELAXED);
    g_thread_join(thread);
    CU_ASSERT_TRUE(unplug.seen);
    pci_test_destroy(&test);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"header", test_header},
        {"status", test_status},
        {"BAR sizing", test_bar_sizing},
        {"BAR mapping", test_bar_mapping},
        {"BAR overlap", test_bar_overlap},
        {"slots and functions", test_slots},
        {"interrupts", test_interrupts},
        {"interrupts of threads", test_interrupts_of_threads},
        {"unplugged under use", test_unplug_under_use},
        {"bus mastering", test_bus_mastering},
        {"capabilities", test_capabilities},
        {"line maps", test_line_maps},
        {"resources", test_resources},
        {"state", test_state},
        {"100,000 random config writes", test_random_config_writes},
        {NULL, NULL},
    };

    return unit_run("pci", tests);
}
