/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/vnc/vnc-relay.h"
#include "dm/task-queue.h"
#include "dm/vnc/rfb-message.h"
#include "dm/vnc/vnc-private.h"
#include "util/error.h"
#include "util/thread.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define GREETING        "RFB 003.008\n"
#define CONNECTIONS_MAX 32
#define READ_MAX        (256 * 1024) /* bytes at a time */
/* Bytes of messages that the library has not taken yet, with which no more are read. */
#define INPUT_MAX  (64 * 1024)
#define FAREWELL_S 5 /* for a client to take what the library said before it closed */

struct connection {
    struct vnc_relay *relay;
    struct bufferevent *client;  /* the network */
    struct bufferevent *library; /* the other end of the library's socket; NULL: not yet */
    enum rfb_stage stage;
    bool is_old;     /* RFB 3.3: the server chooses the security type */
    size_t skip;     /* bytes of a client's message that are thrown away */
    size_t greeting; /* bytes of the library's own greeting still to come */
    struct vnc_backlog *backlog;
};

struct vnc_relay {
    int listener;
    bool needs_password;
    vnc_arrival_fn arrival;
    void *opaque;
    pthread_t thread;
    struct event_base *base;
    struct event *acceptable;
    struct task_queue tasks;
    struct io_task quit_task;
    bool quit;
    GPtrArray *connections; /* of struct connection, oldest first */
};

void vnc_backlog_unref(struct vnc_backlog *backlog)
{
    if (g_atomic_int_dec_and_test(&backlog->references)) {
        g_free(backlog);
    }
}

static void connection_free(struct connection *connection)
{
    g_ptr_array_remove(connection->relay->connections, connection);
    bufferevent_free(connection->client);
    if (connection->library) {
        bufferevent_free(connection->library);
    }
    vnc_backlog_unref(connection->backlog);
    g_free(connection);
}

static void note_backlog(struct connection *connection)
{
    size_t bytes = evbuffer_get_length(bufferevent_get_output(connection->client));

    __atomic_store_n(&connection->backlog->bytes, bytes, __ATOMIC_RELAXED);
}

/* From the library to the client. */

static void library_readable(struct bufferevent *library, void *opaque)
{
    struct connection *connection = opaque;
    struct evbuffer *input = bufferevent_get_input(library);
    size_t drop = MIN(connection->greeting, evbuffer_get_length(input));

    evbuffer_drain(input, drop); /* the client has had one */
    connection->greeting -= drop;
    bufferevent_write_buffer(connection->client, input);
    note_backlog(connection);
}

static void client_written(struct bufferevent *client, void *opaque)
{
    note_backlog(opaque);
}

/* One side has gone; the other still gets what was said to it (the last keys, why a password was
 * refused), and then the connection ends. */

static void last_written(struct bufferevent *other, void *opaque)
{
    connection_free(opaque);
}

static void other_gone(struct bufferevent *other, short what, void *opaque)
{
    connection_free(opaque);
}

static void throw_away(struct bufferevent *other, void *opaque)
{
    struct evbuffer *input = bufferevent_get_input(other);

    evbuffer_drain(input, evbuffer_get_length(input));
}

static void say_farewell(struct connection *connection, struct bufferevent *gone,
                         struct bufferevent *other)
{
    struct timeval wait = {.tv_sec = FAREWELL_S};

    if (!other || !evbuffer_get_length(bufferevent_get_output(other))) {
        connection_free(connection);
        return;
    }
    bufferevent_disable(gone, EV_READ | EV_WRITE);
    bufferevent_setcb(gone, NULL, NULL, NULL, NULL);
    bufferevent_setcb(other, throw_away, last_written, other_gone, connection);
    bufferevent_enable(other, EV_READ | EV_WRITE);
    bufferevent_set_timeouts(other, NULL, &wait);
}

static void client_gone(struct bufferevent *client, short what, void *opaque)
{
    struct connection *connection = opaque;

    say_farewell(connection, client, connection->library);
}

