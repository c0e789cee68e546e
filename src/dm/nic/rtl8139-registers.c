/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers of the RTL8139C+: data sheet, chapter 6. */
#include "dm/machine.h"
#include "dm/nic/rtl8139.h"

#define TIMER_TICK_NS 30ull /* PCI at 33 MHz */

/* EEM, bits 7 and 6 of 9346CR: 5.5. */
#define CR9346_MODE      0xc0
#define CR9346_AUTO_LOAD 0x40
#define CR9346_PROGRAM   0x80
#define CR9346_CONFIG    0xc0
#define CR9346_EECS      0x08
#define CR9346_EESK      0x04
#define CR9346_EEDI      0x02
#define CR9346_EEDO      0x01

#define EEPROM_ADDRESS 7 /* word at which the Ethernet address is */

#define MSR_LINK_FAILED 0x04
#define MSR_AUX_POWER   0x10
#define DTCCR_COMMAND   0x08

const struct mii_model rtl8139_mii = {
    .power_on = {[MII_BMCR] = MII_BMCR_SPEED_LOW | MII_BMCR_NEGOTIATE | MII_BMCR_FULL_DUPLEX,
                 [MII_BMSR] = 0x7809, /* 10 and 100 Mb/s, half and full duplex, negotiation */
                 [MII_ANAR] = 0x01e1,
                 [MII_ANER] = 0x0000},
    .writable = {[MII_BMCR] = MII_BMCR_SPEED_LOW | MII_BMCR_NEGOTIATE | MII_BMCR_FULL_DUPLEX |
                              MII_BMCR_POWER_DOWN | MII_BMCR_LOOPBACK,
                 [MII_ANAR] = 0x2de0},
    .partner = 0x45e1,
};

/* What of the registers can be written, as far as it is kept. Others are 0. */
static const struct {
    uint8_t offset, size;
    uint32_t mask;
    bool locked; /* only in the config write mode of 9346CR */
} writable[] = {
    {IDR0, 4, 0xffffffff, false},
    {IDR0 + 4, 2, 0xffff, false},
    {MAR0, 4, 0xffffffff, false},
    {MAR0 + 4, 4, 0xffffffff, false},
    {TSAD0, 4, 0xffffffff, false},
    {TSAD0 + 4, 4, 0xffffffff, false},
    {TSAD0 + 8, 4, 0xffffffff, false},
    {TSAD0 + 12, 4, 0xffffffff, false},
    {RBSTART, 4, 0xffffffff, false},
    {CR, 1, CR_TE | CR_RE, false},
    {CAPR, 2, 0xffff, false},
    {IMR, 2, 0xe1ff, false},
    {TCR, 4, 0x030707f0, false},
    {RCR, 4, 0x0f03ffbf, false},
    {CR9346, 1, CR9346_MODE | CR9346_EECS | CR9346_EESK | CR9346_EEDI, false},
    {CONFIG0, 1, 0x00, true},
    {CONFIG1, 1, 0xf3, true},
    {TIMER_INT, 4, 0xffffffff, false},
    {MSR, 1, 0xc0, false},
    {CONFIG3, 1, 0x65, true},
    {CONFIG4, 1, 0xff, true},
    {MULINT, 2, 0x0fff, false},
    {CSCR, 2, 0x00e4, false},
    {CONFIG5, 1, 0xff, false},
    {CPCR, 2, 0x027b, false},
    {RDSAR, 4, 0xffffff00, false},
    {RDSAR + 4, 4, 0xffffffff, false},
    {ETTHR, 1, 0x3f, false},
};

static void put16(struct rtl8139 *nic, unsigned offset, uint16_t value)
{
    store_le16(nic->registers + offset, value);
}

static void put32(struct rtl8139 *nic, unsigned offset, uint32_t value)
{
    store_le32(nic->registers + offset, value);
}

static struct machine_clock *clock_of(const struct rtl8139 *nic)
{
    return nic->card.pci.device.machine->clock;
}

/* Interrupts. */

void rtl8139_update_interrupt(struct rtl8139 *nic)
{
    pci_set_interrupt(&nic->card.pci, rtl8139_get16(nic, ISR) & rtl8139_get16(nic, IMR));
}

void rtl8139_raise(struct rtl8139 *nic, uint16_t events)
{
    put16(nic, ISR, rtl8139_get16(nic, ISR) | events);
    rtl8139_update_interrupt(nic);
}

/* Timer, 6.25 and 6.31: TimeOut comes each time the count reaches TimerInt. */

