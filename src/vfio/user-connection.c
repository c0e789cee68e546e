/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The life of a connection, its thread, and its end. */
#include "util/error.h"
#include "util/thread.h"
#include "util/trace.h"
#include "vfio/user-connection-private.h"
#include "vfio/user-socket.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* The end. */

static bool note_problem(struct vfio_user_connection *connection, const char *problem)
{
    bool first;

    pthread_mutex_lock(&connection->lock);
    first = !connection->problem;
    if (first) {
        connection->problem = g_strdup(problem);
        shutdown(connection->main.fd, SHUT_RDWR);
    }
    pthread_cond_broadcast(&connection->changed);
    pthread_mutex_unlock(&connection->lock);
    return first;
}

void vfio_user_end_connection(struct vfio_user_connection *connection, const char *problem)
{
    if (note_problem(connection, problem)) {
        trace_vfio_user_lost(connection->name, problem);
        connection->listener.lost(connection->listener.opaque);
    }
}

char *vfio_user_problem(struct vfio_user_connection *connection)
{
    char *problem;

    pthread_mutex_lock(&connection->lock);
    problem = g_strdup(connection->problem);
    pthread_mutex_unlock(&connection->lock);
    return problem;
}

bool vfio_user_is_broken(struct vfio_user_connection *connection)
{
    bool broken;

    pthread_mutex_lock(&connection->lock);
    broken = connection->problem != NULL;
    pthread_mutex_unlock(&connection->lock);
    return broken;
}

bool vfio_user_fail_broken(struct vfio_user_connection *connection, GError **error)
{
    g_autofree char *problem = vfio_user_problem(connection);

    return duodm_fail(error, DUODM_ERROR_IO, "vfio-user %s: the server at %s is gone: %s",
                      connection->name, connection->path, problem);
}

bool vfio_user_break(struct vfio_user_connection *connection, const char *problem, GError **error)
{
    vfio_user_end_connection(connection, problem);
    return vfio_user_fail_broken(connection, error);
}

/* The thread. */

/* The main socket is readable, or was so a moment ago. */
static const char *read_unasked(struct vfio_user_connection *connection)
{
    const char *problem = NULL;
    bool mine;

    pthread_mutex_lock(&connection->lock);
    mine = !connection->is_reading && !connection->problem;
    if (connection->problem) {
        problem = "it is broken"; /* as was noted already */
    }
    if (mine) {
        vfio_user_begin_reading(connection);
    }
    pthread_mutex_unlock(&connection->lock);
    if (mine) {
        problem = vfio_user_receive(connection, &connection->main);
        pthread_mutex_lock(&connection->lock);
        vfio_user_end_reading(connection);
        pthread_mutex_unlock(&connection->lock);
    }
    return problem;
}

static const char *look_at(struct vfio_user_connection *connection, int fd)
{
    uint64_t count;

    if (fd == connection->main.fd) {
        return read_unasked(connection);
    }
    if (fd != connection->wake) {
        return vfio_user_receive(connection, &connection->twin);
    }
    return read(fd, &count, sizeof(count)) > 0 && connection->listener.examine
               ? connection->listener.examine(connection->listener.opaque)
               : NULL;
}

static void *read_messages(void *opaque)
{
    struct vfio_user_connection *connection = opaque;
    const char *problem = NULL;

    while (!problem && !__atomic_load_n(&connection->stop, __ATOMIC_ACQUIRE)) {
        struct epoll_event events[3];
        int count = epoll_wait(connection->epoll, events, G_N_ELEMENTS(events), -1);

        for (int i = 0; i < count && !problem; i++) {
            problem = look_at(connection, events[i].data.fd);
        }
    }
    if (problem) {
        vfio_user_end_connection(connection, problem);
    }
    return NULL;
}

static void wake_thread(struct vfio_user_connection *connection)
{
    eventfd_write(connection->wake, 1);
}

/* Life. */

static void connection_free(struct vfio_user_connection *connection)
{
    vfio_user_framer_clear(&connection->main.framer);
    vfio_user_framer_clear(&connection->twin.framer);
    close(connection->main.fd);
    if (connection->twin.fd >= 0) {
        close(connection->twin.fd);
    }
    if (connection->wake >= 0) {
        close(connection->wake);
    }
    if (connection->epoll >= 0) {
        close(connection->epoll);
    }
    pthread_cond_destroy(&connection->changed);
    pthread_mutex_destroy(&connection->lock);
    pthread_mutex_destroy(&connection->send_lock);
    g_free(connection->main.answer);
    g_free(connection->twin.answer);
    g_free(connection->problem);
    g_free(connection->path);
    g_free(connection->name);
    g_free(connection);
}