static void library_gone(struct bufferevent *library, short what, void *opaque)
{
    struct connection *connection = opaque;

    library_readable(library, connection);
    say_farewell(connection, library, connection->client);
}

/* From the client to the library. */

static void client_readable(struct bufferevent *client, void *opaque);

static void library_written(struct bufferevent *library, void *opaque)
{
    struct connection *connection = opaque;

    bufferevent_enable(connection->client, EV_READ);
    client_readable(connection->client, connection); /* what came before it was held */
}

static struct bufferevent *make_bufferevent(struct connection *connection, int fd)
{
    struct bufferevent *event =
        bufferevent_socket_new(connection->relay->base, fd, BEV_OPT_CLOSE_ON_FREE);

    bufferevent_set_max_single_read(event, READ_MAX);
    bufferevent_set_max_single_write(event, READ_MAX);
    return event;
}

/* The client speaks RFB: the library gets to know of it. */
static bool introduce(struct connection *connection, unsigned minor)
{
    g_autofree char *version = g_strdup_printf("RFB 003.%03u\n", minor);
    struct vnc_relay *relay = connection->relay;
    int fd = bufferevent_getfd(connection->client), pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
        return false;
    }
    connection->library = make_bufferevent(connection, pair[0]);
    connection->greeting = strlen(GREETING);
    connection->is_old = minor == RFB_MINOR_OLD;
    /* At once, so that the library finds it: it would wait for a web browser's words otherwise. */
    if (write(pair[0], version, strlen(version)) != (ssize_t)strlen(version)) {
        close(pair[1]);
        return false;
    }
    bufferevent_setcb(connection->library, library_readable, library_written, library_gone,
                      connection);
    bufferevent_enable(connection->library, EV_READ | EV_WRITE);
    g_atomic_int_inc(&connection->backlog->references);
    relay->arrival(relay->opaque, pair[1], vnc_client_info_new(fd, true), connection->backlog);
    return true;
}

/* A whole message is at the front of input. False: the connection is no good. */
static bool hand_on(struct connection *connection, struct evbuffer *input, const uint8_t *bytes,
                    size_t length)
{
    enum rfb_stage stage = connection->stage;
    unsigned minor;

    if (stage == RFB_STAGE_VERSION) {
        if (!rfb_parse_version(bytes, &minor) || !introduce(connection, minor)) {
            return false;
        }
        evbuffer_drain(input, length);
    } else {
        evbuffer_remove_buffer(input, bufferevent_get_output(connection->library), length);
    }
    connection->stage =
        rfb_next_stage(stage, bytes, connection->is_old, connection->relay->needs_password);
    return true;
}

/* Handle what is at the front of input. False: nothing can be done with it (now). */
static bool handle_input(struct connection *connection, struct evbuffer *input, bool *good)
{
    uint8_t bytes[RFB_MESSAGE_MAX];
    size_t drop = MIN(connection->skip, evbuffer_get_length(input));
    struct rfb_message message;
    ev_ssize_t count;

    evbuffer_drain(input, drop);
    connection->skip -= drop;
    count = evbuffer_copyout(input, bytes, sizeof(bytes));
    if (count <= 0) {
        return false;
    }
    message = rfb_message_look(connection->stage, bytes, (size_t)count);
    switch (message.verdict) {
    case RFB_WHOLE:
        *good = hand_on(connection, input, bytes, message.length);
        return *good;
    case RFB_SKIP:
        connection->skip = message.length;
        return true;
    case RFB_BAD:
        *good = false;
        return false;
    default:
        return false;
    }
}

static bool has_room(const struct connection *connection)
{
    return !connection->library ||
           evbuffer_get_length(bufferevent_get_output(connection->library)) < INPUT_MAX;
}

static void client_readable(struct bufferevent *client, void *opaque)
{
    struct connection *connection = opaque;
    struct evbuffer *input = bufferevent_get_input(client);
    bool good = true;

    while (has_room(connection) && handle_input(connection, input, &good)) {
    }
    if (!good) {
        connection_free(connection);
    } else if (!has_room(connection)) {
        bufferevent_disable(client, EV_READ); /* until library_written */
    }
}

