/* SPDX-License-Identifier: GPL-2.0-or-later */
/* device_add and device_del, of both monitors. */
#include "dm/keyval.h"
#include "dm/hotplug.h"
#include "dm/monitor/hmp-commands.h"
#include "dm/monitor/qmp-commands.h"
#include "util/error.h"

const struct qmp_argument qmp_device_add_arguments[] = {
    {"driver", JSON_STRING, false}, {"id", JSON_STRING, true}, {"bus", JSON_STRING, true},
    {"*", JSON_NULL, true},         {NULL, JSON_NULL, false},
};
const struct qmp_argument qmp_device_del_arguments[] = {
    {"id", JSON_STRING, false},
    {"x-force", JSON_TRUE, true},
    {NULL, JSON_NULL, false},
};

static bool add(struct machine *machine, const char *text, GError **error)
{
    struct key_values *list = key_values_parse(text, "driver", error);
    bool ok = list && (key_values_get(list, "driver") ||
                       duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "no device is named"));

    ok = ok && hotplug_add(machine, list, error);
    key_values_free(list);
    return ok;
}

json_t *qmp_device_add(struct qmp_context *context, json_t *arguments, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);

    qmp_flatten(text, arguments);
    return add(context->machine, text->str, error) ? json_object() : NULL;
}

json_t *qmp_device_del(struct qmp_context *context, json_t *arguments, GError **error)
{
    const char *id = json_string_value(json_object_get(arguments, "id"));
    bool force = json_is_true(json_object_get(arguments, "x-force"));

    if (hotplug_remove(context->machine, id, force, error)) {
        return json_object();
    }
    if (error && g_error_matches(*error, DUODM_ERROR, DUODM_ERROR_NOT_FOUND)) {
        context->error_class = "DeviceNotFound";
    }
    return NULL;
}

bool hmp_device_add(struct hmp_context *context, char **words, GString *out, GError **error)
{
    if (!words[1] || words[2]) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "device_add DRIVER[,PROPERTY=VALUE]");
    }
    return add(context->machine, words[1], error);
}

bool hmp_device_del(struct hmp_context *context, char **words, GString *out, GError **error)
{
    if (!words[1] || words[2]) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "device_del ID");
    }
    return hotplug_remove(context->machine, words[1], false, error);
}
