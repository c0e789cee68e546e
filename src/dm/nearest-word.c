/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The word that a user may have meant: by optimal string alignment distance. */
#include "dm/nearest-word.h"

#include <glib.h>
#include <string.h>

#define LONGEST_WORD 63 /* longer ones are nobody's slip of the finger */

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;

    return least < c ? least : c;
}

/*
 * Fewest insertions, deletions, replacements and swaps of neighbours that make b of a; a change of
 * case alone costs nothing. Both at most LONGEST_WORD bytes.
 */
static unsigned edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    unsigned rows[3][LONGEST_WORD + 1]; /* distances of prefixes: two rows ago, last, this */
    unsigned *before = rows[0], *last = rows[1], *this = rows[2];

    for (size_t j = 0; j <= b_length; j++) {
        last[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_length; i++) {
        unsigned *oldest = before;

        this[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            char x = g_ascii_tolower(a[i - 1]), y = g_ascii_tolower(b[j - 1]);

            this[j] = min3(last[j] + 1, this[j - 1] + 1, last[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == g_ascii_tolower(b[j - 2]) &&
                y == g_ascii_tolower(a[i - 2])) {
                this[j] = MIN(this[j], before[j - 2] + 1);
            }
        }
        before = last;
        last = this;
        this = oldest;
    }
    return last[b_length];
}

const char *nearest_word(const char *word, const char *const *candidates)
{
    size_t length = strlen(word);
    const char *nearest = NULL;
    unsigned best = 0;

    if (length > LONGEST_WORD) {
        return NULL;
    }
    for (; *candidates; candidates++) {
        size_t candidate_length = strlen(*candidates);
        unsigned distance;

        if (candidate_length > LONGEST_WORD) {
            continue;
        }
        distance = edit_distance(word, length, *candidates, candidate_length);
        /* More than a third of the letters wrong: not a slip, but another word. */
        if (distance * 3 > MAX(length, candidate_length) && distance > 1) {
            continue;
        }
        if (distance >= candidate_length) {
            continue;
        }
        if (!nearest || distance < best) {
            nearest = *candidates;
            best = distance;
        }
    }
    return nearest;
}

char *suggestion(const char *word, const char *const *candidates)
{
    const char *near = nearest_word(word, candidates);

    return near ? g_strdup_printf("; did you mean '%s'?", near) : g_strdup("");
}
