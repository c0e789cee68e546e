/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A mouse with a wheel, and a tablet, which says where on the screen it points. */
#include "dm/usb/usb-hid-descriptors.h"
#include "dm/usb/usb-hid.h"
#include "util/little-endian.h"

/* HID 1.11, appendix E.10, with a wheel and five buttons. */
static const uint8_t mouse_report_descriptor[] = {
    0x05, 0x01,                                     /* usage page: generic desktop */
    0x09, 0x02,                                     /* usage: mouse */
    0xa1, 0x01,                                     /* collection: application */
    0x09, 0x01, 0xa1, 0x00,                         /* usage: pointer; collection: physical */
    0x05, 0x09, 0x19, 0x01, 0x29, 0x05,             /* usage page: buttons 1 to 5 */
    0x15, 0x00, 0x25, 0x01,                         /* logical 0 to 1 */
    0x95, 0x05, 0x75, 0x01, 0x81, 0x02,             /* 5 bits: variable, absolute */
    0x95, 0x01, 0x75, 0x03, 0x81, 0x01,             /* 3 bits of padding */
    0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x09, 0x38, /* X, Y, wheel */
    0x15, 0x81, 0x25, 0x7f,                         /* logical -127 to 127 */
    0x75, 0x08, 0x95, 0x03, 0x81, 0x06,             /* 3 bytes: variable, relative */
    0xc0, 0xc0,
};

static const uint8_t tablet_report_descriptor[] = {
    0x05, 0x01,                         /* usage page: generic desktop */
    0x09, 0x02,                         /* usage: mouse */
    0xa1, 0x01,                         /* collection: application */
    0x09, 0x01, 0xa1, 0x00,             /* usage: pointer; collection: physical */
    0x05, 0x09, 0x19, 0x01, 0x29, 0x05, /* usage page: buttons 1 to 5 */
    0x15, 0x00, 0x25, 0x01,             /* logical 0 to 1 */
    0x95, 0x05, 0x75, 0x01, 0x81, 0x02, /* 5 bits: variable, absolute */
    0x95, 0x01, 0x75, 0x03, 0x81, 0x01, /* 3 bits of padding */
    0x05, 0x01, 0x09, 0x30, 0x09, 0x31, /* X, Y */
    0x15, 0x00, 0x26, 0xff, 0x7f,       /* logical 0 to 7FFFh */
    0x35, 0x00, 0x46, 0xff, 0x7f,       /* physical the same */
    0x75, 0x10, 0x95, 0x02, 0x81, 0x02, /* 2 words: variable, absolute */
    0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, /* wheel, -127 to 127 */
    0x35, 0x00, 0x45, 0x00,             /* physical as logical */
    0x75, 0x08, 0x95, 0x01, 0x81, 0x06, /* a byte: variable, relative */
    0xc0, 0xc0,
};

static const uint8_t device_descriptor[] = HID_DEVICE_DESCRIPTOR;
static const uint8_t mouse_configuration[] =
    HID_CONFIGURATION(HID_SUBCLASS_BOOT, HID_PROTOCOL_MOUSE, sizeof(mouse_report_descriptor));
static const uint8_t tablet_configuration[] =
    HID_CONFIGURATION(HID_SUBCLASS_NONE, HID_PROTOCOL_NONE, sizeof(tablet_report_descriptor));

/* Bits of a report's first byte. */
static uint32_t button_bit(enum input_button button)
{
    switch (button) {
    case INPUT_LEFT:
        return 0x01;
    case INPUT_RIGHT:
        return 0x02;
    case INPUT_MIDDLE:
        return 0x04;
    case INPUT_SIDE:
        return 0x08;
    case INPUT_EXTRA:
        return 0x10;
    default:
        return 0;
    }
}

static void take_button(struct hid_event *next, const struct input_event *event)
{
    uint32_t bit = button_bit(event->button);

    if (event->down) {
        next->wheel += (event->button == INPUT_WHEEL_UP) - (event->button == INPUT_WHEEL_DOWN);
    }
    next->buttons = event->down ? next->buttons | bit : next->buttons & ~bit;
}

static bool mouse_take(struct usb_hid *hid, const struct input_event *event)
{
    int32_t *axis = event->axis == INPUT_X ? &hid->next.x : &hid->next.y;

    if (event->kind == INPUT_BUTTON) {
        take_button(&hid->next, event);
    } else {
        *axis = CLAMP(*axis + event->value, -10000, 10000);
    }
    return false;
}

static bool tablet_take(struct usb_hid *hid, const struct input_event *event)
{
    int32_t *axis = event->axis == INPUT_X ? &hid->next.x : &hid->next.y;

    if (event->kind == INPUT_BUTTON) {
        take_button(&hid->next, event);
    } else {
        *axis = CLAMP(event->value, 0, INPUT_ABSOLUTE_MAX);
    }
    return false;
}

static bool mouse_merge(struct hid_event *older, const struct hid_event *newer)
{
    if (older->buttons != newer->buttons) {
        return false;
    }
    older->x = CLAMP(older->x + newer->x, -10000, 10000);
    older->y = CLAMP(older->y + newer->y, -10000, 10000);
    older->wheel = CLAMP(older->wheel + newer->wheel, -HID_STEP_MAX, HID_STEP_MAX);
    return true;
}

static bool tablet_merge(struct hid_event *older, const struct hid_event *newer)
{
    if (older->buttons != newer->buttons) {
        return false;
    }
    older->x = newer->x;
    older->y = newer->y;
    older->wheel = CLAMP(older->wheel + newer->wheel, -HID_STEP_MAX, HID_STEP_MAX);
    return true;
}

static unsigned mouse_report(struct usb_hid *hid, const struct hid_event *event, uint8_t *report)
{
    report[0] = (uint8_t)event->buttons;
    report[1] = (uint8_t)event->x;
    report[2] = (uint8_t)event->y;
    report[3] = (uint8_t)event->wheel;
    return 4;
}

static unsigned tablet_report(struct usb_hid *hid, const struct hid_event *event, uint8_t *report)
{
    report[0] = (uint8_t)event->buttons;
    store_le16(report + 1, (uint16_t)event->x);
    store_le16(report + 3, (uint16_t)event->y);
    report[5] = (uint8_t)CLAMP(event->wheel, -HID_STEP_MAX, HID_STEP_MAX);
    return 6;
}

static const struct usb_hid_class mouse_class = {
    .usb = HID_USB_CLASS(device_descriptor, mouse_configuration, "USB mouse"),
    .report_descriptor = mouse_report_descriptor,
    .report_descriptor_size = sizeof(mouse_report_descriptor),
    .kinds = INPUT_RELATIVE | INPUT_BUTTON,
    .take = mouse_take,
    .report = mouse_report,
    .merge = mouse_merge,
};

static const struct usb_hid_class tablet_class = {
    .usb = HID_USB_CLASS(device_descriptor, tablet_configuration, "USB tablet"),
    .report_descriptor = tablet_report_descriptor,
    .report_descriptor_size = sizeof(tablet_report_descriptor),
    .kinds = INPUT_ABSOLUTE | INPUT_BUTTON,
    .take = tablet_take,
    .report = tablet_report,
    .merge = tablet_merge,
};

static const struct property pointer_properties[] = {
    USB_DEVICE_PROPERTIES(usb_hid),
    PROPERTY_END,
};

HID_DEVICE_CLASS(usb_mouse_class, "usb-mouse", "USB mouse", mouse_class, pointer_properties);
HID_DEVICE_CLASS(usb_tablet_class, "usb-tablet", "USB tablet: a pointer that says where it is",
                 tablet_class, pointer_properties);
