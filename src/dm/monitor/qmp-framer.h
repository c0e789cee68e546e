/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds the JSON values in a stream of bytes that may be cut anywhere, several to a line or one
 * over many. It follows the grammar closely enough (RFC 8259; strings and numbers are checked by
 * the parser that gets the text) to see an error at the byte that makes it. After an error all is
 * skipped up to a line feed; a byte FFh, which no JSON has, starts afresh at once.
 */
#ifndef DUODM_DM_MONITOR_QMP_FRAMER_H
#define DUODM_DM_MONITOR_QMP_FRAMER_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QMP_FRAMER_MAX_DEPTH  1024
#define QMP_FRAMER_MAX_LENGTH (1u << 20) /* bytes of one value */

struct qmp_framer;

enum qmp_framer_result {
    QMP_FRAMER_MORE,  /* all was used, no value is complete */
    QMP_FRAMER_VALUE, /* qmp_framer_text is one */
    QMP_FRAMER_ERROR, /* qmp_framer_text says what is wrong */
};

struct qmp_framer *qmp_framer_new(void);
void qmp_framer_free(struct qmp_framer *framer);
/* Forget what was fed: another client. */
void qmp_framer_reset(struct qmp_framer *framer);

/* Feed bytes up to the end of a value or to an error; *used gets how many were read. */
enum qmp_framer_result qmp_framer_feed(struct qmp_framer *framer, const uint8_t *data,
                                       size_t length, size_t *used);
/* Of the last result; valid until the next call. */
const char *qmp_framer_text(const struct qmp_framer *framer, size_t *length);

#endif
