/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers of the 82540EM: chapter 13. */
#include "dm/nic/e1000.h"

#define STATUS_FD         0x01u
#define STATUS_LU         0x02u
#define STATUS_SPEED_1000 0x80u

#define CTRL_FD         0x00000001u
#define CTRL_SPEED_1000 0x00000200u
#define CTRL_WRITABLE   0x7bf01bffu /* but those that clear themselves */

#define PBA_DEFAULT 0x00100030u /* 48 KiB to receive, 16 KiB to send */
#define RAH_VALID   0x80000000u
#define RDTR_FLUSH  0x80000000u

/* MDIC, 13.4.7. */
#define MDIC_WRITE     1
#define MDIC_READ      2
#define MDIC_READY     0x10000000u
#define MDIC_INTERRUPT 0x20000000u
#define MDIC_ERROR     0x40000000u
#define PHY_ADDRESS    1
#define PHY_STATUS     17 /* of this PHY: speed, duplex, link */
#define PHY_PARTNER_1G 10
#define PHY_LINKED     0xac00 /* 1000 Mb/s, full duplex, resolved, link */
#define PHY_PARTNER    0x3c00 /* both receivers are good; 1000 Mb/s, full and half duplex */

#define IOADDR           0 /* of the I/O BAR: 13.2.2 */
#define IODATA           4
#define STATISTICS_START 0x4000u
#define STATISTICS_END   0x4100u

/* Marvell 88E1011: 13.5 (8.10 for the link). */
const struct mii_model e1000_mii = {
    .power_on = {[MII_BMCR] = MII_BMCR_NEGOTIATE | MII_BMCR_FULL_DUPLEX | MII_BMCR_SPEED_HIGH,
                 [MII_BMSR] = 0x7949,
                 [MII_PHYID1] = 0x0141,
                 [MII_PHYID2] = 0x0c20,
                 [MII_ANAR] = 0x0de1,
                 [MII_ANER] = 0x0004,
                 [9] = 0x0e00,
                 [15] = 0x3000,
                 [16] = 0x0360,
                 [20] = 0x0d60},
    .writable = {[MII_BMCR] = 0x7d40,
                 [MII_ANAR] = 0xbfff,
                 [7] = 0xffff,
                 [9] = 0xff00,
                 [16] = 0xffff,
                 [18] = 0xffff,
                 [20] = 0xffff,
                 [24] = 0xffff,
                 [29] = 0x001f,
                 [30] = 0xffff},
    .partner = 0x45e1,
};

/* Registers that keep what is written, in order of address. Others have a function below, or are
 * not there: they read as 0. */
static const struct {
    uint16_t offset, count;
    uint32_t mask;
} kept[] = {
    {CTRL_EXT, 1, 0xffffffff}, {FCAL, 1, 0xffffffff},  {FCAH, 1, 0xffff},
    {FCT, 1, 0xffff},          {VET, 1, 0xffff},       {RCTL, 1, 0x07dffffe},
    {FCTTV, 1, 0xffff},        {TXCW, 1, 0xc001ffff},  {TCTL, 1, 0x01bffffa},
    {TIPG, 1, 0x3fffffff},     {AIT, 1, 0xffff},       {LEDCTL, 1, 0xcfcfcfcf},
    {PBA, 1, 0x0000ffff},      {FCRTL, 1, 0x8000fff8}, {FCRTH, 1, 0x0000fff8},
    {RDBAL, 1, 0xfffffff0},    {RDBAH, 1, 0xffffffff}, {RDLEN, 1, 0x000fff80},
    {RDH, 1, 0xffff},          {RDT, 1, 0xffff},       {RDTR, 1, 0xffff},
    {RXDCTL, 1, 0x013f3f3f},   {RADV, 1, 0xffff},      {RSRPD, 1, 0xfff},
    {TDBAL, 1, 0xfffffff0},    {TDBAH, 1, 0xffffffff}, {TDLEN, 1, 0x000fff80},
    {TDH, 1, 0xffff},          {TDT, 1, 0xffff},       {TIDV, 1, 0xffff},
    {TXDCTL, 1, 0xfe3f3f3f},   {TADV, 1, 0xffff},      {TSPMT, 1, 0xffffffff},
    {RXCSUM, 1, 0x3ff},        {MTA, 128, 0xffffffff}, {RAL, 32, 0xffffffff},
    {VFTA, 128, 0xffffffff},   {WUC, 1, 0xf},
};

