/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A number for each thread, odd while it holds. A guest waits for each of its unmaps to get through
 * here, nearly always with nobody holding: so it is a look at a few numbers, without a system call,
 * and it is the holders that pay, by one locked instruction.
 */
#include "memory/translation.h"
#include "util/hot-path.h"
#include "util/mutex.h"
#include "util/spin-pause.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Looks at a holder before the processor is given to others, and then ns between looks: the holder
 * has lost its processor in the middle of a copy. */
#define SPINS 100
#define PAUSE 20000

struct holder {
    uint64_t number; /* atomic; odd: holds. Grows */
    unsigned depth;
    bool registered;
    struct holder *next, *previous;
};

/* Process-wide, as threads are. */
static struct mutex holders_lock = MUTEX_INITIALIZER;
static struct holder holders = {.next = &holders, .previous = &holders};
static pthread_key_t thread_end_key;
static pthread_once_t thread_end_once = PTHREAD_ONCE_INIT;
static __thread struct holder this_holder;

static void thread_end(void *value)
{
    struct holder *holder = value;

    mutex_lock(&holders_lock);
    holder->previous->next = holder->next;
    holder->next->previous = holder->previous;
    holder->registered = false;
    mutex_unlock(&holders_lock);
}

static void make_thread_end_key(void)
{
    pthread_key_create(&thread_end_key, thread_end);
}

static void register_thread(void)
{
    struct holder *holder = &this_holder;

    pthread_once(&thread_end_once, make_thread_end_key);
    pthread_setspecific(thread_end_key, holder);
    mutex_lock(&holders_lock);
    holder->next = &holders;
    holder->previous = holders.previous;
    holders.previous->next = holder;
    holders.previous = holder;
    holder->registered = true;
    mutex_unlock(&holders_lock);
}

/* What the holder asks an IOMMU comes after the exchange, as what the synchroniser had that forget
 * came before its own: one of the two sees the other. */
HOT_PATH void memory_translation_hold(void)
{
    struct holder *holder = &this_holder;

    if (!holder->registered) {
        register_thread();
    }
    if (holder->depth++ == 0) {
        __atomic_exchange_n(&holder->number, holder->number + 1, __ATOMIC_SEQ_CST);
    }
}

HOT_PATH void memory_translation_release(void)
{
    struct holder *holder = &this_holder;

    if (--holder->depth == 0) {
        __atomic_store_n(&holder->number, holder->number + 1, __ATOMIC_RELEASE);
    }
}

static void wait_for(const struct holder *holder)
{
    uint64_t number = __atomic_load_n(&holder->number, __ATOMIC_SEQ_CST);

    if (number % 2 == 0) {
        return;
    }
    for (unsigned looks = 0; __atomic_load_n(&holder->number, __ATOMIC_ACQUIRE) == number;
         looks++) {
        if (looks < SPINS) {
            spin_pause();
        } else {
            nanosleep(&(struct timespec){0, PAUSE}, NULL);
        }
    }
}

HOT_PATH void memory_translation_synchronize(void)
{
    mutex_lock(&holders_lock); /* a locked instruction: what was forgotten is seen to be */
    for (const struct holder *holder = holders.next; holder != &holders; holder = holder->next) {
        wait_for(holder);
    }
    mutex_unlock(&holders_lock);
}
