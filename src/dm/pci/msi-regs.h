/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The capabilities of MSI (PCI 3.0, 6.8.1) and MSI-X (6.8.2): offsets in them, bits. */
#ifndef DUODM_DM_PCI_MSI_REGS_H
#define DUODM_DM_PCI_MSI_REGS_H

#define MSI_CONTROL      2
#define MSI_ENABLE       0x0001u
#define MSI_CAPABLE      1 /* shift: log2 of the vectors that the function has */
#define MSI_CAPABLE_MASK 0x000eu
#define MSI_ALLOWED      4 /* shift: log2 of those that the guest allows */
#define MSI_ALLOWED_MASK 0x0070u
#define MSI_64           0x0080u
#define MSI_CAN_MASK     0x0100u
#define MSI_ADDRESS      4
#define MSI_ADDRESS_HIGH 8

#define MSIX_CONTROL   2
#define MSIX_ENABLE    0x8000u
#define MSIX_MASK_ALL  0x4000u
#define MSIX_SIZE_MASK 0x07ffu
#define MSIX_TABLE     4
#define MSIX_PENDING   8
#define MSIX_BAR_MASK  7u

/* An entry of the table. */
#define MSIX_ENTRY_SIZE    16u
#define MSIX_ENTRY_DATA    8
#define MSIX_ENTRY_CONTROL 12
#define MSIX_ENTRY_MASKED  1u

/* Interrupt messages go to the local APICs, SDM vol. 3, 11.11. */
#define MSI_WINDOW      UINT64_C(0xfee00000)
#define MSI_WINDOW_SIZE UINT64_C(0x100000)

#endif