static void set_timer(struct rtl8139 *nic)
{
    uint64_t compare = rtl8139_get32(nic, TIMER_INT), period = TIMER_TICK_NS << 32;
    uint64_t deadline = nic->timer_base + compare * TIMER_TICK_NS;
    uint64_t now = machine_clock_now(clock_of(nic));

    if (!compare) {
        clock_timer_disarm(&nic->timer);
        return;
    }
    if (deadline <= now) {
        deadline += ((now - deadline) / period + 1) * period;
    }
    clock_timer_arm(&nic->timer, deadline);
}

void rtl8139_timer_expired(void *opaque)
{
    rtl8139_raise(opaque, ISR_TIMEOUT);
    set_timer(opaque);
}

/* Tally counters, 6.4. */

static void dump_tally(struct rtl8139 *nic)
{
    static const uint8_t sizes[TALLY_COUNT] = {8, 8, 8, 4, 2, 2, 4, 4, 8, 8, 4, 2, 2};
    uint64_t address = load_le64(nic->registers + DTCCR) & ~(uint64_t)63;
    uint8_t block[64] = {0}, *at = block;

    for (unsigned i = 0; i < TALLY_COUNT; at += sizes[i++]) {
        uint8_t value[8];

        store_le64(value, nic->tally[i]);
        memcpy(at, value, sizes[i]);
    }
    if (pci_dma_write(&nic->card.pci, address, block, sizeof(block)) != MEMORY_OK) {
        rtl8139_raise(nic, ISR_SERR);
    }
}

/* Resets. */

static void load_address(struct rtl8139 *nic)
{
    for (unsigned i = 0; i < 3; i++) {
        put16(nic, IDR0 + 2 * i, nic->card.eeprom.words[EEPROM_ADDRESS + i]);
    }
    memcpy(nic->card.nic.filter.mac, nic->registers + IDR0, 6);
}

/* What CR.RST does: 6.9. Addresses, configuration and the PHY stay. */
void rtl8139_soft_reset(struct rtl8139 *nic)
{
    uint8_t *r = nic->registers;
    const struct {
        uint8_t offset, size;
    } cleared[] = {{TSD0, 32}, {RBSTART, 8}, {CAPR, 24}, {TIMER_INT, 4}, {MULINT, 2}, {CPCR, 12}};

    for (unsigned i = 0; i < G_N_ELEMENTS(cleared); i++) {
        memset(r + cleared[i].offset, 0, cleared[i].size);
    }
    for (unsigned i = 0; i < 4; i++) {
        put32(nic, TSD0 + 4 * i, TSD_OWN);
    }
    put16(nic, CAPR, 0xfff0);
    put32(nic, TCR, TCR_VERSION_CPLUS);
    nic->send_descriptor = nic->receive_index = 0;
    memset(nic->send_index, 0, sizeof(nic->send_index));
    memset(nic->polled, 0, sizeof(nic->polled));
    nic->used_count = 0;
    nic->overflowing = false;
    nic->waits_until = 0;
    nic->timer_base = machine_clock_now(clock_of(nic));
    clock_timer_disarm(&nic->patience);
    card_packet_clear(&nic->card);
    rtl8139_registers_changed(nic);
    card_resume(&nic->card);
}

void rtl8139_registers_changed(struct rtl8139 *nic)
{
    memcpy(nic->card.nic.filter.mac, nic->registers + IDR0, 6);
    set_timer(nic);
    rtl8139_update_interrupt(nic);
}

/* Which of the PHY's registers one is: BMCR, BMSR, then ANAR, ANLPAR, ANER. */
static unsigned phy_number(unsigned offset)
{
    unsigned index = (offset - BMCR) / 2;

    return index < 2 ? index : index + MII_ANAR - 2;
}

/* Reading: registers that are made when they are looked at. */

static uint16_t send_status_of_all(const struct rtl8139 *nic)
{
    uint16_t value = 0;

    for (unsigned i = 0; i < 4; i++) {
        uint32_t status = rtl8139_get32(nic, TSD0 + 4 * i);

        value |= (uint16_t)((status & TSD_TOK ? 0x1000 : 0) | (status & TSD_TABT ? 0x0010 : 0) |
                            (status & TSD_OWN ? 0x0001 : 0))
                 << i;
    }
    return value;
}

static bool overlaps(unsigned offset, unsigned size, unsigned start, unsigned length)
{
    return offset < start + length && start < offset + size;
}

