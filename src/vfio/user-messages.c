/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages of a connection: how they are sent, what comes, and how answers get to who waits. */
#include "util/error.h"
#include "util/trace.h"
#include "vfio/user-connection-private.h"
#include "vfio/user-socket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#define HEADER_SIZE sizeof(struct vfio_user_header)
#define MS          1000000 /* ns */

/* A request that waits for its answer. */
struct vfio_user_waiter {
    struct vfio_user_request *request;
    uint16_t id;
    bool done;
    struct vfio_user_waiter *next;
};

/* Time. */

static struct timespec deadline_of(const struct vfio_user_connection *connection)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += connection->timeout / 1000;
    at.tv_nsec += (long)(connection->timeout % 1000) * MS;
    if (at.tv_nsec >= 1000 * MS) {
        at.tv_sec++;
        at.tv_nsec -= 1000 * MS;
    }
    return at;
}

/* ms from now, at least 0. */
static int time_left(const struct timespec *deadline)
{
    struct timespec now;
    int64_t left;

    clock_gettime(CLOCK_MONOTONIC, &now);
    left = ((int64_t)deadline->tv_sec - now.tv_sec) * 1000 +
           (deadline->tv_nsec - now.tv_nsec + MS - 1) / MS;
    return (int)CLAMP(left, 0, G_MAXINT);
}

/* Sending. */

static void skip_sent(struct iovec *parts, size_t count, size_t sent)
{
    for (size_t i = 0; i < count; i++) {
        size_t n = MIN(sent, parts[i].iov_len);

        parts[i].iov_base = (uint8_t *)parts[i].iov_base + n;
        parts[i].iov_len -= n;
        sent -= n;
    }
}

/* A whole message; it breaks the connection if it can't be sent in time. */
static bool send_whole(struct vfio_user_connection *connection, int fd, struct iovec *parts,
                       size_t count, const int *fds, unsigned fd_count,
                       const struct timespec *deadline)
{
    size_t left = 0;
    const char *problem = NULL;

    for (size_t i = 0; i < count; i++) {
        left += parts[i].iov_len;
    }
    pthread_mutex_lock(&connection->send_lock);
    while (left && !problem) {
        ssize_t sent = vfio_user_send_part(fd, parts, count, fds, fd_count);
        struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};

        if (sent > 0) {
            skip_sent(parts, count, (size_t)sent);
            left -= (size_t)sent;
            fd_count = 0; /* they went with the first byte */
        } else if (errno != EAGAIN) {
            problem = g_strerror(errno);
        } else if (poll(&poll_fd, 1, time_left(deadline)) == 0) {
            problem = "it takes no messages";
        }
    }
    pthread_mutex_unlock(&connection->send_lock);
    if (problem) {
        vfio_user_end_connection(connection, problem);
    }
    return !problem;
}

/* What comes: read by a thread that waits for its answer, or by the connection's own. */

static struct vfio_user_waiter **find_waiter(struct vfio_user_connection *connection, uint16_t id)
{
    struct vfio_user_waiter **place = &connection->waiters;

    while (*place && (*place)->id != id) {
        place = &(*place)->next;
    }
    return place;
}

/* Give an answer to who waits for it; what is wrong with it, or NULL. Under the lock. */
static const char *deliver(struct vfio_user_waiter *waiter, const struct vfio_user_header *header,
                           const uint8_t *payload, size_t length, struct vfio_user_framer *framer)
{
    struct vfio_user_request *request = waiter->request;

    if (header->command != request->command) {
        return "an answer is to another command than was sent";
    }
    if (header->flags & VFIO_USER_ERROR) {
        request->refusal = header->error && header->error < 4096 ? (int)header->error : EIO;
    } else if (length < request->reply_minimum || length > request->reply_room) {
        return "an answer has the wrong size";
    } else {
        if (length) {
            memcpy(request->reply, payload, length);
        }
        request->reply_size = length;
        if (request->takes_fds) {
            memcpy(request->reply_fds, framer->fds, framer->fd_count * sizeof(int));
            request->reply_fd_count = framer->fd_count;
            framer->fd_count = 0;
        }
    }
    waiter->done = true;
    return NULL;
}

static const char *take_answer(struct vfio_user_connection *connection,
                               const struct vfio_user_header *header, const uint8_t *payload,
                               size_t length, struct vfio_user_framer *framer)
{
    const char *problem = "an answer is to nothing that was asked";
    struct vfio_user_waiter **place;

    pthread_mutex_lock(&connection->lock);
    place = find_waiter(connection, header->id);
    if (*place) {
        problem = deliver(*place, header, payload, length, framer);
        if (!problem) {
            *place = (*place)->next;
            pthread_cond_broadcast(&connection->changed);
        }
    }
    pthread_mutex_unlock(&connection->lock);
    return problem;
}

