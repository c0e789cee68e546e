/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The APM control and status ports of PIIX4 and ICH9, B2h and B3h. The operating system writes the
 * FADT's ACPI_ENABLE and ACPI_DISABLE to SMI_CMD; what firmware's SMI handler would do then is done
 * here.
 */
#ifndef DUODM_DM_ACPI_APM_PORTS_H
#define DUODM_DM_ACPI_APM_PORTS_H

#include "dm/acpi/acpi-pm.h"
#include "memory/region.h"

/* Embedded in the chipset's function; its guard protects it, and it saves the registers. */
struct apm_ports {
    struct acpi_pm *pm;
    struct memory_region ports;
    uint8_t control, status; /* APMC, APMS */
};

/* Map the ports into an I/O space. */
void apm_ports_init(struct apm_ports *apm, struct acpi_pm *pm, struct memory_region *io,
                    struct access_guard *guard);
void apm_ports_destroy(struct apm_ports *apm);
void apm_ports_reset(struct apm_ports *apm);

#endif
