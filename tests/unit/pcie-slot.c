/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Slots of root ports: what comes, goes, is torn out; power and link. */
#include "unit/pci-bridge-fixture.h"

static uint32_t slot_status(struct port_test *test)
{
    return port_read(test, slot_register(test, EXPRESS_SLOT_STATUS), 2);
}

static void clear_events(struct port_test *test)
{
    port_write(test, slot_register(test, EXPRESS_SLOT_STATUS), 2, 0xffff);
}

static bool link_is_up(struct port_test *test)
{
    return port_read(test, slot_register(test, EXPRESS_LINK_STATUS), 2) & EXPRESS_LINK_ACTIVE;
}

#define BUTTON    0x0001
#define PRESENCE  0x0040
#define CHANGED   0x0108 /* presence and link */
#define DONE      0x0010
#define ALL_ON    0x11f9 /* indicator on, power on, all events enabled but command's */
#define BLINK     0x12f9
#define POWER_OFF 0x0400

static void test_slot(void)
{
    struct port_test test;
    struct device *device;
    unsigned line;

    port_test_init(&test);
    line = 1u << pci_line_map_piix(2, 0);
    CU_ASSERT_EQUAL(slot_status(&test), PRESENCE);
    CU_ASSERT_TRUE(link_is_up(&test));
    CU_ASSERT_EQUAL(port_read(&test, slot_register(&test, EXPRESS_SLOT_CONTROL), 2), 0x01c0);
    number(&test, 1, 1);
    test.pci.machine->complete = true;
    test.pci.machine->state = RUN_STATE_RUNNING;
    slot_control(&test, ALL_ON);
    CU_ASSERT_EQUAL(slot_status(&test), PRESENCE | DONE);
    clear_events(&test);
    CU_ASSERT_EQUAL(slot_status(&test), PRESENCE);
    CU_ASSERT_EQUAL(test.pci.levels, 0);
    /* The button is pressed: an interrupt; the guest blinks, and switches power off. */
    device = &test.card->pci.device;
    CU_ASSERT_TRUE(device->bus->ops->request_unplug(device, false, NULL));
    CU_ASSERT_EQUAL(slot_status(&test), PRESENCE | BUTTON);
    CU_ASSERT_EQUAL(test.pci.levels, line);
    clear_events(&test);
    CU_ASSERT_EQUAL(test.pci.levels, 0);
    slot_control(&test, BLINK);
    CU_ASSERT_TRUE(device->bus->ops->request_unplug(device, false, NULL));
    CU_ASSERT_EQUAL(slot_status(&test), PRESENCE | DONE); /* not pressed again */
    CU_ASSERT_EQUAL(id_of(&test, 1), CARD_ID);
    slot_control(&test, BLINK | POWER_OFF);
    CU_ASSERT_EQUAL(slot_status(&test), CHANGED | DONE);
    CU_ASSERT_EQUAL(id_of(&test, 1), UINT32_MAX);
    CU_ASSERT_FALSE(link_is_up(&test));
    run_main_loop(&test);
    CU_ASSERT_EQUAL(test.port->bus->base.children->len, 0);
    clear_events(&test);
    slot_control(&test, 0x1700 | 0xf9);
    clear_events(&test);
    /* Another comes: it is seen when there is power. */
    test.card = add_card_on(&test.pci, test.port->bus, "-1", "off", NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(test.card);
    CU_ASSERT_EQUAL(slot_status(&test), 0);
    device = &test.card->pci.device;
    device_reset(device);
    device->bus->ops->announce(device);
    CU_ASSERT_EQUAL(slot_status(&test), PRESENCE | BUTTON | 0x0008);
    CU_ASSERT_EQUAL(test.pci.levels, line);
    CU_ASSERT_EQUAL(id_of(&test, 1), UINT32_MAX);
    clear_events(&test);
    slot_control(&test, ALL_ON);
    CU_ASSERT_EQUAL(slot_status(&test), PRESENCE | DONE | 0x0100);
    CU_ASSERT_TRUE(link_is_up(&test));
    run_main_loop(&test);
    CU_ASSERT_EQUAL(id_of(&test, 1), CARD_ID);
    clear_events(&test);
    /* Torn out. */
    CU_ASSERT_TRUE(device->bus->ops->request_unplug(device, true, NULL));
    CU_ASSERT_EQUAL(slot_status(&test), CHANGED);
    CU_ASSERT_FALSE(link_is_up(&test));
    CU_ASSERT_EQUAL(test.port->bus->base.children->len, 0);
    pci_test_destroy(&test.pci);
}

/* Power that the guest takes away by itself comes back, with a device that was reset. */
static void test_slot_power(void)
{
    struct port_test test;

    port_test_init(&test);
    set_up_card(&test);
    slot_control(&test, 0x07c0);
    CU_ASSERT_FALSE(link_is_up(&test));
    CU_ASSERT_EQUAL(id_of(&test, 1), UINT32_MAX);
    run_main_loop(&test);
    CU_ASSERT_EQUAL(slot_status(&test) & PRESENCE, PRESENCE);
    slot_control(&test, 0x01c0);
    CU_ASSERT_TRUE(link_is_up(&test));
    CU_ASSERT_EQUAL(id_of(&test, 1), CARD_ID);
    CU_ASSERT_EQUAL(pci_bus_config_read(test.pci.bus, 1, 0, PCI_COMMAND, 2), 0);
    /* So does a link that was disabled. */
    port_write(&test, slot_register(&test, EXPRESS_LINK_CONTROL), 2, EXPRESS_LINK_DISABLE);
    CU_ASSERT_EQUAL(id_of(&test, 1), UINT32_MAX);
    run_main_loop(&test);
    port_write(&test, slot_register(&test, EXPRESS_LINK_CONTROL), 2, 0);
    CU_ASSERT_EQUAL(id_of(&test, 1), CARD_ID);
    pci_test_destroy(&test.pci);
}

/* Functions of one device come together, and go together. */
static void test_slot_functions(void)
{
    struct port_test test;
    struct card *first, *second;
    struct pci_bus *bus;

    port_test_init(&test);
    bus = test.other->bus;
    pci_bus_config_write(test.pci.bus, 0, OTHER_DEVFN, PCI_PRIMARY_BUS, 4, 0x020200);
    CU_ASSERT_PTR_NULL(add_card_on(&test.pci, test.port->bus, "1", "off", NULL));
    CU_ASSERT_PTR_NULL(add_card_on(&test.pci, test.port->bus, "-1", "off", NULL));
    test.pci.machine->complete = true;
    test.pci.machine->state = RUN_STATE_RUNNING;
    second = add_card_on(&test.pci, bus, "0.1", "off", NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(second);
    second->pci.device.bus->ops->announce(&second->pci.device);
    CU_ASSERT_EQUAL(pci_bus_config_read(test.pci.bus, 2, 1, 0, 4), UINT32_MAX);
    CU_ASSERT_PTR_NULL(add_card_on(&test.pci, bus, "0", "off", NULL)); /* not multifunction */
    first = add_card_on(&test.pci, bus, "0", "on", NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(first);
    first->pci.device.bus->ops->announce(&first->pci.device);
    pci_bus_config_write(test.pci.bus, 0, OTHER_DEVFN,
                         test.other->pci.express + EXPRESS_SLOT_CONTROL, 2, 0x01c0);
    run_main_loop(&test);
    CU_ASSERT_EQUAL(pci_bus_config_read(test.pci.bus, 2, 0, 0, 4), CARD_ID);
    CU_ASSERT_EQUAL(pci_bus_config_read(test.pci.bus, 2, 1, 0, 4), CARD_ID);
    CU_ASSERT_PTR_NULL(add_card_on(&test.pci, bus, "0.2", "off", NULL));
    CU_ASSERT_TRUE(second->pci.device.bus->ops->request_unplug(&second->pci.device, false, NULL));
    pci_bus_config_write(test.pci.bus, 0, OTHER_DEVFN,
                         test.other->pci.express + EXPRESS_SLOT_CONTROL, 2, 0x07c0);
    run_main_loop(&test);
    CU_ASSERT_EQUAL(bus->base.children->len, 0);
    pci_test_destroy(&test.pci);
}

static void test_refusals(void)
{
    struct pci_test pci;
    struct port_test test;
    struct device *device;

    pci_test_init(&pci);
    device = device_new(pci.machine, &pcie_root_port_class, NULL, "rp", NULL);
    CU_ASSERT_FALSE(device_realize(device, NULL)); /* no bus of PCI Express */
    device_destroy(device);
    pci_test_destroy(&pci);
    port_test_init(&test);
    device = device_new(test.pci.machine, &pcie_root_port_class, pci_bus_base(test.other->bus),
                        "rp3", NULL);
    CU_ASSERT_FALSE(device_realize(device, NULL)); /* behind another */
    device_destroy(device);
    device = device_new(test.pci.machine, &pcie_root_port_class, NULL, "rp3", NULL);
    CU_ASSERT_TRUE(device_set_property(device, "slot", "16", NULL));
    CU_ASSERT_FALSE(device_realize(device, NULL)); /* the slot of rp1 */
    CU_ASSERT_TRUE(device_set_property(device, "chassis", "1", NULL));
    CU_ASSERT_TRUE(device_realize(device, NULL));
    pci_test_destroy(&test.pci);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"slot", test_slot},
        {"power of a slot", test_slot_power},
        {"functions of a slot", test_slot_functions},
        {"refusals", test_refusals},
        {NULL, NULL},
    };

    return unit_run("pcie-slot", tests);
}
