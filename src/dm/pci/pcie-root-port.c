/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * It has no power management: a guest may put a port that nothing is behind to sleep, and would
 * have to be woken for a device that comes (PME).
 */
#include "dm/pci/pcie-root-port.h"
#include "dm/machine.h"
#include "dm/pci/pci-bus.h"
#include "dm/pci/pci-express.h"
#include "dm/pci/pci-regs.h"
#include "dm/pci/pcie-slot.h"
#include "util/error.h"

#define SUBSYSTEM_SIZE 8 /* bytes of the capability: Bridge Subsystem 1.2, 4 */
#define SUBSYSTEM_IDS  4

/* Access Control Services, 7.7.8: all that a function behind sends goes up, to where an IOMMU may
 * be, and nothing comes back down that was not sent there. */
#define ACS_SIZE         8
#define ACS_CAPABILITIES 4
#define ACS_CONTROL      6
#define ACS_SERVICES                                                                               \
    0x001du /* source validation, redirection of requests and completions,                         \
               upstream forwarding */
#define ACS_VERSION 1

#define ROOT_CONTROL_MASK 0x000fu     /* 7.5.3.12 */
#define ROOT_STATUS_PME   0x00010000u /* 7.5.3.14 */

struct pcie_root_port {
    struct pci_bridge bridge;
    struct pcie_slot slot;
    /* Properties. */
    uint8_t port, chassis;
    uint16_t slot_number;
    bool hotplug;
};

static struct pcie_root_port *port_of(struct device *device)
{
    return (struct pcie_root_port *)device;
}

/* Numbers say to people which slot it is: so no two are the same. */
static bool check_slot(const struct pcie_root_port *port, GError **error)
{
    const struct device *device = &port->bridge.pci.device;

    for (unsigned i = 0; i < device->bus->children->len; i++) {
        const struct pcie_root_port *other = g_ptr_array_index(device->bus->children, i);
        const struct device *there = &other->bridge.pci.device;

        if (there->class == device->class && other->chassis == port->chassis &&
            other->slot_number == port->slot_number) {
            g_autofree char *name = device_describe(there);

            return duodm_fail(error, DUODM_ERROR_EXISTS,
                              "slot %u of chassis %u is that of port '%s': choose another slot or "
                              "chassis",
                              port->slot_number, port->chassis, name);
        }
    }
    return true;
}

static bool check(struct pcie_root_port *port, GError **error)
{
    const struct pci_bus *bus = port->bridge.pci.pci_bus;

    if (!bus->is_express) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "a root port needs a board with PCI Express, bus %s is none of its kind",
                          bus->base.name);
    }
    if (bus->bridge) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "a root port has its place on the root bus, not behind another port");
    }
    if (port->slot_number == 0) {
        port->slot_number = port->bridge.pci.devfn;
    }
    return check_slot(port, error);
}

static bool add_capabilities(struct pcie_root_port *port, GError **error)
{
    struct pci_device *pci = &port->bridge.pci;
    const struct pci_class *class = pci_class_of(pci);
    unsigned at;

    if (!pci_msi_init(pci, 1, true, true, error) ||
        !pci_add_express(pci, PCI_EXPRESS_ROOT_PORT, error)) {
        return false;
    }
    pci_put(pci->config, pci->express + EXPRESS_LINK_CAPABILITIES, 4,
            pci_get(pci->config, pci->express + EXPRESS_LINK_CAPABILITIES, 4) |
                (uint32_t)port->port << EXPRESS_LINK_PORT_SHIFT);
    pci_put(pci->write_mask, pci->express + EXPRESS_ROOT_CONTROL, 2, ROOT_CONTROL_MASK);
    pci_put(pci->clear_mask, pci->express + EXPRESS_ROOT_STATUS, 4, ROOT_STATUS_PME);
    at = pci_add_capability(pci, PCI_CAP_SUBSYSTEM, SUBSYSTEM_SIZE);
    pci_put(pci->config, at + SUBSYSTEM_IDS, 2, class->subsystem_vendor_id);
    pci_put(pci->config, at + SUBSYSTEM_IDS + 2, 2, class->subsystem_id);
    at = pci_add_extended_capability(pci, PCI_EXTENDED_ACCESS_CONTROL, ACS_VERSION, ACS_SIZE);
    pci_put(pci->config, at + ACS_CAPABILITIES, 2, ACS_SERVICES);
    pci_put(pci->write_mask, at + ACS_CONTROL, 2, ACS_SERVICES);
    return true;
}

