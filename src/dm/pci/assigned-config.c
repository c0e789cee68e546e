/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers are those of the specifications. What a guest reads as its own is emulated; the rest goes
 * to the function, where its owner on the host looks after what would hurt others. */
#include "dm/pci/assigned-config.h"
#include "dm/pci/msi-regs.h"
#include "dm/pci/pci-regs.h"
#include "util/error.h"

#include <string.h>

#define STATUS_ERRORS_HIGH                                                                         \
    0xf9u /* of the status register's upper byte: cleared by writing ones                          \
           */

/* Capability IDs, PCI Code and ID Assignment Specification, chapter 2. */
#define CAP_POWER     0x01u
#define CAP_SLOT_ID   0x04u
#define CAP_HOTSWAP   0x06u
#define CAP_HOTPLUG   0x0cu
#define CAP_BRIDGE_ID 0x0du
#define CAP_EXPRESS   0x10u
#define CAP_FEATURES  0x13u /* conventional PCI's reset of a function */
#define CAP_ENHANCED  0x14u /* BARs elsewhere than in BARs */
#define CAP_COUNT_MAX 48u

/* PCI Power Management 1.2, 3.2. */
#define POWER_CAPABILITIES  2
#define POWER_CONTROL       4
#define POWER_SIZE          8u
#define POWER_PME_SUPPORT   0xf800u
#define POWER_STATE         0x0003u
#define POWER_NO_SOFT_RESET 0x0008u

/* PCI Express 5.0, 7.5.3. */
#define EXPRESS_FLAGS        2
#define EXPRESS_TYPE         0x00f0u
#define EXPRESS_TYPE_SHIFT   4
#define EXPRESS_ENDPOINT     0u
#define EXPRESS_LEGACY       1u
#define EXPRESS_INTEGRATED   9u
#define EXPRESS_CAPABILITIES 4
#define EXPRESS_CAN_RESET    0x10000000u /* function level reset */
#define EXPRESS_CONTROL      8
/* Error reporting, relaxed ordering, no snoop, size of read requests. */
#define EXPRESS_CONTROL_HARMLESS 0x781fu
#define EXPRESS_STATUS           10
#define EXPRESS_STATUS_ERRORS    0x000fu /* cleared by writing ones */
#define EXPRESS_LINK             0x0c    /* capabilities, control, status: 8 bytes */
#define EXPRESS_LINK_2           0x2c
#define EXPRESS_LINK_SIZE        8u
#define EXPRESS_VERSION          0x000fu

static uint32_t host_read(struct assigned_config *config, unsigned offset, unsigned size)
{
    return config->ops->read(config, offset, size);
}

static void host_write(struct assigned_config *config, unsigned offset, unsigned size,
                       uint32_t value)
{
    config->ops->write(config, offset, size, value);
}

/* Accesses of the guest. */

uint32_t assigned_config_read(struct assigned_config *config, unsigned offset, unsigned size)
{
    uint32_t mask = pci_get(config->emulated, offset, size);
    uint32_t all = UINT32_MAX >> (32 - 8 * size);
    uint32_t ours = pci_device_config_read(config->pci, offset, size) & mask;

    return mask == all ? ours : ours | (host_read(config, offset, size) & ~mask);
}

static bool is_device_status(const struct assigned_config *config, unsigned offset)
{
    return config->express && offset == (unsigned)config->express + EXPRESS_STATUS;
}

/* Bytes that are partly the function's: its own bits stay as they are where the guest may not
 * reach. */
static void pass_byte(struct assigned_config *config, unsigned offset, uint8_t value)
{
    uint8_t mask = config->emulated[offset] | config->locked[offset];

    if (mask == 0xff) {
        return;
    }
    if (offset == PCI_STATUS || offset == PCI_STATUS + 1 || is_device_status(config, offset)) {
        value &= (uint8_t)~mask; /* zeros do nothing */
    } else if (mask) {
        value = (uint8_t)((value & ~mask) | (host_read(config, offset, 1) & mask));
    }
    host_write(config, offset, 1, value);
}

void assigned_config_write(struct assigned_config *config, unsigned offset, unsigned size,
                           uint32_t value)
{
    if (pci_get(config->emulated, offset, size) == 0 &&
        pci_get(config->locked, offset, size) == 0) {
        host_write(config, offset, size, value);
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        pass_byte(config, offset + i, (uint8_t)(value >> (8 * i)));
    }
}

bool assigned_config_touches(unsigned offset, unsigned size, unsigned start, unsigned length)
{
    return start && offset < start + length && start < offset + size;
}

