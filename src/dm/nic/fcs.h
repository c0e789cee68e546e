/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The frame check sequence of Ethernet (IEEE 802.3, 3.2.9), which also is what hashes of multicast
 * addresses are cut out of. Eight bytes at a time. */
#ifndef DUODM_DM_NIC_FCS_H
#define DUODM_DM_NIC_FCS_H

#include <stddef.h>
#include <stdint.h>

struct fcs_tables {
    uint32_t entries[8][256];
};

void fcs_tables_init(struct fcs_tables *tables);
/* As a number whose least significant byte goes first on the wire. */
uint32_t fcs_of(const struct fcs_tables *tables, const uint8_t *data, size_t length);
/* The CRC of an address with its bits in the order of transmission, as hash filters use it. */
uint32_t fcs_hash(const uint8_t address[6]);

#endif
