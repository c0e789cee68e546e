/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Write tracking of the pages that translations were made from, and what a write does to them. */
#include "tcg/jit.h"
#include "memory/ram-block.h"
#include "tcg/access.h"

#include <string.h>

#define CHUNK_SHIFT 6 /* struct code_page.chunks: 64 bytes each */

/* After so many stores beside its translations a page is emptied, and may be written at full speed
 * until it is translated again; each time twice as many. */
#define STORES_TO_EMPTY   32
#define MAX_EMPTIED_SHIFT 16

static struct code_page **page_bucket(struct jit *jit, const uint8_t *host)
{
    return &jit->pages[(uintptr_t)host >> PAGE_BITS & (G_N_ELEMENTS(jit->pages) - 1)];
}

static struct code_page *find_page(struct jit *jit, const uint8_t *host)
{
    struct code_page *page = *page_bucket(jit, host);

    while (page && page->host != host) {
        page = page->next;
    }
    return page;
}

static const uint8_t *page_of(const uint8_t *host)
{
    return (const uint8_t *)((uintptr_t)host & PAGE_MASK);
}

static uint64_t chunks_of(unsigned offset, unsigned length)
{
    unsigned first = offset >> CHUNK_SHIFT, last = (offset + length - 1) >> CHUNK_SHIFT;

    return (~0ull >> (63 - last)) & (~0ull << first);
}

void jit_track_page(struct jit *jit, struct cpu *self, const uint8_t *host_page)
{
    struct code_page *page = find_page(jit, host_page);
    unsigned number = jit_page_number(host_page);

    if (!page) {
        page = g_new0(struct code_page, 1);
        page->host = host_page;
        page->next = *page_bucket(jit, host_page);
        *page_bucket(jit, host_page) = page;
    }
    if (page->live) {
        return;
    }
    __atomic_fetch_add(&jit->page_counts[number], 1, __ATOMIC_SEQ_CST);
    page->stores = 0;
    if (!__atomic_exchange_n(&jit->page_written[number], 0, __ATOMIC_SEQ_CST)) {
        return;
    }
    /* With others about, they must not be between a look at a tag and the store. */
    if (jit->vcpu_count > 1) {
        jit_stop_vcpus(jit, self);
    }
    for (unsigned i = 0; i < jit->vcpu_count; i++) {
        tlb_protect_page(jit->vcpus[i]->tlb, host_page);
    }
    if (jit->vcpu_count > 1) {
        jit_resume_vcpus(jit);
    }
}

/* The page has no live translation any more, or nothing came of the one for which it was tracked.
 */
static void untrack_page(struct jit *jit, struct code_page *page)
{
    page->chunks = 0;
    __atomic_fetch_sub(&jit->page_counts[jit_page_number(page->host)], 1, __ATOMIC_SEQ_CST);
}

void jit_untrack_if_unused(struct jit *jit, const uint8_t *host_page)
{
    struct code_page *page = find_page(jit, host_page);

    if (page && !page->live) {
        untrack_page(jit, page);
    }
}

/* Replace the first 8 bytes of a translation's code by a jump: others may be executing them, which
 * is why all 5 bytes that change are one NOP (translate.c). */
static void redirect(struct jit *jit, const struct translation *translation, const uint8_t *target)
{
    uint64_t *writable =
        (uint64_t *)(translation->code - (jit->cache.executable - jit->cache.writable));
    uint32_t distance = (uint32_t)(target - (translation->code + 5));
    uint64_t old = __atomic_load_n(writable, __ATOMIC_RELAXED);
    uint64_t jump = (old & ~0xffffffffffull) | (uint64_t)distance << 8 | 0xe9;

    __atomic_store_n(writable, jump, __ATOMIC_SEQ_CST);
}

void jit_add_translation(struct jit *jit, struct translation *translation)
{
    struct code_page *page = find_page(jit, page_of(translation->host));
    unsigned offset = (uintptr_t)translation->host & ~PAGE_MASK;

    for (struct translation **link = &page->dead, *old; (old = *link);) {
        if (old->host == translation->host && old->context == translation->context) {
            redirect(jit, old, translation->code);
            *link = old->page_next;
        } else {
            link = &old->page_next;
        }
    }
    page->chunks |= chunks_of(offset, translation->length);
    translation->page_next = page->live;
    page->live = translation;
    jit_publish(jit, translation);
}

