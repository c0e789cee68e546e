/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A poll() that an event loop can wait for: the descriptors of one poll() live in an epoll set, and
 * the next poll() costs only what differs from the last. Events are SLIRP_POLL_*.
 */
#ifndef DUODM_DM_NET_POLL_SET_H
#define DUODM_DM_NET_POLL_SET_H

#include <glib.h>
#include <stdbool.h>

struct poll_set;

/* Fails where the host has no descriptor left. */
struct poll_set *poll_set_new(GError **error);
void poll_set_free(struct poll_set *set);
/* Readable when one of the descriptors has an event. */
int poll_set_fd(const struct poll_set *set);

/* A new list of descriptors. Between the two, _add returns the index for _events. */
void poll_set_begin(struct poll_set *set);
int poll_set_add(struct poll_set *set, int fd, int events);
void poll_set_commit(struct poll_set *set);
/* See what happened; then _events tells it, of the list of the last commit. */
void poll_set_collect(struct poll_set *set);
int poll_set_events(const struct poll_set *set, int index);
/* A descriptor is about to be closed. */
void poll_set_forget(struct poll_set *set, int fd);

#endif
