/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 82093AA IOAPIC, version 20h (with EOI register), 24 inputs, at 0xfec00000. */
#ifndef DUODM_DM_INTC_IOAPIC_H
#define DUODM_DM_INTC_IOAPIC_H

#include "dm/device.h"

#define IOAPIC_DEFAULT_BASE 0xfec00000u

struct ioapic;

/* struct ioapic begins with struct device. Property "base". Maps itself when realised; sets
 * machine->ioapic. */
extern const struct device_class ioapic_class;

/* A line carries "asserted", whatever the polarity that the guest programs: the board's wiring
 * agrees with what firmware tables tell the guest. */
void ioapic_set_input(void *ioapic, unsigned pin, bool level); /* irq_handler_fn; any thread */
/* EOI broadcast of a level-triggered vector. */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);

#endif