static void kill_translation(struct jit *jit, struct translation *translation)
{
    __atomic_store_n(&translation->dead, true, __ATOMIC_SEQ_CST);
    jit_unpublish(jit, translation);
    redirect(jit, translation, translation->leave);
    jit->invalidated++;
}

/* Invalidate what lies in length bytes from offset. jit->lock is held. */
static bool invalidate_range(struct jit *jit, struct code_page *page, unsigned offset,
                             unsigned length)
{
    bool any = false;
    uint64_t chunks = 0;

    for (struct translation **link = &page->live, *translation; (translation = *link);) {
        unsigned start = (uintptr_t)translation->host & ~PAGE_MASK;

        if (start < offset + length && offset < start + translation->length) {
            kill_translation(jit, translation);
            *link = translation->page_next;
            translation->page_next = page->dead;
            page->dead = translation;
            any = true;
        } else {
            chunks |= chunks_of(start, translation->length);
            link = &translation->page_next;
        }
    }
    page->chunks = chunks;
    if (any && !page->live) {
        untrack_page(jit, page);
    }
    return any;
}

/* A store beside the translations. Too many are slow. */
static void count_store(struct jit *jit, struct code_page *page)
{
    if (++page->stores >= (unsigned)STORES_TO_EMPTY << MIN(page->emptied, MAX_EMPTIED_SHIFT)) {
        page->emptied++;
        invalidate_range(jit, page, 0, PAGE_SIZE_4K);
    }
}

static bool page_written(struct jit *jit, const uint8_t *host, unsigned length)
{
    unsigned offset = (uintptr_t)host & ~PAGE_MASK;
    struct code_page *page;
    bool any = false;

    pthread_mutex_lock(&jit->lock);
    page = find_page(jit, page_of(host));
    if (page && page->live) {
        if (page->chunks & chunks_of(offset, length)) {
            any = invalidate_range(jit, page, offset, length);
        }
        if (!any) {
            count_store(jit, page);
        }
    }
    pthread_mutex_unlock(&jit->lock);
    return any;
}

void jit_note_store(struct cpu *cpu, const uint8_t *host, unsigned length)
{
    if (jit_page_has_code(cpu->jit, host) && page_written(cpu->jit, host, length)) {
        /* It may have been the block that runs. */
        cpu->exit_block = true;
    }
}

void jit_memory_written(struct jit *jit, const uint8_t *host, uint64_t length)
{
    while (length) {
        uint64_t piece = MIN(length, PAGE_SIZE_4K - ((uintptr_t)host & ~PAGE_MASK));

        if (jit_page_has_code(jit, host)) {
            page_written(jit, host, (unsigned)piece);
        }
        host += piece;
        length -= piece;
    }
}

uint32_t jit_checksum(const uint8_t *code, unsigned length)
{
    const uint64_t factor = 0x9e3779b97f4a7c15u;
    uint64_t sum = length, word;

    for (; length >= 8; code += 8, length -= 8) {
        memcpy(&word, code, 8);
        sum = (sum ^ word) * factor;
        sum ^= sum >> 32;
    }
    word = 0;
    memcpy(&word, code, length);
    sum = (sum ^ word) * factor;
    return (uint32_t)(sum >> 32);
}

void jit_check_page(struct jit *jit, const uint8_t *host_page)
{
    struct code_page *page;
    bool agrees = true;

    if (!jit_page_has_code(jit, host_page)) {
        return;
    }
    pthread_mutex_lock(&jit->lock);
    page = find_page(jit, host_page);
    for (const struct translation *t = page ? page->live : NULL; t && agrees; t = t->page_next) {
        agrees = t->checksum == jit_checksum(t->host, t->length);
    }
    if (!agrees) { /* all of it is something else, as a rule */
        invalidate_range(jit, page, 0, PAGE_SIZE_4K);
    }
    pthread_mutex_unlock(&jit->lock);
}

void jit_forget_pages(struct jit *jit)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(jit->pages); i++) {
        while (jit->pages[i]) {
            struct code_page *page = jit->pages[i];

            jit->pages[i] = page->next;
            if (page->live) {
                untrack_page(jit, page);
            }
            g_free(page);
        }
    }
}
