/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/usb/usb-hid-descriptors.h"
#include "dm/usb/usb-hid.h"

#include <string.h>

#define USAGE_ROLL_OVER      0x01 /* more keys than a report holds: HID 1.11, appendix C */
#define USAGE_FIRST_MODIFIER 0xe0
#define USAGE_LAST_MODIFIER  0xe7
#define REPORT_KEYS          6

/* HID 1.11, appendix E.6. */
static const uint8_t report_descriptor[] = {
    0x05, 0x01, 0x09, 0x06, 0xa1, 0x01,             /* generic desktop: keyboard; application */
    0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7,             /* key codes: the modifiers */
    0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x08, /* 8 bits */
    0x81, 0x02,                                     /* input: variable, absolute */
    0x95, 0x01, 0x75, 0x08, 0x81, 0x01,             /* a reserved byte */
    0x95, 0x05, 0x75, 0x01, 0x05, 0x08, 0x19, 0x01, /* LEDs 1 to 5 */
    0x29, 0x05, 0x91, 0x02, 0x95, 0x01, 0x75, 0x03, /* output: variable; then */
    0x91, 0x01,                                     /* 3 bits of padding */
    0x95, 0x06, 0x75, 0x08, 0x15, 0x00,             /* 6 bytes */
    0x26, 0xff, 0x00, 0x05, 0x07, 0x19, 0x00,       /* key codes */
    0x2a, 0xff, 0x00, 0x81, 0x00,                   /* input: array */
    0xc0,
};

static const uint8_t device_descriptor[] = HID_DEVICE_DESCRIPTOR;
static const uint8_t configuration[] =
    HID_CONFIGURATION(HID_SUBCLASS_BOOT, HID_PROTOCOL_KEYBOARD, sizeof(report_descriptor));

static bool keyboard_take(struct usb_hid *hid, const struct input_event *event)
{
    hid->next.usage = event->key->usage;
    hid->next.down = event->down;
    return hid->next.usage != 0;
}

static void set_key(struct usb_hid *hid, uint8_t usage, bool down)
{
    uint8_t *place = memchr(hid->keys, usage, hid->key_count);

    if (down && !place && hid->key_count < HID_KEYS) {
        hid->keys[hid->key_count++] = usage;
    } else if (!down && place) {
        hid->key_count--;
        memmove(place, place + 1, (size_t)(hid->keys + hid->key_count - place));
    }
}

static unsigned keyboard_report(struct usb_hid *hid, const struct hid_event *event, uint8_t *report)
{
    uint8_t usage = (uint8_t)event->usage;

    if (usage >= USAGE_FIRST_MODIFIER && usage <= USAGE_LAST_MODIFIER) {
        uint8_t bit = (uint8_t)(1u << (usage - USAGE_FIRST_MODIFIER));

        hid->modifiers = (uint8_t)(event->down ? hid->modifiers | bit : hid->modifiers & ~bit);
    } else if (usage) {
        set_key(hid, usage, event->down);
    }
    memset(report, 0, 2 + REPORT_KEYS);
    report[0] = hid->modifiers;
    if (hid->key_count > REPORT_KEYS) {
        memset(report + 2, USAGE_ROLL_OVER, REPORT_KEYS);
    } else {
        memcpy(report + 2, hid->keys, hid->key_count);
    }
    return 2 + REPORT_KEYS;
}

static const struct usb_hid_class keyboard_class = {
    .usb = HID_USB_CLASS(device_descriptor, configuration, "USB keyboard"),
    .report_descriptor = report_descriptor,
    .report_descriptor_size = sizeof(report_descriptor),
    .kinds = INPUT_KEY,
    .take = keyboard_take,
    .report = keyboard_report,
};

static const struct property keyboard_properties[] = {
    USB_DEVICE_PROPERTIES(usb_hid),
    PROPERTY_END,
};

HID_DEVICE_CLASS(usb_keyboard_class, "usb-kbd", "USB keyboard", keyboard_class,
                 keyboard_properties);
