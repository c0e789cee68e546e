/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Board "microvm": what a Linux kernel needs to start quickly, and nothing else. It has no PCI and
 * no firmware: the kernel is entered directly.
 *
 *     00000000 RAM, up to 3 GiB          fea00000 power registers (acpi-ged.h)
 *     fec00000 IOAPIC                    feb00000 virtio-mmio slots, 200h bytes each
 *     fee00000 local APICs, MSI         100000000 RAM
 *
 * ports: 70h RTC, 3F8h COM1, 2F8h COM2, 510h fw_cfg, 40h PIT, 20h and A0h 8259s
 *
 * With ACPI (the default) it is of the hardware-reduced kind, has no 8259s, and the slots'
 * interrupts are GSIs 16 to 23. Without, an MP table tells of the IOAPIC, the slots' interrupts are
 * those of the ISA bus that nobody else has, and the kernel's command line says where devices are.
 */
#ifndef DUODM_DM_BOARD_MICROVM_H
#define DUODM_DM_BOARD_MICROVM_H

#include "dm/machine.h"

#define MICROVM_SERIALS          2u
#define MICROVM_RAM_BELOW_4G_MAX 0xc0000000u
#define MICROVM_VIRTIO_ADDRESS   0xfeb00000u
#define MICROVM_VIRTIO_SIZE      0x200u
#define MICROVM_VIRTIO_SLOTS     8u
#define MICROVM_VIRTIO_GSI       16u /* of slot 0, with ACPI */

extern const struct board_class microvm_board;

#endif
