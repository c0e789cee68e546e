/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/input/ps2.h"

#include <string.h>

#define ANSWER_ACK       0xfa
#define ANSWER_RESEND    0xfe
#define ANSWER_SELF_TEST 0xaa
#define ANSWER_ECHO      0xee

/* Commands of both. */
#define COMMAND_SAMPLE_RATE 0xf3 /* keyboard: typematic rate */
#define COMMAND_IDENTIFY    0xf2
#define COMMAND_ENABLE      0xf4
#define COMMAND_DISABLE     0xf5
#define COMMAND_DEFAULTS    0xf6
#define COMMAND_RESEND      0xfe
#define COMMAND_RESET       0xff

#define KEYBOARD_LEDS     0xed
#define KEYBOARD_ECHO     0xee
#define KEYBOARD_SCAN_SET 0xf0

#define MOUSE_SCALING_1_1 0xe6
#define MOUSE_SCALING_2_1 0xe7
#define MOUSE_RESOLUTION  0xe8
#define MOUSE_STATUS      0xe9
#define MOUSE_STREAM      0xea
#define MOUSE_READ_DATA   0xeb
#define MOUSE_RESET_WRAP  0xec
#define MOUSE_WRAP        0xee
#define MOUSE_REMOTE      0xf0

#define MOUSE_DATA_ALWAYS_1 0x08

static void send(struct ps2_device *ps2, uint8_t byte)
{
    if (ps2->count < PS2_QUEUE_SIZE) {
        ps2->queue[(ps2->head + ps2->count++) % PS2_QUEUE_SIZE] = byte;
    }
}

bool ps2_take(struct ps2_device *ps2, uint8_t *byte)
{
    if (!ps2->count) {
        return false;
    }
    *byte = ps2->last = ps2->queue[ps2->head];
    ps2->head = (ps2->head + 1) % PS2_QUEUE_SIZE;
    ps2->count--;
    return true;
}

static void set_defaults(struct ps2_device *ps2)
{
    ps2->enabled = !ps2->is_mouse;
    ps2->scan_set = 2;
    ps2->typematic = 0x2b;
    ps2->sample_rate = 100;
    ps2->resolution = 2;
    ps2->scaling = ps2->remote = ps2->wrap = false;
}

void ps2_power_on(struct ps2_device *ps2, bool is_mouse)
{
    memset(ps2, 0, sizeof(*ps2));
    ps2->is_mouse = is_mouse;
    set_defaults(ps2);
}

/* What waits for the host is void once it sends a command. */
static void acknowledge(struct ps2_device *ps2)
{
    ps2->head = ps2->count = 0;
    send(ps2, ANSWER_ACK);
}

static void reset(struct ps2_device *ps2)
{
    set_defaults(ps2);
    ps2->leds = 0;
    acknowledge(ps2);
    send(ps2, ANSWER_SELF_TEST);
    if (ps2->is_mouse) {
        send(ps2, 0);
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
        send(ps2, ps2->last);
        return true;
    case COMMAND_DEFAULTS:
        set_defaults(ps2);
        acknowledge(ps2);
        return true;
    case COMMAND_DISABLE:
    case COMMAND_ENABLE:
        ps2->enabled = byte == COMMAND_ENABLE;
        acknowledge(ps2);
        return true;
    case COMMAND_SAMPLE_RATE:
        ps2->pending = byte;
        acknowledge(ps2);
        return true;
    default:
        return false;
    }
}

static void keyboard_parameter(struct ps2_device *ps2, uint8_t command, uint8_t byte)
{
    acknowledge(ps2);
    if (command == KEYBOARD_LEDS) {
        ps2->leds = byte & 7;
    } else if (command == COMMAND_SAMPLE_RATE) {
        ps2->typematic = byte & 0x7f;
    } else if (byte == 0) {
        send(ps2, ps2->scan_set);
    } else if (byte <= 3) {
        ps2->scan_set = byte;
    }
}

static void keyboard_command(struct ps2_device *ps2, uint8_t byte)
{
    switch (byte) {
    case KEYBOARD_LEDS:
    case KEYBOARD_SCAN_SET:
        ps2->pending = byte;
        acknowledge(ps2);
        break;
    case KEYBOARD_ECHO:
        send(ps2, ANSWER_ECHO);
        break;
    case COMMAND_IDENTIFY:
        acknowledge(ps2);
        send(ps2, 0xab);
        send(ps2, 0x83);
        break;
    default:
        send(ps2, ANSWER_RESEND);
    }
}

static void mouse_status(struct ps2_device *ps2)
{
    send(ps2, (uint8_t)(ps2->remote << 6 | ps2->enabled << 5 | ps2->scaling << 4));
    send(ps2, ps2->resolution);
    send(ps2, ps2->sample_rate);
}

static void mouse_command(struct ps2_device *ps2, uint8_t byte)
{
    if (byte != MOUSE_RESOLUTION && byte != MOUSE_STATUS && byte != MOUSE_READ_DATA &&
        byte != MOUSE_RESET_WRAP && byte != MOUSE_WRAP && byte != MOUSE_REMOTE &&
        byte != MOUSE_STREAM && byte != MOUSE_SCALING_1_1 && byte != MOUSE_SCALING_2_1 &&
        byte != COMMAND_IDENTIFY) {
        send(ps2, ANSWER_RESEND);
        return;
    }
    acknowledge(ps2);
    switch (byte) {
    case MOUSE_RESOLUTION:
        ps2->pending = byte;
        break;
    case MOUSE_STATUS:
        mouse_status(ps2);
        break;
    case MOUSE_READ_DATA: /* nothing has moved */
        send(ps2, MOUSE_DATA_ALWAYS_1);
        send(ps2, 0);
        send(ps2, 0);
        break;
    case MOUSE_WRAP:
    case MOUSE_RESET_WRAP:
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
    case COMMAND_IDENTIFY:
        send(ps2, 0);
        break;
    }
}

void ps2_receive(struct ps2_device *ps2, uint8_t byte)
{
    uint8_t command = ps2->pending;

    if (ps2->wrap && byte != COMMAND_RESET && byte != MOUSE_RESET_WRAP) {
        send(ps2, byte);
        return;
    }
    ps2->pending = 0;
    if (command && ps2->is_mouse) {
        *(command == MOUSE_RESOLUTION ? &ps2->resolution : &ps2->sample_rate) = byte;
        acknowledge(ps2);
    } else if (command) {
        keyboard_parameter(ps2, command, byte);
    } else if (!receive_common(ps2, byte)) {
        if (ps2->is_mouse) {
            mouse_command(ps2, byte);
        } else {
            keyboard_command(ps2, byte);
        }
    }
}
