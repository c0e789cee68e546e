/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mutex of hot paths: exclusion, and that whoever sleeps for it is woken. */
#include "suite.h"
#include "util/mutex.h"

#include <pthread.h>
#include <sched.h>

#define THREADS 4
#define ROUNDS  2000

static void test_lock_and_trylock(void)
{
    static struct mutex initialized = MUTEX_INITIALIZER;
    struct mutex mutex;

    mutex_init(&mutex);
    mutex_lock(&mutex);
    CU_ASSERT_FALSE(mutex_trylock(&mutex));
    mutex_unlock(&mutex);
    CU_ASSERT_TRUE(mutex_trylock(&mutex));
    CU_ASSERT_FALSE(mutex_trylock(&mutex));
    mutex_unlock(&mutex);
    mutex_destroy(&mutex);
    CU_ASSERT_TRUE(mutex_trylock(&initialized));
    mutex_unlock(&initialized);
}

struct counter {
    struct mutex mutex;
    unsigned value;  /* under mutex */
    unsigned yields; /* of the processor, while it is held: others come to sleep */
    bool try_first;
};

static void *count_up(void *opaque)
{
    struct counter *counter = opaque;

    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned value;

        if (!counter->try_first || !mutex_trylock(&counter->mutex)) {
            mutex_lock(&counter->mutex);
        }
        value = counter->value;
        for (unsigned y = 0; y < counter->yields; y++) {
            sched_yield();
        }
        counter->value = value + 1;
        mutex_unlock(&counter->mutex);
    }
    return NULL;
}

static void run_threads(unsigned yields, bool try_first)
{
    struct counter counter = {.yields = yields, .try_first = try_first};
    pthread_t threads[THREADS];

    mutex_init(&counter.mutex);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, count_up, &counter);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL); /* or a thread sleeps for ever */
    }
    CU_ASSERT_EQUAL(counter.value, THREADS * ROUNDS);
    CU_ASSERT_TRUE(mutex_trylock(&counter.mutex));
    mutex_unlock(&counter.mutex);
    mutex_destroy(&counter.mutex);
}

static void test_short_holds(void)
{
    run_threads(0, false);
}

static void test_long_holds(void)
{
    run_threads(3, false);
}

static void test_trylock_among_sleepers(void)
{
    run_threads(1, true);
}

static const struct unit_test tests[] = {
    {"lock and trylock", test_lock_and_trylock},
    {"threads exclude each other", test_short_holds},
    {"who sleeps is woken", test_long_holds},
    {"trylock among sleepers", test_trylock_among_sleepers},
    {NULL, NULL},
};

int main(void)
{
    return unit_run("mutex", tests);
}
