/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is left of a BIOS when there is none: 64 KiB for F0000h-FFFFFh with handlers for the
 * real-mode interrupt vectors and a reset entry, for kernels that are loaded directly.
 */
#ifndef DUODM_DM_FIRMWARE_BIOS_STUB_H
#define DUODM_DM_FIRMWARE_BIOS_STUB_H

#include <stdint.h>

#define BIOS_STUB_SIZE    0x10000u
#define BIOS_STUB_ADDRESS 0xf0000u
/* From here on, up to BIOS_STUB_TABLES_END, the stub leaves room for what a scan of the segment
 * looks for. Offsets in the segment. */
#define BIOS_STUB_TABLES     0x0000u
#define BIOS_STUB_TABLES_END 0xe000u

/* Fill a segment of BIOS_STUB_SIZE bytes. */
void bios_stub_make_segment(uint8_t *segment);
/* Fill the first 1280 bytes of memory: interrupt vectors, BIOS data area. equipment as in CMOS
 * 14h; ticks since midnight, 18.2 a second. */
#define BIOS_STUB_LOW_SIZE 0x500u
void bios_stub_make_low_memory(uint8_t *memory, unsigned serial_mask, uint8_t equipment,
                               uint32_t ticks);

#endif