static bool watch(struct vfio_user_connection *connection, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    return epoll_ctl(connection->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool start_thread(struct vfio_user_connection *connection, GError **error)
{
    sigset_t signals;
    int problem;

    connection->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    connection->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (connection->wake < 0 || connection->epoll < 0 || !watch(connection, connection->wake) ||
        !watch(connection, connection->main.fd)) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY, "vfio-user %s: no event descriptor: %s",
                          connection->name, g_strerror(errno));
    }
    thread_block_signals(&signals);
    problem = pthread_create(&connection->thread, NULL, read_messages, connection);
    thread_restore_signals(&signals);
    return problem == 0 || duodm_fail(error, DUODM_ERROR_NO_MEMORY, "vfio-user %s: no thread: %s",
                                      connection->name, g_strerror(problem));
}

static struct vfio_user_connection *connection_new(int fd, const char *path, const char *name,
                                                   unsigned timeout,
                                                   const struct vfio_user_listener *listener)
{
    struct vfio_user_connection *connection = g_new0(struct vfio_user_connection, 1);
    pthread_condattr_t attributes;

    connection->path = g_strdup(path);
    connection->name = g_strdup(name);
    connection->timeout = timeout;
    connection->listener = *listener;
    connection->main.fd = fd;
    connection->twin.fd = connection->wake = connection->epoll = -1;
    vfio_user_framer_init(&connection->main.framer);
    vfio_user_framer_init(&connection->twin.framer);
    pthread_mutex_init(&connection->send_lock, NULL);
    pthread_mutex_init(&connection->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&connection->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return connection;
}

/* The socket of the server's commands; the others that came along are nothing. */
static bool take_twin(struct vfio_user_connection *connection, struct vfio_user_request *request,
                      GError **error)
{
    int index = connection->capabilities.twin_socket;

    for (int i = 0; i < (int)request->reply_fd_count; i++) {
        if (i == index) {
            connection->twin.fd = request->reply_fds[i];
        } else {
            close(request->reply_fds[i]);
        }
    }
    return connection->twin.fd < 0 || watch(connection, connection->twin.fd) ||
           duodm_fail(error, DUODM_ERROR_IO,
                      "vfio-user %s: VERSION: twin_socket is a descriptor that is no socket",
                      connection->name);
}

static bool negotiate(struct vfio_user_connection *connection, GError **error)
{
    g_autoptr(GByteArray) version = vfio_user_make_version();
    uint8_t reply[4096];
    struct vfio_user_request request = {
        .command = VFIO_USER_VERSION,
        .payload = version->data,
        .payload_size = version->len,
        .reply = reply,
        .reply_room = sizeof(reply),
        .takes_fds = true,
    };
    bool ok = vfio_user_request(connection, &request, error);

    connection->capabilities.twin_socket = -1;
    if (ok && !vfio_user_parse_version(reply, request.reply_size, request.reply_fd_count,
                                       &connection->capabilities, error)) {
        g_prefix_error(error, "vfio-user %s: ", connection->name);
        ok = false;
    }
    return take_twin(connection, &request, ok ? error : NULL) && ok;
}

struct vfio_user_connection *vfio_user_connect(const char *path, const char *name, unsigned timeout,
                                               const struct vfio_user_listener *listener,
                                               GError **error)
{
    int fd = vfio_user_open_socket(path, name, error);
    struct vfio_user_connection *connection;

    if (fd < 0) {
        return NULL;
    }
    connection = connection_new(fd, path, name, timeout, listener);
    if (!start_thread(connection, error)) {
        connection_free(connection);
        return NULL;
    }
    if (!negotiate(connection, error)) {
        vfio_user_disconnect(connection);
        return NULL;
    }
    return connection;
}

void vfio_user_disconnect(struct vfio_user_connection *connection)
{
    if (connection) {
        __atomic_store_n(&connection->stop, true, __ATOMIC_RELEASE);
        wake_thread(connection);
        pthread_join(connection->thread, NULL);
        connection_free(connection);
    }
}

int vfio_user_wake_descriptor(const struct vfio_user_connection *connection)
{
    return connection->wake;
}

const struct vfio_user_capabilities *
vfio_user_capabilities(const struct vfio_user_connection *connection)
{
    return &connection->capabilities;
}
