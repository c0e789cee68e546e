/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compare [--seed S] [--cases N] [--sequences N] [--first N] [--only NAME] [--verbose] ...
 *
 * Runs N random instructions natively, in the interpreter and in the translator, spread evenly over
 * all rows of the opcode maps, then N random sequences, and compares. A case depends on the seed
 * and its number alone, so that --seed S --first N --cases 1 --sequences 0 repeats it. Exit status
 * 77 where the test can't run.
 */
#include "native.h"
#include "tcg/jit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BATCH             256
#define SEED_DEFAULT      20261126
#define CASES_DEFAULT     200000
#define SEQUENCES_DEFAULT 10000
#define TRIES_MAX         200 /* encodings that are not to be run */
#define FAULT_EVERY       6
#define EXIT_SKIPPED      77

/* A sanitizer fills so much of the address space with its shadow that wild addresses hit it: then
 * the engine runs alone, for what the sanitizer finds in it. */
#if defined(__has_feature)
#define SANITIZER_IN(name) __has_feature(name)
#else
#define SANITIZER_IN(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    SANITIZER_IN(address_sanitizer) || SANITIZER_IN(thread_sanitizer)
#define ENGINE_ALONE 1
#else
#define ENGINE_ALONE 0
#endif

struct options {
    gint64 seed, cases, sequences, first;
    gint mismatches;
    gchar *only;
    gboolean verbose, interpreter;
};

struct run {
    struct options options;
    GArray *rows;                 /* of struct native_row: the comparable ones */
    unsigned row_total;           /* in the maps */
    struct cpu_features features; /* that the host has too */
    bool with_32;                 /* the host runs 32-bit code */
    struct native_case *cases;
    unsigned *row_of; /* of each case in the batch */
    struct native_engine *interpreter;
    struct native_engine *translator, *sequencer; /* NULL: this host has none */
    struct native_outcome *outcomes;              /* of the interpreter, for sequences */
    uint64_t compared, faults, mismatches;
    uint64_t sequences, sequence_faults;
    uint64_t unsteady; /* differed once, agreed when repeated: the host's doing */
};

static bool generate(struct run *run, uint64_t number, unsigned slot)
{
    struct random random = {(uint64_t)run->options.seed * UINT64_C(0xd1342543de82ef95) + number};
    unsigned index = number % run->rows->len;
    struct native_case *c = &run->cases[slot];

    /* Each row in turn with an operand that is not there. */
    c->want_fault = number / run->rows->len % FAULT_EVERY == FAULT_EVERY - 1;
    for (unsigned i = 0; i < TRIES_MAX; i++) {
        if (native_generate(&random, &g_array_index(run->rows, struct native_row, index),
                            &run->features, run->with_32, c)) {
            c->number = number;
            run->row_of[slot] = index;
            return true;
        }
    }
    return false;
}

/* Does the case still differ when it runs natively once more? Interrupts that hypervisors deliver
 * at a bad moment are not the engine's fault. */
static bool differs_again(struct native_case *c, const struct native_outcome *outcome)
{
    c->done = false;
    memset(&c->native, 0, offsetof(struct native_outcome, memory));
    return !native_run(c, 1) || !native_compare(c, outcome, true);
}

static void compare_engine(struct run *run, unsigned slot, struct native_engine *engine)
{
    struct native_outcome outcome;
    struct native_case *c = &run->cases[slot];
    struct native_row *row = &g_array_index(run->rows, struct native_row, run->row_of[slot]);

    native_engine_run(engine, c, &outcome);
    if (ENGINE_ALONE) {
        c->native.completed = outcome.completed;
        return;
    }
    if (native_compare(c, &outcome, false)) {
        return;
    }
    if (!differs_again(c, &outcome)) {
        run->unsteady++;
        return;
    }
    run->mismatches++;
    printf("MISMATCH of the %s in %s: repeat with --seed %" G_GINT64_FORMAT
           " --first %" G_GUINT64_FORMAT " --cases 1 --sequences 0%s%s\n",
           engine == run->translator ? "translator" : "interpreter", row->row->name,
           run->options.seed, c->number, run->options.only ? " --only " : "",
           run->options.only ? run->options.only : "");
}

static bool accesses_memory(const struct native_case *c)
{
    struct cpu cpu;
    struct insn insn;

    native_engine_prepare(&cpu, c);
    return decode_insn(&cpu, c->bytes, c->length, &insn) == DECODE_OK && insn.memory;
}

