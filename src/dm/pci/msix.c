/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MSI-X, PCI 3.0, 6.8.2: a table of messages and a bitmap of pending ones, in a BAR. */
#include "dm/pci/pci.h"
#include "dm/pci/pci-regs.h"
#include "util/error.h"
#include "util/little-endian.h"

#include <assert.h>

/* Capability. */
#define CONTROL          2
#define CONTROL_ENABLE   0x8000u
#define CONTROL_MASK_ALL 0x4000u
#define TABLE            4 /* offset and BAR */
#define PBA              8

/* A table entry. */
#define ENTRY_ADDRESS 0
#define ENTRY_DATA    8
#define ENTRY_CONTROL 12
#define ENTRY_MASKED  1u

static uint8_t *entry_of(struct pci_msix *msix, unsigned vector)
{
    return msix->table + vector * PCI_MSIX_ENTRY_SIZE;
}

/* The following with the lock held. */

struct message {
    uint64_t address;
    uint32_t data;
};

static struct message message_of(struct pci_msix *msix, unsigned vector)
{
    const uint8_t *entry = entry_of(msix, vector);

    return (struct message){load_le64(entry + ENTRY_ADDRESS) & ~UINT64_C(3),
                            load_le32(entry + ENTRY_DATA)};
}

static bool is_masked(struct pci_device *device, unsigned vector)
{
    struct pci_msix *msix = &device->msix;
    bool bit = load_le32(entry_of(msix, vector) + ENTRY_CONTROL) & ENTRY_MASKED;
    struct message message = message_of(msix, vector);

    return msix->function_mask || pci_message_is_masked(device, bit, message.address, message.data);
}

static bool is_pending(const struct pci_msix *msix, unsigned vector)
{
    return msix->pending[vector / 8] >> (vector % 8) & 1;
}

static void set_pending(struct pci_msix *msix, unsigned vector, bool pending)
{
    uint8_t bit = (uint8_t)(1u << (vector % 8));

    msix->pending[vector / 8] =
        (uint8_t)(pending ? msix->pending[vector / 8] | bit : msix->pending[vector / 8] & ~bit);
}

/* Without the lock: send what was pending and is masked no more. */
static void send_pending(struct pci_device *device, unsigned first, unsigned end)
{
    struct pci_msix *msix = &device->msix;

    for (unsigned vector = first; vector < end; vector++) {
        struct message message = {0};
        bool send;

        pthread_mutex_lock(&msix->lock);
        send = msix->enabled && is_pending(msix, vector) && !is_masked(device, vector);
        if (send) {
            set_pending(msix, vector, false);
            message = message_of(msix, vector);
        }
        pthread_mutex_unlock(&msix->lock);
        if (send) {
            pci_send_message(device, message.address, message.data);
        }
    }
}

/* The BAR. */

static enum memory_result bar_read(void *opaque, uint64_t offset, unsigned size,
                                   struct memory_attributes attributes, uint64_t *value)
{
    struct pci_device *device = opaque;
    struct pci_msix *msix = &device->msix;
    uint8_t bytes[8] = {0};

    pthread_mutex_lock(&msix->lock);
    for (unsigned i = 0; i < size; i++) {
        uint64_t at = offset + i;

        if (at < (uint64_t)msix->count * PCI_MSIX_ENTRY_SIZE) {
            bytes[i] = msix->table[at];
        } else if (at >= PCI_MSIX_PBA_OFFSET && at - PCI_MSIX_PBA_OFFSET < sizeof(msix->pending)) {
            bytes[i] = msix->pending[at - PCI_MSIX_PBA_OFFSET];
        }
    }
    pthread_mutex_unlock(&msix->lock);
    *value = load_le64(bytes);
    return MEMORY_OK;
}

static enum memory_result bar_write(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t value)
{
    struct pci_device *device = opaque;
    struct pci_msix *msix = &device->msix;
    unsigned vector = (unsigned)(offset / PCI_MSIX_ENTRY_SIZE);
    uint8_t bytes[8];

    if (vector >= msix->count) {
        return MEMORY_OK; /* the PBA can't be written */
    }
    store_le64(bytes, value);
    pthread_mutex_lock(&msix->lock);
    memcpy(msix->table + offset, bytes, size);
    /* Bits 1 to 31 of vector control are reserved. */
    store_le32(entry_of(msix, vector) + ENTRY_CONTROL,
               load_le32(entry_of(msix, vector) + ENTRY_CONTROL) & ENTRY_MASKED);
    pthread_mutex_unlock(&msix->lock);
    send_pending(device, vector, vector + 1);
    return MEMORY_OK;
}

static const struct memory_region_ops bar_ops = {
    .read = bar_read,
    .write = bar_write,
    .valid = {.min_size = 1, .max_size = 8},
    .implemented = {.min_size = 1, .max_size = 8},
};

