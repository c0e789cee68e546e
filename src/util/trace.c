/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/trace.h"
#include "util/error.h"
#include "util/log.h"

#include <stdarg.h>

static const char *const trace_names[] = {
#define TRACE_POINT(name, parameters, format, arguments) #name,
#include "util/trace-points.def"
#undef TRACE_POINT
};

bool trace_enabled[TRACE_ID_COUNT];

void trace_print(enum trace_id id, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    log_printf("%s %s\n", trace_names[id], text);
}

bool trace_enable(const char *pattern, bool on, GError **error)
{
    bool found = false;

    for (unsigned i = 0; i < TRACE_ID_COUNT; i++) {
        if (g_pattern_match_simple(pattern, trace_names[i])) {
            __atomic_store_n(&trace_enabled[i], on, __ATOMIC_RELAXED);
            found = true;
        }
    }
    if (!found) {
        return duodm_fail(error, DUODM_ERROR_NOT_FOUND,
                          "no trace point matches '%s': '-trace help' lists them", pattern);
    }
    return true;
}

void trace_list(FILE *out)
{
    for (unsigned i = 0; i < TRACE_ID_COUNT; i++) {
        fprintf(out, "%s\n", trace_names[i]);
    }
}
