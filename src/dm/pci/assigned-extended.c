/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Extended capabilities of an assigned function. The guest sees those that only tell something of
 * the function. What acts on the link, on errors, on other functions or on an IOMMU's side (AER,
 * ATS, PRI, PASID, SR-IOV, resizable BARs, latency) belongs to the host, and is hidden.
 */
#include "dm/pci/assigned-config.h"
#include "dm/pci/pci-express.h"

#include <string.h>

#define HEADER_SIZE        4u
#define HEADER_ID          0xffffu
#define HEADER_NEXT_SHIFT  20
#define HEADER_NEXT        0xffcu
#define SERIAL_NUMBER_SIZE 12u /* 7.9.3 */
#define VENDOR_HEADER      4u  /* 7.9.5: the length is in its upper 12 bits; so too of 7.9.6 */
#define VENDOR_SIZE_SHIFT  20
#define COUNT_MAX          (PCI_EXPRESS_CONFIG_SIZE / HEADER_SIZE)

/* Bytes of a capability at `at`; 0: it is hidden. */
static unsigned shown_size(struct assigned_config *config, unsigned at, uint32_t header)
{
    unsigned size = 0;

    switch (header & HEADER_ID) {
    case PCI_EXTENDED_SERIAL_NUMBER:
        size = SERIAL_NUMBER_SIZE;
        break;
    case PCI_EXTENDED_VENDOR:
    case PCI_EXTENDED_DESIGNATED_VENDOR:
        size = at + 2 * HEADER_SIZE <= PCI_EXPRESS_CONFIG_SIZE
                   ? config->ops->read(config, at + VENDOR_HEADER, 4) >> VENDOR_SIZE_SHIFT
                   : 0;
        break;
    default:
        break;
    }
    return size > HEADER_SIZE && size <= PCI_EXPRESS_CONFIG_SIZE - at ? size : 0;
}

/* The header is ours, the rest the function's, to be read. */
static void show(struct assigned_config *config, unsigned at, uint32_t header, unsigned size)
{
    unsigned rest = at + HEADER_SIZE;

    memset(config->emulated + rest, 0, size - HEADER_SIZE);
    memset(config->locked + rest, 0xff, size - HEADER_SIZE);
    pci_put(config->pci->config, at, 4, header & ((1u << HEADER_NEXT_SHIFT) - 1));
}

void assigned_extended_init(struct assigned_config *config)
{
    uint8_t *bytes = config->pci->config, seen[COUNT_MAX] = {0};
    unsigned last = PCI_EXTENDED_START, next;

    if (!config->express || !pci_bus_is_express(config->pci->pci_bus)) {
        return;
    }
    config->pci->config_size = PCI_EXPRESS_CONFIG_SIZE;
    memset(config->emulated + PCI_EXTENDED_START, 0xff,
           PCI_EXPRESS_CONFIG_SIZE - PCI_EXTENDED_START);
    for (unsigned at = PCI_EXTENDED_START; at >= PCI_EXTENDED_START && !seen[at / HEADER_SIZE];
         at = next) {
        uint32_t header = config->ops->read(config, at, 4);
        unsigned size = header == UINT32_MAX ? 0 : shown_size(config, at, header);

        seen[at / HEADER_SIZE] = 1;
        next = header == UINT32_MAX ? 0 : header >> HEADER_NEXT_SHIFT & HEADER_NEXT;
        if (size) {
            show(config, at, header, size);
            if (at != last) { /* the first header leads on even if its own capability is hidden */
                pci_put(bytes, last, 4,
                        pci_get(bytes, last, 4) | (uint32_t)at << HEADER_NEXT_SHIFT);
            }
            last = at;
        }
    }
}
