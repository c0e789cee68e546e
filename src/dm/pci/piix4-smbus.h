/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The SMBus host controller of PIIX4 (Intel 290562, section 11.5) and ICH9 (Intel 316972, 18.2) on
 * a bus where no device answers: each transaction ends at once with DEV_ERR.
 */
#ifndef DUODM_DM_PCI_PIIX4_SMBUS_H
#define DUODM_DM_PCI_PIIX4_SMBUS_H

#include "dm/irq.h"
#include "memory/region.h"

#define PIIX4_SMBUS_PORTS 16

struct piix4_smbus {
    uint8_t status, slave_status, control, command, address, data0, data1;
    struct memory_region ports;
    struct irq_line interrupt; /* high while an enabled interrupt's status is set */
};

/* count: of ports, at least 8. */
void piix4_smbus_init(struct piix4_smbus *smbus, unsigned count, struct access_guard *guard);
void piix4_smbus_reset(struct piix4_smbus *smbus);

#endif
