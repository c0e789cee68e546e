/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The human monitor at a terminal: a prompt, a line that can be edited, a few lines of history. */
#include "dm/char/output.h"
#include "dm/machine.h"
#include "dm/monitor/hmp-commands.h"
#include "dm/monitor/monitor-state.h"

#include <string.h>

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#define PROMPT        "(duodm) "
#define LINE_MAX_SIZE 4096    /* bytes; more are not taken */
#define HISTORY_SIZE  64      /* lines */
#define OUTPUT_HIGH   1048576 /* no input is read while so much waits to be sent */

/* Where we are in an escape sequence of the terminal (ECMA-48: ESC [ parameters letter). */
enum escape_state { ESCAPE_NONE, ESCAPE_BEGUN, ESCAPE_PARAMETERS };

struct human_session {
    struct chardev_frontend frontend;
    struct chardev_output output;
    struct hmp_context context;
    GString *line;
    GPtrArray *history; /* of char, oldest first */
    unsigned recalled;  /* index into history; its length: a new line */
    enum escape_state escape;
    bool greeted, input_blocked, last_was_cr;
};

/* A terminal in raw mode wants the carriage return too. */
static void print(struct human_session *session, const char *text)
{
    for (const char *end; *text; text = end) {
        end = strchrnul(text, '\n');
        chardev_output_add(&session->output, text, (size_t)(end - text));
        if (*end) {
            chardev_output_add(&session->output, "\r\n", 2);
            end++;
        }
    }
}

static void greet(struct human_session *session)
{
    if (!session->greeted) {
        print(session, "duodm " PACKAGE_VERSION " monitor: 'help' lists the commands\n");
        session->greeted = true;
    } else {
        print(session, "\n");
    }
    print(session, PROMPT);
    print(session, session->line->str);
}

static void remember(struct human_session *session)
{
    const char *line = session->line->str;
    GPtrArray *history = session->history;

    if (*line &&
        (!history->len || !g_str_equal(g_ptr_array_index(history, history->len - 1), line))) {
        g_ptr_array_add(history, g_strdup(line));
        if (history->len > HISTORY_SIZE) {
            g_ptr_array_remove_index(history, 0);
        }
    }
    session->recalled = history->len;
}

static void execute(struct human_session *session)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree char *line = g_strdup(session->line->str);

    print(session, "\n");
    remember(session);
    g_string_truncate(session->line, 0);
    hmp_execute(&session->context, line, out);
    print(session, out->str);
    print(session, PROMPT);
}

static void erase(struct human_session *session, size_t count)
{
    for (; count && session->line->len; count--) {
        g_string_truncate(session->line, session->line->len - 1);
        print(session, "\b \b");
    }
}

/* Up and down: replace the line by one of the history. */
static void recall(struct human_session *session, bool older)
{
    unsigned count = session->history->len;

    if (older ? session->recalled == 0 : session->recalled >= count) {
        return;
    }
    session->recalled += older ? -1 : 1;
    erase(session, session->line->len);
    if (session->recalled < count) {
        g_string_assign(session->line, g_ptr_array_index(session->history, session->recalled));
        print(session, session->line->str);
    }
}

/* True: the byte belongs to an escape sequence. */
static bool take_escape(struct human_session *session, uint8_t byte)
{
    switch (session->escape) {
    case ESCAPE_NONE:
        session->escape = byte == 0x1b ? ESCAPE_BEGUN : ESCAPE_NONE;
        return byte == 0x1b;
    case ESCAPE_BEGUN:
        session->escape = byte == '[' || byte == 'O' ? ESCAPE_PARAMETERS : ESCAPE_NONE;
        return true;
    case ESCAPE_PARAMETERS:
        if (byte < 0x40 || byte > 0x7e) {
            return true;
        }
        session->escape = ESCAPE_NONE;
        if (byte == 'A' || byte == 'B') {
            recall(session, byte == 'A');
        }
        return true;
    }
    return false;
}

static void take_byte(struct human_session *session, uint8_t byte)
{
    char text[2] = {(char)byte, '\0'};
    bool follows_cr = session->last_was_cr;

    session->last_was_cr = byte == '\r';
    if (take_escape(session, byte) || (byte == '\n' && follows_cr)) {
        return;
    }
    if (byte == '\r' || byte == '\n') {
        execute(session);
    } else if (byte == 0x7f || byte == '\b') {
        erase(session, 1);
    } else if (byte == 0x15) { /* Ctrl-U */
        erase(session, session->line->len);
    } else if (byte >= 0x20 && byte < 0x7f && session->line->len < LINE_MAX_SIZE) {
        g_string_append_c(session->line, (char)byte);
        print(session, text);
    }
}

static size_t human_can_receive(void *opaque)
{
    struct human_session *session = opaque;

    session->input_blocked = chardev_output_length(&session->output) > OUTPUT_HIGH;
    return session->input_blocked ? 0 : 64;
}

static void human_receive(void *opaque, const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        take_byte(opaque, data[i]);
    }
}

static void human_event(void *opaque, enum chardev_event event)
{
    struct human_session *session = opaque;

    switch (event) {
    case CHARDEV_OPENED:
        session->greeted = false;
        g_string_truncate(session->line, 0);
        if (!chardev_is_shared(session->frontend.chardev)) {
            greet(session);
        }
        break;
    case CHARDEV_FOCUS:
        greet(session);
        break;
    case CHARDEV_CLOSED:
        g_byte_array_set_size(session->output.pending, 0);
        break;
    case CHARDEV_WRITABLE:
        chardev_output_send(&session->output);
        if (session->input_blocked && human_can_receive(session)) {
            chardev_accept_input(&session->frontend);
        }
        break;
    default:
        break;
    }
}

struct human_session *human_session_new(struct machine *machine, struct chardev *chardev,
                                        GError **error)
{
    struct human_session *session = g_new0(struct human_session, 1);

    session->context.machine = machine;
    session->line = g_string_new(NULL);
    session->history = g_ptr_array_new_with_free_func(g_free);
    session->frontend.can_receive = human_can_receive;
    session->frontend.receive = human_receive;
    session->frontend.event = human_event;
    session->frontend.opaque = session;
    chardev_output_init(&session->output, &session->frontend);
    if (!chardev_attach(chardev, &session->frontend, error)) {
        human_session_free(session);
        return NULL;
    }
    return session;
}

void human_session_free(struct human_session *session)
{
    chardev_output_flush(&session->output);
    chardev_detach(&session->frontend);
    chardev_output_destroy(&session->output);
    g_ptr_array_unref(session->history);
    g_string_free(session->line, TRUE);
    g_free(session);
}
