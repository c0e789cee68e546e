/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tcg/huge-pages.h"
#include "util/thread.h"

#include <glib.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define HUGE_SHIFT      21
#define FILLS_TO_ASK    384  /* of entries in one huge page's range */
#define COUNTERS        8192 /* hashed by range: 16 GiB without collisions */
#define MAX_OUTSTANDING 256

struct huge_pages {
    pthread_t thread;
    bool has_thread, quit;
    pthread_mutex_t lock; /* asked, quit */
    pthread_cond_t changed;
    GQueue asked;              /* of host addresses */
    uint16_t counts[COUNTERS]; /* atomic */
};

static void *collapse_thread(void *opaque)
{
    struct huge_pages *pages = opaque;

    pthread_mutex_lock(&pages->lock);
    while (!pages->quit) {
        void *range = g_queue_pop_head(&pages->asked);

        if (!range) {
            pthread_cond_wait(&pages->changed, &pages->lock);
            continue;
        }
        pthread_mutex_unlock(&pages->lock);
        /* If the kernel won't, or the memory is gone, it stays as it is. */
        (void)madvise(range, (size_t)1 << HUGE_SHIFT, MADV_COLLAPSE);
        pthread_mutex_lock(&pages->lock);
    }
    pthread_mutex_unlock(&pages->lock);
    return NULL;
}

struct huge_pages *huge_pages_new(void)
{
    struct huge_pages *pages = g_new0(struct huge_pages, 1);
    sigset_t signals;

    pthread_mutex_init(&pages->lock, NULL);
    pthread_cond_init(&pages->changed, NULL);
    g_queue_init(&pages->asked);
    thread_block_signals(&signals);
    pages->has_thread = !pthread_create(&pages->thread, NULL, collapse_thread, pages);
    thread_restore_signals(&signals);
    if (pages->has_thread) {
        pthread_setname_np(pages->thread, "huge-pages");
    }
    return pages;
}

void huge_pages_free(struct huge_pages *pages)
{
    if (!pages) {
        return;
    }
    if (pages->has_thread) {
        pthread_mutex_lock(&pages->lock);
        pages->quit = true;
        pthread_cond_signal(&pages->changed);
        pthread_mutex_unlock(&pages->lock);
        pthread_join(pages->thread, NULL);
    }
    g_queue_clear(&pages->asked);
    pthread_mutex_destroy(&pages->lock);
    pthread_cond_destroy(&pages->changed);
    g_free(pages);
}

static void ask(struct huge_pages *pages, uintptr_t range)
{
    pthread_mutex_lock(&pages->lock);
    if (g_queue_get_length(&pages->asked) < MAX_OUTSTANDING) {
        g_queue_push_tail(&pages->asked, (void *)(range << HUGE_SHIFT));
        pthread_cond_signal(&pages->changed);
    }
    pthread_mutex_unlock(&pages->lock);
}

void huge_pages_note_fill(struct huge_pages *pages, const uint8_t *host)
{
    uintptr_t range = (uintptr_t)host >> HUGE_SHIFT;
    uint16_t *count = &pages->counts[range % COUNTERS];
    unsigned now = __atomic_load_n(count, __ATOMIC_RELAXED);

    /* Once per range: what the kernel refuses now it will refuse again. */
    if (now <= FILLS_TO_ASK) {
        __atomic_store_n(count, (uint16_t)(now + 1), __ATOMIC_RELAXED);
        if (now == FILLS_TO_ASK) {
            ask(pages, range);
        }
    }
}
