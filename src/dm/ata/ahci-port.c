/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers of a port of an AHCI HBA: AHCI 1.3.1, 3.3. */
#include "dm/ata/ahci.h"

/* Offsets of registers. */
#define PX_CLB  0x00u
#define PX_CLBU 0x04u
#define PX_FB   0x08u
#define PX_FBU  0x0cu
#define PX_IS   0x10u
#define PX_IE   0x14u
#define PX_CMD  0x18u
#define PX_TFD  0x20u
#define PX_SIG  0x24u
#define PX_SSTS 0x28u
#define PX_SCTL 0x2cu
#define PX_SERR 0x30u
#define PX_SACT 0x34u
#define PX_CI   0x38u

#define CLB_MASK 0xfffffc00u
#define FB_MASK  0xffffff00u

#define CMD_WRITABLE                                                                               \
    (AHCI_CMD_ST | AHCI_CMD_SUD | AHCI_CMD_POD | AHCI_CMD_FRE | AHCI_CMD_ATAPI | AHCI_CMD_DLAE |   \
     AHCI_CMD_ICC)

#define SCTL_MASK     0x00000fffu
#define SCTL_DET      0x0000000fu /* 1: COMRESET is sent as long as it is set; 4: off */
#define SSTS_UP       0x00000133u /* 6 Gb/s, active, a drive is there */
#define SIG_NONE      0xffffffffu
#define TFD_NO_DRIVE  0x0000007fu
#define TFD_BUSY      ((uint32_t)ATA_STATUS_BSY)
#define TFD_NOT_READY (ATA_STATUS_BSY | ATA_STATUS_DRQ)

static struct ata_drive *drive_of(const struct ahci_port *port)
{
    return port->bus.drives[0];
}

void ahci_port_raise(struct ahci_port *port, uint32_t bits)
{
    port->is |= bits;
    ahci_port_event(port);
}

/* ---- The link ---- */

/* A drive answers with its signature, when what it had under way has ended. */
static void begin_link(struct ahci_port *port)
{
    struct ata_drive *drive = drive_of(port);

    port->sig = SIG_NONE;
    if (!drive || port->sctl & SCTL_DET) {
        port->ssts = 0;
        port->tfd = TFD_NO_DRIVE;
        return;
    }
    port->ssts = SSTS_UP;
    port->tfd = TFD_BUSY;
    ata_drive_begin_reset(drive, true);
    if (!(port->serr & AHCI_SERR_DIAG_X)) {
        port->serr |= AHCI_SERR_DIAG_X;
        ahci_port_raise(port, AHCI_IS_PCS);
    }
}

static void write_sctl(struct ahci_port *port, uint32_t value)
{
    uint32_t before = port->sctl & SCTL_DET;

    port->sctl = value & SCTL_MASK;
    if ((value & SCTL_DET) && !before) {
        ahci_abandon_commands(port);
        port->ssts = 0;
        port->tfd = TFD_NO_DRIVE;
    } else if (!(value & SCTL_DET) && before) {
        begin_link(port);
    }
}

void ahci_port_reset(struct ahci_port *port, bool keep_addresses)
{
    ahci_abandon_commands(port);
    if (!keep_addresses) {
        port->clb = port->fb = 0;
    }
    port->is = port->ie = 0;
    port->cmd = AHCI_CMD_SUD | AHCI_CMD_POD;
    port->sctl = port->serr = 0;
    begin_link(port);
}

void ahci_port_init(struct ahci_port *port, struct ahci *hba, unsigned number, const char *name)
{
    port->hba = hba;
    ata_bus_init(&port->bus, name, &hba->master, &ahci_host_ops, 1, number);
    port->bus.is_serial = true;
}

void ahci_port_resume(struct ahci_port *port)
{
    uint32_t lost = 0;

    for (unsigned tag = 0; tag < AHCI_SLOTS && drive_of(port); tag++) {
        if ((port->queued >> tag & 1) && !ata_queued_is_active(drive_of(port), tag)) {
            lost |= 1u << tag;
        }
    }
    if (lost) {
        ahci_requeue(port, lost);
    }
    ahci_run_commands(port);
}

