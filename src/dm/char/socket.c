/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sockets, unix and TCP. A server has one peer at a time and takes the next when that one leaves,
 * unless its user asked for all of them (accept_many). A client may connect again after a loss.
 */
#include "dm/char/connector.h"
#include "dm/char/stream.h"
#include "dm/property.h"
#include "util/error.h"
#include "util/own-path.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_PASSED_FDS 4

struct socket_chardev {
    struct chardev chardev;
    struct chardev_stream stream;
    struct socket_address address;
    bool server, nodelay;
    uint64_t reconnect;          /* seconds; 0: never */
    int listener, fd;            /* -1: none */
    struct own_path own;         /* of the listener */
    struct event *listen_event;  /* server: a client may be accepted */
    struct event *retry_event;   /* client: time to connect again */
    struct connector *connector; /* client that connects again; else NULL */
    chardev_accept_fn accept;    /* not NULL: all clients go there */
    void *accept_opaque;
    GDestroyNotify free_accept_opaque;
    int passed_fds[MAX_PASSED_FDS]; /* came by SCM_RIGHTS, not yet taken */
    unsigned passed_count;
};

/* Keep what fits of the descriptors in a control message, close the others. */
static void keep_passed_fds(struct socket_chardev *self, struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        unsigned count;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (unsigned i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (self->passed_count < MAX_PASSED_FDS) {
                self->passed_fds[self->passed_count++] = fd;
            } else {
                close(fd);
            }
        }
    }
}

static ssize_t socket_read(struct chardev_stream *stream, void *buffer, size_t length)
{
    struct socket_chardev *self = (struct socket_chardev *)stream->chardev;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * MAX_PASSED_FDS)];
    } control;
    struct iovec vector = {.iov_base = buffer, .iov_len = length};
    struct msghdr message = {
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t n = recvmsg(stream->in_fd, &message, MSG_CMSG_CLOEXEC);

    if (n > 0) {
        keep_passed_fds(self, &message);
    }
    return n;
}

static void close_passed_fds(struct socket_chardev *self)
{
    while (self->passed_count) {
        close(self->passed_fds[--self->passed_count]);
    }
}

static void start_connection(struct socket_chardev *self, int fd)
{
    int on = 1;

    if (self->nodelay) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* a unix socket refuses */
    }
    self->fd = fd;
    stream_start(&self->stream, fd, fd);
    chardev_set_peer_open(&self->chardev, true);
}

static void schedule_retry(struct socket_chardev *self)
{
    struct timeval delay = {.tv_sec = (time_t)self->reconnect};

    if (self->connector) {
        event_add(self->retry_event, &delay);
    }
}

static void socket_hung_up(struct chardev_stream *stream)
{
    struct socket_chardev *self = (struct socket_chardev *)stream->chardev;

    stream_stop(stream);
    close(self->fd);
    self->fd = -1;
    close_passed_fds(self);
    if (self->listen_event) {
        event_add(self->listen_event, NULL);
    }
    schedule_retry(self);
    chardev_set_peer_open(stream->chardev, false);
}

static void socket_acceptable(evutil_socket_t listener, short what, void *opaque)
{
    struct socket_chardev *self = opaque;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        return; /* the client went away again */
    }
    if (self->accept) {
        self->accept(
            self->accept_opaque,
            chardev_socket_adopt(self->chardev.machine, self->chardev.base, self->chardev.id, fd));
        return;
    }
    event_del(self->listen_event); /* the next one waits in the backlog */
    start_connection(self, fd);
}

static void socket_connected(void *opaque, int fd)
{
    struct socket_chardev *self = opaque;

    if (fd >= 0) {
        start_connection(self, fd);
    } else {
        schedule_retry(self);
    }
}

static void socket_retry(evutil_socket_t fd, short what, void *opaque)
{
    struct socket_chardev *self = opaque;

    if (!connector_start(self->connector, self->chardev.base)) {
        schedule_retry(self);
    }
}

