/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Config space headers: type 0, PCI Local Bus 3.0, chapter 6; type 1, PCI-to-PCI Bridge 1.2, 3.2.
 */
#ifndef DUODM_DM_PCI_PCI_REGS_H
#define DUODM_DM_PCI_PCI_REGS_H

#define PCI_VENDOR_ID           0x00
#define PCI_DEVICE_ID           0x02
#define PCI_COMMAND             0x04
#define PCI_STATUS              0x06
#define PCI_REVISION_ID         0x08
#define PCI_CLASS_CODE          0x09 /* 3 bytes: interface, subclass, base class */
#define PCI_CACHE_LINE_SIZE     0x0c
#define PCI_LATENCY_TIMER       0x0d
#define PCI_HEADER_TYPE         0x0e
#define PCI_BASE_ADDRESS_0      0x10
#define PCI_SUBSYSTEM_VENDOR_ID 0x2c
#define PCI_SUBSYSTEM_ID        0x2e
#define PCI_ROM_ADDRESS         0x30
#define PCI_CAPABILITY_LIST     0x34
#define PCI_INTERRUPT_LINE      0x3c
#define PCI_INTERRUPT_PIN       0x3d
#define PCI_HEADER_END          0x40 /* device-specific from here */

/* Header type 1, where it differs. */
#define PCI_PRIMARY_BUS         0x18
#define PCI_SECONDARY_BUS       0x19
#define PCI_SUBORDINATE_BUS     0x1a
#define PCI_IO_BASE             0x1c
#define PCI_IO_LIMIT            0x1d
#define PCI_SECONDARY_STATUS    0x1e
#define PCI_MEMORY_BASE         0x20
#define PCI_MEMORY_LIMIT        0x22
#define PCI_PREFETCH_BASE       0x24
#define PCI_PREFETCH_LIMIT      0x26
#define PCI_PREFETCH_BASE_HIGH  0x28
#define PCI_PREFETCH_LIMIT_HIGH 0x2c
#define PCI_IO_BASE_HIGH        0x30 /* and the limit's, at 0x32 */
#define PCI_BRIDGE_ROM_ADDRESS  0x38
#define PCI_BRIDGE_CONTROL      0x3e

/* Windows: the low four bits of base and limit say their width. */
#define PCI_WINDOW_WIDTH 0x0f
#define PCI_WINDOW_64    0x01

/* Bridge control register, 3.2.5.18. */
#define PCI_BRIDGE_PARITY       0x0001
#define PCI_BRIDGE_SERR         0x0002
#define PCI_BRIDGE_ISA          0x0004
#define PCI_BRIDGE_VGA          0x0008
#define PCI_BRIDGE_VGA_16       0x0010
#define PCI_BRIDGE_MASTER_ABORT 0x0020
#define PCI_BRIDGE_RESET        0x0040

/* Command register, 6.2.2. */
#define PCI_COMMAND_IO                0x0001
#define PCI_COMMAND_MEMORY            0x0002
#define PCI_COMMAND_MASTER            0x0004
#define PCI_COMMAND_PARITY            0x0040
#define PCI_COMMAND_SERR              0x0100
#define PCI_COMMAND_INTERRUPT_DISABLE 0x0400

/* Status register, 6.2.3. */
#define PCI_STATUS_INTERRUPT     0x0008
#define PCI_STATUS_CAPABILITIES  0x0010
#define PCI_STATUS_FAST_BACK     0x0080
#define PCI_STATUS_DEVSEL_MEDIUM 0x0200
#define PCI_STATUS_ERRORS        0xf900 /* cleared by writing ones */

#define PCI_CAP_POWER     0x01 /* capability IDs */
#define PCI_CAP_MSI       0x05
#define PCI_CAP_VENDOR    0x09
#define PCI_CAP_SUBSYSTEM 0x0d
#define PCI_CAP_EXPRESS   0x10
#define PCI_CAP_MSIX      0x11

#define PCI_HEADER_BRIDGE        0x01
#define PCI_HEADER_MULTIFUNCTION 0x80

/* Base address registers, 6.2.5.1. */
#define PCI_BAR_IO           0x1
#define PCI_BAR_64           0x4
#define PCI_BAR_PREFETCHABLE 0x8

#define PCI_ROM_ENABLE 0x1 /* expansion ROM base address register, 6.2.5.2 */

#endif
