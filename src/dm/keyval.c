/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/keyval.h"
#include "dm/nearest-word.h"
#include "dm/property.h"
#include "util/error.h"

#include <string.h>

static void key_value_free(void *opaque)
{
    struct key_value *item = opaque;

    g_free(item->key);
    g_free(item->value);
    g_free(item);
}

static void add_item(struct key_values *list, char *key, char *value)
{
    struct key_value *item = g_new(struct key_value, 1);

    item->key = key;
    item->value = value;
    g_ptr_array_add(list->items, item);
}

/* One item of the list, up to a single comma, with ",," made ",". *text moves past the comma. */
static char *next_item(const char **text)
{
    GString *item = g_string_new(NULL);
    const char *p = *text;

    for (; *p; p++) {
        if (*p == ',') {
            if (p[1] != ',') {
                p++;
                break;
            }
            p++;
        }
        g_string_append_c(item, *p);
    }
    *text = p;
    return g_string_free(item, FALSE);
}

static bool add_text(struct key_values *list, const char *text, const char *implied_key,
                     GError **error)
{
    const char *equals = strchr(text, '=');

    if (equals == text) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "'%s' has no key before the '='",
                          text);
    }
    if (equals) {
        add_item(list, g_strndup(text, (gsize)(equals - text)), g_strdup(equals + 1));
    } else if (implied_key) {
        add_item(list, g_strdup(implied_key), g_strdup(text));
    } else {
        add_item(list, g_strdup(text), g_strdup("on"));
    }
    return true;
}

struct key_values *key_values_parse(const char *text, const char *implied_key, GError **error)
{
    struct key_values *list = g_new(struct key_values, 1);

    list->items = g_ptr_array_new_with_free_func(key_value_free);
    while (*text) {
        g_autofree char *item = next_item(&text);

        if (!*item) {
            continue; /* "a,,,b" and a trailing comma name nothing */
        }
        if (!add_text(list, item, list->items->len ? NULL : implied_key, error)) {
            key_values_free(list);
            return NULL;
        }
    }
    return list;
}

void key_values_free(struct key_values *list)
{
    if (list) {
        g_ptr_array_free(list->items, TRUE);
        g_free(list);
    }
}

const char *key_values_get(const struct key_values *list, const char *key)
{
    for (unsigned i = list->items->len; i-- > 0;) {
        const struct key_value *item = g_ptr_array_index(list->items, i);

        if (g_str_equal(item->key, key)) {
            return item->value;
        }
    }
    return NULL;
}

bool key_values_get_bool(const struct key_values *list, const char *key, bool *value,
                         GError **error)
{
    const char *text = key_values_get(list, key);

    if (text && !parse_bool(text, value, error)) {
        g_prefix_error(error, "%s=%s: ", key, text);
        return false;
    }
    return true;
}

void key_values_set(struct key_values *list, const char *key, const char *value)
{
    add_item(list, g_strdup(key), g_strdup(value));
}

char *key_values_take(struct key_values *list, const char *key)
{
    char *value = g_strdup(key_values_get(list, key));

    for (unsigned i = list->items->len; i-- > 0;) {
        const struct key_value *item = g_ptr_array_index(list->items, i);

        if (g_str_equal(item->key, key)) {
            g_ptr_array_remove_index(list->items, i);
        }
    }
    return value;
}

bool key_values_check(const struct key_values *list, const char *const *valid, GError **error)
{
    for (unsigned i = 0; i < list->items->len; i++) {
        const struct key_value *item = g_ptr_array_index(list->items, i);

        if (!g_strv_contains(valid, item->key)) {
            g_autofree char *hint = suggestion(item->key, valid);
            g_autofree char *all = g_strjoinv(", ", (char **)valid);

            return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                              "'%s' is not known here%s (valid: %s)", item->key, hint, all);
        }
    }
    return true;
}

char *key_values_escape(const char *value)
{
    g_auto(GStrv) parts = g_strsplit(value, ",", -1);

    return g_strjoinv(",,", parts);
}
