/* SPDX-License-Identifier: GPL-2.0-or-later */
/* UNIX sockets as vfio-user uses them: bytes that descriptors go along with. */
#ifndef DUODM_VFIO_USER_SOCKET_H
#define DUODM_VFIO_USER_SOCKET_H

#include "vfio/user-protocol.h"

#include <sys/socket.h>

/* Connect to a server; -1 and an error that begins with name. The socket never blocks. */
int vfio_user_open_socket(const char *path, const char *name, GError **error);
/* Send what goes without waiting, with up to VFIO_USER_FDS_MAX descriptors, as sendmsg does. */
ssize_t vfio_user_send_part(int fd, struct iovec *parts, size_t count, const int *fds,
                            unsigned fd_count);
/* The descriptors of what recvmsg gave become the message's. False: they were too many. */
bool vfio_user_take_fds(struct msghdr *message, struct vfio_user_framer *framer);

#endif
