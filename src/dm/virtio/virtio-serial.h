/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-serial (virtio 1.2, 5.3): up to 31 ports, each a pair of queues, and a pair that tells of
 * their coming and going. Ports are devices of their own on its bus: virtconsole (a terminal for
 * the guest) and virtserialport (a channel with a name).
 */
#ifndef DUODM_DM_VIRTIO_VIRTIO_SERIAL_H
#define DUODM_DM_VIRTIO_VIRTIO_SERIAL_H

#include "dm/chardev.h"
#include "dm/virtio/virtio.h"

#define VIRTIO_SERIAL_PORTS_MAX 31
#define SERIAL_PORT_INPUT_SIZE  4096 /* bytes from the host that wait for the guest */

struct virtio_serial;

struct serial_port {
    struct device device;
    /* Properties. */
    uint32_t number; /* nr; UINT32_MAX: the first that is free */
    char *name;      /* or NULL */
    struct chardev *chardev;
    bool is_console;

    struct virtio_serial *serial;
    struct chardev_frontend frontend;
    bool host_open;  /* somebody is at the other end; atomic, set by the main loop */
    bool guest_open; /* atomic, set in the I/O thread */
    struct io_task tell_opened;

    pthread_mutex_t lock;                  /* leaf; protects the input */
    uint8_t input[SERIAL_PORT_INPUT_SIZE]; /* a ring */
    uint16_t input_start, input_count;

    uint64_t output_done; /* of the first buffer that is available: bytes written already */
};

/* For ports, in the main loop. Take a number and be announced; the opposite. */
bool virtio_serial_add_port(struct serial_port *port, GError **error);
void virtio_serial_remove_port(struct serial_port *port);
/* There is input, or room for output, or host_open has changed. Any thread. */
void virtio_serial_kick_input(struct serial_port *port);
void virtio_serial_kick_output(struct serial_port *port);
void virtio_serial_host_changed(struct serial_port *port);

/* In the I/O thread: bytes from the host, at most length; those that the chardev took. */
size_t serial_port_take_input(struct serial_port *port, void *buffer, size_t length);
bool serial_port_has_input(struct serial_port *port);
size_t serial_port_write(struct serial_port *port, const void *data, size_t length);
/* The guest opened or closed its side. */
void serial_port_set_guest_open(struct serial_port *port, bool open);
/* To the state of power-on: what waits is dropped. Queues are stopped. */
void serial_port_reset(struct serial_port *port);

#endif
