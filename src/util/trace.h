/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trace points. Each is one line in trace-points.def:
 *
 *     TRACE_POINT(name, (parameters), "format", (arguments))
 *
 * which makes `static inline void trace_name(parameters)`. Off, a trace point costs one test of a
 * byte. On (-trace NAME-PATTERN), it writes one line to the log. Where <sys/sdt.h> was found at
 * build time each point is also a USDT probe "duodm:name". At least one argument each.
 */
#ifndef DUODM_UTIL_TRACE_H
#define DUODM_UTIL_TRACE_H

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <glib.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#ifdef HAVE_SYS_SDT_H
#define SDT_USE_VARIADIC
#include <sys/sdt.h>
#define TRACE_USDT(name, ...) STAP_PROBEV(duodm, name, __VA_ARGS__)
#else
#define TRACE_USDT(name, ...) (void)0
#endif

enum trace_id {
#define TRACE_POINT(name, parameters, format, arguments) TRACE_ID_##name,
#include "util/trace-points.def"
#undef TRACE_POINT
    TRACE_ID_COUNT
};

extern bool trace_enabled[TRACE_ID_COUNT]; /* set through trace_enable only */

/* A line of the log that begins with the point's name. For trace_NAME below. */
void trace_print(enum trace_id id, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Turn on (or off) all points whose names match a glob pattern; false and an error if none does. */
bool trace_enable(const char *pattern, bool on, GError **error);

/* Print the names, a line each, for "-trace help". */
void trace_list(FILE *out);

#define TRACE_UNWRAP(...) __VA_ARGS__
#define TRACE_POINT(name, parameters, format, arguments)                                           \
    static inline void trace_##name parameters                                                     \
    {                                                                                              \
        TRACE_USDT(name, TRACE_UNWRAP arguments);                                                  \
        if (__builtin_expect(trace_enabled[TRACE_ID_##name], 0)) {                                 \
            trace_print(TRACE_ID_##name, format, TRACE_UNWRAP arguments);                          \
        }                                                                                          \
    }
#include "util/trace-points.def"
#undef TRACE_POINT

#endif
