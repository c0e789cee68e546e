/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two turns of a block, and what is undone between them. */
#include "tcg/lockstep.h"
#include "tcg/access.h"
#include "tcg/blocks.h"
#include "tcg/jit.h"
#include "tcg/tlb.h"

/* A difference counts when it comes so many times: devices write guest memory meanwhile, and
 * translated code may leave a block earlier than at its end. */
#define ATTEMPTS 4

/* Where a turn of the interpreter ends, if not at an address: */
#define AT_END    UINT64_MAX       /* of the block, whatever handlers ask for */
#define AT_BORDER (UINT64_MAX - 1) /* or where a handler asks for a border */

enum outcome { COMPLETED, FAULTED, REFUSED };

enum verdict { SAME, DIFFERENT, ONCE };

struct lockstep *lockstep_new(void)
{
    struct lockstep *lockstep = NULL;

    if (posix_memalign((void **)&lockstep, _Alignof(struct lockstep), sizeof(*lockstep))) {
        g_error("no memory for lockstep");
    }
    memset(lockstep, 0, sizeof(*lockstep));
    lockstep->stores = g_array_new(false, false, sizeof(struct lockstep_store));
    lockstep->bytes = g_byte_array_new();
    lockstep->fills = g_array_new(false, false, sizeof(uint32_t));
    return lockstep;
}

void lockstep_free(struct lockstep *lockstep)
{
    if (lockstep) {
        g_array_free(lockstep->stores, true);
        g_byte_array_free(lockstep->bytes, true);
        g_array_free(lockstep->fills, true);
        g_free(lockstep->difference);
        free(lockstep);
    }
}

/* --- What a turn did beside struct cpu --- */

void lockstep_note_store(struct lockstep *lockstep, uint8_t *host, unsigned length)
{
    struct lockstep_store store = {host, length, lockstep->bytes->len};

    g_byte_array_append(lockstep->bytes, host, length);
    g_byte_array_append(lockstep->bytes, host, length); /* room */
    g_array_append_val(lockstep->stores, store);
}

void lockstep_note_fill(struct lockstep *lockstep, uint32_t entry)
{
    g_array_append_val(lockstep->fills, entry);
}

static void forget_notes(struct lockstep *lockstep)
{
    g_array_set_size(lockstep->stores, 0);
    g_byte_array_set_size(lockstep->bytes, 0);
    g_array_set_size(lockstep->fills, 0);
}

static void keep_stored(struct lockstep *lockstep)
{
    for (unsigned i = 0; i < lockstep->stores->len; i++) {
        const struct lockstep_store *store =
            &g_array_index(lockstep->stores, struct lockstep_store, i);

        memcpy(lockstep->bytes->data + store->bytes + store->length, store->host, store->length);
    }
}

/* Undo the stores, and what page walks did: the next turn meets the same memory, and walks anew. */
static void undo(const struct cpu *cpu)
{
    const struct lockstep *lockstep = cpu->lockstep;

    for (unsigned i = lockstep->stores->len; i-- > 0;) {
        const struct lockstep_store *store =
            &g_array_index(lockstep->stores, struct lockstep_store, i);

        memcpy(store->host, lockstep->bytes->data + store->bytes, store->length);
    }
    for (unsigned i = 0; i < lockstep->fills->len; i++) {
        tlb_drop(cpu->tlb, g_array_index(lockstep->fills, uint32_t, i));
    }
}

/* As before the block. Whoever asked for the CPU meanwhile is heard: exit_request stays set, so
 * that translated code is left at its end. */
static void restore(struct cpu *cpu)
{
    *cpu = cpu->lockstep->before;
    __atomic_store_n(&cpu->exit_request, 1, __ATOMIC_SEQ_CST);
}

static void save(struct cpu *cpu)
{
    struct lockstep *lockstep = cpu->lockstep;

    cpu->unwind = &lockstep->unwind;
    cpu->write_probe = lockstep->probes;
    lockstep->before = *cpu;
    __atomic_store_n(&cpu->exit_request, 1, __ATOMIC_SEQ_CST);
}

/* --- The two turns --- */

_Noreturn void lockstep_refuse(struct cpu *cpu)
{
    cpu->lockstep->refused = true;
    longjmp(*cpu->unwind, 1);
}

/* Interpret the block's instructions, as far as control goes from each to the next. */
static void interpret(struct cpu *cpu, const struct translation *translation, uint64_t stop)
{
    uint64_t start = cpu->rip, end = start + translation->length, next = start;

    do {
        const struct block *block = block_lookup(cpu);

        for (unsigned i = 0; i < block->count && cpu->rip == next && next < end; i++) {
            const struct insn *insn = &block->instructions[i];

            /* As at the border that the run loop has after STI. */
            cpu->interrupt_shadow = cpu->debug_shadow = cpu->exit_block = false;
            cpu->current = insn;
            cpu->rip += insn->length;
            next = cpu->rip;
            insn->execute(cpu, insn);
            cpu->lockstep->count++;
            if (stop == AT_BORDER ? cpu->exit_block : cpu->rip == stop) {
                return;
            }
        }
    } while (cpu->rip == next && next < end);
}

