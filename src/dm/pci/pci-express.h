/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PCI Express capability, and extended capabilities (PCI Express Base 5.0, 7.5.3 and 7.6.3). */
#ifndef DUODM_DM_PCI_PCI_EXPRESS_H
#define DUODM_DM_PCI_PCI_EXPRESS_H

#include "dm/pci/pci.h"

enum pci_express_type {
    PCI_EXPRESS_ENDPOINT = 0,
    PCI_EXPRESS_LEGACY_ENDPOINT = 1,
    PCI_EXPRESS_ROOT_PORT = 4,
    PCI_EXPRESS_INTEGRATED_ENDPOINT = 9, /* on the root bus: there is no link */
};

#define PCI_EXPRESS_SIZE 60 /* bytes of the capability, version 2 */

/* Offsets in the capability. */
#define EXPRESS_FLAGS               0x02
#define EXPRESS_DEVICE_CAPABILITIES 0x04
#define EXPRESS_DEVICE_CONTROL      0x08
#define EXPRESS_DEVICE_STATUS       0x0a
#define EXPRESS_LINK_CAPABILITIES   0x0c
#define EXPRESS_LINK_CONTROL        0x10
#define EXPRESS_LINK_STATUS         0x12
#define EXPRESS_SLOT_CAPABILITIES   0x14
#define EXPRESS_SLOT_CONTROL        0x18
#define EXPRESS_SLOT_STATUS         0x1a
#define EXPRESS_ROOT_CONTROL        0x1c
#define EXPRESS_ROOT_STATUS         0x20
#define EXPRESS_DEVICE_CONTROL_2    0x28
#define EXPRESS_LINK_CAPABILITIES_2 0x2c
#define EXPRESS_LINK_CONTROL_2      0x30

#define EXPRESS_FLAGS_SLOT 0x0100u /* 7.5.3.2: Slot Implemented */

#define EXPRESS_LINK_CAN_REPORT 0x00100000u /* 7.5.3.6: Data Link Layer Link Active Reporting */
#define EXPRESS_LINK_PORT_SHIFT 24
#define EXPRESS_LINK_DISABLE    0x0010u /* 7.5.3.7 */
#define EXPRESS_LINK_ACTIVE     0x2000u /* 7.5.3.8: Data Link Layer Link Active */

/* In realize: the capability, and with it config space of 4096 bytes. Only on a bus of PCI Express.
 * Fails if there is no room in the first 256. */
bool pci_add_express(struct pci_device *device, enum pci_express_type type, GError **error);
/* What a function is there: one that is integrated on a root bus, or the end of a link. */
enum pci_express_type pci_express_endpoint_type(const struct pci_bus *bus);

#define PCI_EXTENDED_START 0x100u

#define PCI_EXTENDED_SERIAL_NUMBER     0x0003u /* IDs of extended capabilities */
#define PCI_EXTENDED_VENDOR            0x000bu
#define PCI_EXTENDED_ACCESS_CONTROL    0x000du
#define PCI_EXTENDED_DESIGNATED_VENDOR 0x0023u

/* In realize, after pci_add_express: the offset of a new extended capability of `size` bytes,
 * zeroed past its header; 0 if there is no room. */
unsigned pci_add_extended_capability(struct pci_device *device, uint16_t id, unsigned version,
                                     unsigned size);

#endif
