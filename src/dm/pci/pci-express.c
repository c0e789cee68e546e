/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/pci/pci-express.h"
#include "dm/pci/pci-bus.h"
#include "dm/pci/pci-regs.h"
#include "util/error.h"

#include <assert.h>

#define FLAGS_VERSION    2u
#define FLAGS_TYPE_SHIFT 4

#define DEVICE_ROLE_BASED 0x00008000u /* 7.5.3.3: Role-Based Error Reporting, required */

/* Device Control, 7.5.3.4: what may be written, and what it is at power-on: relaxed ordering, no
 * snoop, read requests of 512 bytes. */
#define DEVICE_CONTROL_MASK  0x78ffu
#define DEVICE_CONTROL_RESET 0x2810u
#define DEVICE_STATUS_ERRORS 0x000fu

/* A link of 16 GT/s and 16 lanes: nothing that a guest measures depends on it. */
#define SPEED_16GT          4u
#define SPEEDS_TO_16GT      0x1eu /* vector in Link Capabilities 2 */
#define WIDTH_SHIFT         4
#define LANES               16u
#define LINK_ASPM_OPTIONAL  0x00400000u
#define LINK_CONTROL_MASK   0x00cbu /* ASPM, read completion boundary, clock, extended synch */
#define LINK_CLOCK          0x1000u /* Slot Clock Configuration */
#define LINK_CONTROL_2_MASK 0x000fu

#define DEVICE_CONTROL_2_MASK 0x0010u /* Completion Timeout Disable */
#define CAN_DISABLE_TIMEOUT   0x00000010u

static void init_link(struct pci_device *device, unsigned at)
{
    uint8_t *config = device->config, *mask = device->write_mask;

    pci_put(config, at + EXPRESS_LINK_CAPABILITIES, 4,
            SPEED_16GT | LANES << WIDTH_SHIFT | LINK_ASPM_OPTIONAL);
    pci_put(mask, at + EXPRESS_LINK_CONTROL, 2, LINK_CONTROL_MASK);
    pci_put(config, at + EXPRESS_LINK_STATUS, 2, SPEED_16GT | LANES << WIDTH_SHIFT | LINK_CLOCK);
    pci_put(config, at + EXPRESS_LINK_CAPABILITIES_2, 4, SPEEDS_TO_16GT);
    pci_put(config, at + EXPRESS_LINK_CONTROL_2, 2, SPEED_16GT);
    pci_put(mask, at + EXPRESS_LINK_CONTROL_2, 2, LINK_CONTROL_2_MASK);
}

bool pci_add_express(struct pci_device *device, enum pci_express_type type, GError **error)
{
    unsigned at = pci_add_capability(device, PCI_CAP_EXPRESS, PCI_EXPRESS_SIZE);
    uint8_t *config = device->config, *mask = device->write_mask;

    assert(device->pci_bus->is_express);
    if (!at) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY, "no room for PCI Express in config space");
    }
    device->express = (uint8_t)at;
    device->config_size = PCI_EXPRESS_CONFIG_SIZE;
    pci_put(config, at + EXPRESS_FLAGS, 2, FLAGS_VERSION | type << FLAGS_TYPE_SHIFT);
    pci_put(config, at + EXPRESS_DEVICE_CAPABILITIES, 4, DEVICE_ROLE_BASED);
    pci_put(config, at + EXPRESS_DEVICE_CONTROL, 2, DEVICE_CONTROL_RESET);
    pci_put(mask, at + EXPRESS_DEVICE_CONTROL, 2, DEVICE_CONTROL_MASK);
    pci_put(device->clear_mask, at + EXPRESS_DEVICE_STATUS, 2, DEVICE_STATUS_ERRORS);
    pci_put(config, at + EXPRESS_DEVICE_CONTROL_2 - 4, 4, CAN_DISABLE_TIMEOUT);
    pci_put(mask, at + EXPRESS_DEVICE_CONTROL_2, 2, DEVICE_CONTROL_2_MASK);
    if (type != PCI_EXPRESS_INTEGRATED_ENDPOINT) {
        init_link(device, at);
    }
    return true;
}

enum pci_express_type pci_express_endpoint_type(const struct pci_bus *bus)
{
    return bus->bridge ? PCI_EXPRESS_ENDPOINT : PCI_EXPRESS_INTEGRATED_ENDPOINT;
}

/* ---- Extended capabilities ---- */

#define VERSION_SHIFT 16
#define NEXT_SHIFT    20

unsigned pci_add_extended_capability(struct pci_device *device, uint16_t id, unsigned version,
                                     unsigned size)
{
    unsigned at = MAX(device->extended_end, PCI_EXTENDED_START), length = (size + 3) & ~3u;
    unsigned last = device->extended_last;

    assert(device->config_size == PCI_EXPRESS_CONFIG_SIZE && size >= 4);
    if (at + length > PCI_EXPRESS_CONFIG_SIZE) {
        return 0;
    }
    pci_put(device->config, at, 4, id | version << VERSION_SHIFT);
    if (last) {
        pci_put(device->config, last, 4,
                pci_get(device->config, last, 4) | (uint32_t)at << NEXT_SHIFT);
    }
    device->extended_last = (uint16_t)at;
    device->extended_end = (uint16_t)(at + length);
    return at;
}
