/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The modes of the terminal that duodm was started on. A process has one such terminal, so this is
 * one per process, as the log is; the modes must come back on every way out, and a signal handler
 * can't be handed anything.
 */
#ifndef DUODM_DM_CHAR_TERMINAL_H
#define DUODM_DM_CHAR_TERMINAL_H

#include <stdbool.h>

/* Key by key, no echo. signals: Ctrl-C and Ctrl-Z act on duodm rather than being sent on. Nothing
 * happens if fd is no terminal, or while duodm is in the background. */
void terminal_set_raw(int fd, bool signals);
/* Back to how it was found. Async-signal-safe; harmless when nothing was changed. */
void terminal_restore(void);
/* After a stop and continue (SIGCONT), when the shell had its own modes: raw once more. */
void terminal_resume(void);
/* Give the terminal back when a signal is about to kill the process (SIGSEGV, SIGABRT, ...). */
void terminal_catch_fatal_signals(void);

#endif
