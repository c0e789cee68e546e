/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process's standard input and output. */
#include "dm/char/stream.h"
#include "dm/char/terminal.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct stdio_chardev {
    struct chardev chardev;
    struct chardev_stream stream;
    int in_fd, out_fd;
    int flags_of[2];     /* of descriptors 0 and 1 as found */
    bool flags_saved[2]; /* ... and to be put back */
};

static void stdio_hung_up(struct chardev_stream *stream)
{
    /* The end of standard input is not the end of standard output. */
}

/*
 * A descriptor of our own that never blocks. O_NONBLOCK belongs to the open file, which the shell
 * shares, so a terminal or pipe is opened once more; where that isn't possible the flag is set and
 * put back at the end. A regular file never blocks, and a second opening would lose its position.
 */
static int own_descriptor(struct stdio_chardev *self, int fd, int mode)
{
    char name[32];
    struct stat st;
    int own = -1, flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fstat(fd, &st) < 0) {
        return open("/dev/null", mode | O_CLOEXEC); /* closed by whoever started us */
    }
    if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)) {
        g_snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        own = open(name, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    }
    if (own < 0) {
        own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (own >= 0 && !S_ISREG(st.st_mode)) {
            self->flags_of[fd] = flags;
            self->flags_saved[fd] = true;
            fcntl(own, F_SETFL, flags | O_NONBLOCK);
        }
    }
    return own;
}

/* Last first: both may be the same open file. */
static void restore_flags(struct stdio_chardev *self)
{
    for (int fd = 1; fd >= 0; fd--) {
        if (self->flags_saved[fd]) {
            fcntl(fd, F_SETFL, self->flags_of[fd]);
        }
    }
}

static bool stdio_open(struct chardev *chardev, const struct key_values *options, GError **error)
{
    struct stdio_chardev *self = (struct stdio_chardev *)chardev;
    bool signals = true;

    if (!key_values_get_bool(options, "signal", &signals, error)) {
        return false;
    }
    self->in_fd = own_descriptor(self, STDIN_FILENO, O_RDONLY);
    self->out_fd = own_descriptor(self, STDOUT_FILENO, O_WRONLY);
    if (self->in_fd < 0 || self->out_fd < 0) {
        duodm_fail(error, DUODM_ERROR_IO, "cannot use standard input and output: %s",
                   g_strerror(errno));
        restore_flags(self);
        close(self->in_fd);
        close(self->out_fd);
        return false;
    }
    chardev->interactive = isatty(self->in_fd);
    terminal_set_raw(STDIN_FILENO, signals);
    stream_init(&self->stream, chardev);
    self->stream.hung_up = stdio_hung_up;
    stream_start(&self->stream, self->in_fd, self->out_fd);
    chardev->peer_open = true;
    return true;
}

static void stdio_close(struct chardev *chardev)
{
    struct stdio_chardev *self = (struct stdio_chardev *)chardev;

    stream_flush(&self->stream);
    stream_destroy(&self->stream);
    restore_flags(self);
    terminal_restore();
    close(self->in_fd);
    close(self->out_fd);
}

static size_t stdio_write(struct chardev *chardev, const uint8_t *data, size_t length)
{
    return stream_write(&((struct stdio_chardev *)chardev)->stream, data, length);
}

static void stdio_accept_input(struct chardev *chardev)
{
    stream_accept_input(&((struct stdio_chardev *)chardev)->stream);
}

static void stdio_flush(struct chardev *chardev)
{
    stream_flush(&((struct stdio_chardev *)chardev)->stream);
}

static char *stdio_filename(const struct chardev *chardev)
{
    return g_strdup("stdio");
}

static const char *const stdio_keys[] = {"signal", NULL};

const struct chardev_backend chardev_stdio = {
    .name = "stdio",
    .description = "standard input and output: [signal=on|off]",
    .keys = stdio_keys,
    .instance_size = sizeof(struct stdio_chardev),
    .open = stdio_open,
    .close = stdio_close,
    .write = stdio_write,
    .accept_input = stdio_accept_input,
    .flush = stdio_flush,
    .filename = stdio_filename,
};
