/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting threads form chains: a thread waits for a guard, whose owner waits for a guard, and so
 * on. Only the thread that would close a chain into a cycle can see it whole, because all others in
 * it already wait; it looks under waits_lock, so that of two that start waiting at once the second
 * sees the first. An uncontended guard costs a trylock and never comes here.
 */
#include "memory/guard.h"
#include "memory/tsan.h"

#include <assert.h>
#include <glib.h>
#include <stdlib.h>
#include <time.h>

struct guard_thread {
    struct access_guard *waiting_for; /* atomic; set under waits_lock */
};

/* Process-wide, as threads are. */
static pthread_mutex_t waits_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t thread_end_key;
static pthread_once_t thread_end_once = PTHREAD_ONCE_INIT;
static __thread struct guard_thread *this_thread;

static void thread_end(void *value)
{
    /* A walker of a chain may still look at the record, under the lock. */
    pthread_mutex_lock(&waits_lock);
    g_free(value);
    this_thread = NULL;
    pthread_mutex_unlock(&waits_lock);
}

static void make_thread_end_key(void)
{
    pthread_key_create(&thread_end_key, thread_end);
}

static struct guard_thread *get_this_thread(void)
{
    if (G_UNLIKELY(!this_thread)) {
        this_thread = g_new0(struct guard_thread, 1);
        pthread_once(&thread_end_once, make_thread_end_key);
        pthread_setspecific(thread_end_key, this_thread);
    }
    return this_thread;
}

static struct guard_thread *get_owner(const struct access_guard *guard)
{
    return __atomic_load_n(&guard->owner, __ATOMIC_ACQUIRE);
}

/* Does the chain that starts at guard come back to self? Called with waits_lock held. */
static bool chain_reaches(const struct access_guard *guard, const struct guard_thread *self)
{
    while (guard) {
        const struct guard_thread *owner = get_owner(guard);

        if (owner == self) {
            return true;
        }
        if (!owner) {
            return false;
        }
        guard = __atomic_load_n(&owner->waiting_for, __ATOMIC_ACQUIRE);
    }
    return false;
}

/* Block for a guard. ThreadSanitizer's static lock-order check knows nothing of the chains above;
 * it leaves timed waits alone. */
static void lock_blocking(struct access_guard *guard)
{
#ifdef WITH_TSAN
    struct timespec never = {.tv_sec = G_MAXINT32};

    while (pthread_mutex_timedlock(&guard->lock, &never) != 0) {
    }
#else
    pthread_mutex_lock(&guard->lock);
#endif
}

static bool enter_contended(struct access_guard *guard, struct guard_thread *self)
{
    bool cycle;

    pthread_mutex_lock(&waits_lock);
    cycle = chain_reaches(guard, self);
    if (!cycle) {
        __atomic_store_n(&self->waiting_for, guard, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&waits_lock);
    if (cycle) {
        return false;
    }
    lock_blocking(guard);
    /* Before owner is set: no chain may pass through this thread once it runs. */
    __atomic_store_n(&self->waiting_for, NULL, __ATOMIC_RELEASE);
    return true;
}

void access_guard_init(struct access_guard *guard)
{
    pthread_mutex_init(&guard->lock, NULL);
    guard->owner = NULL;
}

void access_guard_destroy(struct access_guard *guard)
{
    assert(!get_owner(guard));
    pthread_mutex_destroy(&guard->lock);
}

bool access_guard_enter(struct access_guard *guard)
{
    struct guard_thread *self = get_this_thread();

    if (get_owner(guard) == self) {
        return false;
    }
    if (pthread_mutex_trylock(&guard->lock) != 0 && !enter_contended(guard, self)) {
        return false;
    }
    __atomic_store_n(&guard->owner, self, __ATOMIC_RELEASE);
    return true;
}

void access_guard_leave(struct access_guard *guard)
{
    assert(access_guard_is_held(guard));
    __atomic_store_n(&guard->owner, NULL, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&guard->lock);
}

bool access_guard_is_held(const struct access_guard *guard)
{
    return this_thread && get_owner(guard) == this_thread;
}
