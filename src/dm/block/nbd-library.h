/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libnbd, loaded when the first export is opened: it brings two thirds of all libraries that the
 * process could load (TLS, XML, Unicode tables), and few machines have an NBD disk.
 */
#ifndef DUODM_DM_BLOCK_NBD_LIBRARY_H
#define DUODM_DM_BLOCK_NBD_LIBRARY_H

#include <glib.h>
#include <libnbd.h>
#include <stdbool.h>

/* The functions that duodm calls, without their prefix; each is as libnbd(3) has it. */
#define NBD_LIBRARY_FUNCTIONS(F)                                                                   \
    F(aio_connect_tcp)                                                                             \
    F(aio_connect_unix)                                                                            \
    F(aio_connect_uri)                                                                             \
    F(aio_disconnect)                                                                              \
    F(aio_flush)                                                                                   \
    F(aio_get_direction)                                                                           \
    F(aio_get_fd)                                                                                  \
    F(aio_is_closed)                                                                               \
    F(aio_is_dead)                                                                                 \
    F(aio_is_processing)                                                                           \
    F(aio_is_ready)                                                                                \
    F(aio_notify_read)                                                                             \
    F(aio_notify_write)                                                                            \
    F(aio_pread)                                                                                   \
    F(aio_pwrite)                                                                                  \
    F(aio_trim)                                                                                    \
    F(aio_zero)                                                                                    \
    F(can_flush)                                                                                   \
    F(can_fua)                                                                                     \
    F(can_trim)                                                                                    \
    F(can_zero)                                                                                    \
    F(close)                                                                                       \
    F(create)                                                                                      \
    F(get_block_size)                                                                              \
    F(get_errno)                                                                                   \
    F(get_error)                                                                                   \
    F(get_size)                                                                                    \
    F(is_read_only)                                                                                \
    F(set_export_name)

struct nbd_library {
#define NBD_LIBRARY_MEMBER(name) __typeof__(nbd_##name) *name;
    NBD_LIBRARY_FUNCTIONS(NBD_LIBRARY_MEMBER)
#undef NBD_LIBRARY_MEMBER
};

/* Fill library; the code stays loaded until the process ends. False and an error that names the
 * package if libnbd is not installed. */
bool nbd_library_load(struct nbd_library *library, GError **error);

#endif
