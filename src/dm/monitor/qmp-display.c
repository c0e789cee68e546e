/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP: the picture, VNC, keys and pointer. */
#include "dm/display/display.h"
#include "dm/input/input.h"
#include "dm/machine.h"
#include "dm/monitor/qmp-commands.h"
#include "dm/vnc/vnc.h"
#include "util/error.h"

#include <string.h>

#define HOLD_MS_DEFAULT 100
#define HOLD_MS_MAX     60000
#define EVENTS_MAX      1024 /* of one command */
#define MOTION_MAX      0x10000

const struct qmp_argument qmp_password_arguments[] = {
    {"password", JSON_STRING, false},
    {NULL, JSON_NULL, false},
};
const struct qmp_argument qmp_set_password_arguments[] = {
    {"protocol", JSON_STRING, false}, {"password", JSON_STRING, false},
    {"connected", JSON_STRING, true}, {"display", JSON_STRING, true},
    {NULL, JSON_NULL, false},
};
const struct qmp_argument qmp_expire_password_arguments[] = {
    {"protocol", JSON_STRING, false},
    {"time", JSON_STRING, false},
    {"display", JSON_STRING, true},
    {NULL, JSON_NULL, false},
};
const struct qmp_argument qmp_screendump_arguments[] = {
    {"filename", JSON_STRING, false}, {"device", JSON_STRING, true}, {"head", JSON_INTEGER, true},
    {"format", JSON_STRING, true},    {NULL, JSON_NULL, false},
};
const struct qmp_argument qmp_send_key_arguments[] = {
    {"keys", JSON_ARRAY, false},
    {"hold-time", JSON_INTEGER, true},
    {NULL, JSON_NULL, false},
};
const struct qmp_argument qmp_input_send_event_arguments[] = {
    {"device", JSON_STRING, true},
    {"head", JSON_INTEGER, true},
    {"events", JSON_ARRAY, false},
    {NULL, JSON_NULL, false},
};

static const char *get_string(json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* The picture. */

json_t *qmp_screendump(struct qmp_context *context, json_t *arguments, GError **error)
{
    const char *format = get_string(arguments, "format");

    return display_dump(context->machine, get_string(arguments, "filename"),
                        format ? format : "ppm", error)
               ? json_object()
               : NULL;
}

/* VNC. */

static struct vnc_server *get_vnc(struct qmp_context *context, GError **error)
{
    if (!context->machine->vnc) {
        duodm_fail(error, DUODM_ERROR_NOT_FOUND, "there is no VNC server: start with -vnc");
    }
    return context->machine->vnc;
}

static json_t *pack_clients(const struct vnc_info *info)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < info->clients->len; i++) {
        const struct vnc_client_info *client = g_ptr_array_index(info->clients, i);

        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:b}", "host", client->host, "service",
                                        client->service, "family", client->family, "websocket", 0));
    }
    return list;
}

json_t *qmp_query_vnc(struct qmp_context *context, json_t *arguments, GError **error)
{
    struct vnc_info *info;
    json_t *result;

    if (!context->machine->vnc) {
        return json_pack("{s:b}", "enabled", 0);
    }
    info = vnc_get_info(context->machine->vnc);
    result = json_pack("{s:b, s:s, s:s, s:s, s:s, s:o}", "enabled", 1, "host", info->host,
                       "service", info->service, "family", info->family, "auth", info->auth,
                       "clients", pack_clients(info));
    vnc_info_free(info);
    return result;
}

json_t *qmp_query_vnc_servers(struct qmp_context *context, json_t *arguments, GError **error)
{
    json_t *list = json_array();
    struct vnc_info *info;

    if (!context->machine->vnc) {
        return list;
    }
    info = vnc_get_info(context->machine->vnc);
    json_array_append_new(list,
                          json_pack("{s:s, s:[{s:s, s:s, s:s, s:b, s:s}], s:o, s:s}", "id",
                                    "default", "server", "host", info->host, "service",
                                    info->service, "family", info->family, "websocket", 0, "auth",
                                    info->auth, "clients", pack_clients(info), "auth", info->auth));
    vnc_info_free(info);
    return list;
}

