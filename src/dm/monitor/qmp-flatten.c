/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dm/keyval.h"
#include "dm/monitor/qmp-commands.h"

static void flatten(GString *text, const char *key, json_t *value)
{
    const char *name;
    json_t *member;
    size_t index;

    switch (json_typeof(value)) {
    case JSON_OBJECT:
        json_object_foreach(value, name, member)
        {
            /* {"str": "..."} is how QAPI wraps a string of a list. */
            g_autofree char *full = *key && !g_str_equal(name, "str")
                                        ? g_strconcat(key, ".", name, NULL)
                                        : g_strdup(*key ? key : name);

            flatten(text, full, member);
        }
        return;
    case JSON_ARRAY:
        json_array_foreach(value, index, member)
        {
            flatten(text, key, member);
        }
        return;
    case JSON_STRING: {
        g_autofree char *escaped = key_values_escape(json_string_value(value));

        g_string_append_printf(text, "%s%s=%s", text->len ? "," : "", key, escaped);
        return;
    }
    case JSON_INTEGER:
        g_string_append_printf(text, "%s%s=%lld", text->len ? "," : "", key,
                               (long long)json_integer_value(value));
        return;
    default:
        g_string_append_printf(text, "%s%s=%s", text->len ? "," : "", key,
                               json_is_true(value) ? "on" : "off");
        return;
    }
}

void qmp_flatten(GString *text, json_t *arguments)
{
    flatten(text, "", arguments);
}
