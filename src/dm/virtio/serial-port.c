/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ports of virtio-serial. The chardev lives in the main loop, the queues in an I/O thread: input
 * goes through a ring between the two; output is written by the I/O thread itself.
 */
#include "dm/machine.h"
#include "dm/virtio/virtio-serial.h"

/* ---- Main loop: the chardev's side ---- */

static size_t port_can_receive(void *opaque)
{
    struct serial_port *port = opaque;
    size_t room;

    if (!__atomic_load_n(&port->guest_open, __ATOMIC_ACQUIRE)) {
        return 0;
    }
    pthread_mutex_lock(&port->lock);
    room = SERIAL_PORT_INPUT_SIZE - port->input_count;
    pthread_mutex_unlock(&port->lock);
    return room;
}

static void port_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct serial_port *port = opaque;

    pthread_mutex_lock(&port->lock);
    for (size_t i = 0; i < length && port->input_count < SERIAL_PORT_INPUT_SIZE; i++) {
        port->input[(port->input_start + port->input_count++) % SERIAL_PORT_INPUT_SIZE] = data[i];
    }
    pthread_mutex_unlock(&port->lock);
    virtio_serial_kick_input(port);
}

static void port_event(void *opaque, enum chardev_event event)
{
    struct serial_port *port = opaque;

    if (event == CHARDEV_WRITABLE) {
        virtio_serial_kick_output(port);
    } else if (event == CHARDEV_OPENED || event == CHARDEV_CLOSED) {
        __atomic_store_n(&port->host_open, event == CHARDEV_OPENED, __ATOMIC_RELEASE);
        virtio_serial_host_changed(port);
    }
}

static void emit_opened(void *opaque)
{
    struct serial_port *port = opaque;
    g_autofree char *id = g_strescape(port->device.id ? port->device.id : "", NULL);
    g_autofree char *data = g_strdup_printf(
        "{\"open\": %s, \"id\": \"%s\"}",
        __atomic_load_n(&port->guest_open, __ATOMIC_ACQUIRE) ? "true" : "false", id);

    machine_emit_event(port->device.machine, "VSERPORT_CHANGE", data);
}

/* ---- I/O thread ---- */

size_t serial_port_take_input(struct serial_port *port, void *buffer, size_t length)
{
    uint8_t *to = buffer;
    size_t done = 0;

    pthread_mutex_lock(&port->lock);
    while (done < length && port->input_count) {
        size_t run = MIN(length - done, port->input_count);

        run = MIN(run, (size_t)SERIAL_PORT_INPUT_SIZE - port->input_start);
        memcpy(to + done, port->input + port->input_start, run);
        port->input_start = (uint16_t)((port->input_start + run) % SERIAL_PORT_INPUT_SIZE);
        port->input_count = (uint16_t)(port->input_count - run);
        done += run;
    }
    pthread_mutex_unlock(&port->lock);
    if (done) {
        chardev_accept_input(&port->frontend);
    }
    return done;
}

bool serial_port_has_input(struct serial_port *port)
{
    bool has;

    pthread_mutex_lock(&port->lock);
    has = port->input_count > 0;
    pthread_mutex_unlock(&port->lock);
    return has;
}

size_t serial_port_write(struct serial_port *port, const void *data, size_t length)
{
    return chardev_write(&port->frontend, data, length);
}

void serial_port_set_guest_open(struct serial_port *port, bool open)
{
    if (__atomic_exchange_n(&port->guest_open, open, __ATOMIC_ACQ_REL) == open) {
        return;
    }
    if (open) {
        chardev_accept_input(&port->frontend);
    }
    if (!port->is_console) {
        machine_post(port->device.machine, &port->tell_opened);
    }
}

void serial_port_reset(struct serial_port *port)
{
    pthread_mutex_lock(&port->lock);
    port->input_start = port->input_count = 0;
    pthread_mutex_unlock(&port->lock);
    port->output_done = 0;
    serial_port_set_guest_open(port, false);
}

/* ---- Life ---- */

static bool port_realize(struct device *device, GError **error)
{
    struct serial_port *port = (struct serial_port *)device;

    pthread_mutex_init(&port->lock, NULL);
    port->tell_opened = (struct io_task){.run = emit_opened, .opaque = port};
    /* A console is always open to the guest, whoever looks at it. */
    port->host_open = port->is_console;
    port->frontend = (struct chardev_frontend){
        .can_receive = port_can_receive,
        .receive = port_receive,
        .event = port_event,
        .opaque = port,
    };
    if (!virtio_serial_add_port(port, error)) {
        pthread_mutex_destroy(&port->lock);
        return false;
    }
    if (port->chardev && !chardev_attach(port->chardev, &port->frontend, error)) {
        virtio_serial_remove_port(port);
        pthread_mutex_destroy(&port->lock);
        return false;
    }
    return true;
}

static void port_unrealize(struct device *device)
{
    struct serial_port *port = (struct serial_port *)device;

    virtio_serial_remove_port(port); /* the I/O thread knows it no more */
    chardev_detach(&port->frontend);
    machine_cancel(device->machine, &port->tell_opened);
    pthread_mutex_destroy(&port->lock);
}

static bool console_realize(struct device *device, GError **error)
{
    ((struct serial_port *)device)->is_console = true;
    return port_realize(device, error);
}

static bool port_after_load(void *opaque)
{
    const struct serial_port *port = opaque;

    return port->input_start < SERIAL_PORT_INPUT_SIZE &&
           port->input_count <= SERIAL_PORT_INPUT_SIZE;
}

static const struct state_field port_fields[] = {
    STATE(BOOL, serial_port, guest_open, 1),
    STATE_ARRAY(BYTES, serial_port, input, SERIAL_PORT_INPUT_SIZE, 1),
    STATE(UINT16, serial_port, input_start, 1),
    STATE(UINT16, serial_port, input_count, 1),
    STATE(UINT64, serial_port, output_done, 1),
    STATE_END,
};

static const struct state_description port_state = {
    .name = "virtio-serial-port",
    .version = 1,
    .fields = port_fields,
    .after_load = port_after_load,
};

static const struct property port_properties[] = {
    {"chardev", PROPERTY_CHARDEV, offsetof(struct serial_port, chardev), NULL, 0, 0,
     "character device at the other end"},
    {"name", PROPERTY_STRING, offsetof(struct serial_port, name), NULL, 0, 0,
     "name by which the guest finds it"},
    {"nr", PROPERTY_UINT32, offsetof(struct serial_port, number), "0xffffffff", 0, UINT32_MAX,
     "number of the port; 0 is kept for a console [the first that is free]"},
    PROPERTY_END,
};

extern const struct device_class virtserialport_class, virtconsole_class;

const struct device_class virtserialport_class = {
    .name = "virtserialport",
    .description = "a channel to the guest",
    .bus_type = BUS_VIRTIO_SERIAL,
    .instance_size = sizeof(struct serial_port),
    .user_creatable = true,
    .properties = port_properties,
    .state = &port_state,
    .realize = port_realize,
    .unrealize = port_unrealize,
};

const struct device_class virtconsole_class = {
    .name = "virtconsole",
    .description = "a terminal for the guest (hvc0, hvc1...)",
    .bus_type = BUS_VIRTIO_SERIAL,
    .instance_size = sizeof(struct serial_port),
    .user_creatable = true,
    .properties = port_properties,
    .state = &port_state,
    .realize = console_realize,
    .unrealize = port_unrealize,
};
