/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The map of physical memory as PC firmware reports it (ACPI 6.5, 15: INT 15h, AX=E820h). */
#ifndef DUODM_DM_BOOT_E820_H
#define DUODM_DM_BOOT_E820_H

#include <stdint.h>

enum e820_type {
    E820_RAM = 1,
    E820_RESERVED = 2,
    E820_ACPI = 3,
    E820_NVS = 4,
};

struct e820_entry {
    uint64_t start;  /* guest physical address */
    uint64_t length; /* bytes */
    uint32_t type;   /* enum e820_type */
};

#define E820_MAX_ENTRIES 16
/* One entry as guests have it: start, length, type, packed. */
#define E820_ENTRY_SIZE 20u

struct e820_map {
    unsigned count;
    struct e820_entry entries[E820_MAX_ENTRIES]; /* sorted, without overlap */
};

#define E820_LOW_RAM_END   0x9fc00u  /* the extended BIOS data area is above */
#define E820_VGA_START     0xa0000u  /* no RAM from here */
#define E820_SYSTEM_START  0xe0000u  /* firmware tables and code */
#define E820_HIGH_START    0x100000u /* RAM goes on here */
#define E820_FOUR_GIB      0x100000000ull
#define E820_BIOS_TABLES   0xfc000000u /* hvmloader's, to 4 GiB */
#define E820_FIRMWARE_SIZE 0x40000u    /* reserved for it below 4 GiB */

/* What a kernel is told that is loaded without a BIOS. */
void e820_map_for_kernel(struct e820_map *map, uint64_t ram_below_4g, uint64_t ram_above_4g);
/* The same under hvmloader's BIOS, which has its tables and Xen's pages below 4 GiB. */
void e820_map_for_bios_kernel(struct e820_map *map, uint64_t ram_below_4g, uint64_t ram_above_4g);
/* What a BIOS is told in the fw_cfg file etc/e820: where RAM is, no more. */
void e820_map_for_firmware(struct e820_map *map, uint64_t ram_below_4g, uint64_t ram_above_4g);
/* Take a range that no entry meets out of what others may use. */
void e820_map_reserve(struct e820_map *map, uint64_t start, uint64_t length);
/* Pack into count * E820_ENTRY_SIZE bytes. */
void e820_map_pack(const struct e820_map *map, uint8_t *out);

#endif
