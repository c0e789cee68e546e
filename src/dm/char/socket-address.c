/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/char/socket-address.h"
#include "dm/property.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_BACKLOG 8
#define ROOM_WAIT_MS   20 /* between two looks for room in a unix socket's queue */

static bool parse_fd(struct socket_address *address, const char *text, GError **error)
{
    struct stat st;
    uint64_t number;

    if (!parse_number(text, &number, error)) {
        return false;
    }
    if (number > G_MAXINT || fstat((int)number, &st) < 0 || !S_ISSOCK(st.st_mode)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "fd=%s is not an open socket", text);
    }
    address->fd = (int)number;
    return true;
}

bool socket_address_check(const struct socket_address *address, GError **error)
{
    const char *path = address->path, *port = address->port;
    uint64_t number;

    if (path && (!*path || strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "socket: path '%s' must have 1 to %zu bytes", path,
                          sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
    }
    /* getaddrinfo takes any number, modulo 65536. Names of services are left to it. */
    return !port || !parse_number(port, &number, NULL) || number <= 65535 ||
           duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "socket: port %s is above 65535", port);
}

bool socket_address_parse(struct socket_address *address, const struct key_values *options,
                          GError **error)
{
    const char *path = key_values_get(options, "path");
    const char *port = key_values_get(options, "port");
    const char *fd = key_values_get(options, "fd");

    *address = (struct socket_address){.fd = -1};
    if (!!path + !!port + !!fd != 1) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "socket: needs one of path=PATH, host=HOST,port=PORT and fd=NUMBER");
    }
    if (fd && !parse_fd(address, fd, error)) {
        return false;
    }
    address->path = g_strdup(path);
    address->host = g_strdup(key_values_get(options, "host"));
    address->port = g_strdup(port);
    if (!socket_address_check(address, error)) {
        socket_address_clear(address);
        return false;
    }
    return true;
}

void socket_address_clear(struct socket_address *address)
{
    g_clear_pointer(&address->path, g_free);
    g_clear_pointer(&address->host, g_free);
    g_clear_pointer(&address->port, g_free);
}

static unsigned bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_storage storage;
    } name;
    socklen_t length = sizeof(name);

    if (fd < 0 || getsockname(fd, &name.any, &length) < 0) {
        return 0;
    }
    return ntohs(name.any.sa_family == AF_INET6 ? name.in6.sin6_port : name.in.sin_port);
}

char *socket_address_text(const struct socket_address *address, int fd)
{
    if (address->path) {
        return g_strconcat("unix:", address->path, NULL);
    }
    if (address->port) {
        const char *host = address->host ? address->host : "";

        if (g_str_equal(address->port, "0")) {
            return g_strdup_printf("tcp:%s:%u", host, bound_port(fd));
        }
        return g_strdup_printf("tcp:%s:%s", host, address->port);
    }
    return g_strdup_printf("fd:%d", address->fd);
}

static int unix_socket(const char *path, struct sockaddr_un *name)
{
    *name = (struct sockaddr_un){.sun_family = AF_UNIX};
    strcpy(name->sun_path, path); /* socket_address_check saw its length */
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* May the path be bound? A socket that nobody listens on any more is removed. */
static bool make_way(const char *path, GError **error)
{
    struct sockaddr_un name;
    struct stat st;
    bool live;
    int fd;

    if (lstat(path, &st) < 0) {
        return true;
    }
    if (!S_ISSOCK(st.st_mode)) {
        return duodm_fail(error, DUODM_ERROR_EXISTS, "'%s' exists and is not a socket", path);
    }
    fd = unix_socket(path, &name);
    live = fd >= 0 && (connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0 || errno == EAGAIN);
    close(fd);
    if (live) {
        return duodm_fail(error, DUODM_ERROR_BUSY, "another process listens on '%s'", path);
    }
    unlink(path);
    return true;
}

static int listen_unix(const char *path, GError **error)
{
    struct sockaddr_un name;
    int fd;

    if (!make_way(path, error)) {
        return -1;
    }
    fd = unix_socket(path, &name);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0) {
        if (listen(fd, SOCKET_BACKLOG) == 0) {
            return fd;
        }
        unlink(path);
    }
    duodm_fail(error, DUODM_ERROR_IO, "cannot listen on '%s': %s", path, g_strerror(errno));
    close(fd);
    return -1;
}

