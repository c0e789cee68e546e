/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * User-mode networking. The stack belongs to the loop of its queue: packets of the guest wait in a
 * box until the loop takes them, so that a NIC is never called while it sends. The stack asks
 * poll-like for its sockets; they live in an epoll set of their own, which is one descriptor to the
 * loop, and which hears only what changed.
 */
#include "dm/net/user.h"
#include "dm/net/backend.h"
#include "dm/net/coalesce.h"
#include "dm/net/poll-set.h"
#include "dm/net/slirp-library.h"
#include "util/error.h"
#include "util/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#define BOX_MAX (1u << 20) /* bytes of packets that wait, each way */

struct user_timer {
    SlirpTimerId id;
    void *opaque;
    int64_t deadline; /* ms; -1: not armed */
};

struct box_entry {
    struct vnet_header header;
    uint32_t length;
};

struct user_netdev {
    struct netdev netdev;
    struct slirp_library library;
    Slirp *slirp; /* of the queue's loop, as all that follows: netdev_call to reach it */
    struct poll_set *poll_set;
    GPtrArray *timers; /* of struct user_timer */
    struct user_options options;
    bool joins; /* atomic: the guest takes large TCP packets */
};

struct user_queue {
    struct net_queue queue;
    struct event *work; /* the inbox has something, or the stack must be looked at */
    struct event *tick, *sockets;
    GByteArray *inbox;  /* from the guest; under queue.lock: struct box_entry and the packet, ... */
    GByteArray *taken;  /* what the loop took of it */
    GByteArray *outbox; /* for the guest, which had no room */
    size_t outbox_start;
    struct coalescer coalescer;
};

static struct user_netdev *user_of(const struct user_queue *self)
{
    return (struct user_netdev *)self->queue.netdev;
}

static struct user_queue *queue_of(struct user_netdev *user)
{
    return (struct user_queue *)user->netdev.queues[0];
}

/* Boxes. */

static void box_add(GByteArray *box, const struct vnet_header *header, const struct iovec *data,
                    unsigned count)
{
    struct box_entry entry = {*header, (uint32_t)packet_length(data, count)};
    guint end = box->len;

    g_byte_array_set_size(box, (guint)(end + sizeof(entry) + entry.length));
    memcpy(box->data + end, &entry, sizeof(entry));
    packet_copy(box->data + end + sizeof(entry), entry.length, data, count);
}

/* The packet at *position, which moves on; false at the end. */
static bool box_next(const GByteArray *box, size_t *position, struct vnet_header *header,
                     struct iovec *packet)
{
    struct box_entry entry;

    if (*position >= box->len) {
        return false;
    }
    memcpy(&entry, box->data + *position, sizeof(entry));
    *header = entry.header;
    *packet = (struct iovec){box->data + *position + sizeof(entry), entry.length};
    *position += sizeof(entry) + entry.length;
    return true;
}

/* What the stack calls. */

static void give(struct user_queue *self, const struct vnet_header *header,
                 const struct iovec *packet)
{
    if (self->outbox->len || !net_queue_deliver(&self->queue, header, packet, 1)) {
        if (self->outbox->len - self->outbox_start < BOX_MAX) {
            box_add(self->outbox, header, packet, 1);
        }
    }
}

static void give_joined(struct user_queue *self)
{
    struct vnet_header header;
    struct iovec packet;

    if (coalescer_take(&self->coalescer, &header, &packet)) {
        give(self, &header, &packet);
    }
}

/* Segments of one connection often come in a row: they go to the guest as one packet, when another
 * comes between or the loop has done its round. */
static ssize_t send_packet(const void *data, size_t length, void *opaque)
{
    static const struct vnet_header good = {.flags = VNET_DATA_VALID};
    struct user_netdev *user = opaque;
    struct user_queue *self = queue_of(user);
    struct iovec piece = {(void *)data, length};

    if (!self->queue.base || length > NET_PACKET_MAX) {
        return (ssize_t)length; /* no NIC */
    }
    if (__atomic_load_n(&user->joins, __ATOMIC_RELAXED)) {
        if (coalescer_add(&self->coalescer, data, length)) {
            return (ssize_t)length;
        }
        give_joined(self);
        if (coalescer_add(&self->coalescer, data, length)) {
            return (ssize_t)length;
        }
    }
    give(self, &good, &piece);
    return (ssize_t)length;
}

