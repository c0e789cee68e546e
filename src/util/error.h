/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The error domain of duodm. Every failure that a user or a caller can meet is a GError; its
 * message names what was asked, what failed, and what to do.
 */
#ifndef DUODM_UTIL_ERROR_H
#define DUODM_UTIL_ERROR_H

#include <glib.h>
#include <stdbool.h>

#define DUODM_ERROR duodm_error_quark()
GQuark duodm_error_quark(void);

enum duodm_error {
    DUODM_ERROR_FAILED,           /* no better kind */
    DUODM_ERROR_INVALID_ARGUMENT, /* an option, property or command argument is wrong */
    DUODM_ERROR_NOT_FOUND,        /* a named thing does not exist */
    DUODM_ERROR_EXISTS,           /* a name is taken */
    DUODM_ERROR_NOT_SUPPORTED,    /* known, but not to be had here */
    DUODM_ERROR_IO,               /* a file, socket or system call failed */
    DUODM_ERROR_NO_MEMORY,        /* memory or another bounded resource is exhausted */
    DUODM_ERROR_BUSY,             /* in use */
};

/* Set *error from printf-like arguments. Always returns false, so that a caller can return it. */
bool duodm_fail(GError **error, enum duodm_error code, const char *format, ...) G_GNUC_PRINTF(3, 4);

#endif