bool pci_msix_init(struct pci_device *device, unsigned count, unsigned bar, GError **error)
{
    struct pci_msix *msix = &device->msix;
    unsigned capability;

    assert(!msix->capability && bar < PCI_BAR_COUNT);
    if (count < 1 || count > PCI_MSIX_VECTORS_MAX) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "%u MSI-X vectors are not possible: 1 to %u are", count,
                          PCI_MSIX_VECTORS_MAX);
    }
    capability = pci_add_capability(device, PCI_CAP_MSIX, PCI_MSIX_SIZE);
    if (!capability) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY, "no room for MSI-X in config space");
    }
    msix->capability = (uint8_t)capability;
    msix->count = (uint16_t)count;
    pthread_mutex_init(&msix->lock, NULL);
    /* The lock above is enough: no guard. */
    memory_region_init_mmio(&msix->region, "msix", PCI_MSIX_BAR_SIZE, &bar_ops, device, NULL);
    pci_register_bar(device, bar, &msix->region, false, false, false);
    pci_put(device->config, capability + CONTROL, 2, count - 1);
    pci_put(device->config, capability + TABLE, 4, bar);
    pci_put(device->config, capability + PBA, 4, PCI_MSIX_PBA_OFFSET | bar);
    pci_put(device->write_mask, capability + CONTROL, 2, CONTROL_ENABLE | CONTROL_MASK_ALL);
    pci_msix_reset(device);
    return true;
}

void pci_msix_release(struct pci_device *device)
{
    if (device->msix.capability) {
        memory_region_destroy(&device->msix.region);
        pthread_mutex_destroy(&device->msix.lock);
        memset(&device->msix, 0, sizeof(device->msix));
    }
}

void pci_msix_reset(struct pci_device *device)
{
    struct pci_msix *msix = &device->msix;

    if (!msix->capability) {
        return;
    }
    pthread_mutex_lock(&msix->lock);
    memset(msix->table, 0, sizeof(msix->table));
    memset(msix->pending, 0, sizeof(msix->pending));
    for (unsigned vector = 0; vector < msix->count; vector++) {
        entry_of(msix, vector)[ENTRY_CONTROL] = ENTRY_MASKED;
    }
    pthread_mutex_unlock(&msix->lock);
    pci_msix_update(device);
}

void pci_msix_update(struct pci_device *device)
{
    struct pci_msix *msix = &device->msix;
    uint32_t control;

    if (!msix->capability) {
        return;
    }
    control = pci_get(device->config, msix->capability + CONTROL, 2);
    pthread_mutex_lock(&msix->lock);
    __atomic_store_n(&msix->enabled, control & CONTROL_ENABLE, __ATOMIC_RELEASE);
    msix->function_mask = control & CONTROL_MASK_ALL;
    pthread_mutex_unlock(&msix->lock);
    send_pending(device, 0, msix->count);
}

bool pci_msix_after_load(struct pci_device *device)
{
    struct pci_msix *msix = &device->msix;

    for (unsigned vector = 0; vector < PCI_MSIX_VECTORS_MAX; vector++) {
        if (load_le32(entry_of(msix, vector) + ENTRY_CONTROL) & ~ENTRY_MASKED) {
            return false;
        }
        if (vector >= msix->count && is_pending(msix, vector)) {
            return false;
        }
    }
    pci_msix_update(device);
    return true;
}

bool pci_msix_is_enabled(const struct pci_device *device)
{
    return device->msix.capability && __atomic_load_n(&device->msix.enabled, __ATOMIC_ACQUIRE);
}

void pci_msix_notify(struct pci_device *device, unsigned vector)
{
    struct pci_msix *msix = &device->msix;
    struct message message = {0};
    bool send = false;

    if (!pci_msix_is_enabled(device) || vector >= msix->count) {
        return;
    }
    pthread_mutex_lock(&msix->lock);
    if (msix->enabled) {
        send = !is_masked(device, vector);
        if (send) {
            message = message_of(msix, vector);
        } else {
            set_pending(msix, vector, true);
        }
    }
    pthread_mutex_unlock(&msix->lock);
    if (send) {
        pci_send_message(device, message.address, message.data);
    }
}

bool pci_msix_get_message(struct pci_device *device, unsigned vector, uint64_t *address,
                          uint32_t *data)
{
    struct pci_msix *msix = &device->msix;
    struct message message;
    bool good;

    if (!pci_msix_is_enabled(device) || vector >= msix->count) {
        return false;
    }
    pthread_mutex_lock(&msix->lock);
    good = msix->enabled && !is_masked(device, vector);
    message = message_of(msix, vector);
    pthread_mutex_unlock(&msix->lock);
    *address = message.address;
    *data = message.data;
    return good;
}
