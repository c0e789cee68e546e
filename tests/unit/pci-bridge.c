/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bridges: bus numbers, windows, interrupts, DMA and its views, reset, resources, saved state. */
#include "unit/pci-bridge-fixture.h"
#include "unit/seed.h"

static void test_numbers(void)
{
    struct port_test test;

    port_test_init(&test);
    CU_ASSERT_EQUAL(port_read(&test, PCI_HEADER_TYPE, 1), PCI_HEADER_BRIDGE);
    CU_ASSERT_EQUAL(id_of(&test, 1), UINT32_MAX);
    number(&test, 1, 1);
    CU_ASSERT_EQUAL(id_of(&test, 1), CARD_ID);
    CU_ASSERT_EQUAL(id_of(&test, 2), UINT32_MAX);
    CU_ASSERT_EQUAL(pci_requester_id(&test.card->pci), 0x100);
    /* Below is not beside: subordinate must reach the number. */
    number(&test, 7, 3);
    CU_ASSERT_EQUAL(id_of(&test, 7), UINT32_MAX);
    number(&test, 0xff, 0xff);
    CU_ASSERT_EQUAL(id_of(&test, 0xff), CARD_ID);
    CU_ASSERT_EQUAL(pci_requester_id(&test.card->pci), 0xff00);
    /* Two bridges of one number: the first answers. */
    pci_bus_config_write(test.pci.bus, 0, OTHER_DEVFN, PCI_PRIMARY_BUS, 4, 0xffff00);
    CU_ASSERT_EQUAL(id_of(&test, 0xff), CARD_ID);
    /* A function goes by its number until it gets another. */
    number(&test, 0, 0);
    CU_ASSERT_EQUAL(id_of(&test, 0xff), UINT32_MAX);
    CU_ASSERT_EQUAL(pci_requester_id(&test.card->pci), 0xff00);
    pci_test_destroy(&test.pci);
}

static void test_nested_numbers(void)
{
    struct port_test test;
    struct pci_bridge *outer, *inner;
    struct card *card;

    port_test_init(&test);
    outer = add_bridge(&test.pci, &bridge_class, test.pci.bus, "5", "outer");
    inner = add_bridge(&test.pci, &bridge_class, outer->bus, "1f", "inner");
    card = add_card_on(&test.pci, inner->bus, "3", "off", NULL);
    pci_bus_config_write(test.pci.bus, 0, 0x28, PCI_PRIMARY_BUS, 4, 0x090400);
    CU_ASSERT_EQUAL(pci_bus_config_read(test.pci.bus, 4, 0xf8, PCI_DEVICE_ID, 2), 0x0001);
    CU_ASSERT_EQUAL(pci_bus_config_read(test.pci.bus, 6, 0x18, 0, 4), UINT32_MAX);
    pci_bus_config_write(test.pci.bus, 4, 0xf8, PCI_PRIMARY_BUS, 4, 0x060604);
    CU_ASSERT_EQUAL(pci_bus_config_read(test.pci.bus, 6, 0x18, 0, 4), CARD_ID);
    CU_ASSERT_EQUAL(pci_requester_id(&card->pci), 0x618);
    /* The way leads through the outer bridge. */
    pci_bus_config_write(test.pci.bus, 0, 0x28, PCI_SUBORDINATE_BUS, 1, 5);
    CU_ASSERT_EQUAL(pci_bus_config_read(test.pci.bus, 6, 0x18, 0, 4), UINT32_MAX);
    pci_test_destroy(&test.pci);
}

static void test_extended_space(void)
{
    struct port_test test;

    port_test_init(&test);
    CU_ASSERT_EQUAL(port_read(&test, 0x100, 4), 0x0001000d);
    CU_ASSERT_EQUAL(port_read(&test, 0xffc, 4), 0);
    CU_ASSERT_EQUAL(port_read(&test, 0xfff, 2), 0xffff);
    CU_ASSERT_EQUAL(port_read(&test, 0x1000, 4), UINT32_MAX);
    port_write(&test, 0x106, 2, 0xffff);
    CU_ASSERT_EQUAL(port_read(&test, 0x106, 2), 0x001d);
    port_write(&test, 0xfff, 2, 0);
    /* The card is none of PCI Express. */
    number(&test, 1, 1);
    CU_ASSERT_EQUAL(pci_bus_config_read(test.pci.bus, 1, 0, 0xfc, 4), 0);
    CU_ASSERT_EQUAL(pci_bus_config_read(test.pci.bus, 1, 0, 0x100, 4), UINT32_MAX);
    pci_test_destroy(&test.pci);
}