static uint32_t kept_mask(unsigned offset)
{
    unsigned low = 0, high = G_N_ELEMENTS(kept);

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (offset < kept[middle].offset) {
            high = middle;
        } else if (offset >= kept[middle].offset + 4u * kept[middle].count) {
            low = middle + 1;
        } else {
            return kept[middle].mask;
        }
    }
    return 0;
}

/* Link, 8.6. */

void e1000_update_link(struct e1000 *nic)
{
    struct mii *mii = &nic->card.mii;
    bool up = mii_has_link(mii);

    *e1000_at(nic, STATUS) = STATUS_FD | STATUS_SPEED_1000 | (up ? STATUS_LU : 0);
    mii->registers[PHY_STATUS] = up ? PHY_LINKED : 0;
    mii->registers[PHY_PARTNER_1G] = up ? PHY_PARTNER : 0;
}

static void mdic_written(struct e1000 *nic, uint32_t value)
{
    unsigned number = value >> 16 & 0x1f, address = value >> 21 & 0x1f, operation = value >> 26 & 3;
    bool was_up = mii_has_link(&nic->card.mii);

    value &= ~(MDIC_READY | MDIC_ERROR);
    if (address != PHY_ADDRESS || (operation != MDIC_READ && operation != MDIC_WRITE)) {
        value |= MDIC_ERROR;
    } else if (operation == MDIC_WRITE) {
        mii_write(&nic->card.mii, number, (uint16_t)value);
    } else {
        value = (value & 0xffff0000) | mii_read(&nic->card.mii, number);
    }
    *e1000_at(nic, MDIC) = value | MDIC_READY;
    e1000_update_link(nic);
    e1000_raise(nic, (value & MDIC_INTERRUPT ? ICR_MDAC : 0) |
                         (was_up != mii_has_link(&nic->card.mii) ? ICR_LSC : 0));
}

/* Resets, 14.9. */

static void load_address(struct e1000 *nic)
{
    const uint16_t *words = nic->card.eeprom.words;

    *e1000_at(nic, RAL) = words[0] | (uint32_t)words[1] << 16;
    *e1000_at(nic, RAL + 4) = words[2] | RAH_VALID;
}

/* The address by which monitors and announcements know the card. */
static void note_address(struct e1000 *nic)
{
    uint8_t *mac = nic->card.nic.filter.mac;
    uint8_t address[8];

    store_le32(address, e1000_get(nic, RAL));
    store_le32(address + 4, e1000_get(nic, RAL + 4));
    memcpy(mac, address, 6);
}

void e1000_reset_mac(struct e1000 *nic)
{
    memset(nic->registers, 0, sizeof(nic->registers));
    *e1000_at(nic, CTRL) = CTRL_FD | CTRL_SPEED_1000;
    *e1000_at(nic, PBA) = PBA_DEFAULT;
    *e1000_at(nic, VET) = ETHERNET_VLAN;
    *e1000_at(nic, TXDCTL) = 0;
    *e1000_at(nic, LEDCTL) = 0x07061302;
    load_address(nic);
    note_address(nic);
    e1000_update_link(nic);
    nic->port_address = 0;
    nic->send_next = 0;
    nic->fragment = false;
    nic->throttled_until = nic->receive_first = nic->send_first = 0;
    clock_timer_disarm(&nic->throttle);
    clock_timer_disarm(&nic->receive_delay);
    clock_timer_disarm(&nic->send_delay);
    microwire_reset(&nic->card.eeprom);
    card_packet_clear(&nic->card);
    pci_set_interrupt(&nic->card.pci, false);
    card_resume(&nic->card);
}

static void control_written(struct e1000 *nic, uint32_t value)
{
    if (value & CTRL_PHY_RST) {
        mii_reset(&nic->card.mii);
        e1000_update_link(nic);
    }
    if (value & CTRL_RST) {
        e1000_reset_mac(nic);
        return;
    }
    if (value & ~e1000_get(nic, CTRL) & CTRL_SLU) {
        e1000_raise(nic, ICR_LSC); /* the link comes up now */
    }
    *e1000_at(nic, CTRL) = value & CTRL_WRITABLE;
}

static uint32_t read_interrupt_cause(struct e1000 *nic)
{
    uint32_t value;

    e1000_flush_delays(nic);
    value = e1000_get(nic, ICR);
    *e1000_at(nic, ICR) = 0;
    e1000_update_interrupt(nic);
    return value;
}