static void guest_error(const char *message, void *opaque)
{
    log_item(LOG_GUEST_ERRORS, "user network: %s\n", message);
}

static int64_t clock_ns(void *opaque)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void *timer_new(SlirpTimerId id, void *timer_opaque, void *opaque)
{
    struct user_netdev *user = opaque;
    struct user_timer *timer = g_new(struct user_timer, 1);

    *timer = (struct user_timer){id, timer_opaque, -1};
    g_ptr_array_add(user->timers, timer);
    return timer;
}

static void timer_free(void *timer, void *opaque)
{
    g_ptr_array_remove(((struct user_netdev *)opaque)->timers, timer);
}

static void timer_mod(void *timer, int64_t deadline, void *opaque)
{
    ((struct user_timer *)timer)->deadline = deadline; /* looked at before the loop sleeps */
}

static void register_fd(int fd, void *opaque)
{
}

static void unregister_fd(int fd, void *opaque)
{
    poll_set_forget(((struct user_netdev *)opaque)->poll_set, fd);
}

static void notify(void *opaque)
{
    struct user_queue *self = queue_of(opaque);

    if (self->queue.base) {
        event_active(self->work, 0, 0);
    }
}

static const SlirpCb callbacks = {
    .send_packet = send_packet,
    .guest_error = guest_error,
    .clock_get_ns = clock_ns,
    .timer_free = timer_free,
    .timer_mod = timer_mod,
    .register_poll_fd = register_fd,
    .unregister_poll_fd = unregister_fd,
    .notify = notify,
    .timer_new_opaque = timer_new,
};

/* The loop. */

static int add_poll(int fd, int events, void *opaque)
{
    return poll_set_add(opaque, fd, events);
}

static int get_events(int index, void *opaque)
{
    return poll_set_events(opaque, index);
}

static void run_timers(struct user_netdev *user)
{
    int64_t now = clock_ns(NULL) / 1000000;

    for (unsigned i = 0; i < user->timers->len; i++) {
        struct user_timer *timer = g_ptr_array_index(user->timers, i);

        if (timer->deadline >= 0 && timer->deadline <= now) {
            timer->deadline = -1;
            user->library.handle_timer(user->slirp, timer->id, timer->opaque);
        }
    }
}

/* Ask the stack what it waits for. */
static void prepare_sleep(struct user_queue *self)
{
    struct user_netdev *user = user_of(self);
    int64_t now = clock_ns(NULL) / 1000000;
    uint32_t timeout = 60000;
    struct timeval delay;

    poll_set_begin(user->poll_set);
    user->library.pollfds_fill(user->slirp, &timeout, add_poll, user->poll_set);
    poll_set_commit(user->poll_set);
    for (unsigned i = 0; i < user->timers->len; i++) {
        const struct user_timer *timer = g_ptr_array_index(user->timers, i);

        if (timer->deadline >= 0) {
            timeout = (uint32_t)CLAMP(timer->deadline - now, 0, timeout);
        }
    }
    delay = (struct timeval){timeout / 1000, (suseconds_t)(timeout % 1000) * 1000};
    event_add(self->tick, &delay);
}

static void take_inbox(struct user_queue *self)
{
    GByteArray *spare = self->taken;
    struct vnet_header header;
    struct iovec packet;
    size_t position = 0;
    bool refused;

    pthread_mutex_lock(&self->queue.lock);
    self->taken = self->inbox;
    self->inbox = spare;
    refused = self->queue.wants_writable || self->queue.cutting;
    pthread_mutex_unlock(&self->queue.lock);
    while (box_next(self->taken, &position, &header, &packet)) {
        user_of(self)->library.input(user_of(self)->slirp, packet.iov_base, (int)packet.iov_len);
    }
    g_byte_array_set_size(self->taken, 0);
    if (refused) {
        net_queue_writable(&self->queue);
    }
}

/* All that wakes the loop ends here. */
static void work(struct user_queue *self)
{
    struct user_netdev *user = user_of(self);

    poll_set_collect(user->poll_set);
    user->library.pollfds_poll(user->slirp, 0, get_events, user->poll_set);
    take_inbox(self);
    run_timers(user);
    prepare_sleep(self);
    give_joined(self);
    net_queue_deliver_end(&self->queue);
}

