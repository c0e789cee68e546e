/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each packet a datagram: over unix sockets (which lose nothing: a full one makes the sender wait),
 * UDP, or a given socket that keeps the bounds of messages. The socket is connected, so that only
 * the peer is heard. A peer that is not there, or was there before, is looked for at each packet.
 */
#include "dm/net/address.h"
#include "dm/net/backend.h"
#include "util/error.h"
#include "util/own-path.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BATCH       8 /* datagrams read at once */
#define READ_BUDGET 8 /* batches in one event: then others get their turn */

struct dgram_netdev {
    struct netdev netdev;
    struct socket_address local, remote;
    struct own_path own;          /* of local */
    struct sockaddr_storage peer; /* of remote */
    socklen_t peer_length;        /* 0: the socket came connected */
};

struct dgram_queue {
    struct net_queue queue;
    int fd;
    struct event *readable, *writable;
    uint8_t *buffers; /* BATCH packets of NET_PACKET_MAX bytes */
    size_t lengths[BATCH];
    unsigned next, count; /* of the batch: those not yet taken by the NIC */
};

static struct dgram_netdev *dgram_of(const struct dgram_queue *self)
{
    return (struct dgram_netdev *)self->queue.netdev;
}

/* In. */

/* Read what there is, up to a batch. False: nothing. */
static bool read_batch(struct dgram_queue *self)
{
    struct mmsghdr messages[BATCH] = {0};
    struct iovec pieces[BATCH];
    int n;

    for (unsigned i = 0; i < BATCH; i++) {
        pieces[i] = (struct iovec){self->buffers + (size_t)i * NET_PACKET_MAX, NET_PACKET_MAX};
        messages[i].msg_hdr.msg_iov = &pieces[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    n = recvmmsg(self->fd, messages, BATCH, MSG_DONTWAIT, NULL);
    self->next = self->count = 0;
    for (int i = 0; i < n; i++) {
        self->lengths[i] = messages[i].msg_len;
        self->count++;
    }
    return n > 0;
}

/* Give the batch to the NIC. False: it had no room for all. */
static bool deliver_batch(struct dgram_queue *self)
{
    static const struct vnet_header none;

    for (; self->next < self->count; self->next++) {
        struct iovec piece = {self->buffers + (size_t)self->next * NET_PACKET_MAX,
                              self->lengths[self->next]};

        if (piece.iov_len && !net_queue_deliver(&self->queue, &none, &piece, 1)) {
            return false;
        }
    }
    return true;
}

static void dgram_readable(evutil_socket_t fd, short what, void *opaque)
{
    struct dgram_queue *self = opaque;

    for (unsigned i = 0; i < READ_BUDGET && read_batch(self); i++) {
        if (!deliver_batch(self)) {
            event_del(self->readable);
            break;
        }
        if (self->count < BATCH) {
            break; /* it was empty then: save the call that says so */
        }
    }
    net_queue_deliver_end(&self->queue);
}

static void dgram_resume(struct net_queue *queue)
{
    struct dgram_queue *self = (struct dgram_queue *)queue;

    if (self->next == self->count) {
        return;
    }
    if (deliver_batch(self)) {
        event_add(self->readable, NULL);
    }
    net_queue_deliver_end(queue);
}

/* Out. */

static void dgram_writable(evutil_socket_t fd, short what, void *opaque)
{
    net_queue_writable(opaque);
}

static bool connect_peer(struct dgram_queue *self)
{
    const struct dgram_netdev *dgram = dgram_of(self);

    return dgram->peer_length &&
           connect(self->fd, (const struct sockaddr *)&dgram->peer, dgram->peer_length) == 0;
}

static bool dgram_send(struct net_queue *queue, const struct vnet_header *header,
                       const struct iovec *data, unsigned count)
{
    struct dgram_queue *self = (struct dgram_queue *)queue;
    struct msghdr message = {.msg_iov = (struct iovec *)data, .msg_iovlen = count};
    ssize_t n = sendmsg(self->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN && errno != EMSGSIZE && connect_peer(self)) {
        n = sendmsg(self->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (n < 0 && errno == EAGAIN) {
        event_add(self->writable, NULL);
        return false;
    }
    return true; /* nobody there: lost, as on a wire */
}

/* Life. */

static void dgram_start(struct net_queue *queue)
{
    struct dgram_queue *self = (struct dgram_queue *)queue;

    self->buffers = g_malloc((size_t)BATCH * NET_PACKET_MAX);
    self->next = self->count = 0;
    self->readable = event_new(queue->base, self->fd, EV_READ | EV_PERSIST, dgram_readable, self);
    self->writable = event_new(queue->base, self->fd, EV_WRITE, dgram_writable, self);
    event_add(self->readable, NULL);
}

static void dgram_stop(struct net_queue *queue)
{
    struct dgram_queue *self = (struct dgram_queue *)queue;

    event_free(self->readable);
    event_free(self->writable);
    g_clear_pointer(&self->buffers, g_free);
}

static void dgram_close(struct netdev *netdev)
{
    struct dgram_netdev *dgram = (struct dgram_netdev *)netdev;

    if (netdev->queue_count) {
        own_path_remove(&dgram->own);
        close(((struct dgram_queue *)netdev->queues[0])->fd);
    }
    socket_address_clear(&dgram->local);
    socket_address_clear(&dgram->remote);
}

static void fill_unix(const char *path, struct sockaddr_storage *name, socklen_t *length)
{
    struct sockaddr_un *unix_name = (struct sockaddr_un *)name;

    memset(name, 0, sizeof(*name));
    unix_name->sun_family = AF_UNIX;
    strcpy(unix_name->sun_path, path); /* socket_address_parse checked its length */
    *length = sizeof(*unix_name);
}

static bool resolve(const struct socket_address *address, int family, struct sockaddr_storage *name,
                    socklen_t *length, GError **error)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *list;
    int result =
        getaddrinfo(address->host ? address->host : "127.0.0.1", address->port, &hints, &list);

    if (result) {
        return duodm_fail(error, DUODM_ERROR_IO, "cannot resolve host '%s', port '%s': %s",
                          address->host ? address->host : "127.0.0.1", address->port,
                          gai_strerror(result));
    }
    memcpy(name, list->ai_addr, list->ai_addrlen);
    *length = list->ai_addrlen;
    freeaddrinfo(list);
    return true;
}

/* A socket of ours that another process left behind gives way; anything else does not. */
static void remove_stale(const char *path, const struct sockaddr_storage *name, socklen_t length)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct stat st;

    if (fd >= 0 && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
        connect(fd, (const struct sockaddr *)name, length) < 0 && errno == ECONNREFUSED) {
        unlink(path);
    }
    close(fd);
}

static int bind_local(struct dgram_netdev *dgram, GError **error)
{
    g_autofree char *where = socket_address_text(&dgram->local, -1);
    struct sockaddr_storage name;
    socklen_t length;
    int fd;

    if (dgram->local.path) {
        fill_unix(dgram->local.path, &name, &length);
        remove_stale(dgram->local.path, &name, length);
    } else if (!resolve(&dgram->local, dgram->peer.ss_family, &name, &length, error)) {
        return -1;
    }
    fd = socket(name.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&name, length) < 0) {
        duodm_fail(error, DUODM_ERROR_IO, "cannot bind to %s: %s", where, g_strerror(errno));
        close(fd);
        return -1;
    }
    own_path_init(&dgram->own, dgram->local.path);
    return fd;
}

static int use_given(int given, GError **error)
{
    socklen_t length = sizeof(int);
    int type;

    if (getsockopt(given, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type == SOCK_STREAM) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                   "dgram: socket %d does not keep the bounds of messages: use stream", given);
        return -1;
    }
    fcntl(given, F_SETFD, FD_CLOEXEC);
    fcntl(given, F_SETFL, O_RDWR | O_NONBLOCK);
    return given;
}

