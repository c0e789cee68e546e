/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Config space of a passed-through function, field by field. emulated[] has the bits that are
 * duodm's (in pci.config); all others are read from, and written to, the device, where the kernel
 * looks after what would hurt others. Numbers are those of the specifications.
 */
#include "dm/machine.h"
#include "dm/pci/pci-regs.h"
#include "dm/vfio/vfio-pci.h"
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
#define EXPRESS_FLAGS      2
#define EXPRESS_TYPE       0x00f0u
#define EXPRESS_TYPE_SHIFT 4
#define EXPRESS_ENDPOINT   0u
#define EXPRESS_LEGACY     1u
#define EXPRESS_INTEGRATED 9u
#define EXPRESS_LINK       0x0c /* capabilities, control, status: 8 bytes */
#define EXPRESS_LINK_2     0x2c
#define EXPRESS_LINK_SIZE  8u
#define EXPRESS_VERSION    0x000fu

static uint32_t host_read(struct vfio_pci *vfio, unsigned offset, unsigned size)
{
    return vfio_device_read(vfio->device, VFIO_REGION_CONFIG, offset, size);
}

static void host_write(struct vfio_pci *vfio, unsigned offset, unsigned size, uint32_t value)
{
    vfio_device_write(vfio->device, VFIO_REGION_CONFIG, offset, size, value);
}

/* The device's command register. */

