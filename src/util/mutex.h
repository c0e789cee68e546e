/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mutex of hot paths: a word that is locked and unlocked in place, by one atomic instruction
 * each while nobody else wants it; who has to wait sleeps in the kernel (futex(2)). It is used
 * where a vCPU's exit goes through several locks: pthread_mutex_t is as correct, but its functions
 * and data are in pages that such an exit would else not touch. Not recursive, not for condition
 * variables, not shared between processes.
 */
#ifndef DUODM_UTIL_MUTEX_H
#define DUODM_UTIL_MUTEX_H

#include "util/tsan.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef WITH_TSAN /* which checks the order of these only if it knows them */
#include <pthread.h>

struct mutex {
    pthread_mutex_t pthread;
};
#define MUTEX_INITIALIZER                                                                          \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER                                                                  \
    }

static inline void mutex_init(struct mutex *mutex)
{
    pthread_mutex_init(&mutex->pthread, NULL);
}
static inline void mutex_destroy(struct mutex *mutex)
{
    pthread_mutex_destroy(&mutex->pthread);
}
static inline void mutex_lock(struct mutex *mutex)
{
    pthread_mutex_lock(&mutex->pthread);
}
static inline bool mutex_trylock(struct mutex *mutex)
{
    return pthread_mutex_trylock(&mutex->pthread) == 0;
}
static inline void mutex_unlock(struct mutex *mutex)
{
    pthread_mutex_unlock(&mutex->pthread);
}

#else

struct mutex {
    uint32_t word; /* atomic; enum mutex_word of mutex.c. 0: nobody has it */
};
#define MUTEX_INITIALIZER                                                                          \
    {                                                                                              \
        0                                                                                          \
    }

/* mutex.c: wait until it is the caller's; wake one who waits. */
void mutex_lock_contended(struct mutex *mutex);
void mutex_wake(struct mutex *mutex);

static inline void mutex_init(struct mutex *mutex)
{
    mutex->word = 0;
}
/* Nobody has it. */
static inline void mutex_destroy(struct mutex *mutex)
{
}
/* True: it is the caller's now. */
static inline bool mutex_trylock(struct mutex *mutex)
{
    uint32_t nobody = 0;

    return __atomic_compare_exchange_n(&mutex->word, &nobody, 1, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}
static inline void mutex_lock(struct mutex *mutex)
{
    if (__builtin_expect(!mutex_trylock(mutex), 0)) {
        mutex_lock_contended(mutex);
    }
}
static inline void mutex_unlock(struct mutex *mutex)
{
    if (__builtin_expect(__atomic_exchange_n(&mutex->word, 0, __ATOMIC_RELEASE) != 1, 0)) {
        mutex_wake(mutex);
    }
}

#endif

#endif