/* Making it. */

static void emulate(struct assigned_config *config, unsigned offset, unsigned length)
{
    memset(config->emulated + offset, 0xff, MIN(length, PCI_CONFIG_SIZE - offset));
}

/* The device stays in D0: one that sleeps would answer no mapped access. To the guest it changes
 * its state, and comes back as it was. */
static void init_power(struct assigned_config *config, unsigned at)
{
    uint8_t *bytes = config->pci->config;

    emulate(config, at + 2, POWER_SIZE - 2);
    pci_put(bytes, at + POWER_CAPABILITIES, 2,
            pci_get(bytes, at + POWER_CAPABILITIES, 2) & ~POWER_PME_SUPPORT);
    pci_put(bytes, at + POWER_CONTROL, 4, POWER_NO_SOFT_RESET);
    pci_put(config->pci->write_mask, at + POWER_CONTROL, 2, POWER_STATE);
}

/* On a root bus there is no link: an endpoint is one that is integrated there. Behind a port there
 * is one, of which an integrated function tells nothing. */
static void init_express(struct assigned_config *config, unsigned at)
{
    uint8_t *bytes = config->pci->config;
    uint32_t flags = pci_get(bytes, at + EXPRESS_FLAGS, 2);
    uint32_t type = (flags & EXPRESS_TYPE) >> EXPRESS_TYPE_SHIFT;
    bool is_behind_port = config->pci->device.bus->parent != NULL;
    bool is_integrated = type == EXPRESS_INTEGRATED;

    config->express = (uint8_t)at;
    emulate(config, at + EXPRESS_FLAGS, 2);
    if (is_integrated != is_behind_port ||
        (!is_integrated && type != EXPRESS_ENDPOINT && type != EXPRESS_LEGACY)) {
        return;
    }
    type = is_behind_port ? EXPRESS_ENDPOINT : EXPRESS_INTEGRATED;
    pci_put(bytes, at + EXPRESS_FLAGS, 2, (flags & ~EXPRESS_TYPE) | type << EXPRESS_TYPE_SHIFT);
    memset(bytes + at + EXPRESS_LINK, 0, EXPRESS_LINK_SIZE);
    emulate(config, at + EXPRESS_LINK, EXPRESS_LINK_SIZE);
    if ((flags & EXPRESS_VERSION) >= 2) {
        memset(bytes + at + EXPRESS_LINK_2, 0, EXPRESS_LINK_SIZE);
        emulate(config, at + EXPRESS_LINK_2, EXPRESS_LINK_SIZE);
    }
}

static unsigned msi_size(const struct assigned_config *config, unsigned at)
{
    uint32_t control = pci_get(config->pci->config, at + 2, 2);

    return (control & MSI_64 ? 14 : 10) + (control & MSI_CAN_MASK ? 10 : 0);
}

/* Bytes of a capability that duodm itself looks after or changes; 0: none but the header. */
static unsigned size_of(const struct assigned_config *config, unsigned at)
{
    switch (config->pci->config[at]) {
    case CAP_POWER:
        return POWER_SIZE;
    case PCI_CAP_MSI:
        return msi_size(config, at);
    case PCI_CAP_MSIX:
        return PCI_MSIX_SIZE;
    case CAP_EXPRESS:
        return (pci_get(config->pci->config, at + EXPRESS_FLAGS, 2) & EXPRESS_VERSION) >= 2
                   ? EXPRESS_LINK_2 + EXPRESS_LINK_SIZE
                   : EXPRESS_LINK + EXPRESS_LINK_SIZE;
    default:
        return 2;
    }
}

/* What means nothing where the guest's function is, or what duodm does not look after. */
static bool is_hidden(uint8_t id)
{
    return id == CAP_SLOT_ID || id == CAP_HOTSWAP || id == CAP_HOTPLUG || id == CAP_BRIDGE_ID ||
           id == CAP_ENHANCED || id == 0;
}

static bool init_capability(struct assigned_config *config, unsigned at, GError **error)
{
    uint8_t id = config->pci->config[at];

    if (at + size_of(config, at) > PCI_CONFIG_SIZE || (id == PCI_CAP_MSI && config->msi) ||
        (id == PCI_CAP_MSIX && config->msix)) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "%s: capability 0x%02x at 0x%02x is out of place", config->name, id, at);
    }
    emulate(config, at, 2);
    switch (id) {
    case CAP_POWER:
        init_power(config, at);
        break;
    case CAP_EXPRESS:
        init_express(config, at);
        break;
    case PCI_CAP_MSI:
        config->msi = (uint8_t)at;
        emulate(config, at, msi_size(config, at));
        memset(config->pci->config + at + 4, 0, msi_size(config, at) - 4);
        break;
    case PCI_CAP_MSIX:
        config->msix = (uint8_t)at;
        emulate(config, at, PCI_MSIX_SIZE);
        break;
    default:
        break;
    }
    return true;
}

