/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files ahci*.c: the host bus adapter and its ports. Sections are those of AHCI 1.3.1.
 */
#ifndef DUODM_DM_ATA_AHCI_H
#define DUODM_DM_ATA_AHCI_H

#include "dm/ata/ata-drive.h"

#define AHCI_PORTS     6
#define AHCI_SLOTS     32
#define AHCI_PORT_BASE 0x100u /* of port 0's registers; the others follow */
#define AHCI_PORT_SIZE 0x80u

/* A place in the table of physical regions of a command. */
struct ahci_cursor {
    uint32_t entry;  /* up to 65535 */
    uint32_t offset; /* bytes into the entry's region */
};

/* Registers by the names of section 3.3. */
struct ahci_port {
    struct ata_bus bus; /* first */
    struct ahci *hba;
    uint64_t clb, fb;
    uint32_t is, ie, cmd, tfd, sig, ssts, sctl, serr, sact, ci;
    uint8_t slot;                       /* of the command under way, or of the last one */
    uint8_t next_slot;                  /* is looked at first: 3.3.7, CCS */
    bool busy;                          /* a command that is not queued is under way */
    bool failed;                        /* nothing is begun until the guest has stopped the port */
    bool soft_reset;                    /* the drive got SRST and waits for its end */
    bool scanning, moving;              /* in the functions that do so: not to be entered again */
    bool block_waits, block_interrupts; /* for the function that is moving blocks */
    struct ahci_cursor cursor;          /* of the command under way */
    uint32_t moved;                     /* bytes of it */
    uint32_t queued;                    /* tags of queued commands that have begun */
    uint32_t ended;                     /* of those that have ended, until the batch has */
    struct ahci_cursor queued_cursors[AHCI_SLOTS];
};

struct ahci {
    struct pci_device pci; /* first */
    struct ata_master master;
    struct memory_region registers;
    struct ahci_port ports[AHCI_PORTS];
    uint32_t ghc, is;
    bool resetting; /* GHC.HR is told as set until all drives are done */
};

/* Port: registers, and its part in an HBA reset. */
void ahci_port_init(struct ahci_port *port, struct ahci *hba, unsigned number, const char *name);
uint32_t ahci_port_read(struct ahci_port *port, unsigned offset);
void ahci_port_write(struct ahci_port *port, unsigned offset, uint32_t value);
/* keep_addresses: an HBA reset leaves PxCLB and PxFB, 10.4.3. */
void ahci_port_reset(struct ahci_port *port, bool keep_addresses);
/* Begin again what was under way when the machine stopped and its state was saved. */
void ahci_port_resume(struct ahci_port *port);

/* ahci-command.c: begin what the guest has issued, as far as the drive can take it. */
void ahci_run_commands(struct ahci_port *port);
/* Forget all commands: the guest stops the port, or resets it. */
void ahci_abandon_commands(struct ahci_port *port);
/* Have the drive take the queued commands of these tags from their slots again. */
void ahci_requeue(struct ahci_port *port, uint32_t tags);
/* Task file register and received FIS of the drive's state. interrupt: the I bit. */
void ahci_post_registers(struct ahci_port *port, bool interrupt);
extern const struct ata_host_ops ahci_host_ops;

/* Set bits of PxIS; and tell the guest. */
void ahci_port_raise(struct ahci_port *port, uint32_t bits);
/* ahci.c: after a change of PxIS, PxIE, IS or GHC. */
void ahci_update_interrupt(struct ahci *hba);
void ahci_port_event(struct ahci_port *port);

/* PxIS, 3.3.5. */
#define AHCI_IS_DHRS 0x00000001u /* device to host register FIS */
#define AHCI_IS_PSS  0x00000002u /* PIO setup FIS */
#define AHCI_IS_SDBS 0x00000008u /* set device bits FIS */
#define AHCI_IS_PCS  0x00000040u /* of PxSERR.DIAG.X */
#define AHCI_IS_PRCS 0x00400000u /* of PxSERR.DIAG.N */
#define AHCI_IS_OFS  0x01000000u /* more data than regions */
#define AHCI_IS_HBDS 0x10000000u /* host bus data error */
#define AHCI_IS_HBFS 0x20000000u /* host bus fatal error */
#define AHCI_IS_TFES 0x40000000u /* the drive tells of an error */
#define AHCI_IS_ALL  0xfdc000ffu

/* PxCMD, 3.3.7. */
#define AHCI_CMD_ST    0x00000001u
#define AHCI_CMD_SUD   0x00000002u
#define AHCI_CMD_POD   0x00000004u
#define AHCI_CMD_CLO   0x00000008u
#define AHCI_CMD_FRE   0x00000010u
#define AHCI_CMD_CCS   0x00001f00u
#define AHCI_CMD_FR    0x00004000u
#define AHCI_CMD_CR    0x00008000u
#define AHCI_CMD_ATAPI 0x01000000u
#define AHCI_CMD_DLAE  0x02000000u
#define AHCI_CMD_ICC   0xf0000000u

#define AHCI_SERR_DIAG_X 0x04000000u

#endif
