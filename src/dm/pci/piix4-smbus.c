/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/pci/piix4-smbus.h"

enum smbus_register {
    HOST_STATUS,
    SLAVE_STATUS,
    HOST_CONTROL,
    HOST_COMMAND,
    HOST_ADDRESS,
    DATA0,
    DATA1
};

#define STATUS_DEV_ERR   0x04u
#define STATUS_CLEARABLE 0x1eu /* by writing ones; each is an interrupt */
#define CONTROL_INTREN   0x01u
#define CONTROL_START    0x40u /* reads as zero */
#define CONTROL_MASK     0x1fu

static enum memory_result smbus_read(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t *value)
{
    const struct piix4_smbus *smbus = opaque;
    const uint8_t registers[] = {
        [HOST_STATUS] = smbus->status,   [SLAVE_STATUS] = smbus->slave_status,
        [HOST_CONTROL] = smbus->control, [HOST_COMMAND] = smbus->command,
        [HOST_ADDRESS] = smbus->address, [DATA0] = smbus->data0,
        [DATA1] = smbus->data1,
    };

    *value = offset < sizeof(registers) ? registers[offset] : 0;
    return MEMORY_OK;
}

static void update_interrupt(struct piix4_smbus *smbus)
{
    irq_line_set(&smbus->interrupt,
                 (smbus->status & STATUS_CLEARABLE) && (smbus->control & CONTROL_INTREN));
}

static enum memory_result smbus_write(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t value)
{
    struct piix4_smbus *smbus = opaque;
    uint8_t byte = (uint8_t)value;

    switch (offset) {
    case HOST_STATUS:
        smbus->status &= (uint8_t) ~(byte & STATUS_CLEARABLE);
        break;
    case SLAVE_STATUS:
        smbus->slave_status &= (uint8_t)~byte;
        break;
    case HOST_CONTROL:
        smbus->control = byte & CONTROL_MASK;
        if (byte & CONTROL_START) {
            smbus->status |= STATUS_DEV_ERR;
        }
        break;
    case HOST_COMMAND:
        smbus->command = byte;
        break;
    case HOST_ADDRESS:
        smbus->address = byte;
        break;
    case DATA0:
        smbus->data0 = byte;
        break;
    case DATA1:
        smbus->data1 = byte;
        break;
    default:
        break;
    }
    update_interrupt(smbus);
    return MEMORY_OK;
}

static const struct memory_region_ops smbus_ops = {
    .read = smbus_read,
    .write = smbus_write,
    .valid = {.min_size = 1, .max_size = 4, .allow_unaligned = true},
    .implemented = {.min_size = 1, .max_size = 1},
};

void piix4_smbus_init(struct piix4_smbus *smbus, unsigned count, struct access_guard *guard)
{
    memory_region_init_mmio(&smbus->ports, "smbus", count, &smbus_ops, smbus, guard);
}

void piix4_smbus_reset(struct piix4_smbus *smbus)
{
    smbus->status = smbus->slave_status = smbus->control = smbus->command = 0;
    smbus->address = smbus->data0 = smbus->data1 = 0;
}
