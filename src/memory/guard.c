/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting threads form chains: a thread waits for a guard, whose owner waits for a guard, and so
 * on. Only the thread that would close a chain into a cycle can see it whole, because all others in
 * it already wait; it looks under waits_lock, so that of two that start waiting at once the second
 * sees the first. An uncontended guard costs an exchange of its own word and never comes here.
 */
#include "memory/guard.h"
#include "util/spin-pause.h"
#include "util/hot-path.h"

#include <assert.h>
#include <glib.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Beside the owner in a guard's word: its owner has to wake one thread when it leaves. */
#define WAITED_FOR ((uintptr_t)1)

/* Callbacks are short: looks at a guard that is taken before the thread sleeps. */
#define SPINS 50

G_STATIC_ASSERT(G_BYTE_ORDER == G_LITTLE_ENDIAN); /* the kernel looks at the low half of a word */

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
    return (struct guard_thread *)(__atomic_load_n(&guard->word, __ATOMIC_ACQUIRE) & ~WAITED_FOR);
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

static inline bool try_take(struct access_guard *guard, uintptr_t taken)
{
    uintptr_t nobody = 0;

    return __atomic_compare_exchange_n(&guard->word, &nobody, taken, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static bool take_soon(struct access_guard *guard, uintptr_t taken)
{
    for (unsigned i = 0; i < SPINS; i++) {
        spin_pause();
        if (!__atomic_load_n(&guard->word, __ATOMIC_RELAXED) && try_take(guard, taken)) {
            return true;
        }
    }
    return false;
}

/* Sleep while the low half of the word is that of `seen`. Two owners may have it in common; but
 * then the second was asked to wake somebody too. */
static void sleep_on(struct access_guard *guard, uintptr_t seen)
{
    syscall(SYS_futex, &guard->word, FUTEX_WAIT_PRIVATE, (uint32_t)seen, NULL, NULL, 0);
}

/* Block for a guard. Who slept may not be the last that did: it takes the guard as one that is
 * waited for. */
static void lock_blocking(struct access_guard *guard, uintptr_t self)
{
    if (take_soon(guard, self)) {
        return;
    }
    while (!try_take(guard, self | WAITED_FOR)) {
        uintptr_t seen = __atomic_load_n(&guard->word, __ATOMIC_RELAXED);

        if (seen && ((seen & WAITED_FOR) ||
                     __atomic_compare_exchange_n(&guard->word, &seen, seen | WAITED_FOR, false,
                                                 __ATOMIC_RELAXED, __ATOMIC_RELAXED))) {
            sleep_on(guard, seen | WAITED_FOR);
        }
    }
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
    lock_blocking(guard, (uintptr_t)self);
    /* Until here a chain through the guard comes back to it by this thread, and who follows one
     * goes round; that ends at once, as nothing stands between this store and the one before. */
    __atomic_store_n(&self->waiting_for, NULL, __ATOMIC_RELEASE);
    return true;
}

void access_guard_init(struct access_guard *guard)
{
    guard->word = 0;
}

void access_guard_destroy(struct access_guard *guard)
{
    assert(!get_owner(guard));
}

HOT_PATH bool access_guard_enter(struct access_guard *guard)
{
    struct guard_thread *self = get_this_thread();

    return try_take(guard, (uintptr_t)self) ||
           (get_owner(guard) != self && enter_contended(guard, self));
}

HOT_PATH void access_guard_leave(struct access_guard *guard)
{
    uintptr_t word;

    assert(access_guard_is_held(guard));
    word = __atomic_exchange_n(&guard->word, 0, __ATOMIC_RELEASE);
    if (G_UNLIKELY(word & WAITED_FOR)) {
        syscall(SYS_futex, &guard->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

bool access_guard_is_held(const struct access_guard *guard)
{
    return this_thread && get_owner(guard) == this_thread;
}