static uint32_t read_register(struct e1000 *nic, unsigned offset)
{
    uint32_t value;

    switch (offset) {
    case CTRL + 4: /* 13.4.1: the same register again */
        return e1000_get(nic, CTRL);
    case ICR:
        return read_interrupt_cause(nic);
    case EECD:
        return e1000_eeprom_control_read(nic);
    case ICS:
    case IMC:
        return 0;
    default:
        break;
    }
    value = e1000_get(nic, offset);
    if (offset >= STATISTICS_START && offset < STATISTICS_END) {
        *e1000_at(nic, offset) = 0;
    }
    return value;
}

/* What else happens after a register that is kept was written. */
static void after_write(struct e1000 *nic, unsigned offset, uint32_t value)
{
    switch (offset) {
    case RCTL:
    case RDT:
    case RDH:
    case RDLEN:
        card_resume(&nic->card);
        break;
    case RDTR:
        if (value & RDTR_FLUSH) {
            e1000_flush_delays(nic);
            e1000_update_interrupt(nic);
        }
        break;
    case TDH:
        nic->send_next = e1000_get(nic, TDH);
        nic->fragment = false;
        card_packet_clear(&nic->card);
        break;
    case TCTL:
    case TDT:
        card_kick(&nic->card);
        break;
    case RAL:
    case RAL + 4:
        note_address(nic);
        break;
    default:
        break;
    }
}

static void write_register(struct e1000 *nic, unsigned offset, uint32_t value)
{
    uint32_t mask = kept_mask(offset);

    switch (offset) {
    case CTRL:
    case CTRL + 4:
        control_written(nic, value);
        return;
    case EECD:
        e1000_eeprom_control_written(nic, value);
        return;
    case EERD:
        e1000_eeprom_read_written(nic, value);
        return;
    case MDIC:
        mdic_written(nic, value);
        return;
    case ICR:
        *e1000_at(nic, ICR) &= ~value;
        e1000_update_interrupt(nic);
        return;
    case ITR:
        *e1000_at(nic, ITR) = value & 0xffff;
        nic->throttled_until = 0;
        e1000_update_interrupt(nic);
        return;
    case ICS:
        e1000_raise(nic, value & 0x1ffff);
        return;
    case IMS:
        *e1000_at(nic, IMS) |= value & 0x1ffff;
        e1000_update_interrupt(nic);
        return;
    case IMC:
        *e1000_at(nic, IMS) &= ~value;
        e1000_update_interrupt(nic);
        return;
    default:
        break;
    }
    if (mask) {
        *e1000_at(nic, offset) = (e1000_get(nic, offset) & ~mask) | (value & mask);
        after_write(nic, offset, value);
    }
}

/* BAR 0: 13.3. */

static enum memory_result memory_read(void *opaque, uint64_t offset, unsigned size,
                                      struct memory_attributes attributes, uint64_t *value)
{
    *value = offset < E1000_KEPT ? read_register(opaque, (unsigned)offset) : 0;
    return MEMORY_OK;
}

static enum memory_result memory_write(void *opaque, uint64_t offset, unsigned size,
                                       struct memory_attributes attributes, uint64_t value)
{
    if (offset < E1000_KEPT) {
        write_register(opaque, (unsigned)offset, (uint32_t)value);
    }
    return MEMORY_OK;
}

const struct memory_region_ops e1000_memory_ops = {
    .read = memory_read,
    .write = memory_write,
    .valid = {.min_size = 4, .max_size = 8},
    .implemented = {.min_size = 4, .max_size = 4},
};

/* BAR 1: the same registers through an address and a data port. */

static enum memory_result port_read(void *opaque, uint64_t offset, unsigned size,
                                    struct memory_attributes attributes, uint64_t *value)
{
    struct e1000 *nic = opaque;

    *value = 0;
    if (offset == IOADDR) {
        *value = nic->port_address;
    } else if (offset == IODATA && nic->port_address < E1000_KEPT) {
        *value = read_register(nic, nic->port_address);
    }
    return MEMORY_OK;
}

static enum memory_result port_write(void *opaque, uint64_t offset, unsigned size,
                                     struct memory_attributes attributes, uint64_t value)
{
    struct e1000 *nic = opaque;

    if (offset == IOADDR) {
        nic->port_address = (uint32_t)value & (E1000_WINDOW - 4);
    } else if (offset == IODATA && nic->port_address < E1000_KEPT) {
        write_register(nic, nic->port_address, (uint32_t)value);
    }
    return MEMORY_OK;
}

const struct memory_region_ops e1000_port_ops = {
    .read = port_read,
    .write = port_write,
    .valid = {.min_size = 1, .max_size = 4},
    .implemented = {.min_size = 4, .max_size = 4},
};