static bool is_memory_fault(const struct native_outcome *outcome)
{
    return !outcome->completed &&
           (outcome->vector == EXCEPTION_PF || outcome->vector == EXCEPTION_GP ||
            outcome->vector == EXCEPTION_SS || outcome->vector == EXCEPTION_AC);
}

static void compare(struct run *run, unsigned slot)
{
    struct native_case *c = &run->cases[slot];
    struct native_row *row = &g_array_index(run->rows, struct native_row, run->row_of[slot]);

    compare_engine(run, slot, run->interpreter);
    if (run->translator && c->code_64) {
        compare_engine(run, slot, run->translator);
    }
    row->cases++;
    row->completed += c->native.completed;
    row->accessed += c->want_fault && accesses_memory(c);
    row->refused += c->want_fault && is_memory_fault(&c->native);
    run->compared++;
    run->faults += !c->native.completed;
}

static void compare_sequence_outcome(struct run *run, struct native_case *c,
                                     const struct native_outcome *outcome, const char *who)
{
    if (ENGINE_ALONE || native_compare_sequence(c, outcome, who, false)) {
        return;
    }
    c->done = false;
    memset(&c->native, 0, offsetof(struct native_outcome, memory));
    if (native_run(c, 1) && native_compare_sequence(c, outcome, who, true)) {
        run->unsteady++;
        return;
    }
    run->mismatches++;
    printf("MISMATCH of the %s in a sequence: repeat with --seed %" G_GINT64_FORMAT
           " --first %" G_GUINT64_FORMAT " --cases 0 --sequences 1\n",
           who, run->options.seed, c->number);
}

static void compare_sequence(struct run *run, unsigned slot)
{
    struct native_case *c = &run->cases[slot];
    struct native_outcome outcome;

    compare_sequence_outcome(run, c, &run->outcomes[slot], "interpreter");
    if (run->sequencer) {
        native_engine_run_sequence(run->sequencer, c, &outcome);
        compare_sequence_outcome(run, c, &outcome, "translator");
    }
    run->sequence_faults += !c->native.completed;
}

static bool is_enough(const struct run *run)
{
    return run->mismatches >= (uint64_t)run->options.mismatches;
}

/* False after the native side failed. */
static bool run_sequences(struct run *run)
{
    uint64_t number = run->options.first, end = number + run->options.sequences;

    while (number < end && !is_enough(run)) {
        unsigned count = MIN(end - number, BATCH);
        for (unsigned i = 0; i < count; i++, number++) {
            struct random random = {(uint64_t)run->options.seed * UINT64_C(0xda942042e4dd58b5) +
                                    number};
            native_generate_sequence(&random, run->rows, &run->features, run->interpreter,
                                     &run->cases[i], &run->outcomes[i]);
            run->cases[i].number = number;
        }
        if (!ENGINE_ALONE && !native_run(run->cases, count)) {
            return false;
        }
        for (unsigned i = 0; i < count && !is_enough(run); i++) {
            compare_sequence(run, i);
        }
        run->sequences += count;
    }
    return true;
}

/* False after the native side failed. */
static bool run_all(struct run *run)
{
    uint64_t number = run->options.first, end = number + run->options.cases;

    while (number < end && !is_enough(run)) {
        unsigned count = 0;
        while (number < end && count < BATCH) {
            count += generate(run, number++, count);
        }
        if (count > 0 && !ENGINE_ALONE && !native_run(run->cases, count)) {
            return false;
        }
        for (unsigned i = 0; i < count && !is_enough(run); i++) {
            compare(run, i);
        }
    }
    return true;
}

static void report_coverage(const struct run *run)
{
    unsigned covered = 0, accessed = 0, refused = 0;
    g_autoptr(GString) uncovered = g_string_new(NULL);

    for (unsigned i = 0; i < run->rows->len; i++) {
        const struct native_row *row = &g_array_index(run->rows, struct native_row, i);
        accessed += row->accessed != 0;
        refused += row->refused != 0;
        if (row->completed) {
            covered++;
        } else {
            g_string_append_printf(uncovered, " %s(%s%02x)", row->row->name, row->map, row->opcode);
        }
        if (run->options.verbose) {
            printf("%-16s %s%02x cases %" G_GUINT64_FORMAT " completed %" G_GUINT64_FORMAT "\n",
                   row->row->name, row->map, row->opcode, row->cases, row->completed);
        }
    }
    printf("native: %" G_GUINT64_FORMAT " cases compared (%" G_GUINT64_FORMAT
           " ended in a fault), %" G_GUINT64_FORMAT " mismatches, %" G_GUINT64_FORMAT
           " unsteady, seed %" G_GINT64_FORMAT "\n",
           run->compared, run->faults, run->mismatches, run->unsteady, run->options.seed);
    printf("native: %" G_GUINT64_FORMAT " sequences compared (%" G_GUINT64_FORMAT
           " ended in a fault)%s\n",
           run->sequences, run->sequence_faults, run->translator ? "" : "; the interpreter only");
    if (run->compared < run->rows->len) {
        return;
    }
    printf("native: rows covered %u / %u comparable here (%u in the tables)%s%s\n", covered,
           run->rows->len, run->row_total, uncovered->len ? "; not covered:" : "", uncovered->str);
    printf("native: rows whose memory operand faulted: %u of %u that have one\n", refused,
           accessed);
}

