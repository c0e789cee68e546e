/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Power of a machine with hardware-reduced ACPI: the registers of a Generic Event Device (ACPI 6.5,
 * 5.6.9), whose interrupt and registers the DSDT names, and the sleep and reset registers that the
 * FADT names (4.8.3.7, 4.8.3.6).
 */
#ifndef DUODM_DM_ACPI_ACPI_GED_H
#define DUODM_DM_ACPI_ACPI_GED_H

#include "dm/device.h"

#define ACPI_GED_ADDRESS   0xfea00000u
#define ACPI_GED_INTERRUPT 9u /* GSI; level, high while events wait */

/* Registers, offsets in bytes. */
#define ACPI_GED_EVENTS        0x00u /* 4 bytes; reading clears them */
#define ACPI_GED_SLEEP_CONTROL 0x04u
#define ACPI_GED_SLEEP_STATUS  0x05u
#define ACPI_GED_RESET         0x06u
#define ACPI_GED_SIZE          0x08u

#define ACPI_GED_EVENT_POWER_BUTTON 0x01u
#define ACPI_GED_RESET_VALUE        0x42u /* what RESET takes for a reset */
#define ACPI_GED_SLEEP_TYPE_OFF     5u    /* SLP_TYPx of \_S5 */

extern const struct device_class acpi_ged_class; /* "acpi-ged" */

#endif
