/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets over a stream socket, each after its length. A server has one peer at a time, and takes
 * the next when that one leaves; a client may connect again after a loss. There is carrier while a
 * peer is there.
 */
#include "dm/char/connector.h"
#include "dm/net/address.h"
#include "dm/net/backend.h"
#include "dm/net/framing.h"
#include "dm/property.h"
#include "util/error.h"
#include "util/log.h"
#include "util/own-path.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BUDGET 16 /* reads in one event: then others get their turn */

struct stream_netdev {
    struct netdev netdev;
    struct socket_address address;
    uint64_t reconnect;  /* seconds; 0: never */
    int listener;        /* -1: a client */
    struct own_path own; /* of the listener */
};

struct stream_queue {
    struct net_queue queue;
    int fd;                            /* -1: no peer. Written in the loop, under queue.lock */
    struct event *acceptable;          /* server */
    struct event *retry;               /* client */
    struct connector *connector;       /* client that connects again; else NULL */
    struct event *readable, *writable; /* while there is a peer and the queue is started */
    struct frame_reader reader;
    bool stalled;    /* the reader holds a packet that the NIC had no room for */
    uint8_t *unsent; /* the rest of a packet, of which the socket took a part */
    size_t unsent_start, unsent_end;
};

static void socket_readable(evutil_socket_t fd, short what, void *opaque);
static void socket_writable(evutil_socket_t fd, short what, void *opaque);

static struct stream_netdev *stream_of(const struct stream_queue *self)
{
    return (struct stream_netdev *)self->queue.netdev;
}

static json_t *describe_address(const struct socket_address *address)
{
    if (address->path) {
        g_autofree char *path = g_utf8_make_valid(address->path, -1);

        return json_pack("{s:s, s:s}", "type", "unix", "path", path);
    }
    if (address->port) {
        return json_pack("{s:s, s:s, s:s}", "type", "inet", "host",
                         address->host ? address->host : "", "port", address->port);
    }
    return json_pack("{s:s, s:i}", "type", "fd", "str", address->fd);
}

static void emit_connected(struct stream_queue *self)
{
    struct netdev *netdev = self->queue.netdev;

    netdev_emit_event(netdev, "NETDEV_STREAM_CONNECTED",
                      json_pack("{s:s, s:o}", "netdev-id", netdev->id, "addr",
                                describe_address(&stream_of(self)->address)));
}

static void watch_connection(struct stream_queue *self)
{
    struct event_base *base = self->queue.base;

    self->readable = event_new(base, self->fd, EV_READ | EV_PERSIST, socket_readable, self);
    self->writable = event_new(base, self->fd, EV_WRITE, socket_writable, self);
    if (!self->stalled) {
        event_add(self->readable, NULL);
    }
    if (self->unsent_start < self->unsent_end || self->queue.wants_writable) {
        event_add(self->writable, NULL);
    }
}

static void unwatch_connection(struct stream_queue *self)
{
    g_clear_pointer(&self->readable, event_free);
    g_clear_pointer(&self->writable, event_free);
}

static void schedule_retry(struct stream_queue *self)
{
    struct timeval delay = {.tv_sec = (time_t)stream_of(self)->reconnect};

    if (self->retry && self->connector) {
        event_add(self->retry, &delay);
    }
}

static void begin_connection(struct stream_queue *self, int fd)
{
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* a unix socket refuses */
    frame_reader_reset(&self->reader);
    self->stalled = false;
    pthread_mutex_lock(&self->queue.lock);
    self->fd = fd;
    self->unsent_start = self->unsent_end = 0;
    if (self->queue.base) {
        watch_connection(self);
    }
    pthread_mutex_unlock(&self->queue.lock);
    netdev_set_connected(self->queue.netdev, true);
    emit_connected(self);
}

static void end_connection(struct stream_queue *self)
{
    struct net_queue *queue = &self->queue;

    netdev_set_connected(queue->netdev, false);
    pthread_mutex_lock(&queue->lock);
    unwatch_connection(self);
    close(self->fd);
    self->fd = -1;
    queue->cutting = false;
    pthread_mutex_unlock(&queue->lock);
    netdev_emit_event(queue->netdev, "NETDEV_STREAM_DISCONNECTED",
                      json_pack("{s:s}", "netdev-id", queue->netdev->id));
    if (self->acceptable) {
        event_add(self->acceptable, NULL);
    }
    schedule_retry(self);
    net_queue_writable(queue); /* a NIC that waits may go on: into nothing */
}

static void socket_acceptable(evutil_socket_t listener, short what, void *opaque)
{
    struct stream_queue *self = opaque;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        event_add(self->acceptable, NULL);
        return; /* the peer went away again */
    }
    begin_connection(self, fd);
}

static void socket_connected(void *opaque, int fd)
{
    struct stream_queue *self = opaque;

    if (fd >= 0) {
        begin_connection(self, fd);
    } else {
        schedule_retry(self);
    }
}

