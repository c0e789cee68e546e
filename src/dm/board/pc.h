/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The boards "pc" (i440FX, PIIX3, PIIX4 PM) and "q35" (82Q35 MCH, ICH9), and what both have around
 * their chipsets.
 *
 *     00000000 RAM, up to max-ram-below-4g     000a0000 hole (VGA)
 *     000c0000 shadow RAM or PCI, by PAM       000e0000 BIOS ROM or RAM
 *     e0000000 PCI window (q35: c0000000)      fec00000 IOAPIC
 *     fed00000 HPET                            fee00000 local APICs, MSI
 *     b0000000 config space (q35)
 *     top of 4 GiB: BIOS ROM                  100000000 RAM, then the 64-bit PCI window
 */
#ifndef DUODM_DM_BOARD_PC_H
#define DUODM_DM_BOARD_PC_H

#include "dm/boot/e820.h"
#include "dm/machine.h"
#include "dm/pci/pci.h"

#define PC_RAM_BELOW_4G_MAX 0xf0000000u
#define PC_PCI_WINDOW_END   0xfec00000u
#define PC_IO_WINDOW_START  0xc000u
#define PC_IO_WINDOW_SIZE   0x4000u
#define PC_PM_BASE          0x600u
#define PC_EQUIPMENT        0x06 /* CMOS 14h: coprocessor, keyboard; no diskette */

extern const struct board_class pc_board;
extern const struct board_class q35_board;
extern const struct board_class xenfv_board; /* xenfv.c: pc under xen, with Xen's own device */

struct pc_options {
    uint64_t max_ram_below_4g; /* bytes; 0: what is usual under the engine */
};

struct pc;
struct acpi_chipset;

/* In what boards differ. */
struct pc_chipset {
    const char *product;            /* as SMBIOS names the machine */
    uint64_t ram_below_4g;          /* the most there can be, in bytes */
    uint64_t ram_below_4g_attached; /* the same where an engine attaches to a guest; 0: it can't */
    struct range ecam;              /* where config space is in memory; length 0: nowhere */
    uint64_t window_start;          /* of the PCI window that ends at PC_PCI_WINDOW_END */
    unsigned pam;                   /* PAM0 to PAM6 in the host bridge's config space */
    pci_line_map_fn line_map;
    const struct acpi_chipset *acpi;
    /* Make pc->pci_bus, and the functions of the chipset on it. */
    bool (*create)(struct pc *pc, GError **error);
    /* Have them decode what firmware would switch on. opaque is the pc. */
    void (*enable)(void *opaque);
};

/* What boards are made of: as in struct board_class. */
bool pc_create_with(struct machine *machine, const void *options, const struct pc_chipset *chipset,
                    GError **error);
bool pc_create(struct machine *machine, const void *options, GError **error); /* pc, xenfv */
bool pc_complete(struct machine *machine, GError **error);
void pc_describe(struct machine *machine, struct device_tree *tree);
extern const struct property pc_properties[];

/* The board as it is made, for the files pc*.c. Freed by a cleanup of the machine. */
struct pc {
    struct machine *machine;
    const struct pc_chipset *chipset;
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

/* A function of the chipset, at an address of pc->pci_bus. */
struct pci_device *pc_create_function(struct pc *pc, const char *class_name, const char *address,
                                      bool multifunction, GError **error);
/* The reset control register, for the host bridge; NULL with an error. */
struct memory_region *pc_create_reset_port(struct pc *pc, GError **error);
/* CMOS bytes that firmware looks for. pc-firmware.c. */
void pc_fill_cmos(struct pc *pc);
/* Load -kernel, or else the BIOS. */
bool pc_load_firmware(struct pc *pc, GError **error);

#endif
