/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands about descriptors that a client passes with its command (SCM_RIGHTS). */
#include "dm/chardev.h"
#include "dm/fd-set.h"
#include "dm/machine.h"
#include "dm/monitor/qmp-commands.h"
#include "util/error.h"

#include <unistd.h>

const struct qmp_argument qmp_add_fd_arguments[] = {
    {"fdset-id", JSON_INTEGER, true},
    {"opaque", JSON_STRING, true},
    {NULL, JSON_NULL, false},
};
const struct qmp_argument qmp_remove_fd_arguments[] = {
    {"fdset-id", JSON_INTEGER, false},
    {"fd", JSON_INTEGER, true},
    {NULL, JSON_NULL, false},
};
const struct qmp_argument qmp_fdname_arguments[] = {
    {"fdname", JSON_STRING, false},
    {NULL, JSON_NULL, false},
};

/* -1 and an error if none came. */
static int take_fd(const struct qmp_context *context, GError **error)
{
    int fd = context->frontend ? chardev_take_fd(context->frontend) : -1;

    if (fd < 0) {
        duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                   "no file descriptor came with the command: send one by SCM_RIGHTS over a unix "
                   "socket");
    }
    return fd;
}

json_t *qmp_add_fd(struct qmp_context *context, json_t *arguments, GError **error)
{
    json_t *number = json_object_get(arguments, "fdset-id");
    const char *opaque = json_string_value(json_object_get(arguments, "opaque"));
    int64_t set = number ? MAX(json_integer_value(number), -2) : -1;
    int fd = take_fd(context, error);

    if (fd < 0) {
        return NULL;
    }
    if (number && set < 0) {
        set = -2; /* no number of a set, and none is to be chosen */
    }
    set = fd_registry_add(context->machine->fds, set, fd, opaque, error);
    return set < 0 ? NULL : json_pack("{s:I, s:i}", "fdset-id", (json_int_t)set, "fd", fd);
}

json_t *qmp_remove_fd(struct qmp_context *context, json_t *arguments, GError **error)
{
    json_t *fd = json_object_get(arguments, "fd");
    json_int_t set = json_integer_value(json_object_get(arguments, "fdset-id"));
    json_int_t number = fd ? json_integer_value(fd) : -1;

    if (fd && (number < 0 || number > G_MAXINT)) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "'fd' is no descriptor");
        return NULL;
    }
    return fd_registry_remove(context->machine->fds, set, (int)number, error) ? json_object()
                                                                              : NULL;
}

json_t *qmp_query_fdsets(struct qmp_context *context, json_t *arguments, GError **error)
{
    return fd_registry_query(context->machine->fds);
}

json_t *qmp_getfd(struct qmp_context *context, json_t *arguments, GError **error)
{
    const char *name = json_string_value(json_object_get(arguments, "fdname"));
    int fd = take_fd(context, error);

    if (fd < 0) {
        return NULL;
    }
    fd_registry_put_named(context->machine->fds, name, fd);
    return json_object();
}

json_t *qmp_closefd(struct qmp_context *context, json_t *arguments, GError **error)
{
    const char *name = json_string_value(json_object_get(arguments, "fdname"));
    int fd = fd_registry_take_named(context->machine->fds, name, error);

    if (fd < 0) {
        return NULL;
    }
    close(fd);
    return json_object();
}
