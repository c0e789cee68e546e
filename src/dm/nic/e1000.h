/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82540EM: registers and what the files of this model share. Names and sections are those of
 * the PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual (Intel order
 * number 317453, "SDM" here).
 */
#ifndef DUODM_DM_NIC_E1000_H
#define DUODM_DM_NIC_E1000_H

#include "dm/clock.h"
#include "dm/nic/card.h"
#include "util/little-endian.h"

#define E1000_WINDOW 0x20000u /* bytes of registers that BAR 0 decodes */
#define E1000_KEPT   0x6000u  /* bytes below which there are any */

/* Offsets, 13.4. */
#define CTRL     0x0000
#define STATUS   0x0008
#define EECD     0x0010
#define EERD     0x0014
#define CTRL_EXT 0x0018
#define MDIC     0x0020
#define FCAL     0x0028
#define FCAH     0x002c
#define FCT      0x0030
#define VET      0x0038
#define ICR      0x00c0
#define ITR      0x00c4
#define ICS      0x00c8
#define IMS      0x00d0
#define IMC      0x00d8
#define RCTL     0x0100
#define FCTTV    0x0170
#define TXCW     0x0178
#define TCTL     0x0400
#define TIPG     0x0410
#define AIT      0x0458
#define LEDCTL   0x0e00
#define PBA      0x1000
#define FCRTL    0x2160
#define FCRTH    0x2168
#define RDBAL    0x2800
#define RDBAH    0x2804
#define RDLEN    0x2808
#define RDH      0x2810
#define RDT      0x2818
#define RDTR     0x2820
#define RXDCTL   0x2828
#define RADV     0x282c
#define RSRPD    0x2c00
#define TDBAL    0x3800
#define TDBAH    0x3804
#define TDLEN    0x3808
#define TDH      0x3810
#define TDT      0x3818
#define TIDV     0x3820
#define TXDCTL   0x3828
#define TADV     0x382c
#define TSPMT    0x3830
#define MPC      0x4010
#define XOFFRXC  0x4050
#define PRC64    0x405c /* then PRC127, 255, 511, 1023, 1522 */
#define GPRC     0x4074
#define BPRC     0x4078
#define MPRC     0x407c
#define GPTC     0x4080
#define GORCL    0x4088 /* low and high word */
#define GOTCL    0x4090
#define ROC      0x40ac
#define TORL     0x40c0
#define TOTL     0x40c8
#define TPR      0x40d0
#define TPT      0x40d4
#define PTC64    0x40d8 /* then PTC127, 255, 511, 1023, 1522 */
#define MPTC     0x40f0
#define BPTC     0x40f4
#define TSCTC    0x40f8
#define RXCSUM   0x5000
#define MTA      0x5200 /* 128 words */
#define RAL      0x5400 /* 16 pairs */
#define VFTA     0x5600 /* 128 words */
#define WUC      0x5800

#define CTRL_SLU     0x00000040u /* set link up */
#define CTRL_RST     0x04000000u
#define CTRL_RFCE    0x08000000u /* PAUSE frames are obeyed */
#define CTRL_VME     0x40000000u /* VLAN tags are put in and taken out */
#define CTRL_PHY_RST 0x80000000u

#define ICR_TXDW   0x00000001u /* a transmit descriptor was written back */
#define ICR_TXQE   0x00000002u /* the transmit ring is empty */
#define ICR_LSC    0x00000004u /* link status changed */
#define ICR_RXDMT0 0x00000010u /* few receive descriptors are left */
#define ICR_RXO    0x00000040u /* receiver overrun */
#define ICR_RXT0   0x00000080u /* packets were received */
#define ICR_MDAC   0x00000200u /* MDIO access complete */
#define ICR_SRPD   0x00010000u /* small packet received */

#define RCTL_EN      0x00000002u
#define RCTL_UPE     0x00000008u /* unicast promiscuous */
#define RCTL_MPE     0x00000010u /* multicast promiscuous */
#define RCTL_LPE     0x00000020u /* long packets */
#define RCTL_LBM     0x000000c0u /* loopback */
#define RCTL_LBM_MAC 0x00000040u
#define RCTL_BAM     0x00008000u /* broadcast */
#define RCTL_VFE     0x00040000u /* VLAN filter */
#define RCTL_DPF     0x00400000u /* discard pause frames */
#define RCTL_PMCF    0x00800000u /* pass MAC control frames */
#define RCTL_BSEX    0x02000000u
#define RCTL_SECRC   0x04000000u /* strip the FCS */

