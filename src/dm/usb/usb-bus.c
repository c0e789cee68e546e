/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ports, and how devices come to them and leave. */
#include "dm/hotplug.h"
#include "dm/machine.h"
#include "dm/usb/usb.h"
#include "util/error.h"

#include <string.h>

static struct usb_device *usb_device_of(struct device *device)
{
    return (struct usb_device *)device;
}

static struct usb_bus *bus_of(const struct device *device)
{
    return (struct usb_bus *)device->bus;
}

struct access_guard *usb_device_guard(struct usb_device *device)
{
    return &device->device.bus->parent->guard;
}

static bool choose_port(struct usb_bus *bus, struct usb_device *device, GError **error)
{
    uint64_t number;

    if (device->port_name) {
        if (!parse_number(device->port_name, &number, NULL) || number < 1 ||
            number > bus->port_count) {
            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "port=%s: bus '%s' has ports 1 to %u", device->port_name,
                              bus->base.name, bus->port_count);
        }
        device->port = (unsigned)number - 1;
        return !bus->ports[device->port] ||
               duodm_fail(error, DUODM_ERROR_EXISTS, "port %s of bus '%s' is taken by '%s'",
                          device->port_name, bus->base.name,
                          bus->ports[device->port]->device.class->name);
    }
    for (device->port = 0; device->port < bus->port_count; device->port++) {
        if (!bus->ports[device->port]) {
            device->port_name = g_strdup_printf("%u", device->port + 1);
            return true;
        }
    }
    return duodm_fail(error, DUODM_ERROR_NO_MEMORY,
                      "no port is free on bus '%s': add a controller, -device "
                      "piix3-usb-uhci,id=ID, and say bus=ID.0",
                      bus->base.name);
}

static bool prepare(struct device *device, GError **error)
{
    return choose_port(bus_of(device), usb_device_of(device), error);
}

/* With the controller's guard, if it can be had: not in the destruction of the controller. */
static void set_port(struct usb_bus *bus, unsigned port, struct usb_device *device)
{
    struct access_guard *guard = &bus->base.parent->guard;
    bool entered = access_guard_enter(guard);

    bus->ports[port] = device;
    bus->ops->attached(bus, port);
    if (entered) {
        access_guard_leave(guard);
    }
}

static bool plug(struct device *device, GError **error)
{
    struct usb_device *usb = usb_device_of(device);

    usb_device_reset_port(usb);
    set_port(bus_of(device), usb->port, usb);
    return true;
}

static void unplug(struct device *device)
{
    set_port(bus_of(device), usb_device_of(device)->port, NULL);
}

/* USB is made for surprises: nobody is asked. */
static bool request_unplug(struct device *device, bool force, GError **error)
{
    hotplug_removed(device);
    return true;
}

static void reset(struct device *device)
{
    usb_device_reset_port(usb_device_of(device));
}

static bool is_full(const struct bus *base)
{
    const struct usb_bus *bus = (const struct usb_bus *)base;

    for (unsigned i = 0; i < bus->port_count; i++) {
        if (!bus->ports[i]) {
            return false;
        }
    }
    return true;
}

static char *address(const struct device *device)
{
    return g_strdup_printf("%u", ((const struct usb_device *)device)->port + 1);
}

static const struct bus_ops usb_bus_base_ops = {
    .prepare = prepare,
    .plug = plug,
    .unplug = unplug,
    .reset = reset,
    .request_unplug = request_unplug,
    .is_full = is_full,
    .address = address,
};

void usb_bus_init(struct usb_bus *bus, const struct usb_bus_ops *ops, struct device *controller,
                  const char *name, unsigned ports)
{
    bus->ops = ops;
    bus->port_count = ports;
    memset(bus->ports, 0, sizeof(bus->ports));
    bus_init(&bus->base, &usb_bus_base_ops, BUS_USB, name, controller);
    bus_offer(controller->machine, &bus->base);
}

void usb_bus_clear(struct usb_bus *bus)
{
    bus_withdraw(bus->base.parent->machine, &bus->base);
    bus_clear(&bus->base);
}

struct usb_device *usb_bus_find(struct usb_bus *bus, uint8_t address, unsigned enabled)
{
    for (unsigned i = 0; i < bus->port_count; i++) {
        if (bus->ports[i] && enabled >> i & 1 && bus->ports[i]->address == address) {
            return bus->ports[i];
        }
    }
    return NULL;
}

void usb_device_wake(struct usb_device *device)
{
    struct usb_bus *bus = bus_of(&device->device);

    bus->ops->woken(bus, device);
}
