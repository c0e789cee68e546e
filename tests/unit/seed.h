/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where random tests begin. The seed is the same in each run, so that one tree has one verdict;
 * tests/soak.py goes over new ground, by DUODM_TEST_SEED. It is printed, so that a failure can
 * be repeated.
 */
#ifndef DUODM_TESTS_UNIT_SEED_H
#define DUODM_TESTS_UNIT_SEED_H

#include <glib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static inline uint64_t test_seed(void)
{
    const char *text = g_getenv("DUODM_TEST_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : 20261126;

    printf("seed %" G_GUINT64_FORMAT " ", seed);
    fflush(stdout); /* the test may end the process */
    return seed;
}

/* Free with g_rand_free. */
static inline GRand *test_seeded_rand(void)
{
    return g_rand_new_with_seed((guint32)test_seed());
}

#endif