static void socket_retry(evutil_socket_t fd, short what, void *opaque)
{
    struct stream_queue *self = opaque;

    if (!connector_start(self->connector, self->queue.base)) {
        schedule_retry(self);
    }
}

/* In. */

enum step { STEP_MORE, STEP_STALLED, STEP_BROKEN };

static enum step deliver_frames(struct stream_queue *self)
{
    static const struct vnet_header none;
    enum frame_result result;
    const uint8_t *packet;
    size_t length;

    while ((result = frame_reader_peek(&self->reader, &packet, &length)) == FRAME_PACKET) {
        struct iovec piece = {(void *)packet, length};

        if (!net_queue_deliver(&self->queue, &none, &piece, 1)) {
            return STEP_STALLED;
        }
        frame_reader_drop(&self->reader);
    }
    return result == FRAME_BROKEN ? STEP_BROKEN : STEP_MORE;
}

/* After deliver_frames: false if the connection is over. */
static bool take_step(struct stream_queue *self, enum step step)
{
    if (step == STEP_BROKEN) {
        log_warning("network back end '%s': the peer sent no packet but something else: "
                    "disconnected",
                    self->queue.netdev->id);
        end_connection(self);
        return false;
    }
    if (step == STEP_STALLED) {
        self->stalled = true;
        event_del(self->readable);
    }
    return true;
}

static void read_frames(struct stream_queue *self)
{
    for (unsigned i = 0; i < READ_BUDGET && !self->stalled; i++) {
        size_t room;
        uint8_t *space = frame_reader_space(&self->reader, &room);
        ssize_t n = recv(self->fd, space, room, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n <= 0) {
            end_connection(self);
            return;
        }
        frame_reader_added(&self->reader, (size_t)n);
        if (!take_step(self, deliver_frames(self))) {
            return;
        }
    }
}

static void socket_readable(evutil_socket_t fd, short what, void *opaque)
{
    struct stream_queue *self = opaque;

    read_frames(self);
    net_queue_deliver_end(&self->queue);
}

static void stream_resume(struct net_queue *queue)
{
    struct stream_queue *self = (struct stream_queue *)queue;

    if (!self->stalled || self->fd < 0) {
        return;
    }
    self->stalled = false;
    if (take_step(self, deliver_frames(self)) && !self->stalled) {
        event_add(self->readable, NULL);
    }
    net_queue_deliver_end(queue);
}

/* Out. */

/* Keep what is behind the first `skip` bytes of the pieces. */
static void keep_unsent(struct stream_queue *self, const struct iovec *pieces, unsigned count,
                        size_t skip)
{
    self->unsent_start = self->unsent_end = 0;
    for (unsigned i = 0; i < count; i++) {
        size_t over = MIN(skip, pieces[i].iov_len);
        size_t part = pieces[i].iov_len - over;

        memcpy(self->unsent + self->unsent_end, (uint8_t *)pieces[i].iov_base + over, part);
        self->unsent_end += part;
        skip -= over;
    }
}

static bool stream_send(struct net_queue *queue, const struct vnet_header *header,
                        const struct iovec *data, unsigned count)
{
    struct stream_queue *self = (struct stream_queue *)queue;
    struct iovec pieces[NET_IOVEC_MAX + 1];
    size_t length = packet_length(data, count);
    uint32_t prefix = htonl((uint32_t)length);
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count + 1};
    ssize_t n;

    if (self->fd < 0) {
        return true;
    }
    if (self->unsent_start < self->unsent_end) {
        return false;
    }
    pieces[0] = (struct iovec){&prefix, sizeof(prefix)};
    memcpy(pieces + 1, data, count * sizeof(*data));
    n = sendmsg(self->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) {
        event_add(self->writable, NULL);
        return false;
    }
    if (n >= 0 && (size_t)n < length + sizeof(prefix)) {
        keep_unsent(self, pieces, count + 1, (size_t)n);
        event_add(self->writable, NULL);
    }
    return true; /* an error is seen by the reader too, which ends the connection */
}

/* Send the rest of a packet. False: there is still some. */
static bool send_unsent(struct stream_queue *self)
{
    size_t length = self->unsent_end - self->unsent_start;
    ssize_t n = length ? send(self->fd, self->unsent + self->unsent_start, length,
                              MSG_DONTWAIT | MSG_NOSIGNAL)
                       : 0;

    if (n > 0) {
        self->unsent_start += (size_t)n;
    } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
        self->unsent_start = self->unsent_end;
    }
    return self->unsent_start == self->unsent_end;
}

static void socket_writable(evutil_socket_t fd, short what, void *opaque)
{
    struct stream_queue *self = opaque;
    bool done;

    pthread_mutex_lock(&self->queue.lock);
    done = send_unsent(self);
    if (!done) {
        event_add(self->writable, NULL);
    }
    pthread_mutex_unlock(&self->queue.lock);
    if (done) {
        net_queue_writable(&self->queue);
    }
}

