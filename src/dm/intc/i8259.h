/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two 8259A in cascade, ports 20h/21h, a0h/a1h, ELCR at 4d0h/4d1h. */
#ifndef DUODM_DM_INTC_I8259_H
#define DUODM_DM_INTC_I8259_H

#include "dm/device.h"

struct i8259_pair;

/* struct i8259_pair begins with struct device. Maps itself when realised; sets machine->pic. */
extern const struct device_class i8259_class;

void i8259_set_input(void *pic, unsigned irq, bool level); /* irq_handler_fn; any thread */
/* INTA cycle: the vector, spurious (IRQ7's or IRQ15's) if nothing is pending. */
uint8_t i8259_acknowledge(struct i8259_pair *pic);
bool i8259_has_interrupt(struct i8259_pair *pic);
/* Where the INTR output goes (LINT0 of the BSP). */
void i8259_set_output(struct i8259_pair *pic, struct irq_line output);

#endif
