/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The translator of one machine: its translations, shared by all vCPUs, and what is known of the
 * pages that they were made from.
 *
 * A translation is found by the host address of its first byte (one page of guest RAM, however it
 * is mapped) and the context it was made for. Looking up takes no lock. Translating, invalidating
 * and flushing take jit->lock. Nothing is freed but by a flush, with all vCPUs stopped.
 *
 * Invalidation puts a jump at the start of the translation, to code that leaves for the run loop:
 * whoever was to jump there, on any vCPU, now finds that out. (A vCPU inside goes on to the end of
 * the block, as a processor may until it serialises.) Once there is a new translation at that
 * place, the old one's first jump is led there.
 *
 * Pages with translations are write-tracked: no TLB has a fast write tag for them (tlb.h). Writes
 * by passed-through devices, and by processes that share the memory, are seen by nobody: where
 * there are such (ram_block_has_silent_writers) translations are compared with memory whenever
 * their page comes into a TLB for execution.
 */
#ifndef DUODM_TCG_JIT_H
#define DUODM_TCG_JIT_H

#include "tcg/code-cache.h"
#include "tcg/insn.h"
#include "tcg/tlb.h"

#include <pthread.h>
#include <stdio.h>

/* 1: this host can run what the translator writes. 0 (also by -DJIT_SUPPORTED=0): the interpreter
 * executes all, and jit_new fails. */
#ifndef JIT_SUPPORTED
#ifdef __x86_64__
#define JIT_SUPPORTED 1
#else
#define JIT_SUPPORTED 0
#endif
#endif

#define JIT_CODE_BYTES      (64u << 20)
#define JIT_INSN_BYTES      (64u << 20)
#define JIT_HASH_BITS       16
#define JIT_PAGE_COUNT_BITS 22
#define JIT_MAX_VCPUS       256

/* What a block is translated for, besides its bytes: index of the jump caches too. 32-bit code is
 * translated where its segments are flat: CS, SS, DS and ES from 0 to 4 GiB, the stack 32 bits. */
enum jit_context {
    JIT_SUPERVISOR,             /* 64-bit, CPL 0, class TLB_SUPERVISOR */
    JIT_USER,                   /* 64-bit, CPL 3 */
    JIT_SUPERVISOR_SMAP,        /* 64-bit, CPL 0, class TLB_SUPERVISOR_SMAP */
    JIT_32,                     /* the same three for 32-bit code begin here */
    JIT_INTERPRET = 2 * JIT_32, /* none: the interpreter does it */
};
_Static_assert((int)JIT_INTERPRET == JUMP_CONTEXTS, "a jump cache for each context");

struct translation {
    struct translation *next;      /* in its bucket */
    struct translation *page_next; /* of the same page */
    const uint8_t *host;           /* guest code */
    const uint8_t *code;           /* executable; its first 8 bytes can be replaced at once */
    const uint8_t *leave;          /* executable: leaves for the run loop with rip at the start */
    uint32_t checksum;             /* of the guest code: jit_checksum */
    uint16_t length;               /* bytes of guest code, in one page */
    uint8_t context;               /* enum jit_context */
    bool dead;                     /* atomic */
    bool unrepeatable;             /* lockstep: it is not to be executed twice */
};

/* A page of guest RAM that has or had translations. */
struct code_page {
    const uint8_t *host;
    struct translation *live, *dead; /* by page_next */
    struct code_page *next;          /* in its bucket */
    uint64_t chunks;                 /* 64-byte pieces that live translations touch */
    unsigned stores;                 /* into it since it was last emptied */
    unsigned emptied;                /* how often */
};

/* A direct jump in a translation that left for its target by the run loop so far. */
struct jit_exit {
    uint8_t *place;           /* of its 32-bit displacement, writable */
    const uint8_t *host_page; /* that it is in, and its target */
};

/* Instead of an exit: the translation entered was invalid, nothing was executed. */
#define JIT_STALE ((struct jit_exit *)1)

/* Entry points in the code cache that all blocks use (trampolines.c). */
struct jit_stubs {
    /* Run translated code; the exit by which it left, or NULL. */
    struct jit_exit *(*enter)(const uint8_t *code);
    const uint8_t *handler;            /* execute an insn by its handler, then go on */
    const uint8_t *handler_host_flags; /* likewise, with the status flags in the host's */
    const uint8_t *handler_vector;     /* likewise, the vector registers resident after it */
    const uint8_t *handler_vector_host_flags;
    const uint8_t *handler_leave;  /* execute an insn, then leave */
    const uint8_t *flags_explicit; /* make the lazy record FLAGS_EXPLICIT; all registers kept */
    const uint8_t *flags_to_host;  /* from any lazy record to the host's flags; S1 spoilt */
    const uint8_t *vector_load;    /* make the vector registers resident; ZF: it can't be */
    const uint8_t *x87_load;       /* the same for x87 */
    const uint8_t *leave_to;       /* leave for page_linear + S0; S1: struct jit_exit, or 0 */
    const uint8_t *leave_indirect; /* leave for S0; S1 as cpu->jump_fix */
};

struct translator;
struct translate_rows;

