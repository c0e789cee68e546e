/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Board "pc": i440FX, PIIX3, PIIX4 PM, and what a PC has around them.
 *
 *     00000000 RAM, up to max-ram-below-4g     000a0000 hole (VGA)
 *     000c0000 shadow RAM or PCI, by PAM       000e0000 BIOS ROM or RAM
 *     e0000000 PCI window                      fec00000 IOAPIC
 *     fed00000 HPET                            fee00000 local APICs, MSI
 *     top of 4 GiB: BIOS ROM                  100000000 RAM, then the 64-bit PCI window
 */
#ifndef DUODM_DM_BOARD_PC_H
#define DUODM_DM_BOARD_PC_H

#include "dm/boot/e820.h"
#include "dm/machine.h"
#include "dm/pci/pci.h"

#define PC_RAM_BELOW_4G_MAX 0xf0000000u
#define PC_PCI_WINDOW_START 0xe0000000u
#define PC_PCI_WINDOW_END   0xfec00000u
#define PC_IO_WINDOW_START  0xc000u
#define PC_IO_WINDOW_SIZE   0x4000u
#define PC_PM_BASE          0x600u
#define PC_EQUIPMENT        0x06 /* CMOS 14h: coprocessor, keyboard; no diskette */

extern const struct board_class pc_board;
extern const struct board_class xenfv_board; /* xenfv.c: pc under xen, with Xen's own device */

struct pc_options {
    uint64_t max_ram_below_4g; /* bytes; 0: what is usual under the engine */
};

/* What both make: as in struct board_class. */
bool pc_create(struct machine *machine, const void *options, GError **error);
bool pc_complete(struct machine *machine, GError **error);
extern const struct property pc_properties[];

/* The board as it is made, for the files pc*.c. Freed by a cleanup of the machine. */
struct pc {
    struct machine *machine;
    struct memory_region ram_low, ram_high; /* aliases of machine->ram */
    struct memory_region pci_memory;        /* what PCI answers, under everything else */
    struct memory_region msi_window;
    struct memory_region rom, rom_low; /* at the end of 4 GiB; its last 128 KiB below 1 MiB */
    bool has_rom;
    struct pci_bus *pci_bus;
    struct pci_device *host_bridge, *isa_bridge, *ide, *power_management;
    struct device *rtc;
    unsigned resets; /* so far, counted where -boot once= was given */
    struct range pci_window_32, pci_window_64;
    unsigned serial_mask;                  /* bit n: port n is there */
    struct firmware_state *firmware_state; /* NULL: a BIOS runs */
};

/* CMOS bytes that firmware looks for. pc-firmware.c. */
void pc_fill_cmos(struct pc *pc);
/* Load -kernel, or else the BIOS. */
bool pc_load_firmware(struct pc *pc, GError **error);

#endif
