/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IA-PC HPET 1.0a: a 64-bit counter of 100 MHz and 3 to 32 timers, at the address of property
 * "base" (fed00000h). Timers drive machine->gsi[], or gsi[0] and gsi[8] (through the 8259's and the
 * IOAPIC's usual wiring) in legacy replacement. Maps itself when realised.
 */
#ifndef DUODM_DM_TIMER_HPET_H
#define DUODM_DM_TIMER_HPET_H

#include "dm/device.h"

#define HPET_DEFAULT_BASE 0xfed00000u
#define HPET_PERIOD_FS    10000000u /* femtoseconds per count */

extern const struct device_class hpet_class;

/* Lines that are high while legacy replacement is on: 0 to i8254_set_disconnected, 1 to
 * mc146818_set_disconnected. Set by the board. */
void hpet_set_legacy_output(struct device *hpet, unsigned index, struct irq_line line);

#endif
