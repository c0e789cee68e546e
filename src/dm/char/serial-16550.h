/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 16550A UART (National Semiconductor PC16550D) on the ISA bus: device class "isa-serial". */
#ifndef DUODM_DM_CHAR_SERIAL_16550_H
#define DUODM_DM_CHAR_SERIAL_16550_H

#include "dm/chardev.h"
#include "dm/clock.h"
#include "dm/device.h"

#define SERIAL_FIFO_SIZE 16
#define SERIAL_MAX       4 /* ports that a PC has addresses for */

/* Registers as the datasheet names them; the guard of the device protects all. */
struct serial_16550 {
    struct device device;
    struct memory_region region;
    struct chardev *chardev; /* property; NULL: the line ends nowhere */
    struct chardev_frontend frontend;
    uint32_t index, iobase, irq; /* properties; UINT32_MAX: chosen by index, index by order */

    uint8_t ier, fcr, lcr, mcr, msr, scr;
    uint8_t lsr_errors; /* OE, PE, FE, BI as LSR shows them */
    uint16_t divisor;
    bool thre_pending;    /* the THRE interrupt, until it is read from IIR or THR is written */
    bool timeout_pending; /* characters wait in the FIFO and nobody reads them */
    bool irq_level;       /* of the interrupt line */
    bool input_blocked;   /* the chardev was told that there is no room */
    uint8_t rx_data[SERIAL_FIFO_SIZE], rx_errors[SERIAL_FIFO_SIZE]; /* rings */
    uint8_t rx_start, rx_count;
    uint8_t tx_data[SERIAL_FIFO_SIZE]; /* what the chardev has not taken yet, oldest first */
    uint8_t tx_count;
    struct clock_timer timeout;
};

extern const struct device_class serial_16550_class;

#endif
