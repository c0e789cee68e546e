/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vfio/user-socket.h"
#include "util/error.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

int vfio_user_open_socket(const char *path, const char *name, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof(address.sun_path)) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                   "vfio-user %s: the path of the socket is longer than %zu bytes: %s", name,
                   sizeof(address.sun_path) - 1, path);
        return -1;
    }
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        duodm_fail(error, DUODM_ERROR_IO, "vfio-user %s: no connection to a server at %s: %s%s",
                   name, path, g_strerror(errno),
                   errno == EAGAIN                            ? " (it is busy with others)"
                   : errno == ENOENT || errno == ECONNREFUSED ? " (start it first)"
                                                              : "");
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

ssize_t vfio_user_send_part(int fd, struct iovec *parts, size_t count, const int *fds,
                            unsigned fd_count)
{
    union {
        char bytes[CMSG_SPACE(VFIO_USER_FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    ssize_t sent;

    if (fd_count) {
        struct cmsghdr *header;

        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
    }
    do {
        sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent;
}

bool vfio_user_take_fds(struct msghdr *message, struct vfio_user_framer *framer)
{
    bool ok = !(message->msg_flags & MSG_CTRUNC);

    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
         header = CMSG_NXTHDR(message, header)) {
        unsigned count = (unsigned)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));

        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        for (unsigned i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
            ok &= vfio_user_framer_add_fd(framer, fd);
        }
    }
    return ok;
}
