/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mouse's commands and reports. */
#include "dm/input/ps2.h"

#define MOUSE_SCALING_1_1 0xe6
#define MOUSE_SCALING_2_1 0xe7
#define MOUSE_RESOLUTION  0xe8
#define MOUSE_STATUS      0xe9
#define MOUSE_STREAM      0xea
#define MOUSE_READ_DATA   0xeb
#define MOUSE_WRAP        0xee
#define MOUSE_REMOTE      0xf0

#define ID_STANDARD 0
#define ID_WHEEL    3
#define ID_EXPLORER 4

/* First byte of a packet. */
#define PACKET_ALWAYS_1   0x08
#define PACKET_X_NEGATIVE 0x10
#define PACKET_Y_NEGATIVE 0x20

#define BUTTONS_STANDARD 0x07 /* left, right, middle */
#define BUTTON_SIDE      0x08
#define BUTTON_EXTRA     0x10

#define MOTION_MAX  255     /* of one packet */
#define BACKLOG_MAX 0x10000 /* not reported yet: more is forgotten */
#define PACKETS_MAX 8 /* at a time, so that a guest that is slow sees where the mouse is now */

void ps2_mouse_defaults(struct ps2_device *ps2)
{
    ps2->sample_rate = 100;
    ps2->resolution = 2;
    ps2->scaling = ps2->remote = ps2->wrap = false;
    ps2->dx = ps2->dy = ps2->dz = 0;
    ps2->moved = false;
}

/* The knock: sample rates 200, 100, 80 make it a wheel mouse, 200, 200, 80 one of five buttons. */
static void set_sample_rate(struct ps2_device *ps2, uint8_t rate)
{
    if (rate == 80 && ps2->rates[0] == 200 && ps2->rates[1] == 100) {
        ps2->id = ID_WHEEL;
    } else if (rate == 80 && ps2->rates[0] == 200 && ps2->rates[1] == 200) {
        ps2->id = ID_EXPLORER;
    }
    ps2->rates[0] = ps2->rates[1];
    ps2->rates[1] = rate;
    ps2->sample_rate = rate;
}

void ps2_mouse_parameter(struct ps2_device *ps2, uint8_t command, uint8_t byte)
{
    if (command == MOUSE_RESOLUTION) {
        ps2->resolution = byte;
    } else {
        set_sample_rate(ps2, byte);
    }
    ps2_acknowledge(ps2);
}

static void send_status(struct ps2_device *ps2)
{
    bool left = ps2->buttons & 1, right = ps2->buttons & 2, middle = ps2->buttons & 4;

    ps2_send(ps2, (uint8_t)(ps2->remote << 6 | ps2->enabled << 5 | ps2->scaling << 4 | left << 2 |
                            middle << 1 | right));
    ps2_send(ps2, ps2->resolution);
    ps2_send(ps2, ps2->sample_rate);
}

static int take_motion(int32_t *motion, int limit)
{
    int part = CLAMP(*motion, -limit, limit);

    *motion -= part;
    return part;
}

/* In stream mode with scaling 2:1, small motions are made smaller, large ones larger. */
static int scale(int value)
{
    static const int small[] = {0, 1, 1, 3, 6, 9};
    int size = ABS(value);

    size = size < (int)G_N_ELEMENTS(small) ? small[size] : MIN(2 * size, MOTION_MAX);
    return value < 0 ? -size : size;
}

/* One packet of what has not been reported; false: no room. */
static bool send_packet(struct ps2_device *ps2, bool scaled)
{
    unsigned length = ps2->id == ID_STANDARD ? 3 : 4;
    uint8_t packet[4] = {PACKET_ALWAYS_1 | (ps2->buttons & BUTTONS_STANDARD)};
    int dx, dy, dz;

    if (ps2->count + length > PS2_QUEUE_SIZE - PS2_QUEUE_RESERVE) {
        return false;
    }
    dx = take_motion(&ps2->dx, MOTION_MAX);
    dy = take_motion(&ps2->dy, MOTION_MAX);
    dz = take_motion(&ps2->dz, 7);
    if (scaled && ps2->scaling) {
        dx = scale(dx);
        dy = scale(dy);
    }
    packet[0] |= (uint8_t)((dx < 0 ? PACKET_X_NEGATIVE : 0) | (dy < 0 ? PACKET_Y_NEGATIVE : 0));
    packet[1] = (uint8_t)dx;
    packet[2] = (uint8_t)dy;
    packet[3] = (uint8_t)dz;
    if (ps2->id == ID_EXPLORER) {
        packet[3] = (uint8_t)((dz & 0x0f) | (ps2->buttons & BUTTON_SIDE ? 0x10 : 0) |
                              (ps2->buttons & BUTTON_EXTRA ? 0x20 : 0));
    }
    ps2->moved = ps2->dx || ps2->dy || (ps2->dz && ps2->id != ID_STANDARD);
    return ps2_send_report(ps2, packet, length);
}

