/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The threads of a machine that do what blocks: all image I/O where io_uring can't. */
#include "dm/block/block-private.h"
#include "util/thread.h"

#define THREADS_MAX 16

struct block_pool {
    pthread_mutex_t lock;
    pthread_cond_t work; /* something is queued, or quit */
    struct block_request *first, **end;
    pthread_t threads[THREADS_MAX];
    unsigned thread_count, idle, queued;
    bool quit;
};

static void *run_thread(void *opaque)
{
    struct block_pool *pool = opaque;

    pthread_setname_np(pthread_self(), "block");
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct block_request *request = pool->first;
        struct block_backend *protocol;

        if (!request && pool->quit) {
            break;
        }
        if (!request) {
            pool->idle++;
            pthread_cond_wait(&pool->work, &pool->lock);
            pool->idle--;
            continue;
        }
        pool->first = request->next;
        if (!pool->first) {
            pool->end = &pool->first;
        }
        pool->queued--;
        pthread_mutex_unlock(&pool->lock);
        protocol = block_request_protocol(request);
        block_request_post(request, protocol->driver->execute(protocol, request));
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

struct block_pool *block_pool_new(void)
{
    struct block_pool *pool = g_new0(struct block_pool, 1);

    pool->end = &pool->first;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    return pool;
}

void block_pool_free(struct block_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->quit = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++) {
        pthread_join(pool->threads[i], NULL);
    }
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    g_free(pool);
}

/* With the lock held. False: the host has no more threads. */
static bool add_thread(struct block_pool *pool)
{
    sigset_t before;
    int problem;

    thread_block_signals(&before);
    problem = pthread_create(&pool->threads[pool->thread_count], NULL, run_thread, pool);
    thread_restore_signals(&before);
    pool->thread_count += !problem;
    return !problem;
}

void block_pool_submit(struct block_pool *pool, struct block_request *request)
{
    bool alone;

    request->next = NULL;
    pthread_mutex_lock(&pool->lock);
    if (pool->queued >= pool->idle && pool->thread_count < THREADS_MAX) {
        add_thread(pool);
    }
    alone = pool->thread_count == 0;
    if (!alone) {
        *pool->end = request;
        pool->end = &request->next;
        pool->queued++;
        pthread_cond_signal(&pool->work);
    }
    pthread_mutex_unlock(&pool->lock);
    if (alone) {
        /* Not one thread to be had: slow, but not wrong. */
        struct block_backend *protocol = block_request_protocol(request);

        block_request_post(request, protocol->driver->execute(protocol, request));
    }
}
