/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine with a PCI bus, and cards to put there. */
#ifndef DUODM_TESTS_UNIT_PCI_FIXTURE_H
#define DUODM_TESTS_UNIT_PCI_FIXTURE_H

#include "dm/pci/pci.h"
#include "dm/pci/pci-regs.h"
#include "unit/fake-machine.h"
#include "unit/suite.h"

#include <string.h>

/* A card with every kind of BAR; `mmio` answers the number of its BAR. */
struct card {
    struct pci_device pci;
    struct memory_region regions[PCI_BAR_COUNT];
};

#define CARD_BARS 4
static const struct {
    unsigned number;
    uint64_t size;
    bool is_io, is_64, prefetchable;
} card_bars[CARD_BARS] = {
    {0, 0x10000, false, false, false},
    {1, 0x40, true, false, false},
    {2, 0x100000, false, true, true},
    {4, 0x10, false, false, false},
};

static enum memory_result card_read(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t *value)
{
    *value = 0xc0 + *(const uint8_t *)opaque;
    return MEMORY_OK;
}

static enum memory_result card_write(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t value)
{
    return MEMORY_OK;
}

static const struct memory_region_ops card_ops = {.read = card_read, .write = card_write};

static bool card_realize(struct device *device, GError **error)
{
    static const uint8_t numbers[] = {0, 1, 2, 3, 4, 5};
    struct card *card = (struct card *)device;

    for (unsigned i = 0; i < CARD_BARS; i++) {
        unsigned number = card_bars[i].number;

        memory_region_init_mmio(&card->regions[number], "card", card_bars[i].size, &card_ops,
                                (void *)&numbers[number], &device->guard);
        pci_register_bar(&card->pci, number, &card->regions[number], card_bars[i].is_io,
                         card_bars[i].is_64, card_bars[i].prefetchable);
    }
    return true;
}

static void card_unrealize(struct device *device)
{
    struct card *card = (struct card *)device;

    for (unsigned i = 0; i < CARD_BARS; i++) {
        memory_region_destroy(&card->regions[card_bars[i].number]);
    }
}

static const struct property card_properties[] = {PCI_DEVICE_PROPERTIES, PROPERTY_END};
static const struct pci_class card_pci_class = {
    .vendor_id = 0x1b36,
    .device_id = 0x0005,
    .subsystem_vendor_id = 0x1af4,
    .subsystem_id = 0x1100,
    .class_code = 0xff0000,
    .revision = 7,
    .interrupt_pin = 1,
};
static const struct device_class card_class = {
    .name = "card",
    .description = "test card",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct card),
    .properties = card_properties,
    .realize = card_realize,
    .unrealize = card_unrealize,
    .bus_class = &card_pci_class,
};

/* A machine with a PCI bus and no bridge. */
struct pci_test {
    struct fake_engine engine;
    struct machine *machine;
    struct memory_region memory;
    struct pci_bus *bus;
    unsigned levels;  /* of the four lines, a bit each */
    unsigned changes; /* calls of the lines */
};

static void on_line(void *opaque, unsigned number, bool level)
{
    struct pci_test *test = opaque;

    test->changes++;
    test->levels = (test->levels & ~(1u << number)) | (unsigned)level << number;
}

static inline void pci_test_init_with(struct pci_test *test,
                                      struct pci_bus *(*new_bus)(struct machine *,
                                                                 struct memory_region *,
                                                                 struct memory_region *))
{
    struct irq_line lines[PCI_LINES] = {0};

    memset(test, 0, sizeof(*test));
    test->machine = fake_machine_new(&test->engine);
    memory_region_init_container(&test->memory, "pci", MACHINE_MEMORY_SIZE);
    memory_region_add_subregion_overlap(&test->machine->system_memory, 0, &test->memory, -1);
    test->bus = new_bus(test->machine, &test->memory, &test->machine->system_io);
    for (unsigned i = 0; i < 4; i++) {
        lines[i] = (struct irq_line){on_line, test, i};
    }
    pci_bus_set_interrupt_lines(test->bus, lines);
    test->changes = 0;
}

static inline void pci_test_init(struct pci_test *test)
{
    pci_test_init_with(test, pci_bus_new);
}

static inline void pci_test_destroy(struct pci_test *test)
{
    pci_bus_free(test->bus);
    CU_ASSERT_PTR_NULL(test->machine->pci_bus);
    memory_region_destroy(&test->memory);
    fake_machine_free(test->machine);
}

/* bus NULL: the root bus. */
static G_GNUC_UNUSED G_NO_INLINE struct card *add_card_on(struct pci_test *test,
                                                          struct pci_bus *bus, const char *address,
                                                          const char *multifunction, GError **error)
{
    struct device *device =
        device_new(test->machine, &card_class, bus ? pci_bus_base(bus) : NULL, NULL, error);

    CU_ASSERT_PTR_NOT_NULL_FATAL(device);
    CU_ASSERT_TRUE(device_set_property(device, "addr", address, NULL));
    CU_ASSERT_TRUE(device_set_property(device, "multifunction", multifunction, NULL));
    if (!device_realize(device, error)) {
        device_destroy(device);
        return NULL;
    }
    return (struct card *)device;
}

static inline struct card *add_card(struct pci_test *test, const char *address,
                                    const char *multifunction, GError **error)
{
    return add_card_on(test, NULL, address, multifunction, error);
}

static inline uint32_t config_read(struct pci_test *test, const struct card *card, unsigned offset,
                                   unsigned size)
{
    return pci_bus_config_read(test->bus, 0, card->pci.devfn, offset, size);
}

static inline void config_write(struct pci_test *test, const struct card *card, unsigned offset,
                                unsigned size, uint32_t value)
{
    pci_bus_config_write(test->bus, 0, card->pci.devfn, offset, size, value);
}

/* What a one-byte load finds at a guest address. */
static inline unsigned load(struct address_space *as, uint64_t address)
{
    uint64_t value;

    address_space_load(as, address, 1, MEMORY_ATTRIBUTES_CPU, &value);
    return (unsigned)value;
}

#endif