/* Walk the function's chain, and link anew those that the guest sees, where they are. */
static bool init_capabilities(struct assigned_config *config, GError **error)
{
    uint8_t *bytes = config->pci->config, seen[PCI_CONFIG_SIZE] = {0};
    unsigned link = PCI_CAPABILITY_LIST, at = bytes[PCI_CAPABILITY_LIST] & 0xfcu, next;

    bytes[PCI_CAPABILITY_LIST] = 0;
    for (unsigned i = 0; i < CAP_COUNT_MAX && at >= PCI_HEADER_END && !seen[at]; i++, at = next) {
        seen[at] = 1;
        next = bytes[at + 1] & 0xfcu;
        if (is_hidden(bytes[at])) {
            continue;
        }
        if (!init_capability(config, at, error)) {
            return false;
        }
        bytes[link] = (uint8_t)at;
        bytes[at + 1] = 0;
        link = at + 1;
    }
    return true;
}

/* The header, which pci-device.c has begun: it may be written as that says. */
static void init_header(struct assigned_config *config, bool has_intx)
{
    struct pci_device *pci = config->pci;
    uint8_t multifunction = pci->config[PCI_HEADER_TYPE];

    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i += 4) {
        pci_put(pci->config, i, 4, host_read(config, i, 4));
    }
    emulate(config, 0, PCI_HEADER_END);
    config->emulated[PCI_STATUS] = (uint8_t)~PCI_STATUS_INTERRUPT; /* what the device itself says */
    config->emulated[PCI_STATUS + 1] = (uint8_t)~STATUS_ERRORS_HIGH;
    pci_put(pci->clear_mask, PCI_STATUS, 2, 0);
    pci_put(pci->config, PCI_COMMAND, 2, 0);
    pci_put(pci->config, PCI_STATUS, 2,
            pci_get(pci->config, PCI_STATUS, 2) &
                ~(uint32_t)(PCI_STATUS_INTERRUPT | PCI_STATUS_ERRORS));
    pci->config[PCI_HEADER_TYPE] = multifunction;
    pci->config[PCI_INTERRUPT_LINE] = 0;
    memset(pci->config + PCI_BASE_ADDRESS_0, 0, 4 * PCI_BAR_COUNT);
    pci_put(pci->config, PCI_ROM_ADDRESS, 4, 0);
    if (!has_intx || pci->config[PCI_INTERRUPT_PIN] > 4) {
        pci->config[PCI_INTERRUPT_PIN] = 0;
    }
}

bool assigned_config_init(struct assigned_config *config, bool has_intx, GError **error)
{
    if (host_read(config, PCI_HEADER_TYPE, 1) & 0x7f) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "%s: is a bridge, or answers nothing: it can't be assigned",
                          config->name);
    }
    init_header(config, has_intx);
    if (!(pci_get(config->pci->config, PCI_STATUS, 2) & PCI_STATUS_CAPABILITIES)) {
        config->pci->config[PCI_CAPABILITY_LIST] = 0;
    }
    return init_capabilities(config, error);
}

void assigned_config_lock(struct assigned_config *config)
{
    unsigned express = config->express;

    memset(config->locked, 0xff, PCI_CONFIG_SIZE);
    pci_put(config->locked, PCI_STATUS, 2, (uint32_t)~PCI_STATUS_ERRORS);
    if (!express) {
        return;
    }
    pci_put(config->locked, express + EXPRESS_CONTROL, 2, (uint32_t)~EXPRESS_CONTROL_HARMLESS);
    pci_put(config->locked, express + EXPRESS_STATUS, 2, (uint32_t)~EXPRESS_STATUS_ERRORS);
    /* A reset would take from the function what its owner gave it: the guest sees that it has none.
     */
    emulate(config, express + EXPRESS_CAPABILITIES, 4);
    pci_put(config->pci->config, express + EXPRESS_CAPABILITIES, 4,
            pci_get(config->pci->config, express + EXPRESS_CAPABILITIES, 4) & ~EXPRESS_CAN_RESET);
}
