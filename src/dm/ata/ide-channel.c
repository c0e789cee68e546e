/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The task file of an IDE channel as ports, and its interrupt: ATA/ATAPI-6, 7 and 9. */
#include "dm/ata/ide-channel.h"
#include "util/little-endian.h"

/* Command block ports, from the channel's base on. */
#define PORT_DATA     0u
#define PORT_FEATURES 1u /* read: error */
#define PORT_COUNT    2u
#define PORT_LBA_LOW  3u
#define PORT_LBA_MID  4u
#define PORT_LBA_HIGH 5u
#define PORT_DEVICE   6u
#define PORT_COMMAND  7u /* read: status */

static struct ide_channel *channel_of(struct ata_bus *bus)
{
    return (struct ide_channel *)bus;
}

struct ata_drive *ide_channel_selected(const struct ide_channel *channel)
{
    return channel->bus.drives[channel->device & ATA_DEVICE_DEV ? 1 : 0];
}

/* ---- Interrupt ---- */

/* The line follows the drive that is selected, unless nIEN holds it off. */
static void update_line(struct ide_channel *channel)
{
    const struct ata_drive *drive = ide_channel_selected(channel);
    bool level = drive && channel->pending[drive->unit] && !(channel->control & ATA_CONTROL_NIEN);

    if (level != channel->line_level) {
        channel->line_level = level;
        if (level) {
            ide_dma_interrupted(channel);
        }
        irq_line_set(channel->line, level);
    }
}

static void assert_interrupt(struct ide_channel *channel, const struct ata_drive *drive)
{
    channel->pending[drive->unit] = true;
    update_line(channel);
}

static void on_pio_block(struct ata_bus *bus, struct ata_drive *drive, bool interrupt)
{
    if (interrupt) {
        assert_interrupt(channel_of(bus), drive);
    }
}

static void on_ended(struct ata_bus *bus, struct ata_drive *drive, bool interrupt)
{
    struct ide_channel *channel = channel_of(bus);

    if (drive->transfer.mode == ATA_MODE_DMA) {
        ide_dma_ended(channel);
    }
    if (interrupt) {
        assert_interrupt(channel, drive);
    }
}

static void on_reset_ended(struct ata_bus *bus, struct ata_drive *drive)
{
    struct ide_channel *channel = channel_of(bus);

    ide_dma_ended(channel);
    channel->pending[drive->unit] = false;
    update_line(channel);
}

static const struct ata_host_ops channel_ops = {
    .pio_block = on_pio_block,
    .dma_wanted = ide_dma_wanted,
    .dma_map = ide_dma_map,
    .dma_advance = ide_dma_advance,
    .dma_failed = ide_dma_failed,
    .ended = on_ended,
    .reset_ended = on_reset_ended,
};

/* ---- The data port ---- */

static uint32_t read_data(struct ide_channel *channel, unsigned size)
{
    struct ata_drive *drive = ide_channel_selected(channel);
    uint8_t bytes[4] = {0};
    uint32_t length;

    if (!drive || drive->phase != ATA_PIO_IN) {
        return 0;
    }
    length = MIN(size, drive->block_end - drive->position);
    memcpy(bytes, drive->buffer + drive->position, length);
    drive->position += length;
    if (drive->position == drive->block_end) {
        ata_pio_taken(drive);
    }
    return load_le32(bytes);
}

static void write_data(struct ide_channel *channel, unsigned size, uint32_t value)
{
    struct ata_drive *drive = ide_channel_selected(channel);
    uint8_t bytes[4];
    uint32_t length;

    if (!drive || drive->phase != ATA_PIO_OUT) {
        return;
    }
    store_le32(bytes, value);
    length = MIN(size, drive->block_end - drive->position);
    memcpy(drive->buffer + drive->position, bytes, length);
    drive->position += length;
    if (drive->position == drive->block_end) {
        ata_pio_taken(drive);
    }
}

/* ---- Other ports ---- */

