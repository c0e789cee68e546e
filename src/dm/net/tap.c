/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tap interfaces of Linux (Documentation/networking/tuntap.rst). With a virtio header before each
 * packet the kernel takes and gives unfinished checksums and large packets.
 */
#include "dm/net/backend.h"
#include "dm/net/tap.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_BUDGET 64 /* packets in one event: then others get their turn */

struct tap {
    struct netdev netdev;
    struct tap_device device;
    char *down_script; /* NULL: none */
};

struct tap_queue {
    struct net_queue queue;
    int fd;
    struct event *readable, *writable;
    uint8_t *buffer; /* header and packet */
    size_t held;     /* bytes of a packet in buffer that the NIC had no room for; 0: none */
};

static struct tap *tap_of(const struct net_queue *queue)
{
    return (struct tap *)queue->netdev;
}

/* In. */

static bool deliver(struct tap_queue *self, size_t length)
{
    static const struct vnet_header none;
    const struct tap *tap = tap_of(&self->queue);
    size_t start = tap->device.header_size;
    struct iovec piece = {self->buffer + start, length - start};

    if (length <= start) {
        return true;
    }
    return net_queue_deliver(&self->queue, start ? (const struct vnet_header *)self->buffer : &none,
                             &piece, 1);
}

static void tap_readable(evutil_socket_t fd, short what, void *opaque)
{
    struct tap_queue *self = opaque;

    for (unsigned i = 0; i < READ_BUDGET; i++) {
        ssize_t n = read(fd, self->buffer, sizeof(struct vnet_header) + NET_PACKET_MAX);

        if (n <= 0) {
            break; /* EAGAIN; or EIO while the interface is down */
        }
        if (!deliver(self, (size_t)n)) {
            self->held = (size_t)n;
            event_del(self->readable);
            break;
        }
    }
    net_queue_deliver_end(&self->queue);
}

static void tap_resume(struct net_queue *queue)
{
    struct tap_queue *self = (struct tap_queue *)queue;

    if (!self->held) {
        return;
    }
    if (deliver(self, self->held)) {
        self->held = 0;
        event_add(self->readable, NULL);
        tap_readable(self->fd, EV_READ, self);
    }
}

/* Out. */

static void tap_writable(evutil_socket_t fd, short what, void *opaque)
{
    net_queue_writable(opaque);
}

static bool tap_send(struct net_queue *queue, const struct vnet_header *header,
                     const struct iovec *data, unsigned count)
{
    struct tap_queue *self = (struct tap_queue *)queue;
    struct iovec pieces[NET_IOVEC_MAX + 1];
    size_t header_size = tap_of(queue)->device.header_size;
    unsigned used = 0;

    if (header_size) {
        pieces[used++] = (struct iovec){(void *)header, header_size};
    }
    memcpy(pieces + used, data, count * sizeof(*data));
    if (writev(self->fd, pieces, (int)(used + count)) < 0 && errno == EAGAIN) {
        event_add(self->writable, NULL);
        return false;
    }
    return true; /* what the kernel refuses is lost, as on a wire */
}

/* Life. */

static void tap_start(struct net_queue *queue)
{
    struct tap_queue *self = (struct tap_queue *)queue;

    self->buffer = g_malloc(sizeof(struct vnet_header) + NET_PACKET_MAX);
    self->held = 0;
    self->readable = event_new(queue->base, self->fd, EV_READ | EV_PERSIST, tap_readable, self);
    self->writable = event_new(queue->base, self->fd, EV_WRITE, tap_writable, self);
    event_add(self->readable, NULL);
}

static void tap_stop(struct net_queue *queue)
{
    struct tap_queue *self = (struct tap_queue *)queue;

    event_free(self->readable);
    event_free(self->writable);
    g_clear_pointer(&self->buffer, g_free);
}

static void tap_set_receive_offloads(struct netdev *netdev, unsigned offloads)
{
    const struct tap *tap = (const struct tap *)netdev;

    tap_device_set_offloads(&tap->device, ((struct tap_queue *)netdev->queues[0])->fd, offloads);
}

static void tap_set_active(struct net_queue *queue, bool active)
{
    tap_device_set_active(&tap_of(queue)->device, ((struct tap_queue *)queue)->fd, active);
}

