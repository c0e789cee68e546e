/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an assigned function's MSI registers say, as the guest wrote them. */
#include "dm/pci/assigned-config.h"
#include "dm/pci/msi-regs.h"
#include "util/error.h"
#include "util/little-endian.h"

#include <string.h>

uint32_t assigned_msi_control(const struct assigned_config *config)
{
    return config->msi ? pci_get(config->pci->config, config->msi + MSI_CONTROL, 2) : 0;
}

uint32_t assigned_msix_control(const struct assigned_config *config)
{
    return config->msix ? pci_get(config->pci->config, config->msix + MSIX_CONTROL, 2) : 0;
}

static unsigned msi_data_offset(const struct assigned_config *config)
{
    return config->msi + (assigned_msi_control(config) & MSI_64 ? 12u : 8u);
}

struct assigned_vector assigned_msi_vector(const struct assigned_config *config, unsigned number)
{
    const uint8_t *bytes = config->pci->config;
    uint32_t control = assigned_msi_control(config);
    unsigned offset = msi_data_offset(config);
    unsigned used = 1u << ((control & MSI_ALLOWED_MASK) >> MSI_ALLOWED);
    struct assigned_vector vector = {.address = pci_get(bytes, config->msi + MSI_ADDRESS, 4)};

    if (control & MSI_64) {
        vector.address |= (uint64_t)pci_get(bytes, config->msi + MSI_ADDRESS_HIGH, 4) << 32;
    }
    vector.data = (pci_get(bytes, offset, 2) & ~(used - 1)) | number; /* 6.8.1.6 */
    vector.masked = control & MSI_CAN_MASK && pci_get(bytes, offset + 4, 4) >> number & 1;
    return vector;
}

struct assigned_vector assigned_msix_vector(const uint8_t *entry)
{
    return (struct assigned_vector){
        .address = load_le64(entry) & ~UINT64_C(3),
        .data = load_le32(entry + MSIX_ENTRY_DATA),
        .masked = load_le32(entry + MSIX_ENTRY_CONTROL) & MSIX_ENTRY_MASKED,
    };
}

void assigned_msix_clear(uint8_t *table, unsigned entries)
{
    for (unsigned i = 0; i < entries; i++) {
        memset(table + i * MSIX_ENTRY_SIZE, 0, MSIX_ENTRY_SIZE);
        table[i * MSIX_ENTRY_SIZE + MSIX_ENTRY_CONTROL] = MSIX_ENTRY_MASKED;
    }
}

bool assigned_msix_place(const struct assigned_config *config, unsigned register_offset,
                         uint64_t size, unsigned *bar, uint32_t *offset, GError **error)
{
    const struct pci_bar *bars = config->pci->bars;
    uint32_t place = pci_get(config->pci->config, config->msix + register_offset, 4);

    *bar = place & MSIX_BAR_MASK;
    *offset = place & ~MSIX_BAR_MASK;
    if (*bar >= PCI_BAR_COUNT || !bars[*bar].region || bars[*bar].is_io ||
        *offset > bars[*bar].size || size > bars[*bar].size - *offset) {
        return duodm_fail(
            error, DUODM_ERROR_NOT_SUPPORTED,
            "%s: its %s said to be at 0x%x of BAR %u, which is not there", config->name,
            register_offset == MSIX_TABLE ? "MSI-X table is" : "MSI-X pending bits are", *offset,
            *bar);
    }
    return true;
}

void assigned_msi_init(struct assigned_config *config)
{
    uint8_t *mask = config->pci->write_mask;
    uint32_t control = assigned_msi_control(config);
    unsigned data = msi_data_offset(config), count = 1u << (control >> MSI_CAPABLE & 7);

    if (config->msix) {
        pci_put(mask, config->msix + MSIX_CONTROL, 2, MSIX_ENABLE | MSIX_MASK_ALL);
    }
    if (!config->msi) {
        return;
    }
    pci_put(mask, config->msi + MSI_CONTROL, 2, MSI_ENABLE | MSI_ALLOWED_MASK);
    pci_put(mask, config->msi + MSI_ADDRESS, 4, 0xfffffffcu);
    if (control & MSI_64) {
        pci_put(mask, config->msi + MSI_ADDRESS_HIGH, 4, UINT32_MAX);
    }
    pci_put(mask, data, 2, UINT16_MAX);
    if (control & MSI_CAN_MASK) {
        pci_put(mask, data + 4, 4, count >= 32 ? UINT32_MAX : (1u << count) - 1);
    }
}
