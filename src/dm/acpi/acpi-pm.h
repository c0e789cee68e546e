/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ACPI fixed hardware that a chipset offers (ACPI 6.4, 4.8): PM1 event and control registers,
 * the PM timer and one general-purpose event block, with the system control interrupt they raise.
 * Its owner maps the registers, and calls in with its guard held.
 */
#ifndef DUODM_DM_ACPI_ACPI_PM_H
#define DUODM_DM_ACPI_ACPI_PM_H

#include "dm/clock.h"
#include "dm/irq.h"

#include <stdbool.h>
#include <stdint.h>

#define ACPI_PM_TIMER_HZ 3579545u

/* PM1 status and enable, tables 4-15 and 4-16. */
#define ACPI_PM1_TIMER        0x0001u
#define ACPI_PM1_GLOBAL       0x0020u
#define ACPI_PM1_POWER_BUTTON 0x0100u
#define ACPI_PM1_RTC          0x0400u
#define ACPI_PM1_WAKE_STATUS  0x8000u
#define ACPI_PM1_ENABLES      (ACPI_PM1_TIMER | ACPI_PM1_GLOBAL | ACPI_PM1_POWER_BUTTON | ACPI_PM1_RTC)
/* PM1 control, table 4-17. */
#define ACPI_PM1_SCI_ENABLE   0x0001u
#define ACPI_PM1_SLEEP_TYPE   0x1c00u
#define ACPI_PM1_SLEEP_SHIFT  10
#define ACPI_PM1_SLEEP_ENABLE 0x2000u /* write only */

struct machine;

struct acpi_pm {
    struct machine *machine;
    struct irq_line sci;
    uint8_t timer_bits; /* 24 or 32 */
    uint8_t s5_type;    /* SLP_TYP that turns the machine off */
    uint16_t pm1_status, pm1_enable, pm1_control;
    uint16_t gpe_status, gpe_enable;
    uint64_t overflow_tick; /* tick of the timer at which TMR_STS is set next */
    struct clock_timer overflow;
};

void acpi_pm_init(struct acpi_pm *pm, struct machine *machine, struct access_guard *guard);
void acpi_pm_destroy(struct acpi_pm *pm);
void acpi_pm_reset(struct acpi_pm *pm);

/* Registers, of their natural size. Status bits are cleared by writing ones. */
uint16_t acpi_pm_read_status(struct acpi_pm *pm);
void acpi_pm_write_status(struct acpi_pm *pm, uint16_t value);
void acpi_pm_write_enable(struct acpi_pm *pm, uint16_t value);
/* Sleep type and SLP_EN may turn the machine off. SCI_EN can't be written here. */
void acpi_pm_write_control(struct acpi_pm *pm, uint16_t value);
uint32_t acpi_pm_read_timer(struct acpi_pm *pm);
void acpi_pm_write_gpe_status(struct acpi_pm *pm, uint16_t value);
void acpi_pm_write_gpe_enable(struct acpi_pm *pm, uint16_t value);

/*
 * The same as a block of ports, as PIIX4 and ICH9 begin with: PM1 status and enable at 0, control
 * at 4, timer at 8. Whole double words, of which a write changes the bits in mask.
 */
#define ACPI_PM_BLOCK_END 0x0cu
uint32_t acpi_pm_block_read(struct acpi_pm *pm, unsigned offset);
void acpi_pm_block_write(struct acpi_pm *pm, unsigned offset, uint32_t mask, uint32_t value);

/* Hand over between firmware and ACPI: SCI_EN. */
void acpi_pm_set_sci_enable(struct acpi_pm *pm, bool enable);
void acpi_pm_press_power_button(struct acpi_pm *pm);
/* Raise general-purpose event n (0..15): hotplug. */
void acpi_pm_raise_gpe(struct acpi_pm *pm, unsigned n);

/* After the fields were loaded: drive SCI, arm the timer. */
void acpi_pm_update(struct acpi_pm *pm);

#endif