static char *tap_describe(const struct netdev *netdev)
{
    const struct tap *tap = (const struct tap *)netdev;

    return g_strdup_printf("ifname=%s,vnet_hdr=%s,queues=%u,downscript=%s", tap->device.name,
                           tap->device.header_size ? "on" : "off", netdev->queue_count,
                           tap->down_script ? tap->down_script : "no");
}

/* A script with the interface's name as its argument. */
static bool run_script(const char *script, const char *interface, GError **error)
{
    const char *arguments[] = {script, interface, NULL};
    int status;

    if (!g_spawn_sync(NULL, (char **)arguments, NULL, G_SPAWN_CHILD_INHERITS_STDIN, NULL, NULL,
                      NULL, NULL, &status, error)) {
        g_prefix_error(error, "script '%s': ", script);
        return false;
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status)) {
        return duodm_fail(error, DUODM_ERROR_FAILED, "script '%s %s' ended with %s %d", script,
                          interface, WIFEXITED(status) ? "status" : "signal",
                          WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    }
    return true;
}

static void tap_close(struct netdev *netdev)
{
    struct tap *tap = (struct tap *)netdev;
    g_autoptr(GError) error = NULL;

    if (tap->down_script && !run_script(tap->down_script, tap->device.name, &error)) {
        log_warning("network back end '%s': %s", netdev->id, error->message);
    }
    for (unsigned i = 0; i < netdev->queue_count; i++) {
        close(((struct tap_queue *)netdev->queues[i])->fd);
    }
    g_clear_pointer(&tap->down_script, g_free);
}

/* What is known from elsewhere and not to be had here, each with the reason. */
static bool check_refused(const struct key_values *options, GError **error)
{
    bool vhost = false;

    if (!key_values_get_bool(options, "vhost", &vhost, error)) {
        return false;
    }
    if (vhost || key_values_get(options, "vhostfd") || key_values_get(options, "vhostfds")) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "vhost=on: packets do not go through the kernel's vhost here: leave "
                          "vhost out, or say vhost=off");
    }
    if (key_values_get(options, "helper")) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "helper=: there is no bridge helper: make the interface beforehand (ip "
                          "tuntap add) and name it with ifname=");
    }
    return true;
}

static bool is_script(const char *script)
{
    return script && *script && !g_str_equal(script, "no");
}

static bool tap_open(struct netdev *netdev, const struct key_values *options, GError **error)
{
    struct tap *tap = (struct tap *)netdev;
    const char *script = key_values_get(options, "script");
    int fds[NET_QUEUES_MAX];
    unsigned count;

    if (!check_refused(options, error) ||
        !tap_device_open(&tap->device, options, fds, &count, error)) {
        return false;
    }
    netdev_make_queues(netdev, count);
    for (unsigned i = 0; i < count; i++) {
        ((struct tap_queue *)netdev->queues[i])->fd = fds[i];
    }
    netdev->send_offloads = tap->device.header_size ? tap->device.offloads : 0;
    if (is_script(script) && !run_script(script, tap->device.name, error)) {
        tap_close(netdev);
        return false;
    }
    if (is_script(key_values_get(options, "downscript"))) {
        tap->down_script = g_strdup(key_values_get(options, "downscript"));
    }
    return true;
}

static const char *const tap_keys[] = {
    "ifname",   "fd",     "fds",   "script",     "downscript", "br",       "helper", "sndbuf",
    "vnet_hdr", "queues", "vhost", "vhostforce", "vhostfd",    "vhostfds", NULL,
};

const struct netdev_kind netdev_tap = {
    .name = "tap",
    .description = "an interface of the host (ifname, fd, fds, script, downscript, br, sndbuf, "
                   "vnet_hdr, queues)",
    .keys = tap_keys,
    .instance_size = sizeof(struct tap),
    .queue_size = sizeof(struct tap_queue),
    .open = tap_open,
    .close = tap_close,
    .start = tap_start,
    .stop = tap_stop,
    .send = tap_send,
    .resume = tap_resume,
    .set_receive_offloads = tap_set_receive_offloads,
    .set_active = tap_set_active,
    .describe = tap_describe,
};
