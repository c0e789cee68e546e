/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cable to which ATA drives are attached: an IDE channel (two drives) or an AHCI port (one), and
 * what the controller at its other end does for a drive. All calls on either side are made inside
 * the controller's guard.
 */
#ifndef DUODM_DM_ATA_ATA_BUS_H
#define DUODM_DM_ATA_ATA_BUS_H

#include "dm/ata/ata-sg.h"
#include "dm/pci/pci.h"

struct ata_bus;
struct ata_drive;
struct ata_queued;

#define ATA_BUS_UNITS 2

struct ata_host_ops {
    /* A block of programmed I/O is ready in the drive's buffer, or room for one is; the controller
     * moves it (or lets its guest do so) and calls ata_pio_taken. interrupt: INTRQ is asserted. */
    void (*pio_block)(struct ata_bus *bus, struct ata_drive *drive, bool interrupt);
    /* The drive waits for DMA: call ata_dma_run now, or when the guest has started it. */
    void (*dma_wanted)(struct ata_bus *bus, struct ata_drive *drive);
    /* Add the guest memory that is next to sg, up to `length` bytes. */
    void (*dma_map)(struct ata_bus *bus, struct ata_drive *drive, struct ata_sg *sg,
                    uint64_t length);
    /* So many bytes of what was mapped are done: the next map begins behind them. False: the
     * guest has stopped DMA, so the drive waits for it again. */
    bool (*dma_advance)(struct ata_bus *bus, struct ata_drive *drive, uint64_t bytes);
    /* What the guest gave is no memory, or the transfer was aborted. */
    void (*dma_failed)(struct ata_bus *bus, struct ata_drive *drive);
    /* The same as the two before for a queued command; and its end: 0 or an error register's bits.
     * NULL where is_serial is not set. */
    void (*queued_map)(struct ata_bus *bus, struct ata_queued *queued, struct ata_sg *sg,
                       uint64_t length);
    void (*queued_advance)(struct ata_bus *bus, struct ata_queued *queued, uint64_t bytes);
    void (*queued_ended)(struct ata_bus *bus, struct ata_queued *queued, uint8_t error);
    /* No other queued command ends right now: the guest is to hear of those that did. */
    void (*queued_batch_ended)(struct ata_bus *bus);
    /* What was abandoned has ended: the drive can take commands again. May be NULL. */
    void (*idle)(struct ata_bus *bus, struct ata_drive *drive);
    /* A command has ended: the status register is final. */
    void (*ended)(struct ata_bus *bus, struct ata_drive *drive, bool interrupt);
    /* The reset that ata_drive_begin_reset began is over: registers hold the signature. */
    void (*reset_ended)(struct ata_bus *bus, struct ata_drive *drive);
};

struct ata_bus {
    struct bus base; /* first */
    const struct ata_host_ops *ops;
    struct pci_device *controller;
    struct ata_master *master;  /* the controller's */
    struct access_guard *guard; /* the controller's */
    unsigned units;             /* places for drives */
    unsigned number;            /* of the channel or port */
    bool is_serial;             /* SATA, with queued commands */
    struct ata_drive *drives[ATA_BUS_UNITS];
};

/* name is copied. Offers the bus to the machine. */
void ata_bus_init(struct ata_bus *bus, const char *name, struct ata_master *master,
                  const struct ata_host_ops *ops, unsigned units, unsigned number);
void ata_bus_clear(struct ata_bus *bus); /* destroys the drives */

#endif
