/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/fd-set.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define PATH_PREFIX "/dev/fdset/"
#define FDS_MAX     1024 /* of all sets together: a client that leaks them is told */

struct set_fd {
    int64_t set;
    int fd;
    char *opaque; /* or NULL */
};

struct fd_registry {
    GPtrArray *fds;    /* of struct set_fd, by age; a set is there while it has one */
    GHashTable *named; /* descriptor by name */
};

static void set_fd_free(void *data)
{
    struct set_fd *member = data;

    close(member->fd);
    g_free(member->opaque);
    g_free(member);
}

static void close_named(void *fd)
{
    close(GPOINTER_TO_INT(fd));
}

struct fd_registry *fd_registry_new(void)
{
    struct fd_registry *registry = g_new(struct fd_registry, 1);

    registry->fds = g_ptr_array_new_with_free_func(set_fd_free);
    registry->named = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, close_named);
    return registry;
}

void fd_registry_free(struct fd_registry *registry)
{
    if (registry) {
        g_ptr_array_unref(registry->fds);
        g_hash_table_unref(registry->named);
        g_free(registry);
    }
}

static bool has_set(const struct fd_registry *registry, int64_t set)
{
    for (unsigned i = 0; i < registry->fds->len; i++) {
        if (((const struct set_fd *)g_ptr_array_index(registry->fds, i))->set == set) {
            return true;
        }
    }
    return false;
}

/* The lowest number that no set has. */
static int64_t free_number(const struct fd_registry *registry)
{
    int64_t number = 0;

    while (has_set(registry, number)) {
        number++;
    }
    return number;
}

int64_t fd_registry_add(struct fd_registry *registry, int64_t set, int fd, const char *opaque,
                        GError **error)
{
    struct set_fd *member;

    if (set < -1 || registry->fds->len >= FDS_MAX) {
        close(fd);
        duodm_fail(error, set < -1 ? DUODM_ERROR_INVALID_ARGUMENT : DUODM_ERROR_NO_MEMORY,
                   set < -1 ? "a set's number can't be negative"
                            : "there are 1024 descriptors in sets already: remove-fd closes them");
        return -1;
    }
    member = g_new(struct set_fd, 1);
    *member = (struct set_fd){set < 0 ? free_number(registry) : set, fd, g_strdup(opaque)};
    g_ptr_array_add(registry->fds, member);
    return member->set;
}

bool fd_registry_remove(struct fd_registry *registry, int64_t set, int fd, GError **error)
{
    bool found = false;

    for (unsigned i = registry->fds->len; i-- > 0;) {
        const struct set_fd *member = g_ptr_array_index(registry->fds, i);

        if (member->set == set && (fd < 0 || member->fd == fd)) {
            g_ptr_array_remove_index(registry->fds, i);
            found = true;
        }
    }
    return found || duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                               fd < 0 ? "there is no descriptor set %" PRId64
                                      : "descriptor set %" PRId64 " has no descriptor %d",
                               set, fd);
}

static json_t *query_set(const struct fd_registry *registry, int64_t set)
{
    json_t *fds = json_array();

    for (unsigned i = 0; i < registry->fds->len; i++) {
        const struct set_fd *member = g_ptr_array_index(registry->fds, i);
        json_t *object;

        if (member->set != set) {
            continue;
        }
        object = json_pack("{s:i}", "fd", member->fd);
        if (member->opaque) {
            json_object_set_new(object, "opaque", json_string(member->opaque));
        }
        json_array_append_new(fds, object);
    }
    return json_pack("{s:I, s:o}", "fdset-id", (json_int_t)set, "fds", fds);
}

/* Is this the first of its set? */
static bool is_first(const struct fd_registry *registry, unsigned index)
{
    const struct set_fd *member = g_ptr_array_index(registry->fds, index);

    for (unsigned i = 0; i < index; i++) {
        if (((const struct set_fd *)g_ptr_array_index(registry->fds, i))->set == member->set) {
            return false;
        }
    }
    return true;
}

json_t *fd_registry_query(const struct fd_registry *registry)
{
    json_t *sets = json_array();

    for (unsigned i = 0; i < registry->fds->len; i++) {
        const struct set_fd *member = g_ptr_array_index(registry->fds, i);

        if (is_first(registry, i)) {
            json_array_append_new(sets, query_set(registry, member->set));
        }
    }
    return sets;
}

void fd_registry_put_named(struct fd_registry *registry, const char *name, int fd)
{
    g_hash_table_replace(registry->named, g_strdup(name), GINT_TO_POINTER(fd));
}

int fd_registry_take_named(struct fd_registry *registry, const char *name, GError **error)
{
    void *key, *fd;

    if (!g_hash_table_steal_extended(registry->named, name, &key, &fd)) {
        duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                   "there is no descriptor '%s': pass one with the command getfd", name);
        return -1;
    }
    g_free(key);
    return GPOINTER_TO_INT(fd);
}

/* A copy of the set's descriptor that allows the access; -1 and errno. */
static int open_member(const struct fd_registry *registry, int64_t set, int flags)
{
    bool found = false;

    for (unsigned i = 0; i < registry->fds->len; i++) {
        const struct set_fd *member = g_ptr_array_index(registry->fds, i);
        int has = fcntl(member->fd, F_GETFL);

        if (member->set == set) {
            found = true;
            if (has >= 0 && (has & O_ACCMODE) == (flags & O_ACCMODE)) {
                return fcntl(member->fd, F_DUPFD_CLOEXEC, 0);
            }
        }
    }
    errno = found ? EACCES : ENOENT;
    return -1;
}

int fd_registry_open(const struct fd_registry *registry, const char *path, int flags, mode_t mode)
{
    gint64 set;

    if (!g_str_has_prefix(path, PATH_PREFIX)) {
        return open(path, flags | O_CLOEXEC, mode);
    }
    if (!registry ||
        !g_ascii_string_to_signed(path + strlen(PATH_PREFIX), 10, 0, G_MAXINT64, &set, NULL)) {
        errno = ENOENT;
        return -1;
    }
    return open_member(registry, set, flags);
}

static bool write_all(int fd, const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t count = write(fd, data, size);

        if (count < 0 && errno != EINTR) {
            return false;
        }
        data += MAX(count, 0);
        size -= (size_t)MAX(count, 0);
    }
    return true;
}

bool fd_registry_write(const struct fd_registry *registry, const char *path, mode_t mode,
                       const void *data, size_t size, GError **error)
{
    int fd = fd_registry_open(registry, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    bool good = fd >= 0 && write_all(fd, data, size);
    int problem = errno;

    if (fd >= 0 && close(fd) < 0 && good) {
        good = false;
        problem = errno;
    }
    return good || duodm_fail(error, DUODM_ERROR_IO, "'%s' can't be written: %s", path,
                              g_strerror(problem));
}
