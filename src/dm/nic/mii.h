/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The management registers of a PHY (IEEE 802.3, clause 22.2.4): a model is a table; what is
 * common is the link, auto-negotiation (done at once), and the self-clearing bits.
 */
#ifndef DUODM_DM_NIC_MII_H
#define DUODM_DM_NIC_MII_H

#include "dm/state.h"

#include <stdbool.h>
#include <stdint.h>

#define MII_REGISTERS 32

#define MII_BMCR   0 /* control */
#define MII_BMSR   1 /* status */
#define MII_PHYID1 2
#define MII_PHYID2 3
#define MII_ANAR   4 /* advertisement */
#define MII_ANLPAR 5 /* link partner's ability */
#define MII_ANER   6 /* expansion */

#define MII_BMCR_RESET       0x8000
#define MII_BMCR_LOOPBACK    0x4000
#define MII_BMCR_SPEED_LOW   0x2000 /* with SPEED_HIGH: 00 10, 01 100, 10 1000 Mb/s */
#define MII_BMCR_NEGOTIATE   0x1000
#define MII_BMCR_POWER_DOWN  0x0800
#define MII_BMCR_RESTART     0x0200
#define MII_BMCR_FULL_DUPLEX 0x0100
#define MII_BMCR_SPEED_HIGH  0x0040

#define MII_BMSR_NEGOTIATED 0x0020
#define MII_BMSR_LINK       0x0004

#define MII_ANER_PARTNER_NEGOTIATES 0x0001

struct mii_model {
    uint16_t power_on[MII_REGISTERS]; /* of BMSR: abilities only */
    uint16_t writable[MII_REGISTERS]; /* bits */
    uint16_t partner;                 /* ANLPAR, once negotiated */
};

struct mii {
    const struct mii_model *model;
    uint16_t registers[MII_REGISTERS];
    bool carrier;   /* the cable's, whatever the PHY does with it */
    bool link_lost; /* since BMSR was read: its link bit latches low (22.2.4.2.13) */
};

void mii_reset(struct mii *mii); /* carrier stays */
/* A register, as the management interface has it (22.2.4); numbers count modulo MII_REGISTERS.
 * Reading BMSR tells of a link that was lost, once. */
uint16_t mii_read(struct mii *mii, unsigned number);
void mii_write(struct mii *mii, unsigned number, uint16_t value);
void mii_set_carrier(struct mii *mii, bool carrier);
/* Is there a link: carrier, and the PHY has power. */
bool mii_has_link(const struct mii *mii);

#define MII_STATE_FIELDS(struct_, field_)                                                          \
    STATE_ARRAY(UINT16, struct_, field_.registers, MII_REGISTERS, 1),                              \
        STATE(BOOL, struct_, field_.link_lost, 1)

#endif