static uint8_t read_status(const struct ide_channel *channel)
{
    const struct ata_drive *drive = ide_channel_selected(channel);

    if (!drive) {
        return 0;
    }
    return channel->control & ATA_CONTROL_SRST ? ATA_STATUS_BSY : drive->regs.status;
}

static uint8_t read_register(struct ide_channel *channel, unsigned port)
{
    const struct ata_drive *drive = ide_channel_selected(channel);
    const struct ata_registers *regs;
    bool high = channel->control & ATA_CONTROL_HOB;

    if (!drive) {
        return 0; /* nobody drives the bus */
    }
    regs = &drive->regs;
    switch (port) {
    case PORT_FEATURES:
        return regs->error;
    case PORT_COUNT:
        return high ? regs->count_high : regs->count;
    case PORT_LBA_LOW:
        return high ? regs->lba_low_high : regs->lba_low;
    case PORT_LBA_MID:
        return high ? regs->lba_mid_high : regs->lba_mid;
    case PORT_LBA_HIGH:
        return high ? regs->lba_high_high : regs->lba_high;
    case PORT_DEVICE:
        return (uint8_t)((regs->device & ~ATA_DEVICE_DEV) | ATA_DEVICE_OBS |
                         (channel->device & ATA_DEVICE_DEV));
    default:
        channel->pending[drive->unit] = false;
        update_line(channel);
        return read_status(channel);
    }
}

static void push(uint8_t *now, uint8_t *before, uint8_t value)
{
    *before = *now;
    *now = value;
}

static void write_parameter(struct ata_registers *regs, unsigned port, uint8_t value)
{
    switch (port) {
    case PORT_FEATURES:
        push(&regs->features, &regs->features_high, value);
        break;
    case PORT_COUNT:
        push(&regs->count, &regs->count_high, value);
        break;
    case PORT_LBA_LOW:
        push(&regs->lba_low, &regs->lba_low_high, value);
        break;
    case PORT_LBA_MID:
        push(&regs->lba_mid, &regs->lba_mid_high, value);
        break;
    case PORT_LBA_HIGH:
        push(&regs->lba_high, &regs->lba_high_high, value);
        break;
    default:
        regs->device = value;
        break;
    }
}

static bool drive_is_busy(const struct ata_drive *drive)
{
    return drive && (drive->phase != ATA_IDLE || drive->signature_pending);
}

/* Both drives do it; drive 0 tells: ATA/ATAPI-6, 9.10. */
static void run_diagnostic(struct ide_channel *channel)
{
    channel->device &= (uint8_t)~ATA_DEVICE_DEV;
    for (unsigned i = 0; i < ATA_BUS_UNITS; i++) {
        struct ata_drive *drive = channel->bus.drives[i];

        if (drive) {
            drive->regs.command = ATA_DIAGNOSTIC;
            ata_command(drive);
        }
    }
    channel->pending[1] = false;
    update_line(channel);
}

static void write_command(struct ide_channel *channel, uint8_t command)
{
    struct ata_drive *drive = ide_channel_selected(channel);
    bool resets = command == ATA_DEVICE_RESET && drive && drive->is_packet;

    if (command == ATA_DIAGNOSTIC) {
        run_diagnostic(channel);
    } else if (drive && (resets || !drive_is_busy(drive))) {
        channel->pending[drive->unit] = false;
        update_line(channel);
        drive->regs.command = command;
        ata_command(drive);
    }
}

/* Drives that work do not hear the host, but for DEVICE RESET. */
static void write_register(struct ide_channel *channel, unsigned port, uint8_t value)
{
    struct ata_bus *bus = &channel->bus;

    if (channel->control & ATA_CONTROL_SRST) {
        return;
    }
    if (port == PORT_COMMAND && value == ATA_DEVICE_RESET) {
        write_command(channel, value);
        return;
    }
    if (drive_is_busy(bus->drives[0]) || drive_is_busy(bus->drives[1])) {
        return;
    }
    if (port == PORT_COMMAND) {
        write_command(channel, value);
        return;
    }
    for (unsigned i = 0; i < ATA_BUS_UNITS; i++) {
        if (bus->drives[i]) {
            write_parameter(&bus->drives[i]->regs, port, value);
        }
    }
    channel->control &= (uint8_t)~ATA_CONTROL_HOB;
    if (port == PORT_DEVICE) {
        channel->device = value;
        update_line(channel);
    }
}

