/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What PS/2 keyboards and mice have in common. */
#include "dm/input/ps2.h"

#include <string.h>

#define COMMAND_ENABLE   0xf4
#define COMMAND_DISABLE  0xf5
#define COMMAND_DEFAULTS 0xf6
#define COMMAND_RESEND   0xfe
#define COMMAND_RESET    0xff

void ps2_send(struct ps2_device *ps2, uint8_t byte)
{
    if (ps2->count < PS2_QUEUE_SIZE) {
        ps2->queue[(ps2->head + ps2->count++) % PS2_QUEUE_SIZE] = byte;
    }
}

bool ps2_send_report(struct ps2_device *ps2, const uint8_t *bytes, unsigned count)
{
    if (ps2->count + count > PS2_QUEUE_SIZE - PS2_QUEUE_RESERVE) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        ps2_send(ps2, bytes[i]);
    }
    return true;
}

bool ps2_take(struct ps2_device *ps2, uint8_t *byte)
{
    if (!ps2->count) {
        return false;
    }
    *byte = ps2->last = ps2->queue[ps2->head];
    ps2->head = (uint8_t)((ps2->head + 1) % PS2_QUEUE_SIZE);
    ps2->count--;
    if (!ps2->count && ps2->is_mouse) {
        ps2_mouse_report(ps2);
    }
    return true;
}

static void set_defaults(struct ps2_device *ps2)
{
    ps2->enabled = !ps2->is_mouse;
    ps2_keyboard_defaults(ps2);
    ps2_mouse_defaults(ps2);
}

void ps2_power_on(struct ps2_device *ps2, bool is_mouse)
{
    memset(ps2, 0, sizeof(*ps2));
    ps2->is_mouse = is_mouse;
    set_defaults(ps2);
}

void ps2_acknowledge(struct ps2_device *ps2)
{
    ps2->head = 0;
    ps2->count = 0;
    ps2_send(ps2, PS2_ACK);
}

static void reset(struct ps2_device *ps2)
{
    set_defaults(ps2);
    ps2->leds = 0;
    ps2->id = 0;
    ps2_acknowledge(ps2);
    ps2_send(ps2, PS2_SELF_TEST);
    if (ps2->is_mouse) {
        ps2_send(ps2, ps2->id);
    }
}

/* Commands that keyboard and mouse share. False: not one of them. */
static bool receive_common(struct ps2_device *ps2, uint8_t byte)
{
    switch (byte) {
    case COMMAND_RESET:
        reset(ps2);
        return true;
    case COMMAND_RESEND:
        ps2_send(ps2, ps2->last);
        return true;
    case COMMAND_DEFAULTS:
        set_defaults(ps2);
        ps2_acknowledge(ps2);
        return true;
    case COMMAND_DISABLE:
        if (!ps2->is_mouse) {
            set_defaults(ps2); /* "default disable" */
        }
        ps2->enabled = false;
        ps2_acknowledge(ps2);
        return true;
    case COMMAND_ENABLE:
        ps2->enabled = true;
        ps2_acknowledge(ps2);
        return true;
    case PS2_SAMPLE_RATE:
        ps2->pending = byte;
        ps2_acknowledge(ps2);
        return true;
    default:
        return false;
    }
}

void ps2_receive(struct ps2_device *ps2, uint8_t byte)
{
    uint8_t command = ps2->pending;

    if (ps2->wrap && byte != COMMAND_RESET && byte != PS2_MOUSE_RESET_WRAP) {
        ps2_send(ps2, byte);
        return;
    }
    ps2->pending = 0;
    if (command && ps2->is_mouse) {
        ps2_mouse_parameter(ps2, command, byte);
    } else if (command) {
        ps2_keyboard_parameter(ps2, command, byte);
    } else if (!receive_common(ps2, byte)) {
        if (ps2->is_mouse) {
            ps2_mouse_command(ps2, byte);
        } else {
            ps2_keyboard_command(ps2, byte);
        }
    }
}

bool ps2_is_valid(const struct ps2_device *ps2)
{
    return ps2->count <= PS2_QUEUE_SIZE && ps2->scan_set >= 1 && ps2->scan_set <= 3;
}