struct jit {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* stopping, stopped, running */
    bool stopping;          /* somebody wants all vCPUs stopped; atomic to read */
    unsigned running;       /* vCPUs that execute */
    unsigned stopped;       /* of them, that wait */
    struct cpu *vcpus[JIT_MAX_VCPUS];
    unsigned vcpu_count;
    unsigned block_limit; /* instructions in a block */
    bool lockstep;        /* what can't be executed twice gets blocks of its own */
    int32_t tlb_offset;   /* of each vCPU's struct tlb from its struct cpu */

    struct translator *translator;     /* for who holds the lock */
    struct cpu_features host_features; /* what this machine's processor executes */
    struct translate_rows *rows;
    struct code_cache cache;
    struct jit_stubs stubs;
    uint8_t hot[1u << 16]; /* how often code without translation was come to, hashed */
    uint8_t *insns;        /* copies for handlers to be called with, and struct translation */
    size_t insns_used;
    struct translation *buckets[1u << JIT_HASH_BITS];
    struct code_page *pages[1u << 12];
    uint8_t *page_counts;  /* by host page number: code_page records with live translations */
    uint8_t *page_written; /* likewise: some TLB may have a fast write tag for it */

    GPtrArray *watched; /* of struct ram_block: whose DMA writes we hear of, referenced */
    FILE *perf_file;    /* NULL: no perf map */
    uint64_t translated, invalidated, guest_bytes, flushes, stops; /* for `info jit` */
};

struct jit *jit_new(int32_t tlb_offset, GError **error);
void jit_free(struct jit *jit);
/* Write /tmp/perf-PID.map from here on. */
void jit_open_perf_map(struct jit *jit);
/* A vCPU that will run: its struct tlb is at jit->tlb_offset from it. Before it runs. */
void jit_add_vcpu(struct jit *jit, struct cpu *cpu);

/* Bracket a thread's running of cpu, its sleeps excepted. Wait while vCPUs are to be stopped. */
void jit_begin_running(struct cpu *cpu);
void jit_end_running(struct cpu *cpu);
/* At a border between instructions: stop if asked to. */
void jit_stop_if_asked(struct cpu *cpu);
/* jit->lock is held (and let go of meanwhile): stop all others, until jit_resume_vcpus. The caller
 * is at a border too. What it knows of the memory map may be out of date then, and its TLB empty.
 */
void jit_stop_vcpus(struct jit *jit, struct cpu *self);
void jit_resume_vcpus(struct jit *jit);

/* Run translated code from cpu->rip on, if there is some. False: nothing was done. True: look at
 * events and signals, and come again. Faults unwind by cpu->unwind. */
bool jit_run(struct cpu *cpu);
/* Translate the code at cpu->rip as a block, and run that alone: for tests. False: it can't be
 * translated. */
bool jit_run_block(struct cpu *cpu);
/* Run translated code once entered at cpu->rip: the exit by which it left, or NULL. */
struct jit_exit *jit_enter(struct cpu *cpu, const uint8_t *code);
/* The context that the CPU is in. */
enum jit_context jit_context(const struct cpu *cpu);

/* The live translation of the code at host, or NULL. */
struct translation *jit_find(struct jit *jit, const uint8_t *host, enum jit_context context);
/* Translate the code at cpu->rip: NULL if it can't be. */
struct translation *jit_translate(struct cpu *cpu, enum jit_context context);
/* Make jit_find find it, or not. jit->lock is held. */
void jit_publish(struct jit *jit, struct translation *translation);
void jit_unpublish(struct jit *jit, struct translation *translation);
/* Room in the arena, 16-byte aligned; NULL if full. jit->lock is held. */
void *jit_allocate(struct jit *jit, size_t size);
void jit_flush(struct jit *jit);

/* code-pages.c. Write tracking of the page must be on before its bytes are read for translation:
 * jit->lock is held. */
void jit_track_page(struct jit *jit, struct cpu *self, const uint8_t *host_page);
void jit_add_translation(struct jit *jit, struct translation *translation);
/* jit_track_page, but nothing came of it. */
void jit_untrack_if_unused(struct jit *jit, const uint8_t *host_page);
/* Guest memory was written by this vCPU, or by anyone. Any thread; jit->lock is not held. */
void jit_note_store(struct cpu *cpu, const uint8_t *host, unsigned length);
void jit_memory_written(struct jit *jit, const uint8_t *host, uint64_t length);
/* The page may have been written unseen: forget what does not agree with it. Any thread; jit->lock
 * is not held. */
void jit_check_page(struct jit *jit, const uint8_t *host_page);
uint32_t jit_checksum(const uint8_t *code, unsigned length);
void jit_forget_pages(struct jit *jit);
/* Make this vCPU's thread reach cpu by GS. */
void jit_attach_thread(struct cpu *cpu);
bool jit_make_stubs(struct jit *jit);

static inline unsigned jit_page_number(const uint8_t *host)
{
    return (uintptr_t)host >> PAGE_BITS & ((1u << JIT_PAGE_COUNT_BITS) - 1);
}

/* A TLB is to have a fast write tag for the page. */
static inline void jit_note_fast_write(struct jit *jit, const uint8_t *host)
{
    __atomic_store_n(&jit->page_written[jit_page_number(host)], 1, __ATOMIC_SEQ_CST);
}

static inline bool jit_page_has_code(struct jit *jit, const uint8_t *host)
{
    return __atomic_load_n(&jit->page_counts[jit_page_number(host)], __ATOMIC_SEQ_CST);
}

#endif
