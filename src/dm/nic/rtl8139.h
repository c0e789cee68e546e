/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Realtek RTL8139C+: registers and what the files of this model share. "C mode" is that of the
 * RTL8139: one receive ring of bytes, four transmit descriptors in registers. "C+ mode" has rings
 * of descriptors. Names are those of the data sheets (RTL8139C 1.4, RTL8139C+ 1.6).
 *
 * The registers are kept as the bytes that the guest sees; rtl8139-registers.c says which of them
 * can be written, and what a write does.
 */
#ifndef DUODM_DM_NIC_RTL8139_H
#define DUODM_DM_NIC_RTL8139_H

#include "dm/clock.h"
#include "dm/nic/card.h"
#include "util/little-endian.h"

#define RTL8139_REGISTERS 256

#define IDR0      0x00 /* 6 bytes: address */
#define MAR0      0x08 /* 8 bytes: multicast hash */
#define TSD0      0x10 /* 4 times 4 bytes: transmit status of descriptors */
#define DTCCR     0x10 /* C+ mode, 8 bytes: dump tally counter command */
#define TSAD0     0x20 /* 4 times 4 bytes: transmit start addresses */
#define TNPDS     0x20 /* C+ mode, 8 bytes: normal priority descriptors */
#define THPDS     0x28 /* C+ mode, 8 bytes: high priority descriptors */
#define RBSTART   0x30 /* 4 bytes: receive ring */
#define ERBCR     0x34 /* 2 bytes: early receive byte count */
#define ERSR      0x36 /* early receive status */
#define CR        0x37
#define CAPR      0x38 /* 2 bytes: current address of packet read, less 16 */
#define CBR       0x3a /* 2 bytes: current buffer address */
#define IMR       0x3c /* 2 bytes */
#define ISR       0x3e /* 2 bytes */
#define TCR       0x40 /* 4 bytes */
#define RCR       0x44 /* 4 bytes */
#define TCTR      0x48 /* 4 bytes: timer count */
#define MPC       0x4c /* 3 bytes: missed packets */
#define CR9346    0x50
#define CONFIG0   0x51
#define CONFIG1   0x52
#define TIMER_INT 0x54 /* 4 bytes */
#define MSR       0x58 /* media status */
#define CONFIG3   0x59
#define CONFIG4   0x5a
#define MULINT    0x5c /* 2 bytes: multiple interrupt select */
#define RERID     0x5e /* PCI revision */
#define TSAD      0x60 /* 2 bytes: transmit status of all descriptors */
#define BMCR      0x62 /* 5 registers of the PHY, 2 bytes each */
#define ANER      0x6a
#define DIS       0x6c /* PHY counters, 2 bytes each: disconnects ... */
#define REC       0x72 /* ... to receive errors */
#define CSCR      0x74
#define CONFIG5   0xd8
#define TPPOLL    0xd9
#define CPCR      0xe0 /* 2 bytes: C+ command */
#define RDSAR     0xe4 /* 8 bytes: C+ receive descriptors */
#define ETTHR     0xec

#define CR_BUFE 0x01 /* receive ring is empty */
#define CR_TE   0x04
#define CR_RE   0x08
#define CR_RST  0x10

#define ISR_ROK     0x0001
#define ISR_RER     0x0002
#define ISR_TOK     0x0004
#define ISR_TER     0x0008
#define ISR_RXOVW   0x0010 /* C+ mode: RDU, no receive descriptor */
#define ISR_LINK    0x0020
#define ISR_FOVW    0x0040
#define ISR_TDU     0x0080 /* C+ mode: no transmit descriptor is left */
#define ISR_SWINT   0x0100
#define ISR_TIMEOUT 0x4000
#define ISR_SERR    0x8000

#define TSD_SIZE 0x00001fffu
#define TSD_OWN  0x00002000u
#define TSD_TOK  0x00008000u
#define TSD_TABT 0x40000000u

#define TCR_CLRABT        0x00000001u
#define TCR_LOOPBACK      0x00060000u
#define TCR_VERSION_CPLUS 0x74800000u /* hardware version ID */

