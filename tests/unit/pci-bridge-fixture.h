/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ports and other bridges in a machine of pci-fixture.h. */
#ifndef DUODM_TESTS_UNIT_PCI_BRIDGE_FIXTURE_H
#define DUODM_TESTS_UNIT_PCI_BRIDGE_FIXTURE_H

#include "dm/pci/pci-bridge.h"
#include "dm/pci/pci-bus.h"
#include "dm/pci/pci-express.h"
#include "dm/pci/pcie-root-port.h"
#include "unit/pci-fixture.h"

#define PORT_DEVFN  0x10 /* slot 2 */
#define OTHER_DEVFN 0x18

/* A bridge that is no port: any number of slots behind it. */
static bool bridge_realize(struct device *device, GError **error)
{
    pci_bridge_init((struct pci_bridge *)device, false);
    return true;
}

static void bridge_unrealize(struct device *device)
{
    pci_bridge_destroy((struct pci_bridge *)device);
}

static void bridge_reset(struct device *device)
{
    pci_bridge_reset((struct pci_bridge *)device);
}

static const struct pci_class bridge_pci_class = {
    .vendor_id = 0x1b36, .device_id = 0x0001, .class_code = 0x060400, .is_bridge = true};
static G_GNUC_UNUSED const struct device_class bridge_class = {
    .name = "bridge",
    .description = "test bridge",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct pci_bridge),
    .properties = card_properties,
    .realize = bridge_realize,
    .unrealize = bridge_unrealize,
    .reset = bridge_reset,
    .bus_class = &bridge_pci_class,
};

static inline struct pci_bridge *add_bridge(struct pci_test *test, const struct device_class *class,
                                            struct pci_bus *bus, const char *address,
                                            const char *id)
{
    struct device *device = device_new(test->machine, class, pci_bus_base(bus), id, NULL);

    CU_ASSERT_PTR_NOT_NULL_FATAL(device);
    CU_ASSERT_TRUE(device_set_property(device, "addr", address, NULL));
    CU_ASSERT_TRUE_FATAL(device_realize(device, NULL));
    device_reset(device);
    return (struct pci_bridge *)device;
}

/* A machine with two ports, and a card behind the first. */
struct port_test {
    struct pci_test pci;
    struct pci_bridge *port, *other;
    struct card *card;
};

static inline void port_test_init(struct port_test *test)
{
    pci_test_init_with(&test->pci, pci_express_bus_new);
    test->port = add_bridge(&test->pci, &pcie_root_port_class, test->pci.bus, "2", "rp1");
    test->other = add_bridge(&test->pci, &pcie_root_port_class, test->pci.bus, "3", "rp2");
    test->card = add_card_on(&test->pci, test->port->bus, "0", "off", NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(test->card);
    device_reset(&test->port->pci.device);
}

static inline void port_write(struct port_test *test, unsigned offset, unsigned size,
                              uint32_t value)
{
    pci_bus_config_write(test->pci.bus, 0, PORT_DEVFN, offset, size, value);
}

static inline uint32_t port_read(struct port_test *test, unsigned offset, unsigned size)
{
    return pci_bus_config_read(test->pci.bus, 0, PORT_DEVFN, offset, size);
}

static inline void number(struct port_test *test, unsigned secondary, unsigned subordinate)
{
    port_write(test, PCI_PRIMARY_BUS, 4, subordinate << 16 | secondary << 8);
}

static inline uint32_t id_of(struct port_test *test, unsigned bus)
{
    return pci_bus_config_read(test->pci.bus, bus, 0, PCI_VENDOR_ID, 4);
}

static inline void run_main_loop(struct port_test *test)
{
    event_base_loop(test->pci.machine->base, EVLOOP_NONBLOCK);
}

#define CARD_ID 0x00051b36u

/* The card's BARs, wherever they are; windows say what is seen. */
static inline void set_up_card(struct port_test *test)
{
    struct pci_bus *bus = test->pci.bus;

    number(test, 1, 1);
    pci_bus_config_write(bus, 1, 0, PCI_BASE_ADDRESS_0, 4, 0xe0000000);
    pci_bus_config_write(bus, 1, 0, PCI_BASE_ADDRESS_0 + 4, 4, 0xd000);
    pci_bus_config_write(bus, 1, 0, PCI_BASE_ADDRESS_0 + 8, 4, 0x80000000);
    pci_bus_config_write(bus, 1, 0, PCI_BASE_ADDRESS_0 + 12, 4, 0x12);
    pci_bus_config_write(bus, 1, 0, PCI_COMMAND, 2, 3);
}

static inline unsigned slot_register(const struct port_test *test, unsigned offset)
{
    return test->port->pci.express + offset;
}

static inline void slot_control(struct port_test *test, uint16_t value)
{
    port_write(test, slot_register(test, EXPRESS_SLOT_CONTROL), 2, value);
}

#endif
