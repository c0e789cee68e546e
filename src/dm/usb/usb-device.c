/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all USB devices answer: control transfers and standard requests (USB 2.0, 8.5.3 and 9.4). */
#include "dm/usb/usb.h"
#include "util/little-endian.h"

#include <string.h>

/* Standard requests, table 9-4. */
#define GET_STATUS        0
#define CLEAR_FEATURE     1
#define SET_FEATURE       3
#define SET_ADDRESS       5
#define GET_DESCRIPTOR    6
#define GET_CONFIGURATION 8
#define SET_CONFIGURATION 9
#define GET_INTERFACE     10
#define SET_INTERFACE     11

#define DESCRIPTOR_DEVICE        1 /* table 9-5 */
#define DESCRIPTOR_CONFIGURATION 2
#define DESCRIPTOR_STRING        3
#define LANGUAGE_ENGLISH         0x0409

#define FEATURE_ENDPOINT_HALT 0 /* table 9-6 */
#define FEATURE_REMOTE_WAKEUP 1

#define SETUP_SIZE        8
#define DEVICE_DESCRIPTOR 18
#define ATTRIBUTES        7 /* offset in a configuration descriptor */
#define SELF_POWERED      0x40
#define INTERFACES        4 /* offset of bNumInterfaces */
#define ENDPOINTS         16

enum usb_stage {
    STAGE_IDLE,
    STAGE_IN,        /* data to the host, then status */
    STAGE_OUT,       /* data from the host */
    STAGE_STATUS_IN, /* an empty packet says that it is done */
    STAGE_STALLED,
    STAGE_COUNT,
};

static void forget_transfer(struct usb_device *device)
{
    device->stage = STAGE_IDLE;
    device->data_length = device->data_position = 0;
}

void usb_device_reset_port(struct usb_device *device)
{
    device->address = device->new_address = 0;
    device->configuration = 0;
    device->remote_wakeup = false;
    device->halted_in = device->halted_out = 0;
    forget_transfer(device);
    usb_class_of(device)->configured(device);
}

/* Standard requests. */

static int put(uint8_t *data, const void *from, size_t length)
{
    memcpy(data, from, MIN(length, USB_CONTROL_MAX));
    return (int)MIN(length, USB_CONTROL_MAX);
}

/* 9.6.7 */
static int get_string(const struct usb_class *class, unsigned index, uint8_t *data)
{
    size_t length = 2;

    if (index == 0) {
        store_le16(data + 2, LANGUAGE_ENGLISH);
        length = 4;
    } else if (index < G_N_ELEMENTS(class->strings) && class->strings[index]) {
        for (const char *c = class->strings[index]; *c && length < 254; c++, length += 2) {
            store_le16(data + length, (uint8_t)*c);
        }
    } else {
        return USB_STALL;
    }
    data[0] = (uint8_t)length;
    data[1] = DESCRIPTOR_STRING;
    return (int)length;
}

static int get_descriptor(struct usb_device *device, const struct usb_request *request,
                          uint8_t *data)
{
    const struct usb_class *class = usb_class_of(device);

    switch (request->value >> 8) {
    case DESCRIPTOR_DEVICE:
        return put(data, class->device_descriptor, DEVICE_DESCRIPTOR);
    case DESCRIPTOR_CONFIGURATION:
        return request->value & 0xff
                   ? USB_STALL
                   : put(data, class->configuration_descriptor, class->configuration_size);
    case DESCRIPTOR_STRING:
        return get_string(class, request->value & 0xff, data);
    default:
        return USB_STALL;
    }
}

static int set_configuration(struct usb_device *device, unsigned number)
{
    if (number > 1) {
        return USB_STALL;
    }
    device->configuration = (uint8_t)number;
    device->halted_in = device->halted_out = 0;
    usb_class_of(device)->configured(device);
    return 0;
}

static int set_remote_wakeup(struct usb_device *device, const struct usb_request *request, bool on)
{
    if (request->value != FEATURE_REMOTE_WAKEUP) {
        return USB_STALL;
    }
    device->remote_wakeup = on;
    return 0;
}

static int request_to_device(struct usb_device *device, const struct usb_request *request,
                             uint8_t *data)
{
    const uint8_t *configuration = usb_class_of(device)->configuration_descriptor;

    switch (request->request) {
    case GET_STATUS:
        store_le16(data, (uint16_t)((configuration[ATTRIBUTES] & SELF_POWERED ? 1 : 0) |
                                    (device->remote_wakeup ? 2 : 0)));
        return 2;
    case CLEAR_FEATURE:
        return set_remote_wakeup(device, request, false);
    case SET_FEATURE:
        return set_remote_wakeup(device, request, true);
    case SET_ADDRESS:
        device->new_address = request->value & 0x7f; /* from after the status stage on */
        return request->value < 128 ? 0 : USB_STALL;
    case GET_DESCRIPTOR:
        return get_descriptor(device, request, data);
    case GET_CONFIGURATION:
        data[0] = device->configuration;
        return 1;
    case SET_CONFIGURATION:
        return set_configuration(device, request->value);
    default:
        return USB_STALL;
    }
}