/* The rows to compare; the names of those that are not, with --verbose. */
static void select_rows(struct run *run)
{
    g_autoptr(GArray) all = native_rows_new();

    run->row_total = all->len;
    run->rows = g_array_new(FALSE, TRUE, sizeof(struct native_row));
    for (unsigned i = 0; i < all->len; i++) {
        const struct native_row *row = &g_array_index(all, struct native_row, i);
        if (!native_row_is_comparable(row, &run->features, run->with_32)) {
            if (run->options.verbose) {
                printf("not compared: %s (%s%02x)\n", row->row->name, row->map, row->opcode);
            }
        } else if (!run->options.only || strcmp(run->options.only, row->row->name) == 0) {
            g_array_append_val(run->rows, *row);
        }
    }
}

static bool parse_options(struct options *o, int argc, char **argv)
{
    GOptionEntry entries[] = {
        {"seed", 's', 0, G_OPTION_ARG_INT64, &o->seed, "Seed [20261126]", "S"},
        {"cases", 'n', 0, G_OPTION_ARG_INT64, &o->cases, "Number of cases", "N"},
        {"first", 'f', 0, G_OPTION_ARG_INT64, &o->first, "Number of the first case", "N"},
        {"only", 'o', 0, G_OPTION_ARG_STRING, &o->only, "Only instructions of this name", "NAME"},
        {"max-mismatches", 'm', 0, G_OPTION_ARG_INT, &o->mismatches, "Stop after so many", "N"},
        {"sequences", 'q', 0, G_OPTION_ARG_INT64, &o->sequences, "Number of sequences", "N"},
        {"interpreter", 'i', 0, G_OPTION_ARG_NONE, &o->interpreter, "Without the translator", NULL},
        {"verbose", 'v', 0, G_OPTION_ARG_NONE, &o->verbose, "Name all rows", NULL},
        G_OPTION_ENTRY_NULL};
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "compare: %s\n", error->message);
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct run run = {.options = {.seed = SEED_DEFAULT,
                                  .cases = CASES_DEFAULT,
                                  .sequences = SEQUENCES_DEFAULT,
                                  .mismatches = 5}};

    if (!parse_options(&run.options, argc, argv)) {
        return EXIT_FAILURE;
    }
    printf("native: seed %" G_GINT64_FORMAT "%s\n", run.options.seed,
           ENGINE_ALONE ? "; sanitized: the engine runs alone, nothing is compared" : "");
    run.cases = mmap(NULL, BATCH * sizeof(*run.cases), PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (run.cases == MAP_FAILED) {
        perror("compare: mmap");
        return EXIT_SKIPPED;
    }
    native_host_features(&run.features);
    run.with_32 = native_has_32(run.cases);
    if (!run.with_32) {
        printf("native: this host runs no 32-bit code: only 64-bit mode is compared\n");
    }
    select_rows(&run);
    if (run.rows->len == 0) {
        printf("native: no instruction to compare\n");
        return EXIT_FAILURE;
    }
    run.row_of = g_new(unsigned, BATCH);
    run.outcomes = g_new(struct native_outcome, BATCH);
    run.interpreter = native_engine_new(false, false);
    if (JIT_SUPPORTED && !run.options.interpreter) {
        run.translator = native_engine_new(true, false);
        run.sequencer = native_engine_new(true, true);
    }
    if (!run.interpreter) {
        perror("compare: guest memory");
        return EXIT_SKIPPED;
    }
    bool ran = run_all(&run) && run_sequences(&run);
    report_coverage(&run);
    native_engine_free(run.interpreter);
    native_engine_free(run.translator);
    native_engine_free(run.sequencer);
    g_free(run.outcomes);
    munmap(run.cases, BATCH * sizeof(*run.cases));
    g_free(run.row_of);
    g_array_unref(run.rows);
    g_free(run.options.only);
    return ran && run.mismatches == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
