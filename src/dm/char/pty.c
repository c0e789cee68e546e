/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pseudo-terminal. While nobody has the slave open, output is thrown away, as an unplugged serial
 * cable does. That somebody opened it is heard from inotify: the master itself says nothing then.
 */
#include "dm/char/stream.h"
#include "util/error.h"
#include "util/own-path.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <termios.h>
#include <unistd.h>

struct pty_chardev {
    struct chardev chardev;
    struct chardev_stream stream;
    int master, inotify;
    struct event *opened_event;
    char *slave;          /* path */
    struct own_path link; /* symbolic link to it, if the user asked for one */
};

/* Or there was somebody, who wrote something and has closed it already. */
static bool has_peer(int master)
{
    struct pollfd poll_fd = {.fd = master, .events = POLLIN};

    return poll(&poll_fd, 1, 0) >= 0 && (poll_fd.revents & (POLLIN | POLLHUP)) != POLLHUP;
}

static void pty_hung_up(struct chardev_stream *stream)
{
    struct pty_chardev *pty = (struct pty_chardev *)stream->chardev;

    stream_stop(stream);
    chardev_set_peer_open(stream->chardev, false);
    /* Opened again between the hang-up and now? Its inotify event may have been read already. */
    event_active(pty->opened_event, EV_READ, 0);
}

static void pty_opened(evutil_socket_t fd, short what, void *opaque)
{
    struct pty_chardev *pty = opaque;
    char events[4096];

    while (read(pty->inotify, events, sizeof(events)) > 0) {
        /* only that something happened matters */
    }
    if (!pty->chardev.peer_open && has_peer(pty->master)) {
        stream_start(&pty->stream, pty->master, pty->master);
        chardev_set_peer_open(&pty->chardev, true);
    }
}

/* Raw from the start: an opening and closing also makes the master see "no slave" at once. */
static bool make_slave_raw(const char *path)
{
    struct termios modes;
    int slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    bool ok = slave >= 0 && tcgetattr(slave, &modes) == 0;

    if (ok) {
        cfmakeraw(&modes);
        ok = tcsetattr(slave, TCSANOW, &modes) == 0;
    }
    if (slave >= 0) {
        close(slave);
    }
    return ok;
}

static bool open_master(struct pty_chardev *pty, GError **error)
{
    char name[64];

    pty->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (pty->master >= 0 && grantpt(pty->master) == 0 && unlockpt(pty->master) == 0 &&
        ptsname_r(pty->master, name, sizeof(name)) == 0 && make_slave_raw(name) &&
        fcntl(pty->master, F_SETFL, O_RDWR | O_NONBLOCK) == 0) {
        pty->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (pty->inotify >= 0 && inotify_add_watch(pty->inotify, name, IN_OPEN) >= 0) {
            pty->slave = g_strdup(name);
            return true;
        }
    }
    duodm_fail(error, DUODM_ERROR_IO, "cannot make a pseudo-terminal: %s", g_strerror(errno));
    close(pty->inotify);
    close(pty->master);
    return false;
}

static void pty_close(struct chardev *chardev)
{
    struct pty_chardev *pty = (struct pty_chardev *)chardev;

    stream_flush(&pty->stream);
    stream_destroy(&pty->stream);
    event_free(pty->opened_event);
    close(pty->inotify);
    own_path_remove(&pty->link);
    close(pty->master);
    g_free(pty->slave);
}

static bool pty_open(struct chardev *chardev, const struct key_values *options, GError **error)
{
    struct pty_chardev *pty = (struct pty_chardev *)chardev;
    const char *link = key_values_get(options, "path");

    pty->master = pty->inotify = -1;
    if (!open_master(pty, error)) {
        return false;
    }
    stream_init(&pty->stream, chardev);
    pty->stream.hung_up = pty_hung_up;
    pty->opened_event =
        event_new(chardev->base, pty->inotify, EV_READ | EV_PERSIST, pty_opened, pty);
    event_add(pty->opened_event, NULL);
    if (link && symlink(pty->slave, link) < 0) {
        duodm_fail(error, DUODM_ERROR_IO, "cannot make the link '%s' to %s: %s", link, pty->slave,
                   g_strerror(errno));
        pty_close(chardev);
        return false;
    }
    own_path_init(&pty->link, link);
    fprintf(stderr, "duodm: character device '%s' is at %s\n", chardev->id, pty->slave);
    return true;
}

static size_t pty_write(struct chardev *chardev, const uint8_t *data, size_t length)
{
    return stream_write(&((struct pty_chardev *)chardev)->stream, data, length);
}

static void pty_accept_input(struct chardev *chardev)
{
    stream_accept_input(&((struct pty_chardev *)chardev)->stream);
}

static void pty_flush(struct chardev *chardev)
{
    stream_flush(&((struct pty_chardev *)chardev)->stream);
}

static char *pty_filename(const struct chardev *chardev)
{
    return g_strconcat("pty:", ((const struct pty_chardev *)chardev)->slave, NULL);
}

static const char *const pty_keys[] = {"path", NULL};

const struct chardev_backend chardev_pty = {
    .name = "pty",
    .description = "a pseudo-terminal: [path=LINK]",
    .keys = pty_keys,
    .instance_size = sizeof(struct pty_chardev),
    .open = pty_open,
    .close = pty_close,
    .write = pty_write,
    .accept_input = pty_accept_input,
    .flush = pty_flush,
    .filename = pty_filename,
};
