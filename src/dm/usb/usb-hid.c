/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/usb/usb-hid.h"
#include "dm/machine.h"

#include <string.h>

/* Requests of the class, 7.2; and descriptors, 7.1. */
#define GET_REPORT        0x01
#define GET_IDLE          0x02
#define GET_PROTOCOL      0x03
#define SET_REPORT        0x09
#define SET_IDLE          0x0a
#define SET_PROTOCOL      0x0b
#define GET_DESCRIPTOR    0x06
#define DESCRIPTOR_HID    0x21
#define DESCRIPTOR_REPORT 0x22
#define HID_AT            18 /* offset of the HID descriptor in the configuration's */
#define HID_SIZE          9

#define PROTOCOL_REPORT 1
#define IDLE_UNIT_NS    4000000ull
#define ENDPOINT_IN     1

static struct usb_hid *hid_of(struct usb_device *device)
{
    return (struct usb_hid *)device;
}

static const struct usb_hid_class *class_of(const struct usb_hid *hid)
{
    return (const struct usb_hid_class *)usb_class_of(&hid->usb);
}

static uint64_t now_of(const struct usb_hid *hid)
{
    return machine_clock_now(hid->usb.device.machine->clock);
}

/* Events on their way in. Main loop, in the controller's guard. */

static struct hid_event *newest(struct usb_hid *hid)
{
    return &hid->queue[(hid->queue_first + hid->queue_count - 1) % HID_QUEUE];
}

static void push(struct usb_hid *hid)
{
    const struct usb_hid_class *class = class_of(hid);
    bool merged = hid->queue_count && class->merge && class->merge(newest(hid), &hid->next);

    if (!merged && hid->queue_count < HID_QUEUE) {
        hid->queue_count++;
        *newest(hid) = hid->next;
    }
    hid->next.wheel = 0;
    if (class->kinds & INPUT_RELATIVE) {
        hid->next.x = hid->next.y = 0;
    }
    usb_device_wake(&hid->usb);
}

static void handle_event(void *opaque, const struct input_event *event)
{
    struct usb_hid *hid = opaque;

    if (class_of(hid)->take(hid, event)) {
        push(hid);
    }
}

static void handle_sync(void *opaque)
{
    struct usb_hid *hid = opaque;

    if (!(class_of(hid)->kinds & INPUT_KEY)) {
        push(hid);
    }
}

/* Reports on their way out. */

static int get_report(struct usb_hid *hid, uint8_t *data)
{
    return (int)class_of(hid)->report(hid, &hid->last, data);
}

static int32_t step_of(int32_t *left)
{
    int32_t step = CLAMP(*left, -HID_STEP_MAX, HID_STEP_MAX);

    *left -= step;
    return step;
}

/* The oldest event becomes `last`. Of more motion than a report can tell the rest stays. */
static void fetch(struct usb_hid *hid)
{
    struct hid_event *oldest = &hid->queue[hid->queue_first];

    hid->last = *oldest;
    if (class_of(hid)->kinds & INPUT_RELATIVE) {
        hid->last.x = step_of(&oldest->x);
        hid->last.y = step_of(&oldest->y);
        hid->last.wheel = step_of(&oldest->wheel);
        if (oldest->x || oldest->y || oldest->wheel) {
            return;
        }
    }
    hid->queue_first = (hid->queue_first + 1) % HID_QUEUE;
    hid->queue_count--;
}

static int next_report(struct usb_hid *hid, uint8_t *data)
{
    if (hid->queue_count) {
        fetch(hid);
    } else if (!hid->idle || now_of(hid) - hid->idle_since < hid->idle * IDLE_UNIT_NS) {
        return USB_NAK;
    } else if (class_of(hid)->kinds & INPUT_RELATIVE) {
        hid->last.x = hid->last.y = hid->last.wheel = 0; /* again, but nothing moves */
    }
    hid->idle_since = now_of(hid);
    return get_report(hid, data);
}

int usb_hid_data(struct usb_device *device, enum usb_pid pid, unsigned endpoint, uint8_t *data,
                 size_t length)
{
    struct usb_hid *hid = hid_of(device);
    uint8_t report[HID_REPORT_MAX];
    int result;

    if (endpoint != ENDPOINT_IN || pid != USB_PID_IN) {
        return USB_STALL;
    }
    if (!hid->is_polled) {
        hid->is_polled = true;
        input_activate(device->device.machine, &hid->handler, true);
    }
    result = next_report(hid, report);
    if (result > 0) {
        result = (int)MIN((size_t)result, length);
        memcpy(data, report, (size_t)result);
    }
    return result;
}

