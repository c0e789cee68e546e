/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-serial, 5.3: the queues, and the messages about ports. serial-port.c has the ports. */
#include "dm/hotplug.h"
#include "dm/machine.h"
#include "dm/virtio/virtio-mmio.h"
#include "dm/virtio/virtio-pci.h"
#include "dm/virtio/virtio-serial.h"
#include "util/error.h"
#include "util/little-endian.h"

#include <inttypes.h>

/* Feature bits, 5.3.3. */
#define VIRTIO_CONSOLE_F_MULTIPORT   1
#define VIRTIO_CONSOLE_F_EMERG_WRITE 2

/* Configuration, 5.3.4. */
#define CONFIG_MAX_PORTS 4
#define CONFIG_EMERGENCY 8
#define CONFIG_SIZE      12

/* Control messages, 5.3.6.2: u32 port, u16 event, u16 value. */
#define MESSAGE_SIZE 8
enum control_event {
    DEVICE_READY = 0,
    DEVICE_ADD = 1,
    DEVICE_REMOVE = 2,
    PORT_READY = 3,
    CONSOLE_PORT = 4,
    PORT_OPEN = 6,
    PORT_NAME = 7,
};

/* What the driver has still to be told of a port, a bit each, in the order in which it is. */
#define TELL_REMOVE  0x01u
#define TELL_ADD     0x02u
#define TELL_CONSOLE 0x04u
#define TELL_NAME    0x08u
#define TELL_OPEN    0x10u

#define QUEUE_SIZE         128
#define CONTROL_QUEUE_SIZE 32
#define CONTROL_RECEIVE    2
#define CONTROL_TRANSMIT   3
#define COPY_SIZE          4096 /* bytes that are written to a chardev at once */
#define NUMBER_ANY         UINT32_MAX

struct virtio_serial {
    struct virtio_device virtio;
    uint32_t max_ports; /* property */
    struct bus bus;
    /* Of the I/O thread; the main loop changes them by io_thread_call. */
    struct serial_port *ports[VIRTIO_SERIAL_PORTS_MAX];
    uint8_t tell[VIRTIO_SERIAL_PORTS_MAX];
    bool driver_ready; /* DEVICE_READY came */
};

static struct virtio_serial *serial_of(struct virtio_device *device)
{
    return (struct virtio_serial *)device;
}

/* Queues of a port: 0 and 1; 2 and 3 are control; then 4 and 5, ... 5.3.2. */
static unsigned receive_queue(unsigned number)
{
    return number ? 2 + 2 * number : 0;
}

static unsigned transmit_queue(unsigned number)
{
    return receive_queue(number) + 1;
}

static struct serial_port *port_of_queue(struct virtqueue *queue)
{
    unsigned number = queue->index < 2 ? 0 : queue->index / 2 - 1;

    return serial_of(queue->device)->ports[number];
}

static bool has_multiport(const struct virtio_serial *serial)
{
    return virtio_has_feature(&serial->virtio, VIRTIO_CONSOLE_F_MULTIPORT);
}

/* ---- Data, in the I/O thread ---- */

/* From the host to the guest. */
static bool handle_receive(struct virtqueue *queue)
{
    struct serial_port *port = port_of_queue(queue);
    struct virtqueue_element *element;

    while (port && serial_port_has_input(port)) {
        uint8_t data[SERIAL_PORT_INPUT_SIZE];
        size_t size;

        element = virtqueue_pop(queue);
        if (!element) {
            return true;
        }
        size = serial_port_take_input(port, data, MIN(sizeof(data), element->in_length));
        virtqueue_push(element, virtqueue_write(element, 0, data, size));
        virtqueue_notify(queue);
    }
    return false; /* more input kicks the queue */
}

/* Write what of an element has not been written; false: the host takes no more now. */
static bool transmit(struct serial_port *port, const struct virtqueue_element *element)
{
    while (port && port->output_done < element->out_length) {
        uint8_t data[COPY_SIZE];
        uint64_t size = virtqueue_read(element, port->output_done, data, sizeof(data));
        size_t taken = serial_port_write(port, data, size);

        port->output_done += taken;
        if (taken < size) {
            return false;
        }
    }
    return true;
}

/* From the guest to the host. */
static bool handle_transmit(struct virtqueue *queue)
{
    struct serial_port *port = port_of_queue(queue);
    struct virtqueue_element *element;

    while ((element = virtqueue_pop(queue))) {
        if (!transmit(port, element)) {
            virtqueue_unpop(element);
            return false; /* CHARDEV_WRITABLE kicks the queue */
        }
        if (port) {
            port->output_done = 0;
        }
        virtqueue_push(element, 0);
        virtqueue_notify(queue);
    }
    return true;
}

