/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The human monitor's commands about a machine's state. */
#include "dm/machine.h"
#include "dm/monitor/hmp-commands.h"
#include "dm/snapshot/migration.h"
#include "util/error.h"

bool hmp_migrate(struct hmp_context *context, char **words, GString *out, GError **error)
{
    const char *uri = words[1] && g_str_equal(words[1], "-d") ? words[2] : words[1];

    if (!uri) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "migrate URI: file:PATH, unix:PATH, tcp:HOST:PORT or exec:COMMAND");
    }
    if (!migration_start(context->machine->migration, uri, error)) {
        return false;
    }
    g_string_append(out, "begun; 'info migrate' tells how it goes\n");
    return true;
}

bool hmp_migrate_cancel(struct hmp_context *context, char **words, GString *out, GError **error)
{
    migration_cancel(context->machine->migration);
    return true;
}

/* The members of query-migrate, a line each. */
static void print_object(json_t *object, const char *prefix, GString *out)
{
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value)
    {
        if (json_is_object(value)) {
            print_object(value, name, out);
        } else if (json_is_string(value)) {
            g_string_append_printf(out, "%s%s%s: %s\n", prefix, *prefix ? " " : "", name,
                                   json_string_value(value));
        } else {
            g_string_append_printf(out, "%s%s%s: %.0f\n", prefix, *prefix ? " " : "", name,
                                   json_number_value(value));
        }
    }
}

bool hmp_info_migrate(struct hmp_context *context, char **words, GString *out, GError **error)
{
    json_t *status = migration_query(context->machine->migration);

    print_object(status, "", out);
    if (!json_object_size(status)) {
        g_string_append(out, "nothing was sent or received\n");
    }
    json_decref(status);
    return true;
}
