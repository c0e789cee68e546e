/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hearing from the control domain's Linux that a PCI function is gone: pulled out, or removed by
 * hand (its file "remove"). Main loop.
 */
#ifndef DUODM_BACKEND_XEN_PASSTHROUGH_HOST_REMOVAL_H
#define DUODM_BACKEND_XEN_PASSTHROUGH_HOST_REMOVAL_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct host_removal;

/*
 * removed is called once when the function of that name ("0000:00:05.0") is gone; it may end the
 * listener. opaque is the caller's. NULL and an error if the kernel does not tell.
 */
struct host_removal *host_removal_listen(struct event_base *base, const char *name,
                                         void (*removed)(void *opaque), void *opaque,
                                         GError **error);
void host_removal_end(struct host_removal *removal);

/* Does this message of the kernel's (a uevent) say that the function is gone? */
bool host_removal_is_told(const char *message, size_t length, const char *name);

#endif
