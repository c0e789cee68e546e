/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel that is loaded directly finds the machine as firmware would have left it. This does a
 * BIOS's work at each reset, through the same registers, then starts the boot processor in the
 * kernel.
 */
#ifndef DUODM_DM_FIRMWARE_FIRMWARE_STATE_H
#define DUODM_DM_FIRMWARE_FIRMWARE_STATE_H

#include "dm/acpi/acpi-tables.h"
#include "dm/boot/boot-plan.h"
#include "dm/machine.h"
#include "dm/pci/pci.h"

struct firmware_config {
    struct machine *machine;
    struct pci_bus *pci_bus;
    struct pci_device *host_bridge;
    unsigned pam; /* PAM0 to PAM6 in its config space */
    pci_line_map_fn line_map;
    /* Have the rest of the chipset decode what firmware would switch on. */
    void (*enable_chipset)(void *opaque);
    void *opaque;
    struct range pci_window_32, pci_window_64, pci_window_io;
    unsigned serial_mask;
    uint8_t equipment; /* as CMOS 14h has it */
};

/* The ISA interrupts that lines of PCI are routed to. */
extern const uint8_t firmware_pirq_routes[PCI_LINES];

struct firmware_state;

/* tables are placed by this (NULL: no ACPI); smbios comes with its anchor's numbers. Nothing is
 * kept of them. */
struct firmware_state *firmware_state_new(const struct firmware_config *config,
                                          struct acpi_tables *tables, const GByteArray *smbios,
                                          unsigned smbios_count, unsigned smbios_largest,
                                          GError **error);
void firmware_state_free(struct firmware_state *state);
/* Where the ACPI root pointer is; 0: there is none. */
uint64_t firmware_state_rsdp(const struct firmware_state *state);
/* 64 KiB for the ROM at the end of the first MiB and of the first 4 GiB. */
const uint8_t *firmware_state_segment(const struct firmware_state *state);
/* The kernel to start. Takes it over. */
void firmware_state_set_plan(struct firmware_state *state, struct boot_plan *plan);
/* A reset handler: opaque is the firmware_state. */
void firmware_state_reset(void *opaque);

#endif
