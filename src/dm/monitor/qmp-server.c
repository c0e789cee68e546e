/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A QMP session: one client, from its greeting to its end. */
#include "dm/char/output.h"
#include "dm/machine.h"
#include "dm/monitor/monitor-state.h"
#include "dm/monitor/qmp-commands.h"
#include "dm/monitor/qmp-framer.h"

#include <event2/event.h>
#include <string.h>

#define INPUT_CHUNK 4096     /* bytes taken at a time */
#define OUTPUT_HIGH 1048576  /* no commands are read while so much waits to be sent */
#define OUTPUT_MAX  16777216 /* a client that never reads its events loses them */

struct qmp_session {
    struct monitor_state *monitor;
    struct chardev *chardev;
    struct chardev_frontend frontend;
    struct chardev_output output;
    struct qmp_framer *framer;
    struct qmp_context context;
    bool is_owned, is_pretty, is_dead;
    bool input_blocked;
};

static void send_json(struct qmp_session *session, json_t *value)
{
    size_t flags = JSON_PRESERVE_ORDER | (session->is_pretty ? JSON_INDENT(4) : 0);
    char *text = json_dumps(value, flags);

    if (text) { /* at once: clients like to find a line in one read */
        g_autofree char *line = g_strconcat(text, "\r\n", NULL);

        chardev_output_add(&session->output, line, strlen(line));
        free(text);
    }
    json_decref(value);
}

static size_t qmp_can_receive(void *opaque)
{
    struct qmp_session *session = opaque;

    session->input_blocked = chardev_output_length(&session->output) > OUTPUT_HIGH;
    return session->input_blocked ? 0 : INPUT_CHUNK;
}

static void qmp_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct qmp_session *session = opaque;

    while (length) {
        size_t used, text_length;
        enum qmp_framer_result result = qmp_framer_feed(session->framer, data, length, &used);
        const char *text;

        data += used;
        length -= used;
        if (result == QMP_FRAMER_MORE) {
            break;
        }
        text = qmp_framer_text(session->framer, &text_length);
        if (result == QMP_FRAMER_VALUE) {
            send_json(session, qmp_handle_text(&session->context, text, text_length));
        } else {
            g_autofree char *problem = g_strconcat("invalid JSON: ", text, NULL);

            send_json(session, qmp_error_reply("GenericError", problem, NULL));
        }
    }
}

static void greet(struct qmp_session *session)
{
    qmp_framer_reset(session->framer);
    session->context.negotiated = false;
    send_json(session, qmp_greeting());
}

static void qmp_event(void *opaque, enum chardev_event event)
{
    struct qmp_session *session = opaque;

    switch (event) {
    case CHARDEV_OPENED:
        greet(session);
        break;
    case CHARDEV_CLOSED:
        session->context.negotiated = false;
        qmp_framer_reset(session->framer);
        g_byte_array_set_size(session->output.pending, 0);
        if (session->is_owned) {
            session->is_dead = true;
            event_active(session->monitor->reap, EV_READ, 0);
        }
        break;
    case CHARDEV_WRITABLE:
        chardev_output_send(&session->output);
        if (session->input_blocked && qmp_can_receive(session)) {
            chardev_accept_input(&session->frontend);
        }
        break;
    default:
        break;
    }
}

struct qmp_session *qmp_session_new(struct monitor_state *monitor, struct chardev *chardev,
                                    bool is_owned, bool is_pretty, GError **error)
{
    struct qmp_session *session = g_new0(struct qmp_session, 1);

    session->monitor = monitor;
    session->chardev = chardev;
    session->is_owned = is_owned;
    session->is_pretty = is_pretty;
    session->context.machine = monitor->machine;
    session->context.frontend = &session->frontend;
    session->framer = qmp_framer_new();
    session->frontend.can_receive = qmp_can_receive;
    session->frontend.receive = qmp_receive;
    session->frontend.event = qmp_event;
    session->frontend.opaque = session;
    chardev_output_init(&session->output, &session->frontend);
    if (!chardev_attach(chardev, &session->frontend, error)) {
        session->is_owned = false;
        qmp_session_free(session);
        return NULL;
    }
    return session;
}

void qmp_session_free(struct qmp_session *session)
{
    if (!qmp_session_is_dead(session)) {
        chardev_output_flush(&session->output);
    }
    chardev_detach(&session->frontend);
    if (session->is_owned) {
        chardev_free(session->chardev);
    }
    chardev_output_destroy(&session->output);
    qmp_framer_free(session->framer);
    g_free(session);
}

bool qmp_session_is_dead(const struct qmp_session *session)
{
    return session->is_dead;
}

static json_t *timestamp(void)
{
    gint64 now = g_get_real_time();

    return json_pack("{s:I, s:I}", "seconds", (json_int_t)(now / G_USEC_PER_SEC), "microseconds",
                     (json_int_t)(now % G_USEC_PER_SEC));
}

void qmp_session_send_event(struct qmp_session *session, const char *event, const char *json_data)
{
    json_t *message;

    if (!session->context.negotiated || session->is_dead ||
        chardev_output_length(&session->output) > OUTPUT_MAX) {
        return;
    }
    message = json_pack("{s:o, s:s}", "timestamp", timestamp(), "event", event);
    if (json_data) {
        json_object_set_new(message, "data", json_loads(json_data, 0, NULL));
    }
    send_json(session, message);
}