void vfio_update_command(struct vfio_pci *vfio)
{
    const uint32_t passed = PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR;
    uint32_t command = pci_get(vfio->pci.config, PCI_COMMAND, 2) & passed;

    pthread_mutex_lock(&vfio->command_lock);
    if (vfio->cut_off) {
        command &= ~(uint32_t)PCI_COMMAND_MASTER;
    }
    /* It decodes always: vfio-bars.c says why. */
    host_write(vfio, PCI_COMMAND, 2, command | PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
    pthread_mutex_unlock(&vfio->command_lock);
}

void vfio_cut_off(struct vfio_pci *vfio, const char *reason)
{
    pthread_mutex_lock(&vfio->command_lock);
    if (!vfio->cut_off) {
        vfio->cut_off = true;
        g_free(vfio->cut_off_reason);
        vfio->cut_off_reason = g_strdup(reason);
        host_write(vfio, PCI_COMMAND, 2,
                   host_read(vfio, PCI_COMMAND, 2) & ~(uint32_t)PCI_COMMAND_MASTER);
        machine_post(vfio->pci.device.machine, &vfio->cut_off_task);
    }
    pthread_mutex_unlock(&vfio->command_lock);
}

/* Accesses of the guest. */

uint32_t vfio_config_read(struct pci_device *pci, unsigned offset, unsigned size)
{
    struct vfio_pci *vfio = vfio_pci_of(&pci->device);
    uint32_t mask = pci_get(vfio->emulated, offset, size);
    uint32_t all = UINT32_MAX >> (32 - 8 * size);
    uint32_t ours = pci_device_config_read(pci, offset, size) & mask;

    return mask == all ? ours : ours | (host_read(vfio, offset, size) & ~mask);
}

/* Bytes that are partly the device's: its own bits stay as they are where the guest may not reach.
 */
static void pass_byte(struct vfio_pci *vfio, unsigned offset, uint8_t value)
{
    uint8_t mask = vfio->emulated[offset];

    if (mask == 0xff) {
        return;
    }
    if (offset == PCI_STATUS || offset == PCI_STATUS + 1) {
        value &= (uint8_t)~mask; /* zeros do nothing */
    } else if (mask) {
        value = (uint8_t)((value & ~mask) | (host_read(vfio, offset, 1) & mask));
    }
    host_write(vfio, offset, 1, value);
}

void vfio_config_write(struct pci_device *pci, unsigned offset, unsigned size, uint32_t value)
{
    struct vfio_pci *vfio = vfio_pci_of(&pci->device);

    if (pci_get(vfio->emulated, offset, size) == 0) {
        host_write(vfio, offset, size, value);
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        pass_byte(vfio, offset + i, (uint8_t)(value >> (8 * i)));
    }
}

static bool touches(unsigned offset, unsigned size, unsigned start, unsigned length)
{
    return start && offset < start + length && start < offset + size;
}

void vfio_config_written(struct pci_device *pci, unsigned offset, unsigned size)
{
    struct vfio_pci *vfio = vfio_pci_of(&pci->device);

    if (touches(offset, size, PCI_COMMAND, 2)) {
        vfio_update_command(vfio);
        vfio_intx_update(vfio);
    }
    if (touches(offset, size, vfio->msi, PCI_MSI_SIZE_MAX) ||
        touches(offset, size, vfio->msix, PCI_MSIX_SIZE)) {
        vfio_msi_update(vfio);
    }
}

/* Making it. */

static void emulate(struct vfio_pci *vfio, unsigned offset, unsigned length)
{
    memset(vfio->emulated + offset, 0xff, MIN(length, PCI_CONFIG_SIZE - offset));
}

/* The device stays in D0: one that sleeps would answer no mapped access. To the guest it changes
 * its state, and comes back as it was. */
static void init_power(struct vfio_pci *vfio, unsigned at)
{
    uint8_t *config = vfio->pci.config;

    emulate(vfio, at + 2, POWER_SIZE - 2);
    pci_put(config, at + POWER_CAPABILITIES, 2,
            pci_get(config, at + POWER_CAPABILITIES, 2) & ~POWER_PME_SUPPORT);
    pci_put(config, at + POWER_CONTROL, 4, POWER_NO_SOFT_RESET);
    pci_put(vfio->pci.write_mask, at + POWER_CONTROL, 2, POWER_STATE);
}

/* On the root bus there is no link: an endpoint is one that is integrated there. */
static void init_express(struct vfio_pci *vfio, unsigned at)
{
    uint8_t *config = vfio->pci.config;
    uint32_t flags = pci_get(config, at + EXPRESS_FLAGS, 2);
    uint32_t type = (flags & EXPRESS_TYPE) >> EXPRESS_TYPE_SHIFT;

    emulate(vfio, at + EXPRESS_FLAGS, 2);
    if (type != EXPRESS_ENDPOINT && type != EXPRESS_LEGACY) {
        return;
    }
    pci_put(config, at + EXPRESS_FLAGS, 2,
            (flags & ~EXPRESS_TYPE) | EXPRESS_INTEGRATED << EXPRESS_TYPE_SHIFT);
    memset(config + at + EXPRESS_LINK, 0, EXPRESS_LINK_SIZE);
    emulate(vfio, at + EXPRESS_LINK, EXPRESS_LINK_SIZE);
    if ((flags & EXPRESS_VERSION) >= 2) {
        memset(config + at + EXPRESS_LINK_2, 0, EXPRESS_LINK_SIZE);
        emulate(vfio, at + EXPRESS_LINK_2, EXPRESS_LINK_SIZE);
    }
}

static unsigned msi_size(const struct vfio_pci *vfio, unsigned at)
{
    uint32_t control = pci_get(vfio->pci.config, at + 2, 2);

    return (control & 0x80 ? 14 : 10) + (control & 0x100 ? 10 : 0);
}

/* Bytes of a capability that duodm itself looks after or changes; 0: none but the header. */
static unsigned size_of(const struct vfio_pci *vfio, unsigned at)
{
    switch (vfio->pci.config[at]) {
    case CAP_POWER:
        return POWER_SIZE;
    case PCI_CAP_MSI:
        return msi_size(vfio, at);
    case PCI_CAP_MSIX:
        return PCI_MSIX_SIZE;
    case CAP_EXPRESS:
        return (pci_get(vfio->pci.config, at + EXPRESS_FLAGS, 2) & EXPRESS_VERSION) >= 2
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

static bool init_capability(struct vfio_pci *vfio, unsigned at, GError **error)
{
    uint8_t id = vfio->pci.config[at];

    if (at + size_of(vfio, at) > PCI_CONFIG_SIZE || (id == PCI_CAP_MSI && vfio->msi) ||
        (id == PCI_CAP_MSIX && vfio->msix)) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "vfio %s: capability 0x%02x at 0x%02x is out of place",
                          vfio->device->name, id, at);
    }
    emulate(vfio, at, 2);
    switch (id) {
    case CAP_POWER:
        init_power(vfio, at);
        break;
    case CAP_EXPRESS:
        init_express(vfio, at);
        break;
    case PCI_CAP_MSI:
        vfio->msi = (uint8_t)at;
        emulate(vfio, at, msi_size(vfio, at));
        memset(vfio->pci.config + at + 4, 0, msi_size(vfio, at) - 4);
        break;
    case PCI_CAP_MSIX:
        vfio->msix = (uint8_t)at;
        emulate(vfio, at, PCI_MSIX_SIZE);
        break;
    default:
        break;
    }
    return true;
}

/* Walk the device's chain, and link anew those that the guest sees, where they are. */
static bool init_capabilities(struct vfio_pci *vfio, GError **error)
{
    uint8_t *config = vfio->pci.config, seen[PCI_CONFIG_SIZE] = {0};
    unsigned link = PCI_CAPABILITY_LIST, at = config[PCI_CAPABILITY_LIST] & 0xfcu, next;

    config[PCI_CAPABILITY_LIST] = 0;
    for (unsigned i = 0; i < CAP_COUNT_MAX && at >= PCI_HEADER_END && !seen[at]; i++, at = next) {
        seen[at] = 1;
        next = config[at + 1] & 0xfcu;
        if (is_hidden(config[at])) {
            continue;
        }
        if (!init_capability(vfio, at, error)) {
            return false;
        }
        config[link] = (uint8_t)at;
        config[at + 1] = 0;
        link = at + 1;
    }
    return true;
}

/* The header, which pci-device.c has begun: it may be written as that says. */
static void init_header(struct vfio_pci *vfio)
{
    struct pci_device *pci = &vfio->pci;
    uint8_t multifunction = pci->config[PCI_HEADER_TYPE];

    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i += 4) {
        pci_put(pci->config, i, 4, host_read(vfio, i, 4));
    }
    emulate(vfio, 0, PCI_HEADER_END);
    vfio->emulated[PCI_STATUS] = (uint8_t)~PCI_STATUS_INTERRUPT; /* what the device itself says */
    vfio->emulated[PCI_STATUS + 1] = (uint8_t)~STATUS_ERRORS_HIGH;
    pci_put(pci->clear_mask, PCI_STATUS, 2, 0);
    pci_put(pci->config, PCI_COMMAND, 2, 0);
    pci_put(pci->config, PCI_STATUS, 2,
            pci_get(pci->config, PCI_STATUS, 2) &
                ~(uint32_t)(PCI_STATUS_INTERRUPT | PCI_STATUS_ERRORS));
    pci->config[PCI_HEADER_TYPE] = multifunction;
    pci->config[PCI_INTERRUPT_LINE] = 0;
    memset(pci->config + PCI_BASE_ADDRESS_0, 0, 4 * PCI_BAR_COUNT);
    pci_put(pci->config, PCI_ROM_ADDRESS, 4, 0);
    if (!vfio->device->vectors[VFIO_IRQ_INTX] || pci->config[PCI_INTERRUPT_PIN] > 4) {
        pci->config[PCI_INTERRUPT_PIN] = 0;
    }
}

bool vfio_config_init(struct vfio_pci *vfio, GError **error)
{
    bool has_list;

    if (vfio->device->regions[VFIO_REGION_CONFIG].size < PCI_CONFIG_SIZE ||
        host_read(vfio, PCI_HEADER_TYPE, 1) & 0x7f) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "vfio %s: is a bridge, or answers nothing: it can't be assigned",
                          vfio->device->name);
    }
    init_header(vfio);
    has_list = pci_get(vfio->pci.config, PCI_STATUS, 2) & PCI_STATUS_CAPABILITIES;
    if (!has_list) {
        vfio->pci.config[PCI_CAPABILITY_LIST] = 0;
    }
    return init_capabilities(vfio, error);
}
