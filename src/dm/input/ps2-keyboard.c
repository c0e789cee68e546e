/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keyboard's commands and scan codes. */
#include "dm/input/ps2.h"

#include <string.h>

#define KEYBOARD_LEDS     0xed
#define KEYBOARD_ECHO     0xee
#define KEYBOARD_SCAN_SET 0xf0

/* Set 3 only: what keys send, all of them (f7h to fah), or those whose codes follow. */
#define KEYBOARD_ALL_TYPEMATIC  0xf7
#define KEYBOARD_ALL_BREAK      0xf8
#define KEYBOARD_ALL_MAKE       0xf9
#define KEYBOARD_ALL_BOTH       0xfa
#define KEYBOARD_KEYS_TYPEMATIC 0xfb
#define KEYBOARD_KEYS_BREAK     0xfc
#define KEYBOARD_KEYS_MAKE      0xfd

#define BREAK    0xf0 /* before the code of a key that is let go, sets 2 and 3 */
#define BREAK1   0x80 /* in it, set 1 */
#define EXTENDED 0xe0

#define KEY_PAUSE 0xe114
#define KEY_PRINT 0xe07c

static void set_break(struct ps2_device *ps2, uint8_t code, bool on)
{
    uint8_t bit = (uint8_t)(1 << code % 8);

    ps2->set3_break[code / 8] = (uint8_t)((ps2->set3_break[code / 8] & ~bit) | (on ? bit : 0));
}

void ps2_keyboard_defaults(struct ps2_device *ps2)
{
    static const uint8_t modifiers[] = {0x11, 0x12, 0x14, 0x19, 0x39, 0x58, 0x59};

    ps2->scan_set = 2;
    ps2->typematic = 0x2b;
    ps2->alt_down = false;
    memset(ps2->set3_break, 0, sizeof(ps2->set3_break));
    for (unsigned i = 0; i < sizeof(modifiers); i++) {
        set_break(ps2, modifiers[i], true);
    }
}

void ps2_keyboard_parameter(struct ps2_device *ps2, uint8_t command, uint8_t byte)
{
    if (command >= KEYBOARD_KEYS_TYPEMATIC && command <= KEYBOARD_KEYS_MAKE) {
        if (byte >= 0xed) { /* no key has that code: the list ends with a next command */
            ps2_receive(ps2, byte);
            return;
        }
        set_break(ps2, byte, command == KEYBOARD_KEYS_BREAK);
        ps2->pending = command;
        ps2_acknowledge(ps2);
        return;
    }
    ps2_acknowledge(ps2);
    if (command == KEYBOARD_LEDS) {
        ps2->leds = byte & 7;
    } else if (command == PS2_SAMPLE_RATE) {
        ps2->typematic = byte & 0x7f;
    } else if (byte == 0) {
        ps2_send(ps2, ps2->scan_set);
    } else if (byte <= 3) {
        ps2->scan_set = byte;
    }
}

void ps2_keyboard_command(struct ps2_device *ps2, uint8_t byte)
{
    bool all_break = byte == KEYBOARD_ALL_BREAK || byte == KEYBOARD_ALL_BOTH;

    switch (byte) {
    case KEYBOARD_LEDS:
    case KEYBOARD_SCAN_SET:
    case KEYBOARD_KEYS_TYPEMATIC:
    case KEYBOARD_KEYS_BREAK:
    case KEYBOARD_KEYS_MAKE:
        ps2->pending = byte;
        ps2_acknowledge(ps2);
        break;
    case KEYBOARD_ALL_TYPEMATIC:
    case KEYBOARD_ALL_BREAK:
    case KEYBOARD_ALL_MAKE:
    case KEYBOARD_ALL_BOTH:
        memset(ps2->set3_break, all_break ? 0xff : 0, sizeof(ps2->set3_break));
        ps2_acknowledge(ps2);
        break;
    case KEYBOARD_ECHO:
        ps2_send(ps2, PS2_ECHO);
        break;
    case PS2_IDENTIFY:
        ps2_acknowledge(ps2);
        ps2_send(ps2, 0xab);
        ps2_send(ps2, 0x83);
        break;
    default:
        ps2_send(ps2, PS2_RESEND);
    }
}

struct codes {
    uint8_t bytes[16];
    unsigned count;
};

/* One make or break code of set 1 or 2, given that of set 2. */
static void add_code(struct codes *codes, unsigned scan_set, uint16_t set2, bool down)
{
    uint8_t code = (uint8_t)set2;

    if (set2 >> 8) {
        codes->bytes[codes->count++] = EXTENDED;
    }
    if (scan_set == 1) {
        code = key_translate_set2(code);
        codes->bytes[codes->count++] = down ? code : code | BREAK1;
        return;
    }
    if (!down) {
        codes->bytes[codes->count++] = BREAK;
    }
    codes->bytes[codes->count++] = code;
}

/* E1h, Ctrl and Num Lock down, E1h, both up: when it is pressed. Nothing when it is let go. */
static void add_pause(struct codes *codes, unsigned scan_set, bool down)
{
    static const uint8_t set1[] = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};
    static const uint8_t set2[] = {0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77};

    codes->count = !down ? 0 : scan_set == 1 ? sizeof(set1) : sizeof(set2);
    memcpy(codes->bytes, scan_set == 1 ? set1 : set2, codes->count);
}

/* With a Shift that was not pressed around it, as on the first extended keyboards. */
static void add_print(struct codes *codes, unsigned scan_set, bool down)
{
    add_code(codes, scan_set, down ? 0xe012 : KEY_PRINT, down);
    add_code(codes, scan_set, down ? KEY_PRINT : 0xe012, down);
}

static void add_key(struct codes *codes, const struct ps2_device *ps2, const struct key *key,
                    bool down)
{
    if (ps2->scan_set == 3) {
        bool sends_break = ps2->set3_break[key->set3 / 8] & 1 << key->set3 % 8;

        if (key->set3 && !down && sends_break) {
            codes->bytes[codes->count++] = BREAK;
        }
        if (key->set3 && (down || sends_break)) {
            codes->bytes[codes->count++] = key->set3;
        }
    } else if (key->set2 == KEY_PAUSE) {
        add_pause(codes, ps2->scan_set, down);
    } else if (key->set2 == KEY_PRINT && ps2->alt_down) {
        add_code(codes, ps2->scan_set, 0x84, down);
    } else if (key->set2 == KEY_PRINT) {
        add_print(codes, ps2->scan_set, down);
    } else {
        add_code(codes, ps2->scan_set, key->set2, down);
    }
}

void ps2_keyboard_key(struct ps2_device *ps2, const struct key *key, bool down)
{
    struct codes codes = {.count = 0};

    if (key->set2 == 0x11 || key->set2 == 0xe011) {
        ps2->alt_down = down;
    }
    if (ps2->enabled) {
        add_key(&codes, ps2, key, down);
        ps2_send_report(ps2, codes.bytes, codes.count);
    }
}