/* A parameter, or an answer of more than the acknowledgement. */
static void after_acknowledge(struct ps2_device *ps2, uint8_t byte)
{
    switch (byte) {
    case MOUSE_RESOLUTION:
        ps2->pending = byte;
        break;
    case MOUSE_STATUS:
        send_status(ps2);
        break;
    case MOUSE_READ_DATA:
        send_packet(ps2, false);
        break;
    case MOUSE_WRAP:
    case PS2_MOUSE_RESET_WRAP:
        ps2->wrap = byte == MOUSE_WRAP;
        break;
    case MOUSE_REMOTE:
    case MOUSE_STREAM:
        ps2->remote = byte == MOUSE_REMOTE;
        break;
    case MOUSE_SCALING_1_1:
    case MOUSE_SCALING_2_1:
        ps2->scaling = byte == MOUSE_SCALING_2_1;
        break;
    default: /* identify */
        ps2_send(ps2, ps2->id);
        break;
    }
}

void ps2_mouse_command(struct ps2_device *ps2, uint8_t byte)
{
    static const uint8_t known[] = {
        MOUSE_SCALING_1_1, MOUSE_SCALING_2_1, MOUSE_RESOLUTION,     MOUSE_STATUS, MOUSE_STREAM,
        MOUSE_READ_DATA,   MOUSE_WRAP,        PS2_MOUSE_RESET_WRAP, MOUSE_REMOTE, PS2_IDENTIFY};

    for (unsigned i = 0; i < sizeof(known); i++) {
        if (known[i] == byte) {
            ps2_acknowledge(ps2);
            after_acknowledge(ps2, byte);
            return;
        }
    }
    ps2_send(ps2, PS2_RESEND);
}

static void add_motion(int32_t *sum, int value)
{
    *sum = CLAMP(*sum + CLAMP(value, -BACKLOG_MAX, BACKLOG_MAX), -BACKLOG_MAX, BACKLOG_MAX);
}

/* Does that change what is to be reported? */
static bool set_button(struct ps2_device *ps2, enum input_button button, bool down)
{
    static const uint8_t bits[INPUT_BUTTON_COUNT] = {
        [INPUT_LEFT] = 1,
        [INPUT_RIGHT] = 2,
        [INPUT_MIDDLE] = 4,
        [INPUT_SIDE] = BUTTON_SIDE,
        [INPUT_EXTRA] = BUTTON_EXTRA,
    };
    uint8_t before = ps2->buttons;

    if (button == INPUT_WHEEL_UP || button == INPUT_WHEEL_DOWN) {
        add_motion(&ps2->dz, !down ? 0 : button == INPUT_WHEEL_UP ? -1 : 1);
        return down && ps2->id != ID_STANDARD;
    }
    if (down) {
        ps2->buttons |= bits[button];
    } else {
        ps2->buttons &= (uint8_t)~bits[button];
    }
    return ps2->buttons != before;
}

void ps2_mouse_event(struct ps2_device *ps2, const struct input_event *event)
{
    if (event->kind == INPUT_BUTTON) {
        /* What moved before the button did is told with the old buttons. */
        ps2_mouse_report(ps2);
        ps2->moved |= set_button(ps2, event->button, event->down);
        return;
    }
    if (event->axis == INPUT_X) {
        add_motion(&ps2->dx, event->value);
    } else {
        add_motion(&ps2->dy, -event->value);
    }
    ps2->moved = true;
}

void ps2_mouse_report(struct ps2_device *ps2)
{
    if (!ps2->enabled && !ps2->remote) {
        ps2->dx = ps2->dy = ps2->dz = 0;
        ps2->moved = false;
    }
    for (unsigned i = 0; i < PACKETS_MAX && ps2->moved && ps2->enabled && !ps2->remote; i++) {
        if (!send_packet(ps2, true)) {
            return;
        }
    }
}
