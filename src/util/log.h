/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log: where -D points (standard error if nowhere), filtered by the items of -d. One per
 * process, since it is the process's standard error. All functions may be called by any thread.
 */
#ifndef DUODM_UTIL_LOG_H
#define DUODM_UTIL_LOG_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum log_item {
    LOG_INT = 1 << 0,           /* interrupts and exceptions delivered, with registers */
    LOG_EXEC = 1 << 1,          /* each block before it runs */
    LOG_CPU = 1 << 2,           /* registers before each block */
    LOG_MMU = 1 << 3,           /* page walks and faults */
    LOG_GUEST_ERRORS = 1 << 4,  /* what a guest did that hardware would not define */
    LOG_UNIMPLEMENTED = 1 << 5, /* a feature the guest asked for that duodm lacks */
    LOG_RESET = 1 << 6,         /* CPU and machine resets */
    LOG_IN_ASM = 1 << 7,        /* guest instructions of each block that is decoded or translated */
    LOG_OUT_ASM = 1 << 8,       /* host code of each block that is translated */
};

extern uint32_t log_items_enabled; /* mask of enum log_item; written at start-up and by QMP only */

static inline bool log_is_enabled(enum log_item item)
{
    return __builtin_expect((log_items_enabled & item) != 0, 0);
}

/* printf to the log if the item is enabled. One call is one unbroken write. */
#define log_item(item, ...)                                                                        \
    do {                                                                                           \
        if (log_is_enabled(item)) {                                                                \
            log_printf(__VA_ARGS__);                                                               \
        }                                                                                          \
    } while (0)

/* printf to the log, whatever is enabled: log_item asks first. */
void log_printf(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* Write "duodm: warning: ..." to standard error. For what a user should know and can mend. */
void log_warning(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* Write "duodm: ...": why the machine ends, where there is no caller left to tell. */
void log_error(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* Set the items from a comma-separated list as -d has it. Errors name the item that there is not.
 */
bool log_set_items(const char *list, GError **error);

/* Send the log to a file (appending). NULL: standard error. */
bool log_set_file(const char *path, GError **error);

/* Print the items, a line each, for "-d help". */
void log_list_items(FILE *out);

#endif
