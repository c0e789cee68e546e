/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/tsan.h"

#ifndef WITH_TSAN
#define _LGPL_SOURCE /* inline read-side primitives; duodm's licence allows it */
#endif

#include "memory/rcu.h"
#include "memory/address-space.h"
#include "util/hot-path.h"
#include "util/thread.h"

#include <assert.h>
#include <pthread.h>

#ifdef WITH_TSAN
#include <sanitizer/tsan_interface.h>

/* Each reader's unlock happens before each deferred function: the only order that matters here. */
static char readers_done, deferred;
#define TSAN_RELEASE(address) __tsan_release(address)
#define TSAN_ACQUIRE(address) __tsan_acquire(address)
#else
#define TSAN_RELEASE(address) (void)0
#define TSAN_ACQUIRE(address) (void)0
#endif

/* liburcu wants threads registered before they read, and unregistered before they end. */
struct rcu_thread {
    unsigned nesting;
    bool registered;
};

static __thread struct rcu_thread rcu_thread;
static pthread_key_t thread_end_key;
static pthread_once_t thread_end_once = PTHREAD_ONCE_INIT;
static pthread_once_t helper_thread_started = PTHREAD_ONCE_INIT;

static void thread_end(void *value)
{
    struct rcu_thread *thread = value;

    if (thread->registered) {
        thread->registered = false;
        urcu_memb_unregister_thread();
    }
}

static void make_thread_end_key(void)
{
    pthread_key_create(&thread_end_key, thread_end);
}

static void register_thread(void)
{
    pthread_once(&thread_end_once, make_thread_end_key);
    pthread_setspecific(thread_end_key, &rcu_thread);
    urcu_memb_register_thread();
    rcu_thread.registered = true;
}

HOT_PATH void memory_rcu_read_lock(void)
{
    if (__builtin_expect(!rcu_thread.registered, 0)) {
        register_thread();
    }
    rcu_thread.nesting++;
    urcu_memb_read_lock();
}

HOT_PATH void memory_rcu_read_unlock(void)
{
    assert(rcu_thread.nesting);
    if (--rcu_thread.nesting == 0) {
        TSAN_RELEASE(&readers_done);
    }
    urcu_memb_read_unlock();
}

bool memory_rcu_is_reading(void)
{
    return rcu_thread.nesting != 0;
}

/* liburcu makes its helper thread at the first need, with the signals of whoever needs it. */
static void start_helper_thread(void)
{
    sigset_t signals;

    thread_block_signals(&signals);
    urcu_memb_get_default_call_rcu_data();
    thread_restore_signals(&signals);
}

void memory_rcu_defer(struct rcu_head *head, void (*function)(struct rcu_head *head))
{
    if (!rcu_thread.registered) {
        register_thread();
    }
    pthread_once(&helper_thread_started, start_helper_thread);
    TSAN_RELEASE(&deferred);
    urcu_memb_call_rcu(head, function);
}

void memory_rcu_deferred_begin(void)
{
    TSAN_ACQUIRE(&deferred);
    TSAN_ACQUIRE(&readers_done);
}

void memory_rcu_synchronize(void)
{
    assert(!memory_rcu_is_reading());
    urcu_memb_synchronize_rcu();
    TSAN_ACQUIRE(&readers_done);
}

/* liburcu's own barrier would do, but that ThreadSanitizer can't see into it. One helper thread
 * runs what is deferred, in order. */
struct barrier {
    struct rcu_head rcu;
    pthread_mutex_t lock;
    pthread_cond_t reached;
    bool is_reached;
};

static void reach_barrier(struct rcu_head *head)
{
    struct barrier *barrier = caa_container_of(head, struct barrier, rcu);

    memory_rcu_deferred_begin();
    pthread_mutex_lock(&barrier->lock);
    barrier->is_reached = true;
    pthread_cond_signal(&barrier->reached);
    pthread_mutex_unlock(&barrier->lock);
}

void memory_rcu_barrier(void)
{
    struct barrier barrier = {
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .reached = PTHREAD_COND_INITIALIZER,
    };

    assert(!memory_rcu_is_reading());
    memory_rcu_defer(&barrier.rcu, reach_barrier);
    pthread_mutex_lock(&barrier.lock);
    while (!barrier.is_reached) {
        pthread_cond_wait(&barrier.reached, &barrier.lock);
    }
    pthread_mutex_unlock(&barrier.lock);
}
