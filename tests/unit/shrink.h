/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random sequences of steps, and what breaks something cut down to what is needed for it. */
#ifndef DUODM_TESTS_UNIT_SHRINK_H
#define DUODM_TESTS_UNIT_SHRINK_H

#include "unit/seed.h"
#include "unit/suite.h"

#include <glib.h>
#include <string.h>

/* Take the steps, each of `size` bytes: what went wrong, or NULL. */
typedef const char *(*shrink_run_fn)(const void *steps, unsigned count);

/* Leave out of steps what is not needed for a fault. Returns the number of steps left. */
static inline unsigned shrink_steps(void *steps, size_t size, unsigned count, shrink_run_fn run)
{
    char *all = steps;

    for (unsigned chunk = count / 2; chunk; chunk /= 2) {
        for (unsigned at = 0; at + chunk <= count;) {
            size_t before = at * size, after = (count - at - chunk) * size;
            g_autofree char *fewer = g_malloc(before + after + 1);

            memcpy(fewer, all, before);
            memcpy(fewer + before, all + before + chunk * size, after);
            if (run(fewer, count - chunk)) {
                count -= chunk;
                memcpy(all, fewer, before + after);
            } else {
                at++;
            }
        }
    }
    return count;
}

struct random_sequences {
    size_t size;            /* of a step, bytes */
    unsigned steps;         /* in a sequence */
    unsigned long in_total; /* unless DUODM_TEST_STEPS says how many */
    void (*make)(void *steps, GRand *random);
    shrink_run_fn run;
    void (*print)(const void *steps, unsigned count);
};

/* Until one of them breaks something, which fails the test and is printed. */
static inline void run_random_sequences(const struct random_sequences *of)
{
    const char *text = g_getenv("DUODM_TEST_STEPS");
    unsigned long left = text ? strtoul(text, NULL, 0) : of->in_total;
    g_autoptr(GRand) random = test_seeded_rand();
    g_autofree void *steps = g_malloc0_n(of->steps, of->size);
    const char *fault = NULL;
    unsigned count;

    for (; !fault && left >= of->steps; left -= of->steps) {
        of->make(steps, random);
        fault = of->run(steps, of->steps);
    }
    if (fault) {
        count = shrink_steps(steps, of->size, of->steps, of->run);
        printf("\n  %s; the shortest sequence (%s):\n", fault, of->run(steps, count));
        of->print(steps, count);
        CU_FAIL("an invariant broke");
    }
}

#endif
