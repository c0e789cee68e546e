/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several front ends on one back end. Output of all goes out; input goes to the one that has the
 * focus. Ctrl-A is the escape: see escape_table.
 */
#include "dm/char/backend.h"
#include "dm/machine.h"
#include "util/error.h"

#include <event2/event.h>
#include <string.h>

#define MUX_MAX_FRONTENDS 4
#define MUX_INPUT_SIZE    4096 /* bytes of type-ahead */
#define MUX_ESCAPE        0x01 /* Ctrl-A */

/* Type-ahead for a front end that has no room now: a ring. */
struct mux_input {
    uint8_t bytes[MUX_INPUT_SIZE];
    size_t start, length;
};

struct mux_chardev {
    struct chardev chardev;
    struct chardev *back;
    struct chardev_frontend back_frontend; /* we are its front end */
    struct chardev_frontend *frontends[MUX_MAX_FRONTENDS];
    struct mux_input inputs[MUX_MAX_FRONTENDS];
    unsigned focus; /* index; the first that was attached has it */
    bool escaped;   /* Ctrl-A was typed */
    struct event *input_event;
};

static struct chardev_frontend *focused(struct mux_chardev *mux)
{
    return mux->frontends[mux->focus];
}

static void say(struct mux_chardev *mux, const char *text)
{
    chardev_write(&mux->back_frontend, text, strlen(text));
}

/* Hand on what was typed to one front end, as far as it has room. */
static void pass_input_to(struct mux_chardev *mux, unsigned index)
{
    struct mux_input *input = &mux->inputs[index];

    while (input->length) {
        size_t run = MIN(input->length, MUX_INPUT_SIZE - input->start);
        size_t room = frontend_room(mux->frontends[index]);

        if (!room) {
            return;
        }
        run = MIN(run, room);
        frontend_receive(mux->frontends[index], input->bytes + input->start, run);
        input->start = (input->start + run) % MUX_INPUT_SIZE;
        input->length -= run;
    }
}

static void pass_input(struct mux_chardev *mux)
{
    for (unsigned i = 0; i < MUX_MAX_FRONTENDS; i++) {
        pass_input_to(mux, i);
    }
}

static void mux_input_wanted(evutil_socket_t fd, short what, void *opaque)
{
    struct mux_chardev *mux = opaque;

    pass_input(mux);
    chardev_accept_input(&mux->back_frontend);
}

static void quit(struct mux_chardev *mux)
{
    say(mux, "\r\nduodm: terminated\r\n");
    if (mux->chardev.machine) {
        machine_request_shutdown(mux->chardev.machine, SHUTDOWN_HOST_UI);
    }
}

static void switch_focus(struct mux_chardev *mux)
{
    for (unsigned i = 1; i < MUX_MAX_FRONTENDS; i++) {
        unsigned next = (mux->focus + i) % MUX_MAX_FRONTENDS;

        if (mux->frontends[next]) {
            mux->focus = next;
            frontend_event(focused(mux), CHARDEV_FOCUS);
            return;
        }
    }
}

static void send_break(struct mux_chardev *mux)
{
    frontend_event(focused(mux), CHARDEV_BREAK);
}

static void help(struct mux_chardev *mux);

static const struct {
    char key;
    const char *help;
    void (*act)(struct mux_chardev *mux);
} escape_table[] = {
    {'b', "send a break", send_break},
    {'c', "switch between the serial port and the monitor", switch_focus},
    {'h', "this help", help},
    {'x', "end duodm", quit},
};

static void help(struct mux_chardev *mux)
{
    say(mux, "\r\n");
    for (unsigned i = 0; i < G_N_ELEMENTS(escape_table); i++) {
        g_autofree char *line =
            g_strdup_printf("Ctrl-A %c       %s\r\n", escape_table[i].key, escape_table[i].help);
        say(mux, line);
    }
    say(mux, "Ctrl-A Ctrl-A  send Ctrl-A\r\n");
}

/* True: the byte was the second of an escape and is used up. */
static bool handle_escape(struct mux_chardev *mux, uint8_t byte)
{
    mux->escaped = false;
    if (byte == MUX_ESCAPE) {
        return false;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(escape_table); i++) {
        if (g_ascii_tolower((char)byte) == escape_table[i].key) {
            escape_table[i].act(mux);
            return true;
        }
    }
    help(mux);
    return true;
}

/*
 * The keys of a terminal are always read, so that Ctrl-A x works though the guest hangs; what no
 * longer fits is lost. From a pipe or socket nothing is lost: its sender waits.
 */
static size_t mux_can_receive(void *opaque)
{
    struct mux_chardev *mux = opaque;
    size_t room = MUX_INPUT_SIZE;

    for (unsigned i = 0; i < MUX_MAX_FRONTENDS; i++) {
        room = MIN(room, MUX_INPUT_SIZE - mux->inputs[i].length);
    }
    return room || !mux->back->interactive ? room : 1;
}