static uint8_t *answer_space(struct vfio_user_channel *channel, size_t size)
{
    if (channel->answer_room < size) {
        channel->answer_room = size;
        channel->answer = g_realloc(channel->answer, size);
    }
    return channel->answer;
}

/* Carry out a DMA_READ or DMA_WRITE; its errno, and how long the answer is (with the header). */
static int carry_out(struct vfio_user_connection *connection, struct vfio_user_channel *channel,
                     const struct vfio_user_header *header, const uint8_t *payload, size_t length,
                     size_t *size)
{
    const struct vfio_user_listener *listener = &connection->listener;
    bool is_read = header->command == VFIO_USER_DMA_READ;
    struct vfio_user_dma_access access;
    const uint8_t *data;
    uint8_t *answer;
    int problem = vfio_user_parse_dma_access(header->command, payload, length, &access, &data);

    *size = HEADER_SIZE;
    if (problem) {
        return problem;
    }
    answer =
        answer_space(channel, HEADER_SIZE + sizeof(access) + (is_read ? (size_t)access.count : 0)) +
        HEADER_SIZE;
    problem = is_read ? listener->dma_read(listener->opaque, &access, answer + sizeof(access))
                      : listener->dma_write(listener->opaque, &access, data);
    trace_vfio_user_dma(connection->name, vfio_user_command_name(header->command), access.address,
                        access.count, problem);
    if (!problem) {
        memcpy(answer, &access, sizeof(access));
        *size += sizeof(access) + (is_read ? (size_t)access.count : 0);
    }
    return problem;
}

static void take_command(struct vfio_user_connection *connection, struct vfio_user_channel *channel,
                         const struct vfio_user_header *header, const uint8_t *payload,
                         size_t length)
{
    struct timespec deadline = deadline_of(connection);
    size_t size;
    int problem = carry_out(connection, channel, header, payload, length, &size);
    struct vfio_user_header reply = {
        .id = header->id,
        .command = header->command,
        .size = (uint32_t)size,
        .flags = VFIO_USER_REPLY | (problem ? VFIO_USER_ERROR : 0),
        .error = (uint32_t)problem,
    };
    struct iovec part = {answer_space(channel, size), size};

    if (!(header->flags & VFIO_USER_NO_REPLY)) {
        memcpy(part.iov_base, &reply, sizeof(reply));
        send_whole(connection, channel->fd, &part, 1, NULL, 0, &deadline);
    }
}

/* A message is whole. What is wrong with it, or NULL. */
static const char *take_message(struct vfio_user_connection *connection,
                                struct vfio_user_channel *channel)
{
    const uint8_t *payload;
    size_t length;
    struct vfio_user_header header = vfio_user_framer_get(&channel->framer, &payload, &length);
    const char *problem = NULL;

    if ((header.flags & VFIO_USER_TYPE) == VFIO_USER_REPLY) {
        problem = take_answer(connection, &header, payload, length, &channel->framer);
    } else {
        take_command(connection, channel, &header, payload, length);
    }
    vfio_user_framer_next(&channel->framer);
    return problem;
}

/* One read of a socket. What is wrong, or NULL. */
const char *vfio_user_receive(struct vfio_user_connection *connection,
                              struct vfio_user_channel *channel)
{
    union {
        char bytes[CMSG_SPACE(VFIO_USER_FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    size_t wanted;
    struct iovec part = {.iov_base = vfio_user_framer_space(&channel->framer, &wanted)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control)};
    const char *problem = NULL;
    ssize_t length;

    part.iov_len = wanted;
    length = recvmsg(channel->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (length < 0) {
        return errno == EAGAIN || errno == EINTR ? NULL : g_strerror(errno);
    }
    if (length == 0) {
        return "it closed the connection";
    }
    if (!vfio_user_take_fds(&message, &channel->framer)) {
        return "a message has too many descriptors";
    }
    switch (vfio_user_framer_added(&channel->framer, (size_t)length, &problem)) {
    case VFIO_USER_WHOLE:
        return take_message(connection, channel);
    default:
        return problem;
    }
}

/* Who reads the main socket. Under the lock. */

void vfio_user_begin_reading(struct vfio_user_connection *connection)
{
    struct epoll_event event = {.events = 0, .data.fd = connection->main.fd};

    connection->is_reading = true;
    epoll_ctl(connection->epoll, EPOLL_CTL_MOD, connection->main.fd, &event);
}

void vfio_user_end_reading(struct vfio_user_connection *connection)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = connection->main.fd};

