/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PS/2 keyboard and mouse as the wire sees them: bytes in, answers out (IBM PS/2 Hardware
 * Interface Technical Reference, "Keyboard" and "Mouse"). No input source feeds them yet.
 */
#ifndef DUODM_DM_INPUT_PS2_H
#define DUODM_DM_INPUT_PS2_H

#include <stdbool.h>
#include <stdint.h>

#define PS2_QUEUE_SIZE 16u

struct ps2_device {
    bool is_mouse;
    uint8_t queue[PS2_QUEUE_SIZE]; /* to the controller */
    uint8_t head, count;           /* of queue, bytes */
    uint8_t pending;               /* command that waits for its parameter; 0: none */
    uint8_t last;                  /* byte sent last, for "resend" */
    bool enabled;                  /* scanning, or data reporting */
    /* Keyboard. */
    uint8_t scan_set; /* 1..3 */
    uint8_t leds, typematic;
    /* Mouse. */
    uint8_t sample_rate, resolution;
    bool scaling, remote, wrap;
};

void ps2_power_on(struct ps2_device *ps2, bool is_mouse);
/* A byte from the host; answers are queued. */
void ps2_receive(struct ps2_device *ps2, uint8_t byte);
/* Take the next byte for the host; false: none. */
bool ps2_take(struct ps2_device *ps2, uint8_t *byte);

#endif
