/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/nic/mii.h"

#include <string.h>

bool mii_has_link(const struct mii *mii)
{
    return mii->carrier && !(mii->registers[MII_BMCR] & MII_BMCR_POWER_DOWN);
}

/* What follows from carrier and control. */
static void update(struct mii *mii)
{
    bool negotiates = mii->registers[MII_BMCR] & MII_BMCR_NEGOTIATE;
    bool negotiated = mii_has_link(mii) && negotiates;

    mii->registers[MII_ANLPAR] = negotiated ? mii->model->partner : 0;
    mii->registers[MII_ANER] =
        (uint16_t)(mii->model->power_on[MII_ANER] | (negotiated ? MII_ANER_PARTNER_NEGOTIATES : 0));
    mii->registers[MII_BMSR] =
        (uint16_t)(mii->model->power_on[MII_BMSR] | (negotiated ? MII_BMSR_NEGOTIATED : 0) |
                   (mii_has_link(mii) ? MII_BMSR_LINK : 0));
    mii->link_lost |= !mii_has_link(mii);
}

void mii_reset(struct mii *mii)
{
    memcpy(mii->registers, mii->model->power_on, sizeof(mii->registers));
    mii->link_lost = false;
    update(mii);
}

uint16_t mii_read(struct mii *mii, unsigned number)
{
    uint16_t value = mii->registers[number % MII_REGISTERS];

    if (number % MII_REGISTERS == MII_BMSR && mii->link_lost) {
        value &= (uint16_t)~MII_BMSR_LINK;
        mii->link_lost = !mii_has_link(mii);
    }
    return value;
}

void mii_write(struct mii *mii, unsigned number, uint16_t value)
{
    uint16_t mask;

    number %= MII_REGISTERS;
    mask = mii->model->writable[number];
    if (number == MII_BMCR && (value & MII_BMCR_RESET)) {
        mii_reset(mii);
        return;
    }
    mii->registers[number] = (uint16_t)((mii->registers[number] & ~mask) | (value & mask));
    update(mii);
}

void mii_set_carrier(struct mii *mii, bool carrier)
{
    mii->carrier = carrier;
    update(mii);
}