static void refresh(struct rtl8139 *nic, unsigned offset, unsigned size)
{
    uint8_t *r = nic->registers;

    if (overlaps(offset, size, CR, 1)) {
        r[CR] = (uint8_t)((r[CR] & ~CR_BUFE) | (rtl8139_ring_is_empty(nic) ? CR_BUFE : 0));
    }
    if (overlaps(offset, size, TCTR, 4)) {
        uint64_t ns = machine_clock_now(clock_of(nic)) - nic->timer_base;

        put32(nic, TCTR, (uint32_t)(ns / TIMER_TICK_NS));
    }
    if (overlaps(offset, size, MSR, 1)) {
        r[MSR] = (uint8_t)((r[MSR] & ~MSR_LINK_FAILED) | MSR_AUX_POWER |
                           (mii_has_link(&nic->card.mii) ? 0 : MSR_LINK_FAILED));
    }
    if (overlaps(offset, size, TSAD, 2)) {
        put16(nic, TSAD, send_status_of_all(nic));
    }
    for (unsigned at = BMCR; at <= ANER; at += 2) {
        if (overlaps(offset, size, at, 2)) {
            put16(nic, at, mii_read(&nic->card.mii, phy_number(at)));
        }
    }
}

static enum memory_result registers_read(void *opaque, uint64_t offset, unsigned size,
                                         struct memory_attributes attributes, uint64_t *value)
{
    struct rtl8139 *nic = opaque;

    refresh(nic, (unsigned)offset, size);
    *value = 0;
    memcpy(value, nic->registers + offset, size);
    *value = GUINT64_FROM_LE(*value);
    return MEMORY_OK;
}

/* Writing. Each function is called after its register was written, with what was written, bytes
 * that were not being 0. */

static void command_written(struct rtl8139 *nic, uint32_t written, uint8_t before)
{
    uint8_t now = nic->registers[CR];

    if (written & CR_RST) {
        rtl8139_soft_reset(nic);
        return;
    }
    if ((now & ~before) & CR_RE) {
        put16(nic, CBR, 0);
        put16(nic, CAPR, 0xfff0);
    }
    if (!(now & CR_RE)) {
        nic->receive_index = 0;
    }
    if (!(now & CR_TE)) {
        nic->send_descriptor = 0;
        memset(nic->send_index, 0, sizeof(nic->send_index));
        memset(nic->polled, 0, sizeof(nic->polled));
        nic->used_count = 0;
        card_packet_clear(&nic->card);
    }
    card_kick(&nic->card);
    card_resume(&nic->card);
}

static void eeprom_written(struct rtl8139 *nic)
{
    uint8_t *r = nic->registers;

    switch (r[CR9346] & CR9346_MODE) {
    case CR9346_PROGRAM:
        r[CR9346] &= (uint8_t)~CR9346_EEDO;
        r[CR9346] |= microwire_drive(&nic->card.eeprom, r[CR9346] & CR9346_EECS,
                                     r[CR9346] & CR9346_EESK, r[CR9346] & CR9346_EEDI)
                         ? CR9346_EEDO
                         : 0;
        break;
    case CR9346_AUTO_LOAD:
        load_address(nic);
        r[CR9346] = 0;
        break;
    default:
        break;
    }
}

static void poll_written(struct rtl8139 *nic, uint32_t written)
{
    nic->polled[0] |= written & TPPOLL_NPQ;
    nic->polled[1] |= written & TPPOLL_HPQ;
    if (written & TPPOLL_SWINT) {
        rtl8139_raise(nic, ISR_SWINT);
    }
    card_kick(&nic->card);
}

/* 6.2: the driver sets the size and clears OWN; status bits are the card's. */
static void send_status_written(struct rtl8139 *nic, unsigned number, uint32_t written)
{
    put32(nic, TSD0 + 4 * number, written & 0x003fffff & ~TSD_TOK & ~0x4000u);
    if (!(written & TSD_OWN)) {
        card_kick(&nic->card);
    }
}

static void send_command_written(struct rtl8139 *nic, uint32_t written)
{
    put32(nic, TCR, (rtl8139_get32(nic, TCR) & ~0x7cc00000u) | TCR_VERSION_CPLUS);
    if (written & TCR_CLRABT) {
        card_kick(&nic->card);
    }
}

static void tally_written(struct rtl8139 *nic, unsigned offset, uint32_t written)
{
    store_le32(nic->registers + offset, written);
    if (offset == DTCCR && (written & DTCCR_COMMAND)) {
        dump_tally(nic);
        nic->registers[DTCCR] &= (uint8_t)~DTCCR_COMMAND; /* done */
    }
}

/* The part of a write that falls on a register: its bytes in place, others 0. */
static uint32_t part_of(unsigned offset, unsigned size, uint64_t value, unsigned start,
                        unsigned length)
{
    uint32_t part = 0;

    for (unsigned i = 0; i < length; i++) {
        unsigned at = start + i;

        if (at >= offset && at < offset + size) {
            part |= (uint32_t)(value >> (8 * (at - offset)) & 0xff) << (8 * i);
        }
    }
    return part;
}