static bool root_port_realize(struct device *device, GError **error)
{
    struct pcie_root_port *port = port_of(device);

    if (!check(port, error) || !add_capabilities(port, error)) {
        return false;
    }
    pci_bridge_init(&port->bridge, true);
    pcie_slot_init(&port->slot, &port->bridge, port->slot_number, port->hotplug);
    return true;
}

static void root_port_unrealize(struct device *device)
{
    struct pcie_root_port *port = port_of(device);

    pcie_slot_destroy(&port->slot);
    pci_bridge_destroy(&port->bridge);
}

static void root_port_reset(struct device *device)
{
    struct pcie_root_port *port = port_of(device);

    pcie_slot_reset(&port->slot);
    pci_bridge_reset(&port->bridge);
}

static void root_port_config_written(struct pci_device *pci, unsigned offset, unsigned length)
{
    pcie_slot_written(&port_of(&pci->device)->slot, offset, length);
}

static bool root_port_after_load(void *object)
{
    struct pcie_root_port *port = object;

    if (!pcie_slot_after_load(&port->slot)) {
        return false;
    }
    pci_bridge_update(&port->bridge.pci);
    return true;
}

static const struct state_field root_port_fields[] = {
    STATE(BOOL, pcie_root_port, slot.event, 1),
    STATE(BOOL, pcie_root_port, slot.asked, 1),
    STATE_END,
};

static const struct state_description root_port_state = {
    .name = "pcie-root-port",
    .version = 1,
    .fields = root_port_fields,
    .after_load = root_port_after_load,
};

static const struct property root_port_properties[] = {
    PCI_DEVICE_PROPERTIES,
    {"port", PROPERTY_UINT8, offsetof(struct pcie_root_port, port), "0", 0, UINT8_MAX,
     "the port's number, in Link Capabilities"},
    {"chassis", PROPERTY_UINT8, offsetof(struct pcie_root_port, chassis), "0", 0, UINT8_MAX,
     "the box that the slot is in: no two slots of one have the same number"},
    {"slot", PROPERTY_UINT16, offsetof(struct pcie_root_port, slot_number), "0", 0,
     PCIE_SLOT_NUMBER_MAX, "the slot's number [8 times the port's slot, and its function]"},
    {"hotplug", PROPERTY_BOOL, offsetof(struct pcie_root_port, hotplug), "on", 0, 0,
     "devices may come and go while the machine runs"},
    PROPERTY_END,
};

static const struct pci_class root_port_pci_class = {
    .vendor_id = 0x1b36,
    .device_id = 0x000c,
    .subsystem_vendor_id = 0x1b36,
    .subsystem_id = 0x0000,
    .class_code = 0x060400, /* PCI-to-PCI bridge */
    .interrupt_pin = 1,
    .is_bridge = true,
    .config_written = root_port_config_written,
};

const struct device_class pcie_root_port_class = {
    .name = "pcie-root-port",
    .description = "root port of PCI Express, with a slot (board q35)",
    .bus_type = BUS_PCI,
    .instance_size = sizeof(struct pcie_root_port),
    .user_creatable = true,
    .cold_only = true,
    .properties = root_port_properties,
    .state = &root_port_state,
    .realize = root_port_realize,
    .unrealize = root_port_unrealize,
    .reset = root_port_reset,
    .bus_class = &root_port_pci_class,
};
