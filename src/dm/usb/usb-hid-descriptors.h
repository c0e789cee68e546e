/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors of the devices of usb-hid.h: USB 2.0, 9.6; HID 1.11, 6.2.1. */
#ifndef DUODM_DM_USB_USB_HID_DESCRIPTORS_H
#define DUODM_DM_USB_USB_HID_DESCRIPTORS_H

#define HID_SUBCLASS_NONE     0
#define HID_SUBCLASS_BOOT     1
#define HID_PROTOCOL_NONE     0
#define HID_PROTOCOL_KEYBOARD 1
#define HID_PROTOCOL_MOUSE    2

/* USB 1.1; packets of 8 bytes; vendor 0627h, product 1: by which guests know such devices; strings
 * 1 to 3; one configuration. */
#define HID_DEVICE_DESCRIPTOR                                                                      \
    {                                                                                              \
        18, 1, 0x10, 0x01, 0, 0, 0, 8, 0x27, 0x06, 0x01, 0x00, 0x00, 0x01, 1, 2, 3, 1              \
    }

/* Bus-powered, 100 mA, remote wakeup; one interface; endpoint 1, IN, interrupt, 8 bytes, each 8 ms.
 */
#define HID_CONFIGURATION(subclass_, protocol_, report_size_)                                      \
    {                                                                                              \
        9, 2, 34, 0, 1, 1, 0, 0xa0, 50, 9, 4, 0, 0, 1, 3, subclass_, protocol_, 0, 9, 0x21, 0x11,  \
            0x01, 0, 1, 0x22, (report_size_)&0xff, (report_size_) >> 8, 7, 5, 0x81, 3, 8, 0, 8     \
    }

#define HID_USB_CLASS(device_, configuration_, product_)                                           \
    {                                                                                              \
        .device_descriptor = device_, .configuration_descriptor = configuration_,                  \
        .configuration_size = sizeof(configuration_), .strings = {NULL, "duodm", product_, "1"},   \
        .control = usb_hid_control, .data = usb_hid_data, .configured = usb_hid_configured         \
    }

#define HID_DEVICE_CLASS(variable_, name_, text_, hid_class_, properties_)                         \
    const struct device_class variable_ = {                                                        \
        .name = name_,                                                                             \
        .description = text_,                                                                      \
        .bus_type = BUS_USB,                                                                       \
        .instance_size = sizeof(struct usb_hid),                                                   \
        .user_creatable = true,                                                                    \
        .properties = properties_,                                                                 \
        .state = &usb_hid_state,                                                                   \
        .realize = usb_hid_realize,                                                                \
        .unrealize = usb_hid_unrealize,                                                            \
        .bus_class = &(hid_class_),                                                                \
    }

#endif