static void work_event(evutil_socket_t fd, short what, void *opaque)
{
    work(opaque);
}

static bool user_send(struct net_queue *queue, const struct vnet_header *header,
                      const struct iovec *data, unsigned count)
{
    struct user_queue *self = (struct user_queue *)queue;

    if (self->inbox->len > BOX_MAX) {
        return false;
    }
    if (!self->inbox->len) {
        event_active(self->work, 0, 0);
    }
    box_add(self->inbox, header, data, count);
    return true;
}

static void user_resume(struct net_queue *queue)
{
    struct user_queue *self = (struct user_queue *)queue;
    size_t next = self->outbox_start;
    struct vnet_header header;
    struct iovec packet;

    while (box_next(self->outbox, &next, &header, &packet)) {
        if (!net_queue_deliver(queue, &header, &packet, 1)) {
            net_queue_deliver_end(queue);
            return;
        }
        self->outbox_start = next;
    }
    g_byte_array_set_size(self->outbox, 0);
    self->outbox_start = 0;
    net_queue_deliver_end(queue);
}

static void user_set_receive_offloads(struct netdev *netdev, unsigned offloads)
{
    __atomic_store_n(&((struct user_netdev *)netdev)->joins, (offloads & NET_OFFLOAD_TSO4) != 0,
                     __ATOMIC_RELAXED);
}

static void user_start(struct net_queue *queue)
{
    struct user_queue *self = (struct user_queue *)queue;

    coalescer_init(&self->coalescer);
    self->work = event_new(queue->base, -1, 0, work_event, self);
    self->tick = event_new(queue->base, -1, 0, work_event, self);
    self->sockets = event_new(queue->base, poll_set_fd(user_of(self)->poll_set),
                              EV_READ | EV_PERSIST, work_event, self);
    event_add(self->sockets, NULL);
    event_active(self->work, 0, 0);
}

static void user_stop(struct net_queue *queue)
{
    struct user_queue *self = (struct user_queue *)queue;

    event_free(self->work);
    event_free(self->tick);
    event_free(self->sockets);
    coalescer_destroy(&self->coalescer);
    g_byte_array_set_size(self->inbox, 0);
    g_byte_array_set_size(self->outbox, 0);
    self->outbox_start = 0;
}

/* Forwards and monitors. */

bool netdev_is_user(const struct netdev *netdev)
{
    return netdev->kind == &netdev_user;
}

/* What the main loop wants of the stack, done in the queue's loop. */
struct request {
    struct user_netdev *user;
    struct user_forward forward;
    int result, number; /* of the call, and errno */
    char *text;
};

static void add_forward(void *opaque)
{
    struct request *request = opaque;
    const struct user_forward *forward = &request->forward;

    request->result = request->user->library.add_hostfwd(
        request->user->slirp, forward->is_udp, forward->host_address, forward->host_port,
        forward->guest_address, forward->guest_port);
    request->number = errno;
    notify(request->user);
}

static void remove_forward(void *opaque)
{
    struct request *request = opaque;
    const struct user_forward *forward = &request->forward;

    request->result = request->user->library.remove_hostfwd(
        request->user->slirp, forward->is_udp, forward->host_address, forward->host_port);
    notify(request->user);
}

static void list_connections(void *opaque)
{
    struct request *request = opaque;

    request->text = request->user->library.connection_info(request->user->slirp);
}

bool netdev_user_add_forward(struct netdev *netdev, const char *text, GError **error)
{
    struct request request = {.user = (struct user_netdev *)netdev};

    if (!user_forward_parse(&request.forward, text, false, error)) {
        return false;
    }
    if (!request.forward.guest_address.s_addr) {
        request.forward.guest_address = request.user->options.config.vdhcp_start;
    }
    netdev_call(netdev, add_forward, &request);
    return request.result == 0 || duodm_fail(error, DUODM_ERROR_IO, "cannot listen for '%s': %s",
                                             text, g_strerror(request.number));
}

bool netdev_user_remove_forward(struct netdev *netdev, const char *text, GError **error)
{
    struct request request = {.user = (struct user_netdev *)netdev};

    if (!user_forward_parse(&request.forward, text, true, error)) {
        return false;
    }
    netdev_call(netdev, remove_forward, &request);
    return request.result == 0 ||
           duodm_fail(error, DUODM_ERROR_NOT_FOUND, "there is no forward from '%s'", text);
}

