/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tcg/translate.h"
#include "memory/ram-block.h"
#include "tcg/access.h"
#include "tcg/avx.h"
#include "tcg/tcg.h"
#include "util/error.h"

#include <sys/mman.h>
#include <unistd.h>

static void *map_zeroed(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static void unwatch(gpointer block)
{
    ram_block_watch(block, NULL, NULL);
    ram_block_unref(block);
}

struct jit *jit_new(int32_t tlb_offset, GError **error)
{
    struct jit *jit;

    if (!JIT_SUPPORTED) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                   "the translator writes x86-64 code, which this host does not execute; -accel "
                   "tcg,interpreter=on does without");
        return NULL;
    }
    jit = g_new0(struct jit, 1);
    jit->tlb_offset = tlb_offset;
    jit->block_limit = TRANSLATE_MAX_INSNS;
    jit->translator = g_new0(struct translator, 1);
    jit->rows = translate_rows_new();
    host_features_get(&jit->host_features);
    jit->watched = g_ptr_array_new_with_free_func(unwatch);
    pthread_mutex_init(&jit->lock, NULL);
    pthread_cond_init(&jit->changed, NULL);
    if (!code_cache_init(&jit->cache, JIT_CODE_BYTES, error)) {
        jit_free(jit);
        return NULL;
    }
    /* Touched as they fill. */
    jit->insns = map_zeroed(JIT_INSN_BYTES);
    jit->page_counts = map_zeroed(1u << JIT_PAGE_COUNT_BITS);
    jit->page_written = map_zeroed(1u << JIT_PAGE_COUNT_BITS);
    if (!jit->insns || !jit->page_counts || !jit->page_written || !jit_make_stubs(jit)) {
        duodm_fail(error, DUODM_ERROR_NO_MEMORY, "no address space for the translator");
        jit_free(jit);
        return NULL;
    }
    code_cache_keep(&jit->cache);
    return jit;
}

void jit_free(struct jit *jit)
{
    g_ptr_array_free(jit->watched, true);
    jit_forget_pages(jit);
    if (jit->perf_file) {
        fclose(jit->perf_file);
    }
    if (jit->insns) {
        munmap(jit->insns, JIT_INSN_BYTES);
    }
    if (jit->page_counts) {
        munmap(jit->page_counts, 1u << JIT_PAGE_COUNT_BITS);
    }
    if (jit->page_written) {
        munmap(jit->page_written, 1u << JIT_PAGE_COUNT_BITS);
    }
    code_cache_destroy(&jit->cache);
    g_free(jit->translator);
    g_free(jit->rows);
    pthread_mutex_destroy(&jit->lock);
    pthread_cond_destroy(&jit->changed);
    g_free(jit);
}

void jit_open_perf_map(struct jit *jit)
{
    g_autofree char *name = g_strdup_printf("/tmp/perf-%d.map", getpid());

    jit->perf_file = fopen(name, "we");
}

void jit_add_vcpu(struct jit *jit, struct cpu *cpu)
{
    pthread_mutex_lock(&jit->lock);
    g_assert(jit->vcpu_count < JIT_MAX_VCPUS);
    g_assert((uint8_t *)cpu->tlb - (uint8_t *)cpu == jit->tlb_offset);
    jit->vcpus[jit->vcpu_count++] = cpu;
    cpu->self = cpu;
    cpu->jit = jit;
    pthread_mutex_unlock(&jit->lock);
}

/* --- Stopping --- */

void jit_begin_running(struct cpu *cpu)
{
    struct jit *jit = cpu->jit;

    pthread_mutex_lock(&jit->lock);
    while (jit->stopping) {
        pthread_cond_wait(&jit->changed, &jit->lock);
    }
    jit->running++;
    pthread_mutex_unlock(&jit->lock);
}

void jit_end_running(struct cpu *cpu)
{
    struct jit *jit = cpu->jit;

    pthread_mutex_lock(&jit->lock);
    jit->running--;
    pthread_cond_broadcast(&jit->changed);
    pthread_mutex_unlock(&jit->lock);
}