json_t *qmp_change_vnc_password(struct qmp_context *context, json_t *arguments, GError **error)
{
    struct vnc_server *vnc = get_vnc(context, error);

    return vnc && vnc_set_password(vnc, get_string(arguments, "password"), error) ? json_object()
                                                                                  : NULL;
}

static struct vnc_server *get_vnc_by_protocol(struct qmp_context *context, json_t *arguments,
                                              GError **error)
{
    if (!g_str_equal(get_string(arguments, "protocol"), "vnc")) {
        duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED, "there is no %s here: protocol must be vnc",
                   get_string(arguments, "protocol"));
        return NULL;
    }
    return get_vnc(context, error);
}

json_t *qmp_set_password(struct qmp_context *context, json_t *arguments, GError **error)
{
    struct vnc_server *vnc = get_vnc_by_protocol(context, arguments, error);
    const char *connected = get_string(arguments, "connected");

    if (vnc && connected && !g_str_equal(connected, "keep")) {
        duodm_fail(error, DUODM_ERROR_NOT_SUPPORTED,
                   "connected=%s: VNC clients that are there can only be kept", connected);
        return NULL;
    }
    return vnc && vnc_set_password(vnc, get_string(arguments, "password"), error) ? json_object()
                                                                                  : NULL;
}

/* "never", "now", seconds from now ("+60") or of the epoch. */
static bool parse_expiry(const char *text, gint64 *when, GError **error)
{
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    guint64 number = 0;

    if (g_str_equal(text, "never")) {
        *when = 0;
        return true;
    }
    if (!g_str_equal(text, "now") &&
        !g_ascii_string_to_unsigned(text + (*text == '+'), 10, 0, INT64_MAX / 2, &number, NULL)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "time '%s' must be never, now, +SECONDS or seconds of the epoch", text);
    }
    *when = *text == '+' || *text == 'n' ? now + (gint64)number : (gint64)number;
    *when = MAX(*when, 1);
    return true;
}

json_t *qmp_expire_password(struct qmp_context *context, json_t *arguments, GError **error)
{
    struct vnc_server *vnc = get_vnc_by_protocol(context, arguments, error);
    gint64 when = 0;

    return vnc && parse_expiry(get_string(arguments, "time"), &when, error) &&
                   vnc_set_password_expiry(vnc, when, error)
               ? json_object()
               : NULL;
}

/* Keys: {"type": "qcode", "data": "ret"} or {"type": "number", "data": 28}. */

static const struct key *find_key(json_t *value, GError **error)
{
    const char *type = json_is_object(value) ? get_string(value, "type") : NULL;
    json_t *data = json_is_object(value) ? json_object_get(value, "data") : NULL;
    const struct key *key = NULL;

    if (g_strcmp0(type, "qcode") == 0 && json_is_string(data)) {
        key = key_find_name(json_string_value(data));
    } else if (g_strcmp0(type, "number") == 0 && json_is_integer(data)) {
        json_int_t number = json_integer_value(data);

        key = number > 0 && number < 256 ? key_find_number((unsigned)number) : NULL;
    }
    if (!key) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                   "a key is {\"type\": \"qcode\", \"data\": NAME} or {\"type\": \"number\", "
                   "\"data\": SCANCODE}, of a key that is there%s%s",
                   json_is_string(data) ? ", not " : "",
                   json_is_string(data) ? json_string_value(data) : "");
    }
    return key;
}

json_t *qmp_send_key(struct qmp_context *context, json_t *arguments, GError **error)
{
    json_t *list = json_object_get(arguments, "keys"),
           *hold = json_object_get(arguments, "hold-time");
    json_int_t hold_ms = hold ? json_integer_value(hold) : HOLD_MS_DEFAULT;
    g_autoptr(GPtrArray) keys = g_ptr_array_new();

    if (hold_ms < 0 || hold_ms > HOLD_MS_MAX) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "hold-time must be 0 to %d ms",
                   HOLD_MS_MAX);
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const struct key *key = find_key(json_array_get(list, i), error);

        if (!key) {
            return NULL;
        }
        g_ptr_array_add(keys, (void *)key);
    }
    return input_type_keys(context->machine, (const struct key *const *)keys->pdata, keys->len,
                           (unsigned)hold_ms, error)
               ? json_object()
               : NULL;
}

/* Events: {"type": "key", "data": {"down": true, "key": ...}}, btn, rel, abs. */