    connection->is_reading = false;
    epoll_ctl(connection->epoll, EPOLL_CTL_MOD, connection->main.fd, &event);
    if (connection->waiters) {
        pthread_cond_broadcast(&connection->changed); /* one of them goes on */
    }
}

/* Requests. */

static void add_waiter(struct vfio_user_connection *connection, struct vfio_user_waiter *waiter)
{
    while (*find_waiter(connection, connection->next_id)) {
        connection->next_id++;
    }
    waiter->id = connection->next_id++;
    waiter->next = connection->waiters;
    connection->waiters = waiter;
}

static void remove_waiter(struct vfio_user_connection *connection, struct vfio_user_waiter *waiter)
{
    struct vfio_user_waiter **place = find_waiter(connection, waiter->id);

    if (*place == waiter) {
        *place = waiter->next;
    }
}

/* Read one time; false: nothing came in time, or the time is up, however much comes. */
static bool read_until(struct vfio_user_connection *connection, const struct timespec *deadline)
{
    struct pollfd fd = {.fd = connection->main.fd, .events = POLLIN};
    int left = time_left(deadline);
    bool ready = poll(&fd, 1, left) != 0;
    const char *problem = ready ? vfio_user_receive(connection, &connection->main) : NULL;

    if (problem) {
        vfio_user_end_connection(connection, problem);
    }
    return ready && left > 0;
}

/* Read until the answer has come. Under the lock, which is let go of meanwhile. False: it is late.
 */
static bool read_answers(struct vfio_user_connection *connection,
                         const struct vfio_user_waiter *waiter, const struct timespec *deadline)
{
    bool in_time = true;

    vfio_user_begin_reading(connection);
    while (!waiter->done && !connection->problem && in_time) {
        pthread_mutex_unlock(&connection->lock);
        in_time = read_until(connection, deadline);
        pthread_mutex_lock(&connection->lock);
    }
    vfio_user_end_reading(connection);
    return in_time;
}

/* Wait for the answer; false: it is not to come. */
static bool wait_for(struct vfio_user_connection *connection, struct vfio_user_waiter *waiter,
                     const struct timespec *deadline)
{
    bool in_time = true, done;

    pthread_mutex_lock(&connection->lock);
    while (!waiter->done && !connection->problem && in_time) {
        in_time = connection->is_reading ? pthread_cond_timedwait(&connection->changed,
                                                                  &connection->lock, deadline) == 0
                                         : read_answers(connection, waiter, deadline);
    }
    done = waiter->done;
    remove_waiter(connection, waiter);
    pthread_mutex_unlock(&connection->lock);
    if (!done && !in_time) {
        g_autofree char *problem =
            g_strdup_printf("%s was not answered in %u ms",
                            vfio_user_command_name(waiter->request->command), connection->timeout);

        vfio_user_end_connection(connection, problem);
    }
    return done;
}

static bool exchange(struct vfio_user_connection *connection, struct vfio_user_request *request)
{
    struct timespec deadline = deadline_of(connection);
    struct vfio_user_waiter waiter = {.request = request};
    struct vfio_user_header header = {
        .command = (uint16_t)request->command,
        .size = (uint32_t)(HEADER_SIZE + request->payload_size + request->data_size),
    };
    struct iovec parts[] = {
        {&header, sizeof(header)},
        {(void *)request->payload, request->payload_size},
        {(void *)request->data, request->data_size},
    };
    bool broken;

    pthread_mutex_lock(&connection->lock);
    broken = connection->problem != NULL;
    if (!broken) {
        add_waiter(connection, &waiter);
    }
    pthread_mutex_unlock(&connection->lock);
    if (broken) {
        return false;
    }
    header.id = waiter.id;
    send_whole(connection, connection->main.fd, parts, G_N_ELEMENTS(parts), request->fds,
               request->fd_count, &deadline);
    return wait_for(connection, &waiter, &deadline);
}

bool vfio_user_request(struct vfio_user_connection *connection, struct vfio_user_request *request,
                       GError **error)
{
    request->refusal = 0;
    request->reply_size = request->reply_fd_count = 0;
    if (!exchange(connection, request)) {
        return vfio_user_fail_broken(connection, error);
    }
    if (request->refusal) {
        return duodm_fail(error, DUODM_ERROR_IO, "vfio-user %s: the server refuses %s: %s",
                          connection->name, vfio_user_command_name(request->command),
                          g_strerror(request->refusal));
    }
    return true;
}