#define RCR_AAP  0x00000001u /* all physical addresses */
#define RCR_APM  0x00000002u /* its own */
#define RCR_AM   0x00000004u /* multicast */
#define RCR_AB   0x00000008u /* broadcast */
#define RCR_WRAP 0x00000080u
#define RCR_ERTH 0x0f000000u /* early receive threshold */

#define TPPOLL_SWINT 0x01
#define TPPOLL_NPQ   0x40
#define TPPOLL_HPQ   0x80

#define CPCR_TE       0x0001
#define CPCR_RE       0x0002
#define CPCR_CHECKSUM 0x0020 /* of what is received */
#define CPCR_VLAN     0x0040 /* tags are taken out of what is received */

/* Tally counters, in the order in which they are dumped. */
enum rtl8139_tally {
    TALLY_TX_OK,
    TALLY_RX_OK,
    TALLY_TX_ERROR,
    TALLY_RX_ERROR,
    TALLY_MISSED,
    TALLY_FRAME_ALIGNMENT,
    TALLY_TX_ONE_COLLISION,
    TALLY_TX_MORE_COLLISIONS,
    TALLY_RX_PHYSICAL,
    TALLY_RX_BROADCAST,
    TALLY_RX_MULTICAST,
    TALLY_TX_ABORTED,
    TALLY_TX_UNDERRUN,
    TALLY_COUNT,
};

#define RTL8139_RING_MAX 64 /* descriptors */
#define RTL8139_QUEUES   2  /* C+ transmit: normal and high priority */

struct rtl8139 {
    struct card card;
    struct memory_region ports, memory;
    uint8_t registers[RTL8139_REGISTERS];
    uint64_t tally[TALLY_COUNT];
    uint32_t send_descriptor;            /* C mode: the next, 0 to 3 */
    uint32_t send_index[RTL8139_QUEUES]; /* C+ mode: first descriptor of the packet under way */
    bool polled[RTL8139_QUEUES];         /* C+ mode: TPPoll asked for the queue to be walked */
    uint32_t receive_index;              /* C+ mode: the next descriptor */
    uint64_t timer_base;                 /* ns: when TCTR was 0 */
    struct clock_timer timer;            /* TimerInt */
    struct clock_timer patience;         /* C+ mode: looks for a descriptor again */
    uint64_t waits_until;                /* C+ mode, ns: a packet waits for one; 0: none does */
    bool overflowing;                    /* C+ mode: that is over, packets are missed */
    /* The descriptors of the packet under way: given back when it is sent. */
    unsigned used_queue, used_count;
    struct {
        uint32_t index, options;
    } used[RTL8139_RING_MAX];
};

static inline struct rtl8139 *rtl8139_of(struct card *card)
{
    return (struct rtl8139 *)card;
}

static inline uint16_t rtl8139_get16(const struct rtl8139 *nic, unsigned offset)
{
    return load_le16(nic->registers + offset);
}

static inline uint32_t rtl8139_get32(const struct rtl8139 *nic, unsigned offset)
{
    return load_le32(nic->registers + offset);
}

static inline bool rtl8139_is_cplus(const struct rtl8139 *nic)
{
    return nic->registers[CPCR] & (CPCR_TE | CPCR_RE);
}

/* rtl8139-registers.c */
extern const struct memory_region_ops rtl8139_ops;
void rtl8139_raise(struct rtl8139 *nic, uint16_t events); /* bits of ISR */
void rtl8139_update_interrupt(struct rtl8139 *nic);
void rtl8139_soft_reset(struct rtl8139 *nic); /* CR.RST */
/* What follows from the registers, after they changed all at once. */
void rtl8139_registers_changed(struct rtl8139 *nic);
void rtl8139_timer_expired(void *opaque);
extern const struct mii_model rtl8139_mii;

/* rtl8139-receive.c */
bool rtl8139_receive(struct card *card, const uint8_t *packet, size_t length, bool checked);
void rtl8139_retry_receive(void *opaque);
bool rtl8139_ring_is_empty(const struct rtl8139 *nic);

/* rtl8139-transmit.c */
bool rtl8139_send(struct card *card);

#endif