/* ---- Commands ---- */

/* CR stays on until what was under way has ended: then memory is no longer written. */
static uint32_t read_cmd(const struct ahci_port *port)
{
    const struct ata_drive *drive = drive_of(port);
    uint32_t value = port->cmd | (uint32_t)port->slot << 8;

    if ((port->cmd & AHCI_CMD_ST) || (drive && ata_drive_is_working(drive))) {
        value |= AHCI_CMD_CR;
    }
    return value | (port->cmd & AHCI_CMD_FRE ? AHCI_CMD_FR : 0);
}

static void write_cmd(struct ahci_port *port, uint32_t value)
{
    uint32_t before = port->cmd;

    port->cmd = value & CMD_WRITABLE & ~AHCI_CMD_ICC; /* the link's state changes at once */
    if ((value & AHCI_CMD_CLO) && !(before & AHCI_CMD_ST)) {
        port->tfd &= ~(uint32_t)TFD_NOT_READY;
    }
    if ((before & AHCI_CMD_ST) && !(value & AHCI_CMD_ST)) {
        ahci_abandon_commands(port);
    }
    ahci_run_commands(port);
}

uint32_t ahci_port_read(struct ahci_port *port, unsigned offset)
{
    switch (offset) {
    case PX_CLB:
        return (uint32_t)port->clb;
    case PX_CLBU:
        return (uint32_t)(port->clb >> 32);
    case PX_FB:
        return (uint32_t)port->fb;
    case PX_FBU:
        return (uint32_t)(port->fb >> 32);
    case PX_IS:
        return port->is;
    case PX_IE:
        return port->ie;
    case PX_CMD:
        return read_cmd(port);
    case PX_TFD:
        return port->tfd;
    case PX_SIG:
        return port->sig;
    case PX_SSTS:
        return port->ssts;
    case PX_SCTL:
        return port->sctl;
    case PX_SERR:
        return port->serr;
    case PX_SACT:
        return port->sact;
    case PX_CI:
        return port->ci;
    default:
        return 0;
    }
}

static void set_half(uint64_t *address, bool high, uint32_t value)
{
    *address = high ? (*address & UINT32_MAX) | (uint64_t)value << 32
                    : (*address & ~(uint64_t)UINT32_MAX) | value;
}

/* Bits whose event lasts are set again: 3.3.5. */
static void write_is(struct ahci_port *port, uint32_t value)
{
    port->is &= ~value;
    if (port->serr & AHCI_SERR_DIAG_X) {
        port->is |= AHCI_IS_PCS;
    }
    ahci_update_interrupt(port->hba);
}

static void write_serr(struct ahci_port *port, uint32_t value)
{
    port->serr &= ~value;
    if (!(port->serr & AHCI_SERR_DIAG_X)) {
        port->is &= ~AHCI_IS_PCS;
    }
    ahci_update_interrupt(port->hba);
}

void ahci_port_write(struct ahci_port *port, unsigned offset, uint32_t value)
{
    switch (offset) {
    case PX_CLB:
        set_half(&port->clb, false, value & CLB_MASK);
        break;
    case PX_CLBU:
        set_half(&port->clb, true, value);
        break;
    case PX_FB:
        set_half(&port->fb, false, value & FB_MASK);
        break;
    case PX_FBU:
        set_half(&port->fb, true, value);
        break;
    case PX_IS:
        write_is(port, value);
        break;
    case PX_IE:
        port->ie = value & AHCI_IS_ALL;
        ahci_port_event(port);
        break;
    case PX_CMD:
        write_cmd(port, value);
        break;
    case PX_SCTL:
        write_sctl(port, value);
        break;
    case PX_SERR:
        write_serr(port, value);
        break;
    case PX_SACT:
        port->sact |= port->cmd & AHCI_CMD_ST ? value : 0;
        break;
    case PX_CI:
        port->ci |= port->cmd & AHCI_CMD_ST ? value : 0;
        ahci_run_commands(port);
        break;
    default:
        break;
    }
}
