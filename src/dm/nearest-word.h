/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The word that a user may have meant, for error messages about one that there is not. */
#ifndef DUODM_DM_NEAREST_WORD_H
#define DUODM_DM_NEAREST_WORD_H

/* The candidate (they are ended by NULL) nearest to a misspelt word, by edit distance, or NULL if
 * none is near. */
const char *nearest_word(const char *word, const char *const *candidates);

/* "; did you mean 'X'?" or "", for the end of a message; caller frees. */
char *suggestion(const char *word, const char *const *candidates);

#endif
