/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting threads that leave signals to the main thread. */
#ifndef DUODM_UTIL_THREAD_H
#define DUODM_UTIL_THREAD_H

#include <signal.h>

/*
 * Block every signal that is not a thread's own fault, so that a thread made before
 * thread_restore_signals inherits that: what asks the process to end must reach the main loop.
 */
void thread_block_signals(sigset_t *before);
void thread_restore_signals(const sigset_t *before);

#endif