char *netdev_user_connections(struct netdev *netdev)
{
    struct request request = {.user = (struct user_netdev *)netdev};

    netdev_call(netdev, list_connections, &request);
    return request.text;
}

/* "tcp:SERVER:PORT-cmd:COMMAND": the guest's connections there talk to a command. */
static bool add_guest_forward(struct user_netdev *user, const char *text, GError **error)
{
    const char *command = strstr(text, "-cmd:");
    g_auto(GStrv) words = command ? g_strsplit(text, ":", 3) : NULL;
    struct in_addr address;

    if (!command || g_strv_length(words) != 3 || !g_str_equal(words[0], "tcp") ||
        inet_pton(AF_INET, words[1], &address) != 1) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "guestfwd=%s must be tcp:SERVER:PORT-cmd:COMMAND", text);
    }
    return user->library.add_exec(user->slirp, command + strlen("-cmd:"), &address,
                                  (int)g_ascii_strtoull(words[2], NULL, 10)) == 0 ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "guestfwd=%s: the server must be in net=, and not another's", text);
}

static bool add_forwards(struct user_netdev *user, GError **error)
{
    for (unsigned i = 0; i < user->options.forwards->len; i++) {
        if (!netdev_user_add_forward(&user->netdev, g_ptr_array_index(user->options.forwards, i),
                                     error)) {
            g_prefix_error(error, "hostfwd: ");
            return false;
        }
    }
    for (unsigned i = 0; i < user->options.guest_forwards->len; i++) {
        if (!add_guest_forward(user, g_ptr_array_index(user->options.guest_forwards, i), error)) {
            return false;
        }
    }
    return true;
}

static void user_close(struct netdev *netdev)
{
    struct user_netdev *user = (struct user_netdev *)netdev;
    struct user_queue *self = queue_of(user);

    user->library.cleanup(user->slirp);
    poll_set_free(user->poll_set);
    g_ptr_array_unref(user->timers);
    user_options_clear(&user->options);
    g_byte_array_unref(self->inbox);
    g_byte_array_unref(self->taken);
    g_byte_array_unref(self->outbox);
}

static bool user_open(struct netdev *netdev, const struct key_values *options, GError **error)
{
    struct user_netdev *user = (struct user_netdev *)netdev;
    struct user_queue *self;

    if (!slirp_library_load(&user->library, error) ||
        !user_options_parse(&user->options, options, error)) {
        return false;
    }
    user->poll_set = poll_set_new(error);
    if (!user->poll_set) {
        user_options_clear(&user->options);
        return false;
    }
    netdev_make_queues(netdev, 1);
    self = queue_of(user);
    self->inbox = g_byte_array_new();
    self->taken = g_byte_array_new();
    self->outbox = g_byte_array_new();
    user->timers = g_ptr_array_new_with_free_func(g_free);
    user->slirp = user->library.new(&user->options.config, &callbacks, user);
    /* The stack takes a large packet whole, if its checksum is right. */
    netdev->send_offloads = NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 | NET_OFFLOAD_TSO_ECN;
    if (!add_forwards(user, error)) {
        user_close(netdev);
        return false;
    }
    return true;
}

static char *user_describe(const struct netdev *netdev)
{
    const SlirpConfig *config = &((const struct user_netdev *)netdev)->options.config;
    char text[INET_ADDRSTRLEN];

    inet_ntop(AF_INET, &config->vnetwork, text, sizeof(text));
    return g_strdup_printf("net=%s,restrict=%s", text, config->restricted ? "on" : "off");
}

const struct netdev_kind netdev_user = {
    .name = "user",
    .description = "a NAT in this process, no privileges needed (net, host, dns, dhcpstart, "
                   "hostname, restrict, hostfwd, guestfwd, tftp, bootfile, ipv6, ...)",
    .keys = user_option_keys,
    .instance_size = sizeof(struct user_netdev),
    .queue_size = sizeof(struct user_queue),
    .open = user_open,
    .close = user_close,
    .start = user_start,
    .stop = user_stop,
    .send = user_send,
    .resume = user_resume,
    .set_receive_offloads = user_set_receive_offloads,
    .describe = user_describe,
};