static void write_control(struct ide_channel *channel, uint8_t value)
{
    bool resets = (value & ~channel->control) & ATA_CONTROL_SRST;

    channel->control = value & (ATA_CONTROL_HOB | ATA_CONTROL_SRST | ATA_CONTROL_NIEN);
    for (unsigned i = 0; resets && i < ATA_BUS_UNITS; i++) {
        channel->pending[i] = false;
        if (channel->bus.drives[i]) {
            ata_drive_begin_reset(channel->bus.drives[i], false);
        }
    }
    if (resets) {
        channel->device = 0;
    }
    update_line(channel);
}

static enum memory_result ports_read(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t *value)
{
    struct ide_channel *channel = opaque;

    if (offset == PORT_DATA) {
        *value = read_data(channel, size);
        return MEMORY_OK;
    }
    *value = 0;
    for (unsigned i = 0; i < size && offset + i <= PORT_COMMAND; i++) {
        *value |= (uint64_t)read_register(channel, (unsigned)offset + i) << (8 * i);
    }
    return MEMORY_OK;
}

static enum memory_result ports_write(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t value)
{
    struct ide_channel *channel = opaque;

    if (offset == PORT_DATA) {
        write_data(channel, size, (uint32_t)value);
        return MEMORY_OK;
    }
    for (unsigned i = 0; i < size && offset + i <= PORT_COMMAND; i++) {
        write_register(channel, (unsigned)offset + i, (uint8_t)(value >> (8 * i)));
    }
    return MEMORY_OK;
}

static const struct memory_region_ops ports_ops = {
    .read = ports_read,
    .write = ports_write,
    .valid = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
};

static enum memory_result control_read(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t *value)
{
    *value = read_status(opaque); /* the alternate status: acknowledges nothing */
    return MEMORY_OK;
}

static enum memory_result control_write(void *opaque, uint64_t offset, unsigned size,
                                        struct memory_attributes attributes, uint64_t value)
{
    write_control(opaque, (uint8_t)value);
    return MEMORY_OK;
}

static const struct memory_region_ops control_ops = {
    .read = control_read,
    .write = control_write,
    .valid = {.min_size = 1, .max_size = 1},
    .implemented = {.min_size = 1, .max_size = 1},
};

/* ---- Life ---- */

void ide_channel_init(struct ide_channel *channel, struct ata_master *master, unsigned number,
                      const struct irq_line *interrupt)
{
    g_autofree char *name = g_strdup_printf("ide.%u", number);

    channel->line = interrupt;
    ata_bus_init(&channel->bus, name, master, &channel_ops, ATA_BUS_UNITS, number);
    memory_region_init_mmio(&channel->ports, name, 8, &ports_ops, channel, channel->bus.guard);
    memory_region_init_mmio(&channel->control_port, name, 1, &control_ops, channel,
                            channel->bus.guard);
}

void ide_channel_destroy(struct ide_channel *channel)
{
    ata_bus_clear(&channel->bus);
    memory_region_destroy(&channel->control_port);
    memory_region_destroy(&channel->ports);
}

void ide_channel_reset(struct ide_channel *channel)
{
    channel->device = 0;
    channel->control = 0;
    channel->pending[0] = channel->pending[1] = false;
    channel->dma_command = 0;
    channel->dma_status = 0;
    channel->dma_table = 0;
    channel->cursor = (struct ide_prd_cursor){0};
    update_line(channel);
}

bool ide_channel_after_load(struct ide_channel *channel)
{
    irq_line_set(channel->line, channel->line_level);
    return channel->cursor.offset < 0x10000;
}
