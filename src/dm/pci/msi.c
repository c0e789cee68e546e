/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MSI, PCI 3.0, 6.8.1; and the message itself, which MSI-X shares. */
#include "dm/machine.h"
#include "dm/pci/pci.h"
#include "dm/pci/pci-regs.h"
#include "util/error.h"
#include "util/trace.h"

#include <assert.h>

/* Message control, offset 2 of the capability. */
#define CONTROL          2
#define CONTROL_ENABLE   0x0001u
#define CONTROL_CAPABLE  1 /* shift: log2 of the vectors that the function wants */
#define CONTROL_ENABLED  4 /* shift: log2 of those that the guest allows */
#define CONTROL_64       0x0080u
#define CONTROL_CAN_MASK 0x0100u
#define ENABLED_MASK     0x0070u
#define ADDRESS          4
#define ADDRESS_HIGH     8

/* Offsets that depend on the form. */
static unsigned data_offset(const struct pci_msi *msi)
{
    return msi->is_64 ? 12 : 8;
}

static unsigned mask_offset(const struct pci_msi *msi)
{
    return data_offset(msi) + 4;
}

void pci_send_message(struct pci_device *device, uint64_t address, uint32_t data)
{
    struct memory_attributes attributes = {.requester = pci_requester_id(device),
                                           .from_device = true};
    struct memory_section section;

    trace_pci_message(device->devfn, address, data);
    memory_rcu_read_lock();
    section = address_space_lookup(&device->dma, address, true, attributes);
    if (section.region && (section.host || !memory_region_is_guarded(section.region))) {
        address_space_store(&device->dma, address, 4, attributes, data);
    }
    memory_rcu_read_unlock();
}

bool pci_message_is_masked(const struct pci_device *device, bool bit, uint64_t address,
                           uint32_t data)
{
    const struct engine_ops *engine = device->device.machine->engine;
    struct msi_message message = {address, data};

    return bit && !(engine->is_masked_elsewhere && engine->is_masked_elsewhere(&message));
}

bool pci_msi_init(struct pci_device *device, unsigned count, bool is_64, bool can_mask,
                  GError **error)
{
    struct pci_msi *msi = &device->msi;
    unsigned size, capability;
    uint32_t control = (is_64 ? CONTROL_64 : 0) | (can_mask ? CONTROL_CAN_MASK : 0);

    assert(!msi->capability && count && count <= PCI_MSI_VECTORS_MAX && !(count & (count - 1)));
    size = (is_64 ? 14 : 10) + (can_mask ? 10 : 0);
    capability = pci_add_capability(device, PCI_CAP_MSI, size);
    if (!capability) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY, "no room for MSI in config space");
    }
    *msi = (struct pci_msi){.capability = (uint8_t)capability,
                            .count = (uint8_t)count,
                            .is_64 = is_64,
                            .can_mask = can_mask};
    pthread_mutex_init(&msi->lock, NULL);
    control |= (uint32_t)__builtin_ctz(count) << CONTROL_CAPABLE;
    pci_put(device->config, capability + CONTROL, 2, control);
    pci_put(device->write_mask, capability + CONTROL, 2, CONTROL_ENABLE | ENABLED_MASK);
    pci_put(device->write_mask, capability + ADDRESS, 4, 0xfffffffcu);
    if (is_64) {
        pci_put(device->write_mask, capability + ADDRESS_HIGH, 4, UINT32_MAX);
    }
    pci_put(device->write_mask, capability + data_offset(msi), 2, UINT16_MAX);
    if (can_mask) {
        pci_put(device->write_mask, capability + mask_offset(msi), 4,
                count == 32 ? UINT32_MAX : (1u << count) - 1);
    }
    return true;
}

void pci_msi_release(struct pci_device *device)
{
    if (device->msi.capability) {
        pthread_mutex_destroy(&device->msi.lock);
    }
    device->msi = (struct pci_msi){0};
}

bool pci_msi_is_enabled(const struct pci_device *device)
{
    return device->msi.capability && __atomic_load_n(&device->msi.enabled, __ATOMIC_ACQUIRE);
}

/* The message of a vector: its number is in the low bits of the data (6.8.1.6). */
static uint16_t vector_data(const struct pci_msi *msi, unsigned vector)
{
    return (uint16_t)((msi->data & ~(msi->used - 1)) | vector);
}

void pci_msi_update(struct pci_device *device)
{
    struct pci_msi *msi = &device->msi;
    unsigned base = msi->capability, allowed;
    uint32_t control, send = 0;
    uint64_t address;

    if (!base) {
        return;
    }
    pthread_mutex_lock(&msi->lock);
    control = pci_get(device->config, base + CONTROL, 2);
    allowed = (control & ENABLED_MASK) >> CONTROL_ENABLED;
    msi->used = MIN(1u << allowed, msi->count);
    msi->address = pci_get(device->config, base + ADDRESS, 4);
    if (msi->is_64) {
        msi->address |= (uint64_t)pci_get(device->config, base + ADDRESS_HIGH, 4) << 32;
    }
    msi->data = (uint16_t)pci_get(device->config, base + data_offset(msi), 2);
    msi->mask = msi->can_mask ? pci_get(device->config, base + mask_offset(msi), 4) : 0;
    __atomic_store_n(&msi->enabled, control & CONTROL_ENABLE, __ATOMIC_RELEASE);
    if (msi->enabled) {
        send = msi->pending & ~msi->mask;
        msi->pending &= msi->mask;
    } else {
        msi->pending = 0;
    }
    address = msi->address;
    pthread_mutex_unlock(&msi->lock);
    for (unsigned vector = 0; send >> vector && vector < PCI_MSI_VECTORS_MAX; vector++) {
        if (send >> vector & 1) {
            pci_send_message(device, address, vector_data(msi, vector));
        }
    }
}

uint32_t pci_msi_show_pending(struct pci_device *device, unsigned offset, unsigned length,
                              uint32_t value)
{
    struct pci_msi *msi = &device->msi;
    unsigned start = msi->capability + mask_offset(msi) + 4;
    uint32_t pending;

    if (!msi->capability || !msi->can_mask) {
        return value;
    }
    pthread_mutex_lock(&msi->lock);
    pending = msi->pending;
    pthread_mutex_unlock(&msi->lock);
    for (unsigned i = 0; i < length; i++) {
        if (offset + i >= start && offset + i < start + 4) {
            value |= (pending >> (8 * (offset + i - start)) & 0xff) << (8 * i);
        }
    }
    return value;
}

void pci_msi_notify(struct pci_device *device, unsigned vector)
{
    struct pci_msi *msi = &device->msi;
    uint64_t address = 0;
    uint16_t data = 0;
    bool send = false;

    if (!pci_msi_is_enabled(device)) {
        return;
    }
    pthread_mutex_lock(&msi->lock);
    if (msi->enabled && vector < msi->count) {
        vector &= msi->used - 1; /* fewer than wanted: they share */
        send = !(msi->mask >> vector & 1);
        msi->pending |= send ? 0 : 1u << vector;
        address = msi->address;
        data = vector_data(msi, vector);
    }
    pthread_mutex_unlock(&msi->lock);
    if (send) {
        pci_send_message(device, address, data);
    }
}