static struct addrinfo *resolve(const struct socket_address *address, bool passive, GError **error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = passive ? AI_PASSIVE : 0};
    struct addrinfo *list = NULL;
    int result = getaddrinfo(address->host, address->port, &hints, &list);

    if (result) {
        duodm_fail(error, DUODM_ERROR_IO, "cannot resolve host '%s', port '%s': %s",
                   address->host ? address->host : "", address->port, gai_strerror(result));
        return NULL;
    }
    return list;
}

static int listen_tcp(const struct socket_address *address, GError **error)
{
    struct addrinfo *list = resolve(address, true, error);
    int fd = -1, on = 1;

    for (struct addrinfo *info = list; info && fd < 0; info = info->ai_next) {
        fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (fd >= 0 &&
            (bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, SOCKET_BACKLOG) < 0)) {
            int saved = errno;

            close(fd);
            fd = -1;
            errno = saved;
        }
    }
    if (list && fd < 0) {
        duodm_fail(error, DUODM_ERROR_IO, "cannot listen on %s:%s: %s",
                   address->host ? address->host : "", address->port, g_strerror(errno));
    }
    if (list) {
        freeaddrinfo(list);
    }
    return fd;
}

int socket_address_listen(const struct socket_address *address, GError **error)
{
    if (!socket_address_check(address, error)) {
        return -1;
    }
    return address->path ? listen_unix(address->path, error) : listen_tcp(address, error);
}

/* Wait for the end of a connect(): 0, or -1 and errno. */
static int await_connection(int fd, int cancel_fd)
{
    struct pollfd fds[] = {{.fd = cancel_fd, .events = POLLIN}, {.fd = fd, .events = POLLOUT}};
    socklen_t length = sizeof(int);
    int result;

    while (poll(fds, G_N_ELEMENTS(fds), -1) < 0) {
        if (errno != EINTR) {
            return -1;
        }
    }
    if (fds[0].revents) {
        errno = ECANCELED;
        return -1;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &length) < 0) {
        return -1;
    }
    errno = result;
    return result ? -1 : 0;
}

/* connect() of a non-blocking socket. A unix socket has no room in the listener's queue, of which
 * nothing tells but to try again. */
static int connect_when_room(int fd, const struct sockaddr *name, socklen_t length, int cancel_fd)
{
    struct pollfd cancelled = {.fd = cancel_fd, .events = POLLIN};
    int result;

    while ((result = connect(fd, name, length)) < 0 && errno == EAGAIN &&
           name->sa_family == AF_UNIX) {
        if (poll(&cancelled, 1, ROOM_WAIT_MS) > 0) {
            errno = ECANCELED;
            return -1;
        }
    }
    return result;
}

static int connect_one(int family, const struct sockaddr *name, socklen_t length, int cancel_fd)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int result = fd < 0 ? -1 : connect_when_room(fd, name, length, cancel_fd);

    if (result < 0 && errno == EINPROGRESS) {
        result = await_connection(fd, cancel_fd);
    }
    if (result == 0) {
        return fd;
    }
    if (fd >= 0) {
        int saved = errno;

        close(fd);
        errno = saved;
    }
    return -1;
}

int socket_address_connect(const struct socket_address *address, int cancel_fd, const char *advice,
                           GError **error)
{
    int fd = -1;
    if (address->path) {
        struct sockaddr_un name = {.sun_family = AF_UNIX};

        strcpy(name.sun_path, address->path);
        fd = connect_one(AF_UNIX, (struct sockaddr *)&name, sizeof(name), cancel_fd);
    } else {
        struct addrinfo *list = resolve(address, false, error);

        if (!list) {
            return -1;
        }
        errno = 0;
        for (struct addrinfo *info = list; info && fd < 0 && errno != ECANCELED;
             info = info->ai_next) {
            fd = connect_one(info->ai_family, info->ai_addr, info->ai_addrlen, cancel_fd);
        }
        freeaddrinfo(list);
    }
    if (fd < 0) {
        int saved = errno;
        g_autofree char *where = socket_address_text(address, -1);

        duodm_fail(error, DUODM_ERROR_IO, "cannot connect to %s: %s%s%s%s", where,
                   g_strerror(saved), advice ? " (" : "", advice ? advice : "", advice ? ")" : "");
    }
    return fd;
}
