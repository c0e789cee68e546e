/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/io-thread.h"
#include "dm/machine.h"
#include "dm/object.h"
#include "util/error.h"
#include "util/thread.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

/* No more than what a name of a thread can hold (pthread_setname_np). */
#define NAME_MAX_LENGTH 15

struct io_thread {
    struct object object;
    pthread_t thread;
    int tid;                 /* set before the thread can be found */
    struct event_base *base; /* used by the thread alone; it has no locks */
    struct task_queue tasks;
    bool quit; /* of the thread */
};

extern const struct object_class io_thread_class;

static __thread const struct io_thread *current;

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
    task_queue_post(&thread->tasks, task);
}

void io_thread_cancel(struct io_thread *thread, struct io_task *task)
{
    task_queue_cancel(&thread->tasks, task);
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

    thread->base = make_base();
    if (!thread->base || !task_queue_init(&thread->tasks, thread->base)) {
        duodm_fail(error, DUODM_ERROR_FAILED, "I/O thread '%s' gets no event loop: %s", object->id,
                   g_strerror(errno));
        g_clear_pointer(&thread->base, event_base_free);
        return false;
    }
    if (!start_thread(thread, error)) {
        task_queue_destroy(&thread->tasks);
        event_base_free(thread->base);
        return false;
    }
    return true;
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
    task_queue_destroy(&thread->tasks);
    event_base_free(thread->base);
}

const struct object_class io_thread_class = {
    .name = "iothread",
    .description = "a thread in which devices do their I/O",
    .instance_size = sizeof(struct io_thread),
    .complete = io_thread_complete,
    .finalize = io_thread_finalize,
};

struct io_thread *io_thread_make(struct machine *machine, const char *id, GError **error)
{
    struct object *object = object_new(machine, &io_thread_class, id);

    return object_complete(object, error) ? (struct io_thread *)object : NULL;
}

struct io_thread *io_thread_find(struct machine *machine, const char *id, GError **error)
{
    if (id && *id) {
        return (struct io_thread *)object_find(machine, id, &io_thread_class, error);
    }
    if (!machine->default_io_thread) {
        machine->default_io_thread = io_thread_make(machine, "io.default", error);
    }
    return machine->default_io_thread;
}

static void nothing(void *opaque)
{
}

void io_threads_synchronize(struct machine *machine)
{
    for (unsigned i = 0; machine->objects && i < machine->objects->len; i++) {
        struct object *object = g_ptr_array_index(machine->objects, i);

        if (object->class == &io_thread_class) {
            io_thread_call((struct io_thread *)object, nothing, NULL);
        }
    }
}
