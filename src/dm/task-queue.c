/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/task-queue.h"

#include <event2/event.h>
#include <glib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct io_task *take_task(struct task_queue *queue)
{
    struct io_task *task;

    pthread_mutex_lock(&queue->lock);
    task = queue->first;
    if (task) {
        queue->first = task->next;
        if (!queue->first) {
            queue->last = &queue->first;
        }
        task->queued = false;
    }
    pthread_mutex_unlock(&queue->lock);
    return task;
}

static void on_wake(evutil_socket_t fd, short events, void *opaque)
{
    struct task_queue *queue = opaque;
    struct io_task *task;
    eventfd_t count;

    eventfd_read(fd, &count); /* nonblocking; nothing there: an earlier round took it */
    while ((task = take_task(queue))) {
        task->run(task->opaque); /* the task may be gone after that */
    }
}

void task_queue_post(struct task_queue *queue, struct io_task *task)
{
    bool queued;

    pthread_mutex_lock(&queue->lock);
    queued = task->queued;
    if (!queued) {
        task->queued = true;
        task->next = NULL;
        *queue->last = task;
        queue->last = &task->next;
    }
    pthread_mutex_unlock(&queue->lock);
    if (!queued) {
        eventfd_write(queue->wake_fd, 1); /* fails only when full: then it is awake */
    }
}

void task_queue_cancel(struct task_queue *queue, struct io_task *task)
{
    pthread_mutex_lock(&queue->lock);
    for (struct io_task **link = &queue->first; *link; link = &(*link)->next) {
        if (*link == task) {
            *link = task->next;
            if (!*link) {
                queue->last = link;
            }
            task->queued = false;
            break;
        }
    }
    pthread_mutex_unlock(&queue->lock);
}

bool task_queue_init(struct task_queue *queue, struct event_base *base)
{
    queue->first = NULL;
    queue->last = &queue->first;
    queue->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (queue->wake_fd < 0) {
        return false;
    }
    queue->wake = event_new(base, queue->wake_fd, EV_READ | EV_PERSIST, on_wake, queue);
    if (!queue->wake || event_add(queue->wake, NULL) < 0) {
        g_clear_pointer(&queue->wake, event_free);
        close(queue->wake_fd);
        return false;
    }
    pthread_mutex_init(&queue->lock, NULL);
    return true;
}

void task_queue_destroy(struct task_queue *queue)
{
    event_free(queue->wake);
    close(queue->wake_fd);
    pthread_mutex_destroy(&queue->lock);
}
