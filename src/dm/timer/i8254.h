/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 8254 programmable interval timer, ports 40h..43h, and port 61h (gate of channel 2, speaker data,
 * refresh toggle, OUT2). OUT0 drives machine->gsi[0]. Maps itself when realised.
 */
#ifndef DUODM_DM_TIMER_I8254_H
#define DUODM_DM_TIMER_I8254_H

#include "dm/device.h"

#define I8254_FREQUENCY 1193182u /* Hz: 14.31818 MHz / 12 */

extern const struct device_class i8254_class;

/* irq_handler_fn; opaque is the device. High takes OUT0 off machine->gsi[0], as the HPET's legacy
 * replacement does; low puts it back. Any thread. */
void i8254_set_disconnected(void *pit, unsigned number, bool level);

#endif
