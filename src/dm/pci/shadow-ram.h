/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PAM registers of a host bridge, which decide between RAM and PCI from C0000h to FFFFFh, and
 * SMRAM, which does so for A0000h. 82441FX (Intel 290549, 3.2.20, 3.2.27) and the Q35 MCH (Intel
 * 316966, 5.1.19 to 5.1.26) have the same registers at different offsets.
 */
#ifndef DUODM_DM_PCI_SHADOW_RAM_H
#define DUODM_DM_PCI_SHADOW_RAM_H

#include "dm/pci/pci.h"

#define SHADOW_SEGMENTS 13
#define SHADOW_PAMS     7u /* registers, PAM0 to PAM6 */

/* A piece of memory that one nibble of a PAM register controls. */
struct shadow_segment {
    struct shadow_ram *shadow;
    uint32_t start, size;
    struct memory_region pci;        /* 0: reads and writes go to PCI */
    struct memory_region read_only;  /* RE: RAM, writes go to PCI, where ROM drops them */
    struct memory_region write_only; /* WE: writes go to RAM, reads come from PCI */
};

/* Embedded in the host bridge, whose config space has the registers. */
struct shadow_ram {
    struct pci_device *bridge;
    unsigned pam, smram; /* offsets of PAM0 and SMRAM in config space */
    struct shadow_segment segments[SHADOW_SEGMENTS];
    struct memory_region smram_hole; /* A0000h shows PCI while SMRAM is closed */
    struct address_space pci_memory; /* what the PCI side answers, for write-only segments */
};

/* In realize, inside a topology transaction: registers and regions. */
void shadow_ram_init(struct shadow_ram *shadow, struct pci_device *bridge, unsigned pam,
                     unsigned smram);
void shadow_ram_destroy(struct shadow_ram *shadow);
/* After a reset, or when config space was loaded. */
void shadow_ram_update(struct shadow_ram *shadow);
/* After a write to config space, if it met one of the registers. */
void shadow_ram_written(struct shadow_ram *shadow, unsigned offset, unsigned length);

#endif