static bool check_addresses(const struct dgram_netdev *dgram, bool local, bool remote,
                            GError **error)
{
    if (local && dgram->local.fd >= 0) {
        return !remote ||
               duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "dgram: local.type=fd is a connected socket: leave remote out");
    }
    if (!local || !remote || dgram->remote.fd >= 0 || !dgram->local.path != !dgram->remote.path) {
        return duodm_fail(
            error, DUODM_ERROR_INVALID_ARGUMENT,
            "dgram: needs local.type=fd, or local.* and remote.* of one type, unix or "
            "inet");
    }
    return true;
}

static int open_socket(struct dgram_netdev *dgram, GError **error)
{
    if (dgram->local.fd >= 0) {
        return use_given(dgram->local.fd, error);
    }
    if (dgram->remote.path) {
        fill_unix(dgram->remote.path, &dgram->peer, &dgram->peer_length);
    } else if (!resolve(&dgram->remote, AF_UNSPEC, &dgram->peer, &dgram->peer_length, error)) {
        return -1;
    }
    return bind_local(dgram, error);
}

static bool dgram_open(struct netdev *netdev, const struct key_values *options, GError **error)
{
    struct dgram_netdev *dgram = (struct dgram_netdev *)netdev;
    struct dgram_queue *self;
    bool local = false, remote = false;
    int fd = -1;

    dgram->remote.fd = -1;
    if (net_address_parse(&dgram->local, options, "local.", &local, error) &&
        net_address_parse(&dgram->remote, options, "remote.", &remote, error) &&
        check_addresses(dgram, local, remote, error)) {
        fd = open_socket(dgram, error);
    }
    if (fd < 0) {
        dgram_close(netdev);
        return false;
    }
    netdev_make_queues(netdev, 1);
    self = (struct dgram_queue *)netdev->queues[0];
    self->fd = fd;
    connect_peer(self); /* if it is there already */
    return true;
}

static char *dgram_describe(const struct netdev *netdev)
{
    const struct dgram_netdev *dgram = (const struct dgram_netdev *)netdev;
    const struct dgram_queue *self = (const struct dgram_queue *)netdev->queues[0];
    g_autofree char *local = socket_address_text(&dgram->local, self->fd);
    g_autofree char *remote = dgram->peer_length ? socket_address_text(&dgram->remote, -1) : NULL;

    return g_strdup_printf("local=%s%s%s", local, remote ? ",remote=" : "", remote ? remote : "");
}

static const char *const dgram_keys[] = {
    "local.type",  "local.path",  "local.host",  "local.port", "local.str", "remote.type",
    "remote.path", "remote.host", "remote.port", "remote.str", NULL,
};

const struct netdev_kind netdev_dgram = {
    .name = "dgram",
    .description = "a packet each datagram (local.type, local.path, local.host, local.port, "
                   "local.str, remote.*)",
    .keys = dgram_keys,
    .instance_size = sizeof(struct dgram_netdev),
    .queue_size = sizeof(struct dgram_queue),
    .open = dgram_open,
    .close = dgram_close,
    .start = dgram_start,
    .stop = dgram_stop,
    .send = dgram_send,
    .resume = dgram_resume,
    .describe = dgram_describe,
};
