/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/error.h"

/* As G_DEFINE_QUARK's, but any thread may be the first. */
GQuark duodm_error_quark(void)
{
    static GQuark quark; /* atomic */
    GQuark value = __atomic_load_n(&quark, __ATOMIC_ACQUIRE);

    if (!value) {
        value = g_quark_from_static_string("duodm-error-quark");
        __atomic_store_n(&quark, value, __ATOMIC_RELEASE);
    }
    return value;
}

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