static int get_descriptor(struct usb_hid *hid, unsigned kind, uint8_t *data)
{
    const struct usb_hid_class *class = class_of(hid);

    switch (kind) {
    case DESCRIPTOR_HID:
        memcpy(data, class->usb.configuration_descriptor + HID_AT, HID_SIZE);
        return HID_SIZE;
    case DESCRIPTOR_REPORT:
        memcpy(data, class->report_descriptor, class->report_descriptor_size);
        return (int)class->report_descriptor_size;
    default:
        return USB_STALL;
    }
}

int usb_hid_control(struct usb_device *device, const struct usb_request *request, uint8_t *data)
{
    struct usb_hid *hid = hid_of(device);

    if ((request->type & USB_REQUEST_RECIPIENT) != USB_TO_INTERFACE || request->index != 0) {
        return USB_STALL;
    }
    if ((request->type & USB_REQUEST_KIND) == USB_REQUEST_STANDARD) {
        return request->request == GET_DESCRIPTOR ? get_descriptor(hid, request->value >> 8, data)
                                                  : USB_STALL;
    }
    if ((request->type & USB_REQUEST_KIND) != USB_REQUEST_CLASS) {
        return USB_STALL;
    }
    switch (request->request) {
    case GET_REPORT:
        return get_report(hid, data);
    case SET_REPORT:
        hid->leds = request->length ? data[0] : 0;
        return 0;
    case GET_IDLE:
        data[0] = hid->idle;
        return 1;
    case SET_IDLE:
        hid->idle = (uint8_t)(request->value >> 8);
        hid->idle_since = now_of(hid);
        return 0;
    case GET_PROTOCOL:
        data[0] = hid->protocol;
        return 1;
    case SET_PROTOCOL:
        hid->protocol = request->value & 1;
        return 0;
    default:
        return USB_STALL;
    }
}

void usb_hid_configured(struct usb_device *device)
{
    struct usb_hid *hid = hid_of(device);

    hid->protocol = PROTOCOL_REPORT;
    hid->idle = 0;
    hid->queue_count = hid->key_count = 0;
    hid->modifiers = 0;
    memset(&hid->next, 0, sizeof(hid->next));
    memset(&hid->last, 0, sizeof(hid->last));
    hid->is_polled = false;
    input_activate(device->device.machine, &hid->handler, false);
}

/* Life. */

bool usb_hid_realize(struct device *device, GError **error)
{
    struct usb_hid *hid = (struct usb_hid *)device;
    const struct usb_hid_class *class = class_of(hid);

    hid->handler = (struct input_handler){
        .name = device->class->description,
        .kinds = class->kinds,
        .needs_activation = true, /* it has a driver */
        .guard = usb_device_guard(&hid->usb),
        .event = handle_event,
        .sync = handle_sync,
        .opaque = hid,
    };
    input_add_handler(device->machine, &hid->handler);
    return true;
}

void usb_hid_unrealize(struct device *device)
{
    struct usb_hid *hid = (struct usb_hid *)device;

    input_remove_handler(device->machine, &hid->handler);
}

static bool hid_after_load(void *object)
{
    struct usb_hid *hid = object;

    if (!usb_device_is_valid(&hid->usb) || hid->queue_count > HID_QUEUE ||
        hid->queue_first >= HID_QUEUE || hid->key_count > HID_KEYS) {
        return false;
    }
    input_activate(hid->usb.device.machine, &hid->handler, hid->is_polled);
    return true;
}

#define EVENT_FIELDS(field_)                                                                       \
    STATE_ARRAY(UINT32, usb_hid, field_, sizeof(((struct usb_hid *)0)->field_) / 4, 1)
_Static_assert(sizeof(struct hid_event) == HID_EVENT_WORDS * 4, "words only");

static const struct state_field hid_fields[] = {
    USB_DEVICE_STATE_FIELDS(usb_hid),
    EVENT_FIELDS(next),
    EVENT_FIELDS(queue),
    EVENT_FIELDS(last),
    STATE(UINT32, usb_hid, queue_first, 1),
    STATE(UINT32, usb_hid, queue_count, 1),
    STATE_ARRAY(BYTES, usb_hid, keys, HID_KEYS, 1),
    STATE(UINT32, usb_hid, key_count, 1),
    STATE(UINT8, usb_hid, modifiers, 1),
    STATE(UINT8, usb_hid, leds, 1),
    STATE(UINT8, usb_hid, protocol, 1),
    STATE(UINT8, usb_hid, idle, 1),
    STATE(UINT64, usb_hid, idle_since, 1),
    STATE(BOOL, usb_hid, is_polled, 1),
    STATE_END,
};

const struct state_description usb_hid_state = {
    .name = "usb-hid",
    .version = 1,
    .fields = hid_fields,
    .after_load = hid_after_load,
};
