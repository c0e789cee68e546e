/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/error.h"

G_DEFINE_QUARK(duodm - error - quark, duodm_error)

bool duodm_fail(GError **error, enum duodm_error code, const char *format, ...)
{
    if (error) {
        va_list args;

        va_start(args, format);
        *error = g_error_new_valist(DUODM_ERROR, (gint)code, format, args);
        va_end(args);
    }
    return false;
}
