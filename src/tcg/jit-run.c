/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running translated code: look up, enter, see by which exit it left, again. */
#include "tcg/access.h"
#include "tcg/blocks.h"
#include "tcg/lockstep.h"
#include "tcg/translate.h"

#if JIT_SUPPORTED
#include <asm/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* Code is translated when it is come to for the n-th time without a translation. */
#define HOT_COUNT  2
#define COLD_COUNT 128 /* not until the counter of 8 bits has wrapped */

void jit_attach_thread(struct cpu *cpu)
{
#if JIT_SUPPORTED
    uint32_t mxcsr;

    syscall(SYS_arch_prctl, ARCH_SET_GS, (unsigned long)cpu);
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    cpu->host_mxcsr = mxcsr;
#else
    g_assert_not_reached();
#endif
}

enum jit_context jit_context(const struct cpu *cpu)
{
    const struct tlb *tlb = cpu->tlb;

    if (cpu->mode != CPU_MODE_64 || (cpu->cpl != 0 && cpu->cpl != 3)) {
        return JIT_INTERPRET;
    }
    if (cpu->data_table[cpu->cpl] == tlb->data[TLB_USER]) {
        return JIT_USER;
    }
    if (cpu->data_table[cpu->cpl] == tlb->data[TLB_SUPERVISOR]) {
        return JIT_SUPERVISOR;
    }
    return cpu->data_table[cpu->cpl] == tlb->data[TLB_SUPERVISOR_SMAP] ? JIT_SUPERVISOR_SMAP
                                                                       : JIT_INTERPRET;
}

static uint8_t *hot_count(struct jit *jit, const uint8_t *host)
{
    return &jit->hot[((uintptr_t)host * 0x9e3779b97f4a7c15u) >> 48];
}

static bool is_hot(struct jit *jit, const uint8_t *host)
{
    uint8_t *count = hot_count(jit, host), now = __atomic_load_n(count, __ATOMIC_RELAXED) + 1;

    __atomic_store_n(count, now, __ATOMIC_RELAXED);
    return now >= HOT_COUNT && now < COLD_COUNT;
}

/* It can't be translated (now): it need not be tried again soon. */
static void make_cold(struct jit *jit, const uint8_t *host)
{
    __atomic_store_n(hot_count(jit, host), COLD_COUNT, __ATOMIC_RELAXED);
}

/* Raises what the fetch raises. */
static const uint8_t *look_up_slow(struct cpu *cpu, enum jit_context context)
{
    static const struct insn no_insn;
    const struct tlb_fetch_entry *fetch;
    struct translation *translation;
    const uint8_t *host;

    cpu->current = &no_insn;
    cpu->jit_looked_up++;
    if (!cpu_is_canonical(cpu->rip)) {
        cpu_raise_error(cpu, EXCEPTION_GP, 0);
    }
    fetch = tlb_lookup_fetch(cpu, cpu->rip);
    if (!fetch->host) {
        return NULL;
    }
    host = fetch->host + (cpu->rip & ~PAGE_MASK);
    translation = jit_find(cpu->jit, host, context);
    if (!translation && is_hot(cpu->jit, host)) {
        translation = jit_translate(cpu, context);
        if (!translation) {
            make_cold(cpu->jit, host);
        }
    }
    if (!translation) {
        cpu->jit_missed++;
        return NULL;
    }
    if (fetch->tag != (cpu->rip & PAGE_MASK)) {
        return NULL; /* the memory map has changed meanwhile */
    }
    tlb_enter_jump(cpu->tlb, context, cpu->rip, translation->code, fetch->global);
    return translation->code;
}

static const uint8_t *look_up(struct cpu *cpu, enum jit_context context)
{
    const struct jump_entry *entry = &cpu->tlb->jumps[context][jump_index(cpu->rip)];

    return entry->linear == cpu->rip ? entry->code : look_up_slow(cpu, context);
}

/* The exit's target is translated: let it go there by itself from now on. */
static void patch(struct cpu *cpu, struct jit_exit *exit, const uint8_t *code)
{
    struct jit *jit = cpu->jit;
    const struct tlb_fetch_entry *fetch = tlb_lookup_fetch(cpu, cpu->rip);
    uint8_t *target = (uint8_t *)code - (jit->cache.executable - jit->cache.writable);

    if (fetch->host == exit->host_page) {
        int32_t distance = (int32_t)(target - (exit->place + 4));

        __atomic_store_n((int32_t *)exit->place, distance, __ATOMIC_RELEASE);
    }
}

/* An indirect jump went to an address that is not canonical: the fault is the jump's. */
G_GNUC_NORETURN static void raise_jump_fault(struct cpu *cpu)
{
    static const struct insn no_insn;

    cpu->gpr[X86_RSP] += (uint64_t)(int64_t)(int16_t)(cpu->jump_fix >> 16);
    cpu->rip = cpu->page_linear + (cpu->jump_fix & 0xffff);
    cpu->current = &no_insn;
    cpu_raise_error(cpu, EXCEPTION_GP, 0);
}

static bool must_return(const struct cpu *cpu)
{
    return cpu->exit_block || __atomic_load_n(&cpu->exit_request, __ATOMIC_RELAXED);
}

struct jit_exit *jit_enter(struct cpu *cpu, const uint8_t *code)
{
    struct jit_exit *exit;

    cpu->page_linear = cpu->rip & PAGE_MASK;
    cpu->code_window_length = 0;
    cpu->jump_fix = 0;
    cpu->jit_entered++;
    exit = cpu->jit->stubs.enter(code);
    if (cpu->jump_fix && !cpu_is_canonical(cpu->rip)) {
        raise_jump_fault(cpu);
    }
    return exit;
}

bool jit_run_block(struct cpu *cpu)
{
    enum jit_context context = jit_context(cpu);
    struct translation *translation = context == JIT_INTERPRET ? NULL : jit_translate(cpu, context);

    if (translation) {
        jit_enter(cpu, translation->code);
    }
    return translation;
}

bool jit_run(struct cpu *cpu)
{
    struct jit_exit *exit = NULL;
    unsigned generation = cpu->jit->cache.generation;
    bool ran = false;

    if (cpu->lockstep) {
        return lockstep_run(cpu);
    }
    for (;;) {
        enum jit_context context = jit_context(cpu);
        const uint8_t *code = context == JIT_INTERPRET ? NULL : look_up(cpu, context);

        if (!code || must_return(cpu)) {
            return ran || must_return(cpu);
        }
        if (exit && exit != JIT_STALE && generation == cpu->jit->cache.generation) {
            patch(cpu, exit, code);
        }
        generation = cpu->jit->cache.generation;
        cpu->blocks->current = NULL;
        exit = jit_enter(cpu, code);
        ran = true;
        if (exit == JIT_STALE) {
            tlb_clear_jump(cpu->tlb, context * JUMP_ENTRIES + jump_index(cpu->rip));
        }
        if (must_return(cpu)) {
            return true;
        }
    }
}