/* No interface has alternate settings. */
static int request_to_interface(struct usb_device *device, const struct usb_request *request,
                                uint8_t *data)
{
    const struct usb_class *class = usb_class_of(device);

    if (request->index >= class->configuration_descriptor[INTERFACES]) {
        return USB_STALL;
    }
    switch (request->request) {
    case GET_STATUS:
        store_le16(data, 0);
        return 2;
    case GET_INTERFACE:
        data[0] = 0;
        return device->configuration ? 1 : USB_STALL;
    case SET_INTERFACE:
        return device->configuration && request->value == 0 ? 0 : USB_STALL;
    default:
        return class->control(device, request, data); /* descriptors of the class */
    }
}

static int request_to_endpoint(struct usb_device *device, const struct usb_request *request,
                               uint8_t *data)
{
    uint16_t *halted = request->index & 0x80 ? &device->halted_in : &device->halted_out;
    uint16_t bit = (uint16_t)(1u << (request->index & 15));

    switch (request->request) {
    case GET_STATUS:
        store_le16(data, *halted & bit ? 1 : 0);
        return 2;
    case CLEAR_FEATURE:
    case SET_FEATURE:
        if (request->value != FEATURE_ENDPOINT_HALT) {
            return USB_STALL;
        }
        *halted = (uint16_t)(request->request == SET_FEATURE ? *halted | bit : *halted & ~bit);
        *halted &= 0xfffe; /* endpoint 0 can always be talked to */
        return 0;
    default:
        return USB_STALL;
    }
}

static int handle_request(struct usb_device *device)
{
    const struct usb_request *request = &device->request;

    if ((request->type & USB_REQUEST_KIND) != USB_REQUEST_STANDARD) {
        return usb_class_of(device)->control(device, request, device->data);
    }
    switch (request->type & USB_REQUEST_RECIPIENT) {
    case USB_TO_DEVICE:
        return request_to_device(device, request, device->data);
    case USB_TO_INTERFACE:
        return request_to_interface(device, request, device->data);
    case USB_TO_ENDPOINT:
        return request_to_endpoint(device, request, device->data);
    default:
        return USB_STALL;
    }
}

/* Control transfers. */

static int control_setup(struct usb_device *device, const uint8_t *data, size_t length)
{
    struct usb_request *request = &device->request;
    int result;

    forget_transfer(device);
    if (length != SETUP_SIZE) {
        device->stage = STAGE_STALLED;
        return USB_STALL;
    }
    *request = (struct usb_request){.type = data[0],
                                    .request = data[1],
                                    .value = load_le16(data + 2),
                                    .index = load_le16(data + 4),
                                    .length = load_le16(data + 6)};
    if (!(request->type & USB_REQUEST_IN) && request->length) {
        device->stage = request->length <= USB_CONTROL_MAX ? STAGE_OUT : STAGE_STALLED;
        device->data_length = request->length;
        return SETUP_SIZE;
    }
    result = handle_request(device);
    if (result < 0) {
        device->stage = STAGE_STALLED; /* told in the next stage: a SETUP is always taken */
    } else if (request->type & USB_REQUEST_IN) {
        device->stage = STAGE_IN;
        device->data_length = MIN((uint32_t)result, request->length);
    } else {
        device->stage = STAGE_STATUS_IN;
    }
    return SETUP_SIZE;
}

static int control_in(struct usb_device *device, uint8_t *data, size_t length)
{
    size_t step;

    switch (device->stage) {
    case STAGE_IN:
        step = MIN(length, device->data_length - device->data_position);
        memcpy(data, device->data + device->data_position, step);
        device->data_position += (uint32_t)step;
        return (int)step;
    case STAGE_STATUS_IN:
        device->address = device->new_address;
        forget_transfer(device);
        return 0;
    default:
        return USB_STALL;
    }
}

static int control_out(struct usb_device *device, const uint8_t *data, size_t length)
{
    int result;

    if (device->stage == STAGE_IN) {
        forget_transfer(device); /* the status stage */
        return (int)length;
    }
    if (device->stage != STAGE_OUT || length > device->data_length - device->data_position) {
        device->stage = STAGE_STALLED;
        return USB_STALL;
    }
    memcpy(device->data + device->data_position, data, length);
    device->data_position += (uint32_t)length;
    if (device->data_position == device->data_length) {
        result = handle_request(device);
        device->stage = result < 0 ? STAGE_STALLED : STAGE_STATUS_IN;
    }
    return (int)length;
}

int usb_device_transact(struct usb_device *device, enum usb_pid pid, unsigned endpoint,
                        uint8_t *data, size_t length)
{
    if (endpoint == USB_ENDPOINT_ZERO) {
        return pid == USB_PID_SETUP ? control_setup(device, data, length)
               : pid == USB_PID_IN  ? control_in(device, data, length)
                                    : control_out(device, data, length);
    }
    if (!device->configuration || pid == USB_PID_SETUP || endpoint >= ENDPOINTS) {
        return USB_NO_REPLY;
    }
    if ((pid == USB_PID_IN ? device->halted_in : device->halted_out) >> endpoint & 1) {
        return USB_STALL;
    }
    return usb_class_of(device)->data(device, pid, endpoint, data, length);
}

bool usb_device_is_valid(const struct usb_device *device)
{
    return device->stage < STAGE_COUNT && device->data_length <= USB_CONTROL_MAX &&
           device->data_position <= device->data_length && device->configuration <= 1;
}