/* ---- Control, in the I/O thread ---- */

/* The next thing to tell; false: nothing. */
static bool next_message(struct virtio_serial *serial, unsigned *number, unsigned *what)
{
    for (*number = 0; *number < serial->max_ports; ++*number) {
        if (serial->tell[*number]) {
            *what = serial->tell[*number] & -(unsigned)serial->tell[*number];
            return true;
        }
    }
    return false;
}

static size_t make_message(struct virtio_serial *serial, unsigned number, unsigned what,
                           uint8_t *message, size_t size)
{
    const struct serial_port *port = serial->ports[number];
    enum control_event event = DEVICE_REMOVE;
    uint16_t value = 1;
    size_t length = MESSAGE_SIZE;

    switch (what) {
    case TELL_ADD:
        event = DEVICE_ADD;
        break;
    case TELL_CONSOLE:
        event = CONSOLE_PORT;
        break;
    case TELL_NAME:
        event = PORT_NAME;
        length += MIN(strlen(port->name), size - MESSAGE_SIZE);
        memcpy(message + MESSAGE_SIZE, port->name, length - MESSAGE_SIZE);
        break;
    case TELL_OPEN:
        event = PORT_OPEN;
        value = __atomic_load_n(&port->host_open, __ATOMIC_ACQUIRE);
        break;
    default:
        break;
    }
    store_le32(message, number);
    store_le16(message + 4, (uint16_t)event);
    store_le16(message + 6, value);
    return length;
}

static bool handle_control_receive(struct virtqueue *queue)
{
    struct virtio_serial *serial = serial_of(queue->device);
    unsigned number, what;

    while (serial->driver_ready && next_message(serial, &number, &what)) {
        struct virtqueue_element *element = virtqueue_pop(queue);
        uint8_t message[256];
        size_t length;

        if (!element) {
            return true;
        }
        length = make_message(serial, number, what, message, sizeof(message));
        serial->tell[number] &= (uint8_t)~what;
        virtqueue_push(element, virtqueue_write(element, 0, message, length));
        virtqueue_notify(queue);
    }
    return false; /* who has something to tell kicks the queue */
}

static void kick_control(struct virtio_serial *serial)
{
    virtqueue_kick(virtio_queue(&serial->virtio, CONTROL_RECEIVE));
}

static void port_became_ready(struct virtio_serial *serial, unsigned number)
{
    const struct serial_port *port = serial->ports[number];

    serial->tell[number] |=
        (uint8_t)((port->is_console ? TELL_CONSOLE : 0) | (port->name ? TELL_NAME : 0) | TELL_OPEN);
    kick_control(serial);
}

static void take_message(struct virtio_serial *serial, uint32_t number, uint16_t event,
                         uint16_t value)
{
    struct serial_port *port = number < serial->max_ports ? serial->ports[number] : NULL;

    if (event == DEVICE_READY) {
        serial->driver_ready = value == 1;
        for (unsigned i = 0; serial->driver_ready && i < serial->max_ports; i++) {
            serial->tell[i] = serial->ports[i] ? TELL_ADD : 0;
        }
        kick_control(serial);
    } else if (port && event == PORT_READY && value == 1) {
        port_became_ready(serial, number);
    } else if (port && event == PORT_OPEN) {
        serial_port_set_guest_open(port, value == 1);
    }
}

static bool handle_control_transmit(struct virtqueue *queue)
{
    struct virtqueue_element *element;

    while ((element = virtqueue_pop(queue))) {
        uint8_t message[MESSAGE_SIZE];

        if (virtqueue_read(element, 0, message, sizeof(message)) == sizeof(message)) {
            take_message(serial_of(queue->device), load_le32(message), load_le16(message + 4),
                         load_le16(message + 6));
        }
        virtqueue_push(element, 0);
        virtqueue_notify(queue);
    }
    return true;
}

/* Without multiport there is port 0, open as long as the driver is there. */
static void serial_start(struct virtio_device *device)
{
    struct virtio_serial *serial = serial_of(device);

    if (!has_multiport(serial) && serial->ports[0]) {
        serial_port_set_guest_open(serial->ports[0], true);
    }
}

/* ---- Ports come and go ---- */

void virtio_serial_kick_input(struct serial_port *port)
{
    virtqueue_kick(virtio_queue(&port->serial->virtio, receive_queue(port->number)));
}

