/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/io-thread.h"
#include "dm/machine.h"
#include "dm/object.h"
#include "util/error.h"
#include "util/thread.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* No more than what a name of a thread can hold (pthread_setname_np). */
#define NAME_MAX_LENGTH 15

struct io_thread {
    struct object object;
    pthread_t thread;
    int tid;                 /* set before the thread can be found */
    struct event_base *base; /* used by the thread alone; it has no locks */
    int wake_fd;             /* eventfd, readable while tasks wait */
    struct event *wake;
    pthread_mutex_t lock; /* leaf; protects the tasks */
    struct io_task *first, **last;
    bool quit; /* of the thread */
};

extern const struct object_class io_thread_class;

static __thread const struct io_thread *current;

static struct io_task *take_task(struct io_thread *thread)
{
    struct io_task *task;

    pthread_mutex_lock(&thread->lock);
    task = thread->first;
    if (task) {
        thread->first = task->next;
        if (!thread->first) {
            thread->last = &thread->first;
        }
        task->queued = false;
    }
    pthread_mutex_unlock(&thread->lock);
    return task;
}

static void on_wake(evutil_socket_t fd, short events, void *opaque)
{
    struct io_thread *thread = opaque;
    struct io_task *task;
    eventfd_t count;

    eventfd_read(fd, &count); /* nonblocking; nothing there: an earlier round took it */
    while ((task = take_task(thread))) {
        task->run(task->opaque); /* the task may be gone after that */
    }
}

static void *thread_main(void *opaque)
{
    struct io_thread *thread = opaque;

    current = thread;
    while (!thread->quit && event_base_loop(thread->base, EVLOOP_ONCE) >= 0) {
    }
    return NULL;
}

void io_thread_post(struct io_thread *thread, struct io_task *task)
{
    bool queued;

    pthread_mutex_lock(&thread->lock);
    queued = task->queued;
    if (!queued) {
        task->queued = true;
        task->next = NULL;
        *thread->last = task;
        thread->last = &task->next;
    }
    pthread_mutex_unlock(&thread->lock);
    if (!queued) {
        eventfd_write(thread->wake_fd, 1); /* fails only when full: then it is awake */
    }
}

void io_thread_cancel(struct io_thread *thread, struct io_task *task)
{
    pthread_mutex_lock(&thread->lock);
    for (struct io_task **link = &thread->first; *link; link = &(*link)->next) {
        if (*link == task) {
            *link = task->next;
            if (!*link) {
                thread->last = link;
            }
            task->queued = false;
            break;
        }
    }
    pthread_mutex_unlock(&thread->lock);
}

/* A function that somebody waits for. */
struct call {
    struct io_task task;
    void (*run)(void *opaque);
    void *opaque;
    pthread_mutex_t lock;
    pthread_cond_t done_cond;
    bool done;
};

static void run_call(void *opaque)
{
    struct call *call = opaque;

    call->run(call->opaque);
    pthread_mutex_lock(&call->lock);
    call->done = true;
    pthread_cond_signal(&call->done_cond);
    pthread_mutex_unlock(&call->lock);
}

void io_thread_call(struct io_thread *thread, void (*run)(void *opaque), void *opaque)
{
    struct call call = {
        .task = {.run = run_call, .opaque = &call},
        .run = run,
        .opaque = opaque,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .done_cond = PTHREAD_COND_INITIALIZER,
    };

    if (io_thread_is_current(thread)) {
        run(opaque);
        return;
    }
    io_thread_post(thread, &call.task);
    pthread_mutex_lock(&call.lock);
    while (!call.done) {
        pthread_cond_wait(&call.done_cond, &call.lock);
    }
    pthread_mutex_unlock(&call.lock);
    pthread_mutex_destroy(&call.lock);
    pthread_cond_destroy(&call.done_cond);
}

struct event_base *io_thread_base(struct io_thread *thread)
{
    return thread->base;
}

bool io_thread_is_current(const struct io_thread *thread)
{
    return current == thread;
}

int io_thread_tid(const struct io_thread *thread)
{
    return thread->tid;
}

/* Construction. */

static void set_tid(void *opaque)
{
    struct io_thread *thread = opaque;

    thread->tid = (int)syscall(SYS_gettid);
}

static struct event_base *make_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base;

    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

static bool start_thread(struct io_thread *thread, GError **error)
{
    g_autofree char *name = g_strdup_printf("io-%.*s", NAME_MAX_LENGTH - 3, thread->object.id);
    sigset_t signals;
    int status;

    thread_block_signals(&signals);
    status = pthread_create(&thread->thread, NULL, thread_main, thread);
    thread_restore_signals(&signals);
    if (status != 0) {
        return duodm_fail(error, DUODM_ERROR_NO_MEMORY, "I/O thread '%s' can't be made: %s",
                          thread->object.id, g_strerror(status));
    }
    pthread_setname_np(thread->thread, name);
    io_thread_call(thread, set_tid, thread);
    return true;
}

static bool io_thread_complete(struct object *object, GError **error)
{
    struct io_thread *thread = (struct io_thread *)object;

    thread->last = &thread->first;
    thread->base = make_base();
    thread->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (thread->base && thread->wake_fd >= 0) {
        thread->wake =
            event_new(thread->base, thread->wake_fd, EV_READ | EV_PERSIST, on_wake, thread);
    }
    pthread_mutex_init(&thread->lock, NULL);
    if (!thread->wake || event_add(thread->wake, NULL) < 0) {
        duodm_fail(error, DUODM_ERROR_FAILED, "I/O thread '%s' gets no event loop: %s", object->id,
                   g_strerror(errno));
    } else if (start_thread(thread, error)) {
        return true;
    }
    g_clear_pointer(&thread->wake, event_free);
    if (thread->wake_fd >= 0) {
        close(thread->wake_fd);
    }
    g_clear_pointer(&thread->base, event_base_free);
    pthread_mutex_destroy(&thread->lock);
    return false;
}

static void quit(void *opaque)
{
    struct io_thread *thread = opaque;

    thread->quit = true;
}

static void io_thread_finalize(struct object *object)
{
    struct io_thread *thread = (struct io_thread *)object;

    io_thread_call(thread, quit, thread);
    pthread_join(thread->thread, NULL);
    assert(!thread->first);
    event_free(thread->wake);
    close(thread->wake_fd);
    event_base_free(thread->base);
    pthread_mutex_destroy(&thread->lock);
}

const struct object_class io_thread_class = {
    .name = "iothread",
    .description = "a thread in which devices do their I/O",
    .instance_size = sizeof(struct io_thread),
    .complete = io_thread_complete,
    .finalize = io_thread_finalize,
};

struct io_thread *io_thread_find(struct machine *machine, const char *id, GError **error)
{
    if (id && *id) {
        return (struct io_thread *)object_find(machine, id, &io_thread_class, error);
    }
    if (!machine->default_io_thread) {
        struct object *object = object_new(machine, &io_thread_class, "io.default");

        if (!object_complete(object, error)) {
            return NULL;
        }
        machine->default_io_thread = (struct io_thread *)object;
    }
    return machine->default_io_thread;
}