/* Two capabilities: the first leads to the second, and 4096 bytes are the end. */
static void test_extended_capabilities(void)
{
    struct port_test test;
    struct pci_device *pci;
    unsigned at;

    port_test_init(&test);
    pci = &test.other->pci;
    at = pci_add_extended_capability(pci, PCI_EXTENDED_SERIAL_NUMBER, 1, 12);
    CU_ASSERT_EQUAL(at, 0x108);
    CU_ASSERT_EQUAL(pci_get(pci->config, 0x100, 4), 0x1081000d);
    CU_ASSERT_EQUAL(pci_get(pci->config, at, 4), 0x00010003);
    CU_ASSERT_EQUAL(pci_add_extended_capability(pci, PCI_EXTENDED_VENDOR, 1, 4096), 0);
    CU_ASSERT_EQUAL(pci_add_extended_capability(pci, PCI_EXTENDED_VENDOR, 1, 4096 - 0x114), 0x114);
    CU_ASSERT_EQUAL(pci_add_extended_capability(pci, PCI_EXTENDED_VENDOR, 1, 4), 0);
    pci_test_destroy(&test.pci);
}

static void test_windows(void)
{
    struct port_test test;
    struct address_space *memory, *io;

    port_test_init(&test);
    memory = &test.pci.machine->as_memory;
    io = &test.pci.machine->as_io;
    set_up_card(&test);
    CU_ASSERT_EQUAL(load(memory, 0xe0000000), 0xff);
    port_write(&test, PCI_COMMAND, 2, 3);
    port_write(&test, PCI_MEMORY_BASE, 4, 0xe000e000);
    CU_ASSERT_EQUAL(load(memory, 0xe0000000), 0xc0);
    port_write(&test, PCI_MEMORY_BASE, 4, 0xe000e010); /* base above limit */
    CU_ASSERT_EQUAL(load(memory, 0xe0000000), 0xff);
    port_write(&test, PCI_MEMORY_BASE, 4, 0xe010e010);
    CU_ASSERT_EQUAL(load(memory, 0xe0000000), 0xff);
    CU_ASSERT_EQUAL(load(memory, 0x1280000000), 0xff);
    port_write(&test, PCI_PREFETCH_BASE, 4, 0x80008000);
    port_write(&test, PCI_PREFETCH_BASE_HIGH, 4, 0x12);
    port_write(&test, PCI_PREFETCH_LIMIT_HIGH, 4, 0x12);
    CU_ASSERT_EQUAL(port_read(&test, PCI_PREFETCH_BASE, 4), 0x80018001);
    CU_ASSERT_EQUAL(load(memory, 0x1280000000), 0xc2);
    CU_ASSERT_EQUAL(load(memory, 0x12800fffff), 0xc2);
    CU_ASSERT_EQUAL(load(io, 0xd000), 0xff);
    port_write(&test, PCI_IO_BASE, 2, 0xd0d0);
    CU_ASSERT_EQUAL(load(io, 0xd000), 0xc1);
    CU_ASSERT_EQUAL(load(io, 0xd03f), 0xc1);
    port_write(&test, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    CU_ASSERT_EQUAL(load(io, 0xd000), 0xff);
    CU_ASSERT_EQUAL(load(memory, 0x1280000000), 0xc2);
    device_reset(&test.port->pci.device);
    CU_ASSERT_EQUAL(load(memory, 0x1280000000), 0xff);
    pci_test_destroy(&test.pci);
}

/* ISA Enable: of each KiB the first 256 ports only. */
static void test_isa_enable(void)
{
    struct port_test test;
    struct address_space *io;

    port_test_init(&test);
    io = &test.pci.machine->as_io;
    set_up_card(&test);
    port_write(&test, PCI_COMMAND, 2, PCI_COMMAND_IO);
    port_write(&test, PCI_IO_BASE, 2, 0xe0d0);
    for (unsigned port = 0xd000; port < 0xe000; port += 0x40) {
        pci_bus_config_write(test.pci.bus, 1, 0, PCI_BASE_ADDRESS_0 + 4, 4, port);
        port_write(&test, PCI_BRIDGE_CONTROL, 2, 0);
        CU_ASSERT_EQUAL(load(io, port), 0xc1);
        port_write(&test, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_ISA);
        CU_ASSERT_EQUAL(load(io, port), port & 0x300 ? 0xff : 0xc1);
    }
    pci_test_destroy(&test.pci);
}

static void test_vga_enable(void)
{
    struct port_test test;
    struct memory_region ports;
    static const uint8_t number = 3;

    port_test_init(&test);
    memory_region_init_mmio(&ports, "ports", 16, &card_ops, (void *)&number, NULL);
    memory_region_add_subregion(test.port->bus->io_space, 0x3b0, &ports);
    port_write(&test, PCI_IO_BASE, 2, 0x00f0); /* the window is closed */
    port_write(&test, PCI_COMMAND, 2, PCI_COMMAND_IO);
    CU_ASSERT_EQUAL(load(&test.pci.machine->as_io, 0x3bb), 0xff);
    port_write(&test, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_VGA);
    CU_ASSERT_EQUAL(load(&test.pci.machine->as_io, 0x3b0), 0xc3);
    CU_ASSERT_EQUAL(load(&test.pci.machine->as_io, 0x3bb), 0xc3);
    CU_ASSERT_EQUAL(load(&test.pci.machine->as_io, 0x3bc), 0xff); /* a parallel port */
    memory_region_destroy(&ports);
    pci_test_destroy(&test.pci);
}

/* Pin A of the one slot of a port is pin A of the port; of slot s behind a bridge it is pin s. */
static void test_interrupts(void)
{
    struct port_test test;
    struct pci_bridge *bridge;
    struct card *inner;

    port_test_init(&test);
    bridge = add_bridge(&test.pci, &bridge_class, test.pci.bus, "5", NULL);
    inner = add_card_on(&test.pci, bridge->bus, "6", "off", NULL);
    pci_set_interrupt(&test.card->pci, true);
    CU_ASSERT_EQUAL(test.pci.levels, 1u << pci_line_map_piix(2, 0));
    pci_set_interrupt(&test.card->pci, false);
    CU_ASSERT_EQUAL(test.pci.levels, 0);
    pci_set_interrupt(&inner->pci, true);
    CU_ASSERT_EQUAL(test.pci.levels, 1u << pci_line_map_piix(5, 2));
    device_destroy(&inner->pci.device);
    CU_ASSERT_EQUAL(test.pci.levels, 0);
    pci_test_destroy(&test.pci);
}

static bool can_dma(const struct card *card)
{
    uint8_t byte;

    return pci_dma_read((struct pci_device *)&card->pci, 0x1000, &byte, 1) == MEMORY_OK;
}

static void test_secondary_reset(void)
{
    struct port_test test;

    port_test_init(&test);
    set_up_card(&test);
    port_write(&test, PCI_COMMAND, 2, 7);
    pci_bus_config_write(test.pci.bus, 1, 0, PCI_COMMAND, 2, 7);
    CU_ASSERT_TRUE(can_dma(test.card));
    port_write(&test, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_RESET);
    CU_ASSERT_FALSE(can_dma(test.card)); /* at once */
    CU_ASSERT_EQUAL(id_of(&test, 1), UINT32_MAX);
    run_main_loop(&test);
    CU_ASSERT_EQUAL(id_of(&test, 1), UINT32_MAX); /* as long as it is set */
    port_write(&test, PCI_BRIDGE_CONTROL, 2, 0);
    CU_ASSERT_EQUAL(id_of(&test, 1), CARD_ID);
    CU_ASSERT_EQUAL(pci_bus_config_read(test.pci.bus, 1, 0, PCI_BASE_ADDRESS_0, 4), 0);
    /* Set and cleared before the main loop has come to it. */
    set_up_card(&test);
    port_write(&test, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_RESET);
    port_write(&test, PCI_BRIDGE_CONTROL, 2, 0);
    CU_ASSERT_EQUAL(id_of(&test, 1), UINT32_MAX);
    run_main_loop(&test);
    CU_ASSERT_EQUAL(id_of(&test, 1), CARD_ID);
    CU_ASSERT_EQUAL(pci_bus_config_read(test.pci.bus, 1, 0, PCI_BASE_ADDRESS_0, 4), 0);
    /* The bus keeps its number: that is the bridge's. */
    CU_ASSERT_EQUAL(pci_requester_id(&test.card->pci), 0x100);
    pci_test_destroy(&test.pci);
}

/* ---- Views ---- */

/* Each requester sees its own ID, in bytes, at address 0. */
struct view {
    struct memory_region region;
    uint8_t bytes[2];
    unsigned references;
};

struct views {
    GHashTable *table; /* requester -> struct view */
    unsigned gets, puts;
};

static enum memory_result view_read(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t *value)
{
    const struct view *view = opaque;

    *value = view->bytes[offset & 1];
    return MEMORY_OK;
}

static const struct memory_region_ops view_ops = {
    .read = view_read, .write = card_write, .implemented = {.min_size = 1, .max_size = 1}};

static struct memory_region *get_view(void *opaque, uint16_t requester)
{
    struct views *views = opaque;
    struct view *view = g_hash_table_lookup(views->table, GUINT_TO_POINTER(requester));

    if (!view) {
        view = g_new0(struct view, 1);
        view->bytes[0] = (uint8_t)requester;
        view->bytes[1] = (uint8_t)(requester >> 8);
        memory_region_init_mmio(&view->region, "view", 4096, &view_ops, view, NULL);
        g_hash_table_insert(views->table, GUINT_TO_POINTER(requester), view);
    }
    view->references++;
    views->gets++;
    return &view->region;
}

static void put_view(void *opaque, uint16_t requester)
{
    struct views *views = opaque;
    struct view *view = g_hash_table_lookup(views->table, GUINT_TO_POINTER(requester));

    CU_ASSERT_PTR_NOT_NULL_FATAL(view);
    views->puts++;
    if (--view->references == 0) {
        memory_region_destroy(&view->region);
        g_hash_table_remove(views->table, GUINT_TO_POINTER(requester));
        g_free(view);
    }
}

static const struct pci_iommu_ops view_iommu = {.get_view = get_view, .put_view = put_view};

static unsigned seen_by(struct card *card)
{
    uint8_t bytes[2];

    return pci_dma_read(&card->pci, 0, bytes, 2) == MEMORY_OK ? bytes[0] | bytes[1] << 8 : 0xdead;
}

static void test_views(void)
{
    struct views views = {g_hash_table_new(NULL, NULL), 0, 0};
    struct port_test test;
    unsigned gets;

    port_test_init(&test);
    CU_ASSERT_TRUE(pci_bus_set_iommu(test.pci.bus, &view_iommu, &views, NULL));
    CU_ASSERT_FALSE(pci_bus_set_iommu(test.port->bus, &view_iommu, &views, NULL));
    port_write(&test, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    number(&test, 9, 9);
    pci_bus_config_write(test.pci.bus, 9, 0, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    CU_ASSERT_EQUAL(seen_by(test.card), 0x900);
    number(&test, 0x80, 0x80);
    CU_ASSERT_EQUAL(seen_by(test.card), 0x8000);
    /* The one before is given back by the main loop. */
    CU_ASSERT_EQUAL(g_hash_table_size(views.table), 4);
    run_main_loop(&test);
    CU_ASSERT_EQUAL(g_hash_table_size(views.table), 3);
    number(&test, 0, 0);
    CU_ASSERT_EQUAL(seen_by(test.card), 0x8000);
    for (unsigned i = 1; i < 100; i++) { /* before the main loop comes to it */
        number(&test, i, i);
        CU_ASSERT_EQUAL(seen_by(test.card), i << 8);
    }
    gets = views.gets;
    for (unsigned i = 0; i < 1000; i++) { /* nor can a guest have more and more of them made */
        number(&test, i % 99 + 1, i % 99 + 1);
        CU_ASSERT_EQUAL(seen_by(test.card), (i % 99 + 1) << 8);
    }
    CU_ASSERT_EQUAL(views.gets, gets);
    number(&test, 99, 99);
    /* One that comes later has the number that the bus has by then. */
    device_destroy(&test.card->pci.device);
    test.card = add_card_on(&test.pci, test.port->bus, "0", "off", NULL);
    pci_bus_config_write(test.pci.bus, 99, 0, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    CU_ASSERT_EQUAL(seen_by(test.card), 99 << 8);
    CU_ASSERT_TRUE(pci_bus_set_iommu(test.pci.bus, NULL, NULL, NULL));
    CU_ASSERT_EQUAL(views.gets, views.puts);
    CU_ASSERT_EQUAL(g_hash_table_size(views.table), 0);
    CU_ASSERT_TRUE(can_dma(test.card));
    pci_test_destroy(&test.pci);
    g_hash_table_destroy(views.table);
}

/* ---- Resources ---- */

static void test_resources(void)
{
    static const uint8_t irqs[PCI_LINES] = {10, 11, 5, 7};
    struct range low = {0xc0000000, 0x10000000}, high = {UINT64_C(1) << 36, UINT64_C(1) << 33};
    struct port_test test;
    struct pci_bridge *bridge;
    struct card *inner, *root;
    const uint8_t *config;

    port_test_init(&test);
    root = add_card(&test.pci, "6", "off", NULL);
    bridge = add_bridge(&test.pci, &bridge_class, test.pci.bus, "5", NULL);
    bridge = add_bridge(&test.pci, &bridge_class, bridge->bus, "1", NULL);
    inner = add_card_on(&test.pci, bridge->bus, "7", "off", NULL);
    CU_ASSERT_TRUE(pci_bus_assign_resources(test.pci.bus, low, high, (struct range){0xc000, 0x4000},
                                            irqs, NULL));
    CU_ASSERT_EQUAL(pci_requester_id(&test.card->pci), 0x100);
    CU_ASSERT_EQUAL(pci_requester_id(&inner->pci), 0x438);
    config = test.port->pci.config;
    CU_ASSERT_TRUE(config[PCI_SECONDARY_BUS] == 1 && config[PCI_SUBORDINATE_BUS] == 1);
    CU_ASSERT_TRUE(test.other->bus->number == 2 && test.other->bus->last == 2);
    /* What was given to them is where they are seen. */
    for (unsigned i = 0; i < CARD_BARS; i++) {
        const struct card *cards[] = {root, test.card, inner};

        for (unsigned c = 0; c < G_N_ELEMENTS(cards); c++) {
            const struct pci_bar *bar = &cards[c]->pci.bars[card_bars[i].number];
            struct address_space *as =
                bar->is_io ? &test.pci.machine->as_io : &test.pci.machine->as_memory;

            CU_ASSERT_EQUAL(load(as, bar->address), 0xc0 + card_bars[i].number);
            CU_ASSERT_EQUAL(load(as, bar->address + bar->size - 1), 0xc0 + card_bars[i].number);
        }
    }
    CU_ASSERT_TRUE(inner->pci.bars[2].address >= high.start);
    /* The empty port has room for what may come, where there is some. */
    config = test.other->pci.config;
    CU_ASSERT_TRUE(pci_get(config, PCI_MEMORY_BASE, 2) < pci_get(config, PCI_MEMORY_LIMIT, 2));
    CU_ASSERT_EQUAL(pci_get(config, PCI_PREFETCH_LIMIT_HIGH, 4) >> 4, 1);
    pci_test_destroy(&test.pci);
}

/* Ports' reserves give way to what is there: I/O for two windows, and a card of the root bus. */
static void test_scarce_resources(void)
{
    static const uint8_t irqs[PCI_LINES] = {10, 11, 5, 7};
    struct range low = {0xc0000000, 0x200000}, none = {0, 0}, io = {0xc000, 0x2000};
    struct port_test test;
    struct card *root;

    port_test_init(&test);
    root = add_card(&test.pci, "6", "off", NULL);
    CU_ASSERT_FALSE(pci_bus_assign_resources(test.pci.bus, low, none, io, irqs, NULL));
    low.length = 0x400000;
    CU_ASSERT_TRUE(pci_bus_assign_resources(test.pci.bus, low, none, io, irqs, NULL));
    CU_ASSERT_EQUAL(load(&test.pci.machine->as_io, root->pci.bars[1].address), 0xc1);
    CU_ASSERT_EQUAL(load(&test.pci.machine->as_io, test.card->pci.bars[1].address), 0xc1);
    CU_ASSERT_TRUE(test.other->pci.config[PCI_IO_BASE] > test.other->pci.config[PCI_IO_LIMIT]);
    pci_test_destroy(&test.pci);
}

/* ---- Random writes, against windows worked out anew ---- */

static bool in_window(uint64_t address, uint64_t base, uint64_t limit)
{
    return address >= base && address <= limit;
}

static bool sees_memory(const uint8_t *config, uint64_t address)
{
    uint64_t base = (uint64_t)(config[0x20] | config[0x21] << 8) >> 4 << 20;
    uint64_t limit = (uint64_t)(config[0x22] | config[0x23] << 8) >> 4 << 20 | 0xfffff;
    uint64_t prefetch_base = (uint64_t)pci_get(config, 0x28, 4) << 32 |
                             (uint64_t)(config[0x24] | config[0x25] << 8) >> 4 << 20;
    uint64_t prefetch_limit = (uint64_t)pci_get(config, 0x2c, 4) << 32 |
                              (uint64_t)(config[0x26] | config[0x27] << 8) >> 4 << 20 | 0xfffff;
    bool past_end = prefetch_limit >= UINT64_C(1) << 52;

    return (config[4] & 2) && (in_window(address, base, limit) ||
                               (!past_end && in_window(address, prefetch_base, prefetch_limit)));
}

static bool sees_io(const uint8_t *config, uint64_t port)
{
    uint64_t base = (uint64_t)(config[0x1c] >> 4) << 12;
    uint64_t limit = (uint64_t)(config[0x1d] >> 4) << 12 | 0xfff;

    return (config[4] & 1) && in_window(port, base, limit) &&
           !((config[0x3e] & 4) && (port & 0x300));
}

static void random_write(struct port_test *test, GRand *random)
{
    static const uint8_t places[] = {0x04, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x2c, 0x30, 0x3e, 0x06};
    unsigned size = 1u << g_rand_int_range(random, 0, 3);
    unsigned offset = g_rand_int_range(random, 0, 8)
                          ? places[g_rand_int_range(random, 0, G_N_ELEMENTS(places))]
                          : (unsigned)g_rand_int_range(random, 0, 4096);
    uint32_t value = g_rand_int(random);

    switch (g_rand_int_range(random, 0, 4)) {
    case 0: /* values that make windows of one or two units about the card's BARs */
        value = g_rand_boolean(random) ? 0xe010e000 : 0x80108000;
        break;
    case 1:
        value = (uint32_t)g_rand_int_range(random, 0, 8) << 16 | 0xd1d0;
        break;
    case 2:
        value = g_rand_boolean(random) ? 7 : 0x12;
        break;
    default:
        break;
    }
    if (offset + size > 0x3e && offset <= 0x3e) {
        value &= ~0x40404040u; /* no reset, which would take the BARs away */
    }
    pci_bus_config_write(test->pci.bus, 0, PORT_DEVFN, offset, size, value);
}

static void test_random_writes(void)
{
    GRand *random = test_seeded_rand();
    struct port_test test;
    struct address_space *memory, *io;
    const uint8_t *config;
    unsigned seen = 0, wrong = 0;

    port_test_init(&test);
    set_up_card(&test);
    memory = &test.pci.machine->as_memory;
    io = &test.pci.machine->as_io;
    config = test.port->pci.config;
    for (unsigned i = 0; i < 20000; i++) {
        bool link, card_sees;

        random_write(&test, random);
        /* Power and link may have gone: then the card has been silenced. */
        run_main_loop(&test);
        link = config[test.port->pci.express + EXPRESS_LINK_STATUS + 1] & 0x20;
        card_sees = test.card->pci.config[4] & 2;
        wrong += link != !test.port->link_down;
        if (!card_sees) {
            if (link) {
                number(&test, 1, 1);
                port_write(&test, PCI_BRIDGE_CONTROL, 2, 0);
                set_up_card(&test);
            } else {
                slot_control(&test, 0x01c0);
                port_write(&test, slot_register(&test, EXPRESS_LINK_CONTROL), 2, 0);
            }
            continue;
        }
        wrong += load(memory, 0xe0000000) != (sees_memory(config, 0xe0000000) ? 0xc0 : 0xff);
        wrong += load(memory, 0x1280000000) != (sees_memory(config, 0x1280000000) ? 0xc2 : 0xff);
        wrong += load(io, 0xd000) != (sees_io(config, 0xd000) ? 0xc1 : 0xff);
        seen += load(memory, 0xe0000000) == 0xc0;
        seen += load(memory, 0x1280000000) == 0xc2;
        seen += load(io, 0xd000) == 0xc1;
        wrong += config[0x19] && pci_requester_id(&test.card->pci) != config[0x19] << 8;
        wrong +=
            config[0x19] && config[0x1a] >= config[0x19] && id_of(&test, config[0x19]) != CARD_ID;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_TRUE(seen > 1000);
    pci_test_destroy(&test.pci);
    g_rand_free(random);
}

/* ---- Saved state ---- */

static void test_state(void)
{
    g_autoptr(GByteArray) stream = g_byte_array_new();
    struct port_test one, two;
    size_t consumed, used;

    port_test_init(&one);
    set_up_card(&one);
    port_write(&one, PCI_COMMAND, 2, 7);
    port_write(&one, PCI_MEMORY_BASE, 4, 0xe000e000);
    port_write(&one, 0x106, 2, 0x0004);
    device_save_state(&one.port->pci.device, stream);
    device_save_state(&one.card->pci.device, stream);
    port_test_init(&two);
    CU_ASSERT_TRUE_FATAL(
        device_load_state(&two.port->pci.device, stream->data, stream->len, &consumed, NULL));
    CU_ASSERT_TRUE_FATAL(device_load_state(&two.card->pci.device, stream->data + consumed,
                                           stream->len - consumed, &used, NULL));
    CU_ASSERT_EQUAL(consumed + used, stream->len);
    CU_ASSERT_EQUAL(port_read(&two, 0x106, 2), 0x0004);
    CU_ASSERT_EQUAL(id_of(&two, 1), CARD_ID);
    CU_ASSERT_EQUAL(pci_requester_id(&two.card->pci), 0x100);
    CU_ASSERT_EQUAL(load(&two.pci.machine->as_memory, 0xe0000000), 0xc0);
    /* A slot with something in it is not one without. */
    device_destroy(&two.card->pci.device);
    device_reset(&two.port->pci.device);
    CU_ASSERT_FALSE(
        device_load_state(&two.port->pci.device, stream->data, stream->len, &consumed, NULL));
    pci_test_destroy(&one.pci);
    pci_test_destroy(&two.pci);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"bus numbers", test_numbers},
        {"bus numbers of nested bridges", test_nested_numbers},
        {"extended configuration space", test_extended_space},
        {"extended capabilities", test_extended_capabilities},
        {"windows", test_windows},
        {"ISA Enable", test_isa_enable},
        {"VGA Enable", test_vga_enable},
        {"interrupts", test_interrupts},
        {"secondary bus reset", test_secondary_reset},
        {"views of renumbered functions", test_views},
        {"resources", test_resources},
        {"scarce resources", test_scarce_resources},
        {"20,000 random config writes", test_random_writes},
        {"state", test_state},
        {NULL, NULL},
    };

    return unit_run("pci-bridge", tests);
}