void virtio_serial_kick_output(struct serial_port *port)
{
    virtqueue_kick(virtio_queue(&port->serial->virtio, transmit_queue(port->number)));
}

static void tell_open(void *opaque)
{
    struct serial_port *port = opaque;
    struct virtio_serial *serial = port->serial;

    /* Before the driver knows the port it is told with all the rest. */
    if (serial->driver_ready && !(serial->tell[port->number] & TELL_ADD)) {
        serial->tell[port->number] |= TELL_OPEN;
        kick_control(serial);
    }
}

void virtio_serial_host_changed(struct serial_port *port)
{
    if (!port->is_console) {
        io_thread_call(port->serial->virtio.thread, tell_open, port);
    }
}

static void add_port(void *opaque)
{
    struct serial_port *port = opaque;
    struct virtio_serial *serial = port->serial;

    serial->ports[port->number] = port;
    if (serial->driver_ready) {
        serial->tell[port->number] |= TELL_ADD;
        kick_control(serial);
    } else if (serial->virtio.running && !has_multiport(serial) && port->number == 0) {
        serial_port_set_guest_open(port, true);
    }
}

static void remove_port(void *opaque)
{
    struct serial_port *port = opaque;
    struct virtio_serial *serial = port->serial;

    serial->ports[port->number] = NULL;
    /* A driver that was not told of it need not hear of its end. */
    serial->tell[port->number] =
        serial->driver_ready && !(serial->tell[port->number] & TELL_ADD) ? TELL_REMOVE : 0;
    kick_control(serial);
}

/* Under the device's guard: the emergency write looks at ports from a vCPU. */
static void change_ports(struct serial_port *port, void (*change)(void *opaque))
{
    struct virtio_serial *serial = port->serial;
    bool entered = access_guard_enter(&serial->virtio.pci.device.guard);

    io_thread_call(serial->virtio.thread, change, port);
    if (entered) {
        access_guard_leave(&serial->virtio.pci.device.guard);
    }
}

static bool choose_number(struct virtio_serial *serial, struct serial_port *port, GError **error)
{
    uint32_t number = port->number;

    if (number == NUMBER_ANY) {
        number = port->is_console ? 0 : 1;
        while (number < serial->max_ports && serial->ports[number]) {
            number++;
        }
    }
    if (number >= serial->max_ports) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY,
                          "port %" PRIu32 " is not possible: '%s' has %" PRIu32
                          " ports, from 0 on (max_ports)",
                          number, virtio_name(&serial->virtio), serial->max_ports);
    }
    if (serial->ports[number]) {
        return duodm_fail(error, DUODM_ERROR_EXISTS, "port %" PRIu32 " of '%s' is taken", number,
                          virtio_name(&serial->virtio));
    }
    if (number == 0 && !port->is_console) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "port 0 is for a virtconsole: choose nr=1 or more");
    }
    port->number = number;
    return true;
}

bool virtio_serial_add_port(struct serial_port *port, GError **error)
{
    struct virtio_serial *serial = (struct virtio_serial *)port->device.bus->parent;

    if (!choose_number(serial, port, error)) {
        return false;
    }
    port->serial = serial;
    change_ports(port, add_port);
    return true;
}

void virtio_serial_remove_port(struct serial_port *port)
{
    change_ports(port, remove_port);
}

/* ---- The device ---- */

static void serial_config_written(struct virtio_device *device, unsigned offset, unsigned length)
{
    struct virtio_serial *serial = serial_of(device);
    uint8_t character = device->config[CONFIG_EMERGENCY];

    if (offset <= CONFIG_EMERGENCY && offset + length > CONFIG_EMERGENCY && serial->ports[0]) {
        serial_port_write(serial->ports[0], &character, 1); /* 5.3.5.1 */
    }
}

static void reset_ports(void *opaque)
{
    struct virtio_serial *serial = opaque;

    serial->driver_ready = false;
    memset(serial->tell, 0, sizeof(serial->tell));
    for (unsigned i = 0; i < serial->max_ports; i++) {
        if (serial->ports[i]) {
            serial_port_reset(serial->ports[i]);
        }
    }
}

static void serial_reset(struct virtio_device *device)
{
    memset(device->config + CONFIG_EMERGENCY, 0, 4);
    io_thread_call(device->thread, reset_ports, serial_of(device));
}

