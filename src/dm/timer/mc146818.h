/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MC146818 real-time clock with 128 bytes of CMOS RAM, ports 70h and 71h (72h and 73h are the same
 * RAM through another index). Its interrupt drives machine->gsi[8]. Maps itself when realised.
 */
#ifndef DUODM_DM_TIMER_MC146818_H
#define DUODM_DM_TIMER_MC146818_H

#include "dm/device.h"

#define MC146818_CMOS_SIZE 128

extern const struct device_class mc146818_class;

/* Fill a byte of CMOS RAM, 0eh..7fh but the century at 32h (others are ignored). It keeps its value
 * over resets. For boards, while no vCPU runs or inside the device's guard. */
void mc146818_set_cmos(struct device *rtc, unsigned index, uint8_t value);

/* irq_handler_fn; opaque is the device. High takes the interrupt off machine->gsi[8], as the HPET's
 * legacy replacement does; low puts it back. Any thread. */
void mc146818_set_disconnected(void *rtc, unsigned number, bool level);

#endif
