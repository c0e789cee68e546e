/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Human interface devices (Device Class Definition for HID 1.11): keyboard, mouse, tablet. What
 * they share is in usb-hid.c; a kind is a table of descriptors and a function that makes a report.
 */
#ifndef DUODM_DM_USB_USB_HID_H
#define DUODM_DM_USB_USB_HID_H

#include "dm/input/input.h"
#include "dm/usb/usb.h"

#define HID_QUEUE      32 /* events that wait for the guest; a power of two */
#define HID_REPORT_MAX 8
#define HID_STEP_MAX   127 /* of motion in one report */
#define HID_KEYS       16  /* held at once */

/* One thing that happened: a position or motion with buttons, or a key. Words, for the saved state
 * has them as such. */
struct hid_event {
    int32_t x, y, wheel; /* tablet: 0..INPUT_ABSOLUTE_MAX; mouse: motion */
    uint32_t buttons;    /* after it: bits as in reports */
    uint32_t usage;      /* keyboard: of the key */
    uint32_t down;       /* 1: pressed, 0: released */
};
#define HID_EVENT_WORDS 6

struct usb_hid {
    struct usb_device usb;
    struct input_handler handler;
    struct hid_event next;             /* what came since the last sync */
    struct hid_event queue[HID_QUEUE]; /* what the guest has not fetched */
    uint32_t queue_first, queue_count;
    uint8_t keys[HID_KEYS]; /* usages of keys held, as far as reported */
    uint32_t key_count;
    uint8_t modifiers, leds;
    uint8_t protocol;      /* 0: boot, 1: report; 7.2.6 */
    uint8_t idle;          /* of 4 ms; 0: reports come for events only; 7.2.4 */
    uint64_t idle_since;   /* ns: of the last report */
    bool is_polled;        /* the guest asks for input */
    struct hid_event last; /* of what was reported */
};

struct usb_hid_class {
    struct usb_class usb;
    const uint8_t *report_descriptor;
    size_t report_descriptor_size;
    unsigned kinds; /* mask of enum input_kind */
    /* Take an event into `next`. True: that is to be told by itself; false: with the next sync. */
    bool (*take)(struct usb_hid *hid, const struct input_event *event);
    /* The report after an event: bytes. */
    unsigned (*report)(struct usb_hid *hid, const struct hid_event *event, uint8_t *report);
    /* May a newer event stand for an older one that still waits? NULL: never. */
    bool (*merge)(struct hid_event *older, const struct hid_event *newer);
};

/* usb-hid.c */
bool usb_hid_realize(struct device *device, GError **error);
void usb_hid_unrealize(struct device *device);
int usb_hid_control(struct usb_device *device, const struct usb_request *request, uint8_t *data);
int usb_hid_data(struct usb_device *device, enum usb_pid pid, unsigned endpoint, uint8_t *data,
                 size_t length);
void usb_hid_configured(struct usb_device *device);
extern const struct state_description usb_hid_state;

#endif