static void queue_byte(struct mux_input *input, uint8_t byte)
{
    if (input->length < MUX_INPUT_SIZE) {
        input->bytes[(input->start + input->length++) % MUX_INPUT_SIZE] = byte;
    }
}

static void mux_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct mux_chardev *mux = opaque;

    for (size_t i = 0; i < length; i++) {
        if (!mux->escaped && data[i] == MUX_ESCAPE) {
            mux->escaped = true;
        } else if (!mux->escaped || !handle_escape(mux, data[i])) {
            queue_byte(&mux->inputs[mux->focus], data[i]);
        }
    }
    pass_input(mux);
}

static void mux_event(void *opaque, enum chardev_event event)
{
    struct mux_chardev *mux = opaque;

    if (event == CHARDEV_OPENED || event == CHARDEV_CLOSED) {
        mux->chardev.peer_open = event == CHARDEV_OPENED;
    }
    if (event == CHARDEV_BREAK) {
        send_break(mux);
        return;
    }
    for (unsigned i = 0; i < MUX_MAX_FRONTENDS; i++) {
        frontend_event(mux->frontends[i], event);
    }
}

struct chardev *chardev_mux_new(struct chardev *back, const char *id)
{
    struct mux_chardev *mux = g_new0(struct mux_chardev, 1);

    mux->chardev.backend = &chardev_mux;
    mux->chardev.outer = back->outer;
    mux->chardev.machine = back->machine;
    mux->chardev.base = back->base;
    mux->chardev.id = g_strdup(id);
    mux->chardev.interactive = back->interactive;
    mux->back = back;
    mux->back_frontend.can_receive = mux_can_receive;
    mux->back_frontend.receive = mux_receive;
    mux->back_frontend.event = mux_event;
    mux->back_frontend.opaque = mux;
    mux->input_event = event_new(back->base, -1, 0, mux_input_wanted, mux);
    chardev_attach(back, &mux->back_frontend, NULL); /* a new one: nobody else can have it */
    return &mux->chardev;
}

static void mux_close(struct chardev *chardev)
{
    struct mux_chardev *mux = (struct mux_chardev *)chardev;

    for (unsigned i = 0; i < MUX_MAX_FRONTENDS; i++) {
        if (mux->frontends[i]) {
            chardev_detach(mux->frontends[i]);
        }
    }
    event_free(mux->input_event);
    chardev_free(mux->back);
}

static bool mux_attach(struct chardev *chardev, struct chardev_frontend *frontend, GError **error)
{
    struct mux_chardev *mux = (struct mux_chardev *)chardev;

    for (unsigned i = 0; i < MUX_MAX_FRONTENDS; i++) {
        if (mux->frontends[i]) {
            continue;
        }
        mux->frontends[i] = frontend;
        frontend->chardev = chardev;
        if (chardev->peer_open) {
            frontend_event(frontend, CHARDEV_OPENED);
        }
        if (!focused(mux) || focused(mux) == frontend) {
            mux->focus = i;
            frontend_event(frontend, CHARDEV_FOCUS);
            event_active(mux->input_event, EV_READ, 0);
        }
        return true;
    }
    return duodm_fail(error, DUODM_ERROR_BUSY, "character device '%s' has its %d users already",
                      chardev->id, MUX_MAX_FRONTENDS);
}

static void mux_detach(struct chardev *chardev, struct chardev_frontend *frontend)
{
    struct mux_chardev *mux = (struct mux_chardev *)chardev;

    for (unsigned i = 0; i < MUX_MAX_FRONTENDS; i++) {
        if (mux->frontends[i] != frontend) {
            continue;
        }
        mux->frontends[i] = NULL;
        mux->inputs[i].length = 0;
        if (i == mux->focus) {
            switch_focus(mux);
        }
    }
}

static size_t mux_write_from(struct chardev *chardev, struct chardev_frontend *frontend,
                             const uint8_t *data, size_t length)
{
    return chardev_write(&((struct mux_chardev *)chardev)->back_frontend, data, length);
}

static void mux_accept_input(struct chardev *chardev)
{
    event_active(((struct mux_chardev *)chardev)->input_event, EV_READ, 0);
}

static void mux_flush(struct chardev *chardev)
{
    chardev_flush(((struct mux_chardev *)chardev)->back);
}

static char *mux_filename(const struct chardev *chardev)
{
    return chardev_filename(((const struct mux_chardev *)chardev)->back);
}

const struct chardev_backend chardev_mux = {
    .name = "mux",
    .instance_size = sizeof(struct mux_chardev),
    .close = mux_close,
    .accept_input = mux_accept_input,
    .flush = mux_flush,
    .filename = mux_filename,
    .attach = mux_attach,
    .detach = mux_detach,
    .write_from = mux_write_from,
};
