/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options that add network back ends and cards. */
#include "dm/cli/options.h"
#include "dm/net/net.h"
#include "util/error.h"

#include <string.h>

#define DEFAULT_MODEL "virtio-net-pci"

static bool is_help(const char *text)
{
    return g_str_equal(text, "help") || g_str_equal(text, "?");
}

bool option_netdev(struct command_line *line, const char *value, GError **error)
{
    if (is_help(value)) {
        netdev_list_kinds(stdout);
        line->done = true;
        return true;
    }
    g_ptr_array_add(line->netdevs, g_strdup(value));
    return true;
}

/* The older form: QEMU's hub of everything. Nobody needs it; libxl says "none". */
bool option_net(struct command_line *line, const char *value, GError **error)
{
    if (g_str_equal(value, "none")) {
        return true;
    }
    if (g_str_equal(value, "nic") || g_str_has_prefix(value, "nic,")) {
        return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                          "-net is known as 'none' only: say -device " DEFAULT_MODEL
                          ",netdev=ID, or -nic TYPE for card and back end at once");
    }
    return duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                      "-net is known as 'none' only: say -netdev %s%sid=ID -device " DEFAULT_MODEL
                      ",netdev=ID, or -nic %s",
                      value, *value ? "," : "", value);
}

/* Cards are what has a back end. */
static void list_models(void)
{
    for (unsigned i = 0; device_class_table[i]; i++) {
        const struct device_class *class = device_class_table[i];

        if (class->user_creatable && property_find(class->properties, "netdev")) {
            printf("%-18s %s\n", class->name, class->description);
        }
    }
}

/* -device's text for a card on back end `id`, from what of the list is meant for it. */
static char *take_device(struct key_values *list, const char *id)
{
    static const char *const properties[][2] = {{"mac", "mac"},
                                                {"macaddr", "mac"},
                                                {"addr", "addr"},
                                                {"bootindex", "bootindex"},
                                                {"romfile", "romfile"}};
    g_autofree char *model = key_values_take(list, "model");
    GString *text = g_string_new(model ? model : DEFAULT_MODEL);

    g_string_append_printf(text, ",netdev=%s", id);
    for (unsigned i = 0; i < G_N_ELEMENTS(properties); i++) {
        g_autofree char *value = key_values_take(list, properties[i][0]);

        if (value) {
            g_autofree char *escaped = key_values_escape(value);

            g_string_append_printf(text, ",%s=%s", properties[i][1], escaped);
        }
    }
    return g_string_free(text, FALSE);
}

static char *join(const struct key_values *list)
{
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < list->items->len; i++) {
        const struct key_value *item = g_ptr_array_index(list->items, i);
        g_autofree char *escaped = key_values_escape(item->value);

        g_string_append_printf(text, "%s%s=%s", i ? "," : "", item->key, escaped);
    }
    return g_string_free(text, FALSE);
}

/* Back end and card at once. */
bool option_nic(struct command_line *line, const char *value, GError **error)
{
    struct key_values *list = key_values_parse(value, "type", error);
    const char *type = list ? key_values_get(list, "type") : NULL;
    bool ok = list != NULL;

    if (type && g_str_equal(type, "none")) {
        /* nothing */
    } else if (ok &&
               (is_help(type ? type : "help") ||
                is_help(key_values_get(list, "model") ? key_values_get(list, "model") : ""))) {
        list_models();
        line->done = true;
    } else if (ok) {
        const char *given = key_values_get(list, "id");
        g_autofree char *id =
            given ? g_strdup(given) : g_strdup_printf("nic-backend%u", line->netdevs->len);
        g_autofree char *device = take_device(list, id);

        if (!given) {
            key_values_set(list, "id", id);
        }
        g_ptr_array_add(line->netdevs, join(list));
        ok = option_device(line, device, error);
    }
    key_values_free(list);
    return ok;
}
