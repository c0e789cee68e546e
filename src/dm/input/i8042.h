/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 8042 keyboard controller of the PS/2 at ports 60h and 64h, with a keyboard and a mouse. The
 * logic stands alone, without a machine, so that it can be tested; the device wires it.
 */
#ifndef DUODM_DM_INPUT_I8042_H
#define DUODM_DM_INPUT_I8042_H

#include "dm/device.h"
#include "dm/input/ps2.h"

#define I8042_RAM_SIZE 32u

struct i8042 {
    struct device device;
    struct memory_region data_port, command_port;
    struct irq_line irqs[2];           /* keyboard, mouse */
    struct irq_line a20;               /* output port bit 1 */
    void (*pulse_reset)(void *opaque); /* output port bit 0 went low */
    void *opaque;

    struct input_handler keyboard_input, mouse_input;

    struct ps2_device keyboard, mouse;
    bool translating_break;      /* F0h came, which translation turns into a bit of the next code */
    uint8_t status;              /* bits 0 (output full), 2 (system flag), 3, 5 (from mouse) */
    uint8_t output;              /* output buffer */
    uint8_t ram[I8042_RAM_SIZE]; /* byte 0 is the command byte */
    uint8_t output_port;
    uint8_t pending; /* command that waits for its data byte; 0: none */
    bool has_reply;  /* the controller's own answer waits for the output buffer */
    bool reply_from_mouse;
    uint8_t reply;
};

/* The logic, within the guard: power-on state, port 60h (data), port 64h (status, commands). */
void i8042_power_on(struct i8042 *i8042);
uint8_t i8042_read_data(struct i8042 *i8042);
void i8042_write_data(struct i8042 *i8042, uint8_t value);
uint8_t i8042_read_status(struct i8042 *i8042);
void i8042_write_command(struct i8042 *i8042, uint8_t command);

/* What struct input_handler is called with: into the queue of the keyboard, or of the mouse. */
void i8042_keyboard_event(struct i8042 *i8042, const struct input_event *event);
void i8042_mouse_event(struct i8042 *i8042, const struct input_event *event);
void i8042_mouse_sync(struct i8042 *i8042);

extern const struct device_class i8042_class; /* "i8042" */

#endif
