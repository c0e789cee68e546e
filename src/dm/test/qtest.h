/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The test port: a line protocol, known as qtest, by which a test reads and writes the machine's
 * ports and memory, moves its clock and hears of interrupts; and an engine without CPUs to go
 * with it, so that only the test acts.
 */
#ifndef DUODM_DM_TEST_QTEST_H
#define DUODM_DM_TEST_QTEST_H

#include "dm/engine.h"

struct chardev;
struct qtest_server;

extern const struct engine_ops qtest_engine;

/* log_path: what goes over the port is written there too; NULL: nowhere. */
struct qtest_server *qtest_server_new(struct machine *machine, struct chardev *chardev,
                                      const char *log_path, GError **error);
void qtest_server_free(struct qtest_server *server);

/* One line of the protocol, without its line feed; the reply, with one, is appended. For fuzzing
 * too: any bytes are harmless. */
void qtest_handle_line(struct qtest_server *server, char *line, GString *reply);

#endif
