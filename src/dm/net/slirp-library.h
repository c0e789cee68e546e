/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libslirp, loaded with the first -netdev user. */
#ifndef DUODM_DM_NET_SLIRP_LIBRARY_H
#define DUODM_DM_NET_SLIRP_LIBRARY_H

#include <glib.h>
#include <libslirp.h>
#include <stdbool.h>

/* The functions that duodm calls, without their prefix; each is as libslirp.h has it. */
#define SLIRP_LIBRARY_FUNCTIONS(F)                                                                 \
    F(add_exec)                                                                                    \
    F(add_hostfwd)                                                                                 \
    F(cleanup)                                                                                     \
    F(connection_info)                                                                             \
    F(handle_timer)                                                                                \
    F(input)                                                                                       \
    F(new)                                                                                         \
    F(pollfds_fill)                                                                                \
    F(pollfds_poll)                                                                                \
    F(remove_hostfwd)

/* The functions by their names without "slirp_". */
struct slirp_library {
#define SLIRP_LIBRARY_MEMBER(name) __typeof__(slirp_##name) *name;
    SLIRP_LIBRARY_FUNCTIONS(SLIRP_LIBRARY_MEMBER)
#undef SLIRP_LIBRARY_MEMBER
};

/* The error names Debian's package. The library stays for as long as the process. */
bool slirp_library_load(struct slirp_library *library, GError **error);

#endif