static bool is_listening(int fd)
{
    int value = 0;
    socklen_t length = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) == 0 && value;
}

static void listen_on(struct socket_chardev *self, int fd)
{
    self->listener = fd;
    self->listen_event =
        event_new(self->chardev.base, fd, EV_READ | EV_PERSIST, socket_acceptable, self);
    event_add(self->listen_event, NULL);
}

/* wait=on: nothing starts until a client is there, or a signal ends the wait. */
static bool wait_for_client(struct socket_chardev *self, GError **error)
{
    g_autofree char *where = socket_address_text(&self->address, self->listener);

    fprintf(stderr, "duodm: character device '%s' waits for a client on %s\n", self->chardev.id,
            where);
    while (self->fd < 0) {
        if (event_base_loop(self->chardev.base, EVLOOP_ONCE) < 0 ||
            event_base_got_break(self->chardev.base)) {
            return duodm_fail(error, DUODM_ERROR_FAILED,
                              "interrupted while waiting for a client on %s", where);
        }
    }
    return true;
}

static bool open_given_fd(struct socket_chardev *self, GError **error)
{
    int fd = fcntl(self->address.fd, F_DUPFD_CLOEXEC, 3);

    if (fd < 0 || fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0) {
        close(fd);
        return duodm_fail(error, DUODM_ERROR_IO, "cannot use fd=%d: %s", self->address.fd,
                          g_strerror(errno));
    }
    self->server = is_listening(fd);
    if (self->server) {
        listen_on(self, fd);
    } else {
        start_connection(self, fd);
    }
    return true;
}

static bool open_server(struct socket_chardev *self, bool wait, GError **error)
{
    int fd = socket_address_listen(&self->address, error);

    if (fd < 0) {
        return false;
    }
    own_path_init(&self->own, self->address.path);
    listen_on(self, fd);
    return !wait || wait_for_client(self, error);
}

static bool open_client(struct socket_chardev *self, GError **error)
{
    int fd;

    if (self->reconnect) {
        self->connector = connector_new(&self->address, socket_connected, self);
        socket_retry(-1, 0, self);
        return true;
    }
    fd = socket_address_connect(&self->address, -1, SOCKET_ADVICE_LISTEN, error);
    if (fd >= 0) {
        start_connection(self, fd);
    }
    return fd >= 0;
}

static void socket_close(struct chardev *chardev)
{
    struct socket_chardev *self = (struct socket_chardev *)chardev;

    stream_flush(&self->stream);
    stream_destroy(&self->stream);
    if (self->fd >= 0) {
        close(self->fd);
    }
    close_passed_fds(self);
    if (self->listen_event) {
        event_free(self->listen_event);
        own_path_remove(&self->own);
        close(self->listener);
    }
    if (self->free_accept_opaque) {
        self->free_accept_opaque(self->accept_opaque);
    }
    g_clear_pointer(&self->retry_event, event_free);
    g_clear_pointer(&self->connector, connector_free);
    socket_address_clear(&self->address);
}

static void init(struct socket_chardev *self)
{
    self->fd = self->listener = self->address.fd = -1;
    stream_init(&self->stream, &self->chardev);
    self->stream.read = socket_read;
    self->stream.hung_up = socket_hung_up;
    self->retry_event = evtimer_new(self->chardev.base, socket_retry, self);
}

static bool parse_options(struct socket_chardev *self, const struct key_values *options, bool *wait,
                          GError **error)
{
    const char *reconnect = key_values_get(options, "reconnect");
    bool off = false;

    if (!socket_address_parse(&self->address, options, error) ||
        !key_values_get_bool(options, "server", &self->server, error) ||
        !key_values_get_bool(options, "nodelay", &self->nodelay, error)) {
        return false;
    }
    *wait = self->server;
    if (!key_values_get_bool(options, "wait", wait, error) ||
        !key_values_get_bool(options, "nowait", &off, error) ||
        (reconnect && !parse_number(reconnect, &self->reconnect, error))) {
        return false;
    }
    *wait &= !off;
    if (*wait && !self->server && self->address.fd < 0) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "socket: wait=on is for a server: add server=on");
    }
    if (self->reconnect > 3600 || (self->reconnect && self->server)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "socket: reconnect=%s must be 0 to 3600 seconds, for a client only",
                          reconnect);
    }
    return true;
}

