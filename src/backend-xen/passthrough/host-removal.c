/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages: Linux, lib/kobject_uevent.c: "ACTION@DEVPATH", NUL, then more that is not needed. */
#include "backend-xen/passthrough/host-removal.h"
#include "util/error.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KERNEL_GROUP 1u   /* of NETLINK_KOBJECT_UEVENT: what the kernel itself says */
#define MESSAGE_MAX  4096 /* bytes; what is cut off is not needed */

struct host_removal {
    int socket;
    struct event *event;
    char *name;
    void (*removed)(void *opaque);
    void *opaque;
};

bool host_removal_is_told(const char *message, size_t length, const char *name)
{
    g_autofree char *head = g_strndup(message, length); /* up to the first NUL */
    const char *last = strrchr(head, '/');

    return g_str_has_prefix(head, "remove@/") && g_str_equal(last + 1, name);
}

/* False: there is no message now. */
static bool receive(const struct host_removal *removal, bool *told)
{
    char message[MESSAGE_MAX];
    struct sockaddr_nl sender = {0};
    socklen_t sender_size = sizeof(sender);
    ssize_t length = recvfrom(removal->socket, message, sizeof(message), MSG_DONTWAIT,
                              (struct sockaddr *)&sender, &sender_size);

    if (length < 0) {
        return errno == EINTR || errno == ENOBUFS; /* some were lost: go on with the rest */
    }
    /* Of the kernel: any process may send to a group. */
    *told = sender.nl_pid == 0 && host_removal_is_told(message, (size_t)length, removal->name);
    return true;
}

static void look(evutil_socket_t fd, short events, void *opaque)
{
    struct host_removal *removal = opaque;
    bool told = false;

    while (!told && receive(removal, &told)) {
    }
    if (told) {
        event_del(removal->event);
        removal->removed(removal->opaque);
    }
}

static bool open_socket(struct host_removal *removal, GError **error)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP};

    removal->socket =
        socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
    if (removal->socket < 0 ||
        bind(removal->socket, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int failed_with = errno;

        return duodm_fail(error, DUODM_ERROR_IO,
                          "%s: the kernel's device events can't be heard: %s", removal->name,
                          g_strerror(failed_with));
    }
    return true;
}

struct host_removal *host_removal_listen(struct event_base *base, const char *name,
                                         void (*removed)(void *opaque), void *opaque,
                                         GError **error)
{
    struct host_removal *removal = g_new(struct host_removal, 1);

    *removal = (struct host_removal){-1, NULL, g_strdup(name), removed, opaque};
    if (!open_socket(removal, error)) {
        host_removal_end(removal);
        return NULL;
    }
    removal->event = event_new(base, removal->socket, EV_READ | EV_PERSIST, look, removal);
    if (!removal->event || event_add(removal->event, NULL) < 0) {
        duodm_fail(error, DUODM_ERROR_FAILED, "%s: the main loop takes no socket", name);
        host_removal_end(removal);
        return NULL;
    }
    return removal;
}

void host_removal_end(struct host_removal *removal)
{
    if (!removal) {
        return;
    }
    g_clear_pointer(&removal->event, event_free);
    if (removal->socket >= 0) {
        close(removal->socket);
    }
    g_free(removal->name);
    g_free(removal);
}
