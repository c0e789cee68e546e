/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a machine is sent to or comes from: "file:PATH" and the like. */
#include "dm/char/socket-address.h"
#include "dm/fd-set.h"
#include "dm/snapshot/migration-private.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *after(const char *uri, const char *prefix)
{
    return g_str_has_prefix(uri, prefix) && uri[strlen(prefix)] ? uri + strlen(prefix) : NULL;
}

static bool open_file(struct migration_address *address, const struct machine *machine,
                      const char *path, bool to_write, GError **error)
{
    int flags = to_write ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY;

    address->fd = fd_registry_open(machine->fds, path, flags, 0600);
    return address->fd >= 0 ||
           duodm_fail(error, DUODM_ERROR_IO, "'%s' can't be opened: %s", path, g_strerror(errno));
}

/* A descriptor that getfd gave, or (as our starter passed it) a number. */
static bool take_fd(struct migration_address *address, struct machine *machine, const char *name,
                    bool to_write, GError **error)
{
    guint64 number;

    if (!to_write && g_ascii_string_to_unsigned(name, 10, 0, INT_MAX, &number, NULL)) {
        address->fd = (int)number;
        return fcntl(address->fd, F_SETFD, FD_CLOEXEC) == 0 ||
               duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "descriptor %s is not open in this process", name);
    }
    address->fd = fd_registry_take_named(machine->fds, name, error);
    return address->fd >= 0;
}

static bool start_command(struct migration_address *address, const char *command, bool to_write,
                          GError **error)
{
    char *argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)command, NULL};

    return g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                                    &address->child, to_write ? &address->fd : NULL,
                                    to_write ? NULL : &address->fd, NULL, error);
}

/* HOST:PORT, [IPv6]:PORT, :PORT */
static bool split_host(struct migration_address *address, const char *text, GError **error)
{
    const char *colon = strrchr(text, ':');

    if (!colon || !colon[1]) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "tcp: HOST:PORT is expected, not "
                          "'%s'",
                          text);
    }
    address->port = g_strdup(colon + 1);
    if (text[0] == '[' && colon > text + 1 && colon[-1] == ']') {
        address->host = g_strndup(text + 1, (gsize)(colon - text - 2));
    } else if (colon > text) {
        address->host = g_strndup(text, (gsize)(colon - text));
    }
    return true;
}

/* To listen on a socket is for now, to connect for the thread. */
static bool open_socket(struct migration_address *address, bool to_write, GError **error)
{
    struct socket_address socket = {address->path, address->host, address->port, -1};

    if (!socket_address_check(&socket, error)) {
        return false;
    }
    if (!to_write) {
        address->fd = socket_address_listen(&socket, error);
        address->is_listening = address->fd >= 0;
        if (address->is_listening) {
            own_path_init(&address->own, address->path);
        }
    }
    return to_write || address->is_listening;
}

static bool set_kind(struct migration_address *address, GError **error)
{
    struct stat st;

    if (address->fd < 0) {
        return true;
    }
    if (fstat(address->fd, &st) < 0) {
        return duodm_fail(error, DUODM_ERROR_IO, "%s", g_strerror(errno));
    }
    address->is_regular = S_ISREG(st.st_mode);
    return address->is_regular ||
           fcntl(address->fd, F_SETFL, fcntl(address->fd, F_GETFL) | O_NONBLOCK) == 0 ||
           duodm_fail(error, DUODM_ERROR_IO, "%s", g_strerror(errno));
}

static bool open_any(struct migration_address *address, struct machine *machine, const char *uri,
                     bool to_write, GError **error)
{
    const char *rest;

    if ((rest = after(uri, "file:"))) {
        return open_file(address, machine, rest, to_write, error);
    }
    if ((rest = after(uri, "fd:"))) {
        return take_fd(address, machine, rest, to_write, error);
    }
    if ((rest = after(uri, "exec:"))) {
        return start_command(address, rest, to_write, error);
    }
    if ((rest = after(uri, "unix:"))) {
        address->path = g_strdup(rest);
        return open_socket(address, to_write, error);
    }
    if ((rest = after(uri, "tcp:"))) {
        return split_host(address, rest, error) && open_socket(address, to_write, error);
    }
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                      "'%s' is not valid: file:PATH, fd:NAME, exec:COMMAND, unix:PATH or "
                      "tcp:HOST:PORT is expected",
                      uri);
}

bool migration_address_open(struct migration_address *address, struct machine *machine,
                            const char *uri, bool to_write, GError **error)
{
    *address = (struct migration_address){.uri = g_strdup(uri), .fd = -1};
    if (open_any(address, machine, uri, to_write, error) && set_kind(address, error)) {
        return true;
    }
    g_prefix_error(error, "%s: ", uri);
    migration_address_clear(address);
    return false;
}

void migration_address_clear(struct migration_address *address)
{
    own_path_remove(&address->own);
    if (address->fd >= 0) {
        close(address->fd);
    }
    if (address->child) { /* what it still does is of no use */
        kill(address->child, SIGKILL);
        waitpid(address->child, NULL, 0);
        g_spawn_close_pid(address->child);
    }
    g_free(address->uri);
    g_free(address->path);
    g_free(address->host);
    g_free(address->port);
    *address = (struct migration_address){.fd = -1};
}

static bool accept_one(struct migration_address *address, int cancel_fd, GError **error)
{
    struct snapshot_channel channel = {.fd = address->fd, .cancel_fd = cancel_fd};
    int fd;

    do {
        if (!snapshot_wait(&channel, false, error)) {
            return false;
        }
        fd = accept4(address->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    } while (fd < 0 && (errno == EINTR || errno == EAGAIN || errno == ECONNABORTED));
    if (fd < 0) {
        return duodm_fail(error, DUODM_ERROR_IO, "%s: accept: %s", address->uri, g_strerror(errno));
    }
    close(address->fd);
    address->fd = fd;
    return true;
}

bool migration_address_connect(struct migration_address *address, int cancel_fd, GError **error)
{
    struct socket_address socket = {address->path, address->host, address->port, -1};

    if (address->is_listening) {
        return accept_one(address, cancel_fd, error);
    }
    if (address->fd < 0) {
        address->fd = socket_address_connect(&socket, cancel_fd, NULL, error);
    }
    return address->fd >= 0;
}

/* Wait for the end of the child, and take its status. */
static bool await_child(struct migration_address *address, int cancel_fd, GError **error)
{
    struct snapshot_channel ending = {.cancel_fd = cancel_fd};
    bool ended, good;
    int status;

    ending.fd = pidfd_open(address->child, 0);
    if (ending.fd < 0) {
        return duodm_fail(error, DUODM_ERROR_FAILED, "%s: pidfd_open: %s", address->uri,
                          g_strerror(errno));
    }
    ended = snapshot_wait(&ending, false, error);
    close(ending.fd);
    if (!ended) {
        return false;
    }
    good = waitpid(address->child, &status, 0) > 0 && WIFEXITED(status) && !WEXITSTATUS(status);
    address->child = 0;
    return good || duodm_fail(error, DUODM_ERROR_FAILED, "%s: the command failed", address->uri);
}

bool migration_address_finish(struct migration_address *address, int cancel_fd, GError **error)
{
    int result = close(address->fd);

    address->fd = -1;
    if (result < 0) {
        return duodm_fail(error, DUODM_ERROR_IO, "%s: %s", address->uri, g_strerror(errno));
    }
    return !address->child || await_child(address, cancel_fd, error);
}