static bool parse_button(json_t *data, struct input_event *event, GError **error)
{
    const char *name = get_string(data, "button");

    event->kind = INPUT_BUTTON;
    for (unsigned i = 0; name && i < INPUT_BUTTON_COUNT; i++) {
        if (g_str_equal(name, input_button_names[i])) {
            event->button = (enum input_button)i;
            return true;
        }
    }
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "there is no button '%s'",
                      name ? name : "");
}

static bool parse_axis(json_t *data, bool is_absolute, struct input_event *event, GError **error)
{
    const char *axis = get_string(data, "axis");
    json_t *value = json_object_get(data, "value");
    json_int_t number = json_integer_value(value);

    if (!axis || (!g_str_equal(axis, "x") && !g_str_equal(axis, "y")) || !json_is_integer(value)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "a motion has an axis, x or y, and a value, an integer");
    }
    event->kind = is_absolute ? INPUT_ABSOLUTE : INPUT_RELATIVE;
    event->axis = g_str_equal(axis, "x") ? INPUT_X : INPUT_Y;
    event->value = (int)(is_absolute ? CLAMP(number, 0, INPUT_ABSOLUTE_MAX)
                                     : CLAMP(number, -MOTION_MAX, MOTION_MAX));
    return true;
}

static bool parse_event(json_t *value, struct input_event *event, GError **error)
{
    const char *type = json_is_object(value) ? get_string(value, "type") : NULL;
    json_t *data = json_is_object(value) ? json_object_get(value, "data") : NULL;

    *event = (struct input_event){.down = json_is_true(json_object_get(data, "down"))};
    if (!type || !json_is_object(data)) {
        return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT,
                          "an event is {\"type\": \"key\", \"btn\", \"rel\" or \"abs\", \"data\": "
                          "{...}}");
    }
    if (g_str_equal(type, "key")) {
        event->kind = INPUT_KEY;
        event->key = find_key(json_object_get(data, "key"), error);
        return event->key != NULL;
    }
    if (g_str_equal(type, "btn")) {
        return parse_button(data, event, error);
    }
    if (g_str_equal(type, "rel") || g_str_equal(type, "abs")) {
        return parse_axis(data, type[0] == 'a', event, error);
    }
    return duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "there is no event of type '%s'", type);
}

json_t *qmp_input_send_event(struct qmp_context *context, json_t *arguments, GError **error)
{
    json_t *list = json_object_get(arguments, "events");
    g_autofree struct input_event *events = NULL;
    size_t count = json_array_size(list);

    if (count > EVENTS_MAX) {
        duodm_fail(error, DUODM_ERROR_INVALID_ARGUMENT, "%zu events are too many: %d are possible",
                   count, EVENTS_MAX);
        return NULL;
    }
    events = g_new0(struct input_event, count);
    for (size_t i = 0; i < count; i++) {
        if (!parse_event(json_array_get(list, i), &events[i], error)) {
            return NULL;
        }
        if (!input_find_handler(context->machine, events[i].kind)) {
            duodm_fail(error, DUODM_ERROR_NOT_FOUND, "no device of the machine takes such events");
            return NULL;
        }
    }
    for (size_t i = 0; i < count; i++) {
        input_send(context->machine, &events[i]);
    }
    input_sync(context->machine);
    return json_object();
}

json_t *qmp_query_mice(struct qmp_context *context, json_t *arguments, GError **error)
{
    const GPtrArray *handlers = input_handlers(context->machine);
    const struct input_handler *absolute = input_find_handler(context->machine, INPUT_ABSOLUTE);
    const struct input_handler *current =
        absolute ? absolute : input_find_handler(context->machine, INPUT_RELATIVE);
    json_t *list = json_array();

    for (unsigned i = 0; i < handlers->len; i++) {
        const struct input_handler *handler = g_ptr_array_index(handlers, i);

        if (handler->kinds & (INPUT_RELATIVE | INPUT_ABSOLUTE)) {
            json_array_append_new(list,
                                  json_pack("{s:s, s:i, s:b, s:b}", "name", handler->name, "index",
                                            (int)i, "current", handler == current, "absolute",
                                            (handler->kinds & INPUT_ABSOLUTE) != 0));
        }
    }
    return list;
}
