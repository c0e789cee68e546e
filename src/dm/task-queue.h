/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Functions that one thread asks another's event loop to run: I/O threads and the main loop. */
#ifndef DUODM_DM_TASK_QUEUE_H
#define DUODM_DM_TASK_QUEUE_H

#include <pthread.h>
#include <stdbool.h>

struct event;
struct event_base;

/* Something to be run in a loop. Embedded in its owner; zeroed but for run and opaque. */
struct io_task {
    void (*run)(void *opaque);
    void *opaque;
    /* Private. */
    struct io_task *next;
    bool queued;
};

struct task_queue {
    pthread_mutex_t lock; /* leaf; protects the list */
    struct io_task *first, **last;
    int wake_fd; /* eventfd, readable while tasks wait */
    struct event *wake;
};

/* False and errno: there is no descriptor or no event. In the loop's thread, or before it runs. */
bool task_queue_init(struct task_queue *queue, struct event_base *base);
void task_queue_destroy(struct task_queue *queue); /* what still waits does not run */
/* Run a task soon; if it waits already, once is enough. Any thread, never blocks. */
void task_queue_post(struct task_queue *queue, struct io_task *task);
/* If the task waits, it does no more. It may be running, unless this is the loop's thread. */
void task_queue_cancel(struct task_queue *queue, struct io_task *task);

#endif