/* jit->lock is held. */
static void wait_while_stopped(struct jit *jit)
{
    jit->stopped++;
    pthread_cond_broadcast(&jit->changed);
    while (jit->stopping) {
        pthread_cond_wait(&jit->changed, &jit->lock);
    }
    jit->stopped--;
}

/* While it waits for others a vCPU must not hold back RCU's writers: one of those others may be
 * such a writer, and come to its border only after that. */
static void begin_waiting(void)
{
    memory_rcu_read_unlock();
}

static void end_waiting(struct cpu *cpu)
{
    memory_rcu_read_lock();
    tlb_check_generation(cpu);
}

void jit_stop_if_asked(struct cpu *cpu)
{
    struct jit *jit = cpu->jit;

    if (__atomic_load_n(&jit->stopping, __ATOMIC_RELAXED)) {
        begin_waiting();
        pthread_mutex_lock(&jit->lock);
        if (jit->stopping) {
            wait_while_stopped(jit);
        }
        pthread_mutex_unlock(&jit->lock);
        end_waiting(cpu);
    }
}

void jit_stop_vcpus(struct jit *jit, struct cpu *self)
{
    begin_waiting();
    while (jit->stopping) {
        wait_while_stopped(jit);
    }
    __atomic_store_n(&jit->stopping, true, __ATOMIC_SEQ_CST);
    jit->stops++;
    for (unsigned i = 0; i < jit->vcpu_count; i++) {
        if (jit->vcpus[i] != self) {
            __atomic_store_n(&jit->vcpus[i]->exit_request, 1, __ATOMIC_SEQ_CST);
        }
    }
    jit->stopped++;
    while (jit->stopped < jit->running) {
        pthread_cond_wait(&jit->changed, &jit->lock);
    }
    jit->stopped--;
    end_waiting(self);
}

void jit_resume_vcpus(struct jit *jit)
{
    __atomic_store_n(&jit->stopping, false, __ATOMIC_SEQ_CST);
    pthread_cond_broadcast(&jit->changed);
}

/* --- Translations --- */

static unsigned bucket_of(const uint8_t *host, enum jit_context context)
{
    uint64_t hash = ((uintptr_t)host ^ (uint64_t)context << 60) * 0x9e3779b97f4a7c15u;

    return hash >> (64 - JIT_HASH_BITS);
}

struct translation *jit_find(struct jit *jit, const uint8_t *host, enum jit_context context)
{
    struct translation *translation =
        __atomic_load_n(&jit->buckets[bucket_of(host, context)], __ATOMIC_ACQUIRE);

    while (translation && (translation->host != host || translation->context != context ||
                           __atomic_load_n(&translation->dead, __ATOMIC_RELAXED))) {
        translation = __atomic_load_n(&translation->next, __ATOMIC_ACQUIRE);
    }
    return translation;
}

void *jit_allocate(struct jit *jit, size_t size)
{
    uint8_t *room = jit->insns + jit->insns_used;

    size = (size + 15) & ~(size_t)15;
    if (jit->insns_used + size > JIT_INSN_BYTES) {
        return NULL;
    }
    jit->insns_used += size;
    return room;
}

void jit_publish(struct jit *jit, struct translation *translation)
{
    struct translation **bucket = &jit->buckets[bucket_of(translation->host, translation->context)];

    translation->next = *bucket;
    __atomic_store_n(bucket, translation, __ATOMIC_RELEASE);
}

void jit_unpublish(struct jit *jit, struct translation *translation)
{
    struct translation **link = &jit->buckets[bucket_of(translation->host, translation->context)];

    while (*link && *link != translation) {
        link = &(*link)->next;
    }
    if (*link) {
        /* A reader that stands on it goes on by its `next`. */
        __atomic_store_n(link, translation->next, __ATOMIC_RELEASE);
    }
}

void jit_flush(struct jit *jit)
{
    jit_forget_pages(jit);
    memset(jit->buckets, 0, sizeof(jit->buckets));
    jit->insns_used = 0;
    code_cache_flush(&jit->cache);
    for (unsigned i = 0; i < jit->vcpu_count; i++) {
        tlb_flush_jumps(jit->vcpus[i]->tlb);
        jit->vcpus[i]->exit_block = true;
    }
    jit->flushes++;
}