static void store_writable(struct rtl8139 *nic, unsigned offset, unsigned size, uint64_t value)
{
    bool unlocked = (nic->registers[CR9346] & CR9346_MODE) == CR9346_CONFIG;

    for (unsigned k = 0; k < G_N_ELEMENTS(writable); k++) {
        for (unsigned i = 0; i < writable[k].size; i++) {
            unsigned at = writable[k].offset + i;
            uint8_t mask = (uint8_t)(writable[k].mask >> (8 * i));

            if (at >= offset && at < offset + size && (unlocked || !writable[k].locked)) {
                uint8_t byte = (uint8_t)(value >> (8 * (at - offset)));

                nic->registers[at] = (uint8_t)((nic->registers[at] & ~mask) | (byte & mask));
            }
        }
    }
}

static void status_written(struct rtl8139 *nic, uint16_t cleared)
{
    put16(nic, ISR, rtl8139_get16(nic, ISR) & (uint16_t)~cleared);
    rtl8139_update_interrupt(nic);
    if (rtl8139_is_cplus(nic)) {
        card_resume(&nic->card); /* drivers make room without telling; it often is by now */
    }
}

static void phy_written(struct rtl8139 *nic, unsigned offset, unsigned size, uint64_t value)
{
    for (unsigned at = BMCR; at <= ANER; at += 2) {
        if (overlaps(offset, size, at, 2)) {
            mii_write(&nic->card.mii, phy_number(at),
                      (uint16_t)part_of(offset, size, value, at, 2));
        }
    }
}

/* TSD and DTCCR are the same bytes. */
static void low_written(struct rtl8139 *nic, unsigned offset, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        unsigned at = TSD0 + 4 * i;

        if (!overlaps(offset, size, at, 4)) {
            continue;
        }
        if (!rtl8139_is_cplus(nic)) {
            send_status_written(nic, i, part_of(offset, size, value, at, 4));
        } else if (i < 2) {
            tally_written(nic, at, part_of(offset, size, value, at, 4));
        }
    }
}

static void after_write(struct rtl8139 *nic, unsigned offset, unsigned size, uint64_t value,
                        uint8_t command_before)
{
    if (overlaps(offset, size, IDR0, 6)) {
        memcpy(nic->card.nic.filter.mac, nic->registers + IDR0, 6);
    }
    if (overlaps(offset, size, TSD0, 16)) {
        low_written(nic, offset, size, value);
    }
    if (overlaps(offset, size, TNPDS, 8)) {
        nic->send_index[0] = 0;
    }
    if (overlaps(offset, size, THPDS, 8)) {
        nic->send_index[1] = 0;
    }
    if (overlaps(offset, size, RBSTART, 4)) {
        put16(nic, CBR, 0);
    }
    if (overlaps(offset, size, ERSR, 1)) {
        nic->registers[ERSR] &= (uint8_t)~part_of(offset, size, value, ERSR, 1);
    }
    if (overlaps(offset, size, CR, 1)) {
        command_written(nic, part_of(offset, size, value, CR, 1), command_before);
    }
    if (overlaps(offset, size, CAPR, 2)) {
        card_resume(&nic->card);
    }
    if (overlaps(offset, size, IMR, 4)) {
        status_written(nic, (uint16_t)part_of(offset, size, value, ISR, 2));
    }
    if (overlaps(offset, size, TCR, 4)) {
        send_command_written(nic, part_of(offset, size, value, TCR, 4));
    }
    if (overlaps(offset, size, TCTR, 4)) {
        nic->timer_base = machine_clock_now(clock_of(nic));
        set_timer(nic);
    }
    if (overlaps(offset, size, MPC, 3)) {
        memset(nic->registers + MPC, 0, 3); /* whatever is written */
    }
    if (overlaps(offset, size, CR9346, 1)) {
        eeprom_written(nic);
    }
    if (overlaps(offset, size, TIMER_INT, 4)) {
        set_timer(nic);
    }
    if (overlaps(offset, size, BMCR, 10)) {
        phy_written(nic, offset, size, value);
    }
    if (overlaps(offset, size, TPPOLL, 1)) {
        poll_written(nic, part_of(offset, size, value, TPPOLL, 1));
    }
    if (overlaps(offset, size, RDSAR, 8)) {
        nic->receive_index = 0;
    }
}

static enum memory_result registers_write(void *opaque, uint64_t offset, unsigned size,
                                          struct memory_attributes attributes, uint64_t value)
{
    struct rtl8139 *nic = opaque;
    uint8_t command_before = nic->registers[CR];

    store_writable(nic, (unsigned)offset, size, value);
    after_write(nic, (unsigned)offset, size, value, command_before);
    return MEMORY_OK;
}

const struct memory_region_ops rtl8139_ops = {
    .read = registers_read,
    .write = registers_write,
    .valid = {.min_size = 1, .max_size = 4},
    .implemented = {.min_size = 1, .max_size = 4},
};
