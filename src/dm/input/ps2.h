/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PS/2 keyboard and mouse as the wire sees them: bytes in, answers and reports out (IBM PS/2
 * Hardware Interface Technical Reference, "Keyboard" and "Mouse"; wheel and five buttons as
 * Microsoft's IntelliMouse and IntelliMouse Explorer report them).
 */
#ifndef DUODM_DM_INPUT_PS2_H
#define DUODM_DM_INPUT_PS2_H

#include "dm/input/input.h"

#define PS2_QUEUE_SIZE 256u
/* Of them, what reports leave free for answers to commands. */
#define PS2_QUEUE_RESERVE 16u

struct ps2_device {
    bool is_mouse;
    uint8_t queue[PS2_QUEUE_SIZE]; /* to the controller */
    uint8_t head;                  /* index of the first */
    uint16_t count;                /* bytes */
    uint8_t pending;               /* command that waits for its parameter; 0: none */
    uint8_t last;                  /* byte sent last, for "resend" */
    bool enabled;                  /* scanning, or data reporting */
    /* Keyboard. */
    uint8_t scan_set; /* 1..3 */
    uint8_t leds, typematic;
    bool alt_down;          /* Print Screen is then SysRq */
    uint8_t set3_break[32]; /* bit n: the key of set 3 code n sends a break code */
    /* Mouse. */
    uint8_t sample_rate, resolution;
    bool scaling, remote, wrap;
    uint8_t id;         /* 0: standard, 3: wheel, 4: wheel and five buttons */
    uint8_t rates[2];   /* the two sample rates set before: the knock that changes id */
    uint8_t buttons;    /* bits as the packets have them, 3 and 4: the extra ones */
    bool moved;         /* something is to be reported */
    int32_t dx, dy, dz; /* not reported yet; y grows upwards */
};

void ps2_power_on(struct ps2_device *ps2, bool is_mouse);
/* A byte from the host; answers are queued. */
void ps2_receive(struct ps2_device *ps2, uint8_t byte);
/* Take the next byte for the host; false: none. */
bool ps2_take(struct ps2_device *ps2, uint8_t *byte);
/* Check what was loaded from a stream. */
bool ps2_is_valid(const struct ps2_device *ps2);

/* The user does something. */
void ps2_keyboard_key(struct ps2_device *ps2, const struct key *key, bool down);
void ps2_mouse_event(struct ps2_device *ps2, const struct input_event *event);
/* What happened since the last call is reported, as far as there is room. */
void ps2_mouse_report(struct ps2_device *ps2);

/* For ps2*.c. */

#define PS2_ACK       0xfa
#define PS2_RESEND    0xfe
#define PS2_SELF_TEST 0xaa
#define PS2_ECHO      0xee

/* Commands of both. */
#define PS2_SAMPLE_RATE 0xf3 /* keyboard: typematic rate */
#define PS2_IDENTIFY    0xf2

void ps2_send(struct ps2_device *ps2, uint8_t byte);
/* All bytes, or none if there is no room. */
bool ps2_send_report(struct ps2_device *ps2, const uint8_t *bytes, unsigned count);
/* What waits for the host is void once it sends a command. */
void ps2_acknowledge(struct ps2_device *ps2);
void ps2_keyboard_defaults(struct ps2_device *ps2);
void ps2_keyboard_command(struct ps2_device *ps2, uint8_t byte);
void ps2_keyboard_parameter(struct ps2_device *ps2, uint8_t command, uint8_t byte);
void ps2_mouse_defaults(struct ps2_device *ps2);
void ps2_mouse_command(struct ps2_device *ps2, uint8_t byte);
void ps2_mouse_parameter(struct ps2_device *ps2, uint8_t command, uint8_t byte);

#define PS2_MOUSE_RESET_WRAP 0xec

#endif
