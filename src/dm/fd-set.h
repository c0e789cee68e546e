/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors that a monitor's client passed (QMP add-fd, getfd; -add-fd): sets by number, which
 * stand for files under the name /dev/fdset/N, and single ones by name. So a duodm without rights
 * on the file system opens what its toolstack opened for it. Main loop only.
 */
#ifndef DUODM_DM_FD_SET_H
#define DUODM_DM_FD_SET_H

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct fd_registry;

struct fd_registry *fd_registry_new(void);
void fd_registry_free(struct fd_registry *registry); /* closes all. NULL is fine */

/* Add fd, which is taken over also on failure, to a set (-1: a new one). opaque: the client's note,
 * or NULL. The set's number, or -1. */
int64_t fd_registry_add(struct fd_registry *registry, int64_t set, int fd, const char *opaque,
                        GError **error);
/* Close a descriptor of a set, or (fd -1) all of it. What was opened of it stays open. */
bool fd_registry_remove(struct fd_registry *registry, int64_t set, int fd, GError **error);
/* As query-fdsets. New reference. */
json_t *fd_registry_query(const struct fd_registry *registry);

/* A single descriptor by name, which replaces an older one of that name. Taken over. */
void fd_registry_put_named(struct fd_registry *registry, const char *name, int fd);
/* Take it out: it is the caller's. -1 and an error if there is none. */
int fd_registry_take_named(struct fd_registry *registry, const char *name, GError **error);

/*
 * open(2) for every file that an option or monitor command names: /dev/fdset/N is a copy of that
 * descriptor of set N that was opened for the same access (registry NULL: there are no sets), all
 * else a file. -1 and errno. O_CLOEXEC is always set.
 */
int fd_registry_open(const struct fd_registry *registry, const char *path, int flags, mode_t mode);
/* Write all of a file that is so named, and may be a device or a pipe as well. mode: of a new one.
 */
bool fd_registry_write(const struct fd_registry *registry, const char *path, mode_t mode,
                       const void *data, size_t size, GError **error);

#endif
