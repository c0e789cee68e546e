/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Output into a file; optionally input from another. */
#include "dm/char/stream.h"
#include "dm/fd-set.h"
#include "dm/machine.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct file_chardev {
    struct chardev chardev;
    struct chardev_stream stream;
    char *path;
    int in_fd, out_fd;
};

static void file_hung_up(struct chardev_stream *stream)
{
    /* The end of the input file; output goes on. */
}

static int open_path(const struct chardev *chardev, const char *path, int flags, GError **error)
{
    const struct fd_registry *fds = chardev->machine ? chardev->machine->fds : NULL;
    int fd = fd_registry_open(fds, path, flags | O_NONBLOCK | O_NOCTTY, 0666);

    if (fd < 0) {
        duodm_fail(error, DUODM_ERROR_IO, "cannot open '%s': %s", path,
                   errno == ENXIO ? "nobody reads from that FIFO" : g_strerror(errno));
    }
    return fd;
}

static bool file_open(struct chardev *chardev, const struct key_values *options, GError **error)
{
    struct file_chardev *file = (struct file_chardev *)chardev;
    const char *path = key_values_get(options, "path");
    const char *in_path = key_values_get(options, "input-path");
    bool append = false;

    if (!path || !*path) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "file: needs path=PATH");
    }
    if (!key_values_get_bool(options, "append", &append, error)) {
        return false;
    }
    file->in_fd = -1;
    file->out_fd =
        open_path(chardev, path, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC), error);
    if (file->out_fd < 0) {
        return false;
    }
    if (in_path) {
        file->in_fd = open_path(chardev, in_path, O_RDONLY, error);
        if (file->in_fd < 0) {
            close(file->out_fd);
            return false;
        }
    }
    file->path = g_strdup(path);
    stream_init(&file->stream, chardev);
    file->stream.hung_up = file_hung_up;
    stream_start(&file->stream, file->in_fd, file->out_fd);
    chardev->peer_open = true;
    return true;
}

static void file_close(struct chardev *chardev)
{
    struct file_chardev *file = (struct file_chardev *)chardev;

    stream_flush(&file->stream);
    stream_destroy(&file->stream);
    close(file->out_fd);
    if (file->in_fd >= 0) {
        close(file->in_fd);
    }
    g_free(file->path);
}

static size_t file_write(struct chardev *chardev, const uint8_t *data, size_t length)
{
    return stream_write(&((struct file_chardev *)chardev)->stream, data, length);
}

static void file_accept_input(struct chardev *chardev)
{
    stream_accept_input(&((struct file_chardev *)chardev)->stream);
}

static void file_flush(struct chardev *chardev)
{
    stream_flush(&((struct file_chardev *)chardev)->stream);
}

static char *file_filename(const struct chardev *chardev)
{
    return g_strconcat("file:", ((const struct file_chardev *)chardev)->path, NULL);
}

static const char *const file_keys[] = {"path", "append", "input-path", NULL};

const struct chardev_backend chardev_file = {
    .name = "file",
    .description = "output into a file: path=PATH[,append=on][,input-path=PATH]",
    .keys = file_keys,
    .instance_size = sizeof(struct file_chardev),
    .open = file_open,
    .close = file_close,
    .write = file_write,
    .accept_input = file_accept_input,
    .flush = file_flush,
    .filename = file_filename,
};
