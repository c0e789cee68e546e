/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/mutex.h"

#ifndef WITH_TSAN

#include "util/spin-pause.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

enum mutex_word {
    MUTEX_FREE,
    MUTEX_TAKEN,
    MUTEX_WANTED, /* taken, and who unlocks it has to wake a thread */
};

/* Looks at a mutex that is taken before the thread sleeps: most are held for less than a sleep
 * takes. */
#define SPINS 50

static bool take_soon(struct mutex *mutex)
{
    for (unsigned i = 0; i < SPINS; i++) {
        spin_pause();
        if (!__atomic_load_n(&mutex->word, __ATOMIC_RELAXED) && mutex_trylock(mutex)) {
            return true;
        }
    }
    return false;
}

/* Who slept may not be the last that did, and takes it as one that is wanted. */
void mutex_lock_contended(struct mutex *mutex)
{
    if (take_soon(mutex)) {
        return;
    }
    while (__atomic_exchange_n(&mutex->word, MUTEX_WANTED, __ATOMIC_ACQUIRE) != MUTEX_FREE) {
        syscall(SYS_futex, &mutex->word, FUTEX_WAIT_PRIVATE, MUTEX_WANTED, NULL, NULL, 0);
    }
}

void mutex_wake(struct mutex *mutex)
{
    syscall(SYS_futex, &mutex->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

#endif
