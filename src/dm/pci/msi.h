/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Message-signalled interrupts of PCI functions: the capabilities MSI (PCI 3.0, 6.8.1) and MSI-X
 * (6.8.2). A message is a write of 4 bytes into the function's DMA address space, with its
 * requester ID: so it goes wherever the board (or an interrupt remapping IOMMU) has it go. It is
 * delivered to memory, or to an interrupt controller, never into a device that would have to be
 * locked; so vectors may be signalled by any thread with any lock held.
 *
 * Nothing has to be done about reset, saved state or the end of the device: pci-device.c does it.
 */
#ifndef DUODM_DM_PCI_MSI_H
#define DUODM_DM_PCI_MSI_H

#include "memory/region.h"

#include <pthread.h>

struct pci_device;

#define PCI_MSI_SIZE_MAX     24 /* bytes of the capability, in its longest form */
#define PCI_MSIX_SIZE        12
#define PCI_MSI_VECTORS_MAX  32
#define PCI_MSIX_VECTORS_MAX 128 /* of ours; the specification allows 2048 */
#define PCI_MSIX_ENTRY_SIZE  16
#define PCI_MSIX_BAR_SIZE    4096
#define PCI_MSIX_PBA_OFFSET  2048 /* in the BAR; the table is at 0 */

struct pci_msi {
    uint8_t capability; /* its offset in config space; 0: the function has none */
    uint8_t count;      /* vectors */
    bool is_64, can_mask;
    pthread_mutex_t lock; /* leaf; protects what follows, which mirrors config space */
    bool enabled;         /* atomic, too */
    unsigned used;        /* vectors that the guest allowed: a power of two */
    uint64_t address;
    uint16_t data;
    uint32_t mask, pending; /* a bit per vector */
};

struct pci_msix {
    uint8_t capability; /* 0: the function has none */
    uint16_t count;     /* vectors */
    struct memory_region region;
    pthread_mutex_t lock; /* leaf; protects what follows */
    bool enabled;         /* atomic, too */
    bool function_mask;
    uint8_t table[PCI_MSIX_VECTORS_MAX * PCI_MSIX_ENTRY_SIZE];
    uint8_t pending[PCI_MSIX_VECTORS_MAX / 8];
};

/* In realize. count: 1, 2, 4, ... 32. False: no room in config space. */
bool pci_msi_init(struct pci_device *device, unsigned count, bool is_64, bool can_mask,
                  GError **error);
/* Table and PBA in a BAR of their own, of PCI_MSIX_BAR_SIZE bytes. */
bool pci_msix_init(struct pci_device *device, unsigned count, unsigned bar, GError **error);

/* Has the guest switched it on? INTx is not to be used then. Any thread. */
bool pci_msi_is_enabled(const struct pci_device *device);
bool pci_msix_is_enabled(const struct pci_device *device);

/* Signal a vector: sent, or pending while masked, or dropped while the capability is off or the
 * vector does not exist. Any thread. */
void pci_msi_notify(struct pci_device *device, unsigned vector);
void pci_msix_notify(struct pci_device *device, unsigned vector);

/* What a vector's message is, for who delivers it by other means (irqfd). False: it can't be sent
 * now (capability off, vector masked). Any thread. */
bool pci_msix_get_message(struct pci_device *device, unsigned vector, uint64_t *address,
                          uint32_t *data);

/* Does the mask bit that an entry has count, with this message? Any thread. */
bool pci_message_is_masked(const struct pci_device *device, bool bit, uint64_t address,
                           uint32_t data);
/* Send a message as this function. Any thread. */
void pci_send_message(struct pci_device *device, uint64_t address, uint32_t data);

/* For pci-*.c: the bytes of config space at offset, with the pending bits of MSI as they are. */
uint32_t pci_msi_show_pending(struct pci_device *device, unsigned offset, unsigned length,
                              uint32_t value);

/* For pci-*.c: after a change of config space; power-on state; before the device goes. */
void pci_msi_update(struct pci_device *device);
void pci_msix_update(struct pci_device *device);
void pci_msix_reset(struct pci_device *device);
void pci_msi_release(struct pci_device *device);
void pci_msix_release(struct pci_device *device);
/* Is what was loaded one that the guest could have made? */
bool pci_msix_after_load(struct pci_device *device);

#endif
