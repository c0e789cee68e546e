/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frame information structures (Serial ATA 3.1, 10.3), and where AHCI 1.3.1 has them in memory. */
#ifndef DUODM_DM_ATA_AHCI_FIS_H
#define DUODM_DM_ATA_AHCI_FIS_H

#define FIS_HOST_TO_DEVICE 0x27u
#define FIS_DEVICE_TO_HOST 0x34u
#define FIS_SET_BITS       0xa1u
#define FIS_PIO_SETUP      0x5fu

#define FIS_COMMAND   0x80u /* byte 1 of host to device: the command register was written */
#define FIS_INTERRUPT 0x40u /* byte 1 of device to host */
#define FIS_TO_HOST   0x20u /* byte 1 of PIO setup: direction */

/* Received FIS structure: 4.2.1. */
#define RECEIVED_PIO_SETUP 0x20u
#define RECEIVED_REGISTERS 0x40u
#define RECEIVED_SET_BITS  0x58u

/* Command header: 4.2.2. */
#define HEADER_SIZE        32u
#define HEADER_LENGTH_MASK 0x001fu /* of the command FIS, in 4 bytes */
#define HEADER_ATAPI       0x0020u
#define HEADER_CLEAR_BUSY  0x0400u
#define HEADER_COUNT       4u /* offset: bytes that were moved */
#define HEADER_TABLE       8u /* offset: address of the command table */

/* Command table: 4.2.3. */
#define TABLE_FIS     0x00u
#define TABLE_PACKET  0x40u
#define TABLE_REGIONS 0x80u
#define FIS_SIZE      20u /* of host to device */
#define REGION_SIZE   16u
#define REGION_COUNT  12u       /* offset */
#define REGION_LENGTH 0x3fffffu /* bytes - 1 */

#endif
