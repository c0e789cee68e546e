/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What goes over the link of an AHCI port: commands from the guest's memory, data by its regions,
 * and what the drive answers. AHCI 1.3.1, 5 (the port's state machine) and 4.2 (structures). */
#include "dm/ata/ahci-fis.h"
#include "dm/ata/ahci.h"
#include "util/little-endian.h"

#define TFD_NOT_READY (ATA_STATUS_BSY | ATA_STATUS_DRQ)

static struct ahci_port *port_of(struct ata_bus *bus)
{
    return (struct ahci_port *)bus;
}

static struct ata_drive *drive_of(const struct ahci_port *port)
{
    return port->bus.drives[0];
}

/* ---- Structures in memory ---- */

static bool read_memory(struct ahci_port *port, uint64_t address, void *buffer, uint64_t length)
{
    return pci_dma_read(&port->hba->pci, address, buffer, length) == MEMORY_OK;
}

static bool read_header(struct ahci_port *port, unsigned slot, uint8_t *header)
{
    return read_memory(port, port->clb + slot * HEADER_SIZE, header, HEADER_SIZE);
}

static uint64_t table_address(const uint8_t *header)
{
    return load_le64(header + HEADER_TABLE) & ~(uint64_t)0x7f;
}

/* ---- Regions ---- */

/* The rest of the region in which the cursor stands. False: there is none. */
static bool look_at_region(struct ahci_port *port, const uint8_t *header,
                           const struct ahci_cursor *cursor, uint64_t *address, uint32_t *left)
{
    uint8_t region[REGION_SIZE];
    uint64_t place = table_address(header) + TABLE_REGIONS + cursor->entry * (uint64_t)REGION_SIZE;
    uint32_t length;

    if (cursor->entry >= load_le16(header + 2) || !read_memory(port, place, region, REGION_SIZE)) {
        return false;
    }
    length = (load_le32(region + REGION_COUNT) & REGION_LENGTH) + 1;
    length += length & 1;           /* even: bit 0 of the count is 1 */
    if (cursor->offset >= length) { /* a guest that writes to the table meanwhile */
        return false;
    }
    *address = (load_le64(region) & ~(uint64_t)1) + cursor->offset;
    *left = length - cursor->offset;
    return true;
}

static void move_cursor(struct ahci_cursor *cursor, uint32_t bytes, uint32_t left)
{
    if (bytes < left) {
        cursor->offset += bytes;
    } else {
        cursor->entry++;
        cursor->offset = 0;
    }
}

/* Add the next `length` bytes from the cursor on to sg, if it is not NULL; the cursor moves. */
static void walk_regions(struct ahci_port *port, unsigned slot, struct ahci_cursor *cursor,
                         struct ata_sg *sg, uint64_t length)
{
    uint8_t header[HEADER_SIZE];
    uint64_t address;
    uint32_t left;

    if (!read_header(port, slot, header)) {
        return;
    }
    while (length && look_at_region(port, header, cursor, &address, &left)) {
        uint32_t piece = (uint32_t)MIN(left, length);

        if (sg && ata_sg_add(sg, &port->hba->master, address, piece) < piece) {
            return;
        }
        move_cursor(cursor, piece, left);
        length -= piece;
    }
}

static void on_dma_map(struct ata_bus *bus, struct ata_drive *drive, struct ata_sg *sg,
                       uint64_t length)
{
    struct ahci_port *port = port_of(bus);
    struct ahci_cursor cursor = port->cursor;

    walk_regions(port, port->slot, &cursor, sg, length);
}

static bool on_dma_advance(struct ata_bus *bus, struct ata_drive *drive, uint64_t bytes)
{
    struct ahci_port *port = port_of(bus);

    walk_regions(port, port->slot, &port->cursor, NULL, bytes);
    port->moved += (uint32_t)bytes;
    return true;
}

static void on_dma_failed(struct ata_bus *bus, struct ata_drive *drive)
{
    ahci_port_raise(port_of(bus), AHCI_IS_OFS | AHCI_IS_HBDS);
}

/* done: what is behind the cursor; so the cursor only moves on. */
static void on_queued_map(struct ata_bus *bus, struct ata_queued *queued, struct ata_sg *sg,
                          uint64_t length)
{
    struct ahci_port *port = port_of(bus);
    struct ahci_cursor *kept = &port->queued_cursors[queued->tag], cursor;

    if (!queued->done) {
        *kept = (struct ahci_cursor){0};
    }
    cursor = *kept;
    walk_regions(port, queued->tag, &cursor, sg, length);
}

static void on_queued_advance(struct ata_bus *bus, struct ata_queued *queued, uint64_t bytes)
{
    struct ahci_port *port = port_of(bus);

    walk_regions(port, queued->tag, &port->queued_cursors[queued->tag], NULL, bytes);
}

/* ---- What the drive sends ---- */

static void send_fis(struct ahci_port *port, unsigned place, const uint8_t *fis, unsigned length)
{
    if (port->cmd & AHCI_CMD_FRE) {
        pci_dma_write(&port->hba->pci, port->fb + place, fis, length);
    }
}

/* Bytes 2 to 13 of a register and of a PIO setup FIS. */
static void fill_registers(const struct ata_registers *regs, uint8_t *fis)
{
    fis[2] = regs->status;
    fis[3] = regs->error;
    fis[4] = regs->lba_low;
    fis[5] = regs->lba_mid;
    fis[6] = regs->lba_high;
    fis[7] = regs->device;
    fis[8] = regs->lba_low_high;
    fis[9] = regs->lba_mid_high;
    fis[10] = regs->lba_high_high;
    fis[12] = regs->count;
    fis[13] = regs->count_high;
}

static void set_tfd(struct ahci_port *port, uint8_t status, uint8_t error)
{
    port->tfd = status | (uint32_t)error << 8;
}

void ahci_post_registers(struct ahci_port *port, bool interrupt)
{
    const struct ata_registers *regs = &drive_of(port)->regs;
    uint8_t fis[20] = {FIS_DEVICE_TO_HOST, interrupt ? FIS_INTERRUPT : 0};

    fill_registers(regs, fis);
    send_fis(port, RECEIVED_REGISTERS, fis, sizeof(fis));
    set_tfd(port, regs->status, regs->error);
    if (regs->status & ATA_STATUS_ERR) {
        port->failed = true;
        ahci_port_raise(port, AHCI_IS_TFES);
    }
    if (interrupt) {
        ahci_port_raise(port, AHCI_IS_DHRS);
    }
}

static void send_pio_setup(struct ahci_port *port, const struct ata_drive *drive, bool interrupt)
{
    uint8_t fis[20] = {FIS_PIO_SETUP};

    fis[1] =
        (uint8_t)((interrupt ? FIS_INTERRUPT : 0) | (drive->phase == ATA_PIO_IN ? FIS_TO_HOST : 0));
    fill_registers(&drive->regs, fis);
    fis[15] = ATA_STATUS_DRDY | ATA_STATUS_DSC; /* status when the data are over */
    store_le16(fis + 16, (uint16_t)(drive->block_end - drive->position));
    send_fis(port, RECEIVED_PIO_SETUP, fis, sizeof(fis));
    if (interrupt) {
        ahci_port_raise(port, AHCI_IS_PSS);
    }
}

/* ---- Programmed I/O: the HBA moves the data, block by block ---- */

static void move_packet(struct ahci_port *port, struct ata_drive *drive)
{
    uint8_t header[HEADER_SIZE];

    if (!read_header(port, port->slot, header) ||
        !read_memory(port, table_address(header) + TABLE_PACKET, drive->buffer, ATAPI_CDB)) {
        memset(drive->buffer, 0xff, ATAPI_CDB); /* no command */
    }
}

/* Regions that are too few take or give less: the rest is dropped, or zeroes. */
static void move_data(struct ahci_port *port, struct ata_drive *drive)
{
    uint8_t *data = drive->buffer + drive->position;
    uint32_t length = drive->block_end - drive->position;

    if (drive->phase == ATA_PIO_OUT) {
        memset(data, 0, length);
    }
    while (length) {
        uint64_t piece;

        ata_sg_start(&drive->sg, drive->phase == ATA_PIO_IN);
        on_dma_map(&port->bus, drive, &drive->sg, length);
        piece = drive->sg.length;
        if (!piece) {
            ahci_port_raise(port, AHCI_IS_OFS);
            return;
        }
        ata_sg_copy(&drive->sg, data, piece);
        ata_sg_unmap(&drive->sg, drive->phase == ATA_PIO_IN ? piece : 0);
        on_dma_advance(&port->bus, drive, piece);
        data += piece;
        length -= (uint32_t)piece;
    }
}

/* The next block is often ready at once: it is found by the loop, not by a call in a call. */
static void on_pio_block(struct ata_bus *bus, struct ata_drive *drive, bool interrupt)
{
    struct ahci_port *port = port_of(bus);

    port->block_waits = true;
    port->block_interrupts = interrupt;
    if (port->moving) {
        return;
    }
    port->moving = true;
    while (port->block_waits) {
        port->block_waits = false;
        if (drive->transfer.end == ATA_END_PACKET) {
            move_packet(port, drive);
        } else {
            send_pio_setup(port, drive, port->block_interrupts);
            move_data(port, drive);
        }
        drive->position = drive->block_end;
        ata_pio_taken(drive);
    }
    port->moving = false;
}

static void on_dma_wanted(struct ata_bus *bus, struct ata_drive *drive)
{
    ata_dma_run(drive);
}

/* ---- Ends of commands ---- */

/* The slot is free again, unless an error keeps it for the guest to look at. */
static void finish_slot(struct ahci_port *port, bool failed)
{
    uint8_t count[4];

    store_le32(count, port->moved);
    pci_dma_write(&port->hba->pci, port->clb + port->slot * HEADER_SIZE + HEADER_COUNT, count,
                  sizeof(count));
    port->busy = false;
    if (!failed) {
        port->ci &= ~(1u << port->slot);
    }
}

static void on_ended(struct ata_bus *bus, struct ata_drive *drive, bool interrupt)
{
    struct ahci_port *port = port_of(bus);
    bool failed = drive->regs.status & ATA_STATUS_ERR;

    if (!port->busy) {
        return; /* the guest gave it up */
    }
    finish_slot(port, failed);
    if (interrupt) {
        ahci_post_registers(port, true);
    } else { /* the PIO setup FIS has told */
        set_tfd(port, drive->regs.status, drive->regs.error);
    }
    ahci_run_commands(port);
}

/* These tags are over; or, with an error, one is that stays set in PxSACT. */
static void send_set_bits(struct ahci_port *port, uint32_t tags, uint8_t error)
{
    uint8_t fis[8] = {FIS_SET_BITS, FIS_INTERRUPT};

    fis[2] = ATA_STATUS_DRDY | (error ? ATA_STATUS_ERR : 0);
    fis[3] = error;
    store_le32(fis + 4, tags);
    port->sact &= ~tags;
    send_fis(port, RECEIVED_SET_BITS, fis, sizeof(fis));
    ahci_port_raise(port, AHCI_IS_SDBS | (error ? AHCI_IS_TFES : 0));
}

static void on_queued_batch_ended(struct ata_bus *bus)
{
    struct ahci_port *port = port_of(bus);

    if (port->ended) {
        send_set_bits(port, port->ended, 0);
        port->ended = 0;
    }
}

/* What ended well is told with all that end now: one FIS, one interrupt. */
static void on_queued_ended(struct ata_bus *bus, struct ata_queued *queued, uint8_t error)
{
    struct ahci_port *port = port_of(bus);
    uint32_t tag = 1u << queued->tag;

    port->queued &= ~tag;
    if (error) {
        on_queued_batch_ended(bus);
        port->failed = true;
        set_tfd(port, ATA_STATUS_DRDY | ATA_STATUS_ERR, error);
        send_set_bits(port, 0, error);
    } else {
        port->ended |= tag;
    }
    ahci_run_commands(port);
}

/* A signature, as in the first register FIS after a reset: 5.2.2. */
static void on_reset_ended(struct ata_bus *bus, struct ata_drive *drive)
{
    struct ahci_port *port = port_of(bus);
    const struct ata_registers *regs = &drive->regs;

    if (port->soft_reset) {
        return; /* the end of SRST is told when the guest asks for it */
    }
    port->sig = (uint32_t)regs->lba_high << 24 | (uint32_t)regs->lba_mid << 16 |
                (uint32_t)regs->lba_low << 8 | regs->count;
    ahci_post_registers(port, false);
}

/* What was given up has ended. */
static void on_idle(struct ata_bus *bus, struct ata_drive *drive)
{
    ahci_run_commands(port_of(bus));
}

const struct ata_host_ops ahci_host_ops = {
    .pio_block = on_pio_block,
    .dma_wanted = on_dma_wanted,
    .dma_map = on_dma_map,
    .dma_advance = on_dma_advance,
    .dma_failed = on_dma_failed,
    .queued_map = on_queued_map,
    .queued_advance = on_queued_advance,
    .queued_ended = on_queued_ended,
    .queued_batch_ended = on_queued_batch_ended,
    .idle = on_idle,
    .ended = on_ended,
    .reset_ended = on_reset_ended,
};

/* ---- Commands ---- */

static void load_registers(struct ata_registers *regs, const uint8_t *fis)
{
    regs->command = fis[2];
    regs->features = fis[3];
    regs->lba_low = fis[4];
    regs->lba_mid = fis[5];
    regs->lba_high = fis[6];
    regs->device = fis[7];
    regs->lba_low_high = fis[8];
    regs->lba_mid_high = fis[9];
    regs->lba_high_high = fis[10];
    regs->features_high = fis[11];
    regs->count = fis[12];
    regs->count_high = fis[13];
}

static bool is_queued(uint8_t command)
{
    return command == ATA_READ_FPDMA_QUEUED || command == ATA_WRITE_FPDMA_QUEUED;
}

static void begin_queued(struct ahci_port *port, struct ata_drive *drive, unsigned slot)
{
    uint8_t error = ATA_ERROR_ABRT;

    port->queued |= 1u << slot;
    if (drive->regs.count >> 3 == slot && ata_queued_command(drive, &error)) {
        port->ci &= ~(1u << slot); /* the drive has taken it */
        return;
    }
    port->queued &= ~(1u << slot);
    drive->regs.status = ATA_STATUS_DRDY | ATA_STATUS_DSC | ATA_STATUS_ERR;
    drive->regs.error = error;
    ahci_post_registers(port, true);
}

static void begin_plain(struct ahci_port *port, struct ata_drive *drive)
{
    port->busy = true;
    port->moved = 0;
    port->cursor = (struct ahci_cursor){0};
    port->tfd |= ATA_STATUS_BSY;
    ata_command(drive);
    if (drive->is_packet && drive->regs.command == ATA_DEVICE_RESET) {
        finish_slot(port, false); /* its signature was the answer */
    }
}

/* A register FIS that writes the control register: software reset, 10.4.1. */
static void control(struct ahci_port *port, struct ata_drive *drive, const uint8_t *header,
                    const uint8_t *fis, unsigned slot)
{
    bool resets = fis[15] & ATA_CONTROL_SRST;

    port->ci &= ~(1u << slot);
    if (resets) {
        port->soft_reset = true;
        port->tfd |= ATA_STATUS_BSY;
        ata_drive_begin_reset(drive, false);
        if (load_le16(header) & HEADER_CLEAR_BUSY) {
            port->tfd &= ~(uint32_t)TFD_NOT_READY;
        }
    } else if (port->soft_reset) {
        port->soft_reset = false;
        if (!drive->signature_pending) {
            on_reset_ended(&port->bus, drive);
        }
    }
}

static void begin_command(struct ahci_port *port, struct ata_drive *drive, unsigned slot)
{
    uint8_t header[HEADER_SIZE], fis[FIS_SIZE];

    port->slot = (uint8_t)slot;
    port->next_slot = (uint8_t)((slot + 1) % AHCI_SLOTS);
    if (!read_header(port, slot, header) ||
        !read_memory(port, table_address(header) + TABLE_FIS, fis, sizeof(fis)) ||
        fis[0] != FIS_HOST_TO_DEVICE) {
        port->failed = true;
        ahci_port_raise(port, AHCI_IS_HBFS);
        return;
    }
    if (!(fis[1] & FIS_COMMAND)) {
        control(port, drive, header, fis, slot);
        return;
    }
    load_registers(&drive->regs, fis);
    if (is_queued(drive->regs.command) && !drive->is_packet) {
        begin_queued(port, drive, slot);
    } else {
        begin_plain(port, drive);
    }
}

/* Slots are looked at in turn, from the one after the last on. */
static int next_slot(const struct ahci_port *port)
{
    for (unsigned i = 0; i < AHCI_SLOTS; i++) {
        unsigned slot = (port->next_slot + i) % AHCI_SLOTS;

        if (port->ci >> slot & 1) {
            return (int)slot;
        }
    }
    return -1;
}

static bool can_begin(const struct ahci_port *port, const struct ata_drive *drive)
{
    /* Queued commands may pass while the drive has others; what was given up has to end. */
    return drive && (port->cmd & AHCI_CMD_ST) && !port->busy && !port->failed && !drive->stopped &&
           !drive->in_flight && !drive->signature_pending && drive->phase == ATA_IDLE &&
           !(port->tfd & TFD_NOT_READY) && (!drive->queued_in_flight || port->queued);
}

void ahci_run_commands(struct ahci_port *port)
{
    struct ata_drive *drive = drive_of(port);
    int slot;

    if (port->scanning) {
        return;
    }
    port->scanning = true;
    while (can_begin(port, drive) && (slot = next_slot(port)) >= 0) {
        begin_command(port, drive, (unsigned)slot);
    }
    port->scanning = false;
}

void ahci_requeue(struct ahci_port *port, uint32_t tags)
{
    struct ata_drive *drive = drive_of(port);

    for (unsigned tag = 0; tag < AHCI_SLOTS; tag++) {
        uint8_t header[HEADER_SIZE], fis[FIS_SIZE], error;
        struct ata_registers kept = drive->regs;

        if (!(tags >> tag & 1)) {
            continue;
        }
        if (read_header(port, tag, header) &&
            read_memory(port, table_address(header) + TABLE_FIS, fis, sizeof(fis))) {
            load_registers(&drive->regs, fis);
            if (is_queued(drive->regs.command) && drive->regs.count >> 3 == tag) {
                ata_queued_command(drive, &error);
            }
        }
        drive->regs = kept;
    }
}

void ahci_abandon_commands(struct ahci_port *port)
{
    struct ata_drive *drive = drive_of(port);

    port->ci = port->sact = 0;
    port->busy = port->failed = port->soft_reset = false;
    port->queued = port->ended = 0;
    port->slot = port->next_slot = 0;
    if (drive) {
        ata_drive_abandon(drive);
    }
}