static void add_queues(struct virtio_serial *serial)
{
    struct virtio_device *device = &serial->virtio;

    virtio_add_queue(device, QUEUE_SIZE, 0, handle_receive);
    virtio_add_queue(device, QUEUE_SIZE, 0, handle_transmit);
    virtio_add_queue(device, CONTROL_QUEUE_SIZE, 0, handle_control_receive);
    virtio_add_queue(device, CONTROL_QUEUE_SIZE, 0, handle_control_transmit);
    for (unsigned i = 1; i < serial->max_ports; i++) {
        virtio_add_queue(device, QUEUE_SIZE, 0, handle_receive);
        virtio_add_queue(device, QUEUE_SIZE, 0, handle_transmit);
    }
}

/* The driver is told by control messages, and asked for nothing. */
static bool request_unplug(struct device *port, bool force, GError **error)
{
    hotplug_removed(port);
    return true;
}

static char *port_address(const struct device *port)
{
    return g_strdup_printf("%u", ((const struct serial_port *)port)->number);
}

static const struct bus_ops ports_ops = {
    .request_unplug = request_unplug,
    .address = port_address,
};

static bool serial_realize(struct virtio_device *device, GError **error)
{
    struct virtio_serial *serial = serial_of(device);
    g_autofree char *name = NULL;

    add_queues(serial);
    store_le32(device->config + CONFIG_MAX_PORTS, serial->max_ports);
    memset(device->config_write_mask + CONFIG_EMERGENCY, 0xff, 4);
    name = g_strdup_printf("%s.0",
                           device->pci.device.id ? device->pci.device.id : "virtio-serial-bus");
    bus_init(&serial->bus, &ports_ops, BUS_VIRTIO_SERIAL, name, &device->pci.device);
    bus_offer(device->pci.device.machine, &serial->bus);
    return true;
}

static void serial_unrealize(struct virtio_device *device)
{
    struct virtio_serial *serial = serial_of(device);

    bus_withdraw(device->pci.device.machine, &serial->bus);
    bus_clear(&serial->bus);
}

static const struct state_field serial_fields[] = {
    VIRTIO_STATE_FIELDS,
    STATE_ARRAY(UINT8, virtio_serial, tell, VIRTIO_SERIAL_PORTS_MAX, 1),
    STATE(BOOL, virtio_serial, driver_ready, 1),
    STATE_END,
};

static const struct state_description serial_state = {
    .name = "virtio-serial",
    .version = 1,
    .fields = serial_fields,
    VIRTIO_STATE_HOOKS,
};

/* A name, or a port, that is not there can't be told of. */
static bool serial_after_load(struct virtio_device *device)
{
    struct virtio_serial *serial = serial_of(device);

    for (unsigned i = 0; i < VIRTIO_SERIAL_PORTS_MAX; i++) {
        const struct serial_port *port = i < serial->max_ports ? serial->ports[i] : NULL;
        uint8_t possible = TELL_REMOVE;

        if (port) {
            possible |= TELL_ADD | TELL_OPEN | (port->is_console ? TELL_CONSOLE : 0) |
                        (port->name ? TELL_NAME : 0);
        }
        if (serial->tell[i] & ~possible) {
            return false;
        }
    }
    return true;
}

static const struct virtio_class serial_class = {
    .name = "virtio-serial",
    .device_id = 3,
    .legacy_id = 0x1003,
    .features =
        VIRTIO_FEATURE(VIRTIO_CONSOLE_F_MULTIPORT) | VIRTIO_FEATURE(VIRTIO_CONSOLE_F_EMERG_WRITE),
    .config_size = CONFIG_SIZE,
    .realize = serial_realize,
    .unrealize = serial_unrealize,
    .config_written = serial_config_written,
    .reset = serial_reset,
    .start = serial_start,
    .after_load = serial_after_load,
};

#define SERIAL_PROPERTIES                                                                          \
    {                                                                                              \
        "max_ports", PROPERTY_UINT32, offsetof(struct virtio_serial, max_ports), "31", 1,          \
            VIRTIO_SERIAL_PORTS_MAX, "ports that it can have"                                      \
    }

static const struct property serial_pci_properties[] = {
    VIRTIO_PCI_PROPERTIES,
    SERIAL_PROPERTIES,
    PROPERTY_END,
};

static const struct property serial_mmio_properties[] = {
    VIRTIO_DEVICE_PROPERTIES,
    SERIAL_PROPERTIES,
    PROPERTY_END,
};

VIRTIO_PCI_CLASSES(virtio_serial, serial_class, virtio_serial, "virtio-serial",
                   "consoles and channels", 0x078000, serial_state, serial_pci_properties);
VIRTIO_MMIO_CLASS(virtio_serial, serial_class, virtio_serial, "virtio-serial",
                  "consoles and channels", serial_state, serial_mmio_properties);
