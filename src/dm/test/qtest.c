/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The test port itself: lines in, replies and interrupt messages out. */
#include "dm/test/qtest.h"
#include "dm/char/output.h"
#include "dm/io-thread.h"
#include "dm/test/qtest-private.h"
#include "util/error.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define INPUT_LINE_MAX (40u << 20) /* bytes; room for 16 MiB of data in hexadecimal */
#define OUTPUT_HIGH    (64u << 20) /* no commands are read while so much waits to be sent */

struct qtest_server {
    struct machine *machine;
    struct chardev_frontend frontend;
    pthread_mutex_t lock; /* leaf but for the chardev's: output and log, which IRQs write too */
    struct chardev_output output;
    FILE *log; /* NULL: none */
    GString *line;
    bool is_skipping; /* the rest of a line that was too long */
    bool input_blocked;
    struct qtest_intercept intercepts[MACHINE_GSI_COUNT];
};

struct machine *qtest_machine(struct qtest_server *server)
{
    return server->machine;
}

/* Lock held. */
static void write_log(struct qtest_server *server, char direction, const char *text)
{
    if (server->log) {
        fprintf(server->log, "[%c +%.6f] %s", direction,
                (double)g_get_monotonic_time() / G_USEC_PER_SEC, text);
        fflush(server->log);
    }
}

void qtest_send(struct qtest_server *server, const char *text)
{
    pthread_mutex_lock(&server->lock);
    write_log(server, 'S', text);
    chardev_output_add(&server->output, text, strlen(text));
    pthread_mutex_unlock(&server->lock);
}

static void take_line(struct qtest_server *server)
{
    g_autoptr(GString) reply = g_string_new(NULL);
    g_autofree char *logged = g_strconcat(server->line->str, "\n", NULL);

    pthread_mutex_lock(&server->lock);
    write_log(server, 'R', logged);
    pthread_mutex_unlock(&server->lock);
    if (strlen(server->line->str) != server->line->len) {
        g_string_append(reply, "FAIL the line has a zero byte\n");
    } else {
        qtest_handle_line(server, server->line->str, reply);
    }
    if (reply->len) {
        qtest_send(server, reply->str);
    }
    if (server->line->allocated_len > 65536) {
        g_string_free(server->line, TRUE);
        server->line = g_string_new(NULL);
    }
    g_string_truncate(server->line, 0);
}

/* A piece of input without a line feed. */
static void take_text(struct qtest_server *server, const uint8_t *data, size_t length)
{
    if (server->is_skipping) {
        return;
    }
    if (server->line->len + length > INPUT_LINE_MAX) {
        qtest_send(server, "FAIL the line is too long\n");
        g_string_truncate(server->line, 0);
        server->is_skipping = true;
        return;
    }
    g_string_append_len(server->line, (const char *)data, (gssize)length);
}

static size_t qtest_can_receive(void *opaque)
{
    struct qtest_server *server = opaque;

    pthread_mutex_lock(&server->lock);
    server->input_blocked = chardev_output_length(&server->output) > OUTPUT_HIGH;
    pthread_mutex_unlock(&server->lock);
    return server->input_blocked ? 0 : 65536;
}

static void qtest_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct qtest_server *server = opaque;

    while (length) {
        const uint8_t *end = memchr(data, '\n', length);
        size_t run = end ? (size_t)(end - data) : length;

        take_text(server, data, run);
        if (!end) {
            break;
        }
        if (!server->is_skipping) {
            take_line(server);
        }
        server->is_skipping = false;
        data += run + 1;
        length -= run + 1;
    }
}

static void qtest_event(void *opaque, enum chardev_event event)
{
    struct qtest_server *server = opaque;

    if (event == CHARDEV_OPENED || event == CHARDEV_CLOSED) {
        g_string_truncate(server->line, 0);
        server->is_skipping = false;
    } else if (event == CHARDEV_WRITABLE) {
        pthread_mutex_lock(&server->lock);
        chardev_output_send(&server->output);
        pthread_mutex_unlock(&server->lock);
        if (server->input_blocked && qtest_can_receive(server)) {
            chardev_accept_input(&server->frontend);
        }
    }
}

/* Interrupts. */

static void heard_interrupt(void *opaque, unsigned number, bool level)
{
    struct qtest_intercept *intercept = opaque;

    if (__atomic_exchange_n(&intercept->level, level, __ATOMIC_SEQ_CST) != level) {
        g_autofree char *text = g_strdup_printf("IRQ %s %u\n", level ? "raise" : "lower", number);

        qtest_send(intercept->server, text);
    }
    irq_line_set(&intercept->next, level);
}

bool qtest_intercept_inputs(struct qtest_server *server, const char *path, GError **error)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;

    if (!g_str_equal(name, "ioapic") && !g_str_equal(name, "i8259")) {
        return duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                          "there are no inputs '%s': ioapic and i8259 are known, both are the GSIs",
                          path);
    }
    for (unsigned i = 0; i < MACHINE_GSI_COUNT; i++) {
        struct irq_line *line = &server->machine->gsi[i];

        if (line->handler != heard_interrupt) {
            server->intercepts[i] = (struct qtest_intercept){.server = server, .next = *line};
            *line = (struct irq_line){heard_interrupt, &server->intercepts[i], i};
        }
    }
    /* Devices are quiet meanwhile: the test sees to that. */
    io_threads_synchronize(server->machine);
    return true;
}

void qtest_intercept_end(struct qtest_server *server)
{
    for (unsigned i = 0; i < MACHINE_GSI_COUNT; i++) {
        if (server->machine->gsi[i].opaque == &server->intercepts[i]) {
            server->machine->gsi[i] = server->intercepts[i].next;
        }
    }
}

struct qtest_server *qtest_server_new(struct machine *machine, struct chardev *chardev,
                                      const char *log_path, GError **error)
{
    struct qtest_server *server = g_new0(struct qtest_server, 1);

    server->machine = machine;
    server->line = g_string_new(NULL);
    pthread_mutex_init(&server->lock, NULL);
    chardev_output_init(&server->output, &server->frontend);
    server->frontend.can_receive = qtest_can_receive;
    server->frontend.receive = qtest_receive;
    server->frontend.event = qtest_event;
    server->frontend.opaque = server;
    if (log_path) {
        server->log = fopen(log_path, "we");
        if (!server->log) {
            duodm_fail(error, DUODM_ERROR_IO, "-qtest-log %s: %s", log_path, g_strerror(errno));
            qtest_server_free(server);
            return NULL;
        }
    }
    if (chardev && !chardev_attach(chardev, &server->frontend, error)) {
        g_prefix_error(error, "-qtest: ");
        qtest_server_free(server);
        return NULL;
    }
    return server;
}

void qtest_server_free(struct qtest_server *server)
{
    qtest_intercept_end(server);
    chardev_detach(&server->frontend);
    chardev_output_destroy(&server->output);
    pthread_mutex_destroy(&server->lock);
    g_string_free(server->line, TRUE);
    if (server->log) {
        fclose(server->log);
    }
    g_free(server);
}