static enum outcome end_turn(struct cpu *cpu)
{
    if (cpu->holds_machine_lock) {
        cpu_locked_end(cpu);
    }
    return cpu->lockstep->refused ? REFUSED : FAULTED;
}

static enum outcome interpreter_turn(struct cpu *cpu, const struct translation *translation,
                                     uint64_t stop)
{
    struct lockstep *lockstep = cpu->lockstep;

    forget_notes(lockstep);
    lockstep->count = 0;
    lockstep->refused = false;
    cpu->trial = lockstep;
    cpu_update_data_tables(cpu);
    if (_setjmp(lockstep->unwind)) {
        return end_turn(cpu);
    }
    interpret(cpu, translation, stop);
    return COMPLETED;
}

static enum outcome translator_turn(struct cpu *cpu, const struct translation *translation)
{
    if (_setjmp(cpu->lockstep->unwind)) {
        return end_turn(cpu);
    }
    jit_enter(cpu, translation->code);
    return COMPLETED;
}

/* On SAME the CPU and memory are as the translated code left them; on ONCE as before it. */
static enum verdict attempt(struct cpu *cpu, const struct translation *translation, uint64_t stop,
                            enum outcome *outcome)
{
    struct lockstep *lockstep = cpu->lockstep;
    enum outcome interpreter;

    interpreter = interpreter_turn(cpu, translation, stop);
    lockstep->interpreted = *cpu;
    keep_stored(lockstep);
    undo(cpu);
    restore(cpu);
    if (interpreter == REFUSED || __atomic_load_n(&translation->dead, __ATOMIC_SEQ_CST)) {
        return ONCE;
    }
    *outcome = translator_turn(cpu, translation);
    return *outcome != interpreter || lockstep_differs(cpu, translation, NULL) ? DIFFERENT : SAME;
}

static enum verdict take_turns(struct cpu *cpu, const struct translation *translation,
                               enum outcome *outcome)
{
    enum verdict verdict = ONCE;
    uint64_t stop = AT_END;

    for (unsigned i = 0; i < ATTEMPTS; i++) {
        verdict = attempt(cpu, translation, stop, outcome);
        if (verdict != DIFFERENT || lockstep_find_stray(cpu)) {
            break;
        }
        if (i < ATTEMPTS - 1) {
            cpu->lockstep->again++;
            /* If it left early, then where it left. What it wrote till then is among the stores. */
            stop = cpu->rip;
            undo(cpu);
            restore(cpu);
        }
    }
    return verdict;
}

/* --- Running --- */

/* Faults of the fetch are raised as the interpreter's are. NULL: leave the code to it. */
static struct translation *find_translation(struct cpu *cpu)
{
    static const struct insn no_insn;
    enum jit_context context = jit_context(cpu);
    const struct tlb_fetch_entry *fetch;
    struct translation *translation;

    if (context == JIT_INTERPRET || !cpu_is_canonical(cpu->rip)) {
        return NULL;
    }
    cpu->current = &no_insn;
    fetch = tlb_lookup_fetch(cpu, cpu->rip);
    if (!fetch->host) {
        return NULL;
    }
    translation = jit_find(cpu->jit, fetch->host + (cpu->rip & ~PAGE_MASK), context);
    return translation ? translation : jit_translate(cpu, context);
}

bool lockstep_run(struct cpu *cpu)
{
    struct translation *translation = find_translation(cpu);
    struct lockstep *lockstep = cpu->lockstep;
    jmp_buf *unwind = cpu->unwind;
    enum outcome outcome = COMPLETED;
    enum verdict verdict = ONCE;

    if (cpu->exit_block || lockstep->difference) {
        return true;
    }
    if (!translation) {
        return false;
    }
    cpu->blocks->current = NULL;
    if (!translation->unrepeatable) {
        save(cpu);
        verdict = take_turns(cpu, translation, &outcome);
    }
    cpu->unwind = unwind;
    cpu->blocks->current = NULL;
    if (verdict == ONCE) {
        lockstep->once++;
        interpret(cpu, translation, AT_BORDER);
        return true;
    }
    lockstep->compared++;
    cpu->instructions += lockstep->count;
    if (verdict == DIFFERENT) {
        lockstep_report(cpu, translation);
    } else if (outcome == FAULTED) {
        longjmp(*unwind, 1);
    }
    return true;
}
