/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/virtio/rng-source.h"
#include "dm/machine.h"
#include "dm/object.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

struct rng_random {
    struct object object;
    char *filename;
    int fd;
};

extern const struct object_class rng_builtin_class, rng_random_class;

static bool random_complete(struct object *object, GError **error)
{
    struct rng_random *source = (struct rng_random *)object;
    struct stat status;

    source->fd = open(source->filename, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (source->fd < 0) {
        return duodm_fail(error, DUODM_ERROR_IO, "'%s' can't be opened: %s", source->filename,
                          g_strerror(errno));
    }
    if (fstat(source->fd, &status) < 0 || S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) {
        close(source->fd);
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "'%s' is a file, not a source of random bytes: name a device, as "
                          "/dev/urandom",
                          source->filename);
    }
    return true;
}

static void random_finalize(struct object *object)
{
    close(((struct rng_random *)object)->fd);
}

static const struct property random_properties[] = {
    {"filename", PROPERTY_STRING, offsetof(struct rng_random, filename), "/dev/urandom", 0, 0,
     "device to read from [/dev/urandom]"},
    PROPERTY_END,
};

const struct object_class rng_random_class = {
    .name = "rng-random",
    .description = "random bytes from a device",
    .instance_size = sizeof(struct rng_random),
    .properties = random_properties,
    .complete = random_complete,
    .finalize = random_finalize,
};

const struct object_class rng_builtin_class = {
    .name = "rng-builtin",
    .description = "random bytes from the host's kernel",
    .instance_size = sizeof(struct object),
};

bool rng_source_find(struct machine *machine, const char *id, struct object **source,
                     GError **error)
{
    *source = NULL;
    if (!id || !*id) {
        return true;
    }
    for (unsigned i = 0; i < machine->objects->len; i++) {
        struct object *object = g_ptr_array_index(machine->objects, i);

        if (g_str_equal(object->id, id) && object->class == &rng_builtin_class) {
            return true;
        }
    }
    *source = object_find(machine, id, &rng_random_class, error);
    return *source != NULL;
}

int rng_source_fd(struct object *source)
{
    return source ? ((struct rng_random *)source)->fd : -1;
}

size_t rng_source_read(struct object *source, void *buffer, size_t length)
{
    ssize_t n;

    do {
        n = source ? read(rng_source_fd(source), buffer, length) : getrandom(buffer, length, 0);
    } while (n < 0 && errno == EINTR);
    return n > 0 ? (size_t)n : 0;
}