/* Accepting. */

/* Make room: whoever has been on the way in for longest has to go. */
static bool make_room(struct vnc_relay *relay)
{
    for (unsigned i = 0; relay->connections->len >= CONNECTIONS_MAX; i++) {
        struct connection *connection;

        if (i == relay->connections->len) {
            return false;
        }
        connection = g_ptr_array_index(relay->connections, i);
        if (connection->stage != RFB_STAGE_NORMAL) {
            connection_free(connection);
            return true;
        }
    }
    return true;
}

static void on_acceptable(evutil_socket_t listener, short what, void *opaque)
{
    struct vnc_relay *relay = opaque;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), one = 1;
    struct connection *connection;

    if (fd < 0) {
        return;
    }
    if (!make_room(relay)) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* a unix socket has no delay */
    connection = g_new0(struct connection, 1);
    connection->relay = relay;
    connection->backlog = g_new0(struct vnc_backlog, 1);
    connection->backlog->references = 1;
    connection->client = make_bufferevent(connection, fd);
    g_ptr_array_add(relay->connections, connection);
    bufferevent_setcb(connection->client, client_readable, client_written, client_gone, connection);
    bufferevent_enable(connection->client, EV_READ | EV_WRITE);
    bufferevent_write(connection->client, GREETING, strlen(GREETING));
}

/* Life. */

static void *thread_main(void *opaque)
{
    struct vnc_relay *relay = opaque;

    while (!relay->quit && event_base_loop(relay->base, EVLOOP_ONCE) >= 0) {
    }
    while (relay->connections->len) {
        connection_free(g_ptr_array_index(relay->connections, relay->connections->len - 1));
    }
    return NULL;
}

static void quit(void *opaque)
{
    struct vnc_relay *relay = opaque;

    relay->quit = true;
}

static void relay_free(struct vnc_relay *relay)
{
    if (relay->acceptable) {
        event_free(relay->acceptable);
        task_queue_destroy(&relay->tasks);
    }
    if (relay->base) {
        event_base_free(relay->base);
    }
    g_ptr_array_unref(relay->connections);
    g_free(relay);
}

static bool start_thread(struct vnc_relay *relay, GError **error)
{
    sigset_t signals;
    int status;

    thread_block_signals(&signals);
    status = pthread_create(&relay->thread, NULL, thread_main, relay);
    thread_restore_signals(&signals);
    if (status != 0) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY, "no thread: %s", g_strerror(status));
    }
    pthread_setname_np(relay->thread, "vnc-io");
    return true;
}

struct vnc_relay *vnc_relay_start(int listener, bool needs_password, vnc_arrival_fn arrival,
                                  void *opaque, GError **error)
{
    struct vnc_relay *relay = g_new0(struct vnc_relay, 1);

    relay->listener = listener;
    relay->needs_password = needs_password;
    relay->arrival = arrival;
    relay->opaque = opaque;
    relay->quit_task = (struct io_task){.run = quit, .opaque = relay};
    relay->connections = g_ptr_array_new();
    relay->base = event_base_new();
    if (!relay->base || !task_queue_init(&relay->tasks, relay->base)) {
        duodm_fail(error, DUODM_ERROR_FAILED, "no event loop: %s", g_strerror(errno));
        relay_free(relay);
        return NULL;
    }
    relay->acceptable =
        event_new(relay->base, listener, EV_READ | EV_PERSIST, on_acceptable, relay);
    event_add(relay->acceptable, NULL);
    if (!start_thread(relay, error)) {
        relay_free(relay);
        return NULL;
    }
    return relay;
}

void vnc_relay_stop(struct vnc_relay *relay)
{
    task_queue_post(&relay->tasks, &relay->quit_task);
    pthread_join(relay->thread, NULL);
    relay_free(relay);
}