/* Life. */

static void stream_start(struct net_queue *queue)
{
    struct stream_queue *self = (struct stream_queue *)queue;
    struct stream_netdev *stream = stream_of(self);

    if (stream->listener >= 0) {
        self->acceptable =
            event_new(queue->base, stream->listener, EV_READ, socket_acceptable, self);
    } else {
        self->retry = event_new(queue->base, -1, 0, socket_retry, self);
    }
    if (self->fd >= 0) {
        watch_connection(self);
    } else if (self->acceptable) {
        event_add(self->acceptable, NULL);
    } else if (self->connector) {
        socket_retry(-1, 0, self);
    }
}

static void stream_stop(struct net_queue *queue)
{
    struct stream_queue *self = (struct stream_queue *)queue;

    g_clear_pointer(&self->acceptable, event_free);
    g_clear_pointer(&self->retry, event_free);
    connector_stop(self->connector);
    unwatch_connection(self);
}

static void stream_close(struct netdev *netdev)
{
    struct stream_netdev *stream = (struct stream_netdev *)netdev;
    struct stream_queue *self = (struct stream_queue *)netdev->queues[0];

    if (self->fd >= 0) {
        close(self->fd);
    }
    if (stream->listener >= 0) {
        own_path_remove(&stream->own);
        close(stream->listener);
    }
    connector_free(self->connector);
    frame_reader_destroy(&self->reader);
    g_free(self->unsent);
    socket_address_clear(&stream->address);
}

static bool is_listening(int fd)
{
    int value = 0;
    socklen_t length = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) == 0 && value;
}

static bool open_socket(struct stream_netdev *stream, struct stream_queue *self, bool server,
                        GError **error)
{
    int fd = stream->address.fd;

    if (fd >= 0) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
        if (is_listening(fd)) {
            stream->listener = fd;
        } else {
            self->fd = fd;
        }
        return true;
    }
    if (server) {
        stream->listener = socket_address_listen(&stream->address, error);
        if (stream->listener >= 0) {
            own_path_init(&stream->own, stream->address.path);
        }
        return stream->listener >= 0;
    }
    if (stream->reconnect) { /* when it has a card */
        self->connector = connector_new(&stream->address, socket_connected, self);
        return true;
    }
    self->fd = socket_address_connect(&stream->address, -1, SOCKET_ADVICE_LISTEN, error);
    return self->fd >= 0;
}

static bool parse_reconnect(const struct key_values *options, uint64_t *seconds, GError **error)
{
    const char *text = key_values_get(options, "reconnect");

    *seconds = 0;
    if (text && (!parse_number(text, seconds, error) || *seconds > 3600)) {
        g_clear_error(error);
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "reconnect=%s must be 0 to 3600 seconds", text);
    }
    return true;
}

static bool stream_open(struct netdev *netdev, const struct key_values *options, GError **error)
{
    struct stream_netdev *stream = (struct stream_netdev *)netdev;
    struct stream_queue *self;
    bool server = false, given;

    if (!key_values_get_bool(options, "server", &server, error) ||
        !parse_reconnect(options, &stream->reconnect, error) ||
        !net_address_parse(&stream->address, options, "addr.", &given, error)) {
        return false;
    }
    if (!given) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "stream: needs an address: addr.type=unix,addr.path=PATH");
    }
    netdev_make_queues(netdev, 1);
    self = (struct stream_queue *)netdev->queues[0];
    self->fd = stream->listener = -1;
    if (!open_socket(stream, self, server, error)) {
        socket_address_clear(&stream->address);
        return false;
    }
    frame_reader_init(&self->reader);
    self->unsent = g_malloc(NET_PACKET_MAX + FRAMING_PREFIX);
    netdev->is_disconnected = true;
    if (self->fd >= 0) {
        begin_connection(self, self->fd);
    }
    return true;
}

static char *stream_describe(const struct netdev *netdev)
{
    const struct stream_netdev *stream = (const struct stream_netdev *)netdev;
    g_autofree char *where = socket_address_text(&stream->address, stream->listener);

    return g_strdup_printf("addr=%s,server=%s,connected=%s", where,
                           stream->listener >= 0 ? "on" : "off",
                           netdev->is_disconnected ? "off" : "on");
}

static const char *const stream_keys[] = {
    "server", "reconnect", "addr.type", "addr.path", "addr.host", "addr.port", "addr.str", NULL,
};

const struct netdev_kind netdev_stream = {
    .name = "stream",
    .description = "packets over a stream socket (addr.type, addr.path, addr.host, addr.port, "
                   "addr.str, server, reconnect)",
    .keys = stream_keys,
    .instance_size = sizeof(struct stream_netdev),
    .queue_size = sizeof(struct stream_queue),
    .open = stream_open,
    .close = stream_close,
    .start = stream_start,
    .stop = stream_stop,
    .send = stream_send,
    .resume = stream_resume,
    .describe = stream_describe,
};