static bool socket_open(struct chardev *chardev, const struct key_values *options, GError **error)
{
    struct socket_chardev *self = (struct socket_chardev *)chardev;
    bool wait, ok;

    init(self);
    ok = parse_options(self, options, &wait, error);
    if (ok) {
        ok = self->address.fd >= 0 ? open_given_fd(self, error)
             : self->server        ? open_server(self, wait, error)
                                   : open_client(self, error);
    }
    if (!ok) {
        socket_close(chardev);
    }
    return ok;
}

struct chardev *chardev_socket_adopt(struct machine *machine, struct event_base *base,
                                     const char *id, int fd)
{
    struct socket_chardev *self = g_new0(struct socket_chardev, 1);

    self->chardev.backend = self->chardev.outer = &chardev_socket;
    self->chardev.machine = machine;
    self->chardev.base = base;
    self->chardev.id = g_strdup(id);
    init(self);
    start_connection(self, fd);
    return &self->chardev;
}

static bool socket_accept_many(struct chardev *chardev, chardev_accept_fn accept, void *opaque,
                               GDestroyNotify free_opaque)
{
    struct socket_chardev *self = (struct socket_chardev *)chardev;
    int fd = self->fd;

    if (!self->listen_event || self->accept) {
        return false;
    }
    self->accept = accept;
    self->accept_opaque = opaque;
    self->free_accept_opaque = free_opaque;
    if (fd >= 0) { /* wait=on: the first is here already */
        stream_stop(&self->stream);
        self->fd = -1;
        chardev->peer_open = false;
        event_add(self->listen_event, NULL);
        accept(opaque, chardev_socket_adopt(chardev->machine, chardev->base, chardev->id, fd));
    }
    return true;
}

static size_t socket_write(struct chardev *chardev, const uint8_t *data, size_t length)
{
    return stream_write(&((struct socket_chardev *)chardev)->stream, data, length);
}

static void socket_accept_input(struct chardev *chardev)
{
    stream_accept_input(&((struct socket_chardev *)chardev)->stream);
}

static void socket_flush(struct chardev *chardev)
{
    stream_flush(&((struct socket_chardev *)chardev)->stream);
}

static char *socket_filename(const struct chardev *chardev)
{
    const struct socket_chardev *self = (const struct socket_chardev *)chardev;
    g_autofree char *where =
        socket_address_text(&self->address, self->listener >= 0 ? self->listener : self->fd);

    return g_strconcat(chardev->peer_open || self->accept ? "" : "disconnected:", where,
                       self->server ? ",server=on" : "", NULL);
}

static int socket_take_fd(struct chardev *chardev)
{
    struct socket_chardev *self = (struct socket_chardev *)chardev;
    int fd = -1;

    if (self->passed_count) {
        fd = self->passed_fds[0];
        self->passed_count--;
        memmove(self->passed_fds, self->passed_fds + 1, self->passed_count * sizeof(int));
    }
    return fd;
}

static const char *const socket_keys[] = {
    "path", "host", "port", "fd", "server", "wait", "nowait", "nodelay", "reconnect", NULL,
};

const struct chardev_backend chardev_socket = {
    .name = "socket",
    .description = "unix or TCP: path=PATH | [host=HOST,]port=PORT | fd=N "
                   "[,server=on[,wait=off]][,reconnect=SECONDS][,nodelay=on]",
    .keys = socket_keys,
    .instance_size = sizeof(struct socket_chardev),
    .open = socket_open,
    .close = socket_close,
    .write = socket_write,
    .accept_input = socket_accept_input,
    .flush = socket_flush,
    .filename = socket_filename,
    .take_fd = socket_take_fd,
    .accept_many = socket_accept_many,
};
