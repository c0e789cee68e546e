/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * I/O threads: each an event loop of its own, in which back ends and queues of devices run beside
 * the vCPUs. `-object iothread,id=ID` makes one; devices that name none share a default one.
 *
 * Code in an I/O thread never enters a device's guard, never edits the topology, and never waits
 * for the main loop. So anyone may wait for an I/O thread (io_thread_call) with these held.
 */
#ifndef DUODM_DM_IO_THREAD_H
#define DUODM_DM_IO_THREAD_H

#include "dm/task-queue.h"

#include <glib.h>

struct event_base;
struct io_thread;
struct machine;

/* The thread of that id; NULL or "": the default one, which is made when first asked for. They live
 * until the machine ends. Main loop only. */
struct io_thread *io_thread_find(struct machine *machine, const char *id, GError **error);
/* One for a device that must share none. id: not a user's name, so with a dot. Lives as long. */
struct io_thread *io_thread_make(struct machine *machine, const char *id, GError **error);
/* Its event loop. Events are added, deleted and freed in the thread itself: by io_thread_call. */
struct event_base *io_thread_base(struct io_thread *thread);
bool io_thread_is_current(const struct io_thread *thread);
/* Run a function in the thread and wait until it has returned. From the thread itself: at once. */
void io_thread_call(struct io_thread *thread, void (*run)(void *opaque), void *opaque);
/* Run a task there soon; if it is queued already, once is enough. Any thread, never blocks. */
void io_thread_post(struct io_thread *thread, struct io_task *task);
/* If a task is queued, take it out. In the thread itself (io_thread_call), so that it does not run
 * meanwhile. */
void io_thread_cancel(struct io_thread *thread, struct io_task *task);
/* What the caller has written is seen by all I/O threads in what they begin from now on. Main loop
 * only. */
void io_threads_synchronize(struct machine *machine);
/* The host's ID of the thread, for monitors. */
int io_thread_tid(const struct io_thread *thread);

#endif