#define TCTL_EN  0x00000002u
#define TCTL_PSP 0x00000008u /* pad short packets */

/* A context that descriptors set up for packets that follow: 3.3.6. */
struct e1000_context {
    uint8_t ip_start, ip_offset;
    uint16_t ip_end;
    uint8_t start, offset; /* of TCP or UDP */
    uint16_t end;
    uint8_t header_length;
    uint16_t segment_size;
    bool is_tcp, is_ipv4;
};

struct e1000 {
    struct card card;
    struct memory_region memory, ports;
    uint32_t registers[E1000_KEPT / 4];
    uint32_t port_address; /* IOADDR: 13.2.2.1 */
    /* Interrupts: 13.4.17 to 13.4.21, 3.2.7, 3.4.3. */
    uint64_t throttled_until;           /* ns: ITR holds the next interrupt back until then */
    uint64_t receive_first, send_first; /* ns: of the first event that a delay timer holds back */
    struct clock_timer throttle, receive_delay, send_delay;
    /* Sending. TDH shows the first descriptor of the packet under way. */
    struct e1000_context context, segmentation;
    uint32_t send_next;       /* descriptor to be read next */
    bool fragment;            /* part of a packet was read */
    uint8_t command, options; /* of the packet under way: DCMD, POPTS */
    uint16_t special;         /* its VLAN tag */
    bool is_legacy;           /* its descriptors are, with: */
    uint8_t checksum_start, checksum_offset;
    struct { /* the last descriptor of a packet that was refused: written back when it is sent */
        uint64_t address;
        uint8_t command, status;
    } last;
};

static inline struct e1000 *e1000_of(struct card *card)
{
    return (struct e1000 *)card;
}

/* offset: of a register below E1000_KEPT. */
static inline uint32_t *e1000_at(struct e1000 *nic, unsigned offset)
{
    return &nic->registers[offset / 4];
}

static inline uint32_t e1000_get(const struct e1000 *nic, unsigned offset)
{
    return nic->registers[offset / 4];
}

/* e1000-registers.c */
extern const struct memory_region_ops e1000_memory_ops, e1000_port_ops;
extern const struct mii_model e1000_mii;
void e1000_update_link(struct e1000 *nic);
/* CTRL.RST, and power-on: all but the EEPROM and the PHY. */
void e1000_reset_mac(struct e1000 *nic);

/* e1000-interrupt.c */
void e1000_raise(struct e1000 *nic, uint32_t causes); /* bits of ICR */
void e1000_update_interrupt(struct e1000 *nic);
void e1000_received(struct e1000 *nic, uint32_t causes); /* RXT0 comes when RDTR and RADV say */
void e1000_sent(struct e1000 *nic);                      /* TXDW when TIDV and TADV say */
void e1000_flush_delays(struct e1000 *nic);
void e1000_throttle_expired(void *opaque);
void e1000_receive_delay_expired(void *opaque);
void e1000_send_delay_expired(void *opaque);

/* e1000-eeprom.c */
void e1000_write_eeprom(struct e1000 *nic); /* as a new card has it */
uint32_t e1000_eeprom_control_read(struct e1000 *nic);
void e1000_eeprom_control_written(struct e1000 *nic, uint32_t value);
void e1000_eeprom_read_written(struct e1000 *nic, uint32_t value);

/* e1000-receive.c */
bool e1000_receive(struct card *card, const uint8_t *packet, size_t length, bool checked);

/* e1000-transmit.c */
bool e1000_send(struct card *card);

/* e1000-statistics.c */
void e1000_count_received(struct e1000 *nic, const uint8_t *packet, size_t length);
void e1000_count_sent(struct e1000 *nic, const uint8_t *packet, size_t length);
void e1000_count(struct e1000 *nic, unsigned offset);

#endif
