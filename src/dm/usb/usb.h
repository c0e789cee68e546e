/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB (specification 2.0): the bus of a host controller, and devices of full speed on it. All of a
 * bus is under the guard of its controller: devices have no lock, and what calls them from
 * elsewhere (input) enters the controller's guard, usb_device_guard.
 */
#ifndef DUODM_DM_USB_USB_H
#define DUODM_DM_USB_USB_H

#include "dm/device.h"

#define USB_PORTS_MAX     8
#define USB_CONTROL_MAX   512 /* bytes of a control transfer's data stage */
#define USB_ENDPOINT_ZERO 0

struct usb_bus;
struct usb_device;

enum usb_pid { /* 8.3.1, table 8-1 */
               USB_PID_OUT = 0xe1,
               USB_PID_IN = 0x69,
               USB_PID_SETUP = 0x2d,
};

/* How a transaction ends, if not with a number of bytes. */
enum usb_result {
    USB_NAK = -1,     /* nothing yet: try again */
    USB_STALL = -2,   /* not possible; 8.4.5 */
    USB_NO_REPLY = -3 /* there is no such device */
};

/* A request of a control transfer: 9.3. */
struct usb_request {
    uint8_t type;    /* bmRequestType */
    uint8_t request; /* bRequest */
    uint16_t value, index, length;
};
#define USB_REQUEST_IN        0x80 /* in type: data goes to the host */
#define USB_REQUEST_STANDARD  0x00
#define USB_REQUEST_CLASS     0x20
#define USB_REQUEST_KIND      0x60
#define USB_REQUEST_RECIPIENT 0x1f
#define USB_TO_DEVICE         0
#define USB_TO_INTERFACE      1
#define USB_TO_ENDPOINT       2

struct usb_class {
    const uint8_t *device_descriptor;        /* 18 bytes: 9.6.1 */
    const uint8_t *configuration_descriptor; /* with all that belongs to it: 9.6.3 */
    size_t configuration_size;
    const char *strings[4]; /* of index 1 to 3; NULL: none */
    /* A request that is not the core's. data holds what came (OUT), or takes what goes (IN) of at
     * most USB_CONTROL_MAX bytes; the number of bytes, or USB_STALL. */
    int (*control)(struct usb_device *device, const struct usb_request *request, uint8_t *data);
    /* A transaction on an endpoint other than 0: bytes, or an enum usb_result. */
    int (*data)(struct usb_device *device, enum usb_pid pid, unsigned endpoint, uint8_t *data,
                size_t length);
    /* It was reset, or set to configuration `device->configuration` (0: none). */
    void (*configured)(struct usb_device *device);
};

struct usb_device {
    struct device device;
    char *port_name; /* property port: "1" ...; NULL: the first that is free */
    unsigned port;   /* index */
    uint8_t address, new_address;
    uint8_t configuration; /* 0 or 1 */
    bool remote_wakeup;
    uint16_t halted_in, halted_out; /* a bit for each endpoint: 9.4.5 */
    /* The control transfer under way: 8.5.3. */
    struct usb_request request;
    uint8_t stage; /* enum usb_stage */
    uint8_t data[USB_CONTROL_MAX];
    uint32_t data_length, data_position;
};

/* The controller's side. Called under its guard. */
struct usb_bus_ops {
    void (*attached)(struct usb_bus *bus, unsigned port); /* something was plugged in, or out */
    /* A device has something to tell that it has NAKed so far. */
    void (*woken)(struct usb_bus *bus, struct usb_device *device);
};

struct usb_bus {
    struct bus base;
    const struct usb_bus_ops *ops;
    struct usb_device *ports[USB_PORTS_MAX];
    unsigned port_count;
};

#define USB_DEVICE_PROPERTIES(struct_)                                                             \
    {                                                                                              \
        "port", PROPERTY_STRING, offsetof(struct struct_, usb.port_name), NULL, 0, 0,              \
            "number of the port, from 1 [the first that is free]"                                  \
    }
#define USB_DEVICE_STATE_FIELDS(struct_)                                                           \
    STATE(UINT8, struct_, usb.address, 1), STATE(UINT8, struct_, usb.new_address, 1),              \
        STATE(UINT8, struct_, usb.configuration, 1), STATE(BOOL, struct_, usb.remote_wakeup, 1),   \
        STATE(UINT16, struct_, usb.halted_in, 1), STATE(UINT16, struct_, usb.halted_out, 1),       \
        STATE(UINT8, struct_, usb.request.type, 1), STATE(UINT8, struct_, usb.request.request, 1), \
        STATE(UINT16, struct_, usb.request.value, 1),                                              \
        STATE(UINT16, struct_, usb.request.index, 1),                                              \
        STATE(UINT16, struct_, usb.request.length, 1), STATE(UINT8, struct_, usb.stage, 1),        \
        STATE_ARRAY(BYTES, struct_, usb.data, USB_CONTROL_MAX, 1),                                 \
        STATE(UINT32, struct_, usb.data_length, 1), STATE(UINT32, struct_, usb.data_position, 1)

/* A controller's bus. name: as -device bus= has it. */
void usb_bus_init(struct usb_bus *bus, const struct usb_bus_ops *ops, struct device *controller,
                  const char *name, unsigned ports);
void usb_bus_clear(struct usb_bus *bus);
/* Who answers to an address; NULL: nobody. enabled: a bit for each port that is. */
struct usb_device *usb_bus_find(struct usb_bus *bus, uint8_t address, unsigned enabled);

/* By the controller. */
void usb_device_reset_port(struct usb_device *device); /* 9.1.1.3: default state */
/* One transaction; data has room for, or holds, `length` bytes. Bytes or an enum usb_result. */
int usb_device_transact(struct usb_device *device, enum usb_pid pid, unsigned endpoint,
                        uint8_t *data, size_t length);

/* By the device. */
struct access_guard *usb_device_guard(struct usb_device *device);
void usb_device_wake(struct usb_device *device);           /* data came; under usb_device_guard */
bool usb_device_is_valid(const struct usb_device *device); /* after state was loaded */
static inline const struct usb_class *usb_class_of(const struct usb_device *device)
{
    return device->device.class->bus_class;
}

#endif
