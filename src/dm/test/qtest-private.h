/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of the test port only. */
#ifndef DUODM_DM_TEST_QTEST_PRIVATE_H
#define DUODM_DM_TEST_QTEST_PRIVATE_H

#include "dm/machine.h"
#include "dm/test/qtest.h"

/* A GSI whose changes the test hears of; they go on to where they went before. */
struct qtest_intercept {
    struct qtest_server *server;
    struct irq_line next;
    bool level;
};

/* The test's name for inputs, as "ioapic" or the end of a path "/machine/.../ioapic". */
bool qtest_intercept_inputs(struct qtest_server *server, const char *path, GError **error);
void qtest_intercept_end(struct qtest_server *server);

struct machine *qtest_machine(struct qtest_server *server);
/* A line to the test that is no reply. Any thread. */
void qtest_send(struct qtest_server *server, const char *text);

#endif
