/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists of key=value, as the command line has them: "pc,accel=kvm:tcg,id=x". A comma in a value
 * is written twice. A word without '=' means the implied key where it comes first, else word=on.
 */
#ifndef DUODM_DM_KEYVAL_H
#define DUODM_DM_KEYVAL_H

#include <glib.h>
#include <stdbool.h>

struct key_value {
    char *key, *value; /* owned, never NULL */
};

struct key_values {
    GPtrArray *items; /* of struct key_value, in the order given */
};

/* implied_key: what a first word without '=' is the value of; NULL: nothing. */
struct key_values *key_values_parse(const char *text, const char *implied_key, GError **error);
void key_values_free(struct key_values *list);

/* The last value of a key; NULL if it was not given. */
const char *key_values_get(const struct key_values *list, const char *key);
/* Leaves *value alone where the key was not given. */
bool key_values_get_bool(const struct key_values *list, const char *key, bool *value,
                         GError **error);
void key_values_set(struct key_values *list, const char *key, const char *value);
/* The last value of a key, taken out of the list with all others of that key; caller frees. */
char *key_values_take(struct key_values *list, const char *key);

/* Are all keys among the valid ones (ended by NULL)? The error names the nearest one. */
bool key_values_check(const struct key_values *list, const char *const *valid, GError **error);

/* A value as part of such a list: commas doubled. Caller frees. */
char *key_values_escape(const char *value);

#endif
