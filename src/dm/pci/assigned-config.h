/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Config space of a function of the host's that is assigned to the guest, whoever reaches it (VFIO,
 * a vfio-user server, a Xen control domain): virtualised bit by bit. Some bits are the machine's
 * own, in pci.config; all others are read from, and written to, the function.
 */
#ifndef DUODM_DM_PCI_ASSIGNED_CONFIG_H
#define DUODM_DM_PCI_ASSIGNED_CONFIG_H

#include "dm/pci/pci.h"

struct assigned_config;

/* The function's own config space: 1, 2 or 4 bytes. A read that fails gives ones. */
struct assigned_config_ops {
    uint32_t (*read)(struct assigned_config *config, unsigned offset, unsigned size);
    void (*write)(struct assigned_config *config, unsigned offset, unsigned size, uint32_t value);
};

/* Embedded in the device. Under its guard, and changed while it is realised only. */
struct assigned_config {
    struct pci_device *pci;
    const struct assigned_config_ops *ops;
    const char *name;                          /* for messages: "vfio 0000:00:05.0". Not owned */
    uint8_t emulated[PCI_EXPRESS_CONFIG_SIZE]; /* bits that are pci.config's */
    uint8_t locked[PCI_EXPRESS_CONFIG_SIZE]; /* bits that are the function's, but not for guests to
                                                write */
    uint8_t express, msi, msix;              /* capabilities' offsets; 0: it has none */
};

/* In realize, with pci, ops and name set and the rest zero: take over the function's header and
 * capabilities as the guest is to see them. has_intx: its pin can be delivered. Then BARs may be
 * registered. */
bool assigned_config_init(struct assigned_config *config, bool has_intx, GError **error);

/* After that, if the function's own config space is of 4096 bytes: extended capabilities that mean
 * something to the guest, to be read. Does nothing on a bus that has no such space. */
void assigned_extended_init(struct assigned_config *config);

/* After that, for an owner on the host that looks after nothing: the guest may write no bits of the
 * function's but those that are known to be harmless, and is shown no reset. */
void assigned_config_lock(struct assigned_config *config);

/* For the hooks of struct pci_class. */
uint32_t assigned_config_read(struct assigned_config *config, unsigned offset, unsigned size);
void assigned_config_write(struct assigned_config *config, unsigned offset, unsigned size,
                           uint32_t value);
/* Does an access touch a capability (start 0: there is none)? */
bool assigned_config_touches(unsigned offset, unsigned size, unsigned start, unsigned length);

/* MSI and MSI-X, assigned-msi.c. */

/* What the guest's registers say of a vector. */
struct assigned_vector {
    uint64_t address;
    uint32_t data;
    bool masked;
};

/* The control register; 0 if there is no such capability. */
uint32_t assigned_msi_control(const struct assigned_config *config);
uint32_t assigned_msix_control(const struct assigned_config *config);
/* Let the guest write what it may of both. */
void assigned_msi_init(struct assigned_config *config);
/* Vector `number` of MSI, below 32; one of MSI-X, from its entry in the table (`masked` is the
 * entry's bit alone). */
struct assigned_vector assigned_msi_vector(const struct assigned_config *config, unsigned number);
struct assigned_vector assigned_msix_vector(const uint8_t *entry);
/* A table as it is at power-on: all vectors masked. */
void assigned_msix_clear(uint8_t *table, unsigned entries);
/* Where the register (MSIX_TABLE or MSIX_PENDING) says that its `size` bytes are; BARs are
 * registered. */
bool assigned_msix_place(const struct assigned_config *config, unsigned register_offset,
                         uint64_t size, unsigned *bar, uint32_t *offset, GError **error);

#endif
